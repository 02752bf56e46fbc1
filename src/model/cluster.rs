//! The part of an SGCluster that decisions read: instances, replication, and what excludes them.
//!
//! The same type is read from a manifest and from a live object, with the defaults that the operator's webhook would
//! write (mode `async`, role `ha-read`, `syncInstances` 1 in `sync` and `strict-sync`), so that the two can be compared.

use std::fmt;
use std::str::FromStr;

use serde_json::Value;

/// More members than any cluster has. Plans hold a role for each and a step for each that goes, so a slip of the keyboard
/// must not fill the memory.
pub const MOST_INSTANCES: u32 = 1000;

/// `spec.replication.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    Async,
    Sync,
    StrictSync,
    SyncAll,
    StrictSyncAll,
}

impl Mode {
    pub const ALL: [Mode; 5] = [
        Mode::Async,
        Mode::Sync,
        Mode::StrictSync,
        Mode::SyncAll,
        Mode::StrictSyncAll,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Async => "async",
            Self::Sync => "sync",
            Self::StrictSync => "strict-sync",
            Self::SyncAll => "sync-all",
            Self::StrictSyncAll => "strict-sync-all",
        }
    }

    /// Whether every replica counts, whatever `syncInstances` says.
    pub fn is_all(self) -> bool {
        matches!(self, Self::SyncAll | Self::StrictSyncAll)
    }

    /// Whether the mode needs `syncInstances`.
    pub fn counts(self) -> bool {
        matches!(self, Self::Sync | Self::StrictSync)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Mode {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.word() == text)
            .ok_or(())
    }
}

/// `role` of the implicit group or of an explicit one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    HaRead,
    Ha,
    Readonly,
    None,
}

impl Role {
    pub const ALL: [Role; 4] = [Role::HaRead, Role::Ha, Role::Readonly, Role::None];

    pub fn word(self) -> &'static str {
        match self {
            Self::HaRead => "ha-read",
            Self::Ha => "ha",
            Self::Readonly => "readonly",
            Self::None => "none",
        }
    }

    /// Whether a pod of this role may become leader.
    pub fn is_promotable(self) -> bool {
        matches!(self, Self::HaRead | Self::Ha)
    }

    /// Whether a pod of this role is behind the `-replicas` Service.
    pub fn serves_reads(self) -> bool {
        matches!(self, Self::HaRead | Self::Readonly)
    }

    /// The role with just these capabilities.
    pub fn with(is_promotable: bool, serves_reads: bool) -> Self {
        match (is_promotable, serves_reads) {
            (true, true) => Self::HaRead,
            (true, false) => Self::Ha,
            (false, true) => Self::Readonly,
            (false, false) => Self::None,
        }
    }
}

