//! The machine against the tables of `domain` §5.2 and §5.4.

use super::*;

const BUILD: Duration = Duration::from_secs(5);
const LOOP: Duration = Duration::from_secs(10);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn config(mode: &str) -> Config {
    Config::read(match mode {
        "async" => r#"{"synchronous_mode": false}"#,
        "sync 1" => r#"{"synchronous_mode": true, "synchronous_node_count": 1}"#,
        "sync 2" => r#"{"synchronous_mode": true, "synchronous_node_count": 2}"#,
        "sync 3" => r#"{"synchronous_mode": true, "synchronous_node_count": 3}"#,
        "strict 1" => {
            r#"{"synchronous_mode": true, "synchronous_mode_strict": true, "synchronous_node_count": 1}"#
        }
        "strict 2" => {
            r#"{"synchronous_mode": true, "synchronous_mode_strict": true, "synchronous_node_count": 2}"#
        }
        "strict 3" => {
            r#"{"synchronous_mode": true, "synchronous_mode_strict": true, "synchronous_node_count": 3}"#
        }
        other => panic!("{other}"),
    })
}

/// A cluster p0, p1, … in which everybody streams, with nothing left to say.
fn cluster(version: &str, members: usize, mode: &str) -> Patroni {
    let mut patroni = Patroni::new(Version::read(version).unwrap(), 7433, config("async"));
    for index in 0..members {
        patroni.add(&format!("p{index}"), &format!("10.244.0.{index}"), BUILD);
        patroni.step(seconds(20));
    }
    patroni.wal.is_writer_on = true;
    patroni.configure(config(mode));
    patroni.step(seconds(40));
    patroni
}

/// The writes about synchrony, in order.
fn trace(effects: &[Effect]) -> String {
    let lines: Vec<String> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Names(names) => Some(format!("names '{names}'")),
            Effect::Sync(None) => Some("/sync deleted".into()),
            Effect::Sync(Some(sync)) => {
                let mut all = vec![sync.leader.clone()];
                all.extend(sync.standbys.iter().cloned());
                Some(format!("/sync {}", all.join(" ")))
            }
            Effect::Promoted { leader, .. } => Some(format!("promoted {leader}")),
            _ => None,
        })
        .collect();
    lines.join(", ")
}

fn after(patroni: &mut Patroni, mode: &str) -> String {
    patroni.configure(config(mode));
    trace(&patroni.step(seconds(15)))
}

#[test]
fn strict_with_nobody_streaming_blocks_at_once() {
    for version in ["3.3.3", "4.1.0"] {
        let mut patroni = cluster(version, 1, "async");
        assert_eq!(after(&mut patroni, "strict 1"), "/sync p0, names '*'");
        assert!(patroni.wal.writes.stalled > seconds(14));
        patroni.add("p1", "10.244.0.1", BUILD);
        let effects = patroni.step(seconds(30));
        assert_eq!(trace(&effects), "names 'p1', /sync p0 p1");
        assert_eq!(patroni.wal.writes.stalled, Duration::ZERO);
    }
}

#[test]
fn the_last_standby_to_leave_a_strict_cluster_blocks_it() {
    let mut patroni = cluster("3.3.3", 2, "strict 1");
    patroni.set_fault("p1", Some(Fault::Down));
    assert_eq!(trace(&patroni.step(LOOP)), "/sync p0, names '*'");
    patroni.step(seconds(60));
    assert!(patroni.wal.writes.stalled > seconds(60));
}

#[test]
fn taking_strict_off_with_nobody_there_unblocks_only_later_versions() {
    for (version, expected) in [("3.3.3", ""), ("3.3.7", "names ''"), ("4.1.0", "names ''")] {
        let mut patroni = cluster(version, 1, "strict 1");
        assert_eq!(after(&mut patroni, "sync 1"), expected, "{version}");
        let is_blocked = patroni.wal.writes.stalled > Duration::ZERO;
        assert_eq!(is_blocked, version == "3.3.3");
    }
}

#[test]
fn a_standby_that_returns_is_waited_for_first_and_listed_then() {
    let mut patroni = cluster("3.3.3", 2, "strict 1");
    patroni.set_fault("p1", Some(Fault::Down));
    patroni.step(seconds(30));
    patroni.set_fault("p1", None);
    assert_eq!(trace(&patroni.step(seconds(30))), "names 'p1', /sync p0 p1");
}

#[test]
fn a_higher_count_takes_one_more() {
    let mut patroni = cluster("3.3.3", 3, "sync 1");
    assert_eq!(
        after(&mut patroni, "sync 2"),
        "names '2 (p1,p2)', /sync p0 p1 p2"
    );
}

