//! One simulated cluster: joins the pure machines with the API server. It decides nothing that the machines can decide.
//!
//! A task a cluster: it sleeps until its Patroni has something to write or something about the cluster has changed, lets
//! the elapsed time pass in the machines, and writes what comes out. What is written and how is in `write`.

mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::objects::PodFacts;
use super::operator::{self, Act, PodSeen};
use super::patroni::config::Config;
use super::patroni::{Effect, Fault, Patroni};
use super::spec::Wanted;
use super::{Shared, Writes};
use crate::model::key::Key;

/// From a change of the SGCluster to the operator's answer.
const RECONCILE_AFTER: Duration = Duration::from_millis(500);
/// The operator looks again without being asked.
const RESYNC_EVERY: Duration = Duration::from_secs(60);
const RETRY_FIRST: Duration = Duration::from_secs(5);
const RETRY_MOST: Duration = Duration::from_secs(300);
/// A task never wakes more often, in real time.
const SHORTEST_SLEEP: Duration = Duration::from_millis(20);
/// Settled clusters together make one write in so much real time; with many of them heartbeats become rarer.
const PER_WRITE: Duration = Duration::from_millis(2);
/// So few clusters beat as fast as simulated time has it.
const FEW: u32 = 10;
/// Looking again is never more frequent than this, in real time and for each cluster there is.
const RESYNC_LEAST: Duration = Duration::from_secs(5);
const RESYNC_PER_CLUSTER: Duration = Duration::from_millis(20);

/// What the watches tell a cluster.
#[derive(Debug)]
pub enum News {
    Changed(Arc<Value>),
    Gone,
    Pod {
        name: String,
        uid: String,
        fault: Option<Fault>,
        is_deleting: bool,
    },
    PodGone {
        name: String,
        uid: String,
    },
}

struct Pod {
    facts: PodFacts,
    uid: String,
    is_ready_written: Option<bool>,
}

/// The StatefulSet as last written.
struct Set {
    uid: String,
    generation: i64,
    replicas: u32,
    revision: String,
    status: Value,
}

pub struct Cluster {
    shared: Arc<Shared>,
    key: Key,
    live: Arc<Value>,
    wanted: Wanted,
    patroni: Option<Patroni>,
    pods: BTreeMap<u32, Pod>,
    set: Option<Set>,
    /// `spec.instances` as last carried out by the operator.
    instances: Option<u32>,
    /// `controller-revision-hash` of Pods made now.
    revision: String,
    is_bootstrapped: bool,
    system_id: String,
    history: Vec<Value>,
    acquired: String,
    /// Objects known to be there, by collection and name.
    made: BTreeSet<String>,
    effects: Vec<Effect>,
    must_retag: bool,
    /// Simulated time until the operator looks.
    reconcile_in: Duration,
    failures: u32,
    first_failure: String,
    blocked_since: Option<String>,
    shown_writes: Option<Writes>,
    passed: Instant,
    writes: u32,
}

impl Cluster {
    pub fn new(shared: Arc<Shared>, key: Key) -> Self {
        Self {
            shared,
            key,
            live: Arc::new(Value::Null),
            wanted: Wanted::read(&Value::Null),
            patroni: None,
            pods: BTreeMap::new(),
            set: None,
            instances: None,
            revision: String::new(),
            is_bootstrapped: false,
            system_id: String::new(),
            history: Vec::new(),
            acquired: String::new(),
            made: BTreeSet::new(),
            effects: Vec::new(),
            must_retag: false,
            reconcile_in: Duration::ZERO,
            failures: 0,
            first_failure: String::new(),
            blocked_since: None,
            shown_writes: None,
            passed: Instant::now(),
            writes: 0,
        }
    }

