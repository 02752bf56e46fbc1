//! The rules, each by its name: what one write may do, and what must hold in every world that is reached.
//!
//! Judged on the world as it is, not on what was seen of it. Coded from the rules' own words, apart from the planner.

use std::fmt;

use lockstep::model::cluster::Mode;

use crate::object::{Asks, Doc, MOST};
use crate::world::{Fault, LIST_SETTLED, MOVED, Phase, Since, Waits, World, bit, indexes, names};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    Accepted,
    NoLessThanBoth,
    TighteningAlone,
    GrowthTightensNothing,
    OneRemovalAtATime,
    OpeningFirstClosingLast,
    LeaderMayLead,
    PromotableStays,
    LooseningNeedsALeader,
    StrictNeedsItsStandbys,
    RaisingNeedsItsStandbys,
    LooseningIsDue,
    NobodyWaitsForNobody,
    NoWaitForTheFaulty,
    FailoverLosesNothing,
    RunsArrive,
    NoCircle,
    FewestWrites,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepted => "R1 the operator accepts every object",
            Self::NoLessThanBoth => "R2 no object asks for less than both ends",
            Self::TighteningAlone => "R3 what raises k or adds strict does nothing else",
            Self::GrowthTightensNothing => "R4 growth tightens nothing",
            Self::OneRemovalAtATime => "R5 one instance goes at a time, and never the leader",
            Self::OpeningFirstClosingLast => "R6 roles open first and close last",
            Self::LeaderMayLead => "R7 the leader keeps the right to lead",
            Self::PromotableStays => "R8 a promotable standby stays listed wherever one can",
            Self::LooseningNeedsALeader => "R9 nothing is loosened without a live leader",
            Self::StrictNeedsItsStandbys => "R10 strict is added on k listed standbys",
            Self::RaisingNeedsItsStandbys => "R11 k is raised on as many standbys that move",
            Self::LooseningIsDue => "R12 a loosening is made when it is due",
            Self::NobodyWaitsForNobody => "commits wait for nobody who does not stream",
            Self::NoWaitForTheFaulty => "no write makes commits wait for a faulty standby",
            Self::FailoverLosesNothing => "an automatic failover loses no commit",
            Self::RunsArrive => "every run arrives or waits by name",
            Self::NoCircle => "no run writes in a circle",
            Self::FewestWrites => "the fewest writes that the rules allow",
        })
    }
}

/// A rule and what broke it.
pub type Broken = (Rule, String);

/// One write of Lockstep.
pub struct Write<'w> {
    pub world: &'w World,
    pub after: Doc,
    pub target: &'w Doc,
}

