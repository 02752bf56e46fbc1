//! What a write does, and what it leaves alone.

use std::time::Duration;

use kube::api::PostParams;
use lockstep::edge::apiserver::WriteError;
use lockstep::model::key::Key;
use serde_json::json;

use crate::place::{Place, apply, changes, plan, present};

#[tokio::test]
async fn our_own_write_is_seen_at_once() {
    let place = Place::new().await;
    let (reader, _guard) = place.reader().await;
    let made = apply(&place, place.manifest("a", json!({})), None)
        .await
        .unwrap();
    assert_eq!(made.managers[0].name, "lockstep");
    assert_eq!(made.managers[0].operation, "Apply");
    reader.remember(&made);
    let (observed, version) = present(&place, &reader, "a").await;
    assert_eq!(observed.live, Some(made));
    let mut object = place.manifest("a", json!({"instances": 3}));
    object["metadata"]["resourceVersion"] = version;
    let written = apply(&place, object, Some(observed)).await.unwrap();
    reader.remember(&written);
    changes(&reader).await;
    assert_eq!(reader.observe(&place.key("a")).unwrap().live, Some(written));
}

#[tokio::test]
async fn a_write_judged_on_an_older_version_is_a_conflict() {
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
    let (observed, version) = present(&place, &reader, "a").await;
    place.edit("a", json!({"spec": {"instances": 5}})).await;
    let mut object = place.manifest("a", json!({"instances": 3}));
    object["metadata"]["resourceVersion"] = version;
    let error = apply(&place, object, Some(observed)).await.unwrap_err();
    assert!(matches!(error, WriteError::Conflict { .. }), "{error}");
    assert_eq!(
        place.clusters().get("a").await.unwrap().data["spec"]["instances"],
        5
    );
}

#[tokio::test]
async fn an_update_does_not_bring_back_what_was_deleted() {
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
    let (observed, version) = present(&place, &reader, "a").await;
    place
        .clusters()
        .delete("a", &Default::default())
        .await
        .unwrap();
    let mut object = place.manifest("a", json!({"instances": 3}));
    object["metadata"]["resourceVersion"] = version.clone();
    let error = apply(&place, object.clone(), Some(observed.clone()))
        .await
        .unwrap_err();
    assert!(matches!(error, WriteError::Conflict { .. }), "{error}");
    assert!(place.clusters().get_opt("a").await.unwrap().is_none());

    place
        .create(
            "stackgres.io",
            "v1",
            "SGCluster",
            "sgclusters",
            place.manifest("a", json!({})),
        )
        .await;
    let error = apply(&place, object, Some(observed)).await.unwrap_err();
    assert!(matches!(error, WriteError::Conflict { .. }), "{error}");
}

#[tokio::test]
async fn a_creation_leaves_alone_what_is_there() {
    let place = Place::new().await;
    place
        .create(
            "stackgres.io",
            "v1",
            "SGCluster",
            "sgclusters",
            place.manifest("a", json!({"instances": 4})),
        )
        .await;
    let error = apply(&place, place.manifest("a", json!({})), None)
        .await
        .unwrap_err();
    assert!(matches!(error, WriteError::Conflict { .. }), "{error}");
    assert_eq!(
        place.clusters().get("a").await.unwrap().data["spec"]["instances"],
        4
    );
}

#[tokio::test]
async fn what_kubectl_apply_made_is_adopted_so_that_a_removal_lands() {
    let place = Place::new().await;
    let mut made = place.manifest(
        "a",
        json!({"nonProductionOptions": {"disableClusterPodAntiAffinity": true}}),
    );
    made["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": "{}"});
    let params = PostParams {
        field_manager: Some("kubectl-client-side-apply".into()),
        ..PostParams::default()
    };
    place
        .clusters()
        .create(&params, &serde_json::from_value(made).unwrap())
        .await
        .unwrap();
    place
        .edit(
            "a",
            json!({"spec": {"distributedLogs": {"sgDistributedLogs": "others"}}}),
        )
        .await;
    let (reader, _guard) = place.reader().await;
    let (observed, version) = present(&place, &reader, "a").await;
    assert_eq!(observed.live.as_ref().unwrap().managers.len(), 2);

    let mut object = place.manifest("a", json!({}));
    object["metadata"]["resourceVersion"] = version;
    let written = apply(&place, object, Some(observed)).await.unwrap();
    assert_eq!(
        written.value["spec"].get("nonProductionOptions"),
        None,
        "removed with the adoption"
    );
    assert_eq!(
        written.value["spec"]["distributedLogs"]["sgDistributedLogs"],
        "others"
    );
    let lockstep = written
        .managers
        .iter()
        .find(|manager| manager.name == "lockstep")
        .unwrap();
    assert_eq!(lockstep.operation, "Apply");
    let kubectl = written
        .managers
        .iter()
        .find(|manager| manager.name == "kubectl-client-side-apply")
        .unwrap();
    assert_eq!(kubectl.fields.get("f:spec"), None);

    reader.remember(&written);
    let (observed, version) = present(&place, &reader, "a").await;
    let mut object = place.manifest("a", json!({}));
    object["metadata"]["resourceVersion"] = version;
    let again = apply(&place, object, Some(observed)).await.unwrap();
    assert_eq!(
        again.resource_version, written.resource_version,
        "a second write changes nothing"
    );
}

