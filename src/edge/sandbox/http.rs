//! The HTTP face: a request is understood, counted, carried out and answered. Nothing of what is stored is decided here.
//!
//! Every answer but a stream is one JSON document (or YAML, where asked for). A panic anywhere below becomes a 500.

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::response::Response;
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::{Value, json};
use tower_http::catch_panic::CatchPanicLayer;

use super::body::{self, FieldValidation};
use super::delete::Preconditions;
use super::discovery;
use super::failure::{Cause, Failure, quoted};
use super::openapi;
use super::patch::PatchKind;
use super::present::{Accepted, Form};
use super::read::{self, ListOptions, Page};
use super::requests::Asked;
use super::resource::Resource;
use super::route::Route;
use super::scale;
use super::server::Server;
use super::watch::{self, Watch};
use super::write::{Options, Part, Write, Written};
use crate::model::key::Key;

/// The largest request body, as in the real server.
const LARGEST_BODY: usize = 3 * 1024 * 1024;
/// The longest name of a field manager.
const LONGEST_MANAGER: usize = 128;
/// What clients are told when they ask for Endpoints.
const ENDPOINTS_WARNING: &str =
    "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice";

/// Everything the sandbox serves.
pub fn router(server: Arc<Server>) -> Router {
    Router::new()
        .fallback(handle)
        .with_state(server)
        .layer(CatchPanicLayer::custom(panicked))
}

fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    failed(&Failure::internal(
        "an error on the server prevented the request from succeeding",
    ))
}

async fn handle(State(server): State<Arc<Server>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = match read_body(body).await {
        Ok(bytes) => bytes,
        Err(failure) => return failed(&failure),
    };
    let call = Call {
        method: parts.method,
        query: query(&parts.uri),
        headers: parts.headers,
        bytes,
        server,
    };
    match call.answer(parts.uri.path()) {
        Ok(response) => response,
        Err(failure) => failed(&failure),
    }
}

async fn read_body(body: Body) -> Result<Bytes, Failure> {
    match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::too_large(LARGEST_BODY)),
        Err(error) => Err(Failure::bad_request(format!(
            "the body ended early: {error}"
        ))),
    }
}

fn query(uri: &Uri) -> Vec<(String, String)> {
    Query::<Vec<(String, String)>>::try_from_uri(uri)
        .map(|Query(pairs)| pairs)
        .unwrap_or_default()
}

/// One request.
struct Call {
    server: Arc<Server>,
    method: Method,
    query: Vec<(String, String)>,
    headers: HeaderMap,
    bytes: Bytes,
}

