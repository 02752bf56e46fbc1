//! Tables: what `kubectl get` prints of a kind, computed here as the real server computes it.
//!
//! The columns of a custom resource come from its definition, those of the built-in kinds from `cells`.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cells;
use super::jsonpath;
use super::metadata;
use super::present::{IncludeObject, partial};
use super::resource::{Column, Custom, Resource};

const NAME: &str = "What the object is called; unique within its namespace.";

/// A `Table` of objects. `metadata` is the list's own.
pub fn table(
    resource: &Resource,
    metadata: Value,
    objects: &[Arc<Value>],
    include: IncludeObject,
    has_definitions: bool,
) -> Value {
    let now = Timestamp::now();
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let cells = match &resource.custom {
                Some(custom) => custom_cells(custom, object, now),
                None => cells::cells(resource, object, now),
            };
            let object = match include {
                IncludeObject::None => Value::Null,
                IncludeObject::Metadata => partial(object),
                IncludeObject::Object => (**object).clone(),
            };
            json!({"cells": cells, "object": object})
        })
        .collect();
    let definitions = if has_definitions {
        definitions(resource)
    } else {
        Value::Null
    };
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": definitions,
        "rows": rows,
    })
}

fn definitions(resource: &Resource) -> Value {
    match &resource.custom {
        Some(custom) => std::iter::once(definition("Name", "string", "name", NAME, 0))
            .chain(custom.columns.iter().map(|column| {
                definition(
                    &column.name,
                    &column.kind,
                    &column.format,
                    &column.description,
                    column.priority,
                )
            }))
            .collect(),
        None => cells::columns(resource)
            .iter()
            .map(|&(name, priority)| {
                let kind = if name == "Created At" {
                    "date"
                } else {
                    "string"
                };
                let (format, description) = match name {
                    "Name" => ("name", NAME),
                    _ => ("", ""),
                };
                definition(name, kind, format, description, priority)
            })
            .collect(),
    }
}

fn definition(name: &str, kind: &str, format: &str, description: &str, priority: i64) -> Value {
    json!({
        "name": name,
        "type": kind,
        "format": format,
        "description": description,
        "priority": priority,
    })
}

fn custom_cells(custom: &Custom, object: &Value, now: Timestamp) -> Vec<Value> {
    std::iter::once(metadata::text(object, "name").into())
        .chain(
            custom
                .columns
                .iter()
                .map(|column| custom_cell(column, object, now)),
        )
        .collect()
}

fn custom_cell(column: &Column, object: &Value, now: Timestamp) -> Value {
    let Some(value) = jsonpath::find(&column.path, object) else {
        return Value::Null;
    };
    match (column.kind.as_str(), value) {
        (_, Value::Null) => Value::Null,
        ("string", Value::String(text)) => text.clone().into(),
        ("string", other) => other.to_string().into(),
        ("integer", Value::Number(number)) => number
            .as_i64()
            .map_or_else(|| json!(number.as_f64().map(f64::trunc)), Value::from),
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.clone(),
        ("date", Value::String(text)) => age(text, now).into(),
        _ => Value::Null,
    }
}

/// How long ago a moment was, as kubectl writes it.
pub fn age(moment: &str, now: Timestamp) -> String {
    if moment.is_empty() {
        return "<unknown>".into();
    }
    match moment.parse::<Timestamp>() {
        Err(_) => "<invalid>".into(),
        Ok(moment) => duration(now.as_second() - moment.as_second()),
    }
}

/// Two figures at most, the coarser the longer.
fn duration(seconds: i64) -> String {
    let pair = |first: i64, unit: &str, second: i64, small: &str| {
        if second == 0 {
            format!("{first}{unit}")
        } else {
            format!("{first}{unit}{second}{small}")
        }
    };
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let days = hours / 24;
    match () {
        () if seconds < -1 => "<invalid>".into(),
        () if seconds < 0 => "0s".into(),
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => pair(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => pair(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if days < 8 => pair(days, "d", hours % 24, "h"),
        () if days < 730 => format!("{days}d"),
        () if days < 8 * 365 => pair(days / 365, "y", days % 365, "d"),
        () => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_written_as_kubectl_writes_them() {
        for (seconds, expected) in [
            (-5, "<invalid>"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (353, "5m53s"),
            (3600, "60m"),
            (3 * 3600, "3h"),
            (3 * 3600 + 300, "3h5m"),
            (9 * 3600, "9h"),
            (49 * 3600, "2d1h"),
            (9 * 86400, "9d"),
            (800 * 86400, "2y70d"),
        ] {
            assert_eq!(duration(seconds), expected);
        }
        let now = "2026-01-01T00:00:10Z".parse().unwrap();
        assert_eq!(age("2026-01-01T00:00:00Z", now), "10s");
        assert_eq!(age("", now), "<unknown>");
        assert_eq!(age("yesterday", now), "<invalid>");
    }
}
