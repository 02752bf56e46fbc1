//! A review as Markdown for a pull request: a line a cluster saying what would change and what that does to durability, the
//! findings with file and line, then for each cluster the members it can spare before and after, its steps and its text diff.
//!
//! Nothing in a manifest can mention anybody, link anywhere or end a block. A comment has a largest size on every forge:
//! what does not fit is left out a whole cluster at a time, and said so.

use std::fmt::Write as _;

use serde_json::Value;

use super::availability;
use super::diff::{self, Sides};
use super::escape::{as_markdown_block, as_markdown_code, for_markdown, sentence_for_markdown};
use super::palette::Palette;
use super::plan::{changed, moves};
use crate::decide::availability::once_in_force;
use crate::decide::durability::Shape;
use crate::model::cluster::ClusterSpec;
use crate::model::field::FieldPath;
use crate::model::finding::{Finding, Level, Place};
use crate::model::manifest::Document;
use crate::model::plan::{Availability, Durability, State, Step};
use crate::model::review::{Review, ReviewedCluster, ReviewedObject};

/// GitHub refuses a comment of more than 65,536 characters; this is counted in bytes and leaves room for a footer.
const LARGEST: usize = 60_000;
/// Of which so much for the lines of the clusters, and for the findings.
const LARGEST_PART: usize = 15_000;

/// What a change does to one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub state: State,
    /// `durability raised: asynchronous → 3 synchronous standbys`, `instances 3 → 2`, …; unescaped.
    pub words: Vec<String>,
}

pub fn markdown(review: &Review) -> String {
    let mut text = opening(review);
    let lines = review.clusters.iter().map(line);
    push_while_room(&mut text, lines, LARGEST_PART, "clusters");
    let supporting = review.supporting.iter().map(supporting_line);
    push_while_room(&mut text, supporting, LARGEST_PART, "objects");
    let findings = all_findings(review);
    if !findings.is_empty() {
        text.push_str("\n#### Findings\n\n");
        let lines = findings.iter().map(|finding| finding_line(finding));
        push_while_room(&mut text, lines, LARGEST_PART, "findings");
    }

    push_details(&mut text, review);
    text
}

/// The text diff between base and head; empty where one of them cannot be read, or nothing differs.
pub fn diff_of(cluster: &ReviewedCluster, review: &Review) -> String {
    if cluster.head.is_none() && cluster.refused.is_some() {
        return String::new();
    }
    between(cluster.base.as_deref(), cluster.head.as_deref(), review)
}

/// What changes for a cluster, in words, the risky first.
pub fn summary(cluster: &ReviewedCluster) -> Summary {
    let spec = |document: &Option<std::sync::Arc<Document>>| {
        let document = document.as_ref()?;
        ClusterSpec::read(&document.value).ok()
    };
    let (base, head) = (spec(&cluster.base), spec(&cluster.head));
    let mut words = Vec::new();
    let state = match (&cluster.refused, &cluster.base, &cluster.head) {
        (Some(why), _, _) => {
            words.push(format!("refused: {why}"));
            State::Refused
        }
        (None, _, None) => {
            words.push("manifest removed: the live cluster is left as it is".into());
            State::InSync
        }
        (None, None, Some(_)) => {
            words.push("new cluster".into());
            State::Pending
        }
        (None, Some(base), Some(head)) if base.value == head.value => State::InSync,
        (None, Some(_), Some(_)) => State::Pending,
    };
    match (&base, &head) {
        (Some(base), Some(head)) => words.extend(changes(base, head)),
        (None, Some(head)) => {
            let mode = head.replication.mode;
            let instances = match head.instances {
                1 => "1 instance".to_owned(),
                count => format!("{count} instances"),
            };
            words.push(format!("{instances}, mode {mode}"));
            words.push(Shape::of(head).asks().to_string());
        }
        _ => {}
    }
    if let (Some(base), Some(head)) = (&cluster.base, &cluster.head) {
        words.extend(others(&base.value, &head.value));
        if words.is_empty() && base.file != head.file {
            words.push(format!("moved to {}, nothing else", head.file));
        }
    }
    if words.is_empty() {
        words.push("no field changes".into());
    }
    Summary { state, words }
}

/// How many members the cluster can spare as the base declares it; `None` where the base has none that can be read.
pub fn availability_before(cluster: &ReviewedCluster) -> Option<Availability> {
    let base = ClusterSpec::read(&cluster.base.as_ref()?.value).ok()?;
    Some(once_in_force(&Shape::of(&base)))
}

