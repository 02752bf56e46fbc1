//! Wakes up when the repository may have changed: a ref moved, HEAD was turned, refs were packed, a file was written.
//!
//! A wake-up carries no data; who is woken looks again. Missed events, a full queue and an error of the watch are
//! wake-ups too, and a slow poll stands behind all of it: where nothing can be watched, it alone is left.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Config, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Settings, location, open};

/// A push writes several refs, and a commit writes HEAD's reflog, the ref and the index: one wake-up for all of it.
const QUIET: Duration = Duration::from_millis(50);
/// Under constant writing somebody has to look all the same.
const LONGEST_DEBOUNCE: Duration = Duration::from_millis(500);
/// An interval of zero must not become a busy loop.
const SHORTEST_POLL: Duration = Duration::from_millis(100);

pub struct Watch {
    settings: Settings,
    poll: Duration,
    next_poll: Instant,
    wake: Arc<Notify>,
    /// An event was seen, and its wake-up not yet given; kept here so that a dropped `changed` loses nothing.
    woken: bool,
    armed: Armed,
    warned: bool,
}

#[derive(Default)]
struct Armed {
    places: Option<Places>,
    /// Dropped: nothing is watched any more.
    watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Blocks while the watches are set. What changes from here on wakes.
    pub(super) fn start(settings: Settings, poll: Duration) -> Self {
        let poll = poll.max(SHORTEST_POLL);
        let wake = Arc::new(Notify::new());
        let (armed, trouble) = rearm(&settings, Armed::default(), &wake);
        let mut watch = Self {
            settings,
            poll,
            next_poll: Instant::now() + poll,
            wake,
            woken: false,
            armed,
            warned: false,
        };
        watch.warn(trouble);
        watch
    }

    /// Returns when the repository may have changed, and at the latest when the poll is due. Can be dropped and called
    /// again at any point.
    pub async fn changed(&mut self) {
        if !self.woken {
            tokio::select! {
                () = self.wake.notified() => self.woken = true,
                () = tokio::time::sleep_until(self.next_poll) => {}
            }
        }
        if self.woken {
            let longest = Instant::now() + LONGEST_DEBOUNCE;
            while Instant::now() < longest
                && tokio::time::timeout(QUIET, self.wake.notified())
                    .await
                    .is_ok()
            {}
        }
        let settings = self.settings.clone();
        let armed = std::mem::take(&mut self.armed);
        let wake = self.wake.clone();
        match tokio::task::spawn_blocking(move || rearm(&settings, armed, &wake)).await {
            Ok((armed, trouble)) => {
                self.armed = armed;
                self.warn(trouble);
            }
            Err(error) => self.warn(Some(error.to_string())),
        }
        self.woken = false;
        self.next_poll = Instant::now() + self.poll;
    }

    fn warn(&mut self, trouble: Option<String>) {
        let Some(trouble) = trouble else {
            self.warned = false;
            return;
        };
        if !self.warned {
            tracing::warn!(
                repository = location::without_credentials(&self.settings.repository),
                reason = trouble,
                "cannot watch the repository; looking every {:?} instead",
                self.poll
            );
        }
        self.warned = true;
    }
}

/// What is watched, and which of the events there matter.
#[derive(Clone, PartialEq, Eq)]
struct Places {
    watched: Vec<Watched>,
    /// Files that matter by themselves.
    files: Vec<PathBuf>,
    refs: PathBuf,
    /// Directories of the work tree; none where a commit is read.
    worktree: Vec<PathBuf>,
    git_directory: PathBuf,
}

#[derive(Clone, PartialEq, Eq)]
struct Watched {
    directory: PathBuf,
    recursion: Recursion,
    /// Device and inode: a directory made anew under the same name has lost its watch.
    identity: Option<(u64, u64)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Recursion {
    Flat,
    Deep,
}

impl Places {
    fn find(settings: &Settings) -> Result<Self, String> {
        let directory = location::directory(&settings.repository).map_err(|e| e.to_string())?;
        let repository = open::open(settings)
            .map_err(|error| error.to_string())?
            .repository;
        let git_directory = repository.path().to_owned();
        let common = repository.commondir().to_owned();
        let mut places = Self {
            watched: Vec::new(),
            files: vec![git_directory.join("HEAD"), common.join("packed-refs")],
            refs: common.join("refs"),
            worktree: Vec::new(),
            git_directory: git_directory.clone(),
        };
        places.add(git_directory, Recursion::Flat);
        places.add(common, Recursion::Flat);
        places.add(places.refs.clone(), Recursion::Deep);
        places.add_links(&directory);
        if settings.worktree {
            places.add_worktree(&repository, settings);
        }
        Ok(places)
    }

