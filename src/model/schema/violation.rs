//! What the values of an object break of its schema, in the words of the API server.
//!
//! Fields that are not declared are no violation (`shape` finds those), and nothing is changed here.

use std::fmt;

use serde_json::Value;

use super::{Bound, List, Schema, Type};
use crate::model::field::{FieldPath, Segment};

/// One value that the API server would refuse. Shown as its own message does: `spec.pods: Required value`.
#[derive(Debug, Clone, PartialEq)]
pub struct Violation {
    pub path: FieldPath,
    pub kind: ViolationKind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ViolationKind {
    Missing,
    WrongType {
        expected: Type,
        found: &'static str,
    },
    /// A number outside what its `format` can hold.
    OutOfFormat {
        format: String,
    },
    Unsupported {
        found: Value,
        allowed: Vec<Value>,
    },
    NoMatch {
        found: String,
        pattern: String,
    },
    TooSmall {
        found: Value,
        minimum: Bound,
    },
    TooLarge {
        found: Value,
        maximum: Bound,
    },
    TooShort {
        found: String,
        least: usize,
    },
    TooLong {
        most: usize,
    },
    TooFew {
        found: usize,
        least: usize,
    },
    TooMany {
        found: usize,
        most: usize,
    },
    /// A second entry of a set or map list with the same value or keys.
    Duplicate {
        found: Value,
    },
}

impl Violation {
    /// The field as the API server writes it: unlike ours, without quotes around unusual keys.
    pub fn field(&self) -> String {
        let mut text = String::new();
        for segment in &self.path.0 {
            match segment {
                Segment::Index(index) => text.push_str(&format!("[{index}]")),
                Segment::Key(key) if text.is_empty() => text.push_str(key),
                Segment::Key(key) => text.push_str(&format!(".{key}")),
            }
        }
        text
    }

    /// The reason of the cause in a `Status`.
    pub fn reason(&self) -> &'static str {
        match self.kind {
            ViolationKind::Missing => "FieldValueRequired",
            ViolationKind::WrongType { .. } => "FieldValueTypeInvalid",
            ViolationKind::Unsupported { .. } => "FieldValueNotSupported",
            ViolationKind::TooLong { .. } => "FieldValueTooLong",
            ViolationKind::TooMany { .. } => "FieldValueTooMany",
            ViolationKind::Duplicate { .. } => "FieldValueDuplicate",
            ViolationKind::OutOfFormat { .. }
            | ViolationKind::NoMatch { .. }
            | ViolationKind::TooSmall { .. }
            | ViolationKind::TooLarge { .. }
            | ViolationKind::TooShort { .. }
            | ViolationKind::TooFew { .. } => "FieldValueInvalid",
        }
    }

    /// The message of the cause in a `Status`, without the field in front.
    pub fn message(&self) -> String {
        let field = self.field();
        match &self.kind {
            ViolationKind::Missing => "Required value".to_owned(),
            ViolationKind::WrongType { expected, found } => {
                let expected = expected.word();
                format!(
                    "Invalid value: \"{found}\": {field} in body must be of type {expected}: \"{found}\""
                )
            }
            ViolationKind::OutOfFormat { format } => format!(
                "Invalid value: \"\": Checked value must be of type integer with format {format} in {field}"
            ),
            ViolationKind::Unsupported { found, allowed } => {
                let allowed: Vec<String> = allowed
                    .iter()
                    .map(|value| match value {
                        Value::String(text) => format!("{text:?}"),
                        other => format!("\"{other}\""),
                    })
                    .collect();
                let allowed = allowed.join(", ");
                format!("Unsupported value: {found}: supported values: {allowed}")
            }
            ViolationKind::NoMatch { found, pattern } => {
                format!("Invalid value: {found:?}: {field} in body should match '{pattern}'")
            }
            ViolationKind::TooSmall { found, minimum } => {
                let than = match minimum.is_exclusive {
                    true => "greater than",
                    false => "greater than or equal to",
                };
                let limit = minimum.value;
                format!("Invalid value: {found}: {field} in body should be {than} {limit}")
            }
            ViolationKind::TooLarge { found, maximum } => {
                let than = match maximum.is_exclusive {
                    true => "less than",
                    false => "less than or equal to",
                };
                let limit = maximum.value;
                format!("Invalid value: {found}: {field} in body should be {than} {limit}")
            }
            ViolationKind::TooShort { found, least } => format!(
                "Invalid value: {found:?}: {field} in body should be at least {least} chars long"
            ),
            ViolationKind::TooLong { most } => {
                format!("Too long: may not be more than {most} bytes")
            }
            ViolationKind::TooFew { found, least } => format!(
                "Invalid value: {found}: {field} in body should have at least {least} items"
            ),
            ViolationKind::TooMany { found, most } => {
                format!("Too many: {found}: must have at most {most} items")
            }
            ViolationKind::Duplicate { found } => format!("Duplicate value: {found}"),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field(), self.message())
    }
}

