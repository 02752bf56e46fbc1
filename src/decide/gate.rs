//! The gates: which of them protect which move, and how they stand now.
//!
//! A gate closes only the steps it protects. A write with several moves asks each gate once; where two of its moves ask
//! the same gate for different amounts, the answer that holds stands.

use crate::decide::durability::Shape;
use crate::decide::evidence::{self, Evidence, Need};
use crate::model::plan::{Gate, GateId, Move, Verdict};

/// What the gates of one write are judged on.
#[derive(Clone, Copy)]
pub enum Grounds<'e> {
    /// Nothing yet: other writes come before it.
    Later,
    /// There is no live object: only what the new one refers to can hold it.
    Absent {
        unapplied: &'e [String],
    },
    Live(&'e Evidence<'e>),
}

/// The gates of a write, in the order of their codes.
pub fn gates_of(moves: &[Move], grounds: Grounds<'_>) -> Vec<Gate> {
    let mut gates: Vec<Gate> = Vec::new();
    for one in moves {
        for &id in protecting(one) {
            let verdict = match grounds {
                Grounds::Later => Verdict::Later,
                Grounds::Absent { unapplied } => references_applied(unapplied),
                Grounds::Live(evidence) => judge(id, one, evidence),
            };
            match gates.iter_mut().find(|gate| gate.id == id) {
                Some(known) if known.verdict.is_open() => known.verdict = verdict,
                Some(_) => {}
                None => gates.push(Gate { id, verdict }),
            }
        }
    }
    gates.sort_by_key(|gate| gate.id);
    gates
}

fn references_applied(unapplied: &[String]) -> Verdict {
    if unapplied.is_empty() {
        Verdict::Open("what it refers to is applied, as far as Git declares it".into())
    } else {
        Verdict::Closed(unapplied.join("; "))
    }
}

/// What must hold before a write with this move.
fn protecting(one: &Move) -> &'static [GateId] {
    use GateId::{
        ConfigInForce, LeaderLive, LeaderStays, Mark, MembersHealthy, NothingElseRunning,
        OperatorCaughtUp, Promotable, ReferencesApplied, SyncSatisfied,
    };
    match one {
        Move::Record => &[],
        Move::Create => &[ReferencesApplied],
        Move::Settings => &[ReferencesApplied, NothingElseRunning],
        Move::Spell => &[NothingElseRunning],
        Move::Loosen | Move::Grow { .. } => &[LeaderLive, NothingElseRunning],
        Move::Climb { .. } => &[
            LeaderLive,
            ConfigInForce,
            MembersHealthy,
            NothingElseRunning,
            OperatorCaughtUp,
            Mark,
        ],
        Move::AddStrict { .. } => &[
            LeaderLive,
            ConfigInForce,
            SyncSatisfied,
            NothingElseRunning,
            Promotable,
            Mark,
        ],
        Move::Remove { .. } => &[
            LeaderLive,
            ConfigInForce,
            SyncSatisfied,
            MembersHealthy,
            NothingElseRunning,
            OperatorCaughtUp,
            Mark,
            LeaderStays,
        ],
    }
}

fn judge(id: GateId, one: &Move, evidence: &Evidence<'_>) -> Verdict {
    let stored = Shape::of(evidence.spec).asks().standbys;
    let (standbys, leaver) = match one {
        Move::Climb { standbys } | Move::AddStrict { standbys } => (*standbys, None),
        Move::Remove { member, .. } => (stored, Some(member.as_str())),
        Move::Create
        | Move::Record
        | Move::Settings
        | Move::Loosen
        | Move::Grow { .. }
        | Move::Spell => (stored, None),
    };
    // A Pod that neither streams nor is listed protects nobody: its removal waits for no one's health.
    if let Some(leaver) = leaver
        && matches!(
            id,
            GateId::SyncSatisfied
                | GateId::MembersHealthy
                | GateId::OperatorCaughtUp
                | GateId::Mark
        )
        && !evidence::streams_or_is_listed(evidence, leaver)
    {
        return Verdict::Open(format!("{leaver} neither streams nor stands in /sync"));
    }
    match id {
        GateId::ReferencesApplied => references_applied(evidence.unapplied),
        GateId::LeaderLive => evidence::leader_live(evidence),
        GateId::ConfigInForce => evidence::config_in_force(evidence),
        GateId::SyncSatisfied => evidence::sync_satisfied(evidence, standbys),
        GateId::MembersHealthy => evidence::members_healthy(
            evidence,
            leaver.map_or(Need::Standbys(standbys), Need::AllBut),
        ),
        // Loosening is held only by what would refuse, undo or delay it.
        GateId::NothingElseRunning if *one == Move::Loosen => {
            evidence::no_lock_or_operation(evidence)
        }
        GateId::NothingElseRunning => evidence::nothing_else_running(evidence),
        GateId::OperatorCaughtUp => evidence::operator_caught_up(evidence),
        GateId::Promotable => evidence::promotable(evidence),
        GateId::Mark => evidence::mark(evidence, standbys, leaver),
        GateId::LeaderStays => evidence::leader_stays(evidence, leaver.unwrap_or_default()),
    }
}
