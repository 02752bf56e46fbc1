//! What an object's envelope may say: labels and annotations that are text, nothing that only the server writes.

use serde_json::Value;

use super::object::Object;
use crate::decide::digest::{APPLIED, APPLYING};
use crate::model::field::FieldPath;
use crate::model::finding::Finding;

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
    for name in [APPLIED, APPLYING] {
        let path = FieldPath::of(["metadata", "annotations", name]);
        if object.find(&path).is_some() {
            let message = format!("{name} is Lockstep's own record and is left out");
            object.at_key(
                path,
                Finding::warning("own-annotation", message).help("remove it"),
            );
        }
    }
}
