//! The decisions told as stories: what Git asks for, what was seen, and the plan in words.

mod approvals;
mod groups;

use std::collections::BTreeMap;

use serde_json::json;

use crate::decide::digest::{APPLIED, APPLYING, digest};
use crate::decide::evidence::IdleLeader;
use crate::decide::story::{PARTS, Story, all, tell};
use crate::model::observed::Operation;
use crate::model::patroni::{Seen, SyncState};
use crate::model::plan::{Move, State, Verdict};

#[test]
fn the_seeds_step_opens_when_all_three_standbys_have_passed_the_mark() {
    let mut story = Story::of((4, all("async")), (4, all("sync-all")));
    story.loops(1, &[]);
    assert_eq!(story.plan().state, State::Waiting);
    story.loops(2, &[]);
    assert_eq!(
        story.told(),
        "pending\nmode async→sync-all [3 synchronous standbys]"
    );
    assert!(story.plan().open_step().is_some());
}

#[test]
fn a_frozen_standby_holds_the_switch_to_sync_all_and_says_where_it_stands() {
    let mut story = Story::of((4, all("async")), (4, all("sync-all")));
    story.loops(4, &["c-2"]);
    assert_eq!(
        story.told(),
        "waiting: c-2 has not moved past 0/64 for 30 s while the leader is at 0/FA0\n\
         mode async→sync-all [3 synchronous standbys]"
    );
    assert!(story.plan().open_step().is_none());
}

#[test]
fn another_frozen_standby_is_news_and_a_longer_wait_is_none() {
    let gist = |frozen: &str, loops: u64| {
        let mut story = Story::of((4, all("async")), (4, all("sync-all")));
        story.loops(loops, &[frozen]);
        story.plan().gist()
    };
    assert_eq!(gist("c-2", 4), gist("c-2", 6));
    assert_ne!(gist("c-1", 4), gist("c-2", 4));
}

#[test]
fn one_standby_of_three_is_enough_for_sync_with_one_while_another_is_frozen() {
    let mut story = Story::of(
        (4, all("async")),
        (4, json!({"mode": "sync", "syncInstances": 1})),
    );
    story.loops(4, &["c-2"]);
    assert_eq!(story.plan().state, State::Pending);
}

#[test]
fn strict_waits_until_sync_lists_the_standbys_for_two_loops() {
    let mut story = Story::of((3, all("sync-all")), (3, all("strict-sync-all")));
    story.loops(1, &[]);
    assert_eq!(
        story.told(),
        "waiting: needs another look: c-0 was not seen to renew its lock yet\n\
         mode sync-all→strict-sync-all [2 synchronous standbys, strict]"
    );
    story.loops(1, &[]);
    assert!(story.told().starts_with(
        "waiting: needs another look: /sync was seen unchanged for 1 of 2 leader loops"
    ));
    story.loops(1, &[]);
    assert_eq!(story.plan().state, State::Pending);
    story.scene.seen.patroni.sync = Seen::Value(SyncState {
        leader: Some("c-0".into()),
        standbys: vec!["c-1".into()],
        quorum: 0,
    });
    story.loops(3, &[]);
    assert!(
        story
            .told()
            .starts_with("waiting: /sync lists 1 of 2 standbys")
    );
}

#[test]
fn a_standby_that_freezes_in_sync_holds_strict_and_the_removal_of_another() {
    let mut story = Story::of((3, all("sync-all")), (3, all("strict-sync-all")));
    story.loops(5, &["c-2"]);
    assert!(
        story
            .told()
            .starts_with("waiting: c-2 has not moved past 0/64"),
        "{}",
        story.told()
    );
    let mut story = Story::of(
        (3, json!({"mode": "sync", "syncInstances": 1})),
        (2, all("sync-all")),
    );
    story.loops(5, &["c-1"]);
    assert!(
        story
            .told()
            .starts_with("waiting: c-1 has not moved past 0/64"),
        "{}",
        story.told()
    );
}

