//! What was decided for one cluster: its state, what differs, the steps that lead there, and what each waits for.
//!
//! Everything people see is rendered from these values, and the next write is taken from them. A plan never acts.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use super::cluster::Role;
use super::desired::Source;
use super::field::FieldPath;
use super::finding::{Finding, Place};
use super::key::{Key, Kind};
use super::observed::{LiveObject, ObservedCluster};

/// Where a cluster stands between Git and live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// The object says what Git says.
    InSync,
    /// Git has changed; the next step can be taken.
    Pending,
    /// Between the first and the last of several writes; the next step can be taken.
    InTransition,
    /// The next step's gates are not open yet.
    Waiting,
    /// It does not go on by itself: a person has to act.
    Blocked,
    /// Live was changed by somebody else; Git was carried out before.
    Drifted,
    /// A person has asked Lockstep to keep its hands off.
    Suspended,
    /// The manifest cannot be carried out as it stands; live is left as it is.
    Refused,
    /// What is live could not be read.
    Unknown,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::InSync => "in-sync",
            Self::Pending => "pending",
            Self::InTransition => "in-transition",
            Self::Waiting => "waiting",
            Self::Blocked => "blocked",
            Self::Drifted => "drifted",
            Self::Suspended => "suspended",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How many standbys acknowledge each commit, and whether writes wait for one when none is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Durability {
    pub strict: bool,
    pub standbys: u32,
}

impl fmt::Display for Durability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.standbys, self.strict) {
            (0, _) => f.write_str("asynchronous"),
            (1, false) => f.write_str("1 synchronous standby"),
            (count, false) => write!(f, "{count} synchronous standbys"),
            (1, true) => f.write_str("1 synchronous standby, strict"),
            (count, true) => write!(f, "{count} synchronous standbys, strict"),
        }
    }
}

/// How many members a cluster may lose at once, whichever they are, until something stops holding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Availability {
    /// Writes go on, by themselves, after whatever failover.
    pub writes: Margin,
    /// Each acknowledged commit is there after a failover, automatic or forced.
    pub commits: Margin,
    /// An automatic failover is possible once more.
    pub failover: Margin,
}

impl Availability {
    /// Nothing can be told, for this reason.
    pub fn unknown(why: &str) -> Self {
        let unknown = || Margin::Unknown(why.to_owned());
        Self {
            writes: unknown(),
            commits: unknown(),
            failover: unknown(),
        }
    }
}

/// How far it is to the loss of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Margin {
    /// So many members may be lost at once and it still holds; with one more, in the worst choice, it does not.
    Lost(u32),
    /// It holds whatever is lost.
    Never,
    /// It does not hold now.
    Already,
    /// What is live could not be read, and why.
    Unknown(String),
}

/// A field that Git declares (or Lockstep still owns) and that live has otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    pub path: FieldPath,
    /// `None`: removed from Git, and still owned by Lockstep.
    pub declared: Option<Value>,
    /// `None`: live does not have it.
    pub live: Option<Value>,
    /// Where Git declares it, or the nearest parent that it still declares.
    pub place: Option<Place>,
    /// Who owns the live value, as far as `managedFields` tells.
    pub last_write: Option<LastWrite>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastWrite {
    pub manager: String,
    pub operation: String,
    pub subresource: Option<String>,
    pub time: Option<String>,
}

/// One write on the way from live to desired, with the gates that must be open before it.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// What the write does; more than one where a single write is safe and the fewest.
    pub moves: Vec<Move>,
    pub changes: Vec<Change>,
    /// Why this is a step of its own, and stands here: one sentence.
    pub why: String,
    pub gates: Vec<Gate>,
    pub durability_before: Durability,
    pub durability_after: Durability,
    /// Once the write is in force.
    pub availability_after: Availability,
    /// Not the last write of several: the object carries `lockstep.dev/applying` meanwhile.
    pub more_follow: bool,
    /// The object that is applied, complete.
    pub object: Arc<Value>,
}

