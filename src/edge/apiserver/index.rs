//! Everything watched, joined by cluster, and what has changed since somebody last asked.
//!
//! Pure: it knows no client, no task and no clock. A watch puts records in; `observe` takes one cluster's out. A kind whose
//! watch is lost reads as unknown, with the reason; it never reads as absent.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::decode::{Body, ClusterBody, Record};
use super::failure::Failure;
use super::kinds::Watched;
use crate::model::key::{Key, Kind};
use crate::model::observed::{
    LiveObject, Member, ObservedCluster, ObservedPatroni, Operation, StatefulSet,
};
use crate::model::patroni::{
    Annotations, FailoverRequest, LeaderRecord, Lsn, MemberStatus, PatroniConfig, Seen, SyncState,
};

/// What has changed since `changed` last returned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Clusters of which something has changed that a decision reads.
    pub material: BTreeSet<Key>,
    /// Clusters of which only positions, heartbeats or a lock's renewal have moved.
    pub heartbeats: BTreeSet<Key>,
    /// Objects that clusters refer to.
    pub supporting: BTreeSet<(Kind, Key)>,
    /// A kind has become readable or unreadable: every cluster is to be looked at again.
    pub health: bool,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

/// How a watch is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchState {
    /// The first list is not in yet.
    Starting,
    Watching,
    /// The server does not know the kind. Where a cluster can do without it, there are none.
    NotInstalled,
    /// For the moment; what was seen last still counts.
    Failing(Failure),
    /// Never listed, or failing for long: what depends on it is unknown.
    Lost(Failure),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchHealth {
    pub kind: Kind,
    pub state: WatchState,
}

/// Why a cluster or an object cannot be said anything about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Unreadable {
    pub reason: String,
}

/// How much a change matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    Nothing,
    Heartbeat,
    Material,
}

#[derive(Debug, Default)]
struct Shelf {
    records: HashMap<Key, Record>,
    /// The objects of each cluster, by name of the cluster.
    by_cluster: HashMap<Key, BTreeSet<Key>>,
    /// Written by us and not yet seen by the watch, since the last list began.
    remembered: HashSet<Key>,
}

#[derive(Debug)]
pub struct Index {
    shelves: BTreeMap<Watched, Shelf>,
    states: BTreeMap<Watched, WatchState>,
    /// Which clusters a name of Patroni's Endpoints belongs to; more than one only by mistake.
    bases: HashMap<Key, BTreeSet<Key>>,
    changes: Changes,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            shelves: Watched::ALL
                .into_iter()
                .map(|watched| (watched, Shelf::default()))
                .collect(),
            states: Watched::ALL
                .into_iter()
                .map(|watched| (watched, WatchState::Starting))
                .collect(),
            bases: HashMap::new(),
            changes: Changes::default(),
        }
    }
}

// Records in.
impl Index {
    /// A record from the watch; one that is not newer than what is held changes nothing.
    pub fn apply(&mut self, watched: Watched, record: Record) {
        let shelf = self.shelf(watched);
        if let Some(held) = shelf.records.get(&record.key)
            && !is_newer(&record.resource_version, &held.resource_version)
        {
            return;
        }
        shelf.remembered.remove(&record.key);
        self.put(watched, record);
    }

    /// An object of our own write, so that the next pass sees it before the watch does.
    pub fn remember(&mut self, watched: Watched, record: Record) {
        let key = record.key.clone();
        self.apply(watched, record);
        self.shelf(watched).remembered.insert(key);
    }

    pub fn delete(&mut self, watched: Watched, key: &Key) {
        self.shelf(watched).remembered.remove(key);
        self.take(watched, key);
    }

    /// A list is about to be asked for: what was remembered until now will be in it.
    pub fn list_begins(&mut self, watched: Watched) {
        self.shelf(watched).remembered.clear();
    }

    /// A whole list is in. It replaces what was held, except for what we have written since it was asked for: the watch that
    /// follows the list brings that, or its end.
    pub fn list(&mut self, watched: Watched, records: Vec<Record>) {
        let shelf = self.shelf(watched);
        let listed: HashSet<&Key> = records.iter().map(|record| &record.key).collect();
        let gone: Vec<Key> = shelf
            .records
            .keys()
            .filter(|key| !listed.contains(key) && !shelf.remembered.contains(key))
            .cloned()
            .collect();
        for key in gone {
            self.take(watched, &key);
        }
        for record in records {
            let shelf = self.shelf(watched);
            let keeps_ours = shelf.remembered.contains(&record.key)
                && shelf.records.get(&record.key).is_some_and(|held| {
                    !is_newer(&record.resource_version, &held.resource_version)
                });
            if !keeps_ours {
                self.put(watched, record);
            }
        }
        self.turn(watched, WatchState::Watching);
    }

