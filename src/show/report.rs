//! A whole report in one form: the diffs of everything, or the members of every cluster.

use super::palette::Palette;
use super::{diff, status};
use crate::model::plan::Report;

/// The text diffs of everything that differs, one after the other; empty where nothing does.
pub fn diffs(report: &Report, palette: &Palette) -> String {
    each_diff(report, palette).join("\n")
}

fn each_diff(report: &Report, palette: &Palette) -> Vec<String> {
    let supporting = report
        .supporting
        .iter()
        .map(|one| diff::unified_supporting(one, &report.source, palette));
    let clusters = report
        .clusters
        .iter()
        .map(|one| diff::unified(one, &report.source, palette));
    supporting
        .chain(clusters)
        .filter(|diff| !diff.is_empty())
        .collect()
}

/// What `patronictl list` prints of each cluster, and below it the durability in force.
pub fn statuses(report: &Report, palette: &Palette) -> String {
    let each = report
        .clusters
        .iter()
        .map(|plan| status::cluster(plan, palette));
    each.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::model::plan::ClusterPlan;
    use crate::show::json::Kind;
    use crate::show::{json as as_json, page, plan, sample};

    /// Everything that can be shown of one plan.
    fn shown(plan: ClusterPlan) -> Vec<String> {
        let report = Report {
            source: sample::source(),
            clusters: vec![Arc::new(plan)],
            supporting: Vec::new(),
            written: Vec::new(),
            findings: Vec::new(),
        };
        let palette = Palette::PLAIN;
        let json = |kind| as_json::report(kind, &report).to_string();
        vec![
            diffs(&report, &palette),
            statuses(&report, &palette),
            diff::markdown(&report),
            plan::report(&report, &palette),
            plan::summary(&report, &palette),
            page::html(Some(&report), true),
            json(Kind::Diff),
            json(Kind::Plan),
            json(Kind::Status),
        ]
    }

    #[test]
    fn a_plan_that_is_kept_is_shown_as_before_and_writes_nothing() {
        let scaled = || {
            let mut plan = sample::in_sync_plan();
            let seen = Arc::make_mut(plan.observed.as_mut().expect("seen"));
            let live = &mut seen.live.as_mut().expect("live").value;
            live["spec"]["instances"] = json!(7);
            live["spec"]["configurations"]["patroni"]["initialConfig"]["citus"]["group"] = json!(0);
            plan
        };
        for plan in [
            sample::waiting_plan(),
            sample::in_sync_plan(),
            sample::drifted_plan(),
            scaled(),
        ] {
            let kept = plan.clone().kept();
            assert!(kept.open_step().is_none());
            assert_eq!(shown(plan), shown(kept));
        }
    }
}
