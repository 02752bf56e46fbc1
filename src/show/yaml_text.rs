//! A value as YAML text that every reader understands alike, one line of it at a time with the field it belongs to.
//!
//! Block style, two blanks a level, lists not indented below their key. A string is quoted wherever YAML 1.1 or 1.2 would
//! read it as something else (`yes`, `1_000`, `22:30`, `null`), and anything that could act on a terminal is escaped.
//! The order of keys is the caller's: this module never sorts a list and never drops a field.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::escape::is_deceptive;
use crate::model::field::FieldPath;

/// One line of the text, without its line break.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub text: String,
    /// The field that begins or goes on in this line.
    pub path: FieldPath,
}

/// The whole text, each line ended.
pub fn text(value: &Value) -> String {
    let mut text = String::new();
    for line in lines(value, None) {
        text.push_str(&line.text);
        text.push('\n');
    }
    text
}

/// The text by lines. Keys stand in the order of `like`, where it has them, then the rest by name; without `like` as the
/// value has them.
pub fn lines(value: &Value, like: Option<&Value>) -> Vec<Line> {
    let mut lines = Vec::new();
    match value {
        Value::Object(map) if !map.is_empty() => {
            entries(&mut lines, map, like, 0, &FieldPath::root());
        }
        Value::Array(items) if !items.is_empty() => {
            elements(&mut lines, items, like, 0, &FieldPath::root());
        }
        scalar => push_scalar(&mut lines, String::new(), scalar, 0, FieldPath::root()),
    }
    lines
}

/// One value on one line: a scalar as in the text, a list or map in flow style.
pub fn inline(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(inline).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) if map.is_empty() => "{}".into(),
        Value::Object(map) => {
            let entries: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{}: {}", flow_string(key), inline(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::String(text) => flow_string(text),
        Value::Null => "null".into(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn entries(
    lines: &mut Vec<Line>,
    map: &Map<String, Value>,
    like: Option<&Value>,
    depth: usize,
    path: &FieldPath,
) {
    for key in ordered(map, like) {
        let path = path.key(key);
        let start = format!("{}{}:", indent(depth), string(key));
        let like = like.and_then(|like| like.get(key));
        match &map[key] {
            Value::Object(inner) if !inner.is_empty() => {
                push(lines, start, path.clone());
                entries(lines, inner, like, depth + 1, &path);
            }
            Value::Array(items) if !items.is_empty() => {
                push(lines, start, path.clone());
                elements(lines, items, like, depth, &path);
            }
            scalar => push_scalar(lines, format!("{start} "), scalar, depth + 1, path),
        }
    }
}

fn elements(
    lines: &mut Vec<Line>,
    items: &[Value],
    like: Option<&Value>,
    depth: usize,
    path: &FieldPath,
) {
    for (index, item) in items.iter().enumerate() {
        let path = path.index(index);
        let like = like.and_then(|like| like.get(index));
        let first = lines.len();
        match item {
            Value::Object(inner) if !inner.is_empty() => {
                entries(lines, inner, like, depth + 1, &path);
            }
            Value::Array(inner) if !inner.is_empty() => {
                elements(lines, inner, like, depth + 1, &path);
            }
            scalar => {
                let start = indent(depth + 1);
                push_scalar(lines, start, scalar, depth + 1, path);
            }
        }
        // The first line of an item stands two blanks in; the dash takes their place.
        let at = 2 * depth;
        lines[first].text.replace_range(at..at + 2, "- ");
    }
}

fn ordered<'m>(map: &'m Map<String, Value>, like: Option<&Value>) -> Vec<&'m String> {
    let Some(like) = like.and_then(Value::as_object) else {
        return map.keys().collect();
    };
    let mut keys: Vec<&String> = map.keys().collect();
    let place = |key: &String| like.keys().position(|known| known == key);
    keys.sort_by_key(|key| (place(key).unwrap_or(usize::MAX), (*key).clone()));
    keys
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth)
}

fn push(lines: &mut Vec<Line>, text: String, path: FieldPath) {
    lines.push(Line { text, path });
}

