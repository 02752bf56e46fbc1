//! Structural schemas of custom resources: what a CRD version's `openAPIV3Schema` says about each field.
//!
//! This file reads a schema and finds the part that speaks of a field. What an object may not hold is `violation`;
//! what the API server drops and fills in is `shape`. Combinators (`anyOf`, `not`) and CEL rules are not evaluated:
//! whoever needs their verdict asks the API server.

pub mod shape;
pub mod violation;

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use super::field::{FieldPath, Segment};

/// The schema of one value, and of what is below it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Schema {
    /// What the value has to be; `None` where any type will do.
    pub kind: Option<Type>,
    pub description: Option<String>,
    pub nullable: bool,
    pub properties: BTreeMap<String, Schema>,
    pub additional: Additional,
    pub items: Option<Box<Schema>>,
    pub required: Vec<String>,
    /// The only values allowed; empty where every value is.
    pub one_of: Vec<Value>,
    pub pattern: Option<Pattern>,
    pub minimum: Option<Bound>,
    pub maximum: Option<Bound>,
    pub min_length: Option<usize>,
    pub max_length: Option<usize>,
    pub min_items: Option<usize>,
    pub max_items: Option<usize>,
    pub format: Option<String>,
    pub default: Option<Value>,
    /// `x-kubernetes-preserve-unknown-fields`: fields that are not declared stay.
    pub preserves_unknown: bool,
    /// `x-kubernetes-embedded-resource`: a whole object, with its own metadata.
    pub embeds_resource: bool,
    pub list: List,
    /// `x-kubernetes-map-type: atomic`: one owner for the whole map.
    pub is_atomic_map: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    /// `x-kubernetes-int-or-string`.
    IntOrString,
}

impl Type {
    /// The word the API server uses.
    pub fn word(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::IntOrString => "integer,string",
        }
    }
}

/// What `additionalProperties` says of the keys that `properties` does not name.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Additional {
    /// Nothing: such a key is unknown.
    #[default]
    Unknown,
    /// Any key, any value.
    Anything,
    Like(Box<Schema>),
}

/// `x-kubernetes-list-type`: who can own what in a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum List {
    /// One owner for the whole list.
    #[default]
    Atomic,
    /// Each value has its owners.
    Set,
    /// Each entry has its owners, and is named by the values of these keys.
    Map(Vec<String>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct Bound {
    pub value: f64,
    pub is_exclusive: bool,
}

/// A pattern as written. One that cannot be compiled within its budget is never a reason to refuse a value.
#[derive(Debug, Clone)]
pub struct Pattern {
    pub text: String,
    compiled: Option<Regex>,
}

/// Bytes a compiled pattern may take: those of CRDs stay far below, and a hostile one is not worth more.
const PATTERN_BUDGET: usize = 1 << 20;

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Pattern {
    fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            compiled: RegexBuilder::new(text)
                .size_limit(PATTERN_BUDGET)
                .build()
                .ok(),
        }
    }

    pub fn allows(&self, text: &str) -> bool {
        self.compiled
            .as_ref()
            .is_none_or(|regex| regex.is_match(text))
    }
}

/// The fields every object's metadata has, whatever its schema says.
pub const METADATA_FIELDS: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

impl Schema {
    /// Reads an `openAPIV3Schema`. The error names the place within the schema, and what was expected there.
    pub fn parse(schema: &Value) -> Result<Self, String> {
        parse_at(schema, &FieldPath::root())
    }

    /// The schema of a whole custom resource definition, in the version asked for.
    pub fn of_definition(definition: &Value, version: &str) -> Result<Self, String> {
        let versions = definition["spec"]["versions"]
            .as_array()
            .ok_or("spec.versions is not a list")?;
        let wanted = versions
            .iter()
            .find(|candidate| candidate["name"] == *version)
            .ok_or_else(|| format!("the definition has no version {version}"))?;
        Self::parse(&wanted["schema"]["openAPIV3Schema"])
    }

    /// What the schema says of the field at a path from this schema's value; `None` where it declares no such field.
    pub fn at(&self, path: &FieldPath) -> Option<&Schema> {
        path.0
            .iter()
            .try_fold(self, |schema, segment| match segment {
                Segment::Key(key) => schema.field(key),
                Segment::Index(_) => schema.items.as_deref(),
            })
    }

    /// The schema of one key: a property of that name, or what every other key is like.
    pub fn field(&self, key: &str) -> Option<&Schema> {
        match (self.properties.get(key), &self.additional) {
            (Some(property), _) => Some(property),
            (None, Additional::Like(schema)) => Some(schema),
            (None, Additional::Unknown | Additional::Anything) => None,
        }
    }

    /// The names declared here, in alphabetical order: what a misspelt name could have meant.
    pub fn property_names(&self) -> impl Iterator<Item = &str> {
        self.properties.keys().map(String::as_str)
    }

    /// Whether a key that is not declared stays.
    pub fn keeps_any_key(&self) -> bool {
        self.preserves_unknown || matches!(self.additional, Additional::Anything)
    }
}

