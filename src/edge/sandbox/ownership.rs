//! Ownership as a kube-apiserver 1.36 keeps it: what it answered, step by step, and that we answer the same.
//!
//! A step is `N. MANAGER OPERATION BODY`; below it the object as stored, then its managers with the step at which each
//! last wrote (`@-` for never), or the refusal. The steps are carried out here in the order of a real server's request.

use serde_json::{Value, json};

use super::apply::{ApplyError, Change, apply, track_update};
use super::fields::canonical;
use crate::model::schema::Schema;

fn toy() -> Schema {
    Schema::parse(&json!({"type": "object", "properties": {
        "spec": {"type": "object", "required": ["n"], "properties": {
            "n": {"type": "integer"},
            "s": {"type": "string"},
            "b": {"type": "boolean"},
            "nul": {"type": "string", "nullable": true},
            "d": {"type": "object", "default": {"x": 1}, "properties": {
                "x": {"type": "integer"}, "y": {"type": "integer", "default": 2}}},
            "dn": {"type": "string", "default": "dd"},
            "o": {"type": "object", "properties": {
                "x": {"type": "integer"}, "y": {"type": "integer", "default": 2}}},
            "am": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {
                "x": {"type": "integer"}, "z": {"type": "integer"}}},
            "m": {"type": "object", "additionalProperties": {"type": "string"}},
            "mo": {"type": "object", "additionalProperties": {"type": "object", "properties": {
                "x": {"type": "integer"}, "y": {"type": "integer", "default": 2}}}},
            "la": {"type": "array", "items": {"type": "string"}},
            "lo": {"type": "array", "items": {"type": "object", "properties": {
                "name": {"type": "string"}, "y": {"type": "integer", "default": 2}}}},
            "ls": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "lm": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
                "items": {"type": "object", "required": ["k"], "properties": {
                    "k": {"type": "integer"}, "v": {"type": "string"}}}},
            "lm2": {"type": "array", "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["port", "proto"],
                "items": {"type": "object", "required": ["port"], "properties": {
                    "port": {"type": "integer"}, "proto": {"type": "string", "default": "TCP"},
                    "v": {"type": "string"}}}},
            "pu": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "any": {"x-kubernetes-preserve-unknown-fields": true},
            "deep": {"type": "object", "properties": {"a": {"type": "object", "properties": {
                "b": {"type": "integer"}, "c": {"type": "integer"}}}}}
        }},
        "status": {"type": "object", "properties": {"n": {"type": "integer"}}}}}))
    .unwrap()
}

/// A whole object of what a step says of it.
fn whole(body: &Value) -> Value {
    let mut object = json!({"apiVersion": "t.io/v1", "kind": "Toy"});
    let mut metadata = json!({"name": "a", "namespace": "default"});
    let given = body.as_object().cloned().unwrap_or_default();
    object.as_object_mut().unwrap().extend(given);
    let given = object["metadata"].as_object().cloned().unwrap_or_default();
    metadata.as_object_mut().unwrap().extend(given);
    object["metadata"] = metadata;
    object
}

/// Carries out the steps of a transcript and tells it again with our own answers.
fn retell(transcript: &str) -> String {
    let schema = toy();
    let mut live: Option<Value> = None;
    let mut told = Vec::new();
    for (position, step) in transcript
        .lines()
        .filter(|line| !line.starts_with(' '))
        .enumerate()
    {
        told.push(step.to_owned());
        let mut words = step.splitn(4, ' ').skip(1);
        let (manager, operation) = (words.next().unwrap(), words.next().unwrap());
        let body: Value = serde_json::from_str(words.next().unwrap()).unwrap();
        match carry_out(
            live.as_ref(),
            manager,
            operation,
            &body,
            position + 1,
            &schema,
        ) {
            Ok(object) => {
                told.extend(show(&object));
                live = Some(object);
            }
            Err(error) => told.extend(refusal(&error).lines().map(|line| format!("   {line}"))),
        }
    }
    told.join("\n")
}

fn carry_out(
    live: Option<&Value>,
    manager: &str,
    operation: &str,
    body: &Value,
    step: usize,
    schema: &Schema,
) -> Result<Value, ApplyError> {
    let mut change = Change {
        manager: manager.to_owned(),
        api_version: "t.io/v1".to_owned(),
        now: Some(step.to_string()),
        ..Change::default()
    };
    if operation == "apply" || operation == "force" {
        let mut object = apply(
            live,
            &whole(body),
            &change,
            operation == "force",
            Some(schema),
        )?;
        schema.apply_defaults(&mut object);
        return Ok(object);
    }
    let mut object = match (operation, live) {
        ("create", _) => whole(body),
        (_, Some(live)) => live.clone(),
        (_, None) => panic!("nothing to {operation}"),
    };
    match operation {
        "create" => {}
        "patch" => json_patch::merge(&mut object, body),
        "scale" => {
            object["spec"]["n"] = body.clone();
            change.subresource = "scale".to_owned();
            change.now = None;
        }
        other => panic!("no operation {other}"),
    }
    schema.prune(&mut object);
    schema.apply_defaults(&mut object);
    track_update(live, &mut object, &change, Some(schema));
    Ok(object)
}

fn show(object: &Value) -> Vec<String> {
    let mut seen = json!({});
    for name in ["spec", "status"] {
        if let Some(value) = object.get(name) {
            seen[name] = value.clone();
        }
    }
    for name in ["annotations", "finalizers", "labels", "ownerReferences"] {
        if let Some(value) = object["metadata"].get(name) {
            seen["metadata"][name] = value.clone();
        }
    }
    let mut lines = vec![format!("   {}", canonical(&seen))];
    for entry in object["metadata"]["managedFields"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let text = |name: &str| entry[name].as_str().unwrap_or_default();
        let subresource = match text("subresource") {
            "" => String::new(),
            name => format!(" {name}"),
        };
        let time = entry["time"].as_str().unwrap_or("-");
        lines.push(format!(
            "   {} {}{subresource} @{time} {}",
            text("manager"),
            text("operation"),
            canonical(&entry["fieldsV1"])
        ));
    }
    lines
}

fn refusal(error: &ApplyError) -> String {
    match error {
        ApplyError::ManagedFieldsGiven => format!("400 {error}"),
        ApplyError::NotTyped { .. } => format!("500 {error}"),
        ApplyError::Conflict(_) => format!("409 {error}"),
        ApplyError::Invalid(_) => format!("422 Toy.t.io \"a\" is invalid: {error}"),
    }
}

