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
