//! What differs between a document in Git and the live object: only fields that Git declares or that Lockstep owns.
//!
//! A live field that neither declares is not Lockstep's business: defaults, what the operator's webhook completes, and
//! what others own. A field removed from Git and still owned is a difference, since applying will remove it.

use serde_json::{Map, Value};

use crate::decide::digest::{OWN_PREFIX, without_own_annotations};
use crate::model::field::{FieldPath, Segment};
use crate::model::manifest::Document;
use crate::model::observed::{LiveObject, Manager};
use crate::model::plan::{Difference, LastWrite};

/// Lockstep's name in `metadata.managedFields`.
pub const FIELD_MANAGER: &str = "lockstep";
/// What `kubectl apply` writes under; adopted together with the object.
pub const CLIENT_SIDE_APPLY: &str = "kubectl-client-side-apply";

/// Both sides, restricted to what is compared, and where they part.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    pub declared: Value,
    pub live: Value,
    /// In the order of the document, removed fields last.
    pub differences: Vec<Difference>,
}

/// Compares a document with the live object. Fields for which `skip` answers true are taken as equal.
pub fn compare(
    document: &Document,
    live: &LiveObject,
    skip: &dyn Fn(&FieldPath) -> bool,
) -> Comparison {
    let mut declared = pruned(&without_own_annotations(&document.value));
    if let Some(map) = declared.as_object_mut() {
        map.remove("status");
    }
    let mut walk = Walk {
        skip,
        paths: Vec::new(),
    };
    let mut view = walk.view(&declared, &live.value, &FieldPath::root());
    for path in owned_fields(&live.managers) {
        if path.find(&declared).is_some() || is_below_a_leaf(&path, &declared) || skip(&path) {
            continue;
        }
        if let Some(value) = path.find(&live.value) {
            put(&mut view, &path, value.clone());
            if !walk.paths.iter().any(|known| path.starts_with(known)) {
                walk.paths.push(path);
            }
        }
    }
    let differences = walk
        .paths
        .into_iter()
        .map(|path| Difference {
            declared: path.find(&declared).cloned(),
            live: path.find(&live.value).cloned(),
            place: Some(document.place(&path)),
            last_write: last_write(&live.managers, &path),
            path,
        })
        .collect();
    Comparison {
        declared,
        live: view,
        differences,
    }
}

struct Walk<'s> {
    skip: &'s dyn Fn(&FieldPath) -> bool,
    paths: Vec<FieldPath>,
}

impl Walk<'_> {
    /// Live as far as `declared` speaks of it; differing paths are noted on the way.
    fn view(&mut self, declared: &Value, live: &Value, path: &FieldPath) -> Value {
        if (self.skip)(path) || same(declared, live) {
            return declared.clone();
        }
        match (declared, live) {
            (Value::Object(declared), Value::Object(live)) => {
                let mut view = Map::new();
                for (key, value) in declared {
                    let below = path.key(key);
                    match live.get(key).filter(|live| !live.is_null()) {
                        Some(live) => {
                            view.insert(key.clone(), self.view(value, live, &below));
                        }
                        None if (self.skip)(&below) => {
                            view.insert(key.clone(), value.clone());
                        }
                        None => self.paths.push(below),
                    }
                }
                Value::Object(view)
            }
            (Value::Array(declared), Value::Array(live)) if is_scripts(path) => {
                if let Some(view) = within(declared, live) {
                    return view;
                }
                self.paths.push(path.clone());
                Value::Array(live.clone())
            }
            (Value::Array(declared), Value::Array(live)) if declared.len() == live.len() => {
                let items = declared.iter().zip(live).enumerate();
                Value::Array(
                    items
                        .map(|(index, (declared, live))| {
                            self.view(declared, live, &path.index(index))
                        })
                        .collect(),
                )
            }
            (_, live) => {
                self.paths.push(path.clone());
                live.clone()
            }
        }
    }
}

/// The operator's webhook puts an entry of its own before the declared scripts.
fn is_scripts(path: &FieldPath) -> bool {
    *path == FieldPath::of(["spec", "managedSql", "scripts"])
}

/// `declared` itself where its items appear in `live` in their order, each perhaps completed.
fn within(declared: &[Value], live: &[Value]) -> Option<Value> {
    let mut rest = live.iter();
    let covered = declared
        .iter()
        .all(|item| rest.any(|live| covers(item, live)));
    covered.then(|| Value::Array(declared.to_vec()))
}

