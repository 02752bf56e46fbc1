//! The digest of a document: what `lockstep.dev/applied` and `lockstep.dev/applying` hold.
//!
//! It covers the parsed document without `lockstep.dev/*` annotations, with keys sorted: comments, formatting, key order
//! and the file's name do not change it. It is versioned, so that another way of counting is not taken for a change.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Annotations of this prefix are Lockstep's own: never sent from Git to the cluster, never part of a digest.
pub const OWN_PREFIX: &str = "lockstep.dev/";
/// Digest of the document that was last carried out.
pub const APPLIED: &str = "lockstep.dev/applied";
/// Digest of the document that is being carried out, between the first and the last of several writes.
pub const APPLYING: &str = "lockstep.dev/applying";

const VERSION: &str = "v1";

/// The versioned digest of a parsed document, `v1:` and 64 hexadecimal digits.
pub fn digest(document: &Value) -> String {
    let mut hasher = Sha256::new();
    feed(&mut hasher, &without_own_annotations(document));
    let bytes = hasher.finalize();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{VERSION}:{hex}")
}

/// Whether a digest was made by a version that can be compared with today's.
pub fn is_known(digest: &str) -> bool {
    digest
        .split_once(':')
        .is_some_and(|(version, _)| version == VERSION)
}

/// The document as it is sent and compared: without Lockstep's own annotations, and without what is left empty by that.
pub fn without_own_annotations(document: &Value) -> Value {
    let mut document = document.clone();
    let Some(metadata) = document.get_mut("metadata").and_then(Value::as_object_mut) else {
        return document;
    };
    if let Some(annotations) = metadata
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
    {
        let before = annotations.len();
        annotations.retain(|name, _| !name.starts_with(OWN_PREFIX));
        if annotations.is_empty() && before > 0 {
            metadata.remove("annotations");
        }
    }
    document
}

/// Feeds a value in one unmistakable form: type, length, content; object keys sorted.
fn feed(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Null => hasher.update(b"n"),
        Value::Bool(value) => hasher.update(if *value { b"t" } else { b"f" }),
        Value::Number(number) => sized(hasher, b"i", number.to_string().as_bytes()),
        Value::String(text) => sized(hasher, b"s", text.as_bytes()),
        Value::Array(items) => {
            sized(hasher, b"a", items.len().to_string().as_bytes());
            for item in items {
                feed(hasher, item);
            }
        }
        Value::Object(map) => {
            sized(hasher, b"o", map.len().to_string().as_bytes());
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            for key in keys {
                sized(hasher, b"k", key.as_bytes());
                feed(hasher, &map[key]);
            }
        }
    }
}

fn sized(hasher: &mut Sha256, kind: &[u8], content: &[u8]) {
    hasher.update(kind);
    hasher.update(content.len().to_string().as_bytes());
    hasher.update(b":");
    hasher.update(content);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn key_order_and_own_annotations_do_not_change_the_digest() {
        let plain = json!({"metadata": {"name": "a"}, "spec": {"x": 1, "y": 2}});
        let marked = json!({"spec": {"y": 2, "x": 1}, "metadata": {"annotations": {"lockstep.dev/approve": "z"}, "name": "a"}});
        assert_eq!(digest(&plain), digest(&marked));
    }

    #[test]
    fn a_number_and_its_text_are_different_documents() {
        assert_ne!(
            digest(&json!({"instances": 4})),
            digest(&json!({"instances": "4"}))
        );
    }

    #[test]
    fn a_digest_of_another_version_is_not_compared() {
        assert!(is_known(&digest(&json!({}))));
        assert!(!is_known("v0:abc"));
        assert!(!is_known("abc"));
    }
}
