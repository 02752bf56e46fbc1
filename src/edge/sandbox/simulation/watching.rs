//! What the simulation hears from the API server: SGClusters and the Pods of clusters, told to one task a cluster.
//!
//! Of a Pod only its faults and its deletion are told on; what members say of themselves changes all the time and is
//! dropped here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ApiResource, DynamicObject};
use kube::core::{GroupVersionKind, PartialObjectMeta};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::cluster::{Cluster, News};
use super::patroni::Fault;
use crate::model::key::Key;

const FAULT: &str = "sandbox.lockstep.dev/fault";
const CLUSTER_NAME: &str = "stackgres.io/cluster-name";
/// After an error, for instance while the CRD is not there yet.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// A Pod as it was told last.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    cluster: Key,
    uid: String,
    fault: Option<Fault>,
    is_deleting: bool,
}

pub async fn watch(client: Client, shared: Arc<Shared>, stop: CancellationToken) {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("stackgres.io", "v1", "SGCluster"));
    let clusters: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let pods: Api<PartialObjectMeta<Pod>> = Api::all(client);
    let mut clusters = watcher::watcher(clusters, watcher::Config::default()).boxed();
    let selected = watcher::Config::default().labels("app=StackGresCluster");
    let mut pods = watcher::watcher(pods, selected).boxed();
    let mut heard = Heard {
        shared,
        stop: stop.clone(),
        tasks: BTreeMap::new(),
        clusters: BTreeSet::new(),
        pods: BTreeMap::new(),
        listed: BTreeSet::new(),
        listed_pods: BTreeSet::new(),
    };
    loop {
        let failed = tokio::select! {
            () = stop.cancelled() => return,
            Some(event) = clusters.next() => match event {
                Ok(event) => { heard.cluster(event); None }
                Err(error) => Some(error),
            },
            Some(event) = pods.next() => match event {
                Ok(event) => { heard.pod(event); None }
                Err(error) => Some(error),
            },
        };
        if let Some(error) = failed {
            tracing::debug!("simulation's watch failed: {error}");
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
}

struct Heard {
    shared: Arc<Shared>,
    stop: CancellationToken,
    /// A cluster's task stays when the cluster goes: one of the same name may come.
    tasks: BTreeMap<Key, mpsc::UnboundedSender<News>>,
    clusters: BTreeSet<Key>,
    pods: BTreeMap<Key, Told>,
    /// Seen since a list began.
    listed: BTreeSet<Key>,
    listed_pods: BTreeSet<Key>,
}

impl Heard {
    fn cluster(&mut self, event: Event<DynamicObject>) {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(object) | Event::Apply(object) => {
                let key = key(&object);
                self.listed.insert(key.clone());
                self.clusters.insert(key.clone());
                if let Ok(object) = serde_json::to_value(object) {
                    self.tell(&key, News::Changed(Arc::new(object)));
                }
            }
            Event::InitDone => {
                let gone: Vec<Key> = self.clusters.difference(&self.listed).cloned().collect();
                for key in gone {
                    self.lose(&key);
                }
            }
            Event::Delete(object) => self.lose(&key(&object)),
        }
        self.shared.count(self.clusters.len());
    }

    fn lose(&mut self, key: &Key) {
        self.clusters.remove(key);
        self.tell(key, News::Gone);
    }

    fn pod(&mut self, event: Event<PartialObjectMeta<Pod>>) {
        match event {
            Event::Init => self.listed_pods.clear(),
            Event::InitApply(pod) | Event::Apply(pod) => {
                let pod_key = key(&pod);
                self.listed_pods.insert(pod_key.clone());
                let Some(told) = read(&pod) else {
                    return;
                };
                if self.pods.get(&pod_key) == Some(&told) {
                    return;
                }
                self.tell(
                    &told.cluster,
                    News::Pod {
                        name: pod_key.name.clone(),
                        uid: told.uid.clone(),
                        fault: told.fault,
                        is_deleting: told.is_deleting,
                    },
                );
                self.pods.insert(pod_key, told);
            }
            Event::InitDone => {
                let gone: Vec<Key> = self
                    .pods
                    .keys()
                    .filter(|key| !self.listed_pods.contains(key))
                    .cloned()
                    .collect();
                for key in gone {
                    self.lose_pod(&key);
                }
            }
            Event::Delete(pod) => self.lose_pod(&key(&pod)),
        }
    }

    fn lose_pod(&mut self, key: &Key) {
        if let Some(told) = self.pods.remove(key) {
            let news = News::PodGone {
                name: key.name.clone(),
                uid: told.uid,
            };
            self.tell(&told.cluster, news);
        }
    }

    fn tell(&mut self, key: &Key, news: News) {
        if let Some(task) = self.tasks.get(key) {
            // The task ends with the simulation only.
            let _ = task.send(news);
            return;
        }
        if !matches!(news, News::Changed(_)) {
            return;
        }
        let (sender, inbox) = mpsc::unbounded_channel();
        let _ = sender.send(news);
        let cluster = Cluster::new(self.shared.clone(), key.clone());
        tokio::spawn(cluster.run(inbox, self.stop.clone()));
        self.tasks.insert(key.clone(), sender);
    }
}

fn key(object: &impl ResourceExt) -> Key {
    Key::new(object.namespace().unwrap_or_default(), object.name_any())
}

fn read(pod: &PartialObjectMeta<Pod>) -> Option<Told> {
    let cluster = pod.labels().get(CLUSTER_NAME)?;
    Some(Told {
        cluster: Key::new(pod.namespace().unwrap_or_default(), cluster),
        uid: pod.uid().unwrap_or_default(),
        fault: pod
            .annotations()
            .get(FAULT)
            .and_then(|word| Fault::read(word)),
        is_deleting: pod.metadata.deletion_timestamp.is_some(),
    })
}
