//! How much a change of one object matters: whether a decision could read it, or only a clock.
//!
//! A fleet in sync changes all the time: leaders renew their locks and standbys move. None of that may start a pass.

use std::collections::BTreeSet;

use super::decode::Body;
use crate::model::observed::Member;
use crate::model::patroni::{Lsn, MemberStatus, Seen};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    Nothing,
    Heartbeat,
    Material,
}

pub fn weigh(old: &Body, new: &Body) -> Weight {
    match (old, new) {
        (Body::Cluster(old), Body::Cluster(new)) => {
            if old.stored.digest != new.stored.digest {
                Weight::Material
            } else if old.renewal != new.renewal {
                // A lock that comes or goes is a change; one that is held on to is not.
                if old.renewal.is_some() && new.renewal.is_some() {
                    Weight::Heartbeat
                } else {
                    Weight::Material
                }
            } else {
                Weight::Nothing
            }
        }
        (Body::Supporting(old), Body::Supporting(new)) => {
            if old.digest == new.digest {
                Weight::Nothing
            } else {
                Weight::Material
            }
        }
        (Body::Endpoints(old), Body::Endpoints(new)) => {
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            names
                .into_iter()
                .filter(|name| old.get(*name) != new.get(*name))
                .map(|name| match name.as_str() {
                    "renewTime" | "optime" => Weight::Heartbeat,
                    _ => Weight::Material,
                })
                .max()
                .unwrap_or(Weight::Nothing)
        }
        (Body::Member(old), Body::Member(new)) => {
            if old == new {
                Weight::Nothing
            } else if without_positions(old) == without_positions(new) {
                Weight::Heartbeat
            } else {
                Weight::Material
            }
        }
        (old, new) => {
            if old == new {
                Weight::Nothing
            } else {
                Weight::Material
            }
        }
    }
}

/// A member without how far it has come; that it says a position at all stays visible.
fn without_positions(member: &Member) -> Member {
    let mut member = member.clone();
    if let Some(Seen::Value(MemberStatus {
        xlog_location,
        receive_lsn,
        replay_lsn,
        ..
    })) = &mut member.status
    {
        for position in [xlog_location, receive_lsn, replay_lsn] {
            *position = position.map(|_| Lsn(0));
        }
    }
    member
}