#[test]
fn strict_needs_a_standby_that_may_be_promoted() {
    let grouped =
        |mode: &str| json!({"mode": mode, "groups": [{"role": "readonly", "instances": 1}]});
    let mut story = Story::of((2, grouped("sync-all")), (2, grouped("strict-sync-all")));
    story.loops(4, &[]);
    assert!(
        story
            .told()
            .starts_with("blocked: no standby may be promoted with these roles"),
        "{}",
        story.told()
    );
}

#[test]
fn growing_strict_sync_all_from_one_instance_goes_through_async() {
    let mut story = Story::of((1, all("strict-sync-all")), (3, all("strict-sync-all")));
    story.loops(2, &[]);
    assert_eq!(
        story.told(),
        "pending\n\
         instances 1→3, mode strict-sync-all→async [asynchronous]\n\
         mode async→sync-all [2 synchronous standbys]\n\
         mode sync-all→strict-sync-all [2 synchronous standbys, strict]"
    );
}

#[test]
fn a_climb_waits_for_the_members_that_are_still_being_built() {
    let mut story = Story::of((3, all("async")), (3, all("sync-all")));
    story.loops(3, &[]);
    story.scene.member("c-2").status = None;
    story.loops(1, &[]);
    assert!(
        story.told().starts_with("waiting: c-2 is being built"),
        "{}",
        story.told()
    );
    story.scene.members(3);
    story
        .scene
        .says("c-2", |said| said.replication_state = None);
    story.loops(1, &[]);
    assert!(
        story
            .told()
            .starts_with("waiting: c-2 is not streaming yet"),
        "{}",
        story.told()
    );
    story.scene.members(2);
    story.loops(1, &[]);
    assert!(
        story.told().starts_with("waiting: 2 of 3 members exist"),
        "{}",
        story.told()
    );
}

#[test]
fn shrinking_loosens_first_and_never_through_the_leaders_index() {
    let mut story = Story::of((4, all("strict-sync-all")), (3, all("strict-sync-all")));
    story.loops(3, &[]);
    assert_eq!(
        story.told(),
        "pending\n\
         mode strict-sync-all→strict-sync, syncInstances -→2 [2 synchronous standbys, strict]\n\
         instances 4→3, mode strict-sync→strict-sync-all, syncInstances 2→- [2 synchronous standbys, strict]"
    );
    let mut story = Story::of((3, all("async")), (2, all("async")));
    story.scene.lead("c-2");
    story.loops(3, &[]);
    assert_eq!(story.plan().state, State::Blocked);
    assert!(
        story.told().contains(
            "c-2 is the leader: switch over to c-0 first (patronictl switchover --candidate c-0)"
        ),
        "{}",
        story.told()
    );
}

#[test]
fn what_only_makes_room_for_a_removal_is_not_loosened_while_the_leader_is_in_its_way() {
    let mut story = Story::of((3, all("strict-sync-all")), (2, all("strict-sync-all")));
    story.scene.lead("c-2");
    story.loops(3, &[]);
    let plan = story.plan();
    assert!(matches!(&plan.steps[0].moves[..], [Move::Loosen { .. }]));
    assert_eq!(plan.state, State::Blocked);
    // Asked for by the declared mode, it is worth having whoever leads.
    let mut story = Story::of((3, all("strict-sync-all")), (2, all("async")));
    story.scene.lead("c-2");
    story.loops(3, &[]);
    assert!(story.plan().open_step().is_some(), "{}", story.told());
}

