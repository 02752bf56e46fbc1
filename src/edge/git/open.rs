//! Opens a local repository, and says in words why one cannot be opened.
//!
//! Trusts libgit2's check of the owner and its reading of `safe.directory`; asks nothing of the environment, searches no
//! parent directory, and notices when another repository has taken the place of the one that is open.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use git2::{ErrorClass, ErrorCode, RepositoryOpenFlags};

use super::{OpenRepositoryError, Settings, location};

pub(super) struct Open {
    pub repository: git2::Repository,
    directory: PathBuf,
    identity: Option<Identity>,
}

/// Which directory a name stood for: a symbolic link may be turned elsewhere, a clone made anew under the same name.
#[derive(PartialEq, Eq)]
struct Identity {
    directory: PathBuf,
    git_directory: (u64, u64),
}

impl Open {
    /// Whether the name now stands for another repository. One that is gone is not replaced.
    pub fn is_replaced(&self) -> bool {
        match identity(&self.directory, &self.repository) {
            Some(now) => self.identity.as_ref() != Some(&now),
            None => !self.repository.path().exists(),
        }
    }
}

fn identity(directory: &Path, repository: &git2::Repository) -> Option<Identity> {
    let metadata = fs::metadata(repository.path()).ok()?;
    Some(Identity {
        directory: fs::canonicalize(directory).ok()?,
        git_directory: (metadata.dev(), metadata.ino()),
    })
}

pub(super) fn open(settings: &Settings) -> Result<Open, OpenRepositoryError> {
    let directory = location::directory(&settings.repository)?;
    let shown = directory.display().to_string();
    if !directory.is_dir() {
        return Err(OpenRepositoryError::FindDirectory { directory: shown });
    }
    let repository = open_exactly(&directory).map_err(|error| explain(error, &directory))?;
    check_format(&repository, &shown)?;
    if settings.worktree && repository.workdir().is_none() {
        return Err(OpenRepositoryError::FindWorktree { directory: shown });
    }
    Ok(Open {
        identity: identity(&directory, &repository),
        repository,
        directory,
    })
}

/// `directory` itself or its `.git`, never a parent: a mistyped name must not read another repository's manifests.
fn open_exactly(directory: &Path) -> Result<git2::Repository, git2::Error> {
    git2::Repository::open_ext(
        directory,
        RepositoryOpenFlags::NO_SEARCH,
        &[] as &[&std::ffi::OsStr],
    )
}

fn explain(error: git2::Error, directory: &Path) -> OpenRepositoryError {
    let shown = directory.display().to_string();
    if error.code() == ErrorCode::Owner {
        return OpenRepositoryError::TrustOwner {
            directory: safe_directory(directory).display().to_string(),
        };
    }
    if error.code() == ErrorCode::NotFound && !directory.join(".git").exists() {
        return OpenRepositoryError::FindRepository {
            directory: shown,
            around: around(directory),
        };
    }
    if error.class() == ErrorClass::Repository {
        // libgit2 tells these apart in its text only.
        if let Some(name) = error
            .message()
            .strip_prefix("unsupported extension name extensions.")
        {
            return match name {
                "refstorage" => OpenRepositoryError::UseRefStorage {
                    directory: shown,
                    storage: "reftable".to_owned(),
                },
                name => OpenRepositoryError::UseExtension {
                    directory: shown,
                    extension: name.to_owned(),
                },
            };
        }
        if let Some(format) = error.message().strip_prefix("unknown object format ") {
            return OpenRepositoryError::UseObjectFormat {
                directory: shown,
                format: format.trim_matches('\'').to_owned(),
            };
        }
    }
    OpenRepositoryError::Open {
        directory: shown,
        source: error,
    }
}

/// libgit2 passes over extensions where `core.repositoryFormatVersion` is 0, and would read the wrong refs.
fn check_format(repository: &git2::Repository, shown: &str) -> Result<(), OpenRepositoryError> {
    let failed = |source| OpenRepositoryError::Open {
        directory: shown.to_owned(),
        source,
    };
    let config = repository
        .config()
        .and_then(|mut config| config.snapshot())
        .map_err(failed)?;
    if let Ok(storage) = config.get_str("extensions.refstorage")
        && storage != "files"
    {
        return Err(OpenRepositoryError::UseRefStorage {
            directory: shown.to_owned(),
            storage: storage.to_owned(),
        });
    }
    if let Ok(format) = config.get_str("extensions.objectformat")
        && format != "sha1"
    {
        return Err(OpenRepositoryError::UseObjectFormat {
            directory: shown.to_owned(),
            format: format.to_owned(),
        });
    }
    Ok(())
}

/// What `safe.directory` must name: the work tree where there is one, the repository's directory otherwise.
fn safe_directory(directory: &Path) -> PathBuf {
    let directory = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    match directory.parent() {
        Some(parent) if directory.file_name().is_some_and(|name| name == ".git") => {
            parent.to_owned()
        }
        _ => directory,
    }
}

