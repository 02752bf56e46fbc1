//! The reading half: starts the watches, and answers from the index they fill.
//!
//! No request is made to answer a question. It has no way to write.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use k8s_openapi::api::core::v1::Endpoints;
use kube::api::{DynamicObject, PartialObjectMeta};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, watch as signal};
use tokio::time::{Instant, interval, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::assemble::Unreadable;
use super::decode::{Recorded, SlimBackup, SlimOperation, SlimPod, SlimStatefulSet};
use super::failure::Failure;
use super::index::{Changes, Index, WatchHealth, WatchState};
use super::kinds::Watched;
use super::stored::dynamic_object;
use super::watch::{Pace, watch};
use crate::model::key::{Key, Kind};
use crate::model::observed::{LiveObject, ObservedCluster};

/// Events of one change come in a bunch: a Pod, its Endpoints, the cluster's status.
const BUNCH: Duration = Duration::from_millis(20);
/// How long a command waits for a server that does not answer; a restart of it is not worth more.
const UNREACHABLE: Duration = Duration::from_secs(3);

/// Which objects are watched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// `None`: all namespaces.
    pub namespace: Option<String>,
}

#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum ReadClusterError {
    #[error("cannot list {kind}: {why}")]
    ListKind { kind: &'static str, why: Failure },
    #[error("cannot list {}: no answer within {seconds} s", kinds.join(", "))]
    AwaitLists {
        kinds: Vec<&'static str>,
        seconds: u64,
    },
}

/// What the watches and the reader share.
#[derive(Debug)]
pub struct Shared {
    index: RwLock<Index>,
    changed: Notify,
    states: signal::Sender<()>,
    pub pace: Pace,
}

impl Shared {
    fn new(pace: Pace) -> Self {
        Self {
            pace,
            index: RwLock::new(Index::default()),
            changed: Notify::new(),
            states: signal::Sender::new(()),
        }
    }

