//! What the gates are judged on, and each judgement: open with its evidence, closed or unknown with a reason to act on.
//!
//! What could not be read is unknown, and unknown never opens. Which judgement protects which step is `gate`'s affair.

mod busy;
mod mark;
mod picks;
mod roles;
mod stopped;

use std::time::Duration;

pub use busy::{no_lock_or_operation, nothing_else_running};
pub use mark::{mark, mark_of_given, mark_of_taken};
pub use picks::picks;
pub use roles::{
    NEVER_PROMOTABLE, keeps_promotable, leader_may_lead, leader_stays, listed, promotable,
    roles_applied, roles_applied_in_sync,
};
pub use stopped::last_leader;

use crate::decide::durability::Shape;
use crate::decide::sighting::{Moment, Sighting};
use crate::model::cluster::ClusterSpec;
use crate::model::observed::{LiveObject, Member, ObservedCluster};
use crate::model::patroni::{MemberStatus, PatroniConfig, Seen};
use crate::model::plan::Verdict;

/// A standby further behind than this is not ready to be waited for: one WAL segment.
pub const MAXIMUM_LAG: u64 = 16 * 1024 * 1024;

/// What to do when a leader writes nothing, so that no standby can be seen to move.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IdleLeader {
    /// After two minutes without a write, go on and name the risk.
    #[default]
    Pass,
    Hold,
}

/// All that the gates are judged on.
pub struct Evidence<'e> {
    pub seen: &'e ObservedCluster,
    pub live: &'e LiveObject,
    /// `live`, read.
    pub spec: &'e ClusterSpec,
    pub sighting: &'e Sighting,
    pub now: Moment,
    /// Seconds since 1970, only to read the operator's lock, which is written so.
    pub unix: i64,
    pub idle_leader: IdleLeader,
    /// Objects that Git declares, the cluster refers to, and that are not applied yet: each with its reason.
    pub unapplied: &'e [String],
}

fn open(evidence: impl Into<String>) -> Verdict {
    Verdict::Open(evidence.into())
}

fn closed(reason: impl Into<String>) -> Verdict {
    Verdict::Closed(reason.into())
}

fn unknown(reason: impl Into<String>) -> Verdict {
    Verdict::Unknown(reason.into())
}

fn config<'e>(evidence: &'e Evidence<'_>) -> Result<&'e PatroniConfig, Verdict> {
    match &evidence.seen.patroni.config {
        Seen::Value(config) => Ok(config),
        Seen::Unknown(why) => Err(unknown(why.clone())),
    }
}

/// The leader as Patroni records it, and its Pod.
fn leader<'e>(evidence: &'e Evidence<'_>) -> Result<&'e Member, Verdict> {
    let record = match &evidence.seen.patroni.leader {
        Seen::Value(record) => record,
        Seen::Unknown(why) => return Err(unknown(why.clone())),
    };
    if let Seen::Unknown(why) = &evidence.seen.members {
        return Err(unknown(why.clone()));
    }
    let Some(name) = &record.leader else {
        return Err(closed("no leader holds the lock"));
    };
    evidence
        .seen
        .seen_members()
        .iter()
        .find(|member| member.name == *name)
        .ok_or_else(|| closed(format!("the leader {name} has no Pod")))
}

