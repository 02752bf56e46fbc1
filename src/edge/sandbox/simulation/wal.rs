//! PostgreSQL's part of the simulation: one leader's write-ahead log, the standbys that follow it, and a writer.
//!
//! A commit is acknowledged when every standby that `synchronous_standby_names` asks for has flushed it; until then the
//! writer waits, and the wait is counted. Pure: it knows elapsed time only, and nothing of Patroni or Kubernetes.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The writer commits so often while nothing makes it wait; the measured stalls of `domain` §10 used the same.
const COMMIT_EVERY: Duration = Duration::from_millis(20);
/// WAL of one commit. Small, so that a standby frozen for a minute still shows a lag of 0 MB.
const COMMIT_BYTES: u64 = 256;
/// How fast a standby catches up that is behind and healthy.
const CATCH_UP_BYTES_PER_MILLI: u64 = 16 * 1024;
/// PostgreSQL's `wal_sender_timeout`, which StackGres leaves at its default.
pub const WAL_SENDER_TIMEOUT: Duration = Duration::from_secs(60);
/// The end of the log of a new cluster.
pub const FIRST_POSITION: u64 = 0x0300_0000;

/// `synchronous_standby_names`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Names {
    /// Empty: commits wait for nobody.
    #[default]
    Nobody,
    /// `*`: any one standby.
    Anyone,
    /// `FIRST k`, where k is the number of names.
    All(Vec<String>),
}

impl Names {
    pub fn lists(&self, name: &str) -> bool {
        match self {
            Self::Nobody | Self::Anyone => false,
            Self::All(names) => names.iter().any(|listed| listed == name),
        }
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nobody => Ok(()),
            Self::Anyone => f.write_str("*"),
            Self::All(names) => {
                let quoted: Vec<String> = names.iter().map(|name| quoted(name)).collect();
                match quoted.as_slice() {
                    [one] => f.write_str(one),
                    several => write!(f, "{} ({})", several.len(), several.join(",")),
                }
            }
        }
    }
}

fn quoted(name: &str) -> String {
    let is_plain = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_plain {
        name.to_owned()
    } else {
        format!("\"{name}\"")
    }
}

/// How a standby keeps up with the leader.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pace {
    #[default]
    Healthy,
    /// At half the speed at which an unhindered writer writes.
    Lagging,
    /// Connected and standing still.
    Frozen,
}

#[derive(Debug, Clone, Default)]
pub struct Standby {
    /// How far this standby has flushed; kept while it is not connected.
    pub flushed: u64,
    pub pace: Pace,
    /// Whether the leader has a walsender for it.
    pub is_connected: bool,
    /// The walsender is in state `streaming`: it has caught up once since it connected.
    pub is_streaming: bool,
    /// How long commits have waited for it while it stood still.
    unanswered: Duration,
}

/// What the writer has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Writes {
    pub acknowledged: u64,
    /// Simulated time.
    pub longest_stall: Duration,
    /// Simulated time.
    pub total_stalled: Duration,
    /// How long the writer has been waiting; zero while it is not.
    pub stalled: Duration,
    /// Acknowledged commits that a failover threw away.
    pub lost: u64,
}

#[derive(Debug, Clone, Default)]
pub struct Wal {
    pub position: u64,
    pub names: Names,
    pub standbys: BTreeMap<String, Standby>,
    /// Whether there is a leader that takes writes.
    pub is_writable: bool,
    pub is_writer_on: bool,
    pub writes: Writes,
    /// The end of the commit that waits for its acknowledgement.
    waiting: Option<u64>,
    since_commit: Duration,
    /// The end of the last acknowledged commit.
    promised: u64,
}

impl Wal {
    pub fn advance(&mut self, mut elapsed: Duration) {
        while !elapsed.is_zero() {
            let slice = if self.is_calm() {
                self.commit_unhindered(elapsed);
                elapsed
            } else if let Some(until) = self.standstill() {
                let slice = until.min(elapsed);
                self.wait(slice);
                slice
            } else {
                let slice = COMMIT_EVERY.min(elapsed);
                self.advance_slice(slice);
                slice
            };
            elapsed -= slice;
        }
    }

