//! The search: from every settled start towards one target, every order of moves, with the trace of what broke a rule.
//!
//! Lockstep remembers nothing but its annotations, so worlds that several starts reach are searched once. A run's end is a
//! world in which nobody moves.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use lockstep::model::plan::State;

use crate::hash::Quick;
use crate::object::{Doc, Record};
use crate::rules::{Broken, Rule, Write, broken_between, broken_in};
use crate::view::{Answer, Passes, Writer};
use crate::world::{Event, Fault, Phase, Waits, World};

/// Of each rule, so many violations a target are told in full.
const TOLD: usize = 2;

pub struct Violation {
    pub rule: Rule,
    pub target: Doc,
    pub why: String,
    /// From the start on.
    pub trace: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "BROKEN: {}\n  {}", self.rule, self.why)?;
        writeln!(f, "  target: {}", self.target)?;
        for line in &self.trace {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}

/// What one or more searches found.
#[derive(Default)]
pub struct Found {
    pub worlds: usize,
    pub views: usize,
    pub counts: BTreeMap<Rule, usize>,
    pub violations: Vec<Violation>,
    /// Reasons of the waits in which runs without a fault end, by state.
    pub waits: BTreeMap<String, (usize, String)>,
}

impl Found {
    pub fn add(&mut self, other: Self) {
        self.worlds += other.worlds;
        self.views += other.views;
        for (rule, count) in other.counts {
            *self.counts.entry(rule).or_default() += count;
        }
        self.violations.extend(other.violations);
        for (wait, (count, example)) in other.waits {
            self.waits.entry(wait).or_insert((0, example)).0 += count;
        }
    }

    pub fn rules(&self) -> BTreeSet<Rule> {
        self.counts.keys().copied().collect()
    }
}

/// Searches everything that can come of these starts on the way to this target.
pub fn explore(target: Doc, starts: &[World], writer: Writer, breaks: bool) -> Found {
    let mut search = Search::run(target, starts, writer, breaks);
    search.circles();
    search.found.worlds = search.worlds.len();
    search.found.views = search.passes.views();
    search.found
}

/// Every world that can come of these starts while nothing breaks.
pub fn reached(target: Doc, starts: &[World]) -> Vec<World> {
    let search = Search::run(target, starts, Writer::Lockstep, false);
    search.worlds.iter().map(|reached| reached.world).collect()
}

struct Reached {
    world: World,
    from: Option<usize>,
    by: Event,
}

struct Search {
    passes: Passes,
    worlds: Vec<Reached>,
    places: HashMap<World, usize, Quick>,
    /// From object to object, by phase, with the world in which it was written.
    writes: BTreeMap<(Phase, Doc), BTreeMap<Doc, usize>>,
    told: BTreeMap<Rule, usize>,
    found: Found,
}

impl Search {
    fn run(target: Doc, starts: &[World], writer: Writer, breaks: bool) -> Self {
        let mut search = Self {
            passes: Passes::new(target, writer),
            worlds: Vec::new(),
            places: HashMap::default(),
            writes: BTreeMap::new(),
            told: BTreeMap::new(),
            found: Found::default(),
        };
        for start in starts {
            search.reach(*start, None, Event::Start);
        }
        let mut at = 0;
        while at < search.worlds.len() {
            search.leave(at, breaks);
            at += 1;
        }
        search
    }

    fn reach(&mut self, world: World, from: Option<usize>, by: Event) {
        if self.places.contains_key(&world) {
            return;
        }
        let place = self.worlds.len();
        self.places.insert(world, place);
        self.worlds.push(Reached { world, from, by });
        for broken in broken_in(&world, &self.passes.target) {
            self.tell(place, broken, None);
        }
    }

    fn leave(&mut self, at: usize, breaks: bool) {
        let world = self.worlds[at].world;
        let moves = world.moves(breaks);
        let mut is_end = true;
        for (event, next) in moves {
            let is_fault = next.phase != world.phase || next.fault != world.fault;
            is_end &= is_fault;
            if let Some(broken) = broken_between(&world, &next) {
                self.tell(at, broken, Some(event));
            }
            self.reach(next, Some(at), event);
        }
        match self.passes.answer(&world) {
            Answer::Write(doc, record) => self.write(at, &world, doc, record),
            answer if is_end => self.end(at, &world, &answer),
            Answer::Done | Answer::Wait(..) => {}
        }
    }

    fn write(&mut self, at: usize, world: &World, doc: Doc, record: Record) {
        let target = self.passes.target;
        let write = Write {
            world,
            after: doc,
            target: &target,
        };
        for broken in write.broken() {
            self.tell(at, broken, Some(Event::Write(doc)));
        }
        if doc != world.doc {
            let edges = self.writes.entry((world.phase, world.doc)).or_default();
            edges.entry(doc).or_insert(at);
        } else if record == world.record {
            let why = "the same object is written again".to_owned();
            self.tell(at, (Rule::NoCircle, why), Some(Event::Write(doc)));
        }
        self.reach(world.written(doc, record), Some(at), Event::Write(doc));
    }