impl Step {
    pub fn is_open(&self) -> bool {
        self.gates.iter().all(|gate| gate.verdict.is_open())
    }

    /// The gates that hold this step.
    pub fn holding(&self) -> impl Iterator<Item = &Gate> {
        self.gates.iter().filter(|gate| !gate.verdict.is_open())
    }
}

/// What a write does to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// The object is made, asynchronous, with its final instances and roles.
    Create,
    /// Only Lockstep's own record is written: the object already says what Git says.
    Record,
    /// Fields outside replication and instances that replace no Pod.
    Settings,
    /// Members that are there may do more: lead, or serve reads. Each with the role it gets.
    GiveRoles {
        members: Vec<(String, Role)>,
    },
    /// Fewer standbys acknowledge, or strict is taken off.
    Loosen {
        from: Durability,
        to: Durability,
        /// Not asked for by the declared mode, but by going down to so many instances: where that cannot be, it is not worth
        /// beginning.
        makes_room: Option<u32>,
    },
    Grow {
        from: u32,
        to: u32,
    },
    /// From no instances to so many.
    Start {
        to: u32,
    },
    /// So many standbys acknowledge each commit from here on.
    Climb {
        standbys: u32,
    },
    /// Writes wait when no synchronous standby is left, from here on.
    AddStrict {
        standbys: u32,
    },
    /// One instance less; this Pod goes.
    Remove {
        member: String,
        instances: u32,
        /// How many are left when the last removal is made.
        end: u32,
    },
    /// The last instance goes.
    Stop {
        member: String,
    },
    /// Members may do less. Each with the role it gets, and the roles of all by index, as they are then.
    TakeRoles {
        members: Vec<(String, Role)>,
        roles: Vec<Role>,
    },
    /// It becomes a standby cluster of another one, or of a different one (`spec.replicateFrom`).
    Follow,
    /// It follows no other cluster any more, and is promoted.
    Lead,
    /// Fields whose change makes the operator replace Pods.
    Template {
        /// Writes to replication came before it, and have to be in force.
        after_replication: bool,
    },
    /// The mode's declared spelling; Patroni notices nothing.
    Spell,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub path: FieldPath,
    pub from: Option<Value>,
    pub to: Option<Value>,
}

/// A condition that must hold before a step is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    pub id: GateId,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GateId {
    /// The objects it refers to, as far as Git declares them, are applied.
    ReferencesApplied,
    /// P0: a leader holds the lock and renews it.
    LeaderLive,
    /// P1: Patroni's configuration is what the live object asks for, and a loop has run with it.
    ConfigInForce,
    /// P2: `/sync` lists the standbys that the live mode asks for.
    SyncSatisfied,
    /// P3: the members are there, ready and streaming.
    MembersHealthy,
    /// A person has approved the change in Git, as the plan names it.
    Approved,
    /// P4: no lock, operation, switchover, pause or rollout.
    NothingElseRunning,
    /// P5: every member has taken up its role.
    RolesApplied,
    /// P6: the StatefulSet is where the live object wants it.
    OperatorCaughtUp,
    /// P7: a standby in `/sync` may be promoted, and still may when the step is done.
    Promotable,
    /// On a Patroni that keeps waiting when strict is taken off with no standby there (`domain` §5.5): one streams.
    Unblocks,
    /// The standbys needed were seen to pass a position that lay ahead of them.
    Mark,
    /// The leader is not removed, and may lead after the step.
    LeaderStays,
    /// The leader that an instance-less cluster had last is the one that would start first.
    LastLeader,
}

