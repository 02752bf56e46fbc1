//! Availability: how many members a cluster may lose before writes stop, before a failover loses an acknowledged commit,
//! and before no automatic failover is possible.
//!
//! For a state that is planned and taken as in force (`expected`), and for what is seen (`observed`). Members are lost at
//! once, in the worst choice, and Patroni then does what it does (`domain.md` §5.2, §5.4). Between one failover and the
//! next it has the time to refill `/sync`; how far a standby lags is not looked at here, that is the mark's affair.

use crate::decide::durability::{NONE, Shape};
use crate::decide::evidence::{follows, unknown_format};
use crate::decide::roles::roles_of;
use crate::model::cluster::Role;
use crate::model::observed::{Member, ObservedCluster};
use crate::model::patroni::{MemberStatus, PatroniConfig, Seen, SyncState};
use crate::model::plan::{Availability, Durability, Margin};

/// The verdict on a state in which member `i` has role `members[i]`, `leader` leads, all others follow, and Patroni lists
/// as many of them as are asked for, those that may lead first (§5.2 item 2).
pub fn expected(members: &[Role], leader: usize, asked: Durability) -> Availability {
    if members.get(leader).is_none() {
        return NOBODY;
    }
    let standbys = count(members.len() - 1);
    let promotable = members
        .iter()
        .enumerate()
        .filter(|(index, role)| *index != leader && role.is_promotable());
    let promotable = count(promotable.count());
    let synchronous = asked.standbys > 0;
    let heirs = if synchronous {
        promotable.min(asked.standbys)
    } else {
        promotable
    };
    judge(&Standing {
        standbys,
        heirs,
        reserves: promotable - heirs,
        absent: 0,
        synchronous,
        strict: synchronous && asked.strict,
        paused: false,
    })
}

/// The verdict on a cluster of this shape once it is in force. The leader is taken to be a member that may lead; which one
/// makes no difference.
pub fn once_in_force(shape: &Shape) -> Availability {
    let roles = roles_of(shape);
    let leader = roles.iter().position(|role| role.is_promotable());
    let leader = leader.unwrap_or(0);
    if shape.follows {
        following(&roles, leader)
    } else {
        expected(&roles, leader, shape.asks())
    }
}

/// The verdict on a cluster that follows another one: it takes no writes, so there is no commit to lose, and Patroni
/// ignores synchronous mode (§5.1).
fn following(members: &[Role], leader: usize) -> Availability {
    read_only(expected(members, leader, NONE))
}

/// The verdict on what is seen. Whatever it would take and cannot be read makes it unknown.
pub fn observed(seen: &ObservedCluster) -> Availability {
    look(seen).unwrap_or_else(|why| Availability::unknown(&why))
}

fn look(seen: &ObservedCluster) -> Result<Availability, String> {
    let config = known(&seen.patroni.config)?;
    let record = known(&seen.patroni.leader)?;
    let members = known(&seen.members)?;
    let sync = synchronous(config, &seen.patroni.sync)?;
    for member in members {
        match &member.status {
            Some(Seen::Unknown(why)) => return Err(format!("{}: {why}", member.name)),
            Some(Seen::Value(said)) if !said.is_of_known_format() => {
                return Err(unknown_format(&member.name, said));
            }
            Some(Seen::Value(_)) | None => {}
        }
    }
    let leader = record
        .leader
        .as_ref()
        .and_then(|name| members.iter().find(|member| member.name == *name));
    let Some(leader) = leader else {
        return Ok(leaderless(members, sync, config));
    };
    if !leader.ready {
        return Err(format!("the leader {} is not ready", leader.name));
    }
    let verdict = judge(&standing(members, leader, sync, config));
    Ok(if config.standby_cluster {
        read_only(verdict)
    } else {
        verdict
    })
}

fn known<T>(seen: &Seen<T>) -> Result<&T, String> {
    match seen {
        Seen::Value(value) => Ok(value),
        Seen::Unknown(why) => Err(why.clone()),
    }
}

