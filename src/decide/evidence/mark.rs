//! The mark: whether the standbys that a step needs were seen to move, since "streaming, lag 0" is what a frozen one says.

use std::time::Duration;

use super::{
    Evidence, IdleLeader, closed, follows, is_beyond, leader, open, picks, seconds, unknown,
};
use crate::decide::durability::Shape;
use crate::decide::roles::roles_of;
use crate::decide::sighting::{IDLE, Movement};
use crate::model::cluster::Role;
use crate::model::observed::Member;
use crate::model::patroni::Seen;
use crate::model::plan::Verdict;

/// The mark: those that commits would wait for were seen to move. The one that goes is none of them.
pub fn mark(evidence: &Evidence<'_>, standbys: u32, leaver: Option<&str>) -> Verdict {
    if standbys == 0 {
        return open("no commit waits for a standby");
    }
    if let Seen::Unknown(why) = &evidence.seen.patroni.sync {
        return unknown(why.clone());
    }
    let picks = picks(evidence, standbys, leaver);
    if picks.len() < standbys as usize {
        // Which ones are missing, and why, is told by P2 and P3.
        return unknown(format!(
            "needs another look: {} of {standbys} standbys stream",
            picks.len()
        ));
    }
    passed(evidence, &picks)
}

/// The mark for members that are given the right to lead: Patroni prefers those that have it, and would wait for a frozen
/// one from then on.
pub fn mark_of_given(evidence: &Evidence<'_>, given: &[(String, Role)]) -> Verdict {
    let shape = Shape::of(evidence.spec);
    // What the object asks for may not have reached Patroni yet.
    match &evidence.seen.patroni.config {
        Seen::Unknown(why) => return unknown(why.clone()),
        Seen::Value(config) => {
            let is_synchronous = config.synchronous.on && !config.standby_cluster;
            if shape.asks().standbys == 0 && !is_synchronous {
                return open("no commit waits for a standby");
            }
        }
    }
    let leader = match leader(evidence) {
        Ok(leader) => leader,
        Err(verdict) => return unknown(verdict.reason()),
    };
    let roles = roles_of(&shape);
    let could_lead = |member: &Member| {
        let role = member.index.and_then(|index| roles.get(index as usize));
        role.is_some_and(|role| role.is_promotable())
    };
    let gains = |member: &&Member| {
        let given = given.iter().find(|(name, _)| *name == member.name);
        given.is_some_and(|(_, role)| role.is_promotable()) && !could_lead(member)
    };
    let members = evidence.seen.seen_members().iter();
    let candidates: Vec<&Member> = members
        .filter(gains)
        .filter(|member| follows(member, leader).is_ok())
        .collect();
    if candidates.is_empty() {
        return open("nobody who streams gains the right to lead");
    }
    passed(evidence, &candidates)
}

/// The mark for what takes the right to lead from members: while some have given it up and others have not, Patroni prefers
/// whoever still has it.
pub fn mark_of_taken(evidence: &Evidence<'_>, after: &[Role]) -> Verdict {
    let shape = Shape::of(evidence.spec);
    let (roles, standbys) = (roles_of(&shape), shape.asks().standbys);
    let demotes = roles
        .iter()
        .zip(after)
        .any(|(old, new)| old.is_promotable() && !new.is_promotable());
    if standbys == 0 || !demotes {
        return mark(evidence, 0, None);
    }
    let leader = evidence.seen.patroni.leader.value();
    let leader = leader.and_then(|record| record.leader.as_deref());
    let mut others = evidence.seen.seen_members().iter();
    let yet_to_go =
        others.find(|member| is_beyond(evidence, member) && Some(member.name.as_str()) != leader);
    if let Some(member) = yet_to_go {
        return closed(format!(
            "{} has yet to go, and could be preferred until then",
            member.name
        ));
    }
    let may_lead = |member: &&&Member| {
        let role = member.index.and_then(|index| roles.get(index as usize));
        role.is_some_and(|role| role.is_promotable())
    };
    let streaming = picks(evidence, u32::MAX, None);
    let at_least = streaming.iter().take(standbys as usize);
    let preferred = streaming.iter().skip(standbys as usize).filter(may_lead);
    let members: Vec<&Member> = at_least.chain(preferred).copied().collect();
    if members.len() < standbys as usize {
        return unknown(format!(
            "needs another look: {} of {standbys} standbys stream",
            members.len()
        ));
    }
    passed(evidence, &members)
}

fn passed(evidence: &Evidence<'_>, members: &[&Member]) -> Verdict {
    let mut passed = Vec::new();
    let mut idle = Vec::new();
    let mut held = Vec::new();
    let mut stuck = false;
    for member in members {
        let name = member.name.as_str();
        match evidence.sighting.movement(name, evidence.now) {
            Movement::Passed => passed.push(name),
            Movement::Idle { standing } => idle.push(standing),
            Movement::Underway { mark, position } => {
                held.push(format!(
                    "{name} is at {position} and has not passed {mark} yet"
                ));
            }
            Movement::Stuck {
                position,
                leader,
                standing,
            } => {
                stuck = true;
                held.push(format!(
                    "{name} has not moved past {position} for {} while the leader is at {leader}",
                    seconds(standing)
                ));
            }
            Movement::Silent => held.push(format!("{name} reports no position")),
        }
    }
    match (held.is_empty(), idle.iter().min()) {
        (false, _) if stuck => closed(held.join("; ")),
        (false, _) => unknown(format!("needs another look: {}", held.join("; "))),
        (true, Some(standing)) => idle_leader(evidence, *standing),
        (true, None) => {
            passed.sort_unstable();
            open(format!("{} passed the mark", passed.join(", ")))
        }
    }
}

fn idle_leader(evidence: &Evidence<'_>, standing: Duration) -> Verdict {
    let loop_wait = evidence
        .seen
        .patroni
        .config
        .value()
        .map_or(10, |config| config.loop_wait);
    let quiet_loops = IDLE.as_secs().div_ceil(u64::from(loop_wait));
    let quiet = evidence.sighting.idle_loops() >= quiet_loops;
    if evidence.sighting.idle_loops() < 2 {
        return unknown("needs another look: no standby was seen to move yet");
    }
    match evidence.idle_leader {
        IdleLeader::Pass if quiet => open(format!(
            "idle leader: no write for {}, so a frozen standby would not show and could hold commits",
            seconds(standing)
        )),
        IdleLeader::Pass => unknown(format!(
            "idle leader: no write for {}, so no standby can be seen to move (taken as idle after {} leader loops)",
            seconds(standing),
            quiet_loops
        )),
        IdleLeader::Hold => {
            unknown("idle leader: nothing is written, so no standby can be seen to move")
        }
    }
}
