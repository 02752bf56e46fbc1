//! Real repositories for the tests: made by libgit2, or by the `git` command where a test is about what that one writes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use git2::{ObjectType, Oid, Signature, Time};
use tempfile::TempDir;

use super::{Repository, Settings, Snapshot};

pub(super) const REGULAR: i32 = 0o100_644;

/// Name or path, mode, object.
type Entry<'e> = (&'e [u8], i32, Oid);

/// A repository in a temporary directory that goes with it.
pub(super) struct Sample {
    pub directory: TempDir,
    pub path: PathBuf,
    pub git: git2::Repository,
}

impl Sample {
    pub fn bare() -> Self {
        Self::new(true)
    }

    pub fn with_worktree() -> Self {
        Self::new(false)
    }

    fn new(bare: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config");
        let git = git2::Repository::init_opts(
            &path,
            git2::RepositoryInitOptions::new()
                .bare(bare)
                .initial_head("main"),
        )
        .unwrap();
        Self {
            directory,
            path,
            git,
        }
    }

    pub fn settings(&self) -> Settings {
        Settings {
            repository: self.path.display().to_string(),
            ..Settings::default()
        }
    }

    pub fn open(&self) -> Repository {
        Repository::open(&self.settings()).unwrap()
    }

    pub fn open_with(&self, change: impl FnOnce(&mut Settings)) -> Repository {
        let mut settings = self.settings();
        change(&mut settings);
        Repository::open(&settings).unwrap()
    }

    /// Commits exactly these plain files to `main`.
    pub fn commit(&self, files: &[(&str, &str)]) -> Oid {
        let entries: Vec<_> = files
            .iter()
            .map(|(path, content)| (*path, REGULAR, self.blob(content.as_bytes())))
            .collect();
        self.commit_entries(&entries)
    }

    /// Commits exactly these entries to `main`, whatever their names and modes.
    pub fn commit_entries(&self, entries: &[(&str, i32, Oid)]) -> Oid {
        let entries: Vec<_> = entries
            .iter()
            .map(|(path, mode, id)| (path.as_bytes(), *mode, *id))
            .collect();
        let tree = self.tree(&entries);
        self.commit_tree("refs/heads/main", tree)
    }

    pub fn commit_tree(&self, branch: &str, tree: Oid) -> Oid {
        let parents: Vec<_> = self
            .git
            .refname_to_id(branch)
            .map(|id| self.git.find_commit(id).unwrap())
            .into_iter()
            .collect();
        self.commit_on(branch, tree, &parents.iter().collect::<Vec<_>>())
    }

    /// Moves the branch wherever it stood before, as a force-push does.
    pub fn commit_on(&self, branch: &str, tree: Oid, parents: &[&git2::Commit<'_>]) -> Oid {
        let author =
            Signature::new("Test", "test@example.com", &Time::new(1_700_000_000, 0)).unwrap();
        let tree = self.git.find_tree(tree).unwrap();
        let id = self
            .git
            .commit(None, &author, &author, "change", &tree, parents)
            .unwrap();
        self.git.reference(branch, id, true, "test").unwrap();
        id
    }

    pub fn blob(&self, content: &[u8]) -> Oid {
        self.git.blob(content).unwrap()
    }

    /// Writes tree objects as raw bytes, because libgit2's builder refuses what these tests are about.
    pub fn tree(&self, entries: &[Entry<'_>]) -> Oid {
        let mut here: Vec<(Vec<u8>, i32, Oid)> = Vec::new();
        let mut below: BTreeMap<&[u8], Vec<Entry<'_>>> = BTreeMap::new();
        for (path, mode, id) in entries {
            match path.iter().position(|byte| *byte == b'/') {
                Some(slash) => {
                    let entries = below.entry(&path[..slash]).or_default();
                    entries.push((&path[slash + 1..], *mode, *id));
                }
                None => here.push((path.to_vec(), *mode, *id)),
            }
        }
        for (name, entries) in below {
            here.push((name.to_vec(), 0o040_000, self.tree(&entries)));
        }
        here.sort_by_key(|(name, mode, _)| {
            let mut key = name.clone();
            if *mode == 0o040_000 {
                key.push(b'/');
            }
            key
        });
        let mut raw = Vec::new();
        for (name, mode, id) in here {
            raw.extend(format!("{mode:o} ").bytes());
            raw.extend(name);
            raw.push(0);
            raw.extend(id.as_bytes());
        }
        let database = self.git.odb().unwrap();
        database.write(ObjectType::Tree, &raw).unwrap()
    }
}

/// Runs `git` in a directory, with no configuration but the repository's. `None`, with a notice, where there is no `git`.
pub(super) fn git(directory: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(["-c", "init.defaultBranch=main"])
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "Test")
        .env("GIT_AUTHOR_EMAIL", "test@example.com")
        .env("GIT_COMMITTER_NAME", "Test")
        .env("GIT_COMMITTER_EMAIL", "test@example.com")
        .output();
    let Ok(output) = output else {
        eprintln!("skipped: there is no `git` command here");
        return None;
    };
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The paths of a snapshot, then what was passed over, a line each.
pub(super) fn outline(snapshot: &Snapshot) -> String {
    let mut lines: Vec<String> = snapshot
        .files
        .iter()
        .map(|file| visible(&file.path))
        .collect();
    lines.extend(snapshot.skipped.iter().map(|finding| {
        format!(
            "{} {}: {}",
            finding.level.word(),
            finding.id,
            visible(&finding.message)
        )
    }));
    lines.join("\n")
}

fn visible(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() {
                c.escape_default().to_string()
            } else {
                c.to_string()
            }
        })
        .collect()
}
