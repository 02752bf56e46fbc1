//! What StackGres itself would refuse of an SGCluster, told before anything is sent (`domain.md` §1.4).
//!
//! Only what one document alone decides: what depends on the live object or on other objects is left to the operator.

use serde_json::Value;

use super::object::Object;
use crate::model::cluster::{MOST_INSTANCES, Mode, Role};
use crate::model::field::FieldPath;
use crate::model::finding::Finding;
use crate::model::spelling::nearest;

pub fn check(object: &mut Object<'_>) {
    words(object);
    whole_numbers(object);
    let instances = object.number("spec.instances").filter(|&n| n > 0);
    if let Some(instances) = instances {
        synchronous(object, instances);
        groups(object, instances);
        babelfish(object, instances);
    }
    autoscaling(object);
    replicate_from(object);
    scripts(object);
    labels(object);
    duration(object);
}

/// Values from a closed set that the CRD keeps as plain text.
fn words(object: &mut Object<'_>) {
    one_of(
        object,
        "unknown-mode",
        Object::path("spec.replication.mode"),
        "replication mode",
        &Mode::ALL.map(Mode::word),
    );
    let promotable = [Role::HaRead, Role::Ha].map(Role::word);
    let role = Object::path("spec.replication.role");
    match object
        .text("spec.replication.role")
        .and_then(|word| word.parse().ok())
    {
        Some(role_of_group @ (Role::Readonly | Role::None)) => {
            let word = role_of_group.word();
            object.at_value(
                role,
                Finding::error("unknown-role", format!("the role `{word}` is for groups only: instances in no group must be able to lead"))
                    .help(format!("write one of {}, and put the others into spec.replication.groups", promotable.join(", "))),
            );
        }
        Some(Role::Ha | Role::HaRead) => {}
        None => one_of(object, "unknown-role", role, "role", &promotable),
    }
    for index in 0..object.list("spec.replication.groups").len() {
        let path = Object::path("spec.replication.groups")
            .index(index)
            .key("role");
        one_of(
            object,
            "unknown-role",
            path,
            "role",
            &Role::ALL.map(Role::word),
        );
    }
    for (path, what, words) in [
        (
            "spec.profile",
            "profile",
            &["production", "testing", "development"][..],
        ),
        ("spec.postgres.flavor", "flavor", &["vanilla", "babelfish"]),
        (
            "spec.autoscaling.mode",
            "autoscaling mode",
            &["all", "horizontal", "vertical", "none"],
        ),
        (
            "spec.pods.managementPolicy",
            "management policy",
            &["OrderedReady", "Parallel"],
        ),
        (
            "spec.pods.updateStrategy.type",
            "update strategy",
            &["Always", "Schedule", "OnlyDbOps", "Never"],
        ),
        (
            "spec.pods.updateStrategy.method",
            "update method",
            &["InPlace", "ReducedImpact"],
        ),
        (
            "spec.replication.initialization.mode",
            "initialization mode",
            &[
                "FromPrimary",
                "FromReplica",
                "FromExistingBackup",
                "FromNewlyCreatedBackup",
            ],
        ),
    ] {
        one_of(object, "unknown-value", Object::path(path), what, words);
    }
}

/// The API server takes `4.0` for a whole number, and sets no upper bound; a number of instances has neither.
fn whole_numbers(object: &mut Object<'_>) {
    let mut paths: Vec<FieldPath> = [
        "spec.instances",
        "spec.replication.syncInstances",
        "spec.autoscaling.minInstances",
        "spec.autoscaling.maxInstances",
    ]
    .map(Object::path)
    .to_vec();
    for index in 0..object.list("spec.replication.groups").len() {
        let group = Object::path("spec.replication.groups").index(index);
        paths.extend([group.key("instances"), group.key("minInstances")]);
    }
    for path in paths {
        let Some(value) = object.find(&path).filter(|value| value.is_number()) else {
            continue;
        };
        let message = match value.as_i64() {
            None => format!("{path} is {value}, which is no number of instances"),
            Some(number) if number > i64::from(MOST_INSTANCES) => format!(
                "{path} is {number}, and more than {MOST_INSTANCES} instances are not handled"
            ),
            Some(_) => continue,
        };
        if !object.has_error_at(&path) {
            let finding = Finding::error("out-of-range", message);
            object.at_value(path, finding.help("write it as a small whole number"));
        }
    }
}

fn one_of(object: &mut Object<'_>, id: &'static str, path: FieldPath, what: &str, words: &[&str]) {
    let Some(written) = object.find(&path).and_then(Value::as_str) else {
        return;
    };
    if words.contains(&written) || object.has_error_at(&path) {
        return;
    }
    let all = words.join(", ");
    let help = match nearest(written, words.iter().copied()) {
        Some(word) => format!("did you mean `{word}`? The words are {all}"),
        None => format!("write one of {all}"),
    };
    object.at_value(
        path,
        Finding::error(id, format!("unknown {what} `{written}`")).help(help),
    );
}

