//! The built-in kinds: what is filled in, what is refused, and what a table shows of them.

use serde_json::{Value, json};

use crate::asking::{Case, MERGE, STRATEGIC, case, delete, get, hold, patch, post, put};

const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

fn object(api_version: &str, kind: &str, name: &str, mut rest: Value) -> Value {
    rest["apiVersion"] = api_version.into();
    rest["kind"] = kind.into();
    rest["metadata"]["name"] = name.into();
    rest
}

fn pod() -> Value {
    object(
        "v1",
        "Pod",
        "a",
        json!({"metadata": {"labels": {"role": "x"}}, "spec": {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 5432, "name": "pg"}]}]}}),
    )
}

fn cases() -> Vec<Case> {
    vec![
        pods(),
        case(
            "namespaces carry their name as a label",
            [
                get("/api/v1/namespaces/{ns}").has(json!({
                    "metadata": {"labels": {"kubernetes.io/metadata.name": "{ns}"}},
                    "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
                })),
                post("/api/v1/namespaces", object("v1", "Namespace", "a.b", json!({})))
                    .refused(422, "Invalid", "Namespace \"a.b\" is invalid: metadata.name: Invalid value: \"a.b\": must not contain dots"),
            ],
        ),
        case(
            "a service gets an address and its defaults",
            [
                post("{core}/services", object("v1", "Service", "s", json!({"spec": {"ports": [{"port": 5432}], "selector": {"role": "x"}}}))).has(json!({
                    "spec": {"type": "ClusterIP", "clusterIP": "*", "sessionAffinity": "None", "ports": [{"port": 5432, "protocol": "TCP", "targetPort": 5432}]},
                    "status": {"loadBalancer": {}},
                })),
                get("{core}/services").header("accept", TABLE).has(json!({"rows": [{"cells": ["s", "ClusterIP", "*", "<none>", "5432/TCP", "*", "role=x"]}]})),
                post("{core}/services", object("v1", "Service", "t", json!({"spec": {}}))).refused(422, "Invalid", "Service \"t\" is invalid: spec.ports: Required value"),
            ],
        ),
        endpoints(),
        case(
            "a stateful set is scaled through its subresource",
            [
                post("/apis/apps/v1/namespaces/{ns}/statefulsets", object("apps/v1", "StatefulSet", "s", json!({"spec": {
                    "serviceName": "s", "selector": {"matchLabels": {"a": "b"}},
                    "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
                }})))
                    .has(json!({"metadata": {"generation": 1}, "spec": {"replicas": 1, "podManagementPolicy": "OrderedReady"}, "status": {"replicas": 0}})),
                get("/apis/apps/v1/namespaces/{ns}/statefulsets/s/scale").has(json!({"kind": "Scale", "spec": {"replicas": 1}, "status": {"replicas": 0, "selector": "a=b"}})),
                patch("/apis/apps/v1/namespaces/{ns}/statefulsets/s/scale", MERGE, json!({"spec": {"replicas": 3}})).has(json!({"spec": {"replicas": 3}})),
                patch("/apis/apps/v1/namespaces/{ns}/statefulsets/s/status", MERGE, json!({"status": {"replicas": 3, "readyReplicas": 2}}))
                    .has(json!({"metadata": {"generation": 2}, "status": {"readyReplicas": 2}})),
                get("/apis/apps/v1/namespaces/{ns}/statefulsets").header("accept", TABLE).has(json!({"rows": [{"cells": ["s", "2/3", "*", "c", "i"]}]})),
                patch("/apis/apps/v1/namespaces/{ns}/statefulsets/s", MERGE, json!({"spec": {"serviceName": "t"}})).code(422).has(json!({"details": {"causes": [{"reason": "FieldValueForbidden", "field": "spec"}]}})),
            ],
        ),
        case(
            "a lease keeps what its holder writes",
            [
                post("/apis/coordination.k8s.io/v1/namespaces/{ns}/leases", object("coordination.k8s.io/v1", "Lease", "l", json!({"spec": {"holderIdentity": "me"}})))
                    .has(json!({"metadata": {"generation": null}, "spec": {"holderIdentity": "me"}}))
                    .keep("version", "/metadata/resourceVersion"),
                put("/apis/coordination.k8s.io/v1/namespaces/{ns}/leases/l", object("coordination.k8s.io/v1", "Lease", "l", json!({"metadata": {"resourceVersion": "{version}"}, "spec": {"holderIdentity": "you"}})))
                    .has(json!({"spec": {"holderIdentity": "you"}})),
                put("/apis/coordination.k8s.io/v1/namespaces/{ns}/leases/l", object("coordination.k8s.io/v1", "Lease", "l", json!({"metadata": {"resourceVersion": "{version}"}, "spec": {"holderIdentity": "me"}}))).code(409),
                get("/apis/coordination.k8s.io/v1/namespaces/{ns}/leases").header("accept", TABLE).has(json!({"rows": [{"cells": ["l", "you", "*"]}]})),
            ],
        ),
        case(
            "an event is one object in two forms",
            [
                post("/apis/events.k8s.io/v1/namespaces/{ns}/events", object("events.k8s.io/v1", "Event", "m", json!({
                    "regarding": {"kind": "Widget", "name": "x1", "namespace": "{ns}"}, "reason": "R", "note": "n", "type": "Normal", "action": "a",
                    "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "c.d/e", "reportingInstance": "i",
                })))
                    .has(json!({"kind": "Event", "apiVersion": "events.k8s.io/v1", "note": "n"})),
                get("{core}/events/m").has(json!({"apiVersion": "v1", "involvedObject": {"name": "x1"}, "message": "n", "note": null, "reportingComponent": "c.d/e"})),
                get("{core}/events?fieldSelector=involvedObject.name%3Dx1,involvedObject.kind%3DWidget").has(json!({"kind": "EventList", "items": [{"metadata": {"name": "m"}}]})),
                get("{core}/events?fieldSelector=involvedObject.name%3Dother").has(json!({"items": []})),
                get("{core}/events").header("accept", TABLE).has(json!({"rows": [{"cells": ["*", "Normal", "R", "widget/x1", "", "c.d/e, i", "n", "*", 1, "m"]}]})),
            ],
        ),
        case(
            "a definition is established and has its names filled in",
            [get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.conformance.lockstep.dev").has(json!({
                "spec": {"names": {"listKind": "WidgetList"}, "conversion": {"strategy": "None"}},
                "status": {
                    "storedVersions": ["v1"], "acceptedNames": {"kind": "Widget"},
                    "conditions": [
                        {"type": "NamesAccepted", "status": "True", "reason": "NoConflicts"},
                        {"type": "Established", "status": "True", "reason": "InitialNamesAccepted"},
                    ],
                },
            }))],
        ),
        case(
            "configuration maps are stored as they are",
            [
                post("{core}/configmaps", object("v1", "ConfigMap", "c", json!({"data": {"a": "b"}})))
                    .has(json!({"data": {"a": "b"}, "metadata": {"generation": null}})),
                post("{core}/configmaps", object("v1", "ConfigMap", "d", json!({"data": {"a": 5}}))).code(400),
                get("{core}/configmaps").header("accept", TABLE).has(json!({"rows": [{"cells": ["c", 1, "*"]}]})),
            ],
        ),
    ]
}

