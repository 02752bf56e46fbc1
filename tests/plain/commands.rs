//! How each command ends, and that none of them writes what it should not.

use serde_json::json;

use crate::harness::{Answer, Repo, Server, cluster};
use crate::{settled, version};

fn codes(server: &Server, repo: &Repo, commands: &[&str]) -> Vec<i32> {
    let ask = |command: &&str| {
        let answer = repo.run(&server.kubeconfig, &[command]);
        assert!(answer.code >= 0, "{command}: {}", answer.err);
        answer.code
    };
    commands.iter().map(ask).collect()
}

const QUESTIONS: [&str; 3] = ["diff", "plan", "status"];

#[test]
fn apply_writes_what_is_missing_once_and_then_nothing() {
    let server = Server::any();
    let manifest = cluster(&server.namespace, "c", 2, "{mode: async}");
    let repo = Repo::with(&[("c.yaml", &manifest)]);
    assert_eq!(codes(&server, &repo, &QUESTIONS), [1, 1, 0], "absent");
    assert_eq!(server.cluster("c"), None, "a question writes nothing");
    let first = repo.run(&server.kubeconfig, &["apply"]);
    let live = server.cluster("c").expect("created");
    assert!(settled(&live), "{}{}", first.out, first.err);
    let second = repo.run(&server.kubeconfig, &["apply"]);
    assert_eq!(
        version(&server.cluster("c").expect("there")),
        version(&live),
        "{}{}",
        second.out,
        second.err
    );
    // The object is as Git says; whether it is in force nobody knows without Patroni.
    assert_eq!((first.code, second.code), (1, 1));
    assert_eq!(codes(&server, &repo, &QUESTIONS), [0, 1, 0], "created");
}

#[test]
fn drift_is_told_with_its_place_and_author_and_apply_leaves_it() {
    let server = Server::any();
    let manifest = cluster(&server.namespace, "c", 2, "{mode: async}");
    let repo = Repo::with(&[("clusters/c.yaml", &manifest)]);
    repo.run(&server.kubeconfig, &["apply"]);
    server.edit(
        "c",
        &json!({"spec": {"pods": {"persistentVolume": {"size": "20Gi"}}}}),
    );
    let edited = server.cluster("c").expect("there");
    let diff = repo.run(&server.kubeconfig, &["diff"]);
    assert_eq!(diff.code, 1);
    for wanted in [
        "-      size: 20Gi\n+      size: 10Gi",
        "clusters/c.yaml:12",
        "kubectl-edit",
    ] {
        assert!(diff.out.contains(wanted), "no `{wanted}` in:\n{}", diff.out);
    }
    let apply = repo.run(&server.kubeconfig, &["apply"]);
    assert_eq!(apply.code, 1);
    assert!(apply.out.contains("drifted"), "{}", apply.out);
    assert_eq!(
        version(&server.cluster("c").expect("there")),
        version(&edited)
    );
    assert_eq!(codes(&server, &repo, &QUESTIONS), [1, 1, 0]);
}

#[test]
fn a_refused_manifest_ends_every_command_with_1_and_holds_up_nothing_else() {
    let server = Server::any();
    let good = cluster(&server.namespace, "good", 1, "{mode: async}");
    let bad = cluster(&server.namespace, "bad", 1, "{mode: snyc}");
    let repo = Repo::with(&[("good.yaml", &good), ("bad.yaml", &bad)]);
    let apply = repo.run(&server.kubeconfig, &["apply"]);
    assert_eq!(apply.code, 1);
    assert!(settled(&server.cluster("good").expect("created")));
    assert_eq!(server.cluster("bad"), None);
    assert_eq!(codes(&server, &repo, &QUESTIONS), [1, 1, 1]);
    let only = |name: &str, command: &str| {
        let key = format!("{}/{name}", server.namespace);
        repo.run(&server.kubeconfig, &[command, &key]).code
    };
    assert_eq!(only("good", "diff"), 0);
    assert_eq!(only("good", "status"), 0);
    assert_eq!(only("bad", "status"), 1);
}

#[test]
fn what_cannot_be_done_at_all_ends_with_2_and_says_why() {
    let server = Server::any();
    let manifest = cluster(&server.namespace, "c", 1, "{mode: async}");
    let repo = Repo::with(&[("c.yaml", &manifest)]);
    let said = |answer: &Answer| {
        assert_eq!(answer.code, 2, "{}{}", answer.out, answer.err);
        assert_eq!(answer.out, "");
        answer.err.clone()
    };
    for command in ["diff", "plan", "apply", "status"] {
        let run = |arguments: &[&str]| {
            let mut all = vec![command];
            all.extend(arguments);
            repo.run(&server.kubeconfig, &all)
        };
        let absent = said(&run(&["nowhere/nothing"]));
        assert!(absent.contains("nowhere/nothing"), "{absent}");
        let revision = said(&run(&["--revision", "no-such-branch"]));
        assert!(revision.contains("no-such-branch"), "{revision}");
        let nobody = crate::harness::lockstep(&[
            command,
            "--repo",
            repo.path(),
            "--kubeconfig",
            "/nonexistent/kubeconfig",
        ]);
        let kubeconfig = said(&nobody);
        assert!(
            kubeconfig.contains("/nonexistent/kubeconfig"),
            "{kubeconfig}"
        );
    }
    assert_eq!(server.cluster("c"), None);
}

#[test]
fn a_role_that_is_given_is_written_by_itself_and_what_replaces_pods_is_held_back() {
    let server = Server::any();
    let grouped = |role: &str| {
        let replication =
            format!("{{mode: async, groups: [{{name: reports, role: {role}, instances: 1}}]}}");
        cluster(&server.namespace, "c", 3, &replication)
    };
    let repo = Repo::with(&[("c.yaml", &grouped("readonly"))]);
    repo.run(&server.kubeconfig, &["apply"]);
    crate::patroni(&server, "c");
    let size = "persistentVolume:\n      size: 10Gi";
    let after = grouped("ha").replace(size, &format!("disableEnvoy: false\n    {size}"));
    repo.write("c.yaml", &after);
    repo.commit("reports may lead, through Envoy");
    let apply = repo.run(&server.kubeconfig, &["apply"]);
    assert!(apply.out.contains("written"), "{}{}", apply.out, apply.err);
    let live = server.cluster("c").expect("there");
    let groups = &live["spec"]["replication"]["groups"];
    assert_eq!(
        *groups,
        json!([{"name": "reports", "role": "ha", "instances": 1}])
    );
    assert_ne!(live["spec"]["pods"]["disableEnvoy"], false);
    assert!(!settled(&live), "the last write waits for a leader");
    let plan = repo.run(&server.kubeconfig, &["plan", "-o", "json"]);
    let plan: serde_json::Value = serde_json::from_str(&plan.out).expect("JSON");
    assert_eq!(plan["clusters"][0]["state"], "waiting");
    assert_eq!(
        plan["clusters"][0]["steps"][0]["moves"],
        json!(["template"])
    );
    // Back again before it is done: what was given is taken, in a step of its own.
    repo.write("c.yaml", grouped("readonly"));
    repo.commit("no, they may not");
    let plan = repo.run(&server.kubeconfig, &["plan", "-o", "json"]);
    let plan: serde_json::Value = serde_json::from_str(&plan.out).expect("JSON");
    assert_eq!(
        plan["clusters"][0]["steps"][0]["moves"],
        json!(["take-roles"])
    );
}
