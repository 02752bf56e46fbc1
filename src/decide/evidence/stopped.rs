//! What is known of a cluster without instances: whose volume is the newest.

use super::{Evidence, closed, open, unknown};
use crate::model::patroni::Seen;
use crate::model::plan::Verdict;

/// A start brings up index 0 first, and it leads; commits that only a later leader has would be lost (`domain.md` §6.2 H30).
pub fn last_leader(evidence: &Evidence<'_>) -> Verdict {
    let first = format!("{}-0", evidence.seen.key.name);
    let patroni = &evidence.seen.patroni;
    let record = match &patroni.leader {
        Seen::Value(record) => record,
        Seen::Unknown(why) => return unknown(why.clone()),
    };
    // A leader that was killed has not released its lock.
    let last = record.leader.as_deref().or_else(|| {
        let takeover = patroni.last_takeover.as_ref()?;
        Some(takeover.new_leader.as_deref().unwrap_or(""))
    });
    match last {
        None => open(format!("no takeover is recorded, so {first} led last")),
        Some(last) if last == first => open(format!("{first} led last")),
        Some("") => unknown(format!(
            "Patroni does not record who led last, and {first} starts first: its volume may be older"
        )),
        Some(last) => closed(format!(
            "{last} led last, and {first} starts first: its volume may be older"
        )),
    }
}
