//! `lockstep diff`, `plan` and `status`: questions to both sides. None of them can write.

use std::time::Duration;

use super::output::{self, palette};
use super::{DiffOutput, Ending, Output, open};
use crate::config::Settings;
use crate::model::finding::Level;
use crate::model::key::Key;
use crate::model::plan::{Report, State};
use crate::run::apply::is_done;
use crate::show;
use crate::show::json::Kind;

pub async fn diff(
    settings: &Settings,
    clusters: &[Key],
    form: DiffOutput,
) -> anyhow::Result<Ending> {
    let (mut survey, _) = open::survey(settings, clusters).await?;
    let report = survey.report();
    match form {
        DiffOutput::Text => output::data(&show::report::diffs(&report, &palette()))?,
        DiffOutput::Markdown => output::data(&show::diff::markdown(&report))?,
        DiffOutput::Html => output::data(&show::page::html(Some(&report), false))?,
        DiffOutput::Json => output::json(&show::json::report(Kind::Diff, &report))?,
    }
    tell_refusals(&report);
    let differs = report
        .clusters
        .iter()
        .any(|plan| !plan.differences.is_empty() || is_stuck(plan.state));
    let supporting = report
        .supporting
        .iter()
        .any(|plan| !plan.differences.is_empty() || plan.live.is_none());
    Ok(Ending::remains_if(
        differs || supporting || has_errors(&report),
    ))
}

pub async fn plan(
    settings: &Settings,
    clusters: &[Key],
    observe: Option<Duration>,
    form: Output,
) -> anyhow::Result<Ending> {
    let (mut survey, _) = open::survey(settings, clusters).await?;
    if let Some(length) = observe {
        output::waiting(&format!("observing for {} s", length.as_secs()));
        survey.observe(length).await;
    }
    let report = survey.report();
    match form {
        Output::Text => output::data(&show::plan::report(&report, &palette()))?,
        Output::Json => output::json(&show::json::report(Kind::Plan, &report))?,
    }
    Ok(Ending::remains_if(!is_done(&report, &survey.desired)))
}

pub async fn status(settings: &Settings, clusters: &[Key], form: Output) -> anyhow::Result<Ending> {
    let (mut survey, _) = open::survey(settings, clusters).await?;
    let report = survey.report();
    match form {
        Output::Text => output::data(&show::report::statuses(&report, &palette()))?,
        Output::Json => output::json(&show::json::report(Kind::Status, &report))?,
    }
    tell_refusals(&report);
    Ok(Ending::remains_if(
        report.clusters.iter().any(|plan| is_stuck(plan.state)),
    ))
}

fn is_stuck(state: State) -> bool {
    match state {
        State::Refused | State::Unknown => true,
        State::InSync
        | State::Pending
        | State::InTransition
        | State::Waiting
        | State::Blocked
        | State::Drifted
        | State::Suspended => false,
    }
}

fn has_errors(report: &Report) -> bool {
    report
        .findings
        .iter()
        .any(|finding| finding.level == Level::Error)
}

/// What the answer cannot show since it is not known or not carried out, with its place and its remedy.
pub fn tell_refusals(report: &Report) {
    for plan in report.clusters.iter().filter(|plan| is_stuck(plan.state)) {
        output::aside(&show::plan::cluster(plan, &palette()));
    }
    for finding in report
        .findings
        .iter()
        .filter(|finding| finding.level == Level::Error || finding.id == "not-declared")
    {
        output::aside(show::findings::lines(finding, "", &palette()).trim_end());
    }
}
