//! What a revision asks for, put together from what its files say.
//!
//! A file's reading is a value that depends on the file alone and is kept from one revision to the next; putting readings
//! together is cheap and judges only what takes more than one file: paths, and objects that are named twice.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::check::{self, Schemas};
use super::digest::digest;
use crate::model::carried::Carried;
use crate::model::cluster::ClusterSpec;
use crate::model::crd::FORMER_KINDS;
use crate::model::desired::{Desired, DesiredCluster, Source, Supporting};
use crate::model::finding::{Finding, Level, Place};
use crate::model::key::{Key, Kind};
use crate::model::manifest::{self, Manifests, Object};
use crate::model::yaml::{Limits, Mark, Problem};

/// What files are held against.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    pub limits: Limits,
    pub schemas: Schemas,
}

/// One file, read and checked. It stays true as long as the file's path, its content and the rules do.
#[derive(Debug, Clone)]
pub struct FileReading {
    /// In the repository, with `/`.
    pub path: Arc<str>,
    objects: Vec<Checked>,
    not_applied: BTreeMap<Kind, (usize, Place)>,
    findings: Vec<Finding>,
    is_unidentified: bool,
}

#[derive(Debug, Clone)]
struct Checked {
    kind: Carried,
    key: Key,
    place: Place,
    asks: Asks,
}

#[derive(Debug, Clone)]
enum Asks {
    Cluster(DesiredCluster),
    /// With warnings and notes.
    Supporting(Supporting, Vec<Finding>),
    /// Why it cannot be carried out.
    Refused(Vec<Finding>),
}

/// Reads and checks one file.
pub fn read_file(path: &str, bytes: &[u8], rules: &Rules) -> FileReading {
    reading(path, manifest::read(path, bytes, &rules.limits), rules)
}

/// A file that is there and could not be read, with why. While it stays so, nothing is taken as gone.
pub fn unreadable_file(path: &str, why: &str) -> FileReading {
    let problem = Problem::error(
        "file-unreadable",
        format!("the file cannot be read: {why}"),
        Mark::START,
    );
    reading(path, manifest::unread(path, problem), &Rules::default())
}

fn reading(path: &str, manifests: Manifests, rules: &Rules) -> FileReading {
    let Manifests {
        objects,
        not_applied,
        findings,
        is_unidentified,
    } = manifests;
    FileReading {
        path: path.into(),
        objects: objects
            .into_iter()
            .map(|object| checked(object, rules))
            .collect(),
        not_applied,
        findings,
        is_unidentified,
    }
}

fn checked(object: Object, rules: &Rules) -> Checked {
    let Object {
        carried: kind,
        key,
        place,
        document,
        mut findings,
    } = object;
    let asks = match document {
        None => Asks::Refused(findings),
        Some(document) => {
            findings.extend(check::check(&document, kind, &rules.schemas));
            let spec = match kind {
                Carried::Cluster => match ClusterSpec::read(&document.value) {
                    Ok(spec) => Some(spec),
                    Err(why) => {
                        // The check has said it with its place, unless there was no schema to tell.
                        if !check::refuses(&findings) {
                            findings.push(
                                Finding::error("wrong-type", why)
                                    .at(place.clone())
                                    .of(key.clone()),
                            );
                        }
                        None
                    }
                },
                Carried::ObjectStorage
                | Carried::InstanceProfile
                | Carried::PostgresConfig
                | Carried::PoolingConfig => None,
            };
            if check::refuses(&findings) {
                Asks::Refused(findings)
            } else {
                let digest = digest(&document.value);
                let document = Arc::new(document);
                match spec {
                    Some(spec) => Asks::Cluster(DesiredCluster {
                        document,
                        spec,
                        digest,
                        findings,
                    }),
                    None => Asks::Supporting(
                        Supporting {
                            kind: kind.kind(),
                            key: key.clone(),
                            document,
                            digest,
                        },
                        findings,
                    ),
                }
            }
        }
    };
    Checked {
        kind,
        key,
        place,
        asks,
    }
}

/// Which namespaces the files below a path may name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespaceMap {
    /// Path without slashes at its ends, to namespaces; `*` stands for all.
    entries: Vec<(String, Vec<String>)>,
}

