//! One-shot reconciliation for `lockstep apply`: passes until each cluster's first step is judged, or all is in sync.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::time::{Instant, timeout};

use crate::model::desired::Desired;
use crate::model::key::Key;
use crate::model::plan::{ClusterPlan, ForceVerdict, Report, State, Verdict, Written};
use crate::run::reconcile::{Pass, Reconciler};
use crate::run::survey::Survey;

/// How long a first step is observed before its wait is named: two minutes of an idle leader are not waited for.
const JUDGED: Duration = Duration::from_secs(60);
/// Some gates close by time alone.
const LOOK: Duration = Duration::from_secs(1);

/// Carries out the first open step of each cluster, or with `wait` every step, as far as time allows. `tell` hears of every
/// plan and every write as it comes.
pub async fn apply(
    survey: Survey,
    client: Client,
    wait: Option<Duration>,
    tell: &mut dyn FnMut(&Pass),
) -> Report {
    let Survey {
        desired,
        observer,
        keys,
        is_narrowed,
        watches: _watches,
    } = survey;
    let reader = observer.reader.clone();
    let mut reconciler = Reconciler::new(observer, client);
    let end = Instant::now() + wait.unwrap_or(JUDGED);
    let mut supporting: BTreeSet<_> = BTreeSet::new();
    if !is_narrowed {
        supporting.extend(
            desired
                .supporting
                .iter()
                .map(|one| (one.kind.clone(), one.key.clone())),
        );
    }
    let mut open: BTreeSet<Key> = keys;
    let mut last = Report {
        source: desired.source.clone(),
        clusters: Vec::new(),
        supporting: Vec::new(),
        written: Vec::new(),
        findings: desired.findings.clone(),
    };
    loop {
        let pass = reconciler.pass(&desired, &open, &supporting).await;
        tell(&pass);
        last.written.extend(pass.written.iter().cloned());
        for plan in &pass.clusters {
            if is_settled(plan, wait.is_some(), &last.written) {
                open.remove(&plan.key);
            }
        }
        keep(&mut last, pass);
        if open.is_empty() || Instant::now() >= end {
            return last;
        }
        // Whether something changed or time passed, the next pass looks again.
        drop(timeout(LOOK, reader.changed()).await);
    }
}

/// Whether another pass could do or tell more.
fn is_settled(plan: &ClusterPlan, to_the_end: bool, written: &[Arc<Written>]) -> bool {
    match plan.state {
        State::Blocked | State::Drifted | State::Suspended | State::Refused => return true,
        State::InSync if plan.steps.is_empty() => {
            return !to_the_end || plan.in_force.verdict == ForceVerdict::InForce;
        }
        State::InSync | State::Pending | State::InTransition | State::Waiting | State::Unknown => {}
    }
    if to_the_end {
        return false;
    }
    let is_written = written
        .iter()
        .any(|one| one.kind == "SGCluster" && one.key == plan.key);
    is_written
        || plan
            .steps
            .first()
            .is_some_and(|step| !step.gates.iter().any(|gate| is_undecided(&gate.verdict)))
}

fn is_undecided(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Unknown(_) => true,
        Verdict::Open(_) | Verdict::Closed(_) | Verdict::Later => false,
    }
}

/// The newest plan of each cluster and object.
fn keep(report: &mut Report, pass: Pass) {
    for plan in pass.clusters {
        match report
            .clusters
            .binary_search_by(|known| known.key.cmp(&plan.key))
        {
            Ok(index) => report.clusters[index] = plan,
            Err(index) => report.clusters.insert(index, plan),
        }
    }
    for plan in pass.supporting {
        match report
            .supporting
            .iter_mut()
            .find(|known| known.kind == plan.kind && known.key == plan.key)
        {
            Some(known) => *known = plan,
            None => report.supporting.push(plan),
        }
    }
}

/// Whether everything asked for is as Git says, and in force.
pub fn is_done(report: &Report, desired: &Desired) -> bool {
    let in_force = |plan: &Arc<ClusterPlan>| {
        plan.state == State::InSync
            && plan.steps.is_empty()
            && plan.in_force.verdict == ForceVerdict::InForce
    };
    desired.unidentified.is_empty()
        && report.clusters.iter().all(in_force)
        && report
            .supporting
            .iter()
            .all(|plan| plan.state == State::InSync)
}
