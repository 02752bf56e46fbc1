//! A small StackGres operator and a small Patroni: what is stored, what has come of it, and every move that may be next.
//!
//! Written from `domain.md` §2.4, §4.5 and §5. Writers move freely between each other: each Pod's controller tags its own
//! Pod, the operator writes the configuration and then the StatefulSet, Pods come and go, the leader's loop moves the
//! synchronous standbys one stage at a time, and one thing may break.

use std::fmt;

use lockstep::model::cluster::Role;

use crate::object::{Doc, Keys, MOST, Record, leads};

/// What a look can know of time is counted in loops of the leader; more than these tell nothing more.
pub const LEADER_SETTLED: u8 = 2;
pub const LIST_SETTLED: u8 = 2;
pub const CONFIG_SETTLED: u8 = 1;
pub const MOVED: u8 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pod {
    Absent,
    Building,
    /// Runs; a standby streams.
    Up,
    /// Asked to stop: it tells the leader not to wait for it, and goes when it is let go.
    Stopping,
    /// Its node is gone; nothing tells its own annotation.
    Lost,
}

/// What `synchronous_standby_names` makes commits wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Waits {
    /// A set of indexes; empty: for nobody.
    For(u8),
    /// `*`: any standby, where none streams.
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    None,
    /// A standby keeps its connection and applies nothing.
    Frozen(u8),
    Lost(u8),
    /// A member that is being built and does not get ready.
    Slow(u8),
    /// The operator does nothing.
    Late,
    /// Lockstep was started anew and has to look again.
    Restarted,
}

/// Where a run stands with its one fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    Whole,
    Broken,
    Healed,
}

/// What Lockstep has written since the fault that can make commits wait for somebody else.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Since {
    pub tightened: bool,
    pub removed: bool,
    /// Another member may lead, and Patroni prefers those.
    pub moved_rights: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct World {
    pub doc: Doc,
    pub record: Record,
    pub pods: [Pod; MOST],
    /// The tags that each Pod has taken up.
    pub tags: [Role; MOST],
    pub keys: Keys,
    /// `spec.replicas` of the StatefulSet.
    pub replicas: u8,
    pub leader: Option<u8>,
    /// Whether the holder of the lock is gone and its record stands.
    pub is_stale: bool,
    pub waits: Waits,
    /// `/sync`: its leader and the standbys it lists.
    pub sync: Option<(u8, u8)>,
    pub fault: Fault,
    pub phase: Phase,
    pub since_fault: Since,
    /// `/sync` has guarded failovers since the mode was last asynchronous.
    pub is_guarded: bool,
    /// Leader loops since: the configuration changed, the list changed, the leader changed, a standby began to stream.
    pub config_loops: u8,
    pub list_loops: u8,
    pub leader_loops: u8,
    pub moved: [u8; MOST],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Start,
    Write(Doc),
    Tag(u8),
    Configure,
    Scale,
    Up(u8),
    Gone(u8),
    Loop,
    List(u8),
    Wait(Waits),
    Break(Fault),
    LoseLeader,
    TakeOver(u8),
    Heal,
}

pub fn bit(index: u8) -> u8 {
    1 << index
}

pub fn indexes(mask: u8) -> impl Iterator<Item = u8> {
    (0..8).filter(move |index| mask & bit(*index) != 0)
}

/// All sets of `size` members of `mask`.
pub fn subsets(mask: u8, size: u32) -> impl Iterator<Item = u8> {
    (0..=mask).filter(move |set| set & !mask == 0 && set.count_ones() == size)
}

