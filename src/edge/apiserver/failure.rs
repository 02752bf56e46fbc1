//! What an answer that is no success means, and its text made fit to be shown.
//!
//! One place knows how kube's errors and the server's texts look. Texts of the server pass `redact` first: a refused
//! value may be a secret, and an admission webhook may answer a novel. Output of credential plugins is never shown.

use std::error::Error as StdError;
use std::fmt;

use kube::client::AuthError;

use super::kinds::Watched;

/// Longest text of a server that is passed on; a refusal says what matters in its first lines.
const LONGEST_TEXT: usize = 600;
/// Longest refused value that is passed on.
const LONGEST_VALUE: usize = 80;

/// Why a request came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("{resource} is not installed on the API server")]
    NotInstalled { resource: String },
    #[error("permission to {verb} {resource} is missing")]
    Forbidden { verb: String, resource: String },
    #[error("the API server does not accept the credentials")]
    Unauthorized,
    #[error("the credentials cannot be had: {why}")]
    Credentials { why: String },
    #[error("the API server's certificate is not accepted: {why}")]
    Certificate { why: String },
    /// With the address where it is known.
    #[error("the API server cannot be reached{}: {why}", at(address))]
    Unreachable {
        address: Option<String>,
        why: String,
    },
    #[error("the API server did not answer within {seconds} s")]
    TimedOut { seconds: u64 },
    #[error("the API server answered {code}{}", told(text))]
    Answered { code: u16, text: String },
    #[error("the API server's answer cannot be read: {why}")]
    Unreadable { why: String },
}

fn at(address: &Option<String>) -> String {
    address
        .as_ref()
        .map_or_else(String::new, |address| format!(" at {address}"))
}

fn told(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}

impl Failure {
    pub fn of(error: &kube::Error, verb: &str, watched: Watched) -> Self {
        match error {
            kube::Error::Api(status) => match status.code {
                401 => Self::Unauthorized,
                403 if lacks_permission(&status.message) => Self::Forbidden {
                    verb: verb.to_owned(),
                    resource: watched.resource(),
                },
                404 => Self::NotInstalled {
                    resource: watched.resource(),
                },
                // A proxy's JSON, which is no status.
                0 => Self::Unreadable {
                    why: "it is neither what was asked for nor a reason".into(),
                },
                code => Self::Answered {
                    code,
                    text: redact(&status.message),
                },
            },
            kube::Error::SerdeError(error) => Self::Unreadable {
                // Without the document: serde names line and column of the answer, and a field.
                why: redact(&error.to_string()),
            },
            other => Self::of_transport(other),
        }
    }

    fn of_transport(error: &(dyn StdError + 'static)) -> Self {
        let mut address = None;
        let mut last = error;
        let mut link = Some(error);
        while let Some(current) = link {
            if let Some(addressed) = current.downcast_ref::<Addressed>() {
                address = Some(addressed.address.clone());
            }
            if let Some(kube::Error::Auth(auth)) = current.downcast_ref::<kube::Error>() {
                return Self::Credentials {
                    why: credentials_text(auth),
                };
            }
            if let Some(auth) = current.downcast_ref::<AuthError>() {
                return Self::Credentials {
                    why: credentials_text(auth),
                };
            }
            if let Some(rustls) = current.downcast_ref::<rustls::Error>() {
                return Self::Certificate {
                    why: redact(&rustls.to_string()),
                };
            }
            last = current;
            // An io::Error hides the error it was made from behind `get_ref`.
            link = match current.downcast_ref::<std::io::Error>() {
                Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
                None => current.source(),
            };
        }
        Self::Unreachable {
            address,
            why: redact(&last.to_string()),
        }
    }

    /// Whether only a person can mend it, so that waiting for it is no use to a command.
    pub fn is_definite(&self) -> bool {
        match self {
            Self::NotInstalled { .. }
            | Self::Forbidden { .. }
            | Self::Unauthorized
            | Self::Credentials { .. }
            | Self::Certificate { .. } => true,
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Answered { .. }
            | Self::Unreadable { .. } => false,
        }
    }
}

/// RBAC's own refusal; admission refuses with 403 too, in other words.
pub fn lacks_permission(message: &str) -> bool {
    message.contains(" is forbidden: User \"") && message.contains(" cannot ")
}

/// Never the plugin's output, which holds the token.
pub fn credentials_text(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecStart(source) => {
            format!("the credential plugin cannot be started: {source}")
        }
        AuthError::AuthExecRun { cmd, out } => {
            format!(
                "the credential plugin `{}` ended with {}",
                command_word(cmd),
                out.status
            )
        }
        AuthError::ReadTokenFile(source, path) => {
            format!("token file {} cannot be read: {source}", path.display())
        }
        AuthError::MissingCommand => "the kubeconfig's `exec` section names no command".into(),
        AuthError::AuthExecParse(_) | AuthError::ExecPluginFailed => {
            "the credential plugin's answer cannot be read".into()
        }
        _ => "the kubeconfig's user section cannot be used".into(),
    }
}

