//! Laws that hold for every plan, tried on made-up scenes: equal is empty, a name means nothing, and what is not known
//! opens nothing.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::decide::digest::{APPLIED, digest};
use crate::decide::story::{PARTS, Story, tell};
use crate::model::patroni::Seen;
use crate::model::plan::{ClusterPlan, State};

const MODES: [&str; 5] = [
    "async",
    "sync",
    "strict-sync",
    "sync-all",
    "strict-sync-all",
];
const ROLES: [&str; 4] = ["ha-read", "ha", "readonly", "none"];

/// Instances and a replication section that the operator would store.
fn sections() -> impl Strategy<Value = (u32, Value)> {
    (2..=5u32, 0..5usize, 0..4u32, 0..4usize, 0..3u32).prop_map(
        |(instances, mode, count, role, size)| {
            let mut section = json!({"mode": MODES[mode]});
            section["syncInstances"] = json!(1 + count % (instances - 1));
            let size = size.min(instances - 1);
            section["groups"] = if size == 0 {
                json!([])
            } else {
                json!([{"name": "g", "role": ROLES[role], "instances": size}])
            };
            (instances, section)
        },
    )
}

/// What may go wrong with a member: nothing, it is frozen, not ready, or not streaming.
fn faults() -> impl Strategy<Value = (usize, u32)> {
    (0..4usize, 1..5u32)
}

fn story(live: &(u32, Value), git: &(u32, Value), fault: (usize, u32), loops: u64) -> Story {
    let mut story = Story::of(live.clone(), git.clone());
    let name = format!("c-{}", fault.1.min(live.0 - 1));
    match fault.0 {
        1 => drop(story.loops(loops, &[&name])),
        2 => {
            story.scene.member(&name).ready = false;
            story.loops(loops, &[]);
        }
        3 => {
            story
                .scene
                .says(&name, |said| said.replication_state = None);
            story.loops(loops, &[]);
        }
        _ => drop(story.loops(loops, &[])),
    }
    story
}

/// The codes of the first step's gates that are open.
fn open_gates(plan: &ClusterPlan) -> Vec<&'static str> {
    let step = plan.steps.first();
    step.into_iter()
        .flat_map(|step| &step.gates)
        .filter(|gate| gate.verdict.is_open())
        .map(|gate| gate.id.code())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equal_states_give_an_empty_plan(live in sections(), fault in faults(), loops in 0..4u64) {
        let mut story = story(&live, &live, fault, loops);
        let applied = digest(&story.git);
        story.annotate(APPLIED, &applied);
        let plan = story.plan();
        prop_assert_eq!(plan.state, State::InSync);
        prop_assert!(plan.steps.is_empty() && plan.differences.is_empty());
    }

    #[test]
    fn unknown_opens_no_gate_that_known_does_not(
        live in sections(), git in sections(), fault in faults(), loops in 0..5u64, part in 0..6usize,
    ) {
        let mut story = story(&live, &git, fault, loops);
        let known = story.plan();
        story.forget(PARTS[part]);
        let unknown = story.plan();
        let same = known.steps.first().map(|step| &step.moves)
            == unknown.steps.first().map(|step| &step.moves);
        if same {
            let before = open_gates(&known);
            for gate in open_gates(&unknown) {
                prop_assert!(before.contains(&gate), "{} opens without {}", gate, PARTS[part]);
            }
        } else {
            // Who is in `/sync` decides which step is first; where that is not known, none is taken.
            prop_assert!(unknown.open_step().is_none());
        }
    }

    #[test]
    fn the_first_step_carried_out_and_planned_again_gives_the_rest(
        live in sections(), git in sections(),
    ) {
        let mut story = story(&live, &git, (0, 1), 4);
        let plan = story.plan();
        let first = plan.steps.first().cloned();
        if let Some(first) = first.filter(|first| first.more_follow) {
            let mut stored = (*first.object).clone();
            stored["metadata"].as_object_mut().expect("a map").remove("resourceVersion");
            *story.scene.live_value() = stored;
            // Not settled, so that nothing but the object decides.
            story.scene.seen.patroni.sync = Seen::Value(Default::default());
            let again = story.plan();
            let told = |plan: &ClusterPlan| {
                tell(plan).lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
            };
            let rest: Vec<String> = told(&plan).into_iter().skip(1).collect();
            prop_assert_eq!(told(&again), rest);
        }
    }

    #[test]
    fn a_cluster_by_another_name_is_planned_alike(
        live in sections(), git in sections(), fault in faults(), loops in 0..5u64,
    ) {
        let story = story(&live, &git, fault, loops);
        let renamed = story.renamed("other");
        prop_assert_eq!(tell(&renamed).replace("other-", "c-"), tell(&story.plan()));
    }
}
