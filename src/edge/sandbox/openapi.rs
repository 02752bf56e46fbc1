//! OpenAPI documents, as far as kubectl reads them: which kinds take `fieldValidation`, and the schemas of custom kinds.
//!
//! The built-in kinds are described by their metadata alone; kubectl has their types compiled in. Version 2 exists in
//! JSON only.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::resource::{Registry, Resource};

const METADATA: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// `/openapi/v3`: where the document of each group and version is. The address changes with the document, since clients
/// keep what they read.
pub fn index(registry: &Registry) -> Value {
    let mut paths = Map::new();
    for (group, versions) in registry.groups() {
        for version in versions {
            let path = path_of(group, version);
            let hash = document(registry, group, version)
                .map(|document| hash(&document))
                .unwrap_or_default();
            let address = format!("/openapi/v3/{path}?hash={hash}");
            paths.insert(path, json!({"serverRelativeURL": address}));
        }
    }
    json!({"paths": paths})
}

fn path_of(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("api/{version}")
    } else {
        format!("apis/{group}/{version}")
    }
}

fn hash(document: &Value) -> String {
    Sha256::digest(document.to_string().as_bytes())
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect()
}

/// The document of one group and version.
pub fn document(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for resource in registry.in_version(group, version) {
        let name = schema_name(resource);
        schemas.insert(name.clone(), schema(resource, "#/components/schemas/"));
        add_paths(&mut paths, resource, |media_types| {
            let reference = json!({"$ref": format!("#/components/schemas/{name}")});
            let content: Map<String, Value> = media_types
                .iter()
                .map(|media_type| ((*media_type).to_owned(), json!({"schema": reference})))
                .collect();
            json!({"requestBody": {"content": content, "required": true}})
        });
    }
    if paths.is_empty() {
        return None;
    }
    schemas.insert(METADATA.into(), metadata_schema());
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.36.3"},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

/// `/openapi/v2`, everything in one.
pub fn version_two(registry: &Registry) -> Value {
    let mut paths = Map::new();
    let mut definitions = Map::new();
    for resource in registry.all() {
        definitions.insert(schema_name(resource), schema(resource, "#/definitions/"));
        add_paths(
            &mut paths,
            resource,
            |media_types| json!({"consumes": media_types}),
        );
    }
    definitions.insert(METADATA.into(), metadata_schema());
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "v1.36.3"},
        "paths": paths,
        "definitions": definitions,
    })
}

/// The operations that kubectl looks for: which media types a patch takes, and its parameters.
fn add_paths(paths: &mut Map<String, Value>, resource: &Resource, body: impl Fn(&[&str]) -> Value) {
    let kind = &resource.kind;
    let root = path_of(&kind.group, &kind.version);
    let collection = if resource.is_namespaced {
        format!("/{root}/namespaces/{{namespace}}/{}", resource.plural)
    } else {
        format!("/{root}/{}", resource.plural)
    };
    let operation = |action: &str, media_types: &[&str], parameters: &[&str]| {
        let mut operation = body(media_types);
        operation["x-kubernetes-action"] = action.into();
        operation["x-kubernetes-group-version-kind"] = json!({
            "group": kind.group, "version": kind.version, "kind": kind.kind,
        });
        operation["parameters"] = parameters
            .iter()
            .map(|name| {
                let of_type = if *name == "force" { "boolean" } else { "string" };
                json!({"name": name, "in": "query", "schema": {"type": of_type, "uniqueItems": true}})
            })
            .collect();
        operation["responses"] = json!({"200": {"description": "OK"}});
        operation
    };
    let write = ["dryRun", "fieldManager", "fieldValidation"];
    let patch = ["dryRun", "fieldManager", "fieldValidation", "force"];
    let any = ["*/*"];
    // Strategic merge is not offered: kubectl then merges with the types compiled into it, which know more.
    let patches = [super::patch::APPLY, super::patch::JSON, super::patch::MERGE];
    paths.insert(
        format!("{collection}/{{name}}"),
        json!({
            "put": operation("put", &any, &write),
            "patch": operation("patch", &patches, &patch),
        }),
    );
    paths.insert(collection, json!({"post": operation("post", &any, &write)}));
}

