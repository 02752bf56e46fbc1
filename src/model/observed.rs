//! What was seen of one cluster: the live object, its members, what Patroni keeps, and what else is going on.
//!
//! Built by `edge::apiserver` from watched objects; read by every decision. What could not be read is `Seen::Unknown`
//! with the reason, so that it can close a gate and be named.

use serde_json::Value;

use super::key::Key;
use super::patroni::{
    FailoverRequest, LeaderRecord, MemberStatus, PatroniConfig, Seen, SyncState, Takeover,
};

/// One cluster as seen at one moment. `live: None` means the API server was asked and has no such object.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedCluster {
    pub key: Key,
    pub live: Option<LiveObject>,
    /// In the order of their index.
    pub members: Seen<Vec<Member>>,
    pub patroni: ObservedPatroni,
    /// `Value(None)`: there is none.
    pub stateful_set: Seen<Option<StatefulSet>>,
    /// Operations on this cluster that have started or wait to start, and have not ended.
    pub operations: Seen<Vec<Operation>>,
}

impl ObservedCluster {
    /// The members that were seen, for showing; none where they are unknown, so no gate may be judged by this alone.
    pub fn seen_members(&self) -> &[Member] {
        self.members.value().map_or(&[], Vec::as_slice)
    }
}

/// The SGCluster as the API server holds it.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveObject {
    /// The object without `metadata.managedFields`.
    pub value: Value,
    pub resource_version: String,
    /// `metadata.managedFields`, one entry a manager.
    pub managers: Vec<Manager>,
}

impl LiveObject {
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.value
            .get("metadata")?
            .get("annotations")?
            .get(name)?
            .as_str()
    }
}

/// One entry of `metadata.managedFields`.
#[derive(Debug, Clone, PartialEq)]
pub struct Manager {
    pub name: String,
    /// `Apply` or `Update`.
    pub operation: String,
    pub subresource: Option<String>,
    /// RFC 3339; one time for all the fields of the entry, absent for writes through `/scale`.
    pub time: Option<String>,
    /// `fieldsV1` as stored.
    pub fields: Value,
}

/// A Pod of the cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    pub name: String,
    /// The number after the last `-` of the name.
    pub index: Option<u32>,
    pub ready: bool,
    pub terminating: bool,
    /// Why the Pod does not start, where Kubernetes says so (`PodScheduled` false: its message).
    pub unschedulable: Option<String>,
    /// The Pod label `role`, as Patroni sets it.
    pub role: Option<String>,
    /// The Pod label `stackgres.io/disruptible` is `false`: an operator keeps this Pod through a scale-down.
    pub kept: bool,
    /// The Pod annotation `stackgres.io/patroni-version`.
    pub patroni_version: Option<String>,
    /// `None`: the member has not said anything yet.
    pub status: Option<Seen<MemberStatus>>,
}

impl Member {
    /// What the member last said, where it can be read.
    pub fn said(&self) -> Option<&MemberStatus> {
        self.status.as_ref()?.value()
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct ObservedPatroni {
    /// The name that Patroni's Endpoints share: its scope, with `-<group>` for Citus.
    pub base: String,
    pub leader: Seen<LeaderRecord>,
    pub config: Seen<PatroniConfig>,
    /// Changes whenever the Endpoints `<base>-config` does.
    pub config_version: Option<String>,
    /// Annotation `initialize`: the system identifier; `None` uninitialized, empty while initializing.
    pub initialize: Option<String>,
    pub sync: Seen<SyncState>,
    pub failover: Option<FailoverRequest>,
    /// Annotation `history`: who took over last, where anybody ever did.
    pub last_takeover: Option<Takeover>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatefulSet {
    pub replicas: u32,
    /// `status.observedGeneration` equals `metadata.generation`.
    pub is_observed: bool,
}

/// An SGDbOps or SGBackup that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Operation {
    /// `SGDbOps` or `SGBackup`.
    pub kind: &'static str,
    pub name: String,
    /// `spec.op` of an SGDbOps, `backup` otherwise.
    pub op: String,
}
