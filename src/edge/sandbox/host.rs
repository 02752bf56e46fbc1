//! Who may speak to the sandbox: whoever calls it by a name of this machine's loopback interface.
//!
//! A web page can make a browser send requests to a local port; its `Host` or `Origin` then gives it away.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use http::Request;
use http::header::{HOST, ORIGIN};
use http::uri::Authority;

use super::failure::Failure;
use super::http::failed;

const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// The router behind the check.
pub fn guarded(router: Router, port: u16) -> Router {
    router.layer(from_fn_with_state(port, check))
}

async fn check(State(port): State<u16>, request: Request<Body>, next: Next) -> Response {
    if is_from_here(&request, port) {
        return next.run(request).await;
    }
    failed(&Failure {
        code: 403,
        reason: "Forbidden".into(),
        message:
            "the sandbox answers only requests made to localhost, 127.0.0.1 or [::1] at its own port"
                .into(),
        details: None,
    })
}

fn is_from_here(request: &Request<Body>, port: u16) -> bool {
    let header = |name| {
        request
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap_or("?"))
    };
    let named = request.uri().authority().map(Authority::as_str);
    let is_own_page = header(ORIGIN).is_none_or(|origin| {
        origin
            .split_once("://")
            .is_some_and(|(_, host)| is_own(host, port))
    });
    is_own_page
        && header(HOST)
            .or(named)
            .is_some_and(|host| is_own(host, port))
}

fn is_own(host: &str, port: u16) -> bool {
    NAMES.iter().any(|name| {
        host.get(..name.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(name))
            && match host[name.len()..].strip_prefix(':') {
                Some(given) => given == port.to_string(),
                None => host.len() == name.len() && port == 80,
            }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_at_the_own_port_are_served() {
        for (host, expected) in [
            ("127.0.0.1:8001", true),
            ("LOCALHOST:8001", true),
            ("[::1]:8001", true),
            ("127.0.0.1:8002", false),
            ("127.0.0.1", false),
            ("evil.example:8001", false),
            ("127.0.0.1.evil.example:8001", false),
            ("localhost:8001:8001", false),
            ("é", false),
        ] {
            assert_eq!(is_own(host, 8001), expected, "{host}");
        }
    }
}
