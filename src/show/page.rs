//! The report as a plain HTML page: the fleet at a glance, then each cluster's state, steps, differences, durability and
//! members. Readable without a script, with nothing from outside, in light and in dark.
//!
//! The template escapes every value for HTML; what could deceive the eye is escaped before that. A live page fetches
//! itself anew; a page written to a file does not and has no links to a server.

use askama::Template;
use serde_json::Value;

use super::diff::{self, Mark, short_commit, with_sides_of};
use super::escape::for_terminal;
use super::mask::masked_pair;
use super::members;
use super::plan::{changed, durabilities, in_words, last_write, moves, moving, value};
use super::{availability, durability};
use crate::model::desired::Source;
use crate::model::finding::{Finding, Place};
use crate::model::key::Key;
use crate::model::plan::{
    Change, ClusterPlan, Difference, Durability, ForceVerdict, InForce, Report, State, Step,
    SupportingPlan, Written,
};

/// The page's own style and script, whose hashes a server may allow.
pub const STYLE: &str = include_str!("page.css");
pub const SCRIPT: &str = include_str!("page.js");

/// Clusters in sync are drawn up in full only in a fleet this small; the others always are, up to `MOST`.
const SMALL_FLEET: usize = 12;
const MOST: usize = 100;
/// Rows of the table.
const ROWS: usize = 500;
/// Latest writes that are shown.
const WRITES: usize = 20;

/// The page of a whole report; `None` while there is none yet.
pub fn html(report: Option<&Report>, live: bool) -> String {
    let Some(report) = report else {
        return render(&Page {
            is_first: true,
            ..Page::blank(live)
        });
    };
    let mut plans: Vec<&ClusterPlan> = report.clusters.iter().map(AsRef::as_ref).collect();
    plans.sort_by_key(|plan| urgency(plan.state));
    let is_small = plans.len() <= SMALL_FLEET;
    let drawn = plans
        .iter()
        .filter(|plan| is_small || plan.state != State::InSync)
        .take(MOST)
        .count();
    // Those in sync come last, so what is drawn up is always the beginning.
    let clusters = &plans[..drawn];
    let rows: Vec<Row> = plans
        .iter()
        .take(ROWS)
        .enumerate()
        .map(|(index, plan)| Row::of(plan, index < drawn || !live))
        .collect();
    render(&Page {
        title: title(&plans),
        source: source(&report.source),
        total: plans.len(),
        counts: counts(&plans),
        rows_left_out: plans.len() - rows.len(),
        rows: if plans.len() > 1 { rows } else { Vec::new() },
        findings: report.findings.iter().map(Found::of).collect(),
        supporting: report
            .supporting
            .iter()
            .filter(|plan| plan.state != State::InSync)
            .map(|plan| Supporting::of(plan))
            .collect(),
        clusters: clusters
            .iter()
            .map(|plan| Cluster::of(plan, &report.source))
            .collect(),
        left_out: plans.len() - drawn,
        written: report
            .written
            .iter()
            .rev()
            .take(WRITES)
            .map(|write| {
                let name = format!("{} {}", write.kind, write.key);
                (shown(&name), shown(&write_in_words(write)))
            })
            .collect(),
        ..Page::blank(live)
    })
}

/// The page of one cluster; `None` where the report has no such cluster.
pub fn cluster_html(report: &Report, key: &Key, live: bool) -> Option<String> {
    let plan = report.clusters.iter().find(|plan| plan.key == *key)?;
    Some(render(&Page {
        title: shown(&format!("{key}: {}", plan.state)),
        source: source(&report.source),
        clusters: vec![Cluster::of(plan, &report.source)],
        ..Page::blank(live)
    }))
}

#[derive(Template)]
#[template(path = "page.html", config = "src/show/askama.toml")]
struct Page {
    live: bool,
    css: &'static str,
    js: &'static str,
    is_first: bool,
    title: String,
    source: String,
    total: usize,
    counts: Vec<Count>,
    rows: Vec<Row>,
    rows_left_out: usize,
    findings: Vec<Found>,
    supporting: Vec<Supporting>,
    clusters: Vec<Cluster>,
    left_out: usize,
    /// Object and changes of the latest writes, the newest first.
    written: Vec<(String, String)>,
}

impl Page {
    fn blank(live: bool) -> Self {
        Self {
            live,
            css: STYLE,
            js: SCRIPT,
            is_first: false,
            title: "Lockstep".into(),
            source: String::new(),
            total: 0,
            counts: Vec::new(),
            rows: Vec::new(),
            rows_left_out: 0,
            findings: Vec::new(),
            supporting: Vec::new(),
            clusters: Vec::new(),
            left_out: 0,
            written: Vec::new(),
        }
    }
}

