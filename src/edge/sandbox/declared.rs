//! What an applied configuration holds that its type has no place for, in the words of the API server.
//!
//! This comes before validation and is stricter about names: one unknown field refuses the whole object.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use serde_json::Value;

use super::fields::{Element, show_path};
use super::typing::{Entries, Field, Typing};
use crate::model::schema::Type;

/// The first thing in an applied configuration that its types have no place for, in the words of the API server.
pub fn check(typing: Typing<'_>, value: &Value) -> Result<(), String> {
    declared_at(typing, value, &mut Vec::new())
}

fn declared_at(typing: Typing<'_>, value: &Value, at: &mut Vec<Element>) -> Result<(), String> {
    if let Typing::Declared(schema) = typing {
        match (schema.kind, value) {
            (_, Value::Null) => {}
            (Some(Type::Object), Value::Object(_)) | (Some(Type::Array), Value::Array(_)) => {}
            (Some(Type::Object), _) => {
                return refuse(at, format!("expected map, got &{{{}}}", go(value)));
            }
            (Some(Type::Array), _) => {
                return refuse(at, format!("expected list, got &{{{}}}", go(value)));
            }
            (Some(Type::Integer | Type::Number), value) if !value.is_number() => {
                let found = go_type(value);
                return refuse(at, format!("expected numeric (int or float), got {found}"));
            }
            (Some(Type::String), value) if !value.is_string() => {
                return refuse(
                    at,
                    format!(
                        "expected string, got &value.valueUnstructured{{Value:{}}}",
                        go_syntax(value)
                    ),
                );
            }
            (Some(Type::Boolean), value) if !value.is_boolean() => {
                return refuse(at, format!("expected boolean, got &{{{}}}", go(value)));
            }
            _ => {}
        }
    }
    match value {
        Value::Object(map) => {
            for (name, value) in map {
                at.push(Element::field(name));
                match typing.field(name) {
                    Field::Unknown => {
                        return Err(format!("{}: field not declared in schema", show_path(at)));
                    }
                    field => declared_at(field.typing(), value, at)?,
                }
                at.pop();
            }
        }
        Value::Array(list) => {
            let kind = typing.entries();
            let mut seen = BTreeSet::new();
            for (index, entry) in list.iter().enumerate() {
                if let Entries::Map(keys) = &kind {
                    if !entry.is_object() {
                        return refuse(
                            at,
                            format!(
                                "element {index}: associative list with keys may not have non-map elements"
                            ),
                        );
                    }
                    if keys.of(entry).is_empty() {
                        return refuse(
                            at,
                            format!(
                                "element {index}: associative list with keys has an element that omits all key fields {} (and doesn't have default values for any key fields)",
                                keys.names()
                            ),
                        );
                    }
                }
                let element = kind.element(entry).unwrap_or(Element::Index(index));
                if !seen.insert(element.clone()) {
                    return refuse(at, format!("duplicate entries for key {}", element.show()));
                }
                at.push(element);
                declared_at(typing.entry(), entry, at)?;
                at.pop();
            }
        }
        _ => {}
    }
    Ok(())
}

fn refuse(at: &[Element], what: impl Display) -> Result<(), String> {
    Err(format!("{}: {what}", show_path(at)))
}

/// A value as Go prints it with `%v`, for the few shapes that come up in messages.
fn go(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(entries) => {
            let entries: Vec<String> = entries.iter().map(go).collect();
            format!("[{}]", entries.join(" "))
        }
        Value::Object(fields) => {
            let fields: BTreeMap<&String, String> = fields
                .iter()
                .map(|(name, value)| (name, go(value)))
                .collect();
            let fields: Vec<String> = fields
                .into_iter()
                .map(|(name, value)| format!("{name}:{value}"))
                .collect();
            format!("map[{}]", fields.join(" "))
        }
        Value::Null => "<nil>".to_owned(),
        other => other.to_string(),
    }
}

/// A value as Go writes it with `%#v`.
fn go_syntax(value: &Value) -> String {
    match value {
        Value::Array(entries) => {
            let entries: Vec<String> = entries.iter().map(go_syntax).collect();
            format!("[]interface {{}}{{{}}}", entries.join(", "))
        }
        Value::Object(fields) => {
            let fields: BTreeMap<&String, String> = fields
                .iter()
                .map(|(name, value)| (name, go_syntax(value)))
                .collect();
            let fields: Vec<String> = fields
                .into_iter()
                .map(|(name, value)| format!("{name:?}:{value}"))
                .collect();
            format!("map[string]interface {{}}{{{}}}", fields.join(", "))
        }
        Value::String(text) => format!("{text:?}"),
        other => go(other),
    }
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