fn changes(base: &ClusterSpec, head: &ClusterSpec) -> Vec<String> {
    let mut words = Vec::new();
    let (before, after) = (Shape::of(base).asks(), Shape::of(head).asks());
    if before != after {
        words.push(format!(
            "durability {}: {before} → {after}",
            direction(before, after)
        ));
    }
    if base.instances != head.instances {
        words.push(format!("instances {} → {}", base.instances, head.instances));
    }
    let (was, is) = (&base.replication, &head.replication);
    if was.mode != is.mode {
        words.push(format!("mode {} → {}", was.mode, is.mode));
    }
    if was.role != is.role {
        words.push(format!("role {} → {}", was.role.word(), is.role.word()));
    }
    if was.groups != is.groups {
        words.push("replication groups".into());
    }
    words
}

fn direction(before: Durability, after: Durability) -> &'static str {
    let at_least = |one: Durability, other: Durability| {
        one.strict >= other.strict && one.standbys >= other.standbys
    };
    match (at_least(after, before), at_least(before, after)) {
        (true, _) => "raised",
        (_, true) => "lowered",
        _ => "traded",
    }
}

/// Fields outside instances and replication that differ, by their first two names.
fn others(base: &Value, head: &Value) -> Vec<String> {
    let empty = serde_json::Map::new();
    let section = |side: &'_ Value, name: &str| {
        side.get(name)
            .and_then(Value::as_object)
            .unwrap_or(&empty)
            .clone()
    };
    let mut words = Vec::new();
    for name in ["metadata", "spec"] {
        let (was, is) = (section(base, name), section(head, name));
        let mut fields: Vec<&String> = is
            .keys()
            .chain(was.keys().filter(|key| !is.contains_key(*key)))
            .filter(|key| was.get(*key) != is.get(*key))
            .filter(|key| name != "spec" || !["instances", "replication"].contains(&key.as_str()))
            .collect();
        fields.dedup();
        words.extend(fields.into_iter().map(|field| format!("{name}.{field}")));
    }
    words
}

/// Details as long as there is room. One cluster with a huge difference leaves room for the small ones after it.
fn push_details(text: &mut String, review: &Review) {
    const NOTICE: usize = 300;
    // After so many that did not fit, the others are not even drawn up.
    const MISSES: usize = 20;
    let mut left_out = 0;
    let mut push = |draw_up: &dyn Fn() -> String| {
        let part = if left_out < MISSES {
            draw_up()
        } else {
            String::new()
        };
        if left_out >= MISSES || text.len() + part.len() + NOTICE > LARGEST {
            left_out += 1;
        } else {
            text.push_str(&part);
        }
    };
    for cluster in review.clusters.iter().filter(|cluster| has_detail(cluster)) {
        push(&|| detail(cluster, review));
    }
    for object in &review.supporting {
        push(&|| supporting_detail(object, review));
    }
    if left_out > 0 {
        let _ = write!(
            text,
            "\n> **Not shown:** the details of {left_out} more, because this comment would be longer than a forge \
             accepts. `lockstep review --output json` has everything.\n"
        );
    }
}

fn has_detail(cluster: &ReviewedCluster) -> bool {
    let value = |document: &Option<std::sync::Arc<Document>>| {
        document.as_ref().map(|document| document.value.clone())
    };
    if cluster.refused.is_some() && cluster.head.is_none() {
        return false;
    }
    !cluster.steps.is_empty() || value(&cluster.base) != value(&cluster.head)
}

fn opening(review: &Review) -> String {
    let of = |is: fn(&ReviewedCluster) -> bool| {
        review.clusters.iter().filter(|cluster| is(cluster)).count()
    };
    let refused = of(|cluster| cluster.refused.is_some());
    let gone = of(|cluster| cluster.refused.is_none() && cluster.head.is_none());
    let changed = of(|cluster| summary(cluster).state == State::Pending);
    let mut parts = vec![match changed {
        0 => "no cluster changes".to_owned(),
        1 => "1 cluster changes".into(),
        count => format!("{count} clusters change"),
    }];
    let is = |count: usize| if count == 1 { "is" } else { "are" };
    if refused > 0 {
        parts.push(format!("{refused} {} refused", is(refused)));
    }
    if gone > 0 {
        parts.push(format!("{gone} {} declared no more", is(gone)));
    }
    let commits = format!(
        "{} → {}",
        as_markdown_code(diff::short_commit(&review.base)),
        as_markdown_code(diff::short_commit(&review.head))
    );
    format!(
        "### Lockstep: {}\n\n{commits}, planned as if the base were in force everywhere.\n\n",
        parts.join(", ")
    )
}

