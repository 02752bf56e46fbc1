//! Label and field selectors: which objects a list or a watch is about.
//!
//! The grammar and the errors are those of the real server; a field that a kind cannot be selected by is refused, not
//! ignored.

use serde_json::Value;

use super::failure::Failure;
use super::resource::Resource;

/// Both selectors of one request. The empty selection takes everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    labels: Vec<Requirement>,
    fields: Vec<FieldRequirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
    Above(i64),
    Below(i64),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldRequirement {
    path: Vec<String>,
    value: String,
    is_equal: bool,
}

impl Selection {
    /// Reads `labelSelector` and `fieldSelector`; both may be empty.
    pub fn read(labels: &str, fields: &str, resource: &Resource) -> Result<Self, Failure> {
        let labels = Parser::new(labels)
            .requirements()
            .map_err(|why| Failure::bad_request(format!("unable to parse requirement: {why}")))?;
        Ok(Self {
            labels,
            fields: field_requirements(fields, resource)?,
        })
    }

    pub fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub fn takes(&self, object: &Value) -> bool {
        let labels = object.pointer("/metadata/labels");
        self.labels.iter().all(|requirement| {
            let value = labels
                .and_then(|labels| labels.get(&requirement.key))
                .and_then(Value::as_str);
            requirement.test.takes(value)
        }) && self.fields.iter().all(|requirement| {
            let found = requirement
                .path
                .iter()
                .try_fold(object, |value, key| value.get(key));
            (text(found) == requirement.value) == requirement.is_equal
        })
    }
}

