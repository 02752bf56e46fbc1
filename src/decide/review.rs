//! What a change of the repository would do: the steps from one revision to another, for every cluster that it touches.
//!
//! It takes the base as live and in force; gates are judged when the change is carried out. Files that are the same in both
//! revisions cost nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::decide::approval::{APPROVE, Approval, Change};
use crate::decide::compare::{FIELD_MANAGER, compare};
use crate::decide::steps::{self, Route};
use crate::model::cluster::ClusterSpec;
use crate::model::desired::{Desired, DesiredCluster};
use crate::model::field::FieldPath;
use crate::model::finding::{Finding, Level};
use crate::model::key::Key;
use crate::model::manifest::Document;
use crate::model::observed::{LiveObject, Manager};
use crate::model::plan::{Gate, GateId};
use crate::model::review::{Review, ReviewedCluster, ReviewedObject};

/// Compares what two revisions declare. `unix` is the time in seconds since 1970, for the day of an approval.
pub fn review(base: &Desired, head: &Desired, unix: i64) -> Review {
    let keys: BTreeSet<&Key> = [base, head]
        .into_iter()
        .flat_map(|desired| desired.clusters.keys().chain(desired.refused.keys()))
        .collect();
    Review {
        base: base.source.clone(),
        head: head.source.clone(),
        clusters: keys
            .into_iter()
            .filter_map(|key| reviewed(key, base, head, unix))
            .collect(),
        supporting: supporting(base, head),
        findings: head.findings.clone(),
    }
}

/// `None` where the change does not touch the cluster and there is nothing wrong with it.
fn reviewed(key: &Key, base: &Desired, head: &Desired, unix: i64) -> Option<ReviewedCluster> {
    let before = base.clusters.get(key);
    let after = head.clusters.get(key);
    let refused = head.refused.get(key);
    let mut cluster = ReviewedCluster {
        key: key.clone(),
        base: before.map(|cluster| Arc::clone(&cluster.document)),
        head: after.map(|cluster| Arc::clone(&cluster.document)),
        refused: None,
        steps: Vec::new(),
        findings: after
            .map(|cluster| cluster.findings.clone())
            .or_else(|| refused.cloned())
            .unwrap_or_default(),
    };
    // What was refused before in the same words is not this change's affair.
    if refused.is_some() && refused == base.refused.get(key) {
        return None;
    }
    if let Some(findings) = refused {
        let error = findings
            .iter()
            .find(|finding| finding.level == Level::Error);
        cluster.refused = Some(error.map_or_else(
            || "it cannot be read".to_owned(),
            |error| error.message.clone(),
        ));
        return Some(cluster);
    }
    match (before, after) {
        (None, None) => return None,
        (Some(before), Some(after)) if before.digest == after.digest => return None,
        (Some(_), None) if head.unidentified.is_empty() => cluster.findings.push(gone(key)),
        // A file that cannot be understood may hold it.
        (Some(_), None) => return None,
        (None, Some(after)) if base.refused.contains_key(key) => {
            cluster.findings.push(unknown_base(key, after));
        }
        (None, Some(after)) => take(&mut cluster, steps::to_create(after)),
        (Some(before), Some(after)) => take(&mut cluster, between(before, after, unix)),
    }
    Some(cluster)
}

fn take(cluster: &mut ReviewedCluster, route: Result<Route, String>) {
    match route {
        Ok(Route { steps, findings }) => {
            cluster.steps = steps;
            cluster.findings.extend(findings);
        }
        Err(why) => cluster.refused = Some(why),
    }
}

fn gone(key: &Key) -> Finding {
    Finding::warning(
        "not-declared",
        format!("{key} is declared no more; the live cluster is left as it is"),
    )
    .of(key.clone())
    .help("Lockstep never deletes a cluster, since that deletes its volumes")
}

