//! YAML text to values, with the place of every field. The only module that reads YAML.
//!
//! Two readers see each document: a parser of events, which knows places and everything doubtful, and serde_yaml, which
//! makes the value. Both must say the same, else the document is refused. A file is cut at its `---` lines first (as
//! kubectl does), so a document that cannot be read costs only itself. Nothing here knows Kubernetes.

mod events;
pub mod positions;
pub mod scalar;
pub mod tree;

#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::Value;

pub use positions::{Mark, Positions};
pub use tree::{NodeId, Tree};

use super::field::FieldPath;
use super::finding::{Level, bounded};

/// How much one file may hold. What is over is refused; nothing is cut off silently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of the file. etcd refuses objects over 1.5 MiB, so 1 MiB is no limit to honest manifests.
    pub bytes: usize,
    /// Lists and mappings inside each other, what aliases stand for included. serde_yaml stops at 128.
    pub depth: usize,
    /// Values that the aliases of one document stand for, together.
    pub aliases: usize,
    /// In one file.
    pub documents: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 1 << 20,
            depth: 64,
            aliases: 10_000,
            documents: 5_000,
        }
    }
}

/// Something wrong or doubtful in the text itself, at a line and column of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub id: &'static str,
    pub level: Level,
    pub mark: Mark,
    /// The field it concerns, from the root of its YAML document; `None` where the text around it cannot be read.
    pub path: Option<FieldPath>,
    pub message: String,
    pub help: Option<String>,
}

impl Problem {
    pub fn error(id: &'static str, message: impl Into<String>, mark: Mark) -> Self {
        Self {
            id,
            level: Level::Error,
            mark,
            path: None,
            message: bounded(message.into()),
            help: None,
        }
    }

    pub fn warning(id: &'static str, message: impl Into<String>, mark: Mark) -> Self {
        Self {
            level: Level::Warning,
            ..Self::error(id, message, mark)
        }
    }

    #[must_use]
    pub fn on(mut self, path: FieldPath) -> Self {
        self.path = Some(path);
        self
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(bounded(help.into()));
        self
    }
}

/// One YAML document as far as it could be read.
#[derive(Debug)]
pub struct Text<'t> {
    pub tree: Tree<'t>,
    /// What serde_yaml makes of it; `None` where it was not asked or refused. Use only parts that `tree` agrees with.
    pub value: Option<Value>,
    pub problems: Vec<Problem>,
    /// From the line where reading stopped; `None` where nothing of the document is unknown.
    pub unread: Option<&'t [u8]>,
}

/// A file as its documents; empty ones are left out.
#[derive(Debug, Default)]
pub struct File<'t> {
    pub documents: Vec<Text<'t>>,
    /// Of the file as a whole.
    pub problems: Vec<Problem>,
    /// Nothing of the file's text is unknown, apart from what its documents say of themselves.
    pub is_whole: bool,
}

/// Reads all documents of a file.
pub fn read<'t>(bytes: &'t [u8], limits: &Limits) -> File<'t> {
    if bytes.len() > limits.bytes {
        return unread(too_large(bytes.len(), limits));
    }
    let mut file = File {
        is_whole: true,
        ..File::default()
    };
    let mut bytes = bytes;
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        let problem = Problem::error("not-utf8", "the file is UTF-16", Mark::START);
        return unread(problem.help("save it as UTF-8"));
    }
    if let Some(rest) = bytes.strip_prefix(b"\xEF\xBB\xBF") {
        bytes = rest;
        file.problems.push(
            Problem::warning(
                "byte-order-mark",
                "the file begins with a byte order mark, which is left out",
                Mark::START,
            )
            .help("save it as UTF-8 without one"),
        );
    }
    for (first_line, chunk) in chunks(bytes) {
        if file.documents.len() >= limits.documents {
            let most = limits.documents;
            let mark = Mark {
                line: first_line,
                column: 1,
            };
            file.problems.push(
                Problem::error("too-many-documents", format!("the file holds more than {most} documents, which is the limit; what follows is not read"), mark)
                    .help("split the file"),
            );
            file.is_whole = false;
            break;
        }
        file.documents.extend(document(chunk, first_line, limits));
    }
    file
}

