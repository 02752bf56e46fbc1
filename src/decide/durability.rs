//! Durability: what an SGCluster asks for, what Patroni must be told for it, and what is really in force.
//!
//! Durability as configured is the pair (strict, standbys). Which keys Patroni gets for a mode is the operator's table
//! (`domain.md` §2.1); `*-all` is every replica, and nothing is synchronous with a single instance.

use crate::model::cluster::{ClusterSpec, Group, Mode, Role};
use crate::model::observed::ObservedCluster;
use crate::model::patroni::{MemberStatus, Seen, Synchronous};
use crate::model::plan::{Durability, ForceVerdict, InForce};

/// The part of an SGCluster that a transition moves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shape {
    pub instances: u32,
    pub mode: Mode,
    pub sync_instances: Option<u32>,
    /// The role of the members that are in no group.
    pub role: Role,
    pub groups: Vec<Group>,
    /// It replicates from another cluster (`spec.replicateFrom`); Patroni then ignores synchronous mode.
    pub follows: bool,
}

impl Shape {
    pub fn of(spec: &ClusterSpec) -> Self {
        Self {
            instances: spec.instances,
            mode: spec.replication.mode,
            sync_instances: spec.replication.sync_instances,
            role: spec.replication.role,
            groups: spec.replication.groups.clone(),
            follows: spec.replicates_from,
        }
    }

    /// Whether the operator's webhook would take it (`domain.md` §1.4); writes through `/scale` pass it by.
    pub fn is_storable(&self) -> bool {
        let grouped: u64 = self
            .groups
            .iter()
            .map(|group| u64::from(group.instances))
            .sum();
        let counts = !self.mode.counts()
            || self
                .sync_instances
                .is_some_and(|count| count < self.instances);
        self.instances == 0 || (grouped < u64::from(self.instances) && counts)
    }

    /// The durability this shape asks for. Without instances, and while it follows another cluster, there is none.
    pub fn asks(&self) -> Durability {
        if self.instances == 0 || self.follows {
            return NONE;
        }
        let all = self.instances.saturating_sub(1);
        match self.mode {
            Mode::Async => NONE,
            Mode::Sync => Durability {
                strict: false,
                standbys: self.sync_instances.unwrap_or(1),
            },
            Mode::StrictSync => Durability {
                strict: true,
                standbys: self.sync_instances.unwrap_or(1),
            },
            Mode::SyncAll => Durability {
                strict: false,
                standbys: all,
            },
            Mode::StrictSyncAll => Durability {
                strict: all > 0,
                standbys: all,
            },
        }
    }

    /// The keys that the operator gives Patroni for this shape.
    pub fn keys(&self) -> Synchronous {
        let asked = self.asks();
        Synchronous {
            on: asked.standbys > 0,
            strict: asked.strict,
            count: asked.standbys.max(1),
        }
    }
}

/// Nothing acknowledges but the leader itself.
pub const NONE: Durability = Durability {
    strict: false,
    standbys: 0,
};

/// The most that both promise.
pub fn meet(one: Durability, other: Durability) -> Durability {
    let standbys = one.standbys.min(other.standbys);
    Durability {
        strict: one.strict && other.strict && standbys > 0,
        standbys,
    }
}

/// Declared, stored, configured, listed and streaming, side by side, and whether the declared is what really happens.
pub fn in_force(
    declared: Option<&ClusterSpec>,
    stored: Option<&ClusterSpec>,
    seen: Option<&ObservedCluster>,
) -> InForce {
    let is_stopped = declared.is_some_and(|spec| spec.instances == 0);
    let declared = declared.map(|spec| Shape::of(spec).asks());
    let stored = stored.map(|spec| Shape::of(spec).asks());
    let Some(seen) = seen else {
        let why = "the live cluster could not be read".to_owned();
        return InForce {
            declared,
            stored,
            configured: Err(why.clone()),
            listed: Err(why.clone()),
            streaming: Vec::new(),
            verdict: ForceVerdict::Unknown(why),
        };
    };
    let leader = seen
        .patroni
        .leader
        .value()
        .and_then(|record| record.leader.clone());
    let configured = match &seen.patroni.config {
        Seen::Unknown(why) => Err(why.clone()),
        Seen::Value(config) if config.standby_cluster || !config.synchronous.on => Ok(NONE),
        Seen::Value(config) => Ok(Durability {
            strict: config.synchronous.strict,
            standbys: config.synchronous.count,
        }),
    };
    let listed = match &seen.patroni.sync {
        Seen::Unknown(why) => Err(why.clone()),
        Seen::Value(sync) if sync.leader.is_some() && sync.leader == leader => {
            Ok(sync.standbys.clone())
        }
        Seen::Value(_) => Ok(Vec::new()),
    };
    let streaming: Vec<String> = seen
        .seen_members()
        .iter()
        .filter(|member| Some(&member.name) != leader.as_ref() && member.ready)
        .filter(|member| member.said().is_some_and(MemberStatus::is_streaming))
        .map(|member| member.name.clone())
        .collect();
    let verdict = if is_stopped {
        judge_stopped(seen)
    } else {
        judge(
            declared,
            &configured,
            &listed,
            &streaming,
            &has_leader(seen),
        )
    };
    InForce {
        declared,
        stored,
        configured,
        listed,
        streaming,
        verdict,
    }
}

