//! How a value from a repository or a cluster is shown without being able to act: in a terminal, in Markdown, in a
//! workflow command of GitHub Actions. HTML is escaped by the page's template.
//!
//! Everything that is not Lockstep's own text goes through here on its way out. Nothing is dropped: what cannot be shown
//! as it is becomes a visible escape.

use std::borrow::Cow;
use std::fmt::Write as _;

/// One line of text for a terminal, or for a file that is looked at in one: control characters (and so every ANSI
/// sequence and line break), bidirectional overrides and invisible characters become `\n`, `\u{1b}`, `\u{202e}` …
pub fn for_terminal(text: &str) -> Cow<'_, str> {
    if !text.contains(is_deceptive) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            character if is_deceptive(character) => {
                let _ = write!(shown, "\\u{{{:x}}}", u32::from(character));
            }
            character => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

/// Text of several lines for a terminal: as [`for_terminal`], but `\n` stays a line break.
pub fn lines_for_terminal(text: &str) -> Cow<'_, str> {
    if !text.contains(|character| character != '\n' && is_deceptive(character)) {
        return Cow::Borrowed(text);
    }
    let lines: Vec<_> = text.split('\n').map(for_terminal).collect();
    Cow::Owned(lines.join("\n"))
}

/// Prose inside a paragraph, a list or a table cell of Markdown: no markup, no link, no mention, no reference, no HTML.
pub fn for_markdown(text: &str) -> String {
    let text = for_terminal(text);
    let mut shown = String::with_capacity(text.len() + 16);
    let mut previous = ' ';
    for character in text.chars() {
        match character {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            // Mentions and references are found after the text is rendered, so a backslash does not stop them.
            '@' => shown.push_str("@&#8203;"),
            '#' => shown.push_str("#&#8203;"),
            '!' => shown.push_str("\\!&#8203;"),
            '/' if previous == ':' => shown.push_str("&#8203;/"),
            '.' if previous == 'w' || previous == 'W' => shown.push_str("\\."),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '|' | '~' | '$' => {
                shown.push('\\');
                shown.push(character);
            }
            // Only at the start of a line do these begin a list, a heading's rule or a number.
            '-' | '+' | '=' | '.' | ')' if shown.chars().all(|seen| seen.is_ascii_digit()) => {
                shown.push('\\');
                shown.push(character);
            }
            character => shown.push(character),
        }
        previous = character;
    }
    shown
}

/// As [`for_markdown`], for a sentence of Lockstep's own that names things in backticks: what stands between two of them
/// becomes a code span. Where a value brings backticks of its own the spans fall differently, and nothing else happens.
pub fn sentence_for_markdown(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return for_markdown(text);
    }
    let mut shown = String::new();
    for (index, part) in parts.into_iter().enumerate() {
        match (index % 2, part) {
            (0, part) => shown.push_str(&for_markdown(part)),
            (_, "") => shown.push_str("\\`\\`"),
            (_, part) => shown.push_str(&as_markdown_code(part)),
        }
    }
    shown
}

/// A value as a code span of Markdown, whatever backticks it holds.
pub fn as_markdown_code(text: &str) -> String {
    let text = for_terminal(text);
    if text.trim().is_empty() {
        return "` `".into();
    }
    // A bar would end a table's cell even inside a code span.
    let text = text.replace('|', "\\|");
    let ticks = "`".repeat(longest_run(&text, '`') + 1);
    let pad = if text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']) {
        " "
    } else {
        ""
    };
    format!("{ticks}{pad}{text}{pad}{ticks}")
}

/// A fenced block of Markdown that no line of its content can end.
pub fn as_markdown_block(language: &str, content: &str) -> String {
    let content = lines_for_terminal(content);
    let fence = "`".repeat((longest_run(&content, '`') + 1).max(3));
    let end = if content.ends_with('\n') { "" } else { "\n" };
    format!("{fence}{language}\n{content}{end}{fence}\n")
}

