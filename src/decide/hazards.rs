//! Every hazard of `domain.md` §6.2, H1 to H33: the blind write avoided, refused, or waiting.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::decide::check::{Schemas, check};
use crate::decide::desired::{NamespaceMap, Rules, assemble, read_file};
use crate::decide::digest::{APPLIED, digest};
use crate::decide::review::review;
use crate::decide::story::{Story, all};
use crate::model::crd::Generation;
use crate::model::desired::Source;
use crate::model::manifest;
use crate::model::patroni::{FailoverRequest, Lsn, Seen, SyncState, Takeover};
use crate::model::plan::{Move, State};
use crate::model::yaml::Limits;

fn counted(mode: &str, count: u32) -> Value {
    json!({"mode": mode, "syncInstances": count})
}

/// A replication section whose last members are in groups, `readonly:1`.
fn grouped(mut section: Value, groups: &[&str]) -> Value {
    section["groups"] = groups
        .iter()
        .map(|group| {
            let (role, size) = group.split_once(':').expect("role:size");
            json!({"role": role, "instances": size.parse::<u32>().expect("a size")})
        })
        .collect();
    section
}

/// After some loops in which every member follows.
fn settled(live: (u32, Value), git: (u32, Value)) -> Story {
    let mut story = Story::of(live, git);
    story.loops(4, &[]);
    story
}

fn held(story: &Story, state: State, reason: &str) {
    let plan = story.plan();
    let because = plan.because.clone().unwrap_or_default();
    assert_eq!(plan.state, state, "{because}");
    assert!(because.contains(reason), "{because}");
    assert!(plan.open_step().is_none());
}

/// The lines of the steps, without the state.
fn steps(story: &Story) -> Vec<String> {
    story.told().lines().skip(1).map(str::to_owned).collect()
}

fn list(story: &mut Story, standbys: &[&str]) {
    story.scene.seen.patroni.sync = Seen::Value(SyncState {
        leader: Some("c-0".into()),
        standbys: standbys.iter().map(|name| (*name).to_owned()).collect(),
        quorum: 0,
    });
}

/// Ids of what is found in a manifest of `c` with this `spec` beside the least that it needs.
fn found(spec: &str) -> Vec<&'static str> {
    let text = format!(
        "apiVersion: stackgres.io/v1\nkind: SGCluster\nmetadata: {{namespace: db, name: c}}\nspec:\n  postgres: {{version: '16.1'}}\n  pods: {{persistentVolume: {{size: 10Gi}}}}\n{spec}"
    );
    let file = manifest::read("c.yaml", text.as_bytes(), &Limits::default());
    let object = &file.objects[0];
    let document = object.document.as_ref().expect("a manifest that reads");
    let findings = check(document, object.carried, &Schemas::of(Generation::Current));
    findings.iter().map(|finding| finding.id).collect()
}

#[test]
fn h01_strict_at_once_without_a_streaming_standby_is_a_climb_that_waits() {
    let mut story = settled((3, all("async")), (3, counted("strict-sync", 2)));
    for name in ["c-1", "c-2"] {
        story.scene.says(name, |said| said.replication_state = None);
    }
    held(
        &story,
        State::Waiting,
        "c-1 is not streaming yet; c-2 is not streaming yet",
    );
    assert_eq!(
        steps(&story),
        [
            "mode async→sync, syncInstances -→2 [2 synchronous standbys]",
            "mode sync→strict-sync [2 synchronous standbys, strict]",
        ]
    );
}

#[test]
fn h02_a_lagging_standby_holds_the_climb_that_would_wait_for_its_catch_up() {
    let mut story = settled((2, all("async")), (2, counted("sync", 1)));
    story.looks += 1;
    story.scene.renew(64 << 20);
    story.look();
    held(&story, State::Waiting, "c-1 is 63 MiB behind");
}

