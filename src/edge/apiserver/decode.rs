//! What arrives over the wire, reduced to what decisions read.
//!
//! Slim serde structs skip the rest of a Pod or a backup while it is parsed, so that ten thousand clusters with forty
//! thousand Pods fit in one process. Decoding never fails for what one object holds: a single odd object must not stop the
//! list it came in.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Endpoints;
use kube::api::{DynamicObject, ObjectMeta, PartialObjectMeta};
use kube::core::NamespaceResourceScope;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::kinds::Watched;
use super::stored::{LOCK_TIMEOUT, Stored};
use crate::model::key::Key;
use crate::model::observed::{Member, Operation, StatefulSet};
use crate::model::patroni::{Annotations, MemberStatus};

const CLUSTER_NAME: &str = "stackgres.io/cluster-name";

/// One object as the index keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    pub key: Key,
    pub resource_version: String,
    /// The cluster that the object belongs to, where its labels or its spec say so.
    pub cluster: Option<Key>,
    pub body: Body,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    Cluster(ClusterBody),
    Member(Box<Member>),
    StatefulSet(StatefulSet),
    Endpoints(Annotations),
    Operation(Operation),
    Supporting(Stored),
}

/// An SGCluster, and what others need of it without parsing it again.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterBody {
    pub stored: Stored,
    /// The name that Patroni's Endpoints share.
    pub base: String,
    /// Patroni keeps its state elsewhere: the key of `initialConfig` that says so.
    pub external_dcs: Option<String>,
    /// Changes when the lock is renewed, and with nothing else.
    pub renewal: Option<String>,
}

/// One item of a list or a watch, as its slim type says it, to be recorded; `None` where nothing of it is kept.
pub trait Recorded {
    fn record(self, watched: Watched) -> Option<Record>;
}

impl Recorded for DynamicObject {
    /// SGClusters and what they refer to.
    fn record(mut self, watched: Watched) -> Option<Record> {
        let key = key_of(&self.metadata)?;
        let resource_version = self.metadata.resource_version.clone()?;
        // The items of a list carry no kind of their own; what is stored is complete.
        let kind = watched.kind();
        self.types = Some(kube::api::TypeMeta {
            api_version: kind.api_version(),
            kind: kind.kind,
        });
        let (cluster, body) = if watched == Watched::Clusters {
            let config = self
                .data
                .pointer("/spec/configurations/patroni/initialConfig");
            let (base, external_dcs) = base_of(&key.name, config);
            let renewal = self
                .metadata
                .annotations
                .as_ref()
                .and_then(|annotations| annotations.get(LOCK_TIMEOUT))
                .cloned();
            let body = ClusterBody {
                stored: Stored::of(self),
                base,
                external_dcs,
                renewal,
            };
            (Some(key.clone()), Body::Cluster(body))
        } else {
            (None, Body::Supporting(Stored::of(self)))
        };
        Some(Record {
            key,
            resource_version,
            cluster,
            body,
        })
    }
}

/// Patroni's scope and Citus group, both fixed when the cluster is made (domain §3.1).
fn base_of(name: &str, config: Option<&Value>) -> (String, Option<String>) {
    let Some(config) = config else {
        return (name.to_owned(), None);
    };
    let scope = config
        .get("scope")
        .and_then(Value::as_str)
        .filter(|scope| !scope.is_empty())
        .unwrap_or(name);
    let group = config.get("citus").and_then(|citus| citus.get("group"));
    let base = match group.and_then(Value::as_i64) {
        Some(group) => format!("{scope}-{group}"),
        None => scope.to_owned(),
    };
    let external = ["consul", "etcd", "etcd3", "zookeeper", "exhibitor", "raft"]
        .into_iter()
        .find(|store| config.get(store).is_some_and(|value| !value.is_null()))
        .map(str::to_owned);
    (base, external)
}

fn key_of(metadata: &ObjectMeta) -> Option<Key> {
    Some(Key::new(
        metadata.namespace.clone()?,
        metadata.name.clone()?,
    ))
}

fn label<'m>(metadata: &'m ObjectMeta, name: &str) -> Option<&'m str> {
    metadata.labels.as_ref()?.get(name).map(String::as_str)
}

