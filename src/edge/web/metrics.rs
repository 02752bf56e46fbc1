//! What can be counted of the daemon: clusters by state, computed from the last report at each scrape, and passes and
//! writes, counted by whoever makes them.
//!
//! No label holds a cluster's name: a fleet of ten thousand must not become ten thousand series.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;

use super::Reports;
use crate::model::plan::{Report, State};
use crate::show::durability;

type Labelled = Family<[(&'static str, &'static str); 1], Counter>;

/// What the daemon counts as it goes.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    passes: Counter,
    reads: Labelled,
    writes: Labelled,
    last_pass: Gauge<f64, AtomicU64>,
}

impl Counters {
    /// A pass has ended.
    pub fn pass_ended(&self) {
        self.passes.inc();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        self.last_pass
            .set(now.map_or(0.0, |since| since.as_secs_f64()));
    }

    /// The repository was read, or could not be.
    pub fn read(&self, succeeded: bool) {
        self.reads.get_or_create(&outcome(succeeded)).inc();
    }

    /// The API server took so many writes, and did not take so many.
    pub fn wrote(&self, succeeded: usize, failed: usize) {
        for (number, did_succeed) in [(succeeded, true), (failed, false)] {
            let counter = self.writes.get_or_create(&outcome(did_succeed));
            counter.inc_by(u64::try_from(number).unwrap_or(u64::MAX));
        }
    }
}

fn outcome(succeeded: bool) -> [(&'static str, &'static str); 1] {
    [("outcome", if succeeded { "succeeded" } else { "failed" })]
}

/// Everything this module counts, to be scraped.
pub fn registry(counters: &Counters, reports: Reports) -> Registry {
    // Present from the start, so that a rate can be taken of them.
    counters.wrote(0, 0);
    for succeeded in [true, false] {
        drop(counters.reads.get_or_create(&outcome(succeeded)));
    }
    let Counters {
        passes,
        reads,
        writes,
        last_pass,
    } = counters.clone();
    let mut registry = Registry::default();
    registry.register(
        "lockstep_passes",
        "Passes over the clusters that something had happened to",
        passes,
    );
    registry.register(
        "lockstep_repository_reads",
        "Looks at the repository",
        reads,
    );
    registry.register("lockstep_writes", "Writes sent to the API server", writes);
    registry.register(
        "lockstep_last_pass_timestamp_seconds",
        "When the last pass ended, in seconds since 1970",
        last_pass,
    );
    registry.register_collector(Box::new(OfLastReport(reports)));
    registry
}

/// Gauges computed at scrape time; none before the first report.
struct OfLastReport(Reports);

impl fmt::Debug for OfLastReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OfLastReport")
    }
}

const STATES: [State; 9] = [
    State::InSync,
    State::Pending,
    State::InTransition,
    State::Waiting,
    State::Blocked,
    State::Drifted,
    State::Suspended,
    State::Refused,
    State::Unknown,
];

impl Collector for OfLastReport {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let Some(report) = self.0.borrow().clone() else {
            return Ok(());
        };
        let states = STATES.map(|state| (state.word(), in_state(&report, state)));
        gauges(
            &mut encoder,
            "lockstep_clusters",
            "Clusters by where they stand between Git and live",
            "state",
            &states,
        )?;
        let verdicts = ["yes", "no", "unknown"].map(|word| (word, in_force(&report, word)));
        gauges(
            &mut encoder,
            "lockstep_clusters_in_force",
            "Clusters by whether the durability that Git declares is what really happens",
            "in_force",
            &verdicts,
        )
    }
}

fn in_state(report: &Report, state: State) -> usize {
    let clusters = report.clusters.iter();
    clusters.filter(|plan| plan.state == state).count()
}

fn in_force(report: &Report, word: &str) -> usize {
    let clusters = report.clusters.iter();
    clusters
        .filter(|plan| durability::word(&plan.in_force.verdict) == word)
        .count()
}

fn gauges(
    encoder: &mut DescriptorEncoder,
    name: &'static str,
    help: &str,
    label: &str,
    values: &[(&'static str, usize)],
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (value, number) in values {
        let number = i64::try_from(*number).unwrap_or(i64::MAX);
        let labels = [(label, *value)];
        ConstGauge::new(number).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
