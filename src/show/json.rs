//! The report as JSON, in the shape that scripts may rely on: `apiVersion: lockstep.dev/v1alpha1` and a `kind`, then
//! `clusters[]` with their `drift[]`, `steps[]` (with `gates[]`) and `findings[]`, and a top-level `findings[]`. A cluster has
//! `availability` and a step `availabilityAfter`, in the shape of `availability::json`; a cluster that is not there has none.
//!
//! Fields are only ever added. The order of keys is that of this file; secrets are masked as everywhere.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::availability;
use super::diff;
use super::escape::is_deceptive;
use super::findings::Tally;
use super::mask::masked_pair;
use super::members;
use super::palette::Palette;
use super::plan::moves;
use crate::model::desired::Source;
use crate::model::finding::{Finding, Place};
use crate::model::plan::{
    Change, ClusterPlan, Difference, Durability, ForceVerdict, Gate, InForce, Move, Report, Step,
    SupportingPlan, Written,
};
use crate::model::review::{Review, ReviewedCluster};

pub const API_VERSION: &str = "lockstep.dev/v1alpha1";

/// Which command's report it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Diff,
    Plan,
    Apply,
    Status,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Diff => "Diff",
            Self::Plan => "Plan",
            Self::Apply => "Apply",
            Self::Status => "Status",
        }
    }
}

/// Indented text with a line break at its end. Whatever could act on a terminal is escaped, which JSON allows inside
/// strings; outside of them there is nothing but ASCII.
pub fn text(value: &Value) -> String {
    let plain = format!("{value:#}\n");
    if !plain.contains(|character| character != '\n' && is_deceptive(character)) {
        return plain;
    }
    let mut text = String::with_capacity(plain.len() + 16);
    for character in plain.chars() {
        if character == '\n' || !is_deceptive(character) {
            text.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            let _ = write!(text, "\\u{unit:04x}");
        }
    }
    text
}

/// A report of one pass. `Diff` adds the text diff of each cluster, `Status` its members.
pub fn report(kind: Kind, report: &Report) -> Value {
    let clusters = report
        .clusters
        .iter()
        .map(|plan| cluster(kind, plan, &report.source));
    let supporting = report.supporting.iter().map(|plan| supporting(plan));
    let mut object = head(kind.word());
    object.insert("source".into(), source(&report.source));
    object.insert("clusters".into(), clusters.collect());
    object.insert("supporting".into(), supporting.collect());
    let written = report.written.iter().map(|write| written(write));
    object.insert("written".into(), written.collect());
    object.insert("findings".into(), findings(&report.findings));
    Value::Object(object)
}

/// What a change of the repository would do.
pub fn review(review: &Review) -> Value {
    let clusters = review
        .clusters
        .iter()
        .map(|cluster| reviewed(cluster, review));
    let mut object = head("Review");
    object.insert("base".into(), source(&review.base));
    object.insert("source".into(), source(&review.head));
    object.insert("clusters".into(), clusters.collect());
    object.insert("findings".into(), findings(&review.findings));
    Value::Object(object)
}

/// What `check` found: `kind: Check` with `findings[]`.
pub fn check(source: &Source, findings: &[&Finding], tally: Tally) -> Value {
    let Tally { clusters, refused } = tally;
    let mut object = head("Check");
    object.insert("source".into(), self::source(source));
    object.insert(
        "checked".into(),
        json!({"clusters": clusters, "refused": refused}),
    );
    let findings = findings.iter().map(|one| finding(one));
    object.insert("findings".into(), findings.collect());
    Value::Object(object)
}

/// `apiVersion` and `kind`, to which a command adds its own.
pub fn head(kind: &str) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("apiVersion".into(), API_VERSION.into());
    object.insert("kind".into(), kind.into());
    object
}

pub fn source(source: &Source) -> Value {
    let Source {
        repository,
        revision,
        commit,
    } = source;
    json!({"repository": repository, "revision": revision, "commit": commit})
}

pub fn findings(findings: &[Finding]) -> Value {
    findings.iter().map(finding).collect()
}

pub fn finding(finding: &Finding) -> Value {
    let Finding {
        id,
        level,
        place,
        field,
        cluster,
        message,
        help,
    } = finding;
    let mut object = Map::new();
    object.insert("id".into(), (*id).into());
    object.insert("level".into(), level.word().into());
    put_place(&mut object, place.as_ref());
    put(
        &mut object,
        "field",
        field.as_ref().map(|field| field.to_string().into()),
    );
    put(
        &mut object,
        "cluster",
        cluster.as_ref().map(|key| key.to_string().into()),
    );
    object.insert("message".into(), message.as_str().into());
    put(
        &mut object,
        "help",
        help.as_ref().map(|help| help.as_str().into()),
    );
    Value::Object(object)
}

