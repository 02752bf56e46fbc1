//! What successive looks at one cluster have shown: the leader's loops, and which standbys really move.
//!
//! A status annotation never expires, so one look proves nothing. Time is counted in loops of the leader, by changes of
//! its `renewTime`; the local clock only says how long ago a change was seen. A standby is proven to move once it has
//! passed a position that lay ahead of its own last reported one, the *mark*; while marks are outstanding for too long it
//! is not. All of this only saves waiting: after a restart it is gathered anew.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::observed::ObservedCluster;
use crate::model::patroni::{Lsn, MemberStatus};

/// Time since this process began to look; never compared with anything written by another host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Duration);

impl Moment {
    pub fn since(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// A mark must be passed before this many further loops have run: a standby reports once a loop of its own, so a live one
/// needs at most one.
const LOOPS_TO_PASS: u64 = 2;
/// After its last pass a standby with nothing ahead of it counts as moving for this many loops.
const LOOPS_PROVEN: u64 = 3;
/// What was seen before a gap this long between looks proves nothing any more.
const LONGEST_GAP: Duration = Duration::from_secs(45);
/// Without any write for this long, an idle leader may be taken as such (`gates.idleLeader`).
pub const IDLE: Duration = Duration::from_secs(120);

/// What is remembered of one cluster between looks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sighting {
    /// Changes of `renewTime` seen under the present leader.
    pub loops: u64,
    pub leader: Option<String>,
    transitions: Option<String>,
    renew_time: Option<String>,
    last_look: Option<Moment>,
    /// When the present record was first looked at, whether or not it has changed since.
    first_look: Option<Moment>,
    /// When `renewTime` was last seen to change.
    pub renewed: Option<Moment>,
    optime: Option<Lsn>,
    /// When the leader's position was last seen to move, or first seen.
    optime_moved: Option<Moment>,
    optime_moved_loop: u64,
    config_version: Option<String>,
    /// `loops` when the present configuration was first seen.
    pub config_loop: u64,
    listed: Vec<String>,
    /// `loops` when `/sync` was first seen as it is.
    pub listed_loop: u64,
    members: BTreeMap<String, MemberSighting>,
    /// What a plan waits for, and since when.
    waits: Option<(String, Moment)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct MemberSighting {
    position: Option<Lsn>,
    position_moved: Option<Moment>,
    mark: Option<Mark>,
    passed_loop: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    at: Lsn,
    set_loop: u64,
}

/// Whether a standby was seen to move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Movement {
    /// It passed a mark within the last loops.
    Passed,
    /// It has a mark ahead of it and has not passed it yet; it still may.
    Underway { mark: Lsn, position: Lsn },
    /// It has not passed its mark although loops have run.
    Stuck {
        position: Lsn,
        leader: Lsn,
        standing: Duration,
    },
    /// The leader writes nothing, so nothing tells a frozen standby from a live one; for how long.
    Idle { standing: Duration },
    /// It reports no position.
    Silent,
}

impl Sighting {
    /// Takes one look. `now` must not run backwards between looks.
    pub fn look(&mut self, seen: &ObservedCluster, now: Moment) {
        let Some(record) = seen.patroni.leader.value() else {
            // Nothing is learnt from a look that saw nothing; what was known grows older by itself.
            return;
        };
        let gap = self
            .last_look
            .is_some_and(|last| now.since(last) > LONGEST_GAP);
        self.last_look = Some(now);
        if gap || record.leader != self.leader || record.transitions != self.transitions {
            *self = Self {
                leader: record.leader.clone(),
                transitions: record.transitions.clone(),
                renew_time: record.renew_time.clone(),
                first_look: Some(now),
                last_look: Some(now),
                waits: self.waits.take(),
                ..Self::default()
            };
        } else if record.renew_time != self.renew_time {
            self.renew_time.clone_from(&record.renew_time);
            self.loops += 1;
            self.renewed = Some(now);
        }
        if record.optime != self.optime {
            self.optime = record.optime;
            self.optime_moved = Some(now);
            self.optime_moved_loop = self.loops;
        }
        if seen.patroni.config_version != self.config_version {
            self.config_version.clone_from(&seen.patroni.config_version);
            self.config_loop = self.loops;
        }
        let listed = seen
            .patroni
            .sync
            .value()
            .map(|sync| sync.standbys.clone())
            .unwrap_or_default();
        if listed != self.listed {
            self.listed = listed;
            self.listed_loop = self.loops;
        }
        self.look_at_members(seen, now);
    }

