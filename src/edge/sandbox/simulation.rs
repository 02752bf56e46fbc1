//! A simulated StackGres operator and Patroni on top of the embedded API server.
//!
//! Written from what is documented and was measured of the real ones, never from how Lockstep plans, and it shares no code
//! with `decide`: it is what a plan is tried against. Pure machines (`wal`, `patroni`, `spec`, `operator`, `webhooks`,
//! `objects`) know elapsed time and JSON only; thin glue around them talks to the API server as any operator would.

pub mod objects;
pub mod operator;
pub mod patroni;
pub mod spec;
pub mod wal;
pub mod webhooks;
