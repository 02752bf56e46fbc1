//! What there is to say about a place in a file: a level, a stable id, the words, and the remedy where there is one.

use std::fmt;

use super::field::FieldPath;
use super::key::Key;

/// A place in a file of the repository. Lines and columns count from 1; a column counts characters, not bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub file: String,
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// The document cannot be carried out as it stands.
    Error,
    /// It can, and is probably not what was meant.
    Warning,
    /// It can; worth knowing.
    Note,
}

impl Level {
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One thing found in a manifest. `id` is stable, in kebab case, and documented with its rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub id: &'static str,
    pub level: Level,
    pub place: Option<Place>,
    pub field: Option<FieldPath>,
    pub cluster: Option<Key>,
    /// Lowercase, names the object or field, no full stop.
    pub message: String,
    /// What the user can do.
    pub help: Option<String>,
}

impl Finding {
    pub fn new(id: &'static str, level: Level, message: impl Into<String>) -> Self {
        Self {
            id,
            level,
            place: None,
            field: None,
            cluster: None,
            message: bounded(message.into()),
            help: None,
        }
    }

    pub fn error(id: &'static str, message: impl Into<String>) -> Self {
        Self::new(id, Level::Error, message)
    }

    pub fn warning(id: &'static str, message: impl Into<String>) -> Self {
        Self::new(id, Level::Warning, message)
    }

    pub fn note(id: &'static str, message: impl Into<String>) -> Self {
        Self::new(id, Level::Note, message)
    }

    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    #[must_use]
    pub fn on(mut self, field: FieldPath) -> Self {
        self.field = Some(field);
        self
    }

    #[must_use]
    pub fn of(mut self, cluster: Key) -> Self {
        self.cluster = Some(cluster);
        self
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(bounded(help.into()));
        self
    }
}

/// Text that quotes a file may quote a megabyte of it; the middle of such a text is left out.
pub fn bounded(text: String) -> String {
    const FIRST: usize = 300;
    const LAST: usize = 100;
    // No text of fewer bytes has more characters.
    if text.len() <= FIRST + LAST {
        return text;
    }
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= FIRST + LAST {
        return text;
    }
    let (first, last) = (&characters[..FIRST], &characters[characters.len() - LAST..]);
    let [first, last] = [first, last].map(|part| part.iter().collect::<String>());
    format!("{first} … {last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_megabyte_in_a_message_is_left_out() {
        let finding = Finding::error("x", format!("`{}` is unknown", "ü".repeat(1 << 20)));
        assert_eq!(finding.message.chars().count(), 403);
        assert!(finding.message.ends_with("ü` is unknown"));
        assert_eq!(bounded("short".into()), "short");
    }
}
