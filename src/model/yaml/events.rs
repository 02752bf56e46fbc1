//! The first reading of a document: parser events to a tree, and all that makes the text's meaning doubtful.
//!
//! It works without recursion and within limits, before any other reader sees the text. It decides nothing about
//! Kubernetes: it knows keys, values, places, and what two YAML readers would take differently.

use std::borrow::Cow;

use granit_parser::{
    ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, Span, StructureStyle,
};

use super::positions::Mark;
use super::scalar::{self, Plain};
use super::tree::{Field, Node, NodeId, Shape, Tree};
use super::{Limits, Problem};
use crate::model::field::{FieldPath, Segment};
use crate::model::finding::Level;

/// What was read of one text, and whether that is all of it.
#[derive(Debug)]
pub struct Written<'t> {
    pub tree: Tree<'t>,
    pub problems: Vec<Problem>,
    /// Where reading stopped; `None` where the text was read to its end.
    pub stopped: Option<Mark>,
}

/// Reads the text of one document. `first_line` is the file's line at which the text begins.
pub fn read<'t>(text: &'t str, first_line: u32, limits: &Limits) -> Written<'t> {
    let mut reader = Reader {
        limits,
        lines_before: first_line - 1,
        tree: Tree {
            nodes: Vec::new(),
            root: None,
        },
        frames: Vec::new(),
        anchors: Vec::new(),
        aliased: 0,
        problems: Vec::new(),
    };
    let stopped = reader.run(text).err().map(|problem| {
        // A tab is told a line below the place where the parser stopped.
        let line = problem.mark.line.saturating_sub(1).max(first_line);
        let mark = Mark {
            line,
            ..problem.mark
        };
        reader.problems.push(*problem);
        mark
    });
    Written {
        tree: reader.tree,
        problems: reader.problems,
        stopped,
    }
}

struct Reader<'l, 't> {
    limits: &'l Limits,
    lines_before: u32,
    tree: Tree<'t>,
    /// The lists and mappings that are open.
    frames: Vec<Frame<'t>>,
    /// The node of each anchor; anchors are numbered from 1 by the parser, in order.
    anchors: Vec<Option<NodeId>>,
    aliased: usize,
    problems: Vec<Problem>,
}

struct Frame<'t> {
    node: NodeId,
    /// The bracket it opened with, where it is written in brackets.
    bracket: Option<char>,
    /// In a mapping: the key whose value comes next. `None` there: a key comes next.
    key: Option<(Cow<'t, str>, Mark)>,
}

type Stop = Box<Problem>;

/// What is wrong a hundred times needs no more places, and a hostile file is not to fill the memory with them.
const MOST_PROBLEMS: usize = 100;

