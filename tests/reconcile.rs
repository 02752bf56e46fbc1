//! The main job end to end: commits become clusters, in order, by the real daemon over HTTP.

mod harness;

use std::time::Duration;

use harness::{Repo, Running, Server, cluster, mode};
use serde_json::{Value, json};

/// Fast enough for a test, slow enough that a loop is longer than a pass.
const SPEED: u32 = 20;

fn applied(cluster: &Value) -> bool {
    let annotations = cluster
        .pointer("/metadata/annotations")
        .cloned()
        .unwrap_or_default();
    annotations["lockstep.dev/applied"].is_string()
        && annotations["lockstep.dev/applying"].is_null()
}

fn is(wanted: &'static str) -> impl Fn(&Value) -> bool {
    move |cluster| mode(cluster) == wanted && applied(cluster)
}

fn standbys(server: &Server, cluster: &str) -> String {
    let sync = server.get("v1", "Endpoints", &format!("{cluster}-sync"));
    let text = sync
        .as_ref()
        .and_then(|sync| sync.pointer("/metadata/annotations/sync_standby"));
    text.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Simulated milliseconds in which the writer of the cluster could not commit, all in all.
fn stalled_ms(server: &Server, cluster: &str) -> u64 {
    let writes = server
        .get("v1", "ConfigMap", &format!("{cluster}-writes"))
        .expect("the simulated writer counts");
    writes["data"]["total-stalled-ms"]
        .as_str()
        .expect("a number")
        .parse()
        .expect("a number")
}

fn fault(server: &Server, pod: &str, fault: Value) {
    server.patch(
        "v1",
        "Pod",
        pod,
        "somebody",
        &json!({"metadata": {"annotations": {"sandbox.lockstep.dev/fault": fault}}}),
    );
}

/// The daemon on a repository that holds one cluster, once that cluster is as the first commit asks.
fn settled(server: &Server, instances: u32, replication: &str) -> (Repo, Running) {
    let repo = Repo::with(&[(
        "c.yaml",
        &cluster(&server.namespace, "c", instances, replication),
    )]);
    let daemon = server.daemon(&repo, &[]);
    server.until("c", "applied", applied);
    server.until("c", "complete", |_| {
        let last = server.get("v1", "Pod", &format!("c-{}", instances - 1));
        last.is_some_and(|pod| {
            pod.pointer("/status/conditions")
                .and_then(Value::as_array)
                .is_some_and(|conditions| {
                    conditions.iter().any(|condition| {
                        condition["type"] == "Ready" && condition["status"] == "True"
                    })
                })
        })
    });
    (repo, daemon)
}

fn commit(server: &Server, repo: &Repo, instances: u32, replication: &str) {
    repo.write(
        "c.yaml",
        cluster(&server.namespace, "c", instances, replication),
    );
    repo.commit(&format!("{instances} instances, {replication}"));
}

#[test]
fn a_commit_becomes_a_synchronous_cluster_and_then_nothing_is_written() {
    let server = Server::simulated(SPEED);
    let (repo, _daemon) = settled(&server, 4, "{mode: async}");
    let stalled = stalled_ms(&server, "c");
    commit(&server, &repo, 4, "{mode: sync-all}");
    server.until("c", "sync-all", is("sync-all"));
    server.until("c", "in force", |_| standbys(&server, "c") == "c-1,c-2,c-3");
    let before = server.writes_of_lockstep();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(
        server.writes_of_lockstep(),
        before,
        "the steady state sends nothing"
    );
    assert_eq!(repo.run(&server.kubeconfig, &["diff"]).code, 0);
    assert!(stalled_ms(&server, "c") - stalled <= 1000);
}

#[test]
fn an_absent_cluster_is_created_asynchronous_and_climbs_to_strict() {
    let server = Server::simulated(SPEED);
    let (_repo, mut daemon) = settled(&server, 3, "{mode: strict-sync-all}");
    server.until("c", "strict-sync-all", is("strict-sync-all"));
    assert_eq!(standbys(&server, "c"), "c-1,c-2");
    let written: Vec<String> = (0..3).map(|_| daemon.line("written cluster=")).collect();
    assert!(written[0].contains("async"), "{written:?}");
    assert!(written[1].contains("async → sync-all"), "{written:?}");
    assert!(
        written[2].contains("sync-all → strict-sync-all"),
        "{written:?}"
    );
}

#[test]
fn growing_a_strict_cluster_from_one_to_three_stops_no_write() {
    let server = Server::simulated(SPEED);
    let (repo, _daemon) = settled(&server, 1, "{mode: strict-sync-all}");
    let stalled = stalled_ms(&server, "c");
    server.edit(
        "c",
        &json!({"metadata": {"annotations": {"sandbox.lockstep.dev/build-seconds": "30"}}}),
    );
    commit(&server, &repo, 3, "{mode: strict-sync-all}");
    server.until("c", "strict again", |cluster| {
        cluster["spec"]["instances"] == 3 && is("strict-sync-all")(cluster)
    });
    server.until("c", "in force", |_| standbys(&server, "c") == "c-1,c-2");
    let stall = stalled_ms(&server, "c") - stalled;
    assert!(stall <= 1000, "writes stopped for {stall} ms");
}

#[test]
fn the_same_commit_applied_blindly_stops_writes_while_the_first_replica_is_built() {
    let server = Server::simulated(SPEED);
    let (_repo, daemon) = settled(&server, 1, "{mode: strict-sync-all}");
    let stalled = stalled_ms(&server, "c");
    drop(daemon);
    let blind = json!({
        "metadata": {"annotations": {"sandbox.lockstep.dev/build-seconds": "30"}},
        "spec": {"instances": 3},
    });
    server.edit("c", &blind);
    server.until("c", "in force", |_| standbys(&server, "c") == "c-1,c-2");
    let stall = stalled_ms(&server, "c") - stalled;
    assert!(
        stall > 20_000,
        "the control stalls for {stall} ms only, so it proves nothing"
    );
}

#[test]
fn shrinking_loosens_first_and_removes_one_instance_at_a_time() {
    let server = Server::simulated(SPEED);
    let (repo, mut daemon) = settled(&server, 4, "{mode: strict-sync-all}");
    server.until("c", "strict", is("strict-sync-all"));
    commit(&server, &repo, 2, "{mode: sync-all}");
    server.until("c", "small", |cluster| {
        cluster["spec"]["instances"] == 2 && is("sync-all")(cluster)
    });
    server.until("c", "in force", |_| standbys(&server, "c") == "c-1");
    daemon.line("spec.instances: 3 → 2");
    let loosened = daemon
        .seen
        .iter()
        .position(|line| line.contains("strict-sync-all → sync"))
        .expect("loosened");
    let removed = daemon
        .seen
        .iter()
        .position(|line| line.contains("spec.instances: 4 → 3"))
        .expect("removed");
    assert!(loosened < removed);
}

#[test]
fn a_frozen_standby_holds_the_step_by_name_until_it_thaws() {
    let server = Server::simulated(SPEED);
    let (repo, _daemon) = settled(&server, 3, "{mode: async}");
    fault(&server, "c-2", json!("frozen"));
    commit(&server, &repo, 3, "{mode: sync-all}");
    let plan = repo.run(&server.kubeconfig, &["plan", "--observe", "3s"]);
    assert_eq!(plan.code, 1);
    assert!(plan.out.contains("c-2 has not moved past"), "{}", plan.out);
    assert_eq!(mode(&server.cluster("c").expect("live")), "async");
    fault(&server, "c-2", Value::Null);
    server.until("c", "sync-all", is("sync-all"));
}

#[test]
fn a_new_commit_in_the_middle_is_planned_from_what_is() {
    let server = Server::simulated(SPEED);
    let (repo, _daemon) = settled(&server, 3, "{mode: async}");
    fault(&server, "c-2", json!("frozen"));
    commit(&server, &repo, 3, "{mode: strict-sync-all}");
    std::thread::sleep(Duration::from_secs(1));
    commit(&server, &repo, 3, "{mode: sync, syncInstances: 1}");
    let live = server.until("c", "sync", is("sync"));
    assert_eq!(live["spec"]["replication"]["syncInstances"], 1);
}

#[test]
fn drift_is_reported_with_its_author_and_left_alone() {
    let server = Server::simulated(SPEED);
    let (repo, mut daemon) = settled(&server, 2, "{mode: async}");
    server.edit(
        "c",
        &json!({"spec": {"pods": {"persistentVolume": {"size": "20Gi"}}}}),
    );
    assert!(daemon.line("drifted").contains("kubectl-edit"));
    let diff = repo.run(&server.kubeconfig, &["diff"]);
    assert_eq!(diff.code, 1);
    assert!(
        diff.out.contains("-      size: 20Gi\n+      size: 10Gi"),
        "{}",
        diff.out
    );
    assert!(diff.out.contains("c.yaml:12"), "{}", diff.out);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(
        server.cluster("c").expect("live")["spec"]["pods"]["persistentVolume"]["size"],
        "20Gi"
    );
}

#[test]
fn killed_after_any_request_it_finishes_when_started_again_and_repeats_nothing() {
    let server = Server::simulated(50);
    let story = |name: &str| cluster(&server.namespace, name, 2, "{mode: strict-sync-all}");
    for moment in 0..5 {
        let name = format!("k{moment}");
        let repo = Repo::with(&[("c.yaml", &story(&name))]);
        let before = server.writes_of_lockstep();
        let mut daemon = server.daemon(&repo, &[]);
        let end = std::time::Instant::now() + harness::PATIENCE;
        // The instant after the write is answered, or before any.
        while server.writes_of_lockstep() < before + moment
            && !server
                .cluster(&name)
                .as_ref()
                .is_some_and(is("strict-sync-all"))
        {
            assert!(std::time::Instant::now() < end, "write {moment} never came");
            std::thread::sleep(Duration::from_millis(2));
        }
        daemon.kill();
        let daemon = server.daemon(&repo, &[]);
        server.until(&name, "strict-sync-all", is("strict-sync-all"));
        drop(daemon);
        // Create, sync-all, strict: three writes and no more, wherever the first daemon was killed.
        assert_eq!(
            server.writes_of_lockstep() - before,
            3,
            "killed at moment {moment}"
        );
        let again = repo.run(&server.kubeconfig, &["apply"]);
        assert!(again.code <= 1, "{}", again.err);
        assert_eq!(
            server.writes_of_lockstep() - before,
            3,
            "a second run writes nothing"
        );
    }
}

#[test]
fn the_daemon_waits_for_a_server_that_is_not_there_and_goes_on_when_it_is() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port();
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = folder.path().join("early");
    std::fs::write(
        &kubeconfig,
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{{name: a, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\n\
             users: [{{name: a, user: {{}}}}]\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n"
        ),
    )
    .expect("a kubeconfig");
    let repo = Repo::with(&[("c.yaml", &cluster("default", "c", 1, "{mode: async}"))]);
    let mut command = harness::command();
    command
        .args([
            "run",
            "--repo",
            repo.path(),
            "--listen",
            "127.0.0.1:0",
            "--kubeconfig",
        ])
        .arg(&kubeconfig);
    let mut daemon = Running::start(command);
    daemon.line("cannot be read");
    let _server = Server::sandbox(&[
        "--simulate",
        "none",
        "--listen",
        &format!("127.0.0.1:{port}"),
    ]);
    daemon.line("written");
}

fn written(daemon: &mut Running) -> Vec<String> {
    let lines = daemon.so_far().iter();
    lines
        .filter(|line| line.contains("written cluster="))
        .cloned()
        .collect()
}

/// Whether the Pods have these `nofailover` labels, by index.
fn nofailover(server: &Server, instances: u32) -> Vec<String> {
    let label = |index| {
        let pod = server.get("v1", "Pod", &format!("c-{index}"));
        let label = pod.and_then(|pod| {
            let label = pod.pointer("/metadata/labels/nofailover")?;
            label.as_str().map(str::to_owned)
        });
        label.unwrap_or_default()
    };
    (0..instances).map(label).collect()
}

#[test]
fn a_group_added_while_strict_keeps_a_standby_in_sync_that_may_be_promoted() {
    let server = Server::simulated(SPEED);
    let (repo, mut daemon) = settled(&server, 3, "{mode: strict-sync, syncInstances: 1}");
    server.until("c", "strict", is("strict-sync"));
    server.until("c", "in force", |_| !standbys(&server, "c").is_empty());
    let listed = standbys(&server, "c");
    let stalled = stalled_ms(&server, "c");
    let before = written(&mut daemon).len();
    commit(
        &server,
        &repo,
        3,
        "{mode: strict-sync, syncInstances: 1, groups: [{name: reports, role: readonly, instances: 1}]}",
    );
    server.until("c", "grouped", |cluster| {
        cluster.pointer("/spec/replication/groups/0/role") == Some(&json!("readonly"))
            && cluster.pointer("/spec/replication/syncInstances") == Some(&json!(1))
            && applied(cluster)
    });
    server.until("c", "tagged", |_| {
        nofailover(&server, 3) == ["false", "false", "true"]
    });
    server.until("c", "in force", |_| standbys(&server, "c") == "c-1");
    // Where c-2 was the one listed, another was listed before its right to lead was taken.
    let writes = written(&mut daemon).len() - before;
    assert_eq!(
        writes,
        if listed == "c-2" { 3 } else { 1 },
        "listed was {listed}"
    );
    let stall = stalled_ms(&server, "c") - stalled;
    assert!(stall <= 1000, "writes stopped for {stall} ms");
}

#[test]
fn stopping_waits_for_the_approval_that_the_plan_names_and_starts_again_without_one() {
    let server = Server::simulated(SPEED);
    let (repo, _daemon) = settled(&server, 2, "{mode: sync-all}");
    server.until("c", "sync-all", is("sync-all"));
    commit(&server, &repo, 0, "{mode: sync-all}");
    let plan = repo.run(&server.kubeconfig, &["plan", "--observe", "2s"]);
    assert_eq!(plan.code, 1);
    assert!(plan.out.contains("blocked"), "{}", plan.out);
    let (_, rest) = plan
        .out
        .split_once("lockstep.dev/approve: ")
        .expect("the plan names the approval");
    let approval = rest.split_whitespace().next().expect("a value");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(server.cluster("c").expect("live")["spec"]["instances"], 2);
    let stopped = cluster(&server.namespace, "c", 0, "{mode: sync-all}");
    let named = "name: c";
    assert!(stopped.contains(named), "{stopped}");
    repo.write(
        "c.yaml",
        stopped.replacen(
            named,
            &format!("annotations: {{lockstep.dev/approve: '{approval}'}}\n  {named}"),
            1,
        ),
    );
    repo.commit("stopped, approved");
    let live = server.until("c", "stopped", |cluster| {
        cluster["spec"]["instances"] == 0 && applied(cluster)
    });
    let annotations = &live["metadata"]["annotations"];
    assert_eq!(annotations["lockstep.dev/approved"], approval);
    assert!(annotations["lockstep.dev/approve"].is_null());
    server.until("c", "gone", |_| server.get("v1", "Pod", "c-0").is_none());
    assert_eq!(repo.run(&server.kubeconfig, &["plan"]).code, 0);
    commit(&server, &repo, 2, "{mode: sync-all}");
    server.until("c", "started", |cluster| {
        cluster["spec"]["instances"] == 2 && is("sync-all")(cluster)
    });
    server.until("c", "in force", |_| standbys(&server, "c") == "c-1");
}

#[test]
fn a_failover_in_the_middle_is_planned_from_what_is() {
    let server = Server::simulated(SPEED);
    let (repo, _daemon) = settled(&server, 3, "{mode: sync, syncInstances: 1}");
    server.until("c", "sync", is("sync"));
    server.until("c", "in force", |_| !standbys(&server, "c").is_empty());
    fault(&server, "c-0", json!("down"));
    commit(&server, &repo, 3, "{mode: strict-sync, syncInstances: 2}");
    std::thread::sleep(Duration::from_secs(2));
    let live = server.cluster("c").expect("live");
    assert_eq!(mode(&live), "sync", "two standbys are not there");
    fault(&server, "c-0", Value::Null);
    server.until("c", "strict", is("strict-sync"));
    server.until("c", "in force", |_| {
        standbys(&server, "c").matches(',').count() == 1
    });
}

#[test]
fn a_scale_down_through_the_leader_waits_and_names_the_switchover_that_frees_it() {
    let server = Server::simulated(SPEED);
    let (repo, _daemon) = settled(&server, 2, "{mode: sync-all}");
    server.until("c", "sync-all", is("sync-all"));
    server.until("c", "in force", |_| standbys(&server, "c") == "c-1");
    fault(&server, "c-0", json!("down"));
    server.until("c", "failed over", |_| {
        let leader = server.get("v1", "Endpoints", "c");
        leader.is_some_and(|leader| leader["metadata"]["annotations"]["leader"] == "c-1")
    });
    fault(&server, "c-0", Value::Null);
    commit(&server, &repo, 1, "{mode: async}");
    server.until("c", "loosened", |cluster| mode(cluster) == "async");
    server.until("c", "told", |_| {
        let plan = repo.run(&server.kubeconfig, &["plan", "--observe", "2s"]);
        plan.out.contains("patronictl switchover --candidate c-0")
    });
    assert_eq!(server.cluster("c").expect("live")["spec"]["instances"], 2);
}
