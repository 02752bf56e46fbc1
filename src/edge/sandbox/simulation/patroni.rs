//! Patroni as a machine: members, the leader's loop, the lock, elections. Written from `domain` §5.
//!
//! Time is what `step` is told has passed; what Patroni would write comes back as `Effect`s in the order in which it would
//! write them. The machine reads no clock and touches no API server. Synchronous standbys are chosen in `synchronous`,
//! what a member says of itself is worded in `report`.

pub mod config;
pub mod report;
mod synchronous;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use self::config::{Config, Version};
use self::report::Report;
use super::wal::{FIRST_POSITION, Names, Pace, Wal};

/// `initdb` and the first start.
const INITIALIZE: Duration = Duration::from_secs(3);
/// A start on a volume that has data, a rewind included.
const START: Duration = Duration::from_secs(5);
/// Until a standby streams from a new leader.
const REATTACH: Duration = Duration::from_secs(2);
/// Until a server that nobody waits for has stopped.
const STOP: Duration = Duration::from_secs(1);
/// How many times slower a slow build is.
const SLOW: u32 = 10;

/// What is wrong with a member, as set by the annotation `sandbox.lockstep.dev/fault` on its Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Stands still and goes on saying `streaming`.
    Frozen,
    /// Follows at a fraction of the writer's speed.
    Lagging,
    /// Not ready, says nothing any more, is not connected.
    Down,
    /// A copy in the making takes ten times as long.
    SlowBuild,
}

impl Fault {
    pub fn read(word: &str) -> Option<Self> {
        match word {
            "frozen" => Some(Self::Frozen),
            "lagging" => Some(Self::Lagging),
            "down" => Some(Self::Down),
            "slow-build" => Some(Self::SlowBuild),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// There is no leader to copy from.
    Waiting,
    Initializing(Duration),
    Building(Duration),
    Starting(Duration),
    Running,
    /// Waits to be released as a synchronous standby; since when.
    Stopping(Duration),
    /// Nothing waits for it any more; what is left until its server has stopped.
    Closing(Duration),
}

#[derive(Debug, Clone)]
struct Member {
    phase: Phase,
    ip: String,
    build: Duration,
    fault: Option<Fault>,
    nofailover: bool,
    noloadbalance: bool,
    timeline: u32,
    /// Until it connects to the leader.
    attach: Option<Duration>,
    reported: Option<Report>,
}

/// The lock in Endpoints `<base>`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lock {
    holder: String,
    renewed: Duration,
}

/// What `<base>-sync` holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sync {
    pub leader: String,
    pub standbys: BTreeSet<String>,
}

/// What Patroni writes, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The database system exists from here on.
    Initialized,
    /// The lock is taken or renewed.
    Renewed {
        leader: String,
        ttl: u64,
        transitions: u32,
        optime: u64,
        is_acquired: bool,
        slots: BTreeMap<String, u64>,
    },
    /// The lock is given back.
    Released,
    /// A timeline has ended, at this position, and who began the next.
    Promoted {
        timeline: u32,
        position: u64,
        leader: String,
    },
    /// `None`: the annotations are removed.
    Sync(Option<Sync>),
    /// `synchronous_standby_names` on the leader: no object shows it, the order of writes can be tested by it.
    Names(Names),
    /// What a member says of itself, its label and its readiness.
    Member { name: String, report: Report },
    /// The member has stopped; its Pod may go.
    Left(String),
}

#[derive(Debug, Clone)]
pub struct Patroni {
    pub wal: Wal,
    version: Version,
    port: u16,
    config: Config,
    members: BTreeMap<String, Member>,
    /// Whose volumes hold data, Pods that are gone included.
    volumes: BTreeSet<String>,
    lock: Option<Lock>,
    /// The leader's position when it last renewed.
    optime: u64,
    is_initialized: bool,
    transitions: u32,
    timeline: u32,
    sync: Option<Sync>,
    /// When those that joined last are looked at again.
    confirm_at: Option<Duration>,
    /// Where the log stood when they joined.
    joined_at: u64,
    now: Duration,
    next_loop: Duration,
    next_touch: Duration,
    effects: Vec<Effect>,
}

impl Patroni {
    pub fn new(version: Version, port: u16, config: Config) -> Self {
        Self {
            wal: Wal::default(),
            version,
            port,
            next_loop: config.loop_wait,
            next_touch: config.loop_wait / 2,
            config,
            members: BTreeMap::new(),
            volumes: BTreeSet::new(),
            lock: None,
            optime: 0,
            is_initialized: false,
            transitions: 0,
            timeline: 1,
            sync: None,
            confirm_at: None,
            joined_at: 0,
            now: Duration::ZERO,
            effects: Vec::new(),
        }
    }

