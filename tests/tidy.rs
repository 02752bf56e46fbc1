//! Holds what the map in `src/lib.rs` promises: the floors, what each may touch, and the shape of the repository.
//!
//! Reads the sources as text, with comments and literals blanked out, and names every violation with what to do about
//! it. It is no parser: a rule that it cannot see is held by review.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[path = "tidy/source.rs"]
mod source;

use source::{blank, branches_after, declared_files, line, without_tests, words};

/// From the lowest. `cli`, `config`, `main` and `lib` stand on top of all of them.
const FLOORS: [&str; 5] = ["model", "decide", "show", "edge", "run"];
const TOP: [&str; 2] = ["config", "cli"];

const LONGEST_FILE: usize = 700;

const TOP_LEVEL: [&str; 10] = [
    "Cargo.toml",
    "Cargo.lock",
    "LICENSE",
    "README.md",
    "src",
    "examples",
    "policies",
    "deploy",
    "tests",
    "benches",
];

/// Below `edge`, with the reason. Each is looked for as a path or a call, so `Instant` in a name of ours is no match.
const PURE: [(&str, &str); 16] = [
    ("std::time::Instant", "reads a clock"),
    ("Instant::now", "reads a clock"),
    ("SystemTime", "reads a clock"),
    ("Timestamp::now", "reads a clock"),
    ("Zoned::now", "reads a clock"),
    ("std::env", "reads the environment"),
    ("std::fs", "touches files"),
    ("std::net", "touches the network"),
    ("std::process", "touches processes"),
    ("async", "is asynchronous"),
    ("await", "is asynchronous"),
    ("tokio", "is asynchronous"),
    ("tracing", "logs"),
    ("println!", "prints"),
    ("eprintln!", "prints"),
    ("git2", "talks to an outside system"),
];

/// Part of a source path, and the files that may name `Writer`.
const WRITERS: [&str; 2] = ["src/run/reconcile", "src/edge/apiserver"];

/// A file of the repository, by its path from the top.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// `model` of `src/model/plan.rs`, `cli` of `src/cli/plan.rs` and of `src/cli.rs`.
    fn floor(&self) -> Option<&str> {
        let below = self.path.strip_prefix("src/")?;
        Some(below.split('/').next()?.trim_end_matches(".rs"))
    }

    /// `git` of `src/edge/git.rs` and of `src/edge/git/tree.rs`.
    fn edge(&self) -> Option<&str> {
        let below = self.path.strip_prefix("src/edge/")?;
        Some(below.split('/').next()?.trim_end_matches(".rs"))
    }

    fn height(&self) -> usize {
        self.floor().map_or(usize::MAX, height)
    }
}

fn height(floor: &str) -> usize {
    FLOORS
        .iter()
        .position(|name| *name == floor)
        .unwrap_or(FLOORS.len())
}

