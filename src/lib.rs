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
//! One commit, walked: `edge::git` notices it and names the files that changed; `model::yaml` and `model::manifest` read
//! each of them, `decide::check` judges it, `decide::desired` puts the revision together. `edge::apiserver` keeps what is
//! live; `run::observer` takes a look and remembers it as a `decide::sighting`. `decide::plan` compares the two
//! (`compare`), orders the writes (`steps`, `transition`, `roles`), judges the gates of the first (`gate`, `evidence`) and
//! says what it waits for (`wait`, `approval`). `run::reconcile` writes it if they are open, and `run::daemon` publishes the
//! report that `show` puts into words.
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
    // A revision: is each document right, and what do all of them ask for?
    pub mod check;
    pub mod desired;
    pub mod digest;

    // A cluster: what differs, in which order it is written, what must hold before each write, what is in force, and how
    // many members may be lost.
    pub mod approval;
    pub mod availability;
    pub mod compare;
    pub mod durability;
    pub mod evidence;
    pub mod gate;
    pub mod plan;
    pub mod references;
    pub mod roles;
    pub mod sighting;
    pub mod steps;
    pub mod transition;
    pub mod wait;

    // A pull request: the same between two revisions.
    pub mod review;

    #[cfg(test)]
    mod hazards;
    #[cfg(test)]
    mod laws;
    #[cfg(test)]
    mod losses;
    #[cfg(test)]
    pub(crate) mod scene;
    #[cfg(test)]
    mod stories;
    #[cfg(test)]
    pub(crate) mod story;
}

/// Floor 2: words and pictures. Pure rendering of what was decided; every value is escaped for where it is shown.
pub mod show {
    pub mod availability;
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
    #[cfg(test)]
    mod stories;
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
    // Git to desired.
    pub mod desired;
    pub mod rules;
    pub mod source;

    // Both sides to a plan, without writing.
    pub mod observer;
    pub mod review;
    pub mod survey;

    // A plan to a write: the pass, and who repeats it.
    pub mod apply;
    pub mod daemon;
    pub mod reconcile;

    // All of it on a stage.
    pub mod demo;
}

/// Above all floors: what was typed, and what is answered. Errors become words and exit codes here and nowhere else.
pub mod cli;
/// What was configured, as each part's own settings.
pub mod config;
