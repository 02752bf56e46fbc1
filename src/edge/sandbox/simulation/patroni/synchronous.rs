//! The leader's choice of synchronous standbys, step by step: `domain` §5.2.
//!
//! Who leaves goes out of `/sync` first and out of `synchronous_standby_names` then; who joins goes the other way round, and
//! into `/sync` only once it has passed the position at which it was asked for.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::wal::Names;
use super::{Effect, Fault, Patroni, Phase, Sync};

/// Until those that joined are looked at for the first time.
const CONFIRM_AFTER: Duration = Duration::from_secs(2);

impl Patroni {
    pub(super) fn choose_synchronous(&mut self, leader: &str) {
        if !self.config.is_synchronous {
            self.write_sync(None);
            self.set_names(Names::Nobody);
            self.confirm_at = None;
            return;
        }
        if self.sync.as_ref().is_none_or(|sync| sync.leader != leader) {
            self.write_standbys(leader, BTreeSet::new());
        }
        let picked = self.pick(leader);
        let staying: BTreeSet<String> = self
            .listed()
            .into_iter()
            .filter(|name| picked.contains(name))
            .collect();
        self.write_standbys(leader, staying);
        let names = if !picked.is_empty() {
            Names::All(picked.into_iter().collect())
        } else if self.config.is_strict
            || (self.wal.names == Names::Anyone && self.version.keeps_star())
        {
            Names::Anyone
        } else {
            Names::Nobody
        };
        if self.wal.names == names {
            self.confirm_joined();
        } else {
            self.joined_at = self.wal.position;
            self.set_names(names);
            self.confirm_at = Some(self.now + CONFIRM_AFTER);
        }
    }

    /// Lists in `/sync` those that commits wait for and that have passed where they joined.
    pub(super) fn confirm_joined(&mut self) {
        let Some(leader) = self.leader().map(str::to_owned) else {
            return;
        };
        if self.sync.as_ref().is_none_or(|sync| sync.leader != leader) {
            return;
        }
        let Names::All(names) = &self.wal.names else {
            return;
        };
        let listed = self.listed();
        let confirmed = names
            .iter()
            .filter(|name| {
                listed.contains(*name)
                    || self.wal.standbys.get(*name).is_some_and(|standby| {
                        standby.is_streaming && standby.flushed >= self.joined_at
                    })
            })
            .cloned()
            .collect();
        self.write_standbys(&leader, confirmed);
    }

    /// After a promotion: nobody is listed until somebody streams from the new leader.
    pub(super) fn reset_synchronous(&mut self, leader: &str) {
        if self.config.is_synchronous {
            self.write_sync(Some(Sync {
                leader: leader.to_owned(),
                standbys: BTreeSet::new(),
            }));
            self.set_names(if self.config.is_strict {
                Names::Anyone
            } else {
                Names::Nobody
            });
        } else {
            self.set_names(Names::Nobody);
        }
    }

    /// Whether `/sync` lets this member be promoted; the restriction holds only while the configuration asks for it.
    pub(super) fn may_promote(&self, name: &str) -> bool {
        match &self.sync {
            Some(sync) if self.config.is_synchronous => {
                sync.leader.eq_ignore_ascii_case(name)
                    || sync
                        .standbys
                        .iter()
                        .any(|listed| listed.eq_ignore_ascii_case(name))
            }
            Some(_) | None => true,
        }
    }

    /// Lets those go that wait to stop and are synchronous no more, or have waited for two loops.
    pub(super) fn release_stopping(&mut self) {
        let listed = self.listed();
        for (name, member) in &mut self.members {
            if let Phase::Stopping(since) = member.phase
                && ((!listed.contains(name) && !self.wal.names.lists(name))
                    || self.now >= since + 2 * self.config.loop_wait)
            {
                member.phase = Phase::Closing(super::STOP);
            }
        }
    }

    fn listed(&self) -> BTreeSet<String> {
        self.sync
            .as_ref()
            .map(|sync| sync.standbys.clone())
            .unwrap_or_default()
    }

    /// The first `count` of those that stream and run: present ones before new ones, then by position, and those that may
    /// not be promoted last.
    fn pick(&self, leader: &str) -> BTreeSet<String> {
        let furthest = self
            .wal
            .standbys
            .values()
            .filter(|standby| standby.is_streaming)
            .map(|standby| standby.flushed)
            .max()
            .unwrap_or(0);
        let mut candidates: Vec<_> = self
            .members
            .iter()
            .filter(|(name, member)| {
                *name != leader
                    && member.phase == Phase::Running
                    && member.fault != Some(Fault::Down)
            })
            .filter_map(|(name, member)| {
                let standby = self.wal.standbys.get(name)?;
                let is_near = self
                    .config
                    .maximum_lag_on_syncnode
                    .is_none_or(|most| furthest.saturating_sub(standby.flushed) <= most);
                (standby.is_streaming && is_near).then(|| {
                    let is_new = !self.wal.names.lists(name);
                    (member.nofailover, is_new, u64::MAX - standby.flushed, name)
                })
            })
            .collect();
        candidates.sort();
        candidates
            .into_iter()
            .take(self.config.count)
            .map(|(_, _, _, name)| name.clone())
            .collect()
    }

    fn write_standbys(&mut self, leader: &str, standbys: BTreeSet<String>) {
        self.write_sync(Some(Sync {
            leader: leader.to_owned(),
            standbys,
        }));
    }

    fn write_sync(&mut self, sync: Option<Sync>) {
        if self.sync != sync {
            self.sync.clone_from(&sync);
            self.effects.push(Effect::Sync(sync));
        }
    }

    fn set_names(&mut self, names: Names) {
        if self.wal.names != names {
            self.wal.names = names.clone();
            self.effects.push(Effect::Names(names));
        }
    }
}