impl World {
    /// Everything done for this object, with this leader, and this list where it is synchronous.
    pub fn settled(doc: Doc, leader: Option<u8>, listed: u8) -> Self {
        let mut pods = [Pod::Absent; MOST];
        let mut tags = [Role::HaRead; MOST];
        for index in 0..usize::from(doc.instances) {
            pods[index] = Pod::Up;
            tags[index] = doc.role_of(index).expect("every instance has a role");
        }
        let keys = doc.keys();
        let sync = leader.filter(|_| keys.on).map(|leader| (leader, listed));
        Self {
            doc,
            record: Record::Before,
            pods,
            tags,
            keys,
            replicas: doc.instances,
            leader,
            is_stale: false,
            waits: Waits::For(listed),
            sync,
            fault: Fault::None,
            phase: Phase::Whole,
            since_fault: Since::default(),
            is_guarded: sync.is_some(),
            config_loops: CONFIG_SETTLED,
            list_loops: LIST_SETTLED,
            leader_loops: LEADER_SETTLED,
            moved: std::array::from_fn(|index| {
                u8::from(pods[index] == Pod::Up && Some(index) != leader.map(usize::from)) * MOVED
            }),
        }
    }

    /// Every settled world of an object: each member that may lead, each list that Patroni may have come to.
    pub fn settlements(doc: Doc) -> Vec<Self> {
        if doc.instances == 0 {
            return vec![Self::settled(doc, None, 0)];
        }
        let mut worlds = Vec::new();
        for leader in (0..doc.instances).filter(|index| doc.leads(usize::from(*index))) {
            let bare = Self::settled(doc, Some(leader), 0);
            if bare.keys.on {
                for listed in bare.picks() {
                    worlds.push(Self::settled(doc, Some(leader), listed));
                }
            } else {
                worlds.push(bare);
            }
        }
        worlds
    }

    pub fn is_up(&self, index: u8) -> bool {
        self.pods[usize::from(index)] == Pod::Up
    }

    /// Whether a standby streams and really follows.
    pub fn follows(&self, index: u8) -> bool {
        self.is_up(index) && self.leader != Some(index) && self.fault != Fault::Frozen(index)
    }

    pub fn standbys(&self) -> u8 {
        (0..MOST as u8)
            .filter(|index| self.is_up(*index) && self.leader != Some(*index))
            .map(bit)
            .sum()
    }

    pub fn has_live_leader(&self) -> bool {
        self.leader.is_some() && !self.is_stale
    }

    fn waited_for(&self) -> u8 {
        match self.waits {
            Waits::For(mask) => mask,
            Waits::Any => 0,
        }
    }

    /// The sets that Patroni may pick (§5.2): members that may lead first, then those it waits for already, then those
    /// that are further; among equals any.
    pub fn picks(&self) -> Vec<u8> {
        let rank = |index: u8| {
            (
                !leads(self.tags[usize::from(index)]),
                self.waited_for() & bit(index) == 0,
                self.fault == Fault::Frozen(index),
            )
        };
        let mut candidates: Vec<u8> = indexes(self.standbys()).collect();
        candidates.sort_by_key(|index| rank(*index));
        let wanted = usize::from(self.keys.count).min(candidates.len());
        let mut sure = 0;
        let mut taken = 0;
        for group in candidates.chunk_by(|one, other| rank(*one) == rank(*other)) {
            let mask: u8 = group.iter().map(|index| bit(*index)).sum();
            if taken + group.len() <= wanted {
                sure |= mask;
                taken += group.len();
                continue;
            }
            let rest = u32::try_from(wanted - taken).expect("a few standbys");
            return subsets(mask, rest).map(|some| sure | some).collect();
        }
        vec![sure]
    }

    /// Every next move but Lockstep's. Faults are moves where `breaks` says so.
    pub fn moves(&self, breaks: bool) -> Vec<(Event, World)> {
        let mut moves = Vec::new();
        self.controllers(&mut moves);
        self.operator(&mut moves);
        self.members(&mut moves);
        self.patroni(&mut moves);
        self.faults(breaks, &mut moves);
        moves
    }

    fn controllers(&self, moves: &mut Vec<(Event, World)>) {
        for index in 0..MOST {
            let runs = matches!(self.pods[index], Pod::Up | Pod::Stopping);
            if let Some(role) = self.doc.role_of(index)
                && runs
                && role != self.tags[index]
            {
                let mut next = *self;
                next.tags[index] = role;
                moves.push((Event::Tag(index as u8), next));
            }
        }
    }

