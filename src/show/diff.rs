//! The text diff of a cluster: both sides as YAML, and what differs in unified form, each hunk with the field it is about
//! and the place in Git that declares it.
//!
//! Equal sides give no text at all. Secrets are masked on both sides before they are compared as text; nothing is ever
//! shown that acts on a terminal.

use std::borrow::Cow;

use serde_json::Value;
use similar::{Algorithm, DiffOp, capture_diff_slices, group_diff_ops};

use super::escape::{as_markdown_block, as_markdown_code, for_markdown, for_terminal};
use super::mask::masked_pair;
use super::palette::{Palette, paint};
use super::yaml_text::{self, Line};
use crate::model::desired::Source;
use crate::model::field::FieldPath;
use crate::model::finding::Place;
use crate::model::plan::{ClusterPlan, Difference, Report, State, SupportingPlan};

/// Equal lines around a change.
const CONTEXT: usize = 3;
/// Characters of a line that are shown; a longer one is cut in its middle.
const WIDTH: usize = 160;

/// Two readings of one document.
pub struct Sides<'s> {
    pub left: Option<&'s Value>,
    pub right: Option<&'s Value>,
    /// What follows `---` and `+++`.
    pub left_label: String,
    pub right_label: String,
    /// Where the right side declares a field, or the nearest parent that it declares.
    pub place: &'s dyn Fn(&FieldPath) -> Option<Place>,
    /// Who wrote the left side's value of a field, where that is known and was not Lockstep.
    pub author: &'s dyn Fn(&FieldPath) -> Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hunk {
    /// `spec.replication.mode · clusters/sync-cluster.yaml:17 · last write by kubectl-edit`.
    pub label: String,
    pub lines: Vec<(Mark, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    Same,
    Removed,
    Added,
}

impl Mark {
    pub fn sign(self) -> char {
        match self {
            Self::Same => ' ',
            Self::Removed => '-',
            Self::Added => '+',
        }
    }
}

/// The diff between live and Git; empty where there is none.
pub fn unified(plan: &ClusterPlan, source: &Source, palette: &Palette) -> String {
    with_sides_of(plan, source, |sides| between(sides, palette))
}

/// The diffs of a report as Markdown, a heading an object; one line where there is nothing to show.
pub fn markdown(report: &Report) -> String {
    let mut text = String::new();
    let mut push = |name: &str, state: State, because: Option<&str>, diff: &str| {
        if diff.is_empty() {
            return;
        }
        let because = because.map_or_else(String::new, |why| format!(": {}", for_markdown(why)));
        text.push_str(&format!(
            "#### {} {state}{because}\n\n{}\n",
            as_markdown_code(name),
            as_markdown_block("diff", diff)
        ));
    };
    for plan in &report.supporting {
        let diff = unified_supporting(plan, &report.source, &Palette::PLAIN);
        let name = format!("{} {}", plan.kind.kind, plan.key);
        push(&name, plan.state, plan.because.as_deref(), &diff);
    }
    for plan in &report.clusters {
        let diff = unified(plan, &report.source, &Palette::PLAIN);
        let name = plan.key.to_string();
        push(&name, plan.state, plan.because.as_deref(), &diff);
    }
    if text.is_empty() {
        let all_in_sync = report
            .clusters
            .iter()
            .all(|plan| plan.state == State::InSync);
        text.push_str(if all_in_sync {
            "Live is as Git says.\n"
        } else {
            "There is no difference that can be shown.\n"
        });
    }
    text
}

