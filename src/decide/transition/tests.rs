//! The order, as routes to be read, and as laws over all pairs of shapes.

use super::*;
use crate::model::cluster::Group;

/// `4 strict-sync 2 | readonly:1 none:1`: instances, mode, count, then the groups.
fn shape(text: &str) -> Shape {
    let (text, groups) = text.split_once(" |").unwrap_or((text, ""));
    let mut words = text.split_whitespace();
    let instances = words.next().unwrap().parse().unwrap();
    let mode = words.next().unwrap().parse().unwrap();
    let groups = groups.split_whitespace().enumerate().map(|(index, word)| {
        let (role, size) = word.split_once(':').unwrap();
        Group {
            name: format!("group-{}", index + 1),
            role: role.parse().unwrap(),
            instances: size.parse().unwrap(),
        }
    });
    Shape {
        instances,
        mode,
        sync_instances: words.next().map(|word| word.parse().unwrap()),
        role: Role::HaRead,
        groups: groups.collect(),
        follows: false,
    }
}

fn words(shape: &Shape) -> String {
    let mut text = format!("{} {}", shape.instances, shape.mode);
    if let Some(count) = shape.sync_instances {
        text.push_str(&format!(" {count}"));
    }
    if !shape.groups.is_empty() {
        text.push_str(" |");
    }
    for group in &shape.groups {
        text.push_str(&format!(" {}:{}", group.role.word(), group.instances));
    }
    text
}

fn listed_route(live: &str, target: &str, listed: &[u32]) -> String {
    hops("c", &shape(live), &shape(target), Some(listed))
        .iter()
        .map(|hop| words(&hop.to))
        .collect::<Vec<_>>()
        .join(" → ")
}

fn route(live: &str, target: &str) -> String {
    hops("c", &shape(live), &shape(target), None)
        .iter()
        .map(|hop| words(&hop.to))
        .collect::<Vec<_>>()
        .join(" → ")
}

