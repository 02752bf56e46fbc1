//! Manifests from the object database of a local Git repository, at a revision, without a checkout.
//!
//! A revision becomes a [`Snapshot`]: the YAML files below the configured paths with their blob ids, and what was passed
//! over, named. Contents are read by blob id, so a blob seen before need not be read or parsed again. No file of the
//! repository is written, no hook or filter runs, no symbolic link is followed, no submodule entered.
//!
//! Every method blocks on files; async callers wrap them in `spawn_blocking`. Where objects come from is known to
//! `open` alone, so that a repository fetched from elsewhere can stand behind the same [`Repository`].

mod error;
mod location;
mod name;
mod open;
mod revision;
mod scratch;
mod skipped;
mod tree;
mod watch;
mod worktree;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use git2::Oid;

use crate::model::desired::Source;
use crate::model::finding::{Finding, Level};

pub use error::{OpenRepositoryError, ReadBlobError, ReadRevisionError};
pub use revision::Commit;
pub use scratch::{Scratch, ScratchError};
pub use watch::Watch;

/// What to read, as configured.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// A directory (bare, not bare, or a linked work tree) or a `file://` URL.
    pub repository: String,
    /// Whatever Git takes as a revision. `None`: the branch that HEAD names when the repository is opened, and that
    /// branch from then on, so that a checkout of another branch is not taken for a commit to this one; a detached HEAD
    /// is followed instead.
    pub revision: Option<String>,
    /// Directories or single files, with `/`, from the top of the repository. None: everything.
    pub paths: Vec<String>,
    /// Read the work tree's files as they are, committed or not. `revision` is then not used.
    pub worktree: bool,
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            repository: ".".to_owned(),
            revision: None,
            paths: Vec::new(),
            worktree: false,
            limits: Limits::default(),
        }
    }
}

impl fmt::Debug for Settings {
    /// A URL may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            repository,
            revision,
            paths,
            worktree,
            limits,
        } = self;
        f.debug_struct("Settings")
            .field("repository", &location::without_credentials(repository))
            .field("revision", revision)
            .field("paths", paths)
            .field("worktree", worktree)
            .field("limits", limits)
            .finish()
    }
}

/// What a repository may cost. A file beyond `file_bytes` is passed over; the others refuse the revision as a whole,
/// because a part of it could not be told from a removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Of one manifest. The API server takes objects of about 1.5 MiB.
    pub file_bytes: u64,
    /// Of one tree object, which is one directory: about 250,000 entries.
    pub tree_bytes: u64,
    pub files: usize,
    pub directories: usize,
    /// Of directories below each other.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 1024 * 1024,
            tree_bytes: 16 * 1024 * 1024,
            files: 100_000,
            directories: 100_000,
            depth: 64,
        }
    }
}

/// The id of a file's content, which is the same wherever the file lies. A cache key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobId([u8; 20]);

impl BlobId {
    fn new(id: Oid) -> Self {
        let mut bytes = [0; 20];
        bytes.copy_from_slice(id.as_bytes());
        Self(bytes)
    }

    fn oid(self) -> Oid {
        Oid::from_bytes(&self.0).expect("twenty bytes are an object id")
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobId({self})")
    }
}

/// A manifest file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// From the top of the repository, with `/`. May hold any character but NUL: escape it where it is shown.
    pub path: Arc<str>,
    pub blob: BlobId,
    /// In bytes.
    pub size: u64,
}

/// The manifest files of one revision below the configured paths.
///
/// Read are files whose names end in `.yaml` or `.yml`, in lower case as for `kubectl`, and do not begin with a dot, in
/// directories that do not begin with a dot (`.github`); a configured path itself may.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    pub source: Source,
    /// In the order of their paths.
    pub files: Vec<File>,
    /// What was passed over below the paths, in the order of the paths.
    pub skipped: Vec<Finding>,
}

impl Snapshot {
    /// Files that may hold a manifest and could not be read. While there is one, nothing is to be taken as gone.
    pub fn unread(&self) -> impl Iterator<Item = &str> {
        self.skipped
            .iter()
            .filter(|finding| finding.level == Level::Error)
            .filter_map(|finding| finding.place.as_ref())
            .map(|place| place.file.as_str())
    }

