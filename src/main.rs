//! The `lockstep` binary: parse, run, exit code.

fn main() {}
