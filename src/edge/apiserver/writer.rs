//! The writing half: sends one decided step, or one supporting object, by server-side apply.
//!
//! Every update carries the resourceVersion its gates were judged on, and the uid: an apply with a resourceVersion alone
//! would make a deleted object anew. A creation never touches an object that is there. There is no retry here, and no
//! delete: the next pass is the retry.

use std::time::Duration;

use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::Status;
use serde_json::Value;
use tokio::time::timeout;

use super::adopt::take_over;
use super::failure::{Failure, lacks_permission, redact};
use super::kinds::Watched;
use super::stored::live_object;
use crate::decide::compare::FIELD_MANAGER;
use crate::decide::references;
use crate::model::desired::Supporting;
use crate::model::key::{Key, Kind};
use crate::model::observed::LiveObject;
use crate::model::plan::OpenStep;

/// The server gives admission webhooks at most 30 s.
const ANSWER: Duration = Duration::from_secs(40);

/// Why a write was not carried out. Only `Refused` asks for a person; after the others the next pass tries again, or waits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Somebody else wrote in between, or owns a field of an object to be made.
    #[error("cannot apply {object}: it has changed meanwhile ({text})")]
    Conflict { object: String, text: String },
    /// The API server or admission does not take the object as it is.
    #[error("cannot apply {object}: refused: {text}")]
    Refused { object: String, text: String },
    /// An operation or a backup holds the cluster's lock.
    #[error("cannot apply {object}: it is locked by a running operation or backup")]
    LockHeld { object: String },
    #[error("cannot apply {object}: an admission webhook does not answer: {text}")]
    WebhookDown { object: String, text: String },
    #[error("cannot apply {object}: permission to {verb} {resource} is missing")]
    Forbidden {
        object: String,
        verb: String,
        resource: String,
    },
    #[error("cannot apply {object}: namespace {namespace} does not exist")]
    NamespaceMissing { object: String, namespace: String },
    #[error("cannot apply {object}: {resource} is not installed on the API server")]
    NotInstalled { object: String, resource: String },
    /// The server is overloaded or ill.
    #[error("cannot apply {object}: the API server answered {code}: {text}")]
    Busy {
        object: String,
        code: u16,
        text: String,
    },
    /// Not sent, or the answer was lost: it may have been carried out.
    #[error("cannot apply {object}: {why}")]
    Unreachable { object: String, why: Failure },
    /// Not sent, as it is not something that Lockstep writes.
    #[error("cannot apply {object}: {text}")]
    NotSent { object: String, text: String },
}

/// The only thing that changes a cluster. Given to `run::reconcile` and nobody else.
#[derive(Clone)]
pub struct Writer {
    client: Client,
}

impl Writer {
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Writes a step whose gates are open. The answer is the object as it is now.
    pub async fn apply(&self, step: OpenStep<'_>) -> Result<LiveObject, WriteError> {
        let object = (*step.step().object).clone();
        self.write(step.key(), object, step.live()).await
    }

    /// Writes an object that clusters refer to, as Git has it; `base` is the live object it was compared with.
    pub async fn apply_supporting(
        &self,
        object: &Supporting,
        base: Option<&LiveObject>,
    ) -> Result<LiveObject, WriteError> {
        let value = references::object(object, base);
        self.write(&object.key, value, base).await
    }

    async fn write(
        &self,
        key: &Key,
        mut object: Value,
        live: Option<&LiveObject>,
    ) -> Result<LiveObject, WriteError> {
        let target = self.target(key, &object)?;
        match live {
            None if object.pointer("/metadata/resourceVersion").is_some() => {
                return Err(WriteError::NotSent {
                    object: target.name,
                    text: "an update without the object that it was judged on".into(),
                });
            }
            None => target.must_not_exist().await?,
            Some(live) => {
                let mut resource_version = live.resource_version.clone();
                let patch = take_over(&live.managers, &resource_version, &object);
                if let Some(patch) = patch {
                    resource_version = target.adopt(patch).await?;
                }
                object["metadata"]["resourceVersion"] = resource_version.into();
                if let Some(uid) = live.value.pointer("/metadata/uid") {
                    object["metadata"]["uid"] = uid.clone();
                }
            }
        }
        let params = PatchParams::apply(FIELD_MANAGER);
        let params = if live.is_some() {
            params.force()
        } else {
            params
        };
        let written = target.patch(&params, &Patch::Apply(object)).await?;
        tracing::debug!(object = target.name, "applied");
        Ok(live_object(written))
    }

