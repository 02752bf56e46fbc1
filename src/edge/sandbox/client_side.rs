//! How `kubectl apply --server-side` takes over from `kubectl apply` before it, as a kube-apiserver helps it to.
//!
//! Only the manager named `kubectl` is helped, by way of the annotation that client-side apply leaves on an object. Any
//! other manager that takes over has to use force, or to say so in `metadata.managedFields`.

use serde_json::Value;

use super::fields::FieldSet;
use super::typing::Typing;
use super::walk;

/// The manager that `kubectl apply --server-side` applies as.
pub const SUCCESSOR: &str = "kubectl";

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The fields that still are as client-side apply left them: taking those over is no conflict.
pub fn unchanged_since_last_applied(typing: Typing<'_>, live: &Value) -> FieldSet {
    let Some(last) = last_applied(live) else {
        return FieldSet::default();
    };
    let walk::Comparison {
        added,
        modified,
        removed,
    } = walk::compare(typing, &last, live);
    walk::fields(typing, &last)
        .difference(&added)
        .difference(&modified)
        .difference(&removed)
}

/// Writes what was applied where client-side apply would look for it next time.
pub fn renew_last_applied(object: &mut Value, applied: &Value) {
    let annotations = object.pointer_mut("/metadata/annotations");
    if let Some(Value::String(text)) = annotations.and_then(|all| all.get_mut(LAST_APPLIED)) {
        *text = format!("{}\n", super::fields::canonical(applied));
    }
}

fn last_applied(object: &Value) -> Option<Value> {
    let text = object["metadata"]["annotations"].get(LAST_APPLIED)?;
    serde_json::from_str(text.as_str()?).ok()
}
