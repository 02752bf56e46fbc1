//! From differences to writes: which fields travel together, and the whole object that each write applies.
//!
//! Replication and instances move by `transition`; everything else is one write before them, so that a changed label
//! never waits for a standby. What is not ordered yet is refused here by name. An object that is sent holds what Git
//! declares, with `instances` and `replication` at the step's values, and Lockstep's own annotations.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::decide::digest::{APPLIED, APPLYING, without_own_annotations};
use crate::decide::durability::{NONE, Shape};
use crate::decide::transition::{cradle, hops};
use crate::model::cluster::ClusterSpec;
use crate::model::desired::DesiredCluster;
use crate::model::field::FieldPath;
use crate::model::observed::LiveObject;
use crate::model::plan::{Change, Difference, Durability, Move, Step};

/// All writes from live to Git's document; gates are not judged yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    pub steps: Vec<Step>,
}

const CREATED_ASYNCHRONOUS: &str = "an absent cluster has no standby that could acknowledge, so it is created asynchronous and climbs";

/// The writes that make an absent cluster. `Err` names what is not ordered yet.
pub fn to_create(desired: &DesiredCluster) -> Result<Route, String> {
    let target = Shape::of(&desired.spec);
    let spec = &desired.spec;
    if target.instances == 0 {
        return Err(
            "creating a cluster without instances is not ordered yet: declare at least one".into(),
        );
    }
    if target.asks() != NONE {
        if !spec.replication.groups.is_empty() {
            return Err("replication groups in a synchronous cluster are not ordered yet (spec.replication.groups)".into());
        }
        if spec.replicates_from {
            return Err("a synchronous cluster that replicates from another is not ordered yet (spec.replicateFrom)".into());
        }
    }
    let first = cradle(target);
    let rest = hops(&desired.document.key.name, first, target);
    let why = if first == target {
        "no such cluster is live"
    } else {
        CREATED_ASYNCHRONOUS
    };
    let more = !rest.is_empty();
    let mut steps = vec![Step {
        moves: vec![Move::Create],
        changes: shape_changes(None, first),
        why: why.into(),
        gates: Vec::new(),
        durability_before: NONE,
        durability_after: first.asks(),
        more_follow: more,
        object: Arc::new(object(desired, None, more.then_some(first))),
    }];
    follow(&mut steps, desired, None, first, target, rest);
    Ok(Route { steps })
}

/// The write that only records that Git's document is carried out.
pub fn to_record(desired: &DesiredCluster, live: &LiveObject, spec: &ClusterSpec) -> Step {
    let asked = Shape::of(spec).asks();
    let why = if live.annotation(APPLYING).is_some() {
        "the object says what Git says: the transition ends here"
    } else {
        "the object already says what Git says: it is recorded as carried out, and owned from here on"
    };
    Step {
        moves: vec![Move::Record],
        changes: Vec::new(),
        why: why.into(),
        gates: Vec::new(),
        durability_before: asked,
        durability_after: asked,
        more_follow: false,
        object: Arc::new(object(desired, Some(live), None)),
    }
}

/// The writes from a live object to Git's document. `Err` names what is not ordered yet, and what to do.
pub fn to_change(
    desired: &DesiredCluster,
    live: &LiveObject,
    spec: &ClusterSpec,
    differences: &[Difference],
) -> Result<Route, String> {
    let at = Shape::of(spec);
    let target = target_shape(desired, spec, differences);
    let others: Vec<&Difference> = differences
        .iter()
        .filter(|difference| !is_shape(&difference.path))
        .collect();
    refuse_unordered(desired, spec, &others, at, target)?;
    let hops = hops(&desired.document.key.name, at, target);
    let mut steps = Vec::new();
    if !others.is_empty() {
        let more = !hops.is_empty();
        steps.push(Step {
            moves: vec![Move::Settings],
            changes: others.iter().map(|difference| change(difference)).collect(),
            why: settings_why(&others, more).into(),
            gates: Vec::new(),
            durability_before: at.asks(),
            durability_after: at.asks(),
            more_follow: more,
            object: Arc::new(object(desired, Some(live), more.then_some(at))),
        });
    }
    follow(&mut steps, desired, Some(live), at, target, hops);
    if steps.is_empty() {
        // Fields differ in the text but ask for the same (an explicit default): one write settles the words.
        steps.push(Step {
            changes: differences.iter().map(change).collect(),
            ..to_record(desired, live, spec)
        });
    }
    Ok(Route { steps })
}

