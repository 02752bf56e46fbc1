//! What people read, word for word: check, review, and the demo's story.

mod harness;

use std::path::Path;

use harness::{Answer, Repo, lockstep, lockstep_in};

const EXAMPLES: [&str; 6] = [
    "clusters/analytics/events.yaml",
    "clusters/payments/ledger.yaml",
    "clusters/payments/supporting.yaml",
    "clusters/shop/catalog.yaml",
    "clusters/shop/orders.yaml",
    "clusters/shop/size-s.yaml",
];

fn example(path: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples/review")
        .join(path);
    std::fs::read_to_string(file).expect("an example")
}

fn examples() -> Repo {
    let texts: Vec<(&str, String)> = EXAMPLES.iter().map(|path| (*path, example(path))).collect();
    let files: Vec<(&str, &str)> = texts
        .iter()
        .map(|(path, text)| (*path, text.as_str()))
        .collect();
    Repo::with(&files)
}

/// Both streams and the exit code.
fn told(answer: &Answer) -> String {
    format!("{}{}exit {}", answer.out, answer.err, answer.code)
}

#[test]
fn the_examples_are_fine_and_what_has_no_effect_is_said() {
    let repo = examples();
    insta::assert_snapshot!(told(&lockstep(&["check", "--repo", repo.path()])), @r"
    clusters/analytics/events.yaml:16:11: warning[all-of-one]: mode sync-all with one instance is asynchronous: there is no standby
        help: set spec.instances to 2 or more
    clusters/payments/ledger.yaml:18:11: note[strict-promises-one]: strict holds commits back when no synchronous standby is left; with fewer than 2 the count shrinks silently
        help: alert on the number of synchronous standbys if all of them matter
    4 clusters: 1 warning, 1 note
    exit 0
    ");
}

#[test]
fn a_review_shows_the_order_in_which_a_change_would_be_carried_out() {
    let repo = examples();
    repo.write(
        "clusters/payments/ledger.yaml",
        example("clusters/payments/ledger.yaml").replace("instances: 3", "instances: 2"),
    );
    repo.write(
        "clusters/shop/orders.yaml",
        example("clusters/shop/orders.yaml").replace("mode: sync", "mode: strict-sync-all"),
    );
    repo.commit("fewer ledgers, stricter orders");
    insta::assert_snapshot!(told(&lockstep(&["review", "--repo", repo.path(), "--base", "HEAD~1"])), @"
    ### Lockstep: 2 clusters change

    `8950d80` → `c92d003`, planned as if the base were in force everywhere.

    - `payments/ledger` · **durability lowered: 2 synchronous standbys, strict → 1 synchronous standby, strict** · instances 3 → 2 · 2 steps, each when the one before is in force
    - `shop/orders` · durability raised: 1 synchronous standby → 2 synchronous standbys, strict · mode sync → strict-sync-all · 2 steps, each when the one before is in force

    #### Findings

    - note `clusters/shop/orders.yaml:16:11` strict holds commits back when no synchronous standby is left; with fewer than 2 the count shrinks silently. Alert on the number of synchronous standbys if all of them matter. (`strict-promises-one`)
    - note `clusters/shop/orders.yaml:18:5` syncInstances: 1 has no effect: in mode strict-sync-all all 2 standbys are synchronous. Leave it out; it counts in mode sync and strict-sync only. (`sync-instances-ignored`)

    #### `payments/ledger`

    Members to spare: writes 1 → 0, commits 2 → any, failover 1 → 0.

    1. **loosen**: fewer standbys must acknowledge before one of them is removed
       - `spec.replication.mode: strict-sync-all → strict-sync`
       - `spec.replication.syncInstances: 1`
       - durability 2 synchronous standbys, strict → 1 synchronous standby, strict
       - waits for: leader live, nothing else running, roles applied, leader stays
    2. **remove ledger-2, 2 left**: instances go down one at a time, the highest index first
       - `spec.instances: 3 → 2`
       - `spec.replication.mode: strict-sync → strict-sync-all`
       - `spec.replication.syncInstances: 1 → removed`
       - durability stays 1 synchronous standby, strict
       - waits for: leader live, configuration in force, synchronous standbys listed, members healthy, nothing else running, roles applied, operator caught up, a synchronous standby is promotable, standbys passed the mark, leader stays

    <details><summary>Text diff</summary>

    ```diff
    --- base clusters/payments/ledger.yaml:2 (8950d80)
    +++ head clusters/payments/ledger.yaml:2 (c92d003)
    @@ spec.instances · clusters/payments/ledger.yaml:10 @@
     spec:
       postgres:
         version: '16.4'
    -  instances: 3
    +  instances: 2
       sgInstanceProfile: size-m
       pods:
         persistentVolume:
    ```

    </details>

    #### `shop/orders`

    Members to spare: commits 1 → 2.

    1. **climb to 2 synchronous standbys**: commits wait for the added standbys from here on, so all of them must follow first
       - `spec.replication.mode: sync → sync-all`
       - durability 1 synchronous standby → 2 synchronous standbys
       - waits for: leader live, configuration in force, members healthy, nothing else running, roles applied, operator caught up, standbys passed the mark
    2. **make 2 synchronous standbys strict**: strict stops writes when no synchronous standby is left, so it comes last and alone
       - `spec.replication.mode: sync-all → strict-sync-all`
       - durability 2 synchronous standbys → 2 synchronous standbys, strict
       - waits for: leader live, configuration in force, synchronous standbys listed, nothing else running, roles applied, operator caught up, a synchronous standby is promotable, standbys passed the mark

    <details><summary>Text diff</summary>

    ```diff
    --- base clusters/shop/orders.yaml:2 (8950d80)
    +++ head clusters/shop/orders.yaml:2 (c92d003)
    @@ spec.replication.mode · clusters/shop/orders.yaml:16 @@
         persistentVolume:
           size: 50Gi
       replication:
    -    mode: sync
    +    mode: strict-sync-all
         role: ha-read
         syncInstances: 1
    ```

    </details>
    exit 0
    ");
}

#[test]
fn a_review_of_a_mistake_names_its_line_and_fails() {
    let repo = examples();
    repo.write(
        "clusters/shop/orders.yaml",
        example("clusters/shop/orders.yaml").replace("syncInstances", "syncIntances"),
    );
    repo.commit("a typing error");
    insta::assert_snapshot!(told(&lockstep(&["review", "--repo", repo.path(), "--base", "HEAD~1"])), @r"
    ### Lockstep: no cluster changes, 1 is refused

    `8950d80` → `d0f204d`, planned as if the base were in force everywhere.

    - `shop/orders` · **refused: unknown field `syncIntances` in spec.replication**

    #### Findings

    - **error** `clusters/shop/orders.yaml:18:5` unknown field `syncIntances` in spec.replication. Did you mean `syncInstances`? (`unknown-field`)
    exit 1
    ");
}

#[test]
fn mistakes_are_named_at_their_place_with_a_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "apiVersion: stackgres.io/v1\nkind: SGCluster\nmetadata: {namespace: a, name: b}\nspec:\n  instances: \"4\"\n  \
                postgres: {version: '16'}\n  pods: {persistentVolume: {size: 10Gi}}\n  prometheusAutobind: true\n  replication:\n    \
                mode: sink\n    syncIntances: 1\n";
    std::fs::write(folder.path().join("bad.yaml"), text).expect("a file");
    insta::assert_snapshot!(told(&lockstep_in(folder.path(), &["check", "bad.yaml"])), @r#"
    bad.yaml:5:14: error[wrong-type]: spec.instances is the text "4", and has to be a whole number: the quotes make it text
        help: remove the quotes: instances: 4
    bad.yaml:8:3: error[removed-field]: spec.prometheusAutobind is no longer a field: it is gone since StackGres 1.17
        help: write spec.configurations.observability.prometheusAutobind instead
    bad.yaml:10:11: error[unknown-mode]: unknown replication mode `sink`
        help: write one of async, sync, strict-sync, sync-all, strict-sync-all
    bad.yaml:11:5: error[unknown-field]: unknown field `syncIntances` in spec.replication
        help: did you mean `syncInstances`?
    1 cluster, 1 of them refused: 4 errors
    exit 1
    "#);
}

#[test]
fn the_story_ends_with_one_leader_and_three_synchronous_standbys() {
    let answer = lockstep(&["demo", "--once"]);
    assert_eq!(answer.code, 0, "{}", told(&answer));
    let table = answer
        .out
        .split("+ Cluster: sync-cluster (")
        .nth(1)
        .expect("the table is last");
    let rows: Vec<&str> = table
        .lines()
        .filter(|line| line.starts_with("| sync-cluster-"))
        .collect();
    assert_eq!(rows.len(), 4);
    assert_eq!(
        rows.iter()
            .filter(|row| row.contains("| Leader       | running   |"))
            .count(),
        1,
        "{table}"
    );
    assert_eq!(
        rows.iter()
            .filter(|row| row.contains("| Sync Standby | streaming |"))
            .count(),
        3,
        "{table}"
    );
    assert!(
        table.trim_end().ends_with("-+"),
        "nothing follows the table:\n{table}"
    );
    for said in [
        "-    mode: async\n+    mode: sync-all",
        "  now               3           0            2\n  after step 1      3           3            2\n",
        "1.  climb to 3 synchronous standbys",
        "open     standbys passed the mark  sync-cluster-1, sync-cluster-2, sync-cluster-3 passed the mark",
        "note[sync-instances-ignored]: syncInstances: 1 has no effect",
        "drifted  spec.prometheusAutobind was changed, last write by kubectl-edit",
        "-  prometheusAutobind: false\n+  prometheusAutobind: true",
    ] {
        assert!(
            answer.out.contains(said),
            "the story does not say `{said}`:\n{}",
            answer.out
        );
    }
}
