//! The StackGres custom resource definitions, in two generations, and the fields that are gone or have no effect.
//!
//! They are Lockstep's own writing of documented facts (names, types, defaults, limits): what `check` judges by without
//! a cluster, and what the sandbox installs. A command with a cluster judges by that cluster's definitions.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::field::{FieldPath, Segment};
use super::key::Kind;
use super::schema::Schema;

/// Which StackGres the definitions are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Generation {
    /// 1.16, the last with `spec.prometheusAutobind`.
    V1_16,
    /// 1.17 and later.
    Current,
}

const TEXTS: [&str; 7] = [
    include_str!("crd/sgbackup.yaml"),
    include_str!("crd/sgcluster.yaml"),
    include_str!("crd/sgdbops.yaml"),
    include_str!("crd/sginstanceprofile.yaml"),
    include_str!("crd/sgobjectstorage.yaml"),
    include_str!("crd/sgpoolingconfig.yaml"),
    include_str!("crd/sgpostgresconfig.yaml"),
];

struct Known {
    definitions: Vec<Value>,
    schemas: BTreeMap<Kind, Schema>,
}

static V1_16: LazyLock<Known> = LazyLock::new(|| known(Generation::V1_16));
static CURRENT: LazyLock<Known> = LazyLock::new(|| known(Generation::Current));

fn of(generation: Generation) -> &'static Known {
    match generation {
        Generation::V1_16 => &V1_16,
        Generation::Current => &CURRENT,
    }
}

/// The `CustomResourceDefinition` objects, as an API server takes them.
pub fn definitions(generation: Generation) -> Vec<Value> {
    of(generation).definitions.clone()
}

/// The schema of a kind in the version it is served in; nothing for a kind or version that is not defined here.
pub fn schema(generation: Generation, kind: &Kind) -> Option<&'static Schema> {
    of(generation).schemas.get(kind)
}

/// The kinds defined here, with their one version each.
pub fn kinds(generation: Generation) -> impl Iterator<Item = &'static Kind> {
    of(generation).schemas.keys()
}

fn known(generation: Generation) -> Known {
    let definitions: Vec<Value> = TEXTS
        .iter()
        .map(|text| {
            let mut definition = serde_yaml::from_str(text)
                .expect("the definitions are part of the program and read by its tests");
            if generation == Generation::V1_16 {
                turn_back(&mut definition);
            }
            definition
        })
        .collect();
    let schemas = definitions
        .iter()
        .map(|definition| {
            let version = &definition["spec"]["versions"][0]["name"];
            let version = version.as_str().unwrap_or_default();
            let schema = Schema::of_definition(definition, version)
                .expect("the definitions are part of the program and read by its tests");
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let kind = Kind {
                group: text(&definition["spec"]["group"]),
                version: version.to_owned(),
                kind: text(&definition["spec"]["names"]["kind"]),
            };
            (kind, schema)
        })
        .collect();
    Known {
        definitions,
        schemas,
    }
}

/// Makes today's SGCluster definition the one of 1.16: a field more, and Envoy on unless it is disabled.
fn turn_back(definition: &mut Value) {
    let schema = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
    let is_cluster = definition["spec"]["names"]["kind"] == "SGCluster";
    let Some(spec) = definition.pointer_mut(schema).filter(|_| is_cluster) else {
        return;
    };
    spec["prometheusAutobind"] = json!({
        "type": "boolean",
        "description": "Deprecated; use configurations.observability.prometheusAutobind.",
    });
    spec["pods"]["properties"]["disableEnvoy"]["default"] = json!(false);
}

/// A field of old manifests that is not to be used any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Former {
    pub kind: &'static str,
    /// As a `FieldPath` is shown, with `[]` for every index.
    pub field: &'static str,
    pub fate: Fate,
    /// What takes its place: a field in the same notation, or a kind.
    pub instead: Option<&'static str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Not in the definition since this StackGres version.
    Removed { since: &'static str },
    /// In the definition, and refused by the operator's webhook.
    Refused,
    /// In the definition, accepted, and ignored.
    NoEffect,
}