    /// The server does not know the kind.
    pub fn not_installed(&mut self, watched: Watched) {
        if watched.may_be_missing() {
            for key in self
                .shelf(watched)
                .records
                .keys()
                .cloned()
                .collect::<Vec<_>>()
            {
                self.take(watched, &key);
            }
        }
        self.turn(watched, WatchState::NotInstalled);
    }

    /// A request of the watch has failed. What was seen before counts until `lost`.
    pub fn failing(&mut self, watched: Watched, failure: Failure) {
        let state = match self.state(watched) {
            WatchState::Watching | WatchState::Failing(_) => WatchState::Failing(failure),
            WatchState::Starting | WatchState::NotInstalled | WatchState::Lost(_) => {
                WatchState::Lost(failure)
            }
        };
        self.turn(watched, state);
    }

    /// It has failed for so long that what was seen no longer counts.
    pub fn lost(&mut self, watched: Watched) {
        if let WatchState::Failing(failure) = self.state(watched).clone() {
            self.turn(watched, WatchState::Lost(failure));
        }
    }

    fn turn(&mut self, watched: Watched, state: WatchState) {
        let before = self.readable(watched);
        let was = self.states.insert(watched, state);
        if before != self.readable(watched) || was == Some(WatchState::Starting) {
            self.changes.health = true;
        }
    }

    fn put(&mut self, watched: Watched, record: Record) {
        let old = self.shelf(watched).records.get(&record.key).cloned();
        if let Some(old) = &old {
            self.unlink(watched, old);
        }
        if let Some(cluster) = &record.cluster {
            let by_cluster = &mut self.shelf(watched).by_cluster;
            by_cluster
                .entry(cluster.clone())
                .or_default()
                .insert(record.key.clone());
        }
        if let Body::Cluster(body) = &record.body {
            let base = Key::new(record.key.namespace.clone(), body.base.clone());
            self.bases
                .entry(base)
                .or_default()
                .insert(record.key.clone());
        }
        self.note(watched, old.as_ref(), Some(&record));
        self.shelf(watched)
            .records
            .insert(record.key.clone(), record);
    }

    fn take(&mut self, watched: Watched, key: &Key) {
        if let Some(old) = self.shelf(watched).records.remove(key) {
            self.note(watched, Some(&old), None);
            self.unlink(watched, &old);
        }
    }

    fn unlink(&mut self, watched: Watched, record: &Record) {
        if let Some(cluster) = &record.cluster {
            remove_from(&mut self.shelf(watched).by_cluster, cluster, &record.key);
        }
        if let Body::Cluster(body) = &record.body {
            let base = Key::new(record.key.namespace.clone(), body.base.clone());
            remove_from(&mut self.bases, &base, &record.key);
        }
    }

    /// Notes whom a change concerns and how much it matters.
    fn note(&mut self, watched: Watched, old: Option<&Record>, new: Option<&Record>) {
        let weight = match (old, new) {
            (Some(old), Some(new)) if old.cluster != new.cluster => Weight::Material,
            (Some(old), Some(new)) => weigh(&old.body, &new.body),
            (None, Some(_)) | (Some(_), None) => Weight::Material,
            (None, None) => Weight::Nothing,
        };
        if weight == Weight::Nothing {
            return;
        }
        for record in [old, new].into_iter().flatten() {
            if watched.is_supporting() {
                self.changes
                    .supporting
                    .insert((watched.kind(), record.key.clone()));
            }
            for cluster in self.concerned(record) {
                match weight {
                    Weight::Nothing => {}
                    Weight::Heartbeat => {
                        self.changes.heartbeats.insert(cluster);
                    }
                    Weight::Material => {
                        self.changes.material.insert(cluster);
                    }
                }
            }
        }
    }

