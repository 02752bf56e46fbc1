//! Creating, replacing, and what is refused on the way in.

use serde_json::json;

use crate::asking::{Case, GROUP, case, get, hold, post, put, widget};

fn cases() -> Vec<Case> {
    let with_unknown = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "Widget",
        "metadata": {"name": "w", "bogus": 1},
        "spec": {"instances": 2, "nope": 1},
    });
    vec![
        case(
            "a new object gets its defaults, an identity and an owner of its fields",
            [post("{widgets}", widget("w", json!({"instances": 2, "free": {"x": 1}})))
                .warned(&[])
                .has(json!({
                    "kind": "Widget",
                    "metadata": {
                        "name": "w", "namespace": "{ns}", "generation": 1, "uid": "*",
                        "resourceVersion": "*", "creationTimestamp": "*",
                        "managedFields": [{
                            "manager": "conformance", "operation": "Update", "time": "*",
                            "apiVersion": format!("{GROUP}/v1"), "fieldsType": "FieldsV1",
                            "fieldsV1": {"f:spec": {
                                ".": {}, "f:instances": {}, "f:mode": {}, "f:free": {".": {}, "f:x": {}},
                            }},
                        }],
                    },
                    "spec": {"instances": 2, "mode": "async", "free": {"x": 1}},
                }))],
        ),
        case(
            "a name is taken once",
            [
                post("{widgets}", widget("w", json!({"instances": 2}))),
                post("{widgets}", widget("w", json!({"instances": 2})))
                    .refused(409, "AlreadyExists", &format!("widgets.{GROUP} \"w\" already exists"))
                    .has(json!({"details": {"name": "w", "group": GROUP, "kind": "widgets"}})),
            ],
        ),
        case(
            "unknown fields are dropped with a warning, or refused where that is asked for",
            [
                post("{widgets}?fieldValidation=Strict", with_unknown.clone()).refused(
                    400,
                    "BadRequest",
                    "Widget in version \"v1\" cannot be handled as a Widget: strict decoding error: unknown field \"metadata.bogus\", unknown field \"spec.nope\"",
                ),
                post("{widgets}?dryRun=All&fieldValidation=Ignore", with_unknown.clone()).warned(&[]),
                post("{widgets}", with_unknown)
                    .warned(&["unknown field \"metadata.bogus\"", "unknown field \"spec.nope\""])
                    .has(json!({"metadata": {"bogus": null}, "spec": {"nope": null}})),
            ],
        ),
        case(
            "a field written twice is told, and the last one counts",
            [post("{widgets}", json!({}))
                .text(&widget("w", json!({"instances": 2})).to_string().replace("\"instances\":2", "\"instances\":1,\"instances\":2"))
                .warned(&["duplicate field \"spec.instances\""])
                .has(json!({"spec": {"instances": 2}}))],
        ),
        case(
            "what the schema does not allow is refused with the field",
            [
                post("{widgets}", widget("w", json!({"instances": 17})))
                    .refused(
                        422,
                        "Invalid",
                        &format!("Widget.{GROUP} \"w\" is invalid: spec.instances: Invalid value: 17: spec.instances in body should be less than or equal to 16"),
                    )
                    .has(json!({"details": {
                        "name": "w", "group": GROUP, "kind": "Widget",
                        "causes": [{"reason": "FieldValueInvalid", "field": "spec.instances", "message": "*"}],
                    }})),
                post("{widgets}", widget("w", json!({"mode": "zz", "instances": 1}))).refused(
                    422,
                    "Invalid",
                    &format!("Widget.{GROUP} \"w\" is invalid: spec.mode: Unsupported value: \"zz\": supported values: \"async\", \"sync\""),
                ),
                post("{widgets}", widget("w", json!({}))).refused(
                    422,
                    "Invalid",
                    &format!("Widget.{GROUP} \"w\" is invalid: spec.instances: Required value"),
                ),
                post("{widgets}", widget("w", json!({"instances": "4"}))).refused(
                    422,
                    "Invalid",
                    &format!("Widget.{GROUP} \"w\" is invalid: [spec.instances: Invalid value: \"string\": spec.instances in body must be of type integer: \"string\", .spec.instances: Invalid value: 0: .spec.instances accessor error: 4 is of the type string, expected int64]"),
                ),
            ],
        ),
        case(
            "names are checked, or made",
            [
                post("{widgets}", widget("W_3", json!({"instances": 1}))).code(422).has(json!({"reason": "Invalid"})),
                post("{widgets}", json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Widget", "metadata": {}, "spec": {"instances": 1}}))
                    .refused(422, "Invalid", &format!("Widget.{GROUP} \"\" is invalid: metadata.name: Required value: name or generateName is required")),
                post("{widgets}", json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Widget", "metadata": {"generateName": "g-"}, "spec": {"instances": 1}}))
                    .keep("made", "/metadata/name"),
                get("{widgets}/{made}").has(json!({"metadata": {"generateName": "g-", "name": "{made}"}})),
            ],
        ),
        case(
            "an object goes where its path says",
            [
                post(&format!("/apis/{GROUP}/v1/namespaces/none-such/widgets"), widget("w", json!({"instances": 1})))
                    .refused(404, "NotFound", "namespaces \"none-such\" not found")
                    .has(json!({"details": {"name": "none-such", "kind": "namespaces"}})),
                post("{widgets}", json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Widget", "metadata": {"name": "w", "namespace": "other"}, "spec": {"instances": 1}}))
                    .refused(400, "BadRequest", "the namespace of the provided object does not match the namespace sent on the request"),
                post("{widgets}", json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Gadget", "metadata": {"name": "w"}, "spec": {}}))
                    .refused(422, "Invalid", &format!("Gadget.{GROUP} \"w\" is invalid: kind: Invalid value: \"Gadget\": must be Widget")),
                post("{widgets}", json!({"apiVersion": format!("{GROUP}/v2"), "kind": "Widget", "metadata": {"name": "w"}, "spec": {"instances": 1}}))
                    .refused(400, "BadRequest", &format!("the API version in the data ({GROUP}/v2) does not match the expected API version ({GROUP}/v1)")),
            ],
        ),
        case(
            "a body that is no object of the kind is refused",
            [
                post("{widgets}", json!({})).text("{\"apiVersion\":\"conf").refused(
                    400,
                    "BadRequest",
                    "the object provided is unrecognized (must be of type Widget): couldn't get version/kind; json parse error: unexpected end of JSON input ({\"apiVersion\":\"conf)",
                ),
                post("{widgets}", json!({})).refused(
                    400,
                    "BadRequest",
                    "the object provided is unrecognized (must be of type Widget): Object 'Kind' is missing in '{}' ({})",
                ),
                post("{widgets}", widget("w", json!({"instances": 1})))
                    .header("content-type", "text/plain")
                    .code(415)
                    .has(json!({"reason": "UnsupportedMediaType"})),
                get("{widgets}").header("accept", "text/html").code(406).has(json!({"reason": "NotAcceptable"})),
                post("{widgets}?dryRun=All", json!({}))
                    .header("content-type", "application/yaml")
                    .text("{apiVersion: conformance.lockstep.dev/v1, kind: Widget, metadata: {name: yaml}, spec: {instances: 1}}")
                    .has(json!({"metadata": {"name": "yaml"}})),
            ],
        ),
        case(
            "a dry run changes nothing",
            [
                post("{widgets}?dryRun=All&fieldManager=me", widget("w", json!({"instances": 1})))
                    .has(json!({"metadata": {"uid": "*", "resourceVersion": null, "generation": 1, "managedFields": [{"manager": "me"}]}})),
                get("{widgets}/w").refused(404, "NotFound", &format!("widgets.{GROUP} \"w\" not found")),
                post("{widgets}?dryRun=Some", widget("w", json!({"instances": 1}))).refused(
                    422,
                    "Invalid",
                    "CreateOptions.meta.k8s.io \"\" is invalid: dryRun: Unsupported value: [\"Some\"]: supported values: \"All\"",
                ),
                post("{widgets}?fieldValidation=Some", widget("w", json!({"instances": 1}))).refused(
                    422,
                    "Invalid",
                    "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: \"Some\": supported values: \"\", \"Ignore\", \"Strict\", \"Warn\"",
                ),
            ],
        ),
        case(
            "a version has no place in a new object",
            [post("{widgets}", json!({"apiVersion": format!("{GROUP}/v1"), "kind": "Widget", "metadata": {"name": "w", "resourceVersion": "5"}, "spec": {"instances": 1}}))
                .refused(500, "", "resourceVersion should not be set on objects to be created")],
        ),
        replacing(),
        case(
            "what is not served is not found",
            [
                get(&format!("/apis/{GROUP}/v1/namespaces/default/foos")).code(404).has(json!("404 page not found\n")),
                get("/api/v1/foos").refused(404, "NotFound", "the server could not find the requested resource"),
                get("/apis/nothing.example/v1/foos").code(404).has(json!("404 page not found\n")),
                get("/nothing").code(404),
                get("/healthz").has(json!("ok")),
            ],
        ),
    ]
}

fn replacing() -> Case {
    let at = |version: &str, instances: i64| {
        let mut object = widget("w", json!({"instances": instances}));
        object["metadata"]["resourceVersion"] = version.into();
        object
    };
    case(
        "a replacement counts on the version it was made from",
        [
            post("{widgets}", widget("w", json!({"instances": 1}))).keep("first", "/metadata/resourceVersion"),
            put("{widgets}/w", widget("w", json!({"instances": 2}))).refused(
                422,
                "Invalid",
                &format!("widgets.{GROUP} \"w\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"),
            ),
            put("{widgets}/w", at("{first}", 2))
                .has(json!({"metadata": {"generation": 2}, "spec": {"instances": 2, "mode": "async"}}))
                .keep("second", "/metadata/resourceVersion"),
            put("{widgets}/w", at("{first}", 3))
                .refused(
                    409,
                    "Conflict",
                    &format!("Operation cannot be fulfilled on widgets.{GROUP} \"w\": the object has been modified; please apply your changes to the latest version and try again"),
                )
                .has(json!({"details": {"name": "w", "group": GROUP, "kind": "widgets"}})),
            put("{widgets}/w", at("{second}", 2)).has(json!({"metadata": {"resourceVersion": "{second}", "generation": 2}})),
            put("{widgets}/w", at("abc", 2)).code(500),
            put("{widgets}/none", widget("none", json!({"instances": 2}))).refused(404, "NotFound", &format!("widgets.{GROUP} \"none\" not found")),
            put("{widgets}/other", at("{second}", 2)).refused(
                400,
                "BadRequest",
                "the name of the object (w) does not match the name on the URL (other)",
            ),
        ],
    )
}

#[tokio::test]
async fn objects_are_created_and_replaced_as_a_kube_apiserver_does() {
    hold(cases()).await;
}
