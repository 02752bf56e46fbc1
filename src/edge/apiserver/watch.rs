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
/// A watch that has held this long starts over with the first delay.
const HELD: Duration = Duration::from_secs(60);
/// Broken connections in a row, without an event between them, after which everything is listed anew.
const BREAKS: u32 = 3;

/// How long a watch that fails waits before it tries again, and how long what it saw counts meanwhile.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub first_delay: Duration,
    pub longest_delay: Duration,
    pub grace: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_millis(500),
            longest_delay: Duration::from_secs(15),
            // Patroni's default `ttl`: a leader that has not been seen for this long may be none.
            grace: Duration::from_secs(30),
        }
    }
}

/// Watches until it is dropped.
pub async fn watch<K>(watched: Watched, api: Api<K>, shared: Arc<Shared>)
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Recorded + 'static,
{
    let mut attempt = 0;
    // Said once: the same failure comes back with every attempt.
    let mut told: Option<Failure> = None;
    loop {
        let begun = Instant::now();
        let failure = follow(watched, &api, &shared, &mut told).await;
        if begun.elapsed() > HELD {
            attempt = 0;
        }
        if told.as_ref() != Some(&failure) {
            if matches!(failure, Failure::NotInstalled { .. }) && watched.may_be_missing() {
                tracing::info!(kind = watched.word(), "not installed, so there are none");
            } else {
                tracing::warn!(kind = watched.word(), %failure, "cannot be watched");
            }
            told = Some(failure.clone());
        }
        if let Failure::NotInstalled { .. } = failure {
            shared.change(|index| index.not_installed(watched));
        } else {
            shared.change(|index| index.failing(watched, failure));
        }
        sleep(delay(shared.pace, attempt)).await;
        attempt += 1;
    }
}

/// Doubles from the first delay to the longest, each shortened by up to a quarter so that not all watches come at once.
fn delay(pace: Pace, attempt: u32) -> Duration {
    let whole = pace
        .first_delay
        .saturating_mul(1 << attempt.min(10))
        .min(pace.longest_delay);
    let chance = RandomState::new().build_hasher().finish() % 256;
    let off = u32::try_from(chance).expect("less than 256");
    whole - whole / 4 * off / 256
}

