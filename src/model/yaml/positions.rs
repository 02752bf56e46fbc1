//! Where each field of one document stands: line and column of its key and of its value.
//!
//! Tens of thousands of documents live in one process, so a path is kept as a 64-bit hash in a sorted array and not as
//! text: 20 bytes a field. It answers for paths; it does not list them.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::model::field::{FieldPath, Segment};

/// A line and a column, both from 1; a column counts characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    pub line: u32,
    pub column: u32,
}

impl Mark {
    pub const START: Mark = Mark { line: 1, column: 1 };

    pub fn pair(self) -> (usize, usize) {
        (self.line as usize, self.column as usize)
    }
}

/// Where each field of one document stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Positions {
    root: Mark,
    /// Of each path, sorted.
    hashes: Box<[u64]>,
    /// At the same index as its path's hash.
    spots: Box<[Spot]>,
}

impl Default for Positions {
    fn default() -> Self {
        Builder::new(Mark::START).finish()
    }
}

/// Key and value of one field. A value stands at or after its key, so only the way down is kept; columns past 65,535
/// and values more than 65,535 lines below their key are told as that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spot {
    line: u32,
    column: u16,
    value_down: u16,
    value_column: u16,
}

impl Positions {
    /// Line and column, from 1, of the field's key (of the item itself in a list), or of its nearest written parent.
    pub fn nearest(&self, path: &FieldPath) -> (usize, usize) {
        match self.deepest(path) {
            (None, _) => self.root.pair(),
            (Some(spot), _) => (spot.line as usize, usize::from(spot.column)),
        }
    }

    /// Line and column, from 1, of the field's value; where the field is not written, as `nearest`.
    pub fn value(&self, path: &FieldPath) -> (usize, usize) {
        match self.deepest(path) {
            (Some(spot), true) => (
                spot.line as usize + usize::from(spot.value_down),
                usize::from(spot.value_column),
            ),
            _ => self.nearest(path),
        }
    }

    /// Whether exactly this field is written in the document.
    pub fn is_written(&self, path: &FieldPath) -> bool {
        self.deepest(path).1
    }

    /// How many fields and items are known.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// The deepest written part of a path, and whether that is the whole path.
    fn deepest(&self, path: &FieldPath) -> (Option<&Spot>, bool) {
        let mut hash = PathHash::ROOT;
        let mut deepest = None;
        for segment in &path.0 {
            hash = hash.below(segment);
            match self.hashes.binary_search(&hash.0) {
                Ok(index) => deepest = Some(&self.spots[index]),
                Err(_) => return (deepest, false),
            }
        }
        (deepest, true)
    }
}

/// The hash of a path, made from its parent's, so that walking down needs no text.
#[derive(Debug, Clone, Copy)]
pub struct PathHash(u64);

impl PathHash {
    pub const ROOT: PathHash = PathHash(0);

    pub fn key(self, key: &str) -> Self {
        self.step(|hasher| (0u8, key).hash(hasher))
    }

    pub fn index(self, index: usize) -> Self {
        self.step(|hasher| (1u8, index).hash(hasher))
    }

    fn below(self, segment: &Segment) -> Self {
        match segment {
            Segment::Key(key) => self.key(key),
            Segment::Index(index) => self.index(*index),
        }
    }

    fn step(self, add: impl FnOnce(&mut DefaultHasher)) -> Self {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        add(&mut hasher);
        Self(hasher.finish())
    }
}

/// Collects the fields of one document.
#[derive(Debug)]
pub struct Builder {
    root: Mark,
    fields: Vec<(u64, Spot)>,
}

impl Builder {
    pub fn new(root: Mark) -> Self {
        Self {
            root,
            fields: Vec::new(),
        }
    }

    pub fn add(&mut self, path: PathHash, key: Mark, value: Mark) {
        let short = |number: u32| u16::try_from(number).unwrap_or(u16::MAX);
        // An alias stands for a value above its key; the alias itself is then the place to show, and is passed here.
        let spot = Spot {
            line: key.line,
            column: short(key.column),
            value_down: short(value.line.saturating_sub(key.line)),
            value_column: short(value.column),
        };
        self.fields.push((path.0, spot));
    }

    pub fn finish(mut self) -> Positions {
        self.fields.sort_unstable_by_key(|(hash, _)| *hash);
        self.fields.dedup_by_key(|(hash, _)| *hash);
        Positions {
            root: self.root,
            hashes: self.fields.iter().map(|(hash, _)| *hash).collect(),
            spots: self.fields.iter().map(|(_, spot)| *spot).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_not_written_stands_at_its_nearest_parent() {
        let mut builder = Builder::new(Mark::START);
        let spec = PathHash::ROOT.key("spec");
        let mark = |line, column| Mark { line, column };
        builder.add(spec, mark(4, 1), mark(5, 3));
        builder.add(spec.key("instances"), mark(5, 3), mark(5, 14));
        let positions = builder.finish();
        let instances = FieldPath::of(["spec", "instances"]);
        assert_eq!(positions.nearest(&instances), (5, 3));
        assert_eq!(positions.value(&instances), (5, 14));
        assert_eq!(
            positions.nearest(&FieldPath::of(["spec", "replication", "mode"])),
            (4, 1)
        );
        assert_eq!(positions.nearest(&FieldPath::of(["status"])), (1, 1));
        assert!(!positions.is_written(&FieldPath::of(["spec", "postgres"])));
    }

    #[test]
    fn an_item_and_a_key_of_the_same_spelling_are_two_fields() {
        let list = PathHash::ROOT.key("a").index(0);
        let map = PathHash::ROOT.key("a").key("0");
        assert_ne!(list.0, map.0);
    }
}
