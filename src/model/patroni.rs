//! What Patroni keeps in Kubernetes: the annotations of its Endpoints and of its Pods, read as values.
//!
//! Formats are those of Patroni 3.0 to 4.1 with `use_endpoints`. Text that does not parse is `Unknown` with the reason,
//! never a default: what cannot be read must close a gate.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

/// A position in the write-ahead log, in bytes; shown as PostgreSQL does, `0/1106AE88`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lsn(pub u64);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

/// Something read from outside: seen, or not known and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen<T> {
    Value(T),
    Unknown(String),
}

impl<T> Seen<T> {
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }
}

pub type Annotations = BTreeMap<String, String>;

/// The Endpoints `<base>`: who leads, and the heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaderRecord {
    /// Pod name of the holder; absent after a clean release.
    pub leader: Option<String>,
    /// As written by the leader each loop; compared only for change, never with a clock of ours.
    pub renew_time: Option<String>,
    pub transitions: Option<String>,
    /// The leader's write position when it last renewed.
    pub optime: Option<Lsn>,
}

impl LeaderRecord {
    pub fn read(annotations: &Annotations) -> Seen<Self> {
        let optime = match annotations.get("optime").map(|text| text.parse::<u64>()) {
            None => None,
            Some(Ok(bytes)) => Some(Lsn(bytes)),
            Some(Err(_)) => {
                return Seen::Unknown("the leader's `optime` is not a number of bytes".into());
            }
        };
        Seen::Value(Self {
            leader: annotations
                .get("leader")
                .filter(|name| !name.is_empty())
                .cloned(),
            renew_time: annotations.get("renewTime").cloned(),
            transitions: annotations.get("transitions").cloned(),
            optime,
        })
    }
}

/// The Endpoints `<base>-config`: Patroni's dynamic configuration as far as decisions read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatroniConfig {
    pub synchronous: Synchronous,
    /// Seconds between two loops of the leader (default 10).
    pub loop_wait: u32,
    /// Seconds until an unrenewed leader lock expires (default 30).
    pub ttl: u32,
    pub paused: bool,
    /// `standby_cluster` with a host, a port or a restore command: this cluster follows another one.
    pub standby_cluster: bool,
    pub maximum_lag_on_syncnode: Option<i64>,
}

/// The three keys that say what is synchronous. Absent and `false` mean the same to Patroni.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Synchronous {
    pub on: bool,
    pub strict: bool,
    /// `synchronous_node_count`; read only where `on`.
    pub count: u32,
}

impl PatroniConfig {
    /// Reads the JSON in annotation `config`.
    pub fn read(text: &str) -> Seen<Self> {
        let config: Value = match serde_json::from_str(text) {
            Ok(Value::Object(map)) => Value::Object(map),
            Ok(_) | Err(_) => {
                return Seen::Unknown("Patroni's configuration is not a JSON object".into());
            }
        };
        let on = match config.get("synchronous_mode") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(on)) => *on,
            Some(Value::String(text)) if text == "on" || text == "true" => true,
            Some(Value::String(text)) if text == "off" || text == "false" => false,
            Some(other) => {
                return Seen::Unknown(format!(
                    "`synchronous_mode` is {other}, which is an unknown format"
                ));
            }
        };
        let strict = config
            .get("synchronous_mode_strict")
            .and_then(Value::as_bool)
            .unwrap_or(false);
        let count = config
            .get("synchronous_node_count")
            .and_then(Value::as_u64)
            .unwrap_or(1);
        let seconds = |key: &str, default: u32| {
            config
                .get(key)
                .and_then(Value::as_u64)
                .and_then(|value| u32::try_from(value).ok())
                .unwrap_or(default)
        };
        let standby = config.get("standby_cluster").is_some_and(|section| {
            ["host", "port", "restore_command"]
                .iter()
                .any(|key| section.get(key).is_some_and(|value| !value.is_null()))
        });
        Seen::Value(Self {
            synchronous: Synchronous {
                on,
                strict: on && strict,
                count: u32::try_from(count).unwrap_or(u32::MAX).max(1),
            },
            loop_wait: seconds("loop_wait", 10).max(1),
            ttl: seconds("ttl", 30).max(1),
            paused: config
                .get("pause")
                .and_then(Value::as_bool)
                .unwrap_or(false),
            standby_cluster: standby,
            maximum_lag_on_syncnode: config
                .get("maximum_lag_on_syncnode")
                .and_then(Value::as_i64),
        })
    }
}

/// The Endpoints `<base>-sync`: which standbys acknowledge each commit and may be promoted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncState {
    /// Absent: synchronous mode is not in force.
    pub leader: Option<String>,
    pub standbys: Vec<String>,
    /// Votes needed; non-zero only in quorum mode, which StackGres cannot configure.
    pub quorum: u32,
}

