//! The plan in words: for each cluster its state, the members it can spare, the steps in order with why they stand there,
//! and what each waits for; for many clusters a table last.
//!
//! It renders what was decided and decides nothing. Values are escaped, secrets masked, and no colour says what no word
//! does.

use std::fmt::Write as _;

use serde_json::Value;

use super::availability;
use super::durability;
use super::escape::for_terminal;
use super::findings;
use super::mask::masked_pair;
use super::palette::{Palette, paint};
use super::yaml_text;
use crate::model::cluster::Role;
use crate::model::field::FieldPath;
use crate::model::finding::Finding;
use crate::model::plan::{
    Change, ClusterPlan, Difference, Gate, Move, Report, State, Step, SupportingPlan, Written,
};

/// A value in a sentence is cut to this many characters; the diff shows more of it.
const VALUE: usize = 60;

/// What clusters refer to and is not as Git says, every cluster, what belongs to none, and, where there are several
/// clusters, the table last.
pub fn report(report: &Report, palette: &Palette) -> String {
    let mut parts: Vec<String> = report
        .supporting
        .iter()
        .filter(|plan| plan.state != State::InSync)
        .map(|plan| supporting(plan, palette))
        .collect();
    // A cluster of which there is only the headline to say is in the table, where there is one.
    let has_table = report.clusters.len() > 1;
    parts.extend(
        report
            .clusters
            .iter()
            .filter(|plan| !has_table || says_more_than_its_headline(plan))
            .map(|plan| cluster(plan, palette)),
    );
    if !report.findings.is_empty() {
        parts.push(all(&report.findings, "", palette));
    }
    if has_table {
        parts.push(summary(report, palette));
    }
    parts.join("\n")
}

fn says_more_than_its_headline(plan: &ClusterPlan) -> bool {
    !plan.steps.is_empty() || !plan.findings.is_empty() || plan.state == State::Drifted
}

/// One cluster: a headline, and below it everything there is to say.
pub fn cluster(plan: &ClusterPlan, palette: &Palette) -> String {
    let mut text = headline(plan, palette);
    if plan.state == State::Drifted {
        for difference in &plan.differences {
            text.push_str(&drifted(difference, palette));
        }
    }
    text.push_str(&availability::lines(plan, palette));
    for (index, step) in plan.steps.iter().enumerate() {
        text.push_str(&numbered(step, index + 1, palette));
    }
    if !plan.undone.is_empty() && !plan.steps.is_empty() {
        let fields: Vec<String> = plan.undone.iter().map(|path| undone(plan, path)).collect();
        let _ = writeln!(
            text,
            "\n  {} {}",
            paint(palette.waiting, "undoes"),
            fields.join("\n         ")
        );
    }
    if !plan.findings.is_empty() {
        text.push('\n');
        text.push_str(&all(&plan.findings, "  ", palette));
    }
    text
}

fn all(findings: &[Finding], indent: &str, palette: &Palette) -> String {
    findings
        .iter()
        .map(|finding| findings::lines(finding, indent, palette))
        .collect()
}

/// `failover/sync-cluster  waiting  sync-cluster-2 has not passed 0/6400000 yet`.
pub fn headline(plan: &ClusterPlan, palette: &Palette) -> String {
    let name = plan.key.to_string();
    head(&name, plan.state, plan.because.as_deref(), palette)
}

fn head(name: &str, state: State, because: Option<&str>, palette: &Palette) -> String {
    let mut text = format!(
        "{}  {}",
        paint(palette.title, &for_terminal(name)),
        paint(state_style(state, palette), state.word())
    );
    if let Some(because) = because {
        let _ = write!(text, "  {}", for_terminal(because));
    }
    text.push('\n');
    text
}

/// An object that clusters refer to: a headline, and what differs.
pub fn supporting(plan: &SupportingPlan, palette: &Palette) -> String {
    let name = format!("{} {}", plan.kind.kind, plan.key);
    let mut text = head(&name, plan.state, plan.because.as_deref(), palette);
    for difference in &plan.differences {
        if plan.state == State::Drifted {
            text.push_str(&drifted(difference, palette));
            continue;
        }
        let change = Change {
            path: difference.path.clone(),
            from: difference.live.clone(),
            to: difference.declared.clone(),
        };
        let _ = writeln!(text, "      {}", for_terminal(&changed(&change)));
    }
    text
}