    /// The standby connects and streams from where it is; from `position` if it is new to this log.
    pub fn connect(&mut self, name: &str) {
        let position = self.position;
        let standby = self.standbys.entry(name.to_owned()).or_default();
        standby.flushed = match standby.flushed {
            0 => position,
            flushed => flushed.min(position),
        };
        standby.is_connected = true;
        standby.is_streaming = standby.flushed == position;
        standby.unanswered = Duration::ZERO;
    }

    pub fn disconnect(&mut self, name: &str) {
        if let Some(standby) = self.standbys.get_mut(name) {
            standby.is_connected = false;
            standby.is_streaming = false;
        }
    }

    pub fn set_pace(&mut self, name: &str, pace: Pace) {
        let standby = self.standbys.entry(name.to_owned()).or_default();
        if standby.pace != pace {
            standby.pace = pace;
            standby.unanswered = Duration::ZERO;
        }
    }

    /// No server takes writes; all walsenders are gone with it.
    pub fn lose_leader(&mut self) {
        self.is_writable = false;
        self.waiting = None;
        for standby in self.standbys.values_mut() {
            standby.is_connected = false;
            standby.is_streaming = false;
        }
    }

    /// A server at `position` takes writes from here on; what others have beyond it is rewound.
    pub fn lead_from(&mut self, position: u64) {
        self.writes.lost += self.promised.saturating_sub(position) / COMMIT_BYTES;
        self.promised = self.promised.min(position);
        self.position = position;
        self.is_writable = true;
        self.waiting = None;
        self.since_commit = Duration::ZERO;
        for standby in self.standbys.values_mut() {
            standby.flushed = standby.flushed.min(position);
        }
    }

    pub fn is_connected(&self, name: &str) -> bool {
        self.standbys
            .get(name)
            .is_some_and(|standby| standby.is_connected)
    }

    pub fn flushed(&self, name: &str) -> Option<u64> {
        self.standbys.get(name).map(|standby| standby.flushed)
    }

    /// Before the first leader there is nothing to wait for.
    fn has_begun(&self) -> bool {
        self.position > 0
    }

    /// Nothing waits and nobody is behind: any number of commits can be counted at once.
    fn is_calm(&self) -> bool {
        self.is_writable
            && self.waiting.is_none()
            && self.standbys.values().all(|standby| {
                !standby.is_connected
                    || standby.pace == Pace::Frozen
                    || (standby.pace == Pace::Healthy && standby.is_streaming)
            })
            && (!self.is_writer_on || self.is_acknowledged(self.position + COMMIT_BYTES, true))
    }

    /// Whether all that have to have flushed up to `position`; with `ahead`, whether they will at once.
    fn is_acknowledged(&self, position: u64, ahead: bool) -> bool {
        let has = |standby: &Standby| {
            standby.is_connected
                && (standby.flushed >= position
                    || (ahead && standby.is_streaming && standby.pace == Pace::Healthy))
        };
        match &self.names {
            Names::Nobody => true,
            Names::Anyone => self.standbys.values().any(has),
            Names::All(names) => names
                .iter()
                .all(|name| self.standbys.get(name).is_some_and(has)),
        }
    }

    fn commit_unhindered(&mut self, elapsed: Duration) {
        if self.is_writer_on {
            let total = self.since_commit + elapsed;
            let commits =
                u64::try_from(total.as_micros() / COMMIT_EVERY.as_micros()).unwrap_or(u64::MAX);
            self.since_commit = total
                - Duration::from_micros(
                    u64::try_from(COMMIT_EVERY.as_micros())
                        .unwrap_or(u64::MAX)
                        .saturating_mul(commits),
                );
            self.position += commits * COMMIT_BYTES;
            if commits > 0 {
                self.acknowledge(commits);
            }
        }
        self.pull_streaming();
    }

