//! What the validating webhook refuses of an SGCluster, in its own words: `domain` §1.4, the lock §4.4.
//!
//! Left out: whether a storage class lets a volume grow (the sandbox has no storage classes; growing is accepted).

use serde_json::{Map, Value};

use super::{Refused, at, text};

const LOCKED: &str = "SGCluster update is forbidden. It is locked by some SGBackup or SGDbOps that is currently running. \
                      Please, wait for the operation to finish, stop the operation by deleting it or wait for the lock \
                      duration of 60 seconds to expire.";

/// The first reason, constraints of the model before everything else. `now` is in Unix seconds.
pub(super) fn refused(old: Option<&Value>, new: &Value, now: i64) -> Option<Refused> {
    let mut problems = Problems::default();
    problems.sections(new);
    problems.replication(new);
    problems.autoscaling(new);
    problems.source(new);
    problems.words(new);
    if !problems.0.is_empty() {
        return Some(Refused {
            code: 422,
            message: format!(
                "SGCluster has invalid properties. {}",
                problems.0.join(", ")
            ),
        });
    }
    if let Some(old) = old
        && let Some(refused) = refused_change(old, new, now)
    {
        return Some(refused);
    }
    refused_content(new)
}

/// Constraints of the model, all that are broken.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn say(&mut self, is_broken: bool, message: &str) {
        if is_broken {
            self.0.push(message.to_owned());
        }
    }

    fn sections(&mut self, new: &Value) {
        for section in [
            "sgInstanceProfile",
            "postgres",
            "configurations",
            "pods",
            "postgresServices",
            "replication",
        ] {
            self.say(
                at(new, &["spec", section]).is_none(),
                &format!("{section} is required"),
            );
        }
        self.say(
            at(new, &["spec", "configurations"]).is_some()
                && at(new, &["spec", "configurations", "sgPostgresConfig"]).is_none(),
            "sgPostgresConfig is required",
        );
    }

    fn replication(&mut self, new: &Value) {
        let number = |path: &[&str]| at(new, path).and_then(Value::as_i64);
        let instances = number(&["spec", "instances"]).unwrap_or(0);
        self.say(instances < 0, "instances can not be negative");
        let mode = text(new, &["spec", "replication", "mode"]).unwrap_or("async");
        self.say(
            !matches!(
                mode,
                "async" | "sync" | "strict-sync" | "sync-all" | "strict-sync-all"
            ),
            "mode must be async, sync, sync-all, strict-sync or strict-sync-all",
        );
        let role = text(new, &["spec", "replication", "role"]).unwrap_or("ha-read");
        self.say(
            !matches!(role, "ha" | "ha-read"),
            "role must be ha or ha-read",
        );
        let none = Vec::new();
        let groups = at(new, &["spec", "replication", "groups"])
            .and_then(Value::as_array)
            .unwrap_or(&none);
        let mut grouped = 0;
        let mut least = 0;
        for group in groups {
            let role = text(group, &["role"]).unwrap_or_default();
            self.say(
                !matches!(role, "ha" | "ha-read" | "readonly" | "none"),
                "role must be ha, ha-read, readonly or none",
            );
            let size = at(group, &["instances"])
                .and_then(Value::as_i64)
                .unwrap_or(0);
            self.say(
                size < 1,
                "You need at least 1 instance in the replication group",
            );
            grouped += size;
            least += at(group, &["minInstances"])
                .and_then(Value::as_i64)
                .unwrap_or(0);
        }
        self.say(
            instances > 0 && !groups.is_empty() && grouped >= instances,
            "The total number of instances must be greather than the number of instances in replication groups",
        );
        let count = number(&["spec", "replication", "syncInstances"]);
        if matches!(mode, "sync" | "strict-sync") {
            self.say(
                count.is_none(),
                "syncInstances must be set when mode is sync or strict-sync",
            );
            self.say(
                instances > 0 && count.is_some_and(|count| count >= instances),
                "The total number of instances must be greather than the number of synchronous replicas",
            );
        }
        self.say(
            least > 0
                && number(&["spec", "autoscaling", "minInstances"])
                    .is_some_and(|all| least >= all),
            "The total number of minInstances must be greather than the number of autoscaling minInstances in \
             replication groups",
        );
    }

    fn autoscaling(&mut self, new: &Value) {
        let Some(section) = at(new, &["spec", "autoscaling"]) else {
            return;
        };
        let mode = text(section, &["mode"]).unwrap_or("all");
        if matches!(mode, "all" | "horizontal") {
            for key in ["minInstances", "maxInstances"] {
                self.say(
                    at(section, &[key]).is_none(),
                    &format!("{key} is required when horizontal Pod autoscaling is enabled"),
                );
            }
        }
        if matches!(mode, "all" | "vertical") {
            for key in ["minAllowed", "maxAllowed"] {
                let allowed = at(section, &[key]);
                self.say(
                    allowed.is_none(),
                    &format!("{key} is required when vertical Pod autoscaling is enabled"),
                );
                self.say(
                    allowed.is_some_and(|allowed| {
                        ["patroni", "pgbouncer", "envoy"]
                            .iter()
                            .all(|part| at(allowed, &[part]).is_none())
                    }),
                    &format!(
                        "One or more of patroni, pgbouncer and envoy resources must be secified for {key}"
                    ),
                );
            }
        }
    }

    fn source(&mut self, new: &Value) {
        let Some(source) = at(new, &["spec", "replicateFrom"]) else {
            return;
        };
        let has = |path: &[&str]| at(source, path).is_some();
        let from_cluster = has(&["instance", "sgCluster"]);
        let from_external = has(&["instance", "external"]);
        self.say(
            !has(&["instance"]) && !has(&["storage"]),
            "One of internal or storage is required",
        );
        self.say(
            has(&["instance"]) && !from_cluster && !from_external,
            "One of sgCluster or external is required",
        );
        self.say(
            from_cluster && from_external,
            "sgCluster and external are mutually exclusive",
        );
        self.say(
            from_cluster && has(&["storage"]),
            "storage is forbidden when replicating from an SGCluster",
        );
        self.say(
            from_cluster && has(&["users"]),
            "users is forbidden when replicating from an SGCluster",
        );
        self.say(
            !from_cluster && (from_external || has(&["storage"])) && !has(&["users"]),
            "users is required when replicating from external instance or storage",
        );
    }

    fn words(&mut self, new: &Value) {
        for (path, words) in [
            (
                &["spec", "profile"][..],
                &["production", "testing", "development"][..],
            ),
            (
                &["spec", "pods", "managementPolicy"],
                &["OrderedReady", "Parallel"],
            ),
            (
                &["spec", "pods", "updateStrategy", "type"],
                &["Always", "Schedule", "OnlyDbOps", "Never"],
            ),
            (
                &["spec", "pods", "updateStrategy", "method"],
                &["InPlace", "ReducedImpact"],
            ),
        ] {
            self.say(
                text(new, path).is_some_and(|word| !words.contains(&word)),
                &format!(
                    "{} must be one of {}",
                    path.last().copied().unwrap_or_default(),
                    words.join(", ")
                ),
            );
        }
        let backups = at(new, &["spec", "configurations", "backups"]).and_then(Value::as_array);
        for backup in backups.into_iter().flatten() {
            self.say(
                at(backup, &["retention"])
                    .and_then(Value::as_i64)
                    .is_some_and(|kept| kept < 1),
                "retention must be greater than zero",
            );
        }
    }
}