fn has_leader(seen: &ObservedCluster) -> Result<bool, String> {
    match &seen.patroni.leader {
        Seen::Value(record) => Ok(record.leader.is_some()),
        Seen::Unknown(why) => Err(why.clone()),
    }
}

/// Without instances there is nothing to acknowledge: in force is that nothing runs.
fn judge_stopped(seen: &ObservedCluster) -> ForceVerdict {
    match &seen.members {
        Seen::Unknown(why) => ForceVerdict::Unknown(why.clone()),
        Seen::Value(members) => match members.first() {
            None => ForceVerdict::InForce,
            Some(member) => ForceVerdict::NotInForce(format!("{} still runs", member.name)),
        },
    }
}

fn judge(
    declared: Option<Durability>,
    configured: &Result<Durability, String>,
    listed: &Result<Vec<String>, String>,
    streaming: &[String],
    has_leader: &Result<bool, String>,
) -> ForceVerdict {
    let Some(declared) = declared else {
        return ForceVerdict::Unknown("no manifest declares it".into());
    };
    let (configured, listed) = match (configured, listed) {
        (Ok(configured), Ok(listed)) => (configured, listed),
        (Err(why), _) | (_, Err(why)) => return ForceVerdict::Unknown(why.clone()),
    };
    match has_leader {
        Ok(true) => {}
        Ok(false) => return ForceVerdict::NotInForce("no leader holds the lock".into()),
        Err(why) => return ForceVerdict::Unknown(why.clone()),
    }
    if *configured != declared {
        return ForceVerdict::NotInForce(format!(
            "Patroni is configured for {configured}, declared is {declared}"
        ));
    }
    let effective = listed
        .iter()
        .filter(|name| streaming.contains(name))
        .count();
    let wanted = declared.standbys as usize;
    if listed.len() < wanted {
        return ForceVerdict::NotInForce(format!(
            "{} of {wanted} synchronous standbys are listed",
            listed.len()
        ));
    }
    if wanted > 0 && effective < wanted {
        return ForceVerdict::NotInForce(format!(
            "{effective} of {wanted} listed standbys are streaming"
        ));
    }
    ForceVerdict::InForce
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(instances: u32, mode: Mode, sync_instances: Option<u32>) -> Shape {
        Shape {
            instances,
            mode,
            sync_instances,
            role: Role::HaRead,
            groups: Vec::new(),
            follows: false,
        }
    }

    #[test]
    fn the_keys_follow_the_operators_table() {
        let keys = |n, mode, k| {
            let keys = shape(n, mode, k).keys();
            (keys.on, keys.strict, keys.count)
        };
        assert_eq!(keys(3, Mode::Async, Some(2)), (false, false, 1));
        assert_eq!(keys(3, Mode::Sync, Some(2)), (true, false, 2));
        assert_eq!(keys(3, Mode::StrictSync, Some(2)), (true, true, 2));
        assert_eq!(keys(4, Mode::SyncAll, Some(1)), (true, false, 3));
        assert_eq!(keys(4, Mode::StrictSyncAll, None), (true, true, 3));
    }

    #[test]
    fn nothing_is_synchronous_without_instances_or_while_following_another_cluster() {
        assert_eq!(shape(0, Mode::StrictSync, Some(2)).asks(), NONE);
        let mut following = shape(3, Mode::SyncAll, None);
        following.follows = true;
        assert_eq!(following.asks(), NONE);
    }

    #[test]
    fn all_of_a_single_instance_is_asynchronous() {
        assert_eq!(shape(1, Mode::StrictSyncAll, None).asks(), NONE);
        assert_eq!(shape(1, Mode::SyncAll, Some(1)).asks(), NONE);
    }

    #[test]
    fn the_meet_of_strict_and_not_strict_is_not_strict() {
        let strict = shape(3, Mode::StrictSync, Some(1)).asks();
        let wide = shape(3, Mode::SyncAll, None).asks();
        assert_eq!(
            meet(strict, wide),
            Durability {
                strict: false,
                standbys: 1
            }
        );
    }
}