impl Write<'_> {
    fn before(&self) -> &Doc {
        &self.world.doc
    }

    fn asked(&self) -> (Asks, Asks) {
        (self.before().asks(), self.after.asks())
    }

    fn grows(&self) -> bool {
        self.after.instances > self.before().instances
    }

    fn removes(&self) -> bool {
        self.after.instances < self.before().instances
    }

    /// Indexes that are there before and after.
    fn kept(&self) -> impl Iterator<Item = usize> {
        0..usize::from(self.before().instances.min(self.after.instances))
    }

    fn same_roles(&self) -> bool {
        self.kept()
            .all(|index| self.before().role_of(index) == self.after.role_of(index))
    }

    fn gains(&self) -> bool {
        let (before, after) = (self.before(), &self.after);
        self.kept().any(|index| {
            !before.leads(index) && after.leads(index) || !before.reads(index) && after.reads(index)
        })
    }

    /// Indexes that lose the right to lead.
    fn demoted(&self) -> impl Iterator<Item = usize> {
        self.kept()
            .filter(|index| self.before().leads(*index) && !self.after.leads(*index))
    }

    fn loses_reads(&self) -> bool {
        let (before, after) = (self.before(), &self.after);
        self.kept()
            .any(|index| before.reads(index) && !after.reads(index))
    }

    /// Whether it takes what has to come last.
    fn closes(&self) -> bool {
        let (before, target) = (self.before(), self.target);
        let loses_reads = self.loses_reads();
        let gains_reads = self
            .kept()
            .filter(|index| *index < usize::from(target.instances))
            .any(|index| !before.reads(index) && target.reads(index));
        self.demoted().next().is_some() || loses_reads && gains_reads
    }

    /// Whether it only gives; reads that nobody loses may travel with a right that is taken.
    fn opens(&self) -> bool {
        self.gains() && !self.closes()
    }

    /// Every rule that this write breaks.
    pub fn broken(&self) -> Vec<Broken> {
        let mut broken = Vec::new();
        if self.after == *self.before() {
            return broken;
        }
        self.check_object(&mut broken);
        self.check_tightening(&mut broken);
        self.check_growth(&mut broken);
        self.check_removal(&mut broken);
        self.check_roles(&mut broken);
        self.check_cover(&mut broken);
        self.check_loosening(&mut broken);
        broken
    }

    fn check_object(&self, broken: &mut Vec<Broken>) {
        if let Some(why) = self.after.refusal() {
            broken.push((Rule::Accepted, why.into()));
        }
        let (before, after) = self.asked();
        let floor = before.meet(self.target.asks());
        if !after.covers(floor) {
            broken.push((
                Rule::NoLessThanBoth,
                format!("{after:?} is less than {floor:?}"),
            ));
        }
    }

    fn check_tightening(&self, broken: &mut Vec<Broken>) {
        let (before, after) = self.asked();
        let same = self.after.instances == self.before().instances && self.same_roles();
        let raises = after.standbys > before.standbys;
        let hardens = after.strict && !before.strict;
        if raises && (!same || after.strict != before.strict) {
            broken.push((
                Rule::TighteningAlone,
                "k goes up together with something else".into(),
            ));
        }
        if hardens && (!same || after.standbys != before.standbys) {
            broken.push((
                Rule::TighteningAlone,
                "strict comes together with something else".into(),
            ));
        }
        // One that may be promoted and outlasts the next removal can be listed first.
        let outlasts = indexes(self.world.standbys()).any(|index| {
            index + 1 < self.before().instances
                && self.world.follows(index)
                && self.is_promotable(index)
        });
        let covers = before.standbys > 0 && outlasts && self.listed() & self.lasting() == 0;
        let (has, wants) = (self.before().instances, self.target.instances);
        let early = has < wants || has > wants && !(raises && covers);
        if early && (hardens || raises) {
            broken.push((
                Rule::TighteningAlone,
                "it tightens before the instances are as declared".into(),
            ));
        }
        if raises {
            let ready: u8 = indexes(self.world.standbys())
                .filter(|index| {
                    self.world.follows(*index) && self.world.moved[usize::from(*index)] >= MOVED
                })
                .map(bit)
                .sum();
            if ready.count_ones() < u32::from(after.standbys) || !self.world.has_live_leader() {
                let wanted = after.standbys;
                broken.push((
                    Rule::RaisingNeedsItsStandbys,
                    format!("{wanted} are asked for, {} move", names(ready)),
                ));
            }
        }
        if hardens {
            self.check_strict(after, broken);
        }
    }

    fn check_strict(&self, after: Asks, broken: &mut Vec<Broken>) {
        let world = self.world;
        let listed = self.listed();
        let mut why = None;
        if listed.count_ones() < u32::from(after.standbys) {
            why = Some(format!("/sync lists only {}", names(listed)));
        } else if world.list_loops < LIST_SETTLED {
            why = Some("/sync has just changed".into());
        } else if !indexes(listed).any(|index| self.is_promotable(index)) {
            why = Some(format!("none of {} may be promoted", names(listed)));
        } else if !indexes(listed).all(|index| world.follows(index)) {
            why = Some(format!("not all of {} stream", names(listed)));
        }
        if let Some(why) = why {
            broken.push((Rule::StrictNeedsItsStandbys, why));
        }
    }

    fn check_growth(&self, broken: &mut Vec<Broken>) {
        if !self.grows() {
            return;
        }
        let (before, after) = self.asked();
        let mut say = |why: String| broken.push((Rule::GrowthTightensNothing, why));
        if !before.covers(after) {
            say(format!("{before:?} becomes {after:?}"));
        }
        if self.before().instances == 0
            && (self.after.mode != Mode::Async && after.standbys > 0
                || self.after.instances != self.target.instances)
        {
            say("a start is asynchronous, with all instances".into());
        }
        if self.after.instances > self.target.instances {
            say("there are more members than declared".into());
        }
        let fresh = self.before().instances..self.after.instances.min(self.target.instances);
        if fresh
            .map(usize::from)
            .any(|index| self.after.role_of(index) != self.target.role_of(index))
        {
            say("a new member does not get its final role".into());
        }
    }

    fn check_removal(&self, broken: &mut Vec<Broken>) {
        if !self.removes() {
            return;
        }
        let (before, after) = self.asked();
        let mut say = |why: String| broken.push((Rule::OneRemovalAtATime, why));
        if self.after.instances + 1 != self.before().instances {
            say(format!(
                "{} become {}",
                self.before().instances,
                self.after.instances
            ));
        }
        if before.keys() != after.keys() {
            say("Patroni is given other keys in the same write".into());
        }
        let leader = self.world.leader;
        if self.after.instances > 0 && leader.is_some_and(|leader| leader >= self.after.instances) {
            say(format!(
                "the leader c-{} goes",
                leader.expect("there is one")
            ));
        }
        // Only a mere lowering of k may follow what takes roles.
        let wants = self.target.asks();
        let is_end = self.after.instances == self.target.instances
            && after.covers(wants)
            && after.strict == wants.strict
            && (0..MOST).all(|index| self.after.role_of(index) == self.target.role_of(index));
        if !self.same_roles() && (self.opens() || !is_end) {
            say("roles change in it, and more than a lowering of k follows".into());
        }
    }

    fn check_roles(&self, broken: &mut Vec<Broken>) {
        let (before, after) = self.asked();
        let mut say = |why: &str| broken.push((Rule::OpeningFirstClosingLast, why.into()));
        let promoted = self
            .kept()
            .any(|index| !self.before().leads(index) && self.after.leads(index));
        let demotes = self.demoted().next().is_some();
        if promoted && demotes {
            say("one member gains the right to lead and another loses it");
        }
        let (stored, after_doc, target) = (self.before(), &self.after, self.target);
        let excess = |has: fn(&Doc, usize) -> bool, index: usize| {
            !has(stored, index) && has(after_doc, index) && !has(target, index)
        };
        // What a member that goes may read meanwhile matters to nobody.
        let stays = |index: usize| index < usize::from(target.instances);
        if self
            .kept()
            .any(|index| excess(Doc::leads, index) || stays(index) && excess(Doc::reads, index))
        {
            say("a member gains what the target does not give it");
        }
        if self.closes() {
            if before.keys() != after.keys() {
                say("roles close and Patroni is given other keys");
            }
            if self.after.instances != self.target.instances || self.grows() {
                say("roles close before the instances are as declared");
            }
            if !after.covers(self.target.asks()) {
                say("roles close before the last climb");
            }
            let rest = Write {
                world: &World {
                    doc: self.after,
                    ..*self.world
                },
                after: *self.target,
                target: self.target,
            };
            // Reads that nobody loses may travel with a right that is taken.
            let reads_move = self.gains() && self.loses_reads();
            if promoted || reads_move || rest.gains() {
                say("roles close before the last has opened");
            }
        }
        if self.gains() && (!before.covers(after)) {
            say("roles open after something has tightened in the same write");
        }
        if let Some(leader) = self.world.leader
            && self.demoted().any(|index| index == usize::from(leader))
        {
            broken.push((
                Rule::LeaderMayLead,
                format!("c-{leader} leads and loses the right"),
            ));
        }
    }

    fn listed(&self) -> u8 {
        match self.world.sync {
            Some((owner, listed)) if self.world.leader == Some(owner) => listed,
            Some(_) | None => 0,
        }
    }

    /// Standbys that may lead now and in the end.
    fn lasting(&self) -> u8 {
        indexes(self.world.standbys())
            .filter(|index| self.is_promotable(*index) && self.target.leads(usize::from(*index)))
            .map(bit)
            .sum()
    }

    fn is_promotable(&self, index: u8) -> bool {
        let place = usize::from(index);
        crate::object::leads(self.world.tags[place]) && self.before().leads(place)
    }

    fn check_cover(&self, broken: &mut Vec<Broken>) {
        let (before, after) = self.asked();
        let takes = self.removes() || self.demoted().next().is_some();
        if before.standbys == 0 || after.standbys == 0 || !takes || !self.world.has_live_leader() {
            return;
        }
        let able: u8 = indexes(self.world.standbys())
            .filter(|index| self.world.follows(*index) && self.is_promotable(*index))
            .map(bit)
            .sum();
        let staying: u8 = indexes(able)
            .filter(|index| self.after.leads(usize::from(*index)))
            .map(bit)
            .sum();
        // Whom Patroni lists already is not lost by this write, even where it is frozen.
        let listed = indexes(self.listed() & self.world.standbys())
            .filter(|index| self.is_promotable(*index))
            .any(|index| self.after.leads(usize::from(index)));
        if listed {
            return;
        }
        // A removal that takes roles as well could be made alone.
        let alone = able & (bit(self.after.instances) - 1);
        if self.removes() && staying == 0 && alone & self.listed() != 0 {
            broken.push((
                Rule::PromotableStays,
                format!(
                    "{} would stay listed if only the last member went",
                    names(alone & self.listed())
                ),
            ));
        }
        if staying == 0 {
            return;
        }
        // One more than go is enough, since Patroni lists those that may lead first. One that is frozen takes a place too.
        let going: u8 = indexes(self.world.standbys())
            .filter(|index| self.is_promotable(*index) && !self.after.leads(usize::from(*index)))
            .map(bit)
            .sum();
        let needed = going.count_ones() as u8 + 1;
        let may_be_raised = needed < self.after.instances;
        if before.standbys >= needed || may_be_raised {
            broken.push((
                Rule::PromotableStays,
                format!(
                    "/sync lists {}, of which none stays promotable; {} could",
                    names(self.listed()),
                    names(staying)
                ),
            ));
        }
    }

    fn check_loosening(&self, broken: &mut Vec<Broken>) {
        let (before, after) = self.asked();
        let (wants, due) = (self.target.asks(), before.meet(self.target.asks()));
        let loosens = !after.covers(before);
        if loosens && !self.world.has_live_leader() {
            broken.push((
                Rule::LooseningNeedsALeader,
                format!("{before:?} becomes {after:?}"),
            ));
        }
        let mut say = |why: &str| broken.push((Rule::LooseningIsDue, why.into()));
        let promoted = self
            .kept()
            .any(|index| !self.before().leads(index) && self.after.leads(index));
        let frees = before.strict && !after.strict || after.standbys == 0;
        if loosens && frees && promoted {
            say("what frees writes would wait for a member that is to lead");
        }
        if before.strict && !due.strict && after.strict {
            say("strict has to come off and is kept");
        }
        if before.standbys > 0 && wants.standbys == 0 && after.standbys > 0 {
            say("the target is asynchronous and this is not");
        }
        let is_mere =
            before.standbys > due.standbys && due.standbys > 0 && before.strict == due.strict;
        if !is_mere {
            return;
        }
        let lowers = after.standbys < before.standbys;
        let before_doc = self.before();
        let needed = before_doc.instances > self.target.instances
            && before.standbys + 2 > before_doc.instances;
        if needed && !lowers {
            say("the next removal needs a lower k and this keeps it");
        }
        let opens = self.grows() || self.opens();
        if opens && !lowers {
            say("k could be lowered together with this and is not");
        }
        let is_closed = self.after.instances == self.target.instances
            && (0..MOST).all(|index| !self.after.leads(index) || self.target.leads(index));
        if lowers && !opens && !needed && !is_closed {
            say("k is lowered before members or their right to lead have gone");
        }
    }
}