#[test]
fn a_lost_standby_leaves_sync_first() {
    let mut patroni = cluster("3.3.3", 3, "strict 2");
    patroni.set_fault("p2", Some(Fault::Down));
    assert_eq!(trace(&patroni.step(LOOP)), "/sync p0 p1, names 'p1'");
    patroni.step(seconds(1));
    assert!(patroni.wal.writes.longest_stall <= LOOP);
    assert_eq!(patroni.wal.writes.stalled, Duration::ZERO);
}

#[test]
fn a_lower_count_lets_one_go() {
    let mut patroni = cluster("3.3.3", 3, "sync 2");
    assert_eq!(after(&mut patroni, "sync 1"), "/sync p0 p1, names 'p1'");
    assert_eq!(patroni.wal.writes.longest_stall, Duration::ZERO);
}

#[test]
fn a_synchronous_standby_that_may_not_be_promoted_is_swapped_by_way_of_nobody() {
    let mut patroni = cluster("3.3.3", 3, "sync 1");
    patroni.set_tags("p1", true, false);
    assert_eq!(
        trace(&patroni.step(seconds(15))),
        "/sync p0, names 'p2', /sync p0 p2"
    );
}

#[test]
fn the_only_one_left_is_taken_although_it_may_not_be_promoted() {
    let mut patroni = cluster("3.3.3", 3, "sync 1");
    patroni.set_tags("p1", true, false);
    patroni.step(seconds(15));
    patroni.set_fault("p2", Some(Fault::Down));
    assert_eq!(
        trace(&patroni.step(seconds(15))),
        "/sync p0, names 'p1', /sync p0 p1"
    );
}

#[test]
fn synchrony_off_deletes_sync_first_and_unblocks() {
    let mut patroni = cluster("3.3.3", 1, "strict 1");
    assert_eq!(after(&mut patroni, "async"), "/sync deleted, names ''");
    assert_eq!(patroni.wal.writes.stalled, Duration::ZERO);
}

#[test]
fn strict_runs_thin_with_fewer_standbys_than_its_count() {
    let mut patroni = cluster("3.3.3", 3, "async");
    assert_eq!(
        after(&mut patroni, "strict 3"),
        "/sync p0, names '2 (p1,p2)', /sync p0 p1 p2"
    );
}

#[test]
fn a_standby_far_behind_is_waited_for() {
    let mut patroni = cluster("3.3.3", 3, "async");
    patroni.set_fault("p2", Some(Fault::Lagging));
    patroni.step(seconds(120));
    assert_eq!(
        after(&mut patroni, "sync 2"),
        "/sync p0, names '2 (p1,p2)', /sync p0 p1"
    );
    assert!(patroni.wal.writes.stalled > seconds(10));
    assert_eq!(trace(&patroni.step(seconds(300))), "/sync p0 p1 p2");
}

#[test]
fn a_limit_on_the_lag_leaves_a_standby_far_behind_out() {
    let mut patroni = cluster("3.3.3", 3, "async");
    patroni.set_fault("p2", Some(Fault::Lagging));
    patroni.step(seconds(120));
    patroni.configure(Config::read(
        r#"{"synchronous_mode": true, "synchronous_node_count": 2, "maximum_lag_on_syncnode": 65536}"#,
    ));
    assert_eq!(
        trace(&patroni.step(seconds(15))),
        "/sync p0, names 'p1', /sync p0 p1"
    );
}

