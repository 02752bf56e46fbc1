//! One watch: list, follow, and when it breaks, list again after a while.
//!
//! kube's watcher takes up a watch that ended where it ended, and lists again where the server has forgotten that place
//! (410). A watch that cannot be started is another matter: the server may have been replaced by one that counts from the
//! beginning, so everything is listed anew; and only a list that is in says that the trouble is over.

use std::fmt::Debug;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};

use super::decode::{Record, Recorded};
use super::failure::Failure;
use super::kinds::Watched;
use super::reader::Shared;
use crate::model::key::Key;

/// How long the server is asked to keep a watch open; a connection that died without a word is noticed 5 s later.
const WATCH_SECONDS: u32 = 120;
/// A page of a list that takes longer than this is given up.
const PAGE: Duration = Duration::from_secs(60);
const FIRST_DELAY: Duration = Duration::from_millis(500);
const LONGEST_DELAY: Duration = Duration::from_secs(15);
/// A watch that has held this long starts over with the first delay.
const HELD: Duration = Duration::from_secs(60);
/// Broken connections in a row, without an event between them, after which everything is listed anew.
const BREAKS: u32 = 3;

/// Watches until it is dropped.
pub async fn watch<K>(watched: Watched, api: Api<K>, shared: Arc<Shared>)
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Recorded + 'static,
{
    let mut attempt = 0;
    loop {
        let begun = Instant::now();
        let failure = follow(watched, &api, &shared).await;
        if begun.elapsed() > HELD {
            attempt = 0;
        }
        if let Failure::NotInstalled { .. } = failure {
            tracing::debug!(kind = watched.word(), "kind is not installed");
            shared.change(|index| index.not_installed(watched));
        } else {
            tracing::debug!(kind = watched.word(), %failure, attempt, "watch broke");
            shared.change(|index| index.failing(watched, failure));
        }
        sleep(delay(attempt)).await;
        attempt += 1;
    }
}

/// Doubles from `FIRST_DELAY` to `LONGEST_DELAY`, each shortened by up to a quarter so that not all watches come at once.
fn delay(attempt: u32) -> Duration {
    let whole = FIRST_DELAY
        .saturating_mul(1 << attempt.min(10))
        .min(LONGEST_DELAY);
    let chance = RandomState::new().build_hasher().finish() % 256;
    let off = u32::try_from(chance).expect("less than 256");
    whole - whole / 4 * off / 256
}

/// Lists and watches until it can go on no longer.
async fn follow<K>(watched: Watched, api: &Api<K>, shared: &Shared) -> Failure
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Recorded + 'static,
{
    let mut config = watcher::Config::default().timeout(WATCH_SECONDS);
    if let Some(selector) = watched.selector() {
        config = config.labels(selector);
    }
    let mut events = pin!(watcher::watcher(api.clone(), config));
    let mut listing: Option<Vec<Record>> = None;
    let mut breaks = 0;
    loop {
        let event = if listing.is_some() {
            let Ok(event) = timeout(PAGE, events.next()).await else {
                return Failure::TimedOut {
                    seconds: PAGE.as_secs(),
                };
            };
            event
        } else {
            events.next().await
        };
        match event.expect("kube's watcher never ends") {
            Ok(Event::Init) => {
                shared.change(|index| index.list_begins(watched));
                listing = Some(Vec::new());
            }
            Ok(Event::InitApply(object)) => {
                if let Some(records) = &mut listing {
                    records.extend(object.record(watched));
                }
            }
            Ok(Event::InitDone) => {
                let records = listing.take().unwrap_or_default();
                tracing::debug!(kind = watched.word(), objects = records.len(), "listed");
                shared.change(|index| index.list(watched, records));
            }
            Ok(Event::Apply(object)) => {
                breaks = 0;
                let key = key_of(&object);
                let record = object.record(watched);
                shared.change(|index| match (record, key) {
                    (Some(record), _) => index.apply(watched, record),
                    // Nothing of it is kept any more: an operation that has ended.
                    (None, Some(key)) => index.delete(watched, &key),
                    (None, None) => {}
                });
            }
            Ok(Event::Delete(object)) => {
                breaks = 0;
                if let Some(key) = key_of(&object) {
                    shared.change(|index| index.delete(watched, &key));
                }
            }
            Err(watcher::Error::InitialListFailed(error)) => {
                return Failure::of(&error, "list", watched);
            }
            Err(watcher::Error::WatchStartFailed(error)) => {
                return Failure::of(&error, "watch", watched);
            }
            // The server has forgotten where we were; kube lists again.
            Err(watcher::Error::WatchError(status)) if status.code == 410 => {}
            Err(watcher::Error::WatchError(status)) => {
                return Failure::of(&kube::Error::Api(status), "watch", watched);
            }
            Err(watcher::Error::WatchFailed(error)) => {
                let failure = Failure::of(&error, "watch", watched);
                breaks += 1;
                // What cannot be read was an event that is lost now.
                if breaks >= BREAKS || matches!(failure, Failure::Unreadable { .. }) {
                    return failure;
                }
                sleep(FIRST_DELAY).await;
            }
            Err(watcher::Error::NoResourceVersion) => {
                return Failure::Unreadable {
                    why: "an object or a list has no resourceVersion".into(),
                };
            }
        }
    }
}

fn key_of<K: Resource>(object: &K) -> Option<Key> {
    let metadata = object.meta();
    Some(Key::new(
        metadata.namespace.clone()?,
        metadata.name.clone()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_up_to_a_quarter_of_a_minute() {
        for (attempt, longest) in [(0, 500), (1, 1000), (3, 4000), (5, 15_000), (40, 15_000)] {
            let longest = Duration::from_millis(longest);
            let delay = delay(attempt);
            assert!(
                delay <= longest && delay >= longest / 4 * 3,
                "{attempt}: {delay:?}"
            );
        }
    }
}
