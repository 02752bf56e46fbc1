//! The JSON of the objects that the simulated operator and Patroni write: names, labels, annotations (`domain` §3, §4.1).
//!
//! Pure. Times are given as text, since the machines know elapsed time only.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::patroni::Sync;
use super::spec::{Assignment, Wanted};

/// Keeps a deleted Pod until its member has stopped, in place of a kubelet's grace period.
pub const STOPS_IN_ORDER: &str = "sandbox.lockstep.dev/stops-in-order";
const BUILD_VERSION: &str = "6.37";

/// A Pod as the simulation holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodFacts {
    pub name: String,
    pub ip: String,
    /// `controller-revision-hash`.
    pub revision: String,
    pub assignment: Option<Assignment>,
    pub is_ready: bool,
    /// The label `stackgres.io/disruptible` is `false`.
    pub is_kept: bool,
    pub is_terminating: bool,
}

pub fn labels(wanted: &Wanted) -> Value {
    json!({
        "app": "StackGresCluster",
        "stackgres.io/cluster-name": wanted.name,
        "stackgres.io/cluster-uid": wanted.uid,
        "stackgres.io/cluster-scope": wanted.scope,
        "stackgres.io/cluster": "true",
    })
}

fn owner(wanted: &Wanted) -> Value {
    json!([{
        "apiVersion": "stackgres.io/v1", "kind": "SGCluster", "name": wanted.name, "uid": wanted.uid,
        "controller": true, "blockOwnerDeletion": false,
    }])
}

/// An object of this cluster with nothing but its metadata.
pub fn child(wanted: &Wanted, api_version: &str, kind: &str, name: &str) -> Value {
    json!({
        "apiVersion": api_version, "kind": kind,
        "metadata": {
            "name": name, "namespace": wanted.namespace, "labels": labels(wanted), "ownerReferences": owner(wanted),
        },
    })
}

pub fn annotations(entries: &[(&str, Value)]) -> Value {
    let entries: Map<String, Value> = entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()))
        .collect();
    json!({"metadata": {"annotations": entries}})
}

/// Annotations of `<base>-sync`; `null` takes one away.
pub fn sync(state: Option<&Sync>, says_quorum: bool) -> Value {
    let standbys: Vec<&str> = state
        .iter()
        .flat_map(|state| state.standbys.iter().map(String::as_str))
        .collect();
    let mut entries = vec![
        ("leader", json!(state.map(|state| &state.leader))),
        (
            "sync_standby",
            if standbys.is_empty() {
                Value::Null
            } else {
                json!(standbys.join(","))
            },
        ),
    ];
    if says_quorum {
        entries.push(("quorum", json!(state.map(|_| "0"))));
    }
    annotations(&entries)
}

pub fn slots(slots: &BTreeMap<String, u64>) -> Value {
    if slots.is_empty() {
        return Value::Null;
    }
    json!(json!(slots).to_string())
}

pub fn services(wanted: &Wanted) -> Vec<Value> {
    let port = |name: &str, port: u16| json!({"name": name, "port": port, "targetPort": name, "protocol": "TCP"});
    let make = |name: String, spec: Value| {
        let mut service = child(wanted, "v1", "Service", &name);
        service["spec"] = spec;
        service
    };
    let postgres = json!([port("pgport", 5432), port("pgreplication", 5433)]);
    let mut replicas = labels(wanted);
    replicas["role"] = json!("replica");
    replicas["noloadbalance"] = json!("false");
    vec![
        make(
            wanted.base.clone(),
            json!({"type": "ClusterIP", "ports": postgres}),
        ),
        make(
            format!("{}-primary", wanted.name),
            json!({
                "type": "ExternalName",
                "externalName": format!("{}.{}.svc.cluster.local", wanted.base, wanted.namespace),
            }),
        ),
        make(
            format!("{}-replicas", wanted.name),
            json!({"type": "ClusterIP", "selector": replicas, "ports": postgres}),
        ),
        make(
            format!("{}-rest", wanted.name),
            json!({
                "type": "ClusterIP", "clusterIP": "None", "selector": labels(wanted),
                "ports": [port("patroniport", 8008)],
            }),
        ),
        make(
            format!("{}-config", wanted.base),
            json!({"type": "ClusterIP", "clusterIP": "None"}),
        ),
    ]
}