impl GateId {
    /// The short name used in `domain` tables and in JSON.
    pub fn code(self) -> &'static str {
        match self {
            Self::ReferencesApplied => "references",
            Self::LeaderLive => "P0",
            Self::ConfigInForce => "P1",
            Self::SyncSatisfied => "P2",
            Self::MembersHealthy => "P3",
            Self::NothingElseRunning => "P4",
            Self::RolesApplied => "P5",
            Self::Approved => "approval",
            Self::Unblocks => "unblocks",
            Self::LastLeader => "last-leader",
            Self::OperatorCaughtUp => "P6",
            Self::Promotable => "P7",
            Self::Mark => "mark",
            Self::LeaderStays => "leader-stays",
        }
    }

    pub fn words(self) -> &'static str {
        match self {
            Self::ReferencesApplied => "references applied",
            Self::LeaderLive => "leader live",
            Self::ConfigInForce => "configuration in force",
            Self::SyncSatisfied => "synchronous standbys listed",
            Self::MembersHealthy => "members healthy",
            Self::NothingElseRunning => "nothing else running",
            Self::RolesApplied => "roles applied",
            Self::Approved => "approved",
            Self::Unblocks => "a standby streams",
            Self::LastLeader => "last leader known",
            Self::OperatorCaughtUp => "operator caught up",
            Self::Promotable => "a synchronous standby is promotable",
            Self::Mark => "standbys passed the mark",
            Self::LeaderStays => "leader stays",
        }
    }
}

/// A gate as it stands. Only `Open` opens; unknown is never open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// With the evidence, or the risk taken.
    Open(String),
    Closed(String),
    Unknown(String),
    /// Judged when the steps before it are done.
    Later,
}

impl Verdict {
    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }

    pub fn word(&self) -> &'static str {
        match self {
            Self::Open(_) => "open",
            Self::Closed(_) => "closed",
            Self::Unknown(_) => "unknown",
            Self::Later => "later",
        }
    }

    pub fn reason(&self) -> &str {
        match self {
            Self::Open(reason) | Self::Closed(reason) | Self::Unknown(reason) => reason,
            Self::Later => "",
        }
    }
}

/// Declared, stored, configured, listed and streaming, side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InForce {
    /// What Git asks for; `None` where no manifest can be read.
    pub declared: Option<Durability>,
    /// What the live object asks for.
    pub stored: Option<Durability>,
    /// What Patroni is configured to do; `Err` is why this is not known.
    pub configured: Result<Durability, String>,
    /// Standbys that `/sync` lists under the present leader.
    pub listed: Result<Vec<String>, String>,
    pub streaming: Vec<String>,
    pub verdict: ForceVerdict,
}

/// Whether what Git declares is what really happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForceVerdict {
    InForce,
    NotInForce(String),
    Unknown(String),
}

/// Everything decided for one cluster in one pass.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterPlan {
    pub key: Key,
    pub state: State,
    /// One line: what the next step waits for, what is refused, or what a person has to do.
    pub because: Option<String>,
    /// Where the manifest begins; `None` where Git has none.
    pub place: Option<Place>,
    /// What differs between Git and live; with `state` pending these are also what will be changed or undone.
    pub differences: Vec<Difference>,
    /// Of `differences`, manual changes that carrying out Git will undo.
    pub undone: Vec<FieldPath>,
    pub steps: Vec<Step>,
    pub findings: Vec<Finding>,
    pub in_force: InForce,
    /// As things stand before the first step; `None` where there is no such cluster yet.
    pub availability: Option<Availability>,
    /// Both sides of the text diff: live restricted to what Git declares or Lockstep owns, and Git. Equal where in sync.
    pub live: Option<Arc<Value>>,
    pub declared: Option<Arc<Value>>,
    /// What was seen, for the members' table.
    pub observed: Option<Arc<ObservedCluster>>,
}

