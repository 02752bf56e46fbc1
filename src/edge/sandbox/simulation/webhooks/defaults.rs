//! What the mutating webhook writes into an SGCluster: `domain` §1.3.
//!
//! Defaults that the CRD declares are the API server's and not repeated here.

use serde_json::{Map, Value, json};

use super::{at, text};

const OPERATOR_VERSION: &str = "1.16.3";
/// The newest major version that the simulated operator knows; `latest` means it.
const LATEST_MAJOR: &str = "17";

pub(super) fn complete(object: &mut Value, old: Option<&Value>, is_create: bool) {
    let name = text(object, &["metadata", "name"])
        .unwrap_or_default()
        .to_owned();
    let major =
        major(text(object, &["spec", "postgres", "version"]).unwrap_or_default()).to_owned();
    if is_create {
        default(
            object,
            &["metadata", "annotations"],
            "stackgres.io/operatorVersion",
            json!(OPERATOR_VERSION),
        );
        default(
            object,
            &["spec"],
            "sgInstanceProfile",
            json!(format!("{name}-default")),
        );
        default(
            object,
            &["spec", "configurations"],
            "sgPoolingConfig",
            json!(format!("{name}-default")),
        );
        default(
            object,
            &["spec", "configurations"],
            "sgPostgresConfig",
            json!(format!("{name}-{major}-default")),
        );
        if at(object, &["spec", "initialData", "restore"]).is_some() {
            default(
                object,
                &["spec", "initialData", "restore"],
                "downloadDiskConcurrency",
                json!(1),
            );
        }
    }
    if at(object, &["spec", "postgres"]).is_some() {
        default(object, &["spec", "postgres"], "flavor", json!("vanilla"));
    }
    for service in ["primary", "replicas"] {
        let path = ["spec", "postgresServices", service];
        default(object, &path, "enabled", json!(true));
        default(object, &path, "type", json!("ClusterIP"));
    }
    complete_replication(object);
    complete_observability(object, old);
    complete_scripts(object, &name);
    if at(object, &["spec", "pods"]).is_some() {
        let path = ["spec", "pods", "updateStrategy"];
        let is_known = matches!(
            text(object, &["spec", "pods", "updateStrategy", "type"]),
            Some("Always" | "Schedule" | "OnlyDbOps" | "Never")
        );
        if !is_known && let Some(strategy) = section(object, &path) {
            strategy.insert("type".into(), json!("OnlyDbOps"));
        }
    }
}

fn complete_replication(object: &mut Value) {
    let path = ["spec", "replication"];
    default(object, &path, "mode", json!("async"));
    default(object, &path, "role", json!("ha-read"));
    if matches!(
        text(object, &["spec", "replication", "mode"]),
        Some("sync" | "strict-sync")
    ) {
        default(object, &path, "syncInstances", json!(1));
    }
    let instances = at(object, &["spec", "instances"]).and_then(Value::as_u64);
    let least = at(object, &["spec", "autoscaling", "minInstances"]).and_then(Value::as_u64);
    let Some(Value::Array(groups)) = object.pointer_mut("/spec/replication/groups") else {
        return;
    };
    for (index, group) in groups.iter_mut().enumerate() {
        let Some(group) = group.as_object_mut() else {
            continue;
        };
        put(group, "name", json!(format!("group-{}", index + 1)));
        put(group, "role", json!("ha-read"));
        let share = group.get("minInstances").and_then(Value::as_u64);
        if let (Some(share), Some(instances), Some(least)) = (share, instances, least)
            && least > 0
        {
            group.insert(
                "instances".into(),
                json!(share.saturating_mul(instances) / least),
            );
        }
    }
}

/// The two spellings of one setting follow each other; a changed new spelling wins.
fn complete_observability(object: &mut Value, old: Option<&Value>) {
    const NEW: [&str; 4] = ["spec", "configurations", "observability", "disableMetrics"];
    const FORMER: [&str; 3] = ["spec", "pods", "disableMetricsExporter"];
    if at(object, &["spec", "pods"]).is_none() {
        return;
    }
    let flag = |object: &Value, path: &[&str]| at(object, path).and_then(Value::as_bool);
    let now = flag(object, &NEW);
    let before = old.and_then(|old| flag(old, &NEW));
    let value = match now {
        Some(now) if before.is_some_and(|before| before != now) => now,
        Some(_) | None => flag(object, &FORMER).or(now).unwrap_or(false),
    };
    if let Some(observability) = section(object, &NEW[..3]) {
        observability.insert("disableMetrics".into(), json!(value));
        put(observability, "prometheusAutobind", json!(false));
    }
    if let Some(pods) = section(object, &FORMER[..2]) {
        pods.insert("disableMetricsExporter".into(), json!(value));
    }
}

fn complete_scripts(object: &mut Value, name: &str) {
    let Some(managed) = section(object, &["spec", "managedSql"]) else {
        return;
    };
    put(managed, "continueOnSGScriptError", json!(false));
    put(managed, "scripts", json!([]));
    let Some(scripts) = managed.get_mut("scripts").and_then(Value::as_array_mut) else {
        return;
    };
    let id = |script: &Value| {
        script
            .get("id")
            .and_then(Value::as_i64)
            .filter(|id| *id >= 0)
    };
    let mut last = scripts.iter().filter_map(id).max().unwrap_or(-1);
    let own = format!("{name}-default");
    if !scripts
        .iter()
        .any(|script| script.get("sgScript").and_then(Value::as_str) == Some(&own))
    {
        last += 1;
        scripts.insert(0, json!({"id": last, "sgScript": own}));
    }
    let mut ids = Vec::new();
    for script in scripts.iter_mut() {
        if id(script).is_none()
            && let Some(script) = script.as_object_mut()
        {
            last += 1;
            script.insert("id".into(), json!(last));
        }
        ids.extend(id(script));
    }
    let known = at(object, &["status", "managedSql", "scripts"])
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let mirrored: Vec<Value> = ids
        .into_iter()
        .map(|id| {
            known
                .iter()
                .find(|entry| entry.get("id").and_then(Value::as_i64) == Some(id))
                .cloned()
                .unwrap_or_else(|| json!({"id": id}))
        })
        .collect();
    if let Some(status) = section(object, &["status", "managedSql"]) {
        status.insert("scripts".into(), Value::Array(mirrored));
    }
}