/// Metadata and spec of the StatefulSet, whole.
pub fn stateful_set(wanted: &Wanted, replicas: u32) -> Value {
    let mut selector = labels(wanted);
    selector["stackgres.io/disruptible"] = json!("true");
    let mut object = child(wanted, "apps/v1", "StatefulSet", &wanted.name);
    object["spec"] = json!({
        "serviceName": wanted.name,
        "replicas": replicas,
        "selector": {"matchLabels": selector},
        "podManagementPolicy": if wanted.is_parallel { "Parallel" } else { "OrderedReady" },
        "updateStrategy": {"type": "OnDelete"},
        "persistentVolumeClaimRetentionPolicy": {"whenScaled": "Retain", "whenDeleted": "Delete"},
        "template": {
            "metadata": {"labels": selector},
            "spec": {"containers": containers(wanted), "terminationGracePeriodSeconds": 60},
        },
        "volumeClaimTemplates": [{
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": format!("{}-data", wanted.name)},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        }],
    });
    object
}

/// `revision` is that of Pods made now.
pub fn stateful_set_status(generation: i64, revision: &str, pods: &[PodFacts]) -> Value {
    let own: Vec<&PodFacts> = pods.iter().filter(|pod| !pod.is_kept).collect();
    let ready = own.iter().filter(|pod| pod.is_ready).count();
    let updated = own.iter().filter(|pod| pod.revision == revision).count();
    let current = own
        .iter()
        .map(|pod| pod.revision.as_str())
        .find(|found| *found != revision)
        .unwrap_or(revision);
    json!({"status": {
        "observedGeneration": generation,
        "replicas": own.len(),
        "readyReplicas": ready,
        "availableReplicas": ready,
        "currentReplicas": own.iter().filter(|pod| pod.revision == current).count(),
        "updatedReplicas": updated,
        "currentRevision": current,
        "updateRevision": revision,
        "collisionCount": 0,
    }})
}

fn containers(wanted: &Wanted) -> Value {
    let mut names = vec!["patroni", "cluster-controller"];
    if wanted.has_envoy {
        names.push("envoy");
    }
    if wanted.has_pooling {
        names.push("pgbouncer");
    }
    let containers: Vec<Value> = names
        .into_iter()
        .map(
            |name| json!({"name": name, "image": format!("sandbox.lockstep.dev/{name}:simulated")}),
        )
        .collect();
    Value::Array(containers)
}

pub fn pod(wanted: &Wanted, facts: &PodFacts, set_uid: &str) -> Value {
    let version = wanted.postgres_version.as_deref().unwrap_or_default();
    let mut object = child(wanted, "v1", "Pod", &facts.name);
    let metadata = &mut object["metadata"];
    metadata["finalizers"] = json!([STOPS_IN_ORDER]);
    metadata["ownerReferences"] = json!([{
        "apiVersion": "apps/v1", "kind": "StatefulSet", "name": wanted.name, "uid": set_uid,
        "controller": true, "blockOwnerDeletion": true,
    }]);
    metadata["annotations"] = json!({
        "stackgres.io/operatorVersion": "1.16.3",
        "stackgres.io/patroni-version": wanted.patroni_version.to_string(),
        "stackgres.io/postgresql-version": version,
    });
    let labels = &mut metadata["labels"];
    labels["stackgres.io/disruptible"] = json!("true");
    labels["controller-revision-hash"] = json!(facts.revision);
    labels["statefulset.kubernetes.io/pod-name"] = json!(facts.name);
    for (label, value) in tag_labels(facts.assignment) {
        labels[label] = value;
    }
    object["spec"] = json!({
        "nodeName": "sandbox",
        "hostname": facts.name,
        "subdomain": wanted.name,
        "containers": containers(wanted),
        "terminationGracePeriodSeconds": 60,
    });
    object
}

/// The labels that a Pod's own controller sets; none without an assignment, so that they stay as they are.
pub fn tag_labels(assignment: Option<Assignment>) -> Vec<(&'static str, Value)> {
    let Some(assignment) = assignment else {
        return Vec::new();
    };
    vec![
        ("nofailover", json!(assignment.nofailover.to_string())),
        ("noloadbalance", json!(assignment.noloadbalance.to_string())),
    ]
}

pub fn pod_status(wanted: &Wanted, facts: &PodFacts, now: &str) -> Value {
    let ready = if facts.is_ready { "True" } else { "False" };
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status, "lastTransitionTime": now});
    let containers = containers(wanted);
    let statuses: Vec<Value> = containers
        .as_array()
        .into_iter()
        .flatten()
        .map(|container| {
            json!({
                "name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0,
                "ready": facts.is_ready || container["name"] != "patroni",
                "started": true,
                "state": {"running": {"startedAt": now}},
            })
        })
        .collect();
    json!({"status": {
        "phase": "Running",
        "podIP": facts.ip,
        "podIPs": [{"ip": facts.ip}],
        "hostIP": "10.0.0.1",
        "conditions": [
            condition("Initialized", "True"),
            condition("Ready", ready),
            condition("ContainersReady", ready),
            condition("PodScheduled", "True"),
        ],
        "containerStatuses": statuses,
    }})
}

