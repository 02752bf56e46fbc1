//! The order: from a live shape to a desired one, the writes between, each safe where it stands.
//!
//! What adds capacity comes first and travels with what loosens; instances then go down one at a time; then it tightens,
//! strict last and alone; what takes roles away is the end. A write that Patroni would not notice is not made, the declared
//! spelling excepted. `next` knows only where the cluster is, where it should be and whom `/sync` lists, so a new commit, a
//! revert, a failover or a restart in the middle just plans again.

use crate::decide::durability::{NONE, Shape, meet};
use crate::decide::roles::{Cover, Turn, cover, opening, roles_of, spelled};
use crate::model::cluster::{Mode, Role};
use crate::model::plan::{Durability, Move};

/// One write: the shape it leaves behind, what it does, and why it stands here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    pub to: Shape,
    pub moves: Vec<Move>,
    pub why: String,
}

/// All writes from `live` to `target`; empty where they are equal. `cluster` names the Pods, `listed` are the indexes of the
/// standbys in `/sync`, where these are known: only the first write is decided by them.
pub fn hops(cluster: &str, live: &Shape, target: &Shape, listed: Option<&[u32]>) -> Vec<Hop> {
    let mut hops = Vec::new();
    let mut at = live.clone();
    let mut listed = listed;
    while let Some(hop) = next(cluster, &at, target, listed) {
        at = hop.to.clone();
        listed = None;
        hops.push(hop);
    }
    hops
}

/// The shape in which an absent cluster is created: final instances and roles, nothing synchronous yet.
pub fn cradle(target: &Shape) -> Shape {
    let mut first = target.clone();
    if target.asks() != NONE {
        first.mode = Mode::Async;
    }
    first
}

/// The first write from `at` towards `target`. Each write moves strictly closer, so repeating it ends.
pub fn next(cluster: &str, at: &Shape, target: &Shape, listed: Option<&[u32]>) -> Option<Hop> {
    if at == target {
        return None;
    }
    let way = Way::between(cluster, at, target, listed);
    Some(if at.follows && !target.follows {
        way.lead()
    } else if way.grows() || way.turn.gains || way.is_due() {
        way.open()
    } else if way.removes() {
        way.remove()
    } else if way.climbs() {
        way.climb()
    } else if way.old != way.new {
        way.take_roles()
    } else if target.follows && !at.follows {
        way.follow()
    } else {
        way.spell()
    })
}

/// Both ends, and what lies between them.
struct Way<'w> {
    cluster: &'w str,
    at: &'w Shape,
    target: &'w Shape,
    listed: Option<&'w [u32]>,
    has: Durability,
    wants: Durability,
    /// What every shape between them promises at least.
    common: Durability,
    old: Vec<Role>,
    new: Vec<Role>,
    turn: Turn,
}

impl<'w> Way<'w> {
    fn between(
        cluster: &'w str,
        at: &'w Shape,
        target: &'w Shape,
        listed: Option<&'w [u32]>,
    ) -> Self {
        let (old, new) = (roles_of(at), roles_of(target));
        let (has, wants) = (at.asks(), target.asks());
        Self {
            cluster,
            at,
            target,
            listed,
            has,
            wants,
            common: meet(has, wants),
            turn: Turn::between(&old, &new),
            old,
            new,
        }
    }

    fn grows(&self) -> bool {
        self.at.instances < self.target.instances
    }

    fn removes(&self) -> bool {
        self.at.instances > self.target.instances
    }

    fn loosens(&self) -> bool {
        self.common != self.has
    }

    fn climbs(&self) -> bool {
        self.wants.standbys > self.has.standbys || (self.wants.strict && !self.has.strict)
    }

    /// Strict comes off, or all that is synchronous: writes may be waiting for that, so nothing may hold it up.
    fn frees(&self) -> bool {
        self.loosens() && (self.common.strict != self.has.strict || self.common.standbys == 0)
    }

    /// A loosening that is not put off: one that frees, and a count that the next removal would leave unfulfilled. A mere
    /// count stays up while members or their right to lead go, since the more standbys are listed, the surer one of them
    /// stays (`roles::cover`).
    fn is_due(&self) -> bool {
        let makes_room = self.removes() && self.has.standbys.saturating_add(2) > self.at.instances;
        let waits = self.removes() || self.turn.demotes;
        self.loosens() && (self.frees() || makes_room || !waits)
    }

    fn name(&self, index: u32) -> String {
        format!("{}-{index}", self.cluster)
    }