#[test]
fn h03_a_higher_count_waits_for_each_standby_that_it_adds() {
    let mut story = Story::of((4, counted("sync", 1)), (4, counted("sync", 2)));
    story.loops(4, &["c-2", "c-3"]);
    held(&story, State::Waiting, "c-2 has not moved past");
    story.loops(4, &["c-3"]);
    assert_eq!(story.plan().state, State::Pending);
}

#[test]
fn h04_instances_and_a_tighter_mode_are_two_writes_the_instances_first() {
    let story = settled((2, all("async")), (4, all("sync-all")));
    assert_eq!(
        steps(&story),
        [
            "instances 2→4 [asynchronous]",
            "mode async→sync-all [3 synchronous standbys]",
        ]
    );
}

#[test]
fn h05_what_a_removal_would_leave_unfulfilled_is_loosened_before_it() {
    let story = settled((4, counted("sync", 3)), (3, counted("sync", 1)));
    assert_eq!(
        steps(&story),
        [
            "syncInstances 3→1 [1 synchronous standby]",
            "instances 4→3 [1 synchronous standby]",
        ]
    );
}

#[test]
fn h06_a_scale_down_through_the_leaders_index_waits_and_names_the_switchover() {
    let mut story = Story::of((4, counted("sync", 1)), (2, counted("sync", 1)));
    story.scene.lead("c-2");
    story.scene.seen.patroni.sync = Seen::Value(SyncState {
        leader: Some("c-2".into()),
        standbys: vec!["c-1".into()],
        quorum: 0,
    });
    story.loops(4, &[]);
    // The first removal would be c-3; the last would be the leader.
    held(
        &story,
        State::Blocked,
        "c-2 is the leader: switch over to c-1 first (patronictl switchover --candidate c-1)",
    );
}

#[test]
fn h07_two_instances_in_sync_become_async_before_they_become_one() {
    let story = settled((2, counted("strict-sync", 1)), (1, all("async")));
    assert_eq!(
        steps(&story),
        [
            "mode strict-sync→async [asynchronous]",
            "instances 2→1 [asynchronous]",
        ]
    );
}

#[test]
fn h07_what_a_write_through_scale_left_unstorable_is_mended_by_the_first_write() {
    // `kubectl scale` has taken an instance that syncInstances needs; every other write is refused until that is mended.
    let mut story = settled((2, counted("sync", 2)), (3, counted("sync", 2)));
    story.git["spec"]["configurations"] = json!({"backups": [{"sgObjectStorage": "s3"}]});
    let plan = story.plan();
    let [first] = &plan.steps[..] else {
        panic!("{}", story.told())
    };
    assert!(matches!(
        &first.moves[..],
        [Move::Grow { from: 2, to: 3 }, Move::Settings]
    ));
    assert!(plan.open_step().is_some(), "{}", story.told());
}

#[test]
fn h08_all_of_one_instance_is_shown_as_the_asynchronous_it_is() {
    let story = settled((2, all("sync-all")), (1, all("sync-all")));
    assert_eq!(
        steps(&story),
        [
            "mode sync-all→async [asynchronous]",
            "instances 2→1, mode async→sync-all [asynchronous]",
        ]
    );
    assert!(found("  instances: 1\n  replication: {mode: sync-all}\n").contains(&"all-of-one"));
}

#[test]
fn h09_growing_from_one_instance_of_all_goes_through_explicit_async() {
    let story = settled((1, all("strict-sync-all")), (2, all("strict-sync-all")));
    assert_eq!(
        steps(&story)[0],
        "instances 1→2, mode strict-sync-all→async [asynchronous]"
    );
}

#[test]
fn h10_nothing_is_loosened_while_the_leader_is_missing() {
    for git in [all("async"), counted("sync", 1)] {
        let mut story = settled((3, counted("strict-sync", 1)), (3, git));
        assert!(story.plan().open_step().is_some());
        if let Seen::Value(record) = &mut story.scene.seen.patroni.leader {
            record.leader = None;
        }
        held(&story, State::Waiting, "no leader holds the lock");
    }
}