/// Lists and watches until it can go on no longer.
async fn follow<K>(
    watched: Watched,
    api: &Api<K>,
    shared: &Shared,
    told: &mut Option<Failure>,
) -> Failure
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
                let objects = records.len();
                if told.take().is_some() {
                    tracing::info!(kind = watched.word(), objects, "watched again");
                } else {
                    tracing::debug!(kind = watched.word(), objects, "listed");
                }
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
                sleep(shared.pace.first_delay).await;
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
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use axum::Router;
    use axum::extract::{Request, State};
    use axum::response::{IntoResponse, Response};
    use http::StatusCode;
    use kube::Client;
    use serde_json::{Value, json};
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::edge::apiserver::{Reader, Scope, WatchState};

    #[test]
    fn the_delay_doubles_up_to_a_quarter_of_a_minute() {
        for (attempt, longest) in [(0, 500), (1, 1000), (3, 4000), (5, 15_000), (40, 15_000)] {
            let longest = Duration::from_millis(longest);
            let delay = delay(Pace::default(), attempt);
            assert!(
                delay <= longest && delay >= longest / 4 * 3,
                "{attempt}: {delay:?}"
            );
        }
    }

    /// An API server that gives prepared answers about SGClusters, has none of the rest, and notes what it was asked.
    #[derive(Clone, Default)]
    struct Far(Arc<Mutex<Asked>>);

    #[derive(Default)]
    struct Asked {
        answers: VecDeque<Answer>,
        requests: Vec<String>,
    }

    enum Answer {
        Status(u16),
        List(&'static str, Value),
        /// Events, one a line; then nothing more comes.
        Events(Vec<Value>),
        /// Events, and the stream ends.
        Ending(Vec<Value>),
    }

    impl Far {
        fn start(answers: Vec<Answer>) -> (Self, Reader, CancellationToken) {
            let far = Self::default();
            far.0.lock().unwrap().answers = answers.into();
            let router = Router::new().fallback(answer).with_state(far.clone());
            let cancel = CancellationToken::new();
            let client = Client::new(router, "default");
            let reader = {
                let pace = Pace {
                    first_delay: Duration::from_millis(10),
                    longest_delay: Duration::from_millis(100),
                    grace: Duration::from_millis(300),
                };
                Reader::start_at(pace, client, Scope::default(), cancel.clone())
            };
            (far, reader, cancel)
        }

        fn requests(&self) -> Vec<String> {
            self.0.lock().unwrap().requests.clone()
        }
    }

    async fn answer(State(far): State<Far>, request: Request) -> Response {
        let path = request.uri().to_string();
        let is_watch = path.contains("watch=true");
        let mut asked = far.0.lock().unwrap();
        if !path.contains("/sgclusters?") {
            asked.requests.push(path);
            return if is_watch {
                stream(Vec::new(), true)
            } else {
                list("1", json!([]))
            };
        }
        let version = path
            .split_once("resourceVersion=")
            .map_or("", |(_, rest)| rest.split('&').next().unwrap_or(""));
        asked.requests.push(if is_watch {
            format!("watch sgclusters {version}")
        } else {
            "list sgclusters".to_owned()
        });
        match asked.answers.pop_front() {
            Some(Answer::Status(code)) => StatusCode::from_u16(code).unwrap().into_response(),
            Some(Answer::List(version, items)) => list(version, items),
            Some(Answer::Events(events)) => stream(events, true),
            Some(Answer::Ending(events)) => stream(events, false),
            None => stream(Vec::new(), true),
        }
    }

    fn list(version: &str, items: Value) -> Response {
        axum::Json(json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items}))
            .into_response()
    }

    fn stream(events: Vec<Value>, stays: bool) -> Response {
        let lines = events.into_iter().map(|event| Ok(format!("{event}\n")));
        let lines = futures::stream::iter(lines);
        let body = if stays {
            axum::body::Body::from_stream(
                lines.chain(futures::stream::pending::<std::io::Result<_>>()),
            )
        } else {
            axum::body::Body::from_stream(lines)
        };
        body.into_response()
    }

    fn cluster(version: &str, instances: u32) -> Value {
        json!({"metadata": {"namespace": "n", "name": "c", "resourceVersion": version}, "spec": {"instances": instances}})
    }

    async fn until(reader: &Reader, instances: u32) {
        let seen = async {
            loop {
                let live = reader
                    .observe(&Key::new("n", "c"))
                    .ok()
                    .and_then(|seen| seen.live);
                if live.is_some_and(|live| live.value["spec"]["instances"] == instances) {
                    return;
                }
                reader.changed().await;
            }
        };
        let seen = timeout(Duration::from_secs(20), seen).await;
        assert!(seen.is_ok(), "not seen: {instances}, {:?}", reader.health());
    }

    fn modified(version: &str, instances: u32) -> Value {
        json!({"type": "MODIFIED", "object": cluster(version, instances)})
    }

    #[tokio::test]
    async fn a_watch_that_ends_goes_on_where_it_ended() {
        let (far, reader, _cancel) = Far::start(vec![
            Answer::List("5", json!([cluster("4", 1)])),
            Answer::Ending(vec![modified("6", 2)]),
            Answer::Events(vec![modified("7", 3)]),
        ]);
        until(&reader, 3).await;
        let mut asked = far.requests();
        asked.retain(|request| request.ends_with("sgclusters") || request.contains("watch sg"));
        assert_eq!(
            asked,
            [
                "list sgclusters",
                "watch sgclusters 5",
                "watch sgclusters 6"
            ]
        );
    }

    #[tokio::test]
    async fn a_place_the_server_has_forgotten_is_listed_anew() {
        let gone = json!({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}});
        for forgotten in [Answer::Events(vec![gone]), Answer::Status(410)] {
            let (_far, reader, _cancel) = Far::start(vec![
                Answer::List("5", json!([cluster("4", 1)])),
                forgotten,
                Answer::List("2", json!([cluster("1", 3)])),
            ]);
            until(&reader, 3).await;
            assert!(
                reader
                    .health()
                    .iter()
                    .all(|watch| watch.state == WatchState::Watching)
            );
        }
    }

    #[tokio::test]
    async fn a_definition_that_is_installed_later_heals_by_itself() {
        let (_far, reader, _cancel) = Far::start(vec![
            Answer::Status(404),
            Answer::Status(404),
            Answer::Status(404),
            Answer::List("5", json!([cluster("4", 1)])),
        ]);
        let error = reader.synced(Duration::from_secs(9)).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot list SGCluster: sgclusters.stackgres.io is not installed on the API server"
        );
        until(&reader, 1).await;
        assert_eq!(reader.synced(Duration::from_secs(9)).await, Ok(()));
    }

    #[tokio::test]
    async fn after_a_while_without_the_server_clusters_are_unknown() {
        let mut answers = vec![Answer::List("5", json!([cluster("4", 1)]))];
        answers.extend((0..12).map(|_| Answer::Status(503)));
        answers.push(Answer::List("9", json!([cluster("8", 2)])));
        let (_far, reader, _cancel) = Far::start(answers);
        until(&reader, 1).await;
        let key = Key::new("n", "c");
        assert!(
            reader.observe(&key).is_ok(),
            "what was seen counts for a while"
        );
        let unreadable = timeout(Duration::from_secs(20), async {
            loop {
                match reader.observe(&key) {
                    Ok(_) => reader.changed().await,
                    Err(unreadable) => return unreadable,
                };
            }
        });
        let unreadable = unreadable.await.unwrap();
        assert_eq!(
            unreadable.reason,
            "SGCluster cannot be read: the API server answered 503"
        );
        assert_eq!(reader.keys(), [key], "unreadable is not gone");
        until(&reader, 2).await;
    }

    #[tokio::test]
    async fn when_nothing_changes_nothing_is_asked_and_nobody_is_woken() {
        let (far, reader, _cancel) = Far::start(vec![Answer::List("5", json!([cluster("4", 1)]))]);
        reader.synced(Duration::from_secs(9)).await.unwrap();
        reader.changed().await;
        sleep(Duration::from_millis(200)).await;
        // A list and a watch a kind.
        assert_eq!(far.requests().len(), 20);
        let woken = timeout(Duration::from_millis(800), reader.changed()).await;
        assert!(woken.is_err(), "{woken:?}");
        assert_eq!(far.requests().len(), 20);
    }

    #[tokio::test]
    async fn the_watches_end_with_the_token() {
        let (far, reader, cancel) = Far::start(vec![Answer::Status(503)]);
        let _ = reader.synced(Duration::from_millis(1)).await;
        cancel.cancel();
        sleep(Duration::from_millis(50)).await;
        let asked = far.requests().len();
        sleep(Duration::from_millis(300)).await;
        assert_eq!(far.requests().len(), asked);
    }
}
