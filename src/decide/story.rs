//! What the stories of this floor are told with: what Git asks for, what was seen look by look, and the plan in words.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::decide::approval::APPROVE;
use crate::decide::compare::FIELD_MANAGER;
use crate::decide::digest::digest;
use crate::decide::evidence::IdleLeader;
use crate::decide::plan::{Inputs, Wanted, plan};
use crate::decide::scene::Scene;
use crate::decide::sighting::{Moment, Sighting};
use crate::decide::wait::awaited;
use crate::model::cluster::ClusterSpec;
use crate::model::desired::DesiredCluster;
use crate::model::key::{Key, Kind};
use crate::model::manifest::Document;
use crate::model::observed::Manager;
use crate::model::patroni::Seen;
use crate::model::plan::ClusterPlan;
use crate::model::yaml::Positions;

/// What may not be readable, each by itself.
pub const PARTS: [&str; 6] = [
    "leader",
    "config",
    "sync",
    "members",
    "operations",
    "stateful set",
];

pub struct Story {
    pub scene: Scene,
    pub git: Value,
    pub sighting: Sighting,
    pub looks: u64,
    pub idle_leader: IdleLeader,
    /// Seconds since 1970.
    pub unix: i64,
}

impl Story {
    /// Live is in force with `live`; Git has the same cluster with `git` instances and replication.
    pub fn of(live: (u32, Value), git: (u32, Value)) -> Self {
        let scene = Scene::with(live.0, live.1);
        let mut value = scene
            .seen
            .live
            .as_ref()
            .expect("a live object")
            .value
            .clone();
        value["spec"]["instances"] = json!(git.0);
        value["spec"]["replication"] = git.1;
        value["metadata"]
            .as_object_mut()
            .expect("a map")
            .remove("annotations");
        Self {
            scene,
            git: value,
            sighting: Sighting::default(),
            looks: 0,
            idle_leader: IdleLeader::Pass,
            unix: 1_000,
        }
    }

    /// So many leader loops in which every standby but the frozen ones follows.
    pub fn loops(&mut self, count: u64, frozen: &[&str]) -> &mut Self {
        for _ in 0..count {
            self.looks += 1;
            let leader = 1000 * self.looks;
            self.scene.renew(leader);
            let names: Vec<String> = self
                .scene
                .seen
                .seen_members()
                .iter()
                .map(|member| member.name.clone())
                .collect();
            for name in names
                .iter()
                .skip(1)
                .filter(|name| !frozen.contains(&name.as_str()))
            {
                self.scene.position(name, leader - 500);
            }
            self.look();
        }
        self
    }

    /// A look at the scene as it is, ten seconds after the last one counted, and the plan that comes of it.
    pub fn look(&mut self) {
        let now = Moment(Duration::from_secs(10 * self.looks));
        self.sighting.look(&self.scene.seen, now);
        let desired = self.desired();
        let awaited = awaited(&self.plan(), &desired.digest);
        self.sighting.waits(awaited, now);
    }

    pub fn annotate(&mut self, name: &str, value: &str) -> &mut Self {
        self.scene.live_value()["metadata"]["annotations"][name] = json!(value);
        self
    }

    /// Makes one of `PARTS` unknown.
    pub fn forget(&mut self, part: &str) {
        let why = || "the watch is down".to_owned();
        let seen = &mut self.scene.seen;
        match part {
            "leader" => seen.patroni.leader = Seen::Unknown(why()),
            "config" => seen.patroni.config = Seen::Unknown(why()),
            "sync" => seen.patroni.sync = Seen::Unknown(why()),
            "members" => seen.members = Seen::Unknown(why()),
            "operations" => seen.operations = Seen::Unknown(why()),
            "stateful set" => seen.stateful_set = Seen::Unknown(why()),
            other => panic!("{other} is no part of what is seen"),
        }
    }

    /// Lockstep owns these fields of the live object (`fieldsV1`).
    pub fn own(&mut self, fields: Value) {
        let live = self.scene.seen.live.as_mut().expect("a live object");
        live.managers = vec![Manager {
            name: FIELD_MANAGER.into(),
            operation: "Apply".into(),
            subresource: None,
            time: None,
            fields,
        }];
    }

