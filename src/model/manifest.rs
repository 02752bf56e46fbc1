//! One YAML document of the repository that names an object: its kind, its key, its value, and where each field stands.

use std::sync::Arc;

use serde_json::Value;

use super::field::FieldPath;
use super::finding::Place;
use super::key::{Key, Kind};
use super::yaml::Positions;

/// A document whose identity is known.
#[derive(Debug, Clone)]
pub struct Document {
    /// Path in the repository, with `/`.
    pub file: Arc<str>,
    pub kind: Kind,
    pub key: Key,
    pub value: Arc<Value>,
    pub positions: Arc<Positions>,
}

impl Document {
    /// Where a field stands; the nearest parent that is written where the field itself is not.
    pub fn place(&self, path: &FieldPath) -> Place {
        let (line, column) = self.positions.nearest(path);
        Place {
            file: self.file.to_string(),
            line,
            column,
        }
    }
}