#[test]
fn equal_values_are_owned_by_all_who_apply_them() {
    let told = r##"1. m1 apply {"spec":{"la":["p"],"n":1,"o":{"x":1}}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","la":["p"],"n":1,"o":{"x":1,"y":2}}}
   m1 Apply @1 {"f:spec":{"f:la":{},"f:n":{},"f:o":{"f:x":{}}}}
2. m1 apply {"spec":{"la":["p"],"n":1,"o":{"x":1}}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","la":["p"],"n":1,"o":{"x":1,"y":2}}}
   m1 Apply @1 {"f:spec":{"f:la":{},"f:n":{},"f:o":{"f:x":{}}}}
3. m2 apply {"spec":{"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","la":["p"],"n":1,"o":{"x":1,"y":2}}}
   m2 Apply @- {"f:spec":{"f:n":{}}}
   m1 Apply @1 {"f:spec":{"f:la":{},"f:n":{},"f:o":{"f:x":{}}}}
4. m2 apply {}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","la":["p"],"n":1,"o":{"x":1,"y":2}}}
   m1 Apply @1 {"f:spec":{"f:la":{},"f:n":{},"f:o":{"f:x":{}}}}"##;
    assert_eq!(retell(told), told);
}

#[test]
fn another_managers_value_is_a_conflict() {
    let told = r##"1. m1 apply {"metadata":{"labels":{"l":"1"}},"spec":{"am":{"x":1},"any":[1],"la":["p"],"lm":[{"k":1,"v":"a"}],"m":{"q":"r"},"n":1,"o":{"x":1},"pu":{"z":{"y":1}}}}
   {"metadata":{"labels":{"l":"1"}},"spec":{"am":{"x":1},"any":[1],"d":{"x":1,"y":2},"dn":"dd","la":["p"],"lm":[{"k":1,"v":"a"}],"m":{"q":"r"},"n":1,"o":{"x":1,"y":2},"pu":{"z":{"y":1}}}}
   m1 Apply @1 {"f:metadata":{"f:labels":{"f:l":{}}},"f:spec":{"f:am":{},"f:any":{},"f:la":{},"f:lm":{"k:{\"k\":1}":{".":{},"f:k":{},"f:v":{}}},"f:m":{"f:q":{}},"f:n":{},"f:o":{"f:x":{}},"f:pu":{"f:z":{".":{},"f:y":{}}}}}
2. m2 apply {"metadata":{"labels":{"l":"2"}},"spec":{"am":{"x":2},"any":[2],"la":["q"],"lm":[{"k":1,"v":"z"}],"m":{"q":"s"},"n":2,"o":{"x":2},"pu":{"z":{"y":2}}}}
   409 Apply failed with 9 conflicts: conflicts with "m1":
   - .metadata.labels.l
   - .spec.am
   - .spec.any
   - .spec.la
   - .spec.n
   - .spec.lm[k=1].v
   - .spec.m.q
   - .spec.o.x
   - .spec.pu.z.y
3. m2 apply {"spec":{"n":2}}
   409 Apply failed with 1 conflict: conflict with "m1": .spec.n
4. m2 force {"spec":{"n":2}}
   {"metadata":{"labels":{"l":"1"}},"spec":{"am":{"x":1},"any":[1],"d":{"x":1,"y":2},"dn":"dd","la":["p"],"lm":[{"k":1,"v":"a"}],"m":{"q":"r"},"n":2,"o":{"x":1,"y":2},"pu":{"z":{"y":1}}}}
   m1 Apply @1 {"f:metadata":{"f:labels":{"f:l":{}}},"f:spec":{"f:am":{},"f:any":{},"f:la":{},"f:lm":{"k:{\"k\":1}":{".":{},"f:k":{},"f:v":{}}},"f:m":{"f:q":{}},"f:o":{"f:x":{}},"f:pu":{"f:z":{".":{},"f:y":{}}}}}
   m2 Apply @4 {"f:spec":{"f:n":{}}}
5. m1 apply {"spec":{"n":1,"o":{"x":1}}}
   409 Apply failed with 1 conflict: conflict with "m2": .spec.n"##;
    assert_eq!(retell(told), told);
}

#[test]
fn a_conflict_names_each_manager_and_how_it_wrote() {
    let told = r##"1. m1 apply {"spec":{"n":1},"status":{"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","n":1},"status":{"n":1}}
   m1 Apply @1 {"f:spec":{"f:n":{}},"f:status":{"f:n":{}}}
2. ed patch {"spec":{"n":3,"s":"ab"}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","n":3,"s":"ab"},"status":{"n":1}}
   m1 Apply @1 {"f:status":{"f:n":{}}}
   ed Update @2 {"f:spec":{"f:n":{},"f:s":{}}}
3. m2 apply {"spec":{"n":5}}
   409 Apply failed with 1 conflict: conflict with "ed" using t.io/v1: .spec.n
4. m2 apply {"spec":{"n":5,"s":"xy"}}
   409 Apply failed with 2 conflicts: conflicts with "ed" using t.io/v1:
   - .spec.n
   - .spec.s
5. m2 apply {"spec":{"n":5},"status":{"n":6}}
   409 Apply failed with 2 conflicts: conflicts with "ed" using t.io/v1:
   - .spec.n
   conflicts with "m1":
   - .status.n
6. sc scale 4
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","n":4,"s":"ab"},"status":{"n":1}}
   m1 Apply @1 {"f:status":{"f:n":{}}}
   sc Update scale @- {"f:spec":{"f:n":{}}}
   ed Update @2 {"f:spec":{"f:s":{}}}
7. m2 apply {"spec":{"n":5}}
   409 Apply failed with 1 conflict: conflict with "sc" with subresource "scale" using t.io/v1: .spec.n"##;
    assert_eq!(retell(told), told);
}

#[test]
fn what_is_no_longer_applied_goes_unless_someone_owns_it() {
    let told = r##"1. m1 apply {"spec":{"lm":[{"k":1,"v":"a"},{"k":2}],"ls":["x","y"],"m":{"q":"r"},"n":1,"o":{"x":1},"s":"ab"}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","lm":[{"k":1,"v":"a"},{"k":2}],"ls":["x","y"],"m":{"q":"r"},"n":1,"o":{"x":1,"y":2},"s":"ab"}}
   m1 Apply @1 {"f:spec":{"f:lm":{"k:{\"k\":1}":{".":{},"f:k":{},"f:v":{}},"k:{\"k\":2}":{".":{},"f:k":{}}},"f:ls":{"v:\"x\"":{},"v:\"y\"":{}},"f:m":{"f:q":{}},"f:n":{},"f:o":{"f:x":{}},"f:s":{}}}
2. m2 apply {"spec":{"lm":[{"k":3}],"ls":["z"],"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","lm":[{"k":1,"v":"a"},{"k":2},{"k":3}],"ls":["x","y","z"],"m":{"q":"r"},"n":1,"o":{"x":1,"y":2},"s":"ab"}}
   m1 Apply @1 {"f:spec":{"f:lm":{"k:{\"k\":1}":{".":{},"f:k":{},"f:v":{}},"k:{\"k\":2}":{".":{},"f:k":{}}},"f:ls":{"v:\"x\"":{},"v:\"y\"":{}},"f:m":{"f:q":{}},"f:n":{},"f:o":{"f:x":{}},"f:s":{}}}
   m2 Apply @2 {"f:spec":{"f:lm":{"k:{\"k\":3}":{".":{},"f:k":{}}},"f:ls":{"v:\"z\"":{}},"f:n":{}}}
3. x patch {"spec":{"m":{"c":"3"},"s":"cd"}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","lm":[{"k":1,"v":"a"},{"k":2},{"k":3}],"ls":["x","y","z"],"m":{"c":"3","q":"r"},"n":1,"o":{"x":1,"y":2},"s":"cd"}}
   m1 Apply @1 {"f:spec":{"f:lm":{"k:{\"k\":1}":{".":{},"f:k":{},"f:v":{}},"k:{\"k\":2}":{".":{},"f:k":{}}},"f:ls":{"v:\"x\"":{},"v:\"y\"":{}},"f:m":{"f:q":{}},"f:n":{},"f:o":{"f:x":{}}}}
   m2 Apply @2 {"f:spec":{"f:lm":{"k:{\"k\":3}":{".":{},"f:k":{}}},"f:ls":{"v:\"z\"":{}},"f:n":{}}}
   x Update @3 {"f:spec":{"f:m":{"f:c":{}},"f:s":{}}}
4. m1 force {"spec":{"lm":[{"k":1,"v":"a"}],"ls":["x"],"n":1,"s":"cd"}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","lm":[{"k":1,"v":"a"},{"k":3}],"ls":["x","z"],"m":{"c":"3"},"n":1,"s":"cd"}}
   m2 Apply @2 {"f:spec":{"f:lm":{"k:{\"k\":3}":{".":{},"f:k":{}}},"f:ls":{"v:\"z\"":{}},"f:n":{}}}
   m1 Apply @4 {"f:spec":{"f:lm":{"k:{\"k\":1}":{".":{},"f:k":{},"f:v":{}}},"f:ls":{"v:\"x\"":{}},"f:n":{},"f:s":{}}}
   x Update @3 {"f:spec":{"f:m":{"f:c":{}},"f:s":{}}}
5. m1 apply {"spec":{"ls":["x"],"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","lm":[{"k":3}],"ls":["x","z"],"m":{"c":"3"},"n":1,"s":"cd"}}
   m2 Apply @2 {"f:spec":{"f:lm":{"k:{\"k\":3}":{".":{},"f:k":{}}},"f:ls":{"v:\"z\"":{}},"f:n":{}}}
   m1 Apply @5 {"f:spec":{"f:ls":{"v:\"x\"":{}},"f:n":{}}}
   x Update @3 {"f:spec":{"f:m":{"f:c":{}},"f:s":{}}}
6. m2 apply {"spec":{"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","ls":["x"],"m":{"c":"3"},"n":1,"s":"cd"}}
   m1 Apply @5 {"f:spec":{"f:ls":{"v:\"x\"":{}},"f:n":{}}}
   m2 Apply @6 {"f:spec":{"f:n":{}}}
   x Update @3 {"f:spec":{"f:m":{"f:c":{}},"f:s":{}}}
7. m1 apply {"spec":{"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","m":{"c":"3"},"n":1,"s":"cd"}}
   m2 Apply @6 {"f:spec":{"f:n":{}}}
   m1 Apply @7 {"f:spec":{"f:n":{}}}
   x Update @3 {"f:spec":{"f:m":{"f:c":{}},"f:s":{}}}"##;
    assert_eq!(retell(told), told);
}

#[test]
fn a_default_goes_with_the_part_it_filled_unless_someone_owns_it() {
    let told = r##"1. m1 apply {"spec":{"d":{"x":3},"n":1,"o":{"x":1}}}
   {"spec":{"d":{"x":3,"y":2},"dn":"dd","n":1,"o":{"x":1,"y":2}}}
   m1 Apply @1 {"f:spec":{"f:d":{"f:x":{}},"f:n":{},"f:o":{"f:x":{}}}}
2. m1 apply {"spec":{"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","n":1}}
   m1 Apply @2 {"f:spec":{"f:n":{}}}
3. m1 apply {"spec":{"n":1,"o":{"x":1}}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","n":1,"o":{"x":1,"y":2}}}
   m1 Apply @3 {"f:spec":{"f:n":{},"f:o":{"f:x":{}}}}
4. x patch {"spec":{"o":{"y":7}}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","n":1,"o":{"x":1,"y":7}}}
   m1 Apply @3 {"f:spec":{"f:n":{},"f:o":{"f:x":{}}}}
   x Update @4 {"f:spec":{"f:o":{"f:y":{}}}}
5. m1 apply {"spec":{"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","n":1,"o":{"y":7}}}
   m1 Apply @5 {"f:spec":{"f:n":{}}}
   x Update @4 {"f:spec":{"f:o":{"f:y":{}}}}"##;
    assert_eq!(retell(told), told);
}

#[test]
fn an_update_takes_what_it_changes() {
    let told = r##"1. m1 apply {"spec":{"deep":{"a":{"b":1}},"lm":[{"k":1,"v":"a"}],"n":1}}
   {"spec":{"d":{"x":1,"y":2},"deep":{"a":{"b":1}},"dn":"dd","lm":[{"k":1,"v":"a"}],"n":1}}
   m1 Apply @1 {"f:spec":{"f:deep":{"f:a":{"f:b":{}}},"f:lm":{"k:{\"k\":1}":{".":{},"f:k":{},"f:v":{}}},"f:n":{}}}
2. ed patch {"spec":{"deep":{"a":{"c":1}},"lm":[{"k":1,"v":"b"},{"k":2}],"n":2}}
   {"spec":{"d":{"x":1,"y":2},"deep":{"a":{"b":1,"c":1}},"dn":"dd","lm":[{"k":1,"v":"b"},{"k":2}],"n":2}}
   m1 Apply @1 {"f:spec":{"f:deep":{"f:a":{"f:b":{}}},"f:lm":{"k:{\"k\":1}":{".":{},"f:k":{}}}}}
   ed Update @2 {"f:spec":{"f:deep":{"f:a":{"f:c":{}}},"f:lm":{"k:{\"k\":1}":{"f:v":{}},"k:{\"k\":2}":{".":{},"f:k":{}}},"f:n":{}}}
3. ed patch {"spec":{"n":2}}
   {"spec":{"d":{"x":1,"y":2},"deep":{"a":{"b":1,"c":1}},"dn":"dd","lm":[{"k":1,"v":"b"},{"k":2}],"n":2}}
   m1 Apply @1 {"f:spec":{"f:deep":{"f:a":{"f:b":{}}},"f:lm":{"k:{\"k\":1}":{".":{},"f:k":{}}}}}
   ed Update @2 {"f:spec":{"f:deep":{"f:a":{"f:c":{}}},"f:lm":{"k:{\"k\":1}":{"f:v":{}},"k:{\"k\":2}":{".":{},"f:k":{}}},"f:n":{}}}
4. ed2 patch {"spec":{"n":2,"s":"ab"}}
   {"spec":{"d":{"x":1,"y":2},"deep":{"a":{"b":1,"c":1}},"dn":"dd","lm":[{"k":1,"v":"b"},{"k":2}],"n":2,"s":"ab"}}
   m1 Apply @1 {"f:spec":{"f:deep":{"f:a":{"f:b":{}}},"f:lm":{"k:{\"k\":1}":{".":{},"f:k":{}}}}}
   ed Update @2 {"f:spec":{"f:deep":{"f:a":{"f:c":{}}},"f:lm":{"k:{\"k\":1}":{"f:v":{}},"k:{\"k\":2}":{".":{},"f:k":{}}},"f:n":{}}}
   ed2 Update @4 {"f:spec":{"f:s":{}}}
5. ed patch {"spec":{"deep":null,"s":null}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","lm":[{"k":1,"v":"b"},{"k":2}],"n":2}}
   m1 Apply @1 {"f:spec":{"f:lm":{"k:{\"k\":1}":{".":{},"f:k":{}}}}}
   ed Update @2 {"f:spec":{"f:lm":{"k:{\"k\":1}":{"f:v":{}},"k:{\"k\":2}":{".":{},"f:k":{}}},"f:n":{}}}
6. m1 patch {"spec":{"s":"xy"}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","lm":[{"k":1,"v":"b"},{"k":2}],"n":2,"s":"xy"}}
   m1 Apply @1 {"f:spec":{"f:lm":{"k:{\"k\":1}":{".":{},"f:k":{}}}}}
   ed Update @2 {"f:spec":{"f:lm":{"k:{\"k\":1}":{"f:v":{}},"k:{\"k\":2}":{".":{},"f:k":{}}},"f:n":{}}}
   m1 Update @6 {"f:spec":{"f:s":{}}}"##;
    assert_eq!(retell(told), told);
}

#[test]
fn a_creation_owns_defaults_and_every_level() {
    let told = r##"1. cr create {"metadata":{"annotations":{"a":"b"},"labels":{"l":"1"}},"spec":{"deep":{"a":{}},"la":["p"],"lm":[{"k":1,"v":"a"}],"m":{"a":"b"},"n":1,"pu":{"z":{"y":1}}},"status":{"n":3}}
   {"metadata":{"annotations":{"a":"b"},"labels":{"l":"1"}},"spec":{"d":{"x":1,"y":2},"deep":{"a":{}},"dn":"dd","la":["p"],"lm":[{"k":1,"v":"a"}],"m":{"a":"b"},"n":1,"pu":{"z":{"y":1}}},"status":{"n":3}}
   cr Update @1 {"f:metadata":{"f:annotations":{".":{},"f:a":{}},"f:labels":{".":{},"f:l":{}}},"f:spec":{".":{},"f:d":{".":{},"f:x":{},"f:y":{}},"f:deep":{".":{},"f:a":{}},"f:dn":{},"f:la":{},"f:lm":{".":{},"k:{\"k\":1}":{".":{},"f:k":{},"f:v":{}}},"f:m":{".":{},"f:a":{}},"f:n":{},"f:pu":{".":{},"f:z":{".":{},"f:y":{}}}},"f:status":{".":{},"f:n":{}}}
2. ed patch {"metadata":{"labels":null},"spec":{"deep":null,"m":null}}
   {"metadata":{"annotations":{"a":"b"}},"spec":{"d":{"x":1,"y":2},"dn":"dd","la":["p"],"lm":[{"k":1,"v":"a"}],"n":1,"pu":{"z":{"y":1}}},"status":{"n":3}}
   cr Update @1 {"f:metadata":{"f:annotations":{".":{},"f:a":{}}},"f:spec":{".":{},"f:d":{".":{},"f:x":{},"f:y":{}},"f:dn":{},"f:la":{},"f:lm":{".":{},"k:{\"k\":1}":{".":{},"f:k":{},"f:v":{}}},"f:n":{},"f:pu":{".":{},"f:z":{".":{},"f:y":{}}}},"f:status":{".":{},"f:n":{}}}
3. ed patch {"metadata":{"finalizers":["t.io/f"],"labels":{"z":"1"}}}
   {"metadata":{"annotations":{"a":"b"},"finalizers":["t.io/f"],"labels":{"z":"1"}},"spec":{"d":{"x":1,"y":2},"dn":"dd","la":["p"],"lm":[{"k":1,"v":"a"}],"n":1,"pu":{"z":{"y":1}}},"status":{"n":3}}
   cr Update @1 {"f:metadata":{"f:annotations":{".":{},"f:a":{}}},"f:spec":{".":{},"f:d":{".":{},"f:x":{},"f:y":{}},"f:dn":{},"f:la":{},"f:lm":{".":{},"k:{\"k\":1}":{".":{},"f:k":{},"f:v":{}}},"f:n":{},"f:pu":{".":{},"f:z":{".":{},"f:y":{}}}},"f:status":{".":{},"f:n":{}}}
   ed Update @3 {"f:metadata":{"f:finalizers":{".":{},"v:\"t.io/f\"":{}},"f:labels":{".":{},"f:z":{}}}}
4. m2 apply {"metadata":{"finalizers":["t.io/g"]}}
   {"metadata":{"annotations":{"a":"b"},"finalizers":["t.io/f","t.io/g"],"labels":{"z":"1"}},"spec":{"d":{"x":1,"y":2},"dn":"dd","la":["p"],"lm":[{"k":1,"v":"a"}],"n":1,"pu":{"z":{"y":1}}},"status":{"n":3}}
   m2 Apply @4 {"f:metadata":{"f:finalizers":{"v:\"t.io/g\"":{}}}}
   cr Update @1 {"f:metadata":{"f:annotations":{".":{},"f:a":{}}},"f:spec":{".":{},"f:d":{".":{},"f:x":{},"f:y":{}},"f:dn":{},"f:la":{},"f:lm":{".":{},"k:{\"k\":1}":{".":{},"f:k":{},"f:v":{}}},"f:n":{},"f:pu":{".":{},"f:z":{".":{},"f:y":{}}}},"f:status":{".":{},"f:n":{}}}
   ed Update @3 {"f:metadata":{"f:finalizers":{".":{},"v:\"t.io/f\"":{}},"f:labels":{".":{},"f:z":{}}}}
5. m2 apply {}
   {"metadata":{"annotations":{"a":"b"},"finalizers":["t.io/f"],"labels":{"z":"1"}},"spec":{"d":{"x":1,"y":2},"dn":"dd","la":["p"],"lm":[{"k":1,"v":"a"}],"n":1,"pu":{"z":{"y":1}}},"status":{"n":3}}
   cr Update @1 {"f:metadata":{"f:annotations":{".":{},"f:a":{}}},"f:spec":{".":{},"f:d":{".":{},"f:x":{},"f:y":{}},"f:dn":{},"f:la":{},"f:lm":{".":{},"k:{\"k\":1}":{".":{},"f:k":{},"f:v":{}}},"f:n":{},"f:pu":{".":{},"f:z":{".":{},"f:y":{}}}},"f:status":{".":{},"f:n":{}}}
   ed Update @3 {"f:metadata":{"f:finalizers":{".":{},"v:\"t.io/f\"":{}},"f:labels":{".":{},"f:z":{}}}}
6. ed patch {"metadata":{"finalizers":null}}
   {"metadata":{"annotations":{"a":"b"},"labels":{"z":"1"}},"spec":{"d":{"x":1,"y":2},"dn":"dd","la":["p"],"lm":[{"k":1,"v":"a"}],"n":1,"pu":{"z":{"y":1}}},"status":{"n":3}}
   cr Update @1 {"f:metadata":{"f:annotations":{".":{},"f:a":{}}},"f:spec":{".":{},"f:d":{".":{},"f:x":{},"f:y":{}},"f:dn":{},"f:la":{},"f:lm":{".":{},"k:{\"k\":1}":{".":{},"f:k":{},"f:v":{}}},"f:n":{},"f:pu":{".":{},"f:z":{".":{},"f:y":{}}}},"f:status":{".":{},"f:n":{}}}
   ed Update @3 {"f:metadata":{"f:labels":{".":{},"f:z":{}}}}"##;
    assert_eq!(retell(told), told);
}

#[test]
fn scaling_owns_the_instances() {
    let told = r##"1. m1 apply {"spec":{"la":["p"],"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","la":["p"],"n":1}}
   m1 Apply @1 {"f:spec":{"f:la":{},"f:n":{}}}
2. sc scale 4
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","la":["p"],"n":4}}
   m1 Apply @1 {"f:spec":{"f:la":{}}}
   sc Update scale @- {"f:spec":{"f:n":{}}}
3. m1 apply {"spec":{"la":["p"],"n":1}}
   409 Apply failed with 1 conflict: conflict with "sc" with subresource "scale" using t.io/v1: .spec.n
4. m1 apply {"spec":{"la":["p"],"n":4}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","la":["p"],"n":4}}
   m1 Apply @1 {"f:spec":{"f:la":{},"f:n":{}}}
   sc Update scale @- {"f:spec":{"f:n":{}}}
5. sc scale 5
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","la":["p"],"n":5}}
   m1 Apply @1 {"f:spec":{"f:la":{}}}
   sc Update scale @- {"f:spec":{"f:n":{}}}"##;
    assert_eq!(retell(told), told);
}

#[test]
fn empty_maps_and_lists() {
    let told = r##"1. m1 apply {"spec":{"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","n":1}}
   m1 Apply @1 {"f:spec":{"f:n":{}}}
2. m2 apply {"spec":{"lm":[],"ls":[],"m":{},"mo":{"a":{}},"n":1,"o":{}}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","lm":[],"ls":[],"m":{},"mo":{"a":{"y":2}},"n":1,"o":{"y":2}}}
   m1 Apply @1 {"f:spec":{"f:n":{}}}
   m2 Apply @2 {"f:spec":{"f:m":{},"f:mo":{"f:a":{}},"f:n":{},"f:o":{}}}
3. m2 apply {"spec":{"la":["p"],"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","la":["p"],"lm":[],"ls":[],"n":1}}
   m1 Apply @1 {"f:spec":{"f:n":{}}}
   m2 Apply @3 {"f:spec":{"f:la":{},"f:n":{}}}
4. m1 apply {"spec":{"la":[],"n":1}}
   409 Apply failed with 1 conflict: conflict with "m2": .spec.la
5. m1 apply {"spec":{"n":1,"pu":{"z":{"y":1}}}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","la":["p"],"lm":[],"ls":[],"n":1,"pu":{"z":{"y":1}}}}
   m2 Apply @3 {"f:spec":{"f:la":{},"f:n":{}}}
   m1 Apply @5 {"f:spec":{"f:n":{},"f:pu":{"f:z":{".":{},"f:y":{}}}}}
6. m1 apply {"spec":{"n":1,"pu":{"z":{}}}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","la":["p"],"lm":[],"ls":[],"n":1,"pu":{"z":null}}}
   m2 Apply @3 {"f:spec":{"f:la":{},"f:n":{}}}
   m1 Apply @6 {"f:spec":{"f:n":{},"f:pu":{"f:z":{}}}}
7. m1 apply {"spec":{"deep":{"a":{"b":1}},"n":1}}
   {"spec":{"d":{"x":1,"y":2},"deep":{"a":{"b":1}},"dn":"dd","la":["p"],"lm":[],"ls":[],"n":1}}
   m2 Apply @3 {"f:spec":{"f:la":{},"f:n":{}}}
   m1 Apply @7 {"f:spec":{"f:deep":{"f:a":{"f:b":{}}},"f:n":{}}}
8. m1 apply {"spec":{"deep":{"a":{}},"n":1}}
   422 Toy.t.io "a" is invalid: spec.deep.a: Invalid value: "null": spec.deep.a in body must be of type object: "null"
9. m1 apply {"spec":{"lm":[],"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","la":["p"],"lm":[],"ls":[],"n":1}}
   m2 Apply @3 {"f:spec":{"f:la":{},"f:n":{}}}
   m1 Apply @9 {"f:spec":{"f:n":{}}}"##;
    assert_eq!(retell(told), told);
}

#[test]
fn nulls_are_refused_where_the_schema_allows_none() {
    let told = r##"1. m1 apply {"spec":{"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","n":1}}
   m1 Apply @1 {"f:spec":{"f:n":{}}}
2. m1 apply {"spec":{"n":1,"s":null}}
   422 Toy.t.io "a" is invalid: spec.s: Invalid value: "null": spec.s in body must be of type string: "null"
3. m1 apply {"spec":{"n":1,"nul":null}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","n":1,"nul":null}}
   m1 Apply @3 {"f:spec":{"f:n":{},"f:nul":{}}}
4. m1 apply {"spec":{"n":1,"nul":null}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","n":1,"nul":null}}
   m1 Apply @3 {"f:spec":{"f:n":{},"f:nul":{}}}
5. m1 apply {"spec":{"n":1,"pu":{"a":null}}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","n":1,"pu":{"a":null}}}
   m1 Apply @5 {"f:spec":{"f:n":{},"f:pu":{"f:a":{}}}}
6. m1 apply {"spec":{"dn":null,"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","n":1}}
   m1 Apply @6 {"f:spec":{"f:dn":{},"f:n":{}}}
7. m1 apply {"spec":{"n":1,"o":{"x":1}}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","n":1,"o":{"x":1,"y":2}}}
   m1 Apply @7 {"f:spec":{"f:n":{},"f:o":{"f:x":{}}}}
8. m1 apply {"spec":{"n":1,"o":null}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","n":1,"o":{"y":2}}}
   m1 Apply @8 {"f:spec":{"f:n":{},"f:o":{}}}"##;
    assert_eq!(retell(told), told);
}

#[test]
fn lists_merge_in_the_order_applied() {
    let told = r##"1. cr create {"spec":{"ls":["p","a","q","b","r"],"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","ls":["p","a","q","b","r"],"n":1}}
   cr Update @1 {"f:spec":{".":{},"f:d":{".":{},"f:x":{},"f:y":{}},"f:dn":{},"f:ls":{".":{},"v:\"a\"":{},"v:\"b\"":{},"v:\"p\"":{},"v:\"q\"":{},"v:\"r\"":{}},"f:n":{}}}
2. m1 apply {"spec":{"ls":["b","x","a"],"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","ls":["p","q","b","r","x","a"],"n":1}}
   m1 Apply @2 {"f:spec":{"f:ls":{"v:\"a\"":{},"v:\"b\"":{},"v:\"x\"":{}},"f:n":{}}}
   cr Update @1 {"f:spec":{".":{},"f:d":{".":{},"f:x":{},"f:y":{}},"f:dn":{},"f:ls":{".":{},"v:\"a\"":{},"v:\"b\"":{},"v:\"p\"":{},"v:\"q\"":{},"v:\"r\"":{}},"f:n":{}}}
3. m1 apply {"spec":{"ls":["a","b"],"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","ls":["p","q","r","a","b"],"n":1}}
   m1 Apply @3 {"f:spec":{"f:ls":{"v:\"a\"":{},"v:\"b\"":{}},"f:n":{}}}
   cr Update @1 {"f:spec":{".":{},"f:d":{".":{},"f:x":{},"f:y":{}},"f:dn":{},"f:ls":{".":{},"v:\"a\"":{},"v:\"b\"":{},"v:\"p\"":{},"v:\"q\"":{},"v:\"r\"":{}},"f:n":{}}}
4. m2 apply {"spec":{"lm":[{"k":3},{"k":1}],"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","lm":[{"k":3},{"k":1}],"ls":["p","q","r","a","b"],"n":1}}
   m1 Apply @3 {"f:spec":{"f:ls":{"v:\"a\"":{},"v:\"b\"":{}},"f:n":{}}}
   m2 Apply @4 {"f:spec":{"f:lm":{"k:{\"k\":1}":{".":{},"f:k":{}},"k:{\"k\":3}":{".":{},"f:k":{}}},"f:n":{}}}
   cr Update @1 {"f:spec":{".":{},"f:d":{".":{},"f:x":{},"f:y":{}},"f:dn":{},"f:ls":{".":{},"v:\"a\"":{},"v:\"b\"":{},"v:\"p\"":{},"v:\"q\"":{},"v:\"r\"":{}},"f:n":{}}}
5. m3 apply {"spec":{"lm":[{"k":1},{"k":2},{"k":3}],"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","lm":[{"k":1},{"k":2},{"k":3}],"ls":["p","q","r","a","b"],"n":1}}
   m1 Apply @3 {"f:spec":{"f:ls":{"v:\"a\"":{},"v:\"b\"":{}},"f:n":{}}}
   m2 Apply @4 {"f:spec":{"f:lm":{"k:{\"k\":1}":{".":{},"f:k":{}},"k:{\"k\":3}":{".":{},"f:k":{}}},"f:n":{}}}
   m3 Apply @5 {"f:spec":{"f:lm":{"k:{\"k\":1}":{".":{},"f:k":{}},"k:{\"k\":2}":{".":{},"f:k":{}},"k:{\"k\":3}":{".":{},"f:k":{}}},"f:n":{}}}
   cr Update @1 {"f:spec":{".":{},"f:d":{".":{},"f:x":{},"f:y":{}},"f:dn":{},"f:ls":{".":{},"v:\"a\"":{},"v:\"b\"":{},"v:\"p\"":{},"v:\"q\"":{},"v:\"r\"":{}},"f:n":{}}}
6. m2 apply {"spec":{"lm":[{"k":5},{"k":1}],"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","lm":[{"k":5},{"k":1},{"k":2},{"k":3}],"ls":["p","q","r","a","b"],"n":1}}
   m1 Apply @3 {"f:spec":{"f:ls":{"v:\"a\"":{},"v:\"b\"":{}},"f:n":{}}}
   m3 Apply @5 {"f:spec":{"f:lm":{"k:{\"k\":1}":{".":{},"f:k":{}},"k:{\"k\":2}":{".":{},"f:k":{}},"k:{\"k\":3}":{".":{},"f:k":{}}},"f:n":{}}}
   m2 Apply @6 {"f:spec":{"f:lm":{"k:{\"k\":1}":{".":{},"f:k":{}},"k:{\"k\":5}":{".":{},"f:k":{}}},"f:n":{}}}
   cr Update @1 {"f:spec":{".":{},"f:d":{".":{},"f:x":{},"f:y":{}},"f:dn":{},"f:ls":{".":{},"v:\"a\"":{},"v:\"b\"":{},"v:\"p\"":{},"v:\"q\"":{},"v:\"r\"":{}},"f:n":{}}}"##;
    assert_eq!(retell(told), told);
}

#[test]
fn keys_with_defaults() {
    let told = r##"1. m1 apply {"spec":{"lm2":[{"port":1},{"port":1,"proto":"UDP","v":"a"}],"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","lm2":[{"port":1,"proto":"TCP"},{"port":1,"proto":"UDP","v":"a"}],"n":1}}
   m1 Apply @1 {"f:spec":{"f:lm2":{"k:{\"port\":1,\"proto\":\"TCP\"}":{".":{},"f:port":{}},"k:{\"port\":1,\"proto\":\"UDP\"}":{".":{},"f:port":{},"f:proto":{},"f:v":{}}},"f:n":{}}}
2. m1 apply {"spec":{"lm2":[{"port":1},{"port":1,"proto":"UDP","v":"a"}],"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","lm2":[{"port":1,"proto":"TCP"},{"port":1,"proto":"UDP","v":"a"}],"n":1}}
   m1 Apply @1 {"f:spec":{"f:lm2":{"k:{\"port\":1,\"proto\":\"TCP\"}":{".":{},"f:port":{}},"k:{\"port\":1,\"proto\":\"UDP\"}":{".":{},"f:port":{},"f:proto":{},"f:v":{}}},"f:n":{}}}
3. m2 apply {"spec":{"lm2":[{"port":1,"v":"b"}],"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","lm2":[{"port":1,"proto":"TCP","v":"b"},{"port":1,"proto":"UDP","v":"a"}],"n":1}}
   m1 Apply @1 {"f:spec":{"f:lm2":{"k:{\"port\":1,\"proto\":\"TCP\"}":{".":{},"f:port":{}},"k:{\"port\":1,\"proto\":\"UDP\"}":{".":{},"f:port":{},"f:proto":{},"f:v":{}}},"f:n":{}}}
   m2 Apply @3 {"f:spec":{"f:lm2":{"k:{\"port\":1,\"proto\":\"TCP\"}":{".":{},"f:port":{},"f:v":{}}},"f:n":{}}}
4. m1 apply {"spec":{"lm2":[{"port":1,"proto":"UDP"}],"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","lm2":[{"port":1,"proto":"TCP","v":"b"},{"port":1,"proto":"UDP"}],"n":1}}
   m2 Apply @3 {"f:spec":{"f:lm2":{"k:{\"port\":1,\"proto\":\"TCP\"}":{".":{},"f:port":{},"f:v":{}}},"f:n":{}}}
   m1 Apply @4 {"f:spec":{"f:lm2":{"k:{\"port\":1,\"proto\":\"UDP\"}":{".":{},"f:port":{},"f:proto":{}}},"f:n":{}}}"##;
    assert_eq!(retell(told), told);
}

#[test]
fn forgotten_managers() {
    let told = r##"1. m1 apply {"spec":{"la":["p"],"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","la":["p"],"n":1}}
   m1 Apply @1 {"f:spec":{"f:la":{},"f:n":{}}}
2. x patch {"metadata":{"managedFields":[]}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","la":["p"],"n":1}}
   m1 Apply @1 {"f:spec":{"f:la":{},"f:n":{}}}
3. x patch {"metadata":{"managedFields":[{}]}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","la":["p"],"n":1}}
4. x patch {"spec":{"s":"ab"}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","la":["p"],"n":1,"s":"ab"}}
5. m1 apply {"spec":{"la":["p"],"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","la":["p"],"n":1,"s":"ab"}}
   m1 Apply @- {"f:spec":{"f:la":{},"f:n":{}}}
   before-first-apply Update @5 {"f:spec":{".":{},"f:d":{".":{},"f:x":{},"f:y":{}},"f:dn":{},"f:la":{},"f:n":{},"f:s":{}}}
6. m1 apply {"spec":{"la":["p"],"n":2}}
   409 Apply failed with 1 conflict: conflict with "before-first-apply" using t.io/v1: .spec.n"##;
    assert_eq!(retell(told), told);
}

#[test]
fn owners_and_finalizers() {
    let told = r##"1. m1 apply {"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"x","uid":"u1"}]},"spec":{"n":1}}
   {"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"x","uid":"u1"}]},"spec":{"d":{"x":1,"y":2},"dn":"dd","n":1}}
   m1 Apply @1 {"f:metadata":{"f:ownerReferences":{"k:{\"uid\":\"u1\"}":{}}},"f:spec":{"f:n":{}}}
2. m2 apply {"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"y","uid":"u2"}]}}
   {"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"x","uid":"u1"},{"apiVersion":"v1","kind":"ConfigMap","name":"y","uid":"u2"}]},"spec":{"d":{"x":1,"y":2},"dn":"dd","n":1}}
   m1 Apply @1 {"f:metadata":{"f:ownerReferences":{"k:{\"uid\":\"u1\"}":{}}},"f:spec":{"f:n":{}}}
   m2 Apply @2 {"f:metadata":{"f:ownerReferences":{"k:{\"uid\":\"u2\"}":{}}}}
3. m1 apply {"spec":{"n":1}}
   {"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"y","uid":"u2"}]},"spec":{"d":{"x":1,"y":2},"dn":"dd","n":1}}
   m2 Apply @2 {"f:metadata":{"f:ownerReferences":{"k:{\"uid\":\"u2\"}":{}}}}
   m1 Apply @3 {"f:spec":{"f:n":{}}}"##;
    assert_eq!(retell(told), told);
}

#[test]
fn what_client_side_apply_left() {
    let told = r##"1. kubectl-client-side-apply create {"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"apiVersion\":\"t.io/v1\",\"kind\":\"Toy\",\"metadata\":{\"name\":\"a\",\"namespace\":\"default\"},\"spec\":{\"n\":3,\"s\":\"ab\"}}"}},"spec":{"la":["x"],"n":3,"s":"ab"}}
   {"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"apiVersion\":\"t.io/v1\",\"kind\":\"Toy\",\"metadata\":{\"name\":\"a\",\"namespace\":\"default\"},\"spec\":{\"n\":3,\"s\":\"ab\"}}"}},"spec":{"d":{"x":1,"y":2},"dn":"dd","la":["x"],"n":3,"s":"ab"}}
   kubectl-client-side-apply Update @1 {"f:metadata":{"f:annotations":{".":{},"f:kubectl.kubernetes.io/last-applied-configuration":{}}},"f:spec":{".":{},"f:d":{".":{},"f:x":{},"f:y":{}},"f:dn":{},"f:la":{},"f:n":{},"f:s":{}}}
2. m1 apply {"spec":{"n":4,"s":"ab"}}
   409 Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using t.io/v1: .spec.n
3. kubectl apply {"spec":{"la":["y"],"n":4,"s":"ab"}}
   409 Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using t.io/v1: .spec.la
4. kubectl apply {"spec":{"n":4,"s":"ab"}}
   {"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"apiVersion\":\"t.io/v1\",\"kind\":\"Toy\",\"metadata\":{\"name\":\"a\",\"namespace\":\"default\"},\"spec\":{\"n\":4,\"s\":\"ab\"}}\n"}},"spec":{"d":{"x":1,"y":2},"dn":"dd","la":["x"],"n":4,"s":"ab"}}
   kubectl Apply @4 {"f:spec":{"f:n":{},"f:s":{}}}
   kubectl-client-side-apply Update @1 {"f:metadata":{"f:annotations":{".":{},"f:kubectl.kubernetes.io/last-applied-configuration":{}}},"f:spec":{".":{},"f:d":{".":{},"f:x":{},"f:y":{}},"f:dn":{},"f:la":{},"f:s":{}}}"##;
    assert_eq!(retell(told), told);
}

#[test]
fn one_name_can_be_several_managers() {
    let told = r##"1. m1 apply {"spec":{"n":1}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","n":1}}
   m1 Apply @1 {"f:spec":{"f:n":{}}}
2. m2 patch {"spec":{"s":"ab"}}
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","n":1,"s":"ab"}}
   m1 Apply @1 {"f:spec":{"f:n":{}}}
   m2 Update @2 {"f:spec":{"f:s":{}}}
3. m2 scale 4
   {"spec":{"d":{"x":1,"y":2},"dn":"dd","n":4,"s":"ab"}}
   m2 Update scale @- {"f:spec":{"f:n":{}}}
   m2 Update @2 {"f:spec":{"f:s":{}}}
4. m2 apply {"spec":{"n":5,"s":"cd"}}
   409 Apply failed with 2 conflicts: conflicts with "m2" with subresource "scale" using t.io/v1:
   - .spec.n
   conflicts with "m2" using t.io/v1:
   - .spec.s"##;
    assert_eq!(retell(told), told);
}

/// What is applied to `spec` and what a kube-apiserver 1.36 says of it.
#[test]
fn what_no_type_has_a_place_for_is_refused_as_a_whole() {
    let said = [
        (
            json!({"n": "x"}),
            r#".spec.n: expected numeric (int or float), got string"#,
        ),
        (
            json!({"n": true}),
            r#".spec.n: expected numeric (int or float), got bool"#,
        ),
        (
            json!({"n": 1, "zz": 1}),
            r#".spec.zz: field not declared in schema"#,
        ),
        (
            json!({"n": 1, "s": 5}),
            r#".spec.s: expected string, got &value.valueUnstructured{Value:5}"#,
        ),
        (
            json!({"n": 1, "b": "true"}),
            r#".spec.b: expected boolean, got &{true}"#,
        ),
        (
            json!({"n": 1, "la": "x"}),
            r#".spec.la: expected list, got &{x}"#,
        ),
        (
            json!({"n": 1, "o": 5}),
            r#".spec.o: expected map, got &{5}"#,
        ),
        (
            json!({"n": 1, "o": [1]}),
            r#".spec.o: expected map, got &{[1]}"#,
        ),
        (
            json!({"n": 1, "la": [1]}),
            r#".spec.la[0]: expected string, got &value.valueUnstructured{Value:1}"#,
        ),
        (
            json!({"n": 1, "ls": ["a", "a"]}),
            r#".spec.ls: duplicate entries for key [="a"]"#,
        ),
        (
            json!({"n": 1, "lm": [{"k": 1}, {"k": 1}]}),
            r#".spec.lm: duplicate entries for key [k=1]"#,
        ),
        (
            json!({"n": 1, "lm": [{"v": "x"}]}),
            r#".spec.lm: element 0: associative list with keys has an element that omits all key fields ["k"] (and doesn't have default values for any key fields)"#,
        ),
        (
            json!({"n": 1, "lo": [{"zz": 1}]}),
            r#".spec.lo[0].zz: field not declared in schema"#,
        ),
        (
            json!({"n": 1, "m": {"a": 1}}),
            r#".spec.m.a: expected string, got &value.valueUnstructured{Value:1}"#,
        ),
        (
            json!({"n": 1, "mo": {"a": {"zz": 1}}}),
            r#".spec.mo.a.zz: field not declared in schema"#,
        ),
        (
            json!({"n": 1, "lm": [{"k": 1, "zz": 1}]}),
            r#".spec.lm[k=1].zz: field not declared in schema"#,
        ),
        (
            json!({"n": 1, "ls": [1]}),
            r#".spec.ls[=1]: expected string, got &value.valueUnstructured{Value:1}"#,
        ),
        (
            json!({"n": 1, "lm": ["x"]}),
            r#".spec.lm: element 0: associative list with keys may not have non-map elements"#,
        ),
        (
            json!({"n": 1, "lm2": [{"port": 1}, {"port": 1, "proto": "TCP"}]}),
            r#".spec.lm2: duplicate entries for key [port=1,proto="TCP"]"#,
        ),
        (
            json!({"n": 1, "s": {"a": [1, "b"]}}),
            r#".spec.s: expected string, got &value.valueUnstructured{Value:map[string]interface {}{"a":[]interface {}{1, "b"}}}"#,
        ),
        (
            json!({"n": {"a": 1}}),
            r#".spec.n: expected numeric (int or float), got map[string]interface {}"#,
        ),
        (
            json!({"n": 1, "b": {"a": 1}}),
            r#".spec.b: expected boolean, got &{map[a:1]}"#,
        ),
    ];
    for (spec, words) in said {
        let object = whole(&json!({"spec": spec}));
        let error = apply(None, &object, &Change::default(), true, Some(&toy())).unwrap_err();
        let start = "failed to create typed patch object (default/a; t.io/v1, Kind=Toy): ";
        assert_eq!(error.to_string(), format!("{start}{words}"));
    }
}
