//! Which commit a revision means, and how two commits stand to each other.
//!
//! A branch without a commit is told apart from a revision that does not exist; an unknown one comes with its nearest
//! names.

use git2::{ErrorCode, ObjectType, Oid, Reference, Repository};

use super::{ReadRevisionError, Settings, location};

/// A commit, and how it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// As the user named it; the branch's short name, or `HEAD`, where the user did not.
    pub revision: String,
    /// In full.
    pub id: String,
    pub(super) oid: Oid,
}

/// So many refs are compared with an unknown name, of repositories that have a ref for each pull request.
const REFS_COMPARED: usize = 10_000;
const REFS_NAMED: usize = 3;

impl Commit {
    pub(super) fn short(&self) -> &str {
        &self.id[..7]
    }

    fn new(revision: &str, object: &git2::Object<'_>) -> Result<Self, git2::Error> {
        let oid = object.peel(ObjectType::Commit)?.id();
        Ok(Self {
            revision: revision.to_owned(),
            id: oid.to_string(),
            oid,
        })
    }
}

/// The full name of the branch that HEAD stands for, where that branch has a commit. `None` too where HEAD is detached.
pub(super) fn branch_to_follow(repository: &Repository) -> Option<String> {
    let branch = head_branch(repository)?;
    repository.find_reference(&branch).ok().map(|_| branch)
}

/// The full name of the branch that HEAD stands for, with or without a commit.
fn head_branch(repository: &Repository) -> Option<String> {
    let head = repository.find_reference("HEAD").ok()?;
    head.symbolic_target().ok().flatten().map(str::to_owned)
}

pub(super) fn resolve(
    repository: &Repository,
    settings: &Settings,
    revision: &str,
) -> Result<Commit, ReadRevisionError> {
    match repository
        .revparse_single(revision)
        .and_then(|object| Commit::new(revision, &object))
    {
        Ok(commit) => Ok(commit),
        Err(error) if error.code() == ErrorCode::NotFound => {
            if matches!(revision, "HEAD" | "@") {
                return resolve_head(repository, settings);
            }
            Err(unknown(repository, settings, revision))
        }
        // A file or a directory of a commit, or no name that a revision could have.
        Err(error) if matches!(error.code(), ErrorCode::InvalidSpec | ErrorCode::Peel) => {
            Err(ReadRevisionError::UseRevision {
                revision: revision.to_owned(),
            })
        }
        Err(source) => Err(ReadRevisionError::ResolveRevision {
            revision: revision.to_owned(),
            source,
        }),
    }
}

/// A branch by its full name, which nothing else can be taken for.
pub(super) fn resolve_branch(
    repository: &Repository,
    settings: &Settings,
    branch: &str,
) -> Result<Commit, ReadRevisionError> {
    let short = branch.strip_prefix("refs/heads/").unwrap_or(branch);
    match repository
        .find_reference(branch)
        .and_then(|reference| of_reference(&reference, short))
    {
        Ok(commit) => Ok(commit),
        Err(error) if error.code() == ErrorCode::NotFound => {
            Err(unknown(repository, settings, short))
        }
        Err(source) => Err(ReadRevisionError::ResolveRevision {
            revision: short.to_owned(),
            source,
        }),
    }
}

/// HEAD itself: detached, or naming a branch that has no commit.
pub(super) fn resolve_head(
    repository: &Repository,
    settings: &Settings,
) -> Result<Commit, ReadRevisionError> {
    let failed = |source| ReadRevisionError::ResolveRevision {
        revision: "HEAD".to_owned(),
        source,
    };
    match repository.head() {
        Ok(head) => of_reference(&head, "HEAD").map_err(failed),
        Err(error) if error.code() == ErrorCode::UnbornBranch => {
            let branch = head_branch(repository).unwrap_or_else(|| "HEAD".to_owned());
            let short = branch.strip_prefix("refs/heads/").unwrap_or(&branch);
            if names(repository).is_empty() {
                Err(ReadRevisionError::FindCommit {
                    repository: location::without_credentials(&settings.repository),
                    branch: short.to_owned(),
                })
            } else {
                Err(unknown(repository, settings, short))
            }
        }
        Err(error) => Err(failed(error)),
    }
}

