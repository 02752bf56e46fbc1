//! The page, its JSON, health and metrics over HTTP. It shows the last report and changes nothing.
//!
//! Every answer carries headers that keep it from being framed, sniffed or extended; the page's own style and script are
//! allowed by their hashes and nothing else is. There is no authentication: by default it listens on the loopback
//! address only, and then it may also insist on being called by a loopback name, which stops rebinding of DNS.

pub mod metrics;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HOST, HeaderName, HeaderValue,
    IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use metrics::Counters;

use crate::model::key::Key;
use crate::model::plan::Report;
use crate::show::json::{self, Kind};
use crate::show::page;

/// The last report; `None` until the first pass has ended.
pub type Reports = watch::Receiver<Option<Arc<Report>>>;

#[derive(Debug, thiserror::Error)]
pub enum ServePageError {
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("cannot serve the page")]
    Serve { source: std::io::Error },
}

/// Which names the server answers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosts {
    Any,
    /// `localhost` and loopback addresses, with any port.
    Loopback,
}

pub struct Site {
    pub reports: Reports,
    /// Shared with whoever counts.
    pub counters: Counters,
    pub hosts: Hosts,
}

pub async fn listen(address: SocketAddr) -> Result<TcpListener, ServePageError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ServePageError::Listen { address, source })
}

/// Serves until cancelled; requests under way are answered first.
pub async fn serve(
    listener: TcpListener,
    site: Site,
    cancel: CancellationToken,
) -> Result<(), ServePageError> {
    axum::serve(listener, router(site))
        .with_graceful_shutdown(cancel.cancelled_owned())
        .await
        .map_err(|source| ServePageError::Serve { source })
}

pub fn router(site: Site) -> Router {
    let Site {
        reports,
        counters,
        hosts,
    } = site;
    let shared = Arc::new(Shared {
        registry: metrics::registry(&counters, reports.clone()),
        reports,
        drawn: Mutex::new(None),
    });
    Router::new()
        .route("/", get(whole_page))
        .route("/clusters/{namespace}/{name}", get(cluster_page))
        .route("/api/report", get(report))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(scrape))
        .with_state(shared)
        .layer(CatchPanicLayer::new())
        .layer(from_fn_with_state(hosts, only_known_hosts))
        .layer(map_response(with_security_headers))
}

struct Shared {
    reports: Reports,
    registry: Registry,
    /// The page of the report it was drawn from, so that many viewers cost as much as one.
    drawn: Mutex<Option<Drawn>>,
}

#[derive(Clone)]
struct Drawn {
    report: Option<Arc<Report>>,
    page: Arc<str>,
    tag: HeaderValue,
}

impl Drawn {
    fn is_of(&self, report: Option<&Arc<Report>>) -> bool {
        match (&self.report, report) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Shared {
    fn last(&self) -> Option<Arc<Report>> {
        self.reports.borrow().clone()
    }
}

async fn whole_page(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let report = shared.last();
    let known = shared
        .drawn
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
        .filter(|drawn| drawn.is_of(report.as_ref()));
    let drawn = match known {
        Some(drawn) => drawn,
        None => {
            // A large fleet takes a while to draw.
            let drawn = tokio::task::spawn_blocking(move || draw(report)).await;
            let Ok(drawn) = drawn else {
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            };
            *shared.drawn.lock().unwrap_or_else(PoisonError::into_inner) = Some(drawn.clone());
            drawn
        }
    };
    if headers.get(IF_NONE_MATCH) == Some(&drawn.tag) {
        return (StatusCode::NOT_MODIFIED, [(ETAG, drawn.tag)]).into_response();
    }
    let mut response = html(drawn.page.to_string());
    response.headers_mut().insert(ETAG, drawn.tag);
    response
}

fn draw(report: Option<Arc<Report>>) -> Drawn {
    let page = page::html(report.as_deref(), true);
    let tag = format!("\"{}\"", base64(&Sha256::digest(page.as_bytes())[..12]));
    Drawn {
        report,
        page: page.into(),
        tag: HeaderValue::from_str(&tag).expect("base64 in quotes is a header's value"),
    }
}

async fn cluster_page(
    State(shared): State<Arc<Shared>>,
    Path((namespace, name)): Path<(String, String)>,
) -> Response {
    let key = Key::new(namespace, name);
    let page = shared
        .last()
        .and_then(|report| page::cluster_html(&report, &key, true));
    match page {
        Some(page) => html(page),
        None => (
            StatusCode::NOT_FOUND,
            "no such cluster in the last report\n",
        )
            .into_response(),
    }
}

fn html(page: String) -> Response {
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    ([(CONTENT_TYPE, kind)], page).into_response()
}

async fn report(State(shared): State<Arc<Shared>>) -> Response {
    let kind = HeaderValue::from_static("application/json");
    match shared.last() {
        Some(report) => {
            let text = move || json::text(&json::report(Kind::Status, &report));
            match tokio::task::spawn_blocking(text).await {
                Ok(text) => ([(CONTENT_TYPE, kind)], text).into_response(),
                Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
            }
        }
        None => not_yet(),
    }
}

async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    match shared.last() {
        Some(_) => "ready\n".into_response(),
        None => not_yet(),
    }
}

fn not_yet() -> Response {
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "no report yet: the first pass has not ended\n",
    )
        .into_response()
}

async fn scrape(State(shared): State<Arc<Shared>>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &shared.registry) {
        Ok(()) => (
            [(CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS))],
            text,
        )
            .into_response(),
        Err(std::fmt::Error) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn only_known_hosts(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let host = request
        .headers()
        .get(HOST)
        .and_then(|host| host.to_str().ok());
    if hosts == Hosts::Loopback && !host.is_some_and(is_loopback) {
        return (
            StatusCode::MISDIRECTED_REQUEST,
            "call this server by a loopback name\n",
        )
            .into_response();
    }
    next.run(request).await
}

/// `127.0.0.1:8080`, `localhost`, `[::1]:80` …
fn is_loopback(host: &str) -> bool {
    if let Ok(address) = host.parse::<SocketAddr>() {
        return address.ip().is_loopback();
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

async fn with_security_headers(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    let fixed: [(HeaderName, &'static str); 5] = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-cache"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let policy = HeaderValue::from_str(&content_security_policy())
        .expect("the policy is ASCII without control characters");
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    response
}

fn content_security_policy() -> String {
    let hash = |text: &str| format!("'sha256-{}'", base64(&Sha256::digest(text.as_bytes())));
    format!(
        "default-src 'none'; style-src {}; script-src {}; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
        hash(page::STYLE),
        hash(page::SCRIPT)
    )
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |index: usize| u32::from(chunk.get(index).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            if digit > chunk.len() {
                text.push('=');
            } else {
                let index = (group >> (18 - 6 * digit)) & 0x3f;
                text.push(char::from(DIGITS[index as usize]));
            }
        }
    }
    text
}
