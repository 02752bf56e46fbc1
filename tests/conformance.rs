//! What a Kubernetes API server answers, asked of the sandbox, or of the server that `LOCKSTEP_TEST_KUBECONFIG` names.
//!
//! The cases are tables of requests and of what has to be in the answers, and the same for both servers: whatever another
//! test relies on has been seen on a real one. Each case makes its own namespace. The last file is about the sandbox alone.

#![expect(
    clippy::unwrap_used,
    reason = "what a helper cannot do is the failure of its test"
)]

#[path = "conformance/applying.rs"]
mod applying;
#[path = "conformance/asking.rs"]
mod asking;
#[path = "conformance/built_in.rs"]
mod built_in;
#[path = "conformance/creating.rs"]
mod creating;
#[path = "conformance/deleting.rs"]
mod deleting;
#[path = "conformance/listing.rs"]
mod listing;
#[path = "conformance/patching.rs"]
mod patching;
#[path = "conformance/sandbox.rs"]
mod sandbox;
#[path = "conformance/watching.rs"]
mod watching;
