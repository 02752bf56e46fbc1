//! The words for what is passed over below the configured paths, the same for a revision and for a work tree.
//!
//! An error stands for a file whose content may have been a manifest; a warning or a note for what is never one.

use git2::Oid;

use crate::model::finding::{Finding, Level, Place};

pub(super) fn symbolic_link(path: &str) -> Finding {
    finding(
        "git-symlink",
        Level::Warning,
        path,
        "is a symbolic link and is not read",
    )
    .help("commit the file itself in its place")
}

pub(super) fn submodule(path: &str) -> Finding {
    finding(
        "git-submodule",
        Level::Warning,
        path,
        "is a submodule and is not read",
    )
    .help("keep manifests in the repository itself")
}

pub(super) fn wrong_case(path: &str) -> Finding {
    finding(
        "git-name-case",
        Level::Note,
        path,
        "is not read: its ending is not in lower case",
    )
    .help("end its name in .yaml")
}

pub(super) fn refused_name(path: &str, why: &str) -> Finding {
    finding(
        "git-name",
        Level::Error,
        path,
        &format!("is not read: {why}"),
    )
    .help("rename it")
}

pub(super) fn repeated_name(path: &str) -> Finding {
    finding(
        "git-name",
        Level::Error,
        path,
        "is in its directory twice, and the second is not read",
    )
    .help("`git fsck` names the damaged tree")
}

pub(super) fn strange_mode(path: &str, mode: i32) -> Finding {
    finding(
        "git-mode",
        Level::Error,
        path,
        &format!("is not read: its mode {mode:o} is neither 100644 nor 100755"),
    )
    .help("commit it as a plain file")
}

pub(super) fn too_large(path: &str, size: u64, limit: u64) -> Finding {
    finding(
        "git-size",
        Level::Error,
        path,
        &format!("is not read: it has {size} bytes, and at most {limit} are read"),
    )
    .help("split it into several files")
}

pub(super) fn unreadable_object(path: &str, id: Oid, missing: bool) -> Finding {
    let why = if missing {
        "is missing from the repository"
    } else {
        "cannot be read"
    };
    finding(
        "git-object",
        Level::Error,
        path,
        &format!("is not read: its object {id} {why}"),
    )
    .help("`git fsck` names what is damaged; a partial clone has to be completed")
}

pub(super) fn unreadable_file(path: &str, why: &str) -> Finding {
    finding(
        "git-worktree",
        Level::Error,
        path,
        &format!("is not read: {why}"),
    )
}

fn finding(id: &'static str, level: Level, path: &str, what: &str) -> Finding {
    Finding::new(id, level, format!("`{path}` {what}")).at(Place {
        file: path.to_owned(),
        line: 1,
        column: 1,
    })
}
