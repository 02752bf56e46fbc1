//! What an object's envelope may say: labels and annotations that are text, nothing that only the server writes.

use serde_json::Value;

use super::object::Object;
use crate::decide::approval::{APPROVE, APPROVED};
use crate::decide::digest::{APPLIED, APPLYING, OWN_PREFIX};
use crate::model::field::FieldPath;
use crate::model::finding::Finding;
use crate::model::spelling::nearest;

/// Written by the API server; an apply that carries one is refused, or fights it.
const SERVER_FIELDS: [&str; 8] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

pub fn check(object: &mut Object<'_>) {
    let help = "remove it; `kubectl get -o yaml` prints it, and Git is not its place";
    for field in SERVER_FIELDS {
        let path = FieldPath::of(["metadata", field]);
        if object.find(&path).is_some() {
            let message = format!("metadata.{field} is written by the API server");
            object.at_key(path, Finding::error("server-field", message).help(help));
        }
    }
    let status = FieldPath::of(["status"]);
    if object.find(&status).is_some() {
        let message = "status is written by the operator";
        object.at_key(status, Finding::error("server-field", message).help(help));
    }
    for section in ["labels", "annotations"] {
        let path = FieldPath::of(["metadata", section]);
        match object.find(&path) {
            None => {}
            Some(Value::Object(entries)) => {
                for (key, value) in entries.iter().filter(|(_, value)| !value.is_string()) {
                    let here = path.key(key);
                    let message = format!("{here} is {value}, and has to be text");
                    let help = format!("quote it: '{value}'");
                    object.at_value(here, Finding::error("wrong-type", message).help(help));
                }
            }
            Some(_) => {
                let message = format!("metadata.{section} has to be a mapping");
                object.at_value(path, Finding::error("wrong-type", message));
            }
        }
    }
    own_annotations(object);
}

/// Of Lockstep's own annotations a manifest may carry one, the approval; the others are records on the live object.
fn own_annotations(object: &mut Object<'_>) {
    let annotations = FieldPath::of(["metadata", "annotations"]);
    let names: Vec<String> = object
        .find(&annotations)
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(|map| map.keys())
        .filter(|name| name.starts_with(OWN_PREFIX) && *name != APPROVE)
        .cloned()
        .collect();
    for name in names {
        let is_record = [APPLIED, APPLYING, APPROVED].contains(&name.as_str());
        let finding = if is_record {
            let message = format!("{name} is Lockstep's own record and is left out");
            Finding::warning("own-annotation", message).help("remove it")
        } else {
            let message = format!("{name} is no annotation that Lockstep reads");
            Finding::warning("own-annotation", message).help(match nearest(&name, [APPROVE]) {
                Some(name) => format!("write {name}, or remove it"),
                None => "remove it".into(),
            })
        };
        object.at_key(annotations.key(&name), finding);
    }
}
