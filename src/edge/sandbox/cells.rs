//! What a table shows of the built-in kinds.
//!
//! Descriptions of columns are left out: nothing prints them.

use jiff::Timestamp;
use serde_json::Value;

use super::metadata;
use super::resource::Resource;
use super::table::age;

/// What stands where there is nothing.
const NONE: &str = "<none>";
const UNSET: &str = "<unset>";

/// Name and priority of each column; 1 is shown with `-o wide`.
pub fn columns(resource: &Resource) -> &'static [(&'static str, i64)] {
    match resource.plural.as_str() {
        "configmaps" => &[("Name", 0), ("Data", 0), ("Age", 0)],
        "customresourcedefinitions" => &[("Name", 0), ("Created At", 0)],
        "endpoints" => &[("Name", 0), ("Endpoints", 0), ("Age", 0)],
        "events" => &[
            ("Last Seen", 0),
            ("Type", 0),
            ("Reason", 0),
            ("Object", 0),
            ("Subobject", 1),
            ("Source", 1),
            ("Message", 0),
            ("First Seen", 1),
            ("Count", 1),
            ("Name", 1),
        ],
        "leases" => &[("Name", 0), ("Holder", 0), ("Age", 0)],
        "namespaces" => &[("Name", 0), ("Status", 0), ("Age", 0)],
        "pods" => &[
            ("Name", 0),
            ("Ready", 0),
            ("Status", 0),
            ("Restarts", 0),
            ("Age", 0),
            ("IP", 1),
            ("Node", 1),
            ("Nominated Node", 1),
            ("Readiness Gates", 1),
        ],
        "secrets" => &[("Name", 0), ("Type", 0), ("Data", 0), ("Age", 0)],
        "services" => &[
            ("Name", 0),
            ("Type", 0),
            ("Cluster-IP", 0),
            ("External-IP", 0),
            ("Port(s)", 0),
            ("Age", 0),
            ("Selector", 1),
        ],
        "statefulsets" => &[
            ("Name", 0),
            ("Ready", 0),
            ("Age", 0),
            ("Containers", 1),
            ("Images", 1),
        ],
        _ => &[("Name", 0), ("Age", 0)],
    }
}

/// One cell for each of `columns`.
pub fn cells(resource: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
    let name = metadata::text(object, "name").to_owned();
    let created = metadata::text(object, "creationTimestamp");
    let old = age(created, now);
    let cells: Vec<String> = match resource.plural.as_str() {
        "configmaps" => {
            let entries = size(object, "/data") + size(object, "/binaryData");
            return vec![name.into(), entries.into(), old.into()];
        }
        "customresourcedefinitions" => vec![name, created.to_owned()],
        "endpoints" => vec![name, addresses(object), old],
        "events" => return event(object, now),
        "leases" => vec![name, text(object, "/spec/holderIdentity"), old],
        "namespaces" => vec![name, text(object, "/status/phase"), old],
        "pods" => pod(name, object, old),
        "secrets" => {
            let (kind, entries) = (text(object, "/type"), size(object, "/data"));
            return vec![name.into(), kind.into(), entries.into(), old.into()];
        }
        "services" => vec![
            name,
            text(object, "/spec/type"),
            or(text(object, "/spec/clusterIP"), NONE),
            or(text(object, "/spec/externalName"), NONE),
            ports(object),
            old,
            labels(object, "/spec/selector"),
        ],
        "statefulsets" => {
            let number = |pointer| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
            let containers = "/spec/template/spec/containers";
            vec![
                name,
                format!(
                    "{}/{}",
                    number("/status/readyReplicas"),
                    number("/spec/replicas")
                ),
                old,
                each(object, containers, |container| text(container, "/name")).join(","),
                each(object, containers, |container| text(container, "/image")).join(","),
            ]
        }
        _ => vec![name, old],
    };
    cells.into_iter().map(Value::from).collect()
}

fn text(object: &Value, pointer: &str) -> String {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or("")
        .to_owned()
}

fn or(text: String, otherwise: &str) -> String {
    if text.is_empty() {
        otherwise.to_owned()
    } else {
        text
    }
}

fn size(object: &Value, pointer: &str) -> usize {
    object
        .pointer(pointer)
        .and_then(Value::as_object)
        .map_or(0, serde_json::Map::len)
}

fn each<T>(object: &Value, pointer: &str, show: impl Fn(&Value) -> T) -> Vec<T> {
    object
        .pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(show)
        .collect()
}

fn labels(object: &Value, pointer: &str) -> String {
    let pairs: Vec<String> = object
        .pointer(pointer)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or("")))
        .collect();
    or(pairs.join(","), NONE)
}

fn ports(object: &Value) -> String {
    let ports = each(object, "/spec/ports", |port| {
        let number = port.get("port").and_then(Value::as_i64).unwrap_or(0);
        let protocol = or(text(port, "/protocol"), "TCP");
        match port.get("nodePort").and_then(Value::as_i64) {
            Some(node) => format!("{number}:{node}/{protocol}"),
            None => format!("{number}/{protocol}"),
        }
    });
    or(ports.join(","), NONE)
}