/// What must hold in a world, whoever brought it about.
pub fn broken_in(world: &World, target: &Doc) -> Vec<Broken> {
    let mut broken = Vec::new();
    let running = world.doc.instances > 0 && world.leader.is_some();
    let streams = |index: u8| {
        world.pods[usize::from(index)] == crate::world::Pod::Stopping || world.is_up(index)
    };
    if world.phase == Phase::Whole && running {
        match world.waits {
            Waits::Any => broken.push((
                Rule::NobodyWaitsForNobody,
                "commits wait for any standby and none streams".into(),
            )),
            Waits::For(waits) if !indexes(waits).all(streams) => broken.push((
                Rule::NobodyWaitsForNobody,
                format!("commits wait for {}, not all of which stream", names(waits)),
            )),
            Waits::For(_) => {}
        }
    }
    let synchronous = world.doc.asks().standbys > 0 && target.asks().standbys > 0;
    if world.is_guarded && synchronous && world.leader.is_some() {
        match world.sync {
            _ if !world.keys.on => broken.push((
                Rule::FailoverLosesNothing,
                "synchronous mode is off between two synchronous modes".into(),
            )),
            None => broken.push((
                Rule::FailoverLosesNothing,
                "/sync is empty between two synchronous modes".into(),
            )),
            Some((_, listed)) => {
                if let Waits::For(waits) = world.waits
                    && listed & !waits != 0
                    && !world.is_stale
                {
                    broken.push((
                        Rule::FailoverLosesNothing,
                        format!(
                            "{} may take over, and commits wait for {}",
                            names(listed),
                            names(waits)
                        ),
                    ));
                }
            }
        }
    }
    broken
}

