//! The webhooks of the kinds an SGCluster refers to: simple defaults, and what they refuse (`domain` §7).

use serde_json::{Value, json};

use super::{Refused, at};

/// Parameters that the operator sets itself.
const NOT_SETTABLE: [&str; 14] = [
    "archive_command",
    "archive_mode",
    "dynamic_library_path",
    "lc_messages",
    "listen_addresses",
    "log_destination",
    "log_directory",
    "log_filename",
    "log_rotation_age",
    "log_rotation_size",
    "log_truncate_on_rotation",
    "logging_collector",
    "port",
    "wal_log_hints",
];

const POSTGRES_DEFAULTS: [(&str, &str); 4] = [
    ("checkpoint_timeout", "15min"),
    ("max_replication_slots", "20"),
    ("max_wal_senders", "20"),
    ("wal_level", "logical"),
];

const POOLING_DEFAULTS: [(&str, &str); 3] = [
    ("default_pool_size", "1000"),
    ("max_client_conn", "1000"),
    ("pool_mode", "session"),
];

pub(super) fn complete(kind: &str, object: &mut Value, is_create: bool) {
    match kind {
        "SGInstanceProfile" => {
            let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else {
                return;
            };
            let own = json!({"cpu": spec.get("cpu"), "memory": spec.get("memory")});
            for (key, value) in [
                ("requests", own),
                ("containers", json!({})),
                ("initContainers", json!({})),
            ] {
                if spec.get(key).is_none_or(Value::is_null) {
                    spec.insert(key.into(), value);
                }
            }
        }
        "SGPostgresConfig" if is_create => {
            fill(object, "/spec/postgresql.conf", &POSTGRES_DEFAULTS);
        }
        "SGPoolingConfig" if is_create => fill(
            object,
            "/spec/pgBouncer/pgbouncer.ini/pgbouncer",
            &POOLING_DEFAULTS,
        ),
        _ => {}
    }
}

fn fill(object: &mut Value, pointer: &str, defaults: &[(&str, &str)]) {
    if let Some(section) = object.pointer_mut(pointer).and_then(Value::as_object_mut) {
        for (key, value) in defaults {
            if !section.contains_key(*key) {
                section.insert((*key).to_owned(), json!(value));
            }
        }
    }
}

pub(super) fn refused(kind: &str, old: Option<&Value>, new: &Value) -> Option<Refused> {
    match kind {
        "SGPostgresConfig" => {
            let version = |object| at(object, &["spec", "postgresVersion"]);
            if old.is_some_and(|old| version(old) != version(new)) {
                return Some(Refused::bad("postgresVersion is not updatable"));
            }
            let parameters = at(new, &["spec", "postgresql.conf"])?.as_object()?;
            let named: Vec<&str> = NOT_SETTABLE
                .into_iter()
                .filter(|name| parameters.contains_key(*name))
                .collect();
            (!named.is_empty()).then(|| {
                Refused::bad(format!(
                    "Invalid postgres configuration, properties: {} cannot be settled",
                    named.join(", ")
                ))
            })
        }
        "SGDbOps" if old.is_some_and(|old| at(old, &["spec"]) != at(new, &["spec"])) => {
            Some(Refused::bad("spec can not be updated"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_that_the_operator_sets_are_refused_by_name() {
        let object = json!({"spec": {"postgresVersion": "16", "postgresql.conf": {"port": "1", "work_mem": "4MB"}}});
        assert_eq!(
            refused("SGPostgresConfig", None, &object),
            Some(Refused::bad(
                "Invalid postgres configuration, properties: port cannot be settled"
            ))
        );
    }

    #[test]
    fn a_configuration_keeps_its_major_version() {
        let old = json!({"spec": {"postgresVersion": "15"}});
        let new = json!({"spec": {"postgresVersion": "16"}});
        assert_eq!(
            refused("SGPostgresConfig", Some(&old), &new),
            Some(Refused::bad("postgresVersion is not updatable"))
        );
    }

    #[test]
    fn defaults_join_what_is_set_and_never_replace_it() {
        let mut object = json!({"spec": {"postgresql.conf": {"wal_level": "replica"}}});
        complete("SGPostgresConfig", &mut object, true);
        let parameters = &object["spec"]["postgresql.conf"];
        assert_eq!(parameters["wal_level"], "replica");
        assert_eq!(parameters["checkpoint_timeout"], "15min");
    }
}
