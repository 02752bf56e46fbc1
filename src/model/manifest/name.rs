//! What the API server or the operator would refuse of an object's name and namespace.

use serde_json::Value;

use crate::model::carried::Carried;
use crate::model::field::FieldPath;
use crate::model::finding::Finding;
use crate::model::key::Key;

/// The longest name of an SGCluster: Pods, Services and Endpoints are named after it (`domain.md` §1.1).
const LONGEST_CLUSTER_NAME: usize = 44;

/// What the API server or the operator would refuse of a name, at `field`.
pub fn check(carried: Carried, key: &Key, value: Option<&Value>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut refuse = |field: &str, message: String, help: &str| {
        findings.push(
            Finding::error("invalid-name", message)
                .on(FieldPath::of(["metadata", field]))
                .help(help),
        );
    };
    for field in ["name", "namespace"] {
        let found = value.and_then(|value| value.get("metadata")?.get(field));
        if found.is_some_and(|value| !value.is_string()) {
            refuse(field, format!("metadata.{field} is not text"), "quote it");
        }
    }
    let (name, namespace) = (key.name.as_str(), key.namespace.as_str());
    let word = carried.word();
    let is_name_of = |text: &str, others: &[u8]| {
        let inner =
            |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || others.contains(byte);
        let edge = |byte: Option<&u8>| {
            byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        let bytes = text.as_bytes();
        edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(inner)
    };
    if !is_name_of(namespace, b"-") || namespace.len() > 63 {
        refuse(
            "namespace",
            format!("`{namespace}` is no name of a namespace"),
            "use at most 63 lower-case letters, digits and `-`, a letter or digit first and last",
        );
    }
    if carried == Carried::Cluster {
        let length = name.chars().count();
        if length > LONGEST_CLUSTER_NAME {
            refuse(
                "name",
                format!(
                    "the name of {word} `{name}` has {length} characters; {LONGEST_CLUSTER_NAME} are allowed"
                ),
                "shorten it: Pods and Services are named after it",
            );
        }
        if !is_name_of(name, b"-") || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
            refuse(
                "name",
                format!("`{name}` is no name of an {word}"),
                "use lower-case letters, digits and `-`, a letter first and no `-` last",
            );
        }
    } else if !is_name_of(name, b"-.") || name.len() > 253 {
        refuse(
            "name",
            format!("`{name}` is no name of an {word}"),
            "use at most 253 lower-case letters, digits, `-` and `.`, a letter or digit first and last",
        );
    }
    findings
}
