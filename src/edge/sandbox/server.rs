//! What all requests share: the store, what is served, who is asked before a write, and the counts.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::admission::Admission;
use super::definition;
use super::metadata;
use super::requests::Requests;
use super::resource::{DEFINITIONS, NAMESPACES, Registry, Resource};
use super::store::{Expected, Store};
use crate::model::key::Key;

pub struct Server {
    pub store: Store,
    registry: RwLock<Arc<Registry>>,
    pub admission: Option<Arc<dyn Admission>>,
    pub requests: Requests,
    /// How long a watch that asked for bookmarks stays silent.
    pub bookmark_every: Duration,
    /// Ends every watch.
    pub stop: CancellationToken,
}

impl Server {
    /// A server with the namespaces that every cluster has, and nothing else.
    pub fn new(
        admission: Option<Arc<dyn Admission>>,
        history: usize,
        bookmark_every: Duration,
    ) -> Self {
        let server = Self {
            store: Store::new(history),
            registry: RwLock::new(Arc::new(Registry::of([]))),
            admission,
            requests: Requests::default(),
            bookmark_every,
            stop: CancellationToken::new(),
        };
        for name in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            let namespace = json!({
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {
                    "name": name,
                    "uid": metadata::new_uid(),
                    "creationTimestamp": metadata::now(),
                    "labels": {"kubernetes.io/metadata.name": name},
                },
                "spec": {"finalizers": ["kubernetes"]},
                "status": {"phase": "Active"},
            });
            server
                .store
                .write(NAMESPACES, &Key::new("", name), Expected::Absent, namespace)
                .expect("the store is empty");
        }
        server
    }

    /// What is served at this moment.
    pub fn registry(&self) -> Arc<Registry> {
        self.registry
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Serves what the definitions in the store stand for.
    pub fn read_definitions(&self) {
        let mut registry = self
            .registry
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let (_, definitions) = self.store.list(DEFINITIONS, None);
        let resources = definitions
            .iter()
            .flat_map(|definition| definition::resources(definition));
        *registry = Arc::new(Registry::of(resources));
    }

    /// An object as the version asked for shows it. Versions of a custom resource differ in `apiVersion` alone.
    pub fn present(resource: &Resource, object: Arc<Value>) -> Arc<Value> {
        let api_version = resource.kind.api_version();
        if object.get("apiVersion").and_then(Value::as_str) == Some(api_version.as_str()) {
            return object;
        }
        if resource.is("events") {
            return Arc::new(super::events::to_new(&object));
        }
        let mut shown = (*object).clone();
        shown["apiVersion"] = api_version.into();
        Arc::new(shown)
    }
}
