//! Where desired states come from: a repository, and what was read of it last.
//!
//! Blocks on files; async callers wrap it. A revision that has not moved gives the same `Arc` again and costs one look at
//! its ref.

use std::sync::Arc;

use crate::decide::check::Schemas;
use crate::decide::desired::{NamespaceMap, Rules, keep_missing, narrowed};
use crate::edge::git::{ReadRevisionError, Repository, Snapshot};
use crate::model::desired::Desired;
use crate::run::desired::DesiredReader;

pub struct DesiredSource {
    repository: Arc<Repository>,
    reader: DesiredReader,
    schemas: Schemas,
    /// Nothing outside it is read into a desired state.
    namespace: Option<String>,
    last: Option<(Arc<Snapshot>, Arc<Desired>)>,
    /// The last revision that could be read, by whatever schemas.
    declared: Option<Arc<Desired>>,
}

impl DesiredSource {
    pub fn new(
        repository: Arc<Repository>,
        schemas: Schemas,
        namespaces: NamespaceMap,
        namespace: Option<String>,
    ) -> Self {
        let rules = Rules {
            schemas: schemas.clone(),
            ..Rules::default()
        };
        Self {
            repository,
            reader: DesiredReader::new(rules, namespaces),
            schemas,
            namespace,
            last: None,
            declared: None,
        }
    }

    pub fn repository(&self) -> &Arc<Repository> {
        &self.repository
    }

    pub fn schemas(&self) -> &Schemas {
        &self.schemas
    }

    /// Takes other schemas for the rules. Files are checked again only if they are not the same as before.
    pub fn hold_against(&mut self, schemas: Schemas) {
        if self.schemas == schemas {
            return;
        }
        self.schemas = schemas.clone();
        self.reader.hold_against(schemas);
        self.last = None;
    }

    /// Whether `read` would read anything. Fails where the revision cannot be read at all.
    pub fn has_news(&self) -> Result<bool, ReadRevisionError> {
        let snapshot = self.repository.snapshot()?;
        Ok(self.known(&snapshot).is_none())
    }

    /// What the configured revision declares now.
    pub fn read(&mut self) -> Result<Arc<Desired>, ReadRevisionError> {
        let snapshot = self.repository.snapshot()?;
        if let Some(desired) = self.known(&snapshot) {
            return Ok(desired);
        }
        let mut desired = self.desired(&snapshot);
        if let Some(before) = &self.declared {
            keep_missing(before, &mut desired);
        }
        let desired = Arc::new(desired);
        self.declared = Some(Arc::clone(&desired));
        // A file that could not be read is tried again.
        self.last = self
            .reader
            .has_read_all(&snapshot)
            .then(|| (snapshot, Arc::clone(&desired)));
        Ok(desired)
    }

    /// A work tree is looked at anew each time, and mostly as it was.
    fn known(&self, snapshot: &Arc<Snapshot>) -> Option<Arc<Desired>> {
        let (known, desired) = self.last.as_ref()?;
        (known == snapshot).then(|| Arc::clone(desired))
    }

    /// What a named revision declares.
    pub fn read_at(&mut self, revision: &str) -> Result<Desired, ReadRevisionError> {
        let snapshot = self.repository.snapshot_at(revision)?;
        Ok(self.desired(&snapshot))
    }

    fn desired(&mut self, snapshot: &Snapshot) -> Desired {
        let desired = self.reader.read(&self.repository, snapshot);
        match &self.namespace {
            Some(namespace) => narrowed(desired, namespace),
            None => desired,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::git::Settings;
    use crate::model::crd::Generation;

    #[test]
    fn files_that_did_not_change_are_no_news_and_other_schemas_are() {
        let folder = tempfile::tempdir().unwrap();
        git2::Repository::init(folder.path()).unwrap();
        let write = |instances: u32| {
            let text = format!(
                "apiVersion: stackgres.io/v1\nkind: SGCluster\nmetadata: {{namespace: a, name: c}}\nspec: {{instances: {instances}}}\n"
            );
            std::fs::write(folder.path().join("c.yaml"), text).unwrap();
        };
        write(1);
        let repository = Repository::open(&Settings {
            repository: folder.path().display().to_string(),
            worktree: true,
            ..Settings::default()
        })
        .unwrap();
        let mut source = DesiredSource::new(
            Arc::new(repository),
            Schemas::default(),
            NamespaceMap::default(),
            None,
        );
        assert!(source.has_news().unwrap());
        let first = source.read().unwrap();
        assert!(!source.has_news().unwrap());
        assert!(Arc::ptr_eq(&first, &source.read().unwrap()));

        source.hold_against(Schemas::of(Generation::Current));
        assert!(source.has_news().unwrap());
        let second = source.read().unwrap();
        assert_eq!(second.refused.len(), 1, "the schema requires more");

        write(12);
        assert!(source.has_news().unwrap());
    }
}
