//! Files of the repository that are wrong. Each test holds the file against its one message, beside a good file that must be
//! carried out all the same.

use crate::harness::{Answer, Repo, Server, cluster, lockstep};

/// The findings of `check` for one bad file beside a good one, which must not be hindered.
fn checked(bad: impl AsRef<[u8]>) -> String {
    let repo = Repo::new();
    repo.write("bad.yaml", bad);
    repo.write("good.yaml", cluster("a", "good", 1, "{mode: async}"));
    repo.commit("first");
    let answer = lockstep(&["check", "--repo", repo.path()]);
    assert!(!answer.err.contains("panicked"), "{}", answer.err);
    assert!(!answer.out.contains("good.yaml"), "{}", answer.out);
    let (findings, _) = answer.out.trim_end().rsplit_once('\n').unwrap_or_default();
    format!("{findings}\nexit {}", answer.code)
}

/// A manifest with one line replaced by another.
fn with(line: &str, by: &str) -> String {
    let good = cluster("a", "b", 1, "{mode: async}");
    assert!(good.contains(line));
    good.replace(line, by)
}

fn diff(repo: &Repo, server: &Server) -> Answer {
    let answer = repo.run(&server.kubeconfig, &["diff"]);
    assert!(!answer.err.contains("panicked"), "{}", answer.err);
    answer
}