#[test]
fn h11_taking_strict_off_with_no_standby_says_where_that_frees_no_write() {
    let mut story = settled((2, counted("strict-sync", 1)), (2, counted("sync", 1)));
    story.scene.member("c-1").ready = false;
    held(
        &story,
        State::Blocked,
        "Patroni 3.3.3 keeps writes waiting when strict is taken off without one",
    );
    for (version, is_open) in [("3.3.7", true), ("4.0.5", false), ("4.1.0", true)] {
        story
            .scene
            .says("c-0", |said| said.version = Some(version.into()));
        assert_eq!(story.plan().open_step().is_some(), is_open, "{version}");
    }
    // What helps there is not held: neither async, nor the members that would free writes.
    let mut grows = settled((1, counted("strict-sync", 1)), (3, counted("sync", 1)));
    grows.scene.live_value()["spec"]["replication"]["syncInstances"] = json!(1);
    assert!(grows.plan().open_step().is_some(), "{}", grows.told());
    let mut story = settled((2, counted("strict-sync", 1)), (2, all("async")));
    story.scene.member("c-1").ready = false;
    assert!(story.plan().open_step().is_some());
}

#[test]
fn h12_strict_for_members_that_can_never_lead_waits_for_a_person() {
    let section = |mode: &str| grouped(counted(mode, 1), &["readonly:1"]);
    let story = settled((2, section("sync")), (2, section("strict-sync")));
    held(
        &story,
        State::Blocked,
        "no standby may be promoted with these roles",
    );
    assert!(
        found("  instances: 2\n  replication: {mode: strict-sync, syncInstances: 1, groups: [{role: readonly, instances: 1}]}\n")
            .contains(&"no-failover")
    );
}

#[test]
fn h13_a_role_that_takes_the_leaders_right_to_lead_waits_for_a_switchover() {
    let mut story = Story::of(
        (3, all("async")),
        (3, grouped(all("async"), &["readonly:1"])),
    );
    story.scene.lead("c-2");
    story.loops(4, &[]);
    held(
        &story,
        State::Blocked,
        "c-2 is the leader and may not lead in its new role: switch over to c-0 first",
    );
}

#[test]
fn h14_the_only_listed_standby_loses_its_right_to_lead_after_another_is_listed() {
    let git = grouped(counted("sync", 1), &["readonly:1"]);
    let mut story = settled((3, counted("sync", 1)), (3, git));
    list(&mut story, &["c-2"]);
    story.loops(3, &[]);
    assert_eq!(
        steps(&story),
        [
            "syncInstances 1→2 [2 synchronous standbys]",
            "groups -→[group-1: 1 readonly] [2 synchronous standbys]",
            "syncInstances 2→1 [1 synchronous standby]",
        ]
    );
    assert!(story.plan().open_step().is_some());
    list(&mut story, &["c-1"]);
    story.loops(3, &[]);
    assert_eq!(
        steps(&story),
        ["groups -→[group-1: 1 readonly] [1 synchronous standby]"]
    );
}

#[test]
fn h15_resized_groups_give_before_they_take() {
    let live = grouped(all("async"), &["readonly:1", "ha:1"]);
    let git = grouped(all("async"), &["ha:1", "readonly:1"]);
    let story = settled((4, live), (4, git));
    let moves: Vec<Vec<Move>> = story
        .plan()
        .steps
        .into_iter()
        .map(|step| step.moves)
        .collect();
    assert!(matches!(&moves[0][..], [Move::GiveRoles { members }] if members.len() == 2));
    assert!(matches!(&moves[1][..], [Move::TakeRoles { members, .. }] if members.len() == 2));
    assert_eq!(moves.len(), 2);
    // Instances and their group together leave everybody's role, so it is one write.
    let story = settled(
        (3, grouped(all("async"), &["readonly:1"])),
        (4, grouped(all("async"), &["readonly:2"])),
    );
    assert_eq!(steps(&story).len(), 1);
}

