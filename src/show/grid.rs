//! A table drawn with `+`, `-` and `|`, its title over the top rule, as PrettyTable draws it for `patronictl`.
//!
//! It only lays out: cells come escaped, and all columns have the same number of them.

use std::fmt::Write as _;

pub struct Column {
    pub title: &'static str,
    pub is_right: bool,
    pub cells: Vec<String>,
}

impl Column {
    pub fn left(title: &'static str, cells: Vec<String>) -> Self {
        Self {
            title,
            is_right: false,
            cells,
        }
    }

    pub fn right(title: &'static str, cells: Vec<String>) -> Self {
        Self {
            is_right: true,
            ..Self::left(title, cells)
        }
    }

    fn width(&self) -> usize {
        let lines = self.cells.iter().flat_map(|cell| cell.split('\n'));
        lines
            .chain([self.title])
            .map(|line| line.chars().count())
            .max()
            .unwrap_or(0)
    }
}

/// The columns as a table with rules at the top, under the header and at the bottom, and between all rows as soon as one
/// cell has several lines. The title lies over the top rule.
pub fn grid(title: &str, columns: &[Column]) -> String {
    let widths: Vec<usize> = columns.iter().map(Column::width).collect();
    let mut rule = String::from("+");
    for width in &widths {
        rule.push_str(&"-".repeat(width + 2));
        rule.push('+');
    }
    let title: String = title.chars().take(rule.len() - 2).collect();
    let top = format!("+{title}{}", &rule[1 + title.chars().count()..]);

    let line = |cells: &[&str]| {
        let mut line = String::from("|");
        for ((column, width), cell) in columns.iter().zip(&widths).zip(cells) {
            let pad = " ".repeat(width - cell.chars().count());
            let (before, after) = if column.is_right {
                (pad.as_str(), "")
            } else {
                ("", pad.as_str())
            };
            let _ = write!(line, " {before}{cell}{after} |");
        }
        line.push('\n');
        line
    };

    let titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
    let rows = columns.first().map_or(0, |column| column.cells.len());
    let has_tall_rows = columns
        .iter()
        .any(|column| column.cells.iter().any(|cell| cell.contains('\n')));
    let mut text = format!("{top}\n{}{rule}\n", line(&titles));
    for row in 0..rows {
        let cells: Vec<Vec<&str>> = columns
            .iter()
            .map(|column| column.cells[row].split('\n').collect())
            .collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(1);
        for at in 0..height {
            let cells: Vec<&str> = cells
                .iter()
                .map(|lines| lines.get(at).copied().unwrap_or(""))
                .collect();
            text.push_str(&line(&cells));
        }
        if has_tall_rows {
            text.push_str(&rule);
            text.push('\n');
        }
    }
    if !has_tall_rows {
        text.push_str(&rule);
        text.push('\n');
    }
    text
}