    /// The shape with this durability, these roles, and as many instances as there are roles.
    fn shape(&self, durability: Durability, roles: &[Role], follows: bool) -> Shape {
        let (at, target) = (self.at, self.target);
        let instances = u32::try_from(roles.len()).unwrap_or(u32::MAX);
        if instances == target.instances
            && durability == self.wants
            && roles == self.new
            && follows == target.follows
        {
            return target.clone();
        }
        let (role, groups) = spelled(roles, &[at, target]);
        let is_all = durability.standbys + 1 == instances
            && instances == target.instances
            && target.mode.is_all();
        let mode = match (durability.standbys, is_all, durability.strict) {
            (0, _, _) => Mode::Async,
            (_, true, false) => Mode::SyncAll,
            (_, true, true) => Mode::StrictSyncAll,
            (_, false, false) => Mode::Sync,
            (_, false, true) => Mode::StrictSync,
        };
        let sync_instances = if durability.standbys == 0 || is_all {
            target.sync_instances
        } else {
            Some(durability.standbys)
        };
        Shape {
            instances,
            mode,
            sync_instances,
            role,
            groups,
            follows,
        }
    }

    /// The members whose role a write changes, with the role they get.
    fn changed(&self, roles: &[Role]) -> Vec<(String, Role)> {
        let both = self.old.iter().zip(roles).zip(0..);
        both.filter(|((old, new), _)| old != new)
            .map(|((_, new), index)| (self.name(index), *new))
            .collect()
    }

    /// Everything that adds or frees, in one write. Only the right to lead waits, while commits wait for standbys, for those
    /// that get it to move; so it does not travel with what may not wait.
    fn open(&self) -> Hop {
        let instances = self.at.instances.max(self.target.instances);
        let gives_later = self.turn.promotes && self.has.standbys > 0 && self.frees();
        let mut roles = opening(&self.old, &self.new, instances);
        if gives_later {
            for (role, old) in roles.iter_mut().zip(&self.old) {
                let reads = role.serves_reads() || old.serves_reads();
                *role = Role::with(old.is_promotable(), reads);
            }
        }
        let given = self.changed(&roles);
        let mut moves = Vec::new();
        if !given.is_empty() {
            moves.push(Move::GiveRoles { members: given });
        }
        if self.loosens() {
            let stays = Shape {
                instances: self.at.instances,
                ..self.target.clone()
            };
            let is_asked_for = meet(self.has, stays.asks()) != self.has;
            moves.push(Move::Loosen {
                from: self.has,
                to: self.common,
                makes_room: (self.removes() && !is_asked_for).then_some(self.target.instances),
            });
        }
        if self.grows() && self.at.instances == 0 {
            moves.push(Move::Start {
                to: self.target.instances,
            });
        } else if self.grows() {
            moves.push(Move::Grow {
                from: self.at.instances,
                to: self.target.instances,
            });
        }
        Hop {
            to: self.shape(self.common, &roles, self.at.follows),
            why: self.why_open(&moves),
            moves,
        }
    }

    fn why_open(&self, moves: &[Move]) -> String {
        let mode = self.at.mode;
        let starts = self.at.instances == 0;
        match moves {
            [Move::GiveRoles { .. }] => {
                "what members may do more comes first, so that nothing is missing meanwhile".into()
            }
            [Move::Loosen { .. }] if self.removes() => {
                "fewer standbys must acknowledge before one of them is removed".into()
            }
            [Move::Loosen { .. }] => "loosening blocks no writes and is one write".into(),
            [Move::GiveRoles { .. }, Move::Loosen { .. }] => {
                "both free something and hold nothing up, so they are one write".into()
            }
            _ if starts => {
                "no member runs that could acknowledge, so it starts asynchronous and climbs".into()
            }
            _ if self.loosens() => {
                "loosening needs no new member and removes none, so it travels with the new members"
                    .into()
            }
            _ if mode.is_all() && self.at.instances > 1 && !self.at.follows => format!(
                "{mode} would wait for each new member while it is being built, so the count is pinned first"
            ),
            _ if mode.is_all() && !self.at.follows => format!(
                "{mode} with one instance is asynchronous, so it grows as async and tightens when the members stream"
            ),
            _ => "new members come first and change nothing that commits wait for".into(),
        }
    }