fn refused_change(old: &Value, new: &Value, now: i64) -> Option<Refused> {
    let has_changed = |path: &[&str]| at(old, path) != at(new, path);
    if is_locked(new, now) && has_changed(&["spec"]) {
        return Some(Refused::bad(LOCKED));
    }
    for key in ["postgresVersion", "buildVersion"] {
        if at(old, &["status", key]).is_some() && at(new, &["status", key]).is_none() {
            return Some(Refused::bad(
                "Setting postgresVersion or buildVersion to null is forbidden.",
            ));
        }
    }
    if has_changed(&["spec", "postgres", "flavor"]) {
        return Some(Refused::bad("postgres flavor can not be changed"));
    }
    if has_changed(&["spec", "initialData", "restore"]) {
        return Some(Refused::bad(
            "Cannot update SGCluster's restore configuration",
        ));
    }
    if initial_patroni(old) != initial_patroni(new) {
        return Some(Refused::bad("Cannot update patroni initial configuration"));
    }
    let size = |object| bytes(text(object, &["spec", "pods", "persistentVolume", "size"])?);
    if let (Some(before), Some(after)) = (size(old), size(new))
        && after < before
    {
        return Some(Refused::bad(
            "Decrease of persistent volume size is not supported",
        ));
    }
    None
}

