//! What can go wrong between a repository's name and its files, and what the user can do about it.
//!
//! No text holds a URL with its credentials. An empty repository is a case of its own, not a missing revision.

use std::path::PathBuf;

use super::BlobId;

/// The repository cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenRepositoryError {
    #[error("there is no directory `{directory}`")]
    FindDirectory { directory: String },
    #[error(
        "no Git repository in `{directory}`: neither `{directory}/.git` nor a bare repository is there"
    )]
    FindRepository {
        directory: String,
        /// The repository whose work tree `directory` lies in, where there is one.
        around: Option<PathBuf>,
    },
    #[error("remote repositories are not supported yet: `{url}`")]
    UseRemote { url: String },
    #[error("`{url}` is not a usable file URL: {reason}")]
    ReadFileUrl { url: String, reason: &'static str },
    #[error("`{directory}` is owned by another user")]
    TrustOwner { directory: String },
    #[error("not supported; `{directory}` has the object format `{format}`")]
    UseObjectFormat { directory: String, format: String },
    #[error("not supported; `{directory}` has the ref storage `{storage}`")]
    UseRefStorage { directory: String, storage: String },
    #[error("not supported; `{directory}` has the repository extension `{extension}`")]
    UseExtension {
        directory: String,
        extension: String,
    },
    #[error("`{directory}` is a bare repository and has no work tree to read")]
    FindWorktree { directory: String },
    #[error("the path `{path}` cannot be used: {reason}")]
    UsePath { path: String, reason: &'static str },
    #[error("cannot open the repository `{directory}`")]
    Open {
        directory: String,
        source: git2::Error,
    },
}

impl OpenRepositoryError {
    /// What the user can do, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::FindDirectory { .. } => {
                Some("name the repository's directory with --repo".to_owned())
            }
            Self::FindRepository {
                around: Some(around),
                ..
            } => Some(format!(
                "it lies in the repository `{0}`: use --repo {0}, and --path for the part to read",
                around.display()
            )),
            Self::FindRepository { around: None, .. } => Some(
                "name the repository's directory with --repo, or create it with `git init`"
                    .to_owned(),
            ),
            Self::UseRemote { .. } => {
                Some("clone it, and name the clone's directory with --repo".to_owned())
            }
            Self::ReadFileUrl { .. } => {
                Some("write file:///absolute/path, or the path itself".to_owned())
            }
            Self::TrustOwner { directory } => Some(format!(
                "run as its owner, or, if you trust its content: git config --global --add safe.directory {}",
                shell_word(directory)
            )),
            Self::UseObjectFormat { .. } => {
                Some("use a repository made with `git init --object-format=sha1`".to_owned())
            }
            Self::UseRefStorage { .. } => Some(
                "`git refs migrate --ref-format=files` (Git 2.46 and later) converts it".to_owned(),
            ),
            Self::UseExtension { extension, .. } if extension == "partialclone" => {
                Some("clone it without --filter".to_owned())
            }
            Self::FindWorktree { .. } => {
                Some("leave out --worktree, or name a clone with a work tree".to_owned())
            }
            Self::UsePath { .. } => {
                Some("write it from the top of the repository, as in clusters/eu".to_owned())
            }
            Self::UseExtension { .. } | Self::Open { .. } => None,
        }
    }
}

/// The repository is there, and the revision cannot be read from it. Nothing may be taken as removed.
#[derive(Debug, thiserror::Error)]
pub enum ReadRevisionError {
    #[error("the repository `{repository}` is empty: its branch `{branch}` has no commit yet")]
    FindCommit { repository: String, branch: String },
    #[error("no revision `{revision}` in `{repository}`")]
    FindRevision {
        repository: String,
        revision: String,
        /// Branches and tags with a similar name, the nearest first.
        nearest: Vec<String>,
    },
    #[error("`{revision}` does not name a commit")]
    UseRevision { revision: String },
    #[error("cannot resolve the revision `{revision}`")]
    ResolveRevision {
        revision: String,
        source: git2::Error,
    },
    #[error("no path `{path}` at {revision} ({commit}); nothing is taken as removed")]
    FindPath {
        path: String,
        revision: String,
        /// Abbreviated; `uncommitted` in a work tree.
        commit: String,
    },
    #[error("the path `{path}` at {revision} is {what}, which is not read")]
    FollowPath {
        path: String,
        revision: String,
        what: &'static str,
    },
    #[error("cannot read the directory `{path}` of the revision")]
    ReadTree { path: String, source: git2::Error },
    #[error("`{path}` goes beyond the limit of {limit} {unit}; nothing of the revision is read")]
    FitRevision {
        path: String,
        limit: u64,
        unit: &'static str,
    },
    #[error("cannot compare the commits {one} and {other}")]
    CompareCommits {
        one: String,
        other: String,
        source: git2::Error,
    },
    #[error("cannot read `{path}` in the work tree")]
    ReadWorktree {
        path: String,
        source: std::io::Error,
    },
    #[error("cannot read the ignore rules of the work tree")]
    ReadIgnoreRules { source: git2::Error },
    #[error(transparent)]
    Open(#[from] OpenRepositoryError),
}

impl ReadRevisionError {
    /// What the user can do, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::FindCommit { .. } => Some("commit a manifest to it".to_owned()),
            Self::UseRevision { .. } => {
                Some("name a branch, a tag or a commit, such as main or HEAD~1".to_owned())
            }
            Self::FindRevision { nearest, .. } if nearest.is_empty() => {
                Some("name a branch, a tag or a commit that is there".to_owned())
            }
            Self::FindRevision { nearest, .. } => Some(format!(
                "there is {}",
                nearest
                    .iter()
                    .map(|name| format!("`{name}`"))
                    .collect::<Vec<_>>()
                    .join(", ")
            )),
            Self::FindPath { .. } => Some("correct --path, or bring the directory back".to_owned()),
            Self::FitRevision { .. } => {
                Some("name the part with the manifests with --path".to_owned())
            }
            Self::Open(error) => error.hint(),
            Self::ResolveRevision { .. }
            | Self::FollowPath { .. }
            | Self::ReadTree { .. }
            | Self::CompareCommits { .. }
            | Self::ReadWorktree { .. }
            | Self::ReadIgnoreRules { .. } => None,
        }
    }
}

pub(super) fn beyond(path: &str, limit: u64, unit: &'static str) -> ReadRevisionError {
    ReadRevisionError::FitRevision {
        path: super::name::or_top(path).to_owned(),
        limit,
        unit,
    }
}

/// One file's content cannot be read; the others can.
#[derive(Debug, thiserror::Error)]
pub enum ReadBlobError {
    #[error("cannot read the object {blob}")]
    ReadObject { blob: BlobId, source: git2::Error },
    #[error("the object {blob} has {size} bytes; at most {limit} are read")]
    FitBlob { blob: BlobId, size: u64, limit: u64 },
    #[error("cannot open the repository again")]
    Reopen(#[source] OpenRepositoryError),
}

/// A path as a shell takes it.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,".contains(c);
    if text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_for_another_owner_can_be_pasted_into_a_shell() {
        let error = OpenRepositoryError::TrustOwner {
            directory: "/srv/it's here".to_owned(),
        };
        insta::assert_snapshot!(error.hint().unwrap(), @r"run as its owner, or, if you trust its content: git config --global --add safe.directory '/srv/it'\''s here'");
    }
}