#[test]
fn the_floors_and_the_shape_of_the_repository_hold() {
    let found = violations(&sources());
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

fn violations(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    let tests = test_files(sources);
    let edges: BTreeSet<&str> = sources.iter().filter_map(Source::edge).collect();
    for source in sources {
        check_places(source, &mut found);
        if !source.is_rust() {
            continue;
        }
        let code = blank(&source.text);
        check_shape(source, &mut found);
        if source.path.starts_with("src/") {
            let shipped = if tests.contains(&source.path) {
                String::new()
            } else {
                without_tests(&code)
            };
            check_imports(source, &code, &mut found);
            check_edges(source, &code, &edges, &mut found);
            check_purity(source, &code, &mut found);
            check_writer(source, &shipped, &mut found);
            check_unwrap(source, &shipped, &mut found);
        }
    }
    check_declared(sources, &mut found);
    found.sort();
    found.dedup();
    found
}

fn check_places(source: &Source, found: &mut Vec<String>) {
    let Source { path, text } = source;
    let top = path.split('/').next().unwrap_or("");
    if !top.starts_with('.') && !TOP_LEVEL.contains(&top) {
        found.push(format!(
            "{path}: `{top}` is no entry of the top level; put it below one of {TOP_LEVEL:?}, or allow it in tests/tidy.rs"
        ));
    }
    if path.ends_with(".pending-snap") || path.ends_with(".snap.new") {
        found.push(format!(
            "{path}: an unreviewed snapshot; take it over into its test, or remove it"
        ));
    }
    // Written in two parts, so that this file does not hold them.
    for place in [
        concat!("/", "work"),
        concat!("/", "root"),
        concat!("/", "home/"),
    ] {
        for (at, _) in text.match_indices(place) {
            let before = text[..at].chars().next_back();
            let after = text[at + place.len()..].chars().next();
            let goes_on = |c: char| c.is_alphanumeric() || "._-".contains(c);
            let is_place = !before.is_some_and(|c| goes_on(c) || c == '/' || c == '}')
                && (place.ends_with('/') || !after.is_some_and(goes_on));
            if is_place {
                found.push(format!(
                    "{path}:{}: `{place}` is a place on somebody's machine; use a relative path or a temporary directory",
                    line(text, at)
                ));
            }
        }
    }
}

fn check_shape(source: &Source, found: &mut Vec<String>) {
    let Source { path, text } = source;
    if !text.starts_with("//!") {
        found.push(format!(
            "{path}:1: no module doc; open the file with `//!`: what it answers, and what it never does"
        ));
    }
    let lines = text.lines().count();
    if lines > LONGEST_FILE {
        found.push(format!(
            "{path}: {lines} lines; split it by question, {LONGEST_FILE} with tests is the end"
        ));
    }
}

/// No floor names one above it, by `crate::…` or by climbing with `super`.
fn check_imports(source: &Source, code: &str, found: &mut Vec<String>) {
    let own = source.height();
    let mut named = branches_after(code, "crate::");
    // Two of them or more may lead to the crate's root.
    named.extend(branches_after(code, "super::super::"));
    for (at, name) in named {
        let known = FLOORS.contains(&name.as_str()) || TOP.contains(&name.as_str());
        if known && own < FLOORS.len() && height(&name) > own {
            found.push(format!(
                "{}:{}: `{}` imports `{name}`, which is above it; move what is shared down, or let the upper floor pass it in",
                source.path,
                line(code, at),
                source.floor().unwrap_or_default()
            ));
        }
    }
}

/// No edge names another edge.
fn check_edges(source: &Source, code: &str, edges: &BTreeSet<&str>, found: &mut Vec<String>) {
    let Some(own) = source.edge() else {
        return;
    };
    let mut named = branches_after(code, "crate::edge::");
    // From `src/edge/git/tree.rs`, `super::super` is `edge`.
    let climb = "super::".repeat(source.path.matches('/').count() - 1);
    named.extend(branches_after(code, &climb));
    for (at, name) in named {
        if edges.contains(name.as_str()) && name != own {
            found.push(format!(
                "{}:{}: the edge `{own}` imports the edge `{name}`; join them in `run`",
                source.path,
                line(code, at)
            ));
        }
    }
}

fn check_purity(source: &Source, code: &str, found: &mut Vec<String>) {
    if source.height() >= height("edge") {
        return;
    }
    // `use std::{env, fs}` names them just as well.
    let grouped = branches_after(code, "std::");
    for (what, why) in PURE {
        let in_group = grouped
            .iter()
            .filter(|(_, name)| what.strip_prefix("std::") == Some(name))
            .map(|(at, _)| *at);
        for at in words(code, what).into_iter().chain(in_group) {
            found.push(format!(
                "{}:{}: `{what}` {why}, which no floor below `edge` does; take the value as an argument",
                source.path,
                line(code, at)
            ));
        }
    }
}

fn check_writer(source: &Source, code: &str, found: &mut Vec<String>) {
    if WRITERS.iter().any(|place| source.path.starts_with(place)) {
        return;
    }
    for at in words(code, "Writer") {
        found.push(format!(
            "{}:{}: only run/reconcile is given a `Writer`, so that nothing else can change a cluster; take a `Reader`, or go through run/reconcile",
            source.path,
            line(code, at)
        ));
    }
}

fn check_unwrap(source: &Source, code: &str, found: &mut Vec<String>) {
    for (at, _) in code.match_indices(".unwrap()") {
        found.push(format!(
            "{}:{}: `.unwrap()` outside tests; handle it, or say with `expect` why it holds",
            source.path,
            line(code, at)
        ));
    }
}

/// Every file below `src` is compiled: a module tree forgets a file silently.
fn check_declared(sources: &[Source], found: &mut Vec<String>) {
    let mut declared = BTreeSet::new();
    let mut open = vec!["src/lib.rs".to_owned(), "src/main.rs".to_owned()];
    while let Some(path) = open.pop() {
        let Some(source) = sources.iter().find(|source| source.path == path) else {
            continue;
        };
        if declared.insert(path.clone()) {
            open.extend(
                declared_files(&path, &blank(&source.text))
                    .into_iter()
                    .map(|(file, _)| file),
            );
        }
    }
    for source in sources.iter().filter(|source| source.is_rust()) {
        if source.path.starts_with("src/") && !declared.contains(&source.path) {
            found.push(format!(
                "{}: is declared nowhere and so never compiled; declare it in src/lib.rs or its parent, or remove it",
                source.path
            ));
        }
    }
}

/// Files that are compiled for tests only, and all below them.
fn test_files(sources: &[Source]) -> BTreeSet<String> {
    let mut open: Vec<String> = sources
        .iter()
        .filter(|source| source.is_rust())
        .flat_map(|source| declared_files(&source.path, &blank(&source.text)))
        .filter_map(|(file, is_test)| is_test.then_some(file))
        .collect();
    let mut tests = BTreeSet::new();
    while let Some(path) = open.pop() {
        if let Some(source) = sources.iter().find(|source| source.path == path)
            && tests.insert(path.clone())
        {
            open.extend(
                declared_files(&path, &blank(&source.text))
                    .into_iter()
                    .map(|(file, _)| file),
            );
        }
    }
    tests
}

/// What Git tracks or would track; everything below the top where this is no repository of ours to read.
fn sources() -> Vec<Source> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let paths = tracked(top).unwrap_or_else(|_| {
        let mut paths = Vec::new();
        walk(top, top, &mut paths);
        paths
    });
    let mut sources: Vec<Source> = paths
        .into_iter()
        // Removed and not yet committed, or no text.
        .filter_map(|path| {
            let text = std::fs::read_to_string(top.join(&path)).ok()?;
            Some(Source { path, text })
        })
        .collect();
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(
        sources.iter().any(|source| source.path == "src/lib.rs"),
        "the sources were not found"
    );
    sources
}

