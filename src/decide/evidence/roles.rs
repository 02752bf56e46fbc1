//! P5, P7 and the leader's place: who has which role now, who of `/sync` may be promoted, and what a step would leave of that.

use super::{Evidence, closed, is_beyond, leader, open, unknown};
use crate::decide::durability::Shape;
use crate::decide::roles::{Cover, cover, roles_of};
use crate::model::cluster::Role;
use crate::model::observed::Member;
use crate::model::patroni::Seen;
use crate::model::plan::Verdict;

/// P5: every member's Patroni has the tags of the role that the live object gives it, and its Pod has said so.
pub fn roles_applied(evidence: &Evidence<'_>) -> Verdict {
    taken_up(evidence, &|_| true, "every member")
}

/// P5 for the members that `/sync` lists, which a broken one is not for long.
pub fn roles_applied_in_sync(evidence: &Evidence<'_>) -> Verdict {
    match &evidence.seen.patroni.sync {
        Seen::Value(sync) => taken_up(evidence, &|name| sync.lists(name), "every member in /sync"),
        Seen::Unknown(why) => unknown(why.clone()),
    }
}

fn taken_up(evidence: &Evidence<'_>, counts: &dyn Fn(&str) -> bool, who: &str) -> Verdict {
    let members = match &evidence.seen.members {
        Seen::Value(members) => members,
        Seen::Unknown(why) => return unknown(why.clone()),
    };
    let roles = roles_of(&Shape::of(evidence.spec));
    for member in members.iter().filter(|member| counts(&member.name)) {
        let Some(role) = member
            .index
            .and_then(|index| roles.get(index as usize).copied())
        else {
            // A Pod beyond the roles keeps what it had; whether it may stay is another gate's question.
            continue;
        };
        let name = &member.name;
        let said = match &member.status {
            Some(Seen::Value(said)) => said,
            Some(Seen::Unknown(why)) => return unknown(format!("{name}: {why}")),
            // A member that is being built takes its role up before it can matter.
            None => continue,
        };
        let has = Role::with(!said.has_tag("nofailover"), !said.has_tag("noloadbalance"));
        if has != role {
            return closed(format!(
                "{name} has not taken up the role {} yet, it has {}",
                role.word(),
                has.word()
            ));
        }
        if let Some(group) = stated_group(evidence, name)
            && group != group_of(evidence, member.index)
        {
            return closed(format!("{name} has not taken up its replication group yet"));
        }
    }
    open(format!("{who} has the role that the live object gives it"))
}

/// `status.podStatuses[].replicationGroup`, which the Pod itself writes.
fn stated_group(evidence: &Evidence<'_>, name: &str) -> Option<u64> {
    let statuses = evidence.live.value.pointer("/status/podStatuses")?;
    let mut statuses = statuses.as_array()?.iter();
    statuses.find(|status| status["name"] == name)?["replicationGroup"].as_u64()
}

/// 0 for the members in no group, then 1 for the first group.
fn group_of(evidence: &Evidence<'_>, index: Option<u32>) -> u64 {
    let groups = &evidence.spec.replication.groups;
    let sizes = groups.iter().map(|group| group.instances);
    let grouped: u32 = sizes.fold(0, u32::saturating_add);
    let mut end = evidence.spec.instances.saturating_sub(grouped);
    let index = index.unwrap_or_default();
    if index < end {
        return 0;
    }
    for (group, number) in groups.iter().zip(1..) {
        end += group.instances;
        if index < end {
            return number;
        }
    }
    0
}

/// P7.
pub fn promotable(evidence: &Evidence<'_>) -> Verdict {
    let listed = match listed(evidence) {
        Ok(listed) => listed,
        Err(verdict) => return verdict,
    };
    let fit = |member: &&Member| {
        member.index.is_some_and(|index| listed.contains(&index))
            && !member.terminating
            && member
                .said()
                .is_some_and(|said| !said.has_tag("nofailover") && !said.has_tag("nosync"))
    };
    match evidence.seen.seen_members().iter().find(fit) {
        Some(member) => open(format!("{} may be promoted", member.name)),
        None if !has_promotable_standby(evidence) => closed(NEVER_PROMOTABLE),
        None => closed("no standby in /sync may be promoted"),
    }
}

/// What only another commit can change.
pub const NEVER_PROMOTABLE: &str = "no standby may be promoted with these roles, so strict would hold commits for members that can never lead: give one the role ha or ha-read";

fn has_promotable_standby(evidence: &Evidence<'_>) -> bool {
    let roles = roles_of(&Shape::of(evidence.spec));
    roles.iter().filter(|role| role.is_promotable()).count() > 1
}

