//! Fields and values against the schema of the kind: unknown, removed, missing, of the wrong type or out of range.
//!
//! The API server would refuse the same, in words for machines and without a line. Only the schema decides what is
//! there; `model::crd` knows where a field went.

use serde_json::Value;

use super::MOST_FINDINGS;
use super::object::Object;
use crate::model::carried::Carried;
use crate::model::crd::{self, FORMER_FIELDS, Fate, Former};
use crate::model::field::{FieldPath, Segment};
use crate::model::finding::Finding;
use crate::model::schema::violation::{Violation, ViolationKind};
use crate::model::schema::{METADATA_FIELDS, Schema, Type};
use crate::model::spelling::nearest;

pub fn check(object: &mut Object<'_>, kind: Carried, schema: &Schema) {
    let unknown_fields = schema.unknown_fields(&object.document.value);
    for path in unknown_fields.into_iter().take(MOST_FINDINGS + 1) {
        unknown(object, kind, schema, path);
    }
    for former in FORMER_FIELDS
        .iter()
        .filter(|former| former.kind == kind.word())
    {
        let path = Object::path(former.field);
        if object.find(&path).is_some() && schema.at(&path).is_some() {
            deprecated(object, path, former);
        }
    }
    let violations = schema.violations(&object.document.value);
    for violation in violations.into_iter().take(MOST_FINDINGS + 1) {
        refuse(object, violation);
    }
}

fn unknown(object: &mut Object<'_>, kind: Carried, schema: &Schema, path: FieldPath) {
    if let Some(former) = crd::former(kind.word(), &path)
        && let Fate::Removed { since } = former.fate
    {
        let message = format!("{path} is no longer a field: it is gone since StackGres {since}");
        let finding = Finding::error("removed-field", message);
        object.at_key(path, instead(finding, former));
        return;
    }
    let Some(Segment::Key(name)) = path.0.last() else {
        return;
    };
    let parent = path.parent().unwrap_or_default();
    let is_metadata = parent == FieldPath::of(["metadata"]);
    let siblings: Vec<&str> = match schema.at(&parent) {
        _ if is_metadata => METADATA_FIELDS.to_vec(),
        Some(_) if parent == FieldPath::root() => vec!["apiVersion", "kind", "metadata", "spec"],
        Some(schema) => schema.property_names().collect(),
        None => Vec::new(),
    };
    // A name that is already written is not what another slip was meant to be.
    let is_free = |name: &&str| object.find(&parent.key(name)).is_none();
    let close = nearest(name, siblings.iter().copied().filter(is_free));
    let elsewhere = || {
        let mut places = declared(schema, name);
        // The nearest levels are the likeliest slips of indentation.
        places.sort_by_cached_key(|place| (place.0.len(), place.to_string()));
        let places: Vec<String> = places.iter().take(3).map(FieldPath::to_string).collect();
        (!places.is_empty()).then(|| format!("see the indentation; there is {}", places.join(", ")))
    };
    let all = || match siblings.len() {
        0 => format!("{parent} has no fields"),
        1..=12 => format!("the fields here are {}", siblings.join(", ")),
        _ => "see the field reference of StackGres".to_owned(),
    };
    let help = close
        .map(|word| format!("did you mean `{word}`?"))
        .or_else(elsewhere)
        .unwrap_or_else(all);
    let message = match parent.0.is_empty() {
        true => format!("unknown field `{name}`"),
        false => format!("unknown field `{name}` in {parent}"),
    };
    object.at_key(path, Finding::error("unknown-field", message).help(help));
}

/// A field that the schema still has and that is not to be used.
fn deprecated(object: &mut Object<'_>, path: FieldPath, former: &Former) {
    let finding = match former.fate {
        Fate::Removed { since } => Finding::warning(
            "deprecated-field",
            format!("{path} is deprecated, and gone since StackGres {since}"),
        ),
        Fate::Refused => Finding::error(
            "refused-field",
            format!("the operator refuses {path}, which is there for old objects only"),
        ),
        Fate::NoEffect => Finding::note(
            "without-effect",
            format!("{path} is deprecated and has no effect"),
        ),
    };
    object.at_key(path, instead(finding, former));
}

fn instead(finding: Finding, former: &Former) -> Finding {
    match former.instead {
        Some(place) => finding.help(format!("write {place} instead")),
        None => finding.help("remove it"),
    }
}

/// Every place where the schema declares a field of this name, lists aside.
fn declared(schema: &Schema, name: &str) -> Vec<FieldPath> {
    let mut found = Vec::new();
    let mut open = vec![(schema, FieldPath::root())];
    while let Some((schema, path)) = open.pop() {
        for (key, below) in &schema.properties {
            let path = path.key(key);
            if key == name {
                found.push(path.clone());
            }
            if key != "status" && key != "metadata" {
                open.push((below, path));
            }
        }
    }
    found
}

