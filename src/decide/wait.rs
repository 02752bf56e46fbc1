//! What a plan waits for: which of the gates that hold its first step is told, whether it is a person's affair, and since
//! when it waits. A wait that lasts longer than its step may take is a person's affair too, and says what would free it.

use std::time::Duration;

use crate::decide::evidence::NEVER_PROMOTABLE;
use crate::decide::gate::remedy;
use crate::decide::sighting::{Moment, Sighting};
use crate::model::plan::{ClusterPlan, Gate, GateId, State, Step, Verdict};

/// The state that the first step's gates make, and what holds it. `digest` is that of Git's document.
pub fn settle(plan: &mut ClusterPlan, digest: &str, sighting: &Sighting, now: Moment) {
    judge(plan);
    if plan.state != State::Waiting {
        return;
    }
    let Some(step) = plan.steps.first() else {
        return;
    };
    let Some(holds) = first_to_tell(step) else {
        return;
    };
    let waited = sighting.waited(&signature(step, digest), now);
    if waited < limit(holds.id) {
        return;
    }
    plan.because = Some(format!(
        "for {}: {}; {}",
        minutes(waited),
        holds.verdict.reason(),
        remedy(holds.id)
    ));
    plan.state = State::Blocked;
}

fn judge(plan: &mut ClusterPlan) {
    let Some(first) = plan.steps.first().filter(|first| !first.is_open()) else {
        return;
    };
    // What only a person can open is told before what time may open.
    let for_a_person = first.gates.iter().find(|gate| is_for_a_person(gate));
    (plan.state, plan.because) = match for_a_person.or_else(|| first_to_tell(first)) {
        Some(gate) if is_for_a_person(gate) => {
            (State::Blocked, Some(gate.verdict.reason().to_owned()))
        }
        Some(gate) => (State::Waiting, Some(gate.verdict.reason().to_owned())),
        None => (State::Waiting, None),
    };
}

fn is_for_a_person(gate: &Gate) -> bool {
    let Verdict::Closed(reason) = &gate.verdict else {
        return false;
    };
    match gate.id {
        GateId::Approved | GateId::LeaderStays | GateId::LastLeader | GateId::Unblocks => true,
        GateId::Promotable => reason == NEVER_PROMOTABLE,
        GateId::ReferencesApplied
        | GateId::LeaderLive
        | GateId::ConfigInForce
        | GateId::SyncSatisfied
        | GateId::MembersHealthy
        | GateId::NothingElseRunning
        | GateId::RolesApplied
        | GateId::OperatorCaughtUp
        | GateId::Mark => false,
    }
}

/// What tells one wait from another: the step, and what Git asks for.
fn signature(step: &Step, digest: &str) -> String {
    format!("{digest} {:?}", step.moves)
}

/// What a plan waits for, for `Sighting::waits`; `None` where it does not wait.
pub fn awaited(plan: &ClusterPlan, digest: &str) -> Option<String> {
    let step = plan.steps.first().filter(|step| !step.is_open())?;
    Some(signature(step, digest))
}

/// How long a step may wait for this before it is a person's affair. A new member's base backup and an operation may take
/// hours, the others take a few leader loops.
fn limit(held_by: GateId) -> Duration {
    const MINUTE: u64 = 60;
    let minutes = match held_by {
        GateId::MembersHealthy | GateId::NothingElseRunning => 120,
        GateId::ReferencesApplied
        | GateId::LeaderLive
        | GateId::ConfigInForce
        | GateId::SyncSatisfied
        | GateId::Approved
        | GateId::RolesApplied
        | GateId::OperatorCaughtUp
        | GateId::Promotable
        | GateId::Unblocks
        | GateId::Mark
        | GateId::LeaderStays
        | GateId::LastLeader => 15,
    };
    Duration::from_secs(minutes * MINUTE)
}

fn minutes(waited: Duration) -> String {
    format!("{} min", waited.as_secs() / 60)
}

/// The gate to tell of where several hold: a closed one before one that is merely not known yet, and among those the one
/// that explains the others: what it refers to, the leader, a standby that does not move.
fn first_to_tell(step: &Step) -> Option<&Gate> {
    let rank = |gate: &&Gate| {
        let explains = match gate.id {
            GateId::ReferencesApplied | GateId::LeaderLive => 0,
            GateId::Mark => 1,
            GateId::ConfigInForce
            | GateId::SyncSatisfied
            | GateId::MembersHealthy
            | GateId::Approved
            | GateId::NothingElseRunning
            | GateId::RolesApplied
            | GateId::OperatorCaughtUp
            | GateId::Promotable
            | GateId::Unblocks
            | GateId::LeaderStays
            | GateId::LastLeader => 2,
        };
        (!matches!(gate.verdict, Verdict::Closed(_)), explains)
    };
    step.holding().min_by_key(rank)
}
