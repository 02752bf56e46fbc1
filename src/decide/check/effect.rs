//! What the operator accepts and what is then not what it seems (`domain.md` §6.4): warnings and notes, never errors.

use serde_json::Value;

use super::object::Object;
use crate::model::cluster::{Mode, Role};
use crate::model::field::FieldPath;
use crate::model::finding::Finding;

pub fn check(object: &mut Object<'_>) {
    instances(object);
    replication(object);
    autoscaling(object);
    dynamic_config(object);
    elsewhere(object);
}

fn instances(object: &mut Object<'_>) {
    if object.number("spec.instances") == Some(0) {
        object.at_value(
            Object::path("spec.instances"),
            Finding::warning(
                "no-instances",
                "with 0 instances the database is stopped and all its Pods go",
            )
            .help("the volumes stay; set it to 1 or more to start again"),
        );
    }
}

/// The standbys that can lead, and those that cannot, as pods are given to groups (`domain.md` §2.2).
struct Members {
    promotable: i64,
    others: i64,
}

impl Members {
    fn read(object: &Object<'_>, instances: i64) -> Self {
        let groups = object.list("spec.replication.groups").iter();
        let others = groups
            .filter(|group| {
                let role = group.get("role").and_then(Value::as_str);
                role.and_then(|role| role.parse().ok())
                    .is_some_and(|role: Role| !role.is_promotable())
            })
            .filter_map(|group| group.get("instances")?.as_i64())
            .fold(0i64, i64::saturating_add);
        Self {
            promotable: instances.saturating_sub(others),
            others,
        }
    }
}

fn replication(object: &mut Object<'_>) {
    // What a section means is told once it can mean something.
    if object.has_error_in(&Object::path("spec.replication")) {
        return;
    }
    let Some(instances) = object.number("spec.instances").filter(|&n| n > 0) else {
        return;
    };
    let mode = match object.text("spec.replication.mode") {
        None => Some(Mode::Async),
        Some(word) => word.parse().ok(),
    };
    let Some(mode) = mode else {
        return;
    };
    let mode_path = || Object::path("spec.replication.mode");
    let count_path = || Object::path("spec.replication.syncInstances");
    let count = object.number("spec.replication.syncInstances");
    let synchronous = match mode {
        Mode::Async => 0,
        Mode::Sync | Mode::StrictSync => count.unwrap_or(1),
        Mode::SyncAll | Mode::StrictSyncAll => instances - 1,
    };
    let is_strict = matches!(mode, Mode::StrictSync | Mode::StrictSyncAll);

    if let Some(count) = count.filter(|_| !mode.counts()) {
        let why = match mode {
            Mode::SyncAll | Mode::StrictSyncAll => match instances - 1 {
                0 => "with one instance no standby is synchronous".to_owned(),
                1 => "the one standby is synchronous".to_owned(),
                all => format!("all {all} standbys are synchronous"),
            },
            Mode::Async | Mode::Sync | Mode::StrictSync => "no standby is synchronous".to_owned(),
        };
        object.at_key(
            count_path(),
            Finding::note(
                "sync-instances-ignored",
                format!("syncInstances: {count} has no effect: in mode {mode} {why}"),
            )
            .help(format!(
                "leave it out; it counts in mode {} and {} only",
                Mode::Sync,
                Mode::StrictSync
            )),
        );
    }
    if mode.is_all() && instances == 1 {
        object.at_value(
            mode_path(),
            Finding::warning(
                "all-of-one",
                format!("mode {mode} with one instance is asynchronous: there is no standby"),
            )
            .help("set spec.instances to 2 or more"),
        );
    }
    if object.map("spec.replicateFrom").is_some() && mode != Mode::Async {
        object.at_value(
            mode_path(),
            Finding::warning("replicate-from-async", format!("mode {mode} has no effect while the cluster replicates from another"))
                .help("Patroni ignores synchronous replication in a standby cluster; it counts once replicateFrom is removed"),
        );
    }
    if mode.counts() && synchronous == instances - 1 {
        object.at_value(
            if count.is_some() {
                count_path()
            } else {
                mode_path()
            },
            Finding::note("sync-without-slack", without_slack(synchronous)).help(format!(
                "set spec.instances to {} or more to avoid that",
                synchronous.saturating_add(2)
            )),
        );
    }
    if is_strict && synchronous > 1 {
        object.at_value(
            mode_path(),
            Finding::note("strict-promises-one", format!("strict holds commits back when no synchronous standby is left; with fewer than {synchronous} the count shrinks silently"))
                .help("alert on the number of synchronous standbys if all of them matter"),
        );
    }
    roles(object, instances, mode, synchronous);
}

fn without_slack(count: i64) -> String {
    let held = "holds commits back until Patroni has noticed";
    match count {
        1 => format!("the only standby is synchronous, so losing it {held}"),
        _ => format!("all {count} standbys are synchronous, so losing any one of them {held}"),
    }
}

fn of_role(count: i64) -> String {
    match count {
        1 => "1 member with role readonly or none".into(),
        _ => format!("{count} members with role readonly or none"),
    }
}

