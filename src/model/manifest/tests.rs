//! Which objects a file names, and what is lost with what cannot be read.

use std::fmt::Write;

use insta::assert_snapshot;

use super::*;

fn told(text: &str) -> String {
    let file = read("a.yaml", text.as_bytes(), &Limits::default());
    let mut out = String::new();
    let say = |out: &mut String, indent: &str, finding: &Finding| {
        let place = finding.place.as_ref().unwrap();
        let (line, column) = (place.line, place.column);
        let (level, id) = (finding.level.word(), finding.id);
        writeln!(
            out,
            "{indent}{line}:{column} {level}[{id}] {}",
            finding.message
        )
        .unwrap();
    };
    for finding in &file.findings {
        say(&mut out, "", finding);
    }
    for object in &file.objects {
        let state = if object.document.is_some() {
            ""
        } else {
            " refused"
        };
        let (word, line) = (object.carried.word(), object.place.line);
        writeln!(out, "{word} {} line {line}{state}", object.key).unwrap();
        for finding in &object.findings {
            say(&mut out, "  ", finding);
        }
    }
    for (kind, (count, place)) in &file.not_applied {
        writeln!(out, "{count} {kind}, first at line {}", place.line).unwrap();
    }
    if file.is_unidentified {
        out.push_str("unidentified\n");
    }
    out
}

const HEAD: &str = "apiVersion: stackgres.io/v1\nkind: SGCluster\n";

