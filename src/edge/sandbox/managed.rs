//! `metadata.managedFields`: which manager set which fields, by which operation, and when.
//!
//! This file reads and writes the entries. Who gains and who loses a field is `apply`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::fields::FieldSet;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    Apply,
    Update,
}

impl Operation {
    fn word(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// Who owns fields. An applier is the same manager whichever version it applied in; an updater is one a version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Manager {
    pub name: String,
    pub operation: Operation,
    /// Empty for appliers.
    pub api_version: String,
    pub subresource: String,
}

impl Manager {
    pub fn applier(name: &str, subresource: &str) -> Self {
        Self {
            name: name.to_owned(),
            operation: Operation::Apply,
            api_version: String::new(),
            subresource: subresource.to_owned(),
        }
    }

    pub fn updater(name: &str, subresource: &str, api_version: &str) -> Self {
        Self {
            name: name.to_owned(),
            operation: Operation::Update,
            api_version: api_version.to_owned(),
            subresource: subresource.to_owned(),
        }
    }

    /// Where it stands among others in the message of a conflict: by name, appliers first, and through a subresource
    /// before directly. (A kube-apiserver sorts the JSON text of its entries.)
    pub fn rank(&self) -> impl Ord + use<> {
        let name = format!("{:?}", self.name);
        let is_direct = self.subresource.is_empty();
        let subresource = self.subresource.clone();
        (
            name,
            self.operation,
            self.api_version.clone(),
            is_direct,
            subresource,
        )
    }

    /// As the API server names it in a conflict: `"kubectl-edit" using stackgres.io/v1`.
    pub fn show(&self) -> String {
        let mut text = format!("{:?}", self.name);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == Operation::Update {
            text.push_str(&format!(" using {}", self.api_version));
        }
        text
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Owned {
    pub api_version: String,
    pub fields: FieldSet,
    /// RFC 3339, as it was given; nothing where the API server keeps none.
    pub time: Option<String>,
}

/// All managers of an object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Managers(pub BTreeMap<Manager, Owned>);

impl Managers {
    /// The managers recorded on an object; nothing where an entry cannot be read, as the API server then keeps none.
    pub fn of(object: &Value) -> Option<Self> {
        match &object["metadata"]["managedFields"] {
            Value::Null => Some(Self::default()),
            Value::Array(entries) => entries
                .iter()
                .map(read_entry)
                .collect::<Option<_>>()
                .map(Self),
            _ => None,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn fields(&self, manager: &Manager) -> FieldSet {
        self.0
            .get(manager)
            .map(|owned| owned.fields.clone())
            .unwrap_or_default()
    }

    /// Every field that anybody owns.
    pub fn all_fields(&self) -> FieldSet {
        self.0
            .values()
            .fold(FieldSet::default(), |all, owned| all.union(&owned.fields))
    }

    /// Forgets who owns nothing.
    pub fn drop_empty(&mut self) {
        self.0.retain(|_, owned| !owned.fields.is_empty());
    }

    /// Records the managers on an object, appliers first and then by time, as the API server orders them.
    pub fn write(&self, object: &mut Value) {
        let Some(metadata) = metadata_of(object) else {
            return;
        };
        metadata.shift_remove("managedFields");
        if self.0.is_empty() {
            return;
        }
        let mut entries: Vec<(&Manager, &Owned)> = self.0.iter().collect();
        entries.sort_by_key(|(manager, owned)| {
            let Manager {
                name,
                operation,
                api_version: _,
                subresource,
            } = manager;
            (
                *operation,
                &owned.time,
                name,
                &owned.api_version,
                subresource,
            )
        });
        let entries = entries
            .into_iter()
            .map(|(manager, owned)| write_entry(manager, owned))
            .collect();
        metadata.insert("managedFields".to_owned(), Value::Array(entries));
    }
}

/// The metadata of an object, made where it has none.
pub fn metadata_of(object: &mut Value) -> Option<&mut Map<String, Value>> {
    let metadata = object
        .as_object_mut()?
        .entry("metadata")
        .or_insert_with(|| json!({}));
    metadata.as_object_mut()
}

fn read_entry(entry: &Value) -> Option<(Manager, Owned)> {
    let text = |name: &str| entry[name].as_str().unwrap_or_default();
    let operation = match text("operation") {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return None,
    };
    let api_version = text("apiVersion").to_owned();
    let manager = Manager {
        name: text("manager").to_owned(),
        operation,
        api_version: match operation {
            Operation::Apply => String::new(),
            Operation::Update => api_version.clone(),
        },
        subresource: text("subresource").to_owned(),
    };
    let fields = match &entry["fieldsV1"] {
        Value::Null => FieldSet::default(),
        fields => FieldSet::from_json(fields)?,
    };
    let owned = Owned {
        api_version,
        fields,
        time: entry["time"].as_str().map(str::to_owned),
    };
    Some((manager, owned))
}

fn write_entry(manager: &Manager, owned: &Owned) -> Value {
    let mut entry = json!({
        "apiVersion": owned.api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": owned.fields.to_json(),
        "manager": manager.name,
        "operation": manager.operation.word(),
    });
    if !manager.subresource.is_empty() {
        entry["subresource"] = Value::from(manager.subresource.as_str());
    }
    if let Some(time) = &owned.time {
        entry["time"] = Value::from(time.as_str());
    }
    entry
}
