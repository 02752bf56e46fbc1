//! The paths of printer columns: the simple part of kubectl's JSONPath.
//!
//! Keys (`.spec.mode`, `['key']`, `\.` within a key), indices, `[*]`, and filters on equality
//! (`[?(@.type=="Ready")]`). Anything else finds nothing, which a column shows as an empty cell.

use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Key(String),
    Index(i64),
    Every,
    Where {
        path: Vec<Step>,
        is: Value,
        equal: bool,
    },
}

/// The first value that a path leads to.
pub fn find<'v>(path: &str, object: &'v Value) -> Option<&'v Value> {
    let steps = parse(path)?;
    walk(&steps, object)
}

fn walk<'v>(steps: &[Step], value: &'v Value) -> Option<&'v Value> {
    let Some((first, rest)) = steps.split_first() else {
        return Some(value);
    };
    match first {
        Step::Key(key) => walk(rest, value.get(key)?),
        Step::Index(index) => {
            let list = value.as_array()?;
            let at = if *index < 0 {
                i64::try_from(list.len()).ok()? + index
            } else {
                *index
            };
            walk(rest, list.get(usize::try_from(at).ok()?)?)
        }
        Step::Every => match value {
            Value::Array(list) => list.iter().find_map(|entry| walk(rest, entry)),
            Value::Object(fields) => fields.values().find_map(|entry| walk(rest, entry)),
            _ => None,
        },
        Step::Where { path, is, equal } => value
            .as_array()?
            .iter()
            .filter(|entry| (walk(path, entry) == Some(is)) == *equal)
            .find_map(|entry| walk(rest, entry)),
    }
}

fn parse(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = path.trim();
    rest = rest
        .strip_prefix('{')
        .and_then(|inner| inner.strip_suffix('}'))
        .unwrap_or(rest);
    rest = rest.strip_prefix('$').unwrap_or(rest);
    while !rest.is_empty() {
        if let Some(bracket) = rest.strip_prefix('[') {
            let end = closing(bracket)?;
            steps.push(parse_bracket(bracket[..end].trim())?);
            rest = &bracket[end + 1..];
            continue;
        }
        let word = rest.strip_prefix('.').unwrap_or(rest);
        let (key, left) = parse_key(word);
        match key.as_str() {
            "" if left.starts_with('[') => {}
            "" => return None,
            "*" => steps.push(Step::Every),
            _ => steps.push(Step::Key(key)),
        }
        rest = left;
    }
    Some(steps)
}

/// Up to the next dot or bracket that is not escaped.
fn parse_key(text: &str) -> (String, &str) {
    let mut key = String::new();
    let mut is_escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            '\\' if !is_escaped => is_escaped = true,
            '.' | '[' if !is_escaped => return (key, &text[at..]),
            _ => {
                key.push(c);
                is_escaped = false;
            }
        }
    }
    (key, "")
}

/// Where the bracket closes, quotes left aside.
fn closing(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn parse_bracket(inner: &str) -> Option<Step> {
    if inner == "*" {
        return Some(Step::Every);
    }
    if let Some(key) = unquoted(inner) {
        return Some(Step::Key(key.to_owned()));
    }
    if let Ok(index) = inner.parse() {
        return Some(Step::Index(index));
    }
    let condition = inner.strip_prefix("?(")?.strip_suffix(')')?;
    let (left, right, equal) = match condition.split_once("==") {
        Some((left, right)) => (left, right, true),
        None => {
            let (left, right) = condition.split_once("!=")?;
            (left, right, false)
        }
    };
    let right = right.trim();
    let is = match unquoted(right) {
        Some(text) => text.into(),
        None => serde_json::from_str(right).ok()?,
    };
    let path = parse(left.trim().strip_prefix('@')?)?;
    Some(Step::Where { path, is, equal })
}

fn unquoted(text: &str) -> Option<&str> {
    ['\'', '"']
        .into_iter()
        .find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_paths_of_printer_columns_are_found() {
        let object = json!({
            "spec": {"backups": [{"path": "a"}, {"path": "b"}], "x.y/z": 1},
            "status": {"conditions": [{"type": "A", "status": "no"}, {"type": "Ready", "status": "yes"}]},
        });
        for (path, expected) in [
            (".spec.backups[1].path", Some(json!("b"))),
            (".spec.backups[-1].path", Some(json!("b"))),
            (".spec.backups[*].path", Some(json!("a"))),
            (".spec.x\\.y/z", Some(json!(1))),
            (".spec['x.y/z']", Some(json!(1))),
            (
                ".status.conditions[?(@.type==\"Ready\")].status",
                Some(json!("yes")),
            ),
            (
                "{.status.conditions[?(@.type!='A')].status}",
                Some(json!("yes")),
            ),
            (".spec.backups[7].path", None),
            (".spec.nothing", None),
            (".spec[", None),
            ("..path", None),
        ] {
            assert_eq!(find(path, &object).cloned(), expected, "{path}");
        }
    }
}
