//! The operator's admission webhooks: what they complete and what they refuse, for SGCluster and what it refers to.
//!
//! They can be made to fail as webhooks whose operator is down: for all namespaces by `Webhooks::fail`, for one by the
//! annotation `sandbox.lockstep.dev/webhooks: down` on its Namespace. They never store anything.

mod checks;
mod defaults;
mod supporting;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use super::super::admission::{Admission, AdmissionRequest, Operation, Refusal};

const DOWN: &str = "sandbox.lockstep.dev/webhooks";

#[derive(Debug, Default)]
pub struct Webhooks {
    is_down: AtomicBool,
    /// Namespaces whose annotation says so.
    down: Mutex<BTreeSet<String>>,
}

impl Webhooks {
    /// As if the operator did not answer, for every namespace.
    pub fn fail(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    fn watch_namespace(&self, request: &AdmissionRequest<'_>) {
        if request.dry_run {
            return;
        }
        let says_down = request.operation != Operation::Delete
            && text(request.object, &["metadata", "annotations", DOWN]) == Some("down");
        let mut down = self.down.lock().unwrap_or_else(PoisonError::into_inner);
        if says_down {
            down.insert(request.key.name.clone());
        } else {
            down.remove(&request.key.name);
        }
    }

    fn is_down_for(&self, namespace: &str) -> bool {
        self.is_down.load(Ordering::SeqCst)
            || self
                .down
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .contains(namespace)
    }
}

impl Admission for Webhooks {
    fn admit(&self, request: &AdmissionRequest<'_>) -> Result<Value, Refusal> {
        let kind = request.kind.kind.as_str();
        if request.kind.group.is_empty() && kind == "Namespace" {
            self.watch_namespace(request);
        }
        let has_webhook = request.kind.group == "stackgres.io"
            && matches!(
                kind,
                "SGCluster"
                    | "SGInstanceProfile"
                    | "SGPostgresConfig"
                    | "SGPoolingConfig"
                    | "SGObjectStorage"
                    | "SGDbOps"
                    | "SGBackup"
            );
        if !has_webhook {
            return Ok(request.object.clone());
        }
        if self.is_down_for(&request.key.namespace) {
            return Err(unreachable(kind));
        }
        let is_create = request.operation == Operation::Create;
        let mut object = request.object.clone();
        if request.operation == Operation::Delete {
            return Ok(object);
        }
        let refused = if kind == "SGCluster" {
            defaults::complete(&mut object, request.old, is_create);
            checks::refused(request.old, &object, jiff::Timestamp::now().as_second())
        } else {
            supporting::complete(kind, &mut object, is_create);
            supporting::refused(kind, request.old, &object)
        };
        match refused {
            None => Ok(object),
            Some(refused) => Err(Refusal {
                code: refused.code,
                reason: String::new(),
                message: format!(
                    "admission webhook \"{}.validating-webhook.stackgres-operator\" denied the request: {}",
                    kind.to_lowercase(),
                    refused.message
                ),
            }),
        }
    }
}

/// What a webhook refuses: model constraints are 422, everything else is 400.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refused {
    code: u16,
    message: String,
}

impl Refused {
    fn bad(message: impl Into<String>) -> Self {
        Self {
            code: 400,
            message: message.into(),
        }
    }
}

fn unreachable(kind: &str) -> Refusal {
    let kind = kind.to_lowercase();
    Refusal {
        code: 500,
        reason: "InternalError".into(),
        message: format!(
            "Internal error occurred: failed calling webhook \"{kind}.mutating-webhook.stackgres-operator\": failed to \
             call webhook: Post \"https://stackgres-operator.stackgres.svc:443/stackgres/mutation/{kind}?timeout=10s\": \
             dial tcp 10.96.13.7:443: connect: connection refused"
        ),
    }
}

/// The value at a path of keys; null counts as absent.
fn at<'v>(value: &'v Value, path: &[&str]) -> Option<&'v Value> {
    path.iter()
        .try_fold(value, |value, key| value.get(key))
        .filter(|value| !value.is_null())
}

fn text<'v>(value: &'v Value, path: &[&str]) -> Option<&'v str> {
    at(value, path)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::key::{Key, Kind};
    use serde_json::json;

    fn admit(webhooks: &Webhooks, kind: &str, object: &Value) -> Result<Value, Refusal> {
        let group = if kind == "Namespace" {
            "v1"
        } else {
            "stackgres.io/v1"
        };
        let key = match kind {
            "Namespace" => Key::new("", "ns"),
            _ => Key::new("ns", "db"),
        };
        webhooks.admit(&AdmissionRequest {
            operation: Operation::Create,
            kind: &Kind::from_api_version(group, kind),
            key: &key,
            old: None,
            object,
            dry_run: false,
            user_agent: "",
        })
    }

    fn minimal() -> Value {
        json!({
            "apiVersion": "stackgres.io/v1", "kind": "SGCluster",
            "metadata": {"name": "db", "namespace": "ns"},
            "spec": {
                "instances": 1,
                "postgres": {"version": "16.1"},
                "pods": {"persistentVolume": {"size": "1Gi"}},
            },
        })
    }

    #[test]
    fn a_minimal_cluster_is_completed_and_accepted() {
        let stored = admit(&Webhooks::default(), "SGCluster", &minimal()).unwrap();
        assert_eq!(stored["spec"]["sgInstanceProfile"], "db-default");
    }

    #[test]
    fn a_refusal_names_the_webhook() {
        let mut object = minimal();
        object["spec"]["replication"] = json!({"mode": "fast"});
        let refusal = admit(&Webhooks::default(), "SGCluster", &object).unwrap_err();
        assert_eq!(refusal.code, 422);
        insta::assert_snapshot!(refusal.message, @r#"admission webhook "sgcluster.validating-webhook.stackgres-operator" denied the request: SGCluster has invalid properties. mode must be async, sync, sync-all, strict-sync or strict-sync-all"#);
    }

    #[test]
    fn a_webhook_that_is_down_fails_every_write_of_its_kinds() {
        let webhooks = Webhooks::default();
        webhooks.fail(true);
        let refusal = admit(&webhooks, "SGCluster", &minimal()).unwrap_err();
        assert_eq!(
            (refusal.code, refusal.reason.as_str()),
            (500, "InternalError")
        );
        assert!(refusal.message.contains("failed calling webhook"));
        assert!(admit(&webhooks, "ConfigMap", &json!({})).is_ok());
        webhooks.fail(false);
        assert!(admit(&webhooks, "SGCluster", &minimal()).is_ok());
    }

    #[test]
    fn a_namespace_can_ask_for_webhooks_that_are_down() {
        let webhooks = Webhooks::default();
        let namespace =
            |word: &str| json!({"metadata": {"name": "ns", "annotations": {DOWN: word}}});
        admit(&webhooks, "Namespace", &namespace("down")).unwrap();
        assert!(admit(&webhooks, "SGCluster", &minimal()).is_err());
        admit(&webhooks, "Namespace", &namespace("up")).unwrap();
        assert!(admit(&webhooks, "SGCluster", &minimal()).is_ok());
    }
}
