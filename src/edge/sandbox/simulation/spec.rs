//! What an SGCluster asks for, as the simulated operator and the controllers in its Pods read it.
//!
//! Its own reading of the JSON, apart from Lockstep's: Patroni's configuration (`domain` §2.1), the roles of the Pods
//! (§2.2), the objects it refers to, and the switches of the simulation.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::patroni::config::Version;

const DEFAULT_PATRONI: Version = Version(3, 3, 3);
const DEFAULT_BUILD: Duration = Duration::from_secs(5);
/// Major versions with the minor that the simulated operator resolves them to; the first is `latest`.
const POSTGRES: [(&str, &str); 7] = [
    ("17", "17.2"),
    ("16", "16.6"),
    ("15", "15.10"),
    ("14", "14.15"),
    ("13", "13.18"),
    ("12", "12.22"),
    ("18", "18.0"),
];

/// Keys of Patroni's configuration that the operator replaces or removes; all others stay as they are.
const MODELLED: [&str; 19] = [
    "ttl",
    "loop_wait",
    "retry_timeout",
    "maximum_lag_on_failover",
    "maximum_lag_on_syncnode",
    "max_timelines_history",
    "primary_start_timeout",
    "master_start_timeout",
    "primary_stop_timeout",
    "failsafe_mode",
    "check_timeline",
    "member_slots_ttl",
    "slots",
    "ignore_slots",
    "synchronous_mode",
    "synchronous_mode_strict",
    "synchronous_node_count",
    "standby_cluster",
    "postgresql",
];

/// What a Pod's place in the cluster asks of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assignment {
    pub nofailover: bool,
    pub noloadbalance: bool,
    /// 0 for the implicit group, then `groups[k - 1]`.
    pub group: usize,
}

/// Another object that has to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub kind: &'static str,
    pub name: String,
    /// The operator makes it where it is absent.
    pub is_generated: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    /// The name that Patroni's Endpoints share.
    pub base: String,
    pub scope: String,
    pub instances: u32,
    pub assignments: Vec<Assignment>,
    /// Patroni's configuration, modelled keys only; the error halts the whole reconciliation.
    pub patroni_config: Result<Map<String, Value>, String>,
    pub follows_another: bool,
    /// `managementPolicy: Parallel`.
    pub is_parallel: bool,
    /// `stackgres.io/reconciliation-pause`.
    pub is_paused: bool,
    pub references: Vec<Reference>,
    /// Resolved; the error halts the whole reconciliation.
    pub postgres_version: Result<String, String>,
    /// Everything whose change needs new Pods, as text.
    pub template: String,
    /// Containers beside Patroni.
    pub has_envoy: bool,
    pub has_pooling: bool,
    pub is_writer_on: bool,
    pub build: Duration,
    pub patroni_version: Version,
}

impl Wanted {
    /// Takes the operator's default for whatever is missing or of another type.
    pub fn read(object: &Value) -> Self {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        let flag = |pointer: &str| object.pointer(pointer).and_then(Value::as_bool);
        let annotation = |name: &str| {
            object
                .get("metadata")?
                .get("annotations")?
                .get(name)?
                .as_str()
        };
        let name = text("/metadata/name").unwrap_or_default().to_owned();
        let initial = object.pointer("/spec/configurations/patroni/initialConfig");
        let scope = initial
            .and_then(|config| config.get("scope")?.as_str())
            .unwrap_or(&name)
            .to_owned();
        let base = match initial.and_then(|config| config.pointer("/citus/group")?.as_i64()) {
            Some(group) => format!("{scope}-{group}"),
            None => scope.clone(),
        };
        let instances = count(object.pointer("/spec/instances")).unwrap_or(0);
        let follows_another = object
            .pointer("/spec/replicateFrom")
            .is_some_and(|value| !value.is_null());
        let has_envoy = !flag("/spec/pods/disableEnvoy").unwrap_or(false);
        let has_pooling = !flag("/spec/pods/disableConnectionPooling").unwrap_or(false);
        Self {
            namespace: text("/metadata/namespace").unwrap_or_default().to_owned(),
            uid: text("/metadata/uid").unwrap_or_default().to_owned(),
            base,
            scope,
            instances,
            assignments: assignments(object, instances),
            patroni_config: patroni_config(object, instances),
            follows_another,
            is_parallel: text("/spec/pods/managementPolicy") == Some("Parallel"),
            is_paused: annotation("stackgres.io/reconciliation-pause") == Some("true"),
            references: references(object, &name),
            postgres_version: resolve(text("/spec/postgres/version").unwrap_or("latest")),
            template: template(object, follows_another),
            has_envoy,
            has_pooling,
            is_writer_on: annotation("sandbox.lockstep.dev/writer") != Some("off")
                && !follows_another,
            build: annotation("sandbox.lockstep.dev/build-seconds")
                .and_then(|text| text.parse().ok())
                .map_or(DEFAULT_BUILD, Duration::from_secs),
            patroni_version: annotation("sandbox.lockstep.dev/patroni-version")
                .and_then(Version::read)
                .unwrap_or(DEFAULT_PATRONI),
            name,
        }
    }