/// What is said of a file that is over the limit, for callers that know its size without having read it.
pub fn too_large(bytes: usize, limits: &Limits) -> Problem {
    let most = limits.bytes;
    Problem::error(
        "file-too-large",
        format!("the file has {bytes} bytes; the limit is {most}, and it is not read"),
        Mark::START,
    )
    .help("split it, or keep what is no manifest outside the paths that Lockstep reads")
}

fn unread(problem: Problem) -> File<'static> {
    File {
        documents: Vec::new(),
        problems: vec![problem],
        is_whole: false,
    }
}

/// The texts between the lines `---`, each with the file's line at which it begins (its `---` line, where it has one).
fn chunks(bytes: &[u8]) -> Vec<(u32, &[u8])> {
    let mut chunks = Vec::new();
    let (mut start, mut start_line, mut at, mut line) = (0, 1u32, 0, 1u32);
    for text in bytes.split_inclusive(|&byte| byte == b'\n') {
        let is_marker = text.starts_with(b"---")
            && matches!(text.get(3), None | Some(b' ' | b'\t' | b'\r' | b'\n'));
        if is_marker && at > 0 {
            chunks.push((start_line, &bytes[start..at]));
            (start, start_line) = (at, line);
        }
        at += text.len();
        line = line.saturating_add(1);
    }
    chunks.push((start_line, &bytes[start..]));
    chunks
}

/// `None` where there is no document: nothing, only comments, or null.
fn document<'t>(chunk: &'t [u8], first_line: u32, limits: &Limits) -> Option<Text<'t>> {
    let (text, broken) = match characters(chunk, first_line) {
        Ok(text) => (text, None),
        Err((text, problem)) => (text, Some(problem)),
    };
    let mut written = events::read(text, first_line, limits);
    if let Some(problem) = broken {
        // What stands before the bad byte may still name the object; its other problems come from the cut.
        return Some(Text {
            tree: written.tree,
            value: None,
            unread: Some(from_line(chunk, problem.mark.line - first_line)),
            problems: vec![problem],
        });
    }
    if written.stopped.is_none()
        && written
            .tree
            .root()
            .is_none_or(|root| written.tree.is_null(root))
    {
        return None;
    }
    if let Some(problem) = content_beside_marker(text, first_line) {
        written.problems.push(problem);
    }
    let mut value = None;
    if written.stopped.is_none() {
        match Value::deserialize(serde_yaml::Deserializer::from_str(text)) {
            Ok(read) => value = Some(read),
            // Refused already, with its place, by the first reading.
            Err(_) if written.problems.iter().any(|p| p.level == Level::Error) => {}
            Err(error) => {
                let words = error.to_string();
                let words = words.split(" at line ").next().unwrap_or_default();
                let place = error
                    .location()
                    .map_or((1, 1), |at| (at.line(), at.column()));
                let mark = Mark {
                    line: u32::try_from(place.0)
                        .unwrap_or(1)
                        .saturating_add(first_line - 1),
                    column: u32::try_from(place.1).unwrap_or(1),
                };
                written
                    .problems
                    .push(syntax(text, first_line - 1, mark, words));
                written.stopped = Some(mark);
            }
        }
    }
    Some(Text {
        tree: written.tree,
        value,
        problems: written.problems,
        unread: written
            .stopped
            .map(|mark| from_line(chunk, mark.line.saturating_sub(first_line))),
    })
}

/// Without its first so many lines.
fn from_line(chunk: &[u8], lines: u32) -> &[u8] {
    let skipped = chunk
        .split_inclusive(|&byte| byte == b'\n')
        .take(lines as usize);
    &chunk[skipped.map(<[u8]>::len).sum()..]
}