fn line(cluster: &ReviewedCluster) -> String {
    let summary = summary(cluster);
    let mut words: Vec<String> = summary
        .words
        .iter()
        .map(|word| sentence_for_markdown(word))
        .collect();
    let is_risky = |word: &String| {
        ["durability lowered", "durability traded", "refused"]
            .iter()
            .any(|risk| word.starts_with(risk))
    };
    for word in words.iter_mut().filter(|word| is_risky(word)) {
        *word = format!("**{word}**");
    }
    match cluster.steps.len() {
        0 => {}
        1 => words.push("1 step".into()),
        count => words.push(format!(
            "{count} steps, each when the one before is in force"
        )),
    }
    let name = as_markdown_code(&cluster.key.to_string());
    format!("- {name} · {}\n", words.join(" · "))
}

fn supporting_line(object: &ReviewedObject) -> String {
    let what = match (&object.base, &object.head) {
        (None, _) => "new",
        (_, None) => "manifest removed: the live object is left as it is",
        (Some(_), Some(_)) => "changed, and applied before the clusters that refer to it",
    };
    format!("- {} · {what}\n", as_markdown_code(&name_of(object)))
}

fn name_of(object: &ReviewedObject) -> String {
    match object.head.as_ref().or(object.base.as_ref()) {
        Some(document) => format!("{} {}", document.kind.kind, document.key),
        None => String::new(),
    }
}

fn all_findings(review: &Review) -> Vec<&Finding> {
    let of_clusters = review.clusters.iter().flat_map(|cluster| &cluster.findings);
    let mut findings: Vec<&Finding> = of_clusters.chain(&review.findings).collect();
    findings.sort_by_key(|finding| finding.level);
    findings
}

fn finding_line(finding: &Finding) -> String {
    let level = match finding.level {
        Level::Error => "**error**",
        Level::Warning => "**warning**",
        Level::Note => "note",
    };
    let mut line = format!("- {level}");
    if let Some(Place {
        file,
        line: at,
        column,
    }) = &finding.place
    {
        let _ = write!(
            line,
            " {}",
            as_markdown_code(&format!("{file}:{at}:{column}"))
        );
    }
    let _ = write!(line, " {}", sentence_for_markdown(&finding.message));
    if let Some(help) = &finding.help {
        let _ = write!(line, ". {}", sentence_for_markdown(&sentence(help)));
    }
    let _ = writeln!(line, " ({})", as_markdown_code(finding.id));
    line
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let end = if text.ends_with(['.', '?']) { "" } else { "." };
    match characters.next() {
        Some(first) => first.to_uppercase().collect::<String>() + characters.as_str() + end,
        None => String::new(),
    }
}

/// Steps and diff of one cluster.
fn detail(cluster: &ReviewedCluster, review: &Review) -> String {
    let diff = diff_of(cluster, review);
    let mut text = format!("\n#### {}\n", as_markdown_code(&cluster.key.to_string()));
    if let Some(last) = cluster.steps.last() {
        let before = availability_before(cluster);
        let spare = availability::changes(before.as_ref(), &last.availability_after);
        if !spare.is_empty() {
            let _ = writeln!(text, "\n{}", sentence_for_markdown(&sentence(&spare)));
        }
        text.push('\n');
    }
    for (index, step) in cluster.steps.iter().enumerate() {
        text.push_str(&numbered(step, index + 1));
    }
    push_folded(&mut text, &diff);
    text
}

fn supporting_detail(object: &ReviewedObject, review: &Review) -> String {
    let diff = between(object.base.as_deref(), object.head.as_deref(), review);
    if diff.is_empty() {
        return diff;
    }
    let mut text = format!("\n#### {}\n", as_markdown_code(&name_of(object)));
    push_folded(&mut text, &diff);
    text
}

fn push_folded(text: &mut String, diff: &str) {
    if !diff.is_empty() {
        let block = as_markdown_block("diff", diff);
        let _ = write!(
            text,
            "\n<details><summary>Text diff</summary>\n\n{block}\n</details>\n"
        );
    }
}

