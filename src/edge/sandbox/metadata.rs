//! The part that every object has alike: names, labels and what the server writes itself.
//!
//! What is checked here are the rules of `metadata` only, in the words of the real server.

use std::hash::{BuildHasher, RandomState};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::failure::{Cause, quoted};
use super::resource::Resource;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const ANNOTATIONS_LIMIT: usize = 256 * 1024;

/// `metadata` as it can be written to; anything else in its place is replaced.
pub fn of(object: &mut Value) -> &mut Map<String, Value> {
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let fields = object.as_object_mut().expect("it was made an object");
    let metadata = fields
        .entry("metadata")
        .or_insert_with(|| Value::Object(Map::new()));
    if !metadata.is_object() {
        *metadata = Value::Object(Map::new());
    }
    metadata.as_object_mut().expect("it was made an object")
}

/// A text field of `metadata`, empty where there is none.
pub fn text<'v>(object: &'v Value, field: &str) -> &'v str {
    object
        .get("metadata")
        .and_then(|metadata| metadata.get(field))
        .and_then(Value::as_str)
        .unwrap_or("")
}

/// Makes a field of `metadata` what it is in another object, absent where it is absent there.
pub fn copy(target: &mut Value, source: &Value, field: &str) {
    let value = source
        .get("metadata")
        .and_then(|metadata| metadata.get(field));
    let fields = of(target);
    match value {
        Some(value) => {
            fields.insert(field.into(), value.clone());
        }
        None => {
            fields.shift_remove(field);
        }
    }
}

/// Makes a field of an object what it is in another one.
pub fn copy_field(target: &mut Value, source: &Value, field: &str) {
    match (source.get(field), target.as_object_mut()) {
        (Some(value), Some(fields)) => {
            fields.insert(field.into(), value.clone());
        }
        (None, Some(fields)) => {
            fields.shift_remove(field);
        }
        (_, None) => {}
    }
}

pub fn remove_field(object: &mut Value, field: &str) {
    if let Some(fields) = object.as_object_mut() {
        fields.shift_remove(field);
    }
}

pub fn finalizers(object: &Value) -> Vec<&str> {
    object
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array)
        .map(|list| list.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default()
}

pub fn is_being_deleted(object: &Value) -> bool {
    !text(object, "deletionTimestamp").is_empty()
}

/// Whether `metadata` can be read at all; the error says what stands in the way.
pub fn read(object: &Value) -> Result<(), String> {
    match object.get("metadata") {
        None | Some(Value::Null) => Ok(()),
        Some(metadata) => ObjectMeta::deserialize(metadata)
            .map(drop)
            .map_err(|error| format!("json: cannot unmarshal metadata: {error}")),
    }
}

/// The moment as API objects write it, to the second.
pub fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A new random identity (UUID version 4).
pub fn new_uid() -> String {
    let (high, low) = (random(), random());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:x}{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        8 + (low >> 62),
        (low >> 48) & 0xfff,
        low & 0xffff_ffff_ffff,
    )
}

/// Five characters behind a `generateName`, without vowels and look-alikes.
pub fn suffix() -> String {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut rest = random();
    (0..5)
        .map(|_| {
            let letter = LETTERS[(rest % 27) as usize];
            rest /= 27;
            letter as char
        })
        .collect()
}

/// The standard library seeds each of these anew, from the system's randomness.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// What is wrong with name, labels, annotations and owners.
pub fn causes(object: &Value, resource: &Resource) -> Vec<Cause> {
    let mut causes = Vec::new();
    let name = text(object, "name");
    if name.is_empty() {
        causes.push(Cause::required(
            "metadata.name",
            "name or generateName is required",
        ));
    } else if let Some(why) = name_fault(name, resource) {
        causes.push(Cause::invalid("metadata.name", &quoted(name), &why));
    }
    for (key, value) in entries(object, "labels") {
        if let Some(why) = qualified_fault(key) {
            causes.push(Cause::invalid("metadata.labels", &quoted(key), &why));
        }
        if let Some(why) = value.as_str().and_then(label_value_fault) {
            let shown = quoted(value.as_str().unwrap_or_default());
            causes.push(Cause::invalid("metadata.labels", &shown, &why));
        }
    }
    let mut size = 0;
    for (key, value) in entries(object, "annotations") {
        if let Some(why) = qualified_fault(&key.to_lowercase()) {
            causes.push(Cause::invalid("metadata.annotations", &quoted(key), &why));
        }
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > ANNOTATIONS_LIMIT {
        causes.push(Cause {
            reason: "FieldValueTooLong",
            message: format!("Too long: may not be more than {ANNOTATIONS_LIMIT} bytes"),
            field: "metadata.annotations".into(),
        });
    }
    let owners = object
        .pointer("/metadata/ownerReferences")
        .and_then(Value::as_array);
    for (index, owner) in owners.into_iter().flatten().enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            let value = owner.get(field).and_then(Value::as_str).unwrap_or("");
            if value.is_empty() {
                causes.push(Cause::invalid(
                    format!("metadata.ownerReferences[{index}].{field}"),
                    "\"\"",
                    if field == "apiVersion" {
                        "version must not be empty"
                    } else {
                        "must not be empty"
                    },
                ));
            }
        }
    }
    causes
}

