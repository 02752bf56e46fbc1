//! Small values that the tests of this floor show: members, clusters, plans. Built by hand, never by a decision.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::model::desired::Source;
use crate::model::field::FieldPath;
use crate::model::finding::{Finding, Place};
use crate::model::key::{Key, Kind};
use crate::model::observed::{LiveObject, Member, ObservedCluster, ObservedPatroni};
use crate::model::patroni::{
    Annotations, LeaderRecord, MemberStatus, PatroniConfig, Seen, SyncState,
};
use crate::model::plan::{
    Availability, Change, ClusterPlan, Difference, Durability, ForceVerdict, Gate, GateId, InForce,
    LastWrite, Margin, Move, State, Step, SupportingPlan, Verdict,
};

pub fn annotations(pairs: &[(&str, &str)]) -> Annotations {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// A member with the status annotation given; an empty one: it has said nothing yet.
pub fn member(name: &str, version: &str, status: &str) -> Member {
    Member {
        name: name.into(),
        index: name.rsplit('-').next().and_then(|index| index.parse().ok()),
        ready: true,
        terminating: false,
        unschedulable: None,
        role: None,
        kept: false,
        patroni_version: Some(version.into()),
        status: (!status.is_empty()).then(|| MemberStatus::read(status)),
    }
}

pub fn leading(name: &str, version: &str, address: &str, timeline: u64) -> Member {
    let status = format!(
        r#"{{"conn_url": "postgres://{address}/postgres", "state": "running", "role": "master",
            "xlog_location": 104857600, "timeline": {timeline}}}"#
    );
    member(name, version, &status)
}

pub fn standby(name: &str, version: &str, address: &str, timeline: u64, position: u64) -> Member {
    let positions = if version.starts_with("4.1") {
        format!(r#""receive_lsn": {position}, "replay_lsn": {position},"#)
    } else {
        String::new()
    };
    let status = format!(
        r#"{{"conn_url": "postgres://{address}/postgres", "state": "running", "role": "replica",
            "replication_state": "streaming", {positions}
            "xlog_location": {position}, "timeline": {timeline}}}"#
    );
    member(name, version, &status)
}

