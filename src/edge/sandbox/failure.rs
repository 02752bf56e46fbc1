//! What the sandbox answers when it does not do what was asked: a `Status` object in the words of a kube-apiserver.
//!
//! Every message here was compared with the real server's, since people search for them and clients read their reasons.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::admission::Refusal;
use crate::model::key::Kind;
use crate::model::schema::violation::Violation;

/// How a kind is called in messages about an object that is there or not: `sgclusters.stackgres.io`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named<'a> {
    pub group: &'a str,
    pub plural: &'a str,
}

impl Named<'_> {
    fn qualified(&self) -> String {
        qualified(self.plural, self.group)
    }
}

/// `PLURAL.GROUP`, or the plural alone in the core group.
pub fn qualified(word: &str, group: &str) -> String {
    if group.is_empty() {
        word.to_owned()
    } else {
        format!("{word}.{group}")
    }
}

/// One field that a write may not have as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// For example `FieldValueInvalid`.
    pub reason: &'static str,
    /// Without the field, for example `Required value`.
    pub message: String,
    pub field: String,
}

impl Cause {
    pub fn invalid(field: impl Into<String>, shown: &str, why: &str) -> Self {
        Self {
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {shown}: {why}"),
            field: field.into(),
        }
    }

    pub fn required(field: impl Into<String>, why: &str) -> Self {
        let message = if why.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {why}")
        };
        Self {
            reason: "FieldValueRequired",
            message,
            field: field.into(),
        }
    }

    pub fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self {
            reason: "FieldValueForbidden",
            message: format!("Forbidden: {why}"),
            field: field.into(),
        }
    }

    pub fn unsupported(field: impl Into<String>, shown: &str, supported: &str) -> Self {
        Self {
            reason: "FieldValueNotSupported",
            message: format!("Unsupported value: {shown}: supported values: {supported}"),
            field: field.into(),
        }
    }
}

impl From<&Violation> for Cause {
    fn from(violation: &Violation) -> Self {
        Self {
            reason: violation.reason(),
            message: violation.message(),
            field: violation.field(),
        }
    }
}

/// An answer other than success.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub code: u16,
    /// Empty where the real server gives none.
    pub reason: Cow<'static, str>,
    pub message: String,
    pub details: Option<Box<Value>>,
}

