//! The daemon: wakes when Git or the cluster has changed, runs a pass for what it concerns, publishes the report.
//!
//! A wake-up carries no data: what is to be done follows from what is. The cost of a pass follows the change: clusters
//! that are in sync are planned again only when something of theirs changes that a decision reads. While Git or the API
//! server cannot be read the daemon stays up, says so in the report, and goes on when they are back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::decide::digest::APPLIED;
use crate::decide::references::not_declared;
use crate::edge::apiserver::Changes;
use crate::edge::web::metrics::Counters;
use crate::model::desired::Desired;
use crate::model::finding::{Finding, Level};
use crate::model::key::{Key, Kind};
use crate::model::plan::{
    ClusterPlan, ForceVerdict, Report, State, SupportingPlan, Verdict, Written,
};
use crate::run::reconcile::{Pass, Reconciler};
use crate::run::rules::of_server;
use crate::run::source::DesiredSource;

/// Clusters that wait are planned again this often even if nothing is seen to change: that a leader no longer renews its
/// lock is shown by nothing but time.
const WAITING: Duration = Duration::from_secs(5);
/// How long the first pass waits for the first lists, so that it does not report everything as unknown.
const FIRST_LISTS: Duration = Duration::from_secs(10);

/// Writes that a report tells of.
const REMEMBERED: usize = 50;

pub type Reports = watch::Sender<Option<Arc<Report>>>;

/// Runs until cancelled.
pub async fn daemon(mut daemon: Daemon, interval: Duration, cancel: CancellationToken) {
    let mut commits = tokio::task::block_in_place(|| daemon.source.repository().watch(interval));
    // A watch of its own task: what goes on in a busy fleet must not keep a commit from being noticed.
    let committed = Arc::new(Notify::new());
    let notice = Arc::clone(&committed);
    tokio::spawn(cancel.clone().run_until_cancelled_owned(async move {
        loop {
            commits.changed().await;
            notice.notify_one();
        }
    }));
    let reader = daemon.reconciler.observer.reader.clone();
    if let Err(error) = reader.synced(FIRST_LISTS).await {
        tracing::warn!(%error, "the cluster cannot be read; going on when it can");
    }
    daemon.reload().await;
    daemon.everything();
    loop {
        // A pass under way is not broken off: what it has begun to write it finishes.
        daemon.pass().await;
        let retry = daemon.next_look();
        tokio::select! {
            () = cancel.cancelled() => return,
            () = committed.notified() => daemon.reload().await,
            changes = reader.changed() => daemon.take(changes).await,
            () = tokio::time::sleep_until(retry) => daemon.look_at_waiting(),
        }
    }
}

pub struct Daemon {
    source: DesiredSource,
    client: Client,
    reconciler: Reconciler,
    reports: Reports,
    desired: Option<Arc<Desired>>,
    clusters: BTreeMap<Key, Arc<ClusterPlan>>,
    supporting: BTreeMap<(Kind, Key), Arc<SupportingPlan>>,
    /// Live, carried out by Lockstep once, and declared by nothing any more.
    orphans: BTreeSet<Key>,
    /// Why Git cannot be read at present.
    trouble: Option<Finding>,
    dirty: BTreeSet<Key>,
    dirty_supporting: BTreeSet<(Kind, Key)>,
    retry: Option<Instant>,
    /// The latest writes, the newest last.
    written: VecDeque<Arc<Written>>,
    /// Something of the report has changed that no plan tells.
    is_stale: bool,
    counters: Counters,
}

impl Daemon {
    pub fn new(
        source: DesiredSource,
        client: Client,
        reconciler: Reconciler,
        reports: Reports,
    ) -> Self {
        Self {
            source,
            client,
            reconciler,
            reports,
            desired: None,
            clusters: BTreeMap::new(),
            supporting: BTreeMap::new(),
            orphans: BTreeSet::new(),
            trouble: None,
            dirty: BTreeSet::new(),
            dirty_supporting: BTreeSet::new(),
            retry: None,
            written: VecDeque::new(),
            is_stale: true,
            counters: Counters::default(),
        }
    }

