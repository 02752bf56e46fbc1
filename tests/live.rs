//! The live side against an API server: what is read, what a write does, and what is left alone.
//!
//! Runs against the server that `LOCKSTEP_TEST_KUBECONFIG` names, with the StackGres definitions that are installed there;
//! without it each test starts a sandbox. A test makes its own namespace and leaves it behind; what the sandbox has not
//! (permissions, admission policies) is tried where it is.

#![expect(
    clippy::unwrap_used,
    reason = "what a helper cannot do is the failure of its test"
)]

#[path = "live/place.rs"]
mod place;
#[path = "live/reading.rs"]
mod reading;
#[path = "live/trouble.rs"]
mod trouble;
#[path = "live/writing.rs"]
mod writing;
