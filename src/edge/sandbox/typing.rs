//! What kind of thing each place of an object is to server-side apply: who can own what.
//!
//! For custom resources the schema says it. For the built-in kinds a small table of list keys stands in for their
//! OpenAPI description (facts of Kubernetes 1.36); a list it does not name has one owner.

use std::collections::BTreeMap;

use serde_json::Value;

use super::fields::Element;
use crate::model::schema::{Additional, List, METADATA_FIELDS, Schema};

/// The type of a place in an object.
#[derive(Debug, Clone, Copy)]
pub enum Typing<'s> {
    /// A whole object: of the schema where there is one, else of a built-in kind.
    Root(Option<&'s Schema>),
    Metadata,
    Declared(&'s Schema),
    BuiltIn(BuiltIn),
    /// Whatever the value looks like: maps by key, lists as a whole.
    Free,
}

/// What the table says of one field of a built-in kind.
#[derive(Debug, Clone, Copy, Default)]
pub struct BuiltIn {
    list: BuiltInList,
    is_atomic_map: bool,
}

#[derive(Debug, Clone, Copy, Default)]
enum BuiltInList {
    #[default]
    Atomic,
    Set,
    /// The possible key combinations; the first one whose first key an entry has is taken.
    Map(&'static [&'static [&'static str]]),
}

/// A field of a map.
pub enum Field<'s> {
    /// Named by the type: the map exists without it.
    Declared(Typing<'s>),
    /// One of any number of keys: whoever sets it also owns that it is there.
    Keyed(Typing<'s>),
    Unknown,
}

impl<'s> Field<'s> {
    pub fn typing(&self) -> Typing<'s> {
        match self {
            Self::Declared(typing) | Self::Keyed(typing) => *typing,
            Self::Unknown => Typing::Free,
        }
    }
}

/// How the entries of a list are told apart.
pub enum Entries<'s> {
    /// Not at all: the list is one value.
    Atomic,
    Set,
    Map(Keys<'s>),
}

pub enum Keys<'s> {
    Schema {
        names: &'s [String],
        items: Option<&'s Schema>,
    },
    BuiltIn(&'static [&'static [&'static str]]),
}

impl<'s> Typing<'s> {
    pub fn field(self, name: &str) -> Field<'s> {
        match self {
            Self::Root(_) if name == "metadata" => Field::Declared(Self::Metadata),
            Self::Root(_) if name == "apiVersion" || name == "kind" => Field::Declared(Self::Free),
            Self::Root(None) => Field::Declared(Self::BuiltIn(built_in(name))),
            Self::Root(Some(schema)) | Self::Declared(schema) => field_of(schema, name),
            Self::Metadata => match name {
                "labels" | "annotations" => Field::Declared(Self::Free),
                name if METADATA_FIELDS.contains(&name) => {
                    Field::Declared(Self::BuiltIn(built_in(name)))
                }
                _ => Field::Unknown,
            },
            Self::BuiltIn(_) => Field::Declared(Self::BuiltIn(built_in(name))),
            Self::Free => Field::Keyed(Self::Free),
        }
    }

    pub fn is_atomic_map(self) -> bool {
        match self {
            Self::Declared(schema) => schema.is_atomic_map,
            Self::BuiltIn(built_in) => built_in.is_atomic_map,
            Self::Root(_) | Self::Metadata | Self::Free => false,
        }
    }

    pub fn entries(self) -> Entries<'s> {
        match self {
            Self::Declared(schema) => match &schema.list {
                List::Atomic => Entries::Atomic,
                List::Set => Entries::Set,
                List::Map(names) => Entries::Map(Keys::Schema {
                    names,
                    items: schema.items.as_deref(),
                }),
            },
            Self::BuiltIn(built_in) => match built_in.list {
                BuiltInList::Atomic => Entries::Atomic,
                BuiltInList::Set => Entries::Set,
                BuiltInList::Map(keys) => Entries::Map(Keys::BuiltIn(keys)),
            },
            Self::Root(_) | Self::Metadata | Self::Free => Entries::Atomic,
        }
    }

    /// The type of each entry of a list.
    pub fn entry(self) -> Typing<'s> {
        match self {
            Self::Declared(schema) => schema.items.as_deref().map_or(Self::Free, Self::Declared),
            Self::BuiltIn(built_in) => Self::BuiltIn(BuiltIn {
                list: BuiltInList::Atomic,
                is_atomic_map: built_in.is_atomic_map,
            }),
            Self::Root(_) | Self::Metadata | Self::Free => Self::Free,
        }
    }
}

fn field_of<'s>(schema: &'s Schema, name: &str) -> Field<'s> {
    match (schema.properties.get(name), &schema.additional) {
        (Some(property), _) => Field::Declared(Typing::Declared(property)),
        (None, Additional::Like(schema)) => Field::Keyed(Typing::Declared(schema)),
        (None, Additional::Anything) => Field::Keyed(Typing::Free),
        (None, Additional::Unknown) if schema.preserves_unknown || schema.kind.is_none() => {
            Field::Keyed(Typing::Free)
        }
        (None, Additional::Unknown) => Field::Unknown,
    }
}