fn parse_at(schema: &Value, at: &FieldPath) -> Result<Schema, String> {
    let fields = schema.as_object().ok_or_else(|| not(at, "an object"))?;
    let read = Reader { fields, at };
    let properties = match fields.get("properties") {
        None => BTreeMap::new(),
        Some(Value::Object(properties)) => properties
            .iter()
            .map(|(name, schema)| {
                let at = at.key("properties").key(name);
                Ok((name.clone(), parse_at(schema, &at)?))
            })
            .collect::<Result<_, String>>()?,
        Some(_) => return Err(not(&at.key("properties"), "an object")),
    };
    let additional = match fields.get("additionalProperties") {
        None | Some(Value::Bool(false)) => Additional::Unknown,
        Some(Value::Bool(true)) => Additional::Anything,
        Some(schema) => {
            Additional::Like(Box::new(parse_at(schema, &at.key("additionalProperties"))?))
        }
    };
    let items = match fields.get("items") {
        None => None,
        Some(schema) => Some(Box::new(parse_at(schema, &at.key("items"))?)),
    };
    Ok(Schema {
        kind: read.kind()?,
        description: read.text("description")?,
        nullable: read.flag("nullable")?,
        properties,
        additional,
        items,
        required: read.names("required")?,
        one_of: read.values("enum")?,
        pattern: read.text("pattern")?.as_deref().map(Pattern::new),
        minimum: read.bound("minimum", "exclusiveMinimum")?,
        maximum: read.bound("maximum", "exclusiveMaximum")?,
        min_length: read.count("minLength")?,
        max_length: read.count("maxLength")?,
        min_items: read.count("minItems")?,
        max_items: read.count("maxItems")?,
        format: read.text("format")?,
        default: fields.get("default").cloned(),
        preserves_unknown: read.flag("x-kubernetes-preserve-unknown-fields")?,
        embeds_resource: read.flag("x-kubernetes-embedded-resource")?,
        list: match read.text("x-kubernetes-list-type")?.as_deref() {
            Some("set") => List::Set,
            Some("map") => List::Map(read.names("x-kubernetes-list-map-keys")?),
            _ => List::Atomic,
        },
        is_atomic_map: read.text("x-kubernetes-map-type")?.as_deref() == Some("atomic"),
    })
}

fn not(at: &FieldPath, expected: &str) -> String {
    if at.0.is_empty() {
        format!("the schema is not {expected}")
    } else {
        format!("{at} of the schema is not {expected}")
    }
}

/// Reads the keywords of one schema node.
struct Reader<'v> {
    fields: &'v Map<String, Value>,
    at: &'v FieldPath,
}

impl Reader<'_> {
    fn read<T>(
        &self,
        key: &str,
        expected: &str,
        convert: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, String> {
        match self.fields.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => convert(value)
                .map(Some)
                .ok_or_else(|| not(&self.at.key(key), expected)),
        }
    }

    fn text(&self, key: &str) -> Result<Option<String>, String> {
        self.read(key, "a string", |value| value.as_str().map(str::to_owned))
    }

    fn flag(&self, key: &str) -> Result<bool, String> {
        Ok(self
            .read(key, "a boolean", Value::as_bool)?
            .unwrap_or_default())
    }

    fn count(&self, key: &str) -> Result<Option<usize>, String> {
        self.read(key, "a count", |value| {
            usize::try_from(value.as_u64()?).ok()
        })
    }

    fn values(&self, key: &str) -> Result<Vec<Value>, String> {
        Ok(self
            .read(key, "a list", |value| value.as_array().cloned())?
            .unwrap_or_default())
    }

    fn names(&self, key: &str) -> Result<Vec<String>, String> {
        let names = self.read(key, "a list of names", |value| {
            let names = value.as_array()?.iter();
            names.map(|name| Some(name.as_str()?.to_owned())).collect()
        })?;
        Ok(names.unwrap_or_default())
    }

    fn bound(&self, key: &str, exclusive: &str) -> Result<Option<Bound>, String> {
        let is_exclusive = self.flag(exclusive)?;
        let value = self.read(key, "a number", Value::as_f64)?;
        Ok(value.map(|value| Bound {
            value,
            is_exclusive,
        }))
    }

    fn kind(&self) -> Result<Option<Type>, String> {
        if self.flag("x-kubernetes-int-or-string")? {
            return Ok(Some(Type::IntOrString));
        }
        self.read("type", "a type of a structural schema", |value| {
            Some(match value.as_str()? {
                "object" => Type::Object,
                "array" => Type::Array,
                "string" => Type::String,
                "integer" => Type::Integer,
                "number" => Type::Number,
                "boolean" => Type::Boolean,
                _ => return None,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_finds_what_the_schema_says_of_it() {
        let schema = Schema::parse(&json!({"type": "object", "properties": {
            "spec": {"type": "object", "properties": {
                "backups": {"type": "array", "items": {"type": "object", "properties": {
                    "path": {"type": "string", "description": "where"}}}},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}}}}}}))
        .unwrap();
        let path = FieldPath::of(["spec", "backups"]).index(3).key("path");
        assert_eq!(
            schema.at(&path).unwrap().description.as_deref(),
            Some("where")
        );
        let label = FieldPath::of(["spec", "labels", "any"]);
        assert_eq!(schema.at(&label).unwrap().kind, Some(Type::String));
        assert!(schema.at(&FieldPath::of(["spec", "nothing"])).is_none());
        let spec = schema.field("spec").unwrap();
        assert_eq!(
            spec.property_names().collect::<Vec<_>>(),
            ["backups", "labels"]
        );
    }

    #[test]
    fn a_broken_schema_is_named_by_its_place() {
        let parse = |schema: Value| Schema::parse(&schema).unwrap_err();
        assert_eq!(parse(json!(3)), "the schema is not an object");
        assert_eq!(
            parse(json!({"properties": {"spec": {"minLength": -1}}})),
            "properties.spec.minLength of the schema is not a count"
        );
        assert_eq!(
            parse(json!({"items": {"type": "thing"}})),
            "items.type of the schema is not a type of a structural schema"
        );
    }

    #[test]
    fn a_pattern_over_its_budget_refuses_nothing() {
        let schema = Schema::parse(&json!({"pattern": "(a{1000}){1000}"})).unwrap();
        assert!(schema.pattern.unwrap().allows("b"));
        let unreadable = Schema::parse(&json!({"pattern": "("})).unwrap();
        assert!(unreadable.pattern.unwrap().allows("b"));
    }
}