/// Three at most, then how many more.
fn addresses(object: &Value) -> String {
    let mut all = Vec::new();
    for subset in each(object, "/subsets", Clone::clone) {
        let ips = each(&subset, "/addresses", |address| text(address, "/ip"));
        let ports = each(&subset, "/ports", |port| {
            port.get("port").and_then(Value::as_i64).unwrap_or(0)
        });
        for ip in &ips {
            if ports.is_empty() {
                all.push(ip.clone());
            }
            all.extend(ports.iter().map(|port| format!("{ip}:{port}")));
        }
    }
    let more = all.len().saturating_sub(3);
    all.truncate(3);
    match (all.is_empty(), more) {
        (true, _) => NONE.into(),
        (false, 0) => all.join(","),
        (false, more) => format!("{} + {more} more...", all.join(",")),
    }
}

fn pod(name: String, object: &Value, old: String) -> Vec<String> {
    let containers = each(object, "/spec/containers", |_| ()).len();
    let statuses = "/status/containerStatuses";
    let ready = each(object, statuses, |status| status["ready"] == true)
        .into_iter()
        .filter(|ready| *ready)
        .count();
    let restarts: i64 = each(object, statuses, |status| {
        status["restartCount"].as_i64().unwrap_or(0)
    })
    .into_iter()
    .sum();
    let waiting = each(object, statuses, |status| {
        let reason = |state: &str| text(status, &format!("/state/{state}/reason"));
        or(reason("waiting"), &reason("terminated"))
    })
    .into_iter()
    .rfind(|reason| !reason.is_empty());
    let phase = or(
        text(object, "/status/reason"),
        &text(object, "/status/phase"),
    );
    let status = if metadata::is_being_deleted(object) {
        "Terminating".to_owned()
    } else {
        waiting.unwrap_or(phase)
    };
    vec![
        name,
        format!("{ready}/{containers}"),
        status,
        restarts.to_string(),
        old,
        or(text(object, "/status/podIP"), NONE),
        or(text(object, "/spec/nodeName"), NONE),
        or(text(object, "/status/nominatedNodeName"), NONE),
        NONE.into(),
    ]
}

/// Events are asked for in two forms.
fn event(object: &Value, now: Timestamp) -> Vec<Value> {
    let either = |core: &str, new: &str| or(text(object, core), &text(object, new));
    let happened = text(object, "/eventTime");
    let first = or(
        either("/firstTimestamp", "/deprecatedFirstTimestamp"),
        &happened,
    );
    let last = or(
        or(
            text(object, "/series/lastObservedTime"),
            &either("/lastTimestamp", "/deprecatedLastTimestamp"),
        ),
        &first,
    );
    let object_kind = either("/involvedObject/kind", "/regarding/kind").to_lowercase();
    let object_name = either("/involvedObject/name", "/regarding/name");
    let shown = if object_kind.is_empty() && object_name.is_empty() {
        UNSET.to_owned()
    } else {
        format!("{object_kind}/{object_name}")
    };
    let component = or(
        either("/source/component", "/deprecatedSource/component"),
        &either("/reportingComponent", "/reportingController"),
    );
    let host = or(
        either("/source/host", "/deprecatedSource/host"),
        &text(object, "/reportingInstance"),
    );
    let source = if host.is_empty() {
        component
    } else {
        format!("{component}, {host}")
    };
    let count = ["/series/count", "/count", "/deprecatedCount"]
        .into_iter()
        .find_map(|pointer| object.pointer(pointer).and_then(Value::as_i64))
        .unwrap_or(1);
    vec![
        age(&last, now).into(),
        text(object, "/type").into(),
        text(object, "/reason").into(),
        shown.into(),
        either("/involvedObject/fieldPath", "/regarding/fieldPath").into(),
        source.into(),
        either("/message", "/note").trim().into(),
        age(&first, now).into(),
        count.into(),
        metadata::text(object, "name").into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::sandbox::resource::Registry;
    use serde_json::json;

    fn row(group: &str, plural: &str, object: &Value) -> Vec<Value> {
        let registry = Registry::of([]);
        let resource = registry.find(group, "v1", plural).unwrap();
        let now = "2026-01-01T00:01:00Z".parse().unwrap();
        let row = cells(resource, object, now);
        assert_eq!(row.len(), columns(resource).len());
        row
    }

    #[test]
    fn a_pod_is_shown_by_what_its_containers_do() {
        let pod = json!({
            "metadata": {"name": "a", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"containers": [{"name": "c"}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [{"ready": true, "restartCount": 2}]},
        });
        assert_eq!(
            row("", "pods", &pod)[..6],
            ["a", "1/1", "Running", "2", "60s", "10.0.0.1"].map(Value::from)
        );
    }

    #[test]
    fn every_kind_has_as_many_cells_as_columns() {
        for (group, plural) in [
            ("", "configmaps"),
            ("", "endpoints"),
            ("", "events"),
            ("", "namespaces"),
            ("", "secrets"),
            ("", "services"),
            ("apps", "statefulsets"),
            ("coordination.k8s.io", "leases"),
            ("apiextensions.k8s.io", "customresourcedefinitions"),
            ("events.k8s.io", "events"),
        ] {
            row(group, plural, &json!({}));
        }
    }
}
