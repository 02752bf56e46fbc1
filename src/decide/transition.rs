//! The order: from a live shape to a desired one, the writes between, each safe where it stands.
//!
//! Capacity comes before tightening, loosening before removal; strict is added last and alone; instances go down one at
//! a time; a write that Patroni would not notice is not made, the declared spelling excepted. `next` knows only where
//! the cluster is and where it should be, so a new commit, a revert or a restart in the middle just plans again.

use crate::decide::durability::{Shape, meet};
use crate::model::cluster::Mode;
use crate::model::plan::{Durability, Move};

/// One write: the shape it leaves behind, what it does, and why it stands here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    pub to: Shape,
    pub moves: Vec<Move>,
    pub why: String,
}

/// All writes from `live` to `target`; empty where they are equal. `cluster` names the Pods.
pub fn hops(cluster: &str, live: Shape, target: Shape) -> Vec<Hop> {
    let mut hops = Vec::new();
    let mut at = live;
    while let Some(hop) = next(cluster, at, target) {
        at = hop.to;
        hops.push(hop);
    }
    hops
}

/// The shape in which an absent cluster is created: final instances, nothing synchronous yet.
pub fn cradle(target: Shape) -> Shape {
    if target.asks().standbys == 0 {
        target
    } else {
        Shape {
            mode: Mode::Async,
            ..target
        }
    }
}

/// The first write from `at` towards `target`. Each write moves strictly closer, so repeating it ends.
pub fn next(cluster: &str, at: Shape, target: Shape) -> Option<Hop> {
    if at == target {
        return None;
    }
    let (has, wants) = (at.asks(), target.asks());
    let common = meet(has, wants);
    if at.instances < target.instances {
        return Some(grow(at, target, common));
    }
    if common != has {
        return Some(loosen(at, target, common));
    }
    if at.instances > target.instances {
        return Some(remove(cluster, at, target, common));
    }
    Some(if has == wants {
        spell(at, target)
    } else {
        climb(at, target, has, wants)
    })
}

fn grow(at: Shape, target: Shape, common: Durability) -> Hop {
    let mut moves = Vec::new();
    let mut why = "new members come first and change nothing that commits wait for".to_owned();
    if common != at.asks() {
        moves.push(Move::Loosen);
        why = "loosening needs no new member and removes none, so it travels with the new members"
            .into();
    } else if at.mode.is_all() && at.instances > 1 {
        why = format!(
            "{} would wait for each new member while it is being built, so the count is pinned first",
            at.mode
        );
    } else if at.mode.is_all() {
        why = format!(
            "{} with one instance is asynchronous, so it grows as async and tightens when the members stream",
            at.mode
        );
    }
    moves.push(Move::Grow {
        from: at.instances,
        to: target.instances,
    });
    Hop {
        to: spelled(common, target.instances, target),
        moves,
        why,
    }
}

fn loosen(at: Shape, target: Shape, common: Durability) -> Hop {
    let why = if target.instances < at.instances {
        "fewer standbys must acknowledge before one of them is removed"
    } else {
        "loosening blocks no writes and is one write"
    };
    Hop {
        to: spelled(common, at.instances, target),
        moves: vec![Move::Loosen],
        why: why.into(),
    }
}

fn remove(cluster: &str, at: Shape, target: Shape, common: Durability) -> Hop {
    let instances = at.instances - 1;
    // The last removal may carry the declared spelling, which asks Patroni for the same.
    let to = if instances == target.instances {
        spelled(common, instances, target)
    } else {
        Shape { instances, ..at }
    };
    let member = format!("{cluster}-{instances}");
    let why = "instances go down one at a time, the highest index first".to_owned();
    Hop {
        to,
        moves: vec![Move::Remove { member, instances }],
        why,
    }
}

fn climb(at: Shape, target: Shape, has: Durability, wants: Durability) -> Hop {
    if wants.standbys > has.standbys {
        let raised = Durability {
            strict: has.strict,
            standbys: wants.standbys,
        };
        let why =
            "commits wait for the added standbys from here on, so all of them must follow first"
                .to_owned();
        let to = spelled(raised, at.instances, target);
        return Hop {
            to,
            moves: vec![Move::Climb {
                standbys: wants.standbys,
            }],
            why,
        };
    }
    let why = "strict stops writes when no synchronous standby is left, so it comes last and alone"
        .to_owned();
    Hop {
        to: target,
        moves: vec![Move::AddStrict {
            standbys: wants.standbys,
        }],
        why,
    }
}

fn spell(_at: Shape, target: Shape) -> Hop {
    let why = "Patroni is asked for the same; only the declared words change".to_owned();
    Hop {
        to: target,
        moves: vec![Move::Spell],
        why,
    }
}

