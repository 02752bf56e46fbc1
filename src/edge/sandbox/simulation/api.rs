//! The few requests that the simulation makes, as JSON over a `kube::Client`.
//!
//! Every request carries a `User-Agent` of its own, so that the server's counts tell it from Lockstep's.

use kube::Client;
use serde_json::Value;

pub const USER_AGENT: &str = "lockstep-simulation";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {verb} {path}")]
    Send {
        verb: &'static str,
        path: String,
        source: Box<kube::Error>,
    },
    #[error("cannot build the request for {path}")]
    Build { path: String, source: http::Error },
}

impl Error {
    fn code(&self) -> Option<u16> {
        match self {
            Self::Send { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            Self::Build { .. } => None,
        }
    }

    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// An object of that name is there already.
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409)
    }
}

/// Where objects of one kind live in one namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection(String);

impl Collection {
    pub fn core(namespace: &str, plural: &str) -> Self {
        Self(format!("/api/v1/namespaces/{namespace}/{plural}"))
    }

    pub fn apps(namespace: &str, plural: &str) -> Self {
        Self(format!("/apis/apps/v1/namespaces/{namespace}/{plural}"))
    }

    /// One of the kinds of StackGres that a cluster refers to.
    pub fn stackgres(namespace: &str, kind: &str) -> Self {
        let (version, plural) = match kind {
            "SGInstanceProfile" => ("v1", "sginstanceprofiles"),
            "SGPostgresConfig" => ("v1", "sgpgconfigs"),
            "SGPoolingConfig" => ("v1", "sgpoolconfigs"),
            "SGObjectStorage" => ("v1beta1", "sgobjectstorages"),
            _ => ("v1", "sgclusters"),
        };
        Self(format!(
            "/apis/stackgres.io/{version}/namespaces/{namespace}/{plural}"
        ))
    }

    fn object(&self, name: &str) -> String {
        format!("{}/{name}", self.0)
    }
}

#[derive(Clone)]
pub struct Api(Client);

impl Api {
    pub fn new(client: Client) -> Self {
        Self(client)
    }

    pub async fn get(&self, collection: &Collection, name: &str) -> Result<Value, Error> {
        self.send("GET", "get", collection.object(name), None).await
    }

    pub async fn create(&self, collection: &Collection, object: &Value) -> Result<Value, Error> {
        let path = format!("{}?fieldManager=stackgres-operator", collection.0);
        self.send("POST", "create", path, Some(object)).await
    }

    /// A JSON merge patch; `name` may end in `/status`.
    pub async fn merge(
        &self,
        collection: &Collection,
        name: &str,
        manager: &str,
        patch: &Value,
    ) -> Result<Value, Error> {
        let path = format!("{}?fieldManager={manager}", collection.object(name));
        self.send("PATCH", "patch", path, Some(patch)).await
    }

    /// Gone already is as good.
    pub async fn delete(&self, collection: &Collection, name: &str) -> Result<(), Error> {
        match self
            .send("DELETE", "delete", collection.object(name), None)
            .await
        {
            Err(error) if !error.is_not_found() => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn send(
        &self,
        method: &'static str,
        verb: &'static str,
        path: String,
        body: Option<&Value>,
    ) -> Result<Value, Error> {
        let content = if method == "PATCH" {
            "application/merge-patch+json"
        } else {
            "application/json"
        };
        let body = body.map(|body| body.to_string().into_bytes());
        let request = http::Request::builder()
            .method(method)
            .uri(&path)
            .header(http::header::CONTENT_TYPE, content)
            .header(http::header::ACCEPT, "application/json")
            .header(http::header::USER_AGENT, USER_AGENT)
            .body(body.unwrap_or_default())
            .map_err(|source| Error::Build {
                path: path.clone(),
                source,
            })?;
        self.0.request(request).await.map_err(|source| Error::Send {
            verb,
            path,
            source: Box::new(source),
        })
    }
}
