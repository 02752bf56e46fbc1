//! Small values that the tests of this floor show: members, clusters, plans. Built by hand, never by a decision.

use crate::model::key::Key;
use crate::model::observed::{Member, ObservedCluster, ObservedPatroni};
use crate::model::patroni::{
    Annotations, LeaderRecord, MemberStatus, PatroniConfig, Seen, SyncState,
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
        },
        stateful_set: Seen::Value(None),
        operations: Seen::Value(Vec::new()),
    }
}
