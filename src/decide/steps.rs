//! From differences to writes: which fields travel together, in which order, and what each write applies.
//!
//! Settings that replace no Pod are one write before everything, so that a changed label never waits for a standby;
//! replication, instances and roles move by `transition`; what makes the operator replace Pods is the last write, since a
//! replication change and a rollout must not meet (`domain.md` §6.2 H27). What a person has to approve is named here.

mod groups;
mod hidden;
mod object;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::decide::approval::APPROVED;
use crate::decide::availability::once_in_force;
use crate::decide::digest::APPLYING;
use crate::decide::durability::{NONE, Shape};
use crate::decide::transition::{Hop, cradle, hops};
use crate::model::cluster::{ClusterSpec, Group};
use crate::model::desired::DesiredCluster;
use crate::model::field::FieldPath;
use crate::model::finding::Finding;
use crate::model::observed::LiveObject;
use crate::model::plan::{Change, Difference, Move, Step};
use groups::as_stored;
use hidden::hidden_loosening;
use object::Stage;

/// All writes from live to Git's document; gates are not judged yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    pub steps: Vec<Step>,
    /// What the way there does that nobody may have meant.
    pub findings: Vec<Finding>,
}

impl Route {
    /// The step that a person has to approve before the route is begun, and what it does, in words.
    pub fn to_approve(&self) -> Option<(usize, &'static str)> {
        let mut steps = self.steps.iter().enumerate();
        steps.find_map(|(index, step)| {
            Some((index, step.moves.iter().find_map(unsafe_in_any_order)?))
        })
    }
}

/// What no order makes safe, and why (`domain.md` §6.2 H18, H19, H30).
fn unsafe_in_any_order(one: &Move) -> Option<&'static str> {
    match one {
        Move::Stop { .. } => Some("stopping all instances ends the service; the volumes stay"),
        Move::Follow => Some(
            "replicating from another cluster gives up this one's own history: its databases are replaced by the source's",
        ),
        Move::Lead => Some(
            "no longer replicating promotes this cluster: while its source still takes writes, two primaries do (split brain)",
        ),
        Move::Create
        | Move::Record
        | Move::Settings
        | Move::Template { .. }
        | Move::GiveRoles { .. }
        | Move::TakeRoles { .. }
        | Move::Loosen { .. }
        | Move::Grow { .. }
        | Move::Start { .. }
        | Move::Climb { .. }
        | Move::AddStrict { .. }
        | Move::Remove { .. }
        | Move::Spell => None,
    }
}

const CREATED_ASYNCHRONOUS: &str = "an absent cluster has no standby that could acknowledge, so it is created asynchronous and climbs";

/// The writes that make an absent cluster. `Err` names what cannot be ordered.
pub fn to_create(desired: &DesiredCluster) -> Result<Route, String> {
    let target = Shape::of(&desired.spec);
    if target.instances == 0 {
        return Err(
            "a cluster is not created without instances: declare at least one (spec.instances)"
                .into(),
        );
    }
    let first = cradle(&target);
    let rest = hops(&desired.document.key.name, &first, &target, None);
    let why = if first == target {
        "no such cluster is live"
    } else {
        CREATED_ASYNCHRONOUS
    };
    let more = !rest.is_empty();
    let stage = Stage {
        desired,
        live: None,
        shape: more.then_some(&first),
        held: &[],
        moves_roles: false,
    };
    let mut steps = vec![Step {
        moves: vec![Move::Create],
        changes: shape_changes(None, &first),
        why: why.into(),
        gates: Vec::new(),
        durability_before: NONE,
        durability_after: first.asks(),
        availability_after: once_in_force(&first),
        more_follow: more,
        object: Arc::new(stage.object()),
    }];
    let draft = Draft {
        desired,
        live: None,
        target: &target,
        moves_roles: false,
    };
    draft.transition(&mut steps, &first, rest, &|_| Vec::new(), false);
    Ok(Route {
        steps,
        findings: Vec::new(),
    })
}

