//! The `lockstep` binary: parse, run, exit code. Everything is in the library, so that tests reach it too.

fn main() -> std::process::ExitCode {
    lockstep::cli::main()
}