#[test]
fn nothing_is_loosened_without_a_live_leader() {
    let mut story = Story::of((3, all("sync-all")), (3, all("async")));
    story.loops(3, &[]);
    assert_eq!(story.plan().state, State::Pending);
    story.scene.member("c-0").ready = false;
    story.loops(1, &[]);
    assert!(
        story
            .told()
            .starts_with("waiting: the leader c-0 is not ready")
    );
    story.scene.member("c-0").ready = true;
    story.looks += 4;
    story.look();
    assert!(
        story
            .told()
            .starts_with("waiting: c-0 has not renewed its lock for 40 s"),
        "{}",
        story.told()
    );
}

#[test]
fn loosening_is_not_held_by_a_dead_standby_and_is_held_by_an_operation() {
    let mut story = Story::of((3, all("strict-sync-all")), (3, all("async")));
    story.scene.member("c-2").ready = false;
    story.loops(3, &["c-1", "c-2"]);
    assert_eq!(story.plan().state, State::Pending);
    story.scene.seen.operations = Seen::Value(vec![Operation {
        kind: "SGDbOps",
        name: "restart-1".into(),
        op: "restart".into(),
    }]);
    assert!(
        story
            .told()
            .starts_with("waiting: SGDbOps restart-1 (restart) has not ended")
    );
}

#[test]
fn the_operators_lock_holds_until_its_time() {
    let mut story = Story::of((3, all("sync-all")), (3, all("async")));
    story
        .loops(3, &[])
        .annotate("stackgres.io/lockPod", "backup-1")
        .annotate("stackgres.io/lockTimeout", "1060");
    assert!(
        story
            .told()
            .starts_with("waiting: the cluster is locked by backup-1")
    );
    story.annotate("stackgres.io/lockTimeout", "999");
    assert_eq!(story.plan().state, State::Pending);
    story.annotate("stackgres.io/lockTimeout", "soon");
    assert_eq!(story.plan().state, State::Waiting);
}

#[test]
fn unknown_opens_nothing() {
    for part in PARTS {
        let mut story = Story::of((3, all("sync-all")), (3, all("strict-sync-all")));
        story.loops(4, &[]);
        assert!(story.plan().open_step().is_some());
        let mut removal = Story::of((3, all("async")), (2, all("async")));
        removal.loops(4, &[]);
        assert!(removal.plan().open_step().is_some());
        for story in [&mut story, &mut removal] {
            story.forget(part);
        }
        assert!(
            story.plan().open_step().is_none(),
            "{part} unknown, adding strict"
        );
        assert!(
            removal.plan().open_step().is_none(),
            "{part} unknown, removing an instance"
        );
    }
}

#[test]
fn an_idle_leader_opens_after_two_minutes_with_the_risk_named_or_holds() {
    let mut story = Story::of((2, all("async")), (2, all("sync-all")));
    for _ in 0..3 {
        story.looks += 1;
        story.scene.renew(100);
        story.look();
    }
    assert!(
        story
            .told()
            .starts_with("waiting: idle leader: no write for 20 s"),
        "{}",
        story.told()
    );
    for _ in 0..10 {
        story.looks += 1;
        story.scene.renew(100);
        story.look();
    }
    let plan = story.plan();
    assert_eq!(plan.state, State::Pending);
    let gates: BTreeMap<_, _> = plan.steps[0]
        .gates
        .iter()
        .map(|gate| (gate.id.code(), &gate.verdict))
        .collect();
    assert!(
        matches!(gates["mark"], Verdict::Open(risk) if risk.contains("a frozen standby would not show"))
    );
    story.idle_leader = IdleLeader::Hold;
    assert_eq!(story.plan().state, State::Waiting);
}

#[test]
fn an_absent_cluster_is_created_asynchronous_and_climbs() {
    let mut story = Story::of(
        (4, all("async")),
        (4, json!({"mode": "sync-all", "syncInstances": 1})),
    );
    story.scene.seen.live = None;
    let plan = story.plan();
    assert_eq!(
        tell(&plan),
        "pending\n\
         instances -→4, mode -→async, syncInstances -→1 [asynchronous]\n\
         mode async→sync-all [3 synchronous standbys]"
    );
    let object = &plan.steps[0].object;
    assert_eq!(
        object.pointer("/spec/replication/mode"),
        Some(&json!("async"))
    );
    assert_eq!(object.pointer("/metadata/resourceVersion"), None);
    assert_eq!(
        object["metadata"]["annotations"][APPLYING],
        json!(digest(&story.git))
    );
    assert!(plan.open_step().is_some());
}

