//! Whole objects as compact text, for the kinds that are compared and shown whole.
//!
//! Parsed only when asked for: a parsed object takes ten times its text. What is kept leaves out kubectl's copy of the
//! manifest, which may hold what the manifest no longer does; `managedFields` is kept beside it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use kube::api::DynamicObject;
use serde_json::{Value, json};

use crate::model::observed::{LiveObject, Manager};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Renewed every few seconds while a lock is held (domain §4.4).
pub const LOCK_TIMEOUT: &str = "stackgres.io/lockTimeout";

/// A whole object as compact text.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    object: Box<str>,
    managers: Box<str>,
    resource_version: Box<str>,
    /// Of what decisions read.
    pub digest: u64,
}

impl Stored {
    pub fn of(object: DynamicObject) -> Self {
        let (value, managers, resource_version) = split(object);
        let mut hasher = DefaultHasher::new();
        decision_view(&value).to_string().hash(&mut hasher);
        for manager in &managers {
            if manager["operation"] == "Apply" {
                manager["manager"].as_str().hash(&mut hasher);
                manager["fieldsV1"].to_string().hash(&mut hasher);
            }
        }
        Self {
            object: value.to_string().into(),
            managers: Value::Array(managers).to_string().into(),
            resource_version: resource_version.into(),
            digest: hasher.finish(),
        }
    }

    pub fn live(&self) -> LiveObject {
        let managers: Vec<Value> =
            serde_json::from_str(&self.managers).expect("written by `Stored::of` from a list");
        LiveObject {
            value: serde_json::from_str(&self.object)
                .expect("written by `Stored::of` from a value"),
            resource_version: self.resource_version.to_string(),
            managers: managers.into_iter().map(manager).collect(),
        }
    }
}

/// An object of an answer as everybody else reads it.
pub fn live_object(object: DynamicObject) -> LiveObject {
    let (value, managers, resource_version) = split(object);
    LiveObject {
        value,
        resource_version,
        managers: managers.into_iter().map(manager).collect(),
    }
}

/// The other way round, for an object of our own write that is to be remembered.
pub fn dynamic_object(live: &LiveObject) -> Option<DynamicObject> {
    let mut value = live.value.clone();
    let managers: Vec<Value> = live
        .managers
        .iter()
        .map(|manager| {
            json!({
                "manager": manager.name,
                "operation": manager.operation,
                "subresource": manager.subresource,
                "time": manager.time,
                "fieldsType": "FieldsV1",
                "fieldsV1": manager.fields,
            })
        })
        .collect();
    value
        .get_mut("metadata")?
        .as_object_mut()?
        .insert("managedFields".into(), Value::Array(managers));
    serde_json::from_value(value).ok()
}

fn split(object: DynamicObject) -> (Value, Vec<Value>, String) {
    let DynamicObject {
        types,
        mut metadata,
        data,
    } = object;
    let managers = metadata
        .managed_fields
        .take()
        .unwrap_or_default()
        .into_iter()
        .map(|entry| serde_json::to_value(entry).unwrap_or(Value::Null))
        .collect();
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(LAST_APPLIED);
    }
    let resource_version = metadata.resource_version.clone().unwrap_or_default();
    let mut value = serde_json::Map::new();
    if let Some(types) = types {
        value.insert("apiVersion".into(), types.api_version.into());
        value.insert("kind".into(), types.kind.into());
    }
    value.insert(
        "metadata".into(),
        serde_json::to_value(metadata).unwrap_or(Value::Null),
    );
    if let Value::Object(data) = data {
        value.extend(data);
    }
    (Value::Object(value), managers, resource_version)
}

fn manager(entry: Value) -> Manager {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
    Manager {
        name: text("manager").unwrap_or_default(),
        operation: text("operation").unwrap_or_default(),
        subresource: text("subresource").filter(|name| !name.is_empty()),
        time: text("time"),
        fields: entry.get("fieldsV1").cloned().unwrap_or(Value::Null),
    }
}