    fn operator(&self, moves: &mut Vec<(Event, World)>) {
        if self.fault == Fault::Late {
            return;
        }
        if self.keys != self.doc.keys() {
            let mut next = *self;
            next.keys = self.doc.keys();
            next.config_loops = 0;
            moves.push((Event::Configure, next));
        } else if self.replicas != self.doc.instances {
            let mut next = *self;
            next.replicas = self.doc.instances;
            for index in 0..MOST as u8 {
                let pod = &mut next.pods[usize::from(index)];
                let is_kept = self.leader == Some(index) && next.replicas > 0;
                *pod = match *pod {
                    Pod::Absent if index < next.replicas => Pod::Building,
                    Pod::Building | Pod::Lost if index >= next.replicas && !is_kept => Pod::Absent,
                    Pod::Up if index >= next.replicas && !is_kept => Pod::Stopping,
                    other => other,
                };
            }
            moves.push((Event::Scale, next));
        }
    }

    fn members(&self, moves: &mut Vec<(Event, World)>) {
        for index in 0..MOST as u8 {
            let place = usize::from(index);
            match self.pods[place] {
                Pod::Building if self.fault != Fault::Slow(index) => {
                    // The first member of a cluster that was stopped leads; the others follow a leader.
                    let starts = self.leader.is_none() && index == 0;
                    if !starts && !self.has_live_leader() {
                        continue;
                    }
                    let mut next = *self;
                    next.pods[place] = Pod::Up;
                    next.tags[place] = self.doc.role_of(place).unwrap_or(Role::HaRead);
                    next.moved[place] = 0;
                    if starts {
                        next.lead(index);
                    }
                    moves.push((Event::Up(index), next));
                }
                Pod::Stopping => {
                    let is_faulty = self.fault == Fault::Frozen(index);
                    let listed = self.sync.map_or(0, |(_, listed)| listed);
                    if (self.waited_for() | listed) & bit(index) != 0 && !is_faulty {
                        continue;
                    }
                    let mut next = *self;
                    next.pods[place] = Pod::Absent;
                    if self.leader == Some(index) {
                        next.leader = None;
                        (next.sync, next.waits) = (None, Waits::For(0));
                    }
                    moves.push((Event::Gone(index), next));
                }
                Pod::Absent | Pod::Building | Pod::Up | Pod::Lost => {}
            }
        }
    }

    /// The leader's loop, one stage at a time; a whole loop passes only when none is left to do.
    fn patroni(&self, moves: &mut Vec<(Event, World)>) {
        let Some(leader) = self.leader.filter(|_| !self.is_stale) else {
            return;
        };
        if self.pods[usize::from(leader)] != Pod::Up {
            return;
        }
        let mut worlds = Vec::new();
        let stages = if self.keys.on {
            for picks in self.picks() {
                worlds.extend(self.stage(leader, picks));
            }
            worlds
        } else if self.sync.is_some() {
            vec![self.list(None)]
        } else if self.waits != Waits::For(0) {
            vec![self.wait(Waits::For(0))]
        } else {
            worlds
        };
        if stages.is_empty() {
            let mut next = *self;
            next.config_loops = (self.config_loops + 1).min(CONFIG_SETTLED);
            next.list_loops = (self.list_loops + 1).min(LIST_SETTLED);
            next.leader_loops = (self.leader_loops + 1).min(LEADER_SETTLED);
            for index in indexes(self.standbys()) {
                if self.follows(index) {
                    next.moved[usize::from(index)] = MOVED;
                }
            }
            if next != *self {
                moves.push((Event::Loop, next));
            }
        }
        for (event, next) in stages {
            if !moves.iter().any(|(_, known)| *known == next) {
                moves.push((event, next));
            }
        }
    }

