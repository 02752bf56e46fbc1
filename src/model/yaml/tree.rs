//! One document as written: its nodes with their places. It answers what stands where, and whether another reader's
//! value says the same; it is built by `events`.

use std::borrow::Cow;

use serde_json::Value;

use super::positions::{Builder, Mark, PathHash, Positions};
use super::scalar::{self, Plain};
use crate::model::field::{FieldPath, Segment};

/// An index into the tree's nodes.
pub type NodeId = usize;

#[derive(Debug)]
pub struct Tree<'t> {
    pub(super) nodes: Vec<Node<'t>>,
    pub(super) root: Option<NodeId>,
}

#[derive(Debug)]
pub(super) struct Node<'t> {
    pub mark: Mark,
    pub shape: Shape<'t>,
    /// With what its aliases stand for.
    pub size: usize,
    /// Levels of lists and mappings, itself included.
    pub height: usize,
    pub is_open: bool,
}

#[derive(Debug)]
pub(super) enum Shape<'t> {
    Scalar { text: Cow<'t, str>, is_plain: bool },
    List(Vec<NodeId>),
    Map(Vec<Field<'t>>),
    Alias(NodeId),
}

#[derive(Debug)]
pub(super) struct Field<'t> {
    pub key: Cow<'t, str>,
    pub mark: Mark,
    pub value: NodeId,
}

impl<'t> Tree<'t> {
    /// `None` where the text holds no document at all.
    pub fn root(&self) -> Option<NodeId> {
        self.root
    }

    pub fn mark(&self, node: NodeId) -> Mark {
        self.nodes[node].mark
    }

    /// Whether the node says nothing: `~`, `null`, or no text at all.
    pub fn is_null(&self, node: NodeId) -> bool {
        matches!(self.shape(node), Shape::Scalar { text, is_plain: true } if scalar::ours(text) == Plain::Null)
    }

    pub fn is_map(&self, node: NodeId) -> bool {
        matches!(self.shape(node), Shape::Map(_))
    }

    /// The field's value; `None` also where the key stands there more than once with different values.
    pub fn get(&self, node: NodeId, key: &str) -> Option<NodeId> {
        let Shape::Map(fields) = self.shape(node) else {
            return None;
        };
        let mut found = fields.iter().filter(|field| field.key == key);
        let first = found.next()?.value;
        let same = |other: &Field<'t>| match (self.text(first), self.text(other.value)) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        };
        found.all(same).then_some(first)
    }

    /// The text of a scalar that says something, quoted or not.
    pub fn text(&self, node: NodeId) -> Option<&str> {
        match self.shape(node) {
            Shape::Scalar { text, .. } if !self.is_null(node) => Some(text),
            _ => None,
        }
    }

    pub fn items(&self, node: NodeId) -> Option<&[NodeId]> {
        match self.shape(node) {
            Shape::List(items) => Some(items),
            _ => None,
        }
    }

    fn shape(&self, node: NodeId) -> &Shape<'t> {
        match &self.nodes[node].shape {
            // An alias never names an alias, since only a written node has an anchor.
            Shape::Alias(target) => &self.nodes[*target].shape,
            shape => shape,
        }
    }

    pub(super) fn children(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let (items, fields): (&[NodeId], &[Field<'t>]) = match &self.nodes[node].shape {
            Shape::List(items) => (items, &[]),
            Shape::Map(fields) => (&[], fields),
            Shape::Scalar { .. } | Shape::Alias(_) => (&[], &[]),
        };
        items
            .iter()
            .copied()
            .chain(fields.iter().map(|field| field.value))
    }

    /// Where every field below this node stands. Whatever an alias stands for stands at the alias.
    pub fn positions(&self, node: NodeId) -> Positions {
        let mut builder = Builder::new(self.mark(node));
        let mut open = vec![(node, PathHash::ROOT, None)];
        while let Some((node, path, alias)) = open.pop() {
            let alias = match self.nodes[node].shape {
                Shape::Alias(_) => alias.or(Some(self.mark(node))),
                _ => alias,
            };
            let mut add = |child: NodeId, path: PathHash, key: Mark| {
                let at = |mark: Mark| alias.unwrap_or(mark);
                builder.add(path, at(key), at(self.mark(child)));
                open.push((child, path, alias));
            };
            match self.shape(node) {
                Shape::List(items) => {
                    for (index, &item) in items.iter().enumerate() {
                        add(item, path.index(index), self.mark(item));
                    }
                }
                Shape::Map(fields) => {
                    for field in fields {
                        add(field.value, path.key(&field.key), field.mark);
                    }
                }
                Shape::Scalar { .. } | Shape::Alias(_) => {}
            }
        }
        builder.finish()
    }

    /// Whether another reader's value says the same as this node; `Err` names the first field that does not.
    pub fn agrees(&self, node: NodeId, value: &Value) -> Result<(), FieldPath> {
        self.compare(node, value).map_err(|mut segments| {
            segments.reverse();
            FieldPath(segments)
        })
    }

    /// Recursion is as deep as the document, which the limits hold. `Err` is the way up from the field that differs.
    fn compare(&self, node: NodeId, value: &Value) -> Result<(), Vec<Segment>> {
        let below = |node, value, segment: &dyn Fn() -> Segment| {
            self.compare(node, value).map_err(|mut way| {
                way.push(segment());
                way
            })
        };
        match (self.shape(node), value) {
            (Shape::List(items), Value::Array(values)) if items.len() == values.len() => items
                .iter()
                .zip(values)
                .enumerate()
                .try_for_each(|(index, (&item, value))| {
                    below(item, value, &|| Segment::Index(index))
                }),
            (Shape::Map(fields), Value::Object(values)) if fields.len() == values.len() => {
                fields.iter().try_for_each(|field| {
                    let segment = || Segment::Key(field.key.to_string());
                    match values.get(field.key.as_ref()) {
                        Some(value) => below(field.value, value, &segment),
                        None => Err(vec![segment()]),
                    }
                })
            }
            (Shape::Scalar { text, is_plain }, value) if same(text, *is_plain, value) => Ok(()),
            _ => Err(Vec::new()),
        }
    }
}

fn same(text: &str, is_plain: bool, value: &Value) -> bool {
    let reading = if is_plain {
        scalar::ours(text)
    } else {
        Plain::Text
    };
    match (reading, value) {
        (Plain::Null, Value::Null) => true,
        (Plain::Bool(a), Value::Bool(b)) => a == *b,
        (Plain::Int(a), Value::Number(b)) => {
            b.as_u64().map(i128::from).or(b.as_i64().map(i128::from)) == Some(a)
        }
        (Plain::Float(a), Value::Number(b)) => b.as_f64() == Some(a),
        (Plain::Text, Value::String(b)) => text == b,
        _ => false,
    }
}