impl SyncState {
    pub fn read(annotations: &Annotations) -> Self {
        Self {
            leader: annotations
                .get("leader")
                .filter(|name| !name.is_empty())
                .cloned(),
            standbys: annotations
                .get("sync_standby")
                .map(|names| {
                    names
                        .split(',')
                        .filter(|name| !name.is_empty())
                        .map(str::to_owned)
                        .collect()
                })
                .unwrap_or_default(),
            quorum: annotations
                .get("quorum")
                .and_then(|text| text.parse().ok())
                .unwrap_or(0),
        }
    }

    /// Patroni compares member names without regard to case.
    pub fn lists(&self, member: &str) -> bool {
        self.standbys
            .iter()
            .any(|name| name.eq_ignore_ascii_case(member))
    }
}

/// The Pod annotation `status`: what a member last said of itself. It never expires, so it proves nothing alone.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MemberStatus {
    pub conn_url: Option<String>,
    pub state: String,
    pub role: String,
    pub version: Option<String>,
    pub timeline: Option<u64>,
    pub replication_state: Option<String>,
    pub xlog_location: Option<Lsn>,
    pub receive_lsn: Option<Lsn>,
    pub replay_lsn: Option<Lsn>,
    /// Only tags that are set; values as Patroni wrote them.
    pub tags: BTreeMap<String, Value>,
    pub pending_restart: bool,
    /// Parameter, old value, new value.
    pub pending_restart_reason: Vec<(String, String, String)>,
    /// Time and the version condition of a scheduled restart.
    pub scheduled_restart: Option<(String, Option<String>)>,
    pub paused: bool,
}

impl MemberStatus {
    pub fn read(text: &str) -> Seen<Self> {
        let Ok(Value::Object(status)) = serde_json::from_str::<Value>(text) else {
            return Seen::Unknown("the member's `status` is not a JSON object".into());
        };
        let text = |key: &str| status.get(key).and_then(Value::as_str).map(str::to_owned);
        let lsn = |key: &str| status.get(key).and_then(Value::as_u64).map(Lsn);
        let plain = |value: Option<&Value>| match value {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        let Some(state) = text("state") else {
            return Seen::Unknown("the member's `status` has no `state`".into());
        };
        let reasons = status
            .get("pending_restart_reason")
            .and_then(Value::as_object);
        let restart = status.get("scheduled_restart");
        Seen::Value(Self {
            conn_url: text("conn_url"),
            state,
            role: text("role").unwrap_or_default(),
            version: text("version"),
            timeline: status.get("timeline").and_then(Value::as_u64),
            replication_state: text("replication_state"),
            xlog_location: lsn("xlog_location"),
            receive_lsn: lsn("receive_lsn"),
            replay_lsn: lsn("replay_lsn"),
            tags: status
                .get("tags")
                .and_then(Value::as_object)
                .map(|tags| {
                    tags.iter()
                        .map(|(tag, value)| (tag.clone(), value.clone()))
                        .collect()
                })
                .unwrap_or_default(),
            pending_restart: status
                .get("pending_restart")
                .and_then(Value::as_bool)
                .unwrap_or(false),
            pending_restart_reason: reasons
                .into_iter()
                .flatten()
                .map(|(name, change)| {
                    (
                        name.clone(),
                        plain(change.get("old_value")),
                        plain(change.get("new_value")),
                    )
                })
                .collect(),
            scheduled_restart: restart.and_then(|restart| {
                let schedule = restart.get("schedule")?.as_str()?.to_owned();
                Some((
                    schedule,
                    restart
                        .get("postgres_version")
                        .and_then(Value::as_str)
                        .map(str::to_owned),
                ))
            }),
            paused: status
                .get("pause")
                .and_then(Value::as_bool)
                .unwrap_or(false),
        })
    }

    pub fn is_running(&self) -> bool {
        self.state == "running"
    }

    /// Whether it says that it follows by streaming. Patroni before 3.1 does not say, so there running has to do.
    pub fn is_streaming(&self) -> bool {
        let streams = match &self.replication_state {
            Some(state) => state == "streaming",
            None => self
                .version
                .as_deref()
                .is_some_and(|version| number(version) < (3, 1)),
        };
        self.is_running() && streams
    }

    /// Whether what it writes is of a form that is known: Patroni 3.0 to 4.x.
    pub fn is_of_known_format(&self) -> bool {
        let version = self.version.as_deref().map(number);
        version.is_some_and(|version| ((3, 0)..(5, 0)).contains(&version))
    }

    /// Whether taking strict off with no standby there leaves writes waiting (`domain` §5.5: Patroni before 3.3.7 and
    /// 4.0.0 to 4.0.5). True where the version is not known.
    pub fn keeps_waiting_without_strict(&self) -> bool {
        let Some(version) = self.version.as_deref().and_then(release) else {
            return true;
        };
        version < (3, 3, 7) || ((4, 0, 0)..(4, 0, 6)).contains(&version)
    }

    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags
            .get(tag)
            .is_some_and(|value| *value == Value::Bool(true))
    }

