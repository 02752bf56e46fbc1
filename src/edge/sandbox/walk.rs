//! Walks over the values of an object, guided by their types: which fields it has, what differs between two, what an
//! applied configuration makes of a live object, and what is left once fields are taken away.
//!
//! Nothing is judged: what an applied configuration may not hold is `declared`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::fields::{Element, FieldSet};
use super::typing::{Entries, Field, Typing};

/// What a value is to its owners.
enum Form<'v> {
    /// One value with one set of owners.
    Leaf,
    Map(&'v Map<String, Value>),
    /// Entries with owners of their own.
    List(&'v [Value]),
    Null,
}

fn form<'v>(typing: Typing<'_>, value: &'v Value) -> Form<'v> {
    match value {
        Value::Null => Form::Null,
        Value::Object(fields) if !typing.is_atomic_map() => Form::Map(fields),
        Value::Array(entries) if !matches!(typing.entries(), Entries::Atomic) => {
            Form::List(entries)
        }
        _ => Form::Leaf,
    }
}

/// The fields a value has, itself not counted.
pub fn fields(typing: Typing<'_>, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    match form(typing, value) {
        Form::Map(map) => {
            for (name, value) in map {
                let field = typing.field(name);
                let element = Element::field(name);
                let is_empty_map = value.as_object().is_some_and(Map::is_empty);
                if is_empty_map
                    || !matches!(field, Field::Declared(_))
                    || matches!(form(field.typing(), value), Form::Leaf | Form::Null)
                {
                    set.insert(std::slice::from_ref(&element));
                }
                set.insert_below(element, fields(field.typing(), value));
            }
        }
        Form::List(list) => {
            for (element, entry) in entries(typing, list) {
                set.insert_below(element.clone(), fields(typing.entry(), entry));
                set.insert(&[element]);
            }
        }
        Form::Leaf | Form::Null => {}
    }
    set
}

/// The entries of a list with owners of their own, in order; of entries that cannot be told apart the first.
fn entries<'v>(typing: Typing<'_>, list: &'v [Value]) -> Vec<(Element, &'v Value)> {
    let kind = typing.entries();
    let mut seen = BTreeSet::new();
    list.iter()
        .filter_map(|entry| Some((kind.element(entry)?, entry)))
        .filter(|(element, _)| seen.insert(element.clone()))
        .collect()
}

/// What differs between two objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    pub added: FieldSet,
    pub modified: FieldSet,
    pub removed: FieldSet,
}

impl Comparison {
    /// Leaves out some fields, with what is below them.
    #[must_use]
    pub fn without(&self, ignored: &FieldSet) -> Self {
        Self {
            added: self.added.without(ignored),
            modified: self.modified.without(ignored),
            removed: self.removed.without(ignored),
        }
    }
}

pub fn compare(typing: Typing<'_>, old: &Value, new: &Value) -> Comparison {
    let mut comparison = Comparison::default();
    compare_at(
        typing,
        Some(old),
        Some(new),
        &mut Vec::new(),
        &mut comparison,
    );
    comparison
}

fn compare_at(
    typing: Typing<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
    at: &mut Vec<Element>,
    found: &mut Comparison,
) {
    let old_form = old.map_or(Form::Null, |value| form(typing, value));
    let new_form = new.map_or(Form::Null, |value| form(typing, value));
    let nothing = Map::new();
    match (old_form, new_form) {
        (Form::Map(old_map), Form::Map(new_map)) if old_map.is_empty() && new_map.is_empty() => {}
        (Form::Map(old_map), Form::Map(new_map)) => {
            compare_maps(typing, old_map, new_map, at, found);
        }
        (Form::Map(old_map), Form::Null) if !old_map.is_empty() => {
            compare_maps(typing, old_map, &nothing, at, found);
            if new.is_none() {
                found.removed.insert(at);
            }
        }
        (Form::Null, Form::Map(new_map)) if !new_map.is_empty() => {
            compare_maps(typing, &nothing, new_map, at, found);
            if old.is_none() {
                found.added.insert(at);
            }
        }
        (Form::List(old_list), Form::List(new_list)) => {
            compare_lists(typing, old_list, new_list, at, found);
        }
        (Form::List(old_list), Form::Null) if !old_list.is_empty() => {
            compare_lists(typing, old_list, &[], at, found);
            if new.is_none() {
                found.removed.insert(at);
            }
        }
        (Form::Null, Form::List(new_list)) if !new_list.is_empty() => {
            compare_lists(typing, &[], new_list, at, found);
            if old.is_none() {
                found.added.insert(at);
            }
        }
        _ => match (old, new) {
            (None, None) => {}
            (None, Some(_)) => found.added.insert(at),
            (Some(_), None) => found.removed.insert(at),
            (Some(old), Some(new)) if old != new => {
                found.modified.insert(at);
                insert_below(&mut found.removed, at, fields(typing, old));
                insert_below(&mut found.added, at, fields(typing, new));
            }
            (Some(_), Some(_)) => {}
        },
    }
}

fn insert_below(set: &mut FieldSet, at: &[Element], below: FieldSet) {
    for path in below.paths() {
        let path: Vec<Element> = at.iter().cloned().chain(path).collect();
        set.insert(&path);
    }
}