impl<'t> Reader<'_, 't> {
    fn run(&mut self, text: &'t str) -> Result<(), Stop> {
        let options = granit_parser::options! {
            emit_comments: false,
            disallow_directives: true,
            flow_nesting_limit: self.limits.depth,
            block_nesting_limit: self.limits.depth,
        };
        let mut documents = 0;
        for next in Parser::new_from_str_with_options(text, options) {
            let (event, span) = next.map_err(|error| self.syntax(text, &error))?;
            let is_refused = |problem: &Problem| problem.level == Level::Error;
            if self.problems.len() >= MOST_PROBLEMS && self.problems.iter().any(is_refused) {
                return Err(self.too_many(&span.start));
            }
            match event {
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(Box::new(
                            Problem::error("yaml-several-documents", "another document begins without a line `---`, which kubectl would leave out", self.mark(&span.start))
                                .help("begin each document with a line `---`"),
                        ));
                    }
                }
                Event::Scalar(text, style, anchor, tag) => {
                    self.refuse_tag(tag.is_some(), &span);
                    self.scalar(text, style, anchor, &span)?;
                }
                Event::SequenceStart(style, anchor, tag) => {
                    self.refuse_tag(tag.is_some(), &span);
                    let bracket = (style == StructureStyle::Flow).then_some('[');
                    self.open(Shape::List(Vec::new()), bracket, anchor, &span)?;
                }
                Event::MappingStart(style, anchor, tag) => {
                    self.refuse_tag(tag.is_some(), &span);
                    let bracket = (style == StructureStyle::Flow).then_some('{');
                    self.open(Shape::Map(Vec::new()), bracket, anchor, &span)?;
                }
                Event::SequenceEnd => self.close(),
                Event::MappingEnd => {
                    self.refuse_duplicates();
                    self.close();
                }
                Event::Alias(anchor) => self.alias(anchor, &span)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn mark(&self, marker: &Marker) -> Mark {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Mark {
            line: number(marker.line()).saturating_add(self.lines_before),
            column: number(marker.col()).saturating_add(1),
        }
    }

    fn scalar(
        &mut self,
        text: Cow<'t, str>,
        style: ScalarStyle,
        anchor: usize,
        span: &Span,
    ) -> Result<(), Stop> {
        let mark = self.mark(&span.start);
        let is_plain = style == ScalarStyle::Plain;
        if self.expects_key() {
            self.check_key(&text, is_plain, mark);
            if anchor != 0 {
                self.anchor(anchor, None);
            }
            if let Some(frame) = self.frames.last_mut() {
                frame.key = Some((text, mark));
            }
            return Ok(());
        }
        if is_plain {
            self.check_plain(&text, mark);
        }
        let node = self.add(Node {
            mark,
            shape: Shape::Scalar { text, is_plain },
            size: 1,
            height: 0,
            is_open: false,
        });
        self.anchor(anchor, Some(node));
        self.attach(node);
        Ok(())
    }

    fn open(
        &mut self,
        shape: Shape<'t>,
        bracket: Option<char>,
        anchor: usize,
        span: &Span,
    ) -> Result<(), Stop> {
        let mark = self.mark(&span.start);
        if self.expects_key() {
            return Err(key_is_no_text(mark));
        }
        if self.frames.len() >= self.limits.depth {
            return Err(self.too_deep(mark));
        }
        let node = self.add(Node {
            mark,
            shape,
            size: 1,
            height: 1,
            is_open: true,
        });
        self.anchor(anchor, Some(node));
        self.attach(node);
        self.frames.push(Frame {
            node,
            bracket,
            key: None,
        });
        Ok(())
    }

    fn close(&mut self) {
        let Some(frame) = self.frames.pop() else {
            return;
        };
        let (mut size, mut height) = (1usize, 0usize);
        for child in self.tree.children(frame.node) {
            let child = &self.tree.nodes[child];
            size = size.saturating_add(child.size);
            height = height.max(child.height);
        }
        let node = &mut self.tree.nodes[frame.node];
        node.size = size;
        node.height = height + 1;
        node.is_open = false;
    }

    fn alias(&mut self, anchor: usize, span: &Span) -> Result<(), Stop> {
        let mark = self.mark(&span.start);
        let target = self.anchors.get(anchor).copied().flatten();
        if self.expects_key() {
            return Err(key_is_no_text(mark));
        }
        let Some(target) = target else {
            return Err(Box::new(
                Problem::error("yaml-alias", "this alias names a key, not a value", mark)
                    .help("write the value out"),
            ));
        };
        let Node {
            size,
            height,
            is_open,
            ..
        } = self.tree.nodes[target];
        if is_open {
            return Err(Box::new(
                Problem::error("yaml-alias", "this alias stands inside what it names", mark)
                    .help("write the value out"),
            ));
        }
        self.aliased = self.aliased.saturating_add(size);
        if self.aliased > self.limits.aliases {
            let most = self.limits.aliases;
            return Err(Box::new(
                Problem::error("yaml-too-many-aliases", format!("the aliases up to here stand for more than {most} values, which is the limit"), mark)
                    .help("write the values out, or split the file"),
            ));
        }
        if self.frames.len() + height > self.limits.depth {
            return Err(self.too_deep(mark));
        }
        let node = self.add(Node {
            mark,
            shape: Shape::Alias(target),
            size,
            height,
            is_open: false,
        });
        self.attach(node);
        Ok(())
    }

    fn add(&mut self, node: Node<'t>) -> NodeId {
        self.tree.nodes.push(node);
        self.tree.nodes.len() - 1
    }

    fn anchor(&mut self, anchor: usize, node: Option<NodeId>) {
        if anchor != 0 {
            if self.anchors.len() <= anchor {
                self.anchors.resize(anchor + 1, None);
            }
            self.anchors[anchor] = node;
        }
    }

    fn attach(&mut self, value: NodeId) {
        let Some(frame) = self.frames.last_mut() else {
            self.tree.root = Some(value);
            return;
        };
        match &mut self.tree.nodes[frame.node].shape {
            Shape::List(items) => items.push(value),
            Shape::Map(fields) => {
                if let Some((key, mark)) = frame.key.take() {
                    fields.push(Field { key, mark, value });
                }
            }
            Shape::Scalar { .. } | Shape::Alias(_) => {}
        }
    }

    fn expects_key(&self) -> bool {
        self.frames.last().is_some_and(|frame| {
            frame.key.is_none() && matches!(self.tree.nodes[frame.node].shape, Shape::Map(_))
        })
    }

    /// Of the value that comes next.
    fn path(&self) -> FieldPath {
        let segments = self.frames.iter().filter_map(|frame| {
            match (&self.tree.nodes[frame.node].shape, &frame.key) {
                // The value of an open frame is already attached, so its key is the last field.
                (Shape::Map(_), Some((key, _))) => Some(Segment::Key(key.to_string())),
                (Shape::Map(fields), None) => fields
                    .last()
                    .filter(|field| self.tree.nodes[field.value].is_open)
                    .map(|field| Segment::Key(field.key.to_string())),
                (Shape::List(items), _) => Some(Segment::Index(match items.last() {
                    Some(&last) if self.tree.nodes[last].is_open => items.len() - 1,
                    _ => items.len(),
                })),
                (Shape::Scalar { .. } | Shape::Alias(_), _) => None,
            }
        });
        FieldPath(segments.collect())
    }

    fn refuse_tag(&mut self, is_tagged: bool, span: &Span) {
        if is_tagged {
            let mark = self.mark(&span.tag_start.unwrap_or(span.start));
            let path = self.path();
            self.problems.push(
                Problem::error(
                    "yaml-tag",
                    "a YAML tag is not read by all readers alike",
                    mark,
                )
                .on(path)
                .help("leave the tag out; quote the value if it is text"),
            );
        }
    }

    fn check_key(&mut self, key: &str, is_plain: bool, mark: Mark) {
        if !is_plain {
            return;
        }
        let path = self.path().key(key);
        if key == "<<" {
            self.problems.push(
                Problem::error(
                    "yaml-merge-key",
                    "the merge key `<<` is applied by kubectl and left as it is by others",
                    mark,
                )
                .on(path)
                .help("write the fields out"),
            );
            return;
        }
        let (ours, theirs) = (scalar::ours(key), scalar::kubectl(key));
        if ours != Plain::Text || theirs != Plain::Text {
            let reading = if theirs == Plain::Text { ours } else { theirs };
            self.problems.push(
                Problem::error(
                    "yaml-key",
                    format!("the key `{key}` is read as {reading}, not as text"),
                    mark,
                )
                .on(path)
                .help(format!("quote it: '{key}'")),
            );
        }
    }

    fn check_plain(&mut self, text: &str, mark: Mark) {
        let (ours, theirs) = (scalar::ours(text), scalar::kubectl(text));
        let problem = if ours == Plain::NoJson {
            Problem::error(
                "yaml-number",
                format!("`{text}` is a number that JSON, and so Kubernetes, cannot carry"),
                mark,
            )
            .help(format!("quote it if it is text: '{text}'"))
        } else if ours != theirs {
            Problem::error("yaml-ambiguous", format!("kubectl reads `{text}` as {theirs}, other readers as {ours}"), mark).help(
                match theirs {
                    Plain::Bool(value) => format!("quote it if it is text: '{text}'; write {value} if it is a boolean"),
                    _ => format!("quote it if it is text: '{text}'; write a number without leading zeros, `_` or capital prefixes"),
                },
            )
        } else if scalar::is_base_60(text) && self.problems.len() < MOST_PROBLEMS {
            Problem::warning("yaml-base-60", format!("`{text}` is text here and for kubectl, and a number of base 60 for other YAML 1.1 readers"), mark)
                .help(format!("quote it: '{text}'"))
        } else {
            return;
        };
        let path = self.path();
        self.problems.push(problem.on(path));
    }

    /// Names every key of the mapping that just ended that stood there before.
    fn refuse_duplicates(&mut self) {
        let Some(frame) = self.frames.last() else {
            return;
        };
        let Shape::Map(fields) = &self.tree.nodes[frame.node].shape else {
            return;
        };
        let mut order: Vec<usize> = (0..fields.len()).collect();
        order.sort_by(|&a, &b| fields[a].key.cmp(&fields[b].key));
        let mut twice: Vec<(usize, usize)> = order
            .chunk_by(|&a, &b| fields[a].key == fields[b].key)
            .flat_map(|same| same[1..].iter().map(|&again| (again, same[0])))
            .take(MOST_PROBLEMS)
            .collect();
        twice.sort_unstable();
        let path = self.path();
        let found: Vec<Problem> = twice
            .into_iter()
            .map(|(again, first)| {
                let (again, first) = (&fields[again], &fields[first]);
                let (line, column) = (first.mark.line, first.mark.column);
                Problem::error("yaml-duplicate-key", format!("the key `{}` stands here a second time; the first is at line {line}, column {column}", again.key), again.mark)
                    .on(path.key(&again.key))
                    .help("keep one of the two")
            })
            .collect();
        self.problems.extend(found);
    }

    fn too_deep(&self, mark: Mark) -> Stop {
        let most = self.limits.depth;
        Box::new(
            Problem::error(
                "yaml-too-deep",
                format!("lists and mappings are nested more than {most} deep, which is the limit"),
                mark,
            )
            .help("no manifest needs that; look for a bracket that is not closed"),
        )
    }

    fn too_many(&self, marker: &Marker) -> Stop {
        let message =
            format!("more than {MOST_PROBLEMS} problems in one document; the rest is not read");
        Box::new(Problem::error(
            "yaml-too-many-problems",
            message,
            self.mark(marker),
        ))
    }

    fn syntax(&self, text: &str, error: &ScanError) -> Stop {
        let mark = self.mark(error.marker());
        if *error.kind() == ErrorKind::RecursionLimitExceeded {
            return self.too_deep(mark);
        }
        let mut problem = super::syntax(text, self.lines_before, mark, &words(error));
        let open = self.frames.iter().rev().find_map(|frame| {
            let place = self.tree.nodes[frame.node].mark;
            Some((frame.bracket?, place))
        });
        if let Some((bracket, place)) = open.filter(|_| problem.help.is_none()) {
            let (line, column) = (place.line, place.column);
            problem.help = Some(format!(
                "the `{bracket}` of line {line}, column {column} is still open here; close it, or quote the value"
            ));
        }
        Box::new(problem)
    }
}