    /// For how long nothing can move: the writer waits, or cannot write, and no standby gains ground.
    fn standstill(&self) -> Option<Duration> {
        if self.is_writable && self.is_writer_on && self.waiting.is_none() {
            return None;
        }
        let gains = self.standbys.values().any(|standby| {
            standby.is_connected
                && standby.pace != Pace::Frozen
                && (standby.flushed < self.position || !standby.is_streaming)
        });
        if gains
            || self
                .waiting
                .is_some_and(|commit| self.is_acknowledged(commit, false))
        {
            return None;
        }
        let timeout = self
            .standbys
            .iter()
            .filter(|(name, standby)| self.is_awaited(name, standby))
            .map(|(_, standby)| WAL_SENDER_TIMEOUT.saturating_sub(standby.unanswered))
            .min();
        Some(timeout.unwrap_or(Duration::MAX))
    }

    /// A commit waits for this frozen standby. The walsender's clock runs from here, not from the moment it froze: a
    /// freeze that is found by a change always costs that change the whole timeout.
    fn is_awaited(&self, name: &str, standby: &Standby) -> bool {
        standby.is_connected
            && standby.pace == Pace::Frozen
            && self.waiting.is_some_and(|commit| standby.flushed < commit)
            && (self.names == Names::Anyone || self.names.lists(name))
    }

    fn wait(&mut self, elapsed: Duration) {
        let is_down = self.is_writer_on && !self.is_writable && self.has_begun();
        if self.waiting.is_some() || is_down {
            self.writes.stalled += elapsed;
            self.writes.total_stalled += elapsed;
            self.writes.longest_stall = self.writes.longest_stall.max(self.writes.stalled);
        }
        let awaited: Vec<String> = self
            .standbys
            .iter()
            .filter(|(name, standby)| self.is_awaited(name, standby))
            .map(|(name, _)| name.clone())
            .collect();
        for name in awaited {
            if let Some(standby) = self.standbys.get_mut(&name) {
                standby.unanswered += elapsed;
                if standby.unanswered >= WAL_SENDER_TIMEOUT {
                    standby.is_connected = false;
                    standby.is_streaming = false;
                }
            }
        }
    }

    fn advance_slice(&mut self, elapsed: Duration) {
        self.pull(elapsed);
        if let Some(commit) = self.waiting {
            if self.is_acknowledged(commit, false) {
                self.acknowledge(1);
                self.waiting = None;
                self.since_commit = Duration::ZERO;
            }
            self.wait(elapsed);
        } else if self.is_writer_on && self.is_writable {
            self.since_commit += elapsed;
            if self.since_commit >= COMMIT_EVERY {
                self.since_commit -= COMMIT_EVERY;
                self.position += COMMIT_BYTES;
                self.pull_streaming();
                if self.is_acknowledged(self.position, false) {
                    self.acknowledge(1);
                } else {
                    self.waiting = Some(self.position);
                }
            }
        } else {
            self.wait(elapsed);
        }
    }

    fn acknowledge(&mut self, commits: u64) {
        self.writes.acknowledged += commits;
        self.writes.stalled = Duration::ZERO;
        self.promised = self.position;
    }

    fn pull_streaming(&mut self) {
        for standby in self.standbys.values_mut() {
            if standby.is_connected && standby.is_streaming && standby.pace == Pace::Healthy {
                standby.flushed = self.position;
            }
        }
    }