/// The diff of an object that clusters refer to; empty where there is none, or where live could not be read.
pub fn unified_supporting(plan: &SupportingPlan, source: &Source, palette: &Palette) -> String {
    if plan.state == State::Unknown {
        return String::new();
    }
    let place = |path: &FieldPath| place_in(&plan.differences, Some(&plan.place), path);
    let author = |path: &FieldPath| author_in(&plan.differences, path);
    let name = format!("{} {}", plan.kind.kind, plan.key);
    let presence = match plan.live {
        Some(_) => "",
        None => " (absent)",
    };
    between(
        &Sides {
            left: plan.live.as_deref(),
            right: Some(&plan.declared),
            left_label: format!("live {name}{presence}"),
            right_label: right_label(Some(&plan.place), source),
            place: &place,
            author: &author,
        },
        palette,
    )
}

/// The two sides of a plan: what is live, and what Git declares.
pub fn with_sides_of<T>(
    plan: &ClusterPlan,
    source: &Source,
    show: impl FnOnce(&Sides<'_>) -> T,
) -> T {
    let place = |path: &FieldPath| place_in(&plan.differences, plan.place.as_ref(), path);
    let author = |path: &FieldPath| author_in(&plan.differences, path);
    let version = plan
        .observed
        .as_ref()
        .and_then(|seen| seen.live.as_ref())
        .map(|live| format!("resourceVersion {}", live.resource_version));
    // Without a manifest that can be carried out there is nothing to compare with.
    let live = plan.declared.as_ref().and(plan.live.as_deref());
    show(&Sides {
        left: live,
        right: plan.declared.as_deref(),
        left_label: format!(
            "live {} ({})",
            plan.key,
            version.as_deref().unwrap_or("absent")
        ),
        right_label: right_label(plan.place.as_ref(), source),
        place: &place,
        author: &author,
    })
}

fn right_label(place: Option<&Place>, source: &Source) -> String {
    let commit = short_commit(source);
    match place {
        Some(place) => format!("git {}:{} ({commit})", place.file, place.line),
        None => format!("git ({commit})"),
    }
}

/// The first seven digits of the commit, or the words for uncommitted files.
pub fn short_commit(source: &Source) -> &str {
    match &source.commit {
        Some(commit) => commit.get(..7).unwrap_or(commit),
        None => "uncommitted",
    }
}

/// The whole diff as text, headers included; empty where the sides are equal.
pub fn between(sides: &Sides<'_>, palette: &Palette) -> String {
    let hunks = hunks(sides);
    if hunks.is_empty() {
        return String::new();
    }
    let mut text = String::new();
    let mut line = |style, line: &str| {
        text.push_str(&paint(style, line));
        text.push('\n');
    };
    line(
        palette.title,
        &format!("--- {}", for_terminal(&sides.left_label)),
    );
    line(
        palette.title,
        &format!("+++ {}", for_terminal(&sides.right_label)),
    );
    for hunk in hunks {
        line(palette.place, &format!("@@ {} @@", hunk.label));
        for (mark, content) in &hunk.lines {
            let style = match mark {
                Mark::Same => anstyle::Style::new(),
                Mark::Removed => palette.removed,
                Mark::Added => palette.added,
            };
            let content = format!("{}{content}", mark.sign());
            line(style, content.trim_end());
        }
    }
    text
}

/// What differs, in the order of the right side.
pub fn hunks(sides: &Sides<'_>) -> Vec<Hunk> {
    let (left, right) = masked_pair(&FieldPath::root(), sides.left, sides.right);
    let lines_of = |value: &Option<Value>| match value {
        Some(value) => yaml_text::lines(value, right.as_ref()),
        None => Vec::new(),
    };
    let (old, new) = (lines_of(&left), lines_of(&right));
    let old_text: Vec<&str> = old.iter().map(|line| line.text.as_str()).collect();
    let new_text: Vec<&str> = new.iter().map(|line| line.text.as_str()).collect();
    let ops = capture_diff_slices(Algorithm::Patience, &old_text, &new_text);
    group_diff_ops(ops, CONTEXT)
        .into_iter()
        .map(|ops| hunk(sides, &old, &new, &ops))
        .collect()
}

fn hunk(sides: &Sides<'_>, old: &[Line], new: &[Line], ops: &[DiffOp]) -> Hunk {
    let mut lines = Vec::new();
    let mut changed: Vec<&FieldPath> = Vec::new();
    for op in ops {
        let (removed, added) = (&old[op.old_range()], &new[op.new_range()]);
        if let DiffOp::Equal { .. } = op {
            lines.extend(
                added
                    .iter()
                    .map(|line| (Mark::Same, shortened(&line.text, 0).into_owned())),
            );
            continue;
        }
        // Where one line replaces another, both are cut around the place where they part.
        let part = |index: usize| match (removed.get(index), added.get(index)) {
            (Some(one), Some(other)) if removed.len() == added.len() => {
                common_start(&one.text, &other.text)
            }
            _ => 0,
        };
        for (mark, side) in [(Mark::Removed, removed), (Mark::Added, added)] {
            for (index, line) in side.iter().enumerate() {
                lines.push((mark, shortened(&line.text, part(index)).into_owned()));
                changed.push(&line.path);
            }
        }
    }
    Hunk {
        label: label(sides, &changed),
        lines,
    }
}

/// The field a hunk is about, how many more there are, the place in Git, and who wrote the live value.
fn label(sides: &Sides<'_>, changed: &[&FieldPath]) -> String {
    let root = FieldPath::root();
    let (field, place, author) = if sides.left.is_none() || sides.right.is_none() {
        let words = if sides.left.is_none() {
            "new"
        } else {
            "removed"
        };
        (words.to_owned(), (sides.place)(&root), None)
    } else {
        let mut fields: Vec<&FieldPath> = Vec::new();
        for path in changed {
            let within = |known: &&FieldPath| path.starts_with(known);
            if !fields.iter().any(within) {
                fields.push(path);
            }
        }
        let first = fields.first().copied().unwrap_or(&root);
        let more = match fields.len() {
            0 | 1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        let author = fields.iter().find_map(|field| (sides.author)(field));
        (format!("{first}{more}"), (sides.place)(first), author)
    };
    let mut label = field;
    if let Some(place) = place {
        label.push_str(&format!(" · {}:{}", place.file, place.line));
    }
    if let Some(author) = author {
        label.push_str(&format!(" · last write by {author}"));
    }
    for_terminal(&label).into_owned()
}

/// The place of the difference that a field belongs to; the manifest's beginning where there is none.
fn place_in(
    differences: &[Difference],
    beginning: Option<&Place>,
    path: &FieldPath,
) -> Option<Place> {
    difference_of(differences, path)
        .and_then(|difference| difference.place.as_ref())
        .or(beginning)
        .cloned()
}

fn author_in(differences: &[Difference], path: &FieldPath) -> Option<String> {
    let write = difference_of(differences, path)?.last_write.as_ref()?;
    Some(match &write.subresource {
        Some(subresource) => format!("{} through /{subresource}", write.manager),
        None => write.manager.clone(),
    })
}

/// The nearest difference around a field, or else the first one inside it.
fn difference_of<'d>(differences: &'d [Difference], path: &FieldPath) -> Option<&'d Difference> {
    let around = differences
        .iter()
        .filter(|difference| path.starts_with(&difference.path))
        .max_by_key(|difference| difference.path.0.len());
    let inside = || {
        differences
            .iter()
            .find(|difference| difference.path.starts_with(path))
    };
    around.or_else(inside)
}

