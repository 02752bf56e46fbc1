//! The simulation on the API server, from a manifest to what Patroni shows, at a hundred times its speed.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::edge::sandbox::{self, Sandbox};
use crate::model::crd::{self, Generation};

const NAMESPACE: &str = "failover";

struct Bench {
    sandbox: Sandbox,
    simulation: Simulation,
    client: kube::Client,
}

async fn bench(speed: f64) -> Bench {
    let sandbox = sandbox::start(sandbox::Settings {
        admission: Some(Arc::new(Webhooks::default())),
        ..sandbox::Settings::default()
    })
    .await
    .unwrap();
    sandbox
        .install(crd::definitions(Generation::V1_16))
        .unwrap();
    let simulation = Simulation::start(sandbox.client(USER_AGENT), Settings { speed });
    let client = sandbox.client("test");
    let bench = Bench {
        sandbox,
        simulation,
        client,
    };
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    bench.post("/api/v1/namespaces", &namespace).await.unwrap();
    for (kind, plural, spec) in [
        (
            "SGInstanceProfile",
            "sginstanceprofiles",
            json!({"cpu": "1", "memory": "2Gi"}),
        ),
        (
            "SGPostgresConfig",
            "sgpgconfigs",
            json!({"postgresVersion": "16", "postgresql.conf": {}}),
        ),
        (
            "SGPoolingConfig",
            "sgpoolconfigs",
            json!({"pgBouncer": {"pgbouncer.ini": {}}}),
        ),
    ] {
        let name = match kind {
            "SGInstanceProfile" => "size-s",
            "SGPostgresConfig" => "pgconfig1",
            _ => "poolconfig1",
        };
        let object = json!({
            "apiVersion": "stackgres.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec,
        });
        bench.post(&stackgres(plural), &object).await.unwrap();
    }
    bench
}

fn stackgres(plural: &str) -> String {
    format!("/apis/stackgres.io/v1/namespaces/{NAMESPACE}/{plural}")
}

fn core(plural: &str) -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/{plural}")
}

fn cluster(instances: u32, mode: &str) -> Value {
    json!({
        "apiVersion": "stackgres.io/v1", "kind": "SGCluster",
        "metadata": {"namespace": NAMESPACE, "name": "sync-cluster"},
        "spec": {
            "postgres": {"version": "16.1"},
            "instances": instances,
            "sgInstanceProfile": "size-s",
            "pods": {"persistentVolume": {"size": "10Gi"}},
            "configurations": {"sgPostgresConfig": "pgconfig1", "sgPoolingConfig": "poolconfig1"},
            "prometheusAutobind": true,
            "nonProductionOptions": {"disableClusterPodAntiAffinity": true},
            "replication": {"mode": mode, "role": "ha-read", "syncInstances": 1},
        },
    })
}

impl Bench {
    async fn send(&self, method: &str, path: &str, body: &Value) -> Result<Value, kube::Error> {
        let kind = if method == "PATCH" {
            "application/merge-patch+json"
        } else {
            "application/json"
        };
        let request = ::http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", kind)
            .body(body.to_string().into_bytes())
            .unwrap();
        self.client.request(request).await
    }

    async fn post(&self, path: &str, object: &Value) -> Result<Value, kube::Error> {
        self.send("POST", path, object).await
    }

    async fn get(&self, path: &str) -> Value {
        self.send("GET", path, &Value::Null)
            .await
            .unwrap_or(Value::Null)
    }

    async fn patch_cluster(&self, patch: &Value) -> Result<Value, kube::Error> {
        let path = format!("{}/sync-cluster", stackgres("sgclusters"));
        self.send("PATCH", &path, patch).await
    }

    async fn set(&self, spec: &Value) {
        self.patch_cluster(&json!({"spec": spec})).await.unwrap();
    }

    async fn fault(&self, pod: &str, fault: Option<&str>) {
        let patch = json!({"metadata": {"annotations": {"sandbox.lockstep.dev/fault": fault}}});
        let path = format!("{}/{pod}", core("pods"));
        self.send("PATCH", &path, &patch).await.unwrap();
    }

    async fn annotation(&self, endpoints: &str, name: &str) -> String {
        let object = self
            .get(&format!("{}/{endpoints}", core("endpoints")))
            .await;
        let text = object["metadata"]["annotations"][name].as_str();
        text.unwrap_or_default().to_owned()
    }