pub fn state_style(state: State, palette: &Palette) -> anstyle::Style {
    match state {
        State::InSync => palette.good,
        State::Pending | State::InTransition | State::Waiting | State::Suspended => palette.waiting,
        State::Blocked | State::Drifted | State::Refused | State::Unknown => palette.bad,
    }
}

fn numbered(step: &Step, number: usize, palette: &Palette) -> String {
    let number = format!("{number}.");
    let mut text = format!(
        "\n  {number:<3} {}\n",
        paint(palette.title, &for_terminal(&moves(step)))
    );
    let mut line = |label: &str, value: &str| {
        let _ = writeln!(text, "      {label:<10}  {value}");
    };
    for (index, change) in step.changes.iter().enumerate() {
        line(
            if index == 0 { "changes" } else { "" },
            &for_terminal(&changed(change)),
        );
    }
    line("why", &for_terminal(&step.why));
    line("durability", &durabilities(step));
    for (index, gate) in gate_lines(&step.gates, number.trim_end_matches('.'), palette)
        .iter()
        .enumerate()
    {
        line(if index == 0 { "gates" } else { "" }, gate);
    }
    text
}

/// A write that was carried out, with its gates as they stood.
pub fn written(written: &Written, palette: &Palette) -> String {
    let mut text = format!(
        "{} {}  {}  {}\n",
        written.kind,
        paint(palette.title, &for_terminal(&written.key.to_string())),
        paint(palette.good, "written"),
        for_terminal(&in_words(&written.changes))
    );
    for gate in gate_lines(&written.gates, "", palette) {
        let _ = writeln!(text, "  {gate}");
    }
    text
}