fn covers(declared: &Value, live: &Value) -> bool {
    match (declared, live) {
        (Value::Object(declared), Value::Object(live)) => declared
            .iter()
            .all(|(key, value)| live.get(key).is_some_and(|live| covers(value, live))),
        (declared, live) => same(declared, live),
    }
}

/// Equal as the API server sees it: `1` and `1.0` are one number.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64() == other.as_f64()
        }
        (one, other) => one == other,
    }
}

/// A null in a document says nothing: the API server drops it.
fn pruned(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key.clone(), pruned(value)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(pruned).collect()),
        other => other.clone(),
    }
}

/// The leaf fields that Lockstep owns, or takes over when it adopts the object.
fn owned_fields(managers: &[Manager]) -> Vec<FieldPath> {
    let mut paths = Vec::new();
    for manager in managers {
        let ours = manager.name == FIELD_MANAGER && manager.operation == "Apply";
        let adopted = manager.name == CLIENT_SIDE_APPLY && manager.operation == "Update";
        if (ours || adopted) && manager.subresource.is_none() {
            leaves(&manager.fields, &FieldPath::root(), &mut paths);
        }
    }
    paths.retain(|path| {
        let own = |segment: &Segment| matches!(segment, Segment::Key(key) if key.starts_with(OWN_PREFIX) || key == "kubectl.kubernetes.io/last-applied-configuration");
        !path.0.iter().any(own) && !path.starts_with(&FieldPath::of(["status"]))
    });
    paths.sort();
    paths.dedup();
    paths
}

/// `fieldsV1` to paths; a keyed list is one leaf, since it is compared as a whole.
fn leaves(fields: &Value, path: &FieldPath, into: &mut Vec<FieldPath>) {
    let children: Vec<(&str, &Value)> = fields
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| key.strip_prefix("f:").map(|key| (key, value)))
        .collect();
    if children.is_empty() {
        if !path.0.is_empty() {
            into.push(path.clone());
        }
        return;
    }
    for (key, value) in children {
        leaves(value, &path.key(key), into);
    }
}

/// Whether a parent of `path` is declared as something that has no fields, and so is compared as a whole.
fn is_below_a_leaf(path: &FieldPath, declared: &Value) -> bool {
    let mut parent = path.parent();
    while let Some(path) = parent {
        if let Some(value) = path.find(declared) {
            return !value.is_object();
        }
        parent = path.parent();
    }
    false
}

/// Sets a value, making the maps on the way.
fn put(root: &mut Value, path: &FieldPath, value: Value) {
    let mut at = root;
    for segment in &path.0 {
        let Segment::Key(key) = segment else { return };
        if !at.is_object() {
            return;
        }
        at = &mut at[key.as_str()];
        if at.is_null() {
            *at = Value::Object(Map::new());
        }
    }
    *at = value;
}

/// The manager that owns the live value of `path` and is not Lockstep; the latest where several do.
fn last_write(managers: &[Manager], path: &FieldPath) -> Option<LastWrite> {
    managers
        .iter()
        .filter(|manager| manager.name != FIELD_MANAGER && owns(&manager.fields, path))
        .max_by(|one, other| one.time.cmp(&other.time))
        .map(|manager| LastWrite {
            manager: manager.name.clone(),
            operation: manager.operation.clone(),
            subresource: manager.subresource.clone(),
            time: manager.time.clone(),
        })
}