    /// One line a Pod: name, role, state and whether it is ready.
    async fn members(&self) -> String {
        let pods = self.get(&core("pods")).await;
        let mut lines: Vec<String> = pods["items"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|pod| {
                let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
                let status: Value = pod["metadata"]["annotations"]["status"]
                    .as_str()
                    .and_then(|text| serde_json::from_str(text).ok())
                    .unwrap_or_default();
                let state = match &status["replication_state"] {
                    Value::Null => &status["state"],
                    state => state,
                };
                let ready = pod["status"]["conditions"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .any(|condition| condition["type"] == "Ready" && condition["status"] == "True");
                format!(
                    "{} {} {}{}",
                    text(&pod["metadata"]["name"]),
                    text(&pod["metadata"]["labels"]["role"]),
                    text(state),
                    if ready { " ready" } else { "" }
                )
            })
            .collect();
        lines.sort();
        lines.join("\n")
    }

    async fn until_members(&self, expected: &str) {
        for _ in 0..1000 {
            if self.members().await == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(self.members().await, expected);
    }

    async fn until_annotation(&self, endpoints: &str, name: &str, expected: &str) {
        for _ in 0..1000 {
            if self.annotation(endpoints, name).await == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(self.annotation(endpoints, name).await, expected);
    }

    fn writes(&self) -> Writes {
        self.simulation
            .writes(&Key::new(NAMESPACE, "sync-cluster"))
            .unwrap_or_default()
    }
}

const FOUR: &str = "sync-cluster-0 master running ready\nsync-cluster-1 replica streaming ready\n\
                    sync-cluster-2 replica streaming ready\nsync-cluster-3 replica streaming ready";
const THREE: &str = "sync-cluster-0 master running ready\nsync-cluster-1 replica streaming ready\n\
                     sync-cluster-2 replica streaming ready";
const ONE: &str = "sync-cluster-0 master running ready";

#[tokio::test]
async fn the_seeds_manifest_becomes_a_leader_and_three_synchronous_standbys() {
    let bench = bench(100.0).await;
    bench
        .post(&stackgres("sgclusters"), &cluster(4, "async"))
        .await
        .unwrap();
    bench.until_members(FOUR).await;
    bench
        .until_annotation("sync-cluster", "leader", "sync-cluster-0")
        .await;
    assert_eq!(bench.annotation("sync-cluster-sync", "leader").await, "");
    let id = bench.annotation("sync-cluster-config", "initialize").await;
    assert_eq!(id.len(), 19, "{id}");
    let pod = bench.get(&format!("{}/sync-cluster-1", core("pods"))).await;
    let status = pod["metadata"]["annotations"]["status"].as_str().unwrap();
    assert!(status.contains(":7433/postgres"), "{status}");

    bench
        .set(&json!({"replication": {"mode": "sync-all"}}))
        .await;
    bench
        .until_annotation(
            "sync-cluster-sync",
            "sync_standby",
            "sync-cluster-1,sync-cluster-2,sync-cluster-3",
        )
        .await;
    assert_eq!(bench.writes().longest_stall, Duration::ZERO);
    let live = bench
        .get(&format!("{}/sync-cluster", stackgres("sgclusters")))
        .await;
    assert_eq!(live["status"]["instances"], 4);
    assert_eq!(live["status"]["podStatuses"][3]["replicationGroup"], 0);
    let set = bench
        .get(&format!(
            "/apis/apps/v1/namespaces/{NAMESPACE}/statefulsets/sync-cluster"
        ))
        .await;
    assert_eq!(set["spec"]["replicas"], 4);
    assert_eq!(set["status"]["readyReplicas"], 4);
    assert_eq!(
        set["status"]["observedGeneration"],
        set["metadata"]["generation"]
    );
    let renewed = bench.annotation("sync-cluster", "renewTime").await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_ne!(bench.annotation("sync-cluster", "renewTime").await, renewed);
}

#[tokio::test]
async fn strict_and_grown_in_one_write_stalls_for_as_long_as_the_first_copy_takes() {
    let bench = bench(50.0).await;
    let mut object = cluster(1, "async");
    object["metadata"]["annotations"] = json!({"sandbox.lockstep.dev/build-seconds": "30"});
    bench.post(&stackgres("sgclusters"), &object).await.unwrap();
    bench.until_members(ONE).await;
    bench
        .set(&json!({"instances": 3, "replication": {"mode": "strict-sync-all"}}))
        .await;
    bench.until_members(THREE).await;
    bench
        .until_annotation(
            "sync-cluster-sync",
            "sync_standby",
            "sync-cluster-1,sync-cluster-2",
        )
        .await;
    let stall = bench.writes().longest_stall;
    assert!(
        stall >= Duration::from_secs(29) && stall <= Duration::from_secs(45),
        "{stall:?}"
    );
    let shown = bench
        .get(&format!("{}/sync-cluster-writes", core("configmaps")))
        .await;
    assert_eq!(shown["data"]["blocked-since"], "");
}

#[tokio::test]
async fn frozen_standbys_that_are_made_synchronous_hold_writes_for_a_minute() {
    let bench = bench(100.0).await;
    bench
        .post(&stackgres("sgclusters"), &cluster(3, "async"))
        .await
        .unwrap();
    bench.until_members(THREE).await;
    bench.fault("sync-cluster-1", Some("frozen")).await;
    bench.fault("sync-cluster-2", Some("frozen")).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(bench.members().await, THREE);
    bench
        .set(&json!({"replication": {"mode": "sync-all"}}))
        .await;
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let stall = bench.writes().longest_stall;
    assert!(
        stall >= Duration::from_secs(60) && stall <= Duration::from_secs(75),
        "{stall:?}"
    );
    assert_eq!(bench.members().await, THREE, "they go on saying streaming");
}

#[tokio::test]
async fn a_lost_leader_is_followed_by_a_synchronous_standby() {
    let bench = bench(100.0).await;
    bench
        .post(&stackgres("sgclusters"), &cluster(3, "sync-all"))
        .await
        .unwrap();
    bench
        .until_annotation(
            "sync-cluster-sync",
            "sync_standby",
            "sync-cluster-1,sync-cluster-2",
        )
        .await;
    bench.fault("sync-cluster-0", Some("down")).await;
    bench
        .until_annotation("sync-cluster", "leader", "sync-cluster-1")
        .await;
    assert_eq!(bench.annotation("sync-cluster", "transitions").await, "1");
    bench
        .until_annotation("sync-cluster-sync", "sync_standby", "sync-cluster-2")
        .await;
    bench.fault("sync-cluster-0", None).await;
    bench
        .until_annotation(
            "sync-cluster-sync",
            "sync_standby",
            "sync-cluster-0,sync-cluster-2",
        )
        .await;
    assert_eq!(bench.writes().lost, 0);
    let history = bench.annotation("sync-cluster-config", "history").await;
    assert!(history.contains("sync-cluster-1"), "{history}");
}

#[tokio::test]
async fn a_missing_reference_halts_everything_and_is_told_as_an_event() {
    let bench = bench(100.0).await;
    let mut object = cluster(1, "async");
    object["spec"]["sgInstanceProfile"] = json!("size-xl");
    bench.post(&stackgres("sgclusters"), &object).await.unwrap();
    let mut events = Value::Null;
    for _ in 0..100 {
        events = bench.get(&core("events")).await;
        if events["items"][0].is_object() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let event = &events["items"][0];
    assert_eq!(event["reason"], "ClusterConfigFailed");
    assert_eq!(event["message"], "SGInstanceProfile size-xl not found");
    assert_eq!(bench.members().await, "");
    let profile = json!({
        "apiVersion": "stackgres.io/v1", "kind": "SGInstanceProfile",
        "metadata": {"name": "size-xl"}, "spec": {"cpu": "1", "memory": "2Gi"},
    });
    bench
        .post(&stackgres("sginstanceprofiles"), &profile)
        .await
        .unwrap();
    bench.until_members(ONE).await;
}

#[tokio::test]
async fn the_leaders_pod_survives_a_scale_down() {
    let bench = bench(100.0).await;
    bench
        .post(&stackgres("sgclusters"), &cluster(2, "async"))
        .await
        .unwrap();
    let two = "sync-cluster-0 master running ready\nsync-cluster-1 replica streaming ready";
    bench.until_members(two).await;
    bench.fault("sync-cluster-0", Some("down")).await;
    bench
        .until_annotation("sync-cluster", "leader", "sync-cluster-1")
        .await;
    bench.fault("sync-cluster-0", None).await;
    let swapped = "sync-cluster-0 replica streaming ready\nsync-cluster-1 master running ready";
    bench.until_members(swapped).await;
    bench.set(&json!({"instances": 1})).await;
    bench
        .until_members("sync-cluster-1 master running ready")
        .await;
    let pod = bench.get(&format!("{}/sync-cluster-1", core("pods"))).await;
    assert_eq!(
        pod["metadata"]["labels"]["stackgres.io/disruptible"],
        "false"
    );
}

#[tokio::test]
async fn a_cluster_that_shrinks_in_order_never_stalls() {
    let bench = bench(100.0).await;
    bench
        .post(&stackgres("sgclusters"), &cluster(4, "strict-sync-all"))
        .await
        .unwrap();
    bench.until_members(FOUR).await;
    bench
        .until_annotation(
            "sync-cluster-sync",
            "sync_standby",
            "sync-cluster-1,sync-cluster-2,sync-cluster-3",
        )
        .await;
    let before = bench.writes().longest_stall;
    bench
        .set(&json!({"instances": 1, "replication": {"mode": "async"}}))
        .await;
    bench.until_members(ONE).await;
    assert_eq!(bench.writes().longest_stall, before);
}

#[tokio::test]
async fn a_deleted_pod_comes_back_and_a_deleted_cluster_leaves_nothing() {
    let bench = bench(100.0).await;
    bench
        .post(&stackgres("sgclusters"), &cluster(3, "async"))
        .await
        .unwrap();
    bench.until_members(THREE).await;
    let path = format!("{}/sync-cluster-2", core("pods"));
    let uid = bench.get(&path).await["metadata"]["uid"].clone();
    bench.send("DELETE", &path, &Value::Null).await.unwrap();
    for _ in 0..500 {
        let now = bench.get(&path).await["metadata"]["uid"].clone();
        if now != uid && !now.is_null() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bench.until_members(THREE).await;
    assert_ne!(bench.get(&path).await["metadata"]["uid"], uid);
    let path = format!("{}/sync-cluster", stackgres("sgclusters"));
    bench.send("DELETE", &path, &Value::Null).await.unwrap();
    bench.until_members("").await;
    for _ in 0..100 {
        if bench.get(&core("endpoints")).await["items"] == json!([]) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(bench.get(&core("endpoints")).await["items"], json!([]));
}

#[tokio::test]
async fn pods_are_tagged_by_their_roles() {
    let bench = bench(100.0).await;
    bench
        .post(&stackgres("sgclusters"), &cluster(3, "async"))
        .await
        .unwrap();
    bench.until_members(THREE).await;
    bench
        .set(&json!({"replication": {"groups": [{"role": "readonly", "instances": 1}]}}))
        .await;
    let path = format!("{}/sync-cluster-2", core("pods"));
    let mut pod = Value::Null;
    for _ in 0..200 {
        pod = bench.get(&path).await;
        let status = pod["metadata"]["annotations"]["status"].as_str();
        if status.is_some_and(|status| status.contains(r#""tags":{"nofailover":true}"#)) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(pod["metadata"]["labels"]["nofailover"], "true");
    assert_eq!(pod["metadata"]["labels"]["noloadbalance"], "false");
    let path = format!("{}/sync-cluster", stackgres("sgclusters"));
    for _ in 0..200 {
        if bench.get(&path).await["status"]["podStatuses"][2]["replicationGroup"] == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the third Pod never says that it is in the first group");
}

#[tokio::test]
async fn what_the_operator_refuses_is_not_stored() {
    let bench = bench(100.0).await;
    bench
        .post(&stackgres("sgclusters"), &cluster(2, "async"))
        .await
        .unwrap();
    let answer = bench
        .patch_cluster(&json!({"spec": {"replication": {"mode": "sync", "syncInstances": 2}}}))
        .await;
    let Err(kube::Error::Api(status)) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(status.code, 422);
    assert!(status.message.contains("SGCluster has invalid properties."));
}

#[tokio::test]
async fn an_idle_cluster_writes_its_heartbeat_and_nothing_else() {
    let bench = bench(50.0).await;
    let mut object = cluster(2, "sync-all");
    object["metadata"]["annotations"] = json!({"sandbox.lockstep.dev/writer": "off"});
    bench.post(&stackgres("sgclusters"), &object).await.unwrap();
    bench
        .until_annotation("sync-cluster-sync", "sync_standby", "sync-cluster-1")
        .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let written = || {
        let mut counts = bench.sandbox.requests().0;
        counts.retain(|asked, _| asked.is_write());
        counts
    };
    let before = written();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut beats = 0;
    for (asked, count) in written() {
        let more = count - before.get(&asked).copied().unwrap_or(0);
        if (asked.verb, asked.resource.as_str()) == ("patch", "endpoints") {
            beats = more;
        } else {
            assert_eq!(more, 0, "{asked:?}");
        }
    }
    assert!((2..=6).contains(&beats), "{beats}");
}

#[tokio::test]
async fn an_operator_that_is_down_fails_writes_and_its_own_pods_go_on() {
    let bench = bench(100.0).await;
    bench
        .post(&stackgres("sgclusters"), &cluster(2, "async"))
        .await
        .unwrap();
    let two = "sync-cluster-0 master running ready\nsync-cluster-1 replica streaming ready";
    bench.until_members(two).await;
    let says =
        |word: &str| json!({"metadata": {"annotations": {"sandbox.lockstep.dev/webhooks": word}}});
    let namespace = format!("/api/v1/namespaces/{NAMESPACE}");
    bench
        .send("PATCH", &namespace, &says("down"))
        .await
        .unwrap();
    let more = json!({"spec": {"instances": 3}});
    let Err(kube::Error::Api(status)) = bench.patch_cluster(&more).await else {
        panic!("it was taken");
    };
    assert_eq!(
        (status.code, status.reason.as_str()),
        (500, "InternalError")
    );
    bench.send("PATCH", &namespace, &says("up")).await.unwrap();
    bench.patch_cluster(&more).await.unwrap();
    bench.until_members(THREE).await;
}

#[tokio::test]
async fn applying_the_same_manifest_again_changes_nothing() {
    use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
    let bench = bench(100.0).await;
    let kind = kube::core::GroupVersionKind::gvk("stackgres.io", "v1", "SGCluster");
    let clusters: Api<DynamicObject> = Api::namespaced_with(
        bench.client.clone(),
        NAMESPACE,
        &ApiResource::from_gvk(&kind),
    );
    let apply = async |object: &Value| {
        clusters
            .patch(
                "sync-cluster",
                &PatchParams::apply("gitops").force(),
                &Patch::Apply(object),
            )
            .await
            .unwrap()
    };
    let mut object = cluster(2, "async");
    object["metadata"]["annotations"] = json!({"sandbox.lockstep.dev/writer": "off"});
    apply(&object).await;
    let two = "sync-cluster-0 master running ready\nsync-cluster-1 replica streaming ready";
    bench.until_members(two).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = clusters.get("sync-cluster").await.unwrap();
    let after = apply(&object).await;
    assert_eq!(
        after.metadata.resource_version,
        before.metadata.resource_version
    );
    object["spec"]["replication"] = json!({"mode": "sync"});
    let after = apply(&object).await;
    assert_eq!(
        after.data["spec"]["replication"],
        json!({"mode": "sync", "role": "ha-read", "syncInstances": 1})
    );
}

#[tokio::test]
async fn a_paused_operator_leaves_everything_but_the_roles() {
    let bench = bench(100.0).await;
    bench
        .post(&stackgres("sgclusters"), &cluster(3, "async"))
        .await
        .unwrap();
    bench.until_members(THREE).await;
    let pause = |word: Value| json!({"metadata": {"annotations": {"stackgres.io/reconciliation-pause": word}}});
    bench.patch_cluster(&pause(json!("true"))).await.unwrap();
    bench
        .set(&json!({"replication": {"mode": "sync-all", "groups": [{"role": "none", "instances": 1}]}}))
        .await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(bench.annotation("sync-cluster-sync", "leader").await, "");
    let path = format!("{}/sync-cluster-2", core("pods"));
    assert_eq!(
        bench.get(&path).await["metadata"]["labels"]["nofailover"],
        "true"
    );
    bench.patch_cluster(&pause(Value::Null)).await.unwrap();
    bench
        .until_annotation(
            "sync-cluster-sync",
            "sync_standby",
            "sync-cluster-1,sync-cluster-2",
        )
        .await;
}
