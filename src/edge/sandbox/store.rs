//! The objects, each with the version it was last written at, and what happened to them lately.
//!
//! One counter numbers every write of every kind, as etcd's revision does, so a version compares across kinds. A bounded
//! history per kind lets a watch go on from a version, and a list be told as it was; what is older is `Expired`. Objects
//! are never changed in place: whoever holds one holds it as it was. Nothing here knows what an object means.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde_json::Value;
use tokio::sync::watch;

use super::resource::NAMESPACES;
use crate::model::key::Key;

pub type Objects = BTreeMap<Key, Arc<Value>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

/// One write, with the object before it.
#[derive(Debug, Clone)]
pub struct Change {
    pub version: u64,
    pub kind: ChangeKind,
    pub key: Key,
    /// For a deletion the last state, with the version of the deletion.
    pub object: Arc<Value>,
    pub previous: Option<Arc<Value>>,
}

/// What a write counts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// No such object.
    Absent,
    /// The object as it was at this version.
    At(u64),
}

/// Why nothing was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// There is an object, and none was expected.
    Exists,
    /// There is no object, and one was expected.
    Absent,
    /// Another write came first.
    Changed,
    NamespaceAbsent,
    NamespaceTerminating,
}

/// The version asked for is no longer in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// The oldest version that is.
    pub oldest: u64,
}

pub struct Store {
    inner: Mutex<Inner>,
    history: usize,
}

struct Inner {
    version: u64,
    /// The version before the first write. What is older was never written here.
    began: u64,
    collections: HashMap<String, Collection>,
}

struct Collection {
    objects: Objects,
    changes: VecDeque<Change>,
    /// Every change up to this version has been forgotten.
    forgotten: u64,
    latest: watch::Sender<u64>,
}

impl Inner {
    /// Whether a version can be one of this run.
    fn reaches(&self, version: u64) -> Result<(), Expired> {
        if version < self.began {
            return Err(Expired { oldest: self.began });
        }
        Ok(())
    }
}

impl Collection {
    fn new() -> Self {
        Self {
            objects: Objects::new(),
            changes: VecDeque::new(),
            forgotten: 0,
            latest: watch::Sender::new(0),
        }
    }
}

