//! Wrong flags, arguments and configuration: exit code 2, the reason, and what to write instead.

use crate::harness::{Repo, Server, cluster, lockstep};

fn refused(arguments: &[&str]) -> String {
    let answer = lockstep(arguments);
    assert_eq!(answer.code, 2, "{}{}", answer.out, answer.err);
    assert_eq!(answer.out, "");
    answer.err
}

#[test]
fn what_is_no_command_flag_or_value_is_refused_by_name() {
    for (arguments, words) in [
        (&["dif"][..], "unrecognized subcommand 'dif'"),
        (&["diff", "--bogus"], "unexpected argument '--bogus'"),
        (
            &["diff", "-o", "yaml"],
            "[possible values: text, json, markdown, html]",
        ),
        (
            &["apply", "--wait", "5"],
            "write a number with its unit, such as 30s or 5m",
        ),
        (&["apply", "--wait=-5s"], "is a negative duration"),
        (&["run", "--interval", "0s"], "100ms is the shortest"),
        (&["run", "--listen", "here"], "invalid socket address"),
        (&["review"], "--base <REV>"),
        (
            &["diff", "no-slash"],
            "`no-slash` is not of the form NAMESPACE/NAME",
        ),
        (
            &["diff", "a/b/c"],
            "`a/b/c` is not of the form NAMESPACE/NAME",
        ),
        (&["diff", "a/"], "`a/` is not of the form NAMESPACE/NAME"),
        (&["diff", ""], "`` is not of the form NAMESPACE/NAME"),
    ] {
        let told = refused(arguments);
        assert!(told.contains(words), "{arguments:?}: {told}");
    }
}

#[test]
fn a_cluster_that_git_does_not_have_is_told_the_nearest_one() {
    let server = Server::any();
    let namespace = &server.namespace;
    let repo = Repo::with(&[("c.yaml", &cluster(namespace, "orders", 1, "{mode: async}"))]);
    for command in ["diff", "plan", "status", "apply"] {
        let answer = repo.run(
            &server.kubeconfig,
            &[command, &format!("{namespace}/order")],
        );
        assert_eq!(answer.code, 2);
        let told = answer.err.replace(namespace, "NS");
        assert_eq!(
            told,
            "error: no manifest of NS/order at main\n  hint: there is NS/orders\n"
        );
    }
    repo.write("torn.yaml", "kind: [\n");
    repo.commit("torn");
    let answer = repo.run(&server.kubeconfig, &["diff", "elsewhere/thing"]);
    insta::assert_snapshot!(answer.err, @"
    error: no manifest of elsewhere/thing at main
      hint: it may be in torn.yaml, which cannot be read: see `lockstep check`
    ");
    let answer = repo.run(&server.kubeconfig, &["diff", "a/\u{1b}[31mred"]);
    assert!(!answer.err.contains('\u{1b}'), "{}", answer.err);
}

#[test]
fn a_configuration_that_cannot_be_meant_is_refused_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("lockstep.yaml");
    let path = file.to_str().expect("a path");
    let told = |text: &str| {
        std::fs::write(&file, text).expect("a file");
        refused(&["check", "--config", path]).replace(path, "FILE")
    };
    assert!(told("intervall: 5m\n").contains("unknown field `intervall`, expected one of"));
    insta::assert_snapshot!(told("interval: soon\n"), @"error: cannot use `interval: soon` of the configuration file FILE: `soon` is not a duration: write a number with its unit, such as 30s or 5m");
    insta::assert_snapshot!(told("interval: 0s\n"), @"error: cannot use `interval: 0s` of the configuration file FILE: `0s` is too short: 100ms is the shortest");
    insta::assert_snapshot!(told("repo: .\npath: clusters\n"), @r#"error: cannot read the configuration file FILE: path: invalid type: string "clusters", expected a sequence at line 2 column 7"#);
    insta::assert_snapshot!(told("gates: {idleLeader: maybe}\n"), @"error: cannot read the configuration file FILE: gates.idleLeader: unknown variant `maybe`, expected `pass` or `hold` at line 1 column 21");
    insta::assert_snapshot!(told("allowExec: yes\n"), @r#"error: cannot read the configuration file FILE: allowExec: invalid type: string "yes", expected a boolean at line 1 column 12"#);
    insta::assert_snapshot!(told("namespaces: {../other: [a]}\n"), @"error: cannot use `namespaces: ../other` of the configuration file FILE: it leads upward; write the path from the top of the repository");
    insta::assert_snapshot!(told("- repo\n"), @"error: cannot read the configuration file FILE: invalid type: sequence, expected settings by their keys");
    insta::assert_snapshot!(told("repo: [\n"), @"error: cannot read the configuration file FILE: repo: invalid type: sequence, expected a string at line 1 column 7");
    std::fs::remove_file(&file).expect("it was there");
    insta::assert_snapshot!(refused(&["check", "--config", path]).replace(path, "FILE"), @"error: cannot read the configuration file FILE: No such file or directory (os error 2)");
}

#[test]
fn a_port_that_is_taken_ends_the_daemon_with_a_reason() {
    let server = Server::any();
    let repo = Repo::with(&[("c.yaml", &cluster("a", "c", 1, "{mode: async}"))]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let answer = repo.run(&server.kubeconfig, &["run", "--listen", &address]);
    assert_eq!(answer.code, 2);
    insta::assert_snapshot!(answer.err.replace(&address, "ADDRESS"), @"
    error: cannot listen on ADDRESS: Address already in use (os error 98)
      hint: name another address with --listen, such as 127.0.0.1:0 for any free port
    ");
}