fn text(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

impl Test {
    fn takes(&self, value: Option<&str>) -> bool {
        match self {
            Self::Exists => value.is_some(),
            Self::Absent => value.is_none(),
            Self::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
            Self::NotIn(values) => value.is_none_or(|value| values.iter().all(|one| one != value)),
            Self::Above(bound) => number(value).is_some_and(|number| number > *bound),
            Self::Below(bound) => number(value).is_some_and(|number| number < *bound),
        }
    }
}

fn number(value: Option<&str>) -> Option<i64> {
    value?.parse().ok()
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Sign(&'static str),
    End,
}

impl Token {
    fn shown(&self) -> &str {
        match self {
            Self::Word(word) => word,
            Self::Sign(sign) => sign,
            Self::End => "",
        }
    }
}

struct Parser<'t> {
    rest: &'t str,
}

const SIGNS: [&str; 9] = ["==", "!=", "=", "!", ",", "(", ")", ">", "<"];

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> Self {
        Self { rest: text }
    }

    fn next(&mut self) -> Token {
        let (token, rest) = Self::split(self.rest);
        self.rest = rest;
        token
    }

    fn peek(&self) -> Token {
        Self::split(self.rest).0
    }

    fn split(text: &str) -> (Token, &str) {
        let text = text.trim_start();
        if text.is_empty() {
            return (Token::End, text);
        }
        if let Some(sign) = SIGNS.into_iter().find(|sign| text.starts_with(sign)) {
            return (Token::Sign(sign), &text[sign.len()..]);
        }
        let end = text
            .find(|c: char| c.is_whitespace() || "=!,()<>".contains(c))
            .unwrap_or(text.len());
        (Token::Word(text[..end].to_owned()), &text[end..])
    }

    fn requirements(&mut self) -> Result<Vec<Requirement>, String> {
        let mut found = Vec::new();
        if self.peek() == Token::End {
            return Ok(found);
        }
        loop {
            found.push(self.requirement()?);
            match self.next() {
                Token::End => return Ok(found),
                Token::Sign(",") => {}
                other => {
                    return Err(format!(
                        "found '{}', expected: ',' or 'end of string'",
                        other.shown()
                    ));
                }
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let mut first = self.next();
        let is_negated = first == Token::Sign("!");
        if is_negated {
            first = self.next();
        }
        let Token::Word(key) = first else {
            return Err(format!(
                "found '{}', expected: !, identifier, or 'end of string'",
                first.shown()
            ));
        };
        if is_negated {
            return Ok(Requirement {
                key,
                test: Test::Absent,
            });
        }
        let test = match self.peek() {
            Token::End | Token::Sign(",") => Test::Exists,
            Token::Sign("=" | "==") => {
                self.next();
                Test::In(vec![self.value()?])
            }
            Token::Sign("!=") => {
                self.next();
                Test::NotIn(vec![self.value()?])
            }
            Token::Sign(">") => {
                self.next();
                Test::Above(self.bound(&key)?)
            }
            Token::Sign("<") => {
                self.next();
                Test::Below(self.bound(&key)?)
            }
            Token::Word(word) if word == "in" => {
                self.next();
                Test::In(self.values()?)
            }
            Token::Word(word) if word == "notin" => {
                self.next();
                Test::NotIn(self.values()?)
            }
            other => {
                return Err(format!(
                    "found '{}', expected: in, notin, =, ==, !=, gt, lt",
                    other.shown()
                ));
            }
        };
        Ok(Requirement { key, test })
    }

    /// One value; nothing at all is the empty one.
    fn value(&mut self) -> Result<String, String> {
        match self.peek() {
            Token::End | Token::Sign(",") => Ok(String::new()),
            Token::Word(word) => {
                self.next();
                Ok(word)
            }
            other @ Token::Sign(_) => {
                Err(format!("found '{}', expected: identifier", other.shown()))
            }
        }
    }

    fn bound(&mut self, key: &str) -> Result<i64, String> {
        let value = self.value()?;
        value.parse().map_err(|_| {
            format!("values[0][{key}]: Invalid value: \"{value}\": for 'Gt', 'Lt' operators, the value must be an integer")
        })
    }

    fn values(&mut self) -> Result<Vec<String>, String> {
        let open = self.next();
        if open != Token::Sign("(") {
            return Err(format!("found '{}' expected: '('", open.shown()));
        }
        let mut values = Vec::new();
        loop {
            match self.next() {
                Token::Sign(")") => return Ok(values),
                Token::Sign(",") => {}
                Token::Word(word) => values.push(word),
                other => return Err(format!("found '{}', expected: ',', or ')'", other.shown())),
            }
        }
    }
}

/// What each kind may be selected by, beside `metadata.name` and, where there is one, `metadata.namespace`.
fn selectable(resource: &Resource) -> &'static [&'static str] {
    if resource.custom.is_some() {
        return &[];
    }
    match (resource.kind.group.as_str(), resource.plural.as_str()) {
        ("", "pods") => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        ("", "namespaces") => &["status.phase"],
        ("", "secrets") => &["type"],
        ("", "services") => &["spec.clusterIP", "spec.type"],
        ("", "events") => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        ("events.k8s.io", "events") => &[
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reason",
            "reportingController",
            "type",
        ],
        _ => &[],
    }
}

fn field_requirements(text: &str, resource: &Resource) -> Result<Vec<FieldRequirement>, Failure> {
    let mut found = Vec::new();
    for term in split_terms(text) {
        if term.is_empty() {
            continue;
        }
        let (field, value, is_equal) = split_operator(&term).ok_or_else(|| {
            Failure::bad_request(format!(
                "invalid selector: '{text}'; can't understand '{term}'"
            ))
        })?;
        let is_known = field == "metadata.name"
            || (field == "metadata.namespace" && resource.is_namespaced)
            || selectable(resource).contains(&field);
        if !is_known {
            return Err(Failure::bad_request(format!(
                "field label not supported: {field}"
            )));
        }
        found.push(FieldRequirement {
            path: stored_path(resource, field),
            value: unescaped(value),
            is_equal,
        });
    }
    Ok(found)
}

/// Events are kept in the form of the core group, whichever form they are asked for in.
fn stored_path(resource: &Resource, field: &str) -> Vec<String> {
    let field = if resource.is("events") {
        match field {
            "reportingController" => "reportingComponent".to_owned(),
            "source" => "source.component".to_owned(),
            other => other.replace("regarding.", "involvedObject."),
        }
    } else {
        field.to_owned()
    };
    field.split('.').map(str::to_owned).collect()
}

/// Splits at the commas that are not escaped.
fn split_terms(text: &str) -> Vec<String> {
    let mut terms = vec![String::new()];
    let mut is_escaped = false;
    for c in text.chars() {
        if c == ',' && !is_escaped {
            terms.push(String::new());
            continue;
        }
        is_escaped = c == '\\' && !is_escaped;
        if let Some(term) = terms.last_mut() {
            term.push(c);
        }
    }
    terms
}

fn split_operator(term: &str) -> Option<(&str, &str, bool)> {
    let at = term.find(['=', '!'])?;
    let (field, rest) = term.split_at(at);
    for (operator, is_equal) in [("!=", false), ("==", true), ("=", true)] {
        if let Some(value) = rest.strip_prefix(operator) {
            return Some((field, value, is_equal));
        }
    }
    None
}

fn unescaped(value: &str) -> String {
    let mut plain = String::new();
    let mut is_escaped = false;
    for c in value.chars() {
        if c == '\\' && !is_escaped {
            is_escaped = true;
            continue;
        }
        is_escaped = false;
        plain.push(c);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::sandbox::resource::Registry;
    use serde_json::json;

    fn takes(labels: &str, object: &Value) -> bool {
        read(labels, "").unwrap().takes(object)
    }

    fn read(labels: &str, fields: &str) -> Result<Selection, Failure> {
        let registry = Registry::of([]);
        let pods = registry.find("", "v1", "pods").unwrap();
        Selection::read(labels, fields, pods)
    }

    #[test]
    fn labels_are_selected_as_kubectl_writes_them() {
        let object = json!({"metadata": {"labels": {"n": "2", "empty": ""}}});
        for (selector, expected) in [
            ("", true),
            ("n=2", true),
            ("n==2,n", true),
            ("n!=2", false),
            ("other!=2", true),
            ("!n", false),
            ("!other", true),
            ("n in (1, 2)", true),
            ("n notin (1,2)", false),
            ("other notin (1)", true),
            ("n>1", true),
            ("n<2", false),
            ("empty=", true),
            ("empty=,n", true),
            ("n=", false),
        ] {
            assert_eq!(takes(selector, &object), expected, "{selector}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_with_the_servers_words() {
        let message = |labels, fields| read(labels, fields).unwrap_err().message;
        assert_eq!(
            message("a b", ""),
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"
        );
        assert_eq!(
            message("n===", ""),
            "unable to parse requirement: found '=', expected: identifier"
        );
        assert_eq!(
            message("", "spec.mode=x"),
            "field label not supported: spec.mode"
        );
    }

    #[test]
    fn a_field_that_is_not_there_is_the_empty_text() {
        let running = json!({"metadata": {"name": "a"}, "status": {"phase": "Running"}});
        let selection = read("", "status.phase=Running,spec.nodeName=").unwrap();
        assert!(selection.takes(&running));
        assert!(
            !selection.takes(&json!({"spec": {"nodeName": "n"}, "status": {"phase": "Running"}}))
        );
        assert!(!read("", "status.phase!=Running").unwrap().takes(&running));
        assert!(read("", "metadata.name=a").unwrap().takes(&running));
    }
}
