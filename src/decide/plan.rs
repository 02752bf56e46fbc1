//! The plan of one cluster: its state, what differs, every step to Git's document with its gates, and why it waits.
//!
//! A pure value of what Git declares, what was seen, what successive looks have shown, and the moment. Only its first
//! step is ever written; the next pass plans again from what is.

use std::sync::Arc;

use serde_json::Value;

use crate::decide::approval::{self, APPROVED, Approval, used_up};
use crate::decide::availability::observed;
use crate::decide::compare::{Comparison, compare};
use crate::decide::digest::{APPLIED, APPLYING, is_known};
use crate::decide::durability::{Shape, in_force};
use crate::decide::evidence::{self, Evidence, IdleLeader};
use crate::decide::gate::{Grounds, gates_of};
use crate::decide::sighting::{Moment, Sighting};
use crate::decide::steps::{self, Route};
use crate::decide::wait::settle;
use crate::model::cluster::ClusterSpec;
use crate::model::desired::DesiredCluster;
use crate::model::field::FieldPath;
use crate::model::finding::{Finding, Level};
use crate::model::key::Key;
use crate::model::observed::{LiveObject, ObservedCluster};
use crate::model::plan::{
    Availability, ClusterPlan, Difference, ForceVerdict, Gate, GateId, State, Step, Verdict,
};

/// What Git says of a cluster.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'w> {
    Declared(&'w DesiredCluster),
    /// Its manifest was found and cannot be carried out.
    Refused(&'w [Finding]),
}

/// Everything a plan is made of.
pub struct Inputs<'i> {
    pub key: &'i Key,
    pub wanted: Wanted<'i>,
    /// `Err` is why the live side could not be read.
    pub seen: Result<&'i Arc<ObservedCluster>, String>,
    pub sighting: &'i Sighting,
    pub now: Moment,
    /// Seconds since 1970 (see `Evidence::unix`).
    pub unix: i64,
    pub idle_leader: IdleLeader,
    /// See `Evidence::unapplied`.
    pub unapplied: &'i [String],
}

/// Decides for one cluster.
pub fn plan(inputs: &Inputs<'_>) -> ClusterPlan {
    let mut plan = blank(inputs);
    let seen = match &inputs.seen {
        Ok(seen) => *seen,
        Err(why) => {
            plan.because = Some(why.clone());
            return plan;
        }
    };
    plan.observed = Some(Arc::clone(seen));
    let stored = seen
        .live
        .as_ref()
        .map(|live| ClusterSpec::read(&live.value));
    let stored_spec = stored.as_ref().and_then(|spec| spec.as_ref().ok());
    let desired = match inputs.wanted {
        Wanted::Refused(findings) => {
            plan.state = State::Refused;
            plan.because = findings
                .iter()
                .find(|finding| finding.level == Level::Error)
                .map(|finding| finding.message.clone());
            plan.in_force = in_force(None, stored_spec, Some(seen));
            return plan;
        }
        Wanted::Declared(desired) => desired,
    };
    plan.in_force = in_force(Some(&desired.spec), stored_spec, Some(seen));
    match (&seen.live, &stored) {
        (None, _) | (_, None) => plan_creation(&mut plan, inputs, desired),
        (Some(_), Some(Err(why))) => {
            plan.because = Some(format!("the live object cannot be read: {why}"));
        }
        (Some(live), Some(Ok(spec))) => plan_change(&mut plan, inputs, desired, seen, live, spec),
    }
    plan
}

fn blank(inputs: &Inputs<'_>) -> ClusterPlan {
    let (declared, findings) = match inputs.wanted {
        Wanted::Declared(desired) => (Some(desired), desired.findings.clone()),
        Wanted::Refused(findings) => (None, findings.to_vec()),
    };
    ClusterPlan {
        key: inputs.key.clone(),
        state: State::Unknown,
        because: None,
        place: match declared {
            Some(desired) => Some(desired.document.place(&FieldPath::root())),
            None => findings.iter().find_map(|finding| finding.place.clone()),
        },
        differences: Vec::new(),
        undone: Vec::new(),
        steps: Vec::new(),
        findings,
        in_force: in_force(declared.map(|desired| &desired.spec), None, None),
        availability: match &inputs.seen {
            Ok(seen) => seen.live.is_some().then(|| observed(seen)),
            Err(why) => Some(Availability::unknown(why)),
        },
        live: None,
        declared: None,
        observed: None,
    }
}

