//! From a snapshot of the repository to what it asks for. Only files that are new or changed are read; the readings of
//! the others are kept by path and blob id.

use std::collections::HashMap;
use std::sync::Arc;

use crate::decide::check::Schemas;
use crate::decide::desired::{
    FileReading, NamespaceMap, Rules, assemble, read_file, unreadable_file,
};
use crate::edge::git::{BlobId, Repository, Snapshot};
use crate::model::desired::Desired;
use crate::model::finding::Finding;

/// Reads snapshots one after another. It blocks while it reads files.
#[derive(Debug, Default)]
pub struct DesiredReader {
    rules: Rules,
    namespaces: NamespaceMap,
    readings: HashMap<(Arc<str>, BlobId), Arc<FileReading>>,
}

impl DesiredReader {
    pub fn new(rules: Rules, namespaces: NamespaceMap) -> Self {
        Self {
            rules,
            namespaces,
            readings: HashMap::new(),
        }
    }

    /// From here on files are held against other schemas, as when the server's CRD has changed. All are read again.
    pub fn hold_against(&mut self, schemas: Schemas) {
        self.rules.schemas = schemas;
        self.readings.clear();
    }

    /// Whether no file of the snapshot that was read last was passed over.
    pub fn has_read_all(&self, snapshot: &Snapshot) -> bool {
        self.readings.len() == snapshot.files.len()
    }

    /// What the snapshot asks for. A file that cannot be read is named in it, and holds nothing else up.
    pub fn read(&mut self, repository: &Repository, snapshot: &Snapshot) -> Desired {
        let mut readings = HashMap::with_capacity(snapshot.files.len());
        let mut in_order = Vec::with_capacity(snapshot.files.len());
        for file in &snapshot.files {
            let key = (Arc::clone(&file.path), file.blob);
            let reading = match self.readings.get(&key) {
                Some(reading) => Arc::clone(reading),
                None => match repository.read(&file.blob) {
                    Ok(bytes) => Arc::new(read_file(&file.path, &bytes, &self.rules)),
                    // Not kept: the next pass tries again.
                    Err(error) => {
                        in_order.push(Arc::new(unreadable_file(&file.path, &error.to_string())));
                        continue;
                    }
                },
            };
            in_order.push(Arc::clone(&reading));
            readings.insert(key, reading);
        }
        self.readings = readings;
        let mut desired = assemble(snapshot.source.clone(), &in_order, &self.namespaces);
        desired.findings.extend(snapshot.skipped.iter().cloned());
        let unread = snapshot.unread().map(str::to_owned);
        desired.unidentified.extend(unread);
        if snapshot.files.is_empty() {
            desired.findings.push(
                Finding::warning("no-files", "no file below the paths ends in .yaml or .yml")
                    .help("see --path and --revision"),
            );
        }
        desired
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use git2::Signature;

    use super::*;
    use crate::decide::desired::findings;
    use crate::edge::git::Settings;
    use crate::model::crd::Generation;
    use crate::model::desired::Source;

    fn commit(git: &git2::Repository, files: &[(&str, &str)]) {
        let mut tree = git.treebuilder(None).unwrap();
        for (name, text) in files {
            let blob = git.blob(text.as_bytes()).unwrap();
            tree.insert(name, blob, 0o100_644).unwrap();
        }
        let tree = git.find_tree(tree.write().unwrap()).unwrap();
        let who = Signature::now("a", "a@example.org").unwrap();
        let parent = git.head().and_then(|head| head.peel_to_commit()).ok();
        let parents: Vec<_> = parent.iter().collect();
        git.commit(Some("HEAD"), &who, &who, "change", &tree, &parents)
            .unwrap();
    }

    fn cluster(name: &str, instances: u32) -> String {
        format!(
            "apiVersion: stackgres.io/v1\nkind: SGCluster\nmetadata: {{namespace: a, name: {name}}}\nspec: {{instances: {instances}}}\n"
        )
    }

    #[test]
    fn only_files_that_changed_are_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let git = git2::Repository::init(directory.path()).unwrap();
        let (b, broken) = (cluster("b", 1), cluster("c", 1).replace("1}", "yes}"));
        commit(
            &git,
            &[
                ("b.yaml", &b),
                ("c.yaml", &broken),
                ("x.yaml", &cluster("x", 1)),
            ],
        );
        let repository = Repository::open(&Settings {
            repository: directory.path().display().to_string(),
            ..Settings::default()
        })
        .unwrap();
        let mut reader = DesiredReader::default();
        let first = reader.read(&repository, &repository.snapshot().unwrap());
        let names = |desired: &Desired| {
            desired
                .clusters
                .keys()
                .map(|key| key.name.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&first), ["b", "x"]);
        assert_eq!(first.refused.len(), 1);

        commit(
            &git,
            &[
                ("b.yaml", &b),
                ("c.yaml", &cluster("c", 1)),
                ("x.yaml", &cluster("x", 2)),
            ],
        );
        let second = reader.read(&repository, &repository.snapshot().unwrap());
        assert_eq!(names(&second), ["b", "c", "x"]);
        let document = |desired: &Desired, name: &str| {
            let found = desired.clusters.iter().find(|(key, _)| key.name == name);
            Arc::clone(&found.unwrap().1.document)
        };
        assert!(Arc::ptr_eq(&document(&first, "b"), &document(&second, "b")));
        assert!(!Arc::ptr_eq(
            &document(&first, "x"),
            &document(&second, "x")
        ));
        assert_eq!(reader.readings.len(), 3);
    }