fn major(version: &str) -> &str {
    match version.split('.').next() {
        None | Some("" | "latest") => LATEST_MAJOR,
        Some(major) => major,
    }
}

/// The object at a path, made where there is none; nothing where something else is in the way.
fn section<'v>(object: &'v mut Value, path: &[&str]) -> Option<&'v mut Map<String, Value>> {
    let mut at = object.as_object_mut()?;
    for key in path {
        let next = at.entry((*key).to_owned()).or_insert(Value::Null);
        if next.is_null() {
            *next = json!({});
        }
        at = next.as_object_mut()?;
    }
    Some(at)
}

fn put(section: &mut Map<String, Value>, key: &str, value: Value) {
    if section.get(key).is_none_or(Value::is_null) {
        section.insert(key.to_owned(), value);
    }
}

fn default(object: &mut Value, path: &[&str], key: &str, value: Value) {
    if let Some(section) = section(object, path) {
        put(section, key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(spec: Value) -> Value {
        let mut object = json!({"metadata": {"name": "db"}, "spec": spec});
        complete(&mut object, None, true);
        object
    }

    #[test]
    fn a_minimal_cluster_comes_back_whole() {
        let object = completed(json!({
            "instances": 1, "postgres": {"version": "16"}, "pods": {"persistentVolume": {"size": "1Gi"}},
        }));
        insta::assert_snapshot!(serde_json::to_string_pretty(&object).unwrap(), @r#"
        {
          "metadata": {
            "name": "db",
            "annotations": {
              "stackgres.io/operatorVersion": "1.16.3"
            }
          },
          "spec": {
            "instances": 1,
            "postgres": {
              "version": "16",
              "flavor": "vanilla"
            },
            "pods": {
              "persistentVolume": {
                "size": "1Gi"
              },
              "disableMetricsExporter": false,
              "updateStrategy": {
                "type": "OnlyDbOps"
              }
            },
            "sgInstanceProfile": "db-default",
            "configurations": {
              "sgPoolingConfig": "db-default",
              "sgPostgresConfig": "db-16-default",
              "observability": {
                "disableMetrics": false,
                "prometheusAutobind": false
              }
            },
            "postgresServices": {
              "primary": {
                "enabled": true,
                "type": "ClusterIP"
              },
              "replicas": {
                "enabled": true,
                "type": "ClusterIP"
              }
            },
            "replication": {
              "mode": "async",
              "role": "ha-read"
            },
            "managedSql": {
              "continueOnSGScriptError": false,
              "scripts": [
                {
                  "id": 0,
                  "sgScript": "db-default"
                }
              ]
            }
          },
          "status": {
            "managedSql": {
              "scripts": [
                {
                  "id": 0
                }
              ]
            }
          }
        }
        "#);
    }

    #[test]
    fn a_second_write_changes_nothing() {
        let once = completed(json!({
            "instances": 3, "postgres": {"version": "16"}, "pods": {},
            "replication": {"mode": "sync", "groups": [{"instances": 1}]},
        }));
        let mut twice = once.clone();
        complete(&mut twice, Some(&once), false);
        assert_eq!(once, twice);
    }

    #[test]
    fn a_mode_that_counts_gets_its_count_and_others_do_not() {
        for (mode, count) in [
            ("async", None),
            ("sync", Some(1)),
            ("strict-sync", Some(1)),
            ("sync-all", None),
            ("strict-sync-all", None),
        ] {
            let object = completed(json!({"replication": {"mode": mode}}));
            let found = object["spec"]["replication"]["syncInstances"].as_i64();
            assert_eq!(found, count, "{mode}");
        }
    }

    #[test]
    fn groups_get_names_and_roles_and_their_share_of_an_autoscaled_cluster() {
        let object = completed(json!({
            "instances": 5, "autoscaling": {"minInstances": 2},
            "replication": {"groups": [{"instances": 1}, {"instances": 1, "role": "none", "minInstances": 1}]},
        }));
        assert_eq!(
            object["spec"]["replication"]["groups"],
            json!([
                {"instances": 1, "name": "group-1", "role": "ha-read"},
                {"instances": 2, "role": "none", "minInstances": 1, "name": "group-2"},
            ])
        );
    }

    #[test]
    fn own_scripts_are_numbered_after_the_default_one() {
        let object = completed(json!({"managedSql": {"scripts": [{"sgScript": "own", "id": -1}]}}));
        assert_eq!(
            object["spec"]["managedSql"]["scripts"],
            json!([{"id": 0, "sgScript": "db-default"}, {"sgScript": "own", "id": 1}])
        );
    }

    #[test]
    fn defaults_for_a_new_cluster_are_not_written_on_update() {
        let mut object =
            json!({"metadata": {"name": "db"}, "spec": {"postgres": {"version": "16"}}});
        complete(&mut object, None, false);
        assert!(object["spec"].get("sgInstanceProfile").is_none());
    }
}