#[test]
fn h16_roles_and_a_tighter_mode_are_apart_and_the_next_step_waits_for_the_roles() {
    let live = grouped(counted("sync", 2), &["readonly:1"]);
    let mut story = settled((3, live), (3, grouped(counted("strict-sync", 2), &[])));
    assert_eq!(
        steps(&story),
        [
            "groups [group-1: 1 readonly]→- [2 synchronous standbys]",
            "mode sync→strict-sync [2 synchronous standbys, strict]",
        ]
    );
    // The first is written; c-2 has not followed yet.
    story.scene.live_value()["spec"]["replication"] = counted("sync", 2);
    held(
        &story,
        State::Waiting,
        "c-2 has not taken up the role ha-read yet, it has readonly",
    );
    story.scene.take_up_roles();
    assert!(story.plan().open_step().is_some());
}

#[test]
fn h17_commits_that_wait_for_members_that_never_lead_are_told() {
    let findings = found(
        "  instances: 3\n  replication: {mode: sync-all, groups: [{role: none, instances: 1}]}\n",
    );
    assert!(findings.contains(&"sync-not-promotable"), "{findings:?}");
}

#[test]
fn h18_following_another_cluster_waits_for_an_approval_and_comes_last() {
    let mut story = settled((2, all("sync-all")), (2, all("sync-all")));
    story.git["spec"]["replicateFrom"] = json!({"instance": {"sgCluster": "d"}});
    held(
        &story,
        State::Blocked,
        "of the manifest: lockstep.dev/approve: 1970-01-08:",
    );
    let moves: Vec<_> = story
        .plan()
        .steps
        .into_iter()
        .map(|step| step.moves)
        .collect();
    assert!(matches!(&moves[0][..], [Move::Loosen { .. }]));
    assert!(matches!(&moves[1][..], [Move::Follow]));
}

#[test]
fn h19_leading_again_waits_for_an_approval_and_is_asynchronous_at_first() {
    let mut story = settled((2, all("sync-all")), (2, all("sync-all")));
    story.scene.live_value()["spec"]["replicateFrom"] = json!({"instance": {"sgCluster": "d"}});
    let owned = json!({"f:spec": {"f:replicateFrom": {"f:instance": {"f:sgCluster": {}}}}});
    story.own(owned);
    held(&story, State::Blocked, "two primaries do (split brain)");
    story.approve();
    let plan = story.plan();
    assert!(plan.open_step().is_some(), "{:?}", plan.because);
    let object = &plan.steps[0].object;
    assert_eq!(object.pointer("/spec/replicateFrom"), None);
    assert_eq!(
        object.pointer("/spec/replication/mode"),
        Some(&json!("async"))
    );
    assert!(matches!(
        &plan.steps[1].moves[..],
        [Move::Climb { standbys: 1 }]
    ));
}

#[test]
fn h20_a_lock_holds_every_step_and_no_drift_is_corrected_meanwhile() {
    let mut story = settled((3, all("async")), (3, all("sync-all")));
    story.annotate("stackgres.io/lockPod", "upgrade");
    story.annotate("stackgres.io/lockTimeout", "9999");
    held(&story, State::Waiting, "the cluster is locked by upgrade");
    // A major upgrade has put the mode to async and the instances to one: drift that is left alone.
    let mut story = settled((1, all("async")), (3, all("sync-all")));
    let applied = digest(&story.git);
    story.annotate(APPLIED, &applied);
    story.scene.live_value()["status"]["dbOps"] = json!({"majorVersionUpgrade": {}});
    assert_eq!(story.plan().state, State::Drifted);
    assert!(story.plan().open_step().is_none());
}

