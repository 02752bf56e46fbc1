//! The stories that people will read, as `lockstep plan` tells them: what is decided, and in which words.

use insta::assert_snapshot;
use serde_json::{Value, json};

use super::palette::Palette;
use super::plan::cluster;
use crate::decide::story::{Story, all};
use crate::model::patroni::{Seen, SyncState};

fn told(story: &Story) -> String {
    cluster(&story.plan(), &Palette::PLAIN)
}

/// The plan written down: its first step is live, and Patroni does what it asks for.
fn carry_out(story: &mut Story) {
    let plan = story.plan();
    let step = plan.open_step().expect("a step that may be taken");
    let mut stored = (*step.step().object).clone();
    let metadata = stored["metadata"].as_object_mut().expect("a map");
    metadata.remove("resourceVersion");
    let instances = stored["spec"]["instances"].as_u64().expect("a number");
    *story.scene.live_value() = stored;
    story
        .scene
        .members(u32::try_from(instances).expect("a small number"));
    story.scene.in_force();
}

fn grouped(mode: &str, count: u32, groups: Value) -> Value {
    json!({"mode": mode, "syncInstances": count, "groups": groups})
}

#[test]
fn async_to_sync_all() {
    let mut story = Story::of((4, all("async")), (4, all("sync-all")));
    story.loops(3, &[]);
    assert_snapshot!(told(&story), @"
    db/c  pending

      members to spare  for writes  for commits  for failover
      now               3           0            2
      after step 1      3           3            2

      1.  climb to 3 synchronous standbys
          changes     spec.replication.mode: async → sync-all
          why         commits wait for the added standbys from here on, so all of them must follow first
          durability  asynchronous → 3 synchronous standbys
          gates       open     leader live               c-0 renews its lock
                      open     configuration in force    Patroni's configuration is the live object's, and a loop has run with it
                      open     members healthy           3 standbys follow
                      open     nothing else running      no lock, operation, switchover, pause or rollout
                      open     roles applied             every member has the role that the live object gives it
                      open     operator caught up        the StatefulSet asks for 4 Pods
                      open     standbys passed the mark  c-1, c-2, c-3 passed the mark
    ");
}

#[test]
fn a_frozen_standby() {
    let mut story = Story::of((4, all("async")), (4, all("sync-all")));
    story.loops(4, &["c-2"]);
    assert_snapshot!(told(&story), @"
    db/c  waiting  c-2 has not moved past 0/64 for 30 s while the leader is at 0/FA0

      members to spare  for writes  for commits  for failover
      now               3           0            2
      after step 1      3           3            2

      1.  climb to 3 synchronous standbys
          changes     spec.replication.mode: async → sync-all
          why         commits wait for the added standbys from here on, so all of them must follow first
          durability  asynchronous → 3 synchronous standbys
          gates       open     leader live               c-0 renews its lock
                      open     configuration in force    Patroni's configuration is the live object's, and a loop has run with it
                      open     members healthy           3 standbys follow
                      open     nothing else running      no lock, operation, switchover, pause or rollout
                      open     roles applied             every member has the role that the live object gives it
                      open     operator caught up        the StatefulSet asks for 4 Pods
                      closed   standbys passed the mark  c-2 has not moved past 0/64 for 30 s while the leader is at 0/FA0
    ");
}

#[test]
fn one_to_three_in_strict_sync_all() {
    let mut story = Story::of((1, all("strict-sync-all")), (3, all("strict-sync-all")));
    story.loops(2, &[]);
    assert_snapshot!(told(&story), @"
    db/c  pending

      members to spare  for writes  for commits  for failover
      now               0           -            impossible
      after step 1      2           0            1
      after step 2      2           2            1
      after step 3      1           2            1

      1.  grow from 1 to 3 instances
          changes     spec.instances: 1 → 3
                      spec.replication.mode: strict-sync-all → async
          why         strict-sync-all with one instance is asynchronous, so it grows as async and tightens when the members stream
          durability  stays asynchronous
          gates       open     leader live           c-0 renews its lock
                      open     nothing else running  no lock, operation, switchover, pause or rollout

      2.  climb to 2 synchronous standbys
          changes     spec.replication.mode: async → sync-all
          why         commits wait for the added standbys from here on, so all of them must follow first
          durability  asynchronous → 2 synchronous standbys
          gates       after step 1: leader live, configuration in force, members healthy, nothing else running, roles applied, operator caught up, standbys passed the mark

      3.  make 2 synchronous standbys strict
          changes     spec.replication.mode: sync-all → strict-sync-all
          why         strict stops writes when no synchronous standby is left, so it comes last and alone
          durability  2 synchronous standbys → 2 synchronous standbys, strict
          gates       after step 2: leader live, configuration in force, synchronous standbys listed, nothing else running, roles applied, operator caught up, a synchronous standby is promotable, standbys passed the mark
    ");
}

#[test]
fn strict_sync_all_of_four_to_async_of_one() {
    let mut story = Story::of((4, all("strict-sync-all")), (1, all("async")));
    story.loops(3, &[]);
    assert_snapshot!(told(&story), @"
    db/c  pending

      members to spare  for writes  for commits  for failover
      now               2           3            2
      after step 1      3           0            2
      after step 2      2           0            1
      after step 3      1           0            0
      after step 4      0           -            impossible

      1.  loosen
          changes     spec.replication.mode: strict-sync-all → async
          why         fewer standbys must acknowledge before one of them is removed
          durability  3 synchronous standbys, strict → asynchronous
          gates       open     leader live           c-0 renews its lock
                      open     nothing else running  no lock and no operation

      2.  remove c-3, 3 left
          changes     spec.instances: 4 → 3
          why         instances go down one at a time, the highest index first
          durability  stays asynchronous
          gates       after step 1: leader live, configuration in force, synchronous standbys listed, members healthy, nothing else running, roles applied, operator caught up, a synchronous standby is promotable, standbys passed the mark, leader stays

      3.  remove c-2, 2 left
          changes     spec.instances: 3 → 2
          why         instances go down one at a time, the highest index first
          durability  stays asynchronous
          gates       after step 2: leader live, configuration in force, synchronous standbys listed, members healthy, nothing else running, roles applied, operator caught up, a synchronous standby is promotable, standbys passed the mark, leader stays

      4.  remove c-1, 1 left
          changes     spec.instances: 2 → 1
          why         instances go down one at a time, the highest index first
          durability  stays asynchronous
          gates       after step 3: leader live, configuration in force, synchronous standbys listed, members healthy, nothing else running, roles applied, operator caught up, a synchronous standby is promotable, standbys passed the mark, leader stays
    ");
}

#[test]
fn a_group_added_while_strict_with_the_wrong_standby_listed() {
    let group = json!([{"name": "reports", "role": "readonly", "instances": 1}]);
    let mut story = Story::of(
        (3, grouped("strict-sync", 1, json!([]))),
        (3, grouped("strict-sync", 1, group)),
    );
    story.scene.seen.patroni.sync = Seen::Value(SyncState {
        leader: Some("c-0".into()),
        standbys: vec!["c-2".into()],
        quorum: 0,
    });
    story.loops(4, &[]);
    assert_snapshot!(told(&story), @"
    db/c  pending

      members to spare  for writes  for commits  for failover
      now               1           1            1
      after step 1      1           2            1
      after step 2      1           1            0

      1.  climb to 2 synchronous standbys
          changes     spec.replication.syncInstances: 1 → 2
          why         of the standbys in /sync none could take over once the right to lead of c-2 has gone, so another is listed first
          durability  1 synchronous standby, strict → 2 synchronous standbys, strict
          gates       open     leader live               c-0 renews its lock
                      open     configuration in force    Patroni's configuration is the live object's, and a loop has run with it
                      open     members healthy           2 standbys follow
                      open     nothing else running      no lock, operation, switchover, pause or rollout
                      open     roles applied             every member has the role that the live object gives it
                      open     operator caught up        the StatefulSet asks for 3 Pods
                      open     standbys passed the mark  c-1, c-2 passed the mark

      2.  reduce roles: c-2 readonly
          changes     spec.replication.groups: ['reports: 1 readonly']
          why         what members may do no more comes last, when those that stay are in their place
          durability  stays 2 synchronous standbys, strict
          gates       after step 1: leader live, configuration in force, nothing else running, roles applied, operator caught up, a synchronous standby is promotable, standbys passed the mark, leader stays

      3.  loosen
          changes     spec.replication.syncInstances: 2 → 1
          why         loosening blocks no writes and is one write
          durability  2 synchronous standbys, strict → 1 synchronous standby, strict
          gates       after step 2: leader live, nothing else running, roles applied
    ");
}

#[test]
fn a_failover_in_the_middle() {
    let mut story = Story::of((3, all("async")), (3, all("strict-sync-all")));
    story.loops(3, &[]);
    carry_out(&mut story);
    story.loops(1, &[]);
    story.scene.lead("c-1");
    story.looks += 1;
    story.look();
    assert_snapshot!(told(&story), @"
    db/c  waiting  /sync is not the present leader's (c-1)

      members to spare  for writes  for commits  for failover
      now               0           0            impossible
      after step 1      1           2            1

      1.  make 2 synchronous standbys strict
          changes     spec.replication.mode: sync-all → strict-sync-all
          why         strict stops writes when no synchronous standby is left, so it comes last and alone
          durability  2 synchronous standbys → 2 synchronous standbys, strict
          gates       unknown  leader live                          needs another look: c-1 was not seen to renew its lock yet
                      unknown  configuration in force               needs another look: no leader loop was seen since Patroni's configuration was written
                      closed   synchronous standbys listed          /sync is not the present leader's (c-1)
                      open     nothing else running                 no lock, operation, switchover, pause or rollout
                      open     roles applied                        every member has the role that the live object gives it
                      open     operator caught up                   the StatefulSet asks for 3 Pods
                      closed   a synchronous standby is promotable  /sync is not the present leader's (c-1)
                      unknown  standbys passed the mark             needs another look: c-2 is at 0/DAC and has not passed 0/FA0 yet; c-0 is at 0/64 and has not passed 0/FA0 yet
    ");
}

#[test]
fn loosening_refused_without_a_leader() {
    let mut story = Story::of((3, all("strict-sync-all")), (3, all("async")));
    story.loops(3, &[]);
    if let Seen::Value(record) = &mut story.scene.seen.patroni.leader {
        record.leader = None;
    }
    assert_snapshot!(told(&story), @"
    db/c  waiting  no leader holds the lock

      members to spare  for writes  for commits  for failover
      now               stopped     unknown      unknown       no leader holds the lock, and who will is not known yet
      after step 1      2           0            1

      1.  loosen
          changes     spec.replication.mode: strict-sync-all → async
          why         loosening blocks no writes and is one write
          durability  2 synchronous standbys, strict → asynchronous
          gates       closed   leader live           no leader holds the lock
                      open     nothing else running  no lock and no operation
    ");
}

#[test]
fn a_new_commit_in_the_middle() {
    let mut story = Story::of((3, all("async")), (3, all("strict-sync-all")));
    story.loops(3, &[]);
    carry_out(&mut story);
    story.git["spec"]["replication"] = json!({"mode": "sync", "syncInstances": 1});
    story.loops(1, &[]);
    assert_snapshot!(told(&story), @"
    db/c  in-transition

      members to spare  for writes  for commits  for failover
      now               2           2            1
      after step 1      1           1            1

      1.  loosen
          changes     spec.replication.mode: sync-all → sync
                      spec.replication.syncInstances: 1
          why         loosening blocks no writes and is one write
          durability  2 synchronous standbys → 1 synchronous standby
          gates       open     leader live           c-0 renews its lock
                      open     nothing else running  no lock and no operation
                      open     roles applied         every member in /sync has the role that the live object gives it
    ");
}

#[test]
fn an_idle_leader() {
    let mut story = Story::of((2, all("async")), (2, all("sync-all")));
    for _ in 0..14 {
        story.looks += 1;
        story.scene.renew(100);
        story.look();
    }
    assert_snapshot!(told(&story), @"
    db/c  pending

      members to spare  for writes  for commits  for failover
      now               1           0            0
      after step 1      1           1            0

      1.  climb to 1 synchronous standby
          changes     spec.replication.mode: async → sync-all
          why         commits wait for the added standbys from here on, so all of them must follow first
          durability  asynchronous → 1 synchronous standby
          gates       open     leader live               c-0 renews its lock
                      open     configuration in force    Patroni's configuration is the live object's, and a loop has run with it
                      open     members healthy           1 standby follows
                      open     nothing else running      no lock, operation, switchover, pause or rollout
                      open     roles applied             every member has the role that the live object gives it
                      open     operator caught up        the StatefulSet asks for 2 Pods
                      open     standbys passed the mark  idle leader: no write for 130 s, so a frozen standby would not show and could hold commits
    ");
}

#[test]
fn a_stop_that_waits_for_an_approval() {
    let mut story = Story::of((2, all("sync-all")), (0, all("sync-all")));
    story.unix = 1_795_000_000;
    story.loops(3, &[]);
    assert_snapshot!(told(&story), @"
    db/c  blocked  stopping all instances ends the service; the volumes stay; to approve it, add to metadata.annotations of the manifest: lockstep.dev/approve: 2026-11-25:eba79c86770a69718a9424f21707e588

      members to spare  for writes  for commits  for failover
      now               1           1            0
      after step 1      1           0            0
      after step 2      0           -            impossible
      after step 3      stopped     -            impossible

      1.  loosen
          changes     spec.replication.mode: sync-all → async
          why         fewer standbys must acknowledge before one of them is removed
          durability  1 synchronous standby → asynchronous
          gates       open     leader live           c-0 renews its lock
                      closed   approved              stopping all instances ends the service; the volumes stay; to approve it, add to metadata.annotations of the manifest: lockstep.dev/approve: 2026-11-25:eba79c86770a69718a9424f21707e588
                      open     nothing else running  no lock and no operation
                      open     roles applied         every member in /sync has the role that the live object gives it
                      open     leader stays          c-0 leads, and a start begins with its volume

      2.  remove c-1, 1 left
          changes     spec.instances: 2 → 1
          why         instances go down one at a time, the highest index first
          durability  stays asynchronous
          gates       after step 1: leader live, configuration in force, synchronous standbys listed, members healthy, approved, nothing else running, roles applied, operator caught up, a synchronous standby is promotable, standbys passed the mark, leader stays

      3.  stop c-0, the last instance
          changes     spec.instances: 1 → 0
                      spec.replication.mode: async → sync-all
          why         the last member goes when all others have gone, so that its volume is the newest
          durability  stays asynchronous
          gates       after step 2: leader live, configuration in force, approved, nothing else running, operator caught up, leader stays
    ");
}