/// The SGCluster's `status`, apart from what the webhook keeps there. Conditions that stay keep their time.
pub fn cluster_status(
    wanted: &Wanted,
    live: &Value,
    pods: &[PodFacts],
    revision: &str,
    is_bootstrapped: bool,
    now: &str,
) -> Value {
    let is_outdated = pods.iter().any(|pod| pod.revision != revision);
    let mut conditions = Vec::new();
    let mut say = |kind: &str, is_true: bool, reason: &str| {
        let status = if is_true { "True" } else { "False" };
        let same = live
            .pointer("/status/conditions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .find(|known| known["type"] == kind && known["status"] == status);
        conditions.push(same.cloned().unwrap_or_else(
            || json!({"type": kind, "status": status, "reason": reason, "lastTransitionTime": now}),
        ));
    };
    if is_bootstrapped {
        say("Bootstrapped", true, "ClusterBootstrapped");
    }
    say("Failed", false, "FalseFailed");
    if is_outdated {
        say("PendingRestart", true, "PodRequiresRestart");
    } else {
        say("PendingRestart", false, "FalsePendingRestart");
    }
    say("PendingUpgrade", false, "FalsePendingUpgrade");
    let statuses: Vec<Value> = pods
        .iter()
        .map(|pod| {
            let mut status =
                json!({"name": pod.name, "nodeName": "sandbox", "pendingRestart": false});
            if let Some(assignment) = pod.assignment {
                status["replicationGroup"] = json!(assignment.group);
            }
            status
        })
        .collect();
    json!({"status": {
        "arch": "x86_64",
        "os": "linux",
        "instances": pods.len(),
        "labelSelector": format!(
            "app=StackGresCluster,stackgres.io/cluster-name={},stackgres.io/cluster=true", wanted.name
        ),
        "postgresVersion": wanted.postgres_version.as_deref().unwrap_or_default(),
        "buildVersion": BUILD_VERSION,
        "conditions": conditions,
        "podStatuses": statuses,
    }})
}

/// A Warning Event on the SGCluster.
pub fn failure_event(wanted: &Wanted, message: &str, count: u32, first: &str, now: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Event",
        "metadata": {
            "name": format!("{}.clusterconfigfailed", wanted.name), "namespace": wanted.namespace,
            "labels": labels(wanted),
        },
        "involvedObject": {
            "apiVersion": "stackgres.io/v1", "kind": "SGCluster", "name": wanted.name,
            "namespace": wanted.namespace, "uid": wanted.uid,
        },
        "type": "Warning",
        "reason": "ClusterConfigFailed",
        "message": message,
        "count": count,
        "firstTimestamp": first,
        "lastTimestamp": now,
        "source": {"component": "stackgres-operator"},
    })
}

