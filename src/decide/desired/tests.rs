//! What several files ask for together, and that nothing of a damaged one is lost without a word.

use std::fmt::Write;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::model::crd::Generation;

fn cluster(namespace: &str, name: &str) -> String {
    format!(
        "apiVersion: stackgres.io/v1\nkind: SGCluster\nmetadata: {{namespace: {namespace}, name: {name}}}\nspec: {{instances: 1}}\n---\n"
    )
}

fn read(files: &[(&str, &str)], map: &[(&str, &[&str])]) -> Desired {
    let rules = Rules::default();
    let readings: Vec<Arc<FileReading>> = files
        .iter()
        .map(|(path, text)| Arc::new(read_file(path, text.as_bytes(), &rules)))
        .collect();
    let map: Vec<(String, Vec<String>)> = map
        .iter()
        .map(|(path, names)| {
            (
                (*path).to_owned(),
                names.iter().map(|&name| name.to_owned()).collect(),
            )
        })
        .collect();
    let map = NamespaceMap::new(map.iter().map(|(path, names)| (path, names)));
    assemble(Source::default(), &readings, &map)
}

fn told(desired: &Desired) -> String {
    let mut out = String::new();
    for key in desired.clusters.keys() {
        writeln!(out, "cluster {key}").unwrap();
    }
    for supporting in &desired.supporting {
        writeln!(out, "{} {}", supporting.kind.kind, supporting.key).unwrap();
    }
    let mut say = |who: &str, finding: &Finding| {
        let place = finding.place.as_ref().unwrap();
        writeln!(
            out,
            "{who}{place} {}[{}] {}",
            finding.level.word(),
            finding.id,
            finding.message
        )
        .unwrap();
    };
    for (key, findings) in &desired.refused {
        for finding in findings {
            say(&format!("refused {key}: "), finding);
        }
    }
    for finding in &desired.findings {
        say("", finding);
    }
    for file in &desired.unidentified {
        writeln!(out, "unidentified {file}").unwrap();
    }
    out
}

