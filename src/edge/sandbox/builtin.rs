//! What the built-in kinds may hold, what the server fills in, and what may not change.
//!
//! Unknown fields and wrong types are judged by the generated types of k8s-openapi. Of the defaults and rules of the real
//! server this has those that a StatefulSet's or a Pod's reader can see; it is no validator of Pod specifications.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Endpoints, Event, Namespace, Pod, Secret, Service};
use k8s_openapi::api::events::v1::Event as NewEvent;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::failure::{Cause, quoted};
use super::resource::Resource;

/// Drops what the kind does not declare, and nulls; says which fields those were (not the nulls). The error is a value
/// of the wrong type.
pub fn prune(resource: &Resource, object: &mut Value) -> Result<Vec<String>, String> {
    let typed = match (resource.kind.group.as_str(), resource.plural.as_str()) {
        ("", "configmaps") => read::<ConfigMap>(object),
        ("", "endpoints") => read::<Endpoints>(object),
        ("", "events") => read::<Event>(object),
        ("", "namespaces") => read::<Namespace>(object),
        ("", "pods") => read::<Pod>(object),
        ("", "secrets") => read::<Secret>(object),
        ("", "services") => read::<Service>(object),
        ("apiextensions.k8s.io", _) => read::<CustomResourceDefinition>(object),
        ("apps", _) => read::<StatefulSet>(object),
        ("coordination.k8s.io", _) => read::<Lease>(object),
        ("events.k8s.io", _) => read::<NewEvent>(object),
        _ => return Ok(Vec::new()),
    }?;
    let mut unknown = Vec::new();
    keep_declared(object, &typed, "", &mut unknown);
    Ok(unknown)
}

fn read<T: DeserializeOwned + Serialize>(object: &Value) -> Result<Value, String> {
    let object: T = T::deserialize(object).map_err(|error| format!("json: {error}"))?;
    serde_json::to_value(object).map_err(|error| format!("json: {error}"))
}

