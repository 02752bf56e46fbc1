//! Whether and as what a write is taken: defaults, the simulated webhooks, and the rules of the kind.
//!
//! Nothing is stored here, and nothing stored is looked at but the object before the write.

use std::sync::Arc;

use serde_json::Value;

use super::admission::{AdmissionRequest, Operation};
use super::builtin;
use super::definition;
use super::failure::{Cause, Failure};
use super::metadata::{self, copy, copy_field};
use super::resource::{DEFINITIONS, Generation};
use super::scale;
use super::write::Write;
use crate::model::key::Key;

impl Write<'_> {
    /// Fills in what the kind's schema, or the server, has for absent fields.
    pub(super) fn apply_defaults(&self, object: &mut Value) {
        match &self.resource.custom {
            Some(custom) => custom.schema.apply_defaults(object),
            None => builtin::apply_defaults(self.resource, object),
        }
    }

    /// Asks the simulated webhooks, and keeps them from changing what an object is.
    pub(super) fn admit(
        &self,
        operation: Operation,
        key: &Key,
        old: Option<&Arc<Value>>,
        object: Value,
    ) -> Result<Value, Failure> {
        let Some(admission) = &self.server.admission else {
            return Ok(object);
        };
        let mut admitted = admission.admit(&AdmissionRequest {
            operation,
            kind: &self.resource.kind,
            key,
            old: old.map(|old| &**old),
            object: &object,
            dry_run: self.options.is_dry_run,
            user_agent: &self.options.user_agent,
        })?;
        if admitted == object {
            return Ok(object);
        }
        for field in [
            "name",
            "namespace",
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "deletionTimestamp",
            "generation",
            "managedFields",
        ] {
            copy(&mut admitted, &object, field);
        }
        for field in ["apiVersion", "kind"] {
            copy_field(&mut admitted, &object, field);
        }
        if self.resource.has_status {
            copy_field(&mut admitted, &object, "status");
        }
        if let Some(custom) = &self.resource.custom {
            custom.schema.prune(&mut admitted);
        }
        self.apply_defaults(&mut admitted);
        Ok(admitted)
    }

    /// Refuses what the kind does not allow. What an update leaves as it was is not held against it, as in the real
    /// server since 1.33.
    pub(super) fn validate(&self, object: &Value, old: Option<&Arc<Value>>) -> Result<(), Failure> {
        let resource = self.resource;
        let mut causes = metadata::causes(object, resource);
        if let Some(old) = old {
            causes.extend(metadata::update_causes(object, old));
            causes.extend(builtin::update_causes(resource, object, old));
        }
        match &resource.custom {
            None => causes.extend(builtin::causes(resource, object)),
            Some(custom) => {
                for violation in custom.schema.violations(object) {
                    let before = old.and_then(|old| violation.path.find(old));
                    if before.is_some() && before == violation.path.find(object) {
                        continue;
                    }
                    causes.push(Cause::from(&violation));
                }
            }
        }
        if resource.custom.is_some() {
            causes.extend(scale::causes(resource, object));
        }
        if resource.is(DEFINITIONS) {
            causes.extend(definition::causes(object));
        }
        if causes.is_empty() {
            Ok(())
        } else {
            let name = metadata::text(object, "name");
            Err(Failure::invalid(&resource.kind, name, &causes))
        }
    }
}

/// Whether the change is one that `generation` counts.
pub fn differs(new: &Value, old: &Value, rule: Generation) -> bool {
    let (Some(new), Some(old)) = (new.as_object(), old.as_object()) else {
        return false;
    };
    let counts = |key: &str| match rule {
        Generation::None => false,
        Generation::Spec => key != "metadata" && key != "status",
        Generation::Everything => key != "metadata",
    };
    new.keys()
        .chain(old.keys())
        .any(|key| counts(key) && new.get(key) != old.get(key))
}
