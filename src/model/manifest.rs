//! A file of the repository taken apart into the objects it names: kind, key, value, and where each field stands.
//!
//! Identity comes first. An object whose name can be read although the rest is wrong keeps its name, so that only its own
//! cluster is refused; a text that could be any object's makes the file unidentified, so that nothing is taken as gone.
//! Whether an object's fields make sense is `decide::check`.

pub mod name;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::carried::{Carried, GROUP, OTHER_KINDS};
use super::field::{FieldPath, Segment};
use super::finding::{Finding, Level, Place};
use super::key::{Key, Kind};
use super::spelling::nearest;
use super::yaml::{self, Limits, Mark, NodeId, Positions, Problem, Text, Tree};

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
        place(&self.file, self.positions.nearest(path))
    }

    /// Where a field's value stands; as `place` where the field is not written.
    pub fn value_place(&self, path: &FieldPath) -> Place {
        place(&self.file, self.positions.value(path))
    }
}

fn place(file: &str, (line, column): (usize, usize)) -> Place {
    Place {
        file: file.to_owned(),
        line,
        column,
    }
}

/// What one file names.
#[derive(Debug, Clone, Default)]
pub struct Manifests {
    pub objects: Vec<Object>,
    /// Documents of kinds that are not carried out: how many, and where the first stands.
    pub not_applied: BTreeMap<Kind, (usize, Place)>,
    /// What belongs to none of the objects.
    pub findings: Vec<Finding>,
    /// Some text of the file could be the manifest of any object.
    pub is_unidentified: bool,
}

/// An object of a kind that is carried out.
#[derive(Debug, Clone)]
pub struct Object {
    pub carried: Carried,
    pub key: Key,
    /// Where it begins.
    pub place: Place,
    /// `None` where its text cannot be relied upon; an error among the findings says why.
    pub document: Option<Document>,
    pub findings: Vec<Finding>,
}

/// Takes a file apart.
pub fn read(path: &str, bytes: &[u8], limits: &Limits) -> Manifests {
    let file = yaml::read(bytes, limits);
    let mut reader = Reader {
        file: path.into(),
        out: Manifests {
            is_unidentified: !file.is_whole,
            ..Manifests::default()
        },
    };
    for problem in file.problems {
        let finding = reader.finding(problem);
        reader.out.findings.push(finding);
    }
    for text in file.documents {
        reader.document(text);
    }
    reader.out
}

/// A file that is there and was not read: why, in the place of its manifests.
pub fn unread(path: &str, problem: Problem) -> Manifests {
    let reader = Reader {
        file: path.into(),
        out: Manifests::default(),
    };
    Manifests {
        findings: vec![reader.finding(problem)],
        is_unidentified: true,
        ..Manifests::default()
    }
}

struct Reader {
    file: Arc<str>,
    out: Manifests,
}

/// One object's part of a text.
struct Part<'t, 'p> {
    tree: &'t Tree<'p>,
    node: NodeId,
    value: Option<Value>,
    /// With paths from `node`.
    problems: Vec<Problem>,
    /// What `apiVersion` and `kind` are where the object does not say, as items of a list may leave them out.
    inherited: Option<Kind>,
    /// Why the value cannot be relied upon although no problem of its own says so.
    spoilt: Option<(Mark, &'static str)>,
}

impl Reader {
    fn document(&mut self, text: Text<'_>) {
        let Text {
            tree,
            value,
            problems,
            unread,
        } = text;
        // Only a text with the word `kind` in it can name another object.
        let hides_more = unread.is_some_and(|rest| rest.windows(4).any(|word| word == b"kind"));
        self.out.is_unidentified |= hides_more;
        let spoilt = problems
            .iter()
            .find(|problem| problem.level == Level::Error && (unread.is_some() || value.is_none()))
            .map(|problem| (problem.mark, problem.id));
        let Some(node) = tree.root() else {
            self.out.is_unidentified = true;
            self.keep(problems);
            return;
        };
        self.part(
            Part {
                tree: &tree,
                node,
                value,
                problems,
                inherited: None,
                spoilt,
            },
            unread.is_none(),
        );
    }

