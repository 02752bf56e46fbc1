//! P4: whether anything else is at work on the cluster (`domain.md` §4.2).
//!
//! An autoscaler is none: it owns `spec.instances`, and that is told apart elsewhere. The StatefulSet's revisions tell
//! nothing: StackGres replaces Pods itself (`OnDelete`), and there `currentRevision` stays what it was for good.

use serde_json::Value;

use super::{Evidence, closed, open, unknown};
use crate::model::patroni::Seen;
use crate::model::plan::Verdict;

/// P4 for loosening: nothing that would refuse or undo the write.
pub fn no_lock_or_operation(evidence: &Evidence<'_>) -> Verdict {
    let live = evidence.live;
    let annotation = |name: &str| {
        live.annotation(&format!("stackgres.io/{name}"))
            .filter(|text| !text.is_empty())
    };
    if let (Some(pod), Some(timeout)) = (annotation("lockPod"), annotation("lockTimeout")) {
        // An unreadable timeout is taken as still running.
        if timeout
            .parse::<i64>()
            .map_or(true, |timeout| evidence.unix < timeout)
        {
            return closed(format!("the cluster is locked by {pod}"));
        }
    }
    let operation = live.value.pointer("/status/dbOps");
    let upgrade = operation
        .and_then(|section| section.get("majorVersionUpgrade"))
        .is_some_and(|value| !value.is_null());
    let name = operation
        .and_then(|section| section.get("name"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    if upgrade || (!name.is_empty() && name != "__DBOPS_NOT_FOUND__") {
        return closed(
            format!("the operation {name} is running")
                .replace("operation  is", "major version upgrade is"),
        );
    }
    let operations = match &evidence.seen.operations {
        Seen::Value(operations) => operations,
        Seen::Unknown(why) => return unknown(why.clone()),
    };
    if let Some(operation) = operations.first() {
        return closed(format!(
            "{} {} ({}) has not ended",
            operation.kind, operation.name, operation.op
        ));
    }
    if annotation("reconciliation-pause") == Some("true") {
        return closed(
            "the operator's reconciliation is paused (stackgres.io/reconciliation-pause)",
        );
    }
    open("no lock and no operation")
}

/// P4.
pub fn nothing_else_running(evidence: &Evidence<'_>) -> Verdict {
    let held = no_lock_or_operation(evidence);
    if !held.is_open() {
        return held;
    }
    let annotation = |name: &str| {
        evidence
            .live
            .annotation(&format!("stackgres.io/{name}"))
            .filter(|text| !text.is_empty())
    };
    let rollout = annotation("rollout").filter(|when| *when != "never");
    if rollout.is_some() || annotation("rollout-dbops").is_some() {
        return closed("a rollout is going on (stackgres.io/rollout)");
    }
    if let Some(strategy) = pending_rollout(&evidence.live.value) {
        return closed(format!(
            "Pods wait for a restart that the operator may begin any time (update strategy {strategy})"
        ));
    }
    if let Some(request) = &evidence.seen.patroni.failover {
        let to = request.member.as_deref().unwrap_or("any member");
        return closed(format!("a switchover to {to} is asked for"));
    }
    match &evidence.seen.patroni.config {
        Seen::Value(config) if config.paused => return closed("Patroni is paused"),
        Seen::Value(_) => {}
        Seen::Unknown(why) => return unknown(why.clone()),
    }
    if evidence
        .seen
        .patroni
        .initialize
        .as_deref()
        .unwrap_or_default()
        .is_empty()
    {
        return closed("the cluster is being initialized");
    }
    if let Some(member) = evidence
        .seen
        .seen_members()
        .iter()
        .find(|member| member.terminating)
    {
        return closed(format!("{} is being stopped", member.name));
    }
    if let Some(member) = evidence
        .seen
        .seen_members()
        .iter()
        .find(|member| member.kept)
    {
        return closed(format!(
            "the operator keeps {} through a scale-down",
            member.name
        ));
    }
    open("no lock, operation, switchover, pause or rollout")
}

/// The update strategy under which the operator restarts Pods by itself, where some wait for it.
fn pending_rollout(live: &Value) -> Option<&str> {
    let conditions = live.pointer("/status/conditions")?.as_array()?;
    let is_pending = conditions
        .iter()
        .any(|condition| condition["type"] == "PendingRestart" && condition["status"] == "True");
    let strategy = live.pointer("/spec/pods/updateStrategy/type")?.as_str()?;
    (is_pending && matches!(strategy, "Always" | "Schedule")).then_some(strategy)
}