fn tracked(top: &Path) -> Result<Vec<String>, git2::Error> {
    let repository = git2::Repository::open(top)?;
    let mut paths: BTreeSet<String> = repository
        .index()?
        .iter()
        .map(|entry| String::from_utf8_lossy(&entry.path).into_owned())
        .collect();
    let mut options = git2::StatusOptions::new();
    options.include_untracked(true).recurse_untracked_dirs(true);
    for status in repository.statuses(Some(&mut options))?.iter() {
        paths.insert(String::from_utf8_lossy(status.path_bytes()).into_owned());
    }
    Ok(paths.into_iter().collect())
}

fn walk(top: &Path, directory: &Path, paths: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).expect("a directory of the checkout") {
        let entry = entry.expect("an entry of the checkout");
        let path: PathBuf = entry.path();
        let kind = entry.file_type().expect("an entry of the checkout");
        let name = entry.file_name();
        if kind.is_dir() && name != "target" && name != ".git" {
            walk(top, &path, paths);
        } else if kind.is_file() {
            paths.push(
                path.strip_prefix(top)
                    .expect("it lies below the top")
                    .display()
                    .to_string(),
            );
        }
    }
}

/// A small repository in which nothing is wrong.
const TIDY: [(&str, &str); 11] = [
    ("src/main.rs", "//! x\nfn main() {}\n"),
    (
        "src/lib.rs",
        "//! x\npub mod model { pub mod plan; }\npub mod decide { pub mod gate; }\n\
         pub mod edge { pub mod git; pub mod web; }\npub mod run { pub mod reconcile; pub mod review; }\n\
         pub mod cli;\n",
    ),
    ("src/model/plan.rs", "//! x\n"),
    ("src/decide/gate.rs", "//! x\nuse crate::model::plan;\n"),
    (
        "src/edge/git.rs",
        "//! x\nmod tree;\n#[cfg(test)]\nmod tests;\n",
    ),
    ("src/edge/git/tree.rs", "//! x\nuse super::super::git;\n"),
    ("src/edge/git/tests.rs", "//! x\nfn f() { g().unwrap() }\n"),
    ("src/edge/web.rs", "//! x\n"),
    ("src/run/reconcile.rs", "//! x\nfn f(writer: Writer) {}\n"),
    ("src/run/review.rs", "//! x\nuse crate::edge::git;\n"),
    ("src/cli.rs", "//! x\nuse crate::run::review;\n"),
];