    /// Lets time pass, and returns what is written meanwhile. What the calls before have caused comes back too.
    pub fn step(&mut self, elapsed: Duration) -> Vec<Effect> {
        let end = self.now + elapsed;
        self.settle();
        loop {
            let next = self.next_event().min(self.next_touch);
            self.advance_to(next.min(end));
            if next > end {
                break;
            }
            self.settle();
        }
        std::mem::take(&mut self.effects)
    }

    /// Until `step` has something to say without being asked. Positions that members report in between can wait for it.
    pub fn next_wake(&self) -> Duration {
        if self.effects.is_empty() {
            self.next_event().saturating_sub(self.now)
        } else {
            Duration::ZERO
        }
    }

    /// The configuration in `<base>-config` was written: the leader's loop runs at once.
    pub fn configure(&mut self, config: Config) {
        if self.config != config {
            self.config = config;
            self.next_loop = self.now;
        }
    }

    /// A Pod has started. `build` is how long a copy of the leader takes.
    pub fn add(&mut self, name: &str, ip: &str, build: Duration) {
        let is_first = !self.is_initialized
            && !self
                .members
                .values()
                .any(|member| matches!(member.phase, Phase::Initializing(_)));
        let phase = if is_first {
            Phase::Initializing(INITIALIZE)
        } else if self.volumes.contains(name) {
            Phase::Starting(START)
        } else {
            Phase::Waiting
        };
        let member = Member {
            phase,
            ip: ip.to_owned(),
            build,
            fault: None,
            nofailover: false,
            noloadbalance: false,
            timeline: self.timeline,
            attach: None,
            reported: None,
        };
        self.members.insert(name.to_owned(), member);
        self.begin_builds();
        self.touch(name);
    }

    /// The Pod is to go: the member leaves in order, `Effect::Left` says when.
    pub fn stop(&mut self, name: &str) {
        let is_leader = self.leader() == Some(name);
        let since = self.now;
        let Some(member) = self.members.get_mut(name) else {
            return;
        };
        if matches!(member.phase, Phase::Stopping(_) | Phase::Closing(_)) {
            return;
        }
        member.attach = None;
        if is_leader {
            member.phase = Phase::Closing(STOP);
            self.lose_leader();
            self.lock = None;
            self.effects.push(Effect::Released);
            self.next_loop = self.now + STOP;
        } else if member.phase == Phase::Running && member.fault != Some(Fault::Down) {
            member.phase = if self.sync.is_some() {
                Phase::Stopping(since)
            } else {
                Phase::Closing(STOP)
            };
        } else {
            member.phase = Phase::Closing(Duration::ZERO);
        }
        self.touch(name);
    }

    /// The Pod is gone, without having been asked to stop.
    pub fn remove(&mut self, name: &str) {
        if self.leader() == Some(name) {
            self.lose_leader();
        }
        self.wal.disconnect(name);
        self.members.remove(name);
    }

    pub fn set_fault(&mut self, name: &str, fault: Option<Fault>) {
        let is_leader = self.leader() == Some(name);
        let has_leader = self.leader().is_some();
        let Some(member) = self.members.get_mut(name) else {
            return;
        };
        if member.fault == fault {
            return;
        }
        let was_down = member.fault == Some(Fault::Down);
        member.fault = fault;
        if fault == Some(Fault::Down) {
            member.attach = None;
            if is_leader {
                self.lose_leader();
            }
            self.wal.disconnect(name);
        } else if was_down {
            if member.phase == Phase::Running {
                member.phase = Phase::Starting(START);
            }
        } else if has_leader
            && !is_leader
            && fault != Some(Fault::Frozen)
            && member.phase == Phase::Running
            && !self.wal.is_connected(name)
        {
            member.attach = Some(REATTACH);
        }
        self.wal.set_pace(
            name,
            match fault {
                Some(Fault::Frozen) => Pace::Frozen,
                Some(Fault::Lagging) => Pace::Lagging,
                Some(Fault::Down | Fault::SlowBuild) | None => Pace::Healthy,
            },
        );
        self.touch(name);
    }

    /// The Pod's controller has written the tags that its role asks for.
    pub fn set_tags(&mut self, name: &str, nofailover: bool, noloadbalance: bool) {
        if let Some(member) = self.members.get_mut(name)
            && (member.nofailover, member.noloadbalance) != (nofailover, noloadbalance)
        {
            member.nofailover = nofailover;
            member.noloadbalance = noloadbalance;
            self.touch(name);
        }
    }