/// How many clusters are in a state, and how many come before them in the bar.
struct Count {
    word: &'static str,
    number: usize,
    before: usize,
}

struct Row {
    name: String,
    link: String,
    state: &'static str,
    mode: String,
    instances: String,
    in_force: &'static str,
    because: String,
}

struct Found {
    level: &'static str,
    message: String,
    place: String,
    help: String,
}

struct Supporting {
    name: String,
    state: &'static str,
    because: String,
    place: String,
    changes: Vec<String>,
}

struct Cluster {
    name: String,
    state: &'static str,
    because: String,
    place: String,
    steps: Vec<Numbered>,
    drift_title: &'static str,
    drift: Vec<String>,
    hunks: Vec<Hunk>,
    chain: Vec<Reading>,
    in_force: &'static str,
    in_force_because: String,
    members: String,
    findings: Vec<Found>,
}

struct Numbered {
    does: String,
    why: String,
    changes: Vec<String>,
    durability: String,
    /// Members to spare then, where the step changes that.
    spare: String,
    gates: Vec<Gated>,
    /// The names of its gates, where they are judged later.
    later: String,
}

struct Gated {
    word: &'static str,
    name: &'static str,
    reason: String,
}

struct Hunk {
    label: String,
    lines: Vec<Line>,
}

struct Line {
    class: &'static str,
    text: String,
}

/// One of the five readings of durability, beside what is declared.
struct Reading {
    label: &'static str,
    number: String,
    words: String,
    names: Vec<String>,
    tone: &'static str,
}

fn render(page: &Page) -> String {
    page.render()
        .expect("the template writes to a string and its values are strings and numbers")
}

fn shown(text: &str) -> String {
    for_terminal(text).into_owned()
}

fn place_of(place: Option<&Place>) -> String {
    place.map_or_else(String::new, |place| {
        shown(&format!("{}:{}", place.file, place.line))
    })
}

/// What needs a person first, what goes on by itself next, what is as it should be last.
fn urgency(state: State) -> u8 {
    match state {
        State::Blocked => 0,
        State::Refused => 1,
        State::Unknown => 2,
        State::Drifted => 3,
        State::Waiting => 4,
        State::InTransition => 5,
        State::Pending => 6,
        State::Suspended => 7,
        State::InSync => 8,
    }
}

fn title(plans: &[&ClusterPlan]) -> String {
    let in_sync = plans
        .iter()
        .filter(|plan| plan.state == State::InSync)
        .count();
    format!("Lockstep: {in_sync} of {} in sync", plans.len())
}

/// A supporting object is applied as it is; of a cluster's write without a change only the record was new.
fn write_in_words(write: &Written) -> String {
    if write.changes.is_empty() && write.kind != "SGCluster" {
        return "applied as Git declares it".into();
    }
    in_words(&write.changes)
}

fn source(source: &Source) -> String {
    let Source {
        repository,
        revision,
        ..
    } = source;
    shown(&format!(
        "{repository} at {revision} ({})",
        short_commit(source)
    ))
}

fn counts(plans: &[&ClusterPlan]) -> Vec<Count> {
    let mut counts: Vec<Count> = Vec::new();
    // The plans are sorted by state already.
    for (before, plan) in plans.iter().enumerate() {
        let word = plan.state.word();
        match counts.last_mut() {
            Some(count) if count.word == word => count.number += 1,
            _ => counts.push(Count {
                word,
                number: 1,
                before,
            }),
        }
    }
    counts
}

impl Row {
    fn of(plan: &ClusterPlan, is_here: bool) -> Self {
        let name = shown(&plan.key.to_string());
        Self {
            link: if is_here {
                format!("#{name}")
            } else {
                format!("/clusters/{name}")
            },
            name,
            state: plan.state.word(),
            mode: shown(&moving(plan, "/spec/replication/mode", Some("async"))),
            instances: shown(&moving(plan, "/spec/instances", None)),
            in_force: durability::word(&plan.in_force.verdict),
            because: shown(plan.because.as_deref().unwrap_or_default()),
        }
    }
}

impl Found {
    fn of(finding: &Finding) -> Self {
        Self {
            level: finding.level.word(),
            message: shown(&finding.message),
            place: finding
                .place
                .as_ref()
                .map_or_else(String::new, |place| shown(&place.to_string())),
            help: shown(finding.help.as_deref().unwrap_or_default()),
        }
    }
}