    /// How far this standby has safely received; `receive_lsn` where the version reports it (4.1 and later).
    pub fn received(&self) -> Option<Lsn> {
        self.receive_lsn
            .filter(|lsn| lsn.0 > 0)
            .or(self.xlog_location)
    }
}

/// Major and minor of a version such as `3.0.2`; later than any where it is not of that form.
fn number(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(str::parse);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => (u32::MAX, 0),
    }
}

/// The last entry of annotation `history` of the Endpoints `<base>-config`: a member took over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Takeover {
    /// Absent where that version of Patroni did not record it.
    pub new_leader: Option<String>,
}

impl Takeover {
    /// Reads `[[timeline, position, reason, time?, new leader?], …]`; `None` where nobody ever took over. What does not
    /// parse is a takeover of which nothing is known.
    pub fn read(text: &str) -> Option<Self> {
        let Ok(Value::Array(entries)) = serde_json::from_str(text) else {
            return Some(Self::default());
        };
        let last = entries.last()?;
        let new_leader = last.get(4).and_then(Value::as_str).map(str::to_owned);
        Some(Self { new_leader })
    }
}

/// Major, minor and patch of a version such as `3.3.7`; none where it is not of that form.
fn release(version: &str) -> Option<(u32, u32, u32)> {
    let mut parts = version.split('.').map(str::parse);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch))) => Some((major, minor, patch)),
        _ => None,
    }
}

/// The Endpoints `<base>-failover`: a switchover or failover somebody has asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailoverRequest {
    pub leader: Option<String>,
    pub member: Option<String>,
    pub scheduled_at: Option<String>,
}

impl FailoverRequest {
    /// `None` where nothing is asked for.
    pub fn read(annotations: &Annotations) -> Option<Self> {
        let text = |key: &str| {
            annotations
                .get(key)
                .filter(|value| !value.is_empty())
                .cloned()
        };
        let request = Self {
            leader: text("leader"),
            member: text("member"),
            scheduled_at: text("scheduled_at"),
        };
        (request != Self::default()).then_some(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_shown_as_postgresql_shows_it() {
        assert_eq!(Lsn(0x1_1106_AE88).to_string(), "1/1106AE88");
        assert_eq!(Lsn(104_857_600).to_string(), "0/6400000");
    }

    #[test]
    fn absent_synchronous_keys_mean_asynchronous() {
        let Seen::Value(config) = PatroniConfig::read(r#"{"ttl": 30}"#) else {
            panic!("readable")
        };
        assert_eq!(
            config.synchronous,
            Synchronous {
                on: false,
                strict: false,
                count: 1
            }
        );
        assert_eq!((config.ttl, config.loop_wait), (30, 10));
    }

    #[test]
    fn running_without_a_word_on_replication_is_streaming_only_before_3_1() {
        let says = |version: &str| {
            let text = format!(r#"{{"state": "running", "version": "{version}"}}"#);
            let Seen::Value(status) = MemberStatus::read(&text) else {
                panic!("readable")
            };
            status.is_streaming()
        };
        assert!(says("3.0.2") && says("2.1.4"));
        assert!(!says("3.1.0") && !says("4.1.0") && !says("unknown"));
    }

    #[test]
    fn the_last_takeover_is_that_of_the_latest_timeline() {
        assert_eq!(Takeover::read("[]"), None);
        let both = r#"[[1, 5, "no recovery target specified", "2026-01-01T00:00:00+00:00", "c-2"],
            [2, 9, "no recovery target specified", "2026-01-02T00:00:00+00:00", "c-0"]]"#;
        let said = |text| Takeover::read(text).unwrap().new_leader;
        assert_eq!(said(both).as_deref(), Some("c-0"));
        assert_eq!(said(r#"[[1, 5, "no recovery target specified"]]"#), None);
        assert_eq!(said("nonsense"), None);
    }

    #[test]
    fn what_a_version_means_is_known_only_of_versions_that_are() {
        let said = |version: &str| {
            let text = format!(r#"{{"state": "running", "version": "{version}"}}"#);
            let Seen::Value(status) = MemberStatus::read(&text) else {
                panic!("readable")
            };
            (
                status.is_of_known_format(),
                status.keeps_waiting_without_strict(),
            )
        };
        assert_eq!(said("3.3.3"), (true, true));
        assert_eq!(said("3.3.7"), (true, false));
        assert_eq!(said("4.0.5"), (true, true));
        assert_eq!(said("4.0.6"), (true, false));
        assert_eq!(said("4.1.0"), (true, false));
        assert_eq!(said("2.1.4"), (false, true));
        assert_eq!(said("5.0.0"), (false, false));
        assert_eq!(said("nightly"), (false, true));
    }

    #[test]
    fn an_unknown_synchronous_mode_is_unknown_and_not_off() {
        assert!(matches!(
            PatroniConfig::read(r#"{"synchronous_mode": "quorum"}"#),
            Seen::Unknown(_)
        ));
    }
}