/// The write that only records that Git's document is carried out.
pub fn to_record(desired: &DesiredCluster, live: &LiveObject, spec: &ClusterSpec) -> Step {
    let asked = Shape::of(spec).asks();
    let why = if live.annotation(APPLYING).is_some() {
        "the object says what Git says: the transition ends here"
    } else {
        "the object already says what Git says: it is recorded as carried out, and owned from here on"
    };
    let stage = Stage {
        desired,
        live: Some(live),
        shape: None,
        held: &[],
        moves_roles: false,
    };
    Step {
        moves: vec![Move::Record],
        changes: Vec::new(),
        why: why.into(),
        gates: Vec::new(),
        durability_before: asked,
        durability_after: asked,
        availability_after: once_in_force(&Shape::of(spec)),
        more_follow: false,
        object: Arc::new(stage.object()),
    }
}

/// The writes from a live object to Git's document. `listed` are the indexes of the standbys in `/sync`, where known.
/// `Err` names what cannot be ordered, and what to do.
pub fn to_change(
    desired: &DesiredCluster,
    live: &LiveObject,
    spec: &ClusterSpec,
    differences: &[Difference],
    listed: Option<&[u32]>,
) -> Result<Route, String> {
    let at = Shape::of(spec);
    let target = target_shape(desired, spec, differences);
    let Parted {
        settings,
        source,
        template,
    } = part(differences, &at, &target);
    let hops = hops(&desired.document.key.name, &at, &target, listed);
    refuse_undeclared_groups(desired, &at, differences, &hops)?;
    let draft = Draft {
        desired,
        live: Some(live),
        target: &target,
        moves_roles: is_touched(differences, &["spec", "replication", "role"])
            || is_touched(differences, &["spec", "replication", "groups"]),
    };
    let findings = hidden_loosening(desired, &at, &target, differences);
    let moves_replication = !hops.is_empty() || !source.is_empty();
    let mut steps = Vec::new();
    let held = paths(source.iter().chain(&template));
    let held_at = |shape: &Shape| {
        let mut held = held.clone();
        if shape.follows != target.follows {
            held.push(FieldPath::of(["spec", "replicateFrom"]));
        }
        held
    };
    // Without anything to order, all of it is one write.
    let changes_others = !settings.is_empty() || !template.is_empty();
    if changes_others && !moves_replication {
        let mut moves = Vec::new();
        if !settings.is_empty() {
            moves.push(Move::Settings);
        }
        if !template.is_empty() {
            let after_replication = live.annotation(APPLYING).is_some() && at.instances > 0;
            moves.push(Move::Template { after_replication });
        }
        let all = settings.iter().chain(&template).map(|one| change(one));
        steps.push(draft.write(
            moves,
            all.collect(),
            settings_why(&template, false),
            &at,
            None,
            &[],
        ));
        return Ok(Route { steps, findings });
    }
    // What is stored and could not be stored again, as writes through `/scale` leave it, is mended by the first write of all.
    let travels = !at.is_storable();
    if !settings.is_empty() && !travels {
        let changes = settings.iter().map(|one| change(one)).collect();
        let why = settings_why(&[], true);
        steps.push(draft.write(
            vec![Move::Settings],
            changes,
            why,
            &at,
            Some(&at),
            &held_at(&at),
        ));
    }
    let ends_with_shape = template.is_empty() && source.is_empty();
    draft.transition(&mut steps, &at, hops, &held_at, !ends_with_shape);
    if travels
        && !settings.is_empty()
        && let Some(first) = steps.first_mut()
    {
        first.moves.push(Move::Settings);
        first.changes.extend(settings.iter().map(|one| change(one)));
    }
    if !source.is_empty() {
        let changes = source.iter().map(|one| change(one)).collect();
        let why = "it takes up another source, so everything else comes before";
        let held = paths(template.iter());
        let shape = (!held.is_empty()).then_some(&target);
        steps.push(draft.write(vec![Move::Follow], changes, why, &target, shape, &held));
    }
    if !template.is_empty() {
        let changes = template.iter().map(|one| change(one)).collect();
        let why = settings_why(&template, true);
        // Without members nothing of it can be in force.
        let moves = vec![Move::Template {
            after_replication: target.instances > 0,
        }];
        steps.push(draft.write(moves, changes, why, &target, None, &[]));
    }
    if steps.is_empty() {
        // Fields differ in the text but ask for the same (an explicit default): one write settles the words.
        steps.push(Step {
            changes: differences.iter().map(change).collect(),
            ..to_record(desired, live, spec)
        });
    }
    Ok(Route { steps, findings })
}