    pub async fn run(mut self, mut inbox: mpsc::UnboundedReceiver<News>, stop: CancellationToken) {
        loop {
            let sleep = self.sleep();
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                news = inbox.recv() => {
                    let Some(news) = news else { return };
                    self.pass_time();
                    self.hear(news).await;
                    while let Ok(news) = inbox.try_recv() {
                        self.hear(news).await;
                    }
                }
                () = tokio::time::sleep(sleep) => self.pass_time(),
            }
            if !self.live.is_null() {
                let Ok(turn) = self.shared.turns.clone().acquire_owned().await else {
                    return;
                };
                self.act().await;
                drop(turn);
            }
        }
    }

    /// Real time until the next look.
    fn sleep(&self) -> Duration {
        if self.live.is_null() {
            return Duration::from_secs(3600);
        }
        let wake = self.patroni.as_ref().map_or(self.reconcile_in, |patroni| {
            patroni.next_wake().min(self.reconcile_in)
        });
        let share = if self.is_settled() {
            PER_WRITE * self.writes * self.shared.clusters_beyond(FEW)
        } else {
            Duration::ZERO
        };
        wake.div_f64(self.shared.speed)
            .max(share.min(Duration::from_secs(60)))
            .max(SHORTEST_SLEEP)
    }

    /// As many Pods as wanted, all ready: what is left to do is to show that it lives.
    fn is_settled(&self) -> bool {
        self.instances.is_some_and(|instances| {
            usize::try_from(instances) == Ok(self.pods.len())
                && self.pods.values().all(|pod| pod.facts.is_ready)
        })
    }

    fn pass_time(&mut self) {
        let now = Instant::now();
        let elapsed = (now - self.passed).mul_f64(self.shared.speed);
        self.passed = now;
        self.reconcile_in = self.reconcile_in.saturating_sub(elapsed);
        if let Some(patroni) = &mut self.patroni {
            self.effects.extend(patroni.step(elapsed));
        }
    }

    async fn hear(&mut self, news: News) {
        match news {
            News::Changed(object) => {
                let uid = |object: &Value| object.pointer("/metadata/uid").cloned();
                if !self.live.is_null() && uid(&self.live) != uid(&object) {
                    self.clear().await;
                }
                self.take(object);
            }
            News::Gone => self.clear().await,
            News::Pod {
                name,
                uid,
                fault,
                is_deleting,
            } => {
                let known = self.pods.values_mut().find(|pod| pod.facts.name == name);
                let (Some(pod), Some(patroni)) = (known, &mut self.patroni) else {
                    return;
                };
                if pod.uid != uid {
                    return;
                }
                patroni.set_fault(&name, fault);
                if is_deleting && !pod.facts.is_terminating {
                    pod.facts.is_terminating = true;
                    patroni.stop(&name);
                }
            }
            News::PodGone { name, uid } => {
                let is_ours = self.pods.values().any(|pod| pod.uid == uid);
                if is_ours {
                    if let Some(patroni) = &mut self.patroni {
                        patroni.remove(&name);
                    }
                    self.pods.retain(|_, pod| pod.uid != uid);
                }
            }
        }
    }

    fn take(&mut self, object: Arc<Value>) {
        let wanted = Wanted::read(&object);
        if self.live.is_null() {
            self.passed = Instant::now();
            self.system_id = write::system_id(&wanted.uid);
        }
        self.live = object;
        if wanted == self.wanted && self.instances.is_some() {
            return;
        }
        if let Some(patroni) = &mut self.patroni {
            patroni.wal.is_writer_on = wanted.is_writer_on;
        }
        self.wanted = wanted;
        self.must_retag = true;
        self.failures = 0;
        self.reconcile_in = self.reconcile_in.min(RECONCILE_AFTER);
    }

    async fn act(&mut self) {
        self.writes = 0;
        if self.must_retag {
            self.must_retag = false;
            self.retag().await;
        }
        if self.reconcile_in.is_zero() {
            self.reconcile().await;
        }
        self.collect();
        self.flush().await;
        self.run_set().await;
        self.collect();
        self.flush().await;
        self.show().await;
    }

    /// What the calls since the last step have caused.
    fn collect(&mut self) {
        if let Some(patroni) = &mut self.patroni {
            self.effects.extend(patroni.step(Duration::ZERO));
        }
    }

    /// Each Pod's own controller writes the tags of its role; a Pod beyond the roles keeps what it has.
    async fn retag(&mut self) {
        let indexes: Vec<u32> = self.pods.keys().copied().collect();
        for index in indexes {
            let assignment = usize::try_from(index)
                .ok()
                .and_then(|index| self.wanted.assignments.get(index).copied());
            let (Some(pod), Some(assignment)) = (self.pods.get_mut(&index), assignment) else {
                continue;
            };
            if pod.facts.assignment == Some(assignment) {
                continue;
            }
            pod.facts.assignment = Some(assignment);
            let name = pod.facts.name.clone();
            if let Some(patroni) = &mut self.patroni {
                patroni.set_tags(&name, assignment.nofailover, assignment.noloadbalance);
            }
            self.write_tags(&name, assignment).await;
        }
    }

    /// The operator: references, then Patroni's configuration, then Services, then the StatefulSet.
    async fn reconcile(&mut self) {
        let least = RESYNC_LEAST.max(RESYNC_PER_CLUSTER * self.shared.clusters_beyond(0));
        self.reconcile_in = RESYNC_EVERY.max(least.mul_f64(self.shared.speed));
        if self.wanted.is_paused {
            return;
        }
        let config = match self.configuration().await {
            Ok(config) => config,
            Err(message) => {
                tracing::debug!(cluster = %self.key, message, "reconciliation failed");
                self.reconcile_in =
                    (RETRY_FIRST * 2_u32.saturating_pow(self.failures.min(8))).min(RETRY_MOST);
                self.failures += 1;
                self.write_failure(&message).await;
                return;
            }
        };
        self.failures = 0;
        let Some(text) = self.write_configuration(&config).await else {
            return;
        };
        let config = Config::read(&text);
        if let Some(patroni) = &mut self.patroni {
            patroni.configure(config);
        } else {
            let mut patroni = Patroni::new(self.wanted.patroni_version, self.wanted.port(), config);
            patroni.wal.is_writer_on = self.wanted.is_writer_on;
            self.patroni = Some(patroni);
        }
        self.write_services().await;
        self.revision = write::revision(&self.wanted);
        self.instances = Some(self.wanted.instances);
    }

    /// What has to be there before anything is written; the error is the message of the Warning Event.
    async fn configuration(&mut self) -> Result<serde_json::Map<String, Value>, String> {
        self.wanted.postgres_version.clone()?;
        for reference in self.wanted.references.clone() {
            self.find(&reference).await?;
        }
        self.wanted.patroni_config.clone()
    }

    /// The StatefulSet and its controller: as many Pods as wanted, one by one.
    async fn run_set(&mut self) {
        let Some(instances) = self.instances else {
            return;
        };
        let seen = self.pods_seen();
        self.write_set(operator::replicas(instances, &seen)).await;
        for act in operator::next(instances, self.wanted.is_parallel, &seen) {
            match act {
                Act::Create(index) => self.create_pod(index).await,
                Act::Delete(index) => self.delete_pod(index).await,
                Act::Keep(index) => self.label_kept(index, true).await,
                Act::Release(index) => self.label_kept(index, false).await,
            }
        }
    }

    fn pods_seen(&self) -> Vec<PodSeen> {
        let leader = self.patroni.as_ref().and_then(Patroni::holder);
        self.pods
            .iter()
            .map(|(index, pod)| PodSeen {
                index: *index,
                is_ready: pod.facts.is_ready,
                is_leader: leader == Some(pod.facts.name.as_str()),
                is_terminating: pod.facts.is_terminating,
                is_kept: pod.facts.is_kept,
            })
            .collect()
    }

    async fn delete_pod(&mut self, index: u32) {
        let Some(pod) = self.pods.get_mut(&index) else {
            return;
        };
        pod.facts.is_terminating = true;
        let name = pod.facts.name.clone();
        if let Some(patroni) = &mut self.patroni {
            patroni.stop(&name);
        }
        self.request_deletion(&name).await;
    }

    fn facts(&self) -> Vec<PodFacts> {
        self.pods.values().map(|pod| pod.facts.clone()).collect()
    }
}
