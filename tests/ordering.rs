//! The planner against every order of moves that a StackGres operator and a Patroni can make, searched to the end.
//!
//! `object` is what is stored, `world` a small operator and Patroni written from `domain.md`, `view` what Lockstep can see
//! of it, `rules` what must hold, `explore` the search. In the suite all pairs up to three instances are searched; with
//! `LOCKSTEP_MODEL_INSTANCES=4 cargo test --release --test ordering -- --nocapture` all pairs up to four, which takes longer
//! and prints what it cost.

#[path = "ordering/blind.rs"]
mod blind;
#[path = "ordering/explore.rs"]
mod explore;
#[path = "ordering/fewest.rs"]
mod fewest;
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

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use explore::{Found, explore};
use object::{Doc, Record, Shapes};
use rules::Rule;
use view::Writer;
use world::World;

/// Of each rule, so many violations are told when a search fails.
const TOLD: usize = 3;

/// Does the same for every target, on all cores.
fn for_each(targets: &[Doc], one: impl Fn(&Doc) -> Found + Sync) -> Found {
    let found = Mutex::new(Found::default());
    let next = AtomicUsize::new(0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let more = one(target);
                    found.lock().expect("no search panics").add(more);
                }
            });
        }
    });
    found.into_inner().expect("no search panics")
}

/// Searches every target from every start; with a fault at any point of a run where `breaks` says so.
fn search(docs: &[Doc], breaks: bool) -> Found {
    let starts: Vec<World> = docs
        .iter()
        .flat_map(|doc| World::settlements(*doc))
        .collect();
    for_each(docs, |target| {
        explore(*target, &starts, Writer::Lockstep, breaks)
    })
}

/// Counts the planner's writes for every pair against the fewest.
fn count(docs: &[Doc], most: u8) -> Found {
    for_each(docs, |target| {
        let violations = fewest::differing(*target, docs, most);
        let mut found = Found::default();
        if !violations.is_empty() {
            found.counts.insert(Rule::FewestWrites, violations.len());
        }
        found.violations = violations;
        found
    })
}

/// Prints what a search cost, and fails with the shortest violations of each rule.
#[expect(
    clippy::print_stdout,
    reason = "what a search cost is read with --nocapture"
)]
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
        for violation in group.iter().take(TOLD) {
            told.push_str(&format!("{violation}\n"));
        }
    }
    assert!(told.is_empty(), "{what}\n{told}");
}

/// What the suite searches: small enough for a build without optimization.
const SUITE: Shapes = Shapes {
    fewest: 1,
    most: 3,
    groups: 1,
    spellings: false,
};

#[test]
fn every_pair_without_groups_keeps_the_rules_whatever_breaks() {
    let began = Instant::now();
    let docs = Shapes {
        fewest: 0,
        groups: 0,
        ..SUITE
    }
    .all();
    judge("without groups, with faults", began, &search(&docs, true));
}

#[test]
fn every_pair_with_a_group_keeps_the_rules() {
    let began = Instant::now();
    judge("with a group", began, &search(&SUITE.all(), false));
}

#[test]
fn every_pair_takes_the_fewest_writes_that_the_rules_allow() {
    let began = Instant::now();
    judge("fewest writes", began, &count(&SUITE.all(), SUITE.most));
}

/// Lockstep has no memory but its annotations, so what it finds half done is just another start.
#[test]
fn a_commit_in_the_middle_of_any_other_keeps_the_rules() {
    let began = Instant::now();
    let docs = Shapes { groups: 0, ..SUITE }.all();
    let settled: Vec<World> = docs
        .iter()
        .flat_map(|doc| World::settlements(*doc))
        .collect();
    let half_done: HashSet<World> = docs
        .iter()
        .flat_map(|target| explore::reached(*target, &settled))
        .map(|world| World {
            record: Record::Applying,
            ..world
        })
        .collect();
    let starts: Vec<World> = half_done.into_iter().collect();
    println!("{} starts", starts.len());
    let found = for_each(&docs, |target| {
        explore(*target, &starts, Writer::Lockstep, false)
    });
    judge("half done", began, &found);
}

/// Pairs of the sample, and where its numbers begin.
const SAMPLE: (usize, u64) = (40, 7);

#[test]
fn a_sample_at_five_instances_with_two_groups_keeps_the_rules() {
    let began = Instant::now();
    let docs = Shapes {
        fewest: 3,
        most: 5,
        groups: 2,
        spellings: true,
    }
    .all();
    let (pairs, mut number) = SAMPLE;
    let mut pick = || {
        // Knuth's constants; the high bits are the good ones.
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        docs[(number >> 33) as usize % docs.len()]
    };
    let pairs: Vec<(Doc, Doc)> = (0..pairs).map(|_| (pick(), pick())).collect();
    let targets: Vec<Doc> = pairs.iter().map(|(_, target)| *target).collect();
    let found = for_each(&targets, |target| {
        let mut found = Found::default();
        for (start, _) in pairs.iter().filter(|(_, other)| other == target) {
            let starts = World::settlements(*start);
            found.add(explore(*target, &starts, Writer::Lockstep, false));
        }
        found
    });
    judge("sample at five", began, &found);
}

#[test]
fn all_pairs_up_to_the_instances_that_the_environment_names_keep_the_rules() {
    let Ok(most) = std::env::var("LOCKSTEP_MODEL_INSTANCES") else {
        return;
    };
    let most: u8 = most.parse().unwrap();
    assert!(usize::from(most) <= object::MOST, "the model holds fewer");
    let docs = Shapes { most, ..SUITE }.all();
    let bare = Shapes {
        fewest: 0,
        groups: 0,
        ..Shapes { most, ..SUITE }
    };
    // Faults at any point make ten times as many worlds, spellings four times as many pairs.
    let spelled = Shapes {
        most: most.min(SUITE.most),
        spellings: true,
        ..bare
    };
    let few = Shapes {
        most: most.min(SUITE.most),
        ..SUITE
    };
    println!("{} objects", docs.len());
    let mut failed = Vec::new();
    let mut run = |what: &str, search: &dyn Fn() -> Found| {
        let began = Instant::now();
        let found = search();
        let told = std::panic::catch_unwind(|| judge(what, began, &found));
        failed.extend(told.is_err().then(|| what.to_owned()));
    };
    run("without groups, with faults", &|| search(&bare.all(), true));
    run("every spelling without groups, with faults", &|| {
        search(&spelled.all(), true)
    });
    run("with a group", &|| search(&docs, false));
    run("fewest writes", &|| count(&docs, most));
    run(
        "with a group up to the suite's instances, with faults",
        &|| search(&few.all(), true),
    );
    assert!(failed.is_empty(), "broken: {}", failed.join(", "));
}
