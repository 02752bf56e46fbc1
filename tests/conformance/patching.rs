//! Patches, the scale and status subresources, and what `generation` counts.

use serde_json::json;

use crate::asking::{
    APPLY, Case, GROUP, JSON, JSON_PATCH, MERGE, STRATEGIC, case, get, hold, patch, post, put,
    widget,
};

fn cases() -> Vec<Case> {
    let made = || {
        post(
            "{widgets}",
            widget("w", json!({"instances": 3, "note": "x"})),
        )
        .keep("version", "/metadata/resourceVersion")
    };
    vec![
        case(
            "a merge patch changes what it names, and null removes",
            [
                made(),
                patch("{widgets}/w", MERGE, json!({"spec": {"instances": 4, "note": null}}))
                    .has(json!({"metadata": {"generation": 2}, "spec": {"instances": 4, "note": null, "mode": "async"}})),
            ],
        ),
        case(
            "a patch without a change is no write",
            [
                made(),
                patch("{widgets}/w", MERGE, json!({"spec": {"instances": 3}}))
                    .has(json!({"metadata": {"generation": 1, "resourceVersion": "{version}"}})),
                patch("{widgets}/w", MERGE, json!({"metadata": {"labels": {"a": "b"}}}))
                    .has(json!({"metadata": {"generation": 1, "labels": {"a": "b"}}})),
            ],
        ),
        case(
            "without a status subresource a status is written like any field, and counts as a generation",
            [
                made(),
                patch("{widgets}/w", MERGE, json!({"status": {"instances": 1, "labelSelector": "a=b"}}))
                    .has(json!({"metadata": {"generation": 2}, "status": {"instances": 1}})),
                get("{widgets}/w/status").refused(404, "NotFound", &format!("widgets.{GROUP} \"w\" not found")),
            ],
        ),
        case(
            "with one it is written there only",
            [
                post("{gadgets}", json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Gadget", "metadata": {"name": "g"}, "spec": {"size": 1}, "status": {"phase": "x"}}))
                    .has(json!({"status": null, "metadata": {"generation": 1}})),
                patch("{gadgets}/g", MERGE, json!({"status": {"phase": "x"}, "spec": {"size": 2}}))
                    .has(json!({"status": null, "spec": {"size": 2}, "metadata": {"generation": 2}})),
                patch("{gadgets}/g/status", MERGE, json!({"status": {"phase": "y"}, "spec": {"size": 3}, "metadata": {"labels": {"q": "r"}}}))
                    .has(json!({
                        "status": {"phase": "y"}, "spec": {"size": 2},
                        "metadata": {"generation": 2, "labels": null, "managedFields": [
                            {"manager": "conformance", "subresource": null},
                            {"manager": "conformance", "subresource": "status", "fieldsV1": {"f:status": {".": {}, "f:phase": {}}}},
                        ]},
                    })),
            ],
        ),
        case(
            "a patch may name the version it counts on",
            [
                made(),
                patch("{widgets}/w", MERGE, json!({"metadata": {"resourceVersion": "1"}, "spec": {"instances": 5}})).refused(
                    409,
                    "Conflict",
                    &format!("Operation cannot be fulfilled on widgets.{GROUP} \"w\": the object has been modified; please apply your changes to the latest version and try again"),
                ),
                patch("{widgets}/w", MERGE, json!({"metadata": {"resourceVersion": "{version}"}, "spec": {"instances": 5}})),
                patch("{widgets}/none", MERGE, json!({})).refused(404, "NotFound", &format!("widgets.{GROUP} \"none\" not found")),
            ],
        ),
        case(
            "what an object is cannot be patched",
            [
                made(),
                patch("{widgets}/w", MERGE, json!({"metadata": {"name": "v"}}))
                    .refused(400, "BadRequest", "the name of the object (v) does not match the name on the URL (w)"),
                patch("{widgets}/w", MERGE, json!({"metadata": {"namespace": "v"}}))
                    .refused(400, "BadRequest", "the namespace of the provided object does not match the namespace sent on the request"),
                patch("{widgets}/w", MERGE, json!({"metadata": {"uid": "v"}}))
                    .refused(422, "Invalid", &format!("Widget.{GROUP} \"w\" is invalid: metadata.uid: Invalid value: \"v\": field is immutable")),
                patch("{widgets}/w", MERGE, json!({"kind": "V"}))
                    .refused(422, "Invalid", &format!("V.{GROUP} \"w\" is invalid: kind: Invalid value: \"V\": must be Widget")),
                patch("{widgets}/w", MERGE, json!({"metadata": {"labels": {"a b": "c"}}})).code(422).has(json!({"reason": "Invalid"})),
                patch("{widgets}/w", MERGE, json!({"metadata": {"labels": {"a": 5}}})).code(422).has(json!({"reason": "Invalid"})),
            ],
        ),
        case(
            "unknown fields of a patch are warned of, or refused",
            [
                made(),
                patch("{widgets}/w", MERGE, json!({"spec": {"nope": 1}}))
                    .warned(&["unknown field \"spec.nope\""])
                    .has(json!({"metadata": {"resourceVersion": "{version}"}})),
                patch("{widgets}/w?fieldValidation=Strict", MERGE, json!({"spec": {"nope": 1}})).code(422).has(json!({"reason": "Invalid", "details": {"causes": [{"field": "patch"}]}})),
            ],
        ),
        case(
            "a JSON patch is all or nothing",
            [
                made(),
                patch("{widgets}/w", JSON_PATCH, json!([{"op": "test", "path": "/spec/instances", "value": 3}, {"op": "replace", "path": "/spec/instances", "value": 4}]))
                    .has(json!({"spec": {"instances": 4}})),
                patch("{widgets}/w", JSON_PATCH, json!([{"op": "replace", "path": "/spec/note", "value": "y"}, {"op": "test", "path": "/spec/instances", "value": 3}]))
                    .refused(422, "Invalid", "the server rejected our request due to an error in our request"),
                get("{widgets}/w").has(json!({"spec": {"note": "x"}})),
                patch("{widgets}/w", JSON_PATCH, json!([{"op": "remove", "path": "/spec/none"}])).code(422),
                patch("{widgets}/w", JSON_PATCH, json!({"a": 1}))
                    .refused(400, "BadRequest", "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
            ],
        ),
        case(
            "a patch says what it is by its media type",
            [
                made(),
                patch("{widgets}/w", STRATEGIC, json!({})).refused(
                    415,
                    "UnsupportedMediaType",
                    "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml",
                ),
                patch("{widgets}/w", JSON, json!({})).code(415),
                patch("{widgets}/w", MERGE, json!([])).refused(
                    400,
                    "BadRequest",
                    "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}",
                ),
                patch("{widgets}/w", MERGE, json!({})).text("{\"spec\":").refused(400, "BadRequest", "error decoding patch: unexpected end of JSON input"),
                patch("{widgets}/w?force=true", MERGE, json!({})).refused(
                    422,
                    "Invalid",
                    "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch",
                ),
                patch("{widgets}/w", APPLY, widget("w", json!({"instances": 1}))).refused(
                    422,
                    "Invalid",
                    "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
                ),
            ],
        ),
        scaling(),
        case(
            "a dry run of a patch shows the result and keeps the object",
            [
                made(),
                patch("{widgets}/w?dryRun=All", MERGE, json!({"spec": {"instances": 9}}))
                    .has(json!({"spec": {"instances": 9}, "metadata": {"generation": 2, "resourceVersion": "{version}"}})),
                get("{widgets}/w").has(json!({"spec": {"instances": 3}, "metadata": {"generation": 1}})),
            ],
        ),
    ]
}

fn scaling() -> Case {
    let scale = |replicas: i64, version: &str| {
        json!({
            "kind": "Scale", "apiVersion": "autoscaling/v1",
            "metadata": {"name": "w", "namespace": "{ns}", "resourceVersion": version},
            "spec": {"replicas": replicas},
        })
    };
    case(
        "the scale subresource shows and sets one number",
        [
            post("{widgets}", widget("w", json!({"instances": 4}))),
            patch("{widgets}/w", MERGE, json!({"status": {"instances": 1, "labelSelector": "a=b"}})).keep("version", "/metadata/resourceVersion"),
            get("{widgets}/w/scale").has(json!({
                "kind": "Scale", "apiVersion": "autoscaling/v1",
                "metadata": {"name": "w", "namespace": "{ns}", "uid": "*", "resourceVersion": "{version}", "creationTimestamp": "*"},
                "spec": {"replicas": 4}, "status": {"replicas": 1, "selector": "a=b"},
            })),
            patch("{widgets}/w/scale", MERGE, json!({"spec": {"replicas": 5}})).has(json!({"kind": "Scale", "spec": {"replicas": 5}})),
            get("{widgets}/w").has(json!({
                "spec": {"instances": 5},
                "metadata": {"generation": 3, "managedFields": [
                    {"manager": "conformance", "operation": "Update", "subresource": "scale", "time": null, "fieldsV1": {"f:spec": {"f:instances": {}}}},
                    {"manager": "conformance", "operation": "Update", "subresource": null, "time": "*"},
                ]},
            })),
            put("{widgets}/w/scale", scale(6, "")).has(json!({"spec": {"replicas": 6}})),
            put("{widgets}/w/scale", scale(7, "1")).code(409),
            patch("{widgets}/w/scale", MERGE, json!({"spec": {"replicas": 50}})).refused(
                422,
                "Invalid",
                &format!("Widget.{GROUP} \"w\" is invalid: spec.instances: Invalid value: 50: spec.instances in body should be less than or equal to 16"),
            ),
            patch("{widgets}/w/scale", MERGE, json!({"spec": {"replicas": -5}})).refused(
                422,
                "Invalid",
                &format!("Widget.{GROUP} \"w\" is invalid: [spec.instances: Invalid value: -5: spec.instances in body should be greater than or equal to 0, .spec.instances: Invalid value: -5: should be a non-negative integer]"),
            ),
        ],
    )
}

#[tokio::test]
async fn objects_are_patched_and_scaled_as_a_kube_apiserver_does() {
    hold(cases()).await;
}
