//! Watches: what is told, in which shape, from which version on.

use serde_json::json;

use crate::asking::{Case, GROUP, MERGE, case, delete, get, hold, patch, post, watch, widget};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const PARTIAL: &str =
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json";

fn labelled(name: &str, n: &str) -> serde_json::Value {
    let mut object = widget(name, json!({"instances": 1}));
    object["metadata"]["labels"] = json!({"n": n});
    object
}

fn cases() -> Vec<Case> {
    vec![
        case(
            "a watch from a version tells what came after it, in order",
            [
                post("{widgets}", labelled("a", "1")),
                get("{widgets}").keep("version", "/metadata/resourceVersion"),
                post("{widgets}", labelled("b", "1")),
                patch("{widgets}/a", MERGE, json!({"spec": {"instances": 2}})),
                delete("{widgets}/b"),
                watch("{widgets}", "resourceVersion={version}&timeoutSeconds=1").has(json!([
                    {"type": "ADDED", "object": {"kind": "Widget", "metadata": {"name": "b"}}},
                    {"type": "MODIFIED", "object": {"metadata": {"name": "a"}, "spec": {"instances": 2}}},
                    {"type": "DELETED", "object": {"metadata": {"name": "b"}}},
                ])),
            ],
        ),
        case(
            "a watch that is open hears what is done",
            [
                get("{widgets}").keep("version", "/metadata/resourceVersion"),
                watch("{widgets}", "resourceVersion={version}&timeoutSeconds=2")
                    .meanwhile([
                        post("{widgets}", labelled("a", "1")),
                        patch("{widgets}/a/scale", MERGE, json!({"spec": {"replicas": 3}})),
                        patch("{widgets}/a/scale", MERGE, json!({"spec": {"replicas": 3}})),
                    ])
                    .has(json!([
                        {"type": "ADDED", "object": {"metadata": {"name": "a", "generation": 1}}},
                        {"type": "MODIFIED", "object": {"metadata": {"name": "a", "generation": 2}}},
                    ])),
            ],
        ),
        case(
            "what leaves the selection is deleted to the watcher, and what enters it added",
            [
                post("{widgets}", labelled("a", "1")),
                get("{widgets}").keep("version", "/metadata/resourceVersion"),
                patch("{widgets}/a", MERGE, json!({"metadata": {"labels": {"n": "2"}}})).keep("left", "/metadata/resourceVersion"),
                patch("{widgets}/a", MERGE, json!({"spec": {"instances": 5}})),
                patch("{widgets}/a", MERGE, json!({"metadata": {"labels": {"n": "1"}}})),
                delete("{widgets}/a"),
                watch("{widgets}", "resourceVersion={version}&timeoutSeconds=1&labelSelector=n%3D1").has(json!([
                    {"type": "DELETED", "object": {"metadata": {"name": "a", "labels": {"n": "1"}, "resourceVersion": "{left}"}}},
                    {"type": "ADDED", "object": {"spec": {"instances": 5}}},
                    {"type": "DELETED", "object": {"spec": {"instances": 5}}},
                ])),
            ],
        ),
        case(
            "a watch without a version begins with what there is",
            [
                post("{widgets}", labelled("a", "1")),
                watch("{widgets}", "timeoutSeconds=1").has(json!([{"type": "ADDED", "object": {"metadata": {"name": "a"}}}])),
                watch("{widgets}", "timeoutSeconds=1&fieldSelector=metadata.name%3Db").has(json!([])),
            ],
        ),
        case(
            "a streaming list ends with a bookmark that says so",
            [
                post("{widgets}", labelled("a", "1")),
                watch("{widgets}", "timeoutSeconds=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan").has(json!([
                    {"type": "ADDED", "object": {"metadata": {"name": "a"}}},
                    {"type": "BOOKMARK", "object": {
                        "kind": "Widget", "apiVersion": format!("{GROUP}/v1"), "spec": null,
                        "metadata": {"name": null, "resourceVersion": "*", "annotations": {"k8s.io/initial-events-end": "true"}},
                    }},
                ])),
            ],
        ),
        case(
            "events come as rows of a table, the first with the columns",
            [
                post("{widgets}", labelled("a", "1")),
                post("{widgets}", labelled("b", "1")),
                watch("{widgets}", "timeoutSeconds=1").header("accept", TABLE).has(json!([
                    {"type": "ADDED", "object": {"kind": "Table", "columnDefinitions": [{}, {}, {}, {}, {}, {}], "rows": [{"cells": ["a", "async", 1, null, null, "*"]}]}},
                    {"type": "ADDED", "object": {"kind": "Table", "columnDefinitions": null, "rows": [{"cells": ["b", "async", 1, null, null, "*"]}]}},
                ])),
            ],
        ),
        case(
            "events come as metadata alone",
            [
                post("{widgets}", labelled("a", "1")),
                watch("{widgets}", "timeoutSeconds=1").header("accept", PARTIAL).has(json!([
                    {"type": "ADDED", "object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "a"}, "spec": null}},
                ])),
            ],
        ),
        case(
            "a version that is no number is refused",
            [watch("{widgets}", "resourceVersion=abc&timeoutSeconds=1").refused(
                500,
                "",
                "resourceVersion: Invalid value: \"abc\": strconv.ParseUint: parsing \"abc\": invalid syntax",
            )],
        ),
    ]
}

#[tokio::test]
async fn objects_are_watched_as_with_a_kube_apiserver() {
    hold(cases()).await;
}