/// `/sync`, where it binds a failover: the configuration says synchronous *and* `/sync` has a leader (§5.4).
fn synchronous<'s>(
    config: &PatroniConfig,
    sync: &'s Seen<SyncState>,
) -> Result<Option<&'s SyncState>, String> {
    if config.standby_cluster || !config.synchronous.on {
        return Ok(None);
    }
    Ok(Some(known(sync)?).filter(|sync| sync.leader.is_some()))
}

fn standing(
    members: &[Member],
    leader: &Member,
    sync: Option<&SyncState>,
    config: &PatroniConfig,
) -> Standing {
    // What another leader left in `/sync` says nothing of who has this one's commits.
    let lists = |name: &str| {
        sync.is_none_or(|sync| sync.leader.as_ref() == Some(&leader.name) && sync.lists(name))
    };
    let mut standing = Standing {
        synchronous: sync.is_some(),
        strict: !config.standby_cluster && config.synchronous.strict,
        paused: config.paused,
        ..Standing::default()
    };
    for member in members.iter().filter(|member| member.name != leader.name) {
        let Some(said) = member.said() else {
            continue;
        };
        // Only a standby on its way down says `nosync` of itself under StackGres (§3.2).
        let stays = follows(member, leader).is_ok() && !said.has_tag("nosync");
        standing.standbys += u32::from(stays);
        match (may_lead(said), stays) {
            (false, _) => {}
            (true, true) if lists(&member.name) => standing.heirs += 1,
            (true, true) => standing.reserves += 1,
            (true, false) => standing.absent += u32::from(has_data(said)),
        }
    }
    // What `/sync` lists beyond the number asked for leaves it in the next loop.
    if standing.synchronous && standing.heirs > config.synchronous.count {
        standing.reserves += standing.heirs - config.synchronous.count;
        standing.heirs = config.synchronous.count;
    }
    standing
}

fn may_lead(said: &MemberStatus) -> bool {
    !said.has_tag("nofailover")
}

/// Whether there is an old state that could come back: a member still in the making has none.
fn has_data(said: &MemberStatus) -> bool {
    !matches!(
        said.state.as_str(),
        "creating replica" | "initializing new cluster"
    )
}

/// Nobody leads, so nothing is written. Where somebody may still be elected (§5.4) the rest is not known yet. Where nobody
/// may, only the old leader's return or a person ends it, and that person has none but members that may lack commits.
fn leaderless(
    members: &[Member],
    sync: Option<&SyncState>,
    config: &PatroniConfig,
) -> Availability {
    let able: Vec<(&Member, &MemberStatus)> = members
        .iter()
        .filter_map(|member| Some((member, member.said()?)))
        .filter(|(_, said)| may_lead(said) && has_data(said))
        .collect();
    if able.is_empty() || config.standby_cluster {
        return NOBODY;
    }
    let is_bound_out = |member: &Member| {
        sync.is_some_and(|sync| {
            sync.leader.as_ref() != Some(&member.name) && !sync.lists(&member.name)
        })
    };
    let is_candidate = able
        .iter()
        .any(|(member, said)| said.is_running() && !member.terminating && !is_bound_out(member));
    let why = "no leader holds the lock, and who will is not known yet";
    let unknown = || Margin::Unknown(why.to_owned());
    Availability {
        writes: Margin::Already,
        commits: if !is_candidate && able.iter().any(|(member, _)| is_bound_out(member)) {
            Margin::Already
        } else {
            unknown()
        },
        failover: if is_candidate && !config.paused {
            unknown()
        } else {
            Margin::Already
        },
    }
}

/// No member at all, or none that may lead: nothing is written, and no failover goes anywhere.
const NOBODY: Availability = Availability {
    writes: Margin::Already,
    commits: Margin::Never,
    failover: Margin::Already,
};

/// A cluster that follows another one takes no writes, so there is no commit of its own to lose.
fn read_only(verdict: Availability) -> Availability {
    let Availability {
        writes: _,
        commits: _,
        failover,
    } = verdict;
    Availability {
        writes: Margin::Already,
        commits: Margin::Never,
        failover,
    }
}