/// The program without its arguments, which may hold a secret.
pub fn command_word(command: &str) -> &str {
    command
        .split_whitespace()
        .next()
        .unwrap_or("")
        .trim_matches('"')
}

/// An error of the connection together with where it was to lead.
#[derive(Debug)]
pub struct Addressed {
    pub address: String,
    pub source: Box<dyn StdError + Send + Sync>,
}

impl fmt::Display for Addressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request to {} failed", self.address)
    }
}

impl StdError for Addressed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.source.as_ref())
    }
}

/// A server's text in one line: refused values of secret-looking fields left out, long ones and the whole cut.
pub fn redact(text: &str) -> String {
    let mut rest = text;
    let mut shown = String::new();
    while let Some((marker, start)) = first_marker(rest) {
        let (before, after) = rest.split_at(start + marker.len());
        shown.push_str(before);
        let (value, tail) = split_value(after);
        if looks_secret(&before[..start]) {
            shown.push_str("(not shown)");
        } else if value.chars().count() > LONGEST_VALUE {
            shown.extend(value.chars().take(LONGEST_VALUE));
            shown.push('…');
        } else {
            shown.push_str(value);
        }
        rest = tail;
    }
    shown.push_str(rest);
    let line: String = shown
        .split(|c: char| c.is_control())
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    if line.chars().count() > LONGEST_TEXT {
        let mut cut: String = line.chars().take(LONGEST_TEXT).collect();
        cut.push('…');
        cut
    } else {
        line
    }
}

fn first_marker(text: &str) -> Option<(&'static str, usize)> {
    [
        "Invalid value: ",
        "Unsupported value: ",
        "Duplicate value: ",
    ]
    .into_iter()
    .filter_map(|marker| text.find(marker).map(|start| (marker, start)))
    .min_by_key(|(_, start)| *start)
}

/// A quoted value with its quotes, or what stands before the next `: `, the comma of a list or the end.
fn split_value(text: &str) -> (&str, &str) {
    let end = if text.starts_with('"') {
        let mut escaped = false;
        text.char_indices()
            .skip(1)
            .find(|(_, c)| {
                let closes = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                closes
            })
            .map_or(text.len(), |(index, _)| index + 1)
    } else {
        text.find(": ").unwrap_or(text.len())
    };
    text.split_at(end)
}

/// Whether the field path that ends this text may hold a secret.
fn looks_secret(before: &str) -> bool {
    let path = before
        .rsplit([' ', ',', '['])
        .find(|word| !word.trim_matches(':').is_empty())
        .unwrap_or("")
        .to_lowercase();
    [
        "password",
        "passwd",
        "secret",
        "token",
        "credential",
        "accesskey",
        "privatekey",
        "key",
    ]
    .iter()
    .any(|word| path.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_password_is_not_shown() {
        let text = r#"SGCluster.stackgres.io "a" is invalid: [spec.credentials.password: Invalid value: "hun\"ter2": too short, spec.instances: Invalid value: -2: should be a non-negative integer]"#;
        insta::assert_snapshot!(redact(text), @r#"SGCluster.stackgres.io "a" is invalid: [spec.credentials.password: Invalid value: (not shown): too short, spec.instances: Invalid value: -2: should be a non-negative integer]"#);
    }

    #[test]
    fn a_long_text_is_cut_and_stays_one_line() {
        let shown = redact(&format!("first\nsecond\u{1b}[31m {}", "x".repeat(2000)));
        assert!(shown.starts_with("first second [31m x"));
        assert_eq!(shown.chars().count(), LONGEST_TEXT + 1);
    }

    #[test]
    fn a_long_refused_value_is_cut_and_its_reason_kept() {
        let shown = redact(&format!(
            "spec.a: Invalid value: \"{}\": bad",
            "v".repeat(500)
        ));
        assert!(shown.ends_with("…: bad"), "{shown}");
    }

    #[test]
    fn admission_that_refuses_with_403_is_not_a_missing_permission() {
        assert!(lacks_permission(
            r#"sgclusters.stackgres.io is forbidden: User "nobody" cannot list resource "sgclusters" in API group "stackgres.io" at the cluster scope"#
        ));
        assert!(!lacks_permission(
            r#"admission webhook "x" denied the request: instances can not be negative"#
        ));
    }

    #[test]
    fn the_words_name_the_verb_and_the_resource() {
        let failure = Failure::Forbidden {
            verb: "watch".into(),
            resource: Watched::Operations.resource(),
        };
        assert_eq!(
            failure.to_string(),
            "permission to watch sgdbops.stackgres.io is missing"
        );
    }
}
