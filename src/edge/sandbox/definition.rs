//! CustomResourceDefinitions: what one has to be, the status it gets, and the resources it stands for.
//!
//! Names are accepted and established at once, since nothing else competes for them. Conversion between versions changes
//! `apiVersion` and nothing else, so webhook conversion is refused.

use serde_json::{Value, json};

use super::failure::{Cause, quoted};
use super::metadata;
use super::resource::{Column, Custom, Generation, Resource, ScalePaths, custom_verbs};
use crate::model::key::Kind;
use crate::model::schema::Schema;

/// What is wrong with a definition, after its defaults were filled in.
pub fn causes(definition: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let field = |pointer: &str| {
        definition
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or("")
    };
    let group = field("/spec/group");
    let plural = field("/spec/names/plural");
    for (path, value) in [
        ("spec.group", group),
        ("spec.names.plural", plural),
        ("spec.names.kind", field("/spec/names/kind")),
        ("spec.scope", field("/spec/scope")),
    ] {
        if value.is_empty() {
            causes.push(Cause::required(path, ""));
        }
    }
    let expected = format!("{plural}.{group}");
    let name = metadata::text(definition, "name");
    if name != expected {
        causes.push(Cause::invalid(
            "metadata.name",
            &quoted(name),
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    if !matches!(field("/spec/scope"), "" | "Namespaced" | "Cluster") {
        causes.push(Cause::unsupported(
            "spec.scope",
            &quoted(field("/spec/scope")),
            "\"Cluster\", \"Namespaced\"",
        ));
    }
    if field("/spec/conversion/strategy") == "Webhook" {
        causes.push(Cause::unsupported(
            "spec.conversion.strategy",
            "\"Webhook\"",
            "\"None\"",
        ));
    }
    let versions = versions(definition);
    if versions.is_empty() {
        causes.push(Cause::required("spec.versions", ""));
    }
    let stored = versions
        .iter()
        .filter(|version| version["storage"] == json!(true))
        .count();
    if stored != 1 {
        causes.push(Cause::invalid(
            "spec.versions",
            &Value::from(versions.to_vec()).to_string(),
            "must have exactly one version marked as storage version",
        ));
    }
    for (index, version) in versions.iter().enumerate() {
        let path = format!("spec.versions[{index}].schema.openAPIV3Schema");
        match version.pointer("/schema/openAPIV3Schema") {
            None => causes.push(Cause::required(path, "schemas are required")),
            Some(schema) => {
                if let Err(why) = Schema::parse(schema) {
                    causes.push(Cause::invalid(path, "\"\"", &why));
                }
            }
        }
    }
    causes
}

fn versions(definition: &Value) -> &[Value] {
    definition
        .pointer("/spec/versions")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The status that the real server's controllers would write soon after; `now` is the moment of the change.
pub fn status(definition: &Value, now: &str) -> Value {
    let mut stored: Vec<&Value> = definition
        .pointer("/status/storedVersions")
        .and_then(Value::as_array)
        .map(|list| list.iter().collect())
        .unwrap_or_default();
    let storage = versions(definition)
        .iter()
        .find(|version| version["storage"] == json!(true))
        .map(|version| &version["name"]);
    if let Some(storage) = storage
        && !stored.contains(&storage)
    {
        stored.push(storage);
    }
    let conditions = match definition.pointer("/status/conditions") {
        Some(Value::Array(list)) if !list.is_empty() => Value::Array(list.clone()),
        _ => json!([
            {
                "type": "NamesAccepted", "status": "True", "lastTransitionTime": now,
                "reason": "NoConflicts", "message": "no conflicts found",
            },
            {
                "type": "Established", "status": "True", "lastTransitionTime": now,
                "reason": "InitialNamesAccepted", "message": "the initial names have been accepted",
            },
        ]),
    };
    json!({
        "conditions": conditions,
        "acceptedNames": definition.pointer("/spec/names").cloned().unwrap_or(Value::Null),
        "storedVersions": stored,
    })
}

/// The resources of a definition that passed `causes`, one for each version served.
pub fn resources(definition: &Value) -> Vec<Resource> {
    versions(definition)
        .iter()
        .filter(|version| version["served"] == json!(true))
        .filter_map(|version| resource(definition, version))
        .collect()
}

fn resource(definition: &Value, version: &Value) -> Option<Resource> {
    let text = |pointer: &str| {
        definition
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or("")
            .to_owned()
    };
    let words = |pointer: &str| -> Vec<String> {
        definition
            .pointer(pointer)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let written = version.pointer("/schema/openAPIV3Schema")?.clone();
    let schema = Schema::parse(&written).ok()?;
    let has_status = version.pointer("/subresources/status").is_some();
    Some(Resource {
        kind: Kind {
            group: text("/spec/group"),
            version: version["name"].as_str()?.to_owned(),
            kind: text("/spec/names/kind"),
        },
        plural: text("/spec/names/plural"),
        singular: text("/spec/names/singular"),
        list_kind: text("/spec/names/listKind"),
        short_names: words("/spec/names/shortNames"),
        categories: words("/spec/names/categories"),
        is_namespaced: text("/spec/scope") == "Namespaced",
        verbs: custom_verbs(),
        has_status,
        scale: version.pointer("/subresources/scale").map(scale_paths),
        generation: if has_status {
            Generation::Spec
        } else {
            Generation::Everything
        },
        custom: Some(Custom {
            schema,
            written,
            columns: columns(version),
        }),
        collection: metadata::text(definition, "name").to_owned(),
    })
}

fn scale_paths(scale: &Value) -> ScalePaths {
    let path = |key: &str| -> Option<Vec<String>> {
        let text = scale.get(key)?.as_str()?;
        Some(
            text.trim_start_matches('.')
                .split('.')
                .map(str::to_owned)
                .collect(),
        )
    };
    ScalePaths {
        spec: path("specReplicasPath").unwrap_or_default(),
        status: path("statusReplicasPath").unwrap_or_default(),
        selector: path("labelSelectorPath"),
    }
}

fn columns(version: &Value) -> Vec<Column> {
    let Some(list) = version
        .get("additionalPrinterColumns")
        .and_then(Value::as_array)
        .filter(|list| !list.is_empty())
    else {
        return vec![Column {
            name: "Age".into(),
            kind: "date".into(),
            format: String::new(),
            description: "How long ago the object was created.".into(),
            priority: 0,
            path: ".metadata.creationTimestamp".into(),
        }];
    };
    list.iter()
        .map(|column| {
            let text = |key: &str| {
                column
                    .get(key)
                    .and_then(Value::as_str)
                    .unwrap_or("")
                    .to_owned()
            };
            let path = text("jsonPath");
            Column {
                name: text("name"),
                kind: text("type"),
                format: text("format"),
                description: match text("description") {
                    none if none.is_empty() => {
                        format!("Custom resource definition column (in JSONPath format): {path}")
                    }
                    some => some,
                },
                priority: column.get("priority").and_then(Value::as_i64).unwrap_or(0),
                path,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition() -> Value {
        json!({
            "metadata": {"name": "widgets.example.dev"},
            "spec": {
                "group": "example.dev", "scope": "Namespaced",
                "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object"}},
                    "subresources": {"scale": {"specReplicasPath": ".spec.instances", "statusReplicasPath": ".status.instances"}},
                }],
            },
        })
    }

    #[test]
    fn a_definition_gives_a_resource_for_each_served_version() {
        let resources = resources(&definition());
        assert_eq!(resources.len(), 1);
        let widget = &resources[0];
        assert_eq!(widget.collection, "widgets.example.dev");
        assert_eq!(widget.scale.as_ref().unwrap().spec, ["spec", "instances"]);
        assert_eq!(widget.generation, Generation::Everything);
        assert_eq!(widget.custom.as_ref().unwrap().columns[0].name, "Age");
    }

    #[test]
    fn a_name_that_does_not_say_plural_and_group_is_refused() {
        assert!(causes(&definition()).is_empty());
        let mut wrong = definition();
        wrong["metadata"]["name"] = "gadgets.example.dev".into();
        wrong["spec"]["versions"][0]["storage"] = false.into();
        let fields: Vec<String> = causes(&wrong)
            .into_iter()
            .map(|cause| cause.field)
            .collect();
        assert_eq!(fields, ["metadata.name", "spec.versions"]);
    }

    #[test]
    fn the_status_is_that_of_accepted_names() {
        let status = status(&definition(), "2026-01-01T00:00:00Z");
        assert_eq!(status["storedVersions"], json!(["v1"]));
        assert_eq!(status["conditions"][1]["type"], "Established");
    }
}