fn more_than_can_lead(synchronous: i64, can_lead: i64) -> String {
    let waits = match synchronous {
        1 => "commits wait for 1 synchronous standby".to_owned(),
        _ => format!("commits wait for {synchronous} synchronous standbys"),
    };
    match can_lead {
        0 => format!("{waits}, and no standby can ever lead"),
        1 => format!("{waits}, and only 1 standby can ever lead"),
        _ => format!("{waits}, and only {can_lead} standbys can ever lead"),
    }
}

fn roles(object: &mut Object<'_>, instances: i64, mode: Mode, synchronous: i64) {
    let Members { promotable, others } = Members::read(object, instances);
    let groups = || Object::path("spec.replication.groups");
    if others > 0 && promotable == 1 {
        object.at_key(
            groups(),
            Finding::warning("no-failover", "only one instance can lead: the others are readonly or none, so there is no failover")
                .help("raise spec.instances, or give a group the role ha or ha-read"),
        );
    }
    if others > 0 && mode.is_all() {
        object.at_key(
            groups(),
            Finding::note(
                "sync-not-promotable",
                format!(
                    "in mode {mode} each commit also waits for {}, which can never lead",
                    of_role(others)
                ),
            )
            .help("mode sync with a count that promotable standbys can fill leaves them out"),
        );
    } else if others > 0 && synchronous > promotable - 1 {
        object.at_key(
            groups(),
            Finding::note(
                "sync-not-promotable",
                more_than_can_lead(synchronous, promotable - 1),
            )
            .help("raise spec.instances, or give a group the role ha or ha-read"),
        );
    }
    let serves_reads = |group: &Value| {
        matches!(
            group.get("role").and_then(Value::as_str),
            Some("ha-read" | "readonly")
        )
    };
    let is_read = object
        .list("spec.replication.groups")
        .iter()
        .any(serves_reads);
    let service_off =
        object.get("spec.postgresServices.replicas.enabled") == Some(&Value::Bool(false));
    if object.text("spec.replication.role") == Some("ha")
        && !is_read
        && !service_off
        && instances > 1
    {
        object.at_value(
            Object::path("spec.replication.role"),
            Finding::warning("no-read-service", "with role ha and no group of role ha-read or readonly the -replicas Service has no Pod behind it")
                .help("use role ha-read, add a group, or set spec.postgresServices.replicas.enabled to false"),
        );
    }
}

fn autoscaling(object: &mut Object<'_>) {
    if object.map("spec.autoscaling").is_none() {
        return;
    }
    let section = || Object::path("spec.autoscaling");
    let (least, most) = (
        object.number("spec.autoscaling.minInstances"),
        object.number("spec.autoscaling.maxInstances"),
    );
    if object.get("spec.autoscaling.mode").is_none() {
        object.at_key(
            section(),
            Finding::note(
                "autoscaling-all",
                "autoscaling without a mode means mode all: horizontal and vertical",
            )
            .help("write spec.autoscaling.mode"),
        );
    }
    if let (Some(low), Some(high)) = (least, most)
        && low > high
    {
        object.at_value(
            section().key("minInstances"),
            Finding::warning(
                "autoscaling-bounds",
                format!("minInstances {low} is above maxInstances {high}"),
            ),
        );
    }
    let is_horizontal = matches!(
        object.text("spec.autoscaling.mode"),
        None | Some("all" | "horizontal")
    );
    let mode: Option<Mode> = object
        .text("spec.replication.mode")
        .and_then(|word| word.parse().ok());
    if let Some(mode) = mode.filter(|_| is_horizontal) {
        if mode.is_all() {
            object.at_key(
                section(),
                Finding::warning("autoscaling-sync-all", format!("the autoscaler changes instances, and with mode {mode} the number of synchronous standbys, without any order"))
                    .help("use mode sync or strict-sync with a count below minInstances"),
            );
        }
        let count = object.number("spec.replication.syncInstances").unwrap_or(1);
        if let Some(low) = least.filter(|&low| mode.counts() && low <= count) {
            object.at_value(
                section().key("minInstances"),
                Finding::warning("autoscaling-below-sync", format!("the autoscaler may go down to {low} instances, and {count} synchronous standbys need {}", count + 1))
                    .help("its writes are not validated: the cluster would be stored in a state that the operator refuses"),
            );
        }
    }
    rewritten_groups(object, least);
}

/// The operator writes `instances` of a group with `minInstances` itself.
fn rewritten_groups(object: &mut Object<'_>, least: Option<i64>) {
    let (Some(least), Some(instances)) = (
        least.filter(|&least| least > 0),
        object.number("spec.instances"),
    ) else {
        return;
    };
    for (index, group) in object.list("spec.replication.groups").iter().enumerate() {
        let number = |field: &str| group.get(field).and_then(Value::as_i64);
        let (Some(group_least), Some(written)) = (number("minInstances"), number("instances"))
        else {
            continue;
        };
        let becomes = group_least.saturating_mul(instances) / least;
        if becomes != written {
            object.at_value(
                Object::path("spec.replication.groups").index(index).key("instances"),
                Finding::warning("group-rewritten", format!("the operator writes {becomes} here, whatever stands here: minInstances {group_least} × instances {instances} ÷ the cluster's minInstances {least}"))
                    .help(match becomes {
                        0 => "it then refuses the result, since a group needs one instance".to_owned(),
                        _ => format!("write {becomes}"),
                    }),
            );
        }
    }
}

