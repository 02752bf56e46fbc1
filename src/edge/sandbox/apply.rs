//! Server-side apply and the ownership of fields, as pure functions over JSON values.
//!
//! The order in a kube-apiserver, which whoever calls this keeps: read and prune what was sent; fill in defaults for a
//! create, update or patch; `track_update` or `apply`; defaults after an apply; admission webhooks, whose changes nobody
//! owns; validation. Nothing here reads a clock, stores anything or knows of resource versions.

use serde_json::{Map, Value, json};

use super::fields::{Element, FieldSet, show_path};
use super::managed::{Manager, Managers, Owned, metadata_of};
use super::typing::Typing;
use super::{client_side, declared, walk};
use crate::model::field::FieldPath;
use crate::model::schema::Schema;
use crate::model::schema::violation::{Violation, ViolationKind};

/// Who changes an object, and how it is to be recorded.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// The `fieldManager` of the request, or what the server makes of the user agent.
    pub manager: String,
    /// Empty for the object itself, else `scale`, `status` …
    pub subresource: String,
    /// The version the object is written in: `stackgres.io/v1`, also through `/scale`.
    pub api_version: String,
    /// RFC 3339 in whole seconds. A kube-apiserver records none for `/scale`.
    pub now: Option<String>,
    /// Fields that this request cannot set and so never owns: the status for a kind with a status subresource, and
    /// everything but the status through that subresource.
    pub ignored: FieldSet,
}

#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ApplyError {
    /// 400.
    #[error("metadata.managedFields must be nil")]
    ManagedFieldsGiven,
    /// The schema has no place for something applied. A kube-apiserver answers this with status 500 and no reason.
    #[error(
        "failed to create typed patch object ({object}; {api_version}, Kind={kind}): {problem}"
    )]
    NotTyped {
        object: String,
        api_version: String,
        kind: String,
        problem: String,
    },
    /// 409 with reason `Conflict`.
    #[error("{}", show_conflicts(.0))]
    Conflict(Vec<Conflict>),
    /// 422: nulls where the schema allows none, which apply, unlike every other write, does not drop.
    #[error("{}", show_violations(.0))]
    Invalid(Vec<Violation>),
}

/// A field that another manager owns with another value; one cause of the answer's `Status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    pub manager: Manager,
    pub path: Vec<Element>,
}

impl Conflict {
    /// `.spec.instances`.
    pub fn field(&self) -> String {
        show_path(&self.path)
    }

    /// The `Status` cause: reason, field and message.
    pub fn cause(&self) -> Value {
        json!({
            "reason": "FieldManagerConflict",
            "message": format!("conflict with {}", self.manager.show()),
            "field": self.field(),
        })
    }
}

fn show_conflicts(conflicts: &[Conflict]) -> String {
    if let [conflict] = conflicts {
        let manager = conflict.manager.show();
        let field = conflict.field();
        return format!("Apply failed with 1 conflict: conflict with {manager}: {field}");
    }
    let groups = conflicts.chunk_by(|one, next| one.manager == next.manager);
    let groups: Vec<String> = groups
        .map(|group| {
            let fields: Vec<String> = group.iter().map(Conflict::field).collect();
            let manager = group[0].manager.show();
            format!("conflicts with {manager}:\n- {}", fields.join("\n- "))
        })
        .collect();
    let count = conflicts.len();
    format!("Apply failed with {count} conflicts: {}", groups.join("\n"))
}

fn show_violations(violations: &[Violation]) -> String {
    match violations {
        [violation] => violation.to_string(),
        _ => {
            let all: Vec<String> = violations.iter().map(Violation::to_string).collect();
            format!("[{}]", all.join(", "))
        }
    }
}