impl Store {
    /// `history`: how many changes of each kind are remembered.
    pub fn new(history: usize) -> Self {
        // Far above what an earlier run has reached, so that a client that still knows it lists anew: no run makes a
        // write each microsecond.
        let began = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(100, |now| u64::try_from(now.as_micros()).unwrap_or(100));
        Self {
            inner: Mutex::new(Inner {
                version: began,
                began,
                collections: HashMap::new(),
            }),
            history: history.max(1),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // No write leaves the maps half changed, so a panic elsewhere is no reason to stop serving.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn version(&self) -> u64 {
        self.lock().version
    }

    pub fn get(&self, collection: &str, key: &Key) -> Option<Arc<Value>> {
        self.lock()
            .collections
            .get(collection)?
            .objects
            .get(key)
            .cloned()
    }

    /// Everything of a kind in one namespace, or in all of them, with the version it was read at.
    pub fn list(&self, collection: &str, namespace: Option<&str>) -> (u64, Vec<Arc<Value>>) {
        let inner = self.lock();
        let objects = match inner.collections.get(collection) {
            None => Vec::new(),
            Some(found) => select(&found.objects, namespace),
        };
        (inner.version, objects)
    }

    /// The same as it was at an earlier version.
    pub fn list_at(
        &self,
        collection: &str,
        namespace: Option<&str>,
        version: u64,
    ) -> Result<Vec<Arc<Value>>, Expired> {
        let inner = self.lock();
        inner.reaches(version)?;
        let Some(found) = inner.collections.get(collection) else {
            return Ok(Vec::new());
        };
        if found.forgotten > version {
            return Err(Expired {
                oldest: found.forgotten,
            });
        }
        let later = found
            .changes
            .partition_point(|change| change.version <= version);
        if later == found.changes.len() {
            return Ok(select(&found.objects, namespace));
        }
        let mut objects = found.objects.clone();
        for change in found.changes.range(later..).rev() {
            match &change.previous {
                Some(previous) => objects.insert(change.key.clone(), previous.clone()),
                None => objects.remove(&change.key),
            };
        }
        Ok(select(&objects, namespace))
    }

    /// At most `limit` changes after a version, with the version up to which nothing is left out.
    pub fn changes(
        &self,
        collection: &str,
        after: u64,
        limit: usize,
    ) -> Result<(u64, Vec<Change>), Expired> {
        let inner = self.lock();
        inner.reaches(after)?;
        let Some(found) = inner.collections.get(collection) else {
            return Ok((inner.version.max(after), Vec::new()));
        };
        if found.forgotten > after {
            return Err(Expired {
                oldest: found.forgotten,
            });
        }
        let first = found
            .changes
            .partition_point(|change| change.version <= after);
        let changes: Vec<Change> = found.changes.range(first..).take(limit).cloned().collect();
        let upto = if changes.len() == limit {
            changes.last().map_or(after, |change| change.version)
        } else {
            inner.version.max(after)
        };
        Ok((upto, changes))
    }

    /// Told the version of each write of a kind.
    pub fn subscribe(&self, collection: &str) -> watch::Receiver<u64> {
        self.lock().collection(collection).latest.subscribe()
    }

    /// Forgets the history, as a compaction of etcd does: every version before now is expired.
    pub fn compact(&self) {
        let mut inner = self.lock();
        let version = inner.version;
        for collection in inner.collections.values_mut() {
            collection.changes.clear();
            collection.forgotten = version;
        }
    }

    /// Stores an object under a new version, and gives it back as stored.
    pub fn write(
        &self,
        collection: &str,
        key: &Key,
        expected: Expected,
        mut object: Value,
    ) -> Result<Arc<Value>, Missed> {
        let mut inner = self.lock();
        let previous = inner.meet(collection, key, expected)?;
        if previous.is_none() && !key.namespace.is_empty() {
            inner.meet_namespace(&key.namespace)?;
        }
        inner.version += 1;
        let version = inner.version;
        set_version(&mut object, version);
        let object = Arc::new(object);
        let target = inner.collection(collection);
        target.objects.insert(key.clone(), object.clone());
        let kind = if previous.is_some() {
            ChangeKind::Modified
        } else {
            ChangeKind::Added
        };
        target.remember(
            Change {
                version,
                kind,
                key: key.clone(),
                object: object.clone(),
                previous,
            },
            self.history,
        );
        Ok(object)
    }

    /// Takes an object away, and gives its last state back, with the version of the deletion. `last` is that state
    /// where it is not the stored one.
    pub fn remove(
        &self,
        collection: &str,
        key: &Key,
        expected: u64,
        last: Option<Value>,
    ) -> Result<Arc<Value>, Missed> {
        let mut inner = self.lock();
        let previous = inner
            .meet(collection, key, Expected::At(expected))?
            .ok_or(Missed::Absent)?;
        inner.version += 1;
        let version = inner.version;
        let mut object = last.unwrap_or_else(|| (*previous).clone());
        set_version(&mut object, version);
        let object = Arc::new(object);
        let target = inner.collection(collection);
        target.objects.remove(key);
        target.remember(
            Change {
                version,
                kind: ChangeKind::Deleted,
                key: key.clone(),
                object: object.clone(),
                previous: Some(previous),
            },
            self.history,
        );
        Ok(object)
    }

    /// Every kind that has an object in a namespace.
    pub fn collections_in(&self, namespace: &str) -> Vec<String> {
        self.lock()
            .collections
            .iter()
            .filter(|(_, collection)| {
                in_namespace(&collection.objects, namespace)
                    .next()
                    .is_some()
            })
            .map(|(name, _)| name.clone())
            .collect()
    }
}

impl Inner {
    fn collection(&mut self, name: &str) -> &mut Collection {
        self.collections
            .entry(name.to_owned())
            .or_insert_with(Collection::new)
    }

    fn meet(
        &self,
        collection: &str,
        key: &Key,
        expected: Expected,
    ) -> Result<Option<Arc<Value>>, Missed> {
        let found = self
            .collections
            .get(collection)
            .and_then(|collection| collection.objects.get(key));
        match (expected, found) {
            (Expected::Absent, None) => Ok(None),
            (Expected::Absent, Some(_)) => Err(Missed::Exists),
            (Expected::At(_), None) => Err(Missed::Absent),
            (Expected::At(version), Some(object)) if version_of(object) == version => {
                Ok(Some(object.clone()))
            }
            (Expected::At(_), Some(_)) => Err(Missed::Changed),
        }
    }

