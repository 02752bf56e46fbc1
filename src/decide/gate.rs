//! The gates: which of them protect which move, and how they stand now.
//!
//! A gate closes only the steps it protects. A write with several moves asks each gate once; where two of its moves ask
//! the same gate for different amounts, the answer that holds stands.

use crate::decide::durability::Shape;
use crate::decide::evidence::{self, Evidence, Need};
use crate::decide::roles::roles_of;
use crate::model::cluster::Role;
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
    let grows = moves.iter().any(|one| matches!(one, Move::Grow { .. }));
    for one in moves {
        for &id in protecting(one) {
            // The standby that frees writes comes with this very write.
            if id == GateId::Unblocks && grows {
                continue;
            }
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
        ConfigInForce, LastLeader, LeaderLive, LeaderStays, Mark, MembersHealthy,
        NothingElseRunning, OperatorCaughtUp, Promotable, ReferencesApplied, RolesApplied,
        SyncSatisfied, Unblocks,
    };
    match one {
        Move::Record => &[],
        Move::Create => &[ReferencesApplied],
        Move::Settings => &[ReferencesApplied, NothingElseRunning],
        Move::Template {
            after_replication: false,
        } => &[ReferencesApplied, NothingElseRunning],
        Move::Template {
            after_replication: true,
        } => &[
            ReferencesApplied,
            LeaderLive,
            ConfigInForce,
            SyncSatisfied,
            NothingElseRunning,
        ],
        Move::Spell => &[NothingElseRunning],
        Move::GiveRoles { .. } => &[NothingElseRunning, Mark],
        Move::Loosen {
            makes_room: Some(_),
            ..
        } => &[LeaderLive, NothingElseRunning, RolesApplied, LeaderStays],
        Move::Loosen { from, to, .. } if from.strict && !to.strict && to.standbys > 0 => {
            &[LeaderLive, NothingElseRunning, Unblocks]
        }
        // A lower count drops somebody from /sync: it must not be the one that may be promoted, for a role not taken up.
        Move::Loosen { from, to, .. } if from.strict == to.strict && to.standbys > 0 => {
            &[LeaderLive, NothingElseRunning, RolesApplied]
        }
        Move::Loosen { .. } | Move::Grow { .. } => &[LeaderLive, NothingElseRunning],
        Move::Start { .. } => &[NothingElseRunning, LastLeader],
        Move::Climb { .. } => &[
            LeaderLive,
            ConfigInForce,
            MembersHealthy,
            NothingElseRunning,
            RolesApplied,
            OperatorCaughtUp,
            Mark,
        ],
        Move::AddStrict { .. } => &[
            LeaderLive,
            ConfigInForce,
            SyncSatisfied,
            NothingElseRunning,
            RolesApplied,
            OperatorCaughtUp,
            Promotable,
            Mark,
        ],
        Move::Remove { .. } => &[
            LeaderLive,
            ConfigInForce,
            SyncSatisfied,
            MembersHealthy,
            NothingElseRunning,
            RolesApplied,
            OperatorCaughtUp,
            Promotable,
            Mark,
            LeaderStays,
        ],
        Move::Stop { .. } => &[
            LeaderLive,
            ConfigInForce,
            NothingElseRunning,
            OperatorCaughtUp,
            LeaderStays,
        ],
        Move::TakeRoles { .. } => &[
            LeaderLive,
            ConfigInForce,
            NothingElseRunning,
            RolesApplied,
            OperatorCaughtUp,
            Promotable,
            Mark,
            LeaderStays,
        ],
        Move::Follow | Move::Lead => &[ReferencesApplied, LeaderLive, NothingElseRunning],
    }
}

/// What a person can do about a gate that time did not open.
pub fn remedy(id: GateId) -> &'static str {
    match id {
        GateId::ReferencesApplied => "mend the object that it refers to",
        GateId::LeaderLive => "bring a leader back (patronictl list, kubectl describe pod)",
        GateId::ConfigInForce | GateId::OperatorCaughtUp => {
            "look at the operator and its events on the SGCluster (ClusterConfigFailed)"
        }
        GateId::SyncSatisfied | GateId::MembersHealthy | GateId::Mark => {
            "restart or rebuild the standby (patronictl reinit), or commit a mode that does not need it"
        }
        GateId::Approved | GateId::LastLeader => "approve it in Git, or revert",
        GateId::NothingElseRunning => "let it end, or end it",
        GateId::RolesApplied => "look at the cluster-controller of that Pod",
        GateId::Promotable => "give a standby in /sync the role ha or ha-read",
        GateId::Unblocks => "bring a standby back, or commit mode async first",
        GateId::LeaderStays => "switch over",
    }
}

