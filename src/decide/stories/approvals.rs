//! Approvals told as stories: what they open, and that they open it once.

use serde_json::json;

use crate::decide::approval::{APPROVE, APPROVED};
use crate::decide::digest::{APPLYING, digest};
use crate::decide::story::{Story, all};
use crate::model::plan::{GateId, State};

#[test]
fn an_approval_counts_once_and_not_again_after_a_revert_and_back() {
    let mut story = Story::of((1, all("async")), (0, all("async")));
    story.loops(4, &[]);
    story.approve();
    let stop = story.git.clone();
    let plan = story.plan();
    let written = &plan.open_step().expect("approved").step().object;
    let record = written["metadata"]["annotations"][APPROVED].clone();
    assert_eq!(record, stop["metadata"]["annotations"][APPROVE]);
    // Stopped, and started again by a revert, which keeps the record.
    story.annotate(APPROVED, record.as_str().unwrap());
    story.scene.live_value()["spec"]["instances"] = json!(0);
    story.git["spec"]["instances"] = json!(1);
    let back = story.plan();
    let kept = &back.steps[0].object["metadata"]["annotations"][APPROVED];
    assert_eq!(*kept, record);
    // The stop comes back with its old approval.
    story.scene.live_value()["spec"]["instances"] = json!(1);
    story.git = stop;
    let told = story.told();
    assert!(told.starts_with("blocked: "), "{told}");
    assert!(told.contains("the approval was used before"), "{told}");
}

#[test]
fn an_approval_on_the_live_object_counts_for_nothing() {
    let mut story = Story::of((1, all("async")), (0, all("async")));
    story.loops(4, &[]);
    story.approve();
    let value = story.git["metadata"]["annotations"][APPROVE].clone();
    story.git["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("annotations");
    story.annotate(APPROVE, value.as_str().unwrap());
    assert_eq!(story.plan().state, State::Blocked);
}

#[test]
fn what_needs_an_approval_is_not_begun_without_it() {
    let mut story = Story::of((3, all("strict-sync-all")), (0, all("async")));
    story.loops(4, &[]);
    let plan = story.plan();
    assert_eq!(plan.steps.len(), 4);
    for step in &plan.steps {
        assert!(
            step.gates.iter().any(|gate| gate.id == GateId::Approved),
            "{:?}",
            step.moves
        );
    }
    assert!(plan.open_step().is_none());
}

#[test]
fn an_approval_of_what_was_begun_and_given_up_is_used_up() {
    let mut story = Story::of((2, all("sync-all")), (0, all("sync-all")));
    story.loops(4, &[]);
    story.approve();
    let plan = story.plan();
    let first = plan.open_step().expect("approved").step();
    assert!(first.more_follow);
    let record = first.object["metadata"]["annotations"][APPROVED].clone();
    let record = record
        .as_str()
        .expect("used up by the first write")
        .to_owned();
    // Begun: it goes on under the same approval.
    story.annotate(APPROVED, &record);
    let target = digest(&story.git);
    story.annotate(APPLYING, &target);
    assert!(story.plan().open_step().is_some(), "{}", story.told());
    // Given up by a revert, and asked for again.
    story.annotate(APPLYING, "v1:other");
    assert!(story.told().contains("the approval was used before"));
}