impl NamespaceMap {
    /// Without any entry everything is allowed; with one, only what an entry allows.
    pub fn new<'a>(entries: impl IntoIterator<Item = (&'a String, &'a Vec<String>)>) -> Self {
        let clean = |path: &str| {
            let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
            parts.collect::<Vec<_>>().join("/")
        };
        Self {
            entries: entries
                .into_iter()
                .map(|(path, namespaces)| (clean(path), namespaces.clone()))
                .collect(),
        }
    }

    /// The entry that decides for a file: the longest path that holds it.
    fn entry(&self, file: &str) -> Option<&(String, Vec<String>)> {
        let holds = |path: &str| {
            path.is_empty()
                || file
                    .strip_prefix(path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.entries
            .iter()
            .filter(|(path, _)| holds(path))
            .max_by_key(|(path, _)| path.len())
    }

    /// `None` where the file may name the namespace; else why not.
    fn refusal(&self, file: &str, namespace: &str) -> Option<String> {
        if self.entries.is_empty() {
            return None;
        }
        match self.entry(file) {
            None => Some("no entry of the namespace map holds this path".to_owned()),
            Some((_, allowed)) if allowed.iter().any(|name| name == "*" || name == namespace) => {
                None
            }
            Some((path, allowed)) if allowed.is_empty() => {
                Some(format!("files below {} may name no namespace", shown(path)))
            }
            Some((path, allowed)) => Some(format!(
                "files below {} may name {}",
                shown(path),
                allowed.join(", ")
            )),
        }
    }
}

fn shown(path: &str) -> &str {
    if path.is_empty() { "the top" } else { path }
}

/// Puts readings together. Where the order of files matters (which comes first is told first), it is the iterator's.
pub fn assemble<'r>(
    source: Source,
    files: impl IntoIterator<Item = &'r Arc<FileReading>>,
    namespaces: &NamespaceMap,
) -> Desired {
    let mut desired = Desired {
        source,
        ..Desired::default()
    };
    let mut not_applied: BTreeMap<&Kind, (usize, &Place)> = BTreeMap::new();
    let mut named = Vec::new();
    let mut outside = Vec::new();
    for file in files {
        desired.findings.extend(file.findings.iter().cloned());
        if file.is_unidentified {
            desired.unidentified.insert(file.path.to_string());
        }
        for (kind, (count, place)) in &file.not_applied {
            let (all, _) = not_applied.entry(kind).or_insert((0, place));
            *all += count;
        }
        for object in &file.objects {
            match namespaces.refusal(&file.path, &object.key.namespace) {
                None => named.push(object),
                Some(why) => outside.push((object, why)),
            }
        }
    }
    // Stable, so that documents of one name stay in the order of their files.
    named.sort_by(|a, b| (a.kind, &a.key).cmp(&(b.kind, &b.key)));
    for same in named.chunk_by(|a, b| (a.kind, &a.key) == (b.kind, &b.key)) {
        match same {
            [one] => add(&mut desired, one),
            several => refuse(&mut desired, several[0], twice(several)),
        }
    }
    for (object, why) in outside {
        let finding = not_allowed(object, &why);
        // Whoever may name the cluster is not hindered by whoever may not.
        if desired.clusters.contains_key(&object.key) && object.kind == Carried::Cluster {
            desired.findings.push(finding);
        } else {
            refuse(&mut desired, object, vec![finding]);
        }
    }
    for (kind, (count, place)) in not_applied {
        desired.findings.push(kind_not_applied(kind, count, place));
        desired.not_applied.insert(kind.clone(), count);
    }
    desired
        .findings
        .sort_by(|a, b| (&a.place, a.level, a.id).cmp(&(&b.place, b.level, b.id)));
    desired
}

/// Clusters that the revision before named and this one does not, while a file of this one cannot be understood: they may
/// stand in that file, so they are refused and stay as they are.
pub fn keep_missing(before: &Desired, desired: &mut Desired) {
    if desired.unidentified.is_empty() {
        return;
    }
    let known = before.clusters.keys().chain(before.refused.keys());
    for key in known {
        if desired.clusters.contains_key(key) || desired.refused.contains_key(key) {
            continue;
        }
        let files: Vec<&str> = desired.unidentified.iter().map(String::as_str).collect();
        let mut finding = Finding::error(
            "unknown-whereabouts",
            format!(
                "no manifest of SGCluster {key} is found, and {} cannot be understood",
                files.join(", ")
            ),
        )
        .of(key.clone())
        .help("mend what cannot be understood; until then the cluster stays as it is");
        // Where the file stops being understood.
        finding.place = desired
            .findings
            .iter()
            .filter(|one| one.level == Level::Error)
            .filter_map(|one| one.place.clone())
            .find(|place| files.contains(&place.file.as_str()));
        desired.refused.insert(key.clone(), vec![finding]);
    }
}