/// The manager of what was there before anybody applied.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Applies a configuration to a live object, or to none, and returns the object with its new owners.
///
/// What the server itself writes in metadata is live's, whatever was applied; a `resourceVersion` or `uid` to be held to
/// is the caller's to compare first. An answer equal to `live` in everything means that nothing is to be stored.
pub fn apply(
    live: Option<&Value>,
    applied: &Value,
    change: &Change,
    force: bool,
    schema: Option<&Schema>,
) -> Result<Value, ApplyError> {
    let typing = Typing::Root(schema);
    if !applied["metadata"]["managedFields"].is_null() {
        return Err(ApplyError::ManagedFieldsGiven);
    }
    declared::check(typing, applied).map_err(|problem| ApplyError::NotTyped {
        object: name_of(applied),
        api_version: text_of(&applied["apiVersion"]),
        kind: text_of(&applied["kind"]),
        problem,
    })?;

    let mut managers = live.and_then(Managers::of).unwrap_or_default();
    let live = live.map_or_else(|| json!({}), without_managers);
    let ignored = &change.ignored;
    if managers.is_empty() {
        let before = walk::compare(typing, &json!({}), &live).added;
        let owned = Owned {
            api_version: change.api_version.clone(),
            fields: before.difference(&never_owned()),
            time: change.now.clone(),
        };
        let manager = Manager::updater(BEFORE_FIRST_APPLY, "", &change.api_version);
        managers.0.insert(manager, owned);
        managers.drop_empty();
    }

    let manager = Manager::applier(&change.manager, &change.subresource);
    let previous = managers.0.get(&manager).cloned();
    let owned = Owned {
        api_version: change.api_version.clone(),
        fields: walk::fields(typing, applied)
            .difference(&never_owned())
            .without(&change.ignored),
        time: previous.as_ref().and_then(|owned| owned.time.clone()),
    };
    managers.0.insert(manager.clone(), owned);
    let mut merged = walk::merge(typing, &live, applied);
    keep_server_fields(&mut merged, &live, schema.is_none());
    let last = previous.map(|owned| owned.fields).unwrap_or_default();
    let mut object = drop_unapplied(typing, merged, &managers, &last);

    let comparison = compare(typing, &live, &object, ignored);
    let mut conflicts = conflicts(&managers, &manager, &comparison);
    if manager.name == client_side::SUCCESSOR {
        let allowed = client_side::unchanged_since_last_applied(typing, &live);
        conflicts.retain(|conflict| !allowed.contains(&conflict.path));
    }
    if !force && !conflicts.is_empty() {
        return Err(ApplyError::Conflict(conflicts));
    }
    let nulls = nulls(typing, &object);
    if !nulls.is_empty() {
        return Err(ApplyError::Invalid(nulls));
    }
    take_from(&mut managers, Some(&manager), &comparison);
    if live != object
        && let Some(owned) = managers.0.get_mut(&manager)
    {
        owned.time = change.now.clone();
    }
    managers.drop_empty();
    if manager.name == client_side::SUCCESSOR {
        client_side::renew_last_applied(&mut object, applied);
    }
    // Only now, as in a kube-apiserver: who applies an empty map owns it, and every such apply counts as a change.
    if let Some(metadata) = metadata_of(&mut object) {
        drop_empty(metadata);
    }
    managers.write(&mut object);
    Ok(object)
}

/// Records on `new` who owns what after a create (`old` is none), an update or a patch.
///
/// What `new` says of its own managers counts as in a kube-apiserver: an absent or empty list keeps those of `old`, a
/// list of one empty entry forgets them all, and any other list is taken as it stands.
pub fn track_update(
    old: Option<&Value>,
    new: &mut Value,
    change: &Change,
    schema: Option<&Schema>,
) {
    let given = Managers::of(new);
    let is_reset = new["metadata"]["managedFields"] == json!([{}]);
    let known = match given {
        Some(given) if !given.is_empty() => given,
        _ => old.and_then(Managers::of).unwrap_or_default(),
    };
    if let Some(metadata) = metadata_of(new) {
        metadata.shift_remove("managedFields");
        drop_empty(metadata);
    }
    // An object whose managers were forgotten stays without until somebody applies.
    if is_reset || (old.is_some() && known.is_empty()) {
        return;
    }

    let typing = Typing::Root(schema);
    let old = match (old, schema) {
        (Some(old), _) => without_managers(old),
        (None, Some(_)) => json!({}),
        (None, None) => empty(&new["kind"]),
    };
    let comparison = compare(typing, &old, new, &change.ignored);
    let mut managers = known;
    take_from(&mut managers, None, &comparison);
    let changed = comparison.added.union(&comparison.modified);
    if !changed.is_empty() {
        let manager = Manager::updater(&change.manager, &change.subresource, &change.api_version);
        let owned = managers.0.entry(manager).or_insert_with(|| Owned {
            api_version: change.api_version.clone(),
            fields: FieldSet::default(),
            time: None,
        });
        owned.fields = owned.fields.union(&changed);
        owned.time.clone_from(&change.now);
    }
    managers.drop_empty();
    managers.write(new);
}

