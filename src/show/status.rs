//! What `lockstep status` prints of a cluster: the table of `patronictl list`, then where the cluster stands and which
//! durability is declared, stored, configured, listed and streaming.
//!
//! A cluster that is not there, or that could not be seen, is said to be so; there is no empty table for it.

use std::fmt::Write as _;

use super::durability;
use super::escape::for_terminal;
use super::members;
use super::palette::{Palette, paint};
use super::plan::state_style;
use crate::model::patroni::Seen;
use crate::model::plan::{ClusterPlan, State};

/// One cluster: its table and the lines below it.
pub fn cluster(plan: &ClusterPlan, palette: &Palette) -> String {
    let mut text = match plan.observed.as_deref() {
        None => nameless(plan, "could not be seen", palette),
        Some(seen) if seen.live.is_none() => nameless(plan, "is not there", palette),
        Some(seen) => match &seen.members {
            Seen::Unknown(why) => {
                let words = format!("its members are unknown: {why}");
                nameless(plan, &words, palette)
            }
            Seen::Value(_) => members::table(seen),
        },
    };
    text.push('\n');
    let state = paint(state_style(plan.state, palette), plan.state.word());
    let _ = write!(text, "{:<10}  {state}", "state");
    if let Some(because) = &plan.because {
        let _ = write!(text, ": {}", for_terminal(because));
    }
    text.push('\n');
    // Of a cluster that could not be seen everything below would be unknown, for the reason just given.
    if plan.observed.is_some() || plan.state != State::Unknown {
        text.push_str(&durability::lines(&plan.in_force, palette));
    }
    text
}

fn nameless(plan: &ClusterPlan, what: &str, palette: &Palette) -> String {
    let name = plan.key.to_string();
    format!(
        "{}  {}\n",
        paint(palette.title, &for_terminal(&name)),
        for_terminal(what)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::sample;

    #[test]
    fn the_table_comes_first_and_durability_below_it() {
        insta::assert_snapshot!(cluster(&sample::waiting_plan(), &Palette::PLAIN), @r"
        + Cluster: sync-cluster (7373750354182599290) +-----------+----+-----------+
        | Member         | Host             | Role    | State     | TL | Lag in MB |
        +----------------+------------------+---------+-----------+----+-----------+
        | sync-cluster-0 | 10.244.0.11:7433 | Leader  | running   |  2 |           |
        | sync-cluster-1 | 10.244.0.10:7433 | Replica | streaming |  2 |         0 |
        | sync-cluster-2 | 10.244.0.4:7433  | Replica | streaming |  2 |         0 |
        | sync-cluster-3 | 10.244.0.8:7433  | Replica | streaming |  2 |         0 |
        +----------------+------------------+---------+-----------+----+-----------+

        state       waiting: sync-cluster-2 has not passed 0/6400000 yet
        declared    3 synchronous standbys
        stored      asynchronous
        configured  asynchronous
        listed      none
        streaming   sync-cluster-1, sync-cluster-2, sync-cluster-3
        in force    no: Patroni is configured for asynchronous, not for 3 synchronous standbys
        ");
    }

    #[test]
    fn what_was_not_seen_has_no_table() {
        let mut plan = sample::waiting_plan();
        plan.observed = None;
        plan.state = State::Unknown;
        plan.because = Some("the API server does not answer".into());
        insta::assert_snapshot!(cluster(&plan, &Palette::PLAIN), @r"
        failover/sync-cluster  could not be seen

        state       unknown: the API server does not answer
        ");
    }
}