    fn concerned(&self, record: &Record) -> Vec<Key> {
        match &record.body {
            Body::Endpoints(_) => {
                let name = record.key.name.as_str();
                ["", "-config", "-sync", "-failover"]
                    .into_iter()
                    .filter_map(|suffix| name.strip_suffix(suffix))
                    .filter_map(|base| {
                        self.bases
                            .get(&Key::new(record.key.namespace.clone(), base))
                    })
                    .flatten()
                    .cloned()
                    .collect()
            }
            Body::Cluster(_)
            | Body::Member(_)
            | Body::StatefulSet(_)
            | Body::Operation(_)
            | Body::Supporting(_) => record.cluster.clone().into_iter().collect(),
        }
    }

    /// What has changed since it was last taken; nothing is left.
    pub fn take_changes(&mut self) -> Changes {
        let mut changes = std::mem::take(&mut self.changes);
        changes
            .heartbeats
            .retain(|key| !changes.material.contains(key));
        changes
    }

    pub fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    fn shelf(&mut self, watched: Watched) -> &mut Shelf {
        self.shelves
            .get_mut(&watched)
            .expect("made with a shelf for each kind")
    }
}

// Clusters out.
impl Index {
    pub fn state(&self, watched: Watched) -> &WatchState {
        &self.states[&watched]
    }

    pub fn health(&self) -> Vec<WatchHealth> {
        self.states
            .iter()
            .map(|(watched, state)| WatchHealth {
                kind: watched.kind(),
                state: state.clone(),
            })
            .collect()
    }

    /// Whether what is held of a kind may be believed; `Err` is the reason why not.
    fn readable(&self, watched: Watched) -> Result<(), String> {
        let kind = watched.word();
        match self.state(watched) {
            WatchState::Watching | WatchState::Failing(_) => Ok(()),
            WatchState::NotInstalled if watched.may_be_missing() => Ok(()),
            WatchState::NotInstalled => Err(format!("{kind} is not installed on the API server")),
            WatchState::Starting => Err(format!("{kind} has not been listed yet")),
            WatchState::Lost(failure) => Err(format!("{kind} cannot be read: {failure}")),
        }
    }

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

fn remove_from(map: &mut HashMap<Key, BTreeSet<Key>>, at: &Key, key: &Key) {
    if let Some(set) = map.get_mut(at) {
        set.remove(key);
        if set.is_empty() {
            map.remove(at);
        }
    }
}

/// Kubernetes counts its resource versions; where one does not look like a number, the later arrival wins.
fn is_newer(candidate: &str, held: &str) -> bool {
    match (candidate.parse::<u64>(), held.parse::<u64>()) {
        (Ok(candidate), Ok(held)) => candidate > held,
        _ => candidate != held,
    }
}

fn weigh(old: &Body, new: &Body) -> Weight {
    match (old, new) {
        (Body::Cluster(old), Body::Cluster(new)) => {
            if old.stored.digest != new.stored.digest {
                Weight::Material
            } else if old.renewal != new.renewal {
                // A lock that comes or goes is a change; one that is held on to is not.
                if old.renewal.is_some() && new.renewal.is_some() {
                    Weight::Heartbeat
                } else {
                    Weight::Material
                }
            } else {
                Weight::Nothing
            }
        }
        (Body::Supporting(old), Body::Supporting(new)) => {
            if old.digest == new.digest {
                Weight::Nothing
            } else {
                Weight::Material
            }
        }
        (Body::Endpoints(old), Body::Endpoints(new)) => {
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            names
                .into_iter()
                .filter(|name| old.get(*name) != new.get(*name))
                .map(|name| match name.as_str() {
                    "renewTime" | "optime" => Weight::Heartbeat,
                    _ => Weight::Material,
                })
                .max()
                .unwrap_or(Weight::Nothing)
        }
        (Body::Member(old), Body::Member(new)) => {
            if old == new {
                Weight::Nothing
            } else if without_positions(old) == without_positions(new) {
                Weight::Heartbeat
            } else {
                Weight::Material
            }
        }
        (old, new) => {
            if old == new {
                Weight::Nothing
            } else {
                Weight::Material
            }
        }
    }
}

/// A member without how far it has come; that it says a position at all stays visible.
fn without_positions(member: &Member) -> Member {
    let mut member = member.clone();
    if let Some(Seen::Value(MemberStatus {
        xlog_location,
        receive_lsn,
        replay_lsn,
        ..
    })) = &mut member.status
    {
        for position in [xlog_location, receive_lsn, replay_lsn] {
            *position = position.map(|_| Lsn(0));
        }
    }
    member
}
