//! The manifest files of a work tree as they are now, committed or not.
//!
//! Walks the directories itself, as the walk of a commit does: no link is followed, no nested repository entered, no
//! filter applied. What Git ignores is left out, unless it is tracked. A file's id is the id that its content would have
//! as a blob; contents are kept until the next walk, because no object database has them yet.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use git2::{Index, ObjectType, Oid};

use super::error::beyond;
use super::name::{self, Name};
use super::open::Open;
use super::{
    BlobId, File, Limits, OpenRepositoryError, ReadRevisionError, Settings, Snapshot, location,
    skipped,
};
use crate::model::desired::Source;
use crate::model::finding::Finding;

/// What the last walk has read.
#[derive(Default)]
pub(super) struct Contents(HashMap<BlobId, Arc<[u8]>>);

impl Contents {
    pub fn get(&self, blob: &BlobId) -> Option<&Arc<[u8]>> {
        self.0.get(blob)
    }
}

/// The name of what is read, in the place of a branch's.
pub(super) const REVISION: &str = "worktree";

pub(super) fn snapshot(
    open: &Open,
    settings: &Settings,
    contents: &mut Contents,
) -> Result<Snapshot, ReadRevisionError> {
    let top = open
        .repository
        .workdir()
        .ok_or_else(|| OpenRepositoryError::FindWorktree {
            directory: location::without_credentials(&settings.repository),
        })?;
    let mut index = open
        .repository
        .index()
        .map_err(|source| ReadRevisionError::ReadIgnoreRules { source })?;
    index
        .read(false)
        .map_err(|source| ReadRevisionError::ReadIgnoreRules { source })?;
    let mut walk = Walk {
        repository: &open.repository,
        index,
        top,
        limits: &settings.limits,
        directories: 0,
        files: Vec::new(),
        skipped: Vec::new(),
        contents: HashMap::new(),
    };
    if settings.paths.is_empty() {
        walk.directory("", 0)?;
    }
    for path in &settings.paths {
        walk.configured(path)?;
    }
    let Walk {
        mut files,
        mut skipped,
        contents: read,
        ..
    } = walk;
    contents.0 = read;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    skipped.sort_by(|a, b| a.place.cmp(&b.place));
    Ok(Snapshot {
        source: Source {
            repository: location::without_credentials(&settings.repository),
            revision: REVISION.to_owned(),
            commit: None,
        },
        files,
        skipped,
    })
}

struct Walk<'r> {
    repository: &'r git2::Repository,
    index: Index,
    top: &'r Path,
    limits: &'r Limits,
    directories: usize,
    files: Vec<File>,
    skipped: Vec<Finding>,
    contents: HashMap<BlobId, Arc<[u8]>>,
}