#[test]
fn h21_an_autoscaler_owns_the_instances_and_all_modes_with_it_are_warned_of() {
    let mut story = settled((5, all("async")), (3, counted("sync", 1)));
    story.git["spec"]["autoscaling"] =
        json!({"mode": "horizontal", "minInstances": 2, "maxInstances": 6});
    story.scene.live_value()["spec"]["autoscaling"] = story.git["spec"]["autoscaling"].clone();
    assert_eq!(
        steps(&story),
        ["mode async→sync, syncInstances -→1 [1 synchronous standby]"]
    );
    assert!(story.plan().open_step().is_some());
    let findings = found(
        "  instances: 3\n  replication: {mode: sync-all}\n  autoscaling: {mode: horizontal, minInstances: 2, maxInstances: 6}\n",
    );
    assert!(findings.contains(&"autoscaling-sync-all"), "{findings:?}");
}

#[test]
fn h22_instances_go_down_one_at_a_time_whatever_the_management_policy_says() {
    let mut story = settled((4, all("async")), (1, all("async")));
    let parallel = json!("Parallel");
    story.git["spec"]["pods"]["managementPolicy"] = parallel.clone();
    story.scene.live_value()["spec"]["pods"]["managementPolicy"] = parallel;
    assert_eq!(
        steps(&story),
        [
            "instances 4→3 [asynchronous]",
            "instances 3→2 [asynchronous]",
            "instances 2→1 [asynchronous]",
        ]
    );
}

#[test]
fn h23_a_member_that_cannot_be_scheduled_blocks_after_a_while_in_the_looser_mode() {
    let mut story = settled((3, all("async")), (3, all("sync-all")));
    let member = story.scene.member("c-2");
    member.unschedulable = Some("0/3 nodes are available".into());
    member.status = None;
    story.loops(2, &["c-2"]);
    let reason = "c-2 cannot be scheduled: 0/3 nodes are available";
    held(&story, State::Waiting, reason);
    story.loops(12 * 60 + 1, &["c-2"]);
    held(&story, State::Blocked, reason);
    held(&story, State::Blocked, "for 120 min: ");
    held(&story, State::Blocked, "; restart or rebuild the standby");
    story.scene.members(3);
    story.loops(4, &[]);
    assert_eq!(story.plan().state, State::Pending);
}

#[test]
fn h24_after_a_failover_what_was_seen_of_the_old_leader_counts_no_more() {
    let mut story = settled((3, counted("sync", 1)), (3, counted("strict-sync", 1)));
    assert!(story.plan().open_step().is_some());
    story.scene.lead("c-1");
    story.looks += 1;
    story.look();
    held(
        &story,
        State::Waiting,
        "/sync is not the present leader's (c-1)",
    );
    story.scene.seen.patroni.sync = Seen::Value(SyncState {
        leader: Some("c-1".into()),
        standbys: vec!["c-2".into()],
        quorum: 0,
    });
    story.loops(2, &[]);
    assert!(story.plan().open_step().is_none());
    story.loops(3, &[]);
    assert!(story.plan().open_step().is_some(), "{}", story.told());
}

#[test]
fn h25_a_paused_patroni_holds_what_tightens() {
    let mut story = settled((3, all("async")), (3, all("sync-all")));
    if let Seen::Value(config) = &mut story.scene.seen.patroni.config {
        config.paused = true;
    }
    held(&story, State::Waiting, "Patroni is paused");
}

#[test]
fn h26_patronis_own_settings_are_a_step_of_their_own_and_a_broken_timing_is_told() {
    let mut story = settled((3, all("async")), (3, all("sync-all")));
    story.git["spec"]["configurations"] =
        json!({"patroni": {"dynamicConfig": {"maximum_lag_on_syncnode": 1_048_576}}});
    let plan = story.plan();
    assert_eq!(plan.steps[0].moves, [Move::Settings]);
    assert!(matches!(&plan.steps[1].moves[..], [Move::Climb { .. }]));
    let findings = found(
        "  instances: 1\n  configurations: {patroni: {dynamicConfig: {ttl: 20, loop_wait: 10}}}\n",
    );
    assert!(findings.contains(&"patroni-timing"), "{findings:?}");
}