/// A synchronous mode that counts needs more instances than it counts.
fn synchronous(object: &mut Object<'_>, instances: i64) {
    let mode: Option<Mode> = object
        .text("spec.replication.mode")
        .and_then(|word| word.parse().ok());
    let Some(mode) = mode.filter(|mode| mode.counts()) else {
        return;
    };
    let count = object.number("spec.replication.syncInstances").unwrap_or(1);
    if count < instances {
        return;
    }
    let path = Object::path(match object.get("spec.replication.syncInstances") {
        Some(_) => "spec.replication.syncInstances",
        None => "spec.replication.mode",
    });
    let needed = count.saturating_add(1);
    let what = match instances {
        1 => "there is 1".to_owned(),
        _ => format!("there are {instances}"),
    };
    object.at_value(
        path,
        Finding::error("too-few-instances", format!("mode {mode} with {count} synchronous {} needs at least {needed} instances; {what}", standbys(count)))
            .help(match instances {
                1 => format!("set spec.instances to {needed} or more, or use mode async or {}", all_of(mode)),
                _ => format!("set spec.instances to {needed} or more, or spec.replication.syncInstances to {} or less", instances - 1),
            }),
    );
}

fn standbys(count: i64) -> &'static str {
    if count == 1 { "standby" } else { "standbys" }
}

fn all_of(mode: Mode) -> Mode {
    match mode {
        Mode::StrictSync | Mode::StrictSyncAll => Mode::StrictSyncAll,
        Mode::Async | Mode::Sync | Mode::SyncAll => Mode::SyncAll,
    }
}

fn groups(object: &mut Object<'_>, instances: i64) {
    let groups = object.list("spec.replication.groups");
    let sum = |field: &str| {
        let numbers = groups.iter().filter_map(|group| group.get(field)?.as_i64());
        numbers.fold(0i64, i64::saturating_add)
    };
    let path = || Object::path("spec.replication.groups");
    let in_groups = sum("instances");
    if in_groups >= instances {
        object.at_key(
            path(),
            Finding::error("groups-too-large", format!("the groups hold {in_groups} of {instances} instances, which leaves none in no group, and one of those has to lead"))
                .help(format!("set spec.instances to more than {in_groups}, or make the groups smaller")),
        );
    }
    if let Some(least) = object.number("spec.autoscaling.minInstances") {
        let in_groups = sum("minInstances");
        if in_groups >= least {
            object.at_key(
                path(),
                Finding::error("groups-too-large", format!("the groups' minInstances are {in_groups} together, and the cluster's are {least}"))
                    .help(format!("set spec.autoscaling.minInstances to more than {in_groups}")),
            );
        }
    }
}

fn babelfish(object: &mut Object<'_>, instances: i64) {
    if object.text("spec.postgres.flavor") != Some("babelfish") {
        return;
    }
    let gates = object.list("spec.nonProductionOptions.enabledFeatureGates");
    if !gates.contains(&Value::from("babelfish-flavor")) {
        object.at_value(
            Object::path("spec.postgres.flavor"),
            Finding::error("babelfish", "the flavor babelfish needs a feature gate")
                .help("add babelfish-flavor to spec.nonProductionOptions.enabledFeatureGates"),
        );
    }
    if instances > 1 {
        object.at_value(
            Object::path("spec.instances"),
            Finding::error(
                "babelfish",
                format!("the flavor babelfish allows one instance; there are {instances}"),
            )
            .help("set spec.instances to 1; no replication mode matters there"),
        );
    }
}

fn autoscaling(object: &mut Object<'_>) {
    if object.map("spec.autoscaling").is_none() {
        return;
    }
    let mode = object.text("spec.autoscaling.mode").unwrap_or("all");
    let mut missing = Vec::new();
    if matches!(mode, "all" | "horizontal") {
        missing.extend(["minInstances", "maxInstances"]);
    }
    if matches!(mode, "all" | "vertical") {
        missing.extend(["minAllowed", "maxAllowed"]);
    }
    for field in missing {
        let path = Object::path("spec.autoscaling").key(field);
        let message = match object.find(&path) {
            None => format!("autoscaling mode {mode} needs {field}"),
            Some(Value::Object(parts))
                if !["patroni", "pgbouncer", "envoy"]
                    .iter()
                    .any(|part| parts.contains_key(*part)) =>
            {
                format!("spec.autoscaling.{field} names none of patroni, pgbouncer and envoy")
            }
            Some(_) => continue,
        };
        let help = match object.get("spec.autoscaling.mode") {
            None => "write it, or set spec.autoscaling.mode, which is all where it is not written",
            Some(_) => "write it, or change spec.autoscaling.mode",
        };
        object.at_key(
            path,
            Finding::error("autoscaling-incomplete", message).help(help),
        );
    }
}