/// The text, or what stands before the first character that YAML forbids, up to the last whole line.
fn characters(chunk: &[u8], first_line: u32) -> Result<&str, (&str, Problem)> {
    let (text, bad_byte) = match str::from_utf8(chunk) {
        Ok(text) => (text, None),
        Err(error) => {
            let valid = str::from_utf8(&chunk[..error.valid_up_to()]).unwrap_or_default();
            (valid, chunk.get(error.valid_up_to()).copied())
        }
    };
    let forbidden = text.char_indices().find(|&(index, character)| {
        let is_lone_return = character == '\r' && text.as_bytes().get(index + 1) != Some(&b'\n');
        is_lone_return || !is_allowed(character)
    });
    let (end, problem) = match (forbidden, bad_byte) {
        (Some((index, '\r')), _) => (
            index,
            Problem::error("control-character", "a carriage return stands inside a line; readers differ on whether a new line begins", Mark::START)
                .help("save the file with the line endings of Unix or Windows"),
        ),
        (Some((index, character)), _) => (
            index,
            Problem::error("control-character", format!("the character U+{:04X} is not allowed in YAML", u32::from(character)), Mark::START)
                .help("remove it"),
        ),
        (None, Some(byte)) => (
            text.len(),
            Problem::error("not-utf8", format!("the byte 0x{byte:02X} is not UTF-8"), Mark::START)
                .help("save the file as UTF-8"),
        ),
        (None, None) => return Ok(text),
    };
    let before = &text[..end];
    let (lines, last) = match before.rfind('\n') {
        Some(index) => before.split_at(index + 1),
        None => ("", before),
    };
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let mark = Mark {
        line: first_line.saturating_add(count(lines.matches('\n').count())),
        column: count(last.chars().count()).saturating_add(1),
    };
    Err((lines, Problem { mark, ..problem }))
}

/// The characters that YAML 1.1 and 1.2 both allow, and none that only YAML 1.1 takes for the end of a line (U+0085,
/// U+2028, U+2029).
fn is_allowed(character: char) -> bool {
    matches!(character,
        '\t' | '\n' | '\r' | ' '..='~' | '\u{A0}'..='\u{2027}' | '\u{202A}'..='\u{D7FF}'
        | '\u{E000}'..='\u{FEFE}' | '\u{FF00}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}')
}

/// kubectl leaves out what follows `---` on its line.
fn content_beside_marker(text: &str, first_line: u32) -> Option<Problem> {
    let rest = text.lines().next()?.strip_prefix("---")?;
    let content = rest.trim_start();
    if content.is_empty() || content.starts_with('#') {
        return None;
    }
    let column = 4 + rest.chars().count() - content.chars().count();
    let mark = Mark {
        line: first_line,
        column: u32::try_from(column).unwrap_or(4),
    };
    Some(
        Problem::error(
            "yaml-marker-content",
            "what stands on the line `---` is left out by kubectl",
            mark,
        )
        .help("begin the document on the next line"),
    )
}

/// A syntax error. A tab in the indentation of its line, or of the next, is what it is really about.
fn syntax(text: &str, lines_before: u32, mark: Mark, words: &str) -> Problem {
    let first = mark.line.saturating_sub(lines_before + 1) as usize;
    let tab = text
        .lines()
        .skip(first)
        .zip(mark.line..)
        .take(2)
        .find_map(|(line, number)| {
            let indentation = &line[..line.len() - line.trim_start().len()];
            let column = indentation.chars().position(|c| c == '\t')?;
            Some(Mark {
                line: number,
                column: u32::try_from(column + 1).unwrap_or(u32::MAX),
            })
        });
    match tab {
        Some(tab) => Problem::error(
            "yaml-tab",
            "a tab stands in the indentation, where YAML allows only spaces",
            tab,
        )
        .help("replace it by spaces"),
        None => Problem::error("yaml-syntax", words, mark),
    }
}
