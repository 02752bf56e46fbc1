//! Which kinds the sandbox serves, under which names, and what is special about each.
//!
//! The built-in ones are a table here; custom ones come from `definition`. What an object of a kind looks like is not
//! known here.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::failure::{Named, qualified};
use crate::model::key::Kind;
use crate::model::schema::Schema;

pub const NAMESPACES: &str = "namespaces";
pub const DEFINITIONS: &str = "customresourcedefinitions.apiextensions.k8s.io";

const ALL_VERBS: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// When `metadata.generation` grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generation {
    /// There is none.
    None,
    /// With a change outside metadata and status.
    Spec,
    /// With any change outside metadata, `status` included: a custom resource without a status subresource.
    Everything,
}

/// Where the `scale` subresource finds its numbers: keys from the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalePaths {
    pub spec: Vec<String>,
    pub status: Vec<String>,
    pub selector: Option<Vec<String>>,
}

/// A column that a definition asks `kubectl get` to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub kind: String,
    pub format: String,
    pub description: String,
    pub priority: i64,
    pub path: String,
}

/// What a custom resource has beside what every resource has.
#[derive(Debug)]
pub struct Custom {
    pub schema: Schema,
    /// `openAPIV3Schema` as it was written.
    pub written: Value,
    pub columns: Vec<Column>,
}

/// One version of one kind, as it is served.
#[derive(Debug)]
pub struct Resource {
    pub kind: Kind,
    pub plural: String,
    pub singular: String,
    pub list_kind: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub is_namespaced: bool,
    pub verbs: &'static [&'static str],
    pub has_status: bool,
    pub scale: Option<ScalePaths>,
    pub generation: Generation,
    /// `None` for the built-in kinds.
    pub custom: Option<Custom>,
    /// Where its objects are kept. Both kinds of Event are the same objects.
    pub collection: String,
}

impl Resource {
    pub fn named(&self) -> Named<'_> {
        Named {
            group: &self.kind.group,
            plural: &self.plural,
        }
    }

    /// `PLURAL.GROUP`
    pub fn qualified(&self) -> String {
        qualified(&self.plural, &self.kind.group)
    }

    pub fn is(&self, collection: &str) -> bool {
        self.collection == collection
    }

    /// Whether `/status` may be asked for, and the object itself keeps its status when it is written.
    pub fn subresources(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        if self.is(NAMESPACES) {
            names.push("finalize");
        }
        if self.scale.is_some() {
            names.push("scale");
        }
        if self.has_status {
            names.push("status");
        }
        names
    }
}

/// The verbs of a subresource.
pub fn subresource_verbs(name: &str) -> &'static [&'static str] {
    match name {
        "finalize" => &["update"],
        _ => &["get", "patch", "update"],
    }
}

/// Everything served at one moment.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    resources: BTreeMap<(String, String, String), Arc<Resource>>,
}

impl Registry {
    pub fn of(custom: impl IntoIterator<Item = Resource>) -> Self {
        let mut registry = Self::default();
        for resource in builtin().into_iter().chain(custom) {
            let key = (
                resource.kind.group.clone(),
                resource.kind.version.clone(),
                resource.plural.clone(),
            );
            registry.resources.insert(key, Arc::new(resource));
        }
        registry
    }

    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.resources
            .get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.resources.values()
    }

    /// Groups in the order of their names, the core group (empty) first, each with its versions.
    pub fn groups(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for resource in self.all() {
            let versions = groups.entry(&resource.kind.group).or_default();
            if !versions.contains(&resource.kind.version.as_str()) {
                versions.push(&resource.kind.version);
            }
        }
        groups
    }

    pub fn in_version<'a>(
        &'a self,
        group: &'a str,
        version: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Resource>> {
        self.all().filter(move |resource| {
            resource.kind.group == group && resource.kind.version == version
        })
    }
}

struct Row {
    api_version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    category: &'static str,
    is_namespaced: bool,
    has_status: bool,
    generation: Generation,
}

const fn row(api_version: &'static str, kind: &'static str, plural: &'static str) -> Row {
    Row {
        api_version,
        kind,
        plural,
        short: &[],
        category: "",
        is_namespaced: true,
        has_status: false,
        generation: Generation::None,
    }
}

fn builtin() -> Vec<Resource> {
    let rows = [
        Row {
            short: &["cm"],
            ..row("v1", "ConfigMap", "configmaps")
        },
        Row {
            short: &["ep"],
            ..row("v1", "Endpoints", "endpoints")
        },
        Row {
            short: &["ev"],
            ..row("v1", "Event", "events")
        },
        Row {
            short: &["ns"],
            is_namespaced: false,
            has_status: true,
            ..row("v1", "Namespace", "namespaces")
        },
        Row {
            short: &["po"],
            category: "all",
            has_status: true,
            generation: Generation::Spec,
            ..row("v1", "Pod", "pods")
        },
        row("v1", "Secret", "secrets"),
        Row {
            short: &["svc"],
            category: "all",
            has_status: true,
            ..row("v1", "Service", "services")
        },
        Row {
            short: &["crd", "crds"],
            category: "api-extensions",
            is_namespaced: false,
            has_status: true,
            generation: Generation::Spec,
            ..row(
                "apiextensions.k8s.io/v1",
                "CustomResourceDefinition",
                "customresourcedefinitions",
            )
        },
        Row {
            short: &["sts"],
            category: "all",
            has_status: true,
            generation: Generation::Spec,
            ..row("apps/v1", "StatefulSet", "statefulsets")
        },
        row("coordination.k8s.io/v1", "Lease", "leases"),
        Row {
            short: &["ev"],
            ..row("events.k8s.io/v1", "Event", "events")
        },
    ];
    rows.into_iter().map(resource).collect()
}

fn resource(row: Row) -> Resource {
    let kind = Kind::from_api_version(row.api_version, row.kind);
    let collection = match row.kind {
        "Event" => "events".to_owned(),
        _ => qualified(row.plural, &kind.group),
    };
    let key = |name: &str| name.to_owned();
    Resource {
        plural: row.plural.into(),
        singular: row.kind.to_lowercase(),
        list_kind: format!("{}List", row.kind),
        short_names: row.short.iter().copied().map(str::to_owned).collect(),
        categories: Some(row.category)
            .filter(|category| !category.is_empty())
            .map(str::to_owned)
            .into_iter()
            .collect(),
        is_namespaced: row.is_namespaced,
        // A whole folder of namespaces is not deleted in one request.
        verbs: if row.kind == "Namespace" {
            &[
                "create", "delete", "get", "list", "patch", "update", "watch",
            ]
        } else {
            ALL_VERBS
        },
        has_status: row.has_status,
        scale: (row.kind == "StatefulSet").then(|| ScalePaths {
            spec: vec![key("spec"), key("replicas")],
            status: vec![key("status"), key("replicas")],
            selector: None,
        }),
        generation: row.generation,
        custom: None,
        collection,
        kind,
    }
}

/// The verbs of a custom resource.
pub fn custom_verbs() -> &'static [&'static str] {
    ALL_VERBS
}