    fn look_at_members(&mut self, seen: &ObservedCluster, now: Moment) {
        let Some(members) = seen.members.value() else {
            return;
        };
        let (loops, optime, leader) = (self.loops, self.optime, self.leader.clone());
        self.members
            .retain(|name, _| members.iter().any(|member| member.name == *name));
        for member in members
            .iter()
            .filter(|member| Some(&member.name) != leader.as_ref())
        {
            let sighting = self.members.entry(member.name.clone()).or_default();
            let position = member
                .said()
                .filter(|said| said.is_running())
                .and_then(MemberStatus::received);
            if position != sighting.position {
                sighting.position = position;
                sighting.position_moved = Some(now);
            }
            let (Some(position), Some(optime)) = (position, optime) else {
                sighting.mark = None;
                continue;
            };
            if sighting.mark.is_some_and(|mark| position >= mark.at) {
                sighting.mark = None;
                sighting.passed_loop = Some(loops);
            }
            if sighting.mark.is_none() && optime > position {
                sighting.mark = Some(Mark {
                    at: optime,
                    set_loop: loops,
                });
            }
        }
    }

    /// Notes what the plan of this look waits for; the same wait goes on from when it began.
    pub fn waits(&mut self, awaited: Option<String>, now: Moment) {
        let is_same = self.waits.as_ref().map(|(known, _)| known) == awaited.as_ref();
        if !is_same {
            self.waits = awaited.map(|awaited| (awaited, now));
        }
    }

    /// How long this has been waited for.
    pub fn waited(&self, awaited: &str, now: Moment) -> Duration {
        match &self.waits {
            Some((known, since)) if known == awaited => now.since(*since),
            Some(_) | None => Duration::ZERO,
        }
    }

    /// Whether the renewals of the leader's lock go on: seen to change within `ttl`.
    pub fn is_renewing(&self, now: Moment, ttl: Duration) -> bool {
        self.renewed
            .is_some_and(|renewed| now.since(renewed) <= ttl)
    }

    /// How long the present record has been looked at without a renewal.
    pub fn without_renewal(&self, now: Moment) -> Duration {
        self.renewed
            .or(self.first_look)
            .map_or(Duration::ZERO, |moment| now.since(moment))
    }

    pub fn movement(&self, member: &str, now: Moment) -> Movement {
        let Some(sighting) = self.members.get(member) else {
            return Movement::Silent;
        };
        let Some(position) = sighting.position else {
            return Movement::Silent;
        };
        let since =
            |moment: Option<Moment>| moment.map_or(Duration::ZERO, |moment| now.since(moment));
        match (sighting.mark, sighting.passed_loop) {
            (Some(mark), _) if self.loops >= mark.set_loop + LOOPS_TO_PASS => Movement::Stuck {
                position,
                leader: self.optime.unwrap_or(mark.at),
                standing: since(sighting.position_moved),
            },
            (_, Some(passed)) if self.loops < passed + LOOPS_PROVEN => Movement::Passed,
            // The mark is fresh, so the standby has reached all marks before it: busy clusters live here.
            (Some(_), Some(_)) => Movement::Passed,
            (Some(mark), None) => Movement::Underway {
                mark: mark.at,
                position,
            },
            (None, _) => Movement::Idle {
                standing: since(self.optime_moved),
            },
        }
    }

