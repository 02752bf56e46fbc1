//! From the index to what decisions read: one cluster put together from all its parts.
//!
//! A kind whose watch is lost reads as unknown, with the reason; it never reads as absent. What Patroni has not written yet
//! is unknown too, but for `-sync`, whose absence says that nothing is synchronous.

use super::decode::{Body, ClusterBody, Record};
use super::index::Index;
use super::kinds::Watched;
use crate::model::key::{Key, Kind};
use crate::model::observed::{
    LiveObject, Member, ObservedCluster, ObservedPatroni, Operation, StatefulSet,
};
use crate::model::patroni::{
    Annotations, FailoverRequest, LeaderRecord, PatroniConfig, Seen, SyncState, Takeover,
};

/// Why a cluster or an object cannot be said anything about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unreadable {
    pub reason: String,
}

impl Index {
    pub fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = self.shelves[&Watched::Clusters]
            .records
            .keys()
            .cloned()
            .collect();
        keys.sort();
        keys
    }

    pub fn supporting(&self, kind: &Kind, key: &Key) -> Result<Option<LiveObject>, Unreadable> {
        let watched = Watched::of(kind)
            .filter(|watched| watched.is_supporting())
            .ok_or_else(|| Unreadable {
                reason: format!("{kind} is not a kind that is watched"),
            })?;
        self.readable(watched)
            .map_err(|reason| Unreadable { reason })?;
        let record = self.shelves[&watched].records.get(key);
        Ok(record.and_then(|record| match &record.body {
            Body::Supporting(stored) => Some(stored.live()),
            _ => None,
        }))
    }

    /// One cluster from all its parts. `Err` only where the SGCluster itself cannot be read.
    pub fn observe(&self, key: &Key) -> Result<ObservedCluster, Unreadable> {
        self.readable(Watched::Clusters)
            .map_err(|reason| Unreadable { reason })?;
        let cluster = self.cluster(key);
        Ok(ObservedCluster {
            key: key.clone(),
            live: cluster.map(|body| body.stored.live()),
            members: self.members(key),
            patroni: self.patroni(key, cluster),
            stateful_set: self.stateful_set(key),
            operations: self.operations(key),
        })
    }

    fn cluster(&self, key: &Key) -> Option<&ClusterBody> {
        match &self.shelves[&Watched::Clusters].records.get(key)?.body {
            Body::Cluster(body) => Some(body),
            _ => None,
        }
    }

    fn of_cluster(&self, watched: Watched, key: &Key) -> impl Iterator<Item = &Body> {
        let shelf = &self.shelves[&watched];
        shelf
            .by_cluster
            .get(key)
            .into_iter()
            .flatten()
            .filter_map(|name| shelf.records.get(name))
            .map(|record| &record.body)
    }

    fn members(&self, key: &Key) -> Seen<Vec<Member>> {
        if let Err(reason) = self.readable(Watched::Pods) {
            return Seen::Unknown(reason);
        }
        let mut members: Vec<Member> = self
            .of_cluster(Watched::Pods, key)
            .filter_map(|body| match body {
                Body::Member(member) => Some((**member).clone()),
                _ => None,
            })
            .collect();
        members.sort_by(|a, b| (a.index, &a.name).cmp(&(b.index, &b.name)));
        Seen::Value(members)
    }

    fn stateful_set(&self, key: &Key) -> Seen<Option<StatefulSet>> {
        if let Err(reason) = self.readable(Watched::StatefulSets) {
            return Seen::Unknown(reason);
        }
        let mut sets = self.of_cluster(Watched::StatefulSets, key);
        Seen::Value(sets.find_map(|body| match body {
            Body::StatefulSet(set) => Some(set.clone()),
            _ => None,
        }))
    }

    fn operations(&self, key: &Key) -> Seen<Vec<Operation>> {
        let mut operations = Vec::new();
        for watched in [Watched::Operations, Watched::Backups] {
            if let Err(reason) = self.readable(watched) {
                return Seen::Unknown(reason);
            }
            operations.extend(self.of_cluster(watched, key).filter_map(|body| match body {
                Body::Operation(operation) => Some(operation.clone()),
                _ => None,
            }));
        }
        operations.sort();
        Seen::Value(operations)
    }

    fn patroni(&self, key: &Key, cluster: Option<&ClusterBody>) -> ObservedPatroni {
        let base = cluster.map_or(key.name.as_str(), |body| body.base.as_str());
        let unknown = match cluster.and_then(|body| body.external_dcs.as_ref()) {
            Some(store) => Err(format!(
                "Patroni keeps its state in {store}, which is not read from Kubernetes"
            )),
            None => self.readable(Watched::Endpoints),
        };
        if let Err(reason) = unknown {
            return ObservedPatroni {
                base: base.to_owned(),
                leader: Seen::Unknown(reason.clone()),
                config: Seen::Unknown(reason.clone()),
                config_version: None,
                initialize: None,
                sync: Seen::Unknown(reason),
                failover: None,
                last_takeover: None,
            };
        }
        let record = |suffix: &str| {
            let name = Key::new(key.namespace.clone(), format!("{base}{suffix}"));
            self.shelves[&Watched::Endpoints].records.get(&name)
        };
        let annotations = |suffix: &str| record(suffix).and_then(annotations_of);
        let config = annotations("-config");
        ObservedPatroni {
            leader: match annotations("") {
                Some(found) => LeaderRecord::read(found),
                None => not_yet(format!("Endpoints {base}")),
            },
            config: match config.map(|found| found.get("config")) {
                Some(Some(text)) => PatroniConfig::read(text),
                Some(None) => not_yet(format!("its configuration to Endpoints {base}-config")),
                None => not_yet(format!("Endpoints {base}-config")),
            },
            config_version: record("-config").map(|record| record.resource_version.clone()),
            initialize: config.and_then(|found| found.get("initialize").cloned()),
            // Without the object nothing is synchronous (domain §3.2).
            sync: Seen::Value(
                annotations("-sync")
                    .map(SyncState::read)
                    .unwrap_or_default(),
            ),
            failover: annotations("-failover").and_then(FailoverRequest::read),
            last_takeover: config
                .and_then(|found| found.get("history"))
                .and_then(|history| Takeover::read(history)),
            base: base.to_owned(),
        }
    }
}

fn not_yet<T>(what: String) -> Seen<T> {
    Seen::Unknown(format!("Patroni has not written {what} yet"))
}

fn annotations_of(record: &Record) -> Option<&Annotations> {
    match &record.body {
        Body::Endpoints(annotations) => Some(annotations),
        _ => None,
    }
}
