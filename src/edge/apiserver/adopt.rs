//! Taking over from kubectl: whose fields become Lockstep's before it applies an object.
//!
//! A field that kubectl's own record still owns does not go away when Git drops it. So what `kubectl apply` owns is moved to
//! Lockstep's entry in `managedFields`, as the comparison counts it (`decide::compare`); from other whole manifests only
//! what the write sets or Lockstep owns already. Nothing disappears that no plan has shown.

use serde_json::{Map, Value, json};

use crate::decide::compare::{CLIENT_SIDE_APPLY, FIELD_MANAGER};
use crate::model::observed::Manager;

/// Writers of whole manifests from a person's hand, by name and operation; `before-first-apply` stands for what was there
/// before anybody kept records. Edits (`kubectl-edit`, `kubectl-patch`) are no manifests and stay their managers'.
const ADOPTED: [(&str, &str, Take); 3] = [
    (CLIENT_SIDE_APPLY, "Update", Take::All),
    ("kubectl", "Apply", Take::Common),
    ("before-first-apply", "Update", Take::Common),
];

#[derive(Debug, Clone, Copy)]
enum Take {
    /// Everything but the status and kubectl's own copy of the manifest.
    All,
    /// What the object sets and what Lockstep owns already.
    Common,
}

/// The JSON patch that moves ownership, on the condition that the object is still the one that was read; `None` where there
/// is nothing to move.
pub fn take_over(managers: &[Manager], resource_version: &str, object: &Value) -> Option<Value> {
    let own = managers.iter().position(|manager| {
        manager.name == FIELD_MANAGER
            && manager.operation == "Apply"
            && manager.subresource.is_none()
    });
    let empty = Value::Object(Map::new());
    let mut ours = own.map_or(&empty, |index| &managers[index].fields).clone();
    let mut operations = Vec::new();
    // From the last to the first, so that removing one leaves the places of the others.
    for (index, manager) in managers.iter().enumerate().rev() {
        let adopted = ADOPTED
            .iter()
            .find(|(name, operation, _)| manager.name == *name && manager.operation == *operation);
        let Some((_, _, take)) = adopted.filter(|_| manager.subresource.is_none()) else {
            continue;
        };
        let wanted = match take {
            Take::All => Wanted::Allowed { depth: 0 },
            Take::Common => Wanted::Common {
                object: Some(object),
                ours: own.map(|index| &managers[index].fields),
            },
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
            "manager": FIELD_MANAGER,
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

/// What is taken at one place.
enum Wanted<'w> {
    /// All but two names, which stand at known depths.
    Allowed { depth: usize },
    /// What the object sets at this place, or what is ours there already.
    Common {
        object: Option<&'w Value>,
        ours: Option<&'w Value>,
    },
}

/// How one field is split.
enum Split<'w> {
    Taken,
    Left,
    Below(Wanted<'w>),
}

/// Splits a field set into what is taken and what is left; `None` is the empty set.
fn part(fields: &Value, wanted: &Wanted<'_>) -> (Option<Value>, Option<Value>) {
    let mut taken = Map::new();
    let mut left = Map::new();
    for (key, child) in fields.as_object().into_iter().flatten() {
        let (here, there) = match split(key, child, wanted) {
            Split::Taken => (Some(child.clone()), None),
            Split::Left => (None, Some(child.clone())),
            Split::Below(wanted) => part(child, &wanted),
        };
        taken.extend(here.map(|value| (key.clone(), value)));
        left.extend(there.map(|value| (key.clone(), value)));
    }
    let set = |map: Map<String, Value>| (!map.is_empty()).then_some(Value::Object(map));
    (set(taken), set(left))
}

fn split<'w>(key: &str, child: &Value, wanted: &Wanted<'w>) -> Split<'w> {
    let is_leaf = is_empty(child);
    match wanted {
        Wanted::Allowed { depth } => match (depth, key) {
            (0, "f:status") | (2, "f:kubectl.kubernetes.io/last-applied-configuration") => {
                Split::Left
            }
            _ if is_leaf => Split::Taken,
            _ => Split::Below(Wanted::Allowed { depth: depth + 1 }),
        },
        Wanted::Common { object, ours } => {
            let ours = ours.and_then(|ours| ours.get(key));
            let Some(name) = key.strip_prefix("f:") else {
                // `.` is the map itself; `k:`, `v:` and `i:` are items of a list whose items have owners.
                let is_map = key == "." && object.is_some_and(Value::is_object);
                return if ours.is_some() || is_map {
                    Split::Taken
                } else {
                    Split::Left
                };
            };
            let object = object.and_then(|object| object.get(name));
            let is_set = object.is_some_and(|object| is_leaf || !object.is_object());
            let is_ours = ours.is_some_and(|ours| is_leaf || is_empty(ours));
            if is_set || is_ours {
                Split::Taken
            } else if is_leaf {
                Split::Left
            } else {
                Split::Below(Wanted::Common { object, ours })
            }
        }
    }
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
    fn all_that_kubectl_apply_owns_is_taken_but_its_own_copy() {
        let patch = take_over(&[kubectl()], "7", &object()).unwrap();
        assert_eq!(
            patch,
            json!([
                {"op": "replace", "path": "/metadata/managedFields/0/fieldsV1", "value": {
                    "f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/last-applied-configuration": {}}},
                }},
                {"op": "add", "path": "/metadata/managedFields/-", "value": {
                    "manager": "lockstep", "operation": "Apply", "apiVersion": "stackgres.io/v1", "fieldsType": "FieldsV1",
                    "fieldsV1": {
                        "f:metadata": {"f:annotations": {".": {}}},
                        "f:spec": {".": {}, "f:instances": {}, "f:profile": {}, "f:postgres": {".": {}, "f:version": {}}},
                    },
                }},
                {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
            ])
        );
    }

    #[test]
    fn from_a_server_side_apply_only_what_the_write_sets_is_taken() {
        let mut theirs = kubectl();
        (theirs.name, theirs.operation) = ("kubectl".into(), "Apply".into());
        let patch = take_over(&[theirs], "7", &object()).unwrap();
        assert_eq!(patch[0]["value"]["f:spec"], json!({"f:profile": {}}));
        let taken = &patch[1]["value"]["fieldsV1"]["f:spec"];
        assert_eq!(
            *taken,
            json!({".": {}, "f:instances": {}, "f:postgres": {".": {}, "f:version": {}}})
        );
    }

    #[test]
    fn what_lockstep_owned_and_kubectl_owns_as_well_is_taken_back() {
        let own = manager(
            FIELD_MANAGER,
            "Apply",
            json!({"f:spec": {"f:profile": {}, "f:instances": {}}}),
        );
        let theirs = manager("kubectl", "Apply", json!({"f:spec": {"f:profile": {}}}));
        let patch = take_over(&[theirs, own], "7", &object()).unwrap();
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
        let patch = take_over(&[theirs], "7", &object).unwrap();
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
        assert_eq!(take_over(&[scaled, edited], "7", &object()), None);
    }

    #[test]
    fn nothing_is_moved_twice() {
        let copy = json!({"f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/last-applied-configuration": {}}}});
        let rest = [
            manager("kubectl-client-side-apply", "Update", copy),
            manager("kubectl", "Apply", json!({"f:spec": {"f:profile": {}}})),
        ];
        assert_eq!(take_over(&rest, "7", &object()), None);
    }
}
