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

    /// What the configured revision declares now.
    pub fn read(&mut self) -> Result<Arc<Desired>, ReadRevisionError> {
        let snapshot = self.repository.snapshot()?;
        if let Some((known, desired)) = &self.last
            && Arc::ptr_eq(known, &snapshot)
        {
            return Ok(Arc::clone(desired));
        }
        let mut desired = self.desired(&snapshot);
        if let Some(before) = &self.declared {
            keep_missing(before, &mut desired);
        }
        let desired = Arc::new(desired);
        self.declared = Some(Arc::clone(&desired));
        self.last = Some((snapshot, Arc::clone(&desired)));
        Ok(desired)
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