fn key_is_no_text(mark: Mark) -> Stop {
    Box::new(
        Problem::error("yaml-key", "a key that is not plain text cannot be a field name", mark)
            .help("if this is a template such as `{{ … }}`, Lockstep needs what it renders to; else quote the key"),
    )
}

/// What the parser says, for the mistakes people make in their own words.
fn words(error: &ScanError) -> String {
    match error.kind() {
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            "a `:` cannot stand here; a value that contains one needs quotes".into()
        }
        ErrorKind::UnclosedQuotedScalar | ErrorKind::DocumentIndicatorInQuotedScalar => {
            "the quotes that open here are not closed".into()
        }
        ErrorKind::UnclosedFlowCollection { open } => format!("the `{open}` is not closed"),
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => {
            format!("`{open}` is closed by `{close}`")
        }
        ErrorKind::UnknownAnchor => "the alias names an anchor that is not there".into(),
        ErrorKind::DirectiveDisallowed => {
            "a directive such as `%YAML` is not read; leave it out".into()
        }
        ErrorKind::SimpleKeyExpected
        | ErrorKind::InvalidSimpleKey
        | ErrorKind::ExpectedBlockMappingKey => {
            "a key of the mapping above is expected here; see the indentation".into()
        }
        ErrorKind::ExpectedBlockSequenceEntry => {
            "a `-` of the list above is expected here; see the indentation".into()
        }
        ErrorKind::UnexpectedCharacter { character } => {
            format!(
                "a value cannot begin with `{}` without quotes",
                character.escape_default()
            )
        }
        _ => error.info(),
    }
}