impl Call {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    fn header(&self, name: http::HeaderName) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    }

    /// The media type of the body, without its parameters.
    fn media_type(&self) -> &str {
        let whole = self.header(CONTENT_TYPE);
        whole.split(';').next().unwrap_or("").trim()
    }

    fn agent(&self) -> &str {
        self.header(USER_AGENT)
            .split(['/', ' '])
            .next()
            .unwrap_or("")
    }

    fn answer(&self, path: &str) -> Result<Response, Failure> {
        let registry = self.server.registry();
        let accept = self.header(ACCEPT);
        let document = match Route::read(path, &registry) {
            Route::Health => return Ok(plain(StatusCode::OK, "ok")),
            Route::Nowhere => return Ok(plain(StatusCode::NOT_FOUND, "404 page not found\n")),
            Route::NoResource => return Err(Failure::no_such_resource()),
            Route::Collection {
                resource,
                namespace,
            } => return self.collection(&resource, namespace),
            Route::Object {
                resource,
                key,
                subresource,
            } => return self.object(&resource, &key, &subresource),
            _ if self.method != Method::GET && self.method != Method::HEAD => {
                return Err(method_not_allowed());
            }
            Route::Version => Some(discovery::version()),
            Route::Requests => Some(self.server.requests.counts().json()),
            Route::Root => Some(root(&registry.groups())),
            Route::Core | Route::Groups if discovery::takes_aggregated(accept) => {
                let is_core = matches!(Route::read(path, &registry), Route::Core);
                let list = discovery::aggregated(&registry, is_core);
                return Ok(respond(
                    StatusCode::OK,
                    discovery::AGGREGATED,
                    list.to_string().into_bytes(),
                ));
            }
            Route::Core => Some(discovery::core_versions("127.0.0.1")),
            Route::Groups => Some(discovery::groups(&registry)),
            Route::Group(group) => match discovery::group(&registry, &group) {
                None => return Ok(plain(StatusCode::NOT_FOUND, "404 page not found\n")),
                found => found,
            },
            Route::Resources { group, version } => {
                discovery::resources(&registry, &group, &version)
            }
            Route::OpenApiTwo => {
                Accepted::read(accept, None)?;
                Some(openapi::version_two(&registry))
            }
            Route::OpenApiIndex => Some(openapi::index(&registry)),
            Route::OpenApi { group, version } => {
                Accepted::read(accept, None)?;
                openapi::document(&registry, &group, &version)
            }
        };
        let document = document.ok_or_else(Failure::no_such_resource)?;
        Ok(json(StatusCode::OK, document.to_string().into_bytes()))
    }

    fn count(&self, verb: &'static str, resource: &Resource, subresource: &str) {
        self.server.requests.count(Asked {
            verb,
            resource: resource.qualified(),
            subresource: subresource.to_owned(),
            is_dry_run: self.parameter("dryRun") == Some("All"),
            agent: self.agent().to_owned(),
        });
    }

    fn collection(
        &self,
        resource: &Arc<Resource>,
        namespace: Option<String>,
    ) -> Result<Response, Failure> {
        match self.method {
            Method::GET => self.list_or_watch(resource, namespace),
            Method::POST if namespace.is_some() || !resource.is_namespaced => {
                self.count("create", resource, "");
                let options = self.write_options("CreateOptions")?;
                let accepted = self.accepted()?;
                let body = body::decode(&self.bytes, self.media_type(), resource)?;
                let written = self
                    .write(resource, &options)
                    .create(namespace.as_deref().unwrap_or(""), body)?;
                self.written(resource, written, accepted)
            }
            Method::DELETE if resource.verbs.contains(&"deletecollection") => {
                self.count("deletecollection", resource, "");
                let (options, _) = self.delete_options()?;
                let accepted = self.accepted()?;
                let mut selected = ListOptions::read(|name| self.parameter(name), resource)?;
                selected.limit = 0;
                let namespace = namespace.as_deref();
                let page = read::list(&self.server, resource, namespace, &selected)?;
                let objects = self.write(resource, &options).delete_all(page.objects)?;
                self.page(resource, &Page { objects, ..page }, accepted)
            }
            Method::PUT | Method::PATCH if resource.custom.is_some() => {
                Err(Failure::bad_request("name must be provided"))
            }
            _ => Err(method_not_allowed()),
        }
    }

    fn list_or_watch(
        &self,
        resource: &Arc<Resource>,
        namespace: Option<String>,
    ) -> Result<Response, Failure> {
        let is_watch = self.parameter("watch").is_some_and(read::is_true);
        self.count(if is_watch { "watch" } else { "list" }, resource, "");
        let options = ListOptions::read(|name| self.parameter(name), resource)?;
        let accepted = self.accepted()?;
        if options.is_watch {
            let events = watch::events(Watch {
                server: self.server.clone(),
                resource: resource.clone(),
                namespace,
                options,
                form: accepted.form,
            });
            let mut response = Response::new(Body::from_stream(events));
            set_type(&mut response, "application/json");
            return Ok(response);
        }
        let page = read::list(&self.server, resource, namespace.as_deref(), &options)?;
        self.page(resource, &page, accepted)
    }

    fn object(
        &self,
        resource: &Arc<Resource>,
        key: &Key,
        subresource: &str,
    ) -> Result<Response, Failure> {
        let part = match subresource {
            "" => Part::Main,
            "status" if resource.has_status => Part::Status,
            "scale" => Part::Scale,
            _ => return Err(Failure::not_found(&resource.named(), &key.name)),
        };
        match self.method {
            Method::GET => {
                self.count("get", resource, subresource);
                let accepted = self.accepted()?;
                let object = read::get(&self.server, resource, key)?;
                let object = match part {
                    Part::Scale => Arc::new(scale::read(resource, &object)?),
                    _ => accepted.form.object(resource, object)?,
                };
                Ok(self.with_warnings(shown(StatusCode::OK, &object, accepted), resource, &[]))
            }
            Method::PUT => {
                self.count("update", resource, subresource);
                let options = self.write_options("UpdateOptions")?;
                let accepted = self.accepted()?;
                let body = if part == Part::Scale {
                    let object = serde_json::from_slice(&self.bytes)
                        .map_err(|error| Failure::bad_request(error.to_string()))?;
                    body::Body {
                        object,
                        duplicates: Vec::new(),
                    }
                } else {
                    body::decode(&self.bytes, self.media_type(), resource)?
                };
                let written = self.write(resource, &options).update(key, part, body)?;
                self.written_part(resource, part, written, accepted)
            }
            Method::PATCH => {
                self.count("patch", resource, subresource);
                self.patch(resource, key, part)
            }
            Method::DELETE if part == Part::Main => {
                self.count("delete", resource, "");
                let (options, preconditions) = self.delete_options()?;
                let accepted = self.accepted()?;
                let object = self.write(resource, &options).delete(key, &preconditions)?;
                let object = if object["kind"] == "Status" {
                    object
                } else {
                    accepted.form.object(resource, object)?
                };
                Ok(self.with_warnings(shown(StatusCode::OK, &object, accepted), resource, &[]))
            }
            Method::DELETE => Err(Failure::not_allowed(&resource.named(), "delete")),
            _ => Err(method_not_allowed()),
        }
    }

    fn patch(&self, resource: &Resource, key: &Key, part: Part) -> Result<Response, Failure> {
        let kind = PatchKind::read(self.media_type(), resource.custom.is_some())?;
        let force = self.parameter("force");
        let mut causes = Vec::new();
        if kind == PatchKind::Apply && self.parameter("fieldManager").unwrap_or("").is_empty() {
            causes.push(Cause::required(
                "fieldManager",
                "is required for apply patch",
            ));
        }
        if kind != PatchKind::Apply && force.is_some() {
            causes.push(Cause::forbidden(
                "force",
                "may not be specified for non-apply patch",
            ));
        }
        if !causes.is_empty() {
            return Err(Failure::invalid_options("PatchOptions", &causes));
        }
        let options = self.write_options("PatchOptions")?;
        let accepted = self.accepted()?;
        let write = self.write(resource, &options);
        let written = if kind == PatchKind::Apply {
            write.apply(key, part, &self.bytes, force.is_some_and(read::is_true))?
        } else {
            write.patch(key, part, kind, &self.bytes)?
        };
        self.written_part(resource, part, written, accepted)
    }

    fn write<'a>(&'a self, resource: &'a Resource, options: &'a Options) -> Write<'a> {
        Write {
            server: &self.server,
            resource,
            options,
        }
    }

    fn accepted(&self) -> Result<Accepted, Failure> {
        Accepted::read(self.header(ACCEPT), self.parameter("includeObject"))
    }

    fn write_options(&self, name: &str) -> Result<Options, Failure> {
        let mut causes = Vec::new();
        let dry_run = self.parameter("dryRun").unwrap_or("");
        if !matches!(dry_run, "" | "All") {
            causes.push(Cause::unsupported(
                "dryRun",
                &format!("[{}]", quoted(dry_run)),
                "\"All\"",
            ));
        }
        let validation = match self.parameter("fieldValidation").unwrap_or("") {
            "Ignore" => FieldValidation::Ignore,
            "" | "Warn" => FieldValidation::Warn,
            "Strict" => FieldValidation::Strict,
            other => {
                causes.push(Cause::unsupported(
                    "fieldValidation",
                    &quoted(other),
                    "\"\", \"Ignore\", \"Strict\", \"Warn\"",
                ));
                FieldValidation::Warn
            }
        };
        let given = self.parameter("fieldManager").unwrap_or("");
        if given.len() > LONGEST_MANAGER {
            causes.push(Cause {
                reason: "FieldValueTooLong",
                message: format!("Too long: may not be more than {LONGEST_MANAGER} bytes"),
                field: "fieldManager".into(),
            });
        }
        if !causes.is_empty() {
            return Err(Failure::invalid_options(name, &causes));
        }
        let user_agent = self.header(USER_AGENT);
        let manager = match (given, user_agent.split('/').next().unwrap_or("")) {
            ("", "") => "unknown".to_owned(),
            ("", agent) => agent.chars().take(LONGEST_MANAGER).collect(),
            (given, _) => given.to_owned(),
        };
        Ok(Options {
            is_dry_run: dry_run == "All",
            manager,
            validation,
            user_agent: user_agent.to_owned(),
        })
    }

    fn delete_options(&self) -> Result<(Options, Preconditions), Failure> {
        let mut options = self.write_options("DeleteOptions")?;
        if self.bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok((options, Preconditions::default()));
        }
        let given: Value = match self.media_type() {
            "application/yaml" => body::yaml(&self.bytes)?,
            _ => serde_json::from_slice(&self.bytes).map_err(|error| {
                Failure::bad_request(format!(
                    "couldn't get version/kind; json parse error: {error}"
                ))
            })?,
        };
        if given["dryRun"] == json!(["All"]) {
            options.is_dry_run = true;
        }
        Ok((options, Preconditions::read(&given)))
    }

    fn written(
        &self,
        resource: &Resource,
        written: Written,
        accepted: Accepted,
    ) -> Result<Response, Failure> {
        self.written_part(resource, Part::Main, written, accepted)
    }

    fn written_part(
        &self,
        resource: &Resource,
        part: Part,
        written: Written,
        accepted: Accepted,
    ) -> Result<Response, Failure> {
        let status = if written.is_new {
            StatusCode::CREATED
        } else {
            StatusCode::OK
        };
        let object = match part {
            Part::Scale => written.object,
            Part::Main | Part::Status => accepted.form.object(resource, written.object)?,
        };
        Ok(self.with_warnings(
            shown(status, &object, accepted),
            resource,
            &written.warnings,
        ))
    }

    fn page(
        &self,
        resource: &Resource,
        page: &Page,
        accepted: Accepted,
    ) -> Result<Response, Failure> {
        let list = accepted.form.list(resource, page)?;
        let response = if accepted.is_yaml && accepted.form == Form::Whole {
            let list: Value = serde_json::from_slice(&list)
                .map_err(|error| Failure::internal(error.to_string()))?;
            shown(StatusCode::OK, &list, accepted)
        } else {
            json(StatusCode::OK, list)
        };
        Ok(self.with_warnings(response, resource, &[]))
    }

    fn with_warnings(
        &self,
        mut response: Response,
        resource: &Resource,
        warnings: &[String],
    ) -> Response {
        let of_kind = (resource.custom.is_none() && resource.plural == "endpoints")
            .then_some(ENDPOINTS_WARNING);
        for warning in of_kind
            .into_iter()
            .chain(warnings.iter().map(String::as_str))
        {
            if let Ok(value) = HeaderValue::from_str(&format!("299 - {}", quoted(warning))) {
                response.headers_mut().append(http::header::WARNING, value);
            }
        }
        response
    }
}