/// What nobody owns: an object's identity, and what the server writes itself.
fn never_owned() -> FieldSet {
    let mut set = FieldSet::default();
    for name in ["apiVersion", "kind", "metadata"] {
        set.insert(&[Element::field(name)]);
    }
    for name in [
        "creationTimestamp",
        "generation",
        "managedFields",
        "name",
        "namespace",
        "resourceVersion",
        "selfLink",
        "uid",
    ] {
        set.insert(&[Element::field("metadata"), Element::field(name)]);
    }
    set
}

/// Metadata that only the server writes.
const SERVER_FIELDS: [&str; 7] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Puts back what no request can set, and drops the nulls that the Go types of a built-in kind drop.
fn keep_server_fields(object: &mut Value, live: &Value, is_built_in: bool) {
    if is_built_in {
        drop_nulls(object);
    }
    let Some(metadata) = metadata_of(object) else {
        return;
    };
    for name in SERVER_FIELDS {
        match live["metadata"].get(name) {
            Some(value) => {
                metadata.insert(name.to_owned(), value.clone());
            }
            None => {
                metadata.shift_remove(name);
            }
        }
    }
}

/// What the Go type of a built-in kind writes for an object that holds nothing: who creates one does not own these.
fn empty(kind: &Value) -> Value {
    let pod = json!({"metadata": {}, "spec": {"containers": null}, "status": {}});
    match kind.as_str().unwrap_or_default() {
        "Pod" => pod,
        "StatefulSet" | "DaemonSet" => {
            json!({"metadata": {}, "spec": {"template": pod, "updateStrategy": {}}, "status": {}})
        }
        "Deployment" => {
            json!({"metadata": {}, "spec": {"template": pod, "strategy": {}}, "status": {}})
        }
        "Job" | "ReplicaSet" => json!({"metadata": {}, "spec": {"template": pod}, "status": {}}),
        _ => json!({"metadata": {}, "spec": {}, "status": {}}),
    }
}

