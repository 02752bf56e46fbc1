//! The demo's stage: sandbox, simulation, example repository and daemon in one process, and what can be done on it.
//!
//! Everything speaks HTTP to the sandbox as it would to a cluster: the daemon knows nothing of being on a stage.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::ApiResource;
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::decide::check::Schemas;
use crate::decide::desired::NamespaceMap;
use crate::decide::evidence::IdleLeader;
use crate::edge::apiserver::{ConnectSettings, Reader, Scope, connect};
use crate::edge::git::{self, Repository, Scratch};
use crate::edge::sandbox::simulation::{self, Simulation, Webhooks};
use crate::edge::sandbox::{self, Sandbox};
use crate::edge::web::{self, metrics::Counters};
use crate::model::crd::{Generation, definitions};
use crate::model::key::Key;
use crate::model::plan::Report;
use crate::run::daemon::{Daemon, daemon};
use crate::run::observer::Observer;
use crate::run::reconcile::Reconciler;
use crate::run::source::DesiredSource;

const CLUSTER: &str = include_str!("../../examples/demo/clusters/failover/sync-cluster.yaml");
const FILES: [(&str, &str); 3] = [
    (
        "clusters/failover/pgconfig1.yaml",
        include_str!("../../examples/demo/clusters/failover/pgconfig1.yaml"),
    ),
    (
        "clusters/failover/poolconfig1.yaml",
        include_str!("../../examples/demo/clusters/failover/poolconfig1.yaml"),
    ),
    (
        "clusters/failover/size-s.yaml",
        include_str!("../../examples/demo/clusters/failover/size-s.yaml"),
    ),
];
/// Where the cluster's manifest lies in the repository.
pub const MANIFEST: &str = "clusters/failover/sync-cluster.yaml";
/// A notification announces a commit at once; this is only the net below it.
const INTERVAL: std::time::Duration = std::time::Duration::from_secs(5);

/// A running demo; everything ends when it is dropped.
pub struct Stage {
    pub repository: PathBuf,
    pub kubeconfig: PathBuf,
    pub page: Option<SocketAddr>,
    pub cluster: Key,
    pub reports: watch::Receiver<Option<Arc<Report>>>,
    scratch: Scratch,
    client: kube::Client,
    _folder: TempDir,
    _simulation: Simulation,
    _sandbox: Sandbox,
    _cancel: DropGuard,
}

/// What the stage is built with.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Simulated seconds in a real one.
    pub speed: f64,
    /// Where the page is served; `None` for no page.
    pub listen: Option<SocketAddr>,
    /// The first commit's mode.
    pub mode: &'static str,
}

/// Builds the stage with one commit and starts the daemon on it. Answers with the stage and that commit.
pub async fn set(settings: Settings) -> anyhow::Result<(Stage, String)> {
    let folder = tempfile::Builder::new()
        .prefix("lockstep-demo-")
        .tempdir()?;
    let cancel = CancellationToken::new();
    let sandbox = sandbox::start(sandbox::Settings {
        admission: Some(Arc::new(Webhooks::default())),
        ..sandbox::Settings::default()
    })
    .await?;
    sandbox.install(definitions(Generation::V1_16))?;
    let simulation = Simulation::start(
        sandbox.client("stackgres-operator"),
        simulation::Settings {
            speed: settings.speed,
        },
    );
    let kubeconfig = folder.path().join("kubeconfig");
    sandbox.write_kubeconfig(&kubeconfig)?;
    let connection = ConnectSettings {
        kubeconfig: Some(kubeconfig.clone()),
        ..ConnectSettings::default()
    };
    let client = connect(&connection).await?;
    make_namespace(&client, "failover").await?;

    let repository = folder.path().join("config");
    let scratch = Scratch::make(&repository)?;
    for (path, text) in FILES {
        scratch.write(path, text)?;
    }
    scratch.write(MANIFEST, &with_mode(settings.mode))?;
    let commit = scratch.commit(&format!("sync-cluster: four instances, {}", settings.mode))?;

    let (sender, reports) = watch::channel(None);
    let counters = Counters::default();
    let page = match settings.listen {
        None => None,
        Some(address) => {
            let listener = web::listen(address).await?;
            let address = listener.local_addr()?;
            let site = web::Site {
                reports: reports.clone(),
                counters: counters.clone(),
                hosts: web::Hosts::Loopback,
            };
            tokio::spawn(web::serve(listener, site, cancel.clone()));
            Some(address)
        }
    };
    let outlet = Outlet {
        reports: sender,
        counters,
    };
    start_daemon(&repository, &client, outlet, &cancel)?;
    let cluster = Key::new("failover", "sync-cluster");
    let stage = Stage {
        repository,
        kubeconfig,
        page,
        cluster,
        reports,
        scratch,
        client,
        _folder: folder,
        _simulation: simulation,
        _sandbox: sandbox,
        _cancel: cancel.drop_guard(),
    };
    Ok((stage, commit))
}

/// Where the daemon tells what it does.
struct Outlet {
    reports: watch::Sender<Option<Arc<Report>>>,
    counters: Counters,
}

fn start_daemon(
    repository: &Path,
    client: &kube::Client,
    outlet: Outlet,
    cancel: &CancellationToken,
) -> anyhow::Result<()> {
    let settings = git::Settings {
        repository: repository.to_string_lossy().into_owned(),
        ..git::Settings::default()
    };
    let opened = tokio::task::block_in_place(|| Repository::open(&settings))?;
    let source = DesiredSource::new(
        Arc::new(opened),
        Schemas::default(),
        NamespaceMap::default(),
        None,
    );
    let reader = Reader::start(client.clone(), Scope::default(), cancel.clone());
    let observer = Observer::new(reader, IdleLeader::Pass);
    let reconciler = Reconciler::new(observer, client.clone());
    let running = daemon(
        Daemon::new(source, client.clone(), reconciler, outlet.reports).counting(outlet.counters),
        INTERVAL,
        cancel.clone(),
    );
    tokio::spawn(running);
    Ok(())
}

impl Stage {
    /// Commits the cluster with another mode; answers with the commit.
    pub fn commit_mode(&self, mode: &str, message: &str) -> anyhow::Result<String> {
        self.scratch.write(MANIFEST, &with_mode(mode))?;
        Ok(self.scratch.commit(message)?)
    }

    /// Changes the live cluster past Git, as `kubectl edit` would.
    pub async fn edit_by_hand(&self, patch: &serde_json::Value) -> anyhow::Result<()> {
        let params = PatchParams {
            field_manager: Some("kubectl-edit".into()),
            ..PatchParams::default()
        };
        let resource = resource("stackgres.io", "v1", "SGCluster", "sgclusters");
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.cluster.namespace, &resource);
        api.patch(&self.cluster.name, &params, &Patch::Merge(patch))
            .await?;
        Ok(())
    }
}

fn with_mode(mode: &str) -> String {
    CLUSTER.replace("mode: sync-all", &format!("mode: {mode}"))
}

async fn make_namespace(client: &kube::Client, name: &str) -> anyhow::Result<()> {
    let api: Api<DynamicObject> = Api::all_with(
        client.clone(),
        &resource("", "v1", "Namespace", "namespaces"),
    );
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    api.create(&PostParams::default(), &serde_json::from_value(object)?)
        .await?;
    Ok(())
}

fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    let api_version = if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    };
    ApiResource {
        group: group.into(),
        version: version.into(),
        api_version,
        kind: kind.into(),
        plural: plural.into(),
    }
}