fn unknown_base(key: &Key, after: &DesiredCluster) -> Finding {
    Finding::note(
        "unknown-base",
        format!("the base's manifest of {key} is refused, so the steps from it are not known"),
    )
    .of(key.clone())
    .at(after.document.place(&FieldPath::root()))
}

/// The steps of a cluster that stands where the base declares it.
fn between(before: &DesiredCluster, after: &DesiredCluster, unix: i64) -> Result<Route, String> {
    let live = as_live(&before.document);
    let spec = ClusterSpec::read(&live.value)?;
    let differences = compare(&after.document, &live, &|_| false).differences;
    if differences.is_empty() {
        return Ok(Route {
            steps: Vec::new(),
            findings: Vec::new(),
        });
    }
    let mut route = steps::to_change(after, &live, &spec, &differences, None)?;
    for step in &mut route.steps {
        step.gates =
            crate::decide::gate::gates_of(&step.moves, crate::decide::gate::Grounds::Later);
    }
    if let Some((last, about)) = route.to_approve() {
        let change = Change {
            key: &after.document.key,
            base: Some(&before.digest),
            target: &after.digest,
            is_underway: false,
        };
        let approval = change.approval(&after.document.value, None, unix);
        for step in &mut route.steps[..=last] {
            step.gates.push(Gate {
                id: GateId::Approved,
                verdict: approval.verdict(about),
            });
            step.gates.sort_by_key(|gate| gate.id);
        }
        route.findings.push(to_approve(after, &approval, about));
    }
    Ok(route)
}

/// What the reviewers are asked to take upon themselves.
fn to_approve(after: &DesiredCluster, approval: &Approval, about: &str) -> Finding {
    let finding = match approval {
        Approval::Given { until, .. } => Finding::warning(
            "approved",
            format!("{about}; approved until {until}, unless that was used before"),
        )
        .help("merge only if that is meant"),
        Approval::Needed { write, why } => {
            let why = why.as_ref().map(|why| format!("; {why}"));
            Finding::warning(
                "needs-approval",
                format!("{about}{}", why.unwrap_or_default()),
            )
            .help(format!(
                "to approve it, write the annotation {APPROVE}: {write} into the manifest"
            ))
        }
    };
    let place = after
        .document
        .place(&FieldPath::of(["metadata", "annotations", APPROVE]));
    finding.at(place).of(after.document.key.clone())
}

/// The base as it would be live: applied by Lockstep, which owns every field that it declares.
fn as_live(document: &Document) -> LiveObject {
    let fields = fields(&document.value);
    LiveObject {
        value: (*document.value).clone(),
        resource_version: String::new(),
        managers: vec![Manager {
            name: FIELD_MANAGER.into(),
            operation: "Apply".into(),
            subresource: None,
            time: None,
            fields,
        }],
    }
}

fn fields(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, value)| (format!("f:{key}"), fields(value)))
                .collect::<Map<String, Value>>(),
        ),
        _ => json!({}),
    }
}

fn supporting(base: &Desired, head: &Desired) -> Vec<ReviewedObject> {
    let find = |desired: &Desired, kind: &crate::model::key::Kind, key: &Key| {
        desired
            .supporting
            .iter()
            .find(|one| one.kind == *kind && one.key == *key)
            .cloned()
    };
    let changed = head.supporting.iter().filter_map(|after| {
        let before = find(base, &after.kind, &after.key);
        let is_same = before
            .as_ref()
            .is_some_and(|before| before.digest == after.digest);
        (!is_same).then(|| ReviewedObject {
            base: before.map(|before| before.document),
            head: Some(Arc::clone(&after.document)),
        })
    });
    let removed = base.supporting.iter().filter(|before| {
        head.unidentified.is_empty() && find(head, &before.kind, &before.key).is_none()
    });
    let removed = removed.map(|before| ReviewedObject {
        base: Some(Arc::clone(&before.document)),
        head: None,
    });
    changed.chain(removed).collect()
}
