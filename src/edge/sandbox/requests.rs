//! How often the sandbox was asked for what, so that a test can say what was not asked.
//!
//! A request counts when it has been understood, whether it then succeeds or not. Who asked is the first word of the
//! `User-Agent`, so that a simulation's own requests can be told from those of the program under test.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Asked {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: &'static str,
    /// `PLURAL.GROUP`, the plural alone in the core group.
    pub resource: String,
    /// Empty for the object itself.
    pub subresource: String,
    pub is_dry_run: bool,
    /// The part of the `User-Agent` before the first `/` or blank; empty where there was none.
    pub agent: String,
}

impl Asked {
    /// Whether it may have changed something.
    pub fn is_write(&self) -> bool {
        !self.is_dry_run && !matches!(self.verb, "get" | "list" | "watch")
    }
}

/// Distinct agents that are told apart; a client that makes up names must not fill the memory.
const MOST_AGENTS: usize = 64;

#[derive(Debug, Default)]
pub struct Requests {
    counts: Mutex<BTreeMap<Asked, u64>>,
}

impl Requests {
    pub fn count(&self, mut asked: Asked) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if !counts.contains_key(&asked) {
            let agents: std::collections::BTreeSet<&str> =
                counts.keys().map(|known| known.agent.as_str()).collect();
            if agents.len() >= MOST_AGENTS && !agents.contains(asked.agent.as_str()) {
                asked.agent = "other".into();
            }
        }
        *counts.entry(asked).or_default() += 1;
    }

    pub fn counts(&self) -> Counts {
        Counts(
            self.counts
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        )
    }
}

/// The counts at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(pub BTreeMap<Asked, u64>);

impl Counts {
    /// How many requests there were of a kind.
    pub fn of(&self, is_meant: impl Fn(&Asked) -> bool) -> u64 {
        self.0
            .iter()
            .filter(|(asked, _)| is_meant(asked))
            .map(|(_, count)| count)
            .sum()
    }

    /// Requests that may have changed something, dry runs left out.
    pub fn writes(&self) -> u64 {
        self.of(Asked::is_write)
    }

    /// What came since an earlier moment.
    #[must_use]
    pub fn since(&self, earlier: &Counts) -> Counts {
        Counts(
            self.0
                .iter()
                .map(|(asked, count)| {
                    let before = earlier.0.get(asked).copied().unwrap_or(0);
                    (asked.clone(), count.saturating_sub(before))
                })
                .filter(|(_, count)| *count > 0)
                .collect(),
        )
    }

    /// `{"writes": N, "requests": [{verb, resource, subresource, dryRun, agent, count}]}`
    pub fn json(&self) -> Value {
        let requests: Vec<Value> = self
            .0
            .iter()
            .map(|(asked, count)| {
                json!({
                    "verb": asked.verb,
                    "resource": asked.resource,
                    "subresource": asked.subresource,
                    "dryRun": asked.is_dry_run,
                    "agent": asked.agent,
                    "count": count,
                })
            })
            .collect();
        json!({"writes": self.writes(), "requests": requests})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(verb: &'static str, is_dry_run: bool, agent: &str) -> Asked {
        Asked {
            verb,
            resource: "sgclusters.stackgres.io".into(),
            subresource: String::new(),
            is_dry_run,
            agent: agent.into(),
        }
    }

    #[test]
    fn a_dry_run_and_a_list_are_no_writes() {
        let requests = Requests::default();
        requests.count(asked("list", false, "a"));
        requests.count(asked("patch", true, "a"));
        let before = requests.counts();
        assert_eq!(before.writes(), 0);
        requests.count(asked("patch", false, "a"));
        requests.count(asked("patch", false, "b"));
        let since = requests.counts().since(&before);
        assert_eq!(since.writes(), 2);
        assert_eq!(since.of(|asked| asked.agent == "a"), 1);
        assert_eq!(since.json()["requests"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn agents_without_end_are_counted_together() {
        let requests = Requests::default();
        for n in 0..200 {
            requests.count(asked("list", false, &n.to_string()));
        }
        assert!(requests.counts().0.len() <= MOST_AGENTS + 1);
        assert_eq!(requests.counts().of(|_| true), 200);
    }
}
