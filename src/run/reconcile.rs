//! One pass: look, plan, write the first open step of each cluster, and say what came of it.
//!
//! The only place that is given a `Writer`. A write that fails is not repeated in a tight loop: a conflict is the next
//! pass, what may heal is tried again after a growing delay, and what the API server refuses is tried again only when Git
//! or the live object has changed, or after a while.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use kube::Client;

use crate::decide::plan::{Setback, set_back};
use crate::decide::references::{Unapplied, references, unapplied};
use crate::decide::sighting::Moment;
use crate::edge::apiserver::{WriteError, Writer};
use crate::model::desired::{Desired, Supporting};
use crate::model::field::FieldPath;
use crate::model::key::{Key, Kind};
use crate::model::observed::LiveObject;
use crate::model::plan::{Change, ClusterPlan, Difference, State, SupportingPlan, Written};
use crate::run::observer::Observer;
use crate::show::plan::in_words;

/// Writes under way at a time; the API server's own limit for one client is higher.
const CONCURRENT: usize = 8;
/// Clusters that are planned, written and kept together. A commit may change the whole fleet: what is only needed to write
/// is held of so many at a time, and each is planned shortly before it is written.
const TOGETHER: usize = 64;
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(60);

type SupportingKey = (Kind, Key);

pub struct Reconciler {
    pub observer: Observer,
    writer: Writer,
    setbacks: HashMap<Key, Held>,
    supporting_setbacks: HashMap<SupportingKey, Held>,
}

/// A write that did not succeed, and when it is worth another try.
#[derive(Debug, Clone)]
struct Held {
    setback: Setback,
    /// What was to be written, and on what: if either changes, the setback is history.
    basis: Basis,
    retry: Moment,
    delay: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Basis {
    digest: String,
    resource_version: Option<String>,
}

/// What one pass has decided and done.
#[derive(Debug, Default)]
pub struct Pass {
    pub clusters: Vec<Arc<ClusterPlan>>,
    pub supporting: Vec<Arc<SupportingPlan>>,
    pub written: Vec<Arc<Written>>,
    /// How many writes the API server did not take.
    pub failed: usize,
    /// When the earliest write that failed is worth another try.
    pub retry: Option<Moment>,
}

impl Reconciler {
    pub fn new(observer: Observer, client: Client) -> Self {
        Self {
            observer,
            writer: Writer::new(client),
            setbacks: HashMap::new(),
            supporting_setbacks: HashMap::new(),
        }
    }

    /// Carries out what may be carried out now for these clusters, after what they refer to.
    pub async fn pass(
        &mut self,
        desired: &Desired,
        clusters: &BTreeSet<Key>,
        supporting: &BTreeSet<SupportingKey>,
    ) -> Pass {
        let mut pass = Pass::default();
        let wanted = self.referred_to(desired, clusters, supporting);
        let held = self.carry_supporting(&wanted, &mut pass).await;
        let keys: Vec<&Key> = clusters.iter().collect();
        for keys in keys.chunks(TOGETHER) {
            self.carry_clusters(desired, keys, &held, &mut pass).await;
        }
        let now = self.observer.now();
        let setbacks = self
            .setbacks
            .values()
            .chain(self.supporting_setbacks.values());
        pass.retry = setbacks
            .map(|held| held.retry)
            .filter(|retry| *retry > now)
            .min();
        pass
    }