    /// Who leads and is there to do it.
    pub fn leader(&self) -> Option<&str> {
        let holder = self.holder().filter(|_| self.wal.is_writable)?;
        let member = self.members.get(holder)?;
        (member.phase == Phase::Running && member.fault != Some(Fault::Down)).then_some(holder)
    }

    /// Who holds the lock, there or not.
    pub fn holder(&self) -> Option<&str> {
        self.lock.as_ref().map(|lock| lock.holder.as_str())
    }

    fn next_event(&self) -> Duration {
        let timers = self.members.values().filter_map(|member| {
            if member.fault == Some(Fault::Down) && !matches!(member.phase, Phase::Closing(_)) {
                return None;
            }
            let phase = match member.phase {
                Phase::Building(left) if member.fault == Some(Fault::SlowBuild) => {
                    Some(left * SLOW)
                }
                Phase::Initializing(left)
                | Phase::Building(left)
                | Phase::Starting(left)
                | Phase::Closing(left) => Some(left),
                Phase::Waiting | Phase::Running | Phase::Stopping(_) => None,
            };
            let attach = member.attach.filter(|_| member.phase == Phase::Running);
            let left = phase.into_iter().chain(attach).min()?;
            Some(self.now + left)
        });
        timers
            .chain(self.confirm_at)
            .chain([self.next_loop])
            .min()
            .unwrap_or(self.next_loop)
            .max(self.now)
    }

    fn advance_to(&mut self, moment: Duration) {
        let elapsed = moment.saturating_sub(self.now);
        self.now = self.now.max(moment);
        self.wal.advance(elapsed);
        for member in self.members.values_mut() {
            let is_down = member.fault == Some(Fault::Down);
            let slowed = if member.fault == Some(Fault::SlowBuild) {
                elapsed / SLOW
            } else {
                elapsed
            };
            match &mut member.phase {
                Phase::Closing(left) => *left = left.saturating_sub(elapsed),
                Phase::Building(left) if !is_down => {
                    *left = left.saturating_sub(slowed);
                }
                Phase::Initializing(left) | Phase::Starting(left) if !is_down => {
                    *left = left.saturating_sub(elapsed);
                }
                Phase::Initializing(_)
                | Phase::Building(_)
                | Phase::Starting(_)
                | Phase::Waiting
                | Phase::Running
                | Phase::Stopping(_) => {}
            }
            if let Some(left) = &mut member.attach {
                *left = left.saturating_sub(elapsed);
            }
        }
    }

    /// Does everything that is due now.
    fn settle(&mut self) {
        let names: Vec<String> = self.members.keys().cloned().collect();
        for name in &names {
            self.settle_member(name);
        }
        if self.confirm_at.is_some_and(|at| at <= self.now) {
            self.confirm_at = None;
            self.confirm_joined();
        }
        if self.next_loop <= self.now {
            self.next_loop = self.now + self.config.loop_wait;
            self.run_loop();
            if let Some(leader) = self.leader().map(str::to_owned) {
                self.touch(&leader);
            }
        }
        if self.next_touch <= self.now {
            self.next_touch = self.now + self.config.loop_wait;
            for name in &names {
                if self.leader() != Some(name) {
                    self.touch(name);
                }
            }
        }
    }

    fn settle_member(&mut self, name: &str) {
        let Some(member) = self.members.get_mut(name) else {
            return;
        };
        let is_down = member.fault == Some(Fault::Down);
        match member.phase {
            Phase::Closing(left) if left.is_zero() => {
                self.wal.disconnect(name);
                self.members.remove(name);
                self.effects.push(Effect::Left(name.to_owned()));
            }
            Phase::Initializing(left) if left.is_zero() && !is_down => {
                member.phase = Phase::Running;
                self.is_initialized = true;
                self.volumes.insert(name.to_owned());
                self.effects.push(Effect::Initialized);
                self.lead(name, FIRST_POSITION);
                self.begin_builds();
            }
            Phase::Building(left) | Phase::Starting(left) if left.is_zero() && !is_down => {
                member.phase = Phase::Running;
                self.volumes.insert(name.to_owned());
                if self.holder() == Some(name) && !self.is_lock_free() {
                    let position = self.wal.position;
                    self.lead(name, position);
                } else if self.leader().is_some() {
                    self.connect(name);
                }
                self.touch(name);
            }
            Phase::Running if member.attach.is_some_and(|left| left.is_zero()) => {
                member.attach = None;
                if self.leader().is_some_and(|leader| leader != name) {
                    self.connect(name);
                }
                self.touch(name);
            }
            Phase::Waiting
            | Phase::Initializing(_)
            | Phase::Building(_)
            | Phase::Starting(_)
            | Phase::Running
            | Phase::Stopping(_)
            | Phase::Closing(_) => {}
        }
    }