    /// Git's document with the approval that its plan asks for.
    pub fn approve(&mut self) {
        let because = self.plan().because.unwrap_or_default();
        let (_, rest) = because
            .split_once("lockstep.dev/approve: ")
            .unwrap_or_else(|| panic!("nothing to approve: {because}"));
        let value = rest.split_whitespace().next().unwrap_or_default();
        self.git["metadata"]["annotations"] = json!({APPROVE: value});
    }

    pub fn desired(&self) -> DesiredCluster {
        DesiredCluster {
            document: Arc::new(Document {
                file: "c.yaml".into(),
                kind: Kind::from_api_version("stackgres.io/v1", "SGCluster"),
                key: Key::new("db", "c"),
                value: Arc::new(self.git.clone()),
                positions: Arc::new(Positions::default()),
            }),
            spec: ClusterSpec::read(&self.git).expect("a spec that reads"),
            digest: digest(&self.git),
            findings: Vec::new(),
        }
    }

    pub fn plan(&self) -> ClusterPlan {
        plan(&Inputs {
            key: &Key::new("db", "c"),
            wanted: Wanted::Declared(&self.desired()),
            seen: Ok(&Arc::new(self.scene.seen.clone())),
            sighting: &self.sighting,
            now: Moment(Duration::from_secs(10 * self.looks)),
            unix: self.unix,
            idle_leader: self.idle_leader,
            unapplied: &[],
        })
    }

    /// The plan of the same story told of a cluster with another name.
    pub fn renamed(&self, name: &str) -> ClusterPlan {
        let rename = |text: &str| match text.strip_prefix("c-") {
            Some(rest) => format!("{name}-{rest}"),
            None => text.to_owned(),
        };
        let key = Key::new("db", name);
        let mut seen = self.scene.seen.clone();
        seen.key = key.clone();
        if let Some(live) = &mut seen.live {
            live.value["metadata"]["name"] = json!(name);
        }
        if let Seen::Value(members) = &mut seen.members {
            for member in members {
                member.name = rename(&member.name);
            }
        }
        if let Seen::Value(record) = &mut seen.patroni.leader {
            record.leader = record.leader.as_deref().map(rename);
        }
        if let Seen::Value(sync) = &mut seen.patroni.sync {
            sync.leader = sync.leader.as_deref().map(rename);
            sync.standbys = sync.standbys.iter().map(|one| rename(one)).collect();
        }
        let mut desired = self.desired();
        let document = Arc::make_mut(&mut desired.document);
        document.key = key.clone();
        let mut value = self.git.clone();
        value["metadata"]["name"] = json!(name);
        desired.digest = digest(&value);
        document.value = Arc::new(value);
        plan(&Inputs {
            key: &key,
            wanted: Wanted::Declared(&desired),
            seen: Ok(&Arc::new(seen)),
            sighting: &self.sighting.renamed(&rename),
            now: Moment(Duration::from_secs(10 * self.looks)),
            unix: self.unix,
            idle_leader: self.idle_leader,
            unapplied: &[],
        })
    }

    /// State, reason, then a line a step: what is written, and the first step's gates that hold.
    pub fn told(&self) -> String {
        tell(&self.plan())
    }
}

pub fn tell(plan: &ClusterPlan) -> String {
    let mut told = plan.state.word().to_owned();
    if let Some(because) = &plan.because {
        told.push_str(&format!(": {because}"));
    }
    for step in &plan.steps {
        let value = |value: &Option<Value>| {
            value
                .as_ref()
                .map_or("-".to_owned(), |value| value.to_string().replace('"', ""))
        };
        let changes: Vec<String> = step
            .changes
            .iter()
            .map(|change| {
                let path = change
                    .path
                    .to_string()
                    .replace("spec.", "")
                    .replace("replication.", "");
                format!("{path} {}→{}", value(&change.from), value(&change.to))
            })
            .collect();
        told.push_str(&format!(
            "\n{} [{}]",
            changes.join(", "),
            step.durability_after
        ));
    }
    told
}

/// A replication section with just a mode.
pub fn all(mode: &str) -> Value {
    json!({"mode": mode})
}