    /// Changes the index and wakes whom it concerns.
    pub fn change(&self, change: impl FnOnce(&mut Index)) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut index);
        let has_changes = index.has_changes();
        drop(index);
        if has_changes {
            self.changed.notify_one();
        }
        self.states.send_replace(());
    }

    fn read<T>(&self, read: impl FnOnce(&Index) -> T) -> T {
        read(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What is live, kept up to date by watches.
#[derive(Debug, Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

impl Reader {
    /// Starts the watches on the present tokio runtime; they end with the token.
    pub fn start(client: Client, scope: Scope, cancel: CancellationToken) -> Self {
        Self::start_at(Pace::default(), client, scope, cancel)
    }

    pub(super) fn start_at(
        pace: Pace,
        client: Client,
        scope: Scope,
        cancel: CancellationToken,
    ) -> Self {
        let start = Start {
            client,
            scope,
            cancel,
            shared: Arc::new(Shared::new(pace)),
        };
        for watched in Watched::ALL {
            match watched {
                Watched::Pods => start.slim::<SlimPod>(watched),
                Watched::StatefulSets => start.slim::<SlimStatefulSet>(watched),
                Watched::Endpoints => start.slim::<PartialObjectMeta<Endpoints>>(watched),
                Watched::Operations => start.slim::<SlimOperation>(watched),
                Watched::Backups => start.slim::<SlimBackup>(watched),
                Watched::Clusters
                | Watched::InstanceProfiles
                | Watched::PostgresConfigs
                | Watched::PoolingConfigs
                | Watched::ObjectStorages => start.whole(watched),
            }
        }
        let shared = start.shared.clone();
        tokio::spawn(
            start
                .cancel
                .run_until_cancelled_owned(give_up(shared.clone())),
        );
        Self { shared }
    }

    /// Waits until all first lists are in.
    ///
    /// A kind other than SGCluster that is not installed is none; one that may not be read is unknown where it is needed,
    /// and `health` names it. `Err` is what keeps everything from being read; the watches go on trying.
    pub async fn synced(&self, patience: Duration) -> Result<(), ReadClusterError> {
        let begun = Instant::now();
        let mut states = self.shared.states.subscribe();
        loop {
            let waiting = match self.shared.read(settled) {
                Settled::All => return Ok(()),
                Settled::Never(error) => return Err(error),
                Settled::NotYet(waiting) => waiting,
            };
            let patience = match &waiting {
                Waiting::Unanswered(..) => patience.min(UNREACHABLE),
                Waiting::Lists(_) => patience,
            };
            if timeout_at(begun + patience, states.changed())
                .await
                .is_err()
            {
                return Err(match waiting {
                    Waiting::Unanswered(kind, why) => ReadClusterError::ListKind { kind, why },
                    Waiting::Lists(kinds) => ReadClusterError::AwaitLists {
                        kinds,
                        seconds: patience.as_secs(),
                    },
                });
            }
        }
    }

    /// One cluster as it is known now; parts that cannot be read say so.
    pub fn observe(&self, key: &Key) -> Result<ObservedCluster, Unreadable> {
        self.shared.read(|index| index.observe(key))
    }

    /// All live SGClusters, in order. Empty also where they cannot be read: ask `observe` before concluding anything.
    pub fn keys(&self) -> Vec<Key> {
        self.shared.read(Index::keys)
    }

    /// An object that clusters refer to; `None` means that there is none.
    pub fn supporting(&self, kind: &Kind, key: &Key) -> Result<Option<LiveObject>, Unreadable> {
        self.shared.read(|index| index.supporting(kind, key))
    }

    /// Takes in the answer to our own write, so that the next pass sees it before the watch does.
    pub fn remember(&self, object: &LiveObject) {
        let text = |name: &str| object.value.get(name).and_then(|value| value.as_str());
        let (Some(api_version), Some(kind)) = (text("apiVersion"), text("kind")) else {
            return;
        };
        let Some(watched) = Watched::of(&Kind::from_api_version(api_version, kind)) else {
            return;
        };
        let record = dynamic_object(object).and_then(|object| object.record(watched));
        if let Some(record) = record {
            self.shared.change(|index| index.remember(watched, record));
        }
    }

    /// Waits for a change and takes it, with what follows right behind it. Dropped before it returns, it takes nothing.
    /// Meant for one waiter: a change is handed out once.
    pub async fn changed(&self) -> Changes {
        while !self.shared.read(Index::has_changes) {
            self.shared.changed.notified().await;
        }
        sleep(BUNCH).await;
        let mut index = self
            .shared
            .index
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        index.take_changes()
    }

    /// From now on heartbeats are told only of these clusters; without it, of all. A fleet at rest then wakes nobody.
    pub fn heed(&self, clusters: BTreeSet<Key>) {
        self.shared.change(|index| index.heed(clusters));
    }

    /// How each watch is doing.
    pub fn health(&self) -> Vec<WatchHealth> {
        self.shared.read(Index::health)
    }
}

/// What a watch is started with.
struct Start {
    client: Client,
    scope: Scope,
    cancel: CancellationToken,
    shared: Arc<Shared>,
}

impl Start {
    /// A kind that is decoded in part.
    fn slim<K>(&self, watched: Watched)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Debug
            + Send
            + Sync
            + Recorded
            + 'static,
    {
        self.spawn(
            watched,
            match &self.scope.namespace {
                Some(namespace) => Api::<K>::namespaced(self.client.clone(), namespace),
                None => Api::<K>::all(self.client.clone()),
            },
        );
    }

    /// A kind that is kept whole.
    fn whole(&self, watched: Watched) {
        let resource = watched.api_resource();
        self.spawn::<DynamicObject>(
            watched,
            match &self.scope.namespace {
                Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
                None => Api::all_with(self.client.clone(), &resource),
            },
        );
    }

    fn spawn<K>(&self, watched: Watched, api: Api<K>)
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + Recorded + 'static,
    {
        let watching = watch(watched, api, self.shared.clone());
        let cancel = self.cancel.clone();
        tokio::spawn(cancel.run_until_cancelled_owned(watching));
    }
}

/// Looks every now and then which watches have been failing for too long.
async fn give_up(shared: Arc<Shared>) {
    let mut since: BTreeMap<Watched, Instant> = BTreeMap::new();
    let mut tick = interval(shared.pace.grace / 30);
    loop {
        let now = tick.tick().await;
        for watched in Watched::ALL {
            let failing =
                shared.read(|index| matches!(index.state(watched), WatchState::Failing(_)));
            if !failing {
                since.remove(&watched);
            } else if now.duration_since(*since.entry(watched).or_insert(now)) >= shared.pace.grace
            {
                shared.change(|index| index.lost(watched));
            }
        }
    }
}

enum Settled {
    All,
    NotYet(Waiting),
    Never(ReadClusterError),
}

enum Waiting {
    /// The server does not answer, or not as it should.
    Unanswered(&'static str, Failure),
    Lists(Vec<&'static str>),
}

fn settled(index: &Index) -> Settled {
    let mut waiting = Vec::new();
    let mut unanswered = None;
    for watched in Watched::ALL {
        let kind = watched.word();
        match index.state(watched) {
            WatchState::Watching | WatchState::Failing(_) => {}
            WatchState::NotInstalled if watched != Watched::Clusters => {}
            WatchState::NotInstalled => {
                return Settled::Never(ReadClusterError::ListKind {
                    kind,
                    why: Failure::NotInstalled {
                        resource: watched.resource(),
                    },
                });
            }
            WatchState::Starting => waiting.push(kind),
            WatchState::Lost(why) if why.is_definite() => {
                if watched == Watched::Clusters {
                    return Settled::Never(ReadClusterError::ListKind {
                        kind,
                        why: why.clone(),
                    });
                }
            }
            WatchState::Lost(why) => {
                unanswered.get_or_insert_with(|| (kind, why.clone()));
            }
        }
    }
    match (unanswered, waiting.is_empty()) {
        (Some((kind, why)), _) => Settled::NotYet(Waiting::Unanswered(kind, why)),
        (None, false) => Settled::NotYet(Waiting::Lists(waiting)),
        (None, true) => Settled::All,
    }
}
