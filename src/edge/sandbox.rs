//! An embedded Kubernetes API server over HTTP, for the demo and the tests: what kube's client and kubectl need of one.
//!
//! It answers as a kube-apiserver does (status codes, reasons, messages, resource versions, watches), keeps everything in
//! memory, listens on the loopback interface only and asks nobody who they are. It runs no controller: nothing creates a
//! StatefulSet's Pods, and a deleted Pod is gone at once.

pub mod admission;
pub mod apply;
mod body;
mod builtin;
mod cells;
pub mod client_side;
pub mod declared;
mod definition;
mod delete;
mod discovery;
mod events;
mod failure;
pub mod fields;
mod host;
mod http;
mod json;
mod jsonpath;
mod judge;
pub mod kubeconfig;
pub mod managed;
mod metadata;
mod openapi;
mod owner;
#[cfg(test)]
mod ownership;
mod patch;
mod present;
mod protobuf;
mod read;
pub mod requests;
mod resource;
mod route;
mod scale;
mod selector;
mod server;
pub mod simulation;
mod store;
mod table;
pub mod typing;
pub mod walk;
mod watch;
mod write;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use admission::Admission;
use body::{Body, FieldValidation};
use requests::Counts;
use resource::DEFINITIONS;
use server::Server;
use write::{Options, Part, Write};

use crate::model::key::Key;

/// How to run one.
pub struct Settings {
    /// A loopback address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Asked before each write of an object itself.
    pub admission: Option<Arc<dyn Admission>>,
    /// How many changes of each kind a watch can go back. Each is kept as a parsed object, some 20 KB, so this bounds what a
    /// sandbox takes that runs for days.
    pub history: usize,
    /// How long a watch that asked for bookmarks stays silent.
    pub bookmark_every: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            admission: None,
            history: 1_000,
            bookmark_every: Duration::from_secs(60),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error("the sandbox listens on the loopback interface only, not on {address}")]
    ListenBeyondLoopback { address: SocketAddr },
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("cannot install the definition {name}: {message}")]
    InstallDefinition { name: String, message: String },
    #[error("cannot write the kubeconfig {}", path.display())]
    WriteKubeconfig {
        path: PathBuf,
        source: std::io::Error,
    },
}

/// A running server. It stops when dropped, or on `shutdown`.
pub struct Sandbox {
    /// Where it listens.
    pub address: SocketAddr,
    server: Arc<Server>,
    serving: Option<JoinHandle<()>>,
}

/// Starts a server with the usual namespaces and no custom kinds.
pub async fn start(settings: Settings) -> Result<Sandbox, SandboxError> {
    let Settings {
        listen,
        admission,
        history,
        bookmark_every,
    } = settings;
    if !listen.ip().is_loopback() {
        return Err(SandboxError::ListenBeyondLoopback { address: listen });
    }
    let failed = |source| SandboxError::Listen {
        address: listen,
        source,
    };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    // Small answers would wait for each other's acknowledgement; one that cannot be hurried is only late.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let server = Arc::new(Server::new(admission, history, bookmark_every));
    let router = host::guarded(http::router(server.clone()), address.port());
    let stop = server.stop.clone();
    let serving = tokio::spawn(async move {
        let served = axum::serve(listener, router)
            .with_graceful_shutdown(stop.cancelled_owned())
            .await;
        if let Err(error) = served {
            tracing::warn!(%error, "the sandbox stopped serving");
        }
    });
    Ok(Sandbox {
        address,
        server,
        serving: Some(serving),
    })
}

impl Sandbox {
    /// The text of a kubeconfig for it.
    pub fn kubeconfig(&self) -> String {
        kubeconfig::text(self.address)
    }

    /// Writes that text to a new file that only its owner can read; never over an existing one.
    pub fn write_kubeconfig(&self, path: &Path) -> Result<(), SandboxError> {
        kubeconfig::write_new(path, &self.kubeconfig()).map_err(|source| {
            SandboxError::WriteKubeconfig {
                path: path.to_owned(),
                source,
            }
        })
    }

    /// The same server as a service within this process.
    pub fn router(&self) -> Router {
        http::router(self.server.clone())
    }

    /// A client within this process; its requests are counted under `agent`, which is also its field manager.
    pub fn client(&self, agent: &'static str) -> kube::Client {
        let named = tower_http::set_header::SetRequestHeaderLayer::overriding(
            ::http::header::USER_AGENT,
            ::http::HeaderValue::from_static(agent),
        );
        kube::Client::new(self.router().layer(named), "default")
    }

    /// How often it was asked for what.
    pub fn requests(&self) -> Counts {
        self.server.requests.counts()
    }

    /// The number of the last write of any kind.
    pub fn version(&self) -> u64 {
        self.server.store.version()
    }

    /// Forgets the history: a watch from any earlier version gets 410, as after a compaction of etcd.
    pub fn compact(&self) {
        self.server.store.compact();
    }

    /// Makes custom kinds available, or replaces their definitions.
    pub fn install(
        &self,
        definitions: impl IntoIterator<Item = Value>,
    ) -> Result<(), SandboxError> {
        let options = Options {
            is_dry_run: false,
            manager: "lockstep-sandbox".into(),
            validation: FieldValidation::Strict,
            user_agent: String::new(),
        };
        for definition in definitions {
            let name = metadata::text(&definition, "name").to_owned();
            let registry = self.server.registry();
            let resource = registry
                .all()
                .find(|resource| resource.is(DEFINITIONS))
                .expect("it is built in");
            let write = Write {
                server: &self.server,
                resource,
                options: &options,
            };
            let key = Key::new("", name.as_str());
            let mut body = Body {
                object: definition,
                duplicates: Vec::new(),
            };
            let written = match self.server.store.get(DEFINITIONS, &key) {
                None => write.create("", body),
                Some(old) => {
                    let version = metadata::text(&old, "resourceVersion").to_owned();
                    metadata::of(&mut body.object).insert("resourceVersion".into(), version.into());
                    write.update(&key, Part::Main, body)
                }
            };
            written.map_err(|failure| SandboxError::InstallDefinition {
                name,
                message: failure.message,
            })?;
        }
        Ok(())
    }

    /// Ends every watch, lets running requests finish, and returns when nothing is served any more.
    pub async fn shutdown(mut self) {
        self.server.stop.cancel();
        if let Some(serving) = self.serving.take() {
            // A client that keeps a connection open does not keep the sandbox.
            let abort = serving.abort_handle();
            if tokio::time::timeout(Duration::from_secs(2), serving)
                .await
                .is_err()
            {
                abort.abort();
            }
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.server.stop.cancel();
    }
}
