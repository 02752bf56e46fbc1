//! Cases, steps and how they are carried out.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use lockstep::edge::sandbox;
use serde_json::{Value, json};

pub const JSON: &str = "application/json";
pub const MERGE: &str = "application/merge-patch+json";
pub const JSON_PATCH: &str = "application/json-patch+json";
pub const STRATEGIC: &str = "application/strategic-merge-patch+json";
pub const APPLY: &str = "application/apply-patch+yaml";

pub const GROUP: &str = "conformance.lockstep.dev";

/// A sentence, and what has to be seen for it.
pub struct Case {
    name: &'static str,
    steps: Vec<Step>,
}

pub fn case(name: &'static str, steps: impl IntoIterator<Item = Step>) -> Case {
    Case {
        name,
        steps: steps.into_iter().collect(),
    }
}

/// One request, and what has to be in its answer. In paths and bodies `{ns}` is the case's namespace, `{widgets}` and
/// `{gadgets}` the collections in it, and other names what an earlier step kept.
pub struct Step {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: String,
    code: u16,
    /// Each key is in the answer, with this value; `null` stands for its absence.
    has: Vec<Value>,
    message: Option<String>,
    warnings: Option<Vec<String>>,
    keep: Vec<(&'static str, &'static str)>,
    meanwhile: Vec<Step>,
}

fn step(method: &'static str, path: &str) -> Step {
    Step {
        method,
        path: path.to_owned(),
        headers: Vec::new(),
        body: String::new(),
        code: 200,
        has: Vec::new(),
        message: None,
        warnings: None,
        keep: Vec::new(),
        meanwhile: Vec::new(),
    }
}

pub fn get(path: &str) -> Step {
    step("GET", path)
}

pub fn delete(path: &str) -> Step {
    step("DELETE", path)
}

pub fn post(path: &str, body: Value) -> Step {
    step("POST", path).sending(JSON, body).code(201)
}

pub fn put(path: &str, body: Value) -> Step {
    step("PUT", path).sending(JSON, body)
}

pub fn patch(path: &str, media_type: &'static str, body: Value) -> Step {
    step("PATCH", path).sending(media_type, body)
}

/// Server-side apply by a manager.
pub fn apply(path: &str, manager: &str, body: Value) -> Step {
    let separator = if path.contains('?') { '&' } else { '?' };
    step("PATCH", &format!("{path}{separator}fieldManager={manager}")).sending(APPLY, body)
}

/// A watch that is read until the server ends it. The answer is the list of its events.
pub fn watch(path: &str, query: &str) -> Step {
    step("GET", &format!("{path}?watch=true&{query}"))
}

impl Step {
    pub fn sending(mut self, media_type: &'static str, body: Value) -> Self {
        self.headers.push(("content-type", media_type.to_owned()));
        self.body = body.to_string();
        self
    }

    /// A body that is no JSON value, or not only one.
    pub fn text(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    pub fn code(mut self, code: u16) -> Self {
        self.code = code;
        self
    }

    pub fn has(mut self, expected: Value) -> Self {
        self.has.push(expected);
        self
    }

    /// Refused with a code, a reason (empty for none) and a message.
    pub fn refused(self, code: u16, reason: &str, message: &str) -> Self {
        let reason = if reason.is_empty() {
            Value::Null
        } else {
            reason.into()
        };
        let mut step = self
            .code(code)
            .has(json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason}));
        step.message = Some(message.to_owned());
        step
    }

    pub fn warned(mut self, warnings: &[&str]) -> Self {
        self.warnings = Some(warnings.iter().map(|&text| text.to_owned()).collect());
        self
    }

    /// Keeps a text of the answer for later steps.
    pub fn keep(mut self, name: &'static str, pointer: &'static str) -> Self {
        self.keep.push((name, pointer));
        self
    }

    /// Done while the watch is open.
    pub fn meanwhile(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.meanwhile.extend(steps);
        self
    }
}

/// The server that is asked.
pub struct Server {
    pub client: Client,
    /// Kept so that it goes on.
    _sandbox: Option<sandbox::Sandbox>,
}

static NAMESPACES: AtomicU32 = AtomicU32::new(0);

