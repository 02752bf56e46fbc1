//! Text that would act on a terminal, a Markdown page or a browser is shown as text; values that may be secrets are not shown
//! at all.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::json;

use crate::harness::{Repo, Server, cluster, lockstep};

const EVIL: &str = "\\e[31mred\\e[0m \\e]0;title\\a <script>alert(1)</script> <img src=x onerror=alert(1)> `x` | **b** [l](javascript:1) \\u202Eevil";

/// A repository whose names, values, files and commit message all try something.
fn evil(server: &Server) -> Repo {
    let evil = cluster(&server.namespace, "evil", 1, "{mode: async}").replace(
        "  name: evil\n",
        &format!("  name: evil\n  annotations: {{note: \"{EVIL}\"}}\n"),
    );
    let mode = cluster(
        &server.namespace,
        "mode",
        1,
        &format!("{{mode: \"{EVIL}\"}}"),
    );
    let repo = Repo::new();
    repo.write(
        "plain.yaml",
        cluster(&server.namespace, "plain", 1, "{mode: async}"),
    );
    repo.commit("first");
    repo.write("d\u{1b}[31m<b>/we|ird `x` <script>.yaml", evil);
    repo.write("<script>alert(2)<\u{1b}[31m.yaml", mode);
    repo.commit("\u{1b}[31m<script>alert(3)</script> | `x`");
    repo
}

#[test]
fn nothing_of_the_repository_acts_on_a_terminal_or_a_page() {
    let server = Server::any();
    let repo = evil(&server);
    for arguments in [
        &["check"][..],
        &["check", "-o", "github"],
        &["check", "-o", "sarif"],
        &["diff"],
        &["diff", "-o", "markdown"],
        &["diff", "-o", "html"],
        &["diff", "-o", "json"],
        &["plan"],
        &["review", "--base", "HEAD~1"],
        &["apply"],
        &["status"],
    ] {
        let answer = repo.run(&server.kubeconfig, arguments);
        let told = format!("{}{}", answer.out, answer.err);
        assert_eq!(answer.code, 1, "{arguments:?}: {told}");
        let control = told
            .chars()
            .find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(control, None, "{arguments:?}: {told:?}");
        assert!(!told.contains("panicked"), "{arguments:?}: {told}");
    }
    let html = repo.run(&server.kubeconfig, &["diff", "-o", "html"]).out;
    assert!(
        !html.contains("<script>alert") && !html.contains("<img") && !html.contains("<b>/we"),
        "{html}"
    );
    let markdown = repo
        .run(&server.kubeconfig, &["review", "--base", "HEAD~1"])
        .out;
    for line in outside_of_code(&markdown) {
        assert!(
            !line.contains("<script") && !line.contains("<img") && !line.contains("](javascript"),
            "{line}"
        );
    }
}

/// The lines of Markdown outside of fenced code, without what stands in code spans.
fn outside_of_code(markdown: &str) -> Vec<String> {
    let mut fence: Option<String> = None;
    let mut lines = Vec::new();
    for line in markdown.lines() {
        let ticks: String = line.chars().take_while(|c| *c == '`').collect();
        match &fence {
            Some(open) if ticks.len() >= open.len() => fence = None,
            Some(_) => {}
            None if ticks.len() >= 3 => fence = Some(ticks),
            None => lines.push(without_spans(line)),
        }
    }
    lines
}

