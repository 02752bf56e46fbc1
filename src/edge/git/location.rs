//! What `--repo` and `--path` mean: a local directory, a `file://` URL, or something that is not supported yet.
//!
//! Looks at text only, but for one question: whether a name with a colon is a directory. Credentials never leave here.

use std::path::{Path, PathBuf};

use super::OpenRepositoryError;

/// The directory that a repository's name stands for.
pub(super) fn directory(repository: &str) -> Result<PathBuf, OpenRepositoryError> {
    if let Some((scheme, rest)) = repository.split_once("://") {
        return if scheme.eq_ignore_ascii_case("file") {
            file_url(repository, rest)
        } else {
            Err(OpenRepositoryError::UseRemote {
                url: without_credentials(repository),
            })
        };
    }
    if is_host_and_path(repository) && !Path::new(repository).exists() {
        return Err(OpenRepositoryError::UseRemote {
            url: without_credentials(repository),
        });
    }
    Ok(PathBuf::from(repository))
}

/// A repository's name as it may be shown: no user, password, query or fragment of a URL.
pub(super) fn without_credentials(repository: &str) -> String {
    let after_user = |text: &str| match text.rfind('@') {
        Some(at) => text[at + 1..].to_owned(),
        None => text.to_owned(),
    };
    match repository.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let cut = |text: &str| text.split(['?', '#']).next().unwrap_or("").to_owned();
            if scheme.eq_ignore_ascii_case("file") {
                return format!("{scheme}://{}{path}", after_user(authority));
            }
            // A password may hold a slash that should have been escaped, so the last `@` of all counts.
            match path.rfind('@') {
                Some(at) => format!("{scheme}://{}", cut(&path[at + 1..])),
                None => format!("{scheme}://{}{}", cut(&after_user(authority)), cut(path)),
            }
        }
        None if is_host_and_path(repository) => after_user(repository),
        None => repository.to_owned(),
    }
}

/// `host:path`, as `ssh` takes it: a colon before the first slash.
fn is_host_and_path(text: &str) -> bool {
    text.split('/').next().unwrap_or("").contains(':')
}

fn file_url(url: &str, rest: &str) -> Result<PathBuf, OpenRepositoryError> {
    let unusable = |reason| OpenRepositoryError::ReadFileUrl {
        url: without_credentials(url),
        reason,
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    if !host.is_empty() && !host.eq_ignore_ascii_case("localhost") {
        return Err(unusable("it names another host"));
    }
    if path.is_empty() {
        return Err(unusable("it has no path"));
    }
    let decoded = percent_decoded(path).ok_or_else(|| unusable("a % begins no escape"))?;
    if decoded.contains('\0') {
        return Err(unusable("its path holds a NUL"));
    }
    Ok(PathBuf::from(decoded))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let high = char::from(rest.next()?).to_digit(16)?;
        let low = char::from(rest.next()?).to_digit(16)?;
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// Paths as they are looked up: no `./`, no trailing slash, none within another; the whole repository is an empty list.
pub(super) fn paths(given: &[String]) -> Result<Vec<String>, OpenRepositoryError> {
    let mut paths = Vec::new();
    for path in given {
        let unusable = |reason| OpenRepositoryError::UsePath {
            path: path.clone(),
            reason,
        };
        if path.is_empty() {
            return Err(unusable("it is empty"));
        }
        if path.starts_with('/') {
            return Err(unusable("it is absolute"));
        }
        if path.contains('\0') {
            return Err(unusable("it holds a NUL"));
        }
        let parts: Vec<&str> = path
            .split('/')
            .filter(|part| !part.is_empty() && *part != ".")
            .collect();
        if parts.contains(&"..") {
            return Err(unusable("it leads upward"));
        }
        if parts.iter().any(|part| super::name::is_dot_git(part)) {
            return Err(unusable("it names Git's own directory"));
        }
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        paths.push(parts.join("/"));
    }
    paths.sort();
    paths.dedup();
    let all = paths.clone();
    paths.retain(|path| {
        !all.iter().any(|other| {
            path.strip_prefix(other.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        })
    });
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_never_shown() {
        for (given, shown) in [
            ("https://user:secret@host/x.git", "https://host/x.git"),
            ("https://secret@host", "https://host"),
            ("https://user:se/cr@et@host/x", "https://host/x"),
            ("https://user:se/cret@host/x", "https://host/x"),
            ("https://host/x?private_token=secret", "https://host/x"),
            ("https://host?private_token=secret", "https://host"),
            ("ssh://git:secret@host:22/x#secret", "ssh://host:22/x"),
            ("git@host:group/x.git", "host:group/x.git"),
            ("user:secret@host:x", "host:x"),
            ("file://user:secret@localhost/x@y", "file://localhost/x@y"),
            ("/srv/x@y", "/srv/x@y"),
        ] {
            assert_eq!(without_credentials(given), shown, "{given}");
        }
    }

    #[test]
    fn a_remote_repository_is_named_without_its_password() {
        let error = directory("https://user:secret@git.example/config.git").unwrap_err();
        insta::assert_snapshot!(error, @"remote repositories are not supported yet: `https://git.example/config.git`");
        let error = directory("git@git.example:config.git").unwrap_err();
        insta::assert_snapshot!(error, @"remote repositories are not supported yet: `git.example:config.git`");
        let settings = super::super::Settings {
            repository: "https://user:secret@git.example/config.git".to_owned(),
            ..Default::default()
        };
        assert!(!format!("{settings:?}").contains("secret"));
    }

    #[test]
    fn a_file_url_is_a_path_with_escapes() {
        for (given, path) in [
            ("file:///srv/a%20b", "/srv/a b"),
            ("FILE://localhost/srv/%C3%BC", "/srv/ü"),
            ("file:///", "/"),
        ] {
            assert_eq!(directory(given).unwrap(), Path::new(path), "{given}");
        }
        for given in [
            "file://elsewhere/srv",
            "file://",
            "file:///a%2",
            "file:///a%zz",
            "file:///a%00",
            "file:///%ff",
        ] {
            assert!(directory(given).is_err(), "{given}");
        }
    }

    #[test]
    fn paths_are_cleaned_and_those_within_others_dropped() {
        let clean = |given: &[&str]| {
            let given: Vec<String> = given.iter().map(|&path| path.to_owned()).collect();
            paths(&given).map_err(|error| error.to_string())
        };
        assert_eq!(
            clean(&["./b//c/", "a-b", "a/x", "a", "b/c"]).unwrap(),
            ["a", "a-b", "b/c"]
        );
        assert_eq!(clean(&["a", "."]).unwrap(), [] as [&str; 0]);
        for given in ["", "/a", "../a", "a/../b", "a/.git/x", "a\0b"] {
            assert!(clean(&[given]).is_err(), "{given:?}");
        }
    }
}