fn owns(fields: &Value, path: &FieldPath) -> bool {
    let mut at = fields;
    for (depth, segment) in path.0.iter().enumerate() {
        let next = match segment {
            Segment::Key(key) => at.get(format!("f:{key}")),
            Segment::Index(_) => None,
        };
        match next {
            Some(next) => at = next,
            // An atomic field owns all that is below it.
            None => return depth > 0 && at.as_object().is_some_and(Map::is_empty),
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::model::key::{Key, Kind};
    use crate::model::yaml::Positions;

    fn document(value: Value) -> Document {
        Document {
            file: "a.yaml".into(),
            kind: Kind::from_api_version("stackgres.io/v1", "SGCluster"),
            key: Key::new("db", "c"),
            value: Arc::new(value),
            positions: Arc::new(Positions::default()),
        }
    }

    fn manager(name: &str, operation: &str, fields: Value) -> Manager {
        Manager {
            name: name.into(),
            operation: operation.into(),
            subresource: None,
            time: None,
            fields,
        }
    }

    fn paths(declared: Value, live: Value, managers: Vec<Manager>) -> Vec<String> {
        let live = LiveObject {
            value: live,
            resource_version: "1".into(),
            managers,
        };
        let comparison = compare(&document(declared), &live, &|_| false);
        assert_eq!(
            comparison.differences.is_empty(),
            comparison.declared == comparison.live
        );
        comparison
            .differences
            .iter()
            .map(|difference| difference.path.to_string())
            .collect()
    }

    #[test]
    fn what_only_live_has_is_no_difference() {
        let live = json!({"spec": {"instances": 2, "profile": "production", "postgres": {"version": "16.1", "flavor": "vanilla"}}});
        assert!(
            paths(
                json!({"spec": {"instances": 2, "postgres": {"version": "16.1"}}}),
                live,
                vec![]
            )
            .is_empty()
        );
    }

    #[test]
    fn a_field_that_git_declares_and_live_has_otherwise_is_one() {
        let declared = json!({"spec": {"replication": {"mode": "sync-all"}, "instances": 4}});
        let live =
            json!({"spec": {"replication": {"mode": "async", "role": "ha-read"}, "instances": 4}});
        assert_eq!(paths(declared, live, vec![]), ["spec.replication.mode"]);
    }

    #[test]
    fn a_removed_field_is_one_as_long_as_lockstep_owns_it() {
        let declared = json!({"spec": {"instances": 3}});
        let live = json!({"spec": {"instances": 3, "replication": {"syncInstances": 2}, "profile": "testing"}});
        let ours = json!({"f:spec": {"f:instances": {}, "f:replication": {"f:syncInstances": {}}}});
        assert_eq!(
            paths(declared.clone(), live.clone(), vec![]),
            Vec::<String>::new()
        );
        let owned = vec![manager("lockstep", "Apply", ours.clone())];
        assert_eq!(
            paths(declared.clone(), live.clone(), owned),
            ["spec.replication.syncInstances"]
        );
        let adopted = vec![manager("kubectl-client-side-apply", "Update", ours)];
        assert_eq!(
            paths(declared, live, adopted),
            ["spec.replication.syncInstances"]
        );
    }

    #[test]
    fn list_items_completed_by_defaults_are_equal() {
        let declared = json!({"spec": {"configurations": {"backups": [{"sgObjectStorage": "s"}]}}});
        let live = json!({"spec": {"configurations": {"backups": [{"sgObjectStorage": "s", "retention": 5}]}}});
        assert!(paths(declared, live, vec![]).is_empty());
    }

    #[test]
    fn the_webhooks_own_script_before_the_declared_ones_is_no_difference() {
        let declared = json!({"spec": {"managedSql": {"scripts": [{"sgScript": "mine"}]}}});
        let live = json!({"spec": {"managedSql": {"scripts": [{"id": 0, "sgScript": "c-default"}, {"id": 1, "sgScript": "mine"}]}}});
        assert!(paths(declared, live, vec![]).is_empty());
        let declared = json!({"spec": {"managedSql": {"scripts": [{"sgScript": "other"}]}}});
        let live =
            json!({"spec": {"managedSql": {"scripts": [{"id": 0, "sgScript": "c-default"}]}}});
        assert_eq!(paths(declared, live, vec![]), ["spec.managedSql.scripts"]);
    }

    #[test]
    fn the_last_writer_is_named_as_far_as_recorded() {
        let live = LiveObject {
            value: json!({"spec": {"replication": {"mode": "async"}}}),
            resource_version: "1".into(),
            managers: vec![manager(
                "kubectl-edit",
                "Update",
                json!({"f:spec": {"f:replication": {"f:mode": {}}}}),
            )],
        };
        let comparison = compare(
            &document(json!({"spec": {"replication": {"mode": "sync"}}})),
            &live,
            &|_| false,
        );
        assert_eq!(
            comparison.differences[0]
                .last_write
                .as_ref()
                .unwrap()
                .manager,
            "kubectl-edit"
        );
    }

    #[test]
    fn a_null_in_git_declares_nothing() {
        assert!(
            paths(
                json!({"spec": {"profile": null}}),
                json!({"spec": {"profile": "testing"}}),
                vec![]
            )
            .is_empty()
        );
    }
}