impl Walk<'_> {
    /// A configured path is read even where Git ignores it; it was asked for by name.
    fn configured(&mut self, path: &str) -> Result<(), ReadRevisionError> {
        let refused = |what| ReadRevisionError::FollowPath {
            path: path.to_owned(),
            revision: REVISION.to_owned(),
            what,
        };
        let missing = || ReadRevisionError::FindPath {
            path: path.to_owned(),
            revision: REVISION.to_owned(),
            commit: "uncommitted".to_owned(),
        };
        let mut place = self.top.to_owned();
        let mut kind = None;
        for part in path.split('/') {
            if kind.is_some_and(|kind: fs::FileType| !kind.is_dir()) {
                return Err(missing());
            }
            place.push(part);
            match fs::symlink_metadata(&place) {
                Ok(metadata) if metadata.file_type().is_symlink() => {
                    return Err(refused("a symbolic link"));
                }
                Ok(metadata) => kind = Some(metadata.file_type()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
                Err(source) => return Err(failed(path, source)),
            }
        }
        match kind {
            Some(kind) if kind.is_dir() && is_repository(&place) => Err(refused("a submodule")),
            Some(kind) if kind.is_dir() => self.directory(path, 0),
            Some(kind) if kind.is_file() && name::ends_as_manifest(path.as_bytes()) => {
                self.file(path, &place)
            }
            Some(kind) if kind.is_file() => Err(refused("a file that is not YAML by its name")),
            _ => Err(refused("neither a directory nor a file")),
        }
    }

    fn directory(&mut self, path: &str, depth: usize) -> Result<(), ReadRevisionError> {
        self.directories += 1;
        if self.directories > self.limits.directories {
            return Err(beyond(path, self.limits.directories as u64, "directories"));
        }
        if depth >= self.limits.depth {
            return Err(beyond(
                path,
                self.limits.depth as u64,
                "directories below each other",
            ));
        }
        let entries = fs::read_dir(self.top.join(path)).map_err(|source| failed(path, source))?;
        for entry in entries {
            let entry = entry.map_err(|source| failed(path, source))?;
            // Of the entry itself, not of what a link names.
            let kind = match entry.file_type() {
                Ok(kind) => kind,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(failed(path, source)),
            };
            self.entry(path, &entry.file_name(), kind, depth)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        directory: &str,
        raw: &OsStr,
        kind: fs::FileType,
        depth: usize,
    ) -> Result<(), ReadRevisionError> {
        if raw == ".git" {
            return Ok(());
        }
        let path = name::join(directory, &raw.to_string_lossy());
        let judged = name::judge(raw.as_bytes());
        if kind.is_dir() {
            return match judged {
                Name::Hidden => Ok(()),
                Name::Refused(why) => {
                    self.skipped.push(skipped::refused_name(&path, why));
                    Ok(())
                }
                Name::Plain(_) | Name::Manifest(_) | Name::WrongCase(_) => {
                    if self.is_ignored(&path, true)? {
                        return Ok(());
                    }
                    if is_repository(&self.top.join(&path)) {
                        self.skipped.push(skipped::submodule(&path));
                        return Ok(());
                    }
                    self.directory(&path, depth + 1)
                }
            };
        }
        match judged {
            Name::Refused(why) if name::ends_as_manifest(raw.as_bytes()) => {
                self.skipped.push(skipped::refused_name(&path, why));
                Ok(())
            }
            Name::Hidden | Name::Plain(_) | Name::Refused(_) => Ok(()),
            Name::WrongCase(_) | Name::Manifest(_) if self.is_ignored(&path, false)? => Ok(()),
            Name::WrongCase(_) => {
                self.skipped.push(skipped::wrong_case(&path));
                Ok(())
            }
            Name::Manifest(_) if kind.is_symlink() => {
                self.skipped.push(skipped::symbolic_link(&path));
                Ok(())
            }
            Name::Manifest(_) if kind.is_file() => self.file(&path, &self.top.join(&path)),
            Name::Manifest(_) => {
                self.skipped
                    .push(skipped::unreadable_file(&path, "it is not a plain file"));
                Ok(())
            }
        }
    }

    fn file(&mut self, path: &str, place: &Path) -> Result<(), ReadRevisionError> {
        if self.files.len() >= self.limits.files {
            return Err(beyond(path, self.limits.files as u64, "files"));
        }
        match read(place, self.limits.file_bytes) {
            Ok(Reading::Content(content)) => {
                let id = Oid::hash_object(ObjectType::Blob, &content)
                    .map_err(|error| failed(path, io::Error::other(error.message().to_owned())))?;
                let blob = BlobId::new(id);
                self.files.push(File {
                    path: path.into(),
                    blob,
                    size: content.len() as u64,
                });
                self.contents.insert(blob, content.into());
            }
            Ok(Reading::TooLarge(size)) => {
                self.skipped
                    .push(skipped::too_large(path, size, self.limits.file_bytes));
            }
            Ok(Reading::Swapped) => self.skipped.push(skipped::unreadable_file(
                path,
                "it was replaced while it was opened",
            )),
            // Removed since the directory was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self
                .skipped
                .push(skipped::unreadable_file(path, &error.to_string())),
        }
        Ok(())
    }

    /// Whether an ignore rule covers the path and Git does not track it, or anything below it, all the same.
    fn is_ignored(&self, path: &str, is_directory: bool) -> Result<bool, ReadRevisionError> {
        let asked = if is_directory {
            format!("{path}/")
        } else {
            path.to_owned()
        };
        let ignored = self
            .repository
            .status_should_ignore(Path::new(&asked))
            .map_err(|source| ReadRevisionError::ReadIgnoreRules { source })?;
        if !ignored {
            return Ok(false);
        }
        let tracked = if is_directory {
            self.index.find_prefix(asked.as_str()).is_ok()
        } else {
            self.index.get_path(Path::new(path), 0).is_some()
        };
        Ok(!tracked)
    }
}

enum Reading {
    Content(Vec<u8>),
    TooLarge(u64),
    /// What was opened is not what was looked at: a link put in its place, for one.
    Swapped,
}

fn read(place: &Path, limit: u64) -> io::Result<Reading> {
    let expected = fs::symlink_metadata(place)?;
    if !expected.is_file() {
        return Ok(Reading::Swapped);
    }
    let file = fs::File::open(place)?;
    let opened = file.metadata()?;
    if (opened.dev(), opened.ino()) != (expected.dev(), expected.ino()) {
        return Ok(Reading::Swapped);
    }
    if opened.len() > limit {
        return Ok(Reading::TooLarge(opened.len()));
    }
    let mut content = Vec::new();
    file.take(limit + 1).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Ok(Reading::TooLarge(content.len() as u64));
    }
    Ok(Reading::Content(content))
}

/// A submodule, a nested clone or another linked work tree.
fn is_repository(directory: &Path) -> bool {
    fs::symlink_metadata(directory.join(".git")).is_ok()
}