/// Keys of Patroni's dynamic configuration that the operator hands on.
const HANDED_ON: [&str; 14] = [
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
];

/// Keys that it always writes itself, with what decides them.
const OVERWRITTEN: [(&str, &str); 4] = [
    ("synchronous_mode", "spec.replication.mode"),
    ("synchronous_mode_strict", "spec.replication.mode"),
    ("synchronous_node_count", "spec.replication"),
    ("standby_cluster", "spec.replicateFrom"),
];

fn dynamic_config(object: &mut Object<'_>) {
    let path = Object::path("spec.configurations.patroni.dynamicConfig");
    let Some(config) = object.find(&path).and_then(Value::as_object) else {
        return;
    };
    for (key, value) in config {
        let here = path.key(key);
        if let Some((_, instead)) = OVERWRITTEN.iter().find(|(name, _)| name == key) {
            let message = match value.as_str() {
                Some(word) if key == "synchronous_mode" => {
                    format!(
                        "{key}: {word} is not offered by StackGres, which reads a boolean here and may fail on text"
                    )
                }
                _ => format!("{key} has no effect: the operator writes it from {instead}"),
            };
            object.at_key(
                here,
                Finding::warning("dynamic-config-overwritten", message)
                    .help(format!("remove it, and set {instead}")),
            );
        } else if key == "postgresql" {
            let others = value
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, _)| name)
                .filter(|name| *name != "pg_hba");
            for name in others {
                object.at_key(
                    here.key(name),
                    Finding::warning("dynamic-config-overwritten", format!("postgresql.{name} has no effect: the operator writes all of postgresql but pg_hba"))
                        .help("parameters belong into the SGPostgresConfig"),
                );
            }
        } else if !HANDED_ON.contains(&key.as_str()) {
            object.at_key(
                here,
                Finding::warning(
                    "dynamic-config-dropped",
                    format!("the operator drops {key}, which it does not know"),
                )
                .help("remove it"),
            );
        }
    }
    timing(object, &path);
}

/// Patroni's own rule, with its defaults where the operator's stay.
fn timing(object: &mut Object<'_>, path: &FieldPath) {
    let seconds = |key: &str, default: i64| {
        object
            .find(&path.key(key))
            .map_or(Some(default), Value::as_i64)
    };
    let (Some(ttl), Some(loop_wait), Some(retry)) = (
        seconds("ttl", 30),
        seconds("loop_wait", 10),
        seconds("retry_timeout", 10),
    ) else {
        return;
    };
    let least = retry.saturating_mul(2).saturating_add(loop_wait);
    if least > ttl {
        let written = ["ttl", "retry_timeout", "loop_wait"]
            .into_iter()
            .find(|key| object.find(&path.key(key)).is_some());
        let place = written.map_or(path.clone(), |key| path.key(key));
        object.at_value(
            place,
            Finding::warning("patroni-timing", format!("loop_wait {loop_wait} + 2 × retry_timeout {retry} is {least}, more than ttl {ttl}: the leader could lose its lock while it retries"))
                .help(format!("set ttl to {least} or more")),
        );
    }
}

fn elsewhere(object: &mut Object<'_>) {
    same_names(object);
    let backups = object.list("spec.configurations.backups").len();
    if backups > 1 {
        object.at_key(
            Object::path("spec.configurations.backups").index(1),
            Finding::warning(
                "only-first-backup",
                format!("only the first of {backups} backup configurations is used"),
            )
            .help("remove the others"),
        );
    }
    let (exporter, metrics) = (
        object
            .get("spec.pods.disableMetricsExporter")
            .and_then(Value::as_bool),
        object
            .get("spec.configurations.observability.disableMetrics")
            .and_then(Value::as_bool),
    );
    if let (Some(exporter), Some(metrics)) = (exporter, metrics)
        && exporter != metrics
    {
        object.at_value(
            Object::path("spec.pods.disableMetricsExporter"),
            Finding::warning("metrics-disagree", "spec.pods.disableMetricsExporter and spec.configurations.observability.disableMetrics disagree; the operator makes them equal")
                .help("keep spec.configurations.observability.disableMetrics"),
        );
    }
}

/// StackGres names a cluster's Service like the cluster, and its members after it.
fn same_names(object: &mut Object<'_>) {
    let host = "spec.replicateFrom.instance.external.host";
    let source = object.text(host).and_then(|host| host.split('.').next());
    let Some(name) = source.filter(|source| Some(*source) == object.text("metadata.name")) else {
        return;
    };
    let message = format!(
        "the source seems to be named {name} too, so its members would have the names of this cluster's"
    );
    object.at_value(
        Object::path(host),
        Finding::warning("replicate-from-same-name", message)
            .help("name linked clusters differently: Patroni 4.1.0 takes such a member for its own synchronous standby"),
    );
}
