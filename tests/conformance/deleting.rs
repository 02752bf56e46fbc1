//! Deletion: preconditions, finalizers, collections and namespaces.

use serde_json::json;

use crate::asking::{Case, GROUP, JSON, MERGE, case, delete, get, hold, patch, post, widget};

fn cases() -> Vec<Case> {
    let made = |name: &str| {
        post("{widgets}", widget(name, json!({"instances": 1})))
            .keep("uid", "/metadata/uid")
            .keep("version", "/metadata/resourceVersion")
    };
    let options = |preconditions: serde_json::Value| json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions});
    vec![
        case(
            "a deletion is answered with a status, and the object is gone",
            [
                made("w"),
                delete("{widgets}/w?dryRun=All").has(json!({"status": "Success"})),
                delete("{widgets}/w").has(json!({
                    "kind": "Status", "status": "Success",
                    "details": {"name": "w", "group": GROUP, "kind": "widgets", "uid": "{uid}"},
                })),
                delete("{widgets}/w").refused(404, "NotFound", &format!("widgets.{GROUP} \"w\" not found")),
            ],
        ),
        case(
            "a deletion may name the object it means",
            [
                made("w"),
                delete("{widgets}/w").sending(JSON, options(json!({"uid": "other"}))).refused(
                    409,
                    "Conflict",
                    &format!("Operation cannot be fulfilled on Widget.{GROUP} \"w\": the UID in the precondition (other) does not match the UID in record ({{uid}}). The object might have been deleted and then recreated"),
                ),
                delete("{widgets}/w").sending(JSON, options(json!({"resourceVersion": "1"}))).refused(
                    409,
                    "Conflict",
                    &format!("Operation cannot be fulfilled on Widget.{GROUP} \"w\": the ResourceVersion in the precondition (1) does not match the ResourceVersion in record ({{version}}). The object might have been modified"),
                ),
                delete("{widgets}/w").sending(JSON, options(json!({"uid": "{uid}"}))),
            ],
        ),
        case(
            "an object with a finalizer stays until it is taken off",
            [
                made("w"),
                patch("{widgets}/w", MERGE, json!({"metadata": {"finalizers": ["x.y/z"]}})).has(json!({"metadata": {"generation": 1}})),
                delete("{widgets}/w")
                    .has(json!({"kind": "Widget", "metadata": {"deletionTimestamp": "*", "deletionGracePeriodSeconds": 0, "generation": 2}}))
                    .keep("version", "/metadata/resourceVersion"),
                delete("{widgets}/w").has(json!({"metadata": {"resourceVersion": "{version}"}})),
                patch("{widgets}/w", MERGE, json!({"metadata": {"finalizers": ["x.y/other", "x.y/z"]}})).refused(
                    422,
                    "Invalid",
                    &format!("Widget.{GROUP} \"w\" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{{\"x.y/other\"}}"),
                ),
                patch("{widgets}/w", MERGE, json!({"metadata": {"finalizers": null}})).has(json!({"metadata": {"finalizers": null}})),
                get("{widgets}/w").code(404),
            ],
        ),
        case(
            "a collection is deleted by selector",
            [
                made("a"),
                made("b"),
                patch("{widgets}/b", MERGE, json!({"metadata": {"labels": {"n": "2"}}})),
                delete("{widgets}?labelSelector=n%3D2").has(json!({"kind": "WidgetList", "items": [{"metadata": {"name": "b"}}]})),
                get("{widgets}").has(json!({"items": [{"metadata": {"name": "a"}}]})),
            ],
        ),
        case(
            "a subresource cannot be deleted",
            [
                made("w"),
                delete("{widgets}/w/scale").refused(
                    405,
                    "MethodNotAllowed",
                    &format!("delete is not supported on resources of kind \"widgets.{GROUP}\""),
                ),
            ],
        ),
        case(
            "a namespace that is deleted says so at once",
            [delete("/api/v1/namespaces/{ns}")
                .has(json!({"kind": "Namespace", "metadata": {"deletionTimestamp": "*"}, "status": {"phase": "Terminating"}}))],
        ),
        case(
            "some namespaces stay",
            [delete("/api/v1/namespaces/default").refused(403, "Forbidden", "namespaces \"default\" is forbidden: this namespace may not be deleted")],
        ),
    ]
}

#[tokio::test]
async fn objects_are_deleted_as_a_kube_apiserver_does() {
    hold(cases()).await;
}
