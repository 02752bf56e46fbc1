//! A cluster as the tests of this floor see it: healthy to begin with, changed by one word at a time.

use serde_json::{Value, json};

use crate::model::key::Key;
use crate::model::observed::{LiveObject, Member, ObservedCluster, ObservedPatroni, StatefulSet};
use crate::model::patroni::{
    LeaderRecord, Lsn, MemberStatus, PatroniConfig, Seen, SyncState, Synchronous,
};

/// Cluster `db/c` with members `c-0` (leader) and so on.
pub struct Scene {
    pub seen: ObservedCluster,
    renewals: u64,
}

impl Scene {
    pub fn asynchronous(instances: u32) -> Self {
        Self::with(instances, json!({"mode": "async"}))
    }

    /// Live with this replication section, and Patroni doing what it asks for.
    pub fn with(instances: u32, replication: Value) -> Self {
        let value = json!({
            "apiVersion": "stackgres.io/v1",
            "kind": "SGCluster",
            "metadata": {"namespace": "db", "name": "c", "annotations": {}},
            "spec": {
                "instances": instances,
                "postgres": {"version": "16.1"},
                "pods": {"persistentVolume": {"size": "10Gi"}},
                "replication": replication,
            },
        });
        let live = LiveObject {
            value,
            resource_version: "1".into(),
            managers: Vec::new(),
        };
        let config = PatroniConfig {
            synchronous: Synchronous {
                on: false,
                strict: false,
                count: 1,
            },
            loop_wait: 10,
            ttl: 30,
            paused: false,
            standby_cluster: false,
            maximum_lag_on_syncnode: None,
        };
        let record = LeaderRecord {
            leader: Some("c-0".into()),
            renew_time: Some("0".into()),
            transitions: Some("0".into()),
            optime: Some(Lsn(100)),
        };
        let mut scene = Self {
            seen: ObservedCluster {
                key: Key::new("db", "c"),
                live: Some(live),
                members: Seen::Value(Vec::new()),
                patroni: ObservedPatroni {
                    base: "c".into(),
                    leader: Seen::Value(record),
                    config: Seen::Value(config),
                    config_version: Some("1".into()),
                    initialize: Some("7373750354182599290".into()),
                    sync: Seen::Value(SyncState::default()),
                    failover: None,
                    last_takeover: None,
                },
                stateful_set: Seen::Value(Some(StatefulSet {
                    replicas: instances,
                    is_observed: true,
                })),
                operations: Seen::Value(Vec::new()),
            },
            renewals: 0,
        };
        scene.members(instances);
        scene.in_force();
        scene
    }

    /// So many healthy members, and a StatefulSet that asks for them.
    pub fn members(&mut self, instances: u32) {
        self.seen.members = Seen::Value((0..instances).map(member).collect());
        self.take_up_roles();
        self.seen.stateful_set = Seen::Value(Some(StatefulSet {
            replicas: instances,
            is_observed: true,
        }));
    }

    /// Every member has the tags of the role that the live object gives it.
    pub fn take_up_roles(&mut self) {
        let live = self.seen.live.as_ref().expect("a scene has a live object");
        let spec =
            crate::model::cluster::ClusterSpec::read(&live.value).expect("a scene's object reads");
        let shape = crate::decide::durability::Shape::of(&spec);
        let roles = crate::decide::roles::roles_of(&shape);
        for (index, role) in roles.into_iter().enumerate() {
            if index >= self.all().len() {
                return;
            }
            self.says(&format!("c-{index}"), |said| {
                said.tags.clear();
                if !role.is_promotable() {
                    said.tags.insert("nofailover".into(), json!(true));
                }
                if !role.serves_reads() {
                    said.tags.insert("noloadbalance".into(), json!(true));
                }
            });
        }
    }

    /// Patroni is configured as the live object asks, and lists the standbys for it.
    pub fn in_force(&mut self) {
        let live = self.seen.live.as_ref().expect("a scene has a live object");
        let spec =
            crate::model::cluster::ClusterSpec::read(&live.value).expect("a scene's object reads");
        let keys = crate::decide::durability::Shape::of(&spec).keys();
        if let Seen::Value(config) = &mut self.seen.patroni.config {
            config.synchronous = keys;
        }
        let standbys = (1..=keys.count).map(|index| format!("c-{index}")).collect();
        self.seen.patroni.sync = Seen::Value(if keys.on {
            SyncState {
                leader: Some("c-0".into()),
                standbys,
                quorum: 0,
            }
        } else {
            SyncState::default()
        });
    }

    /// The leader's loop: its lock is renewed at this position.
    pub fn renew(&mut self, position: u64) {
        self.renewals += 1;
        let renewals = self.renewals.to_string();
        if let Seen::Value(record) = &mut self.seen.patroni.leader {
            record.renew_time = Some(renewals);
            record.optime = Some(Lsn(position));
        }
    }

    pub fn position(&mut self, name: &str, position: u64) {
        self.says(name, |said| {
            said.receive_lsn = Some(Lsn(position));
            said.xlog_location = Some(Lsn(position));
        });
    }

    /// Changes what a member says of itself.
    pub fn says(&mut self, name: &str, change: impl FnOnce(&mut MemberStatus)) {
        if let Some(Seen::Value(said)) = &mut self.member(name).status {
            change(said);
        }
    }

    fn all(&mut self) -> &mut Vec<Member> {
        let Seen::Value(members) = &mut self.seen.members else {
            panic!("a scene knows its members")
        };
        members
    }

    pub fn member(&mut self, name: &str) -> &mut Member {
        self.all()
            .iter_mut()
            .find(|member| member.name == name)
            .expect("the scene has this member")
    }

    /// Another member takes over.
    pub fn lead(&mut self, name: &str) {
        if let Seen::Value(record) = &mut self.seen.patroni.leader {
            record.leader = Some(name.into());
            record.transitions = Some("1".into());
        }
        for member in self.all() {
            let leads = member.name == name;
            member.role = Some(if leads { "master" } else { "replica" }.into());
            if let Some(Seen::Value(said)) = &mut member.status {
                said.replication_state = (!leads).then(|| "streaming".into());
            }
        }
    }

    pub fn live_value(&mut self) -> &mut Value {
        &mut self
            .seen
            .live
            .as_mut()
            .expect("a scene has a live object")
            .value
    }
}

fn member(index: u32) -> Member {
    let leads = index == 0;
    Member {
        name: format!("c-{index}"),
        index: Some(index),
        ready: true,
        terminating: false,
        unschedulable: None,
        role: Some(if leads { "master" } else { "replica" }.into()),
        kept: false,
        patroni_version: Some("3.3.3".into()),
        status: Some(Seen::Value(MemberStatus {
            conn_url: Some(format!("postgres://10.244.0.{index}:7433/postgres")),
            state: "running".into(),
            role: if leads { "master" } else { "replica" }.into(),
            version: Some("3.3.3".into()),
            timeline: Some(1),
            replication_state: (!leads).then(|| "streaming".into()),
            xlog_location: Some(Lsn(100)),
            ..MemberStatus::default()
        })),
    }
}