#[test]
fn equal_and_recorded_is_in_sync_without_a_step() {
    let mut story = Story::of((3, all("async")), (3, all("async")));
    let applied = digest(&story.git);
    assert_eq!(story.plan().steps[0].moves, [Move::Record]);
    story.annotate(APPLIED, &applied);
    assert_eq!(story.told(), "in-sync");
}

#[test]
fn equal_digest_and_a_field_that_differs_is_drift_and_is_not_corrected() {
    let mut story = Story::of((3, all("async")), (3, all("sync-all")));
    let applied = digest(&story.git);
    story.loops(3, &[]).annotate(APPLIED, &applied);
    assert_eq!(story.told(), "drifted: spec.replication.mode was changed");
    assert!(story.plan().open_step().is_none());
}

#[test]
fn a_transition_interrupted_by_a_revert_is_undone_in_order() {
    // Applied is Git's digest again, but the object is between two shapes: Git wins and the way back is planned.
    let mut story = Story::of((3, all("sync-all")), (3, all("async")));
    let applied = digest(&story.git);
    story
        .loops(3, &[])
        .annotate(APPLIED, &applied)
        .annotate(APPLYING, "v1:other");
    assert_eq!(
        story.told(),
        "in-transition\nmode sync-all→async [asynchronous]"
    );
}

#[test]
fn a_transition_whose_object_is_already_there_is_only_recorded() {
    let mut story = Story::of((3, all("async")), (3, all("async")));
    let applied = digest(&story.git);
    story
        .annotate(APPLIED, &applied)
        .annotate(APPLYING, "v1:other");
    let plan = story.plan();
    assert_eq!(plan.steps[0].moves, [Move::Record]);
    assert_eq!(
        plan.steps[0].object["metadata"]["annotations"],
        json!({APPLIED: applied})
    );
}

#[test]
fn intermediate_writes_keep_the_old_record_and_the_last_one_is_gits_document() {
    let mut story = Story::of((2, all("sync-all")), (4, all("sync-all")));
    story.loops(3, &[]).annotate(APPLIED, "v1:before");
    let plan = story.plan();
    let target = digest(&story.git);
    assert_eq!(
        plan.steps[0].object["metadata"]["annotations"],
        json!({APPLYING: target, APPLIED: "v1:before"})
    );
    assert_eq!(
        plan.steps[0].object["spec"]["replication"],
        json!({"mode": "sync", "syncInstances": 1})
    );
    assert_eq!(
        plan.steps[1].object["metadata"]["annotations"],
        json!({APPLIED: target})
    );
    assert_eq!(plan.steps[1].object["spec"], story.git["spec"]);
}

#[test]
fn settings_are_one_write_before_the_climb() {
    let mut story = Story::of((3, all("async")), (3, all("sync-all")));
    story.git["spec"]["configurations"] = json!({"backups": [{"sgObjectStorage": "s3"}]});
    story.loops(1, &[]);
    let plan = story.plan();
    assert_eq!(plan.steps[0].moves, [Move::Settings]);
    assert_eq!(
        plan.steps[0].object["spec"]["replication"]["mode"],
        json!("async")
    );
    assert_eq!(plan.state, State::Pending);
}

#[test]
fn an_autoscaler_owns_the_instances_between_its_bounds() {
    let mut story = Story::of((5, all("async")), (3, all("async")));
    story.git["spec"]["autoscaling"] =
        json!({"mode": "horizontal", "minInstances": 2, "maxInstances": 6});
    story.scene.live_value()["spec"]["autoscaling"] = story.git["spec"]["autoscaling"].clone();
    let plan = story.plan();
    assert_eq!(plan.state, State::InSync);
    assert_eq!(plan.steps[0].object["spec"]["instances"], json!(5));
}