    /// Envoy's port where it stands before PostgreSQL.
    pub fn port(&self) -> u16 {
        if self.has_envoy { 7433 } else { 5432 }
    }

    pub fn pod_name(&self, index: u32) -> String {
        format!("{}-{index}", self.name)
    }

    /// The index of a Pod of this cluster.
    pub fn pod_index(&self, pod: &str) -> Option<u32> {
        pod.strip_prefix(&self.name)?
            .strip_prefix('-')?
            .parse()
            .ok()
    }
}

fn count(value: Option<&Value>) -> Option<u32> {
    value?.as_u64().and_then(|count| u32::try_from(count).ok())
}

/// The implicit group first, then each group in its order.
fn assignments(object: &Value, instances: u32) -> Vec<Assignment> {
    let assign = |role: &str, group| Assignment {
        nofailover: matches!(role, "readonly" | "none"),
        noloadbalance: matches!(role, "ha" | "none"),
        group,
    };
    let role = |value: &Value| {
        let role = value.get("role").and_then(Value::as_str);
        role.unwrap_or("ha-read").to_owned()
    };
    let none = Value::Null;
    let replication = object.pointer("/spec/replication").unwrap_or(&none);
    let groups: Vec<(String, u32)> = replication
        .get("groups")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|group| (role(group), count(group.get("instances")).unwrap_or(0)))
        .collect();
    let grouped: u32 = groups
        .iter()
        .fold(0, |sum: u32, (_, size)| sum.saturating_add(*size));
    let implicit = (role(replication), instances.saturating_sub(grouped));
    std::iter::once(implicit)
        .chain(groups)
        .enumerate()
        .flat_map(|(group, (role, size))| {
            std::iter::repeat_n(assign(&role, group), usize::try_from(size).unwrap_or(0))
        })
        .take(usize::try_from(instances).unwrap_or(usize::MAX))
        .collect()
}

fn patroni_config(object: &Value, instances: u32) -> Result<Map<String, Value>, String> {
    let none = Map::new();
    let dynamic = object
        .pointer("/spec/configurations/patroni/dynamicConfig")
        .and_then(Value::as_object)
        .unwrap_or(&none);
    for key in ["synchronous_mode", "synchronous_mode_strict"] {
        if dynamic.get(key).is_some_and(|value| !value.is_boolean()) {
            return Err(format!(
                "Cannot parse dynamicConfig: {key} is not a boolean"
            ));
        }
    }
    let numbers = [
        "ttl",
        "loop_wait",
        "retry_timeout",
        "maximum_lag_on_syncnode",
    ];
    for key in numbers {
        if dynamic.get(key).is_some_and(|value| !value.is_i64()) {
            return Err(format!("Cannot parse dynamicConfig: {key} is not a number"));
        }
    }
    let mut config = Map::new();
    for (key, value) in [("ttl", 30), ("loop_wait", 10), ("retry_timeout", 10)] {
        config.insert(key.into(), json!(value));
    }
    config.insert("check_timeline".into(), json!(true));
    for (key, value) in dynamic {
        if MODELLED.contains(&key.as_str()) {
            config.insert(key.clone(), value.clone());
        }
    }
    let mode = object
        .pointer("/spec/replication/mode")
        .and_then(Value::as_str)
        .unwrap_or("async");
    let declared = count(object.pointer("/spec/replication/syncInstances"));
    let is_several = instances > 1;
    let (on, strict, standbys) = match mode {
        "sync" => (true, false, declared),
        "strict-sync" => (true, true, declared),
        "sync-all" if is_several => (true, false, Some(instances - 1)),
        "strict-sync-all" if is_several => (true, true, Some(instances - 1)),
        _ => (false, false, declared),
    };
    config.insert("synchronous_mode".into(), json!(on));
    config.insert("synchronous_mode_strict".into(), json!(strict));
    config.remove("synchronous_node_count");
    if let Some(standbys) = standbys {
        config.insert("synchronous_node_count".into(), json!(standbys));
    }
    let mut postgresql = json!({"use_pg_rewind": true, "use_slots": true});
    if let Some(rules) = dynamic.get("postgresql").and_then(|own| own.get("pg_hba")) {
        postgresql["pg_hba"] = rules.clone();
    }
    config.insert("postgresql".into(), postgresql);
    config.remove("standby_cluster");
    if let Some(source) = object.pointer("/spec/replicateFrom")
        && !source.is_null()
    {
        config.insert("standby_cluster".into(), standby_cluster(source));
    }
    Ok(config)
}

