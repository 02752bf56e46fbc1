//! A namespace of its own on the server under test, and hands to change things in it as others do.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use lockstep::edge::apiserver::{
    Changes, ConnectSettings, Reader, Scope, WriteError, Writer, connect,
};
use lockstep::edge::sandbox::{self, Sandbox, Settings};
use lockstep::model::crd::{self, Generation};
use lockstep::model::key::Key;
use lockstep::model::observed::{LiveObject, ObservedCluster};
use lockstep::model::plan::{
    Availability, ClusterPlan, Durability, ForceVerdict, Gate, GateId, InForce, Move, State, Step,
    Verdict,
};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

pub const PATIENCE: Duration = Duration::from_secs(20);

/// A namespace on the server under test.
pub struct Place {
    pub kubeconfig: PathBuf,
    pub client: Client,
    pub namespace: String,
    /// Where no server is named, one of its own; it ends with the test.
    _sandbox: Option<(Sandbox, tempfile::TempDir)>,
}

impl Place {
    pub async fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (kubeconfig, sandbox) = match std::env::var_os("LOCKSTEP_TEST_KUBECONFIG") {
            Some(path) => (PathBuf::from(path), None),
            None => {
                let sandbox = sandbox::start(Settings::default()).await.unwrap();
                sandbox
                    .install(crd::definitions(Generation::Current))
                    .unwrap();
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("kubeconfig");
                sandbox.write_kubeconfig(&path).unwrap();
                (path, Some((sandbox, folder)))
            }
        };
        let client = client(&kubeconfig).await;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let place = Self {
            kubeconfig,
            client,
            namespace: format!("live-{}-{number}", std::process::id()),
            _sandbox: sandbox,
        };
        let object = json!({"metadata": {"name": place.namespace}});
        place
            .create("", "v1", "Namespace", "namespaces", object)
            .await;
        place
    }

    pub fn key(&self, name: &str) -> Key {
        Key::new(&self.namespace, name)
    }

    pub fn api(&self, group: &str, version: &str, kind: &str, plural: &str) -> Api<DynamicObject> {
        let resource = ApiResource {
            group: group.into(),
            version: version.into(),
            api_version: if group.is_empty() {
                version.into()
            } else {
                format!("{group}/{version}")
            },
            kind: kind.into(),
            plural: plural.into(),
        };
        if kind == "Namespace" || group == "admissionregistration.k8s.io" {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
        }
    }

    pub fn clusters(&self) -> Api<DynamicObject> {
        self.api("stackgres.io", "v1", "SGCluster", "sgclusters")
    }

    pub async fn create(
        &self,
        group: &str,
        version: &str,
        kind: &str,
        plural: &str,
        mut object: Value,
    ) -> DynamicObject {
        object["apiVersion"] = if group.is_empty() {
            version.into()
        } else {
            format!("{group}/{version}").into()
        };
        object["kind"] = kind.into();
        let object = serde_json::from_value(object).unwrap();
        let params = PostParams {
            field_manager: Some("test".into()),
            ..PostParams::default()
        };
        self.api(group, version, kind, plural)
            .create(&params, &object)
            .await
            .unwrap()
    }

    /// Changes an SGCluster as a person would.
    pub async fn edit(&self, name: &str, patch: Value) {
        let params = PatchParams {
            field_manager: Some("kubectl-edit".into()),
            ..PatchParams::default()
        };
        self.clusters()
            .patch(name, &params, &Patch::Merge(patch))
            .await
            .unwrap();
    }

    pub async fn patroni(&self, name: &str, annotations: Value) {
        let object = json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": name,
            "labels": {"app": "StackGresCluster"}, "annotations": annotations}});
        let params = PatchParams::apply("patroni").force();
        self.api("", "v1", "Endpoints", "endpoints")
            .patch(name, &params, &Patch::Apply(object))
            .await
            .unwrap();
    }

    pub async fn pod(&self, cluster: &str, name: &str) {
        let object = json!({"metadata": {"name": name, "labels": {
                "app": "StackGresCluster", "stackgres.io/cluster": "true", "stackgres.io/cluster-name": cluster, "role": "replica"},
            "annotations": {"status": "{\"state\":\"running\",\"role\":\"replica\",\"receive_lsn\":10}"}},
            "spec": {"containers": [{"name": "x", "image": "x"}]}});
        self.create("", "v1", "Pod", "pods", object).await;
    }

    pub async fn reader(&self) -> (Reader, DropGuard) {
        self.reader_of(self.client.clone()).await
    }

    pub async fn reader_of(&self, client: Client) -> (Reader, DropGuard) {
        let (reader, guard) = self.start(client);
        reader.synced(PATIENCE).await.unwrap();
        reader.changed().await;
        (reader, guard)
    }

    pub fn start(&self, client: Client) -> (Reader, DropGuard) {
        let cancel = CancellationToken::new();
        let scope = Scope {
            namespace: Some(self.namespace.clone()),
        };
        (
            Reader::start(client, scope, cancel.clone()),
            cancel.drop_guard(),
        )
    }

    pub fn writer(&self) -> Writer {
        Writer::new(self.client.clone())
    }

    pub fn manifest(&self, name: &str, spec: Value) -> Value {
        let mut object = json!({
            "apiVersion": "stackgres.io/v1", "kind": "SGCluster",
            "metadata": {"namespace": self.namespace, "name": name},
            "spec": {"profile": "testing", "instances": 2, "postgres": {"version": "16.1"},
                "pods": {"persistentVolume": {"size": "1Gi"}}},
        });
        object["spec"]
            .as_object_mut()
            .unwrap()
            .extend(spec.as_object().unwrap().clone());
        object
    }
}

