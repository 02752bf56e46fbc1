//! What Lockstep can see of a world, the looks that led there, and what its planner answers.
//!
//! A view holds no more than a real run would know: fields of the objects it watches, and how many leader loops it has
//! seen go by. Answers are remembered by view, since many worlds look alike.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use lockstep::decide::digest::digest;
use lockstep::decide::evidence::IdleLeader;
use lockstep::decide::plan::{Inputs, Wanted, plan};
use lockstep::decide::sighting::{Moment, Sighting};
use lockstep::model::cluster::{ClusterSpec, Mode, Role};
use lockstep::model::desired::DesiredCluster;
use lockstep::model::key::{Key, Kind};
use lockstep::model::manifest::Document;
use lockstep::model::observed::{
    LiveObject, Manager, Member, ObservedCluster, ObservedPatroni, StatefulSet,
};
use lockstep::model::patroni::{
    LeaderRecord, Lsn, MemberStatus, PatroniConfig, Seen, SyncState, Synchronous,
};
use lockstep::model::plan::State;
use lockstep::model::yaml::Positions;
use serde_json::json;

use crate::hash::Quick;
use crate::object::{Doc, Keys, MOST, Record, leads, reads};
use crate::world::{CONFIG_SETTLED, Fault, LEADER_SETTLED, LIST_SETTLED, MOVED, Pod, World, names};

/// Looks in a row, a leader loop apart, that the sighting is made of.
const LOOKS: u64 = 4;
/// Between two looks: Patroni's default `loop_wait`.
const LOOP: u64 = 10;
/// Looks after a leader's last renewal: longer than the default ttl of 30 s.
const STALE_LOOKS: u64 = 4;

/// What Lockstep knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct View {
    doc: Doc,
    record: Record,
    members: [Look; MOST],
    keys: Keys,
    replicas: u8,
    leader: Option<u8>,
    is_stale: bool,
    sync: Option<(u8, u8)>,
    config_loops: u8,
    list_loops: u8,
    leader_loops: u8,
}

/// What is seen of one Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Look {
    Absent,
    Building,
    /// Says that it streams; whether it was seen to move, for how long it has been there, and its tags.
    Streaming {
        role: Role,
        was_seen: bool,
        stands: bool,
        ready: bool,
        terminating: bool,
    },
}

impl View {
    pub fn of(world: &World) -> Self {
        let members = std::array::from_fn(|place| {
            let index = place as u8;
            let frozen = world.fault == Fault::Frozen(index);
            match world.pods[place] {
                Pod::Absent => Look::Absent,
                Pod::Building => Look::Building,
                pod => Look::Streaming {
                    role: world.tags[place],
                    was_seen: world.moved[place] >= MOVED
                        || frozen
                        || pod == Pod::Lost
                        || world.leader == Some(index),
                    stands: frozen || pod == Pod::Lost,
                    // A leader's Pod that has just been lost still says that it is ready.
                    ready: pod != Pod::Lost || world.leader == Some(index),
                    terminating: pod == Pod::Stopping,
                },
            }
        });
        Self {
            doc: world.doc,
            record: world.record,
            members,
            keys: world.keys,
            replicas: world.replicas,
            leader: world.leader,
            is_stale: world.is_stale,
            sync: world.sync,
            config_loops: world.config_loops,
            list_loops: world.list_loops,
            leader_loops: world.leader_loops,
        }
    }