fn cluster(kind: Kind, plan: &ClusterPlan, source: &Source) -> Value {
    let mut object = Map::new();
    object.insert("namespace".into(), plan.key.namespace.as_str().into());
    object.insert("name".into(), plan.key.name.as_str().into());
    object.insert("state".into(), plan.state.word().into());
    put(
        &mut object,
        "because",
        plan.because.as_deref().map(Value::from),
    );
    put_place(&mut object, plan.place.as_ref());
    let drift = plan
        .differences
        .iter()
        .map(|difference| drift(difference, plan.undone.contains(&difference.path)));
    object.insert("drift".into(), drift.collect());
    object.insert("steps".into(), plan.steps.iter().map(step).collect());
    object.insert("findings".into(), findings(&plan.findings));
    object.insert("inForce".into(), in_force(&plan.in_force));
    let availability = plan.availability.as_ref().map(availability::json);
    put(&mut object, "availability", availability);
    match kind {
        Kind::Diff => {
            let text = diff::unified(plan, source, &Palette::PLAIN);
            object.insert("diff".into(), text.into());
        }
        Kind::Status => {
            let members = plan.observed.as_deref().map(members::json);
            object.insert("members".into(), members.unwrap_or_else(|| json!([])));
        }
        Kind::Plan | Kind::Apply => {}
    }
    Value::Object(object)
}

fn supporting(plan: &SupportingPlan) -> Value {
    let mut object = Map::new();
    object.insert("kind".into(), plan.kind.kind.as_str().into());
    object.insert("namespace".into(), plan.key.namespace.as_str().into());
    object.insert("name".into(), plan.key.name.as_str().into());
    object.insert("state".into(), plan.state.word().into());
    put(
        &mut object,
        "because",
        plan.because.as_deref().map(Value::from),
    );
    put_place(&mut object, Some(&plan.place));
    let differences = plan.differences.iter();
    object.insert(
        "drift".into(),
        differences
            .map(|difference| drift(difference, false))
            .collect(),
    );
    Value::Object(object)
}

/// A write that was carried out, with its gates as they stood.
fn written(write: &Written) -> Value {
    let Written {
        kind,
        key,
        changes,
        gates,
    } = write;
    json!({
        "kind": kind,
        "namespace": key.namespace,
        "name": key.name,
        "changes": changes.iter().map(change).collect::<Vec<_>>(),
        "gates": gates.iter().map(gate).collect::<Vec<_>>(),
    })
}

fn reviewed(cluster: &ReviewedCluster, review: &Review) -> Value {
    let summary = super::review::summary(cluster);
    let mut object = Map::new();
    object.insert("namespace".into(), cluster.key.namespace.as_str().into());
    object.insert("name".into(), cluster.key.name.as_str().into());
    object.insert("state".into(), summary.state.word().into());
    put(
        &mut object,
        "because",
        cluster.refused.as_deref().map(Value::from),
    );
    object.insert("changes".into(), summary.words.into());
    object.insert("drift".into(), json!([]));
    object.insert("steps".into(), cluster.steps.iter().map(step).collect());
    let availability = super::review::availability_before(cluster);
    let availability = availability.as_ref().map(availability::json);
    put(&mut object, "availability", availability);
    object.insert("findings".into(), findings(&cluster.findings));
    object.insert(
        "diff".into(),
        super::review::diff_of(cluster, review).into(),
    );
    Value::Object(object)
}

fn drift(difference: &Difference, is_undone: bool) -> Value {
    let Difference {
        path,
        declared,
        live,
        place,
        last_write,
    } = difference;
    let (live, declared) = masked_pair(path, live.as_ref(), declared.as_ref());
    let mut object = Map::new();
    object.insert("field".into(), path.to_string().into());
    object.insert("pointer".into(), path.pointer().into());
    put(&mut object, "declared", declared);
    put(&mut object, "live", live);
    put_place(&mut object, place.as_ref());
    if let Some(write) = last_write {
        object.insert(
            "lastWrite".into(),
            json!({
                "manager": write.manager,
                "operation": write.operation,
                "subresource": write.subresource,
                "time": write.time,
            }),
        );
    }
    object.insert("undone".into(), is_undone.into());
    Value::Object(object)
}

fn step(step: &Step) -> Value {
    let Step {
        moves: kinds,
        changes,
        why,
        gates,
        durability_before,
        durability_after,
        availability_after,
        more_follow: _,
        object: _,
    } = step;
    json!({
        "does": moves(step),
        "moves": kinds.iter().map(move_word).collect::<Vec<_>>(),
        "changes": changes.iter().map(change).collect::<Vec<_>>(),
        "why": why,
        "open": step.is_open(),
        "gates": gates.iter().map(gate).collect::<Vec<_>>(),
        "durabilityBefore": durability(*durability_before),
        "durabilityAfter": durability(*durability_after),
        "availabilityAfter": availability::json(availability_after),
    })
}

