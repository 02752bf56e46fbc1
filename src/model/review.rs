//! What a change of the repository would do: two revisions side by side, cluster by cluster, without a look at any cluster.
//!
//! It assumes that the base is in force everywhere; what is really live is for `plan` to say.

use std::sync::Arc;

use super::desired::Source;
use super::finding::Finding;
use super::key::Key;
use super::manifest::Document;
use super::plan::Step;

#[derive(Debug, Clone)]
pub struct Review {
    pub base: Source,
    pub head: Source,
    /// Clusters whose document differs, or about which there is something to say at the head; in the order of their keys.
    pub clusters: Vec<ReviewedCluster>,
    /// Objects that clusters refer to and whose document differs, in the order in which they are applied.
    pub supporting: Vec<ReviewedObject>,
    /// Findings at the head that belong to no cluster.
    pub findings: Vec<Finding>,
}

#[derive(Debug, Clone)]
pub struct ReviewedCluster {
    pub key: Key,
    /// `None`: the base does not have it.
    pub base: Option<Arc<Document>>,
    /// `None`: the head does not have it, or not in a form that can be read (then `refused` says why).
    pub head: Option<Arc<Document>>,
    /// Why the head's document would not be carried out.
    pub refused: Option<String>,
    /// From base to head, gates to be judged later.
    pub steps: Vec<Step>,
    pub findings: Vec<Finding>,
}

/// At least one of the two is there.
#[derive(Debug, Clone)]
pub struct ReviewedObject {
    pub base: Option<Arc<Document>>,
    pub head: Option<Arc<Document>>,
}
