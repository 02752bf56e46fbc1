//! The planner against every order of moves that a StackGres operator and a Patroni can make, searched to the end.
//!
//! `object` is what is stored, `world` a small operator and Patroni written from `domain.md`, `view` what Lockstep can see
//! of it, `rules` what must hold, `explore` the search. In the suite all pairs up to three instances are searched; with
//! `LOCKSTEP_MODEL_INSTANCES=4 cargo test --release --test ordering -- --nocapture` all pairs up to four, which takes longer
//! and prints what it cost.

#[path = "ordering/explore.rs"]
mod explore;
#[path = "ordering/hash.rs"]
mod hash;
#[path = "ordering/object.rs"]
mod object;
#[path = "ordering/rules.rs"]
mod rules;
#[path = "ordering/view.rs"]
mod view;
#[path = "ordering/world.rs"]
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use explore::{Found, explore};
use object::{Doc, Shapes};
use view::Writer;
use world::World;

/// Searches every target from every start, on all cores.
fn search(targets: &[Doc], starts: &[Doc], breaks: bool) -> Found {
    let starts: Vec<World> = starts
        .iter()
        .flat_map(|doc| World::settlements(*doc))
        .collect();
    let found = Mutex::new(Found::default());
    let next = AtomicUsize::new(0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let one = explore(*target, &starts, Writer::Lockstep, breaks);
                    found.lock().unwrap().add(one);
                }
            });
        }
    });
    found.into_inner().unwrap()
}

/// Fails with every violation that is told in full.
fn judge(what: &str, began: Instant, found: &Found) {
    println!(
        "{what}: {} worlds, {} views, {:.1} s",
        found.worlds,
        found.views,
        began.elapsed().as_secs_f64()
    );
    for (wait, (count, example)) in &found.waits {
        println!("  ends {count} × {wait} (such as {example})");
    }
    for (rule, count) in &found.counts {
        println!("  {count} × {rule}");
    }
    let mut told = String::new();
    let mut violations: Vec<_> = found.violations.iter().collect();
    violations.sort_by_key(|violation| (violation.rule, violation.trace.len()));
    for group in violations.chunk_by(|one, other| one.rule == other.rule) {
        for violation in group.iter().take(3) {
            told.push_str(&format!("{violation}\n"));
        }
    }
    assert!(told.is_empty(), "{what}\n{told}");
}

#[test]
fn every_pair_without_groups_keeps_the_rules_whatever_breaks() {
    let began = Instant::now();
    let docs = Shapes {
        fewest: 1,
        most: 3,
        groups: 0,
        spellings: false,
    }
    .all();
    judge("without groups", began, &search(&docs, &docs, true));
}

#[test]
fn every_pair_with_a_group_keeps_the_rules() {
    let began = Instant::now();
    let docs = Shapes {
        fewest: 1,
        most: 3,
        groups: 1,
        spellings: false,
    }
    .all();
    println!("{} objects", docs.len());
    judge("with a group", began, &search(&docs, &docs, false));
}