fn refused_content(new: &Value) -> Option<Refused> {
    if at(new, &["spec", "initialData", "scripts"]).is_some() {
        return Some(Refused::bad(
            "scripts section is deprecated, please use .spec.managedSql.scripts section instead.",
        ));
    }
    if at(
        new,
        &["spec", "initialData", "restore", "fromBackup", "uid"],
    )
    .is_some()
    {
        return Some(Refused::bad(
            "uid section is deprecated, please use .spec.initialData.restore.fromBackup.name instead.",
        ));
    }
    if text(new, &["spec", "postgres", "flavor"]) == Some("babelfish") {
        let has_gate = at(
            new,
            &["spec", "nonProductionOptions", "enabledFeatureGates"],
        )
        .and_then(Value::as_array)
        .is_some_and(|gates| gates.contains(&Value::from("babelfish-flavor")));
        if !has_gate {
            return Some(Refused::bad(
                "To enable the babelfish flavor you must add the babelfish-flavor feature gate",
            ));
        }
        if at(new, &["spec", "instances"]).and_then(Value::as_i64) > Some(1) {
            return Some(Refused::bad(
                "The babelfish flavor supports one instance only",
            ));
        }
    }
    refused_scripts(new).or_else(|| refused_metadata(new))
}

fn refused_scripts(new: &Value) -> Option<Refused> {
    let ids = |path: &[&str]| -> Vec<i64> {
        at(new, path)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|entry| at(entry, &["id"])?.as_i64())
            .collect()
    };
    let entries = ids(&["spec", "managedSql", "scripts"]);
    let known = ids(&["status", "managedSql", "scripts"]);
    let is_repeated = entries
        .iter()
        .enumerate()
        .any(|(index, id)| entries[..index].contains(id));
    if is_repeated {
        return Some(Refused::bad("Script entries must contain unique ids"));
    }
    if known.iter().any(|id| !entries.contains(id)) {
        return Some(Refused::bad(
            "Script entries must contain a matching id for each script status entry",
        ));
    }
    if entries.iter().any(|id| !known.contains(id)) {
        return Some(Refused::bad(
            "Script status entries must contain a matching id for each script entry",
        ));
    }
    None
}

fn refused_metadata(new: &Value) -> Option<Refused> {
    for (section, is_label) in [("annotations", false), ("labels", true)] {
        let kinds = at(new, &["spec", "metadata", section]).and_then(Value::as_object);
        for (key, value) in kinds
            .into_iter()
            .flatten()
            .filter_map(|(_, entries)| entries.as_object())
            .flatten()
        {
            let name = key.rsplit_once('/').map_or(key.as_str(), |(_, name)| name);
            let is_value_good = !is_label
                || value
                    .as_str()
                    .is_none_or(|text| text.is_empty() || is_name(text));
            if !is_name(name) || !is_value_good {
                let what = section.trim_end_matches('s');
                return Some(Refused::bad(format!(
                    "For {what} {key} the name or value does not follow the Kubernetes syntax of {section}"
                )));
            }
        }
    }
    None
}