    fn remove(&self) -> Hop {
        let instances = self.at.instances - 1;
        let kept = &self.old[..instances as usize];
        let is_last = instances == self.target.instances;
        // What takes roles away may travel with the last removal, where no climb is judged between them and a listed
        // standby outlasts both.
        let together = is_last
            && !self.climbs()
            && kept != self.new
            && match self.covered(&self.new) {
                Cover::Stays(_) => true,
                Cover::Impossible => self.covered(kept) == Cover::Impossible,
                Cover::Raise(_) | Cover::NotListed => false,
            };
        let after: &[Role] = if together { &self.new } else { kept };
        if let Cover::Raise(standbys) = self.covered(after) {
            return self.cover(standbys, &self.name(instances));
        }
        let to = self.shape(self.has, after, self.at.follows);
        let member = self.name(instances);
        if instances == 0 {
            // With a count declared the operator would turn Patroni synchronous before the last Pod has gone.
            let mut to = to;
            if to.mode.counts() {
                to.mode = Mode::Async;
            }
            return Hop {
                to,
                moves: vec![Move::Stop { member }],
                why: "the last member goes when all others have gone, so that its volume is the newest".into(),
            };
        }
        let mut moves = vec![Move::Remove {
            member,
            instances,
            end: self.target.instances,
        }];
        if together {
            moves.push(self.taking(&self.new));
        }
        Hop {
            to,
            moves,
            why: "instances go down one at a time, the highest index first".into(),
        }
    }

    fn covered(&self, after: &[Role]) -> Cover {
        match self.listed {
            Some(listed) if self.common.standbys > 0 => {
                cover(&self.old, after, self.has.standbys, listed)
            }
            // Nothing is listed that has to be kept, or it is not known who is: the gates of the write will tell.
            Some(_) | None => Cover::Stays(None),
        }
    }

    /// More standbys are made synchronous, so that `/sync` keeps one that may be promoted.
    fn cover(&self, standbys: u32, goes: &str) -> Hop {
        let raised = Durability {
            strict: self.has.strict,
            standbys,
        };
        Hop {
            to: self.shape(raised, &self.old, self.at.follows),
            moves: vec![Move::Climb { standbys }],
            why: format!(
                "of the standbys in /sync none could take over once {goes} has gone, so another is listed first"
            ),
        }
    }

    fn climb(&self) -> Hop {
        if self.wants.standbys > self.has.standbys {
            let standbys = self.wants.standbys;
            let raised = Durability {
                strict: self.has.strict,
                standbys,
            };
            return Hop {
                to: self.shape(raised, &self.old, self.at.follows),
                moves: vec![Move::Climb { standbys }],
                why: "commits wait for the added standbys from here on, so all of them must follow first".into(),
            };
        }
        Hop {
            to: self.shape(self.wants_strict(), &self.old, self.at.follows),
            moves: vec![Move::AddStrict {
                standbys: self.has.standbys,
            }],
            why: "strict stops writes when no synchronous standby is left, so it comes last and alone".into(),
        }
    }

    fn wants_strict(&self) -> Durability {
        Durability {
            strict: true,
            standbys: self.has.standbys,
        }
    }

    fn taking(&self, roles: &[Role]) -> Move {
        Move::TakeRoles {
            members: self.changed(roles),
            roles: roles.to_vec(),
        }
    }

    fn take_roles(&self) -> Hop {
        let taken = self.taking(&self.new);
        if let (Cover::Raise(standbys), Move::TakeRoles { members, .. }) =
            (self.covered(&self.new), &taken)
        {
            let names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
            return self.cover(
                standbys,
                &format!("the right to lead of {}", names.join(", ")),
            );
        }
        Hop {
            to: self.shape(self.has, &self.new, self.at.follows),
            moves: vec![taken],
            why: "what members may do no more comes last, when those that stay are in their place"
                .into(),
        }
    }

    fn lead(&self) -> Hop {
        Hop {
            to: self.shape(NONE, &self.old, false),
            moves: vec![Move::Lead],
            why: "it is promoted asynchronous, and climbs when its members follow the new timeline"
                .into(),
        }
    }

    fn follow(&self) -> Hop {
        Hop {
            to: self.target.clone(),
            moves: vec![Move::Follow],
            why: "it gives up its own history, so everything else comes before".into(),
        }
    }

    fn spell(&self) -> Hop {
        Hop {
            to: self.target.clone(),
            moves: vec![Move::Spell],
            why: "Patroni is asked for the same; only the declared words change".into(),
        }
    }
}

#[cfg(test)]
mod tests;
