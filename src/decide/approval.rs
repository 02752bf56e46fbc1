//! What no order makes safe waits for a person: the approval that a plan names, given in Git, good for one change, once.
//!
//! The manifest carries it as the annotation `lockstep.dev/approve`, which is read from Git's blob and never from the live
//! object. It binds namespace, name, what was carried out last, what is asked for, and a day; carrying the change out
//! records it on the object (`lockstep.dev/approved`), so that neither a repeat nor a revert and back brings it to life.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::model::key::Key;
use crate::model::plan::Verdict;

/// In Git: the approval.
pub const APPROVE: &str = "lockstep.dev/approve";
/// On the live object: the approvals that are used up, until their day has passed.
pub const APPROVED: &str = "lockstep.dev/approved";

/// How long an approval that a plan prints is good for.
const DAYS: i64 = 7;
/// Used approvals are remembered until their day, so no day may be far.
const MOST_DAYS: i64 = 31;
const DAY: i64 = 86_400;
/// What stands for the base of an object that nothing was carried out on yet.
const NO_BASE: &str = "none";

/// The change that is to be approved.
#[derive(Debug, Clone, Copy)]
pub struct Change<'c> {
    pub key: &'c Key,
    /// Digest of the document that was carried out last.
    pub base: Option<&'c str>,
    /// Digest of the document in Git.
    pub target: &'c str,
    /// The change has been begun, under this approval, and not been given up since.
    pub is_underway: bool,
}

/// Where an approval stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Approval {
    /// As it stands in Git, and the last day it is good for.
    Given { value: String, until: String },
    /// What to write, and what is wrong with what stands there.
    Needed { write: String, why: Option<String> },
}

impl Approval {
    /// As a gate of the steps up to the one that needs it; `about` says what is to be approved.
    pub fn verdict(&self, about: &str) -> Verdict {
        match self {
            Self::Given { until, .. } => Verdict::Open(format!("approved in Git until {until}")),
            Self::Needed { write, why } => {
                let why = why
                    .as_ref()
                    .map(|why| format!("; {why}"))
                    .unwrap_or_default();
                Verdict::Closed(format!(
                    "{about}{why}; to approve it, add to metadata.annotations of the manifest: {APPROVE}: {write}"
                ))
            }
        }
    }
}

impl Change<'_> {
    /// Judges what Git's document says. `used` is the live object's record, `unix` the time in seconds since 1970.
    pub fn approval(&self, document: &Value, used: Option<&str>, unix: i64) -> Approval {
        let used: Vec<&str> = used.unwrap_or_default().split_whitespace().collect();
        let stands = document
            .pointer("/metadata/annotations")
            .and_then(|annotations| annotations.get(APPROVE))
            .and_then(Value::as_str)
            .map(str::trim);
        let why = match stands {
            None => None,
            Some(value) => match self.judge(value, &used, unix) {
                Ok(until) => {
                    return Approval::Given {
                        value: value.to_owned(),
                        until,
                    };
                }
                Err(why) => Some(why),
            },
        };
        Approval::Needed {
            write: self.fresh(&used, unix),
            why,
        }
    }

    fn judge(&self, value: &str, used: &[&str], unix: i64) -> Result<String, String> {
        let Some((until, _)) = value.split_once(':') else {
            return Err("the approval that stands there is not of the form DAY:DIGITS".into());
        };
        let Some(end) = end_of(until) else {
            return Err(format!("`{until}` is not a day of the form 2026-12-31"));
        };
        if value != self.value(until) {
            return Err("the approval that stands there is of another change or day".into());
        }
        if unix >= end {
            return Err(format!("the approval ended with {until}"));
        }
        if end.saturating_sub(unix) > MOST_DAYS * DAY {
            return Err(format!("{until} is more than {MOST_DAYS} days away"));
        }
        if used.contains(&value) && !self.is_underway {
            return Err("the approval was used before".into());
        }
        Ok(until.to_owned())
    }

    /// What approves this change, and was not used yet.
    fn fresh(&self, used: &[&str], unix: i64) -> String {
        (DAYS..MOST_DAYS)
            .map(|days| self.value(&day(unix + days * DAY)))
            .find(|value| !used.contains(&value.as_str()))
            .unwrap_or_default()
    }

    fn value(&self, until: &str) -> String {
        let Self {
            key,
            base,
            target,
            is_underway: _,
        } = self;
        let mut hasher = Sha256::new();
        for part in [
            "lockstep.dev/approve v1",
            &key.namespace,
            &key.name,
            base.unwrap_or(NO_BASE),
            target,
            until,
        ] {
            hasher.update(part.len().to_string());
            hasher.update(":");
            hasher.update(part);
        }
        let digits: String = hasher
            .finalize()
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("{until}:{digits}")
    }
}