    fn pull(&mut self, elapsed: Duration) {
        let millis = u64::try_from(elapsed.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        for standby in self.standbys.values_mut() {
            if !standby.is_connected {
                continue;
            }
            let bytes = match standby.pace {
                Pace::Healthy => CATCH_UP_BYTES_PER_MILLI * millis,
                Pace::Lagging => {
                    COMMIT_BYTES * millis / u64::try_from(COMMIT_EVERY.as_millis()).unwrap_or(1) / 2
                }
                Pace::Frozen => 0,
            };
            standby.flushed = (standby.flushed + bytes).min(self.position);
            if standby.flushed == self.position {
                standby.is_streaming = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(standbys: &[&str], names: Names) -> Wal {
        let mut wal = Wal {
            names,
            is_writer_on: true,
            ..Wal::default()
        };
        wal.lead_from(FIRST_POSITION);
        for name in standbys {
            wal.standbys.entry((*name).to_owned()).or_default().flushed = FIRST_POSITION;
            wal.connect(name);
        }
        wal
    }

    fn all(names: &[&str]) -> Names {
        Names::All(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn the_setting_is_written_as_postgresql_reads_it() {
        assert_eq!(Names::Nobody.to_string(), "");
        assert_eq!(Names::Anyone.to_string(), "*");
        assert_eq!(all(&["p1"]).to_string(), "p1");
        assert_eq!(all(&["p1", "p2"]).to_string(), "2 (p1,p2)");
        assert_eq!(all(&["db-1", "db-2"]).to_string(), r#"2 ("db-1","db-2")"#);
    }

    #[test]
    fn an_unhindered_writer_commits_fifty_times_a_second() {
        let mut wal = log(&["p1"], all(&["p1"]));
        wal.advance(Duration::from_secs(10));
        assert_eq!(wal.writes.acknowledged, 500);
        assert_eq!(wal.writes.longest_stall, Duration::ZERO);
        assert_eq!(wal.flushed("p1"), Some(wal.position));
    }

    #[test]
    fn a_frozen_standby_holds_commits_until_its_walsender_times_out() {
        let mut wal = log(&["p1", "p2"], Names::Nobody);
        wal.set_pace("p1", Pace::Frozen);
        wal.advance(Duration::from_secs(300));
        assert!(wal.standbys["p1"].is_connected, "nobody waits for it");
        wal.names = all(&["p1", "p2"]);
        wal.advance(Duration::from_secs(59));
        assert!(wal.standbys["p1"].is_connected);
        wal.advance(Duration::from_secs(2));
        assert!(!wal.standbys["p1"].is_connected);
        let acknowledged = wal.writes.acknowledged;
        wal.advance(Duration::from_secs(9));
        assert_eq!(
            wal.writes.acknowledged, acknowledged,
            "FIRST 2 of one blocks"
        );
        wal.names = all(&["p2"]);
        wal.advance(Duration::from_secs(1));
        assert!(wal.writes.acknowledged > acknowledged);
        assert_eq!(wal.writes.stalled, Duration::ZERO);
        assert!(wal.writes.longest_stall >= Duration::from_secs(69));
    }

    #[test]
    fn any_standby_does_for_a_star_and_nobody_never_does() {
        let mut wal = log(&[], Names::Anyone);
        wal.advance(Duration::from_secs(3600));
        assert_eq!(wal.writes.acknowledged, 0);
        assert!(wal.writes.stalled > Duration::from_secs(3599));
        wal.connect("p1");
        wal.advance(Duration::from_secs(5));
        assert!(wal.writes.acknowledged > 0);
    }

    #[test]
    fn a_lagging_standby_is_waited_for_through_its_whole_backlog() {
        let mut wal = log(&["p1"], Names::Nobody);
        wal.set_pace("p1", Pace::Lagging);
        wal.advance(Duration::from_secs(60));
        let behind = wal.position - wal.standbys["p1"].flushed;
        assert!(behind > 60 * 50 * COMMIT_BYTES / 3);
        assert!(wal.standbys["p1"].is_connected);
        wal.names = all(&["p1"]);
        wal.advance(Duration::from_secs(120));
        assert!(wal.writes.longest_stall > Duration::from_secs(55));
        assert!(
            wal.writes.stalled < Duration::from_secs(1),
            "it has caught up"
        );
        assert!(wal.standbys["p1"].is_streaming);
    }

    #[test]
    fn a_promotion_behind_the_last_acknowledged_commit_loses_it() {
        let mut wal = log(&["p1"], Names::Nobody);
        wal.set_pace("p1", Pace::Frozen);
        wal.advance(Duration::from_secs(1));
        wal.lose_leader();
        wal.lead_from(FIRST_POSITION);
        assert_eq!(wal.writes.lost, 50);
    }

    #[test]
    fn time_without_a_leader_is_a_stall() {
        let mut wal = log(&["p1"], Names::Nobody);
        wal.lose_leader();
        wal.advance(Duration::from_secs(35));
        wal.lead_from(wal.position);
        wal.advance(Duration::from_secs(1));
        assert_eq!(wal.writes.longest_stall, Duration::from_secs(35));
    }
}
