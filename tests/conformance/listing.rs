//! Lists, selectors, pages, tables, and what is served.

use serde_json::json;

use crate::asking::{Case, GROUP, MERGE, case, get, hold, patch, post, widget};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const PARTIAL: &str =
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json";
const PARTIAL_LIST: &str =
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

fn cases() -> Vec<Case> {
    let made = || {
        (1..=4).map(|n| {
            let mut object = widget(&format!("x{n}"), json!({"instances": n}));
            object["metadata"]["labels"] = json!({"n": n.to_string()});
            post("{widgets}", object)
        })
    };
    let selected = |selector: &str, names: &[u32]| {
        let items: Vec<_> = names
            .iter()
            .map(|n| json!({"metadata": {"name": format!("x{n}")}}))
            .collect();
        get(&format!("{{widgets}}?{selector}")).has(json!({"items": items}))
    };
    vec![
        case(
            "a list comes in pages of one version",
            made().chain([
                get("{widgets}?limit=2")
                    .has(json!({
                        "kind": "WidgetList", "apiVersion": format!("{GROUP}/v1"),
                        "metadata": {"remainingItemCount": 2, "resourceVersion": "*"},
                        "items": [{"kind": "Widget", "metadata": {"name": "x1"}}, {"metadata": {"name": "x2"}}],
                    }))
                    .keep("next", "/metadata/continue")
                    .keep("version", "/metadata/resourceVersion"),
                post("{widgets}", widget("x33", json!({"instances": 1}))),
                get("{widgets}?limit=2&continue={next}").has(json!({
                    "metadata": {"resourceVersion": "{version}"},
                    "items": [{"metadata": {"name": "x3"}}, {"metadata": {"name": "x4"}}],
                })),
                get("{widgets}?resourceVersion={version}&resourceVersionMatch=Exact").has(json!({"items": [{}, {}, {}, {}]})),
                get("{widgets}?limit=2&continue=abc").code(400).has(json!({"reason": "BadRequest"})),
            ]),
        ),
        case(
            "labels select",
            made().chain([
                selected("labelSelector=n%3D1", &[1]),
                selected("labelSelector=n%20in%20(1,2)", &[1, 2]),
                selected("labelSelector=n!%3D1", &[2, 3, 4]),
                selected("labelSelector=!n", &[]),
                selected("labelSelector=n%20notin%20(1,2,3)", &[4]),
                selected("labelSelector=n%3E3", &[4]),
                selected("labelSelector=n%3D%3D2,n", &[2]),
                get("{widgets}?labelSelector=n!%3D2&limit=1").has(json!({"metadata": {"remainingItemCount": null, "continue": "*"}})),
                get("{widgets}?labelSelector=a%20b").refused(
                    400,
                    "BadRequest",
                    "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
                ),
            ]),
        ),
        case(
            "some fields select, and others are refused",
            made().chain([
                selected("fieldSelector=metadata.name%3Dx3", &[3]),
                selected("fieldSelector=metadata.name!%3Dx3,metadata.namespace%3D{ns}", &[1, 2, 4]),
                get("{widgets}?fieldSelector=spec.mode%3Dx").refused(400, "BadRequest", "field label not supported: spec.mode"),
            ]),
        ),
        case(
            "what a list is asked for has to make sense",
            [
                get("{widgets}?limit=x").refused(400, "BadRequest", "strconv.ParseInt: parsing \"x\": invalid syntax"),
                get("{widgets}?resourceVersionMatch=Exact").refused(
                    422,
                    "Invalid",
                    "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
                ),
                get("{widgets}?watch=true&sendInitialEvents=true").refused(
                    422,
                    "Invalid",
                    "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                ),
                get(&format!("/apis/{GROUP}/v1/namespaces/none-such/widgets")).has(json!({"items": []})),
            ],
        ),
        case(
            "a table has the columns of the definition",
            [
                post("{widgets}", widget("w", json!({"instances": 2}))),
                patch("{widgets}/w", MERGE, json!({"status": {"conditions": [{"type": "A", "status": "no"}, {"type": "Ready", "status": "yes"}]}})),
                get("{widgets}").header("accept", TABLE).has(json!({
                    "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": "*"},
                    "columnDefinitions": [
                        {"name": "Name", "type": "string", "format": "name", "priority": 0},
                        {"name": "Mode", "type": "string", "priority": 0},
                        {"name": "Instances", "type": "integer"},
                        {"name": "Ready", "type": "string"},
                        {"name": "Hidden", "type": "string", "priority": 1},
                        {"name": "Age", "type": "date"},
                    ],
                    "rows": [{
                        "cells": ["w", "async", 2, "yes", null, "*"],
                        "object": {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": {"name": "w"}, "spec": null},
                    }],
                })),
                get("{widgets}/w?includeObject=None").header("accept", TABLE).has(json!({"rows": [{"object": null}]})),
            ],
        ),
        case(
            "metadata can be had alone",
            [
                post("{widgets}", widget("w", json!({"instances": 2}))),
                get("{widgets}/w").header("accept", PARTIAL).has(json!({"kind": "PartialObjectMetadata", "metadata": {"name": "w", "managedFields": [{}]}, "spec": null})),
                get("{widgets}").header("accept", PARTIAL_LIST).has(json!({
                    "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                    "items": [{"kind": "PartialObjectMetadata", "metadata": {"name": "w"}, "spec": null}],
                })),
                get("{widgets}").header("accept", PARTIAL).code(406),
            ],
        ),
        case(
            "what is served can be found out, in both forms",
            [
                get("/version").has(json!({"major": "1", "gitVersion": "*"})),
                get("/api").has(json!({"kind": "APIVersions", "versions": ["v1"]})),
                get(&format!("/apis/{GROUP}")).has(json!({"kind": "APIGroup", "name": GROUP, "preferredVersion": {"groupVersion": format!("{GROUP}/v1"), "version": "v1"}})),
                get("/apis/coordination.k8s.io/v1").has(json!({
                    "kind": "APIResourceList", "groupVersion": "coordination.k8s.io/v1",
                    "resources": [{"name": "leases", "singularName": "lease", "namespaced": true, "kind": "Lease"}],
                })),
                get("/api").header("accept", AGGREGATED).has(json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": [{"versions": [{"version": "v1", "freshness": "Current"}]}]})),
                get("/apis").header("accept", AGGREGATED).has(json!({"kind": "APIGroupDiscoveryList"})),
                get(&format!("/openapi/v3/apis/{GROUP}/v1")).has(json!({
                    "components": {"schemas": {"dev.lockstep.conformance.v1.Widget": {
                        "properties": {"spec": {"properties": {"mode": {"default": "async"}}}},
                        "x-kubernetes-group-version-kind": [{"group": GROUP, "version": "v1", "kind": "Widget"}],
                    }}},
                })),
            ],
        ),
    ]
}

#[tokio::test]
async fn objects_are_listed_as_a_kube_apiserver_does() {
    hold(cases()).await;
}
