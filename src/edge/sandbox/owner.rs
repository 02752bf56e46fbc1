//! Who owns which field after a write: what `apply` has to know of a request, and its refusals as answers.

use serde_json::{Value, json};

use super::apply::{ApplyError, Change, apply, track_update};
use super::builtin;
use super::failure::{Cause, Failure};
use super::fields::{Element, FieldSet};
use super::metadata;
use super::resource::Resource;

/// Who writes, and through which subresource (empty for the object itself).
#[derive(Debug, Clone, Copy)]
pub struct Author<'a> {
    pub manager: &'a str,
    pub subresource: &'a str,
}

/// Records the owners of what a create, update or patch changed.
pub fn updated(resource: &Resource, old: Option<&Value>, object: &mut Value, author: Author<'_>) {
    let schema = resource.custom.as_ref().map(|custom| &custom.schema);
    track_update(old, object, &change(resource, author), schema);
}

/// The object with a configuration applied, and its new owners.
pub fn applied(
    resource: &Resource,
    live: Option<&Value>,
    applied: &Value,
    author: Author<'_>,
    is_forced: bool,
) -> Result<Value, Failure> {
    let schema = resource.custom.as_ref().map(|custom| &custom.schema);
    let change = change(resource, author);
    if resource.custom.is_none() {
        check_builtin(resource, applied)?;
    }
    apply(live, applied, &change, is_forced, schema)
        .map_err(|error| refusal(resource, applied, error))
}

/// `apply` knows the lists of the built-in kinds, not their fields.
fn check_builtin(resource: &Resource, applied: &Value) -> Result<(), Failure> {
    let problem = match builtin::prune(resource, &mut applied.clone()) {
        Err(why) => why,
        Ok(unknown) => match unknown.first() {
            None => return Ok(()),
            Some(path) => format!(".{path}: field not declared in schema"),
        },
    };
    Err(Failure::unexplained(format!(
        "failed to create typed patch object ({}/{}; {}, Kind={}): {problem}",
        metadata::text(applied, "namespace"),
        metadata::text(applied, "name"),
        if resource.kind.group.is_empty() {
            format!("/{}", resource.kind.version)
        } else {
            resource.kind.api_version()
        },
        resource.kind.kind,
    )))
}

fn change(resource: &Resource, author: Author<'_>) -> Change {
    let mut ignored = FieldSet::default();
    match author.subresource {
        "" if resource.has_status => ignored.insert(&[Element::field("status")]),
        "status" => ignored.insert(&[Element::field("spec")]),
        _ => {}
    }
    Change {
        manager: author.manager.to_owned(),
        subresource: author.subresource.to_owned(),
        api_version: resource.kind.api_version(),
        now: (author.subresource != "scale").then(metadata::now),
        ignored,
    }
}

fn refusal(resource: &Resource, applied: &Value, error: ApplyError) -> Failure {
    let message = error.to_string();
    match error {
        ApplyError::ManagedFieldsGiven => Failure::bad_request(message),
        ApplyError::NotTyped { .. } => Failure::unexplained(message),
        ApplyError::Conflict(conflicts) => Failure {
            code: 409,
            reason: "Conflict".into(),
            message,
            details: Some(Box::new(json!({
                "causes": conflicts.iter().map(super::apply::Conflict::cause).collect::<Vec<_>>(),
            }))),
        },
        ApplyError::Invalid(violations) => {
            let causes: Vec<Cause> = violations.iter().map(Cause::from).collect();
            Failure::invalid(&resource.kind, metadata::text(applied, "name"), &causes)
        }
    }
}