/// A leader and what losses can change around it. Members of a class are alike, so counts are enough.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    /// Standbys that follow, whatever their role: strict needs one of them, and takes a `readonly` one too (§2.2).
    standbys: u32,
    /// Those that an automatic failover may go to: promotable, and in `/sync` where that binds it (§5.4).
    heirs: u32,
    /// Promotable and following, but not in `/sync`: from them it is refilled (§5.2 item 2).
    reserves: u32,
    /// Promotable and not following now: they may come back without the latest commits.
    absent: u32,
    /// A failover is bound to `/sync`, and each commit waits for those that it lists.
    synchronous: bool,
    /// Writes wait where no standby is left (§5.3).
    strict: bool,
    /// Patroni fails over no more by itself (§5.1).
    paused: bool,
}

fn judge(standing: &Standing) -> Availability {
    Availability {
        writes: writes(standing),
        commits: commits(standing),
        failover: failover(standing),
    }
}

/// The margin below the smallest set of losses that brings it about.
fn below(smallest: u32) -> Margin {
    match smallest.checked_sub(1) {
        Some(losses) => Margin::Lost(losses),
        None => Margin::Already,
    }
}

/// While the leader lives it writes, alone if need be: a lost synchronous standby holds commits only until Patroni takes it
/// off the list (§5.3), seconds that no person has to end. So writes stop for good with the leader and all its heirs: the
/// other standbys, promotable or not, stay read-only until one of those returns (§5.4). Strict writes stop as well with
/// one survivor, whoever it is: with all standbys, or with the leader and all standbys but the heir (`*`, §5.2 item 5).
fn writes(standing: &Standing) -> Margin {
    let heirs = if standing.paused { 0 } else { standing.heirs };
    let nobody_leads = 1 + heirs;
    below(if standing.strict {
        nobody_leads.min(standing.standbys)
    } else {
        nobody_leads
    })
}

/// A failover goes to an heir while there is one, and a forced one is taken to choose it too; never to a member that may
/// not lead (§5.4).
///
/// Asynchronous: an heir may lack what the leader acknowledged last, so the leader alone is enough, if there is an heir.
///
/// Synchronous: an heir has every acknowledged commit (§5.2, invariant), so leader and heirs all have to go; then a person
/// can only force it upon somebody outside `/sync`. Either such a member is there now (`k` listed, more promotable), or one
/// of the heirs is lost first, is taken off the list, and comes back stale after the leader has gone on without it. Both
/// take the leader and as many as there are heirs. The second needs the leader to acknowledge something meanwhile: not
/// strict it does so alone, strict it needs a second standby, of any role. Hence two members in strict mode never lose a
/// commit in a failover, at the price of their writes. Members that may not lead make no difference beyond that, and where
/// only they are left no failover loses anything, since none is possible.
fn commits(standing: &Standing) -> Margin {
    let Standing {
        standbys,
        heirs,
        reserves,
        absent,
        synchronous,
        strict,
        paused: _,
    } = *standing;
    if heirs + reserves + absent == 0 {
        return Margin::Never;
    }
    if !synchronous {
        return below(1);
    }
    let goes_on_without_an_heir = !strict || standbys > 1;
    if reserves + absent == 0 && !goes_on_without_an_heir {
        return Margin::Never;
    }
    below(1 + heirs)
}

/// One failover needs one heir. `/sync` is refilled from the reserves while somebody leads, so without the leader among
/// the losses heirs and reserves all have to go; with it, as many, since one of them leads by then; or the leader and all
/// heirs at once, before anything could be refilled.
fn failover(standing: &Standing) -> Margin {
    if standing.heirs == 0 || standing.paused {
        return Margin::Already;
    }
    below((standing.heirs + standing.reserves).min(1 + standing.heirs))
}