fn of_reference(reference: &Reference<'_>, revision: &str) -> Result<Commit, git2::Error> {
    Commit::new(revision, &reference.peel(ObjectType::Commit)?)
}

fn unknown(repository: &Repository, settings: &Settings, revision: &str) -> ReadRevisionError {
    let mut nearest: Vec<(usize, String)> = names(repository)
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(revision, &name), name))
        .collect();
    nearest.sort();
    nearest.truncate(REFS_NAMED);
    ReadRevisionError::FindRevision {
        repository: location::without_credentials(&settings.repository),
        revision: revision.to_owned(),
        nearest: nearest.into_iter().map(|(_, name)| name).collect(),
    }
}

/// Branches, remote branches and tags, as a user would name them.
fn names(repository: &Repository) -> Vec<String> {
    let Ok(references) = repository.references() else {
        return Vec::new();
    };
    references
        .take(REFS_COMPARED)
        .filter_map(Result::ok)
        .filter(|reference| reference.is_branch() || reference.is_remote() || reference.is_tag())
        .filter_map(|reference| reference.shorthand().ok().map(str::to_owned))
        .collect()
}

pub(super) fn is_descendant(
    repository: &Repository,
    old: &str,
    new: &str,
) -> Result<bool, ReadRevisionError> {
    let failed = |source| ReadRevisionError::CompareCommits {
        one: old.to_owned(),
        other: new.to_owned(),
        source,
    };
    let old_id = Oid::from_str(old).map_err(failed)?;
    let new_id = Oid::from_str(new).map_err(failed)?;
    if old_id == new_id {
        return Ok(true);
    }
    if repository.find_commit(old_id).is_err() {
        return Ok(false);
    }
    repository
        .graph_descendant_of(new_id, old_id)
        .map_err(failed)
}