/// The record once `value` is used: what has ended is dropped from it.
pub fn used_up(used: Option<&str>, value: &str, unix: i64) -> String {
    let still_counts = |value: &&str| {
        value
            .split_once(':')
            .and_then(|(until, _)| end_of(until))
            .is_some_and(|end| unix < end)
    };
    let mut values: Vec<&str> = used
        .unwrap_or_default()
        .split_whitespace()
        .filter(still_counts)
        .filter(|known| *known != value)
        .collect();
    values.push(value);
    values.join(" ")
}

fn day(unix: i64) -> String {
    let moment = Timestamp::from_second(unix).unwrap_or(Timestamp::UNIX_EPOCH);
    moment.to_zoned(TimeZone::UTC).date().to_string()
}

/// The second after the last one of a day, in UTC.
fn end_of(until: &str) -> Option<i64> {
    if until.len() != "2026-12-31".len() {
        return None;
    }
    let date: Date = until.parse().ok()?;
    let start = date.to_zoned(TimeZone::UTC);
    // The last days that a calendar has are far off, whatever they are in seconds.
    Some(start.map_or(i64::MAX, |start| start.timestamp().as_second() + DAY))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_795_000_000; // 2026-11-18

    fn manifest(approve: &str) -> Value {
        json!({"metadata": {"annotations": {APPROVE: approve}}})
    }

    fn approval(
        key: &Key,
        base: &str,
        target: &str,
        approve: &str,
        used: &str,
        unix: i64,
    ) -> Approval {
        let base = Some(base).filter(|base| !base.is_empty());
        let change = Change {
            key,
            base,
            target,
            is_underway: false,
        };
        change.approval(&manifest(approve), Some(used), unix)
    }

    fn printed(key: &Key, base: &str, target: &str, used: &str) -> String {
        match approval(key, base, target, "", used, NOW) {
            Approval::Needed { write, .. } => write,
            Approval::Given { .. } => panic!("nothing stands there"),
        }
    }

    fn why(approval: Approval) -> String {
        match approval {
            Approval::Needed { why: Some(why), .. } => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_a_plan_prints_approves_just_that_change() {
        let key = Key::new("db", "c");
        let write = printed(&key, "v1:a", "v1:b", "");
        assert!(write.starts_with("2026-11-25:"), "{write}");
        let given = approval(&key, "v1:a", "v1:b", &write, "", NOW);
        assert_eq!(
            given,
            Approval::Given {
                value: write.clone(),
                until: "2026-11-25".into()
            }
        );
        for (key, base, target) in [
            (Key::new("db", "d"), "v1:a", "v1:b"),
            (Key::new("dbc", ""), "v1:a", "v1:b"),
            (key.clone(), "v1:x", "v1:b"),
            (key.clone(), "", "v1:b"),
            (key.clone(), "v1:a", "v1:x"),
        ] {
            let other = approval(&key, base, target, &write, "", NOW);
            assert_eq!(
                why(other),
                "the approval that stands there is of another change or day"
            );
        }
    }

    #[test]
    fn an_approval_ends_with_its_day_and_no_day_may_be_far() {
        let key = Key::new("db", "c");
        let write = printed(&key, "v1:a", "v1:b", "");
        let late = approval(&key, "v1:a", "v1:b", &write, "", NOW + 8 * DAY);
        assert_eq!(why(late), "the approval ended with 2026-11-25");
        let far = Change {
            key: &key,
            base: Some("v1:a"),
            target: "v1:b",
            is_underway: false,
        }
        .value("2027-06-01");
        assert_eq!(
            why(approval(&key, "v1:a", "v1:b", &far, "", NOW)),
            "2027-06-01 is more than 31 days away"
        );
    }

    #[test]
    fn an_approval_is_good_once_and_the_next_one_printed_is_another() {
        let key = Key::new("db", "c");
        let write = printed(&key, "v1:a", "v1:b", "");
        let used = used_up(None, &write, NOW);
        let again = approval(&key, "v1:a", "v1:b", &write, &used, NOW);
        assert_eq!(why(again), "the approval was used before");
        let other = printed(&key, "v1:a", "v1:b", &used);
        assert_ne!(other, write);
        let used = used_up(Some(&used), &other, NOW);
        assert_eq!(used, format!("{write} {other}"));
        // Remembered for as long as it would be good, and no longer.
        assert_eq!(
            used_up(Some(&used), "2027-01-01:x", NOW + 40 * DAY),
            "2027-01-01:x"
        );
    }

    #[test]
    fn a_key_that_is_no_approval_is_told_what_is_wrong_with_it() {
        let key = Key::new("db", "c");
        let stands = |value: &str| why(approval(&key, "v1:a", "v1:b", value, "", NOW));
        assert_eq!(
            stands("yes"),
            "the approval that stands there is not of the form DAY:DIGITS"
        );
        assert_eq!(
            stands("soon:1"),
            "`soon` is not a day of the form 2026-12-31"
        );
        assert_eq!(
            stands("2026-12-99:1"),
            "`2026-12-99` is not a day of the form 2026-12-31"
        );
    }
}
