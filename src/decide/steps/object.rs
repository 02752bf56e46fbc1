//! The whole object that one write applies: what Git declares, with the fields that are not due yet at live's values.
//!
//! Nothing is sent that Git neither declares nor Lockstep owns, nor the step needs: defaults and what others own stay
//! theirs. Lockstep's record travels in the same write.

use serde_json::{Map, Value, json};

use super::groups::as_stored;
use crate::decide::approval::APPROVED;
use crate::decide::digest::{APPLIED, APPLYING, without_own_annotations};
use crate::decide::durability::Shape;
use crate::model::cluster::{ClusterSpec, Group, Replication};
use crate::model::desired::DesiredCluster;
use crate::model::field::{FieldPath, Segment};
use crate::model::observed::LiveObject;

/// Where between live and Git one write stands.
pub struct Stage<'s> {
    pub desired: &'s DesiredCluster,
    pub live: Option<&'s LiveObject>,
    /// The shape that the write leaves behind; `None`: Git's own.
    pub shape: Option<&'s Shape>,
    /// Fields that a later write brings.
    pub held: &'s [FieldPath],
    /// Whether live's role and groups are to change, so that leaving them out would take them off too early.
    pub moves_roles: bool,
}

impl Stage<'_> {
    /// Whether other writes follow.
    fn is_last(&self) -> bool {
        self.shape.is_none() && self.held.is_empty()
    }

    pub fn object(&self) -> Value {
        let document = without_own_annotations(&self.desired.document.value);
        let metadata = self.metadata(&document);
        let mut spec = document.get("spec").cloned().unwrap_or_else(|| json!({}));
        self.hold(&mut spec);
        match self.shape {
            Some(shape) => self.reshape(&mut spec, shape),
            None => self.leave_instances_to_the_autoscaler(&mut spec),
        }
        json!({
            "apiVersion": self.desired.document.kind.api_version(),
            "kind": self.desired.document.kind.kind,
            "metadata": metadata,
            "spec": spec,
        })
    }

    fn metadata(&self, document: &Value) -> Map<String, Value> {
        let declared = document.get("metadata").unwrap_or(&Value::Null);
        let mut annotations = declared
            .get("annotations")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        let kept = |name: &str| self.live.and_then(|live| live.annotation(name));
        if self.is_last() {
            annotations.insert(APPLIED.into(), json!(self.desired.digest));
        } else {
            annotations.insert(APPLYING.into(), json!(self.desired.digest));
            if let Some(applied) = kept(APPLIED) {
                annotations.insert(APPLIED.into(), json!(applied));
            }
        }
        if let Some(approved) = kept(APPROVED) {
            annotations.insert(APPROVED.into(), json!(approved));
        }
        let key = &self.desired.document.key;
        let mut metadata = Map::new();
        metadata.insert("namespace".into(), json!(key.namespace));
        metadata.insert("name".into(), json!(key.name));
        if let Some(labels) = declared.get("labels").filter(|labels| !labels.is_null()) {
            metadata.insert("labels".into(), labels.clone());
        }
        metadata.insert("annotations".into(), Value::Object(annotations));
        if let Some(live) = self.live {
            metadata.insert("resourceVersion".into(), json!(live.resource_version));
        }
        metadata
    }

    /// Fields of later writes stay as they are live. A list is one field to the API server, so the whole of it stays.
    fn hold(&self, spec: &mut Value) {
        for path in self.held {
            let list = path
                .0
                .iter()
                .position(|segment| matches!(segment, Segment::Index(_)));
            let whole = FieldPath(path.0[..list.unwrap_or(path.0.len())].to_vec());
            let Some((Segment::Key(root), below)) = whole.0.split_first() else {
                continue;
            };
            if root != "spec" || below.is_empty() {
                continue;
            }
            let stored = self.live.and_then(|live| whole.find(&live.value));
            set(spec, below, stored.cloned());
        }
    }

    fn reshape(&self, spec: &mut Value, shape: &Shape) {
        spec["instances"] = json!(shape.instances);
        if !spec["replication"].is_object() {
            spec["replication"] = json!({});
        }
        let stored = self
            .live
            .and_then(|live| ClusterSpec::read(&live.value).ok());
        let Some(section) = spec["replication"].as_object_mut() else {
            return;
        };
        section.insert("mode".into(), json!(shape.mode.word()));
        put(
            section,
            "syncInstances",
            shape.sync_instances.map(Value::from),
        );
        let moves = |key: &str| section.contains_key(key) || self.moves_roles;
        let (moves_role, moves_groups) = (moves("role"), moves("groups"));
        if moves_role || differs(&stored, |live| live.role == shape.role) {
            section.insert("role".into(), json!(shape.role.word()));
        }
        if moves_groups || differs(&stored, |live| live.groups == shape.groups) {
            let live = self
                .live
                .and_then(|live| live.value.pointer("/spec/replication/groups"));
            let declared = section.get("groups").cloned();
            // Whole as they are declared or stored, wherever the operator makes the step's groups of them.
            let autoscaling = self.desired.spec.autoscaling.as_ref();
            let fits = |list: &&Value| {
                as_stored(Some(list), shape.instances, autoscaling).as_ref() == Some(&shape.groups)
            };
            let groups = [declared.as_ref(), live]
                .into_iter()
                .flatten()
                .find(fits)
                .cloned()
                .unwrap_or_else(|| shape.groups.iter().map(group).collect());
            let some = Some(groups).filter(|_| !shape.groups.is_empty());
            put(section, "groups", some);
        }
    }

    fn leave_instances_to_the_autoscaler(&self, spec: &mut Value) {
        if let (Some(live), Some(autoscaling)) = (self.live, &self.desired.spec.autoscaling)
            && let Ok(stored) = ClusterSpec::read(&live.value)
            && autoscaling.owns(stored.instances)
        {
            spec["instances"] = json!(stored.instances);
        }
    }
}

fn differs(stored: &Option<ClusterSpec>, is_same: impl Fn(&Replication) -> bool) -> bool {
    stored
        .as_ref()
        .is_some_and(|stored| !is_same(&stored.replication))
}

fn group(group: &Group) -> Value {
    let Group {
        name,
        role,
        instances,
    } = group;
    json!({"name": name, "role": role.word(), "instances": instances})
}

fn put(section: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    match value {
        Some(value) => {
            section.insert(key.into(), value);
        }
        None => {
            section.remove(key);
        }
    }
}

/// Sets or removes what is below; maps on the way are made where something is set.
fn set(value: &mut Value, path: &[Segment], to: Option<Value>) {
    let Some((Segment::Key(key), below)) = path.split_first() else {
        return;
    };
    if !value.is_object() {
        if to.is_none() {
            return;
        }
        *value = json!({});
    }
    let Some(map) = value.as_object_mut() else {
        return;
    };
    if below.is_empty() {
        return put(map, key, to);
    }
    if to.is_some() || map.contains_key(key) {
        set(map.entry(key.clone()).or_insert(Value::Null), below, to);
    }
}
