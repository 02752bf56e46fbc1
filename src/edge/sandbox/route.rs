//! What a request's path stands for.

use std::sync::Arc;

use super::resource::{Registry, Resource};
use crate::model::key::Key;

/// A path, taken apart.
#[derive(Debug, Clone)]
pub enum Route {
    /// `/healthz` and its like.
    Health,
    Version,
    Root,
    Core,
    Groups,
    Group(String),
    Resources {
        group: String,
        version: String,
    },
    OpenApiTwo,
    OpenApiIndex,
    OpenApi {
        group: String,
        version: String,
    },
    /// `/sandbox/requests`
    Requests,
    /// All objects of a kind, in one namespace or in all.
    Collection {
        resource: Arc<Resource>,
        namespace: Option<String>,
    },
    Object {
        resource: Arc<Resource>,
        key: Key,
        /// Empty for the object itself.
        subresource: String,
    },
    /// Nothing, under a group and version that is there.
    NoResource,
    /// Nothing at all.
    Nowhere,
}

impl Route {
    pub fn read(path: &str, registry: &Registry) -> Self {
        let decoded: Option<Vec<String>> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(decoded)
            .collect();
        let Some(parts) = decoded else {
            return Self::Nowhere;
        };
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts[..] {
            [] => Self::Root,
            ["healthz" | "livez" | "readyz", ..] => Self::Health,
            ["version"] => Self::Version,
            ["sandbox", "requests"] => Self::Requests,
            ["openapi", "v2"] => Self::OpenApiTwo,
            ["openapi", "v3"] => Self::OpenApiIndex,
            ["openapi", "v3", "api", version] => Self::OpenApi {
                group: String::new(),
                version: version.into(),
            },
            ["openapi", "v3", "apis", group, version] => Self::OpenApi {
                group: group.into(),
                version: version.into(),
            },
            ["api"] => Self::Core,
            ["apis"] => Self::Groups,
            ["apis", group] => Self::Group(group.into()),
            ["api", version] => Self::Resources {
                group: String::new(),
                version: version.into(),
            },
            ["apis", group, version] => Self::Resources {
                group: group.into(),
                version: version.into(),
            },
            ["api", version, ref rest @ ..] => Self::resource("", version, rest, registry),
            ["apis", group, version, ref rest @ ..] => {
                Self::resource(group, version, rest, registry)
            }
            _ => Self::Nowhere,
        }
    }

    fn resource(group: &str, version: &str, rest: &[&str], registry: &Registry) -> Self {
        let find = |plural: &str| registry.find(group, version, plural).cloned();
        let object = |resource: Arc<Resource>, namespace: &str, name: &str, subresource: &str| {
            let is_known = subresource.is_empty() || resource.subresources().contains(&subresource);
            // The real server takes the status of a kind without one for an object that is not there.
            let is_status_of_custom = subresource == "status" && resource.custom.is_some();
            if is_known || is_status_of_custom {
                Self::Object {
                    key: Key::new(namespace, name),
                    subresource: subresource.to_owned(),
                    resource,
                }
            } else {
                Self::NoResource
            }
        };
        let found = match *rest {
            ["namespaces", namespace, plural] => find(plural)
                .filter(|resource| resource.is_namespaced)
                .map(|resource| Self::Collection {
                    resource,
                    namespace: Some(namespace.to_owned()),
                })
                .or_else(|| {
                    find("namespaces").map(|resource| object(resource, "", namespace, plural))
                }),
            ["namespaces", namespace, plural, name] => find(plural)
                .filter(|resource| resource.is_namespaced)
                .map(|resource| object(resource, namespace, name, "")),
            ["namespaces", namespace, plural, name, subresource] => find(plural)
                .filter(|resource| resource.is_namespaced)
                .map(|resource| object(resource, namespace, name, subresource)),
            [plural] => find(plural).map(|resource| Self::Collection {
                resource,
                namespace: None,
            }),
            [plural, name] => find(plural)
                .filter(|resource| !resource.is_namespaced)
                .map(|resource| object(resource, "", name, "")),
            [plural, name, subresource] => find(plural)
                .filter(|resource| !resource.is_namespaced)
                .map(|resource| object(resource, "", name, subresource)),
            _ => None,
        };
        let is_builtin = registry
            .in_version(group, version)
            .any(|resource| resource.custom.is_none());
        // The real server has a handler for its own groups, and none at all for custom ones without the resource.
        found.unwrap_or(if is_builtin {
            Self::NoResource
        } else {
            Self::Nowhere
        })
    }
}

/// Percent-decoding; `None` where it is not UTF-8 or not well-formed.
fn decoded(part: &str) -> Option<String> {
    if !part.contains('%') {
        return Some(part.to_owned());
    }
    let mut bytes = Vec::new();
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> String {
        match Route::read(path, &Registry::of([])) {
            Route::Collection {
                resource,
                namespace,
            } => format!("all {} in {namespace:?}", resource.plural),
            Route::Object {
                resource,
                key,
                subresource,
            } => format!("{} {key} {subresource}", resource.plural),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn namespaces_are_objects_and_places() {
        assert_eq!(read("/api/v1/namespaces"), "all namespaces in None");
        assert_eq!(read("/api/v1/namespaces/a"), "namespaces /a ");
        assert_eq!(read("/api/v1/namespaces/a/status"), "namespaces /a status");
        assert_eq!(read("/api/v1/namespaces/a/pods"), "all pods in Some(\"a\")");
        assert_eq!(read("/api/v1/namespaces/a/pods/b"), "pods a/b ");
        assert_eq!(
            read("/api/v1/namespaces/a/pods/b/status"),
            "pods a/b status"
        );
        assert_eq!(read("/api/v1/pods"), "all pods in None");
        assert_eq!(
            read("/apis/apps/v1/namespaces/a/statefulsets/b/scale"),
            "statefulsets a/b scale"
        );
    }

    #[test]
    fn what_is_not_served_is_told_apart() {
        assert_eq!(read("/api/v1/foos"), "NoResource");
        assert_eq!(read("/api/v1/namespaces/a/pods/b/log"), "NoResource");
        assert_eq!(read("/apis/nothing/v1/foos"), "Nowhere");
        assert_eq!(read("/nothing"), "Nowhere");
        assert_eq!(read("/api/v1/namespaces/%ff"), "Nowhere");
    }
}