    fn meet_namespace(&self, namespace: &str) -> Result<(), Missed> {
        let found = self
            .collections
            .get(NAMESPACES)
            .and_then(|collection| collection.objects.get(&Key::new("", namespace)))
            .ok_or(Missed::NamespaceAbsent)?;
        if found.pointer("/metadata/deletionTimestamp").is_some() {
            return Err(Missed::NamespaceTerminating);
        }
        Ok(())
    }
}

impl Collection {
    fn remember(&mut self, change: Change, capacity: usize) {
        let version = change.version;
        self.changes.push_back(change);
        while self.changes.len() > capacity {
            if let Some(oldest) = self.changes.pop_front() {
                self.forgotten = oldest.version;
            }
        }
        self.latest.send_replace(version);
    }
}

fn select(objects: &Objects, namespace: Option<&str>) -> Vec<Arc<Value>> {
    match namespace {
        None => objects.values().cloned().collect(),
        Some(namespace) => in_namespace(objects, namespace).cloned().collect(),
    }
}

fn in_namespace<'o>(
    objects: &'o Objects,
    namespace: &'o str,
) -> impl Iterator<Item = &'o Arc<Value>> {
    objects
        .range(Key::new(namespace, "")..)
        .take_while(move |(key, _)| key.namespace == namespace)
        .map(|(_, object)| object)
}

/// The version an object was stored at; 0 where it was not.
pub fn version_of(object: &Value) -> u64 {
    object
        .pointer("/metadata/resourceVersion")
        .and_then(Value::as_str)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

fn set_version(object: &mut Value, version: u64) {
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.insert("resourceVersion".into(), version.to_string().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn store() -> Store {
        let store = Store::new(3);
        let namespace = json!({"metadata": {"name": "a"}});
        store
            .write(NAMESPACES, &Key::new("", "a"), Expected::Absent, namespace)
            .unwrap();
        store
    }

    fn object(n: u64) -> Value {
        json!({"metadata": {"name": "x"}, "n": n})
    }

    #[test]
    fn a_write_on_an_older_version_is_not_taken() {
        let store = store();
        let key = Key::new("a", "x");
        let first = store.write("t", &key, Expected::Absent, object(1)).unwrap();
        assert_eq!(
            store.write("t", &key, Expected::Absent, object(1)),
            Err(Missed::Exists)
        );
        let at = Expected::At(version_of(&first));
        store.write("t", &key, at, object(2)).unwrap();
        assert_eq!(store.write("t", &key, at, object(3)), Err(Missed::Changed));
        assert_eq!(store.get("t", &key).unwrap()["n"], 2);
    }

    #[test]
    fn nothing_is_created_outside_a_namespace_that_exists() {
        let store = store();
        let missed = store.write("t", &Key::new("b", "x"), Expected::Absent, object(1));
        assert_eq!(missed, Err(Missed::NamespaceAbsent));
        assert!(store.list("t", None).1.is_empty());
    }

    #[test]
    fn a_list_can_be_told_as_it_was_until_the_history_ends() {
        let store = store();
        let key = Key::new("a", "x");
        let before = store.version();
        let mut at = Expected::Absent;
        for n in 1..=3 {
            at = Expected::At(version_of(&store.write("t", &key, at, object(n)).unwrap()));
        }
        assert!(store.list_at("t", None, before).unwrap().is_empty());
        let then = store.list_at("t", Some("a"), before + 2).unwrap();
        assert_eq!(then[0]["n"], 2);
        store.write("t", &key, at, object(4)).unwrap();
        assert!(store.list_at("t", None, before).is_err());
        assert!(store.changes("t", before, 10).is_err());
        let (upto, changes) = store.changes("t", before + 1, 10).unwrap();
        assert_eq!((upto, changes.len()), (store.version(), 3));
    }

    #[test]
    fn a_version_of_an_earlier_run_is_expired() {
        let store = store();
        assert!(store.changes("t", 250, 10).is_err());
        assert!(store.list_at("t", None, 250).is_err());
    }

    #[test]
    fn a_deletion_has_a_version_of_its_own() {
        let store = store();
        let key = Key::new("a", "x");
        let first = store.write("t", &key, Expected::Absent, object(1)).unwrap();
        let last = store.remove("t", &key, version_of(&first), None).unwrap();
        assert_eq!(version_of(&last), version_of(&first) + 1);
        assert!(store.list("t", None).1.is_empty());
    }
}
