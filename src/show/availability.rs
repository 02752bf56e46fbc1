//! Members to spare, in words: for writes, for acknowledged commits, and for an automatic failover; now, and after each
//! step that changes it. The same as JSON.
//!
//! A number is how many members may be lost at once. Which number it is was decided; here it is only told.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::escape::for_terminal;
use super::palette::{Palette, paint};
use crate::model::plan::{Availability, ClusterPlan, Margin};

/// What a margin is counted for, in the order in which all three are told.
const SUBJECTS: [&str; 3] = ["writes", "commits", "failover"];

/// Said where there is nothing left to count, in the same order.
const ALREADY: [&str; 3] = ["stopped", "at risk", "impossible"];

/// Said where no count is the limit.
const NEVER: &str = "any";
/// Said of commits where no failover could lose one because there is none at all: they live and die with the leader's disk.
const NO_FAILOVER: &str = "-";

const TITLE: &str = "members to spare";

/// A line for now and one for each step that makes a difference, below the titles; empty where no step leads anywhere.
pub fn lines(plan: &ClusterPlan, palette: &Palette) -> String {
    let rows = rows(plan);
    if rows.is_empty() {
        return String::new();
    }
    let cells: Vec<[String; 3]> = rows.iter().map(|(_, verdict)| words(verdict)).collect();
    let titles = SUBJECTS.map(|subject| format!("for {subject}"));
    let widths: [usize; 3] = std::array::from_fn(|column| {
        let cells = cells.iter().map(|cells| cells[column].len());
        cells
            .chain([titles[column].len()])
            .max()
            .unwrap_or_default()
    });
    let label_width = rows.iter().map(|(label, _)| label.len());
    let label_width = label_width.chain([TITLE.len()]).max().unwrap_or_default();
    let mut text = String::from("\n");
    let mut line = |label: &str, cells: &[String; 3], styles: [anstyle::Style; 3], why: &str| {
        let mut line = format!("  {label:<label_width$}");
        for column in 0..3 {
            let pad = " ".repeat(widths[column] - cells[column].len());
            let _ = write!(line, "  {}{pad}", paint(styles[column], &cells[column]));
        }
        let _ = write!(line, "  {}", for_terminal(why));
        text.push_str(line.trim_end());
        text.push('\n');
    };
    line(TITLE, &titles, [anstyle::Style::new(); 3], "");
    for ((label, verdict), cells) in rows.iter().zip(&cells) {
        let styles = margins(verdict).map(|margin| style(margin, palette));
        line(label, cells, styles, because(verdict).unwrap_or_default());
    }
    text
}

fn rows(plan: &ClusterPlan) -> Vec<(String, &Availability)> {
    if plan.steps.is_empty() {
        return Vec::new();
    }
    let mut rows: Vec<(String, &Availability)> = Vec::new();
    if let Some(now) = &plan.availability {
        rows.push(("now".into(), now));
    }
    for (index, step) in plan.steps.iter().enumerate() {
        let after = &step.availability_after;
        if rows.last().is_none_or(|(_, last)| *last != after) {
            rows.push((format!("after step {}", index + 1), after));
        }
    }
    if let [(only, _)] = rows.as_mut_slice()
        && plan.availability.is_some()
    {
        *only = "now and after".into();
    }
    rows
}

/// `members to spare: commits 0 → 3`, of what changes; all three where there is nothing before. Empty: nothing changes.
pub fn changes(before: Option<&Availability>, after: &Availability) -> String {
    let (was, is) = (before.map(words), words(after));
    let parts: Vec<String> = SUBJECTS
        .iter()
        .enumerate()
        .filter_map(|(index, subject)| match &was {
            None => Some(format!("{subject} {}", is[index])),
            Some(was) if was[index] == is[index] => None,
            Some(was) => Some(format!("{subject} {} → {}", was[index], is[index])),
        })
        .collect();
    if parts.is_empty() {
        return String::new();
    }
    format!("{TITLE}: {}", parts.join(", "))
}

/// `writes`, `commits` and `failover`: each the number of members that may be lost at once, or `never` (whatever is lost, it
/// holds), `already` (it does not hold now) or `unknown`; and `because`, where one is unknown.
pub fn json(verdict: &Availability) -> Value {
    let [writes, commits, failover] = margins(verdict).map(|margin| match margin {
        Margin::Lost(losses) => json!(losses),
        Margin::Never => json!("never"),
        Margin::Already => json!("already"),
        Margin::Unknown(_) => json!("unknown"),
    });
    let mut object = json!({"writes": writes, "commits": commits, "failover": failover});
    if let Some(why) = because(verdict) {
        object["because"] = why.into();
    }
    object
}

fn margins(verdict: &Availability) -> [&Margin; 3] {
    let Availability {
        writes,
        commits,
        failover,
    } = verdict;
    [writes, commits, failover]
}