    #[test]
    fn a_repository_without_manifests_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let git = git2::Repository::init(directory.path()).unwrap();
        commit(&git, &[("README.md", "nothing")]);
        let repository = Repository::open(&Settings {
            repository: directory.path().display().to_string(),
            ..Settings::default()
        })
        .unwrap();
        let desired = DesiredReader::default().read(&repository, &repository.snapshot().unwrap());
        assert_eq!(desired.findings[0].id, "no-files");
    }

    /// Every file of the example repositories, held against a generation of StackGres.
    fn examples(generation: Generation) -> Vec<String> {
        let rules = Rules {
            schemas: Schemas::of(generation),
            ..Rules::default()
        };
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
        let mut open = vec![top.clone()];
        let mut readings = Vec::new();
        while let Some(place) = open.pop() {
            if place.is_dir() {
                open.extend(
                    std::fs::read_dir(&place)
                        .unwrap()
                        .map(|entry| entry.unwrap().path()),
                );
            } else if place.extension().is_some_and(|end| end == "yaml") {
                let path = place.strip_prefix(&top).unwrap().display().to_string();
                readings.push(Arc::new(read_file(
                    &path,
                    &std::fs::read(&place).unwrap(),
                    &rules,
                )));
            }
        }
        assert!(!readings.is_empty());
        readings.sort_by(|a, b| a.path.cmp(&b.path));
        let desired = assemble(Source::default(), &readings, &NamespaceMap::default());
        let found = findings(&desired).into_iter();
        found
            .map(|finding| {
                format!(
                    "{} {} {}",
                    finding.place.as_ref().unwrap(),
                    finding.level.word(),
                    finding.id
                )
            })
            .collect()
    }

    #[test]
    fn the_examples_are_told_what_they_are_there_to_show() {
        insta::assert_snapshot!(examples(Generation::V1_16).join("\n"), @"
        demo/clusters/failover/sync-cluster.yaml:10:3 warning deprecated-field
        demo/clusters/failover/sync-cluster.yaml:12:48 note sync-instances-ignored
        review/clusters/analytics/events.yaml:16:11 warning all-of-one
        review/clusters/payments/ledger.yaml:18:11 note strict-promises-one
        ");
        let today = examples(Generation::Current);
        assert_eq!(
            today[0],
            "demo/clusters/failover/sync-cluster.yaml:10:3 error removed-field"
        );
    }
}
