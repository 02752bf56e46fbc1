//! Sets of fields, as `metadata.managedFields` records them: what they hold, how two of them combine, and how they are
//! written (`fieldsV1`: `f:NAME`, `k:{KEYS}`, `v:VALUE`, `i:INDEX`, and `.` for the value itself).
//!
//! A set knows paths only; which paths an object has is `walk`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde_json::{Map, Value};

/// One step of a path. Keys and values are kept as JSON with sorted keys, so that equal ones are equal text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Element {
    Field(String),
    /// The entry of a map list whose keys have these values.
    Key(String),
    /// The entry of a set with this value.
    Value(String),
    Index(usize),
}

impl Element {
    pub fn field(name: impl Into<String>) -> Self {
        Self::Field(name.into())
    }

    /// The entry of a map list that has these keys.
    pub fn key(keys: BTreeMap<String, Value>) -> Self {
        let sorted: Map<String, Value> = keys.into_iter().collect();
        Self::Key(canonical(&Value::Object(sorted)))
    }

    pub fn value(value: &Value) -> Self {
        Self::Value(canonical(value))
    }

    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        Some(match kind {
            "f" => Self::Field(rest.to_owned()),
            "k" => Self::Key(canonical(&serde_json::from_str(rest).ok()?)),
            "v" => Self::Value(canonical(&serde_json::from_str(rest).ok()?)),
            "i" => Self::Index(rest.parse().ok()?),
            _ => return None,
        })
    }

    fn encode(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(keys) => format!("k:{keys}"),
            Self::Value(value) => format!("v:{value}"),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    /// As the API server writes it in messages: `.spec`, `[name="web"]`, `[="a"]`, `[0]`.
    pub fn show(&self) -> String {
        match self {
            Self::Field(name) => format!(".{name}"),
            Self::Value(value) => format!("[={value}]"),
            Self::Index(index) => format!("[{index}]"),
            Self::Key(keys) => {
                let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                let keys: Vec<String> = keys
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                format!("[{}]", keys.join(","))
            }
        }
    }
}

/// A path as the API server writes it in messages: `.spec.containers[name="web"].image`.
pub fn show_path(path: &[Element]) -> String {
    path.iter().map(Element::show).collect()
}

/// JSON text with the keys of every map sorted, so that equal values are equal text.
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<&String, &Value> = fields.iter().collect();
            let fields: Vec<String> = sorted
                .into_iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(entries) => {
            let entries: Vec<String> = entries.iter().map(canonical).collect();
            format!("[{}]", entries.join(","))
        }
        other => other.to_string(),
    }
}

/// A set of paths. No child is ever empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet {
    members: BTreeSet<Element>,
    children: BTreeMap<Element, FieldSet>,
}

