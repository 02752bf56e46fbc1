//! How one simulated cluster's objects are written: what Patroni says, Pods, the StatefulSet, statuses.
//!
//! Writes are merge patches without a resource version, and only where something differs from what was written last. A
//! write that fails is logged; what matters of it comes again with the next one.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::api::{Collection, Error};
use super::super::objects::{self, PodFacts};
use super::super::patroni::report::Report;
use super::super::patroni::{Effect, Sync};
use super::super::spec::{Assignment, Reference, Wanted, merged_config};
use super::{Cluster, Pod, Set};

const PATRONI: &str = "Patroni";
const OPERATOR: &str = "stackgres-operator";
const CONTROLLER: &str = "stackgres-cluster-controller";
const KUBELET: &str = "kubelet";
/// A writer that waits for so long is blocked.
const BLOCKED_AFTER: Duration = Duration::from_secs(1);

/// ISO 8601 as Patroni writes it.
fn patroni_time() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00")
        .to_string()
}

fn kubernetes_time() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

fn hash(text: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    u32::try_from(hasher.finish() & u64::from(u32::MAX)).unwrap_or(0)
}

/// PostgreSQL puts the time of `initdb` into the upper half.
pub fn system_id(uid: &str) -> String {
    let seconds = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0);
    ((seconds << 32) | u64::from(hash(uid))).to_string()
}

pub fn revision(wanted: &Wanted) -> String {
    format!("{}-{:08x}", wanted.name, hash(&wanted.template))
}

impl Cluster {
    fn core(&self, plural: &str) -> Collection {
        Collection::core(&self.key.namespace, plural)
    }

    fn log(&self, error: &Error) {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::warn!(cluster = %self.key, cause, "simulated write failed: {error}");
    }

    /// Patches an object of this cluster, and makes it first where it was never seen.
    async fn put(&mut self, kind: &str, plural: &str, name: &str, manager: &str, patch: &Value) {
        self.writes += 1;
        let collection = self.core(plural);
        let known = format!("{plural}/{name}");
        if self.made.contains(&known) {
            match self
                .shared
                .api
                .merge(&collection, name, manager, patch)
                .await
            {
                Err(error) if error.is_not_found() => {}
                Err(error) => return self.log(&error),
                Ok(_) => return,
            }
        }
        let mut object = objects::child(&self.wanted, "v1", kind, name);
        json_patch::merge(&mut object, patch);
        let result = match self.shared.api.create(&collection, &object).await {
            Err(error) if error.is_conflict() => {
                self.shared
                    .api
                    .merge(&collection, name, manager, patch)
                    .await
            }
            result => result,
        };
        match result {
            Ok(_) => {
                self.made.insert(known);
            }
            Err(error) => self.log(&error),
        }
    }

    async fn annotate(&mut self, name: &str, entries: &[(&str, Value)]) {
        let patch = objects::annotations(entries);
        self.put("Endpoints", "endpoints", name, PATRONI, &patch)
            .await;
    }