impl Supporting {
    fn of(plan: &SupportingPlan) -> Self {
        let changes = plan.differences.iter().map(|difference| {
            let change = Change {
                path: difference.path.clone(),
                from: difference.live.clone(),
                to: difference.declared.clone(),
            };
            shown(&changed(&change))
        });
        Self {
            name: shown(&format!("{} {}", plan.kind.kind, plan.key)),
            state: plan.state.word(),
            because: shown(plan.because.as_deref().unwrap_or_default()),
            place: place_of(Some(&plan.place)),
            changes: changes.collect(),
        }
    }
}

impl Cluster {
    fn of(plan: &ClusterPlan, source: &Source) -> Self {
        let (drift_title, drift) = drift(plan);
        let members = plan.observed.as_deref().filter(|seen| seen.live.is_some());
        let in_force_because = match &plan.in_force.verdict {
            ForceVerdict::InForce => String::new(),
            ForceVerdict::NotInForce(why) | ForceVerdict::Unknown(why) => shown(why),
        };
        Self {
            name: shown(&plan.key.to_string()),
            state: plan.state.word(),
            because: shown(plan.because.as_deref().unwrap_or_default()),
            place: place_of(plan.place.as_ref()),
            steps: numbered(plan),
            drift_title,
            drift,
            hunks: hunks(plan, source),
            chain: chain(&plan.in_force),
            in_force: durability::word(&plan.in_force.verdict),
            in_force_because,
            members: members.map_or_else(String::new, members::table),
            findings: plan.findings.iter().map(Found::of).collect(),
        }
    }
}

fn numbered(plan: &ClusterPlan) -> Vec<Numbered> {
    let mut before = plan.availability.as_ref();
    let steps = plan.steps.iter().map(|step| {
        let spare = availability::changes(before, &step.availability_after);
        before = Some(&step.availability_after);
        Numbered::of(step, spare)
    });
    steps.collect()
}

impl Numbered {
    fn of(step: &Step, spare: String) -> Self {
        let is_later = step.gates.iter().all(|gate| gate.verdict.word() == "later");
        let names: Vec<&str> = step.gates.iter().map(|gate| gate.id.words()).collect();
        let gates = step.gates.iter().map(|gate| Gated {
            word: gate.verdict.word(),
            name: gate.id.words(),
            reason: shown(gate.verdict.reason()),
        });
        Self {
            does: shown(&moves(step)),
            why: shown(&step.why),
            changes: step
                .changes
                .iter()
                .map(|change| shown(&changed(change)))
                .collect(),
            durability: durabilities(step),
            spare,
            gates: if is_later {
                Vec::new()
            } else {
                gates.collect()
            },
            later: if is_later {
                names.join(", ")
            } else {
                String::new()
            },
        }
    }
}

/// What somebody changed by hand: reported where Git does not win, and undone where it does.
fn drift(plan: &ClusterPlan) -> (&'static str, Vec<String>) {
    let is_shown = |difference: &&Difference| match plan.state {
        State::Drifted => true,
        _ => plan.undone.contains(&difference.path),
    };
    let lines = plan
        .differences
        .iter()
        .filter(is_shown)
        .map(|difference| {
            let (live, declared) = masked_pair(
                &difference.path,
                difference.live.as_ref(),
                difference.declared.as_ref(),
            );
            let side =
                |side: &Option<Value>| side.as_ref().map_or_else(|| "nothing".to_owned(), value);
            let mut line = format!(
                "{}: Git has {}, live has {}",
                difference.path,
                side(&declared),
                side(&live)
            );
            if let Some(write) = last_write(difference) {
                line.push_str(&format!(", {write}"));
            }
            shown(&line)
        })
        .collect();
    match plan.state {
        State::Drifted => ("Changed by hand", lines),
        _ => ("Will be undone", lines),
    }
}

fn hunks(plan: &ClusterPlan, source: &Source) -> Vec<Hunk> {
    with_sides_of(plan, source, diff::hunks)
        .into_iter()
        .map(|hunk| Hunk {
            label: hunk.label,
            lines: hunk
                .lines
                .into_iter()
                .map(|(mark, text)| Line {
                    class: match mark {
                        Mark::Same => "same",
                        Mark::Removed => "del",
                        Mark::Added => "add",
                    },
                    text: format!("{}{text}", mark.sign()),
                })
                .collect(),
        })
        .collect()
}