/// The work tree around a directory that is no repository itself.
fn around(directory: &Path) -> Option<PathBuf> {
    let found = git2::Repository::discover(directory).ok()?;
    Some(found.workdir().unwrap_or(found.path()).to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::Repository;
    use super::super::testing::{Sample, git};
    use super::*;

    fn refused(sample: &Sample) -> OpenRepositoryError {
        match Repository::open(&sample.settings()) {
            Ok(_) => panic!("opened"),
            Err(error) => error,
        }
    }

    /// The error with the temporary directory's name taken out.
    fn words(sample: &Sample, error: &OpenRepositoryError) -> String {
        let hint = error.hint().unwrap_or_default();
        let directory = sample.directory.path().display().to_string();
        let real = fs::canonicalize(&directory).unwrap().display().to_string();
        format!("{error}\n{hint}")
            .replace(&real, "/srv")
            .replace(&directory, "/srv")
    }

    #[test]
    fn where_there_is_no_repository_the_error_names_what_was_looked_for() {
        let sample = Sample::with_worktree();
        let open = |directory: PathBuf| {
            Repository::open(&Settings {
                repository: directory.display().to_string(),
                ..Settings::default()
            })
            .map(|_| ())
            .unwrap_err()
        };
        let error = open(sample.directory.path().join("nowhere"));
        insta::assert_snapshot!(words(&sample, &error), @r"
        there is no directory `/srv/nowhere`
        name the repository's directory with --repo
        ");
        fs::create_dir(sample.directory.path().join("empty")).unwrap();
        let error = open(sample.directory.path().join("empty"));
        insta::assert_snapshot!(words(&sample, &error), @r"
        no Git repository in `/srv/empty`: neither `/srv/empty/.git` nor a bare repository is there
        name the repository's directory with --repo, or create it with `git init`
        ");
        fs::create_dir(sample.path.join("clusters")).unwrap();
        let error = open(sample.path.join("clusters"));
        insta::assert_snapshot!(words(&sample, &error), @r"
        no Git repository in `/srv/config/clusters`: neither `/srv/config/clusters/.git` nor a bare repository is there
        it lies in the repository `/srv/config/`: use --repo /srv/config/, and --path for the part to read
        ");
    }

    #[test]
    fn a_repository_of_another_owner_is_refused_with_the_remedy() {
        let sample = Sample::with_worktree();
        if std::os::unix::fs::lchown(&sample.path, Some(12345), Some(12345)).is_err() {
            eprintln!("skipped: only root can give a directory away");
            return;
        }
        insta::assert_snapshot!(words(&sample, &refused(&sample)), @r"
        `/srv/config` is owned by another user
        run as its owner, or, if you trust its content: git config --global --add safe.directory /srv/config
        ");
    }

    #[test]
    fn a_sha256_repository_is_refused_by_its_format() {
        let sample = Sample::with_worktree();
        fs::remove_dir_all(&sample.path).unwrap();
        if git(
            sample.directory.path(),
            &["init", "--quiet", "--object-format=sha256", "config"],
        )
        .is_none()
        {
            return;
        }
        insta::assert_snapshot!(words(&sample, &refused(&sample)), @r"
        not supported; `/srv/config` has the object format `sha256`
        use a repository made with `git init --object-format=sha1`
        ");
    }

    #[test]
    fn unknown_extensions_are_refused_by_name_whatever_the_format_version() {
        for version in [0, 1] {
            let sample = Sample::with_worktree();
            let mut config = sample.git.config().unwrap();
            config
                .set_i32("core.repositoryformatversion", version)
                .unwrap();
            config.set_str("extensions.refStorage", "reftable").unwrap();
            assert_eq!(
                words(&sample, &refused(&sample)),
                "not supported; `/srv/config` has the ref storage `reftable`\n\
                 `git refs migrate --ref-format=files` (Git 2.46 and later) converts it",
                "{version}"
            );
        }
        let sample = Sample::with_worktree();
        let mut config = sample.git.config().unwrap();
        config.set_i32("core.repositoryformatversion", 1).unwrap();
        config.set_str("extensions.partialClone", "origin").unwrap();
        insta::assert_snapshot!(words(&sample, &refused(&sample)), @r"
        not supported; `/srv/config` has the repository extension `partialclone`
        clone it without --filter
        ");
    }

    #[test]
    fn a_bare_repository_has_no_work_tree_to_read() {
        let sample = Sample::bare();
        let mut settings = sample.settings();
        settings.worktree = true;
        assert!(matches!(
            Repository::open(&settings),
            Err(OpenRepositoryError::FindWorktree { .. })
        ));
    }

    #[test]
    fn damaged_repositories_are_errors_with_their_cause() {
        let sample = Sample::with_worktree();
        fs::write(sample.path.join(".git/config"), "[core\n\u{1}").unwrap();
        let error = refused(&sample);
        assert!(matches!(error, OpenRepositoryError::Open { .. }), "{error}");
    }
}