impl Schema {
    /// Everything in `value` that the API server would refuse, parents before their parts.
    ///
    /// A null where none is allowed counts as absent, since the server drops it before it validates.
    pub fn violations(&self, value: &Value) -> Vec<Violation> {
        let mut found = Vec::new();
        judge(self, value, &FieldPath::root(), &mut found);
        found
    }
}

fn judge(schema: &Schema, value: &Value, at: &FieldPath, found: &mut Vec<Violation>) {
    if value.is_null() && schema.nullable {
        return;
    }
    let mut report = |kind| {
        found.push(Violation {
            path: at.clone(),
            kind,
        });
    };
    if let Some(expected) = schema.kind
        && !is_of_type(value, expected)
    {
        report(ViolationKind::WrongType {
            expected,
            found: type_name(value),
        });
    }
    if !schema.one_of.is_empty() && !schema.one_of.iter().any(|allowed| is_same(allowed, value)) {
        report(ViolationKind::Unsupported {
            found: value.clone(),
            allowed: schema.one_of.clone(),
        });
    }
    match value {
        Value::String(text) => judge_text(schema, text, report),
        Value::Number(_) => judge_number(schema, value, report),
        Value::Array(entries) => judge_list(schema, entries, at, found),
        Value::Object(_) => judge_object(schema, value, at, found),
        Value::Null | Value::Bool(_) => {}
    }
}

fn judge_text(schema: &Schema, text: &str, mut report: impl FnMut(ViolationKind)) {
    let length = text.chars().count();
    if let Some(most) = schema.max_length.filter(|most| length > *most) {
        report(ViolationKind::TooLong { most });
    }
    if let Some(least) = schema.min_length.filter(|least| length < *least) {
        report(ViolationKind::TooShort {
            found: text.to_owned(),
            least,
        });
    }
    if let Some(pattern) = &schema.pattern
        && !pattern.allows(text)
    {
        report(ViolationKind::NoMatch {
            found: text.to_owned(),
            pattern: pattern.text.clone(),
        });
    }
}

fn judge_number(schema: &Schema, value: &Value, mut report: impl FnMut(ViolationKind)) {
    let Some(number) = value.as_f64() else { return };
    let fits =
        |bound: &Bound, inside: bool| inside || (!bound.is_exclusive && number == bound.value);
    if let Some(minimum) = &schema.minimum
        && !fits(minimum, number > minimum.value)
    {
        report(ViolationKind::TooSmall {
            found: value.clone(),
            minimum: minimum.clone(),
        });
    }
    if let Some(maximum) = &schema.maximum
        && !fits(maximum, number < maximum.value)
    {
        report(ViolationKind::TooLarge {
            found: value.clone(),
            maximum: maximum.clone(),
        });
    }
    if schema.format.as_deref() == Some("int32")
        && !(f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number)
    {
        report(ViolationKind::OutOfFormat {
            format: "int32".to_owned(),
        });
    }
}

fn judge_list(schema: &Schema, entries: &[Value], at: &FieldPath, found: &mut Vec<Violation>) {
    let mut report = |path: FieldPath, kind| found.push(Violation { path, kind });
    let length = entries.len();
    if let Some(most) = schema.max_items.filter(|most| length > *most) {
        let kind = ViolationKind::TooMany {
            found: length,
            most,
        };
        report(at.clone(), kind);
    }
    if let Some(least) = schema.min_items.filter(|least| length < *least) {
        let kind = ViolationKind::TooFew {
            found: length,
            least,
        };
        report(at.clone(), kind);
    }
    let mut seen = std::collections::HashSet::new();
    for (index, entry) in entries.iter().enumerate() {
        if let Some(identity) = identity(&schema.list, entry)
            && !seen.insert(identity.to_string())
        {
            report(
                at.index(index),
                ViolationKind::Duplicate { found: identity },
            );
        }
    }
    let Some(items) = &schema.items else { return };
    for (index, entry) in entries.iter().enumerate() {
        judge(items, entry, &at.index(index), found);
    }
}

/// What two entries of a list may not share; nothing in an atomic list.
fn identity(list: &List, entry: &Value) -> Option<Value> {
    match list {
        List::Atomic => None,
        List::Set => Some(entry.clone()),
        List::Map(_) if !entry.is_object() => None,
        List::Map(keys) => Some(Value::Object(
            keys.iter()
                .filter_map(|key| Some((key.clone(), entry.get(key)?.clone())))
                .collect(),
        )),
    }
}

