//! Taking over from kubectl: whose fields become Lockstep's before it applies an object for the first time.
//!
//! A field that kubectl's own record still owns does not go away when Git drops it. So the fields that the write sets, that
//! Lockstep owns already, or that the plan says are removed, are moved from kubectl's entries in `managedFields` to
//! Lockstep's. What kubectl owns beyond that stays kubectl's: nothing disappears that no plan has shown.

use serde_json::{Map, Value, json};

use crate::model::field::{FieldPath, Segment};
use crate::model::observed::Manager;

/// The field manager of every write.
pub const MANAGER: &str = "lockstep";

/// Writers of whole manifests from a person's hand, by name and operation; `before-first-apply` stands for what was there
/// before anybody kept records. Edits (`kubectl-edit`, `kubectl-patch`) are no manifests and stay their managers'.
const ADOPTED: [(&str, &str); 3] = [
    ("kubectl-client-side-apply", "Update"),
    ("kubectl", "Apply"),
    ("before-first-apply", "Update"),
];

/// The JSON patch that moves ownership, on the condition that the object is still the one that was read; `None` where there
/// is nothing to move.
pub fn take_over(
    managers: &[Manager],
    resource_version: &str,
    object: &Value,
    removals: &[FieldPath],
) -> Option<Value> {
    let own = managers.iter().position(|manager| {
        manager.name == MANAGER && manager.operation == "Apply" && manager.subresource.is_none()
    });
    let empty = Value::Object(Map::new());
    let mut ours = own.map_or(&empty, |index| &managers[index].fields).clone();
    let mut operations = Vec::new();
    // From the last to the first, so that removing one leaves the places of the others.
    for (index, manager) in managers.iter().enumerate().rev() {
        let adopted = ADOPTED
            .iter()
            .any(|(name, operation)| manager.name == *name && manager.operation == *operation);
        if !adopted || manager.subresource.is_some() {
            continue;
        }
        let wanted = Wanted {
            object: Some(object),
            ours: own.map(|index| &managers[index].fields),
            removals: removals.iter().map(|path| path.0.as_slice()).collect(),
        };
        let (taken, left) = part(&manager.fields, &wanted);
        let Some(taken) = taken else { continue };
        unite(&mut ours, &taken);
        let place = format!("/metadata/managedFields/{index}");
        operations.push(match left {
            Some(left) => {
                json!({"op": "replace", "path": format!("{place}/fieldsV1"), "value": left})
            }
            None => json!({"op": "remove", "path": place}),
        });
    }
    if operations.is_empty() {
        return None;
    }
    // First, while the places are still those that were read.
    match own {
        Some(index) => operations.insert(
            0,
            json!({"op": "replace", "path": format!("/metadata/managedFields/{index}/fieldsV1"), "value": ours}),
        ),
        None => operations.push(json!({"op": "add", "path": "/metadata/managedFields/-", "value": {
            "manager": MANAGER,
            "operation": "Apply",
            "apiVersion": object["apiVersion"],
            "fieldsType": "FieldsV1",
            "fieldsV1": ours,
        }})),
    }
    // The server answers 409 where this is not the present version.
    operations.push(
        json!({"op": "replace", "path": "/metadata/resourceVersion", "value": resource_version}),
    );
    Some(Value::Array(operations))
}

/// What is taken at one place: fields that the object sets, that are ours already, or that are to be removed.
struct Wanted<'w> {
    object: Option<&'w Value>,
    ours: Option<&'w Value>,
    removals: Vec<&'w [Segment]>,
}

/// Splits a field set into what is taken and what is left; `None` is the empty set.
fn part(fields: &Value, wanted: &Wanted<'_>) -> (Option<Value>, Option<Value>) {
    let mut taken = Map::new();
    let mut left = Map::new();
    for (key, child) in fields.as_object().into_iter().flatten() {
        let ours = wanted.ours.and_then(|ours| ours.get(key));
        let Some(name) = key.strip_prefix("f:") else {
            // `.` is the map itself; `k:`, `v:` and `i:` are items of a list whose items have owners.
            let takes =
                ours.is_some() || (key == "." && wanted.object.is_some_and(Value::is_object));
            let side = if takes { &mut taken } else { &mut left };
            side.insert(key.clone(), child.clone());
            continue;
        };
        let below = Wanted {
            object: wanted.object.and_then(|object| object.get(name)),
            ours,
            removals: wanted
                .removals
                .iter()
                .filter_map(|path| match path.split_first() {
                    Some((Segment::Key(first), rest)) if first == name => Some(rest),
                    _ => None,
                })
                .collect(),
        };
        let is_leaf = is_empty(child);
        // An item of a list that has one owner goes with the list.
        let is_removed = below
            .removals
            .iter()
            .any(|rest| matches!(rest, [] | [Segment::Index(_), ..]));
        let is_set = below
            .object
            .is_some_and(|object| is_leaf || !object.is_object());
        let is_ours = below.ours.is_some_and(|ours| is_leaf || is_empty(ours));
        let (here, there) = if is_removed || is_set || is_ours {
            (Some(child.clone()), None)
        } else if is_leaf {
            (None, Some(child.clone()))
        } else {
            part(child, &below)
        };
        taken.extend(here.map(|value| (key.clone(), value)));
        left.extend(there.map(|value| (key.clone(), value)));
    }
    let set = |map: Map<String, Value>| (!map.is_empty()).then_some(Value::Object(map));
    (set(taken), set(left))
}

