//! Which member has which role, how a change of roles is split in two, and who of `/sync` outlasts it.
//!
//! Roles are dealt out by Pod index: the instances in no group first, then each group in its order (`domain.md` §2.2), so
//! changing one number may change many members. A role is two capabilities, to lead and to serve reads. What a change
//! adds comes first (`opening`), what it takes away last, so that between the two no capability is missing.

use crate::decide::durability::Shape;
use crate::model::cluster::{Group, Role};

/// The role of each Pod index below `instances`.
pub fn roles_of(shape: &Shape) -> Vec<Role> {
    let grouped: u32 = shape
        .groups
        .iter()
        .map(|group| group.instances)
        .fold(0, u32::saturating_add);
    let ungrouped = shape.instances.saturating_sub(grouped);
    let mut roles = vec![shape.role; ungrouped as usize];
    for group in &shape.groups {
        let left = shape.instances as usize - roles.len();
        let size = (group.instances as usize).min(left);
        roles.extend(std::iter::repeat_n(group.role, size));
    }
    roles
}

/// What becomes of the members that are there before and after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Some member gains a capability, and that has to come first: the right to lead, reads that another loses, or reads
    /// where nothing is taken that they could travel with.
    pub gains: bool,
    /// Some member may lead that could not.
    pub promotes: bool,
    /// Some member may lead no more.
    pub demotes: bool,
    /// Gains and losses have to be two writes.
    pub is_split: bool,
}

impl Turn {
    pub fn between(old: &[Role], new: &[Role]) -> Self {
        let both = || old.iter().zip(new);
        let gains = |has: fn(Role) -> bool| both().any(|(old, new)| !has(*old) && has(*new));
        let loses = |has: fn(Role) -> bool| both().any(|(old, new)| has(*old) && !has(*new));
        let promotes = gains(Role::is_promotable);
        let demotes = loses(Role::is_promotable);
        let reads_move = gains(Role::serves_reads) && loses(Role::serves_reads);
        let adds_reads = gains(Role::serves_reads) && !demotes;
        Self {
            gains: promotes || reads_move || adds_reads,
            promotes,
            demotes,
            is_split: demotes || reads_move,
        }
    }
}

/// The roles at `instances` after all that a change adds, and before what it takes away. Members that only one side has
/// keep the role of that side.
pub fn opening(old: &[Role], new: &[Role], instances: u32) -> Vec<Role> {
    let is_split = Turn::between(old, new).is_split;
    (0..instances as usize)
        .filter_map(|index| match (old.get(index), new.get(index)) {
            (Some(old), Some(new)) if is_split => Some(Role::with(
                old.is_promotable() || new.is_promotable(),
                old.serves_reads() || new.serves_reads(),
            )),
            (_, Some(new)) => Some(*new),
            (Some(old), None) => Some(*old),
            (None, None) => None,
        })
        .collect()
}

/// How roles are written: as one of `spellings` where that says the same, else in runs, named as the first member's group
/// is in them. The first member can always lead, so a first run of that kind is the ungrouped one.
pub fn spelled(roles: &[Role], spellings: &[&Shape]) -> (Role, Vec<Group>) {
    let instances = u32::try_from(roles.len()).unwrap_or(u32::MAX);
    for spelling in spellings {
        let same = Shape {
            instances,
            ..(*spelling).clone()
        };
        let grouped: u64 = same
            .groups
            .iter()
            .map(|group| u64::from(group.instances))
            .sum();
        if grouped < u64::from(instances) && roles_of(&same) == roles {
            return (same.role, same.groups);
        }
    }
    let mut runs = roles.chunk_by(|one, other| one == other);
    let Some(ungrouped) = runs.next() else {
        return (Role::HaRead, Vec::new());
    };
    let mut groups: Vec<Group> = Vec::new();
    let mut at = ungrouped.len();
    for run in runs {
        let name = spellings
            .iter()
            .filter_map(|spelling| group_at(spelling, at))
            .chain((1..).map(|number| format!("group-{number}")))
            .find(|name| groups.iter().all(|group| group.name != *name))
            .unwrap_or_default();
        groups.push(Group {
            name,
            role: run[0],
            instances: u32::try_from(run.len()).unwrap_or(u32::MAX),
        });
        at += run.len();
    }
    (ungrouped[0], groups)
}

