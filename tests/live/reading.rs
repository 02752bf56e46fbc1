//! What is read: clusters put together, heartbeats told apart, operations, the schema.

use std::time::Duration;

use kube::api::{Patch, PatchParams};
use lockstep::edge::apiserver::server_schema;
use lockstep::model::key::Kind;
use lockstep::model::patroni::Seen;
use serde_json::json;

use crate::place::{Place, changes};

#[tokio::test]
async fn a_cluster_is_put_together_from_its_parts_and_heartbeats_are_told_apart() {
    let place = Place::new().await;
    let key = place.key("a");
    let (reader, _guard) = place.reader().await;
    assert_eq!(reader.keys(), []);
    assert_eq!(reader.observe(&key).unwrap().live, None);

    place
        .create(
            "stackgres.io",
            "v1",
            "SGCluster",
            "sgclusters",
            place.manifest("a", json!({})),
        )
        .await;
    place.pod("a", "a-1").await;
    place.pod("a", "a-0").await;
    place
        .patroni(
            "a",
            json!({"leader": "a-0", "renewTime": "1", "optime": "10"}),
        )
        .await;
    place
        .patroni(
            "a-config",
            json!({"config": "{\"synchronous_mode\":true}", "initialize": "77"}),
        )
        .await;
    assert_eq!(changes(&reader).await.material, [key.clone()].into());
    let seen = reader.observe(&key).unwrap();
    let live = seen.live.as_ref().unwrap();
    assert_eq!(live.value["spec"]["instances"], 2);
    assert_eq!(live.value["kind"], "SGCluster");
    assert_eq!(live.managers[0].name, "test");
    let names: Vec<&str> = seen
        .seen_members()
        .iter()
        .map(|member| member.name.as_str())
        .collect();
    assert_eq!(names, ["a-0", "a-1"]);
    assert!(seen.seen_members()[0].said().unwrap().is_running());
    assert_eq!(
        seen.patroni.leader.value().unwrap().leader.as_deref(),
        Some("a-0")
    );
    assert!(seen.patroni.config.value().unwrap().synchronous.on);
    assert_eq!(seen.patroni.initialize.as_deref(), Some("77"));
    assert_eq!(seen.patroni.sync, Seen::Value(Default::default()));
    assert_eq!(seen.stateful_set, Seen::Value(None));
    assert_eq!(reader.keys(), std::slice::from_ref(&key));

    place
        .patroni(
            "a",
            json!({"leader": "a-0", "renewTime": "2", "optime": "20", "slots": "{}"}),
        )
        .await;
    let beat = changes(&reader).await;
    assert_eq!(
        (beat.material.len(), beat.heartbeats),
        (0, [key.clone()].into())
    );
    place
        .patroni("a-sync", json!({"leader": "a-0", "sync_standby": "a-1"}))
        .await;
    assert_eq!(changes(&reader).await.material, [key.clone()].into());
    place.edit("a", json!({"status": {"instances": 1, "conditions": [{"type": "PendingRestart", "status": "False", "message": "m"}]}})).await;
    changes(&reader).await;
    place.edit("a", json!({"status": {"instances": 2, "conditions": [{"type": "PendingRestart", "status": "False", "message": "n"}]}})).await;
    let quiet = tokio::time::timeout(Duration::from_millis(800), reader.changed()).await;
    assert!(quiet.is_err(), "{quiet:?}");
}

#[tokio::test]
async fn operations_are_seen_until_they_end() {
    let place = Place::new().await;
    place
        .create(
            "stackgres.io",
            "v1",
            "SGCluster",
            "sgclusters",
            place.manifest("a", json!({})),
        )
        .await;
    let (reader, _guard) = place.reader().await;
    let operation =
        json!({"metadata": {"name": "vacuum"}, "spec": {"sgCluster": "a", "op": "vacuum"}});
    place
        .create("stackgres.io", "v1", "SGDbOps", "sgdbops", operation)
        .await;
    changes(&reader).await;
    let seen = reader.observe(&place.key("a")).unwrap();
    assert_eq!(seen.operations.value().unwrap()[0].op, "vacuum");
    let ended = json!({"status": {"conditions": [{"type": "Completed", "status": "True"}]}});
    place
        .api("stackgres.io", "v1", "SGDbOps", "sgdbops")
        .patch("vacuum", &PatchParams::default(), &Patch::Merge(ended))
        .await
        .unwrap();
    assert_eq!(changes(&reader).await.material, [place.key("a")].into());
    assert_eq!(
        reader.observe(&place.key("a")).unwrap().operations,
        Seen::Value(Vec::new())
    );
}

#[tokio::test]
async fn the_installed_schema_is_read_from_the_definition() {
    let place = Place::new().await;
    let kind = Kind::from_api_version("stackgres.io/v1", "SGCluster");
    let schema = server_schema(&place.client, &kind).await.unwrap();
    assert!(schema.field("spec").is_some());
}
