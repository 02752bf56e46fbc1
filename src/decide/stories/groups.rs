//! Replication groups told as stories: what is sent of them on the way, and what an autoscaler makes of them.

use serde_json::{Value, json};

use crate::decide::story::{Story, all};
use crate::model::plan::Move;

#[test]
fn groups_that_git_does_not_declare_are_not_shifted() {
    let groups =
        json!({"mode": "async", "groups": [{"name": "g", "role": "readonly", "instances": 2}]});
    let mut story = Story::of((5, groups), (3, all("async")));
    story.loops(4, &[]);
    assert!(
        story.told().starts_with(
            "refused: the live object has replication groups that Git does not declare"
        ),
        "{}",
        story.told()
    );
}

#[test]
fn a_group_keeps_its_name_and_its_other_fields_on_the_way() {
    let replication = |size: u32| json!({"mode": "async", "groups": [{"name": "reports", "role": "readonly", "instances": size}]});
    let mut story = Story::of((5, replication(3)), (3, replication(1)));
    story.loops(4, &[]);
    let plan = story.plan();
    let sent = |step: usize| plan.steps[step].object["spec"]["replication"]["groups"].clone();
    assert_eq!(
        sent(0),
        json!([{"name": "reports", "role": "readonly", "instances": 2}])
    );
    assert_eq!(sent(1), replication(1)["groups"]);
    assert_eq!(plan.steps.len(), 2);
}

#[test]
fn groups_that_git_has_removed_stay_until_their_members_go() {
    let grouped = json!({"mode": "sync", "syncInstances": 1, "groups": [{"name": "g", "role": "readonly", "instances": 1}]});
    let mut story = Story::of((2, grouped.clone()), (1, all("async")));
    let owned =
        json!({"f:spec": {"f:replication": {"f:mode": {}, "f:syncInstances": {}, "f:groups": {}}}});
    story.own(owned);
    story.loops(4, &[]);
    let plan = story.plan();
    assert_eq!(plan.steps.len(), 2);
    let sent = |step: usize| plan.steps[step].object["spec"]["replication"]["groups"].clone();
    assert_eq!(sent(0), grouped["groups"]);
    assert_eq!(sent(1), json!(null));
}

#[test]
fn a_group_that_an_autoscaler_resizes_is_judged_by_the_size_it_will_have() {
    let groups = |added: bool| {
        let mut groups =
            vec![json!({"name": "gg", "role": "readonly", "instances": 2, "minInstances": 1})];
        groups.extend(added.then(|| json!({"name": "hh", "role": "ha", "instances": 1})));
        json!({"mode": "sync", "syncInstances": 1, "groups": groups})
    };
    let autoscaling = json!({"mode": "horizontal", "minInstances": 2, "maxInstances": 6});
    let mut story = Story::of((4, groups(false)), (4, groups(true)));
    story.git["spec"]["autoscaling"] = autoscaling.clone();
    story.scene.live_value()["spec"]["autoscaling"] = autoscaling;
    story.loops(4, &[]);
    // gg stays at two, so c-1 becomes readonly and c-3 ha.
    let plan = story.plan();
    let taken: Vec<String> = plan
        .steps
        .iter()
        .flat_map(|step| &step.moves)
        .filter_map(|one| match one {
            Move::TakeRoles { members, .. } => Some(members),
            _ => None,
        })
        .flatten()
        .map(|(member, role)| format!("{member} {}", role.word()))
        .collect();
    assert!(
        taken.contains(&"c-1 readonly".to_owned()),
        "{}",
        story.told()
    );
    // On the way the group is one smaller, and the operator must not be asked to resize it.
    let sent = |step: usize| plan.steps[step].object["spec"]["replication"]["groups"].clone();
    assert_eq!(sent(0)[0].get("minInstances"), None, "{}", sent(0));
    let last = plan.steps.len() - 1;
    assert_eq!(sent(last), groups(true)["groups"]);
    let leads: Value = sent(0)[0]["instances"].clone();
    assert_eq!(leads, json!(1));
}

#[test]
fn the_right_to_lead_is_given_and_taken_only_among_members_that_move() {
    let grouped = |size: u32| {
        let groups = json!([{"name": "g", "role": "readonly", "instances": size}]);
        json!({"mode": "sync", "syncInstances": 1, "groups": groups})
    };
    // Patroni would prefer c-1 once it may lead, and commits would wait for it.
    let mut story = Story::of((3, grouped(2)), (3, grouped(1)));
    story.loops(4, &["c-1"]);
    let told = story.told();
    assert!(
        told.starts_with("waiting: c-1 has not moved past"),
        "{told}"
    );
    // While c-1 has given its right up and c-2 has not, Patroni would prefer c-2.
    let mut story = Story::of((3, grouped(0)), (3, grouped(2)));
    story.scene.live_value()["spec"]["replication"]["groups"] = json!([]);
    story.loops(4, &["c-2"]);
    let told = story.told();
    assert!(
        told.starts_with("waiting: c-2 has not moved past"),
        "{told}"
    );
}
