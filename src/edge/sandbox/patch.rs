//! The three kinds of patch that carry a difference: JSON patch, JSON merge patch, and strategic merge patch.
//!
//! Strategic merging knows the merge keys of the lists that built-in kinds have; a list without one is replaced, as is
//! everything the table does not name. Server-side apply is no difference and is elsewhere.

use serde_json::{Map, Value};

use super::failure::Failure;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchKind {
    Json,
    Merge,
    Strategic,
    Apply,
}

pub const JSON: &str = "application/json-patch+json";
pub const MERGE: &str = "application/merge-patch+json";
pub const STRATEGIC: &str = "application/strategic-merge-patch+json";
pub const APPLY: &str = "application/apply-patch+yaml";

/// The most operations one JSON patch may have, as in the real server.
const MOST_OPERATIONS: usize = 10_000;

impl PatchKind {
    /// By the media type of the request; custom resources have no strategic merge.
    pub fn read(media_type: &str, is_custom: bool) -> Result<Self, Failure> {
        match media_type {
            JSON => Ok(Self::Json),
            MERGE => Ok(Self::Merge),
            STRATEGIC if !is_custom => Ok(Self::Strategic),
            APPLY => Ok(Self::Apply),
            _ if is_custom => Err(Failure::unsupported_media_type(&[JSON, MERGE, APPLY])),
            _ => Err(Failure::unsupported_media_type(&[
                JSON, MERGE, STRATEGIC, APPLY,
            ])),
        }
    }
}

/// The object with the patch carried out. `Apply` is not carried out here.
pub fn patched(kind: PatchKind, patch: &[u8], object: &Value) -> Result<Value, Failure> {
    let undecoded = |why: String| Failure::bad_request(format!("error decoding patch: {why}"));
    let patch: Value =
        serde_json::from_slice(patch).map_err(|error| undecoded(go_words(&error)))?;
    let mut result = object.clone();
    match kind {
        PatchKind::Json => {
            let Value::Array(operations) = &patch else {
                return Err(undecoded(format!(
                    "json: cannot unmarshal {} into Go value of type []handlers.jsonPatchOp",
                    type_word(&patch)
                )));
            };
            if operations.len() > MOST_OPERATIONS {
                return Err(Failure::too_large(MOST_OPERATIONS));
            }
            let operations: json_patch::Patch =
                serde_json::from_value(patch).map_err(|_| Failure::patch_does_not_apply())?;
            json_patch::patch(&mut result, &operations)
                .map_err(|_| Failure::patch_does_not_apply())?;
        }
        PatchKind::Merge | PatchKind::Strategic | PatchKind::Apply => {
            if !patch.is_object() {
                return Err(undecoded(format!(
                    "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
                    type_word(&patch)
                )));
            }
            if kind == PatchKind::Strategic {
                merge_strategic(&mut result, &patch, "");
            } else {
                json_patch::merge(&mut result, &patch);
            }
        }
    }
    Ok(result)
}

/// What Go's decoder says of the same mistake, where it is the common one.
pub fn go_words(error: &serde_json::Error) -> String {
    if error.is_eof() {
        "unexpected end of JSON input".into()
    } else {
        error.to_string()
    }
}

pub fn type_word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The key by which entries of a list are told apart, by the last part of its path. Taken from the Kubernetes API
/// reference ("patch merge key").
fn merge_key(path: &str) -> Option<&'static str> {
    let (parent, field) = path.rsplit_once('.').unwrap_or(("", path));
    let parent = parent.rsplit('.').next().unwrap_or("");
    match field {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets" => Some("name"),
        "conditions" => Some("type"),
        "ports" if parent.starts_with("containers") || parent.starts_with("initContainers") => {
            Some("containerPort")
        }
        "ports" if parent == "spec" => Some("port"),
        "volumeMounts" => Some("mountPath"),
        "volumeDevices" => Some("devicePath"),
        "hostAliases" | "podIPs" | "hostIPs" => Some("ip"),
        "topologySpreadConstraints" => Some("topologyKey"),
        "ownerReferences" => Some("uid"),
        _ => None,
    }
}

/// Lists of plain values that are joined instead of replaced.
fn is_merged_set(path: &str) -> bool {
    path == "metadata.finalizers"
}

