//! Reading objects: one by name, or a list with selectors, pages and versions.

use std::sync::Arc;

use serde_json::Value;

use super::failure::{Cause, Failure, quoted};
use super::metadata;
use super::resource::Resource;
use super::selector::Selection;
use super::server::Server;
use crate::model::key::Key;

/// `resourceVersionMatch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    NotOlderThan,
    Exact,
}

/// The query of a list or a watch.
#[derive(Debug, Clone, PartialEq)]
pub struct ListOptions {
    pub selection: Selection,
    /// `None`: no matter how old. 0 stands for the same in a request.
    pub version: Option<u64>,
    /// The version was given as `0`: anything will do.
    pub is_any_version: bool,
    pub version_match: Option<Match>,
    pub limit: usize,
    pub continued: Option<String>,
    pub is_watch: bool,
    pub sends_initial_events: Option<bool>,
    pub allows_bookmarks: bool,
    pub timeout_seconds: Option<u64>,
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    pub version: u64,
    pub objects: Vec<Arc<Value>>,
    /// Where the next page begins; empty on the last.
    pub continued: String,
    pub remaining: Option<usize>,
}

impl ListOptions {
    /// Reads the query; `parameter` gives the value of a name.
    pub fn read<'q>(
        parameter: impl Fn(&str) -> Option<&'q str>,
        resource: &Resource,
    ) -> Result<Self, Failure> {
        let text = |name: &str| parameter(name).unwrap_or("");
        let flag = |name: &str| parameter(name).map(is_true);
        let is_watch = flag("watch").unwrap_or(false);
        let version_text = text("resourceVersion");
        let match_text = text("resourceVersionMatch");
        let sends_initial_events = flag("sendInitialEvents");
        let mut causes = Vec::new();
        if !match_text.is_empty() {
            let field = "resourceVersionMatch";
            if version_text.is_empty() && sends_initial_events.is_none()
                || (version_text.is_empty() && !is_watch)
            {
                causes.push(Cause::forbidden(
                    field,
                    "resourceVersionMatch is forbidden unless resourceVersion is provided",
                ));
            } else if is_watch && sends_initial_events.is_none() {
                causes.push(Cause::forbidden(
                    field,
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
                ));
            } else if !matches!(match_text, "Exact" | "NotOlderThan") {
                causes.push(Cause::unsupported(
                    field,
                    &quoted(match_text),
                    "\"Exact\", \"NotOlderThan\"",
                ));
            } else if match_text == "Exact" && version_text == "0" {
                causes.push(Cause::forbidden(
                    field,
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                ));
            }
        }
        if sends_initial_events.is_some() {
            if !is_watch {
                causes.push(Cause::forbidden(
                    "sendInitialEvents",
                    "sendInitialEvents is forbidden for list",
                ));
            } else if match_text != "NotOlderThan" {
                causes.push(Cause::forbidden(
                    "resourceVersionMatch",
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                ));
            }
        }
        if !causes.is_empty() {
            return Err(Failure::invalid_options("ListOptions", &causes));
        }
        let version = match version_text {
            "" => None,
            given => Some(given.parse::<u64>().map_err(|_| {
                Failure::unexplained(format!(
                    "resourceVersion: Invalid value: {shown}: strconv.ParseUint: parsing {shown}: invalid syntax",
                    shown = quoted(given)
                ))
            })?),
        };
        let number = |name: &str| -> Result<Option<u64>, Failure> {
            match text(name) {
                "" => Ok(None),
                given => given.parse().map(Some).map_err(|_| {
                    Failure::bad_request(format!(
                        "strconv.ParseInt: parsing {}: invalid syntax",
                        quoted(given)
                    ))
                }),
            }
        };
        Ok(Self {
            selection: Selection::read(text("labelSelector"), text("fieldSelector"), resource)?,
            version: version.filter(|version| *version > 0),
            is_any_version: version == Some(0),
            version_match: match match_text {
                "Exact" => Some(Match::Exact),
                "NotOlderThan" => Some(Match::NotOlderThan),
                _ => None,
            },
            limit: usize::try_from(number("limit")?.unwrap_or(0)).unwrap_or(usize::MAX),
            continued: parameter("continue")
                .filter(|token| !token.is_empty())
                .map(str::to_owned),
            is_watch,
            sends_initial_events,
            allows_bookmarks: flag("allowWatchBookmarks").unwrap_or(false),
            timeout_seconds: number("timeoutSeconds")?.filter(|seconds| *seconds > 0),
        })
    }
}

