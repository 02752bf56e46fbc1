//! What StackGres would refuse of the objects that clusters refer to (`domain.md` §7).

use super::object::Object;
use crate::model::carried::Carried;
use crate::model::finding::Finding;

/// Parameters of PostgreSQL that the operator keeps to itself.
const KEPT: [&str; 14] = [
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

pub fn check(object: &mut Object<'_>, kind: Carried) {
    if kind != Carried::PostgresConfig {
        return;
    }
    let path = Object::path("spec").key("postgresql.conf");
    let Some(parameters) = object.find(&path).and_then(|value| value.as_object()) else {
        return;
    };
    for name in parameters
        .keys()
        .filter(|name| KEPT.contains(&name.as_str()))
    {
        let message =
            format!("the operator keeps the parameter {name} to itself and refuses the object");
        object.at_key(
            path.key(name),
            Finding::error("refused-parameter", message).help("remove it"),
        );
    }
}