pub async fn client(kubeconfig: &Path) -> Client {
    let settings = ConnectSettings {
        kubeconfig: Some(kubeconfig.to_owned()),
        ..ConnectSettings::default()
    };
    connect(&settings).await.unwrap()
}

/// A plan whose only step writes this object, judged on what was observed.
pub fn plan(key: Key, object: Value, observed: Option<ObservedCluster>) -> ClusterPlan {
    let none = Durability {
        strict: false,
        standbys: 0,
    };
    ClusterPlan {
        state: State::Pending,
        because: None,
        place: None,
        differences: Vec::new(),
        undone: Vec::new(),
        steps: vec![Step {
            moves: vec![Move::Settings],
            changes: Vec::new(),
            why: String::new(),
            gates: vec![Gate {
                id: GateId::LeaderLive,
                verdict: Verdict::Open(String::new()),
            }],
            durability_before: none,
            durability_after: none,
            availability_after: Availability::unknown("not asked"),
            more_follow: false,
            object: Arc::new(object),
        }],
        findings: Vec::new(),
        in_force: InForce {
            declared: None,
            stored: None,
            configured: Ok(none),
            listed: Ok(Vec::new()),
            streaming: Vec::new(),
            verdict: ForceVerdict::InForce,
        },
        availability: None,
        live: None,
        declared: None,
        observed: observed.map(Arc::new),
        key,
    }
}

pub async fn apply(
    place: &Place,
    object: Value,
    observed: Option<ObservedCluster>,
) -> Result<LiveObject, WriteError> {
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    let plan = plan(place.key(&name), object, observed);
    place.writer().apply(plan.open_step().unwrap()).await
}

/// The present object as a plan would have it: all that was observed, and the version to be sent.
pub async fn present(place: &Place, reader: &Reader, name: &str) -> (ObservedCluster, Value) {
    let observed = reader.observe(&place.key(name)).unwrap();
    let version = observed.live.as_ref().unwrap().resource_version.clone();
    (observed, version.into())
}

/// The changes of a while, so that what one act causes is seen whole.
pub async fn changes(reader: &Reader) -> Changes {
    let mut all = tokio::time::timeout(PATIENCE, reader.changed())
        .await
        .unwrap();
    while let Ok(more) = tokio::time::timeout(Duration::from_millis(400), reader.changed()).await {
        all.material.extend(more.material);
        all.heartbeats.extend(more.heartbeats);
        all.health |= more.health;
    }
    all
}
