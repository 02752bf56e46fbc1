//! One document under examination: its fields as the checks ask for them, and what they found.

use serde_json::{Map, Value};

use crate::model::field::FieldPath;
use crate::model::finding::{Finding, Level, Place};
use crate::model::manifest::Document;

pub struct Object<'d> {
    pub document: &'d Document,
    pub findings: Vec<Finding>,
}

impl<'d> Object<'d> {
    pub fn new(document: &'d Document) -> Self {
        Self {
            document,
            findings: Vec::new(),
        }
    }

    /// A path as people write it: `object.path("spec.replication.mode")`. Keys with dots need `FieldPath::key`.
    pub fn path(text: &str) -> FieldPath {
        FieldPath::of(text.split('.'))
    }

    /// The value, where it is there and is not null, which the API server takes for absent.
    pub fn find(&self, path: &FieldPath) -> Option<&'d Value> {
        path.find(&self.document.value)
            .filter(|value| !value.is_null())
    }

    pub fn get(&self, path: &str) -> Option<&'d Value> {
        self.find(&Self::path(path))
    }

    pub fn text(&self, path: &str) -> Option<&'d str> {
        self.get(path)?.as_str()
    }

    pub fn number(&self, path: &str) -> Option<i64> {
        self.get(path)?.as_i64()
    }

    pub fn map(&self, path: &str) -> Option<&'d Map<String, Value>> {
        self.get(path)?.as_object()
    }

    /// Empty where it is absent or no list.
    pub fn list(&self, path: &str) -> &'d [Value] {
        self.get(path)
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice)
    }

    /// At the field's key.
    pub fn at_key(&mut self, path: FieldPath, finding: Finding) {
        let place = self.document.place(&path);
        self.add(path, place, finding);
    }

    /// At the field's value, or its nearest written parent.
    pub fn at_value(&mut self, path: FieldPath, finding: Finding) {
        let place = self.document.value_place(&path);
        self.add(path, place, finding);
    }

    fn add(&mut self, path: FieldPath, place: Place, finding: Finding) {
        self.findings.push(finding.on(path).at(place));
    }

    /// Whether an error was already found here; one mistake gets one error.
    pub fn has_error_at(&self, path: &FieldPath) -> bool {
        self.errors().any(|field| field == path)
    }

    /// Whether an error was already found here or below.
    pub fn has_error_in(&self, path: &FieldPath) -> bool {
        self.errors().any(|field| field.starts_with(path))
    }

    fn errors(&self) -> impl Iterator<Item = &FieldPath> {
        let errors = self
            .findings
            .iter()
            .filter(|finding| finding.level == Level::Error);
        errors.filter_map(|finding| finding.field.as_ref())
    }
}