    fn connect(&mut self, name: &str) {
        self.wal.connect(name);
        if let Some(member) = self.members.get_mut(name) {
            member.timeline = self.timeline;
        }
    }

    /// Copies can only be made of a leader; the volume holds what the leader had when the copy began.
    fn begin_builds(&mut self) {
        if self.leader().is_none() {
            return;
        }
        let position = self.wal.position;
        for (name, member) in &mut self.members {
            if member.phase == Phase::Waiting {
                member.phase = Phase::Building(member.build);
                self.wal.standbys.entry(name.clone()).or_default().flushed = position;
            }
        }
    }

    fn run_loop(&mut self) {
        if let Some(leader) = self.leader().map(str::to_owned) {
            self.renew(&leader, false);
            self.choose_synchronous(&leader);
            self.begin_builds();
        } else if self.is_initialized && !self.config.is_paused && self.is_lock_free() {
            self.elect();
        }
        self.release_stopping();
    }

    fn is_lock_free(&self) -> bool {
        self.lock
            .as_ref()
            .is_none_or(|lock| self.now > lock.renewed + self.config.ttl)
    }

    fn renew(&mut self, leader: &str, is_acquired: bool) {
        self.lock = Some(Lock {
            holder: leader.to_owned(),
            renewed: self.now,
        });
        self.optime = self.wal.position;
        let slots = self
            .members
            .iter()
            .filter(|(name, member)| *name != leader && member.phase == Phase::Running)
            .filter_map(|(name, _)| Some((name.replace('-', "_"), self.wal.flushed(name)?)))
            .collect();
        self.effects.push(Effect::Renewed {
            leader: leader.to_owned(),
            ttl: self.config.ttl.as_secs(),
            transitions: self.transitions,
            optime: self.optime,
            is_acquired,
            slots,
        });
    }

    fn lose_leader(&mut self) {
        if let Some(holder) = self.holder().map(str::to_owned) {
            let position = self.wal.position;
            self.wal.standbys.entry(holder).or_default().flushed = position;
        }
        self.wal.lose_leader();
        self.confirm_at = None;
        for member in self.members.values_mut() {
            member.attach = None;
            if matches!(member.phase, Phase::Building(_)) {
                member.phase = Phase::Waiting;
            }
        }
    }

    /// The member takes writes from here on, and the others turn to it.
    fn lead(&mut self, name: &str, position: u64) {
        self.wal.disconnect(name);
        self.wal.lead_from(position);
        let timeline = self.timeline;
        for (other, member) in &mut self.members {
            if other == name {
                member.timeline = timeline;
                member.attach = None;
            } else if member.phase == Phase::Running && !Self::is_stuck(member) {
                member.attach = Some(REATTACH);
            }
        }
        self.renew(name, true);
        self.touch(name);
        self.next_loop = self.now + self.config.loop_wait;
        self.choose_synchronous(name);
    }

    fn is_stuck(member: &Member) -> bool {
        matches!(member.fault, Some(Fault::Down | Fault::Frozen))
    }

    /// The race for a free lock: `domain` §5.4.
    fn elect(&mut self) {
        let last_known = self.optime;
        let winner = self
            .members
            .iter()
            .filter(|(name, member)| {
                member.phase == Phase::Running
                    && member.fault != Some(Fault::Down)
                    && !member.nofailover
                    && member.timeline >= self.timeline
                    && self.may_promote(name)
            })
            .filter_map(|(name, _)| Some((self.wal.flushed(name)?, name)))
            .filter(|(flushed, _)| {
                last_known.saturating_sub(*flushed) <= self.config.maximum_lag_on_failover
            })
            .max_by(|left, right| left.0.cmp(&right.0).then(right.1.cmp(left.1)))
            .map(|(flushed, name)| (flushed, name.clone()));
        let Some((position, leader)) = winner else {
            return;
        };
        self.effects.push(Effect::Promoted {
            timeline: self.timeline,
            position,
            leader: leader.clone(),
        });
        self.timeline += 1;
        self.transitions += 1;
        self.reset_synchronous(&leader);
        self.lead(&leader, position);
    }

    fn touch(&mut self, name: &str) {
        let Some(report) = self.report(name) else {
            return;
        };
        let Some(member) = self.members.get_mut(name) else {
            return;
        };
        if member.reported.as_ref() != Some(&report) {
            member.reported = Some(report.clone());
            self.effects.push(Effect::Member {
                name: name.to_owned(),
                report,
            });
        }
    }
}

#[cfg(test)]
mod tests;