fn replicate_from(object: &mut Object<'_>) {
    if object.map("spec.replicateFrom").is_none() {
        return;
    }
    let has = |path: &str| object.get(&format!("spec.replicateFrom.{path}")).is_some();
    let (instance, storage, users) = (has("instance"), has("storage"), has("users"));
    let (cluster, external) = (has("instance.sgCluster"), has("instance.external"));
    let mut refuse = |field: &str, message: &str, help: &str| {
        let path = Object::path(&format!("spec.replicateFrom{field}"));
        object.at_key(path, Finding::error("replicate-from", message).help(help));
    };
    if !instance && !storage {
        refuse(
            "",
            "replicateFrom names no source",
            "write replicateFrom.instance, replicateFrom.storage, or both",
        );
    }
    if instance && !cluster && !external {
        refuse(
            ".instance",
            "replicateFrom.instance names no instance",
            "write sgCluster or external",
        );
    }
    if cluster && external {
        refuse(
            ".instance.external",
            "replicateFrom.instance names two instances",
            "write one of sgCluster and external",
        );
    }
    if cluster && storage {
        refuse(
            ".storage",
            "an SGCluster as the source excludes storage",
            "leave replicateFrom.storage out",
        );
    }
    if cluster && users {
        refuse(
            ".users",
            "an SGCluster as the source brings its own users",
            "leave replicateFrom.users out",
        );
    }
    if !cluster && (external || storage) && !users {
        refuse(
            "",
            "a source outside this Kubernetes cluster needs users",
            "write replicateFrom.users with superuser, replication and authenticator",
        );
    }
}

fn scripts(object: &mut Object<'_>) {
    let scripts = object.list("spec.managedSql.scripts");
    for (index, script) in scripts.iter().enumerate() {
        // -1 stands for an id that is still to be given.
        let Some(id) = script
            .get("id")
            .and_then(Value::as_i64)
            .filter(|&id| id >= 0)
        else {
            continue;
        };
        let same = |other: &Value| other.get("id").and_then(Value::as_i64) == Some(id);
        if scripts[..index].iter().any(same) {
            object.at_value(
                Object::path("spec.managedSql.scripts")
                    .index(index)
                    .key("id"),
                Finding::error(
                    "duplicate-script-id",
                    format!("the script id {id} is given twice"),
                )
                .help("give each entry an id of its own, or none"),
            );
        }
    }
}

/// `backupNewerThan` in ISO 8601, of which days, hours, minutes and seconds are taken.
fn duration(object: &mut Object<'_>) {
    let path = Object::path("spec.replication.initialization.backupNewerThan");
    let Some(text) = object.find(&path).and_then(Value::as_str) else {
        return;
    };
    if !is_duration(text) {
        object.at_value(
            path,
            Finding::error("wrong-format", format!("`{text}` is no duration"))
                .help("write it as ISO 8601 does, such as P1DT12H or PT90M"),
        );
    }
}

fn is_duration(text: &str) -> bool {
    let text = text.to_ascii_uppercase();
    let Some(rest) = text.trim_start_matches(['+', '-']).strip_prefix('P') else {
        return false;
    };
    let (days, time) = match rest.split_once('T') {
        Some((days, time)) => (days, Some(time)),
        None => (rest, None),
    };
    let amount = |text: &str| {
        let digits = text.trim_start_matches(['+', '-']).replacen('.', "", 1);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_days = days.is_empty() || days.strip_suffix('D').is_some_and(amount);
    let is_time = time.is_none_or(|time| {
        let mut rest = time;
        for unit in ['H', 'M', 'S'] {
            if let Some((number, after)) = rest.split_once(unit) {
                if !amount(number) {
                    return false;
                }
                rest = after;
            }
        }
        rest.is_empty() && !time.is_empty()
    });
    is_days && is_time && !(days.is_empty() && time.is_none())
}

/// Labels and annotations that are handed on to Pods and Services.
fn labels(object: &mut Object<'_>) {
    for (section, is_label) in [("labels", true), ("annotations", false)] {
        for target in [
            "allResources",
            "clusterPods",
            "services",
            "primaryService",
            "replicasService",
            "serviceAccount",
        ] {
            let Some(entries) = object.map(&format!("spec.metadata.{section}.{target}")) else {
                continue;
            };
            for (key, value) in entries {
                let (path, text) = (
                    Object::path(&format!("spec.metadata.{section}.{target}")).key(key),
                    value.as_str().unwrap_or_default(),
                );
                let what = match (is_qualified_name(key), is_label && !is_label_value(text)) {
                    (false, _) => format!("`{key}` cannot be the key of a label or annotation"),
                    (true, true) => format!("`{text}` cannot be the value of a label"),
                    (true, false) => continue,
                };
                object.at_key(
                    path,
                    Finding::error("invalid-label", what)
                        .help("use at most 63 letters, digits, `-`, `_` and `.`, a letter or digit first and last; a key may have a DNS name and `/` before it"),
                );
            }
        }
    }
}

fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_label_name(text)
}

fn is_label_name(text: &str) -> bool {
    let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    text.len() <= 63
        && is_edge(bytes.first())
        && is_edge(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

fn is_qualified_name(key: &str) -> bool {
    match key.split_once('/') {
        None => is_label_name(key),
        Some((domain, name)) => {
            let is_part = |part: &str| {
                let bytes = part.as_bytes();
                !part.is_empty()
                    && bytes.iter().all(|byte| {
                        byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-'
                    })
                    && !part.starts_with('-')
                    && !part.ends_with('-')
            };
            domain.len() <= 253 && domain.split('.').all(is_part) && is_label_name(name)
        }
    }
}