#[test]
fn a_count_that_git_leaves_to_the_webhook_is_no_difference() {
    let mut story = Story::of(
        (3, json!({"mode": "sync", "syncInstances": 1})),
        (3, all("sync")),
    );
    let applied = digest(&story.git);
    story.annotate(APPLIED, &applied);
    assert_eq!(story.told(), "in-sync");
}

#[test]
fn a_generated_cluster_is_left_to_the_object_that_generates_it() {
    let mut story = Story::of((3, all("async")), (3, all("sync-all")));
    story.scene.live_value()["metadata"]["ownerReferences"] = json!([{"apiVersion": "stackgres.io/v1alpha1", "kind": "SGShardedCluster", "name": "sharded"}]);
    assert!(
        story
            .told()
            .starts_with("refused: it is generated by SGShardedCluster sharded")
    );
}

#[test]
fn declared_and_not_in_force_is_said() {
    let mut story = Story::of((4, all("sync-all")), (4, all("sync-all")));
    let applied = digest(&story.git);
    story.annotate(APPLIED, &applied);
    story.scene.seen.patroni.sync = Seen::Value(SyncState {
        leader: Some("c-0".into()),
        standbys: vec!["c-1".into()],
        quorum: 0,
    });
    assert_eq!(
        story.told(),
        "in-sync: not in force: 1 of 3 synchronous standbys are listed"
    );
}

#[test]
fn a_member_that_has_yet_to_go_is_no_standby_to_count_on() {
    // The object has two instances; the operator has not taken the third away, and Patroni lists just that one.
    let mut story = Story::of((2, all("sync-all")), (2, all("strict-sync-all")));
    story.scene.members(3);
    story.scene.seen.patroni.sync = Seen::Value(SyncState {
        leader: Some("c-0".into()),
        standbys: vec!["c-2".into()],
        quorum: 0,
    });
    story.loops(4, &[]);
    let told = story.told();
    assert!(
        told.starts_with("waiting: /sync lists c-2, which has yet to go"),
        "{told}"
    );
    let mut story = Story::of((2, all("async")), (2, all("sync-all")));
    story.scene.members(3);
    story.loops(4, &["c-1"]);
    assert!(story.plan().open_step().is_none(), "{}", story.told());
}

#[test]
fn loosening_that_hides_in_a_deletion_is_said() {
    let owned = json!({"f:spec": {"f:replication": {"f:mode": {}, "f:syncInstances": {}}}});
    let found = |live: serde_json::Value, git: serde_json::Value| {
        let mut story = Story::of((4, live), (4, git));
        story.own(owned.clone());
        story.loops(3, &[]);
        let plan = story.plan();
        let findings = plan.findings.iter();
        findings
            .map(|finding| format!("{}: {}", finding.id, finding.message))
            .collect::<Vec<_>>()
    };
    let three = json!({"mode": "sync", "syncInstances": 3});
    assert_eq!(
        found(three.clone(), json!({"mode": "sync"})),
        [
            "hidden-loosening: spec.replication.syncInstances is gone from Git, so the operator puts syncInstances: 1 in its place: 3 synchronous standbys → 1 synchronous standby"
        ]
    );
    assert_eq!(
        found(three.clone(), json!(null)),
        [
            "hidden-loosening: spec.replication.mode is gone from Git, so the operator puts mode: async in its place: 3 synchronous standbys → asynchronous"
        ]
    );
    // Said openly, it needs no warning; and what loosens nothing hides nothing.
    assert!(found(three.clone(), json!({"mode": "async"})).is_empty());
    assert!(found(three, json!({"mode": "sync-all"})).is_empty());
}