fn judge_object(schema: &Schema, object: &Value, at: &FieldPath, found: &mut Vec<Violation>) {
    let Some(fields) = object.as_object() else {
        return;
    };
    let present = |name: &str| match (fields.get(name), schema.field(name)) {
        (None, _) => false,
        (Some(Value::Null), Some(schema)) => schema.nullable,
        (Some(_), _) => true,
    };
    for name in &schema.required {
        if !present(name) {
            found.push(Violation {
                path: at.key(name),
                kind: ViolationKind::Missing,
            });
        }
    }
    for (name, value) in fields {
        if let Some(schema) = schema.field(name)
            && present(name)
        {
            judge(schema, value, &at.key(name), found);
        }
    }
}

fn is_of_type(value: &Value, expected: Type) -> bool {
    match expected {
        Type::Object => value.is_object(),
        Type::Array => value.is_array(),
        Type::String => value.is_string(),
        Type::Boolean => value.is_boolean(),
        Type::Number => value.is_number(),
        Type::Integer => is_whole(value),
        Type::IntOrString => value.is_string() || is_whole(value),
    }
}

/// `1.0` is an integer to the API server, and so is everything an `i64` holds.
fn is_whole(value: &Value) -> bool {
    value.is_i64()
        || value
            .as_f64()
            .is_some_and(|number| number.fract() == 0.0 && number.abs() < 9.2e18)
}