    /// Nobody moves: the target is in force, or there is a wait that says what for.
    fn end(&mut self, at: usize, world: &World, answer: &Answer) {
        let whole = world.phase != Phase::Broken;
        let why = match answer {
            Answer::Write(..) => return,
            Answer::Done if whole && !is_in_force(world) => "it is done and not in force".into(),
            Answer::Done => return,
            Answer::Wait(state, because) => {
                if whole {
                    let heading = format!("{state}: {}", plain(because));
                    let example = format!("{} to {}", world.doc, self.passes.target);
                    self.found.waits.entry(heading).or_insert((0, example)).0 += 1;
                }
                match state {
                    State::Waiting | State::Blocked | State::Refused if because.is_empty() => {
                        format!("{state} without a reason")
                    }
                    State::Blocked => return,
                    // Every object of the model is one that can be reached in order.
                    State::Refused => format!("it is refused: {because}"),
                    State::Waiting if !whole => return,
                    State::Waiting => format!("nothing is broken and it waits: {because}"),
                    _ => format!("it ends {state}: {because}"),
                }
            }
        };
        self.tell(at, (Rule::RunsArrive, why), None);
    }

    /// A write back to an object that was left before, with no new fault between.
    fn circles(&mut self) {
        let mut done: BTreeSet<(Phase, Doc)> = BTreeSet::new();
        let starts: Vec<(Phase, Doc)> = self.writes.keys().copied().collect();
        for start in starts {
            let mut path: Vec<(Phase, Doc)> = Vec::new();
            self.follow(start, &mut path, &mut done);
        }
    }

    fn follow(
        &mut self,
        at: (Phase, Doc),
        path: &mut Vec<(Phase, Doc)>,
        done: &mut BTreeSet<(Phase, Doc)>,
    ) {
        if done.contains(&at) {
            return;
        }
        path.push(at);
        let edges: Vec<(Doc, usize)> = self
            .writes
            .get(&at)
            .map(|edges| edges.iter().map(|(doc, place)| (*doc, *place)).collect())
            .unwrap_or_default();
        for (doc, place) in edges {
            let next = (at.0, doc);
            if let Some(start) = path.iter().position(|known| *known == next) {
                let round: Vec<String> = path[start..]
                    .iter()
                    .map(|(_, doc)| doc.to_string())
                    .collect();
                let why = format!("{} → {doc}", round.join(" → "));
                self.tell(place, (Rule::NoCircle, why), Some(Event::Write(doc)));
            } else {
                self.follow(next, path, done);
            }
        }
        path.pop();
        done.insert(at);
    }

    fn tell(&mut self, at: usize, (rule, why): Broken, then: Option<Event>) {
        *self.found.counts.entry(rule).or_default() += 1;
        let told = self.told.entry(rule).or_default();
        if *told >= TOLD {
            return;
        }
        *told += 1;
        let mut trace = Vec::new();
        let mut place = Some(at);
        while let Some(here) = place {
            let Reached { world, from, by } = &self.worlds[here];
            let is_long = matches!(by, Event::Start | Event::Write(_)) || here == at;
            trace.push(if is_long {
                format!("{by}\n      [{world}]")
            } else {
                by.to_string()
            });
            place = *from;
        }
        trace.reverse();
        trace.extend(then.map(|event| format!("=> {event}")));
        self.found.violations.push(Violation {
            rule,
            target: self.passes.target,
            why,
            trace,
        });
    }
}

/// What is stored is what every part does.
fn is_in_force(world: &World) -> bool {
    let asks = world.doc.asks();
    let listed = world.sync.map_or(0, |(_, listed)| listed);
    let roles = (0..usize::from(world.doc.instances))
        .all(|index| world.doc.role_of(index) == Some(world.tags[index]));
    let synchronous = world.doc.instances == 0
        || (world.sync.is_some() == (asks.standbys > 0)
            && listed.count_ones() == u32::from(asks.standbys)
            && world.waits == Waits::For(listed));
    let up = (0..world.doc.instances).all(|index| world.is_up(index));
    let whole = matches!(world.fault, Fault::None | Fault::Restarted);
    world.keys == world.doc.keys() && roles && synchronous && up && whole
}

/// A reason without the names and numbers of one run.
fn plain(because: &str) -> String {
    let words = because.split_whitespace().map(|word| {
        if word.chars().any(|letter| letter.is_ascii_digit()) {
            "#"
        } else {
            word
        }
    });
    let mut words: Vec<&str> = words.collect();
    words.dedup();
    words.join(" ")
}
