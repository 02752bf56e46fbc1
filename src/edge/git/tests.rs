//! What a snapshot holds, from real repositories: those that Git writes, and those that nobody should.

use std::path::Path;
use std::sync::Arc;

use git2::Oid;

use super::testing::{REGULAR, Sample, git, outline};
use super::*;

#[test]
fn a_snapshot_holds_the_yaml_files_below_the_paths() {
    let sample = Sample::bare();
    let id = sample.commit(&[
        ("clusters/eu/b.yaml", "b"),
        ("clusters/eu/a.yml", "a"),
        ("clusters/README.md", "no"),
        ("clusters/eu/upper.YAML", "no"),
        ("clusters/.github/ci.yaml", "no"),
        ("clusters/a b\t\u{1b}[31mü.yaml", "odd"),
        ("other/c.yaml", "c"),
        ("single.yaml", "s"),
    ]);
    let snapshot = sample
        .open_with(|settings| settings.paths = vec!["./clusters/".into(), "single.yaml".into()])
        .snapshot()
        .unwrap();
    insta::assert_snapshot!(outline(&snapshot), @r"
    clusters/a b\t\u{1b}[31mü.yaml
    clusters/eu/a.yml
    clusters/eu/b.yaml
    single.yaml
    note git-name-case: `clusters/eu/upper.YAML` is not read: its ending is not in lower case
    ");
    assert_eq!(
        snapshot.source,
        Source {
            repository: sample.path.display().to_string(),
            revision: "main".into(),
            commit: Some(id.to_string())
        }
    );
    let all = sample.open().snapshot().unwrap();
    assert_eq!(all.files.len(), 5);
}

#[test]
fn contents_are_read_by_blob_id() {
    let sample = Sample::bare();
    sample.commit(&[("a.yaml", "kind: A\n"), ("copy/a.yaml", "kind: A\n")]);
    let repository = sample.open();
    let snapshot = repository.snapshot().unwrap();
    assert_eq!(snapshot.files[0].blob, snapshot.files[1].blob);
    assert_eq!(snapshot.files[0].size, 8);
    assert_eq!(
        repository.read(&snapshot.files[0].blob).unwrap(),
        b"kind: A\n"
    );
    assert_eq!(
        snapshot.files[0].blob.to_string(),
        sample.blob(b"kind: A\n").to_string()
    );
}

#[test]
fn what_is_no_plain_file_is_named_and_not_read() {
    let sample = Sample::bare();
    let file = sample.blob(b"kind: A\n");
    let target = sample.blob(b"/etc/passwd");
    let commit = sample.commit(&[]);
    sample.commit_entries(&[
        ("dir/exec.yaml", 0o100_755, file),
        ("dir/link.yaml", 0o120_000, target),
        ("dir/link.txt", 0o120_000, target),
        ("dir/executable-link.yaml", 0o120_755, target),
        ("dir/group-writable.yaml", 0o100_664, file),
        ("dir/pipe.yaml", 0o010_644, file),
        ("dir/vendored", 0o160_000, commit),
        ("dir/vendored.yaml", 0o160_000, commit),
        ("outside.yaml", 0o120_000, target),
    ]);
    let repository = sample.open_with(|settings| settings.paths = vec!["dir".into()]);
    let snapshot = repository.snapshot().unwrap();
    insta::assert_snapshot!(outline(&snapshot), @r"
    dir/exec.yaml
    warning git-symlink: `dir/executable-link.yaml` is a symbolic link and is not read
    error git-mode: `dir/group-writable.yaml` is not read: its mode 100664 is neither 100644 nor 100755
    warning git-symlink: `dir/link.yaml` is a symbolic link and is not read
    error git-mode: `dir/pipe.yaml` is not read: its mode 10644 is neither 100644 nor 100755
    warning git-submodule: `dir/vendored` is a submodule and is not read
    warning git-submodule: `dir/vendored.yaml` is a submodule and is not read
    ");
    assert_eq!(
        snapshot.unread().collect::<Vec<_>>(),
        ["dir/group-writable.yaml", "dir/pipe.yaml"]
    );
}

#[test]
fn names_that_git_would_not_write_are_refused_one_by_one() {
    let sample = Sample::bare();
    let file = sample.blob(b"kind: A\n");
    let below = sample.tree(&[(b"x.yaml", REGULAR, file)]);
    let database = sample.git.odb().unwrap();
    let mut raw = Vec::new();
    for (mode, name, id) in [
        ("40000", &b".."[..], below),
        ("40000", b".GIT", below),
        ("40000", b"git~1", below),
        ("100644", b"..yaml", file),
        ("100644", b"\xff.yaml", file),
        ("100644", b"\xff.txt", file),
        ("100644", b"a/../../b.yaml", file),
        ("100644", b"good.yaml", file),
        ("100644", b"good.yaml", file),
    ] {
        raw.extend(mode.bytes());
        raw.push(b' ');
        raw.extend(name);
        raw.push(0);
        raw.extend(id.as_bytes());
    }
    let tree = database.write(git2::ObjectType::Tree, &raw).unwrap();
    sample.commit_tree("refs/heads/main", tree);
    insta::assert_snapshot!(outline(&sample.open().snapshot().unwrap()), @r"
    good.yaml
    error git-name: `..` is not read: its name leads to another directory
    error git-name: `.GIT` is not read: its name could be taken for Git's own directory
    error git-name: `a/../../b.yaml` is not read: its name is empty or holds a slash or a NUL
    error git-name: `git~1` is not read: its name could be taken for Git's own directory
    error git-name: `good.yaml` is in its directory twice, and the second is not read
    error git-name: `�.yaml` is not read: its name is not UTF-8
    ");
}

#[test]
fn a_file_beyond_the_limit_stops_only_itself() {
    let sample = Sample::bare();
    let large = "#".repeat(5 * 1024 * 1024);
    sample.commit(&[("large.yaml", &large), ("small.yaml", "kind: A\n")]);
    let repository = sample.open();
    insta::assert_snapshot!(outline(&repository.snapshot().unwrap()), @r"
    small.yaml
    error git-size: `large.yaml` is not read: it has 5242880 bytes, and at most 1048576 are read
    ");
    let blob = BlobId::new(sample.blob(large.as_bytes()));
    let error = repository.read(&blob).unwrap_err();
    assert!(matches!(error, ReadBlobError::FitBlob { .. }), "{error}");
}

#[test]
fn a_missing_object_stops_only_its_file() {
    let sample = Sample::bare();
    let missing = Oid::from_str("1234567890123456789012345678901234567890").unwrap();
    sample.commit_entries(&[
        ("gone.yaml", REGULAR, missing),
        ("here.yaml", REGULAR, sample.blob(b"a")),
    ]);
    insta::assert_snapshot!(outline(&sample.open().snapshot().unwrap()), @r"
    here.yaml
    error git-object: `gone.yaml` is not read: its object 1234567890123456789012345678901234567890 is missing from the repository
    ");
}

#[test]
fn a_tree_that_unfolds_without_end_is_refused_as_a_whole() {
    let sample = Sample::bare();
    let mut tree = sample.tree(&[(b"x.yaml", REGULAR, sample.blob(b"a"))]);
    for _ in 0..12 {
        let names: Vec<[u8; 1]> = (b'a'..b'k').map(|name| [name]).collect();
        let entries: Vec<_> = names
            .iter()
            .map(|name| (&name[..], 0o040_000, tree))
            .collect();
        tree = sample.tree(&entries);
    }
    sample.commit_tree("refs/heads/main", tree);
    let error = sample.open().snapshot().unwrap_err();
    insta::assert_snapshot!(error, @"`a/a/a/a/a/a/a/i/j/j/j/d` goes beyond the limit of 100000 directories; nothing of the revision is read");

    for _ in 0..60 {
        tree = sample.tree(&[(b"d", 0o040_000, tree)]);
    }
    sample.commit_tree("refs/heads/main", tree);
    let error = sample.open().snapshot().unwrap_err().to_string();
    assert!(error.contains("64 directories below each other"), "{error}");
}

#[test]
fn too_many_files_are_refused_as_a_whole() {
    let sample = Sample::bare();
    sample.commit(&[("a/1.yaml", ""), ("a/2.yaml", ""), ("b/3.yaml", "")]);
    let error = sample
        .open_with(|settings| settings.limits.files = 2)
        .snapshot()
        .unwrap_err();
    insta::assert_snapshot!(error, @"`b/3.yaml` goes beyond the limit of 2 files; nothing of the revision is read");
    let error = sample
        .open_with(|settings| settings.limits.tree_bytes = 10)
        .snapshot()
        .unwrap_err();
    insta::assert_snapshot!(error, @"`.` goes beyond the limit of 10 bytes in one directory; nothing of the revision is read");
}

#[test]
fn a_path_that_is_not_there_takes_nothing_as_removed() {
    let sample = Sample::bare();
    let id = sample.commit(&[("clusters/a.yaml", "a"), ("notes.txt", "n")]);
    let short = &id.to_string()[..7];
    for path in ["cluster", "clusters/b", "clusters/a.yaml/x"] {
        let error = sample
            .open_with(|settings| settings.paths = vec!["clusters".into(), path.into()])
            .snapshot();
        let error = match error {
            Err(error) => error.to_string(),
            // `clusters/…` lies within `clusters` and is not looked up by itself.
            Ok(_) => {
                assert!(path.starts_with("clusters/"));
                continue;
            }
        };
        assert_eq!(
            error,
            format!("no path `{path}` at main ({short}); nothing is taken as removed")
        );
    }
    let error = sample
        .open_with(|settings| settings.paths = vec!["clusters/a.yaml/x".into()])
        .snapshot();
    assert!(matches!(error, Err(ReadRevisionError::FindPath { .. })));
    let error = sample
        .open_with(|settings| settings.paths = vec!["notes.txt".into()])
        .snapshot()
        .unwrap_err();
    insta::assert_snapshot!(error, @"the path `notes.txt` at main is a file that is not YAML by its name, which is not read");
}

#[test]
fn a_configured_path_that_is_a_link_is_refused() {
    let sample = Sample::bare();
    let target = sample.blob(b"../elsewhere");
    sample.commit_entries(&[("clusters", 0o120_000, target)]);
    let repository = sample.open_with(|settings| settings.paths = vec!["clusters".into()]);
    let error = repository.snapshot().unwrap_err();
    insta::assert_snapshot!(error, @"the path `clusters` at main is a symbolic link, which is not read");
}

#[test]
fn an_unchanged_tip_gives_the_same_snapshot_and_a_commit_reuses_the_rest() {
    let sample = Sample::bare();
    sample.commit(&[("a/1.yaml", "1"), ("b/2.yaml", "2")]);
    let repository = sample.open();
    let first = repository.snapshot().unwrap();
    assert!(Arc::ptr_eq(&first, &repository.snapshot().unwrap()));

    sample.commit(&[("a/1.yaml", "1"), ("b/2.yaml", "two")]);
    let second = repository.snapshot().unwrap();
    // The path of a file in an unchanged directory is the very same string, so its tree was not read again.
    assert!(Arc::ptr_eq(&first.files[0].path, &second.files[0].path));
    assert!(!Arc::ptr_eq(&first.files[1].path, &second.files[1].path));
    assert_eq!(
        second.changed_since(&first),
        [ChangedFile {
            path: "b/2.yaml".into(),
            before: Some(first.files[1].blob),
            after: Some(second.files[1].blob)
        }]
    );
}

#[test]
fn limits_hold_for_directories_that_are_not_read_again() {
    let sample = Sample::bare();
    sample.commit(&[("a/1.yaml", ""), ("a/2.yaml", "")]);
    let repository = sample.open_with(|settings| settings.limits.files = 2);
    repository.snapshot().unwrap();
    sample.commit(&[("a/1.yaml", ""), ("a/2.yaml", ""), ("b/3.yaml", "")]);
    assert!(repository.snapshot().is_err());
}

#[test]
fn files_added_removed_and_changed_between_two_snapshots_are_told() {
    let sample = Sample::bare();
    let one = sample.commit(&[("a.yaml", "a"), ("b.yaml", "b"), ("c.yaml", "c")]);
    sample.commit(&[("b.yaml", "B"), ("c.yaml", "c"), ("d.yaml", "d")]);
    let repository = sample.open();
    let base = repository.snapshot_at(&one.to_string()).unwrap();
    let head = repository.snapshot_at("main").unwrap();
    let told: Vec<String> = head
        .changed_since(&base)
        .into_iter()
        .map(|file| match (file.before, file.after) {
            (None, _) => format!("+{}", file.path),
            (_, None) => format!("-{}", file.path),
            _ => format!("~{}", file.path),
        })
        .collect();
    assert_eq!(told, ["-a.yaml", "~b.yaml", "+d.yaml"]);
    assert_eq!(head.changed_since(&head), []);
}

#[test]
fn packed_refs_and_a_repack_under_an_open_repository_are_read() {
    let sample = Sample::with_worktree();
    sample.commit(&[("a.yaml", "one")]);
    let repository = sample.open();
    let first = repository.snapshot().unwrap();
    for step in 0..3 {
        let content = format!("content {step}");
        sample.commit(&[("a.yaml", &content), ("b/c.yaml", "c")]);
        if git(&sample.path, &["pack-refs", "--all"]).is_none() {
            return;
        }
        git(&sample.path, &["gc", "--quiet", "--prune=now"]);
        let snapshot = repository.snapshot().unwrap();
        assert_eq!(
            repository.read(&snapshot.files[0].blob).unwrap(),
            content.as_bytes()
        );
    }
    assert_eq!(repository.read(&first.files[0].blob).unwrap(), b"one");
}

#[test]
fn what_the_git_command_commits_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let work = directory.path().join("work");
    std::fs::create_dir(&work).unwrap();
    if git(&work, &["init", "--quiet"]).is_none() {
        return;
    }
    std::fs::create_dir(work.join("clusters")).unwrap();
    std::fs::write(work.join("clusters/a b ü.yaml"), "kind: A\n").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", work.join("clusters/link.yaml")).unwrap();
    git(&work, &["add", "--all"]);
    git(&work, &["commit", "--quiet", "-m", "first"]);
    git(&work, &["tag", "-a", "v1", "-m", "first"]);
    let bare = directory.path().join("bare.git");
    git(
        directory.path(),
        &["clone", "--quiet", "--bare", "work", "bare.git"],
    );
    let url = format!("file://{}", bare.display());
    let repository = Repository::open(&Settings {
        repository: url.clone(),
        ..Settings::default()
    })
    .unwrap();
    let snapshot = repository.snapshot().unwrap();
    assert_eq!(snapshot.source.repository, url);
    insta::assert_snapshot!(outline(&snapshot), @r"
    clusters/a b ü.yaml
    warning git-symlink: `clusters/link.yaml` is a symbolic link and is not read
    ");
    let by_tag = repository.snapshot_at("v1").unwrap();
    assert_eq!(by_tag.source.commit, snapshot.source.commit);

    // A linked work tree and a clone that knows a remote branch.
    git(
        &work,
        &["worktree", "add", "--quiet", "-b", "side", "../side"],
    );
    let side = Repository::open(&Settings {
        repository: directory.path().join("side").display().to_string(),
        ..Settings::default()
    })
    .unwrap();
    assert_eq!(side.snapshot().unwrap().source.revision, "side");
    git(directory.path(), &["clone", "--quiet", "bare.git", "clone"]);
    let clone = Repository::open(&Settings {
        repository: directory.path().join("clone").display().to_string(),
        ..Settings::default()
    })
    .unwrap();
    let remote = clone.snapshot_at("origin/main").unwrap();
    assert_eq!(remote.source.commit, snapshot.source.commit);
    assert_eq!(remote.source.revision, "origin/main");
}

#[test]
fn a_directory_that_becomes_another_repository_is_noticed() {
    let one = Sample::bare();
    one.commit(&[("one.yaml", "1")]);
    let two = Sample::bare();
    two.commit(&[("two.yaml", "2")]);
    let link = one.directory.path().join("current");
    std::os::unix::fs::symlink(&one.path, &link).unwrap();
    let repository = one.open_with(|settings| settings.repository = link.display().to_string());
    assert_eq!(outline(&repository.snapshot().unwrap()), "one.yaml");
    turn(&link, &two.path);
    let snapshot = repository.snapshot().unwrap();
    assert_eq!(outline(&snapshot), "two.yaml");
    assert_eq!(repository.read(&snapshot.files[0].blob).unwrap(), b"2");

    std::fs::remove_file(&link).unwrap();
    std::fs::remove_dir_all(&two.path).unwrap();
    assert!(matches!(
        repository.snapshot(),
        Err(ReadRevisionError::Open(
            OpenRepositoryError::FindDirectory { .. }
        ))
    ));
}

/// git-sync keeps a clone, a detached work tree for each commit, and a link to the latest one.
#[test]
fn the_layout_of_git_sync_is_followed_from_commit_to_commit() {
    let origin = Sample::with_worktree();
    let one = origin.commit(&[("a.yaml", "1")]);
    let top = origin.directory.path();
    if git(top, &["clone", "-q", "config", "sync"]).is_none() {
        return;
    }
    let (clone, link) = (top.join("sync"), top.join("sync/current"));
    let publish = |id: Oid| {
        let id = id.to_string();
        git(&clone, &["fetch", "-q", "origin"]);
        git(
            &clone,
            &[
                "worktree",
                "add",
                "-q",
                "--detach",
                &format!(".worktrees/{id}"),
                &id,
            ],
        );
        turn(&link, &Path::new(".worktrees").join(&id));
    };
    publish(one);
    let repository = origin.open_with(|settings| settings.repository = link.display().to_string());
    let first = repository.snapshot().unwrap();
    assert_eq!(first.source.commit, Some(one.to_string()));
    let two = origin.commit(&[("a.yaml", "2")]);
    publish(two);
    git(&clone, &["worktree", "remove", "--force", &one.to_string()]);
    let second = repository.snapshot().unwrap();
    assert_eq!(second.source.commit, Some(two.to_string()));
    assert_eq!(second.source.revision, "HEAD");
    assert!(
        repository
            .is_descendant(&one.to_string(), &two.to_string())
            .unwrap()
    );
}

#[test]
fn a_shallow_clone_is_read_and_knows_nothing_of_what_came_before() {
    let origin = Sample::bare();
    let one = origin.commit(&[("a.yaml", "1")]);
    let two = origin.commit(&[("a.yaml", "2")]);
    let url = format!("file://{}", origin.path.display());
    let top = origin.directory.path();
    if git(top, &["clone", "-q", "--depth=1", &url, "shallow"]).is_none() {
        return;
    }
    let shallow = top.join("shallow").display().to_string();
    let repository = origin.open_with(|settings| settings.repository = shallow);
    let snapshot = repository.snapshot().unwrap();
    assert_eq!(snapshot.source.commit, Some(two.to_string()));
    assert!(
        !repository
            .is_descendant(&one.to_string(), &two.to_string())
            .unwrap()
    );
    assert!(repository.resolve("HEAD~1").is_err());
}

#[test]
fn a_repository_is_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    let sample = Sample::bare();
    shared(&sample.open());
}

fn turn(link: &Path, target: &Path) {
    let next = link.with_extension("next");
    std::os::unix::fs::symlink(target, &next).unwrap();
    std::fs::rename(&next, link).unwrap();
}