    /// Counts passes, reads and writes there.
    #[must_use]
    pub fn counting(mut self, counters: Counters) -> Self {
        self.counters = counters;
        self
    }

    /// Reads Git again and marks what has changed since.
    async fn reload(&mut self) {
        let known = self.desired.clone();
        let has_news = tokio::task::block_in_place(|| self.source.has_news());
        if has_news.is_ok_and(|news| news) {
            // The server may have been upgraded since the last commit; in the steady state it is not asked.
            self.renew_schemas().await;
        }
        let read = tokio::task::block_in_place(|| self.source.read());
        self.counters.read(read.is_ok());
        let desired = match read {
            Ok(desired) => desired,
            Err(error) => {
                let error = anyhow::Error::new(error);
                let words = format!("{error:#}");
                if self
                    .trouble
                    .as_ref()
                    .is_none_or(|trouble| trouble.message != words)
                {
                    tracing::warn!(
                        error = words,
                        "the repository cannot be read; what was read last stays in force"
                    );
                    self.trouble = Some(Finding::error("unreadable-revision", words));
                    self.is_stale = true;
                }
                return;
            }
        };
        if self.trouble.take().is_some() {
            tracing::info!("the repository can be read again");
            self.is_stale = true;
        }
        if known.is_some_and(|known| Arc::ptr_eq(&known, &desired)) {
            return;
        }
        self.is_stale = true;
        let commit = desired.source.commit.as_deref().unwrap_or("uncommitted");
        tracing::info!(
            commit,
            clusters = desired.clusters.len(),
            refused = desired.refused.len(),
            "read the repository"
        );
        if desired.unidentified.is_empty() {
            let declared: BTreeSet<(&Kind, &Key)> = desired
                .supporting
                .iter()
                .map(|one| (&one.kind, &one.key))
                .collect();
            self.supporting
                .retain(|(kind, key), _| declared.contains(&(kind, key)));
        }
        let before = self.desired.replace(Arc::clone(&desired));
        tell_new_errors(before.as_deref(), &desired);
        if before
            .as_ref()
            .is_some_and(|before| !before.unidentified.is_empty())
        {
            // What was not taken as gone may be.
            self.everything();
        }
        self.dirty
            .extend(changed_clusters(before.as_deref(), &desired));
        self.dirty_supporting
            .extend(changed_supporting(before.as_deref(), &desired));
    }

    async fn renew_schemas(&mut self) {
        let known = self.source.schemas().clone();
        self.source
            .hold_against(of_server(&self.client, known).await);
    }

    async fn take(&mut self, changes: Changes) {
        let Changes {
            material,
            heartbeats,
            supporting,
            health,
        } = changes;
        if health {
            self.renew_schemas().await;
            self.reload().await;
            self.everything();
        }
        self.dirty.extend(material);
        let waits = |key: &Key| {
            self.clusters
                .get(key)
                .is_some_and(|plan| is_waiting(plan.state))
        };
        self.dirty.extend(heartbeats.into_iter().filter(waits));
        self.dirty_supporting.extend(supporting);
    }

    fn everything(&mut self) {
        let Some(desired) = &self.desired else { return };
        self.dirty.extend(desired.clusters.keys().cloned());
        self.dirty.extend(desired.refused.keys().cloned());
        self.dirty.extend(self.reconciler.observer.reader.keys());
        self.dirty_supporting.extend(
            desired
                .supporting
                .iter()
                .map(|one| (one.kind.clone(), one.key.clone())),
        );
    }

    fn look_at_waiting(&mut self) {
        let waiting = self.clusters.values().filter(|plan| is_waiting(plan.state));
        self.dirty.extend(waiting.map(|plan| plan.key.clone()));
        let pending = self
            .supporting
            .values()
            .filter(|plan| is_waiting(plan.state));
        self.dirty_supporting
            .extend(pending.map(|plan| (plan.kind.clone(), plan.key.clone())));
    }