/// A cluster that `<base>-0` leads, its write position at 100 MiB, with these names in `/sync`.
pub fn cluster(base: &str, sync: &str, members: Vec<Member>) -> ObservedCluster {
    let leader = format!("{base}-0");
    ObservedCluster {
        key: Key::new("failover", base),
        live: None,
        members: Seen::Value(members),
        patroni: ObservedPatroni {
            base: base.into(),
            leader: LeaderRecord::read(&annotations(&[
                ("leader", &leader),
                ("optime", "104857600"),
            ])),
            config: PatroniConfig::read(r#"{"synchronous_mode": true}"#),
            config_version: None,
            initialize: Some("7369946595341132525".into()),
            sync: Seen::Value(SyncState::read(&annotations(&[
                ("leader", &leader),
                ("sync_standby", sync),
            ]))),
            failover: None,
            last_takeover: None,
        },
        stateful_set: Seen::Value(None),
        operations: Seen::Value(Vec::new()),
    }
}

pub const FILE: &str = "clusters/sync-cluster.yaml";

pub fn source() -> Source {
    Source {
        repository: "https://git.example/databases.git".into(),
        revision: "main".into(),
        commit: Some("4f1c2d3e5a6b7c8d9e0f4f1c2d3e5a6b7c8d9e0f".into()),
    }
}

pub fn place(line: usize, column: usize) -> Place {
    Place {
        file: FILE.into(),
        line,
        column,
    }
}

pub fn gate(id: GateId, verdict: Verdict) -> Gate {
    Gate { id, verdict }
}

pub fn durability(standbys: u32, strict: bool) -> Durability {
    Durability { strict, standbys }
}

/// So many members may be lost.
pub fn availability(writes: u32, commits: u32, failover: u32) -> Availability {
    Availability {
        writes: Margin::Lost(writes),
        commits: Margin::Lost(commits),
        failover: Margin::Lost(failover),
    }
}

/// The seed's cluster with four members of which three stream; `mode` as live has it, `sync` as `/sync` lists it.
pub fn sync_cluster(mode: &str, sync: &str) -> ObservedCluster {
    const AT: u64 = 100 << 20;
    let mut cluster = cluster(
        "sync-cluster",
        sync,
        vec![
            leading("sync-cluster-0", "3.3.3", "10.244.0.11:7433", 2),
            standby("sync-cluster-1", "3.3.3", "10.244.0.10:7433", 2, AT),
            standby("sync-cluster-2", "3.3.3", "10.244.0.4:7433", 2, AT),
            standby("sync-cluster-3", "3.3.3", "10.244.0.8:7433", 2, AT),
        ],
    );
    cluster.patroni.initialize = Some("7373750354182599290".into());
    cluster.live = Some(LiveObject {
        value: document(4, mode),
        resource_version: "4711".into(),
        managers: Vec::new(),
    });
    cluster
}

/// What Git or live says of the seed's cluster.
pub fn document(instances: u32, mode: &str) -> Value {
    json!({
        "apiVersion": "stackgres.io/v1",
        "kind": "SGCluster",
        "metadata": {"namespace": "failover", "name": "sync-cluster"},
        "spec": {
            "postgres": {"version": "16.1"},
            "instances": instances,
            "sgInstanceProfile": "size-s",
            "pods": {"persistentVolume": {"size": "10Gi"}},
            "replication": {"mode": mode, "role": "ha-read", "syncInstances": 1},
        },
    })
}

/// async to sync-all, held by one frozen standby.
pub fn waiting_plan() -> ClusterPlan {
    let mode = FieldPath::of(["spec", "replication", "mode"]);
    let change = Change {
        path: mode.clone(),
        from: Some(json!("async")),
        to: Some(json!("sync-all")),
    };
    let because = "sync-cluster-2 has not passed 0/6400000 yet";
    let open = |reason: &str| Verdict::Open(reason.into());
    ClusterPlan {
        key: Key::new("failover", "sync-cluster"),
        state: State::Waiting,
        because: Some(because.into()),
        place: Some(place(1, 1)),
        differences: vec![Difference {
            path: mode,
            declared: Some(json!("sync-all")),
            live: Some(json!("async")),
            place: Some(place(17, 5)),
            last_write: None,
        }],
        undone: Vec::new(),
        steps: vec![Step {
            moves: vec![Move::Climb { standbys: 3 }],
            changes: vec![change],
            why: "all three standbys are there, so the climb is one write".into(),
            gates: vec![
                gate(GateId::LeaderLive, open("sync-cluster-0 renewed its lock")),
                gate(GateId::ConfigInForce, open("a loop has run with it")),
                gate(GateId::MembersHealthy, open("3 of 3 standbys stream")),
                gate(
                    GateId::NothingElseRunning,
                    open("no lock, operation or rollout"),
                ),
                gate(
                    GateId::OperatorCaughtUp,
                    Verdict::Unknown("the StatefulSet was not seen".into()),
                ),
                gate(GateId::Mark, Verdict::Closed(because.into())),
            ],
            durability_before: durability(0, false),
            durability_after: durability(3, false),
            availability_after: availability(3, 3, 2),
            more_follow: false,
            object: Arc::new(document(4, "sync-all")),
        }],
        findings: vec![
            Finding::note(
                "sync-instances-no-effect",
                "spec.replication.syncInstances has no effect in mode sync-all",
            )
            .at(place(19, 5))
            .on(FieldPath::of(["spec", "replication", "syncInstances"]))
            .help("remove it, or use mode sync"),
        ],
        in_force: InForce {
            declared: Some(durability(3, false)),
            stored: Some(durability(0, false)),
            configured: Ok(durability(0, false)),
            listed: Ok(Vec::new()),
            streaming: ["1", "2", "3"]
                .iter()
                .map(|index| format!("sync-cluster-{index}"))
                .collect(),
            verdict: ForceVerdict::NotInForce(
                "Patroni is configured for asynchronous, not for 3 synchronous standbys".into(),
            ),
        },
        availability: Some(availability(3, 0, 2)),
        live: Some(Arc::new(document(4, "async"))),
        declared: Some(Arc::new(document(4, "sync-all"))),
        observed: Some(Arc::new(sync_cluster("async", ""))),
    }
}

/// The same cluster once everything is in force.
pub fn in_sync_plan() -> ClusterPlan {
    let standbys: Vec<String> = ["1", "2", "3"]
        .iter()
        .map(|index| format!("sync-cluster-{index}"))
        .collect();
    let all = durability(3, false);
    ClusterPlan {
        state: State::InSync,
        because: None,
        differences: Vec::new(),
        steps: Vec::new(),
        in_force: InForce {
            declared: Some(all),
            stored: Some(all),
            configured: Ok(all),
            listed: Ok(standbys.clone()),
            streaming: standbys.clone(),
            verdict: ForceVerdict::InForce,
        },
        availability: Some(availability(3, 3, 2)),
        live: Some(Arc::new(document(4, "sync-all"))),
        observed: Some(Arc::new(sync_cluster("sync-all", &standbys.join(",")))),
        ..waiting_plan()
    }
}

/// Somebody has scaled by hand.
pub fn drifted_plan() -> ClusterPlan {
    ClusterPlan {
        key: Key::new("failover", "billing"),
        state: State::Drifted,
        because: Some("spec.instances was changed, last write by kubectl".into()),
        differences: vec![Difference {
            path: FieldPath::of(["spec", "instances"]),
            declared: Some(json!(4)),
            live: Some(json!(5)),
            place: Some(place(7, 3)),
            last_write: Some(LastWrite {
                manager: "kubectl".into(),
                operation: "Update".into(),
                subresource: Some("scale".into()),
                time: Some("2026-11-22T09:14:03Z".into()),
            }),
        }],
        findings: Vec::new(),
        live: Some(Arc::new(document(5, "sync-all"))),
        observed: Some(Arc::new(ObservedCluster {
            live: Some(LiveObject {
                value: document(5, "sync-all"),
                resource_version: "4712".into(),
                managers: Vec::new(),
            }),
            ..sync_cluster("sync-all", "sync-cluster-1,sync-cluster-2,sync-cluster-3")
        })),
        ..in_sync_plan()
    }
}

/// A profile with more memory in Git.
pub fn profile_plan() -> SupportingPlan {
    let object =
        |memory: &str| json!({"kind": "SGInstanceProfile", "spec": {"cpu": "1", "memory": memory}});
    SupportingPlan {
        kind: Kind::from_api_version("stackgres.io/v1", "SGInstanceProfile"),
        key: Key::new("failover", "size-s"),
        state: State::Pending,
        because: None,
        place: Place {
            file: "clusters/profile.yaml".into(),
            line: 1,
            column: 1,
        },
        differences: vec![Difference {
            path: FieldPath::of(["spec", "memory"]),
            declared: Some(json!("4Gi")),
            live: Some(json!("2Gi")),
            place: None,
            last_write: None,
        }],
        declared: Arc::new(object("4Gi")),
        live: Some(Arc::new(object("2Gi"))),
    }
}