    fn part(&mut self, mut part: Part<'_, '_>, is_whole: bool) {
        let (tree, node) = (part.tree, part.node);
        let text = |path: &[&str]| {
            let found = path.iter().try_fold(node, |node, key| tree.get(node, key));
            found.and_then(|node| tree.text(node)).map(str::to_owned)
        };
        let (api_version, kind) = (text(&["apiVersion"]), text(&["kind"]));
        let inherited = part.inherited.take().filter(|_| tree.is_map(node));
        let kind = match (&api_version, &kind, inherited) {
            (Some(version), Some(kind), _) => Kind::from_api_version(version, kind),
            (None, None, Some(kind)) => kind,
            _ => return self.without_kind(part, api_version, kind, is_whole),
        };
        let items = tree.get(node, "items");
        match items.and_then(|items| tree.items(items)) {
            Some(items) if kind.kind.ends_with("List") => {
                return self.list(part, items, &kind, is_whole);
            }
            None if kind.kind == "List" => return self.without_items(part),
            _ => {}
        }
        let carried = Carried::ALL.into_iter().find(|carried| {
            carried.word() == kind.kind && (kind.group == GROUP || kind.group.is_empty())
        });
        let Some(carried) = carried else {
            return self.other_kind(part, kind, is_whole);
        };
        let (namespace, name) = (
            text(&["metadata", "namespace"]),
            text(&["metadata", "name"]),
        );
        let (Some(namespace), Some(name)) = (namespace, name) else {
            return self.without_key(part, carried, text(&["metadata", "name"]), is_whole);
        };
        self.object(part, carried, &kind, Key::new(namespace, name));
    }

    fn object(&mut self, part: Part<'_, '_>, carried: Carried, kind: &Kind, key: Key) {
        let positions = part.tree.positions(part.node);
        let mut findings: Vec<Finding> = part
            .problems
            .iter()
            .map(|p| self.finding(p.clone()))
            .collect();
        let at = |path: &FieldPath| place(&self.file, positions.value(path));
        if kind.api_version() != carried.api_version() {
            let path = FieldPath::of(["apiVersion"]);
            findings.push(
                Finding::error(
                    "wrong-api-version",
                    format!(
                        "{} is served as {}, not as {}",
                        carried.word(),
                        carried.api_version(),
                        kind.api_version()
                    ),
                )
                .at(at(&path))
                .on(path)
                .help(format!("write apiVersion: {}", carried.api_version())),
            );
        }
        findings.extend(
            name::check(carried, &key, part.value.as_ref())
                .into_iter()
                .map(|finding| {
                    let path = finding.field.clone().unwrap_or_default();
                    finding.at(at(&path))
                }),
        );
        let is_refused = findings.iter().any(|finding| finding.level == Level::Error);
        let value = match part.value {
            Some(value) if !is_refused => match part.tree.agrees(part.node, &value) {
                Ok(()) => Some(value),
                Err(path) => {
                    findings.push(
                        Finding::error(
                            "yaml-readings-differ",
                            format!("two readers of YAML do not agree on `{path}`"),
                        )
                        .at(at(&path))
                        .on(path)
                        .help("write it in a plainer way, with quotes"),
                    );
                    None
                }
            },
            Some(_) => None,
            None => {
                if !is_refused && let Some((mark, id)) = part.spoilt {
                    let (line, column) = mark.pair();
                    findings.push(
                        Finding::error("unreadable-document", format!("the YAML document that holds it cannot be read: see {id} at line {line}, column {column}"))
                            .at(at(&FieldPath::root())),
                    );
                }
                None
            }
        };
        let place = at(&FieldPath::root());
        if carried == Carried::Cluster {
            for finding in &mut findings {
                finding.cluster = Some(key.clone());
            }
        }
        let value = value.map(|mut value| {
            // Items of an SGClusterList need not repeat it.
            if let Some(object) = value.as_object_mut() {
                object.insert("apiVersion".into(), kind.api_version().into());
                object.insert("kind".into(), kind.kind.clone().into());
            }
            value
        });
        let document = value.map(|value| Document {
            file: Arc::clone(&self.file),
            kind: carried.kind(),
            key: key.clone(),
            value: Arc::new(value),
            positions: Arc::new(positions),
        });
        self.out.objects.push(Object {
            carried,
            key,
            place,
            document,
            findings,
        });
    }