    /// The supporting objects to look at: those asked for, and those that the clusters refer to.
    fn referred_to<'d>(
        &self,
        desired: &'d Desired,
        clusters: &BTreeSet<Key>,
        asked: &BTreeSet<SupportingKey>,
    ) -> Vec<&'d Supporting> {
        let mut wanted: BTreeSet<SupportingKey> = asked.clone();
        for cluster in clusters.iter().filter_map(|key| desired.clusters.get(key)) {
            wanted.extend(references(
                &cluster.document.value,
                &cluster.document.key.namespace,
            ));
        }
        let is_wanted = |one: &&Supporting| wanted.contains(&(one.kind.clone(), one.key.clone()));
        if wanted.is_empty() {
            Vec::new()
        } else {
            desired.supporting.iter().filter(is_wanted).collect()
        }
    }

    async fn carry_supporting(&mut self, wanted: &[&Supporting], pass: &mut Pass) -> Unapplied {
        let mut held = BTreeMap::new();
        for supporting in wanted {
            let id = (supporting.kind.clone(), supporting.key.clone());
            let mut plan = self.observer.plan_supporting(supporting);
            if plan.state == State::Pending {
                plan = self.write_supporting(supporting, plan, pass).await;
            } else {
                self.supporting_setbacks.remove(&id);
            }
            if let Some(why) = unapplied(&plan) {
                held.insert(id, why);
            }
            pass.supporting.push(Arc::new(plan));
        }
        held
    }

    async fn write_supporting(
        &mut self,
        supporting: &Supporting,
        mut plan: SupportingPlan,
        pass: &mut Pass,
    ) -> SupportingPlan {
        let id = (supporting.kind.clone(), supporting.key.clone());
        let live = self
            .observer
            .reader
            .supporting(&supporting.kind, &supporting.key)
            .ok()
            .flatten();
        let basis = Basis {
            digest: supporting.digest.clone(),
            resource_version: live.as_ref().map(|live| live.resource_version.clone()),
        };
        let now = self.observer.now();
        if let Some(held) = self
            .supporting_setbacks
            .get(&id)
            .filter(|held| held.holds(&basis, now))
        {
            set_back(&mut plan.state, &mut plan.because, &held.setback);
            return plan;
        }
        match self
            .writer
            .apply_supporting(supporting, live.as_ref())
            .await
        {
            Ok(object) => {
                tracing::info!(kind = %supporting.kind.kind, object = %supporting.key, "applied");
                self.supporting_setbacks.remove(&id);
                self.observer.reader.remember(&object);
                pass.written.push(Arc::new(Written {
                    kind: supporting.kind.kind.clone(),
                    key: supporting.key.clone(),
                    changes: differing(&plan),
                    gates: Vec::new(),
                }));
                self.observer.plan_supporting(supporting)
            }
            Err(error) => {
                let setback = setback(&error);
                set_back(&mut plan.state, &mut plan.because, &setback);
                match &setback {
                    Setback::Conflict => {
                        tracing::debug!(object = %supporting.key, %error, "looked at again");
                    }
                    Setback::Retry(_) | Setback::Missing(_) | Setback::Refused(_) => {
                        tracing::warn!(kind = %supporting.kind.kind, object = %supporting.key, %error, "not applied");
                    }
                }
                pass.failed += 1;
                let held = Held::next(self.supporting_setbacks.get(&id), setback, basis, now);
                self.supporting_setbacks.insert(id, held);
                plan
            }
        }
    }

    async fn carry_clusters(
        &mut self,
        desired: &Desired,
        keys: &[&Key],
        held: &Unapplied,
        pass: &mut Pass,
    ) {
        let now = self.observer.now();
        let mut plans = BTreeMap::new();
        for &key in keys {
            let Some(mut plan) = self.observer.plan(desired, key, held) else {
                continue;
            };
            match (self.setbacks.get(key), plan.open_step().is_some()) {
                (Some(held), true) if held.holds(&basis(desired, &plan), now) => {
                    set_back(&mut plan.state, &mut plan.because, &held.setback);
                }
                (Some(held), false) if !held.is_about(&basis(desired, &plan)) => {
                    drop(self.setbacks.remove(key));
                }
                _ => {}
            }
            // Of a large fleet few plans write; the others are not held whole meanwhile.
            let is_to_be_written = plan.open_step().is_some();
            plans.insert(
                key.clone(),
                if is_to_be_written { plan } else { plan.kept() },
            );
        }
        let writer = &self.writer;
        let writes: Vec<BoxFuture<'_, Answer>> = plans
            .values()
            .filter_map(|plan| write(writer, plan))
            .collect();
        let answers: Vec<Answer> = futures::stream::iter(writes)
            .buffer_unordered(CONCURRENT)
            .collect()
            .await;
        for (written, answer) in answers {
            let key = written.key.clone();
            match answer {
                Ok(object) => {
                    self.setbacks.remove(&key);
                    self.observer.reader.remember(&object);
                    tracing::info!(cluster = %key, step = in_words(&written.changes), "written");
                    pass.written.push(Arc::new(written));
                    // What the write left behind is what the report should show.
                    if let Some(plan) = self.observer.plan(desired, &key, held) {
                        plans.insert(key, plan);
                    }
                }
                Err(error) => {
                    let setback = setback(&error);
                    match &setback {
                        Setback::Conflict => {
                            tracing::debug!(cluster = %key, %error, "looked at again");
                        }
                        Setback::Retry(_) | Setback::Missing(_) | Setback::Refused(_) => {
                            tracing::warn!(cluster = %key, %error, "not written");
                        }
                    }
                    pass.failed += 1;
                    if let Some(plan) = plans.get_mut(&key) {
                        let basis = basis(desired, plan);
                        set_back(&mut plan.state, &mut plan.because, &setback);
                        let held = Held::next(self.setbacks.get(&key), setback, basis, now);
                        self.setbacks.insert(key, held);
                    }
                }
            }
        }
        let plans = plans.into_values().map(|plan| Arc::new(plan.kept()));
        pass.clusters.extend(plans);
    }
}