fn without_spans(line: &str) -> String {
    let mut rest = line;
    let mut plain = String::new();
    while let Some(at) = rest.find('`') {
        plain.push_str(&rest[..at]);
        if rest[..at].ends_with('\\') {
            rest = &rest[at + 1..];
            continue;
        }
        let ticks: String = rest[at..].chars().take_while(|c| *c == '`').collect();
        let after = &rest[at + ticks.len()..];
        match after.find(&ticks) {
            Some(end) => rest = &after[end + ticks.len()..],
            None => rest = after,
        }
    }
    plain + rest
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connected");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn a_password_is_in_no_answer_no_log_and_no_page() {
    let server = Server::any();
    let namespace = &server.namespace;
    let secret = |password: &str| {
        format!(
            "apiVersion: stackgres.io/v1\nkind: SGPostgresConfig\nmetadata: {{namespace: {namespace}, name: pg}}\nspec:\n  postgresVersion: '16'\n  \
             postgresql.conf: {{primary_conninfo: 'host=x password={password}', my.api_token: {password}}}\n---\n{}",
            cluster(namespace, "c", 1, "{mode: async}")
                .replace(
                    "  name: c\n",
                    &format!("  name: c\n  annotations: {{example.com/password: {password}, url: 'postgres://u:{password}@h/db'}}\n"),
                )
                .replace(
                    "  instances: 1\n",
                    "  instances: 1\n  configurations: {sgPostgresConfig: pg}\n",
                )
                .replace(
                    "      size: 10Gi\n",
                    &format!(
                        "      size: 10Gi\n    customEnv: {{patroni: [{{name: TOKEN, value: {password}}}]}}\n    \
                         customContainers: [{{name: side, image: x, args: ['--password={password}'], env: [{{name: K, value: {password}}}]}}]\n"
                    ),
                )
        )
    };
    let repo = Repo::with(&[("c.yaml", &secret("hunter2"))]);
    let say_nothing = |moment: &str| {
        for arguments in [
            &["check"][..],
            &["diff"],
            &["diff", "-o", "markdown"],
            &["diff", "-o", "html"],
            &["diff", "-o", "json"],
            &["plan"],
            &["plan", "-o", "json"],
            &["status"],
            &["review", "--base", "HEAD"],
        ] {
            let answer = repo.run(&server.kubeconfig, arguments);
            assert!(answer.code < 2, "{moment} {arguments:?}: {}", answer.err);
            let told = format!("{}{}", answer.out, answer.err);
            assert!(!told.contains("hunter"), "{moment} {arguments:?}: {told}");
        }
    };
    say_nothing("absent");
    let applied = repo.run(&server.kubeconfig, &["-vv", "apply"]);
    assert!(
        !format!("{}{}", applied.out, applied.err).contains("hunter"),
        "{}",
        applied.err
    );
    assert!(server.cluster("c").is_some(), "it was carried out");
    repo.write("c.yaml", secret("hunter3"));
    repo.commit("rotated");
    let review = repo.run(&server.kubeconfig, &["review", "--base", "HEAD~1"]);
    assert!(
        review.out.contains("(masked and changed)"),
        "{}",
        review.out
    );
    assert!(!review.out.contains("hunter"), "{}", review.out);
    server.edit(
        "c",
        &json!({"metadata": {"annotations": {"example.com/password": "hunter4"}}}),
    );
    let mut daemon = server.daemon(&repo, &["-v"]);
    let line = daemon.line("page=http://");
    let address = line
        .split("page=http://")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .expect("an address")
        .to_owned();
    daemon.line("read the repository");
    std::thread::sleep(std::time::Duration::from_secs(1));
    for path in [
        "/",
        "/api/report",
        &format!("/clusters/{namespace}/c"),
        "/metrics",
    ] {
        let page = get(&address, path);
        assert!(page.starts_with("HTTP/1.1 200"), "{path}: {page}");
        assert!(!page.contains("hunter"), "{path}: {page}");
    }
    assert!(
        !daemon.so_far().iter().any(|line| line.contains("hunter")),
        "{:?}",
        daemon.seen
    );
    say_nothing("rotated");
    let broken = lockstep(&["check", "--repo", repo.path()]);
    assert_eq!(broken.code, 0, "{}", broken.out);
}

#[test]
fn a_log_of_json_is_one_object_a_line_whatever_stands_in_it() {
    let server = Server::any();
    let repo = evil(&server);
    let mut daemon = server.daemon(&repo, &["--log-format", "json"]);
    daemon.line("\"refused\"");
    for line in daemon.so_far() {
        let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(value.is_object() && !line.contains('\u{1b}'), "{line}");
    }
}