    /// Files that are not the same in `self` as in `base`, in the order of their paths.
    pub fn changed_since(&self, base: &Snapshot) -> Vec<ChangedFile> {
        let mut changed = Vec::new();
        let mut before = base.files.iter().peekable();
        for file in &self.files {
            while let Some(gone) = before.next_if(|old| old.path < file.path) {
                changed.push(ChangedFile::new(Some(gone), None));
            }
            match before.next_if(|old| old.path == file.path) {
                Some(old) if old.blob == file.blob => {}
                old => changed.push(ChangedFile::new(old, Some(file))),
            }
        }
        changed.extend(before.map(|gone| ChangedFile::new(Some(gone), None)));
        changed
    }
}

/// A file that two snapshots do not have alike; at least one side is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedFile {
    pub path: Arc<str>,
    pub before: Option<BlobId>,
    pub after: Option<BlobId>,
}

impl ChangedFile {
    fn new(before: Option<&File>, after: Option<&File>) -> Self {
        let path = after.or(before).map(|file| file.path.clone());
        Self {
            path: path.unwrap_or_default(),
            before: before.map(|file| file.blob),
            after: after.map(|file| file.blob),
        }
    }
}

/// An open repository, to be shared between threads.
pub struct Repository {
    settings: Settings,
    inner: Mutex<Inner>,
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Repository").field(&self.settings).finish()
    }
}

struct Inner {
    open: open::Open,
    /// The branch that stands for an absent `revision`, by its full name, once it was seen to exist.
    branch: Option<String>,
    /// The latest snapshots by what they were asked for, the newest last.
    recent: Vec<(String, Oid, Arc<Snapshot>)>,
    trees: tree::Reuse,
    worktree: worktree::Contents,
}

/// A review looks at two revisions and their merge base; a daemon at one.
const RECENT: usize = 3;

impl Repository {
    pub fn open(settings: &Settings) -> Result<Self, OpenRepositoryError> {
        let mut settings = settings.clone();
        settings.paths = location::paths(&settings.paths)?;
        let open = open::open(&settings)?;
        Ok(Self {
            inner: Mutex::new(Inner {
                branch: revision::branch_to_follow(&open.repository),
                open,
                recent: Vec::new(),
                trees: tree::Reuse::default(),
                worktree: worktree::Contents::default(),
            }),
            settings,
        })
    }

    /// What is configured: the work tree, the revision, or the branch. An unchanged tip costs one look at its ref, and
    /// gives the same `Arc` again.
    pub fn snapshot(&self) -> Result<Arc<Snapshot>, ReadRevisionError> {
        if self.settings.worktree {
            return self.snapshot_of_worktree();
        }
        let mut inner = self.lock()?;
        let commit = match &self.settings.revision {
            Some(revision) => inner.resolve(&self.settings, revision)?,
            None => inner.resolve_branch(&self.settings)?,
        };
        inner.snapshot(&self.settings, &commit)
    }

    /// A revision of the same repository, below the same paths.
    pub fn snapshot_at(&self, revision: &str) -> Result<Arc<Snapshot>, ReadRevisionError> {
        let mut inner = self.lock()?;
        let commit = inner.resolve(&self.settings, revision)?;
        inner.snapshot(&self.settings, &commit)
    }

    /// The files of the work tree as they are now.
    pub fn snapshot_of_worktree(&self) -> Result<Arc<Snapshot>, ReadRevisionError> {
        let mut inner = self.lock()?;
        let inner = &mut *inner;
        worktree::snapshot(&inner.open, &self.settings, &mut inner.worktree).map(Arc::new)
    }

    /// Which commit a revision means now.
    pub fn resolve(&self, revision: &str) -> Result<Commit, ReadRevisionError> {
        self.lock()?.resolve(&self.settings, revision)
    }