    fn target(&self, key: &Key, object: &Value) -> Result<Target, WriteError> {
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or("")
        };
        let kind = Kind::from_api_version(text("/apiVersion"), text("/kind"));
        let name = format!("{} {key}", kind.kind);
        let not_sent = |text: String| WriteError::NotSent {
            object: name.clone(),
            text,
        };
        let watched = Watched::of(&kind)
            .filter(|watched| watched.is_written())
            .ok_or_else(|| not_sent(format!("{kind} is not a kind that is written")))?;
        if (text("/metadata/namespace"), text("/metadata/name")) != (&key.namespace, &key.name) {
            return Err(not_sent("the object names another one".into()));
        }
        let resource = watched.api_resource();
        Ok(Target {
            api: Api::namespaced_with(self.client.clone(), &key.namespace, &resource),
            watched,
            key: key.clone(),
            name,
        })
    }
}

/// The object that a write goes to.
struct Target {
    api: Api<DynamicObject>,
    watched: Watched,
    key: Key,
    name: String,
}

impl Target {
    /// Server-side apply has no condition for this, and the watch may be behind.
    async fn must_not_exist(&self) -> Result<(), WriteError> {
        match self
            .answered("get", self.api.get_opt(&self.key.name))
            .await?
        {
            None => Ok(()),
            Some(_) => Err(WriteError::Conflict {
                object: self.name.clone(),
                text: "it exists by now".into(),
            }),
        }
    }

    /// Moves ownership; the answer is the version to go on with.
    async fn adopt(&self, patch: Value) -> Result<String, WriteError> {
        let patch: json_patch::Patch =
            serde_json::from_value(patch).expect("`take_over` makes a JSON patch");
        let params = PatchParams {
            field_manager: Some(FIELD_MANAGER.into()),
            ..PatchParams::default()
        };
        let adopted = self
            .patch(&params, &Patch::Json::<()>(patch))
            .await
            .map_err(|error| match error {
                // Its places are those of the version that was read; so a kube-apiserver says that one is not there.
                WriteError::Refused { object, text } if text.contains("rejected our request") => {
                    WriteError::Conflict { object, text }
                }
                other => other,
            })?;
        tracing::debug!(object = self.name, "took over ownership");
        Ok(adopted.metadata.resource_version.unwrap_or_default())
    }

    async fn patch<P: serde::Serialize + std::fmt::Debug>(
        &self,
        params: &PatchParams,
        patch: &Patch<P>,
    ) -> Result<DynamicObject, WriteError> {
        self.answered("patch", self.api.patch(&self.key.name, params, patch))
            .await
    }

    async fn answered<T>(
        &self,
        verb: &str,
        request: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, WriteError> {
        match timeout(ANSWER, request).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.error(verb, &error)),
            Err(_) => Err(WriteError::Unreachable {
                object: self.name.clone(),
                why: Failure::TimedOut {
                    seconds: ANSWER.as_secs(),
                },
            }),
        }
    }

    fn error(&self, verb: &str, error: &kube::Error) -> WriteError {
        match error {
            kube::Error::Api(status) => classify(self, verb, status),
            other => WriteError::Unreachable {
                object: self.name.clone(),
                why: Failure::of(other, verb, self.watched),
            },
        }
    }
}

/// What a refusal of the server means. Codes alone do not tell: a field unknown to the schema is a 500, RBAC and admission
/// both answer 403, and a missing namespace and a missing kind are both 404.
fn classify(target: &Target, verb: &str, status: &Status) -> WriteError {
    let object = target.name.clone();
    let message = status.message.as_str();
    let text = redact(message);
    let is_of_schema = message.starts_with("failed to create typed patch object");
    match status.code {
        401 => WriteError::Unreachable {
            object,
            why: Failure::Unauthorized,
        },
        403 if lacks_permission(message) => WriteError::Forbidden {
            object,
            verb: verb.to_owned(),
            resource: target.watched.resource(),
        },
        404 if message.starts_with("namespaces ") => WriteError::NamespaceMissing {
            object,
            namespace: target.key.namespace.clone(),
        },
        404 => WriteError::NotInstalled {
            object,
            resource: target.watched.resource(),
        },
        409 => WriteError::Conflict { object, text },
        // Deleted and made anew since it was read.
        422 if message.contains("metadata.uid") && message.contains("field is immutable") => {
            WriteError::Conflict { object, text }
        }
        // Domain §4.4, verbatim.
        _ if message.contains("It is locked by some SGBackup or SGDbOps") => {
            WriteError::LockHeld { object }
        }
        _ if message.contains("failed calling webhook") => WriteError::WebhookDown { object, text },
        500 if is_of_schema => WriteError::Refused { object, text },
        code @ (408 | 429 | 500..) => WriteError::Busy { object, code, text },
        _ => WriteError::Refused { object, text },
    }
}