impl Entries<'_> {
    /// The element that names an entry; nothing in an atomic list.
    pub fn element(&self, entry: &Value) -> Option<Element> {
        match self {
            Self::Atomic => None,
            Self::Set => Some(Element::value(entry)),
            Self::Map(keys) => Some(Element::key(keys.of(entry))),
        }
    }
}

impl Keys<'_> {
    /// The names of the keys, as the API server lists them.
    pub fn names(&self) -> String {
        match self {
            Self::Schema { names, .. } => format!("{names:?}").replace(", ", " "),
            Self::BuiltIn(choices) => {
                format!("{:?}", choices.first().copied().unwrap_or_default()).replace(", ", " ")
            }
        }
    }

    /// The keys an entry has, with the defaults of those it leaves out.
    pub fn of(&self, entry: &Value) -> BTreeMap<String, Value> {
        match self {
            Self::Schema { names, items } => names
                .iter()
                .filter_map(|name| {
                    let default = || items.and_then(|items| items.field(name)?.default.as_ref());
                    let value = entry.get(name).or_else(default)?;
                    Some((name.clone(), value.clone()))
                })
                .collect(),
            Self::BuiltIn(choices) => {
                let names = choices
                    .iter()
                    .find(|names| names.first().is_some_and(|name| entry.get(name).is_some()))
                    .or(choices.first())
                    .copied()
                    .unwrap_or_default();
                names
                    .iter()
                    .filter_map(|name| {
                        let value = match entry.get(name) {
                            Some(value) => value.clone(),
                            None if *name == "protocol" => Value::from("TCP"),
                            None => return None,
                        };
                        Some(((*name).to_owned(), value))
                    })
                    .collect()
            }
        }
    }
}

/// The table: list keys and atomic maps of the built-in kinds, by the field's name alone.
///
/// A name means the same in all kinds, with `ports` (of containers, of Services) told apart by its entries. Fields
/// that are a map list in one kind and atomic in another are left atomic unless Pods or metadata need them.
fn built_in(name: &str) -> BuiltIn {
    let list = match name {
        "finalizers" | "podCIDRs" => BuiltInList::Set,
        "ownerReferences" => BuiltInList::Map(&[&["uid"]]),
        "conditions" => BuiltInList::Map(&[&["type"]]),
        "ports" => BuiltInList::Map(&[&["containerPort", "protocol"], &["port", "protocol"]]),
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "env"
        | "volumes"
        | "imagePullSecrets"
        | "resourceClaims"
        | "schedulingGates"
        | "claims" => BuiltInList::Map(&[&["name"]]),
        "volumeMounts" => BuiltInList::Map(&[&["mountPath"]]),
        "volumeDevices" => BuiltInList::Map(&[&["devicePath"]]),
        "hostAliases" | "podIPs" => BuiltInList::Map(&[&["ip"]]),
        "topologySpreadConstraints" => BuiltInList::Map(&[&["topologyKey", "whenUnsatisfiable"]]),
        _ => BuiltInList::Atomic,
    };
    let is_atomic_map = matches!(
        name,
        "selector"
            | "nodeSelector"
            | "labelSelector"
            | "podSelector"
            | "namespaceSelector"
            | "ownerReferences"
            | "fieldRef"
            | "resourceFieldRef"
            | "configMapKeyRef"
            | "secretKeyRef"
            | "targetRef"
            | "claimRef"
            | "involvedObject"
    );
    BuiltIn {
        list,
        is_atomic_map,
    }
}