fn method_not_allowed() -> Failure {
    Failure {
        code: 405,
        reason: "MethodNotAllowed".into(),
        message: "the server does not allow this method on the requested resource".into(),
        details: Some(Box::new(json!({}))),
    }
}

fn root(groups: &std::collections::BTreeMap<&str, Vec<&str>>) -> Value {
    let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()];
    for (group, versions) in groups.iter().filter(|(group, _)| !group.is_empty()) {
        paths.push(format!("/apis/{group}"));
        paths.extend(
            versions
                .iter()
                .map(|version| format!("/apis/{group}/{version}")),
        );
    }
    for path in [
        "/healthz",
        "/livez",
        "/openapi/v2",
        "/openapi/v3",
        "/readyz",
        "/version",
    ] {
        paths.push(path.into());
    }
    json!({"paths": paths})
}

fn shown(status: StatusCode, object: &Value, accepted: Accepted) -> Response {
    if accepted.is_yaml
        && let Ok(text) = serde_yaml::to_string(object)
    {
        return respond(status, "application/yaml", text.into_bytes());
    }
    json(status, object.to_string().into_bytes())
}

pub fn failed(failure: &Failure) -> Response {
    let status = StatusCode::from_u16(failure.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(status, failure.status().to_string().into_bytes());
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let methods = HeaderValue::from_static("DELETE, GET, PATCH, POST, PUT");
        response.headers_mut().insert(ALLOW, methods);
    }
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    respond(
        status,
        "text/plain; charset=utf-8",
        text.as_bytes().to_vec(),
    )
}

fn json(status: StatusCode, bytes: Vec<u8>) -> Response {
    respond(status, "application/json", bytes)
}

fn respond(status: StatusCode, media_type: &'static str, bytes: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    set_type(&mut response, media_type);
    response
}

fn set_type(response: &mut Response, media_type: &'static str) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(
        http::header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, private"),
    );
}