#[test]
fn documents_lists_and_other_kinds_are_told_apart() {
    let list = "
apiVersion: v1
kind: List
items:
- {apiVersion: stackgres.io/v1, kind: SGCluster, metadata: {namespace: a, name: b}, spec: {instances: 1}}
- apiVersion: stackgres.io/v1
  kind: SGPoolingConfig
  metadata: {namespace: a, name: c}
  spec: {x: yes}
---
apiVersion: stackgres.io/v1
kind: SGClusterList
items:
- metadata: {namespace: a, name: d}
---
apiVersion: v1
kind: ConfigMap
data: {x: yes}
---
replicas: 3
---
- 1
---
apiVersion: stackgres.io/v1
kind: SGScript
metadata: {name: x}
";
    assert_snapshot!(told(list), @"
    20:1 warning[not-a-manifest] the document has neither apiVersion nor kind, so it is no Kubernetes manifest and is left out
    SGCluster a/b line 5
    SGPoolingConfig a/c line 6 refused
      9:13 error[yaml-ambiguous] kubectl reads `yes` as the boolean true, other readers as text
    SGCluster a/d line 14
    1 v1 ConfigMap, first at line 16
    1 stackgres.io/v1 SGScript, first at line 24
    ");
    let file = read("a.yaml", list.as_bytes(), &Limits::default());
    let document = file.objects[0].document.as_ref().unwrap();
    assert_eq!(
        document
            .place(&FieldPath::of(["spec", "instances"]))
            .to_string(),
        "a.yaml:5:92"
    );
    let inherited = file.objects[2].document.as_ref().unwrap();
    assert_eq!(inherited.value["kind"], "SGCluster");
}

#[test]
fn a_name_that_can_be_read_survives_what_is_wrong_below_it() {
    let name = "metadata: {namespace: a, name: b}\n";
    assert_snapshot!(told(&format!("{HEAD}{name}spec:\n  x: 'y\n")), @"
    SGCluster a/b line 1 refused
      5:6 error[yaml-syntax] the quotes that open here are not closed
    ");
    assert_snapshot!(told(&format!("{HEAD}{name}spec:\n  x: yes\n")), @"
    SGCluster a/b line 1 refused
      5:6 error[yaml-ambiguous] kubectl reads `yes` as the boolean true, other readers as text
    ");
    assert_snapshot!(told(&format!("{HEAD}{name}spec:\n  x: !t 1\n")), @"
    SGCluster a/b line 1 refused
      5:6 error[yaml-tag] a YAML tag is not read by all readers alike
    ");
    assert_snapshot!(told(&format!("{HEAD}{name}spec:\n  x: \0\n")), @"
    SGCluster a/b line 1 refused
      5:6 error[control-character] the character U+0000 is not allowed in YAML
    ");
    assert_snapshot!(told(&format!("{HEAD}{name}spec: 1\nspec: 2\n")), @"
    SGCluster a/b line 1 refused
      5:1 error[yaml-duplicate-key] the key `spec` stands here a second time; the first is at line 4, column 1
    ");
}

#[test]
fn what_may_hide_another_object_leaves_the_file_unidentified() {
    let name = "metadata: {namespace: a, name: b}\n";
    assert_snapshot!(told(&format!("{HEAD}{name}spec: 'x\n ---\n{HEAD}{name}")), @"
    SGCluster a/b line 1 refused
      4:7 error[yaml-syntax] the quotes that open here are not closed
    unidentified
    ");
    assert_snapshot!(told(&format!("{HEAD}spec:\n\tx: 1\n{name}")), @"
    4:1 error[yaml-tab] a tab stands in the indentation, where YAML allows only spaces
    unidentified
    ");
    assert_snapshot!(told(&format!("{HEAD}{name}{name}")), @"
    4:1 error[yaml-duplicate-key] the key `metadata` stands here a second time; the first is at line 3, column 1
    unidentified
    ");
    assert_snapshot!(told(&format!("{HEAD}metadata: {{namespace: a, name: b}}\nmetadata: {{namespace: a, name: c}}\n")), @"
    4:1 error[yaml-duplicate-key] the key `metadata` stands here a second time; the first is at line 3, column 1
    unidentified
    ");
    assert_snapshot!(told("apiVersion: v1\nkind: List\nitems:\n- apiVersion: stackgres.io/v1\n  kind: SGCluster\n  metadata: {namespace: a, name: b}\n- 'x\n"), @"
    7:3 error[yaml-syntax] the quotes that open here are not closed
    SGCluster a/b line 4 refused
      4:3 error[unreadable-document] the YAML document that holds it cannot be read: see yaml-syntax at line 7, column 3
    unidentified
    ");
    assert_snapshot!(told("apiVersion: v1\nkind: List\nitems: []\nitems: [1]\n"), @"
    4:1 error[yaml-duplicate-key] the key `items` stands here a second time; the first is at line 3, column 1
    1:1 error[list-without-items] the items of this List cannot be read
    unidentified
    ");
}

#[test]
fn a_missing_name_or_kind_is_named() {
    assert_snapshot!(told(&format!("{HEAD}metadata: {{name: sync-cluster}}\n")), @"
    3:11 error[missing-namespace] SGCluster `sync-cluster` has no metadata.namespace
    unidentified
    ");
    assert_snapshot!(told(&format!("{HEAD}metadata: {{namespace: a, generateName: b}}\n")), @"
    3:11 error[missing-name] this SGCluster has no metadata.name
    unidentified
    ");
    assert_snapshot!(told(HEAD), @"
    1:1 error[missing-name] this SGCluster has no metadata.name
    unidentified
    ");
    assert_snapshot!(told("kind: SGCluster\nmetadata: {namespace: a, name: b}\n"), @"
    1:1 error[no-kind] the document has no apiVersion, so its object is not known
    unidentified
    ");
    assert_snapshot!(told("apiVersion: v2\nname: chart\n"), @"1:1 warning[not-a-manifest] the document has no kind, so it is no Kubernetes manifest and is left out");
    assert_snapshot!(told("apiVersion: stackgres.io/v1\nkind: SGClutser\nmetadata: {namespace: a, name: b}\n"), @"
    1:1 error[unknown-kind] stackgres.io has no kind `SGClutser`
    unidentified
    ");
    assert_snapshot!(told("apiVersion: stackgres.io/v1beta1\nkind: SGCluster\nmetadata: {namespace: a, name: b}\n"), @"
    SGCluster a/b line 1 refused
      1:13 error[wrong-api-version] SGCluster is served as stackgres.io/v1, not as stackgres.io/v1beta1
    ");
}

#[test]
fn a_name_that_the_operator_refuses_is_refused() {
    let named = |name: &str| told(&format!("{HEAD}metadata: {{namespace: a, name: {name}}}\n"));
    assert_snapshot!(named(&"a".repeat(44)), @"SGCluster a/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa line 1");
    assert_snapshot!(named(&"a".repeat(45)), @"
    SGCluster a/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa line 1 refused
      3:32 error[invalid-name] the name of SGCluster `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa` has 45 characters; 44 are allowed
    ");
    assert_snapshot!(named("1a"), @"
    SGCluster a/1a line 1 refused
      3:32 error[invalid-name] `1a` is no name of an SGCluster
    ");
    assert_snapshot!(named("123"), @"
    SGCluster a/123 line 1 refused
      3:32 error[invalid-name] metadata.name is not text
      3:32 error[invalid-name] `123` is no name of an SGCluster
    ");
    assert_snapshot!(named("Sync_Cluster"), @"
    SGCluster a/Sync_Cluster line 1 refused
      3:32 error[invalid-name] `Sync_Cluster` is no name of an SGCluster
    ");
    assert_snapshot!(told(&format!("{HEAD}metadata: {{namespace: A, name: a-}}\n")), @"
    SGCluster A/a- line 1 refused
      3:23 error[invalid-name] `A` is no name of a namespace
      3:32 error[invalid-name] `a-` is no name of an SGCluster
    ");
}

#[test]
fn a_file_that_was_not_read_hides_everything() {
    let file = unread("big.yaml", yaml::too_large(5 << 20, &Limits::default()));
    assert!(file.is_unidentified);
    assert_eq!(file.findings[0].id, "file-too-large");
}
