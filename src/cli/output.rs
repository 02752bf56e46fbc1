//! Where words leave the process: data on standard output, errors with their chain and a hint on standard error.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use crate::config::Color;
use crate::show::escape;
use crate::show::palette::Palette;

/// The command could not do its work.
const CANNOT: u8 = 2;

/// Decides for the whole process whether colours leave it. `NO_COLOR` and a pipe are honoured by `auto`.
pub fn colour(color: Color) {
    match color {
        Color::Auto => anstream::ColorChoice::Auto.write_global(),
        Color::Always => anstream::ColorChoice::Always.write_global(),
        Color::Never => anstream::ColorChoice::Never.write_global(),
    }
}

/// Writes data. A reader that has gone away (`lockstep plan | head`) is no error.
pub fn data(text: &str) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes JSON as data.
pub fn json(value: &serde_json::Value) -> anyhow::Result<()> {
    data(&escape::for_json(&format!("{value:#}\n")))
}

/// Colours for data; `anstream` takes them away again where standard output does not show them.
pub fn palette() -> Palette {
    Palette::COLOURED
}

/// Says what is waited for, where somebody watches.
pub fn waiting(what: &str) {
    if is_watched() {
        aside(&format!("{what} …"));
    }
}

/// Writes a line for the person who waits; never data.
pub fn aside(line: &str) {
    let mut out = anstream::stderr().lock();
    // Standard error that is gone can be told nothing.
    drop(writeln!(out, "{line}"));
}

/// Whether somebody watches standard error.
pub fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}

/// Help and version are data and no error; anything else is wrong usage.
pub fn usage(error: &clap::Error) -> ExitCode {
    // Nothing is left to be told where the terminal is gone.
    drop(error.print());
    if error.use_stderr() {
        ExitCode::from(CANNOT)
    } else {
        ExitCode::SUCCESS
    }
}

/// Prints an error with its causes, and a hint where the user can act.
pub fn failure(error: &anyhow::Error) -> ExitCode {
    let mut text = String::from("error: ");
    let mut before = String::new();
    for (depth, cause) in error.chain().enumerate() {
        let words = cause.to_string();
        // Some libraries repeat their cause in their own words.
        if before.ends_with(&words) {
            continue;
        }
        if depth > 0 {
            text.push_str(": ");
        }
        text.push_str(&words);
        before = words;
    }
    aside(&escape::for_terminal(&text));
    if let Some(hint) = error.chain().find_map(super::hint::of) {
        aside(&format!("  hint: {hint}"));
    }
    ExitCode::from(CANNOT)
}