    /// The same looks at members of other names.
    #[cfg(test)]
    pub fn renamed(&self, rename: &dyn Fn(&str) -> String) -> Self {
        let members = self.members.iter();
        Self {
            leader: self.leader.as_deref().map(rename),
            listed: self.listed.iter().map(|name| rename(name)).collect(),
            members: members
                .map(|(name, member)| (rename(name), member.clone()))
                .collect(),
            ..self.clone()
        }
    }

    /// Loops since the leader's position was last seen to move.
    pub fn idle_loops(&self) -> u64 {
        self.loops - self.optime_moved_loop
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::scene::Scene;

    fn after(scene: &mut Scene, sighting: &mut Sighting, looks: &[(u64, u64)]) {
        // Each look: one leader loop; the leader's position, then the standby's.
        for (index, (leader, standby)) in looks.iter().enumerate() {
            scene.renew(*leader);
            scene.position("c-1", *standby);
            sighting.look(
                &scene.seen,
                Moment(Duration::from_secs(10 * (index as u64 + 1))),
            );
        }
    }

    fn movement(looks: &[(u64, u64)]) -> Movement {
        let (mut scene, mut sighting) = (Scene::asynchronous(2), Sighting::default());
        after(&mut scene, &mut sighting, looks);
        sighting.movement("c-1", Moment(Duration::from_secs(10 * looks.len() as u64)))
    }

    #[test]
    fn a_standby_that_reaches_where_the_leader_was_has_passed_the_mark() {
        assert_eq!(movement(&[(200, 100), (300, 250)]), Movement::Passed);
    }

    #[test]
    fn one_look_proves_nothing() {
        assert!(matches!(movement(&[(200, 100)]), Movement::Underway { .. }));
    }

    #[test]
    fn a_frozen_standby_is_stuck_after_two_loops_and_says_where() {
        let stuck = movement(&[(200, 100), (300, 100), (400, 100)]);
        let standing = Duration::from_secs(20);
        assert_eq!(
            stuck,
            Movement::Stuck {
                position: Lsn(100),
                leader: Lsn(400),
                standing
            }
        );
    }

    #[test]
    fn a_standby_that_freezes_after_having_moved_is_found_out() {
        assert!(matches!(
            movement(&[(200, 100), (300, 250), (400, 250), (500, 250)]),
            Movement::Stuck { .. }
        ));
    }

    #[test]
    fn at_the_leaders_position_nothing_tells_frozen_from_live() {
        assert!(matches!(
            movement(&[(200, 200), (200, 200), (200, 200)]),
            Movement::Idle { .. }
        ));
    }

    #[test]
    fn what_was_seen_before_a_long_gap_proves_nothing() {
        let (mut scene, mut sighting) = (Scene::asynchronous(2), Sighting::default());
        after(&mut scene, &mut sighting, &[(200, 100), (300, 250)]);
        let much_later = Moment(Duration::from_secs(3600));
        scene.renew(900);
        sighting.look(&scene.seen, much_later);
        assert_ne!(sighting.movement("c-1", much_later), Movement::Passed);
        assert!(!sighting.is_renewing(much_later, Duration::from_secs(30)));
    }

    #[test]
    fn a_new_leader_makes_all_that_was_seen_worthless() {
        let (mut scene, mut sighting) = (Scene::asynchronous(3), Sighting::default());
        after(&mut scene, &mut sighting, &[(200, 100), (300, 250)]);
        scene.lead("c-2");
        scene.position("c-1", 250);
        sighting.look(&scene.seen, Moment(Duration::from_secs(30)));
        assert!(!matches!(
            sighting.movement("c-1", Moment(Duration::from_secs(30))),
            Movement::Passed
        ));
        assert!(!sighting.is_renewing(Moment(Duration::from_secs(30)), Duration::from_secs(30)));
    }
}