fn pods() -> Case {
    case(
        "a pod's status is written by its subresource, and its specification hardly at all",
        [
            post("{core}/pods", pod()).has(json!({
                "metadata": {"generation": 1},
                "spec": {"restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "containers": [{"imagePullPolicy": "Always", "ports": [{"protocol": "TCP"}]}]},
                "status": {"phase": "Pending", "qosClass": "BestEffort"},
            })),
            post("{core}/pods", object("v1", "Pod", "b", json!({"spec": {}}))).refused(422, "Invalid", "Pod \"b\" is invalid: spec.containers: Required value"),
            post("{core}/pods", object("v1", "Pod", "b", json!({"spec": {"containers": "x"}}))).code(400).has(json!({"reason": "BadRequest"})),
            post("{core}/pods?dryRun=All", object("v1", "Pod", "b", json!({"spec": {"bogus": 1, "containers": [{"name": "c", "image": "i"}]}}))).warned(&["unknown field \"spec.bogus\""]),
            patch("{core}/pods/a/status", STRATEGIC, json!({"status": {
                "phase": "Running", "podIP": "10.244.0.4", "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": "c", "ready": true, "restartCount": 1, "image": "i", "imageID": "x", "state": {"running": {}}}],
            }}))
            .has(json!({"metadata": {"generation": 1}, "status": {"phase": "Running", "podIPs": [{"ip": "10.244.0.4"}]}})),
            patch("{core}/pods/a", STRATEGIC, json!({"status": {"phase": "Failed"}, "metadata": {"annotations": {"status": "{}"}}}))
                .has(json!({"status": {"phase": "Running"}, "metadata": {"annotations": {"status": "{}"}, "generation": 1}})),
            patch("{core}/pods/a/status", STRATEGIC, json!({"status": {"conditions": [{"type": "Other", "status": "True"}]}}))
                .has(json!({"status": {"conditions": [{"type": "Other"}, {"type": "Ready"}]}})),
            get("{core}/pods").header("accept", TABLE).has(json!({"rows": [{"cells": ["a", "1/1", "Running", "1", "*", "10.244.0.4", "<none>", "<none>", "<none>"]}]})),
            get("{core}/pods?fieldSelector=status.phase%3DRunning,spec.nodeName%3D").has(json!({"items": [{"metadata": {"name": "a"}}]})),
            get("{core}/pods?fieldSelector=status.phase%3DPending").has(json!({"items": []})),
            patch("{core}/pods/a", MERGE, json!({"spec": {"restartPolicy": "Never"}})).code(422).has(json!({"details": {"causes": [{"reason": "FieldValueForbidden", "field": "spec"}]}})),
            delete("{core}/pods/a").has(json!({"kind": "Pod", "metadata": {"deletionTimestamp": "*", "deletionGracePeriodSeconds": 0, "generation": 2}})),
            get("{core}/pods/a").refused(404, "NotFound", "pods \"a\" not found"),
        ],
    )
}

