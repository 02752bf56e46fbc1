//! Creating and changing objects: create, update, patch and apply, on the object itself and on its subresources.
//!
//! The order is that of the real server: decode, defaults, field ownership, admission, defaults again, validation, and
//! one write that counts on the version everything was judged on. A write that changes nothing is none.

use std::sync::Arc;

use serde_json::{Value, json};

use super::admission::Operation;
use super::body::{self, Body, FieldValidation};
use super::builtin;
use super::definition;
use super::delete;
use super::failure::{Cause, Failure, quoted};
use super::judge::differs;
use super::metadata::{self, copy, copy_field, remove_field};
use super::owner::{self, Author};
use super::patch::{self, PatchKind};
use super::resource::{DEFINITIONS, Generation, Resource};
use super::scale;
use super::server::Server;
use super::store::{Expected, Missed, version_of};
use crate::model::key::Key;

/// How often a patch is tried again when another write came first, as in the real server.
const TRIES: usize = 5;

/// Which part of an object a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Main,
    Status,
    Scale,
}

impl Part {
    pub fn subresource(self) -> &'static str {
        match self {
            Self::Main => "",
            Self::Status => "status",
            Self::Scale => "scale",
        }
    }
}

/// What a write says of itself in its query and headers.
#[derive(Debug, Clone)]
pub struct Options {
    pub is_dry_run: bool,
    pub manager: String,
    pub validation: FieldValidation,
    pub user_agent: String,
}

/// What became of a write.
#[derive(Debug, Clone)]
pub struct Written {
    pub object: Arc<Value>,
    pub is_new: bool,
    pub warnings: Vec<String>,
}

/// One write being carried out.
#[derive(Clone, Copy)]
pub struct Write<'a> {
    pub server: &'a Server,
    pub resource: &'a Resource,
    pub options: &'a Options,
}

/// Whether ownership was settled by a server-side apply, or is by what differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ownership {
    Settled,
    ByDifference,
}

