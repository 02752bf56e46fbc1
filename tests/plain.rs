//! The daemon and the commands against an API server where nobody simulates an operator: what is written, what is left
//! alone, and how each command ends.
//!
//! Runs against the server that `LOCKSTEP_TEST_KUBECONFIG` names, with the definitions that are installed there; without
//! it each test starts a sandbox. Patroni is not there unless a test writes what Patroni would.

mod harness;

#[path = "plain/commands.rs"]
mod commands;
#[path = "plain/daemon.rs"]
mod daemon;
#[path = "plain/seed.rs"]
mod seed;

use harness::Server;
use serde_json::{Value, json};

pub fn annotation<'o>(object: &'o Value, name: &str) -> Option<&'o str> {
    object["metadata"]["annotations"][name].as_str()
}

/// Carried out, as far as the object goes.
pub fn settled(object: &Value) -> bool {
    annotation(object, "lockstep.dev/applied").is_some()
        && annotation(object, "lockstep.dev/applying").is_none()
}

/// Greater with every write to the server, whatever the object.
pub fn version(object: &Value) -> u64 {
    let text = object["metadata"]["resourceVersion"].as_str();
    text.expect("a version").parse().expect("a number")
}

pub fn size(cluster: &Value) -> &str {
    cluster["spec"]["pods"]["persistentVolume"]["size"]
        .as_str()
        .unwrap_or_default()
}

/// `managers` of an object, each once.
pub fn managers(object: &Value) -> Vec<&str> {
    let entries = object["metadata"]["managedFields"].as_array();
    let mut names: Vec<&str> = entries
        .into_iter()
        .flatten()
        .filter_map(|entry| entry["manager"].as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The fields that a manager owns, as the server records them.
pub fn owned_by<'o>(object: &'o Value, manager: &str) -> &'o Value {
    let entries = object["metadata"]["managedFields"].as_array();
    let own = |entry: &&Value| entry["manager"] == manager && entry["subresource"].is_null();
    entries
        .into_iter()
        .flatten()
        .find(own)
        .map_or(&Value::Null, |entry| &entry["fieldsV1"])
}

/// What Patroni keeps of a cluster that is initialized and asynchronous, so that settings may change.
pub fn patroni(server: &Server, cluster: &str) {
    server.create(
        "v1",
        "Endpoints",
        Some(&server.namespace),
        json!({"metadata": {
            "name": format!("{cluster}-config"),
            "labels": {"app": "StackGresCluster", "stackgres.io/cluster-name": cluster},
            "annotations": {"config": "{\"ttl\":30,\"loop_wait\":10}", "initialize": "7373750354182599290"},
        }}),
    );
}