fn standby_cluster(source: &Value) -> Value {
    if let Some(cluster) = source
        .pointer("/instance/sgCluster")
        .and_then(Value::as_str)
    {
        json!({"host": cluster, "port": 5433})
    } else if let Some(external) = source.pointer("/instance/external") {
        json!({"host": external.get("host"), "port": external.get("port")})
    } else {
        json!({"restore_command": "exec-with-env replicate -- wal-g wal-fetch %f %p"})
    }
}

/// The text for annotation `config`: modelled keys as wanted, the other live keys as they are.
pub fn merged_config(live: Option<&str>, wanted: &Map<String, Value>) -> String {
    let mut config = wanted.clone();
    let live = live.and_then(|text| serde_json::from_str::<Map<String, Value>>(text).ok());
    for (key, value) in live.into_iter().flatten() {
        if !MODELLED.contains(&key.as_str()) {
            config.insert(key, value);
        }
    }
    Value::Object(config).to_string()
}

fn references(object: &Value, name: &str) -> Vec<Reference> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let major = text("/spec/postgres/version").map_or(POSTGRES[0].0, major);
    let mut references = Vec::new();
    for (kind, pointer, default) in [
        (
            "SGInstanceProfile",
            "/spec/sgInstanceProfile",
            format!("{name}-default"),
        ),
        (
            "SGPostgresConfig",
            "/spec/configurations/sgPostgresConfig",
            format!("{name}-{major}-default"),
        ),
        (
            "SGPoolingConfig",
            "/spec/configurations/sgPoolingConfig",
            format!("{name}-default"),
        ),
    ] {
        if let Some(found) = text(pointer) {
            references.push(Reference {
                kind,
                name: found.to_owned(),
                is_generated: found == default,
            });
        }
    }
    let storages = object
        .pointer("/spec/configurations/backups")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|backup| backup.get("sgObjectStorage")?.as_str())
        .chain(text("/spec/replicateFrom/storage/sgObjectStorage"));
    references.extend(storages.map(|name| Reference {
        kind: "SGObjectStorage",
        name: name.to_owned(),
        is_generated: false,
    }));
    references.extend(
        text("/spec/replicateFrom/instance/sgCluster").map(|name| Reference {
            kind: "SGCluster",
            name: name.to_owned(),
            is_generated: false,
        }),
    );
    references
}

/// The major version of PostgreSQL that a declared version means.
pub fn major(version: &str) -> &str {
    match version.split('.').next() {
        None | Some("" | "latest") => POSTGRES[0].0,
        Some(major) => major,
    }
}

fn resolve(version: &str) -> Result<String, String> {
    let (_, newest) = POSTGRES
        .iter()
        .find(|(known, _)| *known == major(version))
        .ok_or_else(|| format!("Unsupported postgres version {version}"))?;
    if version.contains('.') {
        Ok(version.to_owned())
    } else {
        Ok((*newest).to_owned())
    }
}

