//! API servers that are away, strange, unwilling or incomplete: commands end with 2 and a hint, one cluster's refusal stops
//! only itself, and what may heal is tried again.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;

use kube::api::DeleteParams;
use serde_json::json;
use tempfile::TempDir;

use crate::harness::{Repo, Server, cluster, lockstep};

fn kubeconfig(address: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{{name: a, cluster: {{server: 'http://{address}'}}}}]\n\
         users: [{{name: a, user: {{}}}}]\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n"
    );
    std::fs::write(&file, text).expect("a kubeconfig");
    (folder, file)
}

fn repo() -> Repo {
    Repo::with(&[("c.yaml", &cluster("a", "c", 1, "{mode: async}"))])
}

/// A server that gives one answer to everything.
fn answering(status: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            drop(stream.read(&mut request));
            drop(write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            ));
        }
    });
    address
}

#[test]
fn a_server_that_cannot_be_reached_is_said_once_with_a_hint() {
    let free = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("an address")
        .to_string();
    let (_folder, file) = kubeconfig(&free);
    let answer = repo().run(&file, &["diff"]);
    assert_eq!(answer.code, 2);
    insta::assert_snapshot!(answer.err.replace(&free, "ADDRESS"), @"
    error: cannot list SGCluster: the API server cannot be reached at http://ADDRESS: Connection refused (os error 111)
      hint: is the address of the kubeconfig right, and the server up?
    ");
    for command in ["plan", "status", "apply"] {
        assert_eq!(repo().run(&file, &[command]).code, 2, "{command}");
    }
}

#[test]
fn a_server_that_forbids_or_talks_nonsense_is_named() {
    let forbidden = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"sgclusters.stackgres.io is forbidden: User \"u\" cannot list resource \"sgclusters\" in API group \"stackgres.io\" at the cluster scope","details":{"group":"stackgres.io","kind":"sgclusters"},"reason":"Forbidden","code":403}"#;
    for (status, body, words) in [
        (
            "403 Forbidden",
            forbidden,
            "permission to list sgclusters.stackgres.io is missing\n  hint: deploy/ holds the permissions",
        ),
        (
            "401 Unauthorized",
            "no",
            "does not accept the credentials\n  hint: renew the credentials",
        ),
        (
            "200 OK",
            "<html>\u{1b}[31m a captive portal",
            "the API server's answer cannot be read",
        ),
        (
            "500 Internal Server Error",
            "\u{1b}[31mboom",
            "the API server answered 500",
        ),
    ] {
        let (_folder, file) = kubeconfig(&answering(status, body));
        let answer = repo().run(&file, &["diff"]);
        assert_eq!(answer.code, 2, "{status}: {}", answer.err);
        assert!(answer.err.contains(words), "{status}: {}", answer.err);
        assert!(
            !answer.err.contains('\u{1b}') && !answer.err.contains("panicked"),
            "{}",
            answer.err
        );
    }
}

#[test]
fn a_kubeconfig_that_cannot_be_used_is_told_why() {
    let repo = repo();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kubeconfig");
    let place = file.to_str().expect("a path").to_owned();
    let told = |text: Option<&str>, more: &[&str]| {
        match text {
            Some(text) => std::fs::write(&file, text).expect("a file"),
            None => drop(std::fs::remove_file(&file)),
        }
        let mut arguments = vec!["diff"];
        arguments.extend(more);
        let answer = repo.run(&file, &arguments);
        format!("{}exit {}", answer.err.replace(&place, "FILE"), answer.code)
    };
    insta::assert_snapshot!(told(None, &[]), @"
    error: cannot read the kubeconfig FILE: No such file or directory (os error 2)
      hint: name another with --kubeconfig or KUBECONFIG
    exit 2
    ");
    insta::assert_snapshot!(told(Some("not: [yaml"), &[]), @"
    error: cannot read the kubeconfig FILE: it is not a kubeconfig (line 1, column 6)
      hint: name another with --kubeconfig or KUBECONFIG
    exit 2
    ");
    insta::assert_snapshot!(told(Some(""), &[]), @"
    error: cannot read the kubeconfig FILE: it has no current-context
      hint: name another with --kubeconfig or KUBECONFIG
    exit 2
    ");
    let good = "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]\nusers: [{name: a, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: /bin/touch, args: [/tmp/x]}}}]\ncontexts: [{name: a, context: {cluster: a, user: a}}]\n";
    insta::assert_snapshot!(told(Some(good), &["--context", "nope"]), @"
    error: no context `nope` in the kubeconfig FILE
      hint: `kubectl config get-contexts` lists what there is
    exit 2
    ");
    insta::assert_snapshot!(told(Some(good), &[]), @"
    error: cannot use the kubeconfig FILE: its user gets credentials from `exec /bin/touch`, and starting programs is not allowed
      hint: set `allowExec: true` in the configuration file if you trust that program
    exit 2
    ");
    let none = lockstep(&["diff", "--repo", repo.path(), "--kubeconfig", ""]);
    assert_eq!(none.code, 2, "{}", none.err);
}

#[test]
fn a_server_without_stackgres_is_told_what_to_install() {
    let server = Server::sandbox(&["--simulate", "none"]);
    let definitions: kube::Api<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition> =
        kube::Api::all(server.client.clone());
    server
        .block_on(definitions.delete("sgclusters.stackgres.io", &DeleteParams::default()))
        .expect("deleted");
    let answer = repo().run(&server.kubeconfig, &["diff"]);
    assert_eq!(answer.code, 2);
    insta::assert_snapshot!(answer.err, @"
    error: cannot list SGCluster: sgclusters.stackgres.io is not installed on the API server
      hint: install the StackGres operator, which brings its definitions
    ");
}

#[test]
fn a_cluster_that_the_server_refuses_stops_only_itself() {
    let server = Server::any();
    let repo = Repo::with(&[
        (
            "bad.yaml",
            &cluster("no-such-namespace", "bad", 1, "{mode: async}"),
        ),
        (
            "good.yaml",
            &cluster(&server.namespace, "good", 1, "{mode: async}"),
        ),
    ]);
    let answer = repo.run(&server.kubeconfig, &["apply"]);
    assert_eq!(answer.code, 1, "{}", answer.err);
    assert!(server.cluster("good").is_some());
    let told = "no-such-namespace/bad blocked: cannot apply SGCluster no-such-namespace/bad: namespace no-such-namespace does not exist";
    assert!(answer.err.contains(told), "{}", answer.err);
}

#[test]
fn a_webhook_that_is_down_is_tried_again_until_it_is_up() {
    let server = Server::simulated(20);
    let webhooks = |word: serde_json::Value| {
        let namespaces: kube::Api<k8s_openapi::api::core::v1::Namespace> =
            kube::Api::all(server.client.clone());
        let patch = json!({"metadata": {"annotations": {"sandbox.lockstep.dev/webhooks": word}}});
        let patch = kube::api::Patch::Merge(patch);
        server
            .block_on(namespaces.patch(
                &server.namespace,
                &kube::api::PatchParams::default(),
                &patch,
            ))
            .expect("patched");
    };
    webhooks(json!("down"));
    let repo = Repo::with(&[(
        "c.yaml",
        &cluster(&server.namespace, "c", 1, "{mode: async}"),
    )]);
    let mut daemon = server.daemon(&repo, &[]);
    daemon.line("an admission webhook does not answer");
    assert!(server.cluster("c").is_none());
    webhooks(serde_json::Value::Null);
    daemon.line(" written ");
    assert!(server.cluster("c").is_some());
}
