//! The control: the object is stored at once, as `kubectl apply` would, and the same search catches it.
//!
//! A search that lets this pass would prove nothing of the planner.

use lockstep::model::cluster::{Mode, Role};

use crate::explore::explore;
use crate::object::Doc;
use crate::view::Writer;
use crate::world::World;

/// The names of the rules that the blind apply breaks; `breaks`: with a fault at any point.
fn caught(start: Doc, target: Doc, breaks: bool) -> Vec<String> {
    let found = explore(target, &World::settlements(start), Writer::Blind, breaks);
    found.rules().iter().map(ToString::to_string).collect()
}

fn has(caught: &[String], names: &[&str]) {
    for name in names {
        assert!(
            caught.iter().any(|rule| rule.starts_with(name)),
            "{name} is not among {caught:#?}"
        );
    }
}

#[test]
fn growing_a_strict_cluster_from_one_blindly_stops_writes() {
    let start = Doc::new(1, Mode::StrictSyncAll, 0);
    let target = Doc::new(3, Mode::StrictSyncAll, 0);
    has(
        &caught(start, target, false),
        &["R3", "R4", "R10", "R11", "commits wait for nobody"],
    );
}

#[test]
fn sync_all_blindly_makes_commits_wait_for_a_frozen_standby() {
    let start = Doc::new(3, Mode::Async, 0);
    let target = Doc::new(3, Mode::SyncAll, 0);
    let whole = caught(start, target, false);
    assert!(whole.is_empty(), "with all standbys live: {whole:#?}");
    has(
        &caught(start, target, true),
        &["R11", "no write makes commits wait for a faulty"],
    );
}

#[test]
fn taking_the_only_standby_of_a_strict_cluster_blindly_stops_writes() {
    let start = Doc::new(2, Mode::StrictSync, 1);
    let target = Doc::new(1, Mode::StrictSync, 1);
    has(
        &caught(start, target, false),
        &["R1 ", "R5", "commits wait for nobody"],
    );
}

#[test]
fn loosening_blindly_is_done_without_a_leader_too() {
    let start = Doc::new(3, Mode::SyncAll, 0);
    let target = Doc::new(3, Mode::Async, 0);
    has(&caught(start, target, true), &["R9"]);
}

#[test]
fn roles_that_take_the_only_promotable_standby_blindly_leave_none_listed() {
    let start = Doc::new(3, Mode::Sync, 1);
    let target = start.with(Role::HaRead, &[(Role::Readonly, 1), (Role::HaRead, 1)]);
    has(&caught(start, target, false), &["R7", "R8"]);
}

#[test]
fn shrinking_and_loosening_blindly_lets_several_go_at_once() {
    let start = Doc::new(3, Mode::SyncAll, 0);
    let target = Doc::new(1, Mode::Async, 0);
    has(&caught(start, target, false), &["R5"]);
}