/// The same step with an approval recorded as used in its write.
pub fn with_approval(step: &mut Step, approved: &str) {
    let object = Arc::make_mut(&mut step.object);
    if let Some(annotations) = object.pointer_mut("/metadata/annotations") {
        annotations[APPROVED] = json!(approved);
    }
}

/// What all writes of one route share.
struct Draft<'w> {
    desired: &'w DesiredCluster,
    live: Option<&'w LiveObject>,
    target: &'w Shape,
    /// As in `Stage`.
    moves_roles: bool,
}

impl Draft<'_> {
    /// A write that leaves replication at `at`. `shape` and `held` as in `Stage`.
    fn write(
        &self,
        moves: Vec<Move>,
        changes: Vec<Change>,
        why: &str,
        at: &Shape,
        shape: Option<&Shape>,
        held: &[FieldPath],
    ) -> Step {
        let stage = Stage {
            desired: self.desired,
            live: self.live,
            shape,
            held,
            moves_roles: self.moves_roles,
        };
        Step {
            moves,
            changes,
            why: why.into(),
            gates: Vec::new(),
            durability_before: at.asks(),
            durability_after: at.asks(),
            availability_after: once_in_force(at),
            more_follow: shape.is_some() || !held.is_empty(),
            object: Arc::new(stage.object()),
        }
    }

    /// Which cluster it follows is shown as it is declared and stored.
    fn name_source(&self, changes: &mut [Change]) {
        let path = FieldPath::of(["spec", "replicateFrom"]);
        for change in changes.iter_mut().filter(|change| change.path == path) {
            let declared = path.find(&self.desired.document.value);
            let stored = self.live.and_then(|live| path.find(&live.value));
            change.to = change.to.take().and(declared.cloned());
            change.from = change.from.take().and(stored.cloned());
        }
    }

    /// The writes of a transition, with the fields that each holds back. `more`: others come after them.
    fn transition(
        &self,
        steps: &mut Vec<Step>,
        start: &Shape,
        hops: Vec<Hop>,
        held_at: &dyn Fn(&Shape) -> Vec<FieldPath>,
        more: bool,
    ) {
        let mut at = start.clone();
        for hop in hops {
            let Hop { to, moves, why } = hop;
            let is_last = to == *self.target && !more;
            let held = held_at(&to);
            let stage = Stage {
                desired: self.desired,
                live: self.live,
                shape: (!is_last).then_some(&to),
                held: &held,
                moves_roles: self.moves_roles,
            };
            let mut changes = shape_changes(Some(&at), &to);
            self.name_source(&mut changes);
            steps.push(Step {
                changes,
                moves,
                why,
                gates: Vec::new(),
                durability_before: at.asks(),
                durability_after: to.asks(),
                availability_after: once_in_force(&to),
                more_follow: !is_last,
                object: Arc::new(stage.object()),
            });
            at = to;
        }
    }
}

/// Differences outside the shape, by the write that brings them.
struct Parted<'d> {
    settings: Vec<&'d Difference>,
    /// Another source of a cluster that goes on following.
    source: Vec<&'d Difference>,
    template: Vec<&'d Difference>,
}

fn part<'d>(differences: &'d [Difference], at: &Shape, target: &Shape) -> Parted<'d> {
    let mut parted = Parted {
        settings: Vec::new(),
        source: Vec::new(),
        template: Vec::new(),
    };
    let from = FieldPath::of(["spec", "replicateFrom"]);
    for difference in differences {
        let path = &difference.path;
        if is_shape(path) {
            continue;
        }
        if path.starts_with(&from) {
            // Whether it follows at all is the shape's; `transition` moves it.
            if at.follows && target.follows {
                parted.source.push(difference);
            }
        } else if is_template(path) {
            parted.template.push(difference);
        } else {
            parted.settings.push(difference);
        }
    }
    parted
}

fn paths<'d>(differences: impl Iterator<Item = &'d &'d Difference>) -> Vec<FieldPath> {
    differences.map(|one| one.path.clone()).collect()
}

