//! What a careless or hostile user may feed Lockstep, through the real binary: each answer is clear, names its place, has the
//! right exit code, and holds nothing else up.

#[path = "bad_input/escaping.rs"]
mod escaping;
#[path = "bad_input/files.rs"]
mod files;
mod harness;
#[path = "bad_input/repositories.rs"]
mod repositories;
#[path = "bad_input/servers.rs"]
mod servers;
#[path = "bad_input/usage.rs"]
mod usage;
#[path = "bad_input/watching.rs"]
mod watching;
