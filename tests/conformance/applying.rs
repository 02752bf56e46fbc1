//! Server-side apply over HTTP: what ownership looks like from outside. Its algebra is tested where it is written.

use serde_json::json;

use crate::asking::{Case, GROUP, MERGE, apply, case, get, hold, patch, post, widget};

fn cases() -> Vec<Case> {
    vec![
        case(
            "an apply makes the object, and owns what it names",
            [
                apply("{widgets}/w", "one", widget("w", json!({"instances": 1}))).code(201).has(json!({
                    "spec": {"instances": 1, "mode": "async"},
                    "metadata": {"generation": 1, "managedFields": [
                        {"manager": "one", "operation": "Apply", "fieldsV1": {"f:spec": {"f:instances": {}, "f:mode": null}}},
                    ]},
                })).keep("version", "/metadata/resourceVersion"),
                apply("{widgets}/w", "one", widget("w", json!({"instances": 1}))).has(json!({"metadata": {"resourceVersion": "{version}"}})),
            ],
        ),
        case(
            "another manager's field is a conflict until it is forced",
            [
                apply("{widgets}/w", "one", widget("w", json!({"instances": 1}))).code(201),
                apply("{widgets}/w", "two", widget("w", json!({"instances": 2})))
                    .refused(409, "Conflict", "Apply failed with 1 conflict: conflict with \"one\": .spec.instances")
                    .has(json!({"details": {"causes": [{"reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".spec.instances"}]}})),
                apply("{widgets}/w?force=true", "two", widget("w", json!({"instances": 2})))
                    .has(json!({"spec": {"instances": 2}, "metadata": {"managedFields": [{"manager": "two"}]}})),
            ],
        ),
        case(
            "what is no longer applied is removed, and its default comes back",
            [
                apply("{widgets}/w", "one", widget("w", json!({"instances": 1, "mode": "sync", "note": "x"}))).code(201),
                apply("{widgets}/w", "one", widget("w", json!({"instances": 1}))).has(json!({"spec": {"mode": "async", "note": null}})),
            ],
        ),
        case(
            "a field that the schema does not have refuses the whole object",
            [
                apply("{widgets}/w", "one", widget("w", json!({"instances": 1, "nope": 2}))).refused(
                    500,
                    "",
                    &format!("failed to create typed patch object (/w; {GROUP}/v1, Kind=Widget): .spec.nope: field not declared in schema"),
                ),
                get("{widgets}/w").code(404),
                apply("{widgets}/w?fieldValidation=Warn", "one", widget("w", json!({"instances": 1, "nope": 2}))).code(500),
            ],
        ),
        case(
            "an apply may name the version it counts on",
            [
                apply("{widgets}/w", "one", widget("w", json!({"instances": 1}))).code(201).keep("first", "/metadata/resourceVersion"),
                patch("{widgets}/w", MERGE, json!({"metadata": {"labels": {"a": "b"}}})).keep("second", "/metadata/resourceVersion"),
                apply("{widgets}/w?force=true", "one", at("{first}")).refused(
                    409,
                    "Conflict",
                    &format!("Operation cannot be fulfilled on widgets.{GROUP} \"w\": the object has been modified; please apply your changes to the latest version and try again"),
                ),
                apply("{widgets}/w?force=true", "one", at("{second}")).has(json!({"spec": {"instances": 2}})),
            ],
        ),
        case(
            "a scaled number belongs to whoever scaled",
            [
                apply("{widgets}/w", "one", widget("w", json!({"instances": 1}))).code(201),
                patch("{widgets}/w/scale?fieldManager=hpa", MERGE, json!({"spec": {"replicas": 5}})),
                apply("{widgets}/w", "one", widget("w", json!({"instances": 1}))).refused(
                    409,
                    "Conflict",
                    &format!("Apply failed with 1 conflict: conflict with \"hpa\" with subresource \"scale\" using {GROUP}/v1: .spec.instances"),
                ),
            ],
        ),
        case(
            "entries of a list with keys have owners of their own",
            [
                apply("{widgets}/w", "one", widget("w", json!({"instances": 1, "ports": [{"name": "a", "port": 1}]}))).code(201),
                apply("{widgets}/w", "two", json!({
                    "apiVersion": format!("{GROUP}/v1"), "kind": "Widget", "metadata": {"name": "w"},
                    "spec": {"ports": [{"name": "b", "port": 2}]},
                })).has(json!({"spec": {"ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2}]}})),
                apply("{widgets}/w", "one", widget("w", json!({"instances": 1}))).has(json!({"spec": {"ports": [{"name": "b", "port": 2}]}})),
            ],
        ),
        case(
            "a dry run of an apply shows what would be",
            [
                post("{widgets}", widget("w", json!({"instances": 1}))),
                apply("{widgets}/w?dryRun=All&force=true", "one", widget("w", json!({"instances": 2}))).has(json!({"spec": {"instances": 2}})),
                get("{widgets}/w").has(json!({"spec": {"instances": 1}, "metadata": {"managedFields": [{"manager": "conformance"}]}})),
            ],
        ),
        case(
            "what is applied has to be the object of the path",
            [
                apply("{widgets}/w", "one", json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Gadget", "metadata": {"name": "w"}}))
                    .refused(400, "BadRequest", &format!("invalid object type: {GROUP}/v1, Kind=Gadget")),
                apply("{widgets}/w", "one", json!({"spec": {}})).refused(400, "BadRequest", "invalid object type: /, Kind="),
                apply("{widgets}/w", "one", json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Widget", "metadata": {"name": "w", "managedFields": [{"manager": "x"}]}, "spec": {"instances": 1}}))
                    .refused(400, "BadRequest", "metadata.managedFields must be nil"),
                apply("{widgets}/w", "one", json!({})).text("{\"spec\":{").code(400),
            ],
        ),
        case(
            "built-in kinds are applied too",
            [
                apply("{core}/configmaps/c", "one", json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1"}}))
                    .code(201)
                    .has(json!({"metadata": {"managedFields": [{"manager": "one", "fieldsV1": {"f:data": {"f:a": {}}}}]}})),
                apply("{core}/configmaps/c", "one", json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"b": "2"}}))
                    .has(json!({"data": {"a": null, "b": "2"}})),
                apply("{core}/configmaps/c", "one", json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "daata": {"b": "2"}})).refused(
                    500,
                    "",
                    "failed to create typed patch object (/c; /v1, Kind=ConfigMap): .daata: field not declared in schema",
                ),
            ],
        ),
    ]
}

fn at(version: &str) -> serde_json::Value {
    let mut object = widget("w", json!({"instances": 2}));
    object["metadata"]["resourceVersion"] = version.into();
    object
}

#[tokio::test]
async fn configurations_are_applied_as_a_kube_apiserver_does() {
    hold(cases()).await;
}