    fn stage(&self, leader: u8, picks: u8) -> Option<(Event, World)> {
        let wanted = match picks {
            0 if self.keys.strict => Waits::Any,
            picks => Waits::For(picks),
        };
        if wanted == Waits::Any && self.waits != Waits::Any {
            // Set as the configuration is reloaded, before anything else (§5.5).
            return Some(self.wait(wanted));
        }
        let Some((owner, listed)) = self.sync.filter(|(owner, _)| *owner == leader) else {
            return Some(self.list(Some((leader, 0))));
        };
        if listed & !picks != 0 {
            return Some(self.list(Some((owner, listed & picks))));
        }
        if self.waits != wanted {
            return Some(self.wait(wanted));
        }
        let caught_up: u8 = indexes(picks)
            .filter(|index| self.follows(*index))
            .map(bit)
            .sum();
        if listed | caught_up != listed {
            return Some(self.list(Some((owner, listed | caught_up))));
        }
        None
    }

    fn list(&self, sync: Option<(u8, u8)>) -> (Event, World) {
        let mut next = *self;
        let listed = |sync: Option<(u8, u8)>| sync.map_or(0, |(_, listed)| listed);
        if listed(sync) != listed(self.sync) {
            next.list_loops = 0;
        }
        next.sync = sync;
        next.is_guarded |= sync.is_some();
        (Event::List(listed(sync)), next)
    }

    fn wait(&self, waits: Waits) -> (Event, World) {
        let mut next = *self;
        next.waits = waits;
        (Event::Wait(waits), next)
    }

    fn lead(&mut self, index: u8) {
        self.leader = Some(index);
        self.is_stale = false;
        self.waits = if self.keys.on && self.keys.strict {
            Waits::Any
        } else {
            Waits::For(0)
        };
        self.sync = self.keys.on.then_some((index, 0));
        self.forget();
    }

    /// All that looks have shown is worthless.
    fn forget(&mut self) {
        (self.config_loops, self.list_loops, self.leader_loops) = (0, 0, 0);
        self.moved = [0; MOST];
    }

    fn faults(&self, breaks: bool, moves: &mut Vec<(Event, World)>) {
        if self.is_stale {
            self.take_overs(moves);
        }
        if self.phase == Phase::Broken {
            moves.push((Event::Heal, self.healed()));
        }
        if !breaks || self.phase != Phase::Whole || self.fault != Fault::None {
            return;
        }
        let broken = |fault: Fault| {
            let mut next = *self;
            (next.fault, next.phase) = (fault, Phase::Broken);
            next
        };
        for index in 0..MOST as u8 {
            let place = usize::from(index);
            if self.pods[place] == Pod::Up && self.leader != Some(index) {
                let mut frozen = broken(Fault::Frozen(index));
                frozen.moved[place] = 0;
                moves.push((Event::Break(Fault::Frozen(index)), frozen));
                let mut lost = broken(Fault::Lost(index));
                lost.pods[place] = Pod::Lost;
                lost.moved[place] = 0;
                moves.push((Event::Break(Fault::Lost(index)), lost));
            }
            if self.pods[place] == Pod::Building {
                moves.push((Event::Break(Fault::Slow(index)), broken(Fault::Slow(index))));
            }
        }
        if let Some(leader) = self.leader
            && self.is_up(leader)
        {
            let mut lost = broken(Fault::Lost(leader));
            lost.pods[usize::from(leader)] = Pod::Lost;
            lost.is_stale = true;
            moves.push((Event::LoseLeader, lost));
        }
        moves.push((Event::Break(Fault::Late), broken(Fault::Late)));
        let mut restarted = *self;
        restarted.fault = Fault::Restarted;
        restarted.forget();
        moves.push((Event::Break(Fault::Restarted), restarted));
    }

    /// Who may be promoted without anybody's help (§5.4).
    pub fn heirs(&self) -> u8 {
        let allowed = match self.sync {
            Some((_, listed)) if self.keys.on => listed,
            Some(_) | None => u8::MAX,
        };
        indexes(self.standbys() & allowed)
            .filter(|index| self.follows(*index) && leads(self.tags[usize::from(*index)]))
            .map(bit)
            .sum()
    }

    fn take_overs(&self, moves: &mut Vec<(Event, World)>) {
        for index in indexes(self.heirs()) {
            let mut next = *self;
            next.lead(index);
            moves.push((Event::TakeOver(index), next));
        }
    }