type Answer = (Written, Result<LiveObject, WriteError>);

/// The write of a plan's open step; `None` where it has none.
fn write<'p>(writer: &'p Writer, plan: &'p ClusterPlan) -> Option<BoxFuture<'p, Answer>> {
    let step = plan.open_step()?;
    let written = Written {
        kind: "SGCluster".into(),
        key: plan.key.clone(),
        changes: step.step().changes.clone(),
        gates: step.step().gates.clone(),
    };
    Some(async move { (written, writer.apply(step).await) }.boxed())
}

impl Held {
    fn next(before: Option<&Held>, setback: Setback, basis: Basis, now: Moment) -> Self {
        let delay = match (&setback, before) {
            (Setback::Conflict, _) => Duration::ZERO,
            (Setback::Refused(_), _) => LONGEST_RETRY,
            (Setback::Retry(_) | Setback::Missing(_), Some(before)) => {
                (before.delay * 2).clamp(FIRST_RETRY, LONGEST_RETRY)
            }
            (Setback::Retry(_) | Setback::Missing(_), None) => FIRST_RETRY,
        };
        Self {
            setback,
            basis,
            retry: Moment(now.0 + delay),
            delay,
        }
    }

    fn is_about(&self, basis: &Basis) -> bool {
        self.basis == *basis
    }

    fn holds(&self, basis: &Basis, now: Moment) -> bool {
        self.is_about(basis) && now < self.retry
    }
}

fn basis(desired: &Desired, plan: &ClusterPlan) -> Basis {
    let live = plan.observed.as_ref().and_then(|seen| seen.live.as_ref());
    Basis {
        digest: desired
            .clusters
            .get(&plan.key)
            .map(|cluster| cluster.digest.clone())
            .unwrap_or_default(),
        resource_version: live.map(|live| live.resource_version.clone()),
    }
}

fn setback(error: &WriteError) -> Setback {
    match error {
        WriteError::Conflict { .. } => Setback::Conflict,
        WriteError::Refused { .. } | WriteError::NotSent { .. } => {
            Setback::Refused(error.to_string())
        }
        WriteError::Forbidden { .. }
        | WriteError::NamespaceMissing { .. }
        | WriteError::NotInstalled { .. } => Setback::Missing(error.to_string()),
        WriteError::LockHeld { .. }
        | WriteError::WebhookDown { .. }
        | WriteError::Busy { .. }
        | WriteError::Unreachable { .. } => Setback::Retry(error.to_string()),
    }
}

fn differing(plan: &SupportingPlan) -> Vec<Change> {
    if plan.live.is_none() {
        return vec![Change {
            path: FieldPath::root(),
            from: None,
            to: Some((*plan.declared).clone()),
        }];
    }
    let change = |difference: &Difference| Change {
        path: difference.path.clone(),
        from: difference.live.clone(),
        to: difference.declared.clone(),
    };
    plan.differences.iter().map(change).collect()
}