#[test]
fn two_documents_of_one_name_are_both_refused_and_name_each_other() {
    let both = format!("{}{}", cluster("a", "b"), cluster("a", "c"));
    let broken = cluster("a", "b").replace("instances: 1", "instances: yes");
    assert_snapshot!(told(&read(&[("1.yaml", &both), ("2.yaml", &broken)], &[])), @"
    cluster a/c
    refused a/b: 1.yaml:1:1 error[duplicate-object] SGCluster a/b is also in 2.yaml:1:1
    refused a/b: 2.yaml:1:1 error[duplicate-object] SGCluster a/b is also in 1.yaml:1:1
    refused a/b: 2.yaml:4:19 error[yaml-ambiguous] kubectl reads `yes` as the boolean true, other readers as text
    ");
}

#[test]
fn supporting_objects_come_in_the_order_in_which_they_are_applied() {
    let object = |kind: &str, version: &str, name: &str| {
        format!(
            "apiVersion: stackgres.io/{version}\nkind: {kind}\nmetadata: {{namespace: a, name: {name}}}\n---\n"
        )
    };
    let text = [
        object("SGPoolingConfig", "v1", "p"),
        object("SGInstanceProfile", "v1", "z"),
        object("SGInstanceProfile", "v1", "b"),
        object("SGPostgresConfig", "v1", "c"),
        object("SGObjectStorage", "v1beta1", "s"),
        object("SGObjectStorage", "v1", "wrong"),
        object("SGBackupConfig", "v1", "old"),
        object("SGScript", "v1", "x"),
        object("SGScript", "v1", "y"),
    ];
    let desired = read(&[("1.yaml", &text.concat())], &[]);
    assert_snapshot!(told(&desired), @"
    SGObjectStorage a/s
    SGInstanceProfile a/b
    SGInstanceProfile a/z
    SGPostgresConfig a/c
    SGPoolingConfig a/p
    1.yaml:21:13 error[wrong-api-version] SGObjectStorage is served as stackgres.io/v1beta1, not as stackgres.io/v1
    1.yaml:25:1 note[kind-not-applied] stackgres.io/v1 SGBackupConfig is not applied by Lockstep (1 document)
    1.yaml:29:1 note[kind-not-applied] stackgres.io/v1 SGScript is not applied by Lockstep (2 documents)
    ");
    assert_eq!(desired.not_applied.values().sum::<usize>(), 3);
}

#[test]
fn a_path_names_only_the_namespaces_that_the_map_allows() {
    let files = [
        ("teams/a/x.yaml", cluster("a", "x")),
        ("teams/a/u.yaml", cluster("b", "u")),
        ("teams/ab/z.yaml", cluster("a", "z")),
        ("teams/a/deep/w.yaml", cluster("b", "w")),
        ("other.yaml", cluster("c", "v")),
    ];
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (*path, text.as_str()))
        .collect();
    let map: &[(&str, &[&str])] = &[
        ("teams/a/", &["a"]),
        ("teams", &[]),
        ("./teams/a/deep", &["*"]),
    ];
    assert_snapshot!(told(&read(&files, map)), @"
    cluster a/x
    cluster b/w
    refused a/z: teams/ab/z.yaml:1:1 error[namespace-not-allowed] SGCluster a/z is not carried out: files below teams may name no namespace
    refused b/u: teams/a/u.yaml:1:1 error[namespace-not-allowed] SGCluster b/u is not carried out: files below teams/a may name a
    refused c/v: other.yaml:1:1 error[namespace-not-allowed] SGCluster c/v is not carried out: no entry of the namespace map holds this path
    ");
    assert!(read(&files, &[]).refused.is_empty());
}

#[test]
fn whoever_may_not_name_a_cluster_cannot_freeze_it() {
    let text = cluster("b", "x");
    let files = [
        ("teams/a/copy.yaml", text.as_str()),
        ("teams/b/x.yaml", text.as_str()),
    ];
    let map: &[(&str, &[&str])] = &[("teams/a", &["a"]), ("teams/b", &["b"])];
    assert_snapshot!(told(&read(&files, map)), @"
    cluster b/x
    teams/a/copy.yaml:1:1 error[namespace-not-allowed] SGCluster b/x is not carried out: files below teams/a may name a
    ");
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_hides_nothing_else() {
    let rules = Rules::default();
    let readings = [
        Arc::new(unreadable_file(
            "a.yaml",
            "the object database does not hold it",
        )),
        Arc::new(read_file("b.yaml", cluster("a", "b").as_bytes(), &rules)),
    ];
    let desired = assemble(Source::default(), &readings, &NamespaceMap::default());
    assert_snapshot!(told(&desired), @"
    cluster a/b
    a.yaml:1:1 error[file-unreadable] the file cannot be read: the object database does not hold it
    unidentified a.yaml
    ");
    assert_eq!(count(findings(&desired)), [1, 0, 0]);
}

const SEED: &str = "\
apiVersion: stackgres.io/v1
kind: SGCluster
metadata: {namespace: failover, name: sync-cluster}
spec:
  postgres:
    version: '16.1'
  instances: 4
  pods: {persistentVolume: {size: '10Gi'}}
  replication:
    mode: sync-all # all of them
    groups:
    - {role: readonly, instances: 1}
---
apiVersion: stackgres.io/v1
kind: SGPostgresConfig
metadata: {namespace: failover, name: pgconfig}
spec:
  postgresVersion: '16'
  postgresql.conf: {work_mem: 1MB}
";

#[test]
fn a_cluster_that_is_missing_while_a_file_cannot_be_understood_is_refused_and_not_gone() {
    let before = read(
        &[
            ("a.yaml", &cluster("x", "one")),
            ("b.yaml", &cluster("x", "two")),
        ],
        &[],
    );
    let mut torn = read(
        &[("a.yaml", "kind: ["), ("b.yaml", &cluster("x", "two"))],
        &[],
    );
    keep_missing(&before, &mut torn);
    let refused: Vec<String> = torn
        .refused
        .values()
        .flatten()
        .map(|one| one.message.clone())
        .collect();
    assert_eq!(
        refused,
        ["no manifest of SGCluster x/one is found, and a.yaml cannot be understood"]
    );
    assert_eq!(
        torn.refused[&Key::new("x", "one")][0]
            .place
            .as_ref()
            .unwrap()
            .to_string(),
        "a.yaml:1:7"
    );
    assert_eq!(torn.clusters.len(), 1);
    let mut gone = read(&[("b.yaml", &cluster("x", "two"))], &[]);
    keep_missing(&torn, &mut gone);
    assert!(gone.refused.is_empty());
}

/// The text with pieces cut out and others put in, at any character.
fn damaged() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "",
        " ",
        "\n",
        "\t",
        "'",
        "\"",
        "[",
        "}",
        ": ",
        "- ",
        "---\n",
        "yes",
        "0777",
        "null",
        "-1",
        "1.5",
        "<<: ",
        "&a ",
        "*a ",
        "!t ",
        "# ",
        "\u{0}",
        "spec:\n",
        "kind: List\n",
        "items:\n",
        "mode: sync\n",
        "99999999999999999999",
    ]);
    let change = (any::<prop::sample::Index>(), 0..12usize, pieces);
    prop::collection::vec(change, 1..5).prop_map(|changes| {
        let mut text: Vec<char> = SEED.chars().collect();
        for (place, cut, piece) in changes {
            let at = place.index(text.len() + 1);
            let end = (at + cut).min(text.len());
            text.splice(at..end, piece.chars());
        }
        text.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_of_a_damaged_file_is_lost_without_a_word(text in damaged()) {
        let rules = Rules { schemas: Schemas::of(Generation::Current), ..Rules::default() };
        let reading = Arc::new(read_file("a.yaml", text.as_bytes(), &rules));
        let desired = assemble(Source::default(), [&reading], &NamespaceMap::default());
        let told = findings(&desired);
        let lines = text.split('\n').count();
        for finding in &told {
            let place = finding.place.as_ref().unwrap();
            prop_assert!((1..=lines).contains(&place.line) && place.column >= 1, "{finding:?}");
            // The schema says with its place whatever keeps a cluster's spec from being read.
            prop_assert!(finding.id != "wrong-type" || finding.field.is_some(), "{finding:?}");
        }
        for key in desired.refused.keys() {
            prop_assert!(told.iter().any(|finding| finding.level == Level::Error && finding.cluster.as_ref() == Some(key)));
        }
        let objects = desired.clusters.len() + desired.refused.len() + desired.supporting.len();
        let documents = text.lines().filter(|line| line.starts_with("kind:")).count();
        prop_assert!(objects >= documents.min(2) || !told.is_empty() || !desired.unidentified.is_empty(), "{}", text);
    }
}
