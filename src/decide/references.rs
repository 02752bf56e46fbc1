//! Which supporting objects a cluster refers to, and what each of those still needs.
//!
//! A supporting object (profile, configurations, object storage) is one write: it is carried as Git has it, before the
//! clusters that refer to it. Whether it is pending, drifted or in sync is told apart as for clusters.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::decide::compare::compare;
use crate::decide::digest::{APPLIED, is_known, without_own_annotations};
use crate::model::desired::Supporting;
use crate::model::finding::Finding;
use crate::model::key::{Key, Kind};
use crate::model::manifest::Document;
use crate::model::observed::LiveObject;
use crate::model::plan::{State, SupportingPlan};

/// The supporting objects that an SGCluster document names, in its own namespace.
pub fn references(document: &Value, namespace: &str) -> Vec<(Kind, Key)> {
    let mut found = Vec::new();
    let mut add = |version: &str, kind: &str, name: Option<&Value>| {
        if let Some(name) = name.and_then(Value::as_str) {
            found.push((
                Kind::from_api_version(&format!("stackgres.io/{version}"), kind),
                Key::new(namespace, name),
            ));
        }
    };
    let at = |pointer: &str| document.pointer(pointer);
    add("v1", "SGInstanceProfile", at("/spec/sgInstanceProfile"));
    add(
        "v1",
        "SGPostgresConfig",
        at("/spec/configurations/sgPostgresConfig"),
    );
    add(
        "v1",
        "SGPoolingConfig",
        at("/spec/configurations/sgPoolingConfig"),
    );
    for backup in at("/spec/configurations/backups")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        add("v1beta1", "SGObjectStorage", backup.get("sgObjectStorage"));
    }
    add(
        "v1beta1",
        "SGObjectStorage",
        at("/spec/replicateFrom/storage/sgObjectStorage"),
    );
    found
}

/// Supporting objects that Git declares and that are not applied, each with the reason.
pub type Unapplied = BTreeMap<(Kind, Key), String>;

/// What a cluster refers to and has to wait for, in words.
pub fn held_by(document: &Document, unapplied: &Unapplied) -> Vec<String> {
    references(&document.value, &document.key.namespace)
        .into_iter()
        .filter_map(|reference| {
            let why = unapplied.get(&reference)?;
            Some(format!(
                "{} {} is not applied: {why}",
                reference.0.kind, reference.1
            ))
        })
        .collect()
}

/// Why the clusters that refer to this object wait; `None` where they need not.
pub fn unapplied(plan: &SupportingPlan) -> Option<String> {
    match plan.state {
        State::InSync | State::Drifted => None,
        State::Pending => Some("it is written first".into()),
        State::InTransition
        | State::Waiting
        | State::Blocked
        | State::Suspended
        | State::Refused
        | State::Unknown => Some(
            plan.because
                .clone()
                .unwrap_or_else(|| plan.state.word().to_owned()),
        ),
    }
}

/// A live cluster that was carried out once and that no manifest declares any more.
pub fn not_declared(key: &Key) -> Finding {
    let message =
        format!("{key} is live and was applied by Lockstep, and no manifest declares it any more");
    Finding::note("not-declared", message).of(key.clone()).help(
        "it is left as it is: Lockstep never deletes a cluster, since that deletes its volumes",
    )
}

/// Decides for one supporting object. `live` is `Err` where the live side could not be read.
pub fn plan_supporting(
    supporting: &Supporting,
    live: Result<Option<&LiveObject>, String>,
) -> SupportingPlan {
    let mut plan = SupportingPlan {
        kind: supporting.kind.clone(),
        key: supporting.key.clone(),
        state: State::Unknown,
        because: None,
        place: supporting
            .document
            .place(&crate::model::field::FieldPath::root()),
        differences: Vec::new(),
        declared: std::sync::Arc::new(without_own_annotations(&supporting.document.value)),
        live: None,
    };
    let live = match live {
        Err(why) => {
            plan.because = Some(why);
            return plan;
        }
        Ok(None) => {
            plan.state = State::Pending;
            return plan;
        }
        Ok(Some(live)) => live,
    };
    let comparison = compare(&supporting.document, live, &|_| false);
    plan.differences = comparison.differences;
    plan.declared = std::sync::Arc::new(comparison.declared);
    plan.live = Some(std::sync::Arc::new(comparison.live));
    let carried_out = live.annotation(APPLIED).filter(|digest| is_known(digest))
        == Some(supporting.digest.as_str());
    plan.state = match (plan.differences.is_empty(), carried_out) {
        (true, true) => State::InSync,
        (false, true) => State::Drifted,
        (_, false) => State::Pending,
    };
    plan
}

/// What is written for a supporting object: Git's document with Lockstep's record.
pub fn object(supporting: &Supporting, live: Option<&LiveObject>) -> Value {
    let mut object = without_own_annotations(&supporting.document.value);
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
    let metadata = &mut object["metadata"];
    if !metadata["annotations"].is_object() {
        metadata["annotations"] = serde_json::json!({});
    }
    metadata["annotations"][APPLIED] = Value::from(supporting.digest.as_str());
    if let Some(live) = live {
        metadata["resourceVersion"] = Value::from(live.resource_version.as_str());
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_supporting_kind_that_a_cluster_names_is_found() {
        let document = json!({"spec": {
            "sgInstanceProfile": "size-s",
            "configurations": {
                "sgPostgresConfig": "pg", "sgPoolingConfig": "pool", "backups": [{"sgObjectStorage": "s3"}],
            },
        }});
        let names: Vec<String> = references(&document, "db")
            .iter()
            .map(|(kind, key)| format!("{} {key}", kind.kind))
            .collect();
        assert_eq!(
            names,
            [
                "SGInstanceProfile db/size-s",
                "SGPostgresConfig db/pg",
                "SGPoolingConfig db/pool",
                "SGObjectStorage db/s3"
            ]
        );
    }
}
