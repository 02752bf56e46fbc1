//! Availability, proved by trying: every set of losses on every small cluster, against a tiny Patroni that knows nothing of
//! the rules in `availability` and only does what `domain.md` §5.2 and §5.4 say.

use serde_json::json;

use crate::decide::availability::{expected, observed};
use crate::decide::scene::Scene;
use crate::model::cluster::Role;
use crate::model::patroni::{Seen, SyncState};
use crate::model::plan::{Availability, Durability, Margin};

/// Sets of members are bits.
#[derive(Clone, Copy)]
struct Tiny {
    members: usize,
    promotable: u32,
    leader: usize,
    strict: bool,
    count: usize,
    /// `/sync` before any loss.
    listed: u32,
}

fn has(set: u32, member: usize) -> bool {
    set & (1 << member) != 0
}

impl Tiny {
    fn all(self) -> u32 {
        (1 << self.members) - 1
    }

    fn is_synchronous(self) -> bool {
        self.count > 0
    }

    /// What the leader's loop lists of those alive (§5.2 item 2).
    fn refilled(self, alive: u32, leader: usize) -> u32 {
        let standbys = (0..self.members).filter(|member| has(alive, *member));
        let mut standbys: Vec<usize> = standbys.filter(|member| *member != leader).collect();
        standbys.sort_by_key(|member| !has(self.promotable, *member));
        standbys.iter().take(self.count).map(|at| 1 << at).sum()
    }

    /// Who may take over from a leader that is gone (§5.4).
    fn candidates(self, alive: u32, listed: u32) -> u32 {
        let able = alive & self.promotable;
        if self.is_synchronous() {
            able & listed
        } else {
            able
        }
    }

    fn blocks(self, alive: u32) -> bool {
        self.is_synchronous() && self.strict && alive.count_ones() == 1
    }

    /// Everybody who may lead after these losses; empty: nobody.
    fn leaders(self, lost: u32) -> Vec<usize> {
        let alive = self.all() & !lost;
        let candidates = if has(alive, self.leader) {
            1 << self.leader
        } else {
            self.candidates(alive & !(1 << self.leader), self.listed)
        };
        (0..self.members)
            .filter(|member| has(candidates, *member))
            .collect()
    }

    fn stops_writes(self, lost: u32) -> bool {
        self.leaders(lost).is_empty() || self.blocks(self.all() & !lost)
    }

    fn ends_failover(self, lost: u32) -> bool {
        let leaders = self.leaders(lost);
        leaders.is_empty()
            || leaders.into_iter().any(|leader| {
                let alive = self.all() & !lost;
                let listed = if lost == 0 {
                    self.listed
                } else {
                    self.refilled(alive, leader)
                };
                self.candidates(alive & !(1 << leader), listed) == 0
            })
    }

    /// `lost` includes `away`: standbys that are lost first, and are back when the rest, with the leader, is gone.
    fn loses_commits(self, lost: u32, away: u32) -> bool {
        let leader = 1 << self.leader;
        if lost & leader == 0 {
            return false;
        }
        let meanwhile = self.all() & !away;
        let (mut listed, mut have_first, mut have_last) = (self.listed, self.listed, self.all());
        if away != 0 {
            listed = self.refilled(meanwhile, self.leader);
            // Who joins `/sync` has caught up (§5.2 item 4).
            have_first |= listed;
            if !self.blocks(meanwhile) {
                have_last = listed;
            }
        }
        let have_all = have_first & have_last;
        let alive = (self.all() & !lost) | away;
        let automatic = self.candidates(alive, listed);
        let forced = alive & self.promotable;
        let goes_to = if automatic == 0 { forced } else { automatic };
        goes_to & !have_all != 0
    }

    fn smallest(self, breaks: impl Fn(u32) -> bool) -> Margin {
        let sets = (0..=self.all()).filter(|lost| breaks(*lost));
        match sets.map(u32::count_ones).min() {
            None => Margin::Never,
            Some(0) => Margin::Already,
            Some(size) => Margin::Lost(size - 1),
        }
    }

