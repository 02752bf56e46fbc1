//! Repositories that are not there, not ready, not ours or not supported: the command ends with 2, its reason and a hint.

use crate::harness::{Repo, cluster, lockstep, lockstep_in};

fn refused(arguments: &[&str]) -> String {
    let answer = lockstep(arguments);
    assert_eq!(answer.out, "", "nothing is data where nothing can be read");
    format!("{}exit {}", answer.err, answer.code)
}

fn repo() -> Repo {
    Repo::with(&[("clusters/c.yaml", &cluster("a", "c", 1, "{mode: async}"))])
}

/// What a command says, with the changing name of the repository's folder replaced.
fn told(repo: &Repo, arguments: &[&str]) -> String {
    let mut all = vec!["check", "--repo", repo.path()];
    all.extend(arguments);
    refused(&all).replace(repo.path(), "REPO")
}

fn git(repo: &Repo) -> git2::Repository {
    git2::Repository::open(repo.path()).expect("a repository")
}

#[test]
fn an_empty_repository_asks_for_a_commit() {
    insta::assert_snapshot!(told(&Repo::new(), &[]), @"
    error: the repository `REPO` is empty: its branch `main` has no commit yet
      hint: commit a manifest to it
    exit 2
    ");
}

#[test]
fn a_folder_without_a_repository_says_where_it_looked() {
    let folder = tempfile::tempdir().expect("a folder");
    let answer = lockstep_in(folder.path(), &["diff"]);
    insta::assert_snapshot!(format!("{}exit {}", answer.err, answer.code), @"
    error: no Git repository in `.`: neither `./.git` nor a bare repository is there
      hint: name the repository's directory with --repo, or create it with `git init`
    exit 2
    ");
    insta::assert_snapshot!(refused(&["check", "--repo", "/no/such/folder"]), @"
    error: there is no directory `/no/such/folder`
      hint: name the repository's directory with --repo
    exit 2
    ");
    insta::assert_snapshot!(refused(&["check", "--repo", ""]), @"
    error: there is no directory ``
      hint: name the repository's directory with --repo
    exit 2
    ");
}

#[test]
fn a_folder_inside_a_repository_is_told_how_to_name_it() {
    let repo = repo();
    let inside = format!("{}/clusters", repo.path());
    insta::assert_snapshot!(refused(&["check", "--repo", &inside]).replace(repo.path(), "REPO"), @"
    error: no Git repository in `REPO/clusters`: neither `REPO/clusters/.git` nor a bare repository is there
      hint: it lies in the repository `REPO/`: use --repo REPO/, and --path for the part to read
    exit 2
    ");
}

#[test]
fn a_remote_is_not_fetched_and_its_password_not_shown() {
    insta::assert_snapshot!(refused(&["check", "--repo", "https://ada:hunter2@example.com/config.git"]), @"
    error: remote repositories are not supported yet: `https://example.com/config.git`
      hint: clone it, and name the clone's directory with --repo
    exit 2
    ");
    insta::assert_snapshot!(refused(&["check", "--repo", "git@example.com:config.git"]), @"
    error: remote repositories are not supported yet: `example.com:config.git`
      hint: clone it, and name the clone's directory with --repo
    exit 2
    ");
}

#[test]
fn formats_that_are_not_supported_are_named() {
    let sha256 = repo();
    let mut config = git(&sha256).config().expect("a configuration");
    config
        .set_i32("core.repositoryformatversion", 1)
        .expect("set");
    config
        .set_str("extensions.objectformat", "sha256")
        .expect("set");
    insta::assert_snapshot!(told(&sha256, &[]), @"
    error: not supported; `REPO` has the object format `sha256`
      hint: use a repository made with `git init --object-format=sha1`
    exit 2
    ");
    let reftable = repo();
    let mut config = git(&reftable).config().expect("a configuration");
    config
        .set_i32("core.repositoryformatversion", 1)
        .expect("set");
    config
        .set_str("extensions.refstorage", "reftable")
        .expect("set");
    insta::assert_snapshot!(told(&reftable, &[]), @"
    error: not supported; `REPO` has the ref storage `reftable`
      hint: `git refs migrate --ref-format=files` (Git 2.46 and later) converts it
    exit 2
    ");
}

/// Only root can give a folder away.
#[cfg(unix)]
#[test]
fn a_repository_of_another_user_is_not_trusted() {
    let repo = repo();
    if std::os::unix::fs::chown(repo.path(), Some(12_345), None).is_err() {
        return;
    }
    std::os::unix::fs::chown(format!("{}/.git", repo.path()), Some(12_345), None).expect("root");
    insta::assert_snapshot!(told(&repo, &[]), @"
    error: `REPO` is owned by another user
      hint: run as its owner, or, if you trust its content: git config --global --add safe.directory REPO
    exit 2
    ");
}

#[test]
fn a_path_that_is_gone_is_not_taken_as_removed() {
    let repo = repo();
    let answer = told(&repo, &["--path", "cluster"]);
    let head = git(&repo)
        .revparse_single("HEAD")
        .expect("a commit")
        .id()
        .to_string();
    insta::assert_snapshot!(answer.replace(&head[..7], "COMMIT"), @"
    error: no path `cluster` at main (COMMIT); nothing is taken as removed
      hint: correct --path, or bring the directory back
    exit 2
    ");
}

#[test]
fn a_path_out_of_the_repository_is_refused() {
    for (path, why) in [
        ("../etc", "it leads upward"),
        ("/etc", "it is absolute"),
        (".git", "it names Git's own directory"),
        ("", "it is empty"),
    ] {
        let answer = told(&repo(), &["--path", path]);
        assert!(
            answer.starts_with(&format!(
                "error: the path `{path}` cannot be used: {why}\n  hint: "
            )),
            "{answer}"
        );
        assert!(answer.ends_with("exit 2"), "{answer}");
    }
}

#[test]
fn a_revision_that_is_not_there_is_told_those_that_are() {
    let repo = repo();
    insta::assert_snapshot!(told(&repo, &["--revision", "mian"]), @"
    error: no revision `mian` in `REPO`
      hint: there is `main`
    exit 2
    ");
    insta::assert_snapshot!(told(&repo, &["--revision", "HEAD~99"]), @"
    error: no revision `HEAD~99` in `REPO`
      hint: there is `main`
    exit 2
    ");
    insta::assert_snapshot!(told(&repo, &["--revision", "HEAD:clusters/c.yaml"]), @"
    error: `HEAD:clusters/c.yaml` does not name a commit
      hint: name a branch, a tag or a commit, such as main or HEAD~1
    exit 2
    ");
    insta::assert_snapshot!(told(&repo, &["--revision="]), @"
    error: `` does not name a commit
      hint: name a branch, a tag or a commit, such as main or HEAD~1
    exit 2
    ");
    insta::assert_snapshot!(told(&repo, &["--revision", "\u{1b}[31m"]), @r"
    error: `\u{1b}[31m` does not name a commit
      hint: name a branch, a tag or a commit, such as main or HEAD~1
    exit 2
    ");
    insta::assert_snapshot!(refused(&["review", "--repo", repo.path(), "--base", "gone"]).replace(repo.path(), "REPO"), @"
    error: no revision `gone` in `REPO`
      hint: there is `main`
    exit 2
    ");
}

#[test]
fn an_object_that_is_missing_stops_only_its_file() {
    let repo = repo();
    repo.write(
        "clusters/lost.yaml",
        cluster("a", "lost", 1, "{mode: async}"),
    );
    repo.commit("second");
    let blob = git(&repo)
        .revparse_single("HEAD:clusters/lost.yaml")
        .expect("a blob")
        .id()
        .to_string();
    let object = format!("{}/.git/objects/{}/{}", repo.path(), &blob[..2], &blob[2..]);
    std::fs::remove_file(object).expect("a loose object");
    let answer = lockstep(&["check", "--repo", repo.path()]);
    assert_eq!(answer.code, 1);
    insta::assert_snapshot!(answer.out.replace(&blob, "BLOB").replace(&blob[..7], "BLOB"), @"
    clusters/lost.yaml:1:1: error[git-object]: `clusters/lost.yaml` is not read: its object BLOB is missing from the repository
        help: `git fsck` names what is damaged; a partial clone has to be completed
    1 cluster: 1 error
    ");
}

#[test]
fn a_worktree_that_a_bare_repository_has_not_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    git2::Repository::init_bare(folder.path()).expect("git init --bare");
    let path = folder.path().to_str().expect("a path");
    insta::assert_snapshot!(refused(&["check", "--repo", path, "--worktree"]).replace(path, "REPO"), @"
    error: `REPO` is a bare repository and has no work tree to read
      hint: leave out --worktree, or name a clone with a work tree
    exit 2
    ");
}