fn chain(in_force: &InForce) -> Vec<Reading> {
    let InForce {
        declared,
        stored,
        configured,
        listed,
        streaming,
        verdict: _,
    } = in_force;
    let asked = |label, durability: Option<Durability>| match durability {
        None => Reading::unknown(label, "nothing that can be read"),
        Some(found) => Reading {
            label,
            number: found.standbys.to_string(),
            words: strictness(found).into(),
            names: Vec::new(),
            tone: match declared {
                Some(declared) if *declared != found => "waiting",
                Some(_) if label == "declared" => "",
                Some(_) => "in-sync",
                None => "",
            },
        },
    };
    let counted = |label, names: &[String]| Reading {
        label,
        number: names.len().to_string(),
        words: String::new(),
        names: names.iter().map(|name| shown(name)).collect(),
        tone: match declared {
            Some(declared) if names.len() >= declared.standbys as usize => "in-sync",
            Some(_) => "waiting",
            None => "",
        },
    };
    vec![
        asked("declared", *declared),
        asked("stored", *stored),
        match configured {
            Ok(found) => asked("configured", Some(*found)),
            Err(why) => Reading::unknown("configured", why),
        },
        match listed {
            Ok(names) => counted("listed in /sync", names),
            Err(why) => Reading::unknown("listed in /sync", why),
        },
        counted("streaming", streaming),
    ]
}

fn strictness(durability: Durability) -> &'static str {
    match (durability.standbys, durability.strict) {
        (0, _) => "asynchronous",
        (_, true) => "synchronous, strict",
        (_, false) => "synchronous",
    }
}

impl Reading {
    fn unknown(label: &'static str, why: &str) -> Self {
        Self {
            label,
            number: "?".into(),
            words: shown(why),
            names: Vec::new(),
            tone: "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::sample;
    use std::sync::Arc;

    fn report(plans: Vec<ClusterPlan>) -> Report {
        Report {
            source: sample::source(),
            clusters: plans.into_iter().map(Arc::new).collect(),
            supporting: vec![Arc::new(sample::profile_plan())],
            written: Vec::new(),
            findings: vec![Finding::error("not-yaml", "found a tab").at(sample::place(3, 1))],
        }
    }

    #[test]
    fn the_page_has_everything_there_is_to_say() {
        let report = report(vec![
            sample::in_sync_plan(),
            sample::waiting_plan(),
            sample::drifted_plan(),
        ]);
        let page = html(Some(&report), true);
        for text in [
            "climb to 3 synchronous standbys",
            "spec.replication.mode: async → sync-all",
            "members to spare: commits 0 → 3",
            "sync-cluster-2 has not passed 0/6400000 yet",
            "| sync-cluster-1 | 10.244.0.10:7433 | Sync Standby |",
            "spec.instances: Git has 4, live has 5, last write by kubectl through /scale",
            "<span class=\"del\">-    mode: async</span>",
            "SGInstanceProfile failover/size-s",
            "found a tab",
            "1 of 3 in sync",
        ] {
            assert!(page.contains(text), "{text} is missing");
        }
        let order: Vec<usize> = ["drifted", "waiting", "in-sync"]
            .iter()
            .map(|word| page.find(&format!("</b>{word}")).unwrap())
            .collect();
        assert!(order.is_sorted());
    }

    #[test]
    fn nothing_in_a_report_becomes_markup() {
        let mut plan = sample::waiting_plan();
        plan.because = Some("<script>alert(1)</script>\u{202e}".into());
        plan.key.name = "\"><img src=x>".into();
        let page = html(Some(&report(vec![plan])), true);
        assert!(!page.contains("<script>alert"));
        assert!(!page.contains("<img"));
        assert!(!page.contains('\u{202e}'));
    }

    #[test]
    fn a_page_in_a_file_asks_no_server() {
        let page = html(Some(&report(vec![sample::waiting_plan()])), false);
        assert!(!page.contains("<script"));
        assert!(!page.contains("href=\"/"));
        assert!(!page.contains("http-equiv"));
        assert!(
            !page.contains("://") || page.matches("://").count() == 1,
            "the repository alone"
        );
    }

    #[test]
    fn a_large_fleet_draws_up_only_what_is_not_in_sync() {
        let mut plans = vec![sample::in_sync_plan(); 50];
        plans.push(sample::waiting_plan());
        let report = report(plans);
        let page = html(Some(&report), true);
        assert_eq!(page.matches("<h2>failover/").count(), 1);
        assert!(page.contains("50 more are not drawn up here; each"));
        assert!(page.contains("href=\"/clusters/failover/sync-cluster\""));
        let one = cluster_html(&report, &Key::new("failover", "sync-cluster"), true).unwrap();
        assert_eq!(one.matches("<h2>failover/").count(), 1);
        assert!(cluster_html(&report, &Key::new("no", "such"), true).is_none());
    }

    #[test]
    fn a_huge_fleet_is_counted_and_not_listed_to_its_end() {
        let page = html(Some(&report(vec![sample::in_sync_plan(); 2000])), true);
        assert!(page.contains("1500 more"), "{page}");
        assert!(page.len() < 400_000, "{}", page.len());
    }

    #[test]
    fn before_the_first_report_the_page_says_so() {
        assert!(html(None, true).contains("No report yet"));
    }
}