fn add(desired: &mut Desired, object: &Checked) {
    match &object.asks {
        Asks::Cluster(cluster) => {
            desired.clusters.insert(object.key.clone(), cluster.clone());
        }
        Asks::Supporting(supporting, findings) => {
            desired.supporting.push(supporting.clone());
            desired.findings.extend(findings.iter().cloned());
        }
        Asks::Refused(findings) => refuse(desired, object, findings.clone()),
    }
}

/// A cluster's findings stay with it; those of other kinds belong to no cluster.
fn refuse(desired: &mut Desired, object: &Checked, findings: Vec<Finding>) {
    match object.kind {
        Carried::Cluster => desired
            .refused
            .entry(object.key.clone())
            .or_default()
            .extend(findings),
        Carried::ObjectStorage
        | Carried::InstanceProfile
        | Carried::PostgresConfig
        | Carried::PoolingConfig => desired.findings.extend(findings),
    }
}

/// Both are refused, each naming the other, since nothing says which one is meant.
fn twice(same: &[&Checked]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, object) in same.iter().enumerate() {
        let others: Vec<String> = same
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index)
            .map(|(_, object)| object.place.to_string())
            .collect();
        let (word, key) = (object.kind.word(), &object.key);
        let finding = Finding::error(
            "duplicate-object",
            format!("{word} {key} is also in {}", others.join(" and ")),
        )
        .at(object.place.clone())
        .help("keep one of them; until then neither is carried out");
        findings.push(with_cluster(finding, object));
        if let Asks::Refused(own) = &object.asks {
            findings.extend(own.iter().cloned());
        }
    }
    findings
}

fn not_allowed(object: &Checked, why: &str) -> Finding {
    let (word, key) = (object.kind.word(), &object.key);
    let finding = Finding::error(
        "namespace-not-allowed",
        format!("{word} {key} is not carried out: {why}"),
    )
    .at(object.place.clone())
    .help("move the file, or extend `namespaces` in Lockstep's configuration");
    with_cluster(finding, object)
}

fn with_cluster(finding: Finding, object: &Checked) -> Finding {
    match object.kind {
        Carried::Cluster => finding.of(object.key.clone()),
        Carried::ObjectStorage
        | Carried::InstanceProfile
        | Carried::PostgresConfig
        | Carried::PoolingConfig => finding,
    }
}

fn kind_not_applied(kind: &Kind, count: usize, place: &Place) -> Finding {
    let documents = match count {
        1 => "1 document".to_owned(),
        _ => format!("{count} documents"),
    };
    let finding = Finding::note(
        "kind-not-applied",
        format!("{kind} is not applied by Lockstep ({documents})"),
    )
    .at(place.clone());
    let former = FORMER_KINDS.iter().find(|(former, _)| *former == kind.kind);
    if let Some((_, instead)) = former {
        return finding.help(format!(
            "StackGres no longer has this kind; write {instead}"
        ));
    }
    finding.help("apply it by other means")
}

/// Only what belongs to one namespace, and what belongs to none.
pub fn narrowed(mut desired: Desired, namespace: &str) -> Desired {
    desired.clusters.retain(|key, _| key.namespace == namespace);
    desired.refused.retain(|key, _| key.namespace == namespace);
    desired
        .supporting
        .retain(|one| one.key.namespace == namespace);
    desired
}

/// How many findings there are of each level: errors, warnings, notes.
pub fn count<'f>(findings: impl IntoIterator<Item = &'f Finding>) -> [usize; 3] {
    let mut counts = [0; 3];
    for finding in findings {
        counts[match finding.level {
            Level::Error => 0,
            Level::Warning => 1,
            Level::Note => 2,
        }] += 1;
    }
    counts
}

/// Every finding of a revision, those of its clusters included, in the order of their places.
pub fn findings(desired: &Desired) -> Vec<&Finding> {
    let Desired {
        source: _,
        clusters,
        supporting: _,
        refused,
        findings,
        not_applied: _,
        unidentified: _,
    } = desired;
    let mut all: Vec<&Finding> = findings.iter().collect();
    all.extend(clusters.values().flat_map(|cluster| &cluster.findings));
    all.extend(refused.values().flatten());
    all.sort_by(|a, b| (&a.place, a.level, a.id).cmp(&(&b.place, b.level, b.id)));
    all
}