/// What is found once one file of the tidy repository is this one.
fn found_with(path: &str, text: &str) -> Vec<String> {
    let changed = [(path, text)];
    let kept = TIDY.iter().filter(|(known, _)| *known != path);
    let sources: Vec<Source> = kept
        .chain(&changed)
        .map(|(path, text)| Source {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        })
        .collect();
    violations(&sources)
}

#[test]
fn a_planted_violation_is_caught() {
    let gate = "src/decide/gate.rs";
    let tree = "src/edge/git/tree.rs";
    let long = "//! x\n".repeat(LONGEST_FILE + 1);
    for (path, text, expected) in [
        (
            gate,
            "//! x\nuse crate::edge::git;\n",
            ":2: `decide` imports `edge`",
        ),
        (
            gate,
            "//! x\nuse crate::{\n  model::{plan, show}, run::x};\n",
            ":2: `decide` imports `run`",
        ),
        (
            gate,
            "//! x\nfn f() { super::super::cli::x() }\n",
            "imports `cli`",
        ),
        (
            gate,
            "//! x\nfn f() { std::time::Instant::now(); }\n",
            "reads a clock",
        ),
        (
            gate,
            "//! x\nfn f() { jiff::Timestamp::now(); }\n",
            "reads a clock",
        ),
        (
            gate,
            "//! x\nuse std::{env, fs};\n",
            "`std::fs` touches files",
        ),
        (
            gate,
            "//! x\nuse std::{env, fs};\n",
            "`std::env` reads the environment",
        ),
        (gate, "//! x\npub async fn f() {}\n", "is asynchronous"),
        (gate, "//! x\nfn f() { tracing::info!(\"x\") }\n", "logs"),
        (
            tree,
            "//! x\nuse crate::edge::web;\n",
            "the edge `git` imports the edge `web`",
        ),
        (
            tree,
            "//! x\nuse crate::edge::{git, web};\n",
            "the edge `git` imports the edge `web`",
        ),
        (
            tree,
            "//! x\nuse super::super::web;\n",
            "the edge `git` imports the edge `web`",
        ),
        (
            "src/run/review.rs",
            "//! x\nuse crate::config;\n",
            "`run` imports `config`",
        ),
        (
            "src/run/review.rs",
            "//! x\nfn f(writer: &Writer) {}\n",
            "only run/reconcile",
        ),
        (tree, "use x;\n", ":1: no module doc"),
        (tree, &long, "701 lines"),
        (tree, "//! x\nfn f() { g().unwrap() }\n", ":2: `.unwrap()`"),
        ("src/edge/lost.rs", "//! x\n", "declared nowhere"),
        ("notes/x.md", "x", "no entry of the top level"),
        (
            "deploy/x.md",
            concat!("see /", "root/x"),
            "somebody's machine",
        ),
        ("deploy/x.md", concat!("see\n`/", "home/x`"), ":2: "),
    ] {
        let found = found_with(path, text);
        assert!(
            found.iter().any(|violation| violation.contains(expected)),
            "{path}: {text}\nexpected: {expected}\nfound: {found:?}"
        );
    }
}

#[test]
fn what_only_looks_like_a_violation_is_left_alone() {
    let gate = "src/decide/gate.rs";
    let tree = "src/edge/git/tree.rs";
    assert_eq!(found_with(gate, TIDY[3].1), [] as [String; 0]);
    for (path, text) in [
        (
            gate,
            "//! x\n// crate::edge, tokio, .unwrap()\n/* std::fs /* */ async */\n",
        ),
        (
            gate,
            "//! x\nconst X: &str = \"\\\" crate::edge::git tokio\";\nconst Y: char = '\"';\n",
        ),
        (
            gate,
            "//! x\nconst X: &str = r#\"a \" std::fs\"#;\nfn f<'a>(x: &'a str) {}\n",
        ),
        (gate, "//! x\nfn f() { let asynchronous = instant::now; }\n"),
        (
            tree,
            "//! x\n#[cfg(test)]\nmod tests { fn f() { g().unwrap() } }\n",
        ),
        ("src/run/review.rs", "//! x\nfn f(x: BufWriter) {}\n"),
        (
            "deploy/x.md",
            "src/edge/git/worktree.rs ./work ${x}/work /workers",
        ),
        (".ci/run", "x"),
    ] {
        assert_eq!(found_with(path, text), [] as [String; 0], "{path}: {text}");
    }
}