impl Server {
    /// The server named by the environment, or a new sandbox; with the kinds that the cases are about.
    pub async fn start() -> Self {
        let (config, sandbox) = match std::env::var_os("LOCKSTEP_TEST_KUBECONFIG") {
            Some(path) => {
                let kubeconfig = kube::config::Kubeconfig::read_from(path).unwrap();
                let options = kube::config::KubeConfigOptions::default();
                let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
                    .await
                    .unwrap();
                (config, None)
            }
            None => {
                let sandbox = sandbox::start(sandbox::Settings::default()).await.unwrap();
                let address = format!("http://{}", sandbox.address).parse().unwrap();
                (kube::Config::new(address), Some(sandbox))
            }
        };
        let server = Self {
            client: Client::try_from(config).unwrap(),
            _sandbox: sandbox,
        };
        server.install().await;
        server
    }

    async fn install(&self) {
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        for definition in definitions() {
            let step = post(path, definition);
            let (code, answer, _) = self.send(&step, &BTreeMap::new()).await;
            assert!(code == 201 || code == 409, "{answer}");
        }
        for plural in ["widgets", "gadgets"] {
            let path = format!("/apis/{GROUP}/v1/{plural}");
            for _ in 0..100 {
                if self.send(&get(&path), &BTreeMap::new()).await.0 == 200 {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }

    /// A new namespace.
    pub async fn namespace(&self) -> String {
        let number = NAMESPACES.fetch_add(1, Ordering::Relaxed);
        let name = format!("conformance-{}-{number}", std::process::id());
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let (code, answer, _) = self
            .send(&post("/api/v1/namespaces", body), &BTreeMap::new())
            .await;
        assert_eq!(code, 201, "{answer}");
        name
    }

    async fn send(&self, step: &Step, names: &BTreeMap<&str, String>) -> (u16, Value, HeaderMap) {
        let mut request = Request::builder()
            .method(step.method)
            .uri(filled(&step.path, names))
            .header("user-agent", "conformance/1");
        for (name, value) in &step.headers {
            request = request.header(*name, value);
        }
        let body = filled(&step.body, names).into_bytes();
        let request = request.body(Body::from(body)).unwrap();
        let response = self.client.send(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let is_watch = step.path.contains("watch=true") && parts.status == 200;
        let answer = if is_watch {
            bytes
                .split(|byte| *byte == b'\n')
                .filter(|line| !line.is_empty())
                .map(|line| serde_json::from_slice::<Value>(line).unwrap())
                .collect()
        } else {
            serde_json::from_slice(&bytes)
                .unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into())
        };
        (parts.status.as_u16(), answer, parts.headers)
    }
}

/// Carries out all cases, and fails with everything that was not as expected.
pub async fn hold(cases: Vec<Case>) {
    let server = Server::start().await;
    let mut wrong = Vec::new();
    for case in cases {
        let namespace = server.namespace().await;
        let root = format!("/apis/{GROUP}/v1/namespaces/{namespace}");
        let mut names = BTreeMap::from([
            ("widgets", format!("{root}/widgets")),
            ("gadgets", format!("{root}/gadgets")),
            ("core", format!("/api/v1/namespaces/{namespace}")),
            ("ns", namespace),
        ]);
        for (number, step) in case.steps.iter().enumerate() {
            let found = carry_out(&server, step, &mut names).await;
            wrong.extend(found.into_iter().map(|problem| {
                let (method, path) = (step.method, filled(&step.path, &names));
                format!(
                    "{}, step {}: {method} {path}\n  {problem}",
                    case.name,
                    number + 1
                )
            }));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

async fn carry_out(
    server: &Server,
    step: &Step,
    names: &mut BTreeMap<&'static str, String>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let known = names.clone();
    let (code, answer, headers) = if step.meanwhile.is_empty() {
        server.send(step, &known).await
    } else {
        let doing = async {
            // The watch has to be open first.
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            for step in &step.meanwhile {
                let found = Box::pin(carry_out(server, step, names)).await;
                wrong.extend(found);
            }
        };
        tokio::join!(server.send(step, &known), doing).0
    };
    if code != step.code {
        wrong.push(format!("code {code}, expected {}: {answer}", step.code));
        return wrong;
    }
    for expected in &step.has {
        let expected: Value = serde_json::from_str(&filled(&expected.to_string(), names)).unwrap();
        compare(&expected, &answer, "", &mut wrong);
    }
    if let Some(expected) = &step.message {
        let expected = filled(expected, names);
        if answer["message"].as_str() != Some(&expected) {
            let message = &answer["message"];
            wrong.push(format!("message {message}\n  expected \"{expected}\""));
        }
    }
    if let Some(expected) = &step.warnings {
        let expected: Vec<String> = expected
            .iter()
            .map(|text| format!("299 - {}", Value::from(text.as_str())))
            .collect();
        let found: Vec<&str> = headers
            .get_all("warning")
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        if found != expected {
            wrong.push(format!("warnings {found:?}, expected {expected:?}"));
        }
    }
    for (name, pointer) in &step.keep {
        match answer.pointer(pointer) {
            Some(Value::String(text)) => {
                names.insert(name, text.clone());
            }
            other => wrong.push(format!("{pointer} is {other:?}, no text to keep")),
        }
    }
    wrong
}

/// `"*"` stands for any value that is there.
fn compare(expected: &Value, found: &Value, path: &str, wrong: &mut Vec<String>) {
    match (expected, found) {
        (Value::String(any), found) if any == "*" && !found.is_null() => {}
        (Value::Object(fields), Value::Object(answer)) => {
            for (key, expected) in fields {
                let value = answer.get(key).unwrap_or(&Value::Null);
                compare(expected, value, &format!("{path}/{key}"), wrong);
            }
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
                compare(expected, found, &format!("{path}/{index}"), wrong);
            }
        }
        (expected, found) if expected == found => {}
        _ => wrong.push(format!("{path} is {found}\n  expected {expected}")),
    }
}

fn filled(text: &str, names: &BTreeMap<&str, String>) -> String {
    names.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("{{{name}}}"), value)
    })
}

/// A widget with a spec.
pub fn widget(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/v1"),
        "kind": "Widget",
        "metadata": {"name": name},
        "spec": spec,
    })
}