/// Equal as the API server compares: `1.0` is `1`.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        _ => one == other,
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The schema that a kube-apiserver 1.36 was given for the answers below.
    fn toy() -> Schema {
        Schema::parse(&json!({"type": "object", "properties": {"spec": {
        "type": "object", "required": ["n"], "properties": {
            "n": {"type": "integer", "minimum": 0, "maximum": 9},
            "xn": {"type": "number", "minimum": 0, "exclusiveMinimum": true,
                   "maximum": 5, "exclusiveMaximum": true},
            "s": {"type": "string", "minLength": 2, "maxLength": 4},
            "p": {"type": "string", "pattern": "^[a-z]+$"},
            "b": {"type": "boolean"},
            "e": {"type": "string", "enum": ["b", "a"]},
            "en": {"type": "integer", "enum": [1, 2]},
            "nul": {"type": "string", "nullable": true},
            "ios": {"x-kubernetes-int-or-string": true},
            "dn": {"type": "string", "default": "dd"},
            "o": {"type": "object"},
            "m": {"type": "object", "additionalProperties": {"type": "string"}},
            "la": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"type": "string"}},
            "lo": {"type": "array", "items": {"type": "object", "required": ["name"],
                "properties": {"name": {"type": "string"}}}},
            "ls": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "lm": {"type": "array", "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["port", "proto"], "items": {"type": "object"}},
            "f32": {"type": "integer", "format": "int32"}
        }}}}))
        .unwrap()
    }

    /// What a kube-apiserver 1.36 answered to each `spec`, in its own words.
    #[test]
    fn the_words_are_those_of_the_api_server() {
        let said: [(Value, &[&str]); 35] = [
            (json!({"n": 1}), &[]),
            (json!({"n": 1, "xn": 1.0, "en": 1.0}), &[]),
            (
                json!({"n": 1, "nul": null, "o": null, "dn": null, "ios": "a"}),
                &[],
            ),
            (json!({"n": 1, "s": "äö"}), &[]),
            (json!({}), &["spec.n: Required value"]),
            (json!({"n": null}), &["spec.n: Required value"]),
            (
                json!({"n": "x"}),
                &[
                    r#"spec.n: Invalid value: "string": spec.n in body must be of type integer: "string""#,
                ],
            ),
            (
                json!({"n": 1.5}),
                &[
                    r#"spec.n: Invalid value: "number": spec.n in body must be of type integer: "number""#,
                ],
            ),
            (
                json!({"n": true}),
                &[
                    r#"spec.n: Invalid value: "boolean": spec.n in body must be of type integer: "boolean""#,
                ],
            ),
            (
                json!({"n": -1}),
                &["spec.n: Invalid value: -1: spec.n in body should be greater than or equal to 0"],
            ),
            (
                json!({"n": 10}),
                &["spec.n: Invalid value: 10: spec.n in body should be less than or equal to 9"],
            ),
            (
                json!({"n": 1, "xn": 0}),
                &["spec.xn: Invalid value: 0: spec.xn in body should be greater than 0"],
            ),
            (
                json!({"n": 1, "xn": 5}),
                &["spec.xn: Invalid value: 5: spec.xn in body should be less than 5"],
            ),
            (
                json!({"n": 1, "s": "a"}),
                &[r#"spec.s: Invalid value: "a": spec.s in body should be at least 2 chars long"#],
            ),
            (
                json!({"n": 1, "s": "abcde"}),
                &["spec.s: Too long: may not be more than 4 bytes"],
            ),
            (
                json!({"n": 1, "s": {"a": 1}}),
                &[
                    r#"spec.s: Invalid value: "object": spec.s in body must be of type string: "object""#,
                ],
            ),
            (
                json!({"n": 1, "p": "A"}),
                &[r#"spec.p: Invalid value: "A": spec.p in body should match '^[a-z]+$'"#],
            ),
            (
                json!({"n": 1, "b": 1}),
                &[
                    r#"spec.b: Invalid value: "integer": spec.b in body must be of type boolean: "integer""#,
                ],
            ),
            (
                json!({"n": 1, "e": "c"}),
                &[r#"spec.e: Unsupported value: "c": supported values: "b", "a""#],
            ),
            (
                json!({"n": 1, "en": 3}),
                &[r#"spec.en: Unsupported value: 3: supported values: "1", "2""#],
            ),
            (
                json!({"n": 1, "e": 5}),
                &[
                    r#"spec.e: Invalid value: "integer": spec.e in body must be of type string: "integer""#,
                    r#"spec.e: Unsupported value: 5: supported values: "b", "a""#,
                ],
            ),
            (
                json!({"n": 1, "ios": 1.5}),
                &[
                    r#"spec.ios: Invalid value: "number": spec.ios in body must be of type integer,string: "number""#,
                ],
            ),
            (
                json!({"n": 1, "m": {"a.b/c": 1}}),
                &[
                    r#"spec.m.a.b/c: Invalid value: "integer": spec.m.a.b/c in body must be of type string: "integer""#,
                ],
            ),
            (
                json!({"n": 1, "la": []}),
                &["spec.la: Invalid value: 0: spec.la in body should have at least 1 items"],
            ),
            (
                json!({"n": 1, "la": ["a", "b", "c", "d"]}),
                &["spec.la: Too many: 4: must have at most 3 items"],
            ),
            (
                json!({"n": 1, "la": ["a", 1]}),
                &[
                    r#"spec.la[1]: Invalid value: "integer": spec.la[1] in body must be of type string: "integer""#,
                ],
            ),
            (
                json!({"n": 1, "la": [null]}),
                &[
                    r#"spec.la[0]: Invalid value: "null": spec.la[0] in body must be of type string: "null""#,
                ],
            ),
            (
                json!({"n": 1, "lo": [{}]}),
                &["spec.lo[0].name: Required value"],
            ),
            (
                json!({"n": 1, "lo": "x"}),
                &[
                    r#"spec.lo: Invalid value: "string": spec.lo in body must be of type array: "string""#,
                ],
            ),
            (
                json!({"n": 1, "o": []}),
                &[
                    r#"spec.o: Invalid value: "array": spec.o in body must be of type object: "array""#,
                ],
            ),
            (
                json!({"n": 1, "ls": ["a", "a"]}),
                &[r#"spec.ls[1]: Duplicate value: "a""#],
            ),
            (
                json!({"n": 1, "lm": [{"port": 1, "proto": "TCP"}, {"port": 1, "proto": "TCP"}]}),
                &[r#"spec.lm[1]: Duplicate value: {"port":1,"proto":"TCP"}"#],
            ),
            (
                json!({"n": 1, "f32": 3_000_000_000_u64}),
                &[
                    r#"spec.f32: Invalid value: "": Checked value must be of type integer with format int32 in spec.f32"#,
                ],
            ),
            (
                json!([1]),
                &[r#"spec: Invalid value: "array": spec in body must be of type object: "array""#],
            ),
            (json!(null), &[]),
        ];
        for (spec, words) in said {
            let violations = toy().violations(&json!({"spec": spec.clone()}));
            let found: Vec<String> = violations.iter().map(Violation::to_string).collect();
            assert_eq!(found, words, "{spec}");
        }
    }

    #[test]
    fn a_violation_has_the_reason_of_its_cause() {
        let violations = toy().violations(&json!({"spec": {"e": "c", "s": "abcde", "xn": "x"}}));
        let reasons: Vec<_> = violations.iter().map(Violation::reason).collect();
        assert_eq!(
            reasons,
            [
                "FieldValueRequired",
                "FieldValueNotSupported",
                "FieldValueTooLong",
                "FieldValueTypeInvalid"
            ]
        );
    }
}