/// What of a move its gates are judged by.
struct Asked<'m> {
    standbys: u32,
    /// The Pod that goes.
    leaver: Option<&'m str>,
    /// The members that may do more, with the role they get.
    given: &'m [(String, Role)],
    /// The roles of all members by index, once the step is done.
    after: Vec<Role>,
    /// How many instances are left in the end.
    end: u32,
}

impl<'m> Asked<'m> {
    fn of(one: &'m Move, evidence: &Evidence<'_>) -> Self {
        let shape = Shape::of(evidence.spec);
        let mut asked = Self {
            standbys: shape.asks().standbys,
            leaver: None,
            given: &[],
            after: roles_of(&shape),
            end: shape.instances,
        };
        match one {
            Move::Climb { standbys } | Move::AddStrict { standbys } => asked.standbys = *standbys,
            Move::Remove {
                member,
                instances,
                end,
            } => {
                asked.leaver = Some(member);
                asked.after.truncate(*instances as usize);
                asked.end = *end;
            }
            // The leader is the last to go, and nobody is left to look after.
            Move::GiveRoles { members } => asked.given = members,
            Move::Stop { member: _ } => asked.end = 0,
            Move::TakeRoles { members: _, roles } => asked.after.clone_from(roles),
            Move::Loosen {
                makes_room: Some(end),
                ..
            } => asked.end = *end,
            Move::Create
            | Move::Record
            | Move::Settings
            | Move::Template { .. }
            | Move::Loosen { .. }
            | Move::Grow { .. }
            | Move::Start { .. }
            | Move::Follow
            | Move::Lead
            | Move::Spell => {}
        }
        asked
    }
}

fn judge(id: GateId, one: &Move, evidence: &Evidence<'_>) -> Verdict {
    let Asked {
        standbys,
        leaver,
        given,
        after,
        end,
    } = Asked::of(one, evidence);
    // A Pod that neither streams nor is listed protects nobody: its removal waits for no one's health.
    if let Some(leaver) = leaver
        && matches!(
            id,
            GateId::SyncSatisfied
                | GateId::MembersHealthy
                | GateId::RolesApplied
                | GateId::OperatorCaughtUp
                | GateId::Promotable
                | GateId::Mark
        )
        && !evidence::streams_or_is_listed(evidence, leaver)
    {
        return Verdict::Open(format!("{leaver} neither streams nor stands in /sync"));
    }
    match id {
        GateId::ReferencesApplied => references_applied(evidence.unapplied),
        // Judged for the whole route, by `plan`.
        GateId::Approved => Verdict::Later,
        GateId::LeaderLive => evidence::leader_live(evidence),
        GateId::ConfigInForce => evidence::config_in_force(evidence),
        GateId::SyncSatisfied => evidence::sync_satisfied(evidence, standbys),
        GateId::MembersHealthy => evidence::members_healthy(
            evidence,
            leaver.map_or(Need::Standbys(standbys), Need::AllBut),
        ),
        // What frees writes, or only adds a right, is held only by what would refuse, undo or delay it.
        GateId::NothingElseRunning
            if matches!(one, Move::Loosen { .. } | Move::GiveRoles { .. }) =>
        {
            evidence::no_lock_or_operation(evidence)
        }
        GateId::NothingElseRunning => evidence::nothing_else_running(evidence),
        GateId::RolesApplied if matches!(one, Move::Loosen { .. }) => {
            evidence::roles_applied_in_sync(evidence)
        }
        GateId::RolesApplied => evidence::roles_applied(evidence),
        GateId::OperatorCaughtUp => evidence::operator_caught_up(evidence),
        GateId::Promotable if matches!(one, Move::AddStrict { .. }) => {
            evidence::promotable(evidence)
        }
        GateId::Promotable => evidence::keeps_promotable(evidence, &after),
        GateId::Unblocks => evidence::unblocks(evidence),
        GateId::Mark if !given.is_empty() => evidence::mark_of_given(evidence, given),
        GateId::Mark if matches!(one, Move::TakeRoles { .. }) => {
            evidence::mark_of_taken(evidence, &after)
        }
        GateId::Mark => evidence::mark(evidence, standbys, leaver),
        GateId::LeaderStays if matches!(one, Move::TakeRoles { .. }) => {
            evidence::leader_may_lead(evidence, &after)
        }
        GateId::LeaderStays => evidence::leader_stays(evidence, leaver.unwrap_or_default(), end),
        GateId::LastLeader => evidence::last_leader(evidence),
    }
}
