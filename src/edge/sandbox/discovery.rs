//! What is served, told to clients: the version, groups, and the resources of each group.
//!
//! In two forms: the old one, a document for each group and version, and the aggregated one, which has it all in two.

use serde_json::{Value, json};

use super::resource::{Registry, Resource, subresource_verbs};
use crate::model::key::Kind;

/// The release whose behaviour is followed.
const RELEASE: &str = "v1.36.3";

pub const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// `/version`
pub fn version() -> Value {
    json!({
        "major": "1",
        "minor": "36",
        "gitVersion": format!("{RELEASE}+lockstep-sandbox"),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "",
    })
}

/// Whether the client takes the aggregated form.
pub fn takes_aggregated(accept: &str) -> bool {
    accept.split(',').any(|clause| {
        let parts: Vec<&str> = clause.split(';').map(str::trim).collect();
        parts.first() == Some(&"application/json")
            && parts.contains(&"g=apidiscovery.k8s.io")
            && parts.contains(&"v=v2")
            && parts.contains(&"as=APIGroupDiscoveryList")
    })
}

/// `/api` in the old form.
pub fn core_versions(address: &str) -> Value {
    json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
    })
}

/// `/apis` in the old form.
pub fn groups(registry: &Registry) -> Value {
    let groups: Vec<Value> = registry
        .groups()
        .iter()
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, versions)| group_of(name, versions))
        .collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// `/apis/GROUP`
pub fn group(registry: &Registry, name: &str) -> Option<Value> {
    let groups = registry.groups();
    let versions = groups.get(name)?;
    let mut group = json!({"kind": "APIGroup", "apiVersion": "v1"});
    if let (Some(target), Value::Object(source)) = (group.as_object_mut(), group_of(name, versions))
    {
        target.extend(source);
    }
    Some(group)
}

fn group_of(name: &str, versions: &[&str]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
        .collect();
    json!({"name": name, "preferredVersion": versions.first(), "versions": versions})
}

/// `/api/v1` or `/apis/GROUP/VERSION`
pub fn resources(registry: &Registry, group: &str, version: &str) -> Option<Value> {
    let mut list = Vec::new();
    for resource in registry.in_version(group, version) {
        let mut entry = json!({
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.is_namespaced,
            "kind": resource.kind.kind,
            "verbs": resource.verbs,
        });
        add_names(&mut entry, resource);
        list.push(entry);
        for subresource in resource.subresources() {
            let mut entry = json!({
                "name": format!("{}/{subresource}", resource.plural),
                "singularName": "",
                "namespaced": resource.is_namespaced,
            });
            let kind = subresource_kind(resource, subresource);
            if kind.kind == "Scale" {
                entry["group"] = kind.group.into();
                entry["version"] = kind.version.into();
            }
            entry["kind"] = kind.kind.into();
            entry["verbs"] = json!(subresource_verbs(subresource));
            list.push(entry);
        }
    }
    if list.is_empty() {
        return None;
    }
    let kind = Kind {
        group: group.into(),
        version: version.into(),
        kind: String::new(),
    };
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": kind.api_version(),
        "resources": list,
    }))
}

fn add_names(entry: &mut Value, resource: &Resource) {
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
}

fn subresource_kind(resource: &Resource, subresource: &str) -> Kind {
    if subresource == "scale" {
        Kind::from_api_version("autoscaling/v1", "Scale")
    } else {
        resource.kind.clone()
    }
}

/// `/api` or, with `is_core` false, `/apis` in the aggregated form.
pub fn aggregated(registry: &Registry, is_core: bool) -> Value {
    let items: Vec<Value> = registry
        .groups()
        .iter()
        .filter(|(name, _)| name.is_empty() == is_core)
        .map(|(name, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    let resources: Vec<Value> = registry
                        .in_version(name, version)
                        .map(|resource| aggregated_resource(resource))
                        .collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            let metadata = if name.is_empty() {
                json!({})
            } else {
                json!({"name": name})
            };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    })
}

fn aggregated_resource(resource: &Resource) -> Value {
    // The real server leaves group and version out for its own kinds; clients then take those of the list.
    let response = |kind: Kind| {
        let is_own = resource.custom.is_none() && kind == resource.kind;
        let (group, version) = if is_own {
            (String::new(), String::new())
        } else {
            (kind.group, kind.version)
        };
        json!({"group": group, "version": version, "kind": kind.kind})
    };
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": response(resource.kind.clone()),
        "scope": if resource.is_namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": resource.verbs,
    });
    add_names(&mut entry, resource);
    let subresources: Vec<Value> = resource
        .subresources()
        .into_iter()
        .map(|name| {
            json!({
                "subresource": name,
                "responseKind": response(subresource_kind(resource, name)),
                "verbs": subresource_verbs(name),
            })
        })
        .collect();
    if !subresources.is_empty() {
        entry["subresources"] = subresources.into();
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_name_the_same_resources() {
        let registry = Registry::of([]);
        let old = resources(&registry, "apps", "v1").unwrap();
        let names: Vec<&str> = old["resources"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            names,
            ["statefulsets", "statefulsets/scale", "statefulsets/status"]
        );
        let new = aggregated(&registry, false);
        let apps = new["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|item| item["metadata"]["name"] == "apps")
            .unwrap();
        assert_eq!(
            apps["versions"][0]["resources"][0]["subresources"][0]["responseKind"]["group"],
            "autoscaling"
        );
        assert!(resources(&registry, "apps", "v2").is_none());
        assert!(group(&registry, "nothing").is_none());
    }

    #[test]
    fn the_aggregated_form_is_given_to_those_who_ask() {
        assert!(takes_aggregated(
            "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"
        ));
        assert!(!takes_aggregated("application/json"));
        assert!(!takes_aggregated(
            "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList"
        ));
    }
}