/// As Go's `strconv.ParseBool` within a query: present and not false.
pub fn is_true(text: &str) -> bool {
    !matches!(text, "false" | "0" | "f" | "F" | "False" | "FALSE")
}

/// One object.
pub fn get(server: &Server, resource: &Resource, key: &Key) -> Result<Arc<Value>, Failure> {
    server
        .store
        .get(&resource.collection, key)
        .map(|object| Server::present(resource, object))
        .ok_or_else(|| Failure::not_found(&resource.named(), &key.name))
}

/// One page of a list, in one namespace or in all.
pub fn list(
    server: &Server,
    resource: &Resource,
    namespace: Option<&str>,
    options: &ListOptions,
) -> Result<Page, Failure> {
    let token = options.continued.as_deref().map(Token::read).transpose()?;
    let current = server.store.version();
    let exact = match (&token, options.version, options.version_match) {
        (Some(token), _, _) => Some(token.version).filter(|version| *version > 0),
        (None, Some(version), Some(Match::Exact)) => Some(version),
        // A limit with a version has always meant that version.
        (None, Some(version), None) if options.limit > 0 => Some(version),
        _ => None,
    };
    let asked = exact.or(options.version).unwrap_or(0);
    if asked > current {
        return Err(Failure::version_too_large(asked, current));
    }
    let (version, objects) = match exact {
        None => server.store.list(&resource.collection, namespace),
        Some(version) => {
            let objects = server
                .store
                .list_at(&resource.collection, namespace, version)
                .map_err(|_| match token {
                    Some(_) => Failure::expired(
                        "The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.",
                    ),
                    None => {
                        Failure::expired("The resourceVersion for the provided list is too old.")
                    }
                })?;
            (version, objects)
        }
    };
    let mut rest = objects
        .into_iter()
        .filter(|object| options.selection.takes(object))
        .skip_while(|object| {
            token
                .as_ref()
                .is_some_and(|token| place(object).as_str() < token.start.as_str())
        });
    let limit = if options.limit == 0 {
        usize::MAX
    } else {
        options.limit
    };
    let page: Vec<Arc<Value>> = rest.by_ref().take(limit).collect();
    let remaining = rest.count();
    let continued = match page.last() {
        Some(last) if remaining > 0 => Token {
            version,
            start: format!("{}\0", place(last)),
        }
        .written(),
        _ => String::new(),
    };
    Ok(Page {
        version,
        objects: page
            .into_iter()
            .map(|object| Server::present(resource, object))
            .collect(),
        remaining: (remaining > 0 && options.selection.is_everything()).then_some(remaining),
        continued,
    })
}

/// Where an object stands in a list. A slash sorts below every character of a name but `-` and `.`, so a zero byte
/// stands for it.
fn place(object: &Value) -> String {
    format!(
        "{}\0{}",
        metadata::text(object, "namespace"),
        metadata::text(object, "name")
    )
}

/// What a `continue` parameter says. Clients take it as it is; it is text in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    version: u64,
    start: String,
}

impl Token {
    fn written(&self) -> String {
        let bytes = format!("{}:{}", self.version, self.start).into_bytes();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn read(text: &str) -> Result<Self, Failure> {
        let wrong = || {
            Failure::bad_request("invalid continue token: continue key is not valid: invalid token")
        };
        let digits = text.as_bytes();
        if digits.len() % 2 == 1 {
            return Err(wrong());
        }
        let bytes: Option<Vec<u8>> = digits
            .chunks(2)
            .map(|pair| {
                let high = (pair[0] as char).to_digit(16)?;
                let low = (pair[1] as char).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()
            })
            .collect();
        let text = bytes
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(wrong)?;
        let (version, start) = text.split_once(':').ok_or_else(wrong)?;
        Ok(Self {
            version: version.parse().map_err(|_| wrong())?,
            start: start.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written_and_nothing_else_is() {
        let token = Token {
            version: 7,
            start: "a\0b\0".into(),
        };
        assert_eq!(Token::read(&token.written()), Ok(token));
        for wrong in ["abc", "zz", "éé", ""] {
            assert!(Token::read(wrong).is_err(), "{wrong}");
        }
    }
}
