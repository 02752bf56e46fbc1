//! Findings for people, for GitHub Actions, as SARIF 2.1.0 for code scanning, and as JSON.
//!
//! Findings come in the order in which they are to be shown. Whatever stands in them of a repository is escaped here.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::escape::{for_github_command, for_github_property, for_terminal};
use super::palette::{Palette, paint};
use crate::decide::check::IDS;
use crate::model::desired::Desired;
use crate::model::finding::{Finding, Level, Place};

/// What was looked at, for the last line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    pub clusters: usize,
    pub refused: usize,
}

impl Tally {
    pub fn of(desired: &Desired) -> Self {
        let refused = desired.refused.len();
        let both = desired
            .refused
            .keys()
            .filter(|key| desired.clusters.contains_key(*key));
        Self {
            clusters: desired.clusters.len() + refused - both.count(),
            refused,
        }
    }
}

/// `FILE:LINE:COLUMN: LEVEL[ID]: MESSAGE`, what can be done in a line of its own, and a summary as the last line.
pub fn text(findings: &[&Finding], tally: Tally, palette: &Palette) -> String {
    let mut text = String::new();
    for finding in findings {
        text.push_str(&lines(finding, "", palette));
    }
    let _ = writeln!(text, "{}", summary(findings, tally));
    text
}

/// One finding, each of its lines after `indent`.
pub fn lines(finding: &Finding, indent: &str, palette: &Palette) -> String {
    let mut text = indent.to_owned();
    let style = match finding.level {
        Level::Error => palette.bad,
        Level::Warning => palette.waiting,
        Level::Note => palette.quiet,
    };
    if let Some(place) = &finding.place {
        let place = place.to_string();
        let place = for_terminal(&place);
        let _ = write!(text, "{}: ", paint(palette.place, &place));
    }
    let head = format!("{}[{}]", finding.level.word(), finding.id);
    let message = for_terminal(&finding.message);
    let _ = writeln!(text, "{}: {message}", paint(style, &head));
    if let Some(help) = &finding.help {
        let _ = writeln!(text, "{indent}    help: {}", for_terminal(help));
    }
    text
}

/// `3 clusters, 1 of them refused: 1 error, 2 notes`.
pub fn summary(findings: &[&Finding], tally: Tally) -> String {
    let refused = match tally.refused {
        0 => String::new(),
        refused => format!(", {refused} of them refused"),
    };
    let levels = [Level::Error, Level::Warning, Level::Note];
    let counts: Vec<String> = levels
        .into_iter()
        .filter_map(|level| {
            let count = findings
                .iter()
                .filter(|finding| finding.level == level)
                .count();
            (count > 0).then(|| number(count, level.word()))
        })
        .collect();
    let counts = match counts.as_slice() {
        [] => "no findings".to_owned(),
        counts => counts.join(", "),
    };
    format!("{}{refused}: {counts}", number(tally.clusters, "cluster"))
}

fn number(count: usize, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    }
}

/// Workflow commands of GitHub Actions, which put each finding beside its line in a pull request.
pub fn github(findings: &[&Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let command = match finding.level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Note => "notice",
        };
        let _ = write!(text, "::{command} ");
        if let Some(Place { file, line, column }) = &finding.place {
            let file = for_github_property(file);
            let _ = write!(text, "file={file},line={line},col={column},");
        }
        let message = for_github_command(&with_help(finding));
        let _ = writeln!(text, "title=lockstep {}::{message}", finding.id);
    }
    text
}

fn with_help(finding: &Finding) -> String {
    match &finding.help {
        Some(help) => format!("{}\n{help}", finding.message),
        None => finding.message.clone(),
    }
}