/// Where live will stand: Git's value where Git declares or removes one, live's where Git is silent.
fn target_shape(desired: &DesiredCluster, live: &ClusterSpec, differences: &[Difference]) -> Shape {
    let (git, at) = (Shape::of(&desired.spec), Shape::of(live));
    let differs = |keys: &[&str]| is_touched(differences, keys);
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
    let role = if differs(&["spec", "replication", "role"]) {
        git.role
    } else {
        at.role
    };
    let groups = if differs(&["spec", "replication", "groups"]) {
        let list = desired.document.value.pointer("/spec/replication/groups");
        let autoscaling = desired.spec.autoscaling.as_ref();
        as_stored(list, instances, autoscaling).unwrap_or(git.groups)
    } else {
        at.groups
    };
    let follows = if differs(&["spec", "replicateFrom"]) {
        git.follows
    } else {
        at.follows
    };
    Shape {
        instances,
        mode,
        sync_instances,
        role,
        groups,
        follows,
    }
}

fn is_touched(differences: &[Difference], keys: &[&str]) -> bool {
    let path = FieldPath::of(keys.iter().copied());
    differences
        .iter()
        .any(|difference| path.starts_with(&difference.path) || difference.path.starts_with(&path))
}

fn is_shape(path: &FieldPath) -> bool {
    let replication = FieldPath::of(["spec", "replication"]);
    let moved = ["mode", "syncInstances", "role", "groups"];
    *path == FieldPath::of(["spec", "instances"])
        || *path == replication
        || moved
            .iter()
            .any(|key| path.starts_with(&replication.key(key)))
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

/// Members are dealt into groups by index, so a change of instances that has to write groups on its way would take over
/// groups that Git does not declare, and then remove them.
fn refuse_undeclared_groups(
    desired: &DesiredCluster,
    at: &Shape,
    differences: &[Difference],
    hops: &[Hop],
) -> Result<(), String> {
    let groups = FieldPath::of(["spec", "replication", "groups"]);
    let declares = groups
        .find(&desired.document.value)
        .is_some_and(|value| !value.is_null());
    if declares || is_touched(differences, &["spec", "replication", "groups"]) {
        return Ok(());
    }
    // Where live has none, those of the way are Lockstep's own, and gone with the last write.
    if at.groups.is_empty() || hops.iter().all(|hop| hop.to.groups == at.groups) {
        return Ok(());
    }
    Err("the live object has replication groups that Git does not declare, and this change would shift members between them: declare them (spec.replication.groups)".into())
}

fn settings_why(template: &[&Difference], more: bool) -> &'static str {
    match (template.is_empty(), more) {
        (false, false) => {
            "the operator marks the cluster for a restart and replaces no Pod by itself"
        }
        (false, true) => {
            "what replaces Pods comes when replication is in its place, so that no restart meets it"
        }
        (true, true) => "settings outside replication wait for no standby",
        (true, false) => "settings outside replication are one write",
    }
}

fn change(difference: &Difference) -> Change {
    Change {
        path: difference.path.clone(),
        from: difference.live.clone(),
        to: difference.declared.clone(),
    }
}

fn shape_changes(from: Option<&Shape>, to: &Shape) -> Vec<Change> {
    let count = |count: Option<u32>| count.map(Value::from);
    let mut changes = Vec::new();
    let mut note = |path: FieldPath, from: Option<Value>, to: Option<Value>| {
        if from != to {
            changes.push(Change { path, from, to });
        }
    };
    let replication = FieldPath::of(["spec", "replication"]);
    note(
        FieldPath::of(["spec", "instances"]),
        count(from.map(|shape| shape.instances)),
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
    let groups = |shape: &Shape| {
        let some = !shape.groups.is_empty();
        some.then(|| shape.groups.iter().map(group_in_words).collect::<Value>())
    };
    let of = from.unwrap_or(to);
    note(
        replication.key("role"),
        Some(json!(of.role.word())),
        Some(json!(to.role.word())),
    );
    note(replication.key("groups"), from.and_then(groups), groups(to));
    let follows = |shape: &Shape| shape.follows.then(|| json!("another cluster"));
    note(
        FieldPath::of(["spec", "replicateFrom"]),
        from.map_or_else(|| follows(to), follows),
        follows(to),
    );
    changes
}

/// `analytics: 2 readonly`.
fn group_in_words(group: &Group) -> Value {
    let Group {
        name,
        role,
        instances,
    } = group;
    json!(format!("{name}: {instances} {}", role.word()))
}
