//! The mark: whether the standbys that a step needs were seen to move, since "streaming, lag 0" is what a frozen one says.

use std::time::Duration;

use super::{Evidence, IdleLeader, closed, is_beyond, open, seconds, unknown};
use crate::decide::sighting::{IDLE, Movement};
use crate::model::plan::Verdict;

/// The mark: so many standbys, the one that goes not counted, were seen to move.
pub fn mark(evidence: &Evidence<'_>, standbys: u32, leaver: Option<&str>) -> Verdict {
    if standbys == 0 {
        return open("no commit waits for a standby");
    }
    let leader = evidence
        .seen
        .patroni
        .leader
        .value()
        .and_then(|record| record.leader.as_deref());
    let mut passed = Vec::new();
    let mut idle = Vec::new();
    let mut held = Vec::new();
    let mut stuck = false;
    for member in evidence.seen.seen_members().iter().filter(|member| {
        let name = Some(member.name.as_str());
        name != leader && name != leaver && !is_beyond(evidence, member)
    }) {
        let name = member.name.as_str();
        match evidence.sighting.movement(name, evidence.now) {
            Movement::Passed => passed.push(name),
            Movement::Idle { standing } => idle.push((name, standing)),
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
    let needed = standbys as usize;
    if passed.len() >= needed {
        return open(format!("{} passed the mark", passed.join(", ")));
    }
    if passed.len() + idle.len() >= needed {
        let standing = idle
            .iter()
            .map(|(_, standing)| *standing)
            .min()
            .unwrap_or_default();
        return idle_leader(evidence, standing);
    }
    let reason = if held.is_empty() {
        format!("{} of {needed} standbys exist", passed.len())
    } else {
        held.join("; ")
    };
    if stuck {
        closed(reason)
    } else {
        unknown(format!("needs another look: {reason}"))
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
