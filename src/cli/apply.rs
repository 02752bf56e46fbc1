//! `lockstep apply`: carries out the next open step of each cluster, or all of them in order.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::ask::tell_refusals;
use super::output::{self, palette};
use super::{Ending, Output, open};
use crate::config::Settings;
use crate::model::key::Key;
use crate::model::plan::{ClusterPlan, State};
use crate::run::apply::{apply as carry_out, is_done};
use crate::run::reconcile::Pass;
use crate::show;
use crate::show::json::Kind;

pub async fn apply(
    settings: &Settings,
    clusters: &[Key],
    wait: Option<Duration>,
    form: Output,
) -> anyhow::Result<Ending> {
    let (survey, client) = open::survey(settings, clusters).await?;
    let desired = Arc::clone(&survey.desired);
    let mut told = HashMap::new();
    let report = carry_out(survey, client, wait, &mut |pass| {
        tell(pass, &mut told);
    })
    .await;
    match form {
        Output::Text => output::data(&show::plan::summary(&report, &palette()))?,
        Output::Json => output::json(&show::json::report(Kind::Apply, &report))?,
    }
    tell_refusals(&report);
    Ok(Ending::remains_if(!is_done(&report, &desired)))
}

/// Progress, for the person who waits: each write, and each wait when it begins.
fn tell(pass: &Pass, told: &mut HashMap<Key, String>) {
    for written in &pass.written {
        let changes = show::plan::in_words(&written.changes);
        output::aside(&format!(
            "{} {} written: {changes}",
            written.kind, written.key
        ));
    }
    // What is refused is told in the end, with its place and its remedy.
    let is_progress = |plan: &&Arc<ClusterPlan>| plan.state != State::Refused;
    for plan in pass.clusters.iter().filter(is_progress) {
        let line = plan
            .because
            .as_ref()
            .map_or(plan.state.word().to_owned(), |why| {
                format!("{}: {why}", plan.state)
            });
        // A reason that only counts seconds is the same reason.
        let gist = format!("{} {}", plan.state, plan.gist());
        if told.insert(plan.key.clone(), gist.clone()) != Some(gist) {
            output::aside(&format!(
                "{} {}",
                plan.key,
                show::escape::for_terminal(&line)
            ));
        }
    }
}