/// What of an object may change a decision. Of `status` only what domain §4 lists as read: not the texts and times of
/// conditions, not extensions, not the count of pods, which come and go without anything to decide.
fn decision_view(value: &Value) -> Value {
    let metadata = value.get("metadata").unwrap_or(&Value::Null);
    let mut annotations = metadata.get("annotations").cloned().unwrap_or(Value::Null);
    if let Some(map) = annotations.as_object_mut() {
        map.remove(LOCK_TIMEOUT);
    }
    let status = value.get("status").unwrap_or(&Value::Null);
    let each = |list: &str, fields: &[&str]| -> Vec<Value> {
        let items = status.get(list).and_then(Value::as_array);
        items
            .into_iter()
            .flatten()
            .map(|item| {
                fields
                    .iter()
                    .map(|field| item.get(field).cloned())
                    .collect()
            })
            .collect()
    };
    json!([
        annotations,
        metadata.get("labels"),
        metadata.get("ownerReferences"),
        metadata.get("deletionTimestamp"),
        metadata.get("uid"),
        value.get("spec"),
        status.get("dbOps"),
        each("conditions", &["type", "status"]),
        each(
            "podStatuses",
            &["name", "replicationGroup", "pendingRestart"]
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::decode::{Body, ClusterBody, Record, Recorded};
    use super::super::kinds::Watched;
    use super::*;

    fn cluster(value: Value) -> Record {
        let object: DynamicObject = serde_json::from_value(value).unwrap();
        object.record(Watched::Clusters).unwrap()
    }

    fn body(record: Record) -> ClusterBody {
        let Body::Cluster(body) = record.body else {
            panic!("a cluster")
        };
        body
    }

    fn sample() -> Value {
        json!({
            "metadata": {
                "namespace": "n", "name": "c", "resourceVersion": "7", "uid": "u",
                "annotations": {LAST_APPLIED: "{\"password\": 1}", LOCK_TIMEOUT: "100", "a": "b"},
                "managedFields": [{"manager": "kubectl", "operation": "Update", "apiVersion": "stackgres.io/v1",
                    "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:instances": {}}}, "time": "2026-01-02T03:04:05Z"}]
            },
            "spec": {"instances": 2},
            "status": {"instances": 1, "conditions": [{"type": "PendingRestart", "status": "False", "message": "x"}]}
        })
    }

    #[test]
    fn an_sgcluster_comes_back_whole_without_managed_fields_and_last_applied() {
        let live = body(cluster(sample())).stored.live();
        assert_eq!(live.resource_version, "7");
        assert_eq!(live.value["apiVersion"], "stackgres.io/v1");
        assert_eq!(live.value["kind"], "SGCluster");
        assert_eq!(live.value["spec"]["instances"], 2);
        assert_eq!(live.value["metadata"].get("managedFields"), None);
        assert_eq!(live.annotation(LAST_APPLIED), None);
        assert_eq!(live.annotation("a"), Some("b"));
        assert_eq!(live.managers[0].name, "kubectl");
        assert_eq!(
            live.managers[0].fields,
            json!({"f:spec": {"f:instances": {}}})
        );
        assert_eq!(
            live.managers[0].time.as_deref(),
            Some("2026-01-02T03:04:05Z")
        );
    }

    #[test]
    fn a_live_object_that_is_remembered_is_the_same_as_the_one_watched() {
        let object: DynamicObject = serde_json::from_value(sample()).unwrap();
        let watched = object.clone().record(Watched::Clusters).unwrap();
        let live = live_object(object);
        let again = dynamic_object(&live)
            .unwrap()
            .record(Watched::Clusters)
            .unwrap();
        assert_eq!(body(again).stored.live(), body(watched).stored.live());
    }

    #[test]
    fn what_no_decision_reads_leaves_the_digest_as_it_is() {
        let before = body(cluster(sample())).stored.digest;
        let digest = |change: &dyn Fn(&mut Value)| {
            let mut value = sample();
            change(&mut value);
            body(cluster(value)).stored.digest
        };
        for quiet in [
            "/status/instances",
            "/status/conditions/0/message",
            "/metadata/resourceVersion",
            "/metadata/annotations/stackgres.io~1lockTimeout",
            "/metadata/managedFields/0/time",
        ] {
            let changed = digest(&|value| {
                *value.pointer_mut(quiet).unwrap() = if quiet.ends_with("time") {
                    "2026-02-02T03:04:05Z".into()
                } else {
                    "9".into()
                };
            });
            assert_eq!(changed, before, "{quiet}");
        }
        for loud in [
            "/spec/instances",
            "/status/conditions/0/status",
            "/metadata/annotations/a",
            "/metadata/uid",
        ] {
            let changed = digest(&|value| *value.pointer_mut(loud).unwrap() = "9".into());
            assert_ne!(changed, before, "{loud}");
        }
    }
}