impl Failure {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
            message: message.into(),
            details: None,
        }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// The real server has no reason for what it calls an internal error of a request's making.
    pub fn unexplained(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalError", message)
    }

    pub fn not_found(named: &Named<'_>, name: &str) -> Self {
        Self {
            details: boxed(details(name, named.group, named.plural)),
            ..Self::new(
                404,
                "NotFound",
                format!("{} \"{name}\" not found", named.qualified()),
            )
        }
    }

    /// A path under a known group that stands for nothing.
    pub fn no_such_resource() -> Self {
        Self {
            details: boxed(json!({})),
            ..Self::new(
                404,
                "NotFound",
                "the server could not find the requested resource",
            )
        }
    }

    pub fn already_exists(named: &Named<'_>, name: &str) -> Self {
        Self {
            details: boxed(details(name, named.group, named.plural)),
            ..Self::new(
                409,
                "AlreadyExists",
                format!("{} \"{name}\" already exists", named.qualified()),
            )
        }
    }

    pub fn conflict(named: &Named<'_>, name: &str, why: &str) -> Self {
        Self {
            details: boxed(details(name, named.group, named.plural)),
            ..Self::new(
                409,
                "Conflict",
                format!(
                    "Operation cannot be fulfilled on {} \"{name}\": {why}",
                    named.qualified()
                ),
            )
        }
    }

    /// The object was written since the version that the request names.
    pub fn modified(named: &Named<'_>, name: &str) -> Self {
        Self::conflict(
            named,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    pub fn forbidden(named: &Named<'_>, name: &str, why: &str) -> Self {
        Self {
            details: boxed(details(name, named.group, named.plural)),
            ..Self::new(
                403,
                "Forbidden",
                format!("{} \"{name}\" is forbidden: {why}", named.qualified()),
            )
        }
    }

    /// The namespace takes nothing new.
    pub fn terminating(named: &Named<'_>, name: &str, namespace: &str) -> Self {
        let mut failure = Self::forbidden(
            named,
            name,
            &format!(
                "unable to create new content in namespace {namespace} because it is being terminated"
            ),
        );
        if let Some(Value::Object(details)) = failure.details.as_deref_mut() {
            details.insert(
                "causes".into(),
                json!([{
                    "reason": "NamespaceTerminating",
                    "message": format!("namespace {namespace} is being terminated"),
                    "field": "metadata.namespace",
                }]),
            );
        }
        failure
    }

    /// `causes` in the order found; the message lists them as the real server does.
    pub fn invalid(kind: &Kind, name: &str, causes: &[Cause]) -> Self {
        let found: Vec<String> = causes
            .iter()
            .map(|cause| format!("{}: {}", cause.field, cause.message))
            .collect();
        let list = match found.as_slice() {
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        let mut details = details(name, &kind.group, &kind.kind);
        details["causes"] = causes
            .iter()
            .map(|cause| {
                json!({"reason": cause.reason, "message": cause.message, "field": cause.field})
            })
            .collect();
        Self {
            details: boxed(details),
            ..Self::new(
                422,
                "Invalid",
                format!(
                    "{} \"{name}\" is invalid: {list}",
                    qualified(&kind.kind, &kind.group)
                ),
            )
        }
    }

    /// A query parameter that is not as it has to be; `options` is for example `ListOptions`.
    pub fn invalid_options(options: &str, causes: &[Cause]) -> Self {
        Self::invalid(
            &Kind {
                group: "meta.k8s.io".into(),
                version: String::new(),
                kind: options.into(),
            },
            "",
            causes,
        )
    }

    /// A JSON patch that does not fit the object.
    pub fn patch_does_not_apply() -> Self {
        Self {
            details: boxed(json!({})),
            ..Self::new(
                422,
                "Invalid",
                "the server rejected our request due to an error in our request",
            )
        }
    }

    pub fn not_allowed(named: &Named<'_>, verb: &str) -> Self {
        Self {
            details: boxed(details("", named.group, named.plural)),
            ..Self::new(
                405,
                "MethodNotAllowed",
                format!(
                    "{verb} is not supported on resources of kind \"{}\"",
                    named.qualified()
                ),
            )
        }
    }

    pub fn not_acceptable(message: impl Into<String>) -> Self {
        Self::new(406, "NotAcceptable", message)
    }

    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        Self::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {}",
                accepted.join(", ")
            ),
        )
    }

    pub fn too_large(limit: usize) -> Self {
        Self::new(
            413,
            "RequestEntityTooLarge",
            format!("Request entity too large: limit is {limit}"),
        )
    }

    /// A version that is no longer remembered.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// A version that does not exist yet.
    pub fn version_too_large(asked: u64, current: u64) -> Self {
        Self {
            details: boxed(json!({
                "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                "retryAfterSeconds": 1,
            })),
            ..Self::new(
                504,
                "Timeout",
                format!("Timeout: Too large resource version: {asked}, current: {current}"),
            )
        }
    }

    /// The `Status` object that stands for this.
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.as_ref().into();
        }
        if let Some(details) = &self.details {
            status["details"] = (**details).clone();
        }
        status["code"] = self.code.into();
        status
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self {
            code: refusal.code,
            reason: refusal.reason.into(),
            message: refusal.message,
            details: None,
        }
    }
}

fn boxed(details: Value) -> Option<Box<Value>> {
    Some(Box::new(details))
}

fn details(name: &str, group: &str, kind: &str) -> Value {
    let mut details = Map::new();
    for (key, value) in [("name", name), ("group", group), ("kind", kind)] {
        if !value.is_empty() {
            details.insert(key.into(), value.into());
        }
    }
    Value::Object(details)
}

/// A string as Go's `%q` shows it, near enough for what stands in messages.
pub fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_cause_stands_alone_and_several_in_brackets() {
        let kind = Kind::from_api_version("stackgres.io/v1", "SGCluster");
        let one = Cause::required("spec.instances", "");
        let two = Cause::invalid("spec.pods", "\"x\"", "no");
        let alone = Failure::invalid(&kind, "a", std::slice::from_ref(&one));
        assert_eq!(
            alone.message,
            "SGCluster.stackgres.io \"a\" is invalid: spec.instances: Required value"
        );
        let both = Failure::invalid(&kind, "a", &[one, two]);
        assert_eq!(
            both.message,
            "SGCluster.stackgres.io \"a\" is invalid: [spec.instances: Required value, spec.pods: Invalid value: \"x\": no]"
        );
        assert_eq!(both.status()["details"]["causes"][1]["field"], "spec.pods");
    }

    #[test]
    fn the_core_group_has_no_name_in_messages() {
        let named = Named {
            group: "",
            plural: "namespaces",
        };
        assert_eq!(
            Failure::not_found(&named, "a").status(),
            serde_json::json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "namespaces \"a\" not found", "reason": "NotFound",
                "details": {"name": "a", "kind": "namespaces"}, "code": 404,
            })
        );
    }
}