fn move_word(one: &Move) -> &'static str {
    match one {
        Move::Create => "create",
        Move::Record => "record",
        Move::Settings => "settings",
        Move::Template { .. } => "template",
        Move::GiveRoles { .. } => "give-roles",
        Move::TakeRoles { .. } => "take-roles",
        Move::Start { .. } => "start",
        Move::Stop { .. } => "stop",
        Move::Follow => "follow",
        Move::Lead => "lead",
        Move::Loosen { .. } => "loosen",
        Move::Grow { .. } => "grow",
        Move::Climb { .. } => "climb",
        Move::AddStrict { .. } => "add-strict",
        Move::Remove { .. } => "remove",
        Move::Spell => "spell",
    }
}

fn change(change: &Change) -> Value {
    let (from, to) = masked_pair(&change.path, change.from.as_ref(), change.to.as_ref());
    let mut object = Map::new();
    object.insert("field".into(), change.path.to_string().into());
    put(&mut object, "from", from);
    put(&mut object, "to", to);
    Value::Object(object)
}

fn gate(gate: &Gate) -> Value {
    json!({
        "id": gate.id.code(),
        "name": gate.id.words(),
        "verdict": gate.verdict.word(),
        "reason": gate.verdict.reason(),
    })
}

fn durability(durability: Durability) -> Value {
    json!({"strict": durability.strict, "standbys": durability.standbys})
}

fn in_force(in_force: &InForce) -> Value {
    let InForce {
        declared,
        stored,
        configured,
        listed,
        streaming,
        verdict,
    } = in_force;
    let (word, because) = match verdict {
        ForceVerdict::InForce => ("yes", None),
        ForceVerdict::NotInForce(why) => ("no", Some(why)),
        ForceVerdict::Unknown(why) => ("unknown", Some(why)),
    };
    let unknown = |why: &String| json!({"unknown": why});
    json!({
        "verdict": word,
        "because": because,
        "declared": declared.map(durability),
        "stored": stored.map(durability),
        "configured": configured.as_ref().map_or_else(unknown, |found| durability(*found)),
        "listed": listed.as_ref().map_or_else(unknown, |names| json!(names)),
        "streaming": streaming,
    })
}

fn put(object: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        object.insert(key.into(), value);
    }
}

