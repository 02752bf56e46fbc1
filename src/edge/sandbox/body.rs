//! Reading the object that a request carries: its encoding, its type, its name, and fields that do not exist.
//!
//! What is wrong here is wrong before anything stored is looked at.

use serde_json::Value;

use super::builtin;
use super::failure::{Cause, Failure, quoted};
use super::json;
use super::metadata;
use super::patch::{go_words, type_word};
use super::protobuf;
use super::resource::Resource;
use crate::model::key::{Key, Kind};

/// `fieldValidation`: what becomes of fields that the kind does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// An object as it came, and which of its fields were there twice.
#[derive(Debug, Clone, PartialEq)]
pub struct Body {
    pub object: Value,
    pub duplicates: Vec<String>,
}

const ACCEPTED: [&str; 3] = ["application/json", "application/yaml", protobuf::MEDIA_TYPE];

/// Decodes a whole object; without a media type it is taken to be JSON.
pub fn decode(bytes: &[u8], media_type: &str, resource: &Resource) -> Result<Body, Failure> {
    let kind = &resource.kind.kind;
    let unrecognized = |why: String| {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(30)]).into_owned();
        let dots = if bytes.len() > 30 { " ..." } else { "" };
        Failure::bad_request(format!(
            "the object provided is unrecognized (must be of type {kind}): {why} ({shown}{dots})"
        ))
    };
    let (mut object, duplicates) = match media_type {
        "" | "application/json" => json::read(bytes).map_err(|error| {
            unrecognized(format!(
                "couldn't get version/kind; json parse error: {}",
                go_words(&error)
            ))
        })?,
        "application/yaml" => (yaml(bytes)?, Vec::new()),
        protobuf::MEDIA_TYPE => {
            let object =
                protobuf::read(bytes).ok_or_else(|| Failure::unsupported_media_type(&ACCEPTED))?;
            (object, Vec::new())
        }
        _ => return Err(Failure::unsupported_media_type(&ACCEPTED)),
    };
    if !object.is_object() {
        return Err(unrecognized(format!(
            "couldn't get version/kind; json parse error: json: cannot unmarshal {} into Go value",
            type_word(&object)
        )));
    }
    // A typed decoder knows what it expects; an unstructured one has to be told.
    for (field, value) in [
        ("kind", kind.clone()),
        ("apiVersion", resource.kind.api_version()),
    ] {
        let is_missing = object[field].as_str().is_none_or(str::is_empty);
        if is_missing && resource.custom.is_none() {
            object[field] = value.into();
        } else if is_missing {
            let word = if field == "kind" {
                "Kind"
            } else {
                "apiVersion"
            };
            return Err(unrecognized(format!(
                "Object '{word}' is missing in '{}'",
                String::from_utf8_lossy(bytes)
            )));
        }
    }
    Ok(Body { object, duplicates })
}

/// YAML as JSON; one document.
pub fn yaml(bytes: &[u8]) -> Result<Value, Failure> {
    serde_yaml::from_slice(bytes).map_err(|error| {
        Failure::bad_request(format!(
            "error decoding YAML: error converting YAML to JSON: yaml: {error}"
        ))
    })
}

/// Whether the object is of the kind that the path speaks of.
pub fn check_kind(object: &Value, resource: &Resource) -> Result<(), Failure> {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or("");
    let found = Kind::from_api_version(text("apiVersion"), text("kind"));
    let expected = &resource.kind;
    if (&found.group, &found.version) != (&expected.group, &expected.version) {
        return Err(Failure::bad_request(format!(
            "the API version in the data ({}) does not match the expected API version ({})",
            found.api_version(),
            expected.api_version()
        )));
    }
    if found.kind == expected.kind {
        return Ok(());
    }
    if resource.custom.is_none() {
        return Err(Failure::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}",
            found.kind, found.version, expected.kind
        )));
    }
    let cause = Cause::invalid(
        "kind",
        &quoted(&found.kind),
        &format!("must be {}", expected.kind),
    );
    Err(Failure::invalid(
        &found,
        metadata::text(object, "name"),
        &[cause],
    ))
}

/// Sets the namespace of the path, and refuses another one.
pub fn settle_namespace(
    object: &mut Value,
    resource: &Resource,
    namespace: &str,
) -> Result<(), Failure> {
    let given = metadata::text(object, "namespace");
    if !given.is_empty() && given != namespace {
        return Err(other_namespace());
    }
    let fields = metadata::of(object);
    if resource.is_namespaced {
        fields.insert("namespace".into(), namespace.into());
    } else {
        fields.remove("namespace");
    }
    Ok(())
}

pub fn other_namespace() -> Failure {
    Failure::bad_request(
        "the namespace of the provided object does not match the namespace sent on the request",
    )
}

/// The name of the path and the name in the object have to be the same.
pub fn check_name(object: &Value, key: &Key) -> Result<(), Failure> {
    let given = metadata::text(object, "name");
    if given.is_empty() {
        return Err(Failure::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            key.name
        )));
    }
    if given != key.name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({given}) does not match the name on the URL ({})",
            key.name
        )));
    }
    Ok(())
}

/// Why an object does not go through the decoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// A value of a type that cannot be read.
    Unreadable(String),
    /// Strict validation found these.
    NotStrict(Vec<String>),
}

impl Shape {
    /// For an object that came whole.
    pub fn of_body(self, resource: &Resource) -> Failure {
        Failure::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {kind}: {why}",
            kind = resource.kind.kind,
            version = resource.kind.version,
            why = self.words(),
        ))
    }

    /// For an object that a patch led to.
    pub fn of_patch(self, patched: &Value) -> Failure {
        let cause = Cause::invalid("patch", &quoted(&patched.to_string()), &self.words());
        let nameless = Kind {
            group: String::new(),
            version: String::new(),
            kind: String::new(),
        };
        Failure::invalid(&nameless, "", &[cause])
    }

    fn words(self) -> String {
        match self {
            Self::Unreadable(why) => why,
            Self::NotStrict(found) => format!("strict decoding error: {}", found.join(", ")),
        }
    }
}

/// Drops the fields that the kind does not have. Gives back the warnings to send along.
pub fn shape(
    object: &mut Value,
    duplicates: &[String],
    resource: &Resource,
    validation: FieldValidation,
) -> Result<Vec<String>, Shape> {
    metadata::read(object).map_err(Shape::Unreadable)?;
    let unknown: Vec<String> = match &resource.custom {
        None => builtin::prune(resource, object).map_err(Shape::Unreadable)?,
        Some(custom) => custom
            .schema
            .prune(object)
            .iter()
            .map(ToString::to_string)
            .collect(),
    };
    let found: Vec<String> = duplicates
        .iter()
        .map(|path| format!("duplicate field \"{path}\""))
        .chain(
            unknown
                .iter()
                .map(|path| format!("unknown field \"{path}\"")),
        )
        .collect();
    match validation {
        FieldValidation::Ignore => Ok(Vec::new()),
        FieldValidation::Warn => Ok(found),
        FieldValidation::Strict if found.is_empty() => Ok(found),
        FieldValidation::Strict => Err(Shape::NotStrict(found)),
    }
}