/// P0.
pub fn leader_live(evidence: &Evidence<'_>) -> Verdict {
    let leader = match leader(evidence) {
        Ok(leader) => leader,
        Err(verdict) => return verdict,
    };
    let ttl = match config(evidence) {
        Ok(config) => Duration::from_secs(u64::from(config.ttl)),
        Err(verdict) => return verdict,
    };
    let name = &leader.name;
    if leader.terminating {
        return closed(format!("the leader {name} is being stopped"));
    }
    if !leader.ready {
        return closed(format!("the leader {name} is not ready"));
    }
    if !matches!(leader.role.as_deref(), Some("master" | "primary")) {
        return closed(format!("the Pod {name} is not labelled as leader"));
    }
    match &leader.status {
        Some(Seen::Value(said)) if !said.is_of_known_format() => {
            return unknown(unknown_format(name, said));
        }
        Some(Seen::Value(said)) if said.is_running() => {}
        Some(Seen::Value(said)) => {
            return closed(format!("the leader {name} says it is {}", said.state));
        }
        Some(Seen::Unknown(why)) => return unknown(format!("{name}: {why}")),
        None => return unknown(format!("the leader {name} has not reported yet")),
    }
    if evidence.sighting.is_renewing(evidence.now, ttl) {
        return open(format!("{name} renews its lock"));
    }
    let standing = evidence.sighting.without_renewal(evidence.now);
    if standing > ttl {
        return closed(format!(
            "{name} has not renewed its lock for {}",
            seconds(standing)
        ));
    }
    unknown(format!(
        "needs another look: {name} was not seen to renew its lock yet"
    ))
}

/// P1.
pub fn config_in_force(evidence: &Evidence<'_>) -> Verdict {
    let config = match config(evidence) {
        Ok(config) => config,
        Err(verdict) => return verdict,
    };
    if config.standby_cluster && !evidence.spec.replicates_from {
        return closed("Patroni still follows another cluster, so synchronous mode is ignored");
    }
    let (has, wants) = (config.synchronous, Shape::of(evidence.spec).keys());
    let same = config.standby_cluster
        || has.on == wants.on
            && (!wants.on || (has.strict == wants.strict && has.count == wants.count));
    if !same {
        return closed(
            "the operator has not given Patroni the live object's replication settings yet",
        );
    }
    if evidence.sighting.loops <= evidence.sighting.config_loop {
        return unknown(
            "needs another look: no leader loop was seen since Patroni's configuration was written",
        );
    }
    open("Patroni's configuration is the live object's, and a loop has run with it")
}

/// P2: `/sync` as `standbys` asks, unchanged for two loops.
pub fn sync_satisfied(evidence: &Evidence<'_>, standbys: u32) -> Verdict {
    let sync = match &evidence.seen.patroni.sync {
        Seen::Value(sync) => sync,
        Seen::Unknown(why) => return unknown(why.clone()),
    };
    let leader = match leader(evidence) {
        Ok(leader) => leader,
        Err(verdict) => return verdict,
    };
    if standbys == 0 {
        return match &sync.leader {
            None => open("synchronous mode is off"),
            Some(_) => closed("Patroni has not left synchronous mode yet"),
        };
    }
    if sync.leader.as_deref() != Some(leader.name.as_str()) {
        return closed(format!(
            "/sync is not the present leader's ({})",
            leader.name
        ));
    }
    if sync.standbys.len() < standbys as usize {
        let missing: Vec<&str> = evidence
            .seen
            .seen_members()
            .iter()
            .map(|member| member.name.as_str())
            .filter(|name| *name != leader.name && !sync.lists(name))
            .collect();
        let without = match missing.as_slice() {
            [] => String::new(),
            names => format!(", without {}", names.join(", ")),
        };
        return closed(format!(
            "/sync lists {} of {standbys} standbys{without}",
            sync.standbys.len(),
        ));
    }
    for name in &sync.standbys {
        let Some(member) = evidence
            .seen
            .seen_members()
            .iter()
            .find(|member| member.name.eq_ignore_ascii_case(name))
        else {
            return closed(format!("/sync lists {name}, which has no Pod"));
        };
        if let Err(why) = follows(member, leader) {
            return closed(format!("/sync lists {why}"));
        }
        if is_beyond(evidence, member) {
            return closed(format!("/sync lists {name}, which has yet to go"));
        }
    }
    let stable = evidence
        .sighting
        .loops
        .saturating_sub(evidence.sighting.listed_loop);
    if stable < 2 {
        return unknown(format!(
            "needs another look: /sync was seen unchanged for {stable} of 2 leader loops"
        ));
    }
    open(format!("/sync lists {}", sync.standbys.join(", ")))
}

