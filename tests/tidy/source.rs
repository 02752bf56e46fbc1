//! Rust sources as plain text: comments and literals blanked out, modules and paths found.
//!
//! Knows no rule, and no more of the grammar than the rules of `tests/tidy.rs` need.

/// The files that `mod name;` in a file stand for, inline modules followed, each with whether it is for tests only.
pub fn declared_files(path: &str, code: &str) -> Vec<(String, bool)> {
    let stem = path.trim_end_matches(".rs");
    let is_root = ["lib", "main", "mod"].contains(&stem.rsplit('/').next().unwrap_or(""));
    let mut directories = vec![if is_root {
        stem.rsplit_once('/')
            .map_or("", |(parent, _)| parent)
            .to_owned()
    } else {
        stem.to_owned()
    }];
    let mut files = Vec::new();
    // For each open brace, whether it is that of a module.
    let mut braces = Vec::new();
    let mut at = 0;
    while at < code.len() {
        let rest = &code[at..];
        if let Some(name) = module_name(code, at) {
            let directory = directories.last().cloned().unwrap_or_default();
            let after = at + "mod ".len() + name.len();
            if code[after..].trim_start().starts_with(';') {
                let is_test = code[..at].trim_end().trim_end_matches("pub").trim_end();
                files.push((
                    format!("{directory}/{name}.rs"),
                    is_test.ends_with("#[cfg(test)]"),
                ));
                at = after;
            } else {
                directories.push(format!("{directory}/{name}"));
                braces.push(true);
                at = after + code[after..].find('{').map_or(0, |brace| brace + 1);
            }
            continue;
        }
        match rest.as_bytes()[0] {
            b'{' => braces.push(false),
            b'}' if braces.pop() == Some(true) => {
                directories.pop();
            }
            _ => {}
        }
        at += rest.chars().next().map_or(1, char::len_utf8);
    }
    files
}

fn module_name(code: &str, at: usize) -> Option<&str> {
    let rest = code[at..].strip_prefix("mod ")?;
    if code[..at].chars().next_back().is_some_and(is_word) {
        return None;
    }
    let name = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
    (!name.is_empty()).then_some(name)
}

/// The name after each place of a prefix such as `crate::`, of every branch where it opens a group.
pub fn branches_after(code: &str, prefix: &str) -> Vec<(usize, String)> {
    let mut names = names_after(code, prefix);
    let opening = format!("{prefix}{{");
    for (at, _) in code.match_indices(&opening) {
        let group = &code[at + opening.len()..];
        let mut depth = 0;
        let mut is_start = true;
        for (offset, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => is_start = true,
                c if is_word(c) && is_start => {
                    is_start = false;
                    names.push((at, word(&group[offset..]).to_owned()));
                }
                _ => {}
            }
        }
    }
    names
}

fn names_after(code: &str, prefix: &str) -> Vec<(usize, String)> {
    code.match_indices(prefix)
        .filter(|(at, _)| !code[..*at].chars().next_back().is_some_and(is_word))
        .map(|(at, _)| {
            let rest = code[at + prefix.len()..].trim_start_matches("super::");
            (at, word(rest).to_owned())
        })
        .collect()
}

/// Where a word or path stands as a whole.
pub fn words(code: &str, what: &str) -> Vec<usize> {
    code.match_indices(what)
        .filter(|(at, _)| {
            let before = code[..*at].chars().next_back();
            let after = code[at + what.len()..].chars().next();
            !before.is_some_and(is_word) && !after.is_some_and(is_word)
        })
        .map(|(at, _)| at)
        .collect()
}

fn word(text: &str) -> &str {
    &text[..text.find(|c| !is_word(c)).unwrap_or(text.len())]
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

pub fn line(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// The text with comments and the insides of literals replaced by blanks, so that places stay where they are.
pub fn blank(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after_word = code.chars().next_back().is_some_and(is_word);
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if c == '"' {
            quoted(rest, 1)
        } else if rest.starts_with("b\"") && !after_word {
            quoted(rest, 2)
        } else if let Some(length) = raw_string(rest).filter(|_| !after_word) {
            length
        } else if let Some(length) = character(rest) {
            length
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        code.extend(rest[..length].bytes().map(|byte| match byte {
            b'\n' => '\n',
            _ => ' ',
        }));
        rest = &rest[length..];
    }
    code
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn quoted(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = start;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

fn raw_string(text: &str) -> Option<usize> {
    let rest = text.strip_prefix('b').unwrap_or(text).strip_prefix('r')?;
    let hashes = rest.len() - rest.trim_start_matches('#').len();
    let inside = rest[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = text.len() - inside.len();
    Some(
        inside
            .find(&end)
            .map_or(text.len(), |at| start + at + end.len()),
    )
}

/// A character literal, not a lifetime.
fn character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    if let Some(escaped) = inside.strip_prefix('\\') {
        let skip = escaped.chars().next()?.len_utf8();
        return Some(2 + skip + escaped[skip..].find('\'')? + 1);
    }
    let c = inside.chars().next()?;
    inside[c.len_utf8()..]
        .starts_with('\'')
        .then_some(2 + c.len_utf8())
}

/// The code without the items behind `#[cfg(test)]`, places kept.
pub fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut shipped = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        let (before, item) = rest.split_at(at);
        shipped.push_str(before);
        let length = item_length(item);
        shipped.extend(
            item[..length]
                .chars()
                .map(|c| if c == '\n' { c } else { ' ' }),
        );
        rest = &item[length..];
    }
    shipped + rest
}

fn item_length(item: &str) -> usize {
    let mut depth = 0;
    for (at, c) in item.char_indices() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    item.len()
}