    /// Looks for an object that the cluster refers to, and makes it where the operator would.
    pub(super) async fn find(&mut self, reference: &Reference) -> Result<(), String> {
        let collection = Collection::stackgres(&self.key.namespace, reference.kind);
        let what = format!("{} {}", reference.kind, reference.name);
        let found = match self.shared.api.get(&collection, &reference.name).await {
            Ok(found) => found,
            Err(error) if error.is_not_found() && reference.is_generated => {
                let object = objects::generated(&self.wanted, reference.kind, &reference.name);
                match self.shared.api.create(&collection, &object).await {
                    Ok(made) => made,
                    Err(error) if error.is_conflict() => return Ok(()),
                    Err(_) => return Err(format!("{what} cannot be generated")),
                }
            }
            Err(error) if error.is_not_found() => return Err(format!("{what} not found")),
            Err(_) => return Err(format!("{what} cannot be read")),
        };
        let major = found
            .pointer("/spec/postgresVersion")
            .and_then(Value::as_str);
        let version = self.wanted.postgres_version.as_deref().unwrap_or_default();
        match major {
            Some(major)
                if reference.kind == "SGPostgresConfig"
                    && version.split('.').next() != Some(major) =>
            {
                Err(format!(
                    "Invalid postgres version, must be {major} as in {what}"
                ))
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) async fn write_failure(&mut self, message: &str) {
        let now = kubernetes_time();
        if self.failures == 1 {
            self.first_failure.clone_from(&now);
        }
        let event = objects::failure_event(
            &self.wanted,
            message,
            self.failures,
            &self.first_failure,
            &now,
        );
        let events = self.core("events");
        let name = format!("{}.clusterconfigfailed", self.wanted.name);
        let result = match self.shared.api.create(&events, &event).await {
            Err(error) if error.is_conflict() => {
                let patch = json!({
                    "count": self.failures, "message": message, "firstTimestamp": self.first_failure,
                    "lastTimestamp": now,
                });
                self.shared
                    .api
                    .merge(&events, &name, OPERATOR, &patch)
                    .await
            }
            result => result,
        };
        if let Err(error) = result {
            self.log(&error);
        }
    }

    /// Gives back what `config` holds then; nothing where it could not be written.
    pub(super) async fn write_configuration(
        &mut self,
        wanted: &Map<String, Value>,
    ) -> Option<String> {
        let endpoints = self.core("endpoints");
        let name = format!("{}-config", self.wanted.base);
        let live = match self.shared.api.get(&endpoints, &name).await {
            Ok(live) => {
                self.made.insert(format!("endpoints/{name}"));
                live.pointer("/metadata/annotations/config")
                    .and_then(Value::as_str)
                    .map(str::to_owned)
            }
            Err(error) if error.is_not_found() => None,
            Err(error) => {
                self.log(&error);
                return None;
            }
        };
        let text = merged_config(live.as_deref(), wanted);
        let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
        if live.as_deref().and_then(parsed) == parsed(&text) {
            return live;
        }
        let patch = objects::annotations(&[("config", json!(text))]);
        self.put("Endpoints", "endpoints", &name, OPERATOR, &patch)
            .await;
        Some(text)
    }

    pub(super) async fn write_services(&mut self) {
        let services = self.core("services");
        for service in objects::services(&self.wanted) {
            let name = service["metadata"]["name"].as_str().unwrap_or_default();
            let known = format!("services/{name}");
            if self.made.contains(&known) {
                continue;
            }
            self.writes += 1;
            match self.shared.api.create(&services, &service).await {
                Err(error) if !error.is_conflict() => self.log(&error),
                Ok(_) | Err(_) => {
                    self.made.insert(known);
                }
            }
        }
    }

    pub(super) async fn write_set(&mut self, replicas: u32) {
        if self
            .set
            .as_ref()
            .is_some_and(|set| set.replicas == replicas && set.revision == self.revision)
        {
            return;
        }
        self.writes += 1;
        let sets = Collection::apps(&self.key.namespace, "statefulsets");
        let object = objects::stateful_set(&self.wanted, replicas);
        let result = match &self.set {
            None => match self.shared.api.create(&sets, &object).await {
                Err(error) if error.is_conflict() => {
                    let patch = json!({"spec": {"replicas": replicas}});
                    self.shared
                        .api
                        .merge(&sets, &self.wanted.name, OPERATOR, &patch)
                        .await
                }
                result => result,
            },
            Some(_) => {
                let patch = json!({"spec": {
                    "replicas": replicas, "template": object["spec"]["template"],
                }});
                self.shared
                    .api
                    .merge(&sets, &self.wanted.name, OPERATOR, &patch)
                    .await
            }
        };
        match result {
            Ok(set) => {
                let uid = set["metadata"]["uid"].as_str().unwrap_or_default();
                self.set = Some(Set {
                    uid: uid.to_owned(),
                    generation: set["metadata"]["generation"].as_i64().unwrap_or(1),
                    replicas,
                    revision: self.revision.clone(),
                    status: Value::Null,
                });
            }
            Err(error) => self.log(&error),
        }
    }

    pub(super) async fn create_pod(&mut self, index: u32) {
        let Some(set) = &self.set else {
            return;
        };
        let assignment = usize::try_from(index)
            .ok()
            .and_then(|index| self.wanted.assignments.get(index).copied());
        let facts = PodFacts {
            name: self.wanted.pod_name(index),
            ip: self.shared.next_ip(),
            revision: self.revision.clone(),
            assignment,
            is_ready: false,
            is_kept: false,
            is_terminating: false,
        };
        let pods = self.core("pods");
        let object = objects::pod(&self.wanted, &facts, &set.uid);
        let result = match self.shared.api.create(&pods, &object).await {
            Err(error) if error.is_conflict() => self.shared.api.get(&pods, &facts.name).await,
            result => result,
        };
        let made = match result {
            Ok(made) => made,
            Err(error) => return self.log(&error),
        };
        let name = facts.name.clone();
        if let Some(patroni) = &mut self.patroni {
            patroni.add(&name, &facts.ip, self.wanted.build);
            if let Some(assignment) = assignment {
                patroni.set_tags(&name, assignment.nofailover, assignment.noloadbalance);
            }
        }
        let uid = made["metadata"]["uid"].as_str().unwrap_or_default();
        self.pods.insert(
            index,
            Pod {
                facts,
                uid: uid.to_owned(),
                is_ready_written: None,
            },
        );
        self.write_readiness(index).await;
    }

    pub(super) async fn request_deletion(&mut self, name: &str) {
        if let Err(error) = self.shared.api.delete(&self.core("pods"), name).await {
            self.log(&error);
        }
    }

    pub(super) async fn label_kept(&mut self, index: u32, is_kept: bool) {
        let Some(pod) = self.pods.get_mut(&index) else {
            return;
        };
        pod.facts.is_kept = is_kept;
        let name = pod.facts.name.clone();
        let patch = json!({"metadata": {"labels": {
            "stackgres.io/disruptible": (!is_kept).to_string(),
        }}});
        self.patch_pod(&name, OPERATOR, &patch).await;
    }

    pub(super) async fn write_tags(&mut self, name: &str, assignment: Assignment) {
        let labels: Map<String, Value> = objects::tag_labels(Some(assignment))
            .into_iter()
            .map(|(label, value)| (label.to_owned(), value))
            .collect();
        let patch = json!({"metadata": {"labels": labels}});
        self.patch_pod(name, CONTROLLER, &patch).await;
    }

    async fn patch_pod(&mut self, name: &str, manager: &str, patch: &Value) {
        self.writes += 1;
        let result = self
            .shared
            .api
            .merge(&self.core("pods"), name, manager, patch)
            .await;
        match result {
            Err(error) if !error.is_not_found() => self.log(&error),
            Ok(_) | Err(_) => {}
        }
    }

    async fn write_readiness(&mut self, index: u32) {
        let Some(pod) = self.pods.get_mut(&index) else {
            return;
        };
        if pod.is_ready_written == Some(pod.facts.is_ready) {
            return;
        }
        pod.is_ready_written = Some(pod.facts.is_ready);
        let patch = objects::pod_status(&self.wanted, &pod.facts, &kubernetes_time());
        let name = format!("{}/status", pod.facts.name);
        self.patch_pod(&name, KUBELET, &patch).await;
    }

    /// Writes what Patroni has said, in its order; of several heartbeats and reports only the last.
    pub(super) async fn flush(&mut self) {
        let effects = std::mem::take(&mut self.effects);
        for (at, effect) in effects.iter().enumerate() {
            let later = &effects[at + 1..];
            match effect {
                Effect::Initialized => {
                    self.is_bootstrapped = true;
                    let name = format!("{}-config", self.wanted.base);
                    let id = json!(self.system_id);
                    self.annotate(&name, &[("initialize", id)]).await;
                }
                Effect::Renewed { is_acquired, .. } => {
                    let is_last = !later
                        .iter()
                        .any(|effect| matches!(effect, Effect::Renewed { .. } | Effect::Released));
                    if is_last || *is_acquired {
                        self.write_lock(effect).await;
                    }
                }
                Effect::Released => {
                    let base = self.wanted.base.clone();
                    self.annotate(&base, &[("leader", Value::Null)]).await;
                }
                Effect::Promoted {
                    timeline,
                    position,
                    leader,
                } => {
                    self.history.push(json!([
                        timeline,
                        position,
                        "no recovery target specified",
                        patroni_time(),
                        leader
                    ]));
                    let name = format!("{}-config", self.wanted.base);
                    let text = json!(Value::Array(self.history.clone()).to_string());
                    self.annotate(&name, &[("history", text)]).await;
                }
                Effect::Sync(sync) => self.write_sync(sync.as_ref()).await,
                Effect::Names(names) => {
                    tracing::debug!(cluster = %self.key, %names, "synchronous_standby_names");
                }
                Effect::Member { name, report } => {
                    let is_last = !later.iter().any(
                        |effect| matches!(effect, Effect::Member { name: other, .. } if other == name),
                    );
                    if is_last {
                        self.write_report(name, report).await;
                    }
                }
                Effect::Left(name) => self.let_go(name).await,
            }
        }
    }

    async fn write_lock(&mut self, effect: &Effect) {
        let Effect::Renewed {
            leader,
            ttl,
            transitions,
            optime,
            is_acquired,
            slots,
        } = effect
        else {
            return;
        };
        let now = patroni_time();
        if *is_acquired {
            self.acquired.clone_from(&now);
        }
        let mut patch = objects::annotations(&[
            ("leader", json!(leader)),
            ("ttl", json!(ttl.to_string())),
            ("renewTime", json!(now)),
            ("acquireTime", json!(self.acquired)),
            ("transitions", json!(transitions.to_string())),
            ("optime", json!(optime.to_string())),
            ("slots", objects::slots(slots)),
        ]);
        if *is_acquired {
            let ip = self
                .pods
                .values()
                .find(|pod| pod.facts.name == *leader)
                .map(|pod| pod.facts.ip.clone());
            patch["subsets"] = json!([{
                "addresses": [{"ip": ip, "hostname": leader}],
                "ports": [{"name": "pgport", "port": self.wanted.port(), "protocol": "TCP"}],
            }]);
        }
        let base = self.wanted.base.clone();
        self.put("Endpoints", "endpoints", &base, PATRONI, &patch)
            .await;
    }

    async fn write_sync(&mut self, sync: Option<&Sync>) {
        let says_quorum = self.wanted.patroni_version.says_primary();
        let patch = objects::sync(sync, says_quorum);
        let name = format!("{}-sync", self.wanted.base);
        self.put("Endpoints", "endpoints", &name, PATRONI, &patch)
            .await;
    }

    async fn write_report(&mut self, name: &str, report: &Report) {
        let Some(index) = self.wanted.pod_index(name) else {
            return;
        };
        let Some(pod) = self.pods.get_mut(&index) else {
            return;
        };
        pod.facts.is_ready = report.is_ready;
        if !report.status.is_empty() {
            let patch = json!({"metadata": {
                "annotations": {"status": report.status}, "labels": {"role": report.role},
            }});
            self.patch_pod(name, PATRONI, &patch).await;
        }
        self.write_readiness(index).await;
    }

    /// The member has stopped: its Pod goes.
    async fn let_go(&mut self, name: &str) {
        self.request_deletion(name).await;
        let patch = json!({"metadata": {"finalizers": null}});
        self.patch_pod(name, KUBELET, &patch).await;
        self.pods.retain(|_, pod| pod.facts.name != name);
    }

    /// Statuses of the StatefulSet and the SGCluster, and what the writer has seen.
    pub(super) async fn show(&mut self) {
        let pods = self.facts();
        if let Some(set) = &mut self.set {
            let status = objects::stateful_set_status(set.generation, &set.revision, &pods);
            if set.status != status {
                set.status = status.clone();
                self.writes += 1;
                let sets = Collection::apps(&self.key.namespace, "statefulsets");
                let name = format!("{}/status", self.wanted.name);
                if let Err(error) = self.shared.api.merge(&sets, &name, KUBELET, &status).await {
                    self.log(&error);
                }
            }
        }
        self.show_status(&pods).await;
        self.show_writes().await;
    }

    async fn show_status(&mut self, pods: &[PodFacts]) {
        if self.instances.is_none() || self.wanted.is_paused {
            return;
        }
        let patch = objects::cluster_status(
            &self.wanted,
            &self.live,
            pods,
            &self.revision,
            self.is_bootstrapped,
            &kubernetes_time(),
        );
        let is_shown = patch["status"].as_object().is_some_and(|status| {
            status
                .iter()
                .all(|(key, value)| self.live["status"].get(key) == Some(value))
        });
        if is_shown {
            return;
        }
        self.writes += 1;
        let clusters = Collection::stackgres(&self.key.namespace, "SGCluster");
        match self
            .shared
            .api
            .merge(&clusters, &self.key.name, OPERATOR, &patch)
            .await
        {
            // Only the status: the rest is read when the watch brings it, so that no change goes unnoticed.
            Ok(stored) => {
                let mut live = (*self.live).clone();
                live["status"] = stored["status"].clone();
                self.live = std::sync::Arc::new(live);
            }
            Err(error) => tracing::debug!(cluster = %self.key, "status not written: {error}"),
        }
    }

    async fn show_writes(&mut self) {
        let Some(patroni) = &self.patroni else {
            return;
        };
        let writes = patroni.wal.writes;
        self.shared.record(&self.key, writes);
        if self.shown_writes == Some(writes) {
            return;
        }
        self.shown_writes = Some(writes);
        if writes.stalled < BLOCKED_AFTER {
            self.blocked_since = None;
        } else if self.blocked_since.is_none() {
            self.blocked_since = Some(kubernetes_time());
        }
        let patch = json!({"data": {
            "acknowledged": writes.acknowledged.to_string(),
            "lost": writes.lost.to_string(),
            "longest-stall-ms": writes.longest_stall.as_millis().to_string(),
            "total-stalled-ms": writes.total_stalled.as_millis().to_string(),
            "blocked-since": self.blocked_since.clone().unwrap_or_default(),
        }});
        let name = format!("{}-writes", self.key.name);
        self.put("ConfigMap", "configmaps", &name, "sandbox", &patch)
            .await;
    }

    /// The SGCluster is gone, and with it everything of its own, its volumes too.
    pub(super) async fn clear(&mut self) {
        let pods: Vec<String> = self
            .pods
            .values()
            .map(|pod| pod.facts.name.clone())
            .collect();
        for name in pods {
            self.let_go(&name).await;
        }
        let mut gone: Vec<(Collection, String)> = self
            .made
            .iter()
            .filter_map(|known| known.split_once('/'))
            .map(|(plural, name)| (self.core(plural), name.to_owned()))
            .collect();
        if self.set.is_some() {
            let sets = Collection::apps(&self.key.namespace, "statefulsets");
            gone.push((sets, self.key.name.clone()));
        }
        for (collection, name) in gone {
            if let Err(error) = self.shared.api.delete(&collection, &name).await {
                self.log(&error);
            }
        }
        self.shared.forget(&self.key);
        *self = Self::new(self.shared.clone(), self.key.clone());
    }
}