/// What the typed reading did not take up is unknown, unless it was null.
fn keep_declared(value: &mut Value, typed: &Value, path: &str, unknown: &mut Vec<String>) {
    match (value, typed) {
        (Value::Object(fields), Value::Object(declared)) => {
            fields.retain(|key, field| {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                match declared.get(key) {
                    Some(typed) if !field.is_null() => {
                        keep_declared(field, typed, &path, unknown);
                        true
                    }
                    _ if field.is_null() => false,
                    _ => {
                        unknown.push(path);
                        false
                    }
                }
            });
        }
        (Value::Array(entries), Value::Array(typed)) => {
            for (index, (entry, typed)) in entries.iter_mut().zip(typed).enumerate() {
                keep_declared(entry, typed, &format!("{path}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}

/// Sets each field that is absent.
fn fill(fields: &mut Map<String, Value>, defaults: Value) {
    let Value::Object(defaults) = defaults else {
        return;
    };
    for (key, value) in defaults {
        let field = fields.entry(key).or_insert(Value::Null);
        if field.is_null() {
            *field = value;
        }
    }
}

fn section<'v>(object: &'v mut Value, key: &str) -> Option<&'v mut Map<String, Value>> {
    let fields = object.as_object_mut()?;
    fields
        .entry(key)
        .or_insert_with(|| Value::Object(Map::new()))
        .as_object_mut()
}

/// Fills in what the real server fills in, for the fields that are likely to be read.
pub fn apply_defaults(resource: &Resource, object: &mut Value) {
    match (resource.kind.group.as_str(), resource.plural.as_str()) {
        ("", "namespaces") => namespace_defaults(object),
        ("", "pods") => {
            if let Some(spec) = section(object, "spec") {
                pod_defaults(spec);
                fill(spec, json!({"enableServiceLinks": true}));
            }
            pod_addresses(object);
        }
        ("", "services") => service_defaults(object),
        ("", "endpoints") => {
            for port in subset_ports(object) {
                fill(port, json!({"protocol": "TCP"}));
            }
        }
        ("", "secrets") => {
            if let Some(fields) = object.as_object_mut() {
                fill(fields, json!({"type": "Opaque"}));
            }
        }
        ("apps", "statefulsets") => statefulset_defaults(object),
        ("apiextensions.k8s.io", _) => definition_defaults(object),
        _ => {}
    }
}

fn namespace_defaults(object: &mut Value) {
    let name = super::metadata::text(object, "name").to_owned();
    if name.is_empty() {
        return;
    }
    let metadata = super::metadata::of(object);
    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
    if let Some(labels) = labels.as_object_mut() {
        labels.insert("kubernetes.io/metadata.name".into(), name.into());
    }
}

fn pod_defaults(spec: &mut Map<String, Value>) {
    for list in ["containers", "initContainers"] {
        let containers = spec.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let Some(container) = container.as_object_mut() else {
                continue;
            };
            let ports = container.get_mut("ports").and_then(Value::as_array_mut);
            for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
                fill(port, json!({"protocol": "TCP"}));
            }
            let image = container.get("image").and_then(Value::as_str).unwrap_or("");
            let is_moving = image.ends_with(":latest")
                || !image
                    .rsplit('/')
                    .next()
                    .is_some_and(|last| last.contains([':', '@']));
            let pull = if is_moving { "Always" } else { "IfNotPresent" };
            fill(
                container,
                json!({
                    "imagePullPolicy": pull,
                    "resources": {},
                    "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "File",
                }),
            );
        }
    }
    fill(
        spec,
        json!({
            "dnsPolicy": "ClusterFirst",
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "securityContext": {},
            "terminationGracePeriodSeconds": 30,
        }),
    );
}

fn service_defaults(object: &mut Value) {
    let Some(spec) = section(object, "spec") else {
        return;
    };
    fill(
        spec,
        json!({"type": "ClusterIP", "sessionAffinity": "None"}),
    );
    let ports = spec.get_mut("ports").and_then(Value::as_array_mut);
    for port in ports.into_iter().flatten().filter_map(Value::as_object_mut) {
        let target = port.get("port").cloned().unwrap_or(Value::Null);
        fill(port, json!({"protocol": "TCP", "targetPort": target}));
    }
    if spec.get("type").and_then(Value::as_str) != Some("ExternalName") {
        fill(spec, json!({"internalTrafficPolicy": "Cluster"}));
    }
}

/// The list of addresses begins with the one address.
fn pod_addresses(object: &mut Value) {
    let Some(status) = object.get_mut("status").and_then(Value::as_object_mut) else {
        return;
    };
    let Some(first) = status.get("podIP").filter(|ip| ip.as_str() != Some("")) else {
        return;
    };
    if status.get("podIPs").and_then(|list| list.pointer("/0/ip")) != Some(first) {
        let list = json!([{"ip": first}]);
        status.insert("podIPs".into(), list);
    }
}

fn statefulset_defaults(object: &mut Value) {
    let Some(spec) = section(object, "spec") else {
        return;
    };
    fill(
        spec,
        json!({
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
            "podManagementPolicy": "OrderedReady",
            "replicas": 1,
            "revisionHistoryLimit": 10,
            "updateStrategy": {"type": "RollingUpdate"},
        }),
    );
    if let Some(strategy) = spec
        .get_mut("updateStrategy")
        .and_then(Value::as_object_mut)
        && strategy.get("type").and_then(Value::as_str) == Some("RollingUpdate")
    {
        fill(strategy, json!({"rollingUpdate": {"partition": 0}}));
    }
    let template = spec
        .get_mut("template")
        .and_then(|template| template.get_mut("spec"));
    if let Some(template) = template.and_then(Value::as_object_mut) {
        pod_defaults(template);
    }
}

fn definition_defaults(object: &mut Value) {
    let Some(spec) = section(object, "spec") else {
        return;
    };
    fill(spec, json!({"conversion": {"strategy": "None"}}));
    let Some(names) = spec.get_mut("names").and_then(Value::as_object_mut) else {
        return;
    };
    if let Some(kind) = names.get("kind").and_then(Value::as_str).map(str::to_owned) {
        fill(
            names,
            json!({"singular": kind.to_lowercase(), "listKind": format!("{kind}List")}),
        );
    }
}

fn subset_ports(object: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    object
        .get_mut("subsets")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(|subset| subset.get_mut("ports").and_then(Value::as_array_mut))
        .flatten()
        .filter_map(Value::as_object_mut)
}

/// The status that a new object starts with, whatever was sent.
fn first_status(resource: &Resource, object: &Value) -> Option<Value> {
    match resource.plural.as_str() {
        _ if resource.custom.is_some() => None,
        "namespaces" => Some(json!({"phase": "Active"})),
        "pods" => {
            let needs = |word: &str| {
                object
                    .pointer("/spec/containers")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .any(|container| container.pointer(&format!("/resources/{word}")).is_some())
            };
            let class = match (needs("requests"), needs("limits")) {
                (false, false) => "BestEffort",
                _ => "Burstable",
            };
            Some(json!({"phase": "Pending", "qosClass": class}))
        }
        "services" => Some(json!({"loadBalancer": {}})),
        "statefulsets" => Some(json!({"replicas": 0, "availableReplicas": 0})),
        _ => None,
    }
}

/// What the server settles for a new object after its owners were recorded. `number` tells new objects apart: a Service
/// gets the address of that number in the service range.
pub fn assign(resource: &Resource, object: &mut Value, number: u64) {
    if resource.custom.is_some() {
        return;
    }
    match resource.plural.as_str() {
        "namespaces" => {
            if let Some(spec) = section(object, "spec") {
                fill(spec, json!({"finalizers": ["kubernetes"]}));
            }
        }
        "pods" => {
            if let Some(spec) = section(object, "spec") {
                fill(
                    spec,
                    json!({"priority": 0, "preemptionPolicy": "PreemptLowerPriority"}),
                );
            }
        }
        "services" => assign_address(object, number),
        _ => {}
    }
    if let Some(status) = first_status(resource, object) {
        object["status"] = status;
    }
}

fn assign_address(object: &mut Value, number: u64) {
    let Some(spec) = section(object, "spec") else {
        return;
    };
    if spec.get("type").and_then(Value::as_str) == Some("ExternalName") {
        return;
    }
    let address = format!("10.96.{}.{}", (number / 254) % 256, number % 254 + 1);
    fill(
        spec,
        json!({"clusterIP": address, "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}),
    );
    let address = spec.get("clusterIP").cloned().unwrap_or(Value::Null);
    fill(spec, json!({"clusterIPs": [address]}));
}

/// What is wrong with the contents.
pub fn causes(resource: &Resource, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    match (resource.kind.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => container_causes(object, "spec", &mut causes),
        ("", "services") => {
            let is_external = object.pointer("/spec/type") == Some(&json!("ExternalName"));
            let is_headless = object.pointer("/spec/clusterIP") == Some(&json!("None"));
            if is_empty(object, "/spec/ports") && !is_external && !is_headless {
                causes.push(Cause::required("spec.ports", ""));
            }
        }
        ("", "endpoints") => address_causes(object, &mut causes),
        ("apps", "statefulsets") => {
            if is_empty(object, "/spec/selector") {
                causes.push(Cause::required("spec.selector", ""));
            }
            let labels = object.pointer("/spec/template/metadata/labels");
            let wanted = object
                .pointer("/spec/selector/matchLabels")
                .and_then(Value::as_object);
            let is_matched = wanted.is_some_and(|wanted| {
                wanted
                    .iter()
                    .all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
            });
            if !is_matched {
                let shown = labels.map_or_else(|| "null".to_owned(), Value::to_string);
                causes.push(Cause::invalid(
                    "spec.template.metadata.labels",
                    &shown,
                    "`selector` does not match template `labels`",
                ));
            }
            container_causes(object, "spec.template.spec", &mut causes);
        }
        _ => {}
    }
    causes
}

fn is_empty(object: &Value, pointer: &str) -> bool {
    match object.pointer(pointer) {
        None | Some(Value::Null) => true,
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(_) => false,
    }
}

fn container_causes(object: &Value, path: &str, causes: &mut Vec<Cause>) {
    let pointer = format!("/{}/containers", path.replace('.', "/"));
    if is_empty(object, &pointer) {
        causes.push(Cause::required(format!("{path}.containers"), ""));
    }
    let containers = object.pointer(&pointer).and_then(Value::as_array);
    for (index, container) in containers.into_iter().flatten().enumerate() {
        for field in ["name", "image"] {
            let value = container.get(field).and_then(Value::as_str).unwrap_or("");
            if value.is_empty() {
                causes.push(Cause::required(
                    format!("{path}.containers[{index}].{field}"),
                    "",
                ));
            }
        }
    }
}

fn address_causes(object: &Value, causes: &mut Vec<Cause>) {
    let subsets = object.get("subsets").and_then(Value::as_array);
    for (index, subset) in subsets.into_iter().flatten().enumerate() {
        for list in ["addresses", "notReadyAddresses"] {
            let addresses = subset.get(list).and_then(Value::as_array);
            for (place, address) in addresses.into_iter().flatten().enumerate() {
                let text = address.get("ip").and_then(Value::as_str).unwrap_or("");
                let why = match text.parse::<std::net::IpAddr>() {
                    Err(_) => "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
                    Ok(ip) if ip.is_loopback() => {
                        "may not be in the loopback range (127.0.0.0/8, ::1/128)"
                    }
                    Ok(_) => continue,
                };
                causes.push(Cause::invalid(
                    format!("subsets[{index}].{list}[{place}].ip"),
                    &quoted(text),
                    why,
                ));
            }
        }
    }
}

/// What an update may not change.
pub fn update_causes(resource: &Resource, object: &Value, old: &Value) -> Vec<Cause> {
    let (free, why): (&[&str], &str) = match resource.plural.as_str() {
        _ if resource.custom.is_some() => return Vec::new(),
        "pods" => (
            &[
                "activeDeadlineSeconds",
                "tolerations",
                "terminationGracePeriodSeconds",
            ],
            "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
        ),
        "statefulsets" => (
            &[
                "replicas",
                "ordinals",
                "template",
                "updateStrategy",
                "revisionHistoryLimit",
                "persistentVolumeClaimRetentionPolicy",
                "minReadySeconds",
            ],
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        ),
        _ => return Vec::new(),
    };
    if fixed_part(object, free) == fixed_part(old, free) {
        Vec::new()
    } else {
        vec![Cause::forbidden("spec", why)]
    }
}

fn fixed_part(object: &Value, free: &[&str]) -> Value {
    let mut spec = object.get("spec").cloned().unwrap_or(Value::Null);
    if let Some(fields) = spec.as_object_mut() {
        fields.retain(|key, _| !free.contains(&key.as_str()));
        for list in ["containers", "initContainers"] {
            let containers = fields.get_mut(list).and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten() {
                if let Some(container) = container.as_object_mut() {
                    container.remove("image");
                }
            }
        }
    }
    spec
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::sandbox::resource::Registry;
    use std::sync::Arc;

    fn resource(group: &str, plural: &str) -> Arc<Resource> {
        Registry::of([]).find(group, "v1", plural).unwrap().clone()
    }

    #[test]
    fn a_field_that_the_kind_does_not_have_is_named_and_dropped() {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "a", "bogus": 1, "labels": null},
            "spec": {"containers": [{"name": "c", "imagee": "x", "image": "y"}]},
        });
        let unknown = prune(&resource("", "pods"), &mut pod).unwrap();
        assert_eq!(unknown, ["metadata.bogus", "spec.containers[0].imagee"]);
        assert_eq!(pod["metadata"], json!({"name": "a"}));
    }

    #[test]
    fn a_value_of_the_wrong_type_is_an_error() {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": "x"}});
        assert!(prune(&resource("", "pods"), &mut pod).is_err());
    }

    #[test]
    fn loopback_addresses_are_refused_as_the_real_server_does() {
        let object = json!({"subsets": [{"addresses": [{"ip": "127.0.0.4"}, {"ip": "10.0.0.1"}]}]});
        let causes = causes(&resource("", "endpoints"), &object);
        assert_eq!(causes.len(), 1);
        assert_eq!(causes[0].field, "subsets[0].addresses[0].ip");
    }

    #[test]
    fn a_pods_image_may_change_and_its_restart_policy_may_not() {
        let pods = resource("", "pods");
        let old = json!({"spec": {"restartPolicy": "Always", "containers": [{"name": "c", "image": "a"}]}});
        let image = json!({"spec": {"restartPolicy": "Always", "containers": [{"name": "c", "image": "b"}]}});
        let policy = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "a"}]}});
        assert!(update_causes(&pods, &image, &old).is_empty());
        assert_eq!(update_causes(&pods, &policy, &old).len(), 1);
    }
}