fn merge_strategic(target: &mut Value, patch: &Value, path: &str) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if patch.get("$patch").and_then(Value::as_str) == Some("replace") {
        *target = Value::Object(without_directives(patch));
        return;
    }
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(fields) = target.as_object_mut() else {
        return;
    };
    if patch.get("$patch").and_then(Value::as_str) == Some("delete") {
        fields.clear();
        return;
    }
    if let Some(kept) = patch.get("$retainKeys").and_then(Value::as_array) {
        fields.retain(|key, _| kept.iter().any(|kept| kept.as_str() == Some(key)));
    }
    for (key, value) in patch {
        let inner = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        if let Some(field) = key.strip_prefix("$deleteFromPrimitiveList/") {
            if let (Some(Value::Array(list)), Value::Array(gone)) = (fields.get_mut(field), value) {
                list.retain(|entry| !gone.contains(entry));
            }
            continue;
        }
        if key.starts_with('$') {
            continue;
        }
        if value.is_null() {
            fields.remove(key);
            continue;
        }
        match (fields.get_mut(key), value) {
            (Some(Value::Array(list)), Value::Array(entries)) => {
                merge_list(list, entries, &inner);
            }
            (_, Value::Array(entries)) => {
                let mut list = Vec::new();
                merge_list(&mut list, entries, &inner);
                fields.insert(key.clone(), Value::Array(list));
            }
            (Some(field), Value::Object(_)) => merge_strategic(field, value, &inner),
            (None, Value::Object(_)) => {
                let mut field = Value::Object(Map::new());
                merge_strategic(&mut field, value, &inner);
                fields.insert(key.clone(), field);
            }
            _ => {
                fields.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Entries of the patch come first where they are new, as in the real server.
fn merge_list(list: &mut Vec<Value>, entries: &[Value], path: &str) {
    if is_merged_set(path) {
        for entry in entries {
            if !list.contains(entry) {
                list.push(entry.clone());
            }
        }
        return;
    }
    let Some(merge_key) = merge_key(path) else {
        *list = entries.to_vec();
        return;
    };
    let directive = |entry: &Value| {
        entry
            .get("$patch")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    if entries
        .iter()
        .any(|entry| directive(entry).as_deref() == Some("replace"))
    {
        *list = entries
            .iter()
            .filter(|entry| directive(entry).is_none())
            .cloned()
            .collect();
        return;
    }
    let mut added = Vec::new();
    for entry in entries {
        let key = entry.get(merge_key);
        let found = list
            .iter()
            .position(|existing| key.is_some() && existing.get(merge_key) == key);
        match (directive(entry).as_deref(), found) {
            (Some("delete"), Some(at)) => {
                list.remove(at);
            }
            (Some("delete"), None) => {}
            (_, Some(at)) => merge_strategic(&mut list[at], entry, path),
            (_, None) => {
                let mut fresh = Value::Object(Map::new());
                merge_strategic(&mut fresh, entry, path);
                added.push(fresh);
            }
        }
    }
    added.append(list);
    *list = added;
}

fn without_directives(patch: &Map<String, Value>) -> Map<String, Value> {
    patch
        .iter()
        .filter(|(key, _)| !key.starts_with('$'))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn apply(kind: PatchKind, patch: &Value, object: &Value) -> Value {
        patched(kind, patch.to_string().as_bytes(), object).unwrap()
    }

    #[test]
    fn conditions_and_containers_are_joined_by_their_keys() {
        let pod = json!({
            "metadata": {"finalizers": ["a"]},
            "spec": {"containers": [{"name": "c", "image": "one", "args": ["x"]}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]},
        });
        let patch = json!({
            "metadata": {"finalizers": ["b"]},
            "spec": {"containers": [{"name": "c", "image": "two", "args": ["y"]}]},
            "status": {"conditions": [{"type": "Other", "status": "True"}]},
        });
        assert_eq!(
            apply(PatchKind::Strategic, &patch, &pod),
            json!({
                "metadata": {"finalizers": ["a", "b"]},
                "spec": {"containers": [{"name": "c", "image": "two", "args": ["y"]}]},
                "status": {"conditions": [{"type": "Other", "status": "True"}, {"type": "Ready", "status": "True"}]},
            })
        );
    }

    #[test]
    fn directives_delete_replace_and_retain() {
        let object =
            json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}], "s": {"x": 1, "y": 2}}});
        let delete = json!({"spec": {"containers": [{"name": "a", "$patch": "delete"}]}});
        assert_eq!(
            apply(PatchKind::Strategic, &delete, &object)["spec"]["containers"],
            json!([{"name": "b"}])
        );
        let replace = json!({"spec": {"s": {"$patch": "replace", "z": 3}}});
        assert_eq!(
            apply(PatchKind::Strategic, &replace, &object)["spec"]["s"],
            json!({"z": 3})
        );
        let retain = json!({"spec": {"s": {"$retainKeys": ["x"], "x": 5}}});
        assert_eq!(
            apply(PatchKind::Strategic, &retain, &object)["spec"]["s"],
            json!({"x": 5})
        );
    }

    #[test]
    fn annotations_are_merged_and_null_removes() {
        let object = json!({"metadata": {"annotations": {"a": "1", "b": "2"}}});
        let patch = json!({"metadata": {"annotations": {"a": null, "c": "3"}}});
        for kind in [PatchKind::Merge, PatchKind::Strategic] {
            assert_eq!(
                apply(kind, &patch, &object),
                json!({"metadata": {"annotations": {"b": "2", "c": "3"}}})
            );
        }
    }

    #[test]
    fn a_patch_of_the_wrong_shape_is_named_so() {
        let wrong = |kind, text: &str| patched(kind, text.as_bytes(), &json!({})).unwrap_err();
        assert_eq!(
            wrong(PatchKind::Merge, "[]").message,
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"
        );
        assert_eq!(
            wrong(PatchKind::Merge, "{\"spec\":").message,
            "error decoding patch: unexpected end of JSON input"
        );
        assert_eq!(
            wrong(PatchKind::Json, r#"[{"op":"remove","path":"/x"}]"#).code,
            422
        );
    }
}
