//! Taking objects away: one, many, and everything in a namespace.
//!
//! An object with finalizers stays until they are gone. There is no garbage collector and no kubelet: owners leave their
//! dependents behind, a Pod goes at once, and a propagation policy changes nothing.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::admission::{AdmissionRequest, Operation};
use super::failure::Failure;
use super::metadata;
use super::resource::{DEFINITIONS, NAMESPACES, Resource};
use super::server::Server;
use super::store::{Expected, Missed, version_of};
use super::write::{Write, key_of};
use crate::model::key::Key;

/// Namespaces that every cluster keeps.
const KEPT: [&str; 3] = ["default", "kube-public", "kube-system"];

/// How often a deletion is tried again when another write came first.
const TRIES: usize = 5;

/// What the request's body asks for beside the deletion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preconditions {
    pub uid: Option<String>,
    pub version: Option<String>,
}

impl Preconditions {
    /// Reads a `DeleteOptions`; an empty body is none.
    pub fn read(options: &Value) -> Self {
        let text = |pointer: &str| {
            options
                .pointer(pointer)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        Self {
            uid: text("/preconditions/uid"),
            version: text("/preconditions/resourceVersion"),
        }
    }
}

impl Write<'_> {
    /// Deletes one object; gives back what the real server answers with.
    pub fn delete(&self, key: &Key, preconditions: &Preconditions) -> Result<Arc<Value>, Failure> {
        let named = self.resource.named();
        if self.resource.is(NAMESPACES) && KEPT.contains(&key.name.as_str()) {
            return Err(Failure::forbidden(
                &named,
                &key.name,
                "this namespace may not be deleted",
            ));
        }
        for _ in 0..TRIES {
            let old = self
                .server
                .store
                .get(&self.resource.collection, key)
                .ok_or_else(|| Failure::not_found(&named, &key.name))?;
            self.meet(preconditions, &old, key)?;
            if let Some(admission) = &self.server.admission {
                admission.admit(&AdmissionRequest {
                    operation: Operation::Delete,
                    kind: &self.resource.kind,
                    key,
                    old: Some(&old),
                    object: &old,
                    dry_run: self.options.is_dry_run,
                    user_agent: &self.options.user_agent,
                })?;
            }
            if self.options.is_dry_run {
                return Ok(self.farewell(&old));
            }
            match remove_or_mark(self.server, self.resource, key, &old) {
                Ok(Some(marked)) => return Ok(Server::present(self.resource, marked)),
                Ok(None) => return Ok(self.farewell(&old)),
                Err(Missed::Absent) => return Err(Failure::not_found(&named, &key.name)),
                Err(_) => {}
            }
        }
        Err(Failure::modified(&named, &key.name))
    }

    /// Deletes all of `objects`, and gives them back as they were.
    pub fn delete_all(&self, objects: Vec<Arc<Value>>) -> Result<Vec<Arc<Value>>, Failure> {
        for object in &objects {
            let key = key_of(object, self.resource);
            match self.delete(&key, &Preconditions::default()) {
                Err(failure) if failure.code != 404 => return Err(failure),
                _ => {}
            }
        }
        Ok(objects)
    }

    fn meet(&self, wanted: &Preconditions, old: &Value, key: &Key) -> Result<(), Failure> {
        let kind = super::failure::Named {
            group: &self.resource.kind.group,
            plural: &self.resource.kind.kind,
        };
        let uid = metadata::text(old, "uid");
        if let Some(wanted) = wanted.uid.as_deref().filter(|wanted| *wanted != uid) {
            return Err(Failure::conflict(
                &kind,
                &key.name,
                &format!(
                    "the UID in the precondition ({wanted}) does not match the UID in record ({uid}). The object might have been deleted and then recreated"
                ),
            ));
        }
        let version = metadata::text(old, "resourceVersion");
        if let Some(wanted) = wanted
            .version
            .as_deref()
            .filter(|wanted| *wanted != version)
        {
            return Err(Failure::conflict(
                &kind,
                &key.name,
                &format!(
                    "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({version}). The object might have been modified"
                ),
            ));
        }
        Ok(())
    }