    fn next_look(&self) -> Instant {
        let far = Instant::now() + WAITING;
        self.retry.map_or(far, |retry| retry.min(far))
    }

    async fn pass(&mut self) {
        let Some(desired) = self.desired.clone() else {
            return self.publish_if(self.is_stale);
        };
        let dirty = std::mem::take(&mut self.dirty);
        let dirty_supporting = std::mem::take(&mut self.dirty_supporting);
        if dirty.is_empty() && dirty_supporting.is_empty() {
            return self.publish_if(self.is_stale);
        }
        self.drop_undeclared(&desired, &dirty);
        let pass = self
            .reconciler
            .pass(&desired, &dirty, &dirty_supporting)
            .await;
        self.counters.wrote(pass.written.len(), pass.failed);
        self.counters.pass_ended();
        let changed = self.keep(pass);
        self.heed_waiting();
        self.publish_if(changed || self.is_stale);
    }

    /// Only where a gate is waited for does a heartbeat tell anything new.
    fn heed_waiting(&self) {
        let waiting = self.clusters.values().filter(|plan| is_waiting(plan.state));
        let reader = &self.reconciler.observer.reader;
        reader.heed(waiting.map(|plan| plan.key.clone()).collect());
    }

    /// Takes over what the pass decided; answers whether that is news.
    fn keep(&mut self, pass: Pass) -> bool {
        let mut changed = !pass.written.is_empty();
        self.written.extend(pass.written);
        self.written
            .drain(..self.written.len().saturating_sub(REMEMBERED));
        let now = self.reconciler.observer.now();
        self.retry = pass
            .retry
            .map(|retry| Instant::now() + retry.since(now).max(Duration::from_millis(50)));
        for plan in pass.clusters {
            let before = self.clusters.get(&plan.key);
            if !before.is_some_and(|before| is_told(before, &plan)) {
                tell_state(&plan);
            }
            changed |= before != Some(&plan);
            if !is_waiting(plan.state) {
                self.reconciler.observer.forget(&plan.key);
            }
            self.clusters.insert(plan.key.clone(), plan);
        }
        for plan in pass.supporting {
            let id = (plan.kind.clone(), plan.key.clone());
            let before = self.supporting.get(&id);
            changed |= before != Some(&plan);
            // Clusters that refer to it were held by it and may go on.
            if before.is_some_and(|before| is_waiting(before.state)) && !is_waiting(plan.state) {
                self.dirty.extend(
                    self.clusters
                        .values()
                        .filter(|plan| is_waiting(plan.state))
                        .map(|plan| plan.key.clone()),
                );
            }
            self.supporting.insert(id, plan);
        }
        changed
    }

    /// Forgets plans that Git no longer asks for, and notes live clusters that it once did. Nothing is taken as gone while
    /// a file cannot be understood.
    fn drop_undeclared(&mut self, desired: &Desired, dirty: &BTreeSet<Key>) {
        let is_declared =
            |key: &Key| desired.clusters.contains_key(key) || desired.refused.contains_key(key);
        if !desired.unidentified.is_empty() {
            return;
        }
        for key in dirty {
            if is_declared(key) {
                self.is_stale |= self.orphans.remove(key);
                continue;
            }
            self.is_stale |= self.clusters.remove(key).is_some();
            self.reconciler.observer.forget(key);
            let seen = self.reconciler.observer.reader.observe(key);
            let live = seen.ok().and_then(|seen| seen.live);
            let carried_out = live.is_some_and(|live| live.annotation(APPLIED).is_some());
            self.is_stale |= if carried_out {
                let is_news = self.orphans.insert(key.clone());
                if is_news {
                    tracing::info!(cluster = %key, "not declared any more; left as it is");
                }
                is_news
            } else {
                self.orphans.remove(key)
            };
        }
    }