fn group_at(shape: &Shape, index: usize) -> Option<String> {
    let grouped: usize = shape
        .groups
        .iter()
        .map(|group| group.instances as usize)
        .sum();
    let mut end = (shape.instances as usize).checked_sub(grouped)?;
    for group in &shape.groups {
        let start = end;
        end += group.instances as usize;
        if (start..end).contains(&index) {
            return Some(group.name.clone());
        }
    }
    None
}

/// Whether `/sync` keeps a standby that may be promoted while a write takes members, or their right to lead, away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cover {
    /// This listed member stays, and stays promotable; or nothing that matters goes.
    Stays(Option<u32>),
    /// None does: so many standbys have to be synchronous first.
    Raise(u32),
    /// None does, although as many standbys as it takes are asked for: Patroni has yet to list one.
    NotListed,
    /// No number of synchronous standbys would keep one.
    Impossible,
}

/// Judges a write from `old` to `after` (shorter where a member is removed) under `standbys` synchronous ones, of which
/// `listed` are in `/sync`. Patroni lists members that may lead before others, and keeps those it has listed
/// (`domain.md` §5.2), so one more than go is enough.
pub fn cover(old: &[Role], after: &[Role], standbys: u32, listed: &[u32]) -> Cover {
    let stays = |index: usize| {
        old[index].is_promotable() && after.get(index).is_some_and(|role| role.is_promotable())
    };
    let goes = (0..old.len())
        .filter(|index| old[*index].is_promotable() && !stays(*index))
        .count();
    // What takes nobody's right to lead needs no cover; a member that goes may leave `/sync` without any.
    if standbys == 0 || (goes == 0 && after.len() == old.len()) {
        return Cover::Stays(None);
    }
    let survivor = listed
        .iter()
        .find(|index| (**index as usize) < old.len() && stays(**index as usize));
    if let Some(survivor) = survivor {
        return Cover::Stays(Some(*survivor));
    }
    // One of those that stay leads.
    let others = (0..old.len()).filter(|index| stays(*index)).count();
    let needed = u32::try_from(goes + 1).unwrap_or(u32::MAX);
    if others < 2 || needed as usize >= after.len() {
        return Cover::Impossible;
    }
    if standbys >= needed {
        Cover::NotListed
    } else {
        Cover::Raise(needed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::cluster::Mode;

    /// `4 ha-read readonly:1 none:1` is four instances, the last two in groups.
    pub fn shape(text: &str) -> Shape {
        let mut words = text.split_whitespace();
        let instances = words.next().unwrap().parse().unwrap();
        let role = words.next().unwrap().parse().unwrap();
        let groups = words
            .enumerate()
            .map(|(index, word)| {
                let (role, size) = word.split_once(':').unwrap();
                Group {
                    name: format!("group-{}", index + 1),
                    role: role.parse().unwrap(),
                    instances: size.parse().unwrap(),
                }
            })
            .collect();
        Shape {
            instances,
            mode: Mode::Async,
            sync_instances: None,
            role,
            groups,
            follows: false,
        }
    }

    fn words(roles: &[Role]) -> String {
        roles
            .iter()
            .map(|role| role.word())
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn opened(old: &str, new: &str) -> String {
        let (old, new) = (shape(old), shape(new));
        let instances = old.instances.max(new.instances);
        words(&opening(&roles_of(&old), &roles_of(&new), instances))
    }

    #[test]
    fn roles_are_dealt_out_by_index_with_the_ungrouped_first() {
        assert_eq!(
            words(&roles_of(&shape("4 ha readonly:1 none:1"))),
            "ha ha readonly none"
        );
        assert_eq!(
            words(&roles_of(&shape("2 ha readonly:3"))),
            "readonly readonly"
        );
        assert_eq!(words(&roles_of(&shape("0 ha"))), "");
    }

    #[test]
    fn growing_instances_and_a_group_together_leaves_everybodys_role() {
        let (old, new) = (shape("3 ha-read readonly:1"), shape("4 ha-read readonly:2"));
        let turn = Turn::between(&roles_of(&old), &roles_of(&new));
        assert!(!turn.gains && !turn.is_split);
        assert_eq!(
            opened("3 ha-read readonly:1", "4 ha-read readonly:2"),
            "ha-read ha-read readonly readonly"
        );
    }

    #[test]
    fn what_is_gained_comes_first_where_somebody_else_loses() {
        assert_eq!(
            opened("4 ha-read readonly:1 ha:1", "4 ha-read ha:1 readonly:1"),
            "ha-read ha-read ha-read ha-read"
        );
        // Nobody but the one member changes: one write.
        assert_eq!(
            opened("3 ha-read readonly:1", "3 ha-read ha:1"),
            "ha-read ha-read ha"
        );
        assert_eq!(
            opened("3 ha-read", "3 ha-read none:1"),
            "ha-read ha-read ha-read"
        );
    }

    #[test]
    fn reads_that_are_only_gained_travel_with_the_right_to_lead_that_is_taken() {
        let roles = |text: &str| roles_of(&shape(text));
        let turn = Turn::between(&roles("3 ha-read ha:1"), &roles("3 ha-read readonly:1"));
        assert!(turn.demotes && !turn.gains);
        let turn = Turn::between(&roles("3 ha-read ha:1"), &roles("3 ha readonly:1"));
        assert!(turn.demotes && turn.gains);
    }

    #[test]
    fn roles_are_spelled_as_declared_where_that_says_the_same() {
        let target = shape("4 ha-read ha-read:1 readonly:1");
        assert_eq!(
            spelled(&roles_of(&target), &[&target]),
            (target.role, target.groups.clone())
        );
        let roles = [Role::HaRead, Role::HaRead, Role::Readonly, Role::None];
        let (role, groups) = spelled(&roles, &[&target]);
        assert_eq!(role, Role::HaRead);
        let names: Vec<_> = groups
            .iter()
            .map(|group| format!("{} {} {}", group.name, group.role.word(), group.instances))
            .collect();
        assert_eq!(names, ["group-1 readonly 1", "group-2 none 1"]);
    }

    #[test]
    fn every_spelling_reads_back_as_the_roles_it_was_made_of() {
        for length in 1..=5u32 {
            for number in 0..4u32.pow(length) {
                let roles: Vec<Role> = (0..length)
                    .map(|index| Role::ALL[(number / 4u32.pow(index) % 4) as usize])
                    .collect();
                if !roles[0].is_promotable() {
                    continue;
                }
                let other = shape("4 ha-read ha-read:1 readonly:1");
                let (role, groups) = spelled(&roles, &[&other]);
                assert!(groups.iter().map(|group| group.instances).sum::<u32>() < length);
                let mut back = other.clone();
                (back.instances, back.role, back.groups) = (length, role, groups);
                assert_eq!(roles_of(&back), roles);
                let mut names: Vec<_> = back.groups.iter().map(|group| &group.name).collect();
                names.sort();
                names.dedup();
                assert_eq!(names.len(), back.groups.len());
            }
        }
    }

    #[test]
    fn one_more_synchronous_standby_than_go_keeps_one_that_may_be_promoted() {
        let old = roles_of(&shape("4 ha-read"));
        let demoted = roles_of(&shape("4 ha-read readonly:1"));
        assert_eq!(cover(&old, &demoted, 1, &[3]), Cover::Raise(2));
        assert_eq!(cover(&old, &demoted, 1, &[1]), Cover::Stays(Some(1)));
        assert_eq!(cover(&old, &demoted, 2, &[3]), Cover::NotListed);
        assert_eq!(cover(&old, &demoted, 0, &[]), Cover::Stays(None));
        assert_eq!(cover(&old, &old[..3], 1, &[3]), Cover::Raise(2));
        // A member that may never lead is listed and goes: Patroni lists the other in its next loop.
        let before = roles_of(&shape("3 ha-read readonly:1"));
        assert_eq!(cover(&before, &before[..2], 1, &[2]), Cover::NotListed);
        // Of two instances one leads: nobody is left to be listed.
        assert_eq!(cover(&old[..2], &old[..1], 1, &[1]), Cover::Impossible);
        assert_eq!(cover(&old[..3], &old[..2], 1, &[2]), Cover::Impossible);
    }
}