/// How a durability is written at `instances`: as declared where the declaration asks for just this, else as `*-all`
/// where the target does, else with its count.
fn spelled(durability: Durability, instances: u32, target: Shape) -> Shape {
    if instances == target.instances && durability == target.asks() {
        return target;
    }
    if durability.standbys == 0 {
        return Shape {
            instances,
            mode: Mode::Async,
            sync_instances: target.sync_instances,
        };
    }
    let every = durability.standbys + 1 == instances
        && instances == target.instances
        && target.mode.is_all();
    let mode = match (every, durability.strict) {
        (true, false) => Mode::SyncAll,
        (true, true) => Mode::StrictSyncAll,
        (false, false) => Mode::Sync,
        (false, true) => Mode::StrictSync,
    };
    let sync_instances = if every {
        target.sync_instances
    } else {
        Some(durability.standbys)
    };
    Shape {
        instances,
        mode,
        sync_instances,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Shape {
        let mut words = text.split_whitespace();
        let instances = words.next().unwrap().parse().unwrap();
        let mode = words.next().unwrap().parse().unwrap();
        Shape {
            instances,
            mode,
            sync_instances: words.next().map(|word| word.parse().unwrap()),
        }
    }

    fn route(live: &str, target: &str) -> String {
        let words = |shape: Shape| match shape.sync_instances {
            Some(count) => format!("{} {} {count}", shape.instances, shape.mode),
            None => format!("{} {}", shape.instances, shape.mode),
        };
        hops("c", shape(live), shape(target))
            .into_iter()
            .map(|hop| words(hop.to))
            .collect::<Vec<_>>()
            .join(" → ")
    }

    /// Every shape up to four instances that the operator would store, `sync` counts included.
    fn shapes() -> Vec<Shape> {
        let mut shapes = Vec::new();
        for instances in 1..=4 {
            for mode in Mode::ALL {
                for count in [None, Some(1), Some(2), Some(3)] {
                    if mode.counts() && count.is_none_or(|count| count >= instances) {
                        continue;
                    }
                    shapes.push(Shape {
                        instances,
                        mode,
                        sync_instances: count,
                    });
                }
            }
        }
        shapes
    }

    #[test]
    fn the_seed_climbs_in_one_write() {
        assert_eq!(route("4 async 1", "4 sync-all 1"), "4 sync-all 1");
    }

    #[test]
    fn strict_is_a_step_of_its_own() {
        assert_eq!(
            route("3 async", "3 strict-sync-all"),
            "3 sync-all → 3 strict-sync-all"
        );
        assert_eq!(
            route("3 async", "3 strict-sync 1"),
            "3 sync 1 → 3 strict-sync 1"
        );
    }

    #[test]
    fn growing_an_all_cluster_pins_the_count_in_the_same_write() {
        assert_eq!(route("2 sync-all", "4 sync-all"), "4 sync 1 → 4 sync-all");
        assert_eq!(
            route("2 strict-sync-all", "4 strict-sync-all"),
            "4 strict-sync 1 → 4 strict-sync-all"
        );
    }

    #[test]
    fn growing_from_one_instance_goes_through_explicit_async() {
        assert_eq!(
            route("1 strict-sync-all", "3 strict-sync-all"),
            "3 async → 3 sync-all → 3 strict-sync-all"
        );
    }

    #[test]
    fn shrinking_loosens_first_and_removes_one_at_a_time() {
        assert_eq!(
            route("4 sync-all", "2 sync-all"),
            "4 sync 1 → 3 sync 1 → 2 sync-all"
        );
        assert_eq!(
            route("4 strict-sync-all", "1 async"),
            "4 async → 3 async → 2 async → 1 async"
        );
        assert_eq!(
            route("2 strict-sync 1", "1 sync-all"),
            "2 async → 1 sync-all"
        );
    }

    #[test]
    fn shrinking_and_tightening_removes_before_it_climbs() {
        assert_eq!(
            route("4 async", "3 strict-sync-all"),
            "3 async → 3 sync-all → 3 strict-sync-all"
        );
    }

    #[test]
    fn loosening_travels_with_growth_and_waits_for_no_climb() {
        assert_eq!(route("2 strict-sync 1", "4 async"), "4 async");
        assert_eq!(route("3 strict-sync 1", "3 sync 2"), "3 sync 1 → 3 sync 2");
    }

    #[test]
    fn the_declared_spelling_is_written_even_where_patroni_notices_nothing() {
        assert_eq!(route("4 sync 3", "4 sync-all"), "4 sync-all");
    }

    #[test]
    fn every_pair_arrives_over_valid_shapes_that_promise_no_less_than_both_ends() {
        for live in shapes() {
            for target in shapes() {
                let floor = meet(live.asks(), target.asks());
                let mut at = live;
                let hops = hops("c", live, target);
                assert!(
                    hops.len() <= 8,
                    "{live:?} to {target:?} takes {} writes",
                    hops.len()
                );
                for hop in hops {
                    let to = hop.to;
                    if to.mode.counts() {
                        assert!(
                            to.sync_instances.is_some_and(|count| count < to.instances),
                            "{to:?} would be refused"
                        );
                    }
                    assert_eq!(
                        meet(to.asks(), floor),
                        floor,
                        "{live:?} to {target:?} drops below both at {to:?}"
                    );
                    assert!(
                        to.instances + 1 >= at.instances,
                        "{at:?} to {to:?} removes more than one"
                    );
                    if to.instances < at.instances {
                        assert_eq!(
                            to.keys(),
                            at.keys(),
                            "{at:?} to {to:?} removes and reconfigures at once"
                        );
                    }
                    if to.asks().strict && !at.asks().strict {
                        assert_eq!(to.instances, at.instances);
                        assert_eq!(
                            to.asks().standbys,
                            at.asks().standbys,
                            "{at:?} to {to:?} adds strict and standbys"
                        );
                    }
                    if to.instances > at.instances {
                        assert_eq!(
                            meet(to.asks(), at.asks()),
                            to.asks(),
                            "{at:?} to {to:?} grows and tightens"
                        );
                    }
                    at = to;
                }
                assert_eq!(at, target);
            }
        }
    }

    #[test]
    fn the_first_write_carried_out_and_planned_again_gives_the_rest() {
        for live in shapes() {
            for target in shapes() {
                let all = hops("c", live, target);
                if let Some(first) = all.first() {
                    assert_eq!(hops("c", first.to, target), all[1..]);
                }
            }
        }
    }

    #[test]
    fn an_absent_cluster_is_created_asynchronous_with_its_final_instances() {
        assert_eq!(cradle(shape("4 sync-all 1")), shape("4 async 1"));
        assert_eq!(cradle(shape("1 sync-all")), shape("1 sync-all"));
    }
}
