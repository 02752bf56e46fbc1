//! What a member says of itself: the Pod annotation `status`, the Pod label `role`, and whether its probe passes.
//!
//! Formats as in `domain` §3.2 and §10 for Patroni 3.0 to 4.1. A member that is down says nothing new.

use serde_json::{Map, Value, json};

use super::{Fault, Patroni, Phase};

/// Rewritten only when it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// JSON.
    pub status: String,
    /// `None`: the label is removed.
    pub role: Option<&'static str>,
    pub is_ready: bool,
}

impl Patroni {
    pub(super) fn report(&self, name: &str) -> Option<Report> {
        let member = self.members.get(name)?;
        let is_leader = self.leader() == Some(name);
        if member.fault == Some(Fault::Down) {
            let last = member.reported.clone();
            return Some(Report {
                is_ready: false,
                ..last.unwrap_or(Report {
                    status: String::new(),
                    role: None,
                    is_ready: false,
                })
            });
        }
        let state = match member.phase {
            Phase::Waiting | Phase::Building(_) => "creating replica",
            Phase::Initializing(_) => "initializing new cluster",
            Phase::Starting(_) => "starting",
            Phase::Running | Phase::Stopping(_) => "running",
            Phase::Closing(_) => "stopping",
        };
        let is_running = state == "running";
        let primary = if self.version.says_primary() {
            "primary"
        } else {
            "master"
        };
        let role = match (is_leader, member.phase) {
            (true, _) if self.config.follows_another => "standby_leader",
            (true, _) => primary,
            (false, Phase::Initializing(_)) => "uninitialized",
            (false, _) => "replica",
        };
        let standby = self.wal.standbys.get(name);
        let is_connected = !is_leader
            && is_running
            && (member.fault == Some(Fault::Frozen)
                || standby.is_some_and(|standby| standby.is_connected));
        let position = if is_leader {
            Some(self.wal.position)
        } else {
            standby.map(|standby| standby.flushed)
        };

        let mut status = Map::new();
        let mut say = |key: &str, value: Value| {
            status.insert(key.to_owned(), value);
        };
        say(
            "conn_url",
            json!(format!("postgres://{}:{}/postgres", member.ip, self.port)),
        );
        say(
            "api_url",
            json!(format!("http://{}:8008/patroni", member.ip)),
        );
        say("state", json!(state));
        say("role", json!(role));
        say("version", json!(self.version.to_string()));
        let tags: Map<String, Value> = [
            ("nofailover", member.nofailover),
            ("noloadbalance", member.noloadbalance),
            ("nosync", matches!(member.phase, Phase::Stopping(_))),
        ]
        .into_iter()
        .filter(|(_, is_set)| *is_set)
        .map(|(tag, _)| (tag.to_owned(), Value::Bool(true)))
        .collect();
        if !tags.is_empty() {
            say("tags", Value::Object(tags));
        }
        if is_running && let Some(position) = position {
            say("xlog_location", json!(position));
            if !is_leader && self.version.says_both_positions() {
                say("replay_lsn", json!(position));
                if is_connected {
                    say("receive_lsn", json!(position));
                }
            }
        }
        if is_connected && self.version.says_replication_state() {
            say("replication_state", json!("streaming"));
        }
        if is_running {
            say("timeline", json!(member.timeline));
        }
        if self.config.is_paused {
            say("pause", json!(true));
        }
        let lag = self.wal.position.saturating_sub(position.unwrap_or(0));
        let is_near = !self.version.says_both_positions()
            || (is_connected && lag <= self.config.maximum_lag_on_failover);
        Some(Report {
            status: Value::Object(status).to_string(),
            role: if is_leader {
                Some(primary)
            } else if is_running {
                Some("replica")
            } else {
                None
            },
            is_ready: is_leader || (is_running && is_near),
        })
    }
}