impl FieldSet {
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.is_empty()
    }

    pub fn insert(&mut self, path: &[Element]) {
        match path {
            [] => {}
            [last] => {
                self.members.insert(last.clone());
            }
            [first, rest @ ..] => {
                self.children.entry(first.clone()).or_default().insert(rest);
            }
        }
    }

    /// Adds all paths of another set below an element.
    pub fn insert_below(&mut self, element: Element, set: FieldSet) {
        if set.is_empty() {
            return;
        }
        let child = self.children.entry(element).or_default();
        *child = child.union(&set);
    }

    pub fn has(&self, element: &Element) -> bool {
        self.members.contains(element)
    }

    pub fn contains(&self, path: &[Element]) -> bool {
        match path {
            [] => false,
            [last] => self.members.contains(last),
            [first, rest @ ..] => self
                .children
                .get(first)
                .is_some_and(|child| child.contains(rest)),
        }
    }

    /// The part below an element, where the set has one.
    pub fn below(&self, element: &Element) -> Option<&FieldSet> {
        self.children.get(element)
    }

    pub fn children(&self) -> impl Iterator<Item = (&Element, &FieldSet)> {
        self.children.iter()
    }

    #[must_use]
    pub fn union(&self, other: &FieldSet) -> FieldSet {
        let mut union = self.clone();
        union.members.extend(other.members.iter().cloned());
        for (element, theirs) in &other.children {
            match union.children.get_mut(element) {
                Some(ours) => *ours = ours.union(theirs),
                None => {
                    union.children.insert(element.clone(), theirs.clone());
                }
            }
        }
        union
    }

    #[must_use]
    pub fn intersection(&self, other: &FieldSet) -> FieldSet {
        let shared = |(element, ours): (&Element, &FieldSet)| {
            let both = ours.intersection(other.children.get(element)?);
            (!both.is_empty()).then(|| (element.clone(), both))
        };
        FieldSet {
            members: self.members.intersection(&other.members).cloned().collect(),
            children: self.children.iter().filter_map(shared).collect(),
        }
    }

    /// The paths of this set that the other has not. A path does not take what is below it along.
    #[must_use]
    pub fn difference(&self, other: &FieldSet) -> FieldSet {
        let left = |(element, ours): (&Element, &FieldSet)| {
            let rest = match other.children.get(element) {
                Some(theirs) => ours.difference(theirs),
                None => ours.clone(),
            };
            (!rest.is_empty()).then(|| (element.clone(), rest))
        };
        FieldSet {
            members: self.members.difference(&other.members).cloned().collect(),
            children: self.children.iter().filter_map(left).collect(),
        }
    }

    /// The paths of this set that are neither in the other nor below one of its paths.
    #[must_use]
    pub fn without(&self, other: &FieldSet) -> FieldSet {
        let left = |(element, ours): (&Element, &FieldSet)| {
            if other.members.contains(element) {
                return None;
            }
            let rest = match other.children.get(element) {
                Some(theirs) => ours.without(theirs),
                None => ours.clone(),
            };
            (!rest.is_empty()).then(|| (element.clone(), rest))
        };
        FieldSet {
            members: self.members.difference(&other.members).cloned().collect(),
            children: self.children.iter().filter_map(left).collect(),
        }
    }

    /// Every path, in the order in which the API server lists conflicts: at each level the paths that end here first.
    pub fn paths(&self) -> Vec<Vec<Element>> {
        let mut paths = Vec::new();
        self.collect(&mut Vec::new(), &mut paths);
        paths
    }

    fn collect(&self, at: &mut Vec<Element>, paths: &mut Vec<Vec<Element>>) {
        for member in &self.members {
            at.push(member.clone());
            paths.push(at.clone());
            at.pop();
        }
        for (element, child) in &self.children {
            at.push(element.clone());
            child.collect(at, paths);
            at.pop();
        }
    }

    /// The set as `fieldsV1`.
    pub fn to_json(&self) -> Value {
        let mut json = Map::new();
        let elements: BTreeSet<&Element> =
            self.members.iter().chain(self.children.keys()).collect();
        for element in elements {
            let mut below = Map::new();
            if let Some(child) = self.children.get(element) {
                if self.members.contains(element) {
                    below.insert(".".to_owned(), Value::Object(Map::new()));
                }
                if let Value::Object(child) = child.to_json() {
                    below.extend(child);
                }
            }
            json.insert(element.encode(), Value::Object(below));
        }
        Value::Object(json)
    }

    /// Reads `fieldsV1`; nothing where it is not of that form.
    pub fn from_json(json: &Value) -> Option<Self> {
        let mut set = Self::default();
        for (name, below) in json.as_object()? {
            if name == "." {
                continue;
            }
            let element = Element::parse(name)?;
            let below_fields = below.as_object()?;
            if below_fields.is_empty() || below_fields.contains_key(".") {
                set.members.insert(element.clone());
            }
            set.insert_below(element, Self::from_json(below)?);
        }
        Some(set)
    }
}

/// For tests and messages: one path a line.
pub fn show_set(set: &FieldSet) -> String {
    let mut text = String::new();
    for path in set.paths() {
        let _ = writeln!(text, "{}", show_path(&path));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(json: &Value) -> FieldSet {
        FieldSet::from_json(json).unwrap()
    }

    /// Recorded by a kube-apiserver.
    fn recorded() -> Value {
        json!({"f:metadata": {"f:finalizers": {".": {}, "v:\"t.io/f\"": {}}},
            "f:spec": {"f:deep": {"f:a": {"f:c": {}}},
                "f:lm": {"k:{\"port\":1,\"proto\":\"TCP\"}": {".": {}, "f:port": {}}}, "f:n": {}}})
    }

    #[test]
    fn a_set_is_written_as_it_was_read() {
        assert_eq!(
            set(&recorded()).to_json().to_string(),
            recorded().to_string()
        );
    }

    #[test]
    fn paths_read_as_in_the_messages_of_the_api_server() {
        insta::assert_snapshot!(show_set(&set(&recorded())), @r#"
        .metadata.finalizers
        .metadata.finalizers[="t.io/f"]
        .spec.n
        .spec.deep.a.c
        .spec.lm[port=1,proto="TCP"]
        .spec.lm[port=1,proto="TCP"].port
        "#);
    }

    #[test]
    fn the_order_of_keys_in_a_list_key_does_not_matter() {
        let turned = json!({"k:{\"proto\":\"TCP\",\"port\":1}": {}});
        let sorted = json!({"k:{\"port\":1,\"proto\":\"TCP\"}": {}});
        assert_eq!(set(&turned), set(&sorted));
    }

    #[test]
    fn what_is_no_set_is_not_read_as_one() {
        for json in [
            json!(3),
            json!({"spec": {}}),
            json!({"k:{": {}}),
            json!({"f:a": 1}),
        ] {
            assert_eq!(FieldSet::from_json(&json), None, "{json}");
        }
    }

    #[test]
    fn a_difference_keeps_what_is_below() {
        let all = set(&json!({"f:a": {".": {}, "f:b": {}}}));
        let one = set(&json!({"f:a": {}}));
        assert_eq!(all.difference(&one), set(&json!({"f:a": {"f:b": {}}})));
        assert_eq!(all.without(&one), FieldSet::default());
        assert_eq!(all.intersection(&one), one);
        assert_eq!(all.difference(&one).union(&one), all);
    }
}