fn numbered(step: &Step, number: usize) -> String {
    let mut text = format!(
        "{number}. **{}**: {}\n",
        for_markdown(&moves(step)),
        sentence_for_markdown(&step.why)
    );
    for change in &step.changes {
        let _ = writeln!(text, "   - {}", as_markdown_code(&changed(change)));
    }
    let durability = super::plan::durabilities(step);
    let _ = writeln!(text, "   - durability {}", for_markdown(&durability));
    if !step.gates.is_empty() {
        let gates: Vec<&str> = step.gates.iter().map(|gate| gate.id.words()).collect();
        let _ = writeln!(text, "   - waits for: {}", gates.join(", "));
    }
    text
}

fn between(base: Option<&Document>, head: Option<&Document>, review: &Review) -> String {
    let label = |side: &str, document: Option<&Document>, commit: &str| match document {
        None => format!("{side} (absent)"),
        Some(document) => {
            let place = document.place(&FieldPath::root());
            format!("{side} {}:{} ({commit})", place.file, place.line)
        }
    };
    diff::between(
        &Sides {
            left: base.map(|document| &*document.value),
            right: head.map(|document| &*document.value),
            left_label: label("base", base, diff::short_commit(&review.base)),
            right_label: label("head", head, diff::short_commit(&review.head)),
            place: &|path| head.or(base).map(|document| document.place(path)),
            author: &|_| None,
        },
        &Palette::PLAIN,
    )
}