fn follow(
    steps: &mut Vec<Step>,
    desired: &DesiredCluster,
    live: Option<&LiveObject>,
    start: Shape,
    target: Shape,
    hops: Vec<crate::decide::transition::Hop>,
) {
    let mut at = start;
    for hop in hops {
        let more = hop.to != target;
        let (before, after): (Durability, Durability) = (at.asks(), hop.to.asks());
        steps.push(Step {
            changes: shape_changes(Some(at), hop.to),
            moves: hop.moves,
            why: hop.why,
            gates: Vec::new(),
            durability_before: before,
            durability_after: after,
            more_follow: more,
            object: Arc::new(object(desired, live, more.then_some(hop.to))),
        });
        at = hop.to;
    }
}

/// Where live will stand: Git's value where Git declares or removes one, live's where Git is silent.
fn target_shape(desired: &DesiredCluster, live: &ClusterSpec, differences: &[Difference]) -> Shape {
    let (git, at) = (Shape::of(&desired.spec), Shape::of(live));
    let differs = |keys: &[&str]| {
        let path = FieldPath::of(keys.iter().copied());
        differences
            .iter()
            .any(|difference| path.starts_with(&difference.path))
    };
    let mode = if differs(&["spec", "replication", "mode"]) {
        git.mode
    } else {
        at.mode
    };
    let count = FieldPath::of(["spec", "replication", "syncInstances"]);
    let declares_count = count
        .find(&desired.document.value)
        .is_some_and(|value| !value.is_null());
    let sync_instances = if declares_count || differs(&["spec", "replication", "syncInstances"]) {
        git.sync_instances
    } else {
        at.sync_instances.or(mode.counts().then_some(1))
    };
    let instances = if differs(&["spec", "instances"]) {
        git.instances
    } else {
        at.instances
    };
    Shape {
        instances,
        mode,
        sync_instances,
    }
}

fn is_shape(path: &FieldPath) -> bool {
    let replication = FieldPath::of(["spec", "replication"]);
    [
        FieldPath::of(["spec", "instances"]),
        replication.key("mode"),
        replication.key("syncInstances"),
        replication,
    ]
    .contains(path)
}

/// Fields whose change makes the operator replace Pods.
fn is_template(path: &FieldPath) -> bool {
    const TEMPLATE: [&[&str]; 8] = [
        &["spec", "pods"],
        &["spec", "profile"],
        &["spec", "nonProductionOptions"],
        &["spec", "sgInstanceProfile"],
        &["spec", "postgres"],
        &["spec", "replication", "initialization"],
        &["spec", "distributedLogs"],
        &["spec", "metadata"],
    ];
    TEMPLATE
        .iter()
        .any(|prefix| path.starts_with(&FieldPath::of(prefix.iter().copied())))
}

fn refuse_unordered(
    desired: &DesiredCluster,
    live: &ClusterSpec,
    others: &[&Difference],
    at: Shape,
    target: Shape,
) -> Result<(), String> {
    let git = &desired.spec.replication;
    if git.role != live.replication.role {
        return Err(
            "a change of replication role is not ordered yet (spec.replication.role)".into(),
        );
    }
    let sizes_follow_autoscaler = desired
        .spec
        .autoscaling
        .as_ref()
        .is_some_and(|section| section.min_instances.is_some());
    let groups = |groups: &[crate::model::cluster::Group]| {
        groups
            .iter()
            .map(|group| {
                (
                    group.name.clone(),
                    group.role,
                    if sizes_follow_autoscaler {
                        0
                    } else {
                        group.instances
                    },
                )
            })
            .collect::<Vec<_>>()
    };
    if groups(&git.groups) != groups(&live.replication.groups) {
        return Err(
            "a change of replication groups is not ordered yet (spec.replication.groups)".into(),
        );
    }
    let follows = FieldPath::of(["spec", "replicateFrom"]);
    if let Some(difference) = others
        .iter()
        .find(|difference| difference.path.starts_with(&follows))
    {
        return Err(format!(
            "a change of the source that a cluster follows is not ordered yet ({})",
            difference.path
        ));
    }
    if at == target {
        return Ok(());
    }
    if !git.groups.is_empty() {
        return Err("a replication change in a cluster with groups is not ordered yet (spec.replication.groups)".into());
    }
    if live.replicates_from && at.asks() != target.asks() {
        return Err("a replication change in a cluster that follows another is not ordered yet (spec.replicateFrom)".into());
    }
    if target.instances == 0 || at.instances == 0 {
        return Err(
            "stopping or starting all instances is not ordered yet (spec.instances)".into(),
        );
    }
    if let Some(difference) = others
        .iter()
        .find(|difference| is_template(&difference.path))
    {
        return Err(format!(
            "a pod-template change ({}) together with a replication change is not ordered yet: commit one, then the other",
            difference.path
        ));
    }
    Ok(())
}