    /// Takes a list apart; what is wrong with one item stays with it.
    fn list(&mut self, part: Part<'_, '_>, items: &[NodeId], kind: &Kind, is_whole: bool) {
        let mut problems: Vec<Vec<Problem>> = items.iter().map(|_| Vec::new()).collect();
        let mut own = Vec::new();
        for mut problem in part.problems {
            let way = problem.path.as_ref().map_or(&[][..], |path| &path.0);
            match way {
                [Segment::Key(key), Segment::Index(index), rest @ ..]
                    if key == "items" && *index < items.len() =>
                {
                    let index = *index;
                    problem.path = Some(FieldPath(rest.to_vec()));
                    problems[index].push(problem);
                }
                _ => own.push(problem),
            }
        }
        // After a syntax error there may be more items.
        self.out.is_unidentified |= !is_whole;
        // What is wrong with the list itself is wrong with each of its items.
        let own_error = own.iter().find(|problem| problem.level == Level::Error);
        let own_error = own_error.map(|problem| (problem.mark, problem.id));
        let spoilt = own_error.or(part.spoilt);
        let mut value = part.value.filter(|_| own_error.is_none());
        self.keep(own);
        let one = kind.kind.strip_suffix("List").filter(|one| !one.is_empty());
        let inherited = one.map(|one| Kind::from_api_version(&kind.api_version(), one));
        for ((index, &node), problems) in items.iter().enumerate().zip(problems) {
            let item = value
                .as_mut()
                .and_then(|value| value.get_mut("items")?.get_mut(index))
                .map(Value::take);
            self.part(
                Part {
                    tree: part.tree,
                    node,
                    value: item,
                    problems,
                    inherited: inherited.clone(),
                    spoilt,
                },
                is_whole,
            );
        }
    }

    /// A list whose items are absent, no list, or there twice.
    fn without_items(&mut self, part: Part<'_, '_>) {
        let place = self.start(&part);
        self.keep(part.problems);
        self.out.is_unidentified = true;
        self.out.findings.push(
            Finding::error(
                "list-without-items",
                "the items of this List cannot be read",
            )
            .at(place)
            .help("write `items:` once, as a list of objects"),
        );
    }

    fn other_kind(&mut self, part: Part<'_, '_>, kind: Kind, is_whole: bool) {
        let place = self.start(&part);
        if !is_whole {
            self.keep(part.problems);
        }
        if kind.group == GROUP && !OTHER_KINDS.contains(&kind.kind.as_str()) {
            let words = Carried::ALL.map(Carried::word);
            let help = match nearest(&kind.kind, words.into_iter().chain(OTHER_KINDS)) {
                Some(word) => format!("did you mean {word}?"),
                None => format!("Lockstep carries out {}", words.join(", ")),
            };
            self.out.is_unidentified = true;
            self.out.findings.push(
                Finding::error(
                    "unknown-kind",
                    format!("{GROUP} has no kind `{}`", kind.kind),
                )
                .at(place)
                .help(help),
            );
            return;
        }
        let (count, _) = self.out.not_applied.entry(kind).or_insert((0, place));
        *count += 1;
    }