    fn publish_if(&mut self, needed: bool) {
        if !needed {
            return;
        }
        self.is_stale = false;
        let mut findings: Vec<Finding> = self.trouble.iter().cloned().collect();
        let source = self
            .desired
            .as_ref()
            .map(|desired| desired.source.clone())
            .unwrap_or_default();
        findings.extend(
            self.desired
                .iter()
                .flat_map(|desired| desired.findings.iter().cloned()),
        );
        findings.extend(self.orphans.iter().map(not_declared));
        self.reports.send_replace(Some(Arc::new(Report {
            source,
            clusters: self.clusters.values().cloned().collect(),
            supporting: self.supporting.values().cloned().collect(),
            written: self.written.iter().cloned().collect(),
            findings,
        })));
    }
}

/// One line for a cluster whose state is news, with the place of what refuses it.
/// Whether the log has said this already. A reason that only counts on is the same reason, and one that merely needs
/// another look is none yet.
fn is_told(before: &ClusterPlan, plan: &ClusterPlan) -> bool {
    let is_judged = |plan: &ClusterPlan| {
        plan.steps.first().is_none_or(|step| {
            step.holding()
                .any(|gate| matches!(gate.verdict, Verdict::Closed(_)))
        })
    };
    before.state == plan.state && (before.gist() == plan.gist() || !is_judged(plan))
}

fn tell_state(plan: &ClusterPlan) {
    let because = plan.because.as_deref();
    let error = plan.findings.iter().find(|one| one.level == Level::Error);
    match (plan.state, error) {
        (State::Refused, Some(error)) => tell_error(Some(&plan.key), error),
        (State::InSync, _) if plan.in_force.verdict == ForceVerdict::InForce => {
            tracing::info!(cluster = %plan.key, because, "in-sync and in force");
        }
        (state, _) => tracing::info!(cluster = %plan.key, because, "{state}"),
    }
}

/// What is wrong with files and belongs to no cluster is told once, when it comes.
fn tell_new_errors(before: Option<&Desired>, after: &Desired) {
    let known = before.map_or(&[][..], |before| &before.findings);
    let errors = after
        .findings
        .iter()
        .filter(|one| one.level == Level::Error);
    for error in errors.filter(|error| !known.contains(error)) {
        tell_error(None, error);
    }
}

fn tell_error(cluster: Option<&Key>, error: &Finding) {
    let cluster = cluster.map(tracing::field::display);
    let place = error.place.as_ref().map(tracing::field::display);
    let help = error.help.as_deref();
    tracing::warn!(cluster, place, because = error.message, help, "refused");
}

/// Whether something remains that time or another look may change.
fn is_waiting(state: State) -> bool {
    match state {
        State::Pending | State::InTransition | State::Waiting | State::Blocked | State::Unknown => {
            true
        }
        State::InSync | State::Drifted | State::Suspended | State::Refused => false,
    }
}

/// Clusters whose manifest is not the same document in both.
fn changed_clusters(before: Option<&Desired>, after: &Desired) -> BTreeSet<Key> {
    let Some(before) = before else {
        return after
            .clusters
            .keys()
            .chain(after.refused.keys())
            .cloned()
            .collect();
    };
    let same = |key: &Key| match (before.clusters.get(key), after.clusters.get(key)) {
        (Some(one), Some(other)) => {
            Arc::ptr_eq(&one.document, &other.document) && one.findings == other.findings
        }
        (None, None) => before.refused.get(key) == after.refused.get(key),
        _ => false,
    };
    let all = [before, after]
        .into_iter()
        .flat_map(|desired| desired.clusters.keys().chain(desired.refused.keys()));
    all.filter(|key| !same(key)).cloned().collect()
}

fn changed_supporting(before: Option<&Desired>, after: &Desired) -> BTreeSet<(Kind, Key)> {
    let known: BTreeMap<(&Kind, &Key), &str> = before
        .iter()
        .flat_map(|before| &before.supporting)
        .map(|one| ((&one.kind, &one.key), one.digest.as_str()))
        .collect();
    after
        .supporting
        .iter()
        .filter(|one| known.get(&(&one.kind, &one.key)) != Some(&one.digest.as_str()))
        .map(|one| (one.kind.clone(), one.key.clone()))
        .collect()
}