    /// The cluster at look `at` of `LOOKS`: what changed since then is not there yet.
    fn observed(&self, at: u64, live: Option<LiveObject>) -> ObservedCluster {
        let since = |loops: u8, settled: u8| loops >= settled || at + 1 + u64::from(loops) >= LOOKS;
        let optime = 1000 * (at + 1);
        let led = since(self.leader_loops, LEADER_SETTLED);
        let leader = match (led, self.leader) {
            (true, leader) => leader.map(|index| format!("c-{index}")),
            (false, _) => Some("c-9".to_owned()),
        };
        let record = LeaderRecord {
            leader,
            renew_time: self.leader.is_some().then(|| at.to_string()),
            transitions: Some(u8::from(led).to_string()),
            optime: Some(Lsn(optime)),
        };
        let members = (0..MOST)
            .filter_map(|index| self.member(index, optime, at + 1 == LOOKS))
            .collect();
        let listed = |mask: u8| {
            crate::world::indexes(mask)
                .map(|index| format!("c-{index}"))
                .collect()
        };
        let sync = match self.sync {
            _ if !since(self.list_loops, LIST_SETTLED) => SyncState {
                leader: Some("c-9".into()),
                standbys: vec!["c-8".into()],
                quorum: 0,
            },
            Some((leader, mask)) => SyncState {
                leader: Some(format!("c-{leader}")),
                standbys: listed(mask),
                quorum: 0,
            },
            None => SyncState::default(),
        };
        let config = PatroniConfig {
            synchronous: Synchronous {
                on: self.keys.on,
                strict: self.keys.strict,
                count: u32::from(self.keys.count),
            },
            loop_wait: 10,
            ttl: 30,
            paused: false,
            standby_cluster: false,
            maximum_lag_on_syncnode: None,
        };
        let version = u8::from(since(self.config_loops, CONFIG_SETTLED));
        ObservedCluster {
            key: Key::new("db", "c"),
            live,
            members: Seen::Value(members),
            patroni: ObservedPatroni {
                base: "c".into(),
                leader: Seen::Value(record),
                config: Seen::Value(config),
                config_version: Some(version.to_string()),
                initialize: Some("7373750354182599290".into()),
                sync: Seen::Value(sync),
                failover: None,
                last_takeover: None,
            },
            stateful_set: Seen::Value(Some(StatefulSet {
                replicas: u32::from(self.replicas),
                is_observed: true,
            })),
            operations: Seen::Value(Vec::new()),
        }
    }

    fn member(&self, index: usize, optime: u64, is_last: bool) -> Option<Member> {
        let bare = Member {
            name: format!("c-{index}"),
            index: u32::try_from(index).ok(),
            ready: false,
            terminating: false,
            unschedulable: None,
            role: None,
            kept: false,
            patroni_version: Some("4.1.0".into()),
            status: None,
        };
        let leads_now = self.leader.map(usize::from) == Some(index);
        let (role, stands, ready, terminating) = match self.members[index] {
            Look::Absent => return None,
            Look::Building => return Some(bare),
            Look::Streaming {
                was_seen: false, ..
            } if !is_last => return Some(bare),
            Look::Streaming {
                role,
                was_seen: _,
                stands,
                ready,
                terminating,
            } => (role, stands, ready, terminating),
        };
        let mut tags = BTreeMap::new();
        if !leads(role) {
            tags.insert("nofailover".to_owned(), json!(true));
        }
        if !reads(role) {
            tags.insert("noloadbalance".to_owned(), json!(true));
        }
        let position = if stands { 400 } else { optime - 500 };
        let word = if leads_now { "primary" } else { "replica" };
        Some(Member {
            ready,
            terminating,
            role: Some(word.into()),
            status: Some(Seen::Value(MemberStatus {
                state: "running".into(),
                role: word.into(),
                version: Some("4.1.0".into()),
                timeline: Some(1),
                replication_state: (!leads_now).then(|| "streaming".into()),
                receive_lsn: (!leads_now).then_some(Lsn(position)),
                xlog_location: Some(Lsn(position)),
                tags,
                ..MemberStatus::default()
            })),
            ..bare
        })
    }

    /// The same with one stored object for all, for what looks do not read.
    fn without_objects(mut self) -> Self {
        self.doc = Doc::new(0, Mode::Async, 0);
        self.record = Record::Before;
        (self.keys, self.replicas) = (self.doc.keys(), 0);
        self
    }

    fn look(&self) -> (Sighting, Moment) {
        let mut sighting = Sighting::default();
        let mut now = Moment::default();
        let mut last = None;
        for at in 0..LOOKS {
            now = Moment(Duration::from_secs(LOOP * (at + 1)));
            let seen = self.observed(at, None);
            sighting.look(&seen, now);
            last = Some(seen);
        }
        if let Some(last) = last.filter(|_| self.is_stale) {
            for at in 0..STALE_LOOKS {
                now = Moment(Duration::from_secs(LOOP * (LOOKS + at + 1)));
                sighting.look(&last, now);
            }
        }
        (sighting, now)
    }
}