/// Sources: the StackGres changelog and definitions.
pub const FORMER_FIELDS: [Former; 10] = [
    Former {
        kind: "SGCluster",
        field: "spec.prometheusAutobind",
        fate: Fate::Removed { since: "1.17" },
        instead: Some("spec.configurations.observability.prometheusAutobind"),
    },
    Former {
        kind: "SGCluster",
        field: "spec.flavor",
        fate: Fate::Removed { since: "1.1" },
        instead: Some("spec.postgres.flavor"),
    },
    Former {
        kind: "SGCluster",
        field: "spec.configurations.sgBackupConfig",
        fate: Fate::Removed { since: "1.3" },
        instead: Some("spec.configurations.backups[].sgObjectStorage"),
    },
    Former {
        kind: "SGCluster",
        field: "spec.configurations.backupPath",
        fate: Fate::Removed { since: "1.3" },
        instead: Some("spec.configurations.backups[].path"),
    },
    Former {
        kind: "SGCluster",
        field: "spec.initialData.scripts",
        fate: Fate::Refused,
        instead: Some("spec.managedSql.scripts"),
    },
    Former {
        kind: "SGCluster",
        field: "spec.initialData.restore.fromBackup.uid",
        fate: Fate::Refused,
        instead: Some("spec.initialData.restore.fromBackup.name"),
    },
    Former {
        kind: "SGCluster",
        field: "spec.nonProductionOptions.enableSetPatroniCpuRequests",
        fate: Fate::NoEffect,
        instead: None,
    },
    Former {
        kind: "SGCluster",
        field: "spec.nonProductionOptions.enableSetClusterCpuRequests",
        fate: Fate::NoEffect,
        instead: None,
    },
    Former {
        kind: "SGCluster",
        field: "spec.nonProductionOptions.enableSetPatroniMemoryRequests",
        fate: Fate::NoEffect,
        instead: None,
    },
    Former {
        kind: "SGCluster",
        field: "spec.nonProductionOptions.enableSetClusterMemoryRequests",
        fate: Fate::NoEffect,
        instead: None,
    },
];

/// Kinds of old manifests that no StackGres since 1.3 has, and what takes their place.
pub const FORMER_KINDS: [(&str, &str); 1] = [(
    "SGBackupConfig",
    "an SGObjectStorage and spec.configurations.backups of the SGCluster",
)];