    fn healed(&self) -> Self {
        let mut next = *self;
        (next.fault, next.phase) = (Fault::None, Phase::Healed);
        if let Fault::Lost(index) = self.fault
            && self.pods[usize::from(index)] == Pod::Lost
        {
            next.pods[usize::from(index)] = Pod::Up;
            next.moved[usize::from(index)] = 0;
            if self.leader == Some(index) {
                next.is_stale = false;
                next.forget();
            }
        }
        next
    }

    /// Lockstep stores an object.
    pub fn written(&self, doc: Doc, record: Record) -> Self {
        let mut next = *self;
        (next.doc, next.record) = (doc, record);
        if self.phase == Phase::Broken {
            let moves_rights = (0..usize::from(doc.instances)).any(|index| {
                self.doc.role_of(index).is_some() && self.doc.leads(index) != doc.leads(index)
            });
            next.since_fault.tightened |= !self.doc.asks().covers(doc.asks());
            next.since_fault.removed |= doc.instances < self.doc.instances;
            next.since_fault.moved_rights |= moves_rights;
        }
        if doc.asks().standbys == 0 {
            next.is_guarded = false;
        }
        next
    }
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            tightened,
            removed,
            moved_rights,
        } = *self;
        let written = [
            (tightened, "it was tightened"),
            (removed, "a member was removed"),
            (moved_rights, "rights to lead have moved"),
        ];
        let words: Vec<&str> = written
            .iter()
            .filter_map(|(is_so, words)| is_so.then_some(*words))
            .collect();
        f.write_str(&words.join(", "))
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => write!(f, "start"),
            Self::Write(doc) => write!(f, "LOCKSTEP WRITES {doc}"),
            Self::Tag(index) => write!(f, "c-{index} takes up its role"),
            Self::Configure => write!(f, "operator writes the configuration"),
            Self::Scale => write!(f, "operator scales"),
            Self::Up(index) => write!(f, "c-{index} streams"),
            Self::Gone(index) => write!(f, "c-{index} is gone"),
            Self::Loop => write!(f, "a loop passes"),
            Self::List(listed) => write!(f, "/sync lists {}", names(*listed)),
            Self::Wait(Waits::Any) => write!(f, "commits wait for *"),
            Self::Wait(Waits::For(waits)) => write!(f, "commits wait for {}", names(*waits)),
            Self::Break(fault) => write!(f, "FAULT {fault:?}"),
            Self::LoseLeader => write!(f, "FAULT the leader is lost"),
            Self::TakeOver(index) => write!(f, "c-{index} takes over"),
            Self::Heal => write!(f, "the fault heals"),
        }
    }
}

/// `{c-1 c-2}`.
pub fn names(mask: u8) -> String {
    let names: Vec<String> = indexes(mask).map(|index| format!("c-{index}")).collect();
    format!("{{{}}}", names.join(" "))
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Keys { on, strict, count } = self.keys;
        write!(f, "{} ({:?}); keys ", self.doc, self.record)?;
        match (on, strict) {
            (false, _) => write!(f, "off")?,
            (true, false) => write!(f, "sync {count}")?,
            (true, true) => write!(f, "strict {count}")?,
        }
        write!(f, "; replicas {}; pods", self.replicas)?;
        for index in 0..MOST {
            match self.pods[index] {
                Pod::Absent => {}
                pod => write!(f, " c-{index} {pod:?} {}", self.tags[index].word())?,
            }
        }
        match self.leader {
            Some(leader) => write!(f, "; leader c-{leader}")?,
            None => write!(f, "; no leader")?,
        }
        if self.is_stale {
            write!(f, " (gone)")?;
        }
        match self.waits {
            Waits::Any => write!(f, "; waits *")?,
            Waits::For(waits) => write!(f, "; waits {}", names(waits))?,
        }
        if let Some((leader, listed)) = self.sync {
            write!(f, "; /sync of c-{leader} {}", names(listed))?;
        }
        write!(
            f,
            "; {:?} {:?}; loops since config {}, list {}, leader {}; moved {:?}",
            self.fault,
            self.phase,
            self.config_loops,
            self.list_loops,
            self.leader_loops,
            self.moved
        )
    }
}