/// What a pass comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Write(Doc, Record),
    /// The object is Git's and recorded.
    Done,
    Wait(State, String),
}

/// Who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writer {
    Lockstep,
    /// The control: Git's document is stored at once.
    Blind,
}

/// One target, and the answers so far.
pub struct Passes {
    pub target: Doc,
    writer: Writer,
    desired: DesiredCluster,
    key: Key,
    known: HashMap<View, Answer, Quick>,
    /// What looks have shown, which does not depend on the stored object.
    looked: HashMap<View, (Sighting, Moment), Quick>,
}

impl Passes {
    pub fn new(target: Doc, writer: Writer) -> Self {
        let mut passes = Self {
            target,
            writer,
            desired: desired(&target, None),
            key: Key::new("db", "c"),
            known: HashMap::default(),
            looked: HashMap::default(),
        };
        // What has to be approved is approved, in the words that the plan asks for.
        let probe = World::settled(Doc::new(2, Mode::Async, 0), Some(0), 0);
        if target.instances == 0
            && let Answer::Wait(_, because) = passes.plan(&View::of(&probe))
            && let Some((_, wanted)) = because.split_once("lockstep.dev/approve: ")
            && let Some((value, _)) = wanted.split_once(" into the manifest")
        {
            passes.desired = desired(&target, Some(value));
        }
        passes
    }

    pub fn views(&self) -> usize {
        self.known.len()
    }

    pub fn answer(&mut self, world: &World) -> Answer {
        if self.writer == Writer::Blind {
            return if world.doc == self.target {
                Answer::Done
            } else {
                Answer::Write(self.target, Record::Applied)
            };
        }
        let view = View::of(world);
        if let Some(known) = self.known.get(&view) {
            return known.clone();
        }
        let answer = self.plan(&view);
        self.known.insert(view, answer.clone());
        answer
    }

    fn plan(&mut self, view: &View) -> Answer {
        let live = self.live(view);
        let looks = self
            .looked
            .entry(view.without_objects())
            .or_insert_with(|| view.look());
        let (sighting, now) = (&looks.0, looks.1);
        let seen = Arc::new(view.observed(LOOKS - 1, Some(live)));
        let made = plan(&Inputs {
            key: &self.key,
            wanted: Wanted::Declared(&self.desired),
            seen: Ok(&seen),
            sighting,
            now,
            unix: 1_000,
            idle_leader: IdleLeader::Hold,
            unapplied: &[],
        });
        if let Some(open) = made.open_step() {
            let object = &open.step().object;
            return Answer::Write(Doc::read(object), Record::read(object));
        }
        match made.state {
            State::InSync => Answer::Done,
            state => Answer::Wait(state, made.because.unwrap_or_default()),
        }
    }

    /// The stored object, with Lockstep as the owner of its spec.
    fn live(&self, view: &View) -> LiveObject {
        let mut value = view.doc.object();
        value["metadata"]["annotations"] = view.record.annotations(&self.desired.digest);
        let fields = json!({"f:spec": {
            "f:instances": {},
            "f:replication": {"f:mode": {}, "f:role": {}, "f:syncInstances": {}, "f:groups": {}},
        }});
        LiveObject {
            value,
            resource_version: "1".into(),
            managers: vec![Manager {
                name: "lockstep".into(),
                operation: "Apply".into(),
                subresource: None,
                time: None,
                fields,
            }],
        }
    }
}

fn desired(target: &Doc, approval: Option<&str>) -> DesiredCluster {
    let mut value = target.object();
    if let Some(approval) = approval {
        value["metadata"]["annotations"] = json!({"lockstep.dev/approve": approval});
    }
    DesiredCluster {
        document: Arc::new(Document {
            file: "c.yaml".into(),
            kind: Kind::from_api_version("stackgres.io/v1", "SGCluster"),
            key: Key::new("db", "c"),
            value: Arc::new(value.clone()),
            positions: Arc::new(Positions::default()),
        }),
        spec: ClusterSpec::read(&value).expect("a target of the model reads"),
        digest: digest(&value),
        findings: Vec::new(),
    }
}

impl std::fmt::Display for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let listed = self.sync.map_or(0, |(_, listed)| listed);
        write!(f, "{} listing {}", self.doc, names(listed))
    }
}