fn refuse(object: &mut Object<'_>, violation: Violation) {
    let Violation { path, kind } = violation;
    let value = object.find(&path);
    let finding = match kind {
        ViolationKind::Missing => {
            let name = path.to_string();
            let finding = Finding::error("missing-field", format!("{name} is required"));
            return object.at_key(path, finding);
        }
        ViolationKind::WrongType { expected, .. } => wrong_type(&path, expected, value),
        ViolationKind::Unsupported { allowed, .. } => {
            let words: Vec<String> = allowed.iter().map(shown).collect();
            let written = value.and_then(Value::as_str).unwrap_or_default();
            let close = nearest(written, allowed.iter().filter_map(Value::as_str));
            let all = words.join(", ");
            Finding::error(
                "unknown-value",
                format!("{path} cannot be {}", value.map(shown).unwrap_or_default()),
            )
            .help(match close {
                Some(word) => format!("did you mean `{word}`? The values are {all}"),
                None => format!("write one of {all}"),
            })
        }
        ViolationKind::NoMatch { found, pattern } => {
            Finding::error("wrong-format", format!("{path} cannot be `{found}`"))
                .help(format!("it has to match {pattern}"))
        }
        ViolationKind::TooSmall { found, minimum } => out_of_range(
            format!("{path} is {found}"),
            &format!(
                "it has to be {} {}",
                more(minimum.is_exclusive),
                minimum.value
            ),
        ),
        ViolationKind::TooLarge { found, maximum } => out_of_range(
            format!("{path} is {found}"),
            &format!(
                "it has to be {} {}",
                less(maximum.is_exclusive),
                maximum.value
            ),
        ),
        ViolationKind::OutOfFormat { format } => out_of_range(
            format!("{path} is {}", value.map(shown).unwrap_or_default()),
            &format!("it has to fit {format}"),
        ),
        ViolationKind::TooShort { least, .. } => out_of_range(
            format!("{path} is too short"),
            &format!("it needs at least {least} characters"),
        ),
        ViolationKind::TooLong { most } => out_of_range(
            format!("{path} is too long"),
            &format!("it may have at most {most} characters"),
        ),
        ViolationKind::TooFew { found, least } => out_of_range(
            format!("{path} has {found} items"),
            &format!("it needs at least {least}"),
        ),
        ViolationKind::TooMany { found, most } => out_of_range(
            format!("{path} has {found} items"),
            &format!("it may have at most {most}"),
        ),
        ViolationKind::Duplicate { found } => Finding::error(
            "duplicate-item",
            format!("{path} repeats {}", shown(&found)),
        )
        .help("keep one of them"),
    };
    object.at_value(path, finding);
}

fn out_of_range(message: String, help: &str) -> Finding {
    Finding::error("out-of-range", message).help(help)
}

fn more(is_exclusive: bool) -> &'static str {
    if is_exclusive {
        "more than"
    } else {
        "at least"
    }
}

fn less(is_exclusive: bool) -> &'static str {
    if is_exclusive { "less than" } else { "at most" }
}

/// Quotes that make a number text, and their absence that makes text a number, are the slips behind most wrong types.
fn wrong_type(path: &FieldPath, expected: Type, value: Option<&Value>) -> Finding {
    let Some(value) = value else {
        let needed = noun(expected);
        return Finding::error(
            "wrong-type",
            format!("{path} is null, and has to be {needed}"),
        );
    };
    let text = value.as_str();
    let unquoted = match expected {
        Type::Integer => text.is_some_and(|text| text.parse::<i64>().is_ok()),
        Type::Number => text.is_some_and(|text| text.parse::<f64>().is_ok()),
        Type::Boolean => matches!(text, Some("true" | "false")),
        Type::Object | Type::Array | Type::String | Type::IntOrString => false,
    };
    let key = match path.0.last() {
        Some(Segment::Key(key)) => format!("{key}: "),
        Some(Segment::Index(_)) => "- ".to_owned(),
        None => String::new(),
    };
    let (is, needed) = (noun_of(value), noun(expected));
    let finding = |message: String| Finding::error("wrong-type", message);
    match (expected, value) {
        (_, Value::String(text)) if unquoted => finding(format!(
            "{path} is the text {text:?}, and has to be {needed}: the quotes make it text"
        ))
        .help(format!("remove the quotes: {key}{text}")),
        (Type::String, Value::Number(number)) if number.is_f64() => finding(format!(
            "{path} is {is}, and has to be text: without quotes 16.10 is the number 16.1"
        ))
        .help("put quotes around it as it stands in the file"),
        (Type::String, Value::Number(_) | Value::Bool(_)) => finding(format!(
            "{path} is {is}, and has to be text: without quotes {value} is {is}"
        ))
        .help(format!("quote it: {key}'{value}'")),
        (Type::Array, _) => finding(format!("{path} is {is}, and has to be {needed}"))
            .help("begin each item on a line of its own with `- `"),
        _ => finding(format!("{path} is {is}, and has to be {needed}")),
    }
}

fn noun(expected: Type) -> &'static str {
    match expected {
        Type::Object => "a mapping",
        Type::Array => "a list",
        Type::String => "text",
        Type::Integer => "a whole number",
        Type::Number => "a number",
        Type::Boolean => "a boolean (true or false)",
        Type::IntOrString => "a whole number or text",
    }
}

fn noun_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("`{text}`"),
        other => other.to_string(),
    }
}