fn compare_maps(
    typing: Typing<'_>,
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    at: &mut Vec<Element>,
    found: &mut Comparison,
) {
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        at.push(Element::field(name));
        let typing = typing.field(name).typing();
        compare_at(typing, old.get(name), new.get(name), at, found);
        at.pop();
    }
}

fn compare_lists(
    typing: Typing<'_>,
    old: &[Value],
    new: &[Value],
    at: &mut Vec<Element>,
    found: &mut Comparison,
) {
    let old: BTreeMap<Element, &Value> = entries(typing, old).into_iter().collect();
    let new: BTreeMap<Element, &Value> = entries(typing, new).into_iter().collect();
    let elements: BTreeSet<&Element> = old.keys().chain(new.keys()).collect();
    for element in elements {
        at.push(element.clone());
        let (old, new) = (old.get(element).copied(), new.get(element).copied());
        compare_at(typing.entry(), old, new, at, found);
        at.pop();
    }
}

/// What an applied configuration makes of a live value: its own fields, and live's where it says nothing.
pub fn merge(typing: Typing<'_>, live: &Value, applied: &Value) -> Value {
    match (form(typing, live), form(typing, applied)) {
        (Form::Map(live), Form::Map(applied)) => {
            let mut merged = live.clone();
            for (name, value) in applied {
                let value = match live.get(name) {
                    Some(live) => merge(typing.field(name).typing(), live, value),
                    None => value.clone(),
                };
                merged.insert(name.clone(), value);
            }
            Value::Object(merged)
        }
        (Form::List(live), Form::List(applied)) => merge_lists(typing, live, applied),
        // A null says nothing of a map or list that has something in it.
        (Form::Map(map), Form::Null) if !map.is_empty() => live.clone(),
        (Form::List(list), Form::Null) if !list.is_empty() => live.clone(),
        _ => applied.clone(),
    }
}

/// Live's own entries keep their place; those applied stand in the order applied, which wins where the two disagree.
fn merge_lists(typing: Typing<'_>, live: &[Value], applied: &[Value]) -> Value {
    let live = entries(typing, live);
    let applied = entries(typing, applied);
    let live_by_element: BTreeMap<&Element, &Value> = live
        .iter()
        .map(|(element, entry)| (element, *entry))
        .collect();
    let is_applied: BTreeSet<&Element> = applied.iter().map(|(element, _)| element).collect();
    let mut merged = Vec::new();
    let mut rest = applied.as_slice();
    for (element, entry) in &live {
        if !is_applied.contains(element) {
            merged.push((*entry).clone());
            continue;
        }
        let next_shared = rest
            .iter()
            .position(|(candidate, _)| live_by_element.contains_key(candidate));
        // Out of order: it comes with those applied, further down.
        if let Some(position) = next_shared
            && rest[position].0 == *element
        {
            let (now, later) = rest.split_at(position + 1);
            merged.extend(
                now.iter()
                    .map(|entry| merge_entry(typing, &live_by_element, entry)),
            );
            rest = later;
        }
    }
    merged.extend(
        rest.iter()
            .map(|entry| merge_entry(typing, &live_by_element, entry)),
    );
    Value::Array(merged)
}

fn merge_entry(
    typing: Typing<'_>,
    live: &BTreeMap<&Element, &Value>,
    (element, applied): &(Element, &Value),
) -> Value {
    match live.get(element) {
        Some(live) => merge(typing.entry(), live, applied),
        None => (*applied).clone(),
    }
}

/// Takes the fields of a set away. What is left without any field is null, as it is in the API server.
pub fn remove(typing: Typing<'_>, value: &Value, set: &FieldSet) -> Value {
    match form(typing, value) {
        Form::Map(map) => {
            let left: Map<String, Value> = map
                .iter()
                .filter_map(|(name, value)| {
                    let element = Element::field(name);
                    if set.has(&element) {
                        return None;
                    }
                    let value = match set.below(&element) {
                        Some(below) => remove(typing.field(name).typing(), value, below),
                        None => value.clone(),
                    };
                    Some((name.clone(), value))
                })
                .collect();
            if left.is_empty() {
                Value::Null
            } else {
                Value::Object(left)
            }
        }
        Form::List(list) => {
            let kind = typing.entries();
            let left: Vec<Value> = list
                .iter()
                .filter_map(|entry| {
                    let Some(element) = kind.element(entry) else {
                        return Some(entry.clone());
                    };
                    if set.has(&element) {
                        return None;
                    }
                    Some(match set.below(&element) {
                        Some(below) => remove(typing.entry(), entry, below),
                        None => entry.clone(),
                    })
                })
                .collect();
            if left.is_empty() {
                Value::Null
            } else {
                Value::Array(left)
            }
        }
        Form::Leaf | Form::Null => value.clone(),
    }
}

/// The set, with every declared field that something below it belongs to: those exist for their parts' sake.
pub fn with_parents(typing: Typing<'_>, set: &FieldSet) -> FieldSet {
    let mut all = set.clone();
    for (element, below) in set.children() {
        let typing = match element {
            Element::Field(name) => match typing.field(name) {
                Field::Declared(typing) => {
                    all.insert(std::slice::from_ref(element));
                    typing
                }
                Field::Keyed(typing) => typing,
                Field::Unknown => Typing::Free,
            },
            Element::Key(_) | Element::Value(_) | Element::Index(_) => typing.entry(),
        };
        all.insert_below(element.clone(), with_parents(typing, below));
    }
    all
}