#[test]
fn h27_what_replaces_pods_never_travels_with_replication_and_comes_after_it() {
    let mut story = settled((3, all("async")), (3, all("sync-all")));
    story.git["spec"]["pods"]["disableEnvoy"] = json!(false);
    let plan = story.plan();
    assert_eq!(plan.steps.len(), 2);
    assert!(matches!(&plan.steps[0].moves[..], [Move::Climb { .. }]));
    assert_eq!(
        plan.steps[0].object.pointer("/spec/pods/disableEnvoy"),
        None
    );
    assert!(plan.steps[0].more_follow);
    assert_eq!(
        plan.steps[1].moves,
        [Move::Template {
            after_replication: true
        }]
    );
    assert_eq!(
        plan.steps[1].object.pointer("/spec/pods/disableEnvoy"),
        Some(&json!(false))
    );
    // What was declared is stored, and Pods wait for a restart that nobody begins by itself: that is said, and holds nothing.
    let mut story = settled((3, all("async")), (3, all("async")));
    story.scene.live_value()["status"]["conditions"] =
        json!([{"type": "PendingRestart", "status": "True"}]);
    assert!(story.told().starts_with("in-sync: a restart is pending"));
    story.git["spec"]["replication"] = all("sync-all");
    assert!(story.plan().open_step().is_some(), "{}", story.told());
    // A rollout that may begin any time holds what tightens.
    let mut story = settled((3, all("async")), (3, all("sync-all")));
    let live = story.scene.live_value();
    live["status"]["conditions"] = json!([{"type": "PendingRestart", "status": "True"}]);
    live["spec"]["pods"]["updateStrategy"] = json!({"type": "Always"});
    held(
        &story,
        State::Waiting,
        "Pods wait for a restart that the operator may begin any time (update strategy Always)",
    );
}

#[test]
fn h28_a_manifest_that_is_gone_deletes_nothing() {
    let text = "apiVersion: stackgres.io/v1\nkind: SGCluster\nmetadata: {namespace: db, name: c}\nspec:\n  instances: 1\n  postgres: {version: '16.1'}\n  pods: {persistentVolume: {size: 10Gi}}\n";
    let rules = Rules::default();
    let revision = |files: &[&str]| {
        let readings: Vec<_> = files
            .iter()
            .map(|text| Arc::new(read_file("c.yaml", text.as_bytes(), &rules)))
            .collect();
        assemble(Source::default(), &readings, &NamespaceMap::default())
    };
    let review = review(&revision(&[text]), &revision(&[]), 0);
    assert!(review.clusters[0].steps.is_empty());
    assert_eq!(review.clusters[0].findings[0].id, "not-declared");
}

#[test]
fn h29_a_write_holds_what_git_declares_and_the_version_it_was_judged_on() {
    let mut story = settled((3, all("async")), (3, all("sync-all")));
    story.scene.live_value()["status"] = json!({"postgresVersion": "16.1"});
    story.annotate("stackgres.io/lockPod", "");
    let plan = story.plan();
    let object = &plan.steps[0].object;
    assert_eq!(
        object.pointer("/metadata/resourceVersion"),
        Some(&json!("1"))
    );
    assert_eq!(object.get("status"), None);
    let annotations = object.pointer("/metadata/annotations").unwrap();
    assert!(
        annotations
            .as_object()
            .unwrap()
            .keys()
            .all(|name| name.starts_with("lockstep.dev/"))
    );
}