    fn add(&mut self, directory: PathBuf, recursion: Recursion) {
        if self
            .watched
            .iter()
            .any(|known| known.directory == directory)
        {
            return;
        }
        let identity = fs::metadata(&directory)
            .ok()
            .map(|metadata| (metadata.dev(), metadata.ino()));
        self.watched.push(Watched {
            directory,
            recursion,
            identity,
        });
    }

    /// A link on the way to the repository may be turned to another one, as the sidecar git-sync does.
    fn add_links(&mut self, directory: &Path) {
        let Ok(absolute) = std::path::absolute(directory) else {
            return;
        };
        for place in absolute.ancestors() {
            let is_link = fs::symlink_metadata(place).is_ok_and(|metadata| metadata.is_symlink());
            if let (true, Some(parent)) = (is_link, place.parent()) {
                self.files.push(place.to_owned());
                self.add(parent.to_owned(), Recursion::Flat);
            }
        }
    }

    fn add_worktree(&mut self, repository: &git2::Repository, settings: &Settings) {
        let Some(top) = repository.workdir() else {
            return;
        };
        for path in &settings.paths {
            let place = top.join(path);
            if place.is_dir() {
                self.worktree.push(place.clone());
                self.add(place, Recursion::Deep);
            } else if let Some(parent) = place.parent() {
                self.add(parent.to_owned(), Recursion::Flat);
                self.files.push(place);
            }
        }
        if !settings.paths.is_empty() {
            return;
        }
        // One level by hand, to leave out Git's own directory and what is built there.
        self.worktree.push(top.to_owned());
        self.add(top.to_owned(), Recursion::Flat);
        for entry in fs::read_dir(top).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let is_hidden = name.as_encoded_bytes().starts_with(b".");
            let ignored = || {
                let asked = format!("{}/", name.to_string_lossy());
                repository
                    .status_should_ignore(Path::new(&asked))
                    .unwrap_or(false)
            };
            if is_directory && !is_hidden && !ignored() {
                self.add(entry.path(), Recursion::Deep);
            }
        }
    }

    fn matters(&self, event: &notify::Event) -> bool {
        if event.need_rescan() {
            return true;
        }
        match event.kind {
            // Reading is no change; a file that was open for writing is complete when it is closed.
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {}
            EventKind::Access(_) => return false,
            EventKind::Any
            | EventKind::Create(_)
            | EventKind::Modify(_)
            | EventKind::Remove(_)
            | EventKind::Other => {}
        }
        event.paths.iter().any(|path| self.concerns(path))
    }

    fn concerns(&self, path: &Path) -> bool {
        if path.starts_with(&self.refs) {
            return path.extension() != Some(OsStr::new("lock"));
        }
        self.files.iter().any(|file| file == path)
            || (!path.starts_with(&self.git_directory)
                && self.worktree.iter().any(|place| path.starts_with(place)))
    }
}

/// Sets the watches anew where what has to be watched is no longer what it was. The words say why nothing is watched.
fn rearm(settings: &Settings, armed: Armed, wake: &Arc<Notify>) -> (Armed, Option<String>) {
    let places = match Places::find(settings) {
        Ok(places) => places,
        Err(trouble) => return (Armed::default(), Some(trouble)),
    };
    if armed.watcher.is_some() && armed.places.as_ref() == Some(&places) {
        return (armed, None);
    }
    match watcher(&places, wake) {
        Ok(watcher) => (
            Armed {
                places: Some(places),
                watcher: Some(watcher),
            },
            None,
        ),
        Err(error) => (Armed::default(), Some(error.to_string())),
    }
}

