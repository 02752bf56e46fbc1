//! Everything watched, joined by cluster, and what has changed since somebody last asked.
//!
//! Pure: it knows no client, no task and no clock. Watches put records in, and say how they are doing; `assemble` takes
//! clusters out. Of each change it is weighed whether a decision could read it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::decode::{Body, Record};
use super::failure::Failure;
use super::kinds::Watched;
use super::weight::{Weight, weigh};
use crate::model::key::{Key, Kind};

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

#[derive(Debug, Default)]
pub struct Shelf {
    pub records: HashMap<Key, Record>,
    /// The objects of each cluster, by name of the cluster.
    pub by_cluster: HashMap<Key, BTreeSet<Key>>,
    /// Written by us and not yet seen by the watch, since the last list began.
    remembered: HashSet<Key>,
}

#[derive(Debug)]
pub struct Index {
    pub shelves: BTreeMap<Watched, Shelf>,
    states: BTreeMap<Watched, WatchState>,
    /// Which clusters a name of Patroni's Endpoints belongs to; more than one only by mistake.
    bases: HashMap<Key, BTreeSet<Key>>,
    /// Whose heartbeats are told; `None`: everybody's.
    heeded: Option<BTreeSet<Key>>,
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
            heeded: None,
            changes: Changes::default(),
        }
    }
}

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
        let old = self.shelf(watched).records.remove(&record.key);
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
                        let heeded = self.heeded.as_ref();
                        if heeded.is_none_or(|heeded| heeded.contains(&cluster)) {
                            self.changes.heartbeats.insert(cluster);
                        }
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

    /// Whose heartbeats are told from now on.
    pub fn heed(&mut self, clusters: BTreeSet<Key>) {
        self.changes.heartbeats.retain(|key| clusters.contains(key));
        self.heeded = Some(clusters);
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
    pub fn readable(&self, watched: Watched) -> Result<(), String> {
        let kind = watched.word();
        match self.state(watched) {
            WatchState::Watching | WatchState::Failing(_) => Ok(()),
            WatchState::NotInstalled if watched.may_be_missing() => Ok(()),
            WatchState::NotInstalled => Err(format!("{kind} is not installed on the API server")),
            WatchState::Starting => Err(format!("{kind} has not been listed yet")),
            WatchState::Lost(failure) => Err(format!("{kind} cannot be read: {failure}")),
        }
    }

    fn shelf(&mut self, watched: Watched) -> &mut Shelf {
        self.shelves
            .get_mut(&watched)
            .expect("made with a shelf for each kind")
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

#[cfg(test)]
mod tests {
    use kube::api::{DynamicObject, PartialObjectMeta};
    use serde_json::{Value, json};

    use super::super::decode::{Recorded, SlimPod};
    use super::*;
    use crate::model::patroni::Seen;

    fn key() -> Key {
        Key::new("n", "c")
    }

    fn record(watched: Watched, value: Value) -> Record {
        let record = match watched {
            Watched::Pods => serde_json::from_value::<SlimPod>(value)
                .unwrap()
                .record(watched),
            Watched::Endpoints => serde_json::from_value::<PartialObjectMeta<_>>(value)
                .unwrap()
                .record(watched),
            _ => serde_json::from_value::<DynamicObject>(value)
                .unwrap()
                .record(watched),
        };
        record.unwrap()
    }

    fn cluster(version: u32, instances: u32) -> Record {
        let object = json!({"metadata": {"namespace": "n", "name": "c", "resourceVersion": version.to_string()},
            "spec": {"instances": instances}});
        record(Watched::Clusters, object)
    }

    fn pod(version: u32, position: u64, state: &str) -> Record {
        let status =
            json!({"state": state, "role": "replica", "receive_lsn": position}).to_string();
        let object = json!({"metadata": {"namespace": "n", "name": "c-1", "resourceVersion": version.to_string(),
            "labels": {"stackgres.io/cluster-name": "c"}, "annotations": {"status": status}}});
        record(Watched::Pods, object)
    }

    fn endpoints(name: &str, version: u32, annotations: Value) -> Record {
        let object = json!({"metadata": {"namespace": "n", "name": name, "resourceVersion": version.to_string(),
            "annotations": annotations}});
        record(Watched::Endpoints, object)
    }

    /// All kinds listed, with one cluster, and nothing left to tell.
    fn index() -> Index {
        let mut index = Index::default();
        for watched in Watched::ALL {
            index.list(watched, Vec::new());
        }
        index.list(Watched::Clusters, vec![cluster(10, 2)]);
        index.take_changes();
        index
    }

    fn material() -> Changes {
        Changes {
            material: [key()].into(),
            ..Changes::default()
        }
    }

    fn heartbeat() -> Changes {
        Changes {
            heartbeats: [key()].into(),
            ..Changes::default()
        }
    }

    fn instances(index: &Index) -> Value {
        let live = index.observe(&key()).unwrap().live.unwrap();
        live.value["spec"]["instances"].clone()
    }

    #[test]
    fn positions_and_renewals_are_heartbeats_and_a_new_state_is_not() {
        let mut index = index();
        index.apply(Watched::Pods, pod(20, 5, "running"));
        assert_eq!(index.take_changes(), material());
        index.apply(Watched::Pods, pod(21, 6, "running"));
        assert_eq!(index.take_changes(), heartbeat());
        index.apply(Watched::Pods, pod(22, 7, "stopping"));
        assert_eq!(index.take_changes(), material());

        let leader = |version, annotations| endpoints("c", version, annotations);
        index.apply(
            Watched::Endpoints,
            leader(30, json!({"leader": "c-0", "renewTime": "1"})),
        );
        assert_eq!(index.take_changes(), material());
        index.apply(
            Watched::Endpoints,
            leader(
                31,
                json!({"leader": "c-0", "renewTime": "2", "slots": "{}"}),
            ),
        );
        assert_eq!(index.take_changes(), heartbeat());
        index.apply(
            Watched::Endpoints,
            leader(
                32,
                json!({"leader": "c-0", "renewTime": "2", "slots": "{1}"}),
            ),
        );
        assert_eq!(index.take_changes(), Changes::default());
        index.apply(
            Watched::Endpoints,
            leader(33, json!({"leader": "c-1", "renewTime": "3"})),
        );
        assert_eq!(index.take_changes(), material());
    }

    #[test]
    fn heartbeats_are_told_only_of_clusters_that_somebody_waits_for() {
        let mut index = index();
        index.apply(Watched::Pods, pod(20, 5, "running"));
        index.take_changes();
        index.heed(BTreeSet::new());
        index.apply(Watched::Pods, pod(21, 6, "running"));
        assert!(!index.has_changes());
        index.heed([key()].into());
        index.apply(Watched::Pods, pod(22, 7, "running"));
        assert_eq!(index.take_changes(), heartbeat());
    }

    #[test]
    fn endpoints_of_nobody_wake_nobody() {
        let mut index = index();
        index.apply(
            Watched::Endpoints,
            endpoints("other-sync", 30, json!({"leader": "x"})),
        );
        assert_eq!(index.take_changes(), Changes::default());
        index.apply(
            Watched::Endpoints,
            endpoints("c-sync", 31, json!({"leader": "x"})),
        );
        assert_eq!(index.take_changes(), material());
    }

    #[test]
    fn what_is_written_is_seen_before_the_watch_brings_it() {
        let mut index = index();
        index.remember(Watched::Clusters, cluster(12, 3));
        assert_eq!(instances(&index), 3);
        index.apply(Watched::Clusters, cluster(11, 2));
        assert_eq!(instances(&index), 3, "an older event does not take it back");
        index.apply(Watched::Clusters, cluster(13, 4));
        assert_eq!(instances(&index), 4);
    }

    #[test]
    fn a_list_asked_for_before_our_write_does_not_take_it_back() {
        let mut index = index();
        index.list_begins(Watched::Clusters);
        index.remember(Watched::Clusters, cluster(12, 3));
        index.list(Watched::Clusters, vec![cluster(10, 2)]);
        assert_eq!(instances(&index), 3);
        index.list(Watched::Clusters, Vec::new());
        assert!(index.observe(&key()).unwrap().live.is_some());
        index.list_begins(Watched::Clusters);
        index.list(Watched::Clusters, Vec::new());
        assert!(index.observe(&key()).unwrap().live.is_none());
    }

    #[test]
    fn a_server_that_counts_from_the_beginning_again_is_believed() {
        let mut index = index();
        index.list_begins(Watched::Clusters);
        index.list(Watched::Clusters, vec![cluster(2, 5)]);
        assert_eq!(instances(&index), 5);
    }

    #[test]
    fn a_kind_that_is_lost_makes_unknown_what_depends_on_it_and_nothing_else() {
        let mut index = index();
        index.apply(Watched::Pods, pod(20, 5, "running"));
        index.take_changes();
        let forbidden = Failure::Forbidden {
            verb: "list".into(),
            resource: "pods".into(),
        };
        index.failing(Watched::Pods, forbidden);
        assert_eq!(
            index.observe(&key()).unwrap().seen_members().len(),
            1,
            "for a while it counts"
        );
        assert!(!index.take_changes().health);
        index.lost(Watched::Pods);
        assert!(index.take_changes().health);
        let seen = index.observe(&key()).unwrap();
        assert_eq!(
            seen.members,
            Seen::Unknown("Pod cannot be read: permission to list pods is missing".into())
        );
        assert_eq!(seen.stateful_set, Seen::Value(None));
        assert_eq!(seen.operations, Seen::Value(Vec::new()));
        assert!(seen.live.is_some());
        index.list(Watched::Pods, vec![pod(20, 5, "running")]);
        assert!(index.take_changes().health);
        assert_eq!(index.observe(&key()).unwrap().seen_members().len(), 1);
    }

    #[test]
    fn a_kind_that_was_never_listed_is_lost_at_once() {
        let mut index = Index::default();
        assert!(index.observe(&key()).is_err());
        index.failing(Watched::Clusters, Failure::Unauthorized);
        insta::assert_snapshot!(index.observe(&key()).unwrap_err(), @"SGCluster cannot be read: the API server does not accept the credentials");
    }

    #[test]
    fn a_kind_that_is_not_installed_has_no_objects_but_for_sgcluster() {
        let mut index = index();
        index.not_installed(Watched::ObjectStorages);
        index.not_installed(Watched::Operations);
        let storage = Watched::ObjectStorages.kind();
        assert_eq!(index.supporting(&storage, &key()), Ok(None));
        assert_eq!(
            index.observe(&key()).unwrap().operations,
            Seen::Value(Vec::new())
        );
        index.not_installed(Watched::Clusters);
        insta::assert_snapshot!(index.observe(&key()).unwrap_err(), @"SGCluster is not installed on the API server");
    }

    #[test]
    fn what_patroni_has_not_written_is_unknown_but_for_sync() {
        let mut index = index();
        let patroni = index.observe(&key()).unwrap().patroni;
        assert_eq!(
            patroni.leader,
            Seen::Unknown("Patroni has not written Endpoints c yet".into())
        );
        assert_eq!(
            patroni.config,
            Seen::Unknown("Patroni has not written Endpoints c-config yet".into())
        );
        assert_eq!(patroni.sync, Seen::Value(Default::default()));
        index.apply(
            Watched::Endpoints,
            endpoints("c-config", 31, json!({"config": "{}", "initialize": "7"})),
        );
        let patroni = index.observe(&key()).unwrap().patroni;
        assert!(patroni.config.value().is_some());
        assert_eq!(patroni.initialize.as_deref(), Some("7"));
        assert_eq!(patroni.config_version.as_deref(), Some("31"));
    }

    #[test]
    fn a_cluster_whose_patroni_keeps_its_state_elsewhere_is_unknown() {
        let mut index = index();
        let object = json!({"metadata": {"namespace": "n", "name": "c", "resourceVersion": "11"},
            "spec": {"instances": 2, "configurations": {"patroni": {"initialConfig": {"etcd3": {"host": "h"}}}}}});
        index.apply(Watched::Clusters, record(Watched::Clusters, object));
        let patroni = index.observe(&key()).unwrap().patroni;
        assert_eq!(
            patroni.sync,
            Seen::Unknown(
                "Patroni keeps its state in etcd3, which is not read from Kubernetes".into()
            )
        );
    }

    #[test]
    fn an_object_that_clusters_refer_to_is_told_by_its_own_name() {
        let mut index = index();
        let object = json!({"metadata": {"namespace": "n", "name": "size-s", "resourceVersion": "11"}, "spec": {"cpu": "1"}});
        index.apply(
            Watched::InstanceProfiles,
            record(Watched::InstanceProfiles, object),
        );
        let changes = index.take_changes();
        assert_eq!(
            changes.supporting,
            [(Watched::InstanceProfiles.kind(), Key::new("n", "size-s"))].into()
        );
        assert!(changes.material.is_empty());
    }
}