    fn verdict(self) -> Availability {
        let standbys = self.all() & !(1 << self.leader);
        Availability {
            writes: self.smallest(|lost| self.stops_writes(lost)),
            commits: self.smallest(|lost| {
                (0..=self.all())
                    .filter(|away| away & !lost == 0 && away & !standbys == 0)
                    .any(|away| self.loses_commits(lost, away))
            }),
            failover: self.smallest(|lost| self.ends_failover(lost)),
        }
    }
}

/// All clusters of up to five members: roles, leaders, and what is asked for.
fn every(mut check: impl FnMut(Tiny, Durability)) {
    for members in 1..=5 {
        for promotable in 0..1 << members {
            for leader in 0..members {
                for (count, strict) in (0..=members).flat_map(|k| [(k, false), (k, true)]) {
                    let mut tiny = Tiny {
                        members,
                        promotable,
                        leader,
                        strict,
                        count,
                        listed: 0,
                    };
                    tiny.listed = tiny.refilled(tiny.all(), leader);
                    let asked = Durability {
                        strict,
                        standbys: number(count),
                    };
                    check(tiny, asked);
                }
            }
        }
    }
}

#[test]
fn the_expected_verdict_is_that_of_trying_every_set_of_losses() {
    let mut seen = 0;
    every(|tiny, asked| {
        let roles: Vec<Role> = (0..tiny.members)
            .map(|member| match (has(tiny.promotable, member), member % 2) {
                (true, 0) => Role::HaRead,
                (true, _) => Role::Ha,
                (false, 0) => Role::Readonly,
                (false, _) => Role::None,
            })
            .collect();
        let verdict = expected(&roles, tiny.leader, asked);
        assert_eq!(
            verdict,
            tiny.verdict(),
            "{roles:?}, {} leads, {asked}",
            tiny.leader
        );
        seen += 1;
    });
    assert_eq!(seen, 2_808);
}

/// `c-0` and so on, with the roles, the configuration and the `/sync` of the tiny Patroni.
fn scene(tiny: Tiny) -> Scene {
    let mut scene = Scene::asynchronous(number(tiny.members));
    let leader = format!("c-{}", tiny.leader);
    scene.lead(&leader);
    for member in (0..tiny.members).filter(|member| !has(tiny.promotable, *member)) {
        scene.says(&format!("c-{member}"), |said| {
            said.tags.insert("nofailover".into(), json!(true));
        });
    }
    if let Seen::Value(config) = &mut scene.seen.patroni.config {
        config.synchronous.on = tiny.is_synchronous();
        config.synchronous.strict = tiny.is_synchronous() && tiny.strict;
        config.synchronous.count = number(tiny.count.max(1));
    }
    if tiny.is_synchronous() {
        let standbys = (0..tiny.members).filter(|member| has(tiny.listed, *member));
        scene.seen.patroni.sync = Seen::Value(SyncState {
            leader: Some(leader),
            standbys: standbys.map(|member| format!("c-{member}")).collect(),
            quorum: 0,
        });
    }
    scene
}

#[test]
fn what_is_in_force_is_seen_as_it_was_expected() {
    every(|tiny, asked| {
        assert_eq!(
            observed(&scene(tiny).seen),
            tiny.verdict(),
            "{:b} promotable, {} leads, {asked}",
            tiny.promotable,
            tiny.leader
        );
    });
}

#[test]
fn what_patroni_lists_meanwhile_is_judged_as_it_is() {
    for members in 1..=4 {
        for promotable in 0..1u32 << members {
            for listed in (0..1u32 << members).filter(|listed| listed & 1 == 0) {
                for strict in [false, true] {
                    let tiny = Tiny {
                        members,
                        promotable,
                        leader: 0,
                        strict,
                        count: members,
                        listed,
                    };
                    let seen = observed(&scene(tiny).seen);
                    assert_eq!(
                        seen,
                        tiny.verdict(),
                        "{members} members, {promotable:b} promotable, /sync {listed:b}, strict {strict}"
                    );
                }
            }
        }
    }
}

fn number(members: usize) -> u32 {
    u32::try_from(members).expect("few members")
}
