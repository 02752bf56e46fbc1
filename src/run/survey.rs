//! Both sides read once for a command: what a revision declares, what is live, and one report made of them.
//!
//! Never writes. `apply` takes a survey apart and gives its observer a writer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::decide::digest::APPLIED;
use crate::decide::evidence::IdleLeader;
use crate::decide::references::{Unapplied, not_declared, unapplied};
use crate::edge::apiserver::{ReadClusterError, Reader, Scope};
use crate::model::desired::Desired;
use crate::model::finding::Finding;
use crate::model::key::Key;
use crate::model::plan::{ClusterPlan, Report, SupportingPlan};
use crate::model::spelling::nearest;
use crate::run::observer::Observer;

/// How long a command waits for the first lists of a slow server.
const FIRST_LISTS: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    #[error("no manifest at {revision} names a cluster in the namespace {namespace}")]
    FindNamespace { namespace: String, revision: String },
    #[error("no manifest of {} at {revision}", keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    FindManifest {
        keys: Vec<Key>,
        revision: String,
        /// A declared cluster with a similar name.
        nearest: Option<Key>,
        /// Files that may hold it and cannot be read.
        unread: Vec<String>,
    },
    #[error(transparent)]
    ReadCluster(#[from] ReadClusterError),
}

/// What a command works on.
pub struct Survey {
    pub desired: Arc<Desired>,
    pub observer: Observer,
    /// The clusters asked for, all of them declared.
    pub keys: BTreeSet<Key>,
    /// Whether single clusters were asked for; supporting objects are then those that they refer to.
    pub is_narrowed: bool,
    /// Ends the watches with the survey.
    pub watches: DropGuard,
}

impl Survey {
    /// Starts the watches in `namespace` and waits for their first lists. `asked` empty: everything declared.
    pub async fn open(
        desired: Arc<Desired>,
        client: Client,
        namespace: Option<&str>,
        idle_leader: IdleLeader,
        asked: &[Key],
    ) -> Result<Self, SurveyError> {
        let keys = declared(&desired, asked)?;
        if let (Some(namespace), true) = (
            namespace,
            keys.is_empty() && desired.unidentified.is_empty(),
        ) {
            return Err(SurveyError::FindNamespace {
                namespace: namespace.to_owned(),
                revision: desired.source.revision.clone(),
            });
        }
        let cancel = CancellationToken::new();
        let scope = Scope {
            namespace: namespace.map(str::to_owned),
        };
        let reader = Reader::start(client, scope, cancel.clone());
        let watches = cancel.drop_guard();
        reader.synced(FIRST_LISTS).await?;
        let is_narrowed = !asked.is_empty();
        Ok(Self {
            desired,
            observer: Observer::new(reader, idle_leader),
            keys,
            is_narrowed,
            watches,
        })
    }

    /// Looks at the clusters whenever something of them changes, for so long.
    pub async fn observe(&mut self, length: Duration) {
        let end = Instant::now() + length;
        loop {
            for key in &self.keys {
                // What cannot be read is said by the plan.
                drop(self.observer.look(key));
            }
            if timeout_at(end, self.observer.reader.changed())
                .await
                .is_err()
            {
                return;
            }
        }
    }

    /// Decides for every cluster asked for, as of now.
    pub fn report(&mut self) -> Report {
        let supporting = self.supporting();
        let held: Unapplied = supporting
            .iter()
            .filter_map(|plan| Some(((plan.kind.clone(), plan.key.clone()), unapplied(plan)?)))
            .collect();
        let desired = Arc::clone(&self.desired);
        let clusters: Vec<Arc<ClusterPlan>> = self
            .keys
            .iter()
            .filter_map(|key| self.observer.plan(&desired, key, &held))
            .map(Arc::new)
            .collect();
        Report {
            source: desired.source.clone(),
            clusters,
            supporting,
            written: Vec::new(),
            findings: desired
                .findings
                .iter()
                .cloned()
                .chain(self.orphans())
                .collect(),
        }
    }

    /// What is live, was carried out once, and is declared no more; nothing while a file cannot be understood.
    fn orphans(&self) -> Vec<Finding> {
        if self.is_narrowed || !self.desired.unidentified.is_empty() {
            return Vec::new();
        }
        let reader = &self.observer.reader;
        let was_carried_out = |key: &Key| {
            let live = reader.observe(key).ok().and_then(|seen| seen.live);
            live.is_some_and(|live| live.annotation(APPLIED).is_some())
        };
        let live = reader
            .keys()
            .into_iter()
            .filter(|key| !self.keys.contains(key));
        live.filter(was_carried_out)
            .map(|key| not_declared(&key))
            .collect()
    }

    fn supporting(&self) -> Vec<Arc<SupportingPlan>> {
        let referred: BTreeMap<_, ()> = self
            .keys
            .iter()
            .filter_map(|key| self.desired.clusters.get(key))
            .flat_map(|one| {
                crate::decide::references::references(
                    &one.document.value,
                    &one.document.key.namespace,
                )
            })
            .map(|reference| (reference, ()))
            .collect();
        let is_asked = |kind: &crate::model::key::Kind, key: &Key| {
            !self.is_narrowed || referred.contains_key(&(kind.clone(), key.clone()))
        };
        self.desired
            .supporting
            .iter()
            .filter(|one| is_asked(&one.kind, &one.key))
            .map(|one| Arc::new(self.observer.plan_supporting(one)))
            .collect()
    }
}

fn declared(desired: &Desired, asked: &[Key]) -> Result<BTreeSet<Key>, SurveyError> {
    let all: BTreeSet<&Key> = desired
        .clusters
        .keys()
        .chain(desired.refused.keys())
        .collect();
    if asked.is_empty() {
        return Ok(all.into_iter().cloned().collect());
    }
    let missing: Vec<Key> = asked
        .iter()
        .filter(|key| !all.contains(key))
        .cloned()
        .collect();
    if missing.is_empty() {
        return Ok(asked.iter().cloned().collect());
    }
    let words: BTreeMap<String, &Key> = all.iter().map(|key| (key.to_string(), *key)).collect();
    let nearest = nearest(&missing[0].to_string(), words.keys().map(String::as_str));
    Err(SurveyError::FindManifest {
        nearest: nearest.map(|word| words[word].clone()),
        unread: desired.unidentified.iter().cloned().collect(),
        revision: desired.source.revision.clone(),
        keys: missing,
    })
}