/// An object that the operator makes where it is referred to by its default name and absent.
pub fn generated(wanted: &Wanted, kind: &str, name: &str) -> Value {
    let mut object = child(wanted, "stackgres.io/v1", kind, name);
    object["spec"] = match kind {
        "SGInstanceProfile" => json!({"cpu": "1", "memory": "2Gi"}),
        "SGPostgresConfig" => json!({
            "postgresVersion": super::spec::major(wanted.postgres_version.as_deref().unwrap_or("latest")),
            "postgresql.conf": {},
        }),
        "SGPoolingConfig" => json!({"pgBouncer": {"pgbouncer.ini": {"pgbouncer": {}}}}),
        _ => json!({}),
    };
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn wanted() -> Wanted {
        Wanted::read(&json!({
            "metadata": {"name": "db", "namespace": "ns", "uid": "u"},
            "spec": {"instances": 2, "postgres": {"version": "16"}},
        }))
    }

    fn facts(name: &str, revision: &str) -> PodFacts {
        PodFacts {
            name: name.into(),
            ip: "10.244.0.4".into(),
            revision: revision.into(),
            assignment: Some(Assignment {
                nofailover: false,
                noloadbalance: true,
                group: 0,
            }),
            is_ready: true,
            is_kept: false,
            is_terminating: false,
        }
    }

    #[test]
    fn sync_lists_names_sorted_and_without_blanks() {
        let standbys: BTreeSet<String> = ["p2".to_owned(), "p1".to_owned()].into();
        let state = Sync {
            leader: "p0".into(),
            standbys,
        };
        assert_eq!(
            sync(Some(&state), true)["metadata"]["annotations"],
            json!({"leader": "p0", "sync_standby": "p1,p2", "quorum": "0"})
        );
        assert_eq!(
            sync(None, false)["metadata"]["annotations"],
            json!({"leader": null, "sync_standby": null})
        );
    }

    #[test]
    fn a_pod_carries_its_labels_and_the_versions() {
        let object = pod(&wanted(), &facts("db-0", "r1"), "s");
        insta::assert_snapshot!(serde_json::to_string_pretty(&object["metadata"]).unwrap(), @r#"
        {
          "name": "db-0",
          "namespace": "ns",
          "labels": {
            "app": "StackGresCluster",
            "stackgres.io/cluster-name": "db",
            "stackgres.io/cluster-uid": "u",
            "stackgres.io/cluster-scope": "db",
            "stackgres.io/cluster": "true",
            "stackgres.io/disruptible": "true",
            "controller-revision-hash": "r1",
            "statefulset.kubernetes.io/pod-name": "db-0",
            "nofailover": "false",
            "noloadbalance": "true"
          },
          "ownerReferences": [
            {
              "apiVersion": "apps/v1",
              "kind": "StatefulSet",
              "name": "db",
              "uid": "s",
              "controller": true,
              "blockOwnerDeletion": true
            }
          ],
          "finalizers": [
            "sandbox.lockstep.dev/stops-in-order"
          ],
          "annotations": {
            "stackgres.io/operatorVersion": "1.16.3",
            "stackgres.io/patroni-version": "3.3.3",
            "stackgres.io/postgresql-version": "16.6"
          }
        }
        "#);
    }

    #[test]
    fn a_condition_that_stays_keeps_its_time() {
        let pods = [facts("db-0", "r1")];
        let first = cluster_status(&wanted(), &json!({}), &pods, "r1", true, "then");
        let second = cluster_status(&wanted(), &first, &pods, "r1", true, "now");
        assert_eq!(first, second);
        let outdated = cluster_status(&wanted(), &first, &pods, "r2", true, "now");
        let pending = &outdated["status"]["conditions"][2];
        assert_eq!(
            (&pending["status"], &pending["lastTransitionTime"]),
            (&json!("True"), &json!("now"))
        );
    }

    #[test]
    fn a_set_with_outdated_pods_is_rolling() {
        let status = stateful_set_status(3, "r2", &[facts("db-0", "r1"), facts("db-1", "r2")]);
        assert_eq!(status["status"]["currentRevision"], "r1");
        assert_eq!(status["status"]["updateRevision"], "r2");
        assert_eq!(status["status"]["updatedReplicas"], 1);
    }
}