/// Which members P3 looks at.
#[derive(Debug, Clone, Copy)]
pub enum Need<'m> {
    /// At least so many standbys.
    Standbys(u32),
    /// Every one but the Pod that goes.
    AllBut(&'m str),
}

/// P3.
pub fn members_healthy(evidence: &Evidence<'_>, need: Need<'_>) -> Verdict {
    let leader = match leader(evidence) {
        Ok(leader) => leader,
        Err(verdict) => return verdict,
    };
    let (there, wanted) = (
        evidence.seen.seen_members().len(),
        evidence.spec.instances as usize,
    );
    let problem = |standby: &Member| {
        if is_beyond(evidence, standby) {
            return Some(format!("{} has yet to go", standby.name));
        }
        follows(standby, leader).err().or_else(|| {
            let behind = behind(evidence, standby)?;
            (behind > MAXIMUM_LAG)
                .then(|| format!("{} is {} MiB behind", standby.name, behind / 1024 / 1024))
        })
    };
    let standbys: Vec<&Member> = evidence
        .seen
        .seen_members()
        .iter()
        .filter(|member| member.name != leader.name)
        .collect();
    let problems: Vec<String> = match need {
        Need::Standbys(_) => standbys
            .iter()
            .filter_map(|standby| problem(standby))
            .collect(),
        Need::AllBut(leaver) => standbys
            .iter()
            .filter(|standby| standby.name != leaver)
            .filter_map(|standby| problem(standby))
            .collect(),
    };
    let healthy = standbys.len() - problems.len();
    match need {
        Need::Standbys(needed) => {
            let chosen = picks(evidence, needed, None);
            let late: Vec<String> = chosen
                .iter()
                .filter_map(|standby| problem(standby))
                .collect();
            match (chosen.len() < needed as usize, late.is_empty()) {
                (true, _) if there < wanted => closed(missing(there, wanted, &problems)),
                (true, _) => closed(problems.join("; ")),
                // Patroni would wait for one that is behind, whoever else is not.
                (false, false) => closed(late.join("; ")),
                (false, true) if problems.is_empty() => open(following(healthy)),
                (false, true) => open(format!(
                    "{}, {needed} needed ({})",
                    following(healthy),
                    problems.join("; ")
                )),
            }
        }
        Need::AllBut(_) if there < wanted => closed(missing(there, wanted, &problems)),
        Need::AllBut(_) if problems.is_empty() => open(following(healthy.saturating_sub(1))),
        Need::AllBut(_) => closed(problems.join("; ")),
    }
}

/// Whether the live object has no place for this Pod any more: it is about to go, and nobody may count on it.
pub fn is_beyond(evidence: &Evidence<'_>, member: &Member) -> bool {
    member
        .index
        .is_none_or(|index| index >= evidence.spec.instances)
}

fn following(standbys: usize) -> String {
    match standbys {
        0 => "no standby has to follow".into(),
        1 => "1 standby follows".into(),
        more => format!("{more} standbys follow"),
    }
}

fn missing(there: usize, wanted: usize, problems: &[String]) -> String {
    let mut words = format!("{there} of {wanted} members exist");
    for problem in problems {
        words.push_str("; ");
        words.push_str(problem);
    }
    words
}