/// What an update may not change, and what a deleted object may not gain.
pub fn update_causes(object: &Value, old: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    for field in ["uid", "creationTimestamp"] {
        let (new, kept) = (text(object, field), text(old, field));
        if new != kept {
            causes.push(Cause::invalid(
                format!("metadata.{field}"),
                &quoted(new),
                "field is immutable",
            ));
        }
    }
    if is_being_deleted(old) {
        let before = finalizers(old);
        let added: Vec<String> = finalizers(object)
            .into_iter()
            .filter(|finalizer| !before.contains(finalizer))
            .map(quoted)
            .collect();
        if !added.is_empty() {
            causes.push(Cause::forbidden(
                "metadata.finalizers",
                &format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                    added.join(", ")
                ),
            ));
        }
    }
    causes
}

fn entries<'v>(object: &'v Value, field: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    object
        .get("metadata")
        .and_then(|metadata| metadata.get(field))
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

fn name_fault(name: &str, resource: &Resource) -> Option<String> {
    let is_label =
        resource.custom.is_none() && matches!(resource.plural.as_str(), "namespaces" | "services");
    let (most, words) = if is_label {
        (63, LABEL)
    } else {
        (253, SUBDOMAIN)
    };
    if is_label && name.contains('.') {
        return Some("must not contain dots".into());
    }
    if name.len() > most {
        return Some(format!("must be no more than {most} bytes"));
    }
    (!name.split('.').all(is_dns_label)).then(|| words.to_owned())
}

fn is_dns_label(part: &str) -> bool {
    let is_inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = part.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(&first), Some(&last)) if is_inner(first) && is_inner(last))
        && bytes.iter().all(|&c| is_inner(c) || c == b'-')
}

fn is_word(part: &str) -> bool {
    let bytes = part.as_bytes();
    matches!((bytes.first(), bytes.last()), (Some(first), Some(last)) if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric())
        && bytes
            .iter()
            .all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(c))
}

/// `PREFIX/NAME` or `NAME`, as keys of labels and annotations are.
fn qualified_fault(key: &str) -> Option<String> {
    let name = match key.split_once('/') {
        Some((_, name)) if name.contains('/') => {
            return Some("a valid label key must consist of alphanumeric characters, '-', '_' or '.', with at most one '/'".into());
        }
        Some((prefix, _)) if !prefix.split('.').all(is_dns_label) => {
            return Some(format!("prefix part {SUBDOMAIN}"));
        }
        Some((_, name)) => name,
        None => key,
    };
    if name.is_empty() {
        return Some("name part must be non-empty".into());
    }
    if name.len() > 63 {
        return Some("name part must be no more than 63 bytes".into());
    }
    (!is_word(name)).then(|| QUALIFIED.to_owned())
}

fn label_value_fault(value: &str) -> Option<String> {
    if value.len() > 63 {
        return Some("must be no more than 63 bytes".into());
    }
    (!value.is_empty() && !is_word(value)).then(|| LABEL_VALUE.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::sandbox::resource::Registry;
    use serde_json::json;

    fn fields(object: &Value, plural: &str) -> Vec<String> {
        let registry = Registry::of([]);
        let resource = registry.find("", "v1", plural).unwrap();
        causes(object, resource)
            .into_iter()
            .map(|cause| cause.field)
            .collect()
    }

    #[test]
    fn names_follow_the_rule_of_their_kind() {
        let named = |name: &str| json!({"metadata": {"name": name}});
        assert!(fields(&named("a.b-c"), "pods").is_empty());
        assert_eq!(fields(&named("a.b"), "namespaces"), ["metadata.name"]);
        assert_eq!(fields(&named("A"), "pods"), ["metadata.name"]);
        assert_eq!(fields(&named("-a"), "pods"), ["metadata.name"]);
        assert_eq!(fields(&named("a..b"), "pods"), ["metadata.name"]);
        assert_eq!(fields(&json!({}), "pods"), ["metadata.name"]);
    }

    #[test]
    fn labels_are_checked_in_key_and_value() {
        let labelled =
            |key: &str, value: &str| json!({"metadata": {"name": "a", "labels": {key: value}}});
        assert!(fields(&labelled("app.kubernetes.io/name", "a_B.c"), "pods").is_empty());
        assert!(fields(&labelled("empty", ""), "pods").is_empty());
        assert_eq!(fields(&labelled("a b", "c d"), "pods").len(), 2);
        assert_eq!(fields(&labelled("/x", "y"), "pods").len(), 1);
    }

    #[test]
    fn identities_look_like_uuids_and_differ() {
        let (one, other) = (new_uid(), new_uid());
        assert_eq!(one.len(), 36);
        assert_ne!(one, other);
        assert_eq!(&one[14..15], "4");
        assert_eq!(suffix().len(), 5);
    }
}