/// The Go type of metadata writes nothing for what is empty.
fn drop_empty(metadata: &mut Map<String, Value>) {
    metadata.retain(|_, value| match value {
        Value::Null => false,
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(entries) => !entries.is_empty(),
        _ => true,
    });
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(entries) => entries.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

fn name_of(object: &Value) -> String {
    let (namespace, name) = (
        &object["metadata"]["namespace"],
        &object["metadata"]["name"],
    );
    format!("{}/{}", text_of(namespace), text_of(name))
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn without_managers(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
    }
    object
}

/// What a write changes of the fields that somebody can own.
fn compare(typing: Typing<'_>, old: &Value, new: &Value, ignored: &FieldSet) -> walk::Comparison {
    let walk::Comparison {
        added,
        modified,
        removed,
    } = walk::compare(typing, old, new);
    let owned = |set: FieldSet| set.difference(&never_owned()).without(ignored);
    walk::Comparison {
        added: owned(added),
        modified: owned(modified),
        removed: owned(removed),
    }
}

/// Takes away what this manager applied last time, does not apply now, and nobody else owns.
fn drop_unapplied(
    typing: Typing<'_>,
    merged: Value,
    managers: &Managers,
    last: &FieldSet,
) -> Value {
    if last.is_empty() {
        return merged;
    }
    let last = walk::with_parents(typing, last);
    let all = walk::with_parents(typing, &walk::fields(typing, &merged));
    let left = |value: &Value| walk::with_parents(typing, &walk::fields(typing, value));
    let pruned = walk::remove(typing, &merged, &last);
    // Back comes what somebody owns, this manager's new fields among it …
    let owned = walk::with_parents(typing, &managers.all_fields());
    let gone = all.difference(&left(&pruned).union(&owned));
    let pruned = walk::remove(typing, &merged, &gone);
    // … and what only went because its parent did, where that parent came back.
    let gone = all.difference(&left(&pruned)).intersection(&last);
    walk::remove(typing, &merged, &gone)
}

/// The fields a write changes that others than its manager own, in the order of the answer.
fn conflicts(
    managers: &Managers,
    manager: &Manager,
    comparison: &walk::Comparison,
) -> Vec<Conflict> {
    let changed = comparison.added.union(&comparison.modified);
    let mut others: Vec<(&Manager, FieldSet)> = managers
        .0
        .iter()
        .filter(|(other, _)| *other != manager)
        .map(|(other, owned)| (other, owned.fields.intersection(&changed)))
        .collect();
    others.sort_by_key(|(other, _)| other.rank());
    others
        .into_iter()
        .flat_map(|(other, fields)| {
            fields.paths().into_iter().map(|path| Conflict {
                manager: other.clone(),
                path,
            })
        })
        .collect()
}

/// Who owned a field that was changed or removed owns it no longer; `except` keeps what it has just set.
fn take_from(managers: &mut Managers, except: Option<&Manager>, comparison: &walk::Comparison) {
    let changed = comparison.added.union(&comparison.modified);
    for (manager, owned) in &mut managers.0 {
        if Some(manager) != except {
            owned.fields = owned
                .fields
                .difference(&changed)
                .difference(&comparison.removed);
        }
    }
}

/// The nulls of an object that neither its schema allows nor a default replaces.
fn nulls(typing: Typing<'_>, object: &Value) -> Vec<Violation> {
    let mut found = Vec::new();
    collect_nulls(typing, object, &FieldPath::root(), &mut found);
    found
}

fn collect_nulls(typing: Typing<'_>, value: &Value, at: &FieldPath, found: &mut Vec<Violation>) {
    match (typing, value) {
        (Typing::Declared(schema), Value::Null) => {
            if let Some(expected) = schema.kind
                && !schema.nullable
                && schema.default.is_none()
            {
                found.push(Violation {
                    path: at.clone(),
                    kind: ViolationKind::WrongType {
                        expected,
                        found: "null",
                    },
                });
            }
        }
        (_, Value::Object(fields)) => {
            for (name, value) in fields {
                collect_nulls(typing.field(name).typing(), value, &at.key(name), found);
            }
        }
        (_, Value::Array(entries)) => {
            for (index, entry) in entries.iter().enumerate() {
                collect_nulls(typing.entry(), entry, &at.index(index), found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};

    use super::*;

    fn schema() -> Schema {
        Schema::parse(&json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "n": {"type": "integer"},
            "o": {"type": "object", "default": {}, "properties": {
                "x": {"type": "integer"}, "y": {"type": "integer", "default": 2}}},
            "la": {"type": "array", "items": {"type": "integer"}},
            "ls": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "integer"}},
            "lm": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "properties": {
                    "k": {"type": "integer"}, "v": {"type": "integer"}, "d": {"type": "integer", "default": 1}}}},
            "m": {"type": "object", "additionalProperties": {"type": "integer"}},
            "pu": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}}}))
        .unwrap()
    }

    /// An object with some of the fields above. Its maps are never emptied: a kube-apiserver refuses that.
    fn object() -> impl Strategy<Value = Value> {
        let map = |names: [&'static str; 2]| {
            (subsequence(names.to_vec(), 1..=2), 0..3).prop_map(|(names, value)| {
                Value::Object(
                    names
                        .into_iter()
                        .map(|name| (name.to_owned(), Value::from(value)))
                        .collect(),
                )
            })
        };
        let set = || {
            subsequence(vec![1, 2, 3, 4], 1..=4)
                .prop_shuffle()
                .prop_map(Value::from)
        };
        let list = subsequence(vec![1, 2, 3], 1..=3)
            .prop_shuffle()
            .prop_flat_map(|keys| {
                let entry = |key| (0..2).prop_map(move |v| json!({"k": key, "v": v}));
                keys.into_iter().map(entry).collect::<Vec<_>>()
            })
            .prop_map(Value::from);
        let fields = (
            (0..3).prop_map(Value::from),
            map(["x", "y"]),
            set(),
            set(),
            list,
            map(["a", "b"]),
            map(["a", "b"]).prop_map(|inner| json!({"in": inner})),
        )
            .prop_map(|(n, o, la, ls, lm, m, pu)| {
                vec![
                    ("n", n),
                    ("o", o),
                    ("la", la),
                    ("ls", ls),
                    ("lm", lm),
                    ("m", m),
                    ("pu", pu),
                ]
            });
        (fields, subsequence((0..7).collect::<Vec<usize>>(), 0..=7)).prop_map(|(fields, kept)| {
            let spec = kept
                .into_iter()
                .map(|index| (fields[index].0.to_owned(), fields[index].1.clone()))
                .collect();
            json!({"apiVersion": "t.io/v1", "kind": "Toy", "metadata": {"name": "a"}, "spec": Value::Object(spec)})
        })
    }

    fn change(manager: &str, now: usize) -> Change {
        Change {
            manager: manager.to_owned(),
            api_version: "t.io/v1".to_owned(),
            now: Some(now.to_string()),
            ..Change::default()
        }
    }

    /// Objects applied with force by three managers one after the other, defaults filled in after each.
    fn applied(history: &[(&str, Value)]) -> Option<Value> {
        let schema = schema();
        let mut live = None;
        for (now, (manager, object)) in history.iter().enumerate() {
            let change = change(manager, now);
            let mut next = apply(live.as_ref(), object, &change, true, Some(&schema)).ok()?;
            schema.apply_defaults(&mut next);
            live = Some(next);
        }
        live
    }

    fn history() -> impl Strategy<Value = Vec<(&'static str, Value)>> {
        prop::collection::vec((select(vec!["a", "b", "c"]), object()), 1..6)
    }

    proptest! {
        #[test]
        fn what_was_just_applied_changes_nothing_when_applied_again(history in history()) {
            let Some(live) = applied(&history) else { return Ok(()) };
            let (manager, object) = history.last().unwrap();
            let mut again = apply(Some(&live), object, &change(manager, 99), false, Some(&schema())).unwrap();
            schema().apply_defaults(&mut again);
            prop_assert_eq!(again, live);
        }

        #[test]
        fn what_was_just_applied_is_there_and_owned(history in history()) {
            let Some(live) = applied(&history) else { return Ok(()) };
            let (manager, object) = history.last().unwrap();
            let schema = schema();
            let typing = Typing::Root(Some(&schema));
            prop_assert_eq!(&walk::merge(typing, &live, object), &live);
            let owned = Managers::of(&live).unwrap().fields(&Manager::applier(manager, ""));
            prop_assert_eq!(owned, walk::fields(typing, object).difference(&never_owned()));
        }

        #[test]
        fn a_field_that_nobody_owns_is_a_default(history in history()) {
            let Some(live) = applied(&history) else { return Ok(()) };
            let schema = schema();
            let typing = Typing::Root(Some(&schema));
            let owned = walk::with_parents(typing, &Managers::of(&live).unwrap().all_fields());
            let fields = walk::fields(typing, &without_managers(&live)).difference(&never_owned());
            for path in fields.difference(&owned).paths() {
                let shown = show_path(&path);
                prop_assert!(shown.ends_with(".d") || shown.ends_with(".o") || shown.ends_with(".o.y"), "{}", shown);
            }
        }

        #[test]
        fn an_update_that_changes_nothing_owns_nothing(history in history()) {
            let Some(live) = applied(&history) else { return Ok(()) };
            let mut same = without_managers(&live);
            track_update(Some(&live), &mut same, &change("x", 99), Some(&schema()));
            prop_assert_eq!(same, live);
        }
    }

    #[test]
    fn what_only_the_server_writes_stays_as_it_is() {
        let live = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
            "name": "a", "uid": "u", "resourceVersion": "5", "creationTimestamp": "t"}});
        let applied = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
            "name": "a", "uid": "w", "resourceVersion": "4", "creationTimestamp": null, "generation": 3}});
        let object = apply(Some(&live), &applied, &change("m", 1), false, None).unwrap();
        assert_eq!(object, live);
    }

    #[test]
    fn who_creates_a_pod_does_not_own_what_every_pod_has() {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [
            {"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}});
        track_update(None, &mut pod, &change("m", 1), None);
        assert_eq!(
            pod["metadata"]["managedFields"][0]["fieldsV1"].to_string(),
            r#"{"f:spec":{"f:containers":{"k:{\"name\":\"a\"}":{".":{},"f:name":{},"f:ports":{".":{},"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:protocol":{}}}}}}}"#
        );
    }

    #[test]
    fn containers_of_a_pod_have_owners_of_their_own() {
        let pod = |name: &str, image: &str| {
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [
                {"name": name, "image": image, "ports": [{"containerPort": 80}]}]}})
        };
        let live = apply(None, &pod("a", "1"), &change("m1", 1), false, None).unwrap();
        let live = apply(Some(&live), &pod("b", "2"), &change("m2", 2), false, None).unwrap();
        assert_eq!(live["spec"]["containers"].as_array().unwrap().len(), 2);
        let error = apply(Some(&live), &pod("a", "3"), &change("m2", 3), false, None).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"Apply failed with 1 conflict: conflict with "m1": .spec.containers[name="a"].image"#
        );
    }
}