fn push_scalar(
    lines: &mut Vec<Line>,
    start: String,
    scalar: &Value,
    depth: usize,
    path: FieldPath,
) {
    if let Value::String(text) = scalar
        && let Some((mark, block)) = as_block(text)
    {
        push(lines, format!("{start}{mark}"), path.clone());
        for line in block {
            let text = if line.is_empty() {
                String::new()
            } else {
                format!("{}{line}", indent(depth))
            };
            push(lines, text, path.clone());
        }
        return;
    }
    let text = match scalar {
        Value::String(text) => string(text),
        other => inline(other),
    };
    push(lines, format!("{start}{text}"), path);
}

/// The lines of a text that is clearer as a literal block, with the mark that opens it.
fn as_block(text: &str) -> Option<(&'static str, Vec<&str>)> {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let plain = body.contains('\n')
        && !body.ends_with('\n')
        && !body.starts_with([' ', '\n'])
        && !text.contains(|character| character != '\n' && is_deceptive(character))
        && body.lines().all(|line| !line.ends_with(' '));
    let mark = if text.ends_with('\n') { "|" } else { "|-" };
    plain.then(|| (mark, body.split('\n').collect()))
}

/// A string as a YAML scalar on one line.
pub fn string(text: &str) -> String {
    if text.contains(is_deceptive) {
        return double_quoted(text);
    }
    if is_plain(text) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "''"))
}

/// As [`string`], inside brackets.
fn flow_string(text: &str) -> String {
    if is_plain(text) && text.contains([',', '[', ']', '{', '}']) {
        return format!("'{}'", text.replace('\'', "''"));
    }
    string(text)
}

fn double_quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        let code = u32::from(character);
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            _ if !is_deceptive(character) => quoted.push(character),
            _ if code <= 0xff => {
                let _ = write!(quoted, "\\x{code:02x}");
            }
            _ if code <= 0xffff => {
                let _ = write!(quoted, "\\u{code:04x}");
            }
            _ => {
                let _ = write!(quoted, "\\U{code:08x}");
            }
        }
    }
    quoted.push('"');
    quoted
}

/// Whether a string can stand without quotes and still be this string to every reader.
fn is_plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else {
        return false;
    };
    let starts_like_a_mark = match first {
        '-' | '?' | ':' => text.len() == 1 || text[1..].starts_with(' ') || text.starts_with("---"),
        '!' | '&' | '*' | '|' | '>' | '%' | '@' | '`' | '"' | '\'' | '#' | '{' | '}' | '['
        | ']' | ',' | ' ' => true,
        _ => false,
    };
    !starts_like_a_mark
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.starts_with("...")
        && !is_word_of_yaml(text)
        && !looks_like_a_number(text)
}