impl Write<'_> {
    /// A new object in a namespace (empty for cluster-scoped kinds).
    pub fn create(&self, namespace: &str, body: Body) -> Result<Written, Failure> {
        let Body {
            mut object,
            duplicates,
        } = body;
        body::check_kind(&object, self.resource)?;
        let warnings = body::shape(
            &mut object,
            &duplicates,
            self.resource,
            self.options.validation,
        )
        .map_err(|shape| shape.of_body(self.resource))?;
        body::settle_namespace(&mut object, self.resource, namespace)?;
        if !metadata::text(&object, "resourceVersion").is_empty() {
            return Err(Failure::unexplained(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        self.insert(object, Ownership::ByDifference, warnings)
    }

    fn insert(
        &self,
        mut object: Value,
        ownership: Ownership,
        warnings: Vec<String>,
    ) -> Result<Written, Failure> {
        let resource = self.resource;
        if resource.is("events") {
            object = super::events::to_core(object);
        }
        if metadata::text(&object, "name").is_empty() {
            let prefix = metadata::text(&object, "generateName").to_owned();
            if !prefix.is_empty() {
                let name = format!("{prefix}{}", metadata::suffix());
                metadata::of(&mut object).insert("name".into(), name.into());
            }
        }
        let key = key_of(&object, resource);
        if resource.is_namespaced {
            self.check_namespace(&key)?;
        }
        if self.server.store.get(&resource.collection, &key).is_some() && !key.name.is_empty() {
            return Err(Failure::already_exists(&resource.named(), &key.name));
        }
        let fields = metadata::of(&mut object);
        for field in [
            "uid",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
            "resourceVersion",
            "selfLink",
        ] {
            fields.remove(field);
        }
        if ownership == Ownership::ByDifference {
            fields.remove("managedFields");
        }
        if resource.has_status {
            remove_field(&mut object, "status");
        }
        self.apply_defaults(&mut object);
        if ownership == Ownership::ByDifference {
            owner::updated(resource, None, &mut object, self.author(Part::Main));
        }
        object = self.admit(Operation::Create, &key, None, object)?;
        builtin::assign(resource, &mut object, self.server.store.version());
        let now = metadata::now();
        let fields = metadata::of(&mut object);
        fields.insert("uid".into(), metadata::new_uid().into());
        fields.insert("creationTimestamp".into(), now.clone().into());
        if resource.generation != Generation::None {
            fields.insert("generation".into(), 1.into());
        }
        self.validate(&object, None)?;
        if resource.is(DEFINITIONS) {
            object["status"] = definition::status(&object, &now);
        }
        let object = if self.options.is_dry_run {
            Arc::new(object)
        } else {
            self.server
                .store
                .write(&resource.collection, &key, Expected::Absent, object)
                .map_err(|missed| self.missed(missed, &key))?
        };
        self.after_write();
        Ok(Written {
            object: Server::present(resource, object),
            is_new: true,
            warnings,
        })
    }

    /// Replaces an object, or a part of it, by one that came whole.
    pub fn update(&self, key: &Key, part: Part, body: Body) -> Result<Written, Failure> {
        if part == Part::Scale {
            let old = self.old(key)?;
            body::check_name(&body.object, key)?;
            let object = scale::put(self.resource, &old, &body.object)?;
            self.check_version(&body.object, &old, key)?;
            let settled = self.settle(key, &old, object, part, Ownership::ByDifference)?;
            return Ok(scaled(self.resource, settled, Vec::new()));
        }
        let Body {
            mut object,
            duplicates,
        } = body;
        body::check_kind(&object, self.resource)?;
        let warnings = body::shape(
            &mut object,
            &duplicates,
            self.resource,
            self.options.validation,
        )
        .map_err(|shape| shape.of_body(self.resource))?;
        body::settle_namespace(&mut object, self.resource, &key.namespace)?;
        body::check_name(&object, key)?;
        if self.resource.is("events") {
            object = super::events::to_core(object);
        }
        for _ in 0..TRIES {
            let Some(old) = self.server.store.get(&self.resource.collection, key) else {
                if part == Part::Main && creates_on_update(self.resource) {
                    metadata::of(&mut object).remove("resourceVersion");
                    return self.insert(object, Ownership::ByDifference, warnings);
                }
                return Err(Failure::not_found(&self.resource.named(), &key.name));
            };
            let is_conditional = !metadata::text(&object, "resourceVersion").is_empty();
            if !is_conditional && needs_version(self.resource) {
                let cause = Cause::invalid(
                    "metadata.resourceVersion",
                    "0",
                    "must be specified for an update",
                );
                let mut kind = self.resource.kind.clone();
                kind.kind.clone_from(&self.resource.plural);
                return Err(Failure::invalid(&kind, &key.name, &[cause]));
            }
            let uid = metadata::text(&object, "uid");
            let kept = metadata::text(&old, "uid");
            if !uid.is_empty() && uid != kept {
                return Err(Failure::conflict(
                    &self.resource.named(),
                    &key.name,
                    &format!(
                        "Precondition failed: UID in precondition: {uid}, UID in object meta: {kept}"
                    ),
                ));
            }
            self.check_version(&object, &old, key)?;
            let mut new = object.clone();
            inherit(&mut new, &old);
            match self.settle(key, &old, new, part, Ownership::ByDifference) {
                Err(failure) if failure.code == 409 && !is_conditional => {}
                settled => {
                    return Ok(Written {
                        object: Server::present(self.resource, settled?),
                        is_new: false,
                        warnings,
                    });
                }
            }
        }
        Err(Failure::modified(&self.resource.named(), &key.name))
    }

    /// Changes an object, or a part of it, by a difference.
    pub fn patch(
        &self,
        key: &Key,
        part: Part,
        kind: PatchKind,
        bytes: &[u8],
    ) -> Result<Written, Failure> {
        let mut last = Failure::modified(&self.resource.named(), &key.name);
        for _ in 0..TRIES {
            let old = self.old(key)?;
            let (new, warnings) = self.difference(key, part, kind, bytes, &old)?;
            match self.settle(key, &old, new, part, Ownership::ByDifference) {
                Ok(object) if part == Part::Scale => {
                    return Ok(scaled(self.resource, object, warnings));
                }
                Ok(object) => {
                    return Ok(Written {
                        object: Server::present(self.resource, object),
                        is_new: false,
                        warnings,
                    });
                }
                Err(failure) if failure.code == 409 => last = failure,
                Err(failure) => return Err(failure),
            }
        }
        Err(last)
    }

    fn difference(
        &self,
        key: &Key,
        part: Part,
        kind: PatchKind,
        bytes: &[u8],
        old: &Arc<Value>,
    ) -> Result<(Value, Vec<String>), Failure> {
        if part == Part::Scale {
            let shown = scale::read(self.resource, old)?;
            let patched = patch::patched(kind, bytes, &shown)?;
            self.check_version(&patched, old, key)?;
            return Ok((scale::put(self.resource, old, &patched)?, Vec::new()));
        }
        let shown = Server::present(self.resource, old.clone());
        let patched = patch::patched(kind, bytes, &shown)?;
        let mut new = patched.clone();
        let warnings = body::shape(&mut new, &[], self.resource, self.options.validation)
            .map_err(|shape| shape.of_patch(&patched))?;
        body::check_kind(&new, self.resource)?;
        body::check_name(&new, key)?;
        body::settle_namespace(&mut new, self.resource, &key.namespace)?;
        self.check_version(&new, old, key)?;
        if self.resource.is("events") {
            new = super::events::to_core(new);
        }
        for field in [
            "generation",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
        ] {
            copy(&mut new, old, field);
        }
        Ok((new, warnings))
    }

    /// Server-side apply. Makes the object where there is none.
    pub fn apply(
        &self,
        key: &Key,
        part: Part,
        bytes: &[u8],
        is_forced: bool,
    ) -> Result<Written, Failure> {
        let applied = body::yaml(bytes)?;
        let text = |field: &str| applied.get(field).and_then(Value::as_str).unwrap_or("");
        let (api_version, kind) = (text("apiVersion").to_owned(), text("kind").to_owned());
        if part == Part::Scale || (api_version, kind) != self.identity() {
            return Err(Failure::bad_request(format!(
                "invalid object type: {}, Kind={}",
                match text("apiVersion") {
                    "" => "/",
                    other => other,
                },
                text("kind")
            )));
        }
        if applied.pointer("/metadata/managedFields").is_some() {
            return Err(Failure::bad_request("metadata.managedFields must be nil"));
        }
        let given = metadata::text(&applied, "name").to_owned();
        if !given.is_empty() && given != key.name {
            return Err(Failure::bad_request(format!(
                "the name of the object ({given}) does not match the name on the URL ({})",
                key.name
            )));
        }
        metadata::read(&applied).map_err(Failure::bad_request)?;
        let namespace = metadata::text(&applied, "namespace");
        if !namespace.is_empty() && namespace != key.namespace {
            return Err(body::other_namespace());
        }
        let mut last = Failure::modified(&self.resource.named(), &key.name);
        for _ in 0..TRIES {
            match self.apply_once(key, part, &applied, is_forced) {
                Err(failure)
                    if failure.code == 409
                        && failure.reason == "Conflict"
                        && failure
                            .details
                            .as_ref()
                            .is_some_and(|details| details.get("causes").is_none()) =>
                {
                    last = failure;
                }
                other => return other,
            }
        }
        Err(last)
    }

    fn apply_once(
        &self,
        key: &Key,
        part: Part,
        applied: &Value,
        is_forced: bool,
    ) -> Result<Written, Failure> {
        let author = self.author(part);
        let uid = metadata::text(applied, "uid");
        let Some(old) = self.server.store.get(&self.resource.collection, key) else {
            if part != Part::Main {
                return Err(Failure::not_found(&self.resource.named(), &key.name));
            }
            if !uid.is_empty() {
                return Err(Failure::conflict(
                    &self.resource.named(),
                    &key.name,
                    &format!(
                        "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                    ),
                ));
            }
            let mut object = owner::applied(self.resource, None, applied, author, is_forced)?;
            self.place(&mut object, key);
            return self.insert(object, Ownership::Settled, Vec::new());
        };
        self.check_version(applied, &old, key)?;
        if !uid.is_empty() && uid != metadata::text(&old, "uid") {
            let cause = Cause::invalid("metadata.uid", &quoted(uid), "field is immutable");
            return Err(Failure::invalid(&self.resource.kind, &key.name, &[cause]));
        }
        let shown = Server::present(self.resource, old.clone());
        let mut object = owner::applied(self.resource, Some(&shown), applied, author, is_forced)?;
        self.place(&mut object, key);
        inherit(&mut object, &old);
        if self.resource.is("events") {
            object = super::events::to_core(object);
        }
        let settled = self.settle(key, &old, object, part, Ownership::Settled)?;
        Ok(Written {
            object: Server::present(self.resource, settled),
            is_new: false,
            warnings: Vec::new(),
        })
    }

    /// An applied object may leave out where it is.
    fn place(&self, object: &mut Value, key: &Key) {
        let fields = metadata::of(object);
        fields.insert("name".into(), key.name.clone().into());
        if self.resource.is_namespaced {
            fields.insert("namespace".into(), key.namespace.clone().into());
        }
    }

    fn identity(&self) -> (String, String) {
        (
            self.resource.kind.api_version(),
            self.resource.kind.kind.clone(),
        )
    }

    /// Everything after the new object is known: what may not be written goes back, then admission, validation and the
    /// write itself.
    fn settle(
        &self,
        key: &Key,
        old: &Arc<Value>,
        mut object: Value,
        part: Part,
        ownership: Ownership,
    ) -> Result<Arc<Value>, Failure> {
        let resource = self.resource;
        match part {
            Part::Main if resource.has_status => copy_field(&mut object, old, "status"),
            Part::Main => {}
            Part::Status => object = with_status(resource, old, object),
            Part::Scale => {}
        }
        if metadata::text(&object, "creationTimestamp").is_empty() {
            copy(&mut object, old, "creationTimestamp");
        }
        self.apply_defaults(&mut object);
        if ownership == Ownership::ByDifference {
            owner::updated(resource, Some(old), &mut object, self.author(part));
        }
        if part == Part::Main {
            object = self.admit(Operation::Update, key, Some(old), object)?;
        }
        if differs(&object, old, resource.generation) {
            let generation = old.pointer("/metadata/generation").and_then(Value::as_i64);
            metadata::of(&mut object)
                .insert("generation".into(), (generation.unwrap_or(0) + 1).into());
        }
        self.validate(&object, Some(old))?;
        if resource.is(DEFINITIONS) && part == Part::Main {
            object["status"] = definition::status(&object, &metadata::now());
        }
        copy(&mut object, old, "resourceVersion");
        if object == **old {
            return Ok(old.clone());
        }
        if self.options.is_dry_run {
            return Ok(Arc::new(object));
        }
        let version = version_of(old);
        if metadata::is_being_deleted(&object) && metadata::finalizers(&object).is_empty() {
            let last = Arc::new(object.clone());
            self.server
                .store
                .remove(&resource.collection, key, version, Some(object))
                .map_err(|missed| self.missed(missed, key))?;
            delete::after_removal(self.server, resource, key);
            return Ok(last);
        }
        let written = self
            .server
            .store
            .write(&resource.collection, key, Expected::At(version), object)
            .map_err(|missed| self.missed(missed, key))?;
        self.after_write();
        Ok(written)
    }

    fn old(&self, key: &Key) -> Result<Arc<Value>, Failure> {
        self.server
            .store
            .get(&self.resource.collection, key)
            .ok_or_else(|| Failure::not_found(&self.resource.named(), &key.name))
    }

    fn author(&self, part: Part) -> Author<'_> {
        Author {
            manager: &self.options.manager,
            subresource: part.subresource(),
        }
    }

    /// A version in the request has to be the stored one.
    fn check_version(&self, object: &Value, old: &Value, key: &Key) -> Result<(), Failure> {
        let given = metadata::text(object, "resourceVersion");
        if given.is_empty() || given == "0" {
            return Ok(());
        }
        let version: u64 = given.parse().map_err(|_| {
            Failure::unexplained(format!(
                "strconv.ParseUint: parsing {}: invalid syntax",
                quoted(given)
            ))
        })?;
        if version == version_of(old) {
            Ok(())
        } else {
            Err(Failure::modified(&self.resource.named(), &key.name))
        }
    }

    fn check_namespace(&self, key: &Key) -> Result<(), Failure> {
        let namespace = self
            .server
            .store
            .get(super::resource::NAMESPACES, &Key::new("", &key.namespace));
        match namespace {
            None => Err(self.missed(Missed::NamespaceAbsent, key)),
            Some(found) if metadata::is_being_deleted(&found) => {
                Err(self.missed(Missed::NamespaceTerminating, key))
            }
            Some(_) => Ok(()),
        }
    }

    fn missed(&self, missed: Missed, key: &Key) -> Failure {
        let named = self.resource.named();
        match missed {
            Missed::Exists => Failure::already_exists(&named, &key.name),
            Missed::Absent => Failure::not_found(&named, &key.name),
            Missed::Changed => Failure::modified(&named, &key.name),
            Missed::NamespaceAbsent => Failure::not_found(
                &super::failure::Named {
                    group: "",
                    plural: "namespaces",
                },
                &key.namespace,
            ),
            Missed::NamespaceTerminating => Failure::terminating(&named, &key.name, &key.namespace),
        }
    }

    fn after_write(&self) {
        if self.resource.is(DEFINITIONS) && !self.options.is_dry_run {
            self.server.read_definitions();
        }
    }
}

fn scaled(resource: &Resource, object: Arc<Value>, warnings: Vec<String>) -> Written {
    let shown = scale::read(resource, &object).unwrap_or_else(|_| json!({}));
    Written {
        object: Arc::new(shown),
        is_new: false,
        warnings,
    }
}

pub fn key_of(object: &Value, resource: &Resource) -> Key {
    let namespace = if resource.is_namespaced {
        metadata::text(object, "namespace")
    } else {
        ""
    };
    Key::new(namespace, metadata::text(object, "name"))
}

/// Kinds that a PUT makes where they are not.
fn creates_on_update(resource: &Resource) -> bool {
    resource.custom.is_none()
        && matches!(
            resource.plural.as_str(),
            "endpoints" | "events" | "leases" | "services"
        )
}

/// Kinds that no PUT may replace blindly.
fn needs_version(resource: &Resource) -> bool {
    resource.custom.is_some() || resource.is(DEFINITIONS) || resource.plural == "leases"
}

/// What a whole object that does not say it keeps from the old one.
fn inherit(new: &mut Value, old: &Value) {
    for field in [
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        copy(new, old, field);
    }
    for field in ["uid", "creationTimestamp"] {
        if metadata::text(new, field).is_empty() {
            copy(new, old, field);
        }
    }
    if new.pointer("/metadata/managedFields").is_none() {
        copy(new, old, "managedFields");
    }
}

/// The old object with the new one's status. The status of a built-in kind may travel with labels and annotations.
fn with_status(resource: &Resource, old: &Value, mut new: Value) -> Value {
    let mut object = old.clone();
    copy_field(&mut object, &new, "status");
    if resource.custom.is_none() && new.get("metadata").is_some() {
        object["metadata"] = new["metadata"].take();
        copy(&mut object, old, "ownerReferences");
    } else {
        copy(&mut object, &new, "managedFields");
    }
    object
}