fn words(verdict: &Availability) -> [String; 3] {
    let margins = margins(verdict);
    let [_, commits, failover] = margins;
    let without_failover = (commits, failover) == (&Margin::Never, &Margin::Already);
    std::array::from_fn(|index| match margins[index] {
        Margin::Lost(losses) => losses.to_string(),
        Margin::Never if index == 1 && without_failover => NO_FAILOVER.into(),
        Margin::Never => NEVER.into(),
        Margin::Already => ALREADY[index].into(),
        Margin::Unknown(_) => "unknown".into(),
    })
}

fn because(verdict: &Availability) -> Option<&str> {
    margins(verdict)
        .into_iter()
        .find_map(|margin| match margin {
            Margin::Unknown(why) => Some(why.as_str()),
            Margin::Lost(_) | Margin::Never | Margin::Already => None,
        })
}

fn style(margin: &Margin, palette: &Palette) -> anstyle::Style {
    match margin {
        Margin::Already => palette.bad,
        Margin::Lost(0) | Margin::Unknown(_) => palette.waiting,
        Margin::Lost(_) | Margin::Never => anstyle::Style::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::sample::{self, availability};

    fn told(plan: &ClusterPlan) -> String {
        lines(plan, &Palette::PLAIN)
    }

    #[test]
    fn a_step_that_makes_a_difference_has_a_line() {
        let mut plan = sample::waiting_plan();
        let step = plan.steps[0].clone();
        plan.steps = vec![step.clone(), step.clone(), step.clone(), step];
        plan.availability = Some(availability(1, 0, 0));
        plan.steps[0].availability_after = availability(2, 0, 1);
        plan.steps[1].availability_after = availability(2, 0, 1);
        plan.steps[2].availability_after = availability(2, 2, 1);
        plan.steps[3].availability_after = Availability {
            writes: Margin::Lost(1),
            commits: Margin::Never,
            failover: Margin::Lost(1),
        };
        insta::assert_snapshot!(told(&plan), @"

        members to spare  for writes  for commits  for failover
        now               1           0            0
        after step 1      2           0            1
        after step 3      2           2            1
        after step 4      1           any          1
        ");
        let coloured = lines(&plan, &Palette::COLOURED);
        assert_eq!(
            anstream::adapter::strip_str(&coloured).to_string(),
            told(&plan)
        );
    }

    #[test]
    fn steps_that_make_none_are_said_to_change_nothing() {
        let mut plan = sample::waiting_plan();
        plan.availability = Some(availability(3, 3, 2));
        insta::assert_snapshot!(told(&plan), @r"

        members to spare  for writes  for commits  for failover
        now and after     3           3            2
        ");
        assert_eq!(told(&sample::in_sync_plan()), "");
    }

    #[test]
    fn a_cluster_that_is_not_there_has_nothing_to_lose_now() {
        let mut plan = sample::waiting_plan();
        plan.availability = None;
        insta::assert_snapshot!(told(&plan), @r"

        members to spare  for writes  for commits  for failover
        after step 1      3           3            2
        ");
    }

    #[test]
    fn what_is_so_already_has_its_own_word_and_what_is_not_known_says_why() {
        let mut plan = sample::waiting_plan();
        plan.availability = Some(Availability {
            writes: Margin::Already,
            commits: Margin::Already,
            failover: Margin::Already,
        });
        insta::assert_snapshot!(told(&plan), @r"

        members to spare  for writes  for commits  for failover
        now               stopped     at risk      impossible
        after step 1      3           3            2
        ");
        plan.availability = Some(Availability::unknown("forbidden\u{1b}[2J"));
        insta::assert_snapshot!(told(&plan), @r"

        members to spare  for writes  for commits  for failover
        now               unknown     unknown      unknown       forbidden\u{1b}[2J
        after step 1      3           3            2
        ");
    }

    #[test]
    fn a_change_names_both_sides_and_a_new_cluster_its_only_one() {
        let (one, other) = (availability(3, 0, 2), availability(3, 3, 1));
        assert_eq!(
            changes(Some(&one), &other),
            "members to spare: commits 0 → 3, failover 2 → 1"
        );
        assert_eq!(changes(Some(&one), &one), "");
        assert_eq!(
            changes(None, &other),
            "members to spare: writes 3, commits 3, failover 1"
        );
    }

    #[test]
    fn json_is_numbers_or_one_of_three_words() {
        let verdict = Availability {
            writes: Margin::Lost(0),
            commits: Margin::Never,
            failover: Margin::Already,
        };
        assert_eq!(
            json(&verdict).to_string(),
            r#"{"writes":0,"commits":"never","failover":"already"}"#
        );
        assert_eq!(
            json(&Availability::unknown("forbidden")).to_string(),
            r#"{"writes":"unknown","commits":"unknown","failover":"unknown","because":"forbidden"}"#
        );
    }
}
