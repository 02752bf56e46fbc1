//! A simulated StackGres operator and Patroni on top of the embedded API server.
//!
//! Written from what is documented and was measured of the real ones, never from how Lockstep plans, and it shares no code
//! with `decide`: it is what a plan is tried against. Pure machines (`wal`, `patroni`, `spec`, `operator`, `webhooks`,
//! `objects`) know elapsed time and JSON only; thin glue around them talks to the API server as any operator would.
//!
//! Switches: on a Pod the annotation `sandbox.lockstep.dev/fault` (`frozen`, `lagging`, `down`, `slow-build`); on an
//! SGCluster `sandbox.lockstep.dev/writer: "off"`, `sandbox.lockstep.dev/build-seconds` and
//! `sandbox.lockstep.dev/patroni-version` (read when the cluster is made); on a Namespace
//! `sandbox.lockstep.dev/webhooks: down`.

mod api;
mod cluster;
mod objects;
mod operator;
mod patroni;
mod spec;
mod wal;
mod watching;
mod webhooks;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::api::USER_AGENT;
pub use self::wal::Writes;
pub use self::webhooks::Webhooks;
use crate::model::key::Key;

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Simulated seconds in a real one. With 1 a leader's loop takes ten seconds, as in production.
    pub speed: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { speed: 1.0 }
    }
}

/// Runs until it is dropped.
pub struct Simulation {
    shared: Arc<Shared>,
    _stop: DropGuard,
}

impl Simulation {
    /// Must be called within a tokio runtime. The API server's admission is to be a [`Webhooks`]; the CRDs may come later.
    pub fn start(client: kube::Client, settings: Settings) -> Self {
        let stop = CancellationToken::new();
        let speed = if settings.speed.is_finite() {
            settings.speed.clamp(0.01, 1000.0)
        } else {
            1.0
        };
        let shared = Arc::new(Shared {
            api: api::Api::new(client.clone()),
            speed,
            clusters: AtomicU32::new(0),
            pods: AtomicU32::new(0),
            turns: Arc::new(Semaphore::new(1)),
            writes: Mutex::default(),
        });
        tokio::spawn(watching::watch(client, shared.clone(), stop.clone()));
        Self {
            shared,
            _stop: stop.drop_guard(),
        }
    }

    /// What the simulated writer of a cluster has seen, as of the cluster's last write; the same as in its ConfigMap
    /// `<cluster>-writes`. Times are simulated.
    pub fn writes(&self, cluster: &Key) -> Option<Writes> {
        self.shared.lock().get(cluster).copied()
    }
}

/// What all clusters share.
struct Shared {
    api: api::Api,
    speed: f64,
    clusters: AtomicU32,
    /// Pods made so far.
    pods: AtomicU32,
    /// One cluster writes at a time, so that the simulation never takes more than one processor.
    turns: Arc<Semaphore>,
    writes: Mutex<BTreeMap<Key, Writes>>,
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Writes>> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, cluster: &Key, writes: Writes) {
        self.lock().insert(cluster.clone(), writes);
    }

    fn forget(&self, cluster: &Key) {
        self.lock().remove(cluster);
    }

    fn count(&self, clusters: usize) {
        let clusters = u32::try_from(clusters).unwrap_or(u32::MAX);
        self.clusters.store(clusters, Ordering::Relaxed);
    }

    fn clusters_beyond(&self, few: u32) -> u32 {
        self.clusters.load(Ordering::Relaxed).saturating_sub(few)
    }

    /// Addresses of Pods, one after the other.
    fn next_ip(&self) -> String {
        let number = self.pods.fetch_add(1, Ordering::Relaxed);
        format!(
            "10.{}.{}.{}",
            244 + number / 62_500 % 8,
            number / 250 % 250,
            number % 250 + 4
        )
    }
}

#[cfg(test)]
mod tests;