fn watcher(places: &Places, wake: &Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let (filter, wake) = (places.clone(), wake.clone());
    let mut watcher = RecommendedWatcher::new(
        move |event: notify::Result<notify::Event>| {
            if event.map_or(true, |event| filter.matters(&event)) {
                wake.notify_one();
            }
        },
        Config::default().with_follow_symlinks(false),
    )?;
    for watched in &places.watched {
        let mode = match watched.recursion {
            Recursion::Flat => RecursiveMode::NonRecursive,
            Recursion::Deep => RecursiveMode::Recursive,
        };
        watcher.watch(&watched.directory, mode)?;
    }
    Ok(watcher)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{REGULAR, Sample, git};
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    async fn wakes(watch: &mut Watch) -> bool {
        tokio::time::timeout(Duration::from_secs(5), watch.changed())
            .await
            .is_ok()
    }

    async fn stays_asleep(watch: &mut Watch) -> bool {
        tokio::time::timeout(Duration::from_millis(300), watch.changed())
            .await
            .is_err()
    }

    #[tokio::test]
    async fn a_commit_wakes_once_and_reading_does_not() {
        for sample in [Sample::bare(), Sample::with_worktree()] {
            sample.commit(&[("a.yaml", "1")]);
            let repository = sample.open();
            let mut watch = repository.watch(HOUR);
            assert!(stays_asleep(&mut watch).await);
            sample.commit(&[("a.yaml", "2")]);
            sample.commit(&[("a.yaml", "3")]);
            assert!(wakes(&mut watch).await);
            repository.snapshot().unwrap();
            assert!(stays_asleep(&mut watch).await);
        }
    }

    #[tokio::test]
    async fn new_branches_in_new_directories_packed_refs_and_head_wake() {
        let sample = Sample::with_worktree();
        let id = sample.commit(&[("a.yaml", "1")]);
        let mut watch = sample.open().watch(HOUR);
        let reference = |name: &str| sample.git.reference(name, id, true, "test").unwrap();
        reference("refs/heads/team/deep/one");
        assert!(wakes(&mut watch).await);
        let tree = sample.tree(&[(b"a.yaml", REGULAR, sample.blob(b"2"))]);
        sample.commit_tree("refs/heads/team/deep/one", tree);
        assert!(wakes(&mut watch).await);
        sample.git.set_head("refs/heads/team/deep/one").unwrap();
        assert!(wakes(&mut watch).await);
        if git(&sample.path, &["pack-refs", "--all"]).is_none() {
            return;
        }
        assert!(wakes(&mut watch).await);
        // Only packed-refs changes now, and `refs/heads/team` is gone.
        git(&sample.path, &["branch", "-D", "main"]);
        assert!(wakes(&mut watch).await);
        reference("refs/heads/team/again");
        assert!(wakes(&mut watch).await);
    }

    #[tokio::test]
    async fn a_linked_work_tree_wakes_by_the_refs_of_its_repository() {
        let sample = Sample::with_worktree();
        sample.commit(&[("a.yaml", "1")]);
        if git(
            &sample.path,
            &["worktree", "add", "-q", "-b", "side", "../side"],
        )
        .is_none()
        {
            return;
        }
        let side = sample.directory.path().join("side");
        let repository =
            sample.open_with(|settings| settings.repository = side.display().to_string());
        let mut watch = repository.watch(HOUR);
        git(&side, &["commit", "-q", "--allow-empty", "-m", "next"]);
        assert!(wakes(&mut watch).await);
        git(&side, &["checkout", "-q", "--detach"]);
        assert!(wakes(&mut watch).await);
    }

    #[tokio::test]
    async fn files_of_the_work_tree_wake_where_they_are_what_is_read() {
        let sample = Sample::with_worktree();
        std::fs::create_dir(sample.path.join("clusters")).unwrap();
        for paths in [vec![], vec!["clusters".to_owned()]] {
            let repository = sample.open_with(|settings| {
                settings.worktree = true;
                settings.paths = paths;
            });
            let mut watch = repository.watch(HOUR);
            std::fs::write(sample.path.join("clusters/a.yaml"), "1").unwrap();
            assert!(wakes(&mut watch).await);
            repository.snapshot().unwrap();
            sample.blob(b"Git's own files are not the work tree's");
            assert!(stays_asleep(&mut watch).await);
            std::fs::create_dir_all(sample.path.join("clusters/new")).unwrap();
            assert!(wakes(&mut watch).await);
            std::fs::write(sample.path.join("clusters/new/b.yaml"), "1").unwrap();
            assert!(wakes(&mut watch).await);
            std::fs::remove_dir_all(sample.path.join("clusters/new")).unwrap();
        }
        let mut watch = sample.open().watch(HOUR);
        std::fs::write(sample.path.join("clusters/a.yaml"), "2").unwrap();
        assert!(stays_asleep(&mut watch).await);
    }

    #[tokio::test]
    async fn a_new_directory_at_the_top_is_watched_from_then_on() {
        let sample = Sample::with_worktree();
        let repository = sample.open_with(|settings| settings.worktree = true);
        let mut watch = repository.watch(HOUR);
        std::fs::create_dir_all(sample.path.join("new/deep")).unwrap();
        assert!(wakes(&mut watch).await);
        std::fs::write(sample.path.join("new/deep/a.yaml"), "1").unwrap();
        assert!(wakes(&mut watch).await);
    }

    #[tokio::test]
    async fn a_link_turned_to_another_repository_wakes_and_that_one_is_watched() {
        let (one, two) = (Sample::bare(), Sample::bare());
        one.commit(&[("a.yaml", "1")]);
        two.commit(&[("a.yaml", "2")]);
        let link = one.directory.path().join("current");
        std::os::unix::fs::symlink(&one.path, &link).unwrap();
        let repository = one.open_with(|settings| settings.repository = link.display().to_string());
        let mut watch = repository.watch(HOUR);
        let next = one.directory.path().join("next");
        std::os::unix::fs::symlink(&two.path, &next).unwrap();
        std::fs::rename(&next, &link).unwrap();
        assert!(wakes(&mut watch).await);
        two.commit(&[("a.yaml", "3")]);
        assert!(wakes(&mut watch).await);
        one.commit(&[("a.yaml", "4")]);
        assert!(stays_asleep(&mut watch).await);
    }

    #[tokio::test]
    async fn a_dropped_wait_loses_no_wake_up() {
        let sample = Sample::bare();
        sample.commit(&[("a.yaml", "1")]);
        let mut watch = sample.open().watch(HOUR);
        sample.commit(&[("a.yaml", "2")]);
        for _ in 0..20 {
            let _ = tokio::time::timeout(Duration::from_millis(5), watch.changed()).await;
        }
        assert!(watch.woken || wakes(&mut watch).await);
        assert!(wakes(&mut watch).await || !watch.woken);
    }

    #[test]
    fn an_overflow_matters_and_locks_and_reading_do_not() {
        use notify::event::{CreateKind, Flag, ModifyKind, RenameMode};
        let sample = Sample::with_worktree();
        let places = Places::find(&sample.settings()).unwrap();
        let git = sample.git.path();
        let event = |kind, paths: &[&str]| {
            paths.iter().fold(notify::Event::new(kind), |event, path| {
                event.add_path(git.join(path))
            })
        };
        let create = EventKind::Create(CreateKind::File);
        let rename = EventKind::Modify(ModifyKind::Name(RenameMode::Both));
        let read = EventKind::Access(AccessKind::Open(AccessMode::Read));
        let overflow = notify::Event::new(EventKind::Other).set_flag(Flag::Rescan);
        assert!(places.matters(&overflow));
        assert!(places.matters(&event(rename, &["HEAD.lock", "HEAD"])));
        assert!(places.matters(&event(rename, &["packed-refs.lock", "packed-refs"])));
        assert!(places.matters(&event(create, &["refs/heads/new"])));
        for (kind, path) in [
            (create, "refs/heads/new.lock"),
            (create, "index.lock"),
            (create, "objects/12"),
            (read, "refs/heads/main"),
        ] {
            assert!(!places.matters(&event(kind, &[path])), "{path}");
        }
    }

    #[tokio::test]
    async fn where_nothing_can_be_watched_the_poll_wakes() {
        let sample = Sample::bare();
        let repository = sample.open();
        std::fs::remove_dir_all(&sample.path).unwrap();
        let mut watch = repository.watch(Duration::ZERO);
        assert!(watch.warned);
        assert!(wakes(&mut watch).await);
        assert!(wakes(&mut watch).await);
        assert!(watch.warned);

        git2::Repository::init_bare(&sample.path).unwrap();
        assert!(wakes(&mut watch).await);
        assert!(!watch.warned, "watched again once it can be");
    }
}
