//! Loosening that hides in a deletion: a field is gone from Git, and the operator's default takes its place.

use crate::decide::durability::{Shape, meet};
use crate::model::desired::DesiredCluster;
use crate::model::field::FieldPath;
use crate::model::finding::Finding;
use crate::model::plan::Difference;

/// A warning at the place of what was removed, where that asks for less than before (`domain.md` §6.4, 5 and 6).
pub fn hidden_loosening(
    desired: &DesiredCluster,
    at: &Shape,
    target: &Shape,
    differences: &[Difference],
) -> Vec<Finding> {
    let (has, wants) = (at.asks(), target.asks());
    if meet(has, wants) == has {
        return Vec::new();
    }
    let replication = FieldPath::of(["spec", "replication"]);
    let (mode, count) = (replication.key("mode"), replication.key("syncInstances"));
    let is_gone = |difference: &&Difference, field: &FieldPath| {
        difference.declared.is_none() && field.starts_with(&difference.path)
    };
    let hides = |difference: &&Difference| {
        is_gone(difference, &mode) || (target.mode.counts() && is_gone(difference, &count))
    };
    let Some(removed) = differences.iter().find(hides) else {
        return Vec::new();
    };
    let stands_in = if removed.path == count {
        format!("syncInstances: {}", target.sync_instances.unwrap_or(1))
    } else {
        format!("mode: {}", target.mode)
    };
    let finding = Finding::warning(
        "hidden-loosening",
        format!(
            "{} is gone from Git, so the operator puts {stands_in} in its place: {has} → {wants}",
            removed.path
        ),
    )
    .on(removed.path.clone())
    .of(desired.document.key.clone())
    .help(format!("declare {}", removed.path));
    vec![match &removed.place {
        Some(place) => finding.at(place.clone()),
        None => finding,
    }]
}