fn plan_creation(plan: &mut ClusterPlan, inputs: &Inputs<'_>, desired: &DesiredCluster) {
    plan.declared = Some(Arc::new(crate::decide::digest::without_own_annotations(
        &desired.document.value,
    )));
    plan.differences = vec![Difference {
        path: FieldPath::root(),
        declared: plan.declared.as_deref().cloned(),
        live: None,
        place: plan.place.clone(),
        last_write: None,
    }];
    match steps::to_create(desired) {
        Err(why) => refuse(plan, &why),
        Ok(route) => {
            let unapplied = inputs.unapplied;
            take(plan, route, Grounds::Absent { unapplied });
            settle(plan, &desired.digest, inputs.sighting, inputs.now);
        }
    }
}

fn plan_change(
    plan: &mut ClusterPlan,
    inputs: &Inputs<'_>,
    desired: &DesiredCluster,
    seen: &ObservedCluster,
    live: &LiveObject,
    spec: &ClusterSpec,
) {
    let skip = |path: &FieldPath| belongs_to_autoscaler(path, desired, spec);
    let Comparison {
        declared,
        live: view,
        differences,
    } = compare(&desired.document, live, &skip);
    plan.declared = Some(Arc::new(declared));
    plan.live = Some(Arc::new(view));
    plan.differences = differences;
    if let Some(owner) = generated_by(live) {
        return refuse(
            plan,
            &format!("it is generated by {owner}: change that object instead"),
        );
    }
    let applied = live.annotation(APPLIED).filter(|digest| is_known(digest));
    let applying = live.annotation(APPLYING).is_some();
    let same = applied == Some(desired.digest.as_str());
    if plan.differences.is_empty() {
        plan.state = State::InSync;
        plan.because = not_in_force(plan).or_else(|| restart_pending(live));
        if same && !applying {
            return;
        }
        plan.steps = vec![steps::to_record(desired, live, spec)];
        return;
    }
    if same && !applying {
        plan.state = State::Drifted;
        plan.because = Some(drift_in_words(&plan.differences));
        return;
    }
    plan.undone = undone(&plan.differences);
    let evidence = Evidence {
        seen,
        live,
        spec,
        sighting: inputs.sighting,
        now: inputs.now,
        unix: inputs.unix,
        idle_leader: inputs.idle_leader,
        unapplied: inputs.unapplied,
    };
    let listed = full_sync(&evidence);
    let route = match steps::to_change(desired, live, spec, &plan.differences, listed.as_deref()) {
        Ok(route) => route,
        Err(why) => return refuse(plan, &why),
    };
    plan.state = if applying {
        State::InTransition
    } else {
        State::Pending
    };
    let change = approval::Change {
        key: inputs.key,
        base: applied,
        target: &desired.digest,
        is_underway: live.annotation(APPLYING) == Some(desired.digest.as_str()),
    };
    let used = live.annotation(APPROVED);
    let approval = change.approval(&desired.document.value, used, inputs.unix);
    let about = route.to_approve();
    plan.findings.extend(route.findings.iter().cloned());
    take(plan, route, Grounds::Live(&evidence));
    hold_for_approval(plan, about, &approval, used, inputs.unix);
    settle(plan, &desired.digest, inputs.sighting, inputs.now);
}

/// The standbys in `/sync`, once it lists as many as are asked for: before that, who will be in it is not known.
fn full_sync(evidence: &Evidence<'_>) -> Option<Vec<u32>> {
    let asked = Shape::of(evidence.spec).asks().standbys;
    let listed = evidence::listed(evidence).ok()?;
    (asked > 0 && listed.len() >= asked as usize).then_some(listed)
}

/// Puts the route into the plan: the first step's gates judged, the others' to be judged later.
fn take(plan: &mut ClusterPlan, route: Route, first: Grounds<'_>) {
    if plan.state == State::Unknown {
        plan.state = State::Pending;
    }
    plan.steps = route.steps;
    for (index, step) in plan.steps.iter_mut().enumerate() {
        step.gates = gates_of(&step.moves, if index == 0 { first } else { Grounds::Later });
    }
}