fn failed(path: &str, source: io::Error) -> ReadRevisionError {
    ReadRevisionError::ReadWorktree {
        path: name::or_top(path).to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Sample, git, outline};
    use super::*;

    fn write(sample: &Sample, path: &str, content: &str) {
        let place = sample.path.join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, content).unwrap();
    }

    fn uncommitted(sample: &Sample, paths: &[&str]) -> super::super::Repository {
        sample.open_with(|settings| {
            settings.worktree = true;
            settings.paths = paths.iter().map(|&path| path.to_owned()).collect();
        })
    }

    #[test]
    fn uncommitted_files_are_read_with_the_ids_they_would_have() {
        let sample = Sample::with_worktree();
        write(&sample, "clusters/a.yaml", "kind: A\r\n");
        write(&sample, ".gitattributes", "* text=auto eol=crlf\n");
        write(&sample, "README.md", "no");
        let repository = uncommitted(&sample, &[]);
        let snapshot = repository.snapshot().unwrap();
        assert_eq!(outline(&snapshot), "clusters/a.yaml");
        assert_eq!(snapshot.source.revision, "worktree");
        assert_eq!(snapshot.source.commit, None);
        let blob = snapshot.files[0].blob;
        assert_eq!(repository.read(&blob).unwrap(), b"kind: A\r\n");
        let expected = Oid::hash_object(ObjectType::Blob, b"kind: A\r\n").unwrap();
        assert_eq!(blob.to_string(), expected.to_string());

        write(&sample, "clusters/a.yaml", "kind: B\n");
        let next = repository.snapshot().unwrap();
        assert_eq!(next.changed_since(&snapshot).len(), 1);
        assert_eq!(repository.read(&next.files[0].blob).unwrap(), b"kind: B\n");
    }

    #[test]
    fn links_nested_repositories_and_large_files_are_named_and_not_read() {
        let sample = Sample::with_worktree();
        write(&sample, "a.yaml", "a");
        write(&sample, "large.yaml", &"#".repeat(2_000_000));
        write(&sample, "upper.YML", "u");
        write(&sample, ".hidden/x.yaml", "x");
        write(&sample, "GIT~1/x.yaml", "x");
        std::os::unix::fs::symlink("/etc/passwd", sample.path.join("link.yaml")).unwrap();
        std::os::unix::fs::symlink(sample.directory.path(), sample.path.join("up")).unwrap();
        git2::Repository::init(sample.path.join("nested")).unwrap();
        write(&sample, "nested/x.yaml", "x");
        fs::create_dir(sample.path.join("directory.yaml")).unwrap();
        let name = OsStr::from_bytes(b"\xff.yaml");
        fs::write(sample.path.join(name), "x").unwrap();
        insta::assert_snapshot!(outline(&uncommitted(&sample, &[]).snapshot().unwrap()), @r"
        a.yaml
        error git-name: `GIT~1` is not read: its name could be taken for Git's own directory
        error git-size: `large.yaml` is not read: it has 2000000 bytes, and at most 1048576 are read
        warning git-symlink: `link.yaml` is a symbolic link and is not read
        warning git-submodule: `nested` is a submodule and is not read
        note git-name-case: `upper.YML` is not read: its ending is not in lower case
        error git-name: `�.yaml` is not read: its name is not UTF-8
        ");
    }

    #[test]
    fn what_git_ignores_is_left_out_unless_it_is_tracked() {
        let sample = Sample::with_worktree();
        write(&sample, ".gitignore", "build/\nkept/\n*.local.yaml\n");
        for path in [
            "a.yaml",
            "a.local.yaml",
            "tracked.local.yaml",
            "build/x.yaml",
            "kept/tracked.yaml",
            "kept/new.yaml",
        ] {
            write(&sample, path, "x");
        }
        let add = ["add", "-f", "tracked.local.yaml", "kept/tracked.yaml"];
        if git(&sample.path, &add).is_none() {
            return;
        }
        insta::assert_snapshot!(outline(&uncommitted(&sample, &[]).snapshot().unwrap()), @r"
        a.yaml
        kept/tracked.yaml
        tracked.local.yaml
        ");
        let asked = uncommitted(&sample, &["build"]).snapshot().unwrap();
        assert_eq!(outline(&asked), "", "an ignore rule covers what is below");
    }

    #[test]
    fn a_configured_path_is_reached_without_following_a_link() {
        let sample = Sample::with_worktree();
        write(&sample, "real/a.yaml", "a");
        write(&sample, "real/single.yaml", "s");
        std::os::unix::fs::symlink("real", sample.path.join("link")).unwrap();
        for path in ["link", "link/a.yaml"] {
            let error = uncommitted(&sample, &[path]).snapshot().unwrap_err();
            assert!(
                matches!(error, ReadRevisionError::FollowPath { .. }),
                "{error}"
            );
        }
        let error = uncommitted(&sample, &["gone"]).snapshot().unwrap_err();
        insta::assert_snapshot!(error, @"no path `gone` at worktree (uncommitted); nothing is taken as removed");
        let single = uncommitted(&sample, &["real/single.yaml"]);
        assert_eq!(outline(&single.snapshot().unwrap()), "real/single.yaml");
    }
}
