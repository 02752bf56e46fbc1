//! The manifest files of a commit, from its tree objects.
//!
//! A directory that is the same object as at the same path before is not read again, with all that is below it: a
//! snapshot after a commit reads the trees on the way to the changed files. Sizes come from the object headers; no
//! manifest is read here.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use git2::{ErrorCode, Odb, Oid, Repository};

use super::error::beyond;
use super::name::{self, Name};
use super::revision::Commit;
use super::{BlobId, File, Limits, ReadRevisionError, Settings, skipped};
use crate::model::finding::Finding;

/// What one revision holds below the configured paths.
pub(super) struct Listing {
    pub files: Vec<File>,
    pub skipped: Vec<Finding>,
}

/// The directories read last, one for each configured path.
#[derive(Default)]
pub(super) struct Reuse(Vec<Option<Arc<Directory>>>);

struct Directory {
    /// The tree object; the blob where a configured path is a single file.
    object: Oid,
    files: Vec<File>,
    skipped: Vec<Finding>,
    children: BTreeMap<Box<str>, Arc<Directory>>,
    /// Below here, this one included.
    directory_count: usize,
    file_count: usize,
}

/// What an entry is, by its mode as it is stored: libgit2's own reading takes a link with an executable bit for a file.
enum Entry {
    Tree,
    File,
    Link,
    Submodule,
    Strange,
}

impl Entry {
    fn of(entry: &git2::TreeEntry<'_>) -> Self {
        match entry.filemode_raw() {
            0o100_644 | 0o100_755 => Self::File,
            mode => match mode & 0o170_000 {
                0o040_000 => Self::Tree,
                0o120_000 => Self::Link,
                0o160_000 => Self::Submodule,
                _ => Self::Strange,
            },
        }
    }
}

pub(super) fn read(
    repository: &Repository,
    settings: &Settings,
    commit: &Commit,
    reuse: &mut Reuse,
) -> Result<Listing, ReadRevisionError> {
    let failed = |source| ReadRevisionError::ReadTree {
        path: ".".to_owned(),
        source,
    };
    let root = repository
        .find_commit(commit.oid)
        .map_err(failed)?
        .tree_id();
    let mut walk = Walk {
        repository,
        database: repository.odb().map_err(failed)?,
        limits: &settings.limits,
        files: 0,
        directories: 0,
    };
    reuse.0.resize(settings.paths.len().max(1), None);
    let mut read = Vec::new();
    if settings.paths.is_empty() {
        read.push(walk.directory(root, "", 0, reuse.0[0].as_ref())?);
    }
    for (path, before) in settings.paths.iter().zip(&reuse.0) {
        read.push(walk.configured(root, path, commit, before.as_ref())?);
    }

    let mut listing = Listing {
        files: Vec::with_capacity(walk.files),
        skipped: Vec::new(),
    };
    for directory in &read {
        directory.list(&mut listing);
    }
    listing.files.sort_by(|a, b| a.path.cmp(&b.path));
    listing.skipped.sort_by(|a, b| a.place.cmp(&b.place));
    reuse.0 = read.into_iter().map(Some).collect();
    Ok(listing)
}

impl Directory {
    fn list(&self, listing: &mut Listing) {
        listing.files.extend_from_slice(&self.files);
        listing.skipped.extend_from_slice(&self.skipped);
        for child in self.children.values() {
            child.list(listing);
        }
    }
}

struct Walk<'r> {
    repository: &'r Repository,
    database: Odb<'r>,
    limits: &'r Limits,
    files: usize,
    directories: usize,
}