#[test]
fn frozen_standbys_hold_writes_until_their_walsenders_time_out() {
    let mut patroni = cluster("3.3.3", 3, "async");
    patroni.set_fault("p1", Some(Fault::Frozen));
    patroni.set_fault("p2", Some(Fault::Frozen));
    patroni.step(seconds(60));
    let saying = patroni.report("p1").unwrap();
    assert!(saying.status.contains(r#""replication_state":"streaming""#));
    assert!(saying.is_ready);
    assert_eq!(after(&mut patroni, "sync 2"), "/sync p0, names '2 (p1,p2)'");
    assert_eq!(trace(&patroni.step(seconds(60))), "names ''");
    let longest = patroni.wal.writes.longest_stall;
    assert!(
        longest >= seconds(60) && longest <= seconds(70),
        "{longest:?}"
    );
    let saying = patroni.report("p1").unwrap();
    assert!(saying.status.contains(r#""replication_state":"streaming""#));
}

#[test]
fn an_idle_leader_takes_a_frozen_standby_for_a_live_one() {
    let mut patroni = cluster("3.3.3", 2, "async");
    patroni.wal.is_writer_on = false;
    patroni.step(seconds(5));
    patroni.set_fault("p1", Some(Fault::Frozen));
    assert_eq!(
        after(&mut patroni, "sync 1"),
        "/sync p0, names 'p1', /sync p0 p1"
    );
}

#[test]
fn every_name_in_sync_is_waited_for_at_every_moment() {
    let mut patroni = cluster("3.3.3", 4, "sync 1");
    let mut listed: BTreeSet<String> = ["p1".to_owned()].into();
    let mut names = Names::All(vec!["p1".to_owned()]);
    for (mode, fault) in [
        ("sync 3", None),
        ("strict 2", Some(("p1", Fault::Down))),
        ("strict 1", Some(("p2", Fault::Frozen))),
        ("sync 2", Some(("p3", Fault::Lagging))),
        ("async", None),
        ("strict 3", None),
    ] {
        if let Some((name, fault)) = fault {
            patroni.set_fault(name, Some(fault));
        }
        patroni.configure(config(mode));
        for effect in patroni.step(seconds(100)) {
            match effect {
                Effect::Sync(sync) => {
                    listed = sync.map(|sync| sync.standbys).unwrap_or_default();
                }
                Effect::Names(next) => names = next,
                _ => continue,
            }
            assert!(
                listed.iter().all(|name| names.lists(name)),
                "{mode}: {listed:?} in {names}"
            );
        }
    }
}

#[test]
fn a_synchronous_standby_follows_a_lost_leader() {
    let mut patroni = cluster("3.3.3", 3, "sync 1");
    patroni.set_fault("p0", Some(Fault::Down));
    assert_eq!(trace(&patroni.step(seconds(29))), "");
    let effects = patroni.step(seconds(30));
    assert_eq!(
        trace(&effects),
        "promoted p1, /sync p1, names '', names 'p2', /sync p1 p2"
    );
    assert_eq!(patroni.leader(), Some("p1"));
    assert_eq!((patroni.timeline, patroni.transitions), (2, 1));
    assert_eq!(patroni.wal.writes.lost, 0);
    let stall = patroni.wal.writes.longest_stall;
    assert!(stall >= seconds(25) && stall <= seconds(41), "{stall:?}");
}

#[test]
fn strict_blocks_after_a_promotion_until_a_standby_is_back() {
    let mut patroni = cluster("3.3.3", 3, "strict 1");
    patroni.set_fault("p0", Some(Fault::Down));
    assert_eq!(
        trace(&patroni.step(seconds(60))),
        "promoted p1, /sync p1, names '*', names 'p2', /sync p1 p2"
    );
}

#[test]
fn nobody_outside_sync_is_promoted() {
    let mut patroni = cluster("3.3.3", 3, "sync 1");
    patroni.set_fault("p1", Some(Fault::Down));
    patroni.set_fault("p0", Some(Fault::Down));
    assert_eq!(trace(&patroni.step(seconds(300))), "");
    assert_eq!(patroni.leader(), None);
    patroni.set_fault("p0", None);
    let effects = patroni.step(seconds(60));
    assert_eq!(patroni.leader(), Some("p0"));
    assert!(trace(&effects).starts_with("promoted p0"));
}

#[test]
fn nobody_is_promoted_who_may_not_be() {
    let mut patroni = cluster("3.3.3", 2, "sync 1");
    patroni.set_tags("p1", true, true);
    patroni.step(seconds(20));
    patroni.set_fault("p0", Some(Fault::Down));
    patroni.step(seconds(300));
    assert_eq!(patroni.leader(), None);
}

#[test]
fn synchrony_turned_off_without_a_leader_lets_an_asynchronous_standby_win() {
    let mut patroni = cluster("3.3.3", 3, "sync 1");
    patroni.set_fault("p2", Some(Fault::Lagging));
    patroni.step(seconds(20));
    patroni.set_fault("p1", Some(Fault::Down));
    patroni.set_fault("p0", Some(Fault::Down));
    patroni.step(seconds(60));
    assert_eq!(patroni.leader(), None);
    patroni.configure(config("async"));
    patroni.step(seconds(15));
    assert_eq!(patroni.leader(), Some("p2"));
    assert!(patroni.wal.writes.lost > 0);
}

#[test]
fn a_standby_more_than_a_mebibyte_behind_is_not_promoted() {
    let mut patroni = cluster("3.3.3", 2, "async");
    patroni.set_fault("p1", Some(Fault::Frozen));
    patroni.step(seconds(200));
    patroni.set_fault("p0", Some(Fault::Down));
    patroni.step(seconds(100));
    assert_eq!(patroni.leader(), None);
}

#[test]
fn nobody_is_promoted_in_pause() {
    let mut patroni = cluster("3.3.3", 3, "async");
    patroni.configure(Config::read(r#"{"pause": true}"#));
    patroni.set_fault("p0", Some(Fault::Down));
    patroni.step(seconds(300));
    assert_eq!(patroni.leader(), None);
}

#[test]
fn a_leader_back_within_its_lock_goes_on_leading() {
    let mut patroni = cluster("3.3.3", 3, "sync 1");
    patroni.set_fault("p0", Some(Fault::Down));
    patroni.step(seconds(5));
    patroni.set_fault("p0", None);
    patroni.step(seconds(30));
    assert_eq!(patroni.leader(), Some("p0"));
    assert_eq!(patroni.timeline, 1);
}

#[test]
fn a_lost_leader_comes_back_as_a_replica() {
    let mut patroni = cluster("3.3.3", 3, "sync 2");
    patroni.set_fault("p0", Some(Fault::Down));
    patroni.step(seconds(60));
    patroni.set_fault("p0", None);
    assert_eq!(
        trace(&patroni.step(seconds(30))),
        "names '2 (p0,p2)', /sync p1 p0 p2"
    );
    let report = patroni.report("p0").unwrap();
    assert_eq!(report.role, Some("replica"));
    assert!(report.status.contains(r#""timeline":2"#));
}

#[test]
fn a_synchronous_standby_stops_only_when_released() {
    let mut patroni = cluster("3.3.3", 3, "sync 2");
    patroni.stop("p2");
    let effects = patroni.step(seconds(1));
    assert!(effects.iter().any(|effect| matches!(
        effect,
        Effect::Member { name, report } if name == "p2" && report.status.contains("nosync")
    )));
    let effects = patroni.step(seconds(15));
    assert_eq!(trace(&effects), "/sync p0 p1, names 'p1'");
    assert!(effects.contains(&Effect::Left("p2".into())));
    assert_eq!(patroni.wal.writes.longest_stall, Duration::ZERO);
}

#[test]
fn a_leader_that_is_stopped_gives_its_lock_back() {
    let mut patroni = cluster("3.3.3", 3, "sync 1");
    patroni.stop("p0");
    let effects = patroni.step(seconds(20));
    assert!(effects.contains(&Effect::Released));
    assert!(effects.contains(&Effect::Left("p0".into())));
    assert_eq!(patroni.leader(), Some("p1"));
    assert!(patroni.wal.writes.longest_stall < seconds(5));
}

#[test]
fn a_copy_takes_its_time_and_a_slow_one_ten_times_as_long() {
    let mut patroni = cluster("3.3.3", 1, "async");
    patroni.add("p1", "10.244.0.1", seconds(30));
    patroni.step(seconds(29));
    assert!(!patroni.report("p1").unwrap().is_ready);
    patroni.step(seconds(2));
    assert!(patroni.report("p1").unwrap().is_ready);
    patroni.add("p2", "10.244.0.2", seconds(30));
    patroni.set_fault("p2", Some(Fault::SlowBuild));
    patroni.step(seconds(290));
    assert!(!patroni.report("p2").unwrap().is_ready);
    patroni.step(seconds(20));
    assert!(patroni.report("p2").unwrap().is_ready);
}

#[test]
fn a_member_says_what_its_version_says() {
    let mut old = cluster("3.0.2", 2, "async");
    old.step(LOOP);
    assert!(
        !old.report("p1")
            .unwrap()
            .status
            .contains("replication_state")
    );
    let new = cluster("4.1.0", 2, "async");
    let status = new.report("p1").unwrap().status;
    for key in ["replication_state", "receive_lsn", "replay_lsn"] {
        assert!(status.contains(key), "{status}");
    }
    assert_eq!(new.report("p0").unwrap().role, Some("primary"));
    assert_eq!(old.report("p0").unwrap().role, Some("master"));
}

#[test]
fn an_idle_cluster_says_nothing_but_its_heartbeat() {
    let mut patroni = cluster("3.3.3", 3, "sync 2");
    patroni.wal.is_writer_on = false;
    patroni.step(seconds(30));
    let effects = patroni.step(seconds(100));
    assert_eq!(effects.len(), 10);
    assert!(
        effects
            .iter()
            .all(|effect| matches!(effect, Effect::Renewed { .. }))
    );
}
