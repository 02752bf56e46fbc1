//! What one revision of the repository asks for, as far as it could be read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::cluster::ClusterSpec;
use super::finding::Finding;
use super::key::{Key, Kind};
use super::manifest::Document;

/// Which revision was read, in words for people and as an id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// As the user named it: a path or URL, without credentials.
    pub repository: String,
    /// As the user named it: a branch, tag or commit; `worktree` for uncommitted files.
    pub revision: String,
    /// Full commit id; `None` for uncommitted files.
    pub commit: Option<String>,
}

/// Everything one revision declares.
#[derive(Debug, Clone, Default)]
pub struct Desired {
    pub source: Source,
    pub clusters: BTreeMap<Key, DesiredCluster>,
    /// Objects that clusters refer to, in the order in which they are applied.
    pub supporting: Vec<Supporting>,
    /// Clusters whose manifest was found and cannot be carried out; they stay as they are.
    pub refused: BTreeMap<Key, Vec<Finding>>,
    /// What belongs to no cluster: unreadable files, kinds that are not applied.
    pub findings: Vec<Finding>,
    /// Kinds that are not applied, with the number of documents.
    pub not_applied: BTreeMap<Kind, usize>,
    /// Files whose objects could not be identified. While there is one, nothing is taken as gone.
    pub unidentified: BTreeSet<String>,
}

#[derive(Debug, Clone)]
pub struct DesiredCluster {
    pub document: Arc<Document>,
    pub spec: ClusterSpec,
    /// Of the parsed document, versioned (`decide::digest`).
    pub digest: String,
    /// Warnings and notes; an error would have refused it.
    pub findings: Vec<Finding>,
}

/// An object that is carried as it is, before the clusters that refer to it.
#[derive(Debug, Clone)]
pub struct Supporting {
    pub kind: Kind,
    pub key: Key,
    pub document: Arc<Document>,
    pub digest: String,
}