#[tokio::test]
async fn what_the_server_does_not_take_is_told_apart() {
    let place = Place::new().await;
    let error = apply(
        &place,
        place.manifest("a", json!({"prometheusAutobnd": true})),
        None,
    )
    .await
    .unwrap_err();
    assert!(
        matches!(&error, WriteError::Refused { text, .. } if text.contains(".spec.prometheusAutobnd: field not declared in schema")),
        "{error}"
    );
    let error = apply(&place, place.manifest("a", json!({"instances": -2})), None)
        .await
        .unwrap_err();
    assert!(matches!(&error, WriteError::Refused { .. }), "{error}");
    let error = apply(&place, place.manifest("a", json!({"instances": "2"})), None)
        .await
        .unwrap_err();
    assert!(matches!(&error, WriteError::Refused { .. }), "{error}");

    let mut object = place.manifest("a", json!({}));
    object["metadata"]["namespace"] = "no-such-namespace".into();
    let key = Key::new("no-such-namespace", "a");
    let plan = plan(key, object, None);
    let error = place
        .writer()
        .apply(plan.open_step().unwrap())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot apply SGCluster no-such-namespace/a: namespace no-such-namespace does not exist"
    );

    let mut object = place.manifest("a", json!({}));
    object["metadata"]["namespace"] = "other".into();
    let error = apply(&place, object, None).await.unwrap_err();
    assert!(matches!(&error, WriteError::NotSent { .. }), "{error}");
}

/// Makes an object of admission that concerns this namespace only; `false` where the server has no such kind.
async fn admits(place: &Place, kind: &str, plural: &str, mut object: serde_json::Value) -> bool {
    let group = "admissionregistration.k8s.io";
    let api = place.api(group, "v1", kind, plural);
    if api.list(&Default::default()).await.is_err() {
        return false;
    }
    object["metadata"]["name"] = place.namespace.clone().into();
    place.create(group, "v1", kind, plural, object).await;
    // The server learns of it by a watch of its own.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    true
}

#[tokio::test]
async fn a_webhook_that_does_not_answer_is_told_from_one_that_refuses() {
    let place = Place::new().await;
    let webhook = json!({"metadata": {}, "webhooks": [{
        "name": "down.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Fail",
        "clientConfig": {"url": "https://127.0.0.1:1/x"},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": place.namespace}},
        "rules": [{"apiGroups": ["stackgres.io"], "apiVersions": ["*"], "operations": ["*"], "resources": ["sgclusters"]}],
    }]});
    let kind = "ValidatingWebhookConfiguration";
    if !admits(&place, kind, "validatingwebhookconfigurations", webhook).await {
        return;
    }
    let error = apply(&place, place.manifest("a", json!({})), None)
        .await
        .unwrap_err();
    let api = place.api(
        "admissionregistration.k8s.io",
        "v1",
        kind,
        "validatingwebhookconfigurations",
    );
    api.delete(&place.namespace, &Default::default())
        .await
        .unwrap();
    assert!(matches!(&error, WriteError::WebhookDown { .. }), "{error}");
    assert!(error.to_string().contains("down.example.com"), "{error}");
}

#[tokio::test]
async fn a_lock_and_a_policys_refusal_are_told_apart() {
    let place = Place::new().await;
    let locked = "SGCluster update is forbidden. It is locked by some SGBackup or SGDbOps that is currently running.";
    let policy = json!({"metadata": {}, "spec": {
        "matchConstraints": {"resourceRules": [{"apiGroups": ["stackgres.io"], "apiVersions": ["*"], "operations": ["*"], "resources": ["sgclusters"]}]},
        "validations": [
            {"expression": "object.metadata.name != 'locked'", "message": locked},
            {"expression": "object.metadata.name != 'refused'", "message": "not this one", "reason": "Forbidden"},
        ],
    }});
    let binding = json!({"metadata": {}, "spec": {"policyName": place.namespace, "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": place.namespace}}}}});
    if !admits(
        &place,
        "ValidatingAdmissionPolicy",
        "validatingadmissionpolicies",
        policy,
    )
    .await
    {
        return;
    }
    admits(
        &place,
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        binding,
    )
    .await;
    let error = apply(&place, place.manifest("locked", json!({})), None)
        .await
        .unwrap_err();
    assert!(matches!(&error, WriteError::LockHeld { .. }), "{error}");
    let error = apply(&place, place.manifest("refused", json!({})), None)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, WriteError::Refused { text, .. } if text.contains("not this one")),
        "{error}"
    );
    for (kind, plural) in [
        (
            "ValidatingAdmissionPolicyBinding",
            "validatingadmissionpolicybindings",
        ),
        ("ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
    ] {
        let api = place.api("admissionregistration.k8s.io", "v1", kind, plural);
        api.delete(&place.namespace, &Default::default())
            .await
            .unwrap();
    }
}