fn is_name(text: &str) -> bool {
    let is_edge = |c: char| c.is_ascii_alphanumeric();
    text.len() <= 63
        && text.starts_with(is_edge)
        && text.ends_with(is_edge)
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// The incoming object's own annotations decide, as in the real one.
fn is_locked(new: &Value, now: i64) -> bool {
    let annotation = |name| text(new, &["metadata", "annotations", name]);
    annotation("stackgres.io/lockPod").is_some()
        && annotation("stackgres.io/lockTimeout")
            .and_then(|until| until.parse::<i64>().ok())
            .is_some_and(|until| now < until)
}

/// Without what may change.
fn initial_patroni(object: &Value) -> Option<Value> {
    let mut config = at(
        object,
        &["spec", "configurations", "patroni", "initialConfig"],
    )?
    .clone();
    if let Some(postgresql) = config.get_mut("postgresql").and_then(Value::as_object_mut) {
        postgresql.retain(|key, _| {
            !matches!(
                key.as_str(),
                "pg_ctl_timeout" | "callbacks" | "pre_promote" | "before_stop"
            )
        });
        if *postgresql == Map::new()
            && let Some(config) = config.as_object_mut()
        {
            config.remove("postgresql");
        }
    }
    Some(config)
}

/// A volume's size, as the CRD's pattern allows it.
fn bytes(size: &str) -> Option<u128> {
    let (number, unit) = size.split_at(size.len().checked_sub(2)?);
    let factor: u32 = match unit {
        "Mi" => 20,
        "Gi" => 30,
        "Ti" => 40,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let fraction: String = fraction.chars().take(6).collect();
    let millionths = format!("{whole}{fraction:0<6}").parse::<u64>().ok()?;
    Some(u128::from(millionths) << factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: i64 = 1_800_000_000;

    fn valid() -> Value {
        json!({
            "metadata": {"name": "db"},
            "spec": {
                "profile": "production",
                "instances": 3,
                "sgInstanceProfile": "size-s",
                "postgres": {"version": "16", "flavor": "vanilla"},
                "pods": {"persistentVolume": {"size": "10Gi"}},
                "configurations": {"sgPostgresConfig": "pg", "sgPoolingConfig": "pool"},
                "postgresServices": {"primary": {"enabled": true}},
                "replication": {"mode": "async", "role": "ha-read"},
            },
        })
    }

    fn changed(patch: &Value) -> Value {
        let mut object = valid();
        json_patch::merge(&mut object, patch);
        object
    }

    fn answer(old: Option<&Value>, new: &Value) -> String {
        match refused(old, new, NOW) {
            None => "ok".into(),
            Some(refused) => format!("{} {}", refused.code, refused.message),
        }
    }

    #[test]
    fn constraints_of_the_model_are_422_in_the_operators_words() {
        for (patch, message) in [
            (
                json!({"spec": {"replication": {"mode": "quorum"}}}),
                "mode must be async, sync, sync-all, strict-sync or strict-sync-all",
            ),
            (
                json!({"spec": {"replication": {"role": "readonly"}}}),
                "role must be ha or ha-read",
            ),
            (
                json!({"spec": {"replication": {"groups": [{"role": "rw", "instances": 1}]}}}),
                "role must be ha, ha-read, readonly or none",
            ),
            (
                json!({"spec": {"replication": {"groups": [{"role": "ha", "instances": 0}]}}}),
                "You need at least 1 instance in the replication group",
            ),
            (
                json!({"spec": {"replication": {"mode": "sync"}}}),
                "syncInstances must be set when mode is sync or strict-sync",
            ),
            (
                json!({"spec": {"replication": {"groups": [{"role": "ha", "instances": 3}]}}}),
                "The total number of instances must be greather than the number of instances in replication groups",
            ),
            (
                json!({"spec": {"replication": {"mode": "strict-sync", "syncInstances": 3}}}),
                "The total number of instances must be greather than the number of synchronous replicas",
            ),
            (
                json!({"spec": {"instances": 1, "replication": {"mode": "sync", "syncInstances": 1}}}),
                "The total number of instances must be greather than the number of synchronous replicas",
            ),
            (
                json!({"spec": {"instances": -1}}),
                "instances can not be negative",
            ),
            (
                json!({"spec": {"sgInstanceProfile": null}}),
                "sgInstanceProfile is required",
            ),
            (
                json!({"spec": {"configurations": {"sgPostgresConfig": null}}}),
                "sgPostgresConfig is required",
            ),
            (
                json!({"spec": {"autoscaling": {"mode": "horizontal", "minInstances": 2}}}),
                "maxInstances is required when horizontal Pod autoscaling is enabled",
            ),
            (
                json!({"spec": {"autoscaling": {"mode": "vertical", "minAllowed": {"patroni": {}}, "maxAllowed": {}}}}),
                "One or more of patroni, pgbouncer and envoy resources must be secified for maxAllowed",
            ),
            (
                json!({"spec": {"replicateFrom": {}}}),
                "One of internal or storage is required",
            ),
            (
                json!({"spec": {"replicateFrom": {"instance": {"sgCluster": "a", "external": {}}}}}),
                "sgCluster and external are mutually exclusive",
            ),
            (
                json!({"spec": {"replicateFrom": {"instance": {"sgCluster": "a"}, "users": {}}}}),
                "users is forbidden when replicating from an SGCluster",
            ),
            (
                json!({"spec": {"replicateFrom": {"instance": {"external": {"host": "h"}}}}}),
                "users is required when replicating from external instance or storage",
            ),
        ] {
            assert_eq!(
                answer(None, &changed(&patch)),
                format!("422 SGCluster has invalid properties. {message}"),
                "{patch}"
            );
        }
    }

    #[test]
    fn several_broken_constraints_are_told_together() {
        let new = changed(&json!({"spec": {"replication": {"mode": "fast", "role": "slow"}}}));
        assert_eq!(
            answer(None, &new),
            "422 SGCluster has invalid properties. mode must be async, sync, sync-all, strict-sync or \
             strict-sync-all, role must be ha or ha-read"
        );
    }

    #[test]
    fn what_has_no_effect_is_accepted() {
        for patch in [
            json!({}),
            json!({"spec": {"replication": {"mode": "sync-all", "syncInstances": 9}}}),
            json!({"spec": {"replication": {"mode": "async", "syncInstances": 3}}}),
            json!({"spec": {"instances": 1, "replication": {"mode": "strict-sync-all"}}}),
            json!({"spec": {"instances": 0, "replication": {"mode": "sync", "syncInstances": 1}}}),
            json!({"spec": {"instances": 3, "replication": {"mode": "sync", "syncInstances": 2}}}),
        ] {
            assert_eq!(answer(Some(&valid()), &changed(&patch)), "ok", "{patch}");
        }
    }

    #[test]
    fn changes_that_cannot_be_made_are_400() {
        for (patch, message) in [
            (
                json!({"spec": {"postgres": {"flavor": "babelfish"}}}),
                "postgres flavor can not be changed",
            ),
            (
                json!({"spec": {"initialData": {"restore": {"fromBackup": {"name": "b"}}}}}),
                "Cannot update SGCluster's restore configuration",
            ),
            (
                json!({"spec": {"configurations": {"patroni": {"initialConfig": {"scope": "x"}}}}}),
                "Cannot update patroni initial configuration",
            ),
            (
                json!({"spec": {"pods": {"persistentVolume": {"size": "9.5Gi"}}}}),
                "Decrease of persistent volume size is not supported",
            ),
            (
                json!({"spec": {"initialData": {"scripts": []}}}),
                "scripts section is deprecated, please use .spec.managedSql.scripts section instead.",
            ),
            (
                json!({"spec": {"managedSql": {"scripts": [{"id": 1}, {"id": 1}]}}}),
                "Script entries must contain unique ids",
            ),
        ] {
            assert_eq!(
                answer(Some(&valid()), &changed(&patch)),
                format!("400 {message}"),
                "{patch}"
            );
        }
    }

    #[test]
    fn a_status_with_a_version_cannot_be_erased() {
        let mut old = valid();
        old["status"] = json!({"postgresVersion": "16.2"});
        assert_eq!(
            answer(Some(&old), &valid()),
            "400 Setting postgresVersion or buildVersion to null is forbidden."
        );
    }

    #[test]
    fn a_lock_refuses_a_changed_spec_until_it_expires() {
        let lock = |until: i64| {
            json!({"metadata": {"annotations": {
                "stackgres.io/lockPod": "backup-1", "stackgres.io/lockTimeout": until.to_string(),
            }}})
        };
        let mut locked = changed(&lock(NOW + 30));
        assert_eq!(
            answer(Some(&valid()), &locked),
            "ok",
            "the spec is the same"
        );
        locked["spec"]["instances"] = json!(4);
        assert_eq!(answer(Some(&valid()), &locked), format!("400 {LOCKED}"));
        json_patch::merge(&mut locked, &lock(NOW));
        assert_eq!(answer(Some(&valid()), &locked), "ok");
    }

    #[test]
    fn what_patroni_does_at_its_stop_may_change() {
        let new = changed(
            &json!({"spec": {"configurations": {"patroni": {"initialConfig": {
                "postgresql": {"pg_ctl_timeout": 60},
            }}}}}),
        );
        let old = changed(&json!({"spec": {"configurations": {"patroni": {"initialConfig": {}}}}}));
        assert_eq!(answer(Some(&old), &new), "ok");
    }
}