/// Why a standby cannot be counted on, in words that begin with its name.
pub fn follows(standby: &Member, leader: &Member) -> Result<(), String> {
    let name = &standby.name;
    if let Some(why) = &standby.unschedulable {
        return Err(format!("{name} cannot be scheduled: {why}"));
    }
    if standby.terminating {
        return Err(format!("{name} is being stopped"));
    }
    let said = match &standby.status {
        None => return Err(format!("{name} is being built")),
        Some(Seen::Unknown(why)) => return Err(format!("{name}: {why}")),
        Some(Seen::Value(said)) => said,
    };
    if !said.is_of_known_format() {
        return Err(unknown_format(name, said));
    }
    if !said.is_running() {
        return Err(format!("{name} is {}", said.state));
    }
    if !standby.ready {
        return Err(format!("{name} is not ready"));
    }
    if !said.is_streaming() {
        let state = said
            .replication_state
            .as_deref()
            .unwrap_or("not streaming yet");
        return Err(format!("{name} is {state}"));
    }
    let timeline = leader.said().and_then(|said| said.timeline);
    if said.timeline.is_none() || said.timeline != timeline {
        return Err(format!("{name} is not on the leader's timeline"));
    }
    Ok(())
}

/// Why nothing can be made of what a member says.
pub fn unknown_format(name: &str, said: &MemberStatus) -> String {
    match &said.version {
        Some(version) => format!("{name} runs Patroni {version}, which is an unknown format"),
        None => format!("{name} does not say its version of Patroni, so its format is unknown"),
    }
}

/// On a Patroni that keeps waiting when strict is taken off with no standby there: one streams.
pub fn unblocks(evidence: &Evidence<'_>) -> Verdict {
    let leader = match leader(evidence) {
        Ok(leader) => leader,
        Err(verdict) => return unknown(verdict.reason()),
    };
    let Some(said) = leader.said() else {
        return unknown(format!("the leader {} has not reported yet", leader.name));
    };
    if !said.keeps_waiting_without_strict() {
        return open("Patroni lets go of writes when strict is taken off");
    }
    let follower = evidence
        .seen
        .seen_members()
        .iter()
        .find(|member| member.name != leader.name && follows(member, leader).is_ok());
    let version = said.version.as_deref().unwrap_or("of an unknown version");
    match follower {
        Some(member) => open(format!("{} streams", member.name)),
        None => closed(format!(
            "no standby streams, and Patroni {version} keeps writes waiting when strict is taken off without one: bring one back, or commit mode async first"
        )),
    }
}

fn behind(evidence: &Evidence<'_>, standby: &Member) -> Option<u64> {
    let leader = evidence.seen.patroni.leader.value()?.optime?;
    Some(leader.0.saturating_sub(standby.said()?.received()?.0))
}

/// P6.
pub fn operator_caught_up(evidence: &Evidence<'_>) -> Verdict {
    let wanted = evidence.spec.instances;
    match &evidence.seen.stateful_set {
        Seen::Unknown(why) => unknown(why.clone()),
        Seen::Value(None) => unknown("the StatefulSet was not seen"),
        Seen::Value(Some(set)) if set.replicas != wanted => closed(format!(
            "the StatefulSet asks for {} Pods, the live object for {wanted}",
            set.replicas
        )),
        Seen::Value(Some(set)) if !set.is_observed => {
            closed("the StatefulSet's last change is not observed yet")
        }
        Seen::Value(Some(set)) if set.replicas == 1 => open("the StatefulSet asks for 1 Pod"),
        Seen::Value(Some(set)) => open(format!("the StatefulSet asks for {} Pods", set.replicas)),
    }
}

/// Whether a Pod may matter to commits; true where this is not known.
pub fn streams_or_is_listed(evidence: &Evidence<'_>, name: &str) -> bool {
    let seen = evidence.seen;
    if matches!(seen.members, Seen::Unknown(_)) {
        return true;
    }
    let listed = match &seen.patroni.sync {
        Seen::Value(sync) => sync.lists(name),
        Seen::Unknown(_) => true,
    };
    let streams = seen.seen_members().iter().any(|member| {
        member.name == name
            && match &member.status {
                Some(Seen::Value(said)) => said.is_running(),
                Some(Seen::Unknown(_)) => true,
                None => false,
            }
    });
    listed || streams
}

/// In seconds up to three minutes, then in minutes.
fn seconds(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..180 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    }
}