/// Widgets have `scale` and no `status`, gadgets the reverse.
pub fn definitions() -> [Value; 2] {
    let widget = json!({
        "type": "object",
        "required": ["spec"],
        "properties": {
            "spec": {
                "type": "object",
                "required": ["instances"],
                "properties": {
                    "instances": {"type": "integer", "minimum": 0, "maximum": 16},
                    "mode": {"type": "string", "enum": ["async", "sync"], "default": "async"},
                    "note": {"type": "string", "nullable": true},
                    "names": {"type": "array", "items": {"type": "string"}},
                    "ports": {
                        "type": "array",
                        "x-kubernetes-list-type": "map",
                        "x-kubernetes-list-map-keys": ["name"],
                        "items": {
                            "type": "object",
                            "required": ["name"],
                            "properties": {"name": {"type": "string"}, "port": {"type": "integer"}},
                        },
                    },
                    "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                },
            },
            "status": {
                "type": "object",
                "properties": {
                    "instances": {"type": "integer"},
                    "labelSelector": {"type": "string"},
                    "conditions": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {"type": {"type": "string"}, "status": {"type": "string"}},
                        },
                    },
                },
            },
        },
    });
    let gadget = json!({
        "type": "object",
        "properties": {
            "spec": {"type": "object", "properties": {"size": {"type": "integer"}}},
            "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
        },
    });
    let columns = json!([
        {"name": "Mode", "type": "string", "jsonPath": ".spec.mode"},
        {"name": "Instances", "type": "integer", "jsonPath": ".spec.instances"},
        {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"},
        {"name": "Hidden", "type": "string", "jsonPath": ".spec.note", "priority": 1},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]);
    let scale = json!({"scale": {
        "specReplicasPath": ".spec.instances",
        "statusReplicasPath": ".status.instances",
        "labelSelectorPath": ".status.labelSelector",
    }});
    [
        definition("Widget", &json!(["wid"]), &widget, &scale, &columns),
        definition(
            "Gadget",
            &json!([]),
            &gadget,
            &json!({"status": {}}),
            &json!([]),
        ),
    ]
}

fn definition(
    kind: &str,
    short: &Value,
    schema: &Value,
    subresources: &Value,
    columns: &Value,
) -> Value {
    let singular = kind.to_lowercase();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{singular}s.{GROUP}")},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "plural": format!("{singular}s"),
                "singular": singular,
                "shortNames": short,
            },
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "subresources": subresources,
                "additionalPrinterColumns": columns,
                "schema": {"openAPIV3Schema": schema},
            }],
        },
    })
}
