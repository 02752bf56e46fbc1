//! The place where a simulated operator's webhooks change or refuse a write before it is stored.
//!
//! It is asked for create, update, patch and apply of an object itself, and for its deletion; never for a subresource:
//! rules that list only the resource leave `/scale` and `/status` out, as in Kubernetes. It never stores anything itself,
//! and may be asked several times for one request that ends in one write or none.

use serde_json::Value;

use crate::model::key::{Key, Kind};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
}

/// One write about to be stored.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionRequest<'a> {
    pub operation: Operation,
    pub kind: &'a Kind,
    /// The namespace is empty for cluster-scoped kinds.
    pub key: &'a Key,
    /// What is stored now; `None` for a creation.
    pub old: Option<&'a Value>,
    /// What is to be stored, with the schema's defaults; for a deletion what is stored now.
    pub object: &'a Value,
    pub dry_run: bool,
    /// The `User-Agent` header, empty where there was none.
    pub user_agent: &'a str,
}

/// Why a write is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status, for example 400, 403 or 422; 500 stands for a webhook that cannot be reached.
    pub code: u16,
    /// `reason` of the Status object, for example `Forbidden`; empty for none.
    pub reason: String,
    pub message: String,
}

/// Decides about one write, and may change what is stored.
pub trait Admission: Send + Sync {
    /// The object to store: `request.object`, changed where the operator would change it. For a deletion the value is
    /// not used.
    fn admit(&self, request: &AdmissionRequest<'_>) -> Result<Value, Refusal>;
}