fn common_start(one: &str, other: &str) -> usize {
    one.chars()
        .zip(other.chars())
        .take_while(|(one, other)| one == other)
        .count()
}

/// A line that is too long, cut so that its beginning, its end and the character at `focus` stay.
fn shortened(text: &str, focus: usize) -> Cow<'_, str> {
    let count = text.chars().count();
    if count <= WIDTH {
        return Cow::Borrowed(text);
    }
    const END: usize = 40;
    let part = |from: usize, to: usize| -> String {
        text.chars()
            .skip(from)
            .take(to.saturating_sub(from))
            .collect()
    };
    let middle = WIDTH - 2 * END;
    // The window around the focus, between the beginning and the end that are shown anyway.
    let from = focus
        .saturating_sub(middle / 4)
        .clamp(END, count - END - middle);
    let to = from + middle;
    let gap = |length: usize| match length {
        0 => String::new(),
        length => format!("…({length} more)…"),
    };
    Cow::Owned(format!(
        "{}{}{}{}{}",
        part(0, END),
        gap(from - END),
        part(from, to),
        gap(count - END - to),
        part(count - END, count),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::sample;
    use serde_json::json;

    fn text(left: Option<Value>, right: Option<Value>) -> String {
        let sides = Sides {
            left: left.as_ref(),
            right: right.as_ref(),
            left_label: "live a/b (resourceVersion 7)".into(),
            right_label: "git b.yaml:1 (4f1c2d3)".into(),
            place: &|_| None,
            author: &|_| None,
        };
        between(&sides, &Palette::PLAIN)
    }

    #[test]
    fn a_changed_mode_names_its_field_and_its_line_in_git() {
        let plan = sample::waiting_plan();
        insta::assert_snapshot!(unified(&plan, &sample::source(), &Palette::PLAIN), @r"
        --- live failover/sync-cluster (resourceVersion 4711)
        +++ git clusters/sync-cluster.yaml:1 (4f1c2d3)
        @@ spec.replication.mode · clusters/sync-cluster.yaml:17 @@
             persistentVolume:
               size: 10Gi
           replication:
        -    mode: async
        +    mode: sync-all
             role: ha-read
             syncInstances: 1
        ");
    }

    #[test]
    fn equal_sides_give_no_text() {
        assert_eq!(
            unified(
                &sample::in_sync_plan(),
                &sample::source(),
                &Palette::COLOURED
            ),
            ""
        );
        assert_eq!(text(None, None), "");
    }

    #[test]
    fn a_cluster_that_is_not_there_is_new_as_a_whole() {
        let mut plan = sample::waiting_plan();
        plan.live = None;
        plan.observed = None;
        plan.declared = Some(std::sync::Arc::new(
            json!({"kind": "SGCluster", "spec": {"instances": 1}}),
        ));
        insta::assert_snapshot!(unified(&plan, &sample::source(), &Palette::PLAIN), @r"
        --- live failover/sync-cluster (absent)
        +++ git clusters/sync-cluster.yaml:1 (4f1c2d3)
        @@ new · clusters/sync-cluster.yaml:17 @@
        +kind: SGCluster
        +spec:
        +  instances: 1
        ");
    }

    #[test]
    fn what_clusters_refer_to_is_compared_too() {
        let plan = sample::profile_plan();
        insta::assert_snapshot!(unified_supporting(&plan, &sample::source(), &Palette::PLAIN), @r"
        --- live SGInstanceProfile failover/size-s
        +++ git clusters/profile.yaml:1 (4f1c2d3)
        @@ spec.memory · clusters/profile.yaml:1 @@
         kind: SGInstanceProfile
         spec:
           cpu: '1'
        -  memory: 2Gi
        +  memory: 4Gi
        ");
    }

    #[test]
    fn a_report_in_markdown_has_a_heading_an_object() {
        let mut report = Report {
            source: sample::source(),
            clusters: vec![
                std::sync::Arc::new(sample::in_sync_plan()),
                std::sync::Arc::new(sample::drifted_plan()),
            ],
            supporting: Vec::new(),
            written: Vec::new(),
            findings: Vec::new(),
        };
        insta::assert_snapshot!(markdown(&report), @r"
        #### `failover/billing` drifted: spec.instances was changed, last write by kubectl

        ```diff
        --- live failover/billing (resourceVersion 4712)
        +++ git clusters/sync-cluster.yaml:1 (4f1c2d3)
        @@ spec.instances · clusters/sync-cluster.yaml:7 · last write by kubectl through /scale @@
         spec:
           postgres:
             version: '16.1'
        -  instances: 5
        +  instances: 4
           sgInstanceProfile: size-s
           pods:
             persistentVolume:
        ```
        ");
        report.clusters.truncate(1);
        assert_eq!(markdown(&report), "Live is as Git says.\n");
    }

    #[test]
    fn a_refused_manifest_is_compared_with_nothing() {
        let mut plan = sample::waiting_plan();
        plan.declared = None;
        assert_eq!(unified(&plan, &sample::source(), &Palette::PLAIN), "");
    }

    #[test]
    fn distant_changes_are_hunks_of_their_own_and_near_ones_are_counted() {
        let left = json!({"a": 1, "b": {"c": 1, "d": 1}, "k1": 1, "k2": 1, "k3": 1, "k4": 1,
            "k5": 1, "k6": 1, "k7": 1, "z": "yes"});
        let right = json!({"a": 2, "b": {"c": 2, "d": 2}, "k1": 1, "k2": 1, "k3": 1, "k4": 1,
            "k5": 1, "k6": 1, "k7": 1, "z": true});
        insta::assert_snapshot!(text(Some(left), Some(right)), @r"
        --- live a/b (resourceVersion 7)
        +++ git b.yaml:1 (4f1c2d3)
        @@ a (and 2 more) @@
        -a: 1
        +a: 2
         b:
        -  c: 1
        -  d: 1
        +  c: 2
        +  d: 2
         k1: 1
         k2: 1
         k3: 1
        @@ z @@
         k5: 1
         k6: 1
         k7: 1
        -z: 'yes'
        +z: true
        ");
    }

    #[test]
    fn a_changed_secret_shows_only_that_it_changed() {
        let left = json!({"spec": {"password": "old-secret", "x": 1}});
        let right = json!({"spec": {"password": "new-secret", "x": 1}});
        insta::assert_snapshot!(text(Some(left), Some(right)), @r"
        --- live a/b (resourceVersion 7)
        +++ git b.yaml:1 (4f1c2d3)
        @@ spec.password @@
         spec:
        -  password: (masked)
        +  password: (masked and changed)
           x: 1
        ");
    }

    #[test]
    fn a_long_value_is_cut_around_the_place_where_it_changed() {
        let value = |middle: &str| json!({"spec": {"x": format!("{}{middle}{}", "a".repeat(300), "b".repeat(300))}});
        insta::assert_snapshot!(text(Some(value("OLD")), Some(value("NEW"))), @r"
        --- live a/b (resourceVersion 7)
        +++ git b.yaml:1 (4f1c2d3)
        @@ spec.x @@
         spec:
        -  x: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…(245 more)…aaaaaaaaaaaaaaaaaaaaOLDbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb…(203 more)…bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
        +  x: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…(245 more)…aaaaaaaaaaaaaaaaaaaaNEWbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb…(203 more)…bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
        ");
    }

    #[test]
    fn a_value_cannot_forge_a_line_of_the_diff() {
        let right = json!({"spec": {"x": "a\n@@ forged @@\n+++ b", "y": "\u{1b}[31m\r"}});
        let text = text(Some(json!({"spec": {}})), Some(right));
        assert!(!text.contains(['\u{1b}', '\r']));
        assert!(
            text.lines()
                .skip(3)
                .all(|line| line.starts_with(['+', '-', ' '])),
            "{text}"
        );
    }

    #[test]
    fn colours_come_only_from_the_palette() {
        let plan = sample::waiting_plan();
        let coloured = unified(&plan, &sample::source(), &Palette::COLOURED);
        assert!(coloured.contains("\u{1b}[31m-    mode: async\u{1b}[0m"));
        let plain = anstream::adapter::strip_str(&coloured).to_string();
        assert_eq!(plain, unified(&plan, &sample::source(), &Palette::PLAIN));
    }
}