/// What a move that is not Lockstep's may not bring about once Lockstep has written after a fault.
pub fn broken_between(before: &World, after: &World) -> Option<Broken> {
    // Once it is to stop, nobody commits any more.
    let stops = before.doc.instances == 0;
    if before.phase != Phase::Broken || before.waits == after.waits || stops {
        return None;
    }
    let Since {
        tightened,
        removed,
        moved_rights,
    } = before.since_fault;
    match (before.waits, after.waits) {
        (_, Waits::Any) if !tightened && !removed => None,
        (_, Waits::Any) => Some((
            Rule::NoWaitForTheFaulty,
            "commits wait for any standby and none streams".into(),
        )),
        (old, Waits::For(waits)) => {
            let old = match old {
                Waits::For(old) => old,
                Waits::Any => 0,
            };
            let faulty = match before.fault {
                Fault::Frozen(index) | Fault::Lost(index) | Fault::Slow(index) => bit(index),
                Fault::None | Fault::Late | Fault::Restarted => 0,
            };
            let fresh = waits & !old & faulty;
            let is_ours = tightened || removed || moved_rights;
            (fresh != 0 && is_ours).then(|| {
                (
                    Rule::NoWaitForTheFaulty,
                    format!(
                        "commits now wait for {}, and since the fault {}",
                        names(fresh),
                        before.since_fault
                    ),
                )
            })
        }
    }
}