/// A SARIF 2.1.0 log with one run. Only rules that found something are listed.
pub fn sarif(findings: &[&Finding]) -> Value {
    let mut indexes = BTreeMap::new();
    let mut rules = Vec::new();
    let mut results = Vec::new();
    for finding in findings {
        let index = *indexes.entry(finding.id).or_insert_with(|| {
            let known = IDS.iter().find(|rule| rule.id == finding.id);
            let what = known.map_or(finding.id, |rule| rule.what);
            let level = known.map_or(finding.level, |rule| rule.level);
            rules.push(json!({
                "id": finding.id,
                "shortDescription": {"text": what},
                "defaultConfiguration": {"level": level.word()},
            }));
            rules.len() - 1
        });
        let mut result = json!({
            "ruleId": finding.id,
            "ruleIndex": index,
            "level": finding.level.word(),
            // A viewer would make a link of `[a](b)`.
            "message": {"text": with_help(finding).replace("](", "] (")},
        });
        if let Some(Place { file, line, column }) = &finding.place {
            result["locations"] = json!([{"physicalLocation": {
                "artifactLocation": {"uri": uri(file), "uriBaseId": "%SRCROOT%"},
                "region": {"startLine": line, "startColumn": column},
            }}]);
        }
        results.push(result);
    }
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "lockstep",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// A path in the repository as a relative URI reference.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::model::field::FieldPath;
    use crate::model::key::Key;

    fn place(file: &str) -> Place {
        Place {
            file: file.into(),
            line: 12,
            column: 48,
        }
    }

    fn findings() -> Vec<Finding> {
        vec![
            Finding::error(
                "unknown-field",
                "unknown field `syncIntances` in spec.replication",
            )
            .on(FieldPath::of(["spec", "replication", "syncIntances"]))
            .at(place("clusters/sync.yaml"))
            .of(Key::new("failover", "sync-cluster"))
            .help("did you mean `syncInstances`?"),
            Finding::warning("not-a-manifest", "it says \x1b[2J100%, and\nmore")
                .at(place("a b/ü,:%.yaml")),
            Finding::note("git-symlink", "nowhere in particular"),
        ]
    }

    const TALLY: Tally = Tally {
        clusters: 2,
        refused: 1,
    };

    #[test]
    fn text_has_a_place_first_and_a_summary_last() {
        let findings = findings();
        let findings: Vec<&Finding> = findings.iter().collect();
        assert_snapshot!(text(&findings, TALLY, &Palette::PLAIN), @r"
        clusters/sync.yaml:12:48: error[unknown-field]: unknown field `syncIntances` in spec.replication
            help: did you mean `syncInstances`?
        a b/ü,:%.yaml:12:48: warning[not-a-manifest]: it says \u{1b}[2J100%, and\nmore
        note[git-symlink]: nowhere in particular
        2 clusters, 1 of them refused: 1 error, 1 warning, 1 note
        ");
        let nothing = Tally {
            clusters: 1,
            refused: 0,
        };
        assert_eq!(
            text(&[], nothing, &Palette::PLAIN),
            "1 cluster: no findings\n"
        );
    }

    #[test]
    fn a_workflow_command_is_one_line_whatever_a_file_is_called() {
        let findings = findings();
        let findings: Vec<&Finding> = findings.iter().collect();
        assert_snapshot!(github(&findings), @r"
        ::error file=clusters/sync.yaml,line=12,col=48,title=lockstep unknown-field::unknown field `syncIntances` in spec.replication%0Adid you mean `syncInstances`?
        ::warning file=a b/ü%2C%3A%25.yaml,line=12,col=48,title=lockstep not-a-manifest::it says \u{1b}[2J100%25, and%0Amore
        ::notice title=lockstep git-symlink::nowhere in particular
        ");
    }

    #[test]
    fn sarif_names_each_rule_once_and_each_place_by_a_uri() {
        let findings = findings();
        let findings: Vec<&Finding> = findings.iter().chain(&findings[..1]).collect();
        let log = sarif(&findings);
        assert_eq!(
            log["runs"][0]["tool"]["driver"]["rules"]
                .as_array()
                .unwrap()
                .len(),
            3
        );
        assert_snapshot!(serde_json::to_string_pretty(&log["runs"][0]["results"]).unwrap(), @r#"
        [
          {
            "ruleId": "unknown-field",
            "ruleIndex": 0,
            "level": "error",
            "message": {
              "text": "unknown field `syncIntances` in spec.replication\ndid you mean `syncInstances`?"
            },
            "locations": [
              {
                "physicalLocation": {
                  "artifactLocation": {
                    "uri": "clusters/sync.yaml",
                    "uriBaseId": "%SRCROOT%"
                  },
                  "region": {
                    "startLine": 12,
                    "startColumn": 48
                  }
                }
              }
            ]
          },
          {
            "ruleId": "not-a-manifest",
            "ruleIndex": 1,
            "level": "warning",
            "message": {
              "text": "it says \u001b[2J100%, and\nmore"
            },
            "locations": [
              {
                "physicalLocation": {
                  "artifactLocation": {
                    "uri": "a%20b/%C3%BC%2C%3A%25.yaml",
                    "uriBaseId": "%SRCROOT%"
                  },
                  "region": {
                    "startLine": 12,
                    "startColumn": 48
                  }
                }
              }
            ]
          },
          {
            "ruleId": "git-symlink",
            "ruleIndex": 2,
            "level": "note",
            "message": {
              "text": "nowhere in particular"
            }
          },
          {
            "ruleId": "unknown-field",
            "ruleIndex": 0,
            "level": "error",
            "message": {
              "text": "unknown field `syncIntances` in spec.replication\ndid you mean `syncInstances`?"
            },
            "locations": [
              {
                "physicalLocation": {
                  "artifactLocation": {
                    "uri": "clusters/sync.yaml",
                    "uriBaseId": "%SRCROOT%"
                  },
                  "region": {
                    "startLine": 12,
                    "startColumn": 48
                  }
                }
              }
            ]
          }
        ]
        "#);
    }
}
