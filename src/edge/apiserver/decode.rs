//! What arrives over the wire, reduced to what decisions read.
//!
//! Slim serde structs skip the rest of a Pod or a backup while it is parsed, so that ten thousand clusters with forty
//! thousand Pods fit in one process. Decoding never fails for what one object holds: a single odd object must not stop the
//! list it came in. Objects that are shown and compared whole are kept as compact text and parsed when asked for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use k8s_openapi::api::core::v1::Endpoints;
use kube::api::{DynamicObject, ObjectMeta, PartialObjectMeta};
use kube::core::NamespaceResourceScope;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::kinds::Watched;
use crate::model::key::Key;
use crate::model::observed::{LiveObject, Manager, Member, Operation, StatefulSet};
use crate::model::patroni::{Annotations, MemberStatus};

const CLUSTER_NAME: &str = "stackgres.io/cluster-name";
/// kubectl's copy of the manifest; it may hold what the manifest no longer does, and nothing reads it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Renewed every few seconds while a lock is held (domain §4.4).
const LOCK_TIMEOUT: &str = "stackgres.io/lockTimeout";

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
    current_revision: Option<String>,
    update_revision: Option<String>,
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
            is_rolling: self.status.current_revision != self.status.update_revision,
        };
        Some(Record {
            cluster: Some(key.clone()),
            resource_version: self.metadata.resource_version?,
            body: Body::StatefulSet(set),
            key,
        })
    }
}

/// The annotations of Patroni's Endpoints that decisions or tables read; `slots`, `history` and the rest are not kept.
const PATRONI_ANNOTATIONS: [&str; 10] = [
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
];

impl Recorded for PartialObjectMeta<Endpoints> {
    fn record(self, _: Watched) -> Option<Record> {
        let mut annotations: BTreeMap<String, String> =
            self.metadata.annotations.clone().unwrap_or_default();
        annotations.retain(|name, _| PATRONI_ANNOTATIONS.contains(&name.as_str()));
        Some(Record {
            key: key_of(&self.metadata)?,
            cluster: None,
            resource_version: self.metadata.resource_version?,
            body: Body::Endpoints(annotations),
        })
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
