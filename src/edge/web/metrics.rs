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
    passes: Labelled,
    writes: Labelled,
    last_pass: Gauge<f64, AtomicU64>,
}

impl Counters {
    /// A pass has ended and a report came of it.
    pub fn pass_succeeded(&self) {
        self.passes.get_or_create(&[("outcome", "succeeded")]).inc();
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        self.last_pass
            .set(now.map_or(0.0, |since| since.as_secs_f64()));
    }

    /// A pass has ended without a report.
    pub fn pass_failed(&self) {
        self.passes.get_or_create(&[("outcome", "failed")]).inc();
    }

    /// The API server has taken a write, or not.
    pub fn wrote(&self, succeeded: bool) {
        let outcome = if succeeded { "succeeded" } else { "failed" };
        self.writes.get_or_create(&[("outcome", outcome)]).inc();
    }
}

/// Registers everything this module counts.
pub fn register(registry: &mut Registry, reports: Reports) -> Counters {
    let counters = Counters::default();
    for outcome in ["succeeded", "failed"] {
        // Present from the start, so that a rate can be taken of it.
        drop(counters.passes.get_or_create(&[("outcome", outcome)]));
        drop(counters.writes.get_or_create(&[("outcome", outcome)]));
    }
    registry.register(
        "lockstep_passes",
        "Passes over the repository and the clusters",
        counters.passes.clone(),
    );
    registry.register(
        "lockstep_writes",
        "Writes sent to the API server",
        counters.writes.clone(),
    );
    registry.register(
        "lockstep_last_pass_timestamp_seconds",
        "When the last pass that succeeded ended, in seconds since 1970",
        counters.last_pass.clone(),
    );
    registry.register_collector(Box::new(OfLastReport(reports)));
    counters
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