/// What a step does, in words: `climb to 3 synchronous standbys`.
pub fn moves(step: &Step) -> String {
    let words: Vec<String> = step.moves.iter().map(move_in_words).collect();
    match words.as_slice() {
        [] => "write what Git declares".into(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

fn move_in_words(one: &Move) -> String {
    let standbys = |count: u32| match count {
        1 => "1 synchronous standby".to_owned(),
        count => format!("{count} synchronous standbys"),
    };
    match one {
        Move::Create => "create the cluster".into(),
        Move::Record => "record that Git is carried out".into(),
        Move::Settings => "change settings".into(),
        Move::Template { .. } => "change what Pods are made of".into(),
        Move::GiveRoles { members } => format!("give roles: {}", assigned(members)),
        Move::TakeRoles { members, roles: _ } => format!("reduce roles: {}", assigned(members)),
        Move::Start { to } => match to {
            1 => "start 1 instance".into(),
            to => format!("start {to} instances"),
        },
        Move::Stop { member } => format!("stop {member}, the last instance"),
        Move::Follow => "replicate from another cluster".into(),
        Move::Lead => "stop replicating, and be promoted".into(),
        Move::Loosen { .. } => "loosen".into(),
        Move::Grow { from, to } => format!("grow from {from} to {to} instances"),
        Move::Climb { standbys: count } => format!("climb to {}", standbys(*count)),
        Move::AddStrict { standbys: count } => {
            format!("make {} strict", standbys(*count))
        }
        Move::Remove {
            member,
            instances,
            end: _,
        } => format!("remove {member}, {instances} left"),
        Move::Spell => "spell the mode as declared".into(),
    }
}

/// `c-1 readonly, c-2 none`.
fn assigned(members: &[(String, Role)]) -> String {
    let words = members
        .iter()
        .map(|(member, role)| format!("{member} {}", role.word()));
    words.collect::<Vec<_>>().join(", ")
}

/// `asynchronous → 3 synchronous standbys`, or that it stays.
pub fn durabilities(step: &Step) -> String {
    let (before, after) = (step.durability_before, step.durability_after);
    if step.moves.contains(&Move::Create) {
        format!("{after} to begin with")
    } else if before == after {
        format!("stays {after}")
    } else {
        format!("{before} → {after}")
    }
}

/// All changes of a write in one line.
pub fn in_words(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "recorded as carried out".into();
    }
    changes.iter().map(changed).collect::<Vec<_>>().join(", ")
}

/// `spec.replication.mode: async → sync-all`; unescaped, secrets masked.
pub fn changed(change: &Change) -> String {
    if change.path == FieldPath::root() && change.from.is_none() {
        return "created".into();
    }
    let (from, to) = masked_pair(&change.path, change.from.as_ref(), change.to.as_ref());
    let path = if change.path == FieldPath::root() {
        "the whole object".to_owned()
    } else {
        change.path.to_string()
    };
    match (&from, &to) {
        (None, Some(to)) => format!("{path}: {}", value(to)),
        (Some(from), None) => format!("{path}: {} → removed", value(from)),
        (Some(from), Some(to)) => format!("{path}: {} → {}", value(from), value(to)),
        (None, None) => format!("{path}: nothing"),
    }
}

/// A value in a sentence: on one line, cut where it is long.
pub fn value(value: &Value) -> String {
    let text = yaml_text::inline(value);
    if text.chars().count() <= VALUE {
        return text;
    }
    let start: String = text.chars().take(VALUE - 1).collect();
    format!("{start}…")
}

/// Word, name and reason of each gate, aligned. Gates that are all judged later are one line.
fn gate_lines(gates: &[Gate], number: &str, palette: &Palette) -> Vec<String> {
    if gates.is_empty() {
        return vec!["none".into()];
    }
    if gates.iter().all(|gate| gate.verdict.word() == "later") {
        let names: Vec<&str> = gates.iter().map(|gate| gate.id.words()).collect();
        let before = number
            .parse::<usize>()
            .map_or(0, |number| number.saturating_sub(1));
        return vec![format!("after step {before}: {}", names.join(", "))];
    }
    let width = gates
        .iter()
        .map(|gate| gate.id.words().len())
        .max()
        .unwrap_or(0);
    gates
        .iter()
        .map(|gate| {
            let word = gate.verdict.word();
            let style = match word {
                "open" => palette.good,
                "closed" => palette.waiting,
                "unknown" => palette.place,
                _ => palette.quiet,
            };
            let pad = " ".repeat(7 - word.len());
            let name = gate.id.words();
            let reason = for_terminal(gate.verdict.reason());
            format!("{}{pad}  {name:<width$}  {reason}", paint(style, word))
                .trim_end()
                .to_owned()
        })
        .collect()
}

/// What Git says, what live says, and who wrote that.
fn drifted(difference: &Difference, palette: &Palette) -> String {
    let (live, declared) = masked_pair(
        &difference.path,
        difference.live.as_ref(),
        difference.declared.as_ref(),
    );
    let side = |side: &Option<Value>| match side {
        Some(side) => for_terminal(&value(side)).into_owned(),
        None => "absent".into(),
    };
    let path = difference.path.to_string();
    let mut text = format!(
        "\n  {}\n      git   {}",
        paint(palette.title, &for_terminal(&path)),
        side(&declared)
    );
    if let Some(place) = &difference.place {
        let place = format!("{}:{}", place.file, place.line);
        let _ = write!(text, "  {}", paint(palette.place, &for_terminal(&place)));
    }
    let _ = write!(text, "\n      live  {}", side(&live));
    if let Some(write) = last_write(difference) {
        let _ = write!(text, "  {}", for_terminal(&write));
    }
    text.push('\n');
    text
}

/// `last write by kubectl through /scale at 2026-11-22T09:14:03Z`; unescaped.
pub fn last_write(difference: &Difference) -> Option<String> {
    let write = difference.last_write.as_ref()?;
    let mut text = format!("last write by {}", write.manager);
    if let Some(subresource) = &write.subresource {
        let _ = write!(text, " through /{subresource}");
    }
    if let Some(time) = &write.time {
        let _ = write!(text, " at {time}");
    }
    Some(text)
}

fn undone(plan: &ClusterPlan, path: &FieldPath) -> String {
    let difference = plan
        .differences
        .iter()
        .find(|difference| difference.path == *path);
    let text = match difference.and_then(last_write) {
        Some(write) => format!("{path} ({write})"),
        None => path.to_string(),
    };
    for_terminal(&text).into_owned()
}

/// One line a cluster: name, state, mode, instances, whether it is in force, and what it waits for.
pub fn summary(report: &Report, palette: &Palette) -> String {
    const TITLES: [&str; 6] = [
        "NAMESPACE/NAME",
        "STATE",
        "MODE",
        "INSTANCES",
        "IN FORCE",
        "WAITS FOR",
    ];
    let rows: Vec<[String; 6]> = report.clusters.iter().map(|plan| row(plan)).collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .chain([TITLES[column].len()])
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; 5] = [width(0), width(1), width(2), width(3), width(4)];
    let mut text = String::new();
    let mut line = |cells: [&str; 6], style: anstyle::Style| {
        let mut line = String::new();
        for (index, cell) in cells.into_iter().enumerate() {
            let pad = widths
                .get(index)
                .map_or(0, |width| width + 3 - cell.chars().count());
            let style = if index == 1 {
                style
            } else {
                anstyle::Style::new()
            };
            let _ = write!(line, "{}{}", paint(style, cell), " ".repeat(pad));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    line(TITLES, anstyle::Style::new());
    for (plan, row) in report.clusters.iter().zip(&rows) {
        let cells = row.each_ref().map(String::as_str);
        line(cells, state_style(plan.state, palette));
    }
    text
}

fn row(plan: &ClusterPlan) -> [String; 6] {
    let cell = |text: &str| for_terminal(text).into_owned();
    [
        cell(&plan.key.to_string()),
        plan.state.word().into(),
        cell(&moving(plan, "/spec/replication/mode", Some("async"))),
        cell(&moving(plan, "/spec/instances", None)),
        durability::word(&plan.in_force.verdict).into(),
        cell(plan.because.as_deref().unwrap_or_default()),
    ]
}

/// A field of live, and of Git where that differs: `async → sync-all`, or `5 (git 4)` where nothing leads there.
pub fn moving(plan: &ClusterPlan, pointer: &str, default: Option<&str>) -> String {
    let side = |side: Option<&Value>| {
        let side = side?;
        match side.pointer(pointer) {
            Some(Value::String(text)) => Some(text.clone()),
            Some(found) => Some(value(found)),
            None => default.map(str::to_owned),
        }
    };
    let live = plan
        .observed
        .as_ref()
        .and_then(|seen| seen.live.as_ref())
        .map(|live| &live.value);
    match (side(live), side(plan.declared.as_deref())) {
        (Some(live), Some(git)) if live != git && plan.steps.is_empty() => {
            format!("{live} (git {git})")
        }
        (Some(live), Some(git)) if live != git => format!("{live} → {git}"),
        (Some(one), _) | (None, Some(one)) => one,
        (None, None) => "-".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::plan::{GateId, Verdict};
    use crate::show::sample::{self, durability, gate};
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn a_step_that_waits_says_for_what() {
        insta::assert_snapshot!(cluster(&sample::waiting_plan(), &Palette::PLAIN), @r"
        failover/sync-cluster  waiting  sync-cluster-2 has not passed 0/6400000 yet

          members to spare  for writes  for commits  for failover
          now               3           0            2
          after step 1      3           3            2

          1.  climb to 3 synchronous standbys
              changes     spec.replication.mode: async → sync-all
              why         all three standbys are there, so the climb is one write
              durability  asynchronous → 3 synchronous standbys
              gates       open     leader live               sync-cluster-0 renewed its lock
                          open     configuration in force    a loop has run with it
                          open     members healthy           3 of 3 standbys stream
                          open     nothing else running      no lock, operation or rollout
                          unknown  operator caught up        the StatefulSet was not seen
                          closed   standbys passed the mark  sync-cluster-2 has not passed 0/6400000 yet

          clusters/sync-cluster.yaml:19:5: note[sync-instances-no-effect]: spec.replication.syncInstances has no effect in mode sync-all
              help: remove it, or use mode sync
        ");
    }

    #[test]
    fn drift_names_both_values_and_who_wrote_the_live_one() {
        insta::assert_snapshot!(cluster(&sample::drifted_plan(), &Palette::PLAIN), @r"
        failover/billing  drifted  spec.instances was changed, last write by kubectl

          spec.instances
              git   4  clusters/sync-cluster.yaml:7
              live  5  last write by kubectl through /scale at 2026-11-22T09:14:03Z
        ");
    }

    #[test]
    fn a_cluster_in_sync_is_one_line_and_what_was_found() {
        let mut plan = sample::in_sync_plan();
        insta::assert_snapshot!(cluster(&plan, &Palette::PLAIN), @r"
        failover/sync-cluster  in-sync

          clusters/sync-cluster.yaml:19:5: note[sync-instances-no-effect]: spec.replication.syncInstances has no effect in mode sync-all
              help: remove it, or use mode sync
        ");
        plan.findings.clear();
        insta::assert_snapshot!(cluster(&plan, &Palette::PLAIN), @r"failover/sync-cluster  in-sync");
    }

    #[test]
    fn steps_that_come_later_name_their_gates_in_one_line() {
        let mut plan = sample::waiting_plan();
        plan.state = State::Pending;
        plan.because = None;
        plan.findings.clear();
        let instances = FieldPath::of(["spec", "instances"]);
        plan.undone = vec![instances.clone()];
        let mut climb = plan.steps.remove(0);
        climb.gates = vec![
            gate(GateId::LeaderLive, Verdict::Later),
            gate(GateId::Mark, Verdict::Later),
        ];
        let grow = Step {
            moves: vec![Move::Grow { from: 2, to: 4 }],
            changes: vec![
                Change {
                    path: instances,
                    from: Some(json!(2)),
                    to: Some(json!(4)),
                },
                Change {
                    path: FieldPath::of(["spec", "replication", "syncInstances"]),
                    from: None,
                    to: Some(json!(1)),
                },
            ],
            why: "new members come first and change nothing that commits wait for".into(),
            gates: vec![
                gate(
                    GateId::LeaderLive,
                    Verdict::Open("sync-cluster-0 renewed its lock".into()),
                ),
                gate(
                    GateId::NothingElseRunning,
                    Verdict::Open("no lock, operation or rollout".into()),
                ),
            ],
            durability_before: durability(1, false),
            durability_after: durability(1, false),
            availability_after: sample::availability(1, 1, 1),
            more_follow: true,
            object: Arc::new(sample::document(4, "sync")),
        };
        plan.steps = vec![grow, climb];
        insta::assert_snapshot!(cluster(&plan, &Palette::PLAIN), @r"
        failover/sync-cluster  pending

          members to spare  for writes  for commits  for failover
          now               3           0            2
          after step 1      1           1            1
          after step 2      3           3            2

          1.  grow from 2 to 4 instances
              changes     spec.instances: 2 → 4
                          spec.replication.syncInstances: 1
              why         new members come first and change nothing that commits wait for
              durability  stays 1 synchronous standby
              gates       open     leader live           sync-cluster-0 renewed its lock
                          open     nothing else running  no lock, operation or rollout

          2.  climb to 3 synchronous standbys
              changes     spec.replication.mode: async → sync-all
              why         all three standbys are there, so the climb is one write
              durability  asynchronous → 3 synchronous standbys
              gates       after step 1: leader live, standbys passed the mark

          undoes spec.instances
        ");
    }

    #[test]
    fn many_clusters_end_in_a_table() {
        let mut absent = sample::waiting_plan();
        absent.key.name = "new".into();
        absent.state = State::Unknown;
        absent.because = Some("the API server does not answer".into());
        absent.observed = None;
        absent.declared = None;
        let report = Report {
            source: sample::source(),
            clusters: [
                sample::drifted_plan(),
                absent,
                sample::waiting_plan(),
                sample::in_sync_plan(),
            ]
            .map(Arc::new)
            .to_vec(),
            supporting: Vec::new(),
            written: Vec::new(),
            findings: Vec::new(),
        };
        insta::assert_snapshot!(summary(&report, &Palette::PLAIN), @r"
        NAMESPACE/NAME          STATE     MODE               INSTANCES   IN FORCE   WAITS FOR
        failover/billing        drifted   sync-all           5 (git 4)   yes        spec.instances was changed, last write by kubectl
        failover/new            unknown   -                  -           no         the API server does not answer
        failover/sync-cluster   waiting   async → sync-all   4           no         sync-cluster-2 has not passed 0/6400000 yet
        failover/sync-cluster   in-sync   sync-all           4           yes
        ");
        let coloured = summary(&report, &Palette::COLOURED);
        assert_eq!(
            anstream::adapter::strip_str(&coloured).to_string(),
            summary(&report, &Palette::PLAIN)
        );
    }

    #[test]
    fn what_clusters_refer_to_comes_first_and_what_belongs_to_none_last() {
        let text = super::report(
            &Report {
                source: sample::source(),
                clusters: Vec::new(),
                supporting: vec![Arc::new(sample::profile_plan())],
                written: Vec::new(),
                findings: vec![
                    Finding::error("not-yaml", "the file is not YAML: found a tab\u{1b}[1m")
                        .at(sample::place(3, 1)),
                ],
            },
            &Palette::PLAIN,
        );
        insta::assert_snapshot!(text, @r"
        SGInstanceProfile failover/size-s  pending
              spec.memory: 2Gi → 4Gi

        clusters/sync-cluster.yaml:3:1: error[not-yaml]: the file is not YAML: found a tab\u{1b}[1m
        ");
    }

    #[test]
    fn a_secret_is_masked_in_a_step_too() {
        let change = Change {
            path: FieldPath::of(["spec", "configurations", "credentials", "x"]),
            from: Some(json!("old")),
            to: Some(json!("new")),
        };
        assert_eq!(
            changed(&change),
            "spec.configurations.credentials.x: (masked) → (masked and changed)"
        );
    }
}