/// Words that one of the two versions of YAML reads as a boolean, as nothing, as a number or as a merge.
fn is_word_of_yaml(text: &str) -> bool {
    const WORDS: [&str; 18] = [
        "null", "~", "true", "false", "yes", "no", "on", "off", "y", "n", ".inf", "+.inf", "-.inf",
        ".nan", "=", "<<", "-", "?",
    ];
    WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Anything that begins like a number and holds nothing but what numbers, times and dates of YAML 1.1 hold. Wider than
/// either version's rules, since a quote too many does no harm.
fn looks_like_a_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = unsigned.strip_prefix('.').unwrap_or(unsigned);
    if !digits.starts_with(|first: char| first.is_ascii_digit()) {
        return false;
    }
    let hexadecimal = digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"));
    if let Some(rest) = hexadecimal {
        return rest
            .chars()
            .all(|digit| digit.is_ascii_hexdigit() || digit == '_');
    }
    let is_date = digits.len() >= 8
        && digits[..4].chars().all(|digit| digit.is_ascii_digit())
        && digits[4..].starts_with('-');
    is_date
        || digits.chars().all(|character| {
            character.is_ascii_digit()
                || matches!(
                    character,
                    '_' | '.' | ':' | 'e' | 'E' | '+' | '-' | 'o' | 'b'
                )
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cluster_reads_as_a_person_would_have_written_it() {
        let value = json!({
            "metadata": {"name": "db", "labels": {"app.kubernetes.io/name": "db"}},
            "spec": {
                "instances": 3,
                "postgres": {"version": "16.1"},
                "pods": {},
                "replication": {"mode": "sync-all", "groups": [
                    {"name": "read", "role": "readonly", "instances": 1},
                    {"role": "ha"},
                ]},
                "backups": [["a", "b"], "c"],
            },
        });
        insta::assert_snapshot!(text(&value), @r"
        metadata:
          name: db
          labels:
            app.kubernetes.io/name: db
        spec:
          instances: 3
          postgres:
            version: '16.1'
          pods: {}
          replication:
            mode: sync-all
            groups:
            - name: read
              role: readonly
              instances: 1
            - role: ha
          backups:
          - - a
            - b
          - c
        ");
    }

    #[test]
    fn what_another_reader_would_take_for_something_else_is_quoted() {
        for text in [
            "",
            "yes",
            "On",
            "OFF",
            "y",
            "null",
            "~",
            "true",
            "1_000",
            "0777",
            "0o17",
            "0x1F",
            "1e3",
            "22:30",
            "16.1",
            ".5",
            "-1",
            "+.inf",
            "2026-11-23",
            "=",
            "<<",
            "- a",
            "a: b",
            "a #b",
            "a:",
            " a",
            "a ",
            "*a",
            "&a",
            "!a",
            "@a",
            "%a",
            "'a'",
            "\"a\"",
            "{a",
            "[a",
            "#a",
            "---",
            "|",
        ] {
            assert!(
                string(text).starts_with('\''),
                "{text} came out as {}",
                string(text)
            );
        }
        for text in [
            "sync-all",
            "10Gi",
            "size-s",
            "a:b",
            "-a",
            "0 5 * * *",
            "1.2.3-build",
            "it's",
            "a/b",
            "日本",
            "(masked)",
        ] {
            assert_eq!(string(text), text);
        }
        assert_eq!(string("a\x1b[2J"), "\"a\\x1b[2J\"");
        assert_eq!(string("a\u{202e}b"), "\"a\\u202eb\"");
    }

    #[test]
    fn every_text_reads_back_as_the_value_it_came_from() {
        let value = json!({
            "yes": "no", "1": "2", "": "x", "a b": [[], {}, null, true, 1.5, -3],
            "sql": "CREATE ROLE x;\nSELECT 1;\n",
            "kept": "a\n\nb", "tail": "a\n\n", "lead": " a\nb", "blank": "a \nb", "tab": "a\tb\nc",
            "list": [[{"a": "x\ny"}], ["p\nq\n"]],
            "quote": "it's \"so\"", "colon": "a: b",
        });
        let back: Value = serde_yaml::from_str(&text(&value)).unwrap();
        assert_eq!(back, value);
        let back: Value = serde_yaml::from_str(&inline(&value)).unwrap();
        assert_eq!(back, value);
    }

    #[test]
    fn keys_follow_the_order_of_the_other_side_and_then_their_names() {
        let live = json!({"z": 1, "b": {"q": 1, "p": 2}, "a": 2, "c": 3});
        let git = json!({"c": 1, "b": {"p": 1, "q": 1}});
        let texts: Vec<String> = lines(&live, Some(&git))
            .into_iter()
            .map(|line| line.text)
            .collect();
        assert_eq!(texts, ["c: 3", "b:", "  p: 2", "  q: 1", "a: 2", "z: 1"]);
    }

    #[test]
    fn each_line_knows_its_field() {
        let value = json!({"spec": {"groups": [{"role": "ha", "sql": "a\nb"}]}});
        let paths: Vec<String> = lines(&value, None)
            .iter()
            .map(|line| line.path.to_string())
            .collect();
        assert_eq!(
            paths,
            [
                "spec",
                "spec.groups",
                "spec.groups[0].role",
                "spec.groups[0].sql",
                "spec.groups[0].sql",
                "spec.groups[0].sql",
            ]
        );
    }
}