/// P7 for what takes members, or their right to lead, away: a standby in `/sync` that may be promoted stays, wherever one
/// can.
pub fn keeps_promotable(evidence: &Evidence<'_>, after: &[Role]) -> Verdict {
    let shape = Shape::of(evidence.spec);
    let standbys = shape.asks().standbys;
    if standbys == 0 {
        return open("no commit waits for a standby, so any that may lead can take over");
    }
    let listed = match listed(evidence) {
        Ok(listed) => listed,
        Err(verdict) => return verdict,
    };
    match cover(&roles_of(&shape), after, standbys, &listed) {
        Cover::Stays(Some(index)) => open(format!(
            "{}-{index} is in /sync, stays and may be promoted",
            evidence.seen.key.name
        )),
        Cover::Stays(None) => open("no standby that may be promoted goes"),
        Cover::Raise(_) | Cover::NotListed => {
            closed("/sync lists no standby yet that stays and may be promoted")
        }
        Cover::Impossible => open(
            "no standby can be in /sync that stays and may be promoted: until Patroni lists another, there is no automatic failover",
        ),
    }
}

/// The indexes of the standbys that `/sync` lists under the present leader.
pub fn listed(evidence: &Evidence<'_>) -> Result<Vec<u32>, Verdict> {
    let leader = leader(evidence)?;
    let sync = match &evidence.seen.patroni.sync {
        Seen::Value(sync) => sync,
        Seen::Unknown(why) => return Err(unknown(why.clone())),
    };
    if sync.leader.as_deref() != Some(leader.name.as_str()) {
        return Err(closed(format!(
            "/sync is not the present leader's ({})",
            leader.name
        )));
    }
    let members = evidence.seen.seen_members().iter();
    Ok(members
        .filter(|member| sync.lists(&member.name) && !is_beyond(evidence, member))
        .filter_map(|member| member.index)
        .collect())
}

/// Instances never go down through the leader's index, at no step of the way: Lockstep does not switch over.
pub fn leader_stays(evidence: &Evidence<'_>, leaver: &str, end: u32) -> Verdict {
    let leader = match leader(evidence) {
        Ok(leader) => leader,
        // That there is none is told by P0, and is no person's affair yet.
        Err(verdict) => return unknown(verdict.reason()),
    };
    let beyond = leader.index.is_some_and(|index| index >= end.max(1));
    if leader.name == leaver || beyond {
        let stays = |member: &Member| member.index.is_some_and(|index| index < end.max(1));
        return closed(format!(
            "{} is the leader: {}",
            leader.name,
            switch_over(evidence, leader, &stays)
        ));
    }
    if end == 0 {
        return open(format!(
            "{} leads, and a start begins with its volume",
            leader.name
        ));
    }
    open(format!("{} leads and stays", leader.name))
}

/// A leader whose role is taken could not come back once it is restarted.
pub fn leader_may_lead(evidence: &Evidence<'_>, after: &[Role]) -> Verdict {
    let leader = match leader(evidence) {
        Ok(leader) => leader,
        // That there is none is told by P0, and is no person's affair yet.
        Err(verdict) => return unknown(verdict.reason()),
    };
    let may_lead = |member: &Member| {
        let role = member.index.and_then(|index| after.get(index as usize));
        role.is_some_and(|role| role.is_promotable())
    };
    if may_lead(leader) {
        return open(format!("{} leads, and may lead then", leader.name));
    }
    closed(format!(
        "{} is the leader and may not lead in its new role: {}",
        leader.name,
        switch_over(evidence, leader, &may_lead)
    ))
}

/// What a person has to do: Patroni takes only a candidate that may be promoted, and in synchronous mode one in `/sync`.
fn switch_over(evidence: &Evidence<'_>, leader: &Member, fits: &dyn Fn(&Member) -> bool) -> String {
    let is_synchronous = Shape::of(evidence.spec).asks().standbys > 0;
    let is_listed = |member: &Member| match &evidence.seen.patroni.sync {
        Seen::Value(sync) => !is_synchronous || sync.lists(&member.name),
        Seen::Unknown(_) => false,
    };
    let may_lead = |member: &Member| {
        let said = member.said();
        said.is_some_and(|said| said.is_streaming() && !said.has_tag("nofailover"))
    };
    let mut members = evidence.seen.seen_members().iter();
    let candidate = members.find(|member| {
        member.name != leader.name && fits(member) && may_lead(member) && is_listed(member)
    });
    match candidate {
        Some(member) => format!(
            "switch over to {} first (patronictl switchover --candidate {})",
            member.name, member.name
        ),
        None if is_synchronous => {
            "switch over first; no member that fits is in /sync, so raise syncInstances until one is".into()
        }
        None => "switch over first, but no member that fits streams yet".into(),
    }
}