/// What became of a field, or of the field it is a part of.
pub fn former(kind: &str, path: &FieldPath) -> Option<&'static Former> {
    FORMER_FIELDS
        .iter()
        .filter(|former| former.kind == kind)
        .find(|former| {
            let names = former.field.split('.');
            let mut segments = path.0.iter().filter_map(|segment| match segment {
                Segment::Key(key) => Some(key.as_str()),
                Segment::Index(_) => None,
            });
            names
                .map(|name| name.trim_end_matches("[]"))
                .all(|name| segments.next() == Some(name))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(generation: Generation) -> &'static Schema {
        let kind = Kind::from_api_version("stackgres.io/v1", "SGCluster");
        schema(generation, &kind).unwrap()
    }

    /// The manifest that Lockstep grew from.
    fn sync_cluster() -> Value {
        json!({
            "apiVersion": "stackgres.io/v1", "kind": "SGCluster",
            "metadata": {"name": "sync-cluster", "namespace": "demo"},
            "spec": {
                "instances": 4,
                "postgres": {"version": "16"},
                "pods": {"persistentVolume": {"size": "5Gi"}},
                "prometheusAutobind": true,
                "replication": {"mode": "sync-all", "syncInstances": 1}}})
    }

    fn unknown(generation: Generation) -> Vec<String> {
        let unknown = cluster(generation).unknown_fields(&sync_cluster());
        unknown.iter().map(FieldPath::to_string).collect()
    }

    #[test]
    fn a_field_removed_in_1_17_is_known_to_1_16_alone() {
        assert_eq!(unknown(Generation::Current), ["spec.prometheusAutobind"]);
        assert_eq!(unknown(Generation::V1_16), Vec::<String>::new());
        assert_eq!(cluster(Generation::V1_16).violations(&sync_cluster()), []);
    }

    #[test]
    fn a_small_manifest_comes_back_with_the_defaults_of_its_generation() {
        let complete = |generation| {
            let mut object = json!({"spec": {
                "instances": 1, "postgres": {"version": "16"}, "pods": {"persistentVolume": {"size": "5Gi"}}}});
            cluster(generation).apply_defaults(&mut object);
            serde_json::to_string_pretty(&object["spec"]).unwrap()
        };
        insta::assert_snapshot!(complete(Generation::Current), @r#"
        {
          "instances": 1,
          "postgres": {
            "version": "16",
            "flavor": "vanilla",
            "ssl": {
              "enabled": true
            }
          },
          "pods": {
            "persistentVolume": {
              "size": "5Gi"
            },
            "disableConnectionPooling": false,
            "disableEnvoy": true,
            "disableMetricsExporter": false,
            "disablePostgresUtil": false,
            "managementPolicy": "OrderedReady",
            "updateStrategy": {
              "type": "OnlyDbOps",
              "method": "InPlace"
            }
          },
          "profile": "production"
        }
        "#);
        assert!(complete(Generation::V1_16).contains(r#""disableEnvoy": false"#));
    }

    #[test]
    fn every_kind_has_the_version_and_plural_that_references_count_on() {
        let names: Vec<String> = definitions(Generation::Current)
            .iter()
            .map(|definition| {
                let spec = &definition["spec"];
                let (plural, version) = (&spec["names"]["plural"], &spec["versions"][0]["name"]);
                assert_eq!(
                    definition["metadata"]["name"],
                    format!("{}.stackgres.io", plural.as_str().unwrap())
                );
                assert!(spec["versions"][0]["subresources"]["status"].is_null());
                format!("{version} {plural}").replace('"', "")
            })
            .collect();
        assert_eq!(
            names,
            [
                "v1 sgbackups",
                "v1 sgclusters",
                "v1 sgdbops",
                "v1 sginstanceprofiles",
                "v1beta1 sgobjectstorages",
                "v1 sgpoolconfigs",
                "v1 sgpgconfigs"
            ]
        );
        assert_eq!(kinds(Generation::V1_16).count(), names.len());
    }

    /// A path in the notation of `Former`.
    fn path(field: &str) -> FieldPath {
        field.split('.').fold(FieldPath::root(), |path, name| {
            match name.strip_suffix("[]") {
                Some(name) => path.key(name).index(0),
                None => path.key(name),
            }
        })
    }

    #[test]
    fn what_is_gone_is_not_declared_and_what_replaces_it_is() {
        let schema = cluster(Generation::Current);
        for Former {
            kind: _,
            field,
            fate,
            instead,
        } in FORMER_FIELDS
        {
            let is_removed = matches!(fate, Fate::Removed { .. });
            assert_eq!(schema.at(&path(field)).is_none(), is_removed, "{field}");
            if let Some(instead) = instead {
                assert!(schema.at(&path(instead)).is_some(), "{instead}");
            }
        }
    }

    #[test]
    fn a_part_of_a_former_field_is_found_by_it() {
        let part = path("spec.initialData.scripts[].script");
        assert_eq!(
            former("SGCluster", &part).unwrap().field,
            "spec.initialData.scripts"
        );
        assert_eq!(former("SGCluster", &path("spec.initialData")), None);
        assert_eq!(former("SGDbOps", &path("spec.flavor")), None);
    }
}