/// The type of a watch whose kind is known at compile time.
macro_rules! slim {
    ($(#[$doc:meta])* $name:ident = $watched:expr, $group:literal, $version:literal, $kind:literal, $plural:literal { $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Deserialize)]
        pub struct $name {
            #[serde(default)]
            metadata: ObjectMeta,
            $($(#[$attribute])* #[serde(default, deserialize_with = "lenient")] $field: $type),*
        }

        impl kube::Resource for $name {
            type DynamicType = ();
            type Scope = NamespaceResourceScope;
            fn kind((): &()) -> Cow<'_, str> { $kind.into() }
            fn group((): &()) -> Cow<'_, str> { $group.into() }
            fn version((): &()) -> Cow<'_, str> { $version.into() }
            fn plural((): &()) -> Cow<'_, str> { $plural.into() }
            fn meta(&self) -> &ObjectMeta { &self.metadata }
            fn meta_mut(&mut self) -> &mut ObjectMeta { &mut self.metadata }
        }
    };
}

/// What is not of the expected form reads as if it were not there.
fn lenient<'de, D: Deserializer<'de>, T: Default + serde::de::DeserializeOwned>(
    deserializer: D,
) -> Result<T, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

slim! {
    /// A Pod: labels, annotations and two conditions.
    SlimPod = Watched::Pods, "", "v1", "Pod", "pods" { status: PodStatus }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PodStatus {
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    message: Option<String>,
}

impl Recorded for SlimPod {
    fn record(self, _: Watched) -> Option<Record> {
        let key = key_of(&self.metadata)?;
        let cluster = label(&self.metadata, CLUSTER_NAME)?.to_owned();
        let annotation = |name: &str| {
            let annotations = self.metadata.annotations.as_ref()?;
            annotations.get(name).cloned()
        };
        let condition = |kind: &str| {
            let conditions = self.status.conditions.iter();
            conditions
                .into_iter()
                .find(|condition| condition.kind == kind)
        };
        let member = Member {
            index: key
                .name
                .rsplit_once('-')
                .and_then(|(_, index)| index.parse().ok()),
            name: key.name.clone(),
            ready: condition("Ready").is_some_and(|condition| condition.status == "True"),
            terminating: self.metadata.deletion_timestamp.is_some(),
            unschedulable: condition("PodScheduled")
                .filter(|condition| condition.status == "False")
                .map(|condition| {
                    condition
                        .message
                        .clone()
                        .filter(|message| !message.is_empty())
                        .unwrap_or_else(|| "not scheduled".into())
                }),
            role: label(&self.metadata, "role").map(str::to_owned),
            kept: label(&self.metadata, "stackgres.io/disruptible") == Some("false"),
            patroni_version: annotation("stackgres.io/patroni-version"),
            status: annotation("status").map(|text| MemberStatus::read(&text)),
        };
        Some(Record {
            cluster: Some(Key::new(key.namespace.clone(), cluster)),
            resource_version: self.metadata.resource_version?,
            body: Body::Member(Box::new(member)),
            key,
        })
    }
}

slim! {
    /// A StatefulSet: how many, and whether its controller has caught up.
    SlimStatefulSet = Watched::StatefulSets, "apps", "v1", "StatefulSet", "statefulsets" {
        spec: StatefulSetSpec,
        status: StatefulSetStatus,
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct StatefulSetSpec {
    replicas: Option<u32>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct StatefulSetStatus {
    observed_generation: Option<i64>,
}

impl Recorded for SlimStatefulSet {
    fn record(self, _: Watched) -> Option<Record> {
        let key = key_of(&self.metadata)?;
        // The cluster's Pods come from the set of its own name; others may carry its labels.
        if label(&self.metadata, CLUSTER_NAME)? != key.name {
            return None;
        }
        let set = StatefulSet {
            // Absent means one to Kubernetes.
            replicas: self.spec.replicas.unwrap_or(1),
            is_observed: self.status.observed_generation == self.metadata.generation
                && self.metadata.generation.is_some(),
        };
        Some(Record {
            cluster: Some(key.clone()),
            resource_version: self.metadata.resource_version?,
            body: Body::StatefulSet(set),
            key,
        })
    }
}

/// The annotations of Patroni's Endpoints that decisions or tables read; `slots` and the rest are not kept.
const PATRONI_ANNOTATIONS: [&str; 11] = [
    "leader",
    "renewTime",
    "transitions",
    "optime",
    "config",
    "initialize",
    "sync_standby",
    "quorum",
    "member",
    "scheduled_at",
    HISTORY,
];
/// One entry for each takeover since the cluster was made; only the last is kept.
const HISTORY: &str = "history";

impl Recorded for PartialObjectMeta<Endpoints> {
    fn record(self, _: Watched) -> Option<Record> {
        let mut annotations: BTreeMap<String, String> =
            self.metadata.annotations.clone().unwrap_or_default();
        annotations.retain(|name, _| PATRONI_ANNOTATIONS.contains(&name.as_str()));
        if let Some(history) = annotations.get_mut(HISTORY) {
            *history = last_entry(history);
        }
        Some(Record {
            key: key_of(&self.metadata)?,
            cluster: None,
            resource_version: self.metadata.resource_version?,
            body: Body::Endpoints(annotations),
        })
    }
}

/// A JSON list cut to its last entry; what is none stays, for its reader to say so.
fn last_entry(history: &str) -> String {
    match serde_json::from_str::<Vec<Value>>(history) {
        Ok(mut entries) => {
            let last: Vec<Value> = entries.pop().into_iter().collect();
            Value::Array(last).to_string()
        }
        Err(_) => history.to_owned(),
    }
}

slim! {
    /// An SGDbOps: on which cluster, what, and whether it has ended.
    SlimOperation = Watched::Operations, "stackgres.io", "v1", "SGDbOps", "sgdbops" {
        spec: OperationSpec,
        status: OperationStatus,
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OperationSpec {
    sg_cluster: String,
    op: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct OperationStatus {
    conditions: Vec<Condition>,
}

impl Recorded for SlimOperation {
    fn record(self, _: Watched) -> Option<Record> {
        let ended = self.status.conditions.iter().any(|condition| {
            matches!(condition.kind.as_str(), "Completed" | "Failed") && condition.status == "True"
        });
        let operation = |name| Operation {
            kind: "SGDbOps",
            name,
            op: self.spec.op.clone(),
        };
        operation_record(self.metadata, &self.spec.sg_cluster, ended, operation)
    }
}

slim! {
    /// An SGBackup: of which cluster, and whether it has ended.
    SlimBackup = Watched::Backups, "stackgres.io", "v1", "SGBackup", "sgbackups" {
        spec: OperationSpec,
        status: BackupStatus,
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct BackupStatus {
    process: BackupProcess,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct BackupProcess {
    status: Option<String>,
}

impl Recorded for SlimBackup {
    fn record(self, _: Watched) -> Option<Record> {
        let ended = matches!(
            self.status.process.status.as_deref(),
            Some("Completed" | "Failed")
        );
        let operation = |name| Operation {
            kind: "SGBackup",
            name,
            op: "backup".into(),
        };
        operation_record(self.metadata, &self.spec.sg_cluster, ended, operation)
    }
}

fn operation_record(
    metadata: ObjectMeta,
    cluster: &str,
    ended: bool,
    operation: impl FnOnce(String) -> Operation,
) -> Option<Record> {
    let key = key_of(&metadata)?;
    if ended || cluster.is_empty() {
        return None;
    }
    // A copied backup names its cluster with the namespace: `NAMESPACE.NAME`; names have no dot.
    let cluster = match cluster.split_once('.') {
        Some((namespace, name)) => Key::new(namespace, name),
        None => Key::new(key.namespace.clone(), cluster),
    };
    Some(Record {
        cluster: Some(cluster),
        resource_version: metadata.resource_version?,
        body: Body::Operation(operation(key.name.clone())),
        key,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::patroni::Seen;

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
                "annotations": {LOCK_TIMEOUT: "100", "a": "b"},
                "managedFields": [{"manager": "kubectl", "operation": "Update", "apiVersion": "stackgres.io/v1",
                    "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:instances": {}}}, "time": "2026-01-02T03:04:05Z"}]
            },
            "spec": {"instances": 2},
            "status": {"instances": 1, "conditions": [{"type": "PendingRestart", "status": "False", "message": "x"}]}
        })
    }

    #[test]
    fn the_base_of_patronis_endpoints_follows_scope_and_citus_group() {
        let with = |config: Value| {
            let mut value = sample();
            value["spec"]["configurations"] = json!({"patroni": {"initialConfig": config}});
            let body = body(cluster(value));
            (body.base, body.external_dcs)
        };
        assert_eq!(with(json!({})), ("c".into(), None));
        assert_eq!(with(json!({"scope": "s"})), ("s".into(), None));
        assert_eq!(
            with(json!({"scope": "s", "citus": {"group": 2}})),
            ("s-2".into(), None)
        );
        assert_eq!(
            with(json!({"etcd3": {"host": "x"}})),
            ("c".into(), Some("etcd3".into()))
        );
    }

    #[test]
    fn a_pod_is_reduced_to_a_member() {
        let pod: SlimPod = serde_json::from_value(json!({
            "metadata": {
                "namespace": "n", "name": "c-10", "resourceVersion": "3",
                "labels": {CLUSTER_NAME: "c", "role": "replica", "stackgres.io/disruptible": "false"},
                "annotations": {"status": "{\"state\":\"running\",\"role\":\"replica\",\"receive_lsn\":5}"}
            },
            "spec": {"containers": []},
            "status": {"conditions": [{"type": "Ready", "status": "True"},
                {"type": "PodScheduled", "status": "False", "message": "0/3 nodes"}]}
        }))
        .unwrap();
        let record = pod.record(Watched::Pods).unwrap();
        assert_eq!(record.cluster, Some(Key::new("n", "c")));
        let Body::Member(member) = record.body else {
            panic!("a member")
        };
        assert_eq!(member.index, Some(10));
        assert!(member.ready && member.kept && !member.terminating);
        assert_eq!(member.unschedulable.as_deref(), Some("0/3 nodes"));
        assert!(matches!(member.status, Some(Seen::Value(_))));
    }

    #[test]
    fn a_pod_of_an_odd_form_does_not_stop_its_list() {
        let pod: SlimPod = serde_json::from_value(json!({
            "metadata": {"namespace": "n", "name": "c-0", "resourceVersion": "3", "labels": {CLUSTER_NAME: "c"},
                "annotations": {"status": "nonsense"}},
            "status": {"conditions": "none"}
        }))
        .unwrap();
        let Body::Member(member) = pod.record(Watched::Pods).unwrap().body else {
            panic!("a member")
        };
        assert!(!member.ready);
        assert!(matches!(member.status, Some(Seen::Unknown(_))));
    }

    #[test]
    fn only_operations_that_have_not_ended_are_kept() {
        let backup = |status: Value| {
            let backup: SlimBackup = serde_json::from_value(json!({
                "metadata": {"namespace": "n", "name": "b", "resourceVersion": "3"},
                "spec": {"sgCluster": "other.c"}, "status": status
            }))
            .unwrap();
            backup.record(Watched::Backups)
        };
        assert_eq!(backup(json!({"process": {"status": "Completed"}})), None);
        assert_eq!(backup(json!({"process": {"status": "Failed"}})), None);
        for going_on in [json!(null), json!({"process": {"status": "Running"}})] {
            let record = backup(going_on).unwrap();
            assert_eq!(record.cluster, Some(Key::new("other", "c")));
        }
        let operation = |conditions: Value| {
            let operation: SlimOperation = serde_json::from_value(json!({
                "metadata": {"namespace": "n", "name": "o", "resourceVersion": "3"},
                "spec": {"sgCluster": "c", "op": "restart"}, "status": {"conditions": conditions}
            }))
            .unwrap();
            operation.record(Watched::Operations)
        };
        assert_eq!(
            operation(json!([{"type": "Completed", "status": "True"}])),
            None
        );
        assert!(operation(json!([{"type": "Running", "status": "True"}, {"type": "Failed", "status": "False"}])).is_some());
    }
}