/// Every shape up to so many instances that the operator would store, with at most one group.
fn shapes(most: u32) -> Vec<Shape> {
    let mut shapes = Vec::new();
    for instances in 0..=most {
        for mode in Mode::ALL {
            for count in [None, Some(1), Some(2), Some(3)] {
                let is_short = instances > 0 && count.is_none_or(|count| count >= instances);
                if mode.counts() && (is_short || count.is_none()) {
                    continue;
                }
                let mut one = shape(&format!("{instances} {mode}"));
                one.sync_instances = count;
                shapes.push(one.clone());
                for role in Role::ALL {
                    for size in 1..instances {
                        let mut grouped = one.clone();
                        grouped.groups = vec![Group {
                            name: "group-1".into(),
                            role,
                            instances: size,
                        }];
                        shapes.push(grouped);
                    }
                }
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
fn a_count_that_no_removal_needs_lower_is_lowered_last() {
    assert_eq!(
        route("5 sync 2", "3 sync 1"),
        "4 sync 2 → 3 sync 2 → 3 sync 1"
    );
    // Strict that comes off is never put off.
    assert_eq!(
        route("5 strict-sync 2", "3 sync 1"),
        "5 sync 1 → 4 sync 1 → 3 sync 1"
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
fn growing_instances_and_their_group_is_one_write_since_splitting_it_would_flip_roles() {
    assert_eq!(
        route("3 sync 1 | readonly:1", "4 sync 1 | readonly:2"),
        "4 sync 1 | readonly:2"
    );
    assert_eq!(
        route("4 sync 1 | readonly:2", "3 sync 1 | readonly:1"),
        "3 sync 1 | readonly:1"
    );
}

#[test]
fn roles_that_add_come_first_and_roles_that_take_come_last() {
    assert_eq!(
        route("3 async | readonly:1", "3 strict-sync-all"),
        "3 async → 3 sync-all → 3 strict-sync-all"
    );
    assert_eq!(
        route("3 async", "3 strict-sync-all | none:1"),
        "3 sync-all → 3 strict-sync-all → 3 strict-sync-all | none:1"
    );
    assert_eq!(
        route("4 sync 1 | readonly:1 ha:1", "4 sync 1 | ha:1 readonly:1"),
        "4 sync 1 → 4 sync 1 | ha:1 readonly:1"
    );
}

#[test]
fn roles_are_given_in_the_write_that_grows_or_loosens() {
    assert_eq!(route("3 sync 1 | readonly:1", "4 sync 1"), "4 sync 1");
    // What frees writes does not wait for the member that may lead from then on.
    assert_eq!(
        route("3 sync 2 | readonly:1", "3 async"),
        "3 async | readonly:1 → 3 async"
    );
    assert_eq!(
        route("2 async | readonly:1", "3 async | readonly:1"),
        "3 async | readonly:1"
    );
}

#[test]
fn roles_are_taken_with_the_last_removal_unless_a_climb_follows() {
    assert_eq!(
        route("4 async", "3 async | readonly:1"),
        "3 async | readonly:1"
    );
    assert_eq!(
        route("4 async", "3 sync 1 | readonly:1"),
        "3 async 1 → 3 sync 1 → 3 sync 1 | readonly:1"
    );
}

#[test]
fn a_standby_that_may_be_promoted_is_listed_before_the_only_one_goes() {
    assert_eq!(
        listed_route("3 sync 1", "3 sync 1 | readonly:1", &[2]),
        "3 sync 2 → 3 sync 2 | readonly:1 → 3 sync 1 | readonly:1"
    );
    assert_eq!(
        listed_route("3 sync 1", "3 sync 1 | readonly:1", &[1]),
        "3 sync 1 | readonly:1"
    );
    assert_eq!(
        listed_route("4 strict-sync 1", "3 strict-sync 1", &[3]),
        "4 strict-sync 2 → 3 strict-sync 2 → 3 strict-sync 1"
    );
    // Of three instances that become two, one leads and one goes: no count helps.
    assert_eq!(listed_route("3 sync 1", "2 sync 1", &[2]), "2 sync 1");
}

#[test]
fn a_cluster_is_stopped_asynchronous_and_started_asynchronous() {
    assert_eq!(
        route("3 strict-sync-all", "0 strict-sync-all"),
        "3 async → 2 async → 1 async → 0 strict-sync-all"
    );
    assert_eq!(
        route("0 strict-sync-all", "3 strict-sync-all"),
        "3 async → 3 sync-all → 3 strict-sync-all"
    );
}

#[test]
fn a_cluster_follows_another_last_and_leads_first() {
    let follows = |text: &str| Shape {
        follows: true,
        ..shape(text)
    };
    let route = |live: &Shape, target: &Shape| {
        hops("c", live, target, None)
            .iter()
            .map(|hop| {
                format!(
                    "{}{}",
                    words(&hop.to),
                    if hop.to.follows { " follows" } else { "" }
                )
            })
            .collect::<Vec<_>>()
            .join(" → ")
    };
    assert_eq!(
        route(&shape("3 sync-all"), &follows("2 sync-all")),
        "3 async → 2 async → 2 sync-all follows"
    );
    assert_eq!(
        route(&follows("2 sync-all"), &shape("3 sync-all")),
        "2 async → 3 async → 3 sync-all"
    );
    assert_eq!(
        route(&follows("3 sync 2"), &follows("2 sync 1")),
        "2 sync 1 follows"
    );
}

#[test]
fn every_pair_arrives_over_valid_shapes_that_promise_no_less_than_both_ends() {
    let shapes = shapes(4);
    for live in &shapes {
        for target in &shapes {
            let floor = meet(live.asks(), target.asks());
            let mut at = live.clone();
            let hops = hops("c", live, target, None);
            assert!(
                hops.len() <= 9,
                "{live:?} to {target:?} takes {} writes",
                hops.len()
            );
            for hop in hops {
                let to = hop.to;
                let place = format!("{} to {}", words(&at), words(&to));
                let grouped: u32 = to.groups.iter().map(|group| group.instances).sum();
                if to.instances > 0 {
                    assert!(grouped < to.instances, "{place} would be refused");
                    if to.mode.counts() {
                        let fits = to.sync_instances.is_some_and(|count| count < to.instances);
                        assert!(fits, "{place} would be refused");
                    }
                }
                let asks = to.asks();
                assert_eq!(meet(asks, floor), floor, "{place} drops below both ends");
                assert!(to.instances + 1 >= at.instances, "{place} removes two");
                let (old, new) = (roles_of(&at), roles_of(&to));
                if to.instances < at.instances && to.instances > 0 {
                    assert_eq!(to.keys(), at.keys(), "{place} removes and reconfigures");
                }
                if asks.strict && !at.asks().strict {
                    assert_eq!(asks.standbys, at.asks().standbys, "{place} adds both");
                    assert_eq!(old, new, "{place} adds strict and moves members");
                }
                if asks.standbys > at.asks().standbys {
                    assert_eq!(old, new, "{place} climbs and moves members");
                }
                let turn = Turn::between(&old, &new);
                let leads = |gained: bool| {
                    old.iter().zip(&new).any(|(old, new)| {
                        old.is_promotable() != new.is_promotable() && new.is_promotable() == gained
                    })
                };
                assert!(!(leads(true) && leads(false)), "{place} gives and takes");
                if turn.demotes {
                    assert_eq!(to.keys(), at.keys(), "{place} takes roles and reconfigures");
                }
                at = to;
            }
            assert_eq!(at, *target);
        }
    }
}

#[test]
fn the_first_write_carried_out_and_planned_again_gives_the_rest() {
    let shapes = shapes(4);
    for live in &shapes {
        for target in &shapes {
            let all = hops("c", live, target, None);
            if let Some(first) = all.first() {
                assert_eq!(hops("c", &first.to, target, None), all[1..]);
            }
        }
    }
}

#[test]
fn whoever_is_listed_the_writes_end_at_the_target() {
    let shapes: Vec<Shape> = shapes(4)
        .into_iter()
        .filter(|shape| shape.instances > 2)
        .collect();
    for live in &shapes {
        for target in &shapes {
            // Patroni lists the worst: those that go.
            let mut at = live.clone();
            let mut writes = 0;
            loop {
                let standbys = at.asks().standbys.min(at.instances.saturating_sub(1));
                let listed: Vec<u32> = (1..at.instances).rev().take(standbys as usize).collect();
                let Some(hop) = next("c", &at, target, Some(&listed)) else {
                    break;
                };
                at = hop.to;
                writes += 1;
                assert!(writes < 12, "{} to {}", words(live), words(target));
            }
        }
    }
}

#[test]
fn an_absent_cluster_is_created_asynchronous_with_its_final_instances_and_roles() {
    let cradled = |text: &str| words(&cradle(&shape(text)));
    assert_eq!(
        cradled("4 sync-all 1 | readonly:1"),
        "4 async 1 | readonly:1"
    );
    assert_eq!(cradled("1 sync-all"), "1 sync-all");
}
