//! Whether a document can be carried out, and whether it then means what it seems to mean. Offline: one document at a
//! time, against a schema and the operator's rules.
//!
//! Every finding has an id of `IDS`. What depends on what is live is not judged here.

mod effect;
mod fields;
mod ids;
mod metadata;
mod object;
mod operator;
mod supporting;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use ids::{IDS, Rule};

use object::Object;

use crate::model::carried::Carried;
use crate::model::crd::{self, Generation};
use crate::model::field::FieldPath;
use crate::model::finding::{Finding, Level};
use crate::model::manifest::Document;
use crate::model::schema::Schema;

/// The schemas that documents are held against. A kind without one is held against the operator's rules only.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Schemas(BTreeMap<Carried, Arc<Schema>>);

impl Schemas {
    /// Lockstep's own writing of one generation of StackGres.
    pub fn of(generation: Generation) -> Self {
        let own = |kind: Carried| {
            Some((
                kind,
                Arc::new(crd::schema(generation, &kind.kind())?.clone()),
            ))
        };
        Self(Carried::ALL.into_iter().filter_map(own).collect())
    }

    /// With the schema that a server holds against this kind.
    #[must_use]
    pub fn with(mut self, kind: Carried, schema: Arc<Schema>) -> Self {
        self.0.insert(kind, schema);
        self
    }

    pub fn get(&self, kind: Carried) -> Option<&Schema> {
        self.0.get(&kind).map(AsRef::as_ref)
    }
}

/// Everything there is to say about one document, in the order of its lines.
pub fn check(document: &Document, kind: Carried, schemas: &Schemas) -> Vec<Finding> {
    let mut object = Object::new(document);
    metadata::check(&mut object);
    if let Some(schema) = schemas.get(kind) {
        fields::check(&mut object, kind, schema);
    }
    match kind {
        Carried::Cluster => {
            operator::check(&mut object);
            effect::check(&mut object);
            for finding in &mut object.findings {
                finding.cluster = Some(document.key.clone());
            }
        }
        Carried::ObjectStorage
        | Carried::InstanceProfile
        | Carried::PostgresConfig
        | Carried::PoolingConfig => supporting::check(&mut object, kind),
    }
    let mut findings = object.findings;
    let more = findings.len().saturating_sub(MOST_FINDINGS);
    if more > 0 {
        // Errors first, so that what refuses the document is among those that stay.
        findings.sort_by_key(|finding| finding.level);
        findings.truncate(MOST_FINDINGS);
    }
    findings.sort_by(|a, b| (&a.place, a.level, a.id).cmp(&(&b.place, b.level, b.id)));
    if more > 0 {
        let place = document.place(&FieldPath::root());
        let finding = Finding::note(
            "too-many-findings",
            format!("at least {more} more findings are not shown"),
        )
        .at(place);
        findings.push(match kind {
            Carried::Cluster => finding.of(document.key.clone()),
            Carried::ObjectStorage
            | Carried::InstanceProfile
            | Carried::PostgresConfig
            | Carried::PoolingConfig => finding,
        });
    }
    findings
}

/// Of one document. A hostile file is not to fill the memory with what is wrong in it.
const MOST_FINDINGS: usize = 100;

/// Whether one of the findings keeps its document from being carried out.
pub fn refuses(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.level == Level::Error)
}
