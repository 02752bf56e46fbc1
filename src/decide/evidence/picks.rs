//! Whom Patroni would make synchronous: the standbys that a step really counts on.
//!
//! Patroni takes who streams, those in `/sync` first, then who has received the most, and puts those that may not lead last
//! (`domain.md` §5.2). A frozen standby streams too, so which ones move is asked of just these.

use std::cmp::Reverse;

use super::{Evidence, follows, is_beyond, leader, listed};
use crate::decide::sighting::Movement;
use crate::model::observed::Member;
use crate::model::patroni::MemberStatus;

/// So many standbys, or as many as stream, in Patroni's order; of equals the worse. The Pod that goes is none of them.
pub fn picks<'e>(
    evidence: &'e Evidence<'_>,
    standbys: u32,
    leaver: Option<&str>,
) -> Vec<&'e Member> {
    let Ok(leader) = leader(evidence) else {
        return Vec::new();
    };
    let listed = listed(evidence).unwrap_or_default();
    let streams = |member: &&Member| {
        member.name != leader.name
            && Some(member.name.as_str()) != leaver
            && !is_beyond(evidence, member)
            && follows(member, leader).is_ok()
    };
    let mut picks: Vec<&Member> = evidence
        .seen
        .seen_members()
        .iter()
        .filter(streams)
        .collect();
    picks.sort_by_key(|member| {
        let said = member.said();
        let may_lead = said.is_some_and(|said| !said.has_tag("nofailover"));
        let is_listed = member.index.is_some_and(|index| listed.contains(&index));
        let position = said.and_then(MemberStatus::received);
        let moves = evidence.sighting.movement(&member.name, evidence.now) == Movement::Passed;
        (!may_lead, !is_listed, Reverse(position), moves)
    });
    picks.truncate(standbys as usize);
    picks
}