fn count(members: usize) -> u32 {
    u32::try_from(members).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::scene::Scene;
    use Margin::{Already, Lost, Never};
    use serde_json::json;

    fn healthy(instances: u32, mode: &str) -> Availability {
        let (mode, sync_instances) = match mode.split_once(' ') {
            Some((mode, count)) => (mode, count.parse().ok()),
            None => (mode, None),
        };
        let shape = Shape {
            instances,
            mode: mode.parse().unwrap(),
            sync_instances,
            role: Role::HaRead,
            groups: Vec::new(),
            follows: false,
        };
        once_in_force(&shape)
    }

    /// Writes, commits, failover.
    fn told(verdict: &Availability) -> [String; 3] {
        let Availability {
            writes,
            commits,
            failover,
        } = verdict;
        [writes, commits, failover].map(|margin| match margin {
            Lost(losses) => losses.to_string(),
            Never => "never".into(),
            Already => "already".into(),
            Margin::Unknown(why) => why.clone(),
        })
    }

    #[test]
    fn asynchronous_outlives_its_members_and_may_lose_commits_with_the_leader() {
        assert_eq!(told(&healthy(3, "async")), ["2", "0", "1"]);
    }

    #[test]
    fn one_synchronous_standby_is_all_that_a_failover_may_go_to() {
        assert_eq!(told(&healthy(2, "sync 1")), ["1", "1", "0"]);
        assert_eq!(told(&healthy(3, "sync 1")), ["1", "1", "1"]);
        assert_eq!(told(&healthy(5, "sync 1")), ["1", "1", "1"]);
    }

    #[test]
    fn all_synchronous_keeps_commits_as_long_as_one_member_is_left() {
        assert_eq!(told(&healthy(4, "sync-all")), ["3", "3", "2"]);
    }

    #[test]
    fn strict_gives_up_writes_one_loss_earlier() {
        assert_eq!(told(&healthy(3, "sync-all")), ["2", "2", "1"]);
        assert_eq!(told(&healthy(3, "strict-sync-all")), ["1", "2", "1"]);
        assert_eq!(told(&healthy(3, "strict-sync 1")), ["1", "1", "1"]);
    }

    #[test]
    fn two_strict_members_never_lose_a_commit_and_cannot_spare_either() {
        assert_eq!(told(&healthy(2, "strict-sync 1")), ["0", "never", "0"]);
        assert_eq!(told(&healthy(2, "sync 1")), ["1", "1", "0"]);
    }

    #[test]
    fn a_single_member_has_nothing_to_fail_over_to() {
        for mode in ["async", "sync-all", "strict-sync-all"] {
            assert_eq!(told(&healthy(1, mode)), ["0", "never", "already"], "{mode}");
        }
        // Only `kubectl scale` can store it (§6.2 H7): strict without a standby blocks at once.
        assert_eq!(
            told(&healthy(1, "strict-sync 1")),
            ["already", "never", "already"]
        );
        assert_eq!(
            told(&expected(&[], 0, NONE)),
            ["already", "never", "already"]
        );
    }

    #[test]
    fn members_that_may_not_lead_keep_strict_writing_and_save_nothing_else() {
        use Role::{HaRead, None, Readonly};
        let strict = |standbys| Durability {
            strict: true,
            standbys,
        };
        assert_eq!(
            told(&expected(&[HaRead, Readonly, None], 0, strict(2))),
            ["0", "never", "already"]
        );
        assert_eq!(
            told(&expected(&[HaRead, HaRead, Readonly], 0, strict(2))),
            ["1", "1", "0"]
        );
        assert_eq!(
            told(&expected(&[HaRead, HaRead, Readonly], 0, NONE)),
            ["1", "0", "0"]
        );
    }

    #[test]
    fn an_unknown_format_of_any_member_makes_the_verdict_unknown() {
        let mut scene = Scene::asynchronous(3);
        assert_eq!(told(&observed(&scene.seen)), ["2", "0", "1"]);
        scene.says("c-1", |said| said.version = Some("5.0.0".into()));
        assert_eq!(
            told(&observed(&scene.seen)),
            ["c-1 runs Patroni 5.0.0, which is an unknown format"; 3]
        );
    }

    #[test]
    fn a_cluster_that_follows_another_takes_no_writes() {
        assert_eq!(
            told(&following(&[Role::HaRead; 3], 0)),
            ["already", "never", "1"]
        );
    }

    fn seen(instances: u32, mode: &str) -> Scene {
        Scene::with(instances, json!({"mode": mode}))
    }

    #[test]
    fn a_standby_that_does_not_follow_is_lost_already_and_may_come_back_stale() {
        let mut scene = seen(3, "strict-sync-all");
        assert_eq!(told(&observed(&scene.seen)), ["1", "2", "1"]);
        scene.member("c-2").ready = false;
        assert_eq!(told(&observed(&scene.seen)), ["0", "1", "0"]);
        scene.member("c-2").status = None;
        assert_eq!(told(&observed(&scene.seen)), ["0", "never", "0"]);
    }

    #[test]
    fn until_sync_lists_a_standby_no_failover_is_possible() {
        let mut scene = seen(3, "sync-all");
        scene.seen.patroni.sync = Seen::Value(SyncState {
            leader: Some("c-0".into()),
            ..SyncState::default()
        });
        assert_eq!(told(&observed(&scene.seen)), ["0", "0", "already"]);
        let mut scene = seen(3, "sync-all");
        scene.lead("c-1");
        assert_eq!(told(&observed(&scene.seen)), ["0", "0", "already"]);
    }

    #[test]
    fn what_is_configured_counts_and_not_what_the_object_says() {
        let mut scene = seen(3, "sync-all");
        if let Seen::Value(config) = &mut scene.seen.patroni.config {
            config.synchronous.on = false;
        }
        assert_eq!(told(&observed(&scene.seen)), ["2", "0", "1"]);
        if let Seen::Value(config) = &mut scene.seen.patroni.config {
            config.synchronous.on = true;
            config.synchronous.count = 1;
        }
        assert_eq!(told(&observed(&scene.seen)), ["1", "1", "1"]);
    }

    #[test]
    fn paused_patroni_fails_over_no_more() {
        let mut scene = seen(3, "sync-all");
        if let Seen::Value(config) = &mut scene.seen.patroni.config {
            config.paused = true;
        }
        assert_eq!(told(&observed(&scene.seen)), ["0", "2", "already"]);
    }

    #[test]
    fn without_a_leader_nothing_is_written_and_who_is_next_is_not_known() {
        const OPEN: &str = "no leader holds the lock, and who will is not known yet";
        let mut scene = seen(3, "sync-all");
        if let Seen::Value(record) = &mut scene.seen.patroni.leader {
            record.leader = None;
        }
        assert_eq!(told(&observed(&scene.seen)), ["already", OPEN, OPEN]);
        scene.seen.patroni.sync = Seen::Value(SyncState {
            leader: Some("c-0".into()),
            ..SyncState::default()
        });
        scene.says("c-0", |said| said.state = "stopped".into());
        assert_eq!(
            told(&observed(&scene.seen)),
            ["already", "already", "already"]
        );
    }

    #[test]
    fn what_cannot_be_read_is_unknown_and_says_why() {
        let told_of = |change: fn(&mut Scene)| {
            let mut scene = seen(3, "sync-all");
            change(&mut scene);
            told(&observed(&scene.seen))
        };
        let unknown = |why: &str| [why.to_owned(), why.to_owned(), why.to_owned()];
        assert_eq!(
            told_of(|scene| scene.seen.patroni.config = Seen::Unknown("forbidden".into())),
            unknown("forbidden")
        );
        assert_eq!(
            told_of(|scene| scene.seen.patroni.sync = Seen::Unknown("forbidden".into())),
            unknown("forbidden")
        );
        assert_eq!(
            told_of(|scene| scene.member("c-1").status = Some(Seen::Unknown("not JSON".into()))),
            unknown("c-1: not JSON")
        );
        assert_eq!(
            told_of(|scene| scene.member("c-0").ready = false),
            unknown("the leader c-0 is not ready")
        );
    }
}
