//! The stored object as the model knows it: instances, mode, counts and roles, with the operator's own tables.
//!
//! Written from `domain.md` §1.4, §2.1 and §2.2 alone. It shares no code with the planner, so that a misreading there is
//! not repeated here.

use std::fmt;

use lockstep::decide::digest::{APPLIED, APPLYING};
use lockstep::model::cluster::{Mode, Role};
use serde_json::{Value, json};

/// No cluster of the model has more Pods.
pub const MOST: usize = 5;

/// Every run of equal roles but the first may need a group.
const GROUPS: usize = MOST - 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group {
    pub role: Role,
    /// 0: there is no such group.
    pub size: u8,
    /// The number in its name `group-<number>`.
    pub name: u8,
}

const NO_GROUP: Group = Group {
    role: Role::None,
    size: 0,
    name: 0,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Doc {
    pub instances: u8,
    pub mode: Mode,
    /// `syncInstances`; 0 where it is not written.
    pub count: u8,
    pub role: Role,
    pub groups: [Group; GROUPS],
}

/// What an object asks for: (strict, standbys).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Asks {
    pub strict: bool,
    pub standbys: u8,
}

impl Asks {
    pub fn keys(self) -> Keys {
        Keys {
            on: self.standbys > 0,
            strict: self.strict,
            count: self.standbys.max(1),
        }
    }

    /// The most that both ask for.
    pub fn meet(self, other: Self) -> Self {
        let standbys = self.standbys.min(other.standbys);
        Self {
            strict: self.strict && other.strict && standbys > 0,
            standbys,
        }
    }

    /// Whether it asks for no less, part by part.
    pub fn covers(self, other: Self) -> bool {
        self.standbys >= other.standbys && self.strict >= other.strict
    }
}

/// Patroni's three keys; strict and count are as for one standby where synchronous mode is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Keys {
    pub on: bool,
    pub strict: bool,
    pub count: u8,
}

impl Doc {
    pub fn new(instances: u8, mode: Mode, count: u8) -> Self {
        Self {
            instances,
            mode,
            count,
            role: Role::HaRead,
            groups: [NO_GROUP; GROUPS],
        }
    }

    pub fn with(mut self, role: Role, groups: &[(Role, u8)]) -> Self {
        self.role = role;
        for (place, (&(role, size), name)) in self.groups.iter_mut().zip(groups.iter().zip(1..)) {
            *place = Group { role, size, name };
        }
        self
    }

    pub fn grouped(&self) -> u8 {
        self.groups.iter().map(|group| group.size).sum()
    }

    pub fn asks(&self) -> Asks {
        let all = self.instances.saturating_sub(1);
        let standbys = match self.mode {
            _ if self.instances == 0 => 0,
            Mode::Async => 0,
            Mode::Sync | Mode::StrictSync => self.count,
            Mode::SyncAll | Mode::StrictSyncAll => all,
        };
        Asks {
            strict: standbys > 0 && matches!(self.mode, Mode::StrictSync | Mode::StrictSyncAll),
            standbys,
        }
    }

    /// What the operator gives Patroni (§2.1), which at no instances still follows a mode that counts.
    pub fn keys(&self) -> Keys {
        let counts = matches!(self.mode, Mode::Sync | Mode::StrictSync);
        if self.instances == 0 && counts {
            return Keys {
                on: true,
                strict: self.mode == Mode::StrictSync,
                count: self.count,
            };
        }
        self.asks().keys()
    }

    /// The role of a Pod index: first the instances in no group, then the groups in their order.
    pub fn role_of(&self, index: usize) -> Option<Role> {
        if index >= usize::from(self.instances) {
            return None;
        }
        let mut end = usize::from(self.instances.saturating_sub(self.grouped()));
        if index < end {
            return Some(self.role);
        }
        for group in self.groups {
            end += usize::from(group.size);
            if index < end {
                return Some(group.role);
            }
        }
        None
    }

    pub fn leads(&self, index: usize) -> bool {
        self.role_of(index).is_some_and(leads)
    }

    pub fn reads(&self, index: usize) -> bool {
        self.role_of(index).is_some_and(reads)
    }