fn settings_why(others: &[&Difference], more: bool) -> &'static str {
    if others
        .iter()
        .any(|difference| is_template(&difference.path))
    {
        "the operator marks the cluster for a restart and replaces no Pod by itself"
    } else if more {
        "settings outside replication wait for no standby"
    } else {
        "settings outside replication are one write"
    }
}

fn change(difference: &Difference) -> Change {
    Change {
        path: difference.path.clone(),
        from: difference.live.clone(),
        to: difference.declared.clone(),
    }
}

fn shape_changes(from: Option<Shape>, to: Shape) -> Vec<Change> {
    let count = |count: Option<u32>| count.map(Value::from);
    let mut changes = Vec::new();
    let mut note = |path: FieldPath, from: Option<Value>, to: Option<Value>| {
        if from != to {
            changes.push(Change { path, from, to });
        }
    };
    let replication = FieldPath::of(["spec", "replication"]);
    let before = from.map(|shape| shape.instances);
    note(
        FieldPath::of(["spec", "instances"]),
        count(before),
        count(Some(to.instances)),
    );
    note(
        replication.key("mode"),
        from.map(|shape| json!(shape.mode.word())),
        Some(json!(to.mode.word())),
    );
    note(
        replication.key("syncInstances"),
        count(from.and_then(|shape| shape.sync_instances)),
        count(to.sync_instances),
    );
    changes
}

/// The whole object of one write. `meanwhile` is the shape of a write that more will follow; `None` is the last one.
fn object(desired: &DesiredCluster, live: Option<&LiveObject>, meanwhile: Option<Shape>) -> Value {
    let document = without_own_annotations(&desired.document.value);
    let declared = document.get("metadata").unwrap_or(&Value::Null);
    let mut annotations = declared
        .get("annotations")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    if meanwhile.is_some() {
        annotations.insert(APPLYING.into(), json!(desired.digest));
        if let Some(applied) = live.and_then(|live| live.annotation(APPLIED)) {
            annotations.insert(APPLIED.into(), json!(applied));
        }
    } else {
        annotations.insert(APPLIED.into(), json!(desired.digest));
    }
    let key = &desired.document.key;
    let mut metadata = Map::new();
    metadata.insert("namespace".into(), json!(key.namespace));
    metadata.insert("name".into(), json!(key.name));
    if let Some(labels) = declared.get("labels").filter(|labels| !labels.is_null()) {
        metadata.insert("labels".into(), labels.clone());
    }
    metadata.insert("annotations".into(), Value::Object(annotations));
    if let Some(live) = live {
        metadata.insert("resourceVersion".into(), json!(live.resource_version));
    }
    let mut spec = document.get("spec").cloned().unwrap_or_else(|| json!({}));
    if let Some(shape) = meanwhile {
        spec["instances"] = json!(shape.instances);
        if !spec["replication"].is_object() {
            spec["replication"] = json!({});
        }
        spec["replication"]["mode"] = json!(shape.mode.word());
        match (shape.sync_instances, spec["replication"].as_object_mut()) {
            (Some(count), Some(section)) => {
                section.insert("syncInstances".into(), json!(count));
            }
            (None, Some(section)) => {
                section.remove("syncInstances");
            }
            (_, None) => {}
        }
    } else if let (Some(live), Some(autoscaling)) = (live, &desired.spec.autoscaling)
        && let Ok(stored) = ClusterSpec::read(&live.value)
        && autoscaling.owns(stored.instances)
    {
        spec["instances"] = json!(stored.instances);
    }
    json!({
        "apiVersion": desired.document.kind.api_version(),
        "kind": desired.document.kind.kind,
        "metadata": metadata,
        "spec": spec,
    })
}
