//! Colours for a terminal, or none. What a colour says is always said by a word or a sign too.
//!
//! Whether there are colours is the caller's decision; nothing here looks at a terminal or at the environment.

use anstyle::{AnsiColor, Style};

/// One style a meaning. [`Palette::PLAIN`] renders nothing around the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palette {
    pub title: Style,
    pub good: Style,
    pub waiting: Style,
    pub bad: Style,
    pub place: Style,
    pub quiet: Style,
    pub added: Style,
    pub removed: Style,
}

impl Palette {
    pub const PLAIN: Self = Self {
        title: Style::new(),
        good: Style::new(),
        waiting: Style::new(),
        bad: Style::new(),
        place: Style::new(),
        quiet: Style::new(),
        added: Style::new(),
        removed: Style::new(),
    };

    pub const COLOURED: Self = Self {
        title: Style::new().bold(),
        good: AnsiColor::Green.on_default(),
        waiting: AnsiColor::Yellow.on_default(),
        bad: AnsiColor::Red.on_default().bold(),
        place: AnsiColor::Cyan.on_default(),
        quiet: Style::new().dimmed(),
        added: AnsiColor::Green.on_default(),
        removed: AnsiColor::Red.on_default(),
    };

    pub fn of(coloured: bool) -> Self {
        if coloured {
            Self::COLOURED
        } else {
            Self::PLAIN
        }
    }
}

/// The text in a style; the text alone where the style is plain.
pub fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}