impl<'r> Walk<'r> {
    /// A configured path: a directory or a single file, reached without following anything.
    fn configured(
        &mut self,
        root: Oid,
        path: &str,
        commit: &Commit,
        before: Option<&Arc<Directory>>,
    ) -> Result<Arc<Directory>, ReadRevisionError> {
        let missing = || ReadRevisionError::FindPath {
            path: path.to_owned(),
            revision: commit.revision.clone(),
            commit: commit.short().to_owned(),
        };
        let refused = |what| ReadRevisionError::FollowPath {
            path: path.to_owned(),
            revision: commit.revision.clone(),
            what,
        };
        let mut tree = root;
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            let directory = self.tree(tree, path)?;
            let entry = directory.get_name(part).ok_or_else(missing)?;
            match Entry::of(&entry) {
                Entry::Tree => tree = entry.id(),
                _ if parts.peek().is_some() => return Err(missing()),
                Entry::File if name::ends_as_manifest(part.as_bytes()) => {
                    let mut single = Directory::empty(entry.id());
                    self.file(path.to_owned(), entry.id(), &mut single)?;
                    return Ok(Arc::new(single));
                }
                Entry::File => return Err(refused("a file that is not YAML by its name")),
                Entry::Link => return Err(refused("a symbolic link")),
                Entry::Submodule => return Err(refused("a submodule")),
                Entry::Strange => return Err(refused("neither a directory nor a file")),
            }
        }
        self.directory(tree, path, 0, before)
    }

    fn directory(
        &mut self,
        id: Oid,
        path: &str,
        depth: usize,
        before: Option<&Arc<Directory>>,
    ) -> Result<Arc<Directory>, ReadRevisionError> {
        if let Some(before) = before
            && before.object == id
        {
            self.count(path, before.directory_count, before.file_count)?;
            return Ok(before.clone());
        }
        self.count(path, 1, 0)?;
        if depth >= self.limits.depth {
            return Err(beyond(
                path,
                self.limits.depth as u64,
                "directories below each other",
            ));
        }
        let tree = self.tree(id, path)?;
        let mut directory = Directory::empty(id);
        let mut seen = HashSet::with_capacity(tree.len());
        for entry in &tree {
            let raw = entry.name_bytes();
            let path = name::join(path, &String::from_utf8_lossy(raw));
            if !seen.insert(raw.to_vec()) {
                directory.skipped.push(skipped::repeated_name(&path));
                continue;
            }
            match (Entry::of(&entry), name::judge(raw)) {
                (_, Name::Hidden) => {}
                (Entry::Submodule, _) => directory.skipped.push(skipped::submodule(&path)),
                (Entry::Tree, Name::Refused(why)) => {
                    directory.skipped.push(skipped::refused_name(&path, why));
                }
                (Entry::Tree, Name::Plain(name) | Name::Manifest(name) | Name::WrongCase(name)) => {
                    let before = before.and_then(|before| before.children.get(name));
                    let child = self.directory(entry.id(), &path, depth + 1, before)?;
                    directory.directory_count += child.directory_count;
                    directory.file_count += child.file_count;
                    directory.children.insert(name.into(), child);
                }
                (_, Name::Refused(why)) if name::ends_as_manifest(raw) => {
                    directory.skipped.push(skipped::refused_name(&path, why));
                }
                (_, Name::Refused(_) | Name::Plain(_)) => {}
                (_, Name::WrongCase(_)) => directory.skipped.push(skipped::wrong_case(&path)),
                (Entry::File, Name::Manifest(_)) => self.file(path, entry.id(), &mut directory)?,
                (Entry::Link, Name::Manifest(_)) => {
                    directory.skipped.push(skipped::symbolic_link(&path));
                }
                (Entry::Strange, Name::Manifest(_)) => {
                    directory
                        .skipped
                        .push(skipped::strange_mode(&path, entry.filemode_raw()));
                }
            }
        }
        Ok(Arc::new(directory))
    }

    fn tree(&self, id: Oid, path: &str) -> Result<git2::Tree<'r>, ReadRevisionError> {
        let failed = |source| ReadRevisionError::ReadTree {
            path: name::or_top(path).to_owned(),
            source,
        };
        let (size, _) = self.database.read_header(id).map_err(failed)?;
        if size as u64 > self.limits.tree_bytes {
            return Err(beyond(
                path,
                self.limits.tree_bytes,
                "bytes in one directory",
            ));
        }
        self.repository.find_tree(id).map_err(failed)
    }

    fn file(
        &mut self,
        path: String,
        id: Oid,
        directory: &mut Directory,
    ) -> Result<(), ReadRevisionError> {
        self.count(&path, 0, 1)?;
        directory.file_count += 1;
        match self.database.read_header(id) {
            Ok((size, _)) if size as u64 <= self.limits.file_bytes => directory.files.push(File {
                path: path.into(),
                blob: BlobId::new(id),
                size: size as u64,
            }),
            Ok((size, _)) => directory.skipped.push(skipped::too_large(
                &path,
                size as u64,
                self.limits.file_bytes,
            )),
            Err(error) => directory.skipped.push(skipped::unreadable_object(
                &path,
                id,
                error.code() == ErrorCode::NotFound,
            )),
        }
        Ok(())
    }

    fn count(
        &mut self,
        path: &str,
        directories: usize,
        files: usize,
    ) -> Result<(), ReadRevisionError> {
        self.directories += directories;
        self.files += files;
        if self.directories > self.limits.directories {
            return Err(beyond(path, self.limits.directories as u64, "directories"));
        }
        if self.files > self.limits.files {
            return Err(beyond(path, self.limits.files as u64, "files"));
        }
        Ok(())
    }
}

impl Directory {
    fn empty(object: Oid) -> Self {
        Self {
            object,
            files: Vec::new(),
            skipped: Vec::new(),
            children: BTreeMap::new(),
            directory_count: 1,
            file_count: 0,
        }
    }
}