impl FromStr for Role {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|role| role.word() == text)
            .ok_or(())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Group {
    pub name: String,
    pub role: Role,
    pub instances: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replication {
    pub mode: Mode,
    pub role: Role,
    pub sync_instances: Option<u32>,
    pub groups: Vec<Group>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Autoscaling {
    /// Whether the autoscaler owns `spec.instances` (mode `all`, the default where the section exists, or `horizontal`).
    pub horizontal: bool,
    pub min_instances: Option<u32>,
    pub max_instances: Option<u32>,
}

impl Autoscaling {
    /// Whether so many live instances are the autoscaler's affair: it owns them and keeps its bounds.
    pub fn owns(&self, instances: u32) -> bool {
        self.horizontal
            && self.min_instances.is_none_or(|min| instances >= min)
            && self.max_instances.is_none_or(|max| instances <= max)
    }
}

/// What decisions read of an SGCluster's spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSpec {
    pub instances: u32,
    pub replication: Replication,
    pub replicates_from: bool,
    pub autoscaling: Option<Autoscaling>,
}

impl ClusterSpec {
    /// Reads a whole SGCluster object. `Err` names the first field that cannot be what the operator expects; a manifest
    /// that passed `decide::check` always reads.
    pub fn read(object: &Value) -> Result<Self, String> {
        let spec = object.get("spec").ok_or("spec is missing")?;
        let replication = spec.get("replication").unwrap_or(&Value::Null);
        let autoscaling = match spec.get("autoscaling") {
            None | Some(Value::Null) => None,
            Some(section) => Some(Autoscaling {
                horizontal: matches!(
                    section.get("mode").and_then(Value::as_str),
                    None | Some("all" | "horizontal")
                ),
                min_instances: count(section, "minInstances", "spec.autoscaling.minInstances")?,
                max_instances: count(section, "maxInstances", "spec.autoscaling.maxInstances")?,
            }),
        };
        Ok(Self {
            instances: count(spec, "instances", "spec.instances")?
                .ok_or("spec.instances is missing")?,
            replication: Replication::read(replication)?,
            replicates_from: spec
                .get("replicateFrom")
                .is_some_and(|value| !value.is_null()),
            autoscaling,
        })
    }
}

impl Replication {
    fn read(section: &Value) -> Result<Self, String> {
        let mode = match word(section, "mode", "spec.replication.mode")? {
            None => Mode::Async,
            Some(text) => text
                .parse()
                .map_err(|()| format!("spec.replication.mode `{text}` is not a known mode"))?,
        };
        let role = match word(section, "role", "spec.replication.role")? {
            None => Role::HaRead,
            Some(text) => text
                .parse()
                .map_err(|()| format!("spec.replication.role `{text}` is not a known role"))?,
        };
        let declared = count(section, "syncInstances", "spec.replication.syncInstances")?;
        let sync_instances = if mode.counts() {
            declared.or(Some(1))
        } else {
            declared
        };
        let groups = groups_of(section.get("groups").unwrap_or(&Value::Null))?;
        Ok(Self {
            mode,
            role,
            sync_instances,
            groups,
        })
    }
}

/// Reads `spec.replication.groups`; null is none.
pub fn groups_of(list: &Value) -> Result<Vec<Group>, String> {
    match list {
        Value::Null => Ok(Vec::new()),
        Value::Array(groups) => groups
            .iter()
            .enumerate()
            .map(|(index, group)| Group::read(index, group))
            .collect(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            Err("spec.replication.groups is not a list".into())
        }
    }
}

impl Group {
    fn read(index: usize, group: &Value) -> Result<Self, String> {
        let path = format!("spec.replication.groups[{index}]");
        let name = word(group, "name", &format!("{path}.name"))?;
        let role = match word(group, "role", &format!("{path}.role"))? {
            None => Role::HaRead,
            Some(text) => text
                .parse()
                .map_err(|()| format!("{path}.role `{text}` is not a known role"))?,
        };
        Ok(Self {
            name: name.map_or_else(|| format!("group-{}", index + 1), str::to_owned),
            role,
            instances: count(group, "instances", &format!("{path}.instances"))?
                .ok_or_else(|| format!("{path}.instances is missing"))?,
        })
    }
}

fn count(parent: &Value, key: &str, path: &str) -> Result<Option<u32>, String> {
    let number = match parent.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value.as_u64().and_then(|number| u32::try_from(number).ok()),
    };
    match number {
        None => Err(format!("{path} is not a whole number of instances")),
        Some(number) if number > MOST_INSTANCES => Err(format!(
            "{path} is {number}, and more than {MOST_INSTANCES} instances are not handled"
        )),
        Some(number) => Ok(Some(number)),
    }
}

fn word<'v>(parent: &'v Value, key: &str, path: &str) -> Result<Option<&'v str>, String> {
    match parent.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_str()
            .map(Some)
            .ok_or_else(|| format!("{path} is not a string")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_object_without_replication_reads_as_the_webhook_would_complete_it() {
        let spec = ClusterSpec::read(&json!({"spec": {"instances": 2}})).unwrap();
        assert_eq!(spec.replication.mode, Mode::Async);
        assert_eq!(spec.replication.role, Role::HaRead);
        assert_eq!(spec.replication.sync_instances, None);
    }

    #[test]
    fn more_instances_than_any_cluster_has_are_not_read() {
        let read = |instances: u64| ClusterSpec::read(&json!({"spec": {"instances": instances}}));
        assert!(read(1000).is_ok());
        assert_eq!(
            read(1001).unwrap_err(),
            "spec.instances is 1001, and more than 1000 instances are not handled"
        );
        assert!(read(u64::MAX).is_err());
    }

    #[test]
    fn sync_without_a_count_means_one() {
        let spec =
            ClusterSpec::read(&json!({"spec": {"instances": 3, "replication": {"mode": "sync"}}}))
                .unwrap();
        assert_eq!(spec.replication.sync_instances, Some(1));
    }

    #[test]
    fn an_autoscaling_section_without_a_mode_owns_the_instances() {
        let spec =
            ClusterSpec::read(&json!({"spec": {"instances": 3, "autoscaling": {}}})).unwrap();
        assert!(spec.autoscaling.unwrap().horizontal);
    }
}
