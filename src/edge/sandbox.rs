//! An embedded Kubernetes API server over HTTP, for the demo and the tests: what kube's client and kubectl need of one.
//!
//! It answers as a kube-apiserver does (status codes, reasons, messages, resource versions, watches), keeps everything in
//! memory, listens on the loopback interface only and asks nobody who they are. It runs no controller: nothing creates a
//! StatefulSet's Pods, and a deleted Pod is gone at once.

pub mod admission;
pub mod apply;
pub mod client_side;
pub mod declared;
pub mod fields;
pub mod managed;
#[cfg(test)]
mod ownership;
pub mod simulation;
pub mod typing;
pub mod walk;