/// Lines as long as their part of the comment has room, and how many are missing.
fn push_while_room(
    text: &mut String,
    lines: impl Iterator<Item = String>,
    room: usize,
    things: &str,
) {
    let (mut used, mut missing) = (0, 0);
    for line in lines {
        used += line.len();
        if used > room {
            missing += 1;
        } else {
            text.push_str(&line);
        }
    }
    if missing > 0 {
        let _ = writeln!(text, "- … and {missing} more {things}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::key::{Key, Kind};
    use crate::model::plan::Verdict;
    use crate::model::yaml::Positions;
    use crate::show::sample;
    use serde_json::json;
    use std::sync::Arc;

    fn document(value: Value) -> Option<Arc<Document>> {
        Some(Arc::new(Document {
            file: sample::FILE.into(),
            kind: Kind::from_api_version("stackgres.io/v1", "SGCluster"),
            key: Key::new("failover", "sync-cluster"),
            value: Arc::new(value),
            positions: Arc::new(Positions::default()),
        }))
    }

    fn cluster(base: Option<Arc<Document>>, head: Option<Arc<Document>>) -> ReviewedCluster {
        ReviewedCluster {
            key: Key::new("failover", "sync-cluster"),
            base,
            head,
            refused: None,
            steps: Vec::new(),
            findings: Vec::new(),
        }
    }

    fn review(clusters: Vec<ReviewedCluster>) -> Review {
        let head = sample::source();
        let mut base = head.clone();
        base.commit = Some("0a1b2c3d4e5f".into());
        Review {
            base,
            head,
            clusters,
            supporting: Vec::new(),
            findings: Vec::new(),
        }
    }

    fn words(base: Option<Value>, head: Option<Value>) -> String {
        let cluster = cluster(base.and_then(document), head.and_then(document));
        summary(&cluster).words.join(" · ")
    }

    #[test]
    fn a_pull_request_is_told_what_happens_in_which_order() {
        let mut raised = cluster(
            document(sample::document(4, "async")),
            document(sample::document(4, "sync-all")),
        );
        let plan = sample::waiting_plan();
        raised.steps = plan.steps;
        for gate in &mut raised.steps[0].gates {
            gate.verdict = Verdict::Later;
        }
        raised.findings = plan.findings;
        insta::assert_snapshot!(markdown(&review(vec![raised])), @r"
        ### Lockstep: 1 cluster changes

        `0a1b2c3` → `4f1c2d3`, planned as if the base were in force everywhere.

        - `failover/sync-cluster` · durability raised: asynchronous → 3 synchronous standbys · mode async → sync-all · 1 step

        #### Findings

        - note `clusters/sync-cluster.yaml:19:5` spec.replication.syncInstances has no effect in mode sync-all. Remove it, or use mode sync. (`sync-instances-no-effect`)

        #### `failover/sync-cluster`

        Members to spare: commits 0 → 3.

        1. **climb to 3 synchronous standbys**: all three standbys are there, so the climb is one write
           - `spec.replication.mode: async → sync-all`
           - durability asynchronous → 3 synchronous standbys
           - waits for: leader live, configuration in force, members healthy, nothing else running, operator caught up, standbys passed the mark

        <details><summary>Text diff</summary>

        ```diff
        --- base clusters/sync-cluster.yaml:1 (0a1b2c3)
        +++ head clusters/sync-cluster.yaml:1 (4f1c2d3)
        @@ spec.replication.mode · clusters/sync-cluster.yaml:1 @@
             persistentVolume:
               size: 10Gi
           replication:
        -    mode: async
        +    mode: sync-all
             role: ha-read
             syncInstances: 1
        ```

        </details>
        ");
    }

    #[test]
    fn the_risk_is_said_in_words() {
        let of = |instances, mode| Some(sample::document(instances, mode));
        let told = [
            words(of(3, "async"), of(3, "sync-all")),
            words(of(3, "strict-sync-all"), of(3, "sync")),
            words(of(4, "strict-sync"), of(4, "sync-all")),
            words(of(3, "sync-all"), of(2, "sync-all")),
            words(None, of(3, "sync-all")),
            words(of(3, "sync-all"), None),
            words(of(3, "sync-all"), of(3, "sync-all")),
        ];
        insta::assert_snapshot!(told.join("\n"), @r"
        durability raised: asynchronous → 2 synchronous standbys · mode async → sync-all
        durability lowered: 2 synchronous standbys, strict → 1 synchronous standby · mode strict-sync-all → sync
        durability traded: 1 synchronous standby, strict → 3 synchronous standbys · mode strict-sync → sync-all
        durability lowered: 2 synchronous standbys → 1 synchronous standby · instances 3 → 2
        new cluster · 3 instances, mode sync-all · 2 synchronous standbys
        manifest removed: the live cluster is left as it is
        no field changes
        ");
    }

    #[test]
    fn other_fields_are_named_and_a_refusal_says_why() {
        let mut head = sample::document(3, "async");
        head["spec"]["sgInstanceProfile"] = json!("size-l");
        head["metadata"]["labels"] = json!({"team": "billing"});
        assert_eq!(
            words(Some(sample::document(3, "async")), Some(head)),
            "metadata.labels · spec.sgInstanceProfile"
        );
        let mut refused = cluster(document(sample::document(3, "async")), None);
        refused.refused = Some("unknown field `syncIntances`".into());
        assert_eq!(
            summary(&refused).words,
            ["refused: unknown field `syncIntances`"]
        );
        assert_eq!(diff_of(&refused, &review(Vec::new())), "");
    }

    #[test]
    fn nothing_in_a_manifest_breaks_out() {
        let mut head = sample::document(3, "async");
        head["metadata"]["labels"] =
            json!({"x": "```\n</details>\n@everyone\n<script>", "y": "````"});
        let mut hostile = cluster(document(sample::document(3, "async")), document(head));
        hostile.refused = Some("<img src=x> @admin ``` [a](https://b)".into());
        let text = markdown(&review(vec![hostile]));
        let fence = "`````";
        let outside: String = text
            .split(&format!("{fence}diff"))
            .enumerate()
            .map(|(index, part)| match index {
                0 => part,
                _ => part.split_once(fence).unwrap().1,
            })
            .collect();
        assert!(!outside.contains("<img"), "{outside}");
        assert!(!outside.contains("@admin"), "{outside}");
        assert!(!outside.contains("everyone"), "{outside}");
        assert!(!outside.contains("[a]("), "{outside}");
    }

    #[test]
    fn a_comment_that_would_be_too_long_leaves_whole_clusters_out_and_says_so() {
        let mut head = sample::document(3, "async");
        for index in 0..200 {
            head["spec"][format!("field{index}")] = json!("x".repeat(20));
        }
        let long = cluster(document(sample::document(3, "async")), document(head));
        let text = markdown(&review(vec![long; 2000]));
        assert!(text.len() < 60_000, "{}", text.len());
        assert!(text.contains("more clusters\n"));
        assert!(text.contains("**Not shown:** the details of"), "{text}");
        assert_eq!(
            text.matches("<details>").count(),
            text.matches("</details>").count()
        );
    }
}