fn is_empty(fields: &Value) -> bool {
    fields.as_object().is_none_or(Map::is_empty)
}

fn unite(into: &mut Value, from: &Value) {
    let (Some(into), Some(from)) = (into.as_object_mut(), from.as_object()) else {
        return;
    };
    for (key, child) in from {
        match into.get_mut(key) {
            Some(present) => unite(present, child),
            None => {
                into.insert(key.clone(), child.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(name: &str, operation: &str, fields: Value) -> Manager {
        Manager {
            name: name.into(),
            operation: operation.into(),
            subresource: None,
            time: None,
            fields,
        }
    }

    fn kubectl() -> Manager {
        manager(
            "kubectl-client-side-apply",
            "Update",
            json!({
                "f:metadata": {"f:annotations": {".": {}, "f:kubectl.kubernetes.io/last-applied-configuration": {}}},
                "f:spec": {".": {}, "f:instances": {}, "f:profile": {}, "f:postgres": {".": {}, "f:version": {}}},
            }),
        )
    }

    fn object() -> Value {
        json!({"apiVersion": "stackgres.io/v1", "metadata": {"annotations": {"lockstep.dev/applied": "x"}},
            "spec": {"instances": 2, "postgres": {"version": "16.1"}}})
    }

    #[test]
    fn the_first_write_takes_what_it_sets_and_leaves_the_rest() {
        let patch = take_over(&[kubectl()], "7", &object(), &[]).unwrap();
        assert_eq!(
            patch,
            json!([
                {"op": "replace", "path": "/metadata/managedFields/0/fieldsV1", "value": {
                    "f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/last-applied-configuration": {}}},
                    "f:spec": {"f:profile": {}},
                }},
                {"op": "add", "path": "/metadata/managedFields/-", "value": {
                    "manager": "lockstep", "operation": "Apply", "apiVersion": "stackgres.io/v1", "fieldsType": "FieldsV1",
                    "fieldsV1": {
                        "f:metadata": {"f:annotations": {".": {}}},
                        "f:spec": {".": {}, "f:instances": {}, "f:postgres": {".": {}, "f:version": {}}},
                    },
                }},
                {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
            ])
        );
    }

    #[test]
    fn a_removal_that_the_plan_shows_is_taken_so_that_it_lands() {
        let removals = [FieldPath::of(["spec", "profile"])];
        let patch = take_over(&[kubectl()], "7", &object(), &removals).unwrap();
        assert_eq!(
            patch[1]["value"]["fieldsV1"]["f:spec"]["f:profile"],
            json!({})
        );
        assert_eq!(patch[0]["value"].get("f:spec"), None);
    }

    #[test]
    fn what_lockstep_owned_and_kubectl_owns_as_well_is_taken_back() {
        let own = manager(
            MANAGER,
            "Apply",
            json!({"f:spec": {"f:profile": {}, "f:instances": {}}}),
        );
        let theirs = manager("kubectl", "Apply", json!({"f:spec": {"f:profile": {}}}));
        let patch = take_over(&[theirs, own], "7", &object(), &[]).unwrap();
        assert_eq!(
            patch,
            json!([
                {"op": "replace", "path": "/metadata/managedFields/1/fieldsV1", "value": {"f:spec": {"f:profile": {}, "f:instances": {}}}},
                {"op": "remove", "path": "/metadata/managedFields/0"},
                {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
            ])
        );
    }

    #[test]
    fn lists_with_one_owner_go_as_a_whole() {
        let theirs = manager(
            "kubectl-client-side-apply",
            "Update",
            json!({"f:spec": {"f:configurations": {"f:backups": {}}}}),
        );
        let object = json!({"spec": {"configurations": {"backups": [{"cronSchedule": "x"}]}}});
        let patch = take_over(&[theirs], "7", &object, &[]).unwrap();
        assert_eq!(patch[0]["op"], "remove");
    }

    #[test]
    fn edits_and_writes_to_subresources_are_left_alone() {
        let mut scaled = manager("kubectl", "Apply", json!({"f:spec": {"f:instances": {}}}));
        scaled.subresource = Some("scale".into());
        let edited = manager(
            "kubectl-edit",
            "Update",
            json!({"f:spec": {"f:instances": {}}}),
        );
        assert_eq!(take_over(&[scaled, edited], "7", &object(), &[]), None);
    }

    #[test]
    fn nothing_is_moved_twice() {
        let rest = manager(
            "kubectl-client-side-apply",
            "Update",
            json!({"f:spec": {"f:profile": {}}}),
        );
        assert_eq!(take_over(&[rest], "7", &object(), &[]), None);
    }
}
