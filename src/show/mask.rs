//! Which values are never shown, and what stands in their place. Masking is done where a value is about to be shown, on
//! both sides of a difference at once, so that a changed secret is seen to have changed and nothing more.
//!
//! Kubernetes Secrets are never read; this is for what people write into other objects all the same: passwords, tokens,
//! environment values, connection strings. Too much is masked rather than too little; numbers and strings are, booleans
//! and structure are not.

use serde_json::Value;

use crate::model::field::{FieldPath, Segment};

pub const MASKED: &str = "(masked)";
/// On the right side of a difference whose left side has another value.
pub const MASKED_OTHER: &str = "(masked and changed)";

/// A value that stands at `path`, fit to be shown.
pub fn masked(path: &FieldPath, value: &Value) -> Value {
    Cover::at(path).over(value, None)
}

/// Both sides of a field, fit to be shown next to each other.
pub fn masked_pair(
    path: &FieldPath,
    left: Option<&Value>,
    right: Option<&Value>,
) -> (Option<Value>, Option<Value>) {
    let cover = Cover::at(path);
    (
        left.map(|value| cover.over(value, None)),
        right.map(|value| cover.over(value, left)),
    )
}

/// What the way to a value says about it.
#[derive(Debug, Clone, Copy, Default)]
struct Cover {
    is_secret: bool,
    /// Inside a list of environment variables, where only names and references are shown.
    in_environment: bool,
}

impl Cover {
    fn at(path: &FieldPath) -> Self {
        path.0
            .iter()
            .fold(Self::default(), |cover, segment| match segment {
                Segment::Key(key) => cover.below(key),
                Segment::Index(_) => cover,
            })
    }

    fn below(self, key: &str) -> Self {
        Self {
            is_secret: self.is_secret
                || is_secret_word(key)
                || (self.in_environment && key == "value"),
            in_environment: self.in_environment || key == "env" || key.ends_with("Env"),
        }
    }

    fn over(self, value: &Value, other: Option<&Value>) -> Value {
        match value {
            Value::Null | Value::Bool(_) => value.clone(),
            Value::Number(_) if !self.is_secret => value.clone(),
            Value::String(text) if !self.is_secret && !holds_a_secret(text) => value.clone(),
            Value::Number(_) | Value::String(_) => {
                let differs = other.is_some_and(|other| other != value);
                Value::from(if differs { MASKED_OTHER } else { MASKED })
            }
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(index, item)| self.over(item, other.and_then(|other| other.get(index))))
                .collect(),
            Value::Object(map) => map
                .iter()
                .map(|(key, inner)| {
                    let other = other.and_then(|other| other.get(key));
                    (key.clone(), self.below(key).over(inner, other))
                })
                .collect(),
        }
    }
}

/// Whether what stands below a key is not to be seen, whatever it is.
fn is_secret_word(key: &str) -> bool {
    const WORDS: [&str; 9] = [
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "credential",
        "apikey",
        "accesskey",
        "privatekey",
    ];
    // Holds the whole former object as text, with whatever was in it.
    const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
    let plain: String = key
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|character| character.to_ascii_lowercase())
        .collect();
    key == LAST_APPLIED || WORDS.iter().any(|word| plain.contains(word))
}

/// Whether a text under a harmless key carries a credential: a URL with a password, a connection string, SQL that sets
/// one, a private key.
fn holds_a_secret(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let url = lower.match_indices("://").any(|(at, mark)| {
        let authority = lower[at + mark.len()..]
            .split(['/', '?', '#', ' ', '\n', '"', '\''])
            .next();
        authority
            .and_then(|authority| authority.rsplit_once('@'))
            .is_some_and(|(user, _)| user.contains(':'))
    });
    let assigned = ["password", "passwd", "passfile", "sslpassword", "token"]
        .iter()
        .any(|word| {
            lower.match_indices(word).any(|(at, _)| {
                let rest = lower[at + word.len()..].trim_start();
                rest.starts_with(['=', ':', '\'', '"'])
            })
        });
    url || assigned || lower.contains("-----begin")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_below_telling_keys_are_masked_and_their_shape_stays() {
        let value = json!({"spec": {
            "instances": 3,
            "configurations": {"credentials": {"users": {"superuser": {"username": "x", "enabled": true}}}},
            "s3": {"awsCredentials": {"secretKeySelectors": {"accessKeyId": {"name": "n", "key": "k"}}}},
            "pods": {"customEnv": {"patroni": [{"name": "TZ", "value": "UTC"}]}},
        }});
        insta::assert_snapshot!(crate::show::yaml_text::text(&masked(&FieldPath::root(), &value)), @r"
        spec:
          instances: 3
          configurations:
            credentials:
              users:
                superuser:
                  username: (masked)
                  enabled: true
          s3:
            awsCredentials:
              secretKeySelectors:
                accessKeyId:
                  name: (masked)
                  key: (masked)
          pods:
            customEnv:
              patroni:
              - name: TZ
                value: (masked)
        ");
    }

    #[test]
    fn a_changed_secret_is_seen_to_have_changed_and_nothing_more() {
        let (left, right) = (json!({"password": "a"}), json!({"password": "b"}));
        let (left, right) = masked_pair(&FieldPath::root(), Some(&left), Some(&right));
        assert_eq!(left.unwrap(), json!({"password": MASKED}));
        assert_eq!(right.unwrap(), json!({"password": MASKED_OTHER}));
        let same = json!("a");
        let path = FieldPath::of(["spec", "rootPassword"]);
        let (left, right) = masked_pair(&path, Some(&same), Some(&same));
        assert_eq!(left, right);
    }

    #[test]
    fn a_credential_inside_a_harmless_text_is_masked() {
        for text in [
            "postgres://user:pw@10.0.0.1/db",
            "host=a user=b Password = c",
            "CREATE ROLE x PASSWORD 'y'",
            "-----BEGIN EC PRIVATE KEY-----",
            "{\"password\":\"x\"}",
        ] {
            assert_eq!(
                masked(&FieldPath::of(["spec", "x"]), &json!(text)),
                json!(MASKED),
                "{text}"
            );
        }
        for text in [
            "https://example.com/a:b@c",
            "postgres://user@host/db",
            "scram-sha-256",
            "size-s",
        ] {
            assert_eq!(
                masked(&FieldPath::of(["spec", "x"]), &json!(text)),
                json!(text)
            );
        }
    }
}