pub(super) fn merge_base(
    repository: &Repository,
    one: &Commit,
    other: &Commit,
) -> Result<Option<String>, ReadRevisionError> {
    match repository.merge_base(one.oid, other.oid) {
        Ok(base) => Ok(Some(base.to_string())),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(source) => Err(ReadRevisionError::CompareCommits {
            one: one.short().to_owned(),
            other: other.short().to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{REGULAR, Sample, git};
    use super::*;

    #[test]
    fn an_empty_repository_is_told_apart_from_an_unknown_revision() {
        let sample = Sample::bare();
        let repository = sample.open_with(|settings| settings.repository.push('/'));
        let error = repository.snapshot().unwrap_err();
        assert!(matches!(error, ReadRevisionError::FindCommit { .. }));
        let text = error.to_string();
        assert!(
            text.ends_with("is empty: its branch `main` has no commit yet"),
            "{text}"
        );
        assert!(matches!(
            repository.snapshot_at("HEAD"),
            Err(ReadRevisionError::FindCommit { .. })
        ));
        assert!(matches!(
            repository.snapshot_at("main"),
            Err(ReadRevisionError::FindRevision { .. })
        ));

        sample.commit(&[("a.yaml", "a")]);
        assert_eq!(repository.snapshot().unwrap().files.len(), 1);
    }

    #[test]
    fn an_unknown_revision_comes_with_the_nearest_names() {
        let sample = Sample::bare();
        let id = sample.commit(&[("a.yaml", "a")]);
        let commit = sample.git.find_commit(id).unwrap();
        sample.git.branch("release-1", &commit, false).unwrap();
        sample
            .git
            .reference("refs/remotes/origin/main", id, false, "test")
            .unwrap();
        sample
            .git
            .reference("refs/pull/1/head", id, false, "test")
            .unwrap();
        let repository = sample.open();
        let error = repository.snapshot_at("mian").unwrap_err();
        assert!(error.to_string().starts_with("no revision `mian` in "));
        insta::assert_snapshot!(error.hint().unwrap(), @"there is `main`, `origin/main`, `release-1`");
        for revision in [
            "",
            "a..b",
            "HEAD~5",
            "1234567",
            "main:a.yaml",
            "HEAD^{tree}",
        ] {
            let error = repository.snapshot_at(revision).unwrap_err();
            assert!(
                matches!(
                    error,
                    ReadRevisionError::FindRevision { .. } | ReadRevisionError::UseRevision { .. }
                ),
                "{revision}: {error}"
            );
        }
    }

    #[test]
    fn a_revision_is_whatever_git_takes() {
        let sample = Sample::bare();
        let one = sample.commit(&[("a.yaml", "1")]);
        let two = sample.commit(&[("a.yaml", "2")]);
        let object = sample.git.find_object(one, None).unwrap();
        let author = git2::Signature::now("Test", "test@example.com").unwrap();
        sample.git.tag("v1", &object, &author, "v1", false).unwrap();
        let repository = sample.open();
        for (revision, id) in [
            ("main", two),
            ("refs/heads/main", two),
            ("HEAD", two),
            ("@", two),
            ("HEAD~1", one),
            ("main^", one),
            ("v1", one),
            ("v1^{commit}", one),
            (&one.to_string(), one),
            (&one.to_string()[..9], one),
        ] {
            let commit = repository.resolve(revision).unwrap();
            assert_eq!(commit.id, id.to_string(), "{revision}");
            assert_eq!(commit.revision, revision);
        }
    }

    #[test]
    fn the_branch_is_kept_when_head_is_turned_and_a_detached_head_is_followed() {
        let sample = Sample::with_worktree();
        let one = sample.commit(&[("a.yaml", "1")]);
        let repository = sample.open();
        repository.snapshot().unwrap();
        let commit = sample.git.find_commit(one).unwrap();
        sample.git.branch("side", &commit, false).unwrap();
        sample.git.set_head("refs/heads/side").unwrap();
        let tree = sample.tree(&[(b"b.yaml", REGULAR, sample.blob(b"b"))]);
        sample.commit_tree("refs/heads/side", tree);
        let snapshot = repository.snapshot().unwrap();
        assert_eq!(snapshot.source.commit, Some(one.to_string()));

        sample.git.set_head_detached(one).unwrap();
        let detached = sample.open();
        let snapshot = detached.snapshot().unwrap();
        assert_eq!(snapshot.source.revision, "HEAD");
        let two = sample.commit_tree("refs/heads/side", tree);
        sample.git.set_head_detached(two).unwrap();
        let snapshot = detached.snapshot().unwrap();
        assert_eq!(snapshot.source.commit, Some(two.to_string()));
    }

    #[test]
    fn a_renamed_branch_is_missing_by_its_old_name() {
        let sample = Sample::with_worktree();
        sample.commit(&[("a.yaml", "1")]);
        let repository = sample.open();
        repository.snapshot().unwrap();
        if git(&sample.path, &["branch", "-m", "main", "mainline"]).is_none() {
            return;
        }
        let error = repository.snapshot().unwrap_err();
        assert!(error.to_string().starts_with("no revision `main` in "));
        insta::assert_snapshot!(error.hint().unwrap(), @"there is `mainline`");
    }

    #[test]
    fn a_rewritten_branch_is_no_descendant_of_what_it_was() {
        let sample = Sample::bare();
        let one = sample.commit(&[("a.yaml", "1")]);
        let two = sample.commit(&[("a.yaml", "2")]);
        let repository = sample.open();
        let before = repository.snapshot().unwrap();
        let tree = sample.tree(&[(b"a.yaml", REGULAR, sample.blob(b"3"))]);
        let parent = sample.git.find_commit(one).unwrap();
        let forced = sample.commit_on("refs/heads/main", tree, &[&parent]);
        let after = repository.snapshot().unwrap();
        assert_eq!(after.source.commit, Some(forced.to_string()));
        assert_eq!(before.source.commit, Some(two.to_string()));

        let (one, two, forced) = (one.to_string(), two.to_string(), forced.to_string());
        let after = |old: &str, new: &str| repository.is_descendant(old, new).unwrap();
        assert!(after(&one, &two) && after(&two, &two) && after(&one, &forced));
        assert!(!after(&two, &forced));
        assert!(!after(&"12".repeat(20), &forced), "pruned");
        assert!(repository.is_descendant("main", &forced).is_err());
        assert_eq!(repository.merge_base(&two, "main").unwrap(), Some(one));

        let apart = sample.commit_on("refs/heads/apart", tree, &[]).to_string();
        assert_eq!(repository.merge_base(&apart, "main").unwrap(), None);
    }
}