impl ClusterPlan {
    /// The reason without the numbers that count on by themselves (seconds, positions), to tell whether it is news. Names
    /// keep theirs: another standby is another reason.
    pub fn gist(&self) -> String {
        let because = self.because.as_deref().unwrap_or_default();
        let counts = |word: &&str| word.starts_with(|letter: char| letter.is_ascii_digit());
        because
            .split_whitespace()
            .filter(|word| !counts(word))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The step that may be written now: the first one, when all its gates are open and nothing forbids writing.
    pub fn open_step(&self) -> Option<OpenStep<'_>> {
        match self.state {
            State::InSync | State::Pending | State::InTransition | State::Waiting => {}
            State::Blocked
            | State::Drifted
            | State::Suspended
            | State::Refused
            | State::Unknown => return None,
        }
        let step = self.steps.first().filter(|step| step.is_open())?;
        // What is only kept to be shown has nothing left to write.
        if step.object.is_null() {
            return None;
        }
        Some(OpenStep {
            key: &self.key,
            step,
            live: self.observed.as_ref().and_then(|seen| seen.live.as_ref()),
        })
    }
}

/// The fields of an object that are shown beside its differences: in tables, and in the members' title.
const SHOWN: [&[&str]; 3] = [
    &["spec", "instances"],
    &["spec", "replication", "mode"],
    &[
        "spec",
        "configurations",
        "patroni",
        "initialConfig",
        "citus",
        "group",
    ],
];

impl ClusterPlan {
    /// The plan as it is kept after its pass: all that is shown of it, and nothing that only a write needs. Parsed objects
    /// take ten times their text, and a report holds every cluster of the fleet.
    #[must_use]
    pub fn kept(mut self) -> Self {
        if self.differences.is_empty() {
            let sides = self.declared.as_deref().map(outline).map(Arc::new);
            self.live = self.live.and(sides.clone());
            self.declared = sides;
        }
        for step in &mut self.steps {
            step.object = Arc::default();
        }
        if let Some(seen) = &mut self.observed
            && let Some(live) = &mut Arc::make_mut(seen).live
        {
            live.value = outline(&live.value);
            live.managers = Vec::new();
        }
        self
    }
}

fn outline(object: &Value) -> Value {
    let mut outline = Value::Object(serde_json::Map::new());
    for path in SHOWN {
        if let Some(found) = path.iter().try_fold(object, |at, key| at.get(key)) {
            let place = path.iter().fold(&mut outline, |at, key| &mut at[*key]);
            *place = found.clone();
        }
    }
    outline
}

/// A step whose gates were all checked and are open. Only `ClusterPlan::open_step` makes one, and only this is written.
#[derive(Debug, Clone, Copy)]
pub struct OpenStep<'p> {
    key: &'p Key,
    step: &'p Step,
    live: Option<&'p LiveObject>,
}

impl<'p> OpenStep<'p> {
    pub fn key(&self) -> &'p Key {
        self.key
    }

    pub fn step(&self) -> &'p Step {
        self.step
    }

    /// The object that the gates were judged on; `None` where the step creates it.
    pub fn live(&self) -> Option<&'p LiveObject> {
        self.live
    }
}

/// What was decided for an object that clusters refer to: a profile, a configuration, an object storage.
#[derive(Debug, Clone, PartialEq)]
pub struct SupportingPlan {
    pub kind: Kind,
    pub key: Key,
    /// One of in-sync, pending, waiting, blocked, drifted, unknown.
    pub state: State,
    pub because: Option<String>,
    pub place: Place,
    pub differences: Vec<Difference>,
    /// Both sides of the text diff, as for clusters.
    pub declared: Arc<Value>,
    pub live: Option<Arc<Value>>,
}

/// A write that was carried out.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    pub kind: String,
    pub key: Key,
    pub changes: Vec<Change>,
    /// As they stood when it was written.
    pub gates: Vec<Gate>,
}

/// Everything decided in one pass, from one revision of the repository and one look at the cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub source: Source,
    /// In the order of their keys.
    pub clusters: Vec<Arc<ClusterPlan>>,
    /// In the order in which they are applied.
    pub supporting: Vec<Arc<SupportingPlan>>,
    /// The latest writes, the newest last.
    pub written: Vec<Arc<Written>>,
    /// What belongs to no cluster.
    pub findings: Vec<Finding>,
}
