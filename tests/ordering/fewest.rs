//! The fewest writes that the rules allow, found by a search of its own, and how many the planner takes.
//!
//! Objects that ask for the same are one node: instances, roles, and (strict, standbys). An edge is a write that breaks no
//! rule in the settled world of its start, with index 0 leading and the lowest promotable members listed.

use std::collections::{HashMap, VecDeque};

use lockstep::model::cluster::{Mode, Role};

use crate::explore::Violation;
use crate::object::{Asks, Doc, Group, MOST, leads};
use crate::rules::{Rule, Write};
use crate::view::{Answer, Passes};
use crate::world::World;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Node {
    asks: Asks,
    roles: Vec<Role>,
}

impl Node {
    fn of(doc: &Doc) -> Self {
        Self {
            asks: doc.asks(),
            roles: (0..MOST).filter_map(|index| doc.role_of(index)).collect(),
        }
    }

    /// One way to write it.
    fn doc(&self) -> Doc {
        let Asks { strict, standbys } = self.asks;
        let mode = match (standbys, strict) {
            (0, _) => Mode::Async,
            (_, false) => Mode::Sync,
            (_, true) => Mode::StrictSync,
        };
        let instances = u8::try_from(self.roles.len()).expect("a few members");
        let mut doc = Doc::new(instances, mode, standbys);
        let mut runs = self.roles.chunk_by(|one, other| one == other);
        if let Some(first) = runs.next() {
            doc.role = first[0];
        }
        for ((place, run), name) in doc.groups.iter_mut().zip(runs).zip(1..) {
            let size = u8::try_from(run.len()).expect("a few members");
            *place = Group {
                role: run[0],
                size,
                name,
            };
        }
        doc
    }
}

/// All nodes up to so many instances, whose first member may lead.
fn nodes(most: u8) -> Vec<Node> {
    let mut nodes = Vec::new();
    for instances in 1..=most {
        let mut layouts = vec![vec![Role::HaRead], vec![Role::Ha]];
        for _ in 1..instances {
            layouts = layouts
                .iter()
                .flat_map(|known| {
                    Role::ALL.map(|role| {
                        let mut more = known.clone();
                        more.push(role);
                        more
                    })
                })
                .collect();
        }
        for roles in layouts {
            for standbys in 0..instances {
                for strict in [false, true] {
                    if standbys > 0 || !strict {
                        nodes.push(Node {
                            asks: Asks { strict, standbys },
                            roles: roles.clone(),
                        });
                    }
                }
            }
        }
    }
    nodes
}

/// The settled world that the fewest writes are counted in.
fn plain(doc: Doc) -> World {
    let mut standbys: Vec<u8> = (1..doc.instances).collect();
    standbys.sort_by_key(|index| !doc.role_of(usize::from(*index)).is_some_and(leads));
    let listed = standbys.iter().take(usize::from(doc.asks().standbys));
    World::settled(
        doc,
        Some(0),
        listed.map(|index| crate::world::bit(*index)).sum(),
    )
}

/// Writes from every node to the target, over allowed writes alone.
fn distances(target: &Doc, most: u8) -> HashMap<Node, (usize, Doc)> {
    let end = Node::of(target);
    let mut others = nodes(most);
    others.retain(|node| *node != end);
    let mut settled: Vec<World> = others.iter().map(|node| plain(node.doc())).collect();
    let mut distances = HashMap::from([(end, (0, *target))]);
    let mut queue = VecDeque::from([(*target, 0)]);
    while let Some((after, distance)) = queue.pop_front() {
        let mut place = 0;
        while place < settled.len() {
            let write = Write {
                world: &settled[place],
                after,
                target,
            };
            let near = after.instances + 1 >= settled[place].doc.instances;
            if near && write.broken().is_empty() {
                let world = settled.swap_remove(place);
                distances.insert(Node::of(&world.doc), (distance + 1, after));
                queue.push_back((world.doc, distance + 1));
            } else {
                place += 1;
            }
        }
    }
    distances
}

/// Where the planner takes more writes, or fewer, than the rules allow.
pub fn differing(target: Doc, starts: &[Doc], most: u8) -> Vec<Violation> {
    let distances = distances(&target, most);
    let mut passes = Passes::new(target, crate::view::Writer::Lockstep);
    let mut violations = Vec::new();
    for start in starts.iter().filter(|start| **start != target) {
        let (taken, arrives, trace) = walk(*start, &mut passes);
        let fewest = match distances.get(&Node::of(start)) {
            Some((0, first)) => Some((1, first)),
            Some((fewest, first)) => Some((*fewest, first)),
            None => None,
        };
        let why = match fewest {
            Some((fewest, _)) if arrives && taken == fewest => continue,
            Some((fewest, first)) => {
                format!("{fewest} writes would do, the first to {first}; {taken} are made")
            }
            None if arrives => format!("no order keeps the rules, and {taken} writes are made"),
            None => continue,
        };
        violations.push(Violation {
            rule: Rule::FewestWrites,
            target,
            why,
            trace,
        });
    }
    violations
}

/// The planner's writes, each from the settled world of the one before.
fn walk(start: Doc, passes: &mut Passes) -> (usize, bool, Vec<String>) {
    let mut world = plain(start);
    let mut trace = vec![format!("start {start}")];
    let mut taken = 0;
    loop {
        match passes.answer(&world) {
            Answer::Write(doc, record) => {
                if doc != world.doc {
                    taken += 1;
                    trace.push(format!("LOCKSTEP WRITES {doc}"));
                }
                let mut next = plain(doc);
                next.record = record;
                if next == world || taken > 20 {
                    trace.push("and so on".into());
                    return (taken, false, trace);
                }
                world = next;
            }
            Answer::Done => return (taken, world.doc == passes.target, trace),
            Answer::Wait(state, because) => {
                trace.push(format!("{state}: {because}"));
                return (taken, false, trace);
            }
        }
    }
}