fn put_place(object: &mut Map<String, Value>, place: Option<&Place>) {
    if let Some(Place { file, line, column }) = place {
        object.insert("file".into(), file.as_str().into());
        object.insert("line".into(), (*line).into());
        object.insert("column".into(), (*column).into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::field::FieldPath;
    use crate::model::key::Key;
    use crate::show::sample;
    use std::sync::Arc;

    fn one(plan: ClusterPlan) -> Report {
        Report {
            source: sample::source(),
            clusters: vec![Arc::new(plan)],
            supporting: Vec::new(),
            written: Vec::new(),
            findings: Vec::new(),
        }
    }

    #[test]
    fn a_plan_has_the_shape_that_scripts_rely_on() {
        let mut plan = sample::waiting_plan();
        plan.steps[0].gates.truncate(1);
        insta::assert_snapshot!(text(&report(Kind::Plan, &one(plan))), @r#"
        {
          "apiVersion": "lockstep.dev/v1alpha1",
          "kind": "Plan",
          "source": {
            "repository": "https://git.example/databases.git",
            "revision": "main",
            "commit": "4f1c2d3e5a6b7c8d9e0f4f1c2d3e5a6b7c8d9e0f"
          },
          "clusters": [
            {
              "namespace": "failover",
              "name": "sync-cluster",
              "state": "waiting",
              "because": "sync-cluster-2 has not passed 0/6400000 yet",
              "file": "clusters/sync-cluster.yaml",
              "line": 1,
              "column": 1,
              "drift": [
                {
                  "field": "spec.replication.mode",
                  "pointer": "/spec/replication/mode",
                  "declared": "sync-all",
                  "live": "async",
                  "file": "clusters/sync-cluster.yaml",
                  "line": 17,
                  "column": 5,
                  "undone": false
                }
              ],
              "steps": [
                {
                  "does": "climb to 3 synchronous standbys",
                  "moves": [
                    "climb"
                  ],
                  "changes": [
                    {
                      "field": "spec.replication.mode",
                      "from": "async",
                      "to": "sync-all"
                    }
                  ],
                  "why": "all three standbys are there, so the climb is one write",
                  "open": true,
                  "gates": [
                    {
                      "id": "P0",
                      "name": "leader live",
                      "verdict": "open",
                      "reason": "sync-cluster-0 renewed its lock"
                    }
                  ],
                  "durabilityBefore": {
                    "strict": false,
                    "standbys": 0
                  },
                  "durabilityAfter": {
                    "strict": false,
                    "standbys": 3
                  },
                  "availabilityAfter": {
                    "writes": 3,
                    "commits": 3,
                    "failover": 2
                  }
                }
              ],
              "findings": [
                {
                  "id": "sync-instances-no-effect",
                  "level": "note",
                  "file": "clusters/sync-cluster.yaml",
                  "line": 19,
                  "column": 5,
                  "field": "spec.replication.syncInstances",
                  "message": "spec.replication.syncInstances has no effect in mode sync-all",
                  "help": "remove it, or use mode sync"
                }
              ],
              "inForce": {
                "verdict": "no",
                "because": "Patroni is configured for asynchronous, not for 3 synchronous standbys",
                "declared": {
                  "strict": false,
                  "standbys": 3
                },
                "stored": {
                  "strict": false,
                  "standbys": 0
                },
                "configured": {
                  "strict": false,
                  "standbys": 0
                },
                "listed": [],
                "streaming": [
                  "sync-cluster-1",
                  "sync-cluster-2",
                  "sync-cluster-3"
                ]
              },
              "availability": {
                "writes": 3,
                "commits": 0,
                "failover": 2
              }
            }
          ],
          "supporting": [],
          "written": [],
          "findings": []
        }
        "#);
    }

    #[test]
    fn drift_names_the_field_both_values_and_the_writer() {
        let mut plan = sample::drifted_plan();
        plan.findings.clear();
        let value = report(Kind::Diff, &one(plan));
        insta::assert_snapshot!(text(&value["clusters"][0]["drift"]), @r#"
        [
          {
            "field": "spec.instances",
            "pointer": "/spec/instances",
            "declared": 4,
            "live": 5,
            "file": "clusters/sync-cluster.yaml",
            "line": 7,
            "column": 3,
            "lastWrite": {
              "manager": "kubectl",
              "operation": "Update",
              "subresource": "scale",
              "time": "2026-11-22T09:14:03Z"
            },
            "undone": false
          }
        ]
        "#);
        assert!(
            value["clusters"][0]["diff"]
                .as_str()
                .unwrap()
                .contains("+  instances: 4")
        );
    }

    #[test]
    fn status_has_the_members_as_patronictl_names_them() {
        let value = report(Kind::Status, &one(sample::in_sync_plan()));
        insta::assert_snapshot!(text(&value["clusters"][0]["members"][1]), @r#"
        {
          "member": "sync-cluster-1",
          "host": "10.244.0.10:7433",
          "role": "Sync Standby",
          "state": "streaming",
          "tl": 2,
          "lagInMb": 0
        }
        "#);
    }

    #[test]
    fn the_text_cannot_act_on_a_terminal_and_is_still_the_same_json() {
        let value = json!({"x": "\u{9b}2J\u{202e}\u{e0041}\n"});
        let text = text(&value);
        assert!(text.is_ascii(), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
    }

    #[test]
    fn a_secret_is_masked_here_too() {
        let mut plan = sample::drifted_plan();
        plan.differences[0].path =
            crate::model::field::FieldPath::of(["spec", "configurations", "credentials", "x"]);
        plan.differences[0].live = Some(json!("hunter2"));
        let text = text(&report(Kind::Plan, &one(plan)));
        assert!(!text.contains("hunter2"), "{text}");
    }

    #[test]
    fn json_leaves_out_what_is_not_known() {
        let at = Place {
            file: "clusters/sync.yaml".into(),
            line: 12,
            column: 48,
        };
        let known = Finding::error(
            "unknown-field",
            "unknown field `syncIntances` in spec.replication",
        )
        .at(at)
        .on(FieldPath::of(["spec", "replication", "syncIntances"]))
        .of(Key::new("failover", "sync-cluster"))
        .help("did you mean `syncInstances`?");
        let nowhere = Finding::note("git-symlink", "nowhere in particular");
        let findings = [&known, &nowhere];
        let value = check(
            &Source::default(),
            &findings,
            Tally {
                clusters: 2,
                refused: 1,
            },
        );
        insta::assert_snapshot!(serde_json::to_string_pretty(&value).unwrap(), @r#"
        {
          "apiVersion": "lockstep.dev/v1alpha1",
          "kind": "Check",
          "source": {
            "repository": "",
            "revision": "",
            "commit": null
          },
          "checked": {
            "clusters": 2,
            "refused": 1
          },
          "findings": [
            {
              "id": "unknown-field",
              "level": "error",
              "file": "clusters/sync.yaml",
              "line": 12,
              "column": 48,
              "field": "spec.replication.syncIntances",
              "cluster": "failover/sync-cluster",
              "message": "unknown field `syncIntances` in spec.replication",
              "help": "did you mean `syncInstances`?"
            },
            {
              "id": "git-symlink",
              "level": "note",
              "message": "nowhere in particular"
            }
          ]
        }
        "#);
    }
}