/// The approval is a gate of every step up to the one that needs it: nothing is begun that may not be ended. The first write
/// records it as used, so that what is given up half-way takes another to begin again. A start is asked for one only where
/// it is not known that the first member's volume is the newest.
fn hold_for_approval(
    plan: &mut ClusterPlan,
    about: Option<(usize, &str)>,
    approval: &Approval,
    used: Option<&str>,
    unix: i64,
) {
    let record = |step: &mut Step| {
        if let Approval::Given { value, .. } = approval {
            steps::with_approval(step, &used_up(used, value, unix));
        }
    };
    for step in &mut plan.steps {
        let mut gates = step.gates.iter_mut();
        if let Some(gate) = gates.find(|gate| gate.id == GateId::LastLeader)
            && matches!(gate.verdict, Verdict::Closed(_) | Verdict::Unknown(_))
        {
            gate.verdict = approval.verdict(gate.verdict.reason());
            record(step);
        }
    }
    let Some((last, about)) = about else { return };
    for (index, step) in plan.steps[..=last].iter_mut().enumerate() {
        step.gates.push(Gate {
            id: GateId::Approved,
            verdict: match index {
                0 => approval.verdict(about),
                _ => Verdict::Later,
            },
        });
        step.gates.sort_by_key(|gate| gate.id);
        record(step);
    }
}

fn refuse(plan: &mut ClusterPlan, why: &str) {
    plan.state = State::Refused;
    plan.because = Some(why.to_owned());
}

fn not_in_force(plan: &ClusterPlan) -> Option<String> {
    match &plan.in_force.verdict {
        ForceVerdict::InForce => None,
        ForceVerdict::NotInForce(why) => Some(format!("not in force: {why}")),
        ForceVerdict::Unknown(why) => Some(format!("not known to be in force: {why}")),
    }
}

/// Pods that run with what was declared before a change that replaces them.
fn restart_pending(live: &LiveObject) -> Option<String> {
    let conditions = live.value.pointer("/status/conditions")?.as_array()?;
    let is_pending = conditions
        .iter()
        .any(|condition| condition["type"] == "PendingRestart" && condition["status"] == "True");
    is_pending.then(|| "a restart is pending: until then Pods run with what was declared before (an SGDbOps of op restart carries it out)".to_owned())
}

fn drift_in_words(differences: &[Difference]) -> String {
    let Some(first) = differences.first() else {
        return String::new();
    };
    let mut words = format!("{} was changed", first.path);
    if let Some(write) = &first.last_write {
        words.push_str(&format!(", last write by {}", write.manager));
    }
    if differences.len() > 1 {
        words.push_str(&format!(" (and {} more)", differences.len() - 1));
    }
    words
}

/// Live values that somebody else wrote and that Git will replace.
fn undone(differences: &[Difference]) -> Vec<FieldPath> {
    differences
        .iter()
        .filter(|difference| difference.last_write.is_some())
        .map(|difference| difference.path.clone())
        .collect()
}

/// `spec.instances` where an autoscaler owns it and keeps its bounds, and the group sizes that follow it.
fn belongs_to_autoscaler(path: &FieldPath, desired: &DesiredCluster, live: &ClusterSpec) -> bool {
    let Some(autoscaling) = desired.spec.autoscaling.as_ref() else {
        return false;
    };
    if *path == FieldPath::of(["spec", "instances"]) {
        return autoscaling.owns(live.instances);
    }
    let group = |index: usize| FieldPath::of(["spec", "replication", "groups"]).index(index);
    let rewritten = |index: usize| {
        *path == group(index).key("instances")
            && group(index)
                .key("minInstances")
                .find(&desired.document.value)
                .is_some()
    };
    autoscaling.min_instances.is_some() && (0..desired.spec.replication.groups.len()).any(rewritten)
}

/// The StackGres object that owns this one, where another generates it.
fn generated_by(live: &LiveObject) -> Option<String> {
    let owners = live
        .value
        .pointer("/metadata/ownerReferences")?
        .as_array()?;
    owners.iter().find_map(|owner| {
        let text = |key: &str| owner.get(key).and_then(Value::as_str);
        let stackgres =
            text("apiVersion").is_some_and(|version| version.starts_with("stackgres.io/"));
        stackgres.then(|| {
            format!(
                "{} {}",
                text("kind").unwrap_or("a StackGres object"),
                text("name").unwrap_or_default()
            )
        })
    })
}

/// What became of a write that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setback {
    /// Somebody else wrote meanwhile: the next pass plans from what is.
    Conflict,
    /// It may succeed later by itself.
    Retry(String),
    /// Something it needs is missing on the server: a person has to act, and trying again shows whether they have.
    Missing(String),
    /// It will not: a person has to change the document.
    Refused(String),
}

/// The plan as it stands after its first step, or the write of a supporting object, did not succeed.
pub fn set_back(state: &mut State, because: &mut Option<String>, setback: &Setback) {
    match setback {
        Setback::Conflict => {}
        Setback::Retry(why) => {
            *state = State::Waiting;
            *because = Some(why.clone());
        }
        Setback::Missing(why) | Setback::Refused(why) => {
            *state = State::Blocked;
            *because = Some(why.clone());
        }
    }
}
