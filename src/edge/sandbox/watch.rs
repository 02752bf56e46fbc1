//! Watches: what happened to a kind's objects after a version, as one JSON document a line, for as long as asked.
//!
//! What leaves the selection is a deletion to the watcher, and what enters it an addition. A version that the history
//! does not reach any more ends the watch with an `ERROR` event of code 410, as does the loss of its place later on.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use futures::Stream;
use futures::stream;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::failure::Failure;
use super::metadata;
use super::present::Form;
use super::read::ListOptions;
use super::resource::Resource;
use super::selector::Selection;
use super::server::Server;
use super::store::{Change, ChangeKind};

/// Changes read from the store at a time.
const BATCH: usize = 500;
/// How long a watch lasts that does not say, in seconds.
const LONGEST: u64 = 3600;
/// A bookmark comes this long before the end that the client asked for, so that it can go on from there.
const BEFORE_END: Duration = Duration::from_secs(2);

/// What a watch is about.
pub struct Watch {
    pub server: Arc<Server>,
    pub resource: Arc<Resource>,
    pub namespace: Option<String>,
    pub options: ListOptions,
    pub form: Form,
}

/// Where a running watch stands.
struct State {
    watch: Watch,
    news: watch::Receiver<u64>,
    /// Everything up to this version has been sent.
    position: u64,
    pending: VecDeque<Bytes>,
    ends: Instant,
    next_bookmark: Option<Instant>,
    is_first_row: bool,
    is_over: bool,
}

/// The events, until the time is over, the server stops or the place is lost.
pub fn events(watch: Watch) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    let state = begin(watch);
    stream::unfold(state, |mut state| async move {
        loop {
            if let Some(line) = state.pending.pop_front() {
                return Some((Ok(line), state));
            }
            if state.is_over {
                return None;
            }
            state.advance();
            if state.pending.is_empty() && !state.is_over {
                state.wait().await;
            }
        }
    })
}

fn begin(watch: Watch) -> State {
    // Subscribing first: what is written from here on wakes the watch.
    let news = watch.server.store.subscribe(&watch.resource.collection);
    let now = Instant::now();
    let lasts = Duration::from_secs(watch.options.timeout_seconds.unwrap_or(LONGEST));
    let ends = now + lasts;
    let mut state = State {
        news,
        position: watch.options.version.unwrap_or(0),
        pending: VecDeque::new(),
        ends,
        next_bookmark: None,
        is_first_row: true,
        is_over: false,
        watch,
    };
    if state.watch.options.allows_bookmarks {
        state.schedule_bookmark();
    }
    let options = &state.watch.options;
    let is_initial = match options.sends_initial_events {
        Some(wanted) => wanted,
        None => options.version.is_none(),
    };
    if is_initial {
        state.send_everything();
    } else if options.version.is_none() {
        state.position = state.watch.server.store.version();
    }
    state
}

impl State {
    /// Every object there is as an addition, and then the word that these were all.
    fn send_everything(&mut self) {
        let (version, objects) = self.watch.server.store.list(
            &self.watch.resource.collection,
            self.watch.namespace.as_deref(),
        );
        for object in &objects {
            if self.watch.options.selection.takes(object) {
                self.send("ADDED", object.clone());
            }
        }
        self.position = version;
        let is_asked = self.watch.options.sends_initial_events == Some(true)
            || self.watch.options.is_any_version;
        if self.watch.options.allows_bookmarks && is_asked {
            self.send_bookmark(true);
        }
    }

    fn advance(&mut self) {
        let store = &self.watch.server.store;
        match store.changes(&self.watch.resource.collection, self.position, BATCH) {
            Err(expired) => {
                let failure = Failure::expired(format!(
                    "too old resource version: {} ({})",
                    self.position, expired.oldest
                ));
                self.push(&json!({"type": "ERROR", "object": failure.status()}));
                self.is_over = true;
            }
            Ok((upto, changes)) => {
                for change in changes {
                    self.tell(change);
                }
                self.position = upto;
            }
        }
        let kind = &self.watch.resource.kind;
        let registry = self.watch.server.registry();
        if self.pending.is_empty()
            && registry
                .find(&kind.group, &kind.version, &self.watch.resource.plural)
                .is_none()
        {
            self.is_over = true;
        }
    }

    fn tell(&mut self, change: Change) {
        if let Some(namespace) = &self.watch.namespace
            && *namespace != change.key.namespace
        {
            return;
        }
        let selection = &self.watch.options.selection;
        if let Some((word, object)) = seen(selection, &change) {
            self.send(word, object);
        }
    }

    fn send(&mut self, word: &str, object: Arc<Value>) {
        let shown = Server::present(&self.watch.resource, object);
        let form = &self.watch.form;
        let shown = form.event(&self.watch.resource, shown, self.is_first_row);
        self.is_first_row = false;
        self.push(&json!({"type": word, "object": *shown}));
    }

    fn send_bookmark(&mut self, is_initial: bool) {
        let mut mark = json!({
            "apiVersion": self.watch.resource.kind.api_version(),
            "kind": self.watch.resource.kind.kind,
            "metadata": {"resourceVersion": self.position.to_string()},
        });
        if is_initial {
            metadata::of(&mut mark).insert(
                "annotations".into(),
                json!({"k8s.io/initial-events-end": "true"}),
            );
        }
        let shown = self
            .watch
            .form
            .event(&self.watch.resource, Arc::new(mark), self.is_first_row);
        self.push(&json!({"type": "BOOKMARK", "object": *shown}));
    }

    fn push(&mut self, event: &Value) {
        self.pending.push_back(Bytes::from(format!("{event}\n")));
    }

    fn schedule_bookmark(&mut self) {
        let now = Instant::now();
        let regular = now + self.watch.server.bookmark_every;
        let last = self.ends.checked_sub(BEFORE_END).filter(|last| *last > now);
        self.next_bookmark = Some(last.map_or(regular, |last| regular.min(last)));
    }

    /// Until something is written, a bookmark is due, or it is over.
    async fn wait(&mut self) {
        let bookmark = self.next_bookmark.unwrap_or(self.ends);
        tokio::select! {
            changed = self.news.changed() => self.is_over = changed.is_err(),
            () = tokio::time::sleep_until(self.ends) => self.is_over = true,
            () = tokio::time::sleep_until(bookmark) => {
                // Nothing of this kind may have been written, and the version still goes on.
                self.advance();
                if !self.is_over && self.next_bookmark.is_some() {
                    self.send_bookmark(false);
                    self.schedule_bookmark();
                }
            }
            () = self.watch.server.stop.cancelled() => self.is_over = true,
        }
    }
}

/// A change as somebody sees it who looks at a selection only.
fn seen(selection: &Selection, change: &Change) -> Option<(&'static str, Arc<Value>)> {
    let was = change
        .previous
        .as_ref()
        .is_some_and(|previous| selection.takes(previous));
    if change.kind == ChangeKind::Deleted {
        return was.then(|| ("DELETED", change.object.clone()));
    }
    match (was, selection.takes(&change.object)) {
        (false, false) => None,
        (false, true) => Some(("ADDED", change.object.clone())),
        (true, true) => Some(("MODIFIED", change.object.clone())),
        // The watcher gets what it knew, under the version that took it away.
        (true, false) => {
            let mut gone = change.previous.as_deref().cloned().unwrap_or_default();
            metadata::of(&mut gone)
                .insert("resourceVersion".into(), change.version.to_string().into());
            Some(("DELETED", Arc::new(gone)))
        }
    }
}