/// `domain` §1.6: what makes the Pods of a cluster out of date.
fn template(object: &Value, follows_another: bool) -> String {
    let part = |pointer: &str| object.pointer(pointer).cloned().unwrap_or(Value::Null);
    let mut pods = part("/spec/pods");
    if let Some(pods) = pods.as_object_mut() {
        for key in ["managementPolicy", "updateStrategy", "persistentVolume"] {
            pods.remove(key);
        }
    }
    json!([
        pods,
        part("/spec/profile"),
        part("/spec/sgInstanceProfile"),
        part("/spec/nonProductionOptions"),
        part("/spec/replication/initialization/mode"),
        part("/spec/postgres/version"),
        follows_another,
    ])
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn synchronous(mode: &str, instances: u32, declared: Option<u32>) -> String {
        let object = json!({"spec": {
            "instances": instances, "replication": {"mode": mode, "syncInstances": declared},
        }});
        let config = Wanted::read(&object).patroni_config.unwrap();
        format!(
            "{} {} {}",
            config["synchronous_mode"],
            config["synchronous_mode_strict"],
            config
                .get("synchronous_node_count")
                .map_or("absent".into(), Value::to_string)
        )
    }

    #[test]
    fn modes_become_patronis_three_keys() {
        for (mode, instances, declared, expected) in [
            ("async", 3, None, "false false absent"),
            ("async", 3, Some(2), "false false 2"),
            ("sync", 3, Some(1), "true false 1"),
            ("strict-sync", 3, Some(2), "true true 2"),
            ("sync-all", 4, Some(1), "true false 3"),
            ("sync-all", 4, None, "true false 3"),
            ("sync-all", 1, None, "false false absent"),
            ("sync-all", 1, Some(1), "false false 1"),
            ("strict-sync-all", 3, None, "true true 2"),
            ("strict-sync-all", 1, None, "false false absent"),
        ] {
            assert_eq!(
                synchronous(mode, instances, declared),
                expected,
                "{mode} {instances} {declared:?}"
            );
        }
    }

    fn roles(instances: u32, role: &str, groups: &Value) -> String {
        let object = json!({"spec": {
            "instances": instances, "replication": {"role": role, "groups": groups},
        }});
        let flag = |is_set: bool| if is_set { 't' } else { 'f' };
        let texts: Vec<String> = Wanted::read(&object)
            .assignments
            .iter()
            .map(|assignment| {
                format!(
                    "{}{}{}",
                    flag(assignment.nofailover),
                    flag(assignment.noloadbalance),
                    assignment.group
                )
            })
            .collect();
        texts.join(" ")
    }

    #[test]
    fn roles_are_dealt_out_by_index_with_the_implicit_group_first() {
        let none = json!([]);
        assert_eq!(roles(2, "ha-read", &none), "ff0 ff0");
        assert_eq!(roles(2, "ha", &none), "ft0 ft0");
        let groups = json!([
            {"role": "readonly", "instances": 2}, {"role": "none", "instances": 1},
        ]);
        assert_eq!(roles(4, "ha-read", &groups), "ff0 tf1 tf1 tt2");
        assert_eq!(roles(5, "ha-read", &groups), "ff0 ff0 tf1 tf1 tt2");
        assert_eq!(roles(0, "ha-read", &none), "");
    }

    #[test]
    fn live_keys_that_the_operator_does_not_know_survive() {
        let wanted = Wanted::read(&json!({"spec": {"instances": 1}}));
        let text = merged_config(
            Some(r#"{"pause": true, "ttl": 99, "maximum_lag_on_syncnode": 5}"#),
            &wanted.patroni_config.unwrap(),
        );
        let config: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(config["pause"], true);
        assert_eq!(config["ttl"], 30);
        assert!(config.get("maximum_lag_on_syncnode").is_none());
    }

    #[test]
    fn a_configuration_that_does_not_parse_is_an_error() {
        let wanted = Wanted::read(&json!({"spec": {"configurations": {"patroni": {
            "dynamicConfig": {"synchronous_mode": "quorum"},
        }}}}));
        assert!(wanted.patroni_config.is_err());
    }

    #[test]
    fn only_objects_named_by_default_are_generated() {
        let wanted = Wanted::read(&json!({
            "metadata": {"name": "db"},
            "spec": {
                "postgres": {"version": "16.1"},
                "sgInstanceProfile": "db-default",
                "configurations": {
                    "sgPostgresConfig": "db-16-default", "sgPoolingConfig": "own",
                    "backups": [{"sgObjectStorage": "bucket"}],
                },
            },
        }));
        let texts: Vec<String> = wanted
            .references
            .iter()
            .map(|reference| {
                format!(
                    "{} {} {}",
                    reference.kind, reference.name, reference.is_generated
                )
            })
            .collect();
        assert_eq!(
            texts,
            [
                "SGInstanceProfile db-default true",
                "SGPostgresConfig db-16-default true",
                "SGPoolingConfig own false",
                "SGObjectStorage bucket false",
            ]
        );
    }

    #[test]
    fn replication_and_instances_leave_the_pods_as_they_are() {
        let of = |spec: Value| Wanted::read(&json!({"spec": spec})).template;
        assert_eq!(
            of(json!({"instances": 1})),
            of(json!({"instances": 3, "replication": {"mode": "sync-all", "groups": []}}))
        );
        assert_ne!(
            of(json!({})),
            of(json!({"pods": {"disableConnectionPooling": true}}))
        );
    }
}
