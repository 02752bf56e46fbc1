//! Lockstep: a GitOps reconciler for StackGres PostgreSQL clusters that applies replication changes in order.
//!
//! This file is the map. A folder is a floor, and a floor imports only what is below it:
//!
//! ```text
//! git ──► Desired ──┐
//!                   ├─► plan() ─► ClusterPlan ─► first open step ─► apply ─► Report ─► CLI, page, review
//! cluster ► Observed┘     ▲                                           │
//!                  sightings, now                     the next pass observes the result
//! ```
//!
//! Invariants, each held by `tests/tidy.rs` or by a type:
//! * nothing below `edge` reads a clock, the environment, the network or a file, and nothing below it logs;
//! * no edge imports another edge; `run` alone joins them;
//! * only `run::reconcile` is given an `apiserver::Writer`, so a review or a diff can never change a cluster;
//! * a `Writer` takes only a step whose gates were checked.

/// Floor 0: the nouns. Plain values and how they are read from text; no IO, no clock, no logging.
pub mod model {
    pub mod carried;
    pub mod cluster;
    pub mod crd;
    pub mod desired;
    pub mod field;
    pub mod finding;
    pub mod key;
    pub mod manifest;
    pub mod observed;
    pub mod patroni;
    pub mod plan;
    pub mod review;
    pub mod schema;
    pub mod spelling;
    pub mod yaml;
}

/// Floor 1: the decisions. Same input, same answer: what differs, which steps lead there, which gate is open.
pub mod decide {
    pub mod check;
    pub mod compare;
    pub mod desired;
    pub mod digest;
    pub mod durability;
    pub mod evidence;
    pub mod gate;
    pub mod plan;
    pub mod references;
    pub mod review;
    #[cfg(test)]
    mod scene;
    pub mod sighting;
    pub mod steps;
    #[cfg(test)]
    mod stories;
    pub mod transition;
}

/// Floor 2: words and pictures. Pure rendering of what was decided; every value is escaped for where it is shown.
pub mod show {
    pub mod diff;
    pub mod durability;
    pub mod escape;
    pub mod findings;
    pub mod grid;
    pub mod json;
    pub mod mask;
    pub mod members;
    pub mod page;
    pub mod palette;
    pub mod plan;
    pub mod report;
    pub mod review;
    #[cfg(test)]
    pub(crate) mod sample;
    pub mod status;
    pub mod yaml_text;
}

/// Floor 3: one module per outside system. Each turns what is out there into a noun of floor 0, or the reverse.
pub mod edge {
    pub mod apiserver;
    pub mod files;
    pub mod git;
    pub mod sandbox;
    pub mod telemetry;
    pub mod web;
}

/// Floor 4: sequences of edge and decide calls. No rule of its own.
pub mod run {
    pub mod apply;
    pub mod daemon;
    pub mod demo;
    pub mod desired;
    pub mod observer;
    pub mod reconcile;
    pub mod review;
    pub mod rules;
    pub mod source;
    pub mod survey;
}

pub mod cli;
pub mod config;