    /// Why the operator's webhook refuses it.
    pub fn refusal(&self) -> Option<&'static str> {
        let counts = matches!(self.mode, Mode::Sync | Mode::StrictSync);
        if counts && self.count == 0 {
            return Some("syncInstances must be set");
        }
        if !leads(self.role) {
            return Some("the main role must be ha or ha-read");
        }
        if self.instances > 0 && self.grouped() >= self.instances {
            return Some("the groups take all instances");
        }
        if self.instances > 0 && counts && self.count >= self.instances {
            return Some("instances must be more than syncInstances");
        }
        None
    }

    /// `spec.replication` as it is written in Git and stored.
    fn replication(&self) -> Value {
        let mut section = json!({"mode": self.mode.word(), "role": self.role.word()});
        if self.count > 0 {
            section["syncInstances"] = json!(self.count);
        }
        let groups: Vec<Value> = self.groups.iter().filter(|group| group.size > 0).map(|group| {
            json!({"name": format!("group-{}", group.name), "role": group.role.word(), "instances": group.size})
        }).collect();
        if !groups.is_empty() {
            section["groups"] = Value::Array(groups);
        }
        section
    }

    /// The whole manifest of cluster `db/c`.
    pub fn object(&self) -> Value {
        json!({
            "apiVersion": "stackgres.io/v1",
            "kind": "SGCluster",
            "metadata": {"namespace": "db", "name": "c"},
            "spec": {
                "instances": self.instances,
                "postgres": {"version": "16.1"},
                "pods": {"persistentVolume": {"size": "10Gi"}},
                "replication": self.replication(),
            },
        })
    }

    /// Reads an object that was written, as the webhook completes it.
    pub fn read(object: &Value) -> Self {
        let spec = &object["spec"];
        let number = |value: &Value| {
            value
                .as_u64()
                .and_then(|number| u8::try_from(number).ok())
                .unwrap_or(0)
        };
        let section = &spec["replication"];
        let mode = section["mode"]
            .as_str()
            .unwrap_or("async")
            .parse()
            .expect("a mode is written");
        let role = |value: &Value| {
            value
                .as_str()
                .unwrap_or("ha-read")
                .parse()
                .expect("a role is written")
        };
        let mut doc = Self::new(
            number(&spec["instances"]),
            mode,
            number(&section["syncInstances"]),
        );
        if matches!(mode, Mode::Sync | Mode::StrictSync) && doc.count == 0 {
            doc.count = 1;
        }
        doc.role = role(&section["role"]);
        let groups = section["groups"].as_array().map_or(&[][..], Vec::as_slice);
        assert!(groups.len() <= GROUPS, "more groups than the model holds");
        for (place, (group, position)) in doc.groups.iter_mut().zip(groups.iter().zip(1u8..)) {
            let name = group["name"]
                .as_str()
                .and_then(|name| name.strip_prefix("group-"))
                .map(|number| number.parse().expect("groups are numbered in the model"));
            *place = Group {
                role: role(&group["role"]),
                size: number(&group["instances"]),
                name: name.unwrap_or(position),
            };
        }
        doc
    }
}

pub fn leads(role: Role) -> bool {
    matches!(role, Role::HaRead | Role::Ha)
}

pub fn reads(role: Role) -> bool {
    matches!(role, Role::HaRead | Role::Readonly)
}

impl fmt::Display for Doc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.instances, self.mode)?;
        if self.count > 0 {
            write!(f, " {}", self.count)?;
        }
        if self.role != Role::HaRead {
            write!(f, " {}", self.role.word())?;
        }
        for group in self.groups.iter().filter(|group| group.size > 0) {
            write!(f, " +{}:{}", group.role.word(), group.size)?;
        }
        Ok(())
    }
}

/// Lockstep's record on the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Record {
    /// Another document was carried out before.
    Before,
    Applying,
    Applied,
}

/// The digest of the document that was carried out before; any known one does.
pub const BEFORE: &str = "v1:before";

impl Record {
    pub fn annotations(self, digest: &str) -> Value {
        match self {
            Self::Before => json!({APPLIED: BEFORE}),
            Self::Applying => json!({APPLIED: BEFORE, APPLYING: digest}),
            Self::Applied => json!({APPLIED: digest}),
        }
    }

    pub fn read(object: &Value) -> Self {
        if object["metadata"]["annotations"].get(APPLYING).is_some() {
            Self::Applying
        } else {
            Self::Applied
        }
    }
}

/// Which objects are explored: every mode and count that the operator stores, with these instances, and at most so many
/// groups.
#[derive(Debug, Clone, Copy)]
pub struct Shapes {
    pub fewest: u8,
    pub most: u8,
    pub groups: usize,
    /// Also what asks the same in other words: `ha` where no group reads either, a count that nothing reads.
    pub spellings: bool,
}

impl Shapes {
    pub fn all(self) -> Vec<Doc> {
        let mut docs = Vec::new();
        for instances in self.fewest..=self.most {
            for (role, groups) in layouts(instances, self.groups) {
                let somebody_reads = groups.iter().any(|(role, _)| reads(*role));
                if role == Role::Ha && !somebody_reads && !self.spellings {
                    continue;
                }
                for mode in Mode::ALL {
                    for count in 0..self.most.max(2) {
                        let doc = Doc::new(instances, mode, count).with(role, &groups);
                        let is_read = matches!(mode, Mode::Sync | Mode::StrictSync);
                        let leftover = self.spellings && count == 1 && groups.is_empty();
                        if doc.refusal().is_none() && (is_read || count == 0 || leftover) {
                            docs.push(doc);
                        }
                    }
                }
            }
        }
        docs
    }
}

/// Main role and groups, up to so many of them.
fn layouts(instances: u8, most: usize) -> Vec<(Role, Vec<(Role, u8)>)> {
    let mut groups: Vec<Vec<(Role, u8)>> = vec![Vec::new()];
    let mut grown = groups.clone();
    for _ in 0..most {
        grown = grown
            .iter()
            .flat_map(|known| {
                let taken: u8 = known.iter().map(|(_, size)| size).sum();
                let sizes = 1..instances.saturating_sub(taken);
                sizes.flat_map(move |size| {
                    Role::ALL.map(|role| {
                        let mut more = known.clone();
                        more.push((role, size));
                        more
                    })
                })
            })
            .collect();
        groups.extend(grown.iter().cloned());
    }
    groups
        .into_iter()
        .flat_map(|groups| [Role::HaRead, Role::Ha].map(|role| (role, groups.clone())))
        .collect()
}
