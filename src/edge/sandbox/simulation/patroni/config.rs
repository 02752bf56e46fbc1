//! Patroni's dynamic configuration as far as the simulation follows it, and the versions that behave differently.
//!
//! It never refuses: like Patroni it takes its default for what is missing or of another type.

use std::time::Duration;

use serde_json::Value;

/// Annotation `config` of Endpoints `<base>-config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `synchronous_mode`; off in a standby cluster whatever it says.
    pub is_synchronous: bool,
    pub is_strict: bool,
    pub count: usize,
    pub loop_wait: Duration,
    pub ttl: Duration,
    pub is_paused: bool,
    pub follows_another: bool,
    /// Bytes; `None` keeps lagging standbys.
    pub maximum_lag_on_syncnode: Option<u64>,
    /// Bytes.
    pub maximum_lag_on_failover: u64,
}

impl Config {
    pub fn read(text: &str) -> Self {
        let config: Value = serde_json::from_str(text).unwrap_or(Value::Null);
        let number = |key: &str| config.get(key).and_then(Value::as_i64);
        let seconds = |key: &str, default: u64| {
            let seconds = number(key).and_then(|value| u64::try_from(value).ok());
            Duration::from_secs(seconds.filter(|value| *value > 0).unwrap_or(default))
        };
        let flag = |key: &str| config.get(key).and_then(Value::as_bool).unwrap_or(false);
        let follows_another = config.get("standby_cluster").is_some_and(|section| {
            ["host", "port", "restore_command"]
                .iter()
                .any(|key| section.get(key).is_some_and(|value| !value.is_null()))
        });
        let count = number("synchronous_node_count")
            .and_then(|value| usize::try_from(value).ok())
            .unwrap_or(1)
            .max(1);
        Self {
            is_synchronous: flag("synchronous_mode") && !follows_another,
            is_strict: flag("synchronous_mode_strict"),
            count,
            loop_wait: seconds("loop_wait", 10),
            ttl: seconds("ttl", 30),
            is_paused: flag("pause"),
            follows_another,
            maximum_lag_on_syncnode: number("maximum_lag_on_syncnode")
                .and_then(|value| u64::try_from(value).ok())
                .filter(|value| *value > 0),
            maximum_lag_on_failover: number("maximum_lag_on_failover")
                .and_then(|value| u64::try_from(value).ok())
                .unwrap_or(1024 * 1024),
        }
    }
}

/// A Patroni release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// Reads `3.3.3`; missing parts are 0.
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| part.parse().ok());
        let major = parts.next()??;
        let minor = parts.next().unwrap_or(Some(0))?;
        let patch = parts.next().unwrap_or(Some(0))?;
        Some(Self(major, minor, patch))
    }

    /// From 4.0 on the leader is called `primary`.
    pub fn says_primary(self) -> bool {
        self >= Self(4, 0, 0)
    }

    pub fn says_replication_state(self) -> bool {
        self >= Self(3, 1, 0)
    }

    /// Receive and replay positions of their own, and a readiness that looks at the lag.
    pub fn says_both_positions(self) -> bool {
        self >= Self(4, 1, 0)
    }

    /// Taking strict off leaves `*` in force while nobody streams (patroni PR 3370).
    pub fn keeps_star(self) -> bool {
        self < Self(3, 3, 7) || (self >= Self(4, 0, 0) && self < Self(4, 0, 6))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_configuration_has_patronis_defaults() {
        let config = Config::read("");
        assert_eq!(config.loop_wait, Duration::from_secs(10));
        assert_eq!(config.ttl, Duration::from_secs(30));
        assert!(!config.is_synchronous);
        assert_eq!(config.count, 1);
    }

    #[test]
    fn a_standby_cluster_is_never_synchronous() {
        let config = Config::read(
            r#"{"synchronous_mode": true, "standby_cluster": {"host": "other", "port": 5433}}"#,
        );
        assert!(!config.is_synchronous);
        assert!(config.follows_another);
    }

    #[test]
    fn the_star_stays_only_before_its_fix() {
        for (text, keeps) in [
            ("3.3.3", true),
            ("3.3.7", false),
            ("4.0.5", true),
            ("4.0.6", false),
            ("4.1.0", false),
        ] {
            assert_eq!(
                Version::read(text).map(Version::keeps_star),
                Some(keeps),
                "{text}"
            );
        }
    }
}