#[test]
fn h30_stopping_waits_for_an_approval_and_ends_with_the_leader_on_the_first_volume() {
    let mut story = settled((2, all("strict-sync-all")), (0, all("strict-sync-all")));
    held(
        &story,
        State::Blocked,
        "stopping all instances ends the service",
    );
    story.approve();
    assert_eq!(
        steps(&story),
        [
            "mode strict-sync-all→async [asynchronous]",
            "instances 2→1 [asynchronous]",
            "instances 1→0, mode async→strict-sync-all [asynchronous]",
        ]
    );
    assert!(story.plan().open_step().is_some());
    let mut story = settled((2, all("async")), (0, all("async")));
    story.approve();
    story.scene.lead("c-1");
    story.loops(4, &[]);
    held(
        &story,
        State::Blocked,
        "c-1 is the leader: switch over to c-0 first",
    );
}

#[test]
fn h30_a_start_is_asynchronous_and_waits_where_another_member_led_last() {
    let mut story = Story::of((0, all("sync-all")), (3, all("sync-all")));
    story.scene.seen.patroni.leader = Seen::Value(Default::default());
    let told = steps(&story);
    assert_eq!(told[0], "instances 0→3, mode sync-all→async [asynchronous]");
    assert!(story.plan().open_step().is_some(), "{}", story.told());
    let takeover = |leader: Option<&str>| {
        Some(Takeover {
            new_leader: leader.map(str::to_owned),
        })
    };
    story.scene.seen.patroni.last_takeover = takeover(Some("c-2"));
    held(&story, State::Blocked, "c-2 led last, and c-0 starts first");
    story.scene.seen.patroni.last_takeover = takeover(None);
    assert!(story.plan().open_step().is_none());
    story.approve();
    assert!(story.plan().open_step().is_some(), "{}", story.told());
    story.scene.seen.patroni.last_takeover = takeover(Some("c-0"));
    assert!(story.plan().open_step().is_some());
}

#[test]
fn h31_a_rollout_and_a_switchover_hold_what_tightens_until_they_end() {
    let mut story = settled((3, all("async")), (3, all("sync-all")));
    story.annotate("stackgres.io/rollout", "always");
    held(&story, State::Waiting, "a rollout is going on");
    story.annotate("stackgres.io/rollout", "never");
    assert!(story.plan().open_step().is_some());
    let mut story = settled((3, all("async")), (3, all("sync-all")));
    story.scene.seen.patroni.failover = Some(FailoverRequest {
        member: Some("c-1".into()),
        ..FailoverRequest::default()
    });
    held(&story, State::Waiting, "a switchover to c-1 is asked for");
}

#[test]
fn h32_a_cluster_that_a_sharded_one_generates_is_refused() {
    let mut story = settled((3, all("async")), (3, all("sync-all")));
    story.scene.live_value()["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "stackgres.io/v1alpha1", "kind": "SGShardedCluster", "name": "s"}]);
    held(&story, State::Refused, "generated by SGShardedCluster s");
}

#[test]
fn h33_a_source_of_the_same_name_is_told() {
    let source = |host: &str| {
        found(&format!(
            "  instances: 1\n  replicateFrom: {{instance: {{external: {{host: {host}, port: 5433}}}}, users: {{superuser: {{}}, replication: {{}}, authenticator: {{}}}}}}\n"
        ))
    };
    assert!(source("c.other-namespace").contains(&"replicate-from-same-name"));
    assert!(!source("d.other-namespace").contains(&"replicate-from-same-name"));
}

#[test]
fn what_runs_an_unknown_patroni_opens_nothing() {
    let mut story = settled((3, all("async")), (3, all("sync-all")));
    assert!(story.plan().open_step().is_some());
    story
        .scene
        .says("c-0", |said| said.version = Some("2.1.4".into()));
    held(
        &story,
        State::Waiting,
        "c-0 runs Patroni 2.1.4, which is an unknown format",
    );
    story.scene.says("c-0", |said| {
        said.version = Some("4.1.0".into());
        said.receive_lsn = Some(Lsn(1));
    });
    assert!(story.plan().open_step().is_some());
}