fn endpoints() -> Case {
    const WARNING: &str =
        "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice";
    let subset =
        |ip: &str| json!({"subsets": [{"addresses": [{"ip": ip}], "ports": [{"port": 7433}]}]});
    case(
        "endpoints are made by a PUT as well, and refuse loopback addresses",
        [
            put("{core}/endpoints/e", object("v1", "Endpoints", "e", subset("10.244.0.4")))
                .code(201)
                .warned(&[WARNING])
                .has(json!({"subsets": [{"ports": [{"port": 7433, "protocol": "TCP"}]}]})),
            post("{core}/endpoints", object("v1", "Endpoints", "f", subset("127.0.0.4"))).refused(
                422,
                "Invalid",
                "Endpoints \"f\" is invalid: subsets[0].addresses[0].ip: Invalid value: \"127.0.0.4\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
            ),
            patch("{core}/endpoints/e", STRATEGIC, json!({"metadata": {"annotations": {"leader": "e-0"}}}))
                .has(json!({"metadata": {"annotations": {"leader": "e-0"}}, "subsets": [{}]})),
            get("{core}/endpoints").header("accept", TABLE).has(json!({"rows": [{"cells": ["e", "10.244.0.4:7433", "*"]}]})),
        ],
    )
}

#[tokio::test]
async fn built_in_kinds_are_kept_as_by_a_kube_apiserver() {
    hold(cases()).await;
}