/// JSON that means the same and acts on no terminal: what deceives can stand only in its strings, and is written as `\uXXXX`.
pub fn for_json(json: &str) -> Cow<'_, str> {
    let acts = |character: char| character != '\n' && is_deceptive(character);
    if !json.contains(acts) {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len());
    for character in json.chars() {
        if acts(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// The message of a GitHub workflow command (`::error file=F,line=1::MESSAGE`).
pub fn for_github_command(text: &str) -> String {
    let text = text
        .replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A");
    for_terminal(&text).into_owned()
}

/// A property's value in a GitHub workflow command: the file, the title.
pub fn for_github_property(text: &str) -> String {
    for_github_command(text)
        .replace(':', "%3A")
        .replace(',', "%2C")
}

fn longest_run(text: &str, of: char) -> usize {
    let (mut longest, mut run) = (0, 0);
    for character in text.chars() {
        run = if character == of { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// Whether a character acts on what shows it, or makes two texts look alike.
pub(crate) fn is_deceptive(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'                        // soft hyphen
            | '\u{61c}'                     // Arabic letter mark
            | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}'       // line and paragraph separators, bidirectional embeddings and overrides
            | '\u{2060}'..='\u{2069}'       // invisible operators, bidirectional isolates
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'     // tags
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_sequence_is_shown_and_not_obeyed() {
        assert_eq!(for_terminal("a\x1b[31mb"), "a\\u{1b}[31mb");
        assert_eq!(for_terminal("\u{9b}2J"), "\\u{9b}2J");
        assert_eq!(for_terminal("one\r\ntwo\t"), "one\\r\\ntwo\\t");
    }

    #[test]
    fn text_that_would_be_shown_in_another_order_is_escaped() {
        assert_eq!(for_terminal("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(for_terminal("a\u{2067}b\u{200b}"), "a\\u{2067}b\\u{200b}");
    }

    #[test]
    fn harmless_text_is_not_copied() {
        assert!(matches!(
            for_terminal("Größe 10Gi · 日本"),
            Cow::Borrowed(_)
        ));
        assert!(matches!(lines_for_terminal("a\nb"), Cow::Borrowed(_)));
        assert_eq!(lines_for_terminal("a\nb\x07"), "a\nb\\u{7}");
    }

    #[test]
    fn markdown_mentions_nobody_and_links_nowhere() {
        assert_eq!(
            for_markdown("@admin see #12 and https://evil.example <b>x</b> ![a](b) www.x.org"),
            "@&#8203;admin see #&#8203;12 and https:&#8203;//evil.example &lt;b&gt;x&lt;/b&gt; \\!&#8203;\\[a\\](b) www\\.x.org"
        );
        assert_eq!(for_markdown("a | b `c` *d*"), "a \\| b \\`c\\` \\*d\\*");
        assert_eq!(
            for_markdown("- not a list\n# not a heading"),
            "\\- not a list\\\\n#&#8203; not a heading"
        );
        assert_eq!(for_markdown("1. not a list"), "1\\. not a list");
        assert_eq!(
            for_markdown("sync-all, pg 16.1 (spec.replication.mode)"),
            "sync-all, pg 16.1 (spec.replication.mode)"
        );
    }

    #[test]
    fn names_in_a_sentence_become_code_and_nothing_else_does() {
        assert_eq!(
            sentence_for_markdown("unknown field `*x*` in *spec*, `@y`"),
            "unknown field `*x*` in \\*spec\\*, `@y`"
        );
        assert_eq!(sentence_for_markdown("one ` alone"), "one \\` alone");
        assert_eq!(sentence_for_markdown("``` <b>"), "\\`\\`\\` &lt;b&gt;");
        assert_eq!(sentence_for_markdown("a `` b"), "a \\`\\` b");
    }

    #[test]
    fn a_code_span_holds_any_backtick() {
        assert_eq!(as_markdown_code("sync-all"), "`sync-all`");
        assert_eq!(as_markdown_code("a``b"), "```a``b```");
        assert_eq!(as_markdown_code("`x"), "`` `x ``");
        assert_eq!(as_markdown_code(""), "` `");
    }

    #[test]
    fn no_line_of_a_fenced_block_ends_it() {
        assert_eq!(
            as_markdown_block("diff", "+ ```\n+ </details>\n"),
            "````diff\n+ ```\n+ </details>\n````\n"
        );
    }

    #[test]
    fn a_workflow_command_stays_one_command() {
        assert_eq!(
            for_github_command("50% of\n::set-output name=x::y"),
            "50%25 of%0A::set-output name=x::y"
        );
        assert_eq!(for_github_property("a,b:c"), "a%2Cb%3Ac");
    }

    #[test]
    fn json_means_the_same_and_acts_on_nothing() {
        let value = serde_json::json!({"a": "\u{9b}31m \u{202e}x \u{e0001} \n ü"});
        let text = format!("{value:#}\n");
        let shown = for_json(&text);
        assert!(!shown.contains(|c| c != '\n' && is_deceptive(c)), "{shown}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&shown).unwrap(),
            value
        );
    }
}