    /// Most kinds answer with a Status, Pods and Services with themselves.
    fn farewell(&self, old: &Arc<Value>) -> Arc<Value> {
        let is_returned = self.resource.custom.is_none()
            && matches!(
                self.resource.plural.as_str(),
                "pods" | "services" | "namespaces"
            );
        if is_returned {
            return Arc::new(last_state(self.resource, old));
        }
        let mut details = json!({"name": metadata::text(old, "name")});
        if !self.resource.kind.group.is_empty() {
            details["group"] = self.resource.kind.group.clone().into();
        }
        details["kind"] = self.resource.plural.clone().into();
        details["uid"] = metadata::text(old, "uid").into();
        Arc::new(json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": details,
        }))
    }
}

/// Removes an object, or marks it where something has to be done first; then it is given back.
fn remove_or_mark(
    server: &Server,
    resource: &Resource,
    key: &Key,
    old: &Arc<Value>,
) -> Result<Option<Arc<Value>>, Missed> {
    let is_namespace = resource.is(NAMESPACES);
    if metadata::finalizers(old).is_empty() && !is_namespace {
        let last = last_state(resource, old);
        server
            .store
            .remove(&resource.collection, key, version_of(old), Some(last))?;
        after_removal(server, resource, key);
        return Ok(None);
    }
    if metadata::is_being_deleted(old) {
        return Ok(Some(old.clone()));
    }
    let mut marked = (**old).clone();
    let fields = metadata::of(&mut marked);
    fields.insert("deletionTimestamp".into(), metadata::now().into());
    if is_namespace {
        marked["status"]["phase"] = "Terminating".into();
    } else {
        fields.insert("deletionGracePeriodSeconds".into(), 0.into());
        raise_generation(fields);
    }
    let marked = server.store.write(
        &resource.collection,
        key,
        Expected::At(version_of(old)),
        marked,
    )?;
    if is_namespace {
        empty(server, &key.name);
    }
    Ok(Some(marked))
}

/// A Pod that no kubelet runs has its deletion written on it when it goes; other kinds go as they are.
fn last_state(resource: &Resource, old: &Value) -> Value {
    let mut last = old.clone();
    if resource.custom.is_none() && resource.plural == "pods" {
        let fields = metadata::of(&mut last);
        fields.insert("deletionTimestamp".into(), metadata::now().into());
        fields.insert("deletionGracePeriodSeconds".into(), 0.into());
        raise_generation(fields);
    }
    last
}

fn raise_generation(fields: &mut Map<String, Value>) {
    if let Some(generation) = fields.get("generation").and_then(Value::as_i64) {
        fields.insert("generation".into(), (generation + 1).into());
    }
}

/// Deletes what is in a namespace, and the namespace when nothing is left.
fn empty(server: &Server, namespace: &str) {
    let registry = server.registry();
    for collection in server.store.collections_in(namespace) {
        let Some(resource) = registry.all().find(|resource| resource.is(&collection)) else {
            continue;
        };
        let (_, objects) = server.store.list(&collection, Some(namespace));
        for object in objects {
            let key = key_of(&object, resource);
            for _ in 0..TRIES {
                let Some(old) = server.store.get(&collection, &key) else {
                    break;
                };
                if remove_or_mark(server, resource, &key, &old).is_ok() {
                    break;
                }
            }
        }
    }
    finish_namespace(server, namespace);
}

/// Takes a namespace away that is being deleted and has become empty.
fn finish_namespace(server: &Server, namespace: &str) {
    let key = Key::new("", namespace);
    let Some(found) = server.store.get(NAMESPACES, &key) else {
        return;
    };
    if metadata::is_being_deleted(&found)
        && metadata::finalizers(&found).is_empty()
        && server.store.collections_in(namespace).is_empty()
    {
        // Another write in between leaves the namespace to the next removal.
        drop(
            server
                .store
                .remove(NAMESPACES, &key, version_of(&found), None),
        );
    }
}

/// What follows from an object being gone: a definition takes its objects along, a namespace may be empty now.
pub fn after_removal(server: &Server, resource: &Resource, key: &Key) {
    if resource.is(DEFINITIONS) {
        let registry = server.registry();
        if let Some(defined) = registry.all().find(|resource| resource.is(&key.name)) {
            let (_, objects) = server.store.list(&key.name, None);
            for object in objects {
                let key = key_of(&object, defined);
                drop(
                    server
                        .store
                        .remove(&defined.collection, &key, version_of(&object), None),
                );
            }
        }
        server.read_definitions();
    }
    if !key.namespace.is_empty() {
        finish_namespace(server, &key.namespace);
    }
}