#[test]
fn an_open_bracket_is_named_where_it_stands() {
    insta::assert_snapshot!(checked("kind: SGCluster\nmetadata: {name: x\nspec: [\n"), @"
    bad.yaml:3:5: error[yaml-syntax]: while parsing a flow mapping, did not find expected ',' or '}'
        help: the `{` of line 2, column 11 is still open here; close it, or quote the value
    exit 1
    ");
}

#[test]
fn a_tab_is_named_and_its_remedy() {
    insta::assert_snapshot!(checked("kind: SGCluster\nmetadata:\n\tname: x\n"), @"
    bad.yaml:3:1: error[yaml-tab]: a tab stands in the indentation, where YAML allows only spaces
        help: replace it by spaces
    exit 1
    ");
}

#[test]
fn a_byte_order_mark_is_a_warning_and_the_file_is_read() {
    insta::assert_snapshot!(checked(format!("\u{feff}{}", cluster("a", "b", 1, "{mode: async}"))), @"
    bad.yaml:1:1: warning[byte-order-mark]: the file begins with a byte order mark, which is left out
        help: save it as UTF-8 without one
    exit 0
    ");
}

#[test]
fn two_manifests_of_one_cluster_are_both_refused_and_name_each_other() {
    let twice = cluster("a", "b", 1, "{mode: async}");
    insta::assert_snapshot!(checked(format!("{twice}---\n{twice}")), @"
    bad.yaml:1:1: error[duplicate-object]: SGCluster a/b is also in bad.yaml:15:1
        help: keep one of them; until then neither is carried out
    bad.yaml:15:1: error[duplicate-object]: SGCluster a/b is also in bad.yaml:1:1
        help: keep one of them; until then neither is carried out
    exit 1
    ");
}

#[test]
fn a_missing_namespace_is_not_guessed() {
    insta::assert_snapshot!(checked(with("  namespace: a\n", "")), @"
    bad.yaml:4:3: error[missing-namespace]: SGCluster `b` has no metadata.namespace
        help: write it; Lockstep does not guess the namespace of a database
    exit 1
    ");
}

#[test]
fn a_name_that_kubernetes_cannot_have_is_refused_at_its_place() {
    insta::assert_snapshot!(checked(with("name: b", &format!("name: {}", "n".repeat(45)))), @"
    bad.yaml:5:9: error[invalid-name]: the name of SGCluster `nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn` has 45 characters; 44 are allowed
        help: shorten it: Pods and Services are named after it
    exit 1
    ");
    insta::assert_snapshot!(checked(with("name: b", "name: Not_A_Name")), @"
    bad.yaml:5:9: error[invalid-name]: `Not_A_Name` is no name of an SGCluster
        help: use lower-case letters, digits and `-`, a letter first and no `-` last
    exit 1
    ");
    insta::assert_snapshot!(checked(with("namespace: a", "namespace: ../kube-system")), @"
    bad.yaml:4:14: error[invalid-name]: `../kube-system` is no name of a namespace
        help: use at most 63 lower-case letters, digits and `-`, a letter or digit first and last
    exit 1
    ");
}

#[test]
fn an_unknown_mode_is_told_the_known_ones() {
    insta::assert_snapshot!(checked(with("async", "semi-sync")), @"
    bad.yaml:13:23: error[unknown-mode]: unknown replication mode `semi-sync`
        help: write one of async, sync, strict-sync, sync-all, strict-sync-all
    exit 1
    ");
}

#[test]
fn a_number_in_quotes_is_told_to_lose_them() {
    insta::assert_snapshot!(checked(with("instances: 1", "instances: \"4\"")), @r#"
    bad.yaml:9:14: error[wrong-type]: spec.instances is the text "4", and has to be a whole number: the quotes make it text
        help: remove the quotes: instances: 4
    exit 1
    "#);
}

#[test]
fn numbers_that_no_cluster_can_have_are_refused() {
    insta::assert_snapshot!(checked(with("instances: 1", "instances: -1")), @"
    bad.yaml:9:14: error[out-of-range]: spec.instances is -1
        help: it has to be at least 0
    exit 1
    ");
    insta::assert_snapshot!(checked(with("instances: 1", "instances: 99999999999999999999")), @"
    bad.yaml:9:14: error[yaml-number]: `99999999999999999999` is a number that JSON, and so Kubernetes, cannot carry
        help: quote it if it is text: '99999999999999999999'
    exit 1
    ");
    insta::assert_snapshot!(checked(with("instances: 1", "instances: 1.5")), @"
    bad.yaml:9:14: error[wrong-type]: spec.instances is a number, and has to be a whole number
    exit 1
    ");
}

#[test]
fn what_readers_of_yaml_disagree_about_is_refused() {
    insta::assert_snapshot!(checked(with("name: b", "name: yes")), @"
    bad.yaml:5:9: error[yaml-ambiguous]: kubectl reads `yes` as the boolean true, other readers as text
        help: quote it if it is text: 'yes'; write true if it is a boolean
    exit 1
    ");
    insta::assert_snapshot!(checked(with("instances: 1", "instances: 0777")), @"
    bad.yaml:9:14: error[yaml-ambiguous]: kubectl reads `0777` as the number 511, other readers as text
        help: quote it if it is text: '0777'; write a number without leading zeros, `_` or capital prefixes
    exit 1
    ");
    insta::assert_snapshot!(checked(with("spec:\n", "spec:\n  <<: {instances: 3}\n")), @"
    bad.yaml:7:3: error[yaml-merge-key]: the merge key `<<` is applied by kubectl and left as it is by others
        help: write the fields out
    exit 1
    ");
    insta::assert_snapshot!(checked(with("  instances: 1\n", "  instances: 1\n  instances: 2\n")), @"
    bad.yaml:10:3: error[yaml-duplicate-key]: the key `instances` stands here a second time; the first is at line 9, column 3
        help: keep one of the two
    exit 1
    ");
}

#[test]
fn bombs_of_depth_aliases_and_documents_stop_at_their_limit() {
    insta::assert_snapshot!(checked(format!("a: {}", "[".repeat(5000))), @"
    bad.yaml:1:68: error[yaml-too-deep]: lists and mappings are nested more than 64 deep, which is the limit
        help: no manifest needs that; look for a bracket that is not closed
    exit 1
    ");
    let mut laughs = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (name, before) in "bcdefghi".chars().zip("abcdefgh".chars()) {
        let nine = vec![format!("*{before}"); 9].join(",");
        laughs.push_str(&format!("{name}: &{name} [{nine}]\n"));
    }
    insta::assert_snapshot!(checked(laughs), @"
    bad.yaml:5:8: error[yaml-too-many-aliases]: the aliases up to here stand for more than 10000 values, which is the limit
        help: write the values out, or split the file
    exit 1
    ");
    insta::assert_snapshot!(checked("---\nx: 1\n".repeat(6000)), @"
    bad.yaml:2:1: warning[not-a-manifest]: the document has neither apiVersion nor kind, so it is no Kubernetes manifest and is left out
        help: keep such files outside the paths that Lockstep reads
    bad.yaml:10001:1: error[too-many-documents]: the file holds more than 5000 documents, which is the limit; what follows is not read
        help: split the file
    exit 1
    ");
}

#[test]
fn five_megabytes_are_not_read() {
    insta::assert_snapshot!(checked(vec![b'a'; 5_000_000]), @"
    bad.yaml:1:1: error[git-size]: `bad.yaml` is not read: it has 5000000 bytes, and at most 1048576 are read
        help: split it into several files
    exit 1
    ");
}

#[test]
fn bytes_that_are_no_utf_8_are_named_with_their_place() {
    insta::assert_snapshot!(checked(b"kind: SGCluster\nmetadata: {name: \"\xc3\x28\"}\n"), @"
    bad.yaml:2:19: error[not-utf8]: the byte 0xC3 is not UTF-8
        help: save the file as UTF-8
    exit 1
    ");
    insta::assert_snapshot!(checked(b"\xff\xfek\0i\0n\0d\0"), @"
    bad.yaml:1:1: error[not-utf8]: the file is UTF-16
        help: save it as UTF-8
    exit 1
    ");
    insta::assert_snapshot!(checked(b"kind: SGCluster\nmetadata: {name: \"a\0b\"}\n"), @"
    bad.yaml:2:20: error[control-character]: the character U+0000 is not allowed in YAML
        help: remove it
    exit 1
    ");
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_is_named_and_not_followed() {
    let repo = Repo::new();
    repo.write("good.yaml", cluster("a", "good", 1, "{mode: async}"));
    let link = std::path::Path::new(repo.path()).join("link.yaml");
    std::os::unix::fs::symlink("/etc/passwd", link).expect("a link");
    repo.commit("first");
    let answer = lockstep(&["check", "--repo", repo.path()]);
    insta::assert_snapshot!(format!("{}exit {}", answer.out, answer.code), @"
    link.yaml:1:1: warning[git-symlink]: `link.yaml` is a symbolic link and is not read
        help: commit the file itself in its place
    1 cluster: 1 warning
    exit 0
    ");
}

#[test]
fn a_submodule_is_named_and_not_followed() {
    let repo = Repo::with(&[("good.yaml", &cluster("a", "good", 1, "{mode: async}"))]);
    let git = git2::Repository::open(repo.path()).expect("a repository");
    let head = git
        .head()
        .and_then(|head| head.peel_to_commit())
        .expect("a commit");
    let tree = head.tree().expect("a tree");
    let mut builder = git.treebuilder(Some(&tree)).expect("a builder");
    builder
        .insert("sub", head.id(), 0o160_000)
        .expect("an entry");
    let tree = git
        .find_tree(builder.write().expect("a tree"))
        .expect("the tree");
    let who = git2::Signature::now("Ada", "ada@example.com").expect("a signature");
    git.commit(Some("HEAD"), &who, &who, "a submodule", &tree, &[&head])
        .expect("a commit");
    let answer = lockstep(&["check", "--repo", repo.path()]);
    insta::assert_snapshot!(format!("{}exit {}", answer.out, answer.code), @"
    sub:1:1: warning[git-submodule]: `sub` is a submodule and is not read
        help: keep manifests in the repository itself
    1 cluster: 1 warning
    exit 0
    ");
}

#[test]
fn a_file_outside_its_namespaces_is_refused_before_any_request() {
    let server = Server::any();
    let repo = Repo::with(&[
        (
            "ours/good.yaml",
            &cluster(&server.namespace, "good", 1, "{mode: async}"),
        ),
        (
            "theirs/bad.yaml",
            &cluster(&server.namespace, "bad", 1, "{mode: async}"),
        ),
        (
            "loose.yaml",
            &cluster(&server.namespace, "loose", 1, "{mode: async}"),
        ),
    ]);
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("lockstep.yaml");
    let map = format!(
        "namespaces:\n  ./ours/: [{}]\n  theirs: [elsewhere]\n",
        server.namespace
    );
    std::fs::write(&config, map).expect("a configuration");
    let config = config.to_str().expect("a path");
    let answer = repo.run(&server.kubeconfig, &["apply", "--config", config]);
    assert_eq!(answer.code, 1, "{}", answer.err);
    assert!(
        answer
            .err
            .contains("theirs/bad.yaml:1:1: error[namespace-not-allowed]"),
        "{}",
        answer.err
    );
    assert!(
        answer.err.contains("files below theirs may name elsewhere"),
        "{}",
        answer.err
    );
    assert!(
        answer
            .err
            .contains("loose.yaml:1:1: error[namespace-not-allowed]"),
        "{}",
        answer.err
    );
    assert!(server.cluster("good").is_some(), "the others go on");
    assert!(server.cluster("bad").is_none() && server.cluster("loose").is_none());
}

#[test]
fn every_command_names_the_place_and_the_remedy_of_what_it_refuses() {
    let server = Server::any();
    let bad = cluster(&server.namespace, "bad", 1, "{mode: semi-sync}");
    let good = cluster(&server.namespace, "good", 1, "{mode: async}");
    let repo = Repo::with(&[
        ("bad.yaml", &bad),
        ("good.yaml", &good),
        ("torn.yaml", "kind: [\n"),
    ]);
    for command in ["diff", "status", "apply", "plan"] {
        let answer = repo.run(&server.kubeconfig, &[command]);
        let told = format!("{}{}", answer.out, answer.err);
        assert_eq!(answer.code, 1, "{command}: {told}");
        assert!(
            told.contains("bad.yaml:13:23: error[unknown-mode]"),
            "{command}: {told}"
        );
        assert!(
            told.contains("help: write one of async"),
            "{command}: {told}"
        );
        assert!(
            told.contains("torn.yaml:1:7: error[yaml-syntax]"),
            "{command}: {told}"
        );
        assert!(!told.contains("panicked"), "{command}: {told}");
    }
    assert!(server.cluster("good").is_some() && server.cluster("bad").is_none());
    let narrow = repo.run(
        &server.kubeconfig,
        &["diff", &format!("{}/good", server.namespace)],
    );
    assert!(!narrow.err.contains("unknown-mode"), "{}", narrow.err);
}

#[test]
fn kinds_that_are_not_carried_out_are_named_once_and_nothing_of_them_is_shown() {
    let server = Server::any();
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {namespace: a, name: s}\nstringData: {k: hunter2}\n";
    let repo = Repo::with(&[("s.yaml", &format!("{secret}---\n{secret}"))]);
    let check = lockstep(&["check", "--repo", repo.path()]);
    insta::assert_snapshot!(check.out, @"
    s.yaml:1:1: note[kind-not-applied]: v1 Secret is not applied by Lockstep (2 documents)
        help: apply it by other means
    0 clusters: 1 note
    ");
    let answer = diff(&repo, &server);
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert!(!format!("{}{}", answer.out, answer.err).contains("hunter2"));
}