    /// The content of a file of a snapshot.
    pub fn read(&self, blob: &BlobId) -> Result<Vec<u8>, ReadBlobError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(content) = inner.worktree.get(blob) {
            return Ok(content.to_vec());
        }
        let limit = self.settings.limits.file_bytes;
        match read_blob(&inner.open.repository, *blob, limit) {
            // A repack may have replaced the pack under an open handle.
            Err(ReadBlobError::ReadObject { .. }) => {
                inner.open = open::open(&self.settings).map_err(ReadBlobError::Reopen)?;
                read_blob(&inner.open.repository, *blob, limit)
            }
            result => result,
        }
    }

    /// Whether `new` is `old` or comes after it. It does not where a branch was rewritten, nor where `old` is no longer
    /// in the repository. Both are full commit ids.
    pub fn is_descendant(&self, old: &str, new: &str) -> Result<bool, ReadRevisionError> {
        revision::is_descendant(&self.lock()?.open.repository, old, new)
    }

    /// The commit where two revisions parted; `None` where they have nothing in common.
    pub fn merge_base(&self, one: &str, other: &str) -> Result<Option<String>, ReadRevisionError> {
        let inner = self.lock()?;
        let one = inner.resolve(&self.settings, one)?;
        let other = inner.resolve(&self.settings, other)?;
        revision::merge_base(&inner.open.repository, &one, &other)
    }

    /// Wakes up when a ref moves, or a file of the work tree where that is what is read, and every `poll` anyway.
    pub fn watch(&self, poll: std::time::Duration) -> Watch {
        Watch::start(self.settings.clone(), poll)
    }

    fn lock(&self) -> Result<MutexGuard<'_, Inner>, OpenRepositoryError> {
        // Nothing in `Inner` is left half-written by a panic: each field is replaced as a whole.
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.open.is_replaced() {
            inner.open = open::open(&self.settings)?;
            if inner.branch.is_none() {
                inner.branch = revision::branch_to_follow(&inner.open.repository);
            }
        }
        Ok(inner)
    }
}

impl Inner {
    fn resolve(&self, settings: &Settings, revision: &str) -> Result<Commit, ReadRevisionError> {
        revision::resolve(&self.open.repository, settings, revision)
    }

    fn resolve_branch(&mut self, settings: &Settings) -> Result<Commit, ReadRevisionError> {
        if self.branch.is_none() {
            self.branch = revision::branch_to_follow(&self.open.repository);
        }
        match &self.branch {
            Some(branch) => revision::resolve_branch(&self.open.repository, settings, branch),
            None => revision::resolve_head(&self.open.repository, settings),
        }
    }

    fn snapshot(
        &mut self,
        settings: &Settings,
        commit: &Commit,
    ) -> Result<Arc<Snapshot>, ReadRevisionError> {
        let known = self
            .recent
            .iter()
            .find(|(revision, id, _)| *id == commit.oid && *revision == commit.revision);
        if let Some((_, _, snapshot)) = known {
            return Ok(snapshot.clone());
        }
        let read = match tree::read(&self.open.repository, settings, commit, &mut self.trees) {
            // A repack may have replaced the pack under an open handle.
            Err(ReadRevisionError::ReadTree { .. }) => {
                self.open = open::open(settings)?;
                tree::read(&self.open.repository, settings, commit, &mut self.trees)?
            }
            result => result?,
        };
        let snapshot = Arc::new(Snapshot {
            source: Source {
                repository: location::without_credentials(&settings.repository),
                revision: commit.revision.clone(),
                commit: Some(commit.id.clone()),
            },
            files: read.files,
            skipped: read.skipped,
        });
        if self.recent.len() == RECENT {
            self.recent.remove(0);
        }
        self.recent
            .push((commit.revision.clone(), commit.oid, snapshot.clone()));
        Ok(snapshot)
    }
}

fn read_blob(
    repository: &git2::Repository,
    blob: BlobId,
    limit: u64,
) -> Result<Vec<u8>, ReadBlobError> {
    let failed = |source| ReadBlobError::ReadObject { blob, source };
    let database = repository.odb().map_err(failed)?;
    let (size, _) = database.read_header(blob.oid()).map_err(failed)?;
    if size as u64 > limit {
        return Err(ReadBlobError::FitBlob {
            blob,
            size: size as u64,
            limit,
        });
    }
    let object = database.read(blob.oid()).map_err(failed)?;
    Ok(object.data().to_vec())
}
