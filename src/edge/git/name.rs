//! Which names of directory entries are taken: what is a manifest, and what no repository should hold.
//!
//! A tree object can hold names that Git itself would never write. They are refused by name, never normalised.

/// What an entry's name makes of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Name<'n> {
    /// Not a manifest if it is a file; may be a directory to enter.
    Plain(&'n str),
    Manifest(&'n str),
    /// Begins with a dot: neither read nor entered.
    Hidden,
    /// Ends as a manifest does, but for its case.
    WrongCase(&'n str),
    Refused(&'static str),
}

pub(super) fn judge(name: &[u8]) -> Name<'_> {
    let Ok(name) = std::str::from_utf8(name) else {
        return Name::Refused("its name is not UTF-8");
    };
    if name.is_empty() || name.contains(['/', '\0']) {
        return Name::Refused("its name is empty or holds a slash or a NUL");
    }
    if name == "." || name == ".." {
        return Name::Refused("its name leads to another directory");
    }
    if is_dot_git(name) {
        return Name::Refused("its name could be taken for Git's own directory");
    }
    if name.starts_with('.') {
        Name::Hidden
    } else if ends_as_manifest(name.as_bytes()) {
        Name::Manifest(name)
    } else if ends_as_manifest(name.to_ascii_lowercase().as_bytes()) {
        Name::WrongCase(name)
    } else {
        Name::Plain(name)
    }
}

pub(super) fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() {
        name.to_owned()
    } else {
        format!("{directory}/{name}")
    }
}

/// A path as it is shown: the top of the repository has no name of its own.
pub(super) fn or_top(path: &str) -> &str {
    if path.is_empty() { "." } else { path }
}

pub(super) fn ends_as_manifest(name: &[u8]) -> bool {
    name.ends_with(b".yaml") || name.ends_with(b".yml")
}

/// Whether some file system would open `.git` under this name: by case (macOS, Windows), by characters that HFS+ leaves
/// out, by trailing dots and spaces, by a stream, or by the short name of Windows.
pub(super) fn is_dot_git(name: &str) -> bool {
    let kept: String = name
        .chars()
        .filter(|c| {
            !matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
        })
        .collect();
    let kept = kept.split([':', '\\']).next().unwrap_or("");
    let kept = kept.trim_end_matches(['.', ' ']).to_ascii_lowercase();
    kept == ".git" || kept == "git~1"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_repository_should_hold_are_refused() {
        let strange: [&[u8]; 13] = [
            b"",
            b".",
            b"..",
            b"a/b.yaml",
            b"a\0.yaml",
            b"\xff.yaml",
            b".git",
            b".GIT",
            b".git. .",
            b"GIT~1",
            b".git::$INDEX_ALLOCATION",
            ".g\u{200c}it".as_bytes(),
            b".git\\x.yaml",
        ];
        for name in strange {
            assert!(matches!(judge(name), Name::Refused(_)), "{name:?}");
        }
    }

    #[test]
    fn names_are_read_by_their_ending_in_lower_case() {
        assert_eq!(judge(b"a.yaml"), Name::Manifest("a.yaml"));
        assert_eq!(judge("ü \n.yml".as_bytes()), Name::Manifest("ü \n.yml"));
        assert_eq!(judge(b"a.YAML"), Name::WrongCase("a.YAML"));
        assert_eq!(judge(b"a.yaml.bak"), Name::Plain("a.yaml.bak"));
        assert_eq!(judge(b"yaml"), Name::Plain("yaml"));
        assert_eq!(judge(b".github"), Name::Hidden);
        assert_eq!(judge(b".gitignore"), Name::Hidden);
        assert_eq!(judge(b"git~10"), Name::Plain("git~10"));
    }
}