    /// No `apiVersion`, no `kind`, or neither.
    fn without_kind(
        &mut self,
        part: Part<'_, '_>,
        api_version: Option<String>,
        kind: Option<String>,
        is_whole: bool,
    ) {
        let place = self.start(&part);
        let is_ours = api_version
            .as_ref()
            .is_some_and(|version| version.starts_with(GROUP))
            || kind
                .as_ref()
                .is_some_and(|kind| Carried::ALL.iter().any(|carried| carried.word() == kind));
        // Said twice with different values, which is no identity either.
        let written = |key| {
            part.tree.get(part.node, key).is_none() && {
                let path = FieldPath::of([key]);
                part.problems
                    .iter()
                    .any(|problem| problem.path.as_ref() == Some(&path))
            }
        };
        if !is_whole || written("apiVersion") || written("kind") {
            self.out.is_unidentified = true;
            self.keep(part.problems);
            return;
        }
        let missing = match (api_version.is_some(), kind.is_some()) {
            (false, false) => "neither apiVersion nor kind",
            (true, _) => "no kind",
            (false, true) => "no apiVersion",
        };
        if is_ours {
            self.out.is_unidentified = true;
            self.keep(part.problems);
            self.out.findings.push(
                Finding::error(
                    "no-kind",
                    format!("the document has {missing}, so its object is not known"),
                )
                .at(place)
                .help("write both, such as `apiVersion: stackgres.io/v1` and `kind: SGCluster`"),
            );
            return;
        }
        // Said once a file: a values file may have thousands of documents.
        if self
            .out
            .findings
            .iter()
            .any(|one| one.id == "not-a-manifest")
        {
            return;
        }
        self.out.findings.push(
            Finding::warning(
                "not-a-manifest",
                format!(
                    "the document has {missing}, so it is no Kubernetes manifest and is left out"
                ),
            )
            .at(place)
            .help("keep such files outside the paths that Lockstep reads"),
        );
    }

    /// Of a kind that is carried out, and without name or namespace.
    fn without_key(
        &mut self,
        part: Part<'_, '_>,
        carried: Carried,
        name: Option<String>,
        is_whole: bool,
    ) {
        self.out.is_unidentified = true;
        let place = match part.tree.get(part.node, "metadata") {
            Some(metadata) => place(&self.file, part.tree.mark(metadata).pair()),
            None => self.start(&part),
        };
        // A name that stands there twice, or was not reached, is not missing.
        let is_explained = !is_whole
            || part.problems.iter().any(|problem| {
                let path = problem.path.as_ref();
                path.is_some_and(|path| path.starts_with(&FieldPath::of(["metadata"])))
            });
        self.keep(part.problems);
        if is_explained {
            return;
        }
        let word = carried.word();
        self.out.findings.push(match name {
            Some(name) => Finding::error(
                "missing-namespace",
                format!("{word} `{name}` has no metadata.namespace"),
            )
            .on(FieldPath::of(["metadata", "namespace"]))
            .at(place)
            .help("write it; Lockstep does not guess the namespace of a database"),
            None => Finding::error("missing-name", format!("this {word} has no metadata.name"))
                .on(FieldPath::of(["metadata", "name"]))
                .at(place)
                .help("write it; generateName would make another cluster at each pass"),
        });
    }

    fn start(&self, part: &Part<'_, '_>) -> Place {
        place(&self.file, part.tree.mark(part.node).pair())
    }

    fn keep(&mut self, problems: Vec<Problem>) {
        let findings: Vec<Finding> = problems.into_iter().map(|p| self.finding(p)).collect();
        self.out.findings.extend(findings);
    }

    fn finding(&self, problem: Problem) -> Finding {
        Finding {
            id: problem.id,
            level: problem.level,
            place: Some(place(&self.file, problem.mark.pair())),
            field: problem.path,
            cluster: None,
            message: problem.message,
            help: problem.help,
        }
    }
}