/// Groups are turned round, as the real server does: `io.stackgres.v1.SGCluster`.
fn schema_name(resource: &Resource) -> String {
    let kind = &resource.kind;
    if resource.custom.is_none() {
        let group = match kind.group.as_str() {
            "" => "core",
            group => group.split('.').next().unwrap_or(group),
        };
        return format!("io.k8s.api.{group}.{}.{}", kind.version, kind.kind);
    }
    let turned: Vec<&str> = kind.group.rsplit('.').collect();
    format!("{}.{}.{}", turned.join("."), kind.version, kind.kind)
}

fn schema(resource: &Resource, references: &str) -> Value {
    let mut schema = match &resource.custom {
        Some(custom) => custom.written.clone(),
        None => json!({"type": "object"}),
    };
    if let Some(fields) = schema.as_object_mut() {
        let properties = fields.entry("properties").or_insert_with(|| json!({}));
        if let Some(properties) = properties.as_object_mut() {
            properties.insert(
                "apiVersion".into(),
                json!({"type": "string", "description": "The group and version that the object is written in."}),
            );
            properties.insert(
                "kind".into(),
                json!({"type": "string", "description": "What the object is."}),
            );
            properties.insert(
                "metadata".into(),
                json!({
                    "description": "Standard object's metadata.",
                    "allOf": [{"$ref": format!("{references}{METADATA}")}],
                }),
            );
        }
        fields.insert(
            "x-kubernetes-group-version-kind".into(),
            json!([{
                "group": resource.kind.group,
                "version": resource.kind.version,
                "kind": resource.kind.kind,
            }]),
        );
    }
    schema
}

fn metadata_schema() -> Value {
    let text = |words: &str| json!({"type": "string", "description": words});
    let texts = |words: &str| json!({"type": "object", "additionalProperties": {"type": "string"}, "description": words});
    json!({
        "type": "object",
        "description": "What every object has alike.",
        "properties": {
            "annotations": texts("Anything tools keep with an object; not selected by."),
            "creationTimestamp": text("When the object was created, set by the server."),
            "deletionTimestamp": text("When its deletion was asked for, set by the server."),
            "finalizers": {"type": "array", "items": {"type": "string"}, "description": "What has to be done before the object can go."},
            "generateName": text("A prefix from which the server makes a name."),
            "generation": {"type": "integer", "description": "How often the wanted state changed, set by the server."},
            "labels": texts("By which objects are selected."),
            "managedFields": {"type": "array", "items": {"type": "object"}, "description": "Who set which fields."},
            "name": text("What the object is called; unique within its namespace."),
            "namespace": text("Where the object is."),
            "ownerReferences": {"type": "array", "items": {"type": "object"}, "description": "The objects it depends on."},
            "resourceVersion": text("The version it was last written at, for optimistic locking."),
            "uid": text("Its identity in time and space, set by the server."),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_of_every_kind_takes_field_validation() {
        let registry = Registry::of([]);
        let index = index(&registry);
        for path in index["paths"].as_object().unwrap().keys() {
            let (group, version) = match path.split('/').collect::<Vec<_>>()[..] {
                ["api", version] => ("", version),
                ["apis", group, version] => (group, version),
                _ => panic!("{path}"),
            };
            let document = document(&registry, group, version).unwrap();
            let patches: Vec<&Value> = document["paths"]
                .as_object()
                .unwrap()
                .values()
                .filter_map(|path| path.get("patch"))
                .collect();
            assert!(!patches.is_empty());
            for patch in patches {
                assert!(patch["parameters"].to_string().contains("fieldValidation"));
            }
        }
        assert!(document(&registry, "none", "v1").is_none());
    }
}
