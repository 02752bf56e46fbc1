//! The routes, asked as a browser, a probe and a scraper would.

use super::*;
use crate::show::sample;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

fn report() -> Arc<Report> {
    Arc::new(Report {
        source: sample::source(),
        clusters: vec![
            Arc::new(sample::drifted_plan()),
            Arc::new(sample::waiting_plan()),
        ],
        supporting: Vec::new(),
        written: Vec::new(),
        findings: Vec::new(),
    })
}

struct Browser {
    router: Router,
    reports: watch::Sender<Option<Arc<Report>>>,
}

impl Browser {
    fn new(hosts: Hosts) -> Self {
        let (reports, receiver) = watch::channel(None);
        let counters = Counters::default();
        let site = Site {
            reports: receiver,
            counters: counters.clone(),
            hosts,
        };
        let router = router(site);
        counters.pass_ended();
        counters.wrote(2, 0);
        Self { router, reports }
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, String) {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self
            .router
            .clone()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (
            parts.status,
            parts.headers,
            String::from_utf8(bytes.to_vec()).unwrap(),
        )
    }
}

#[tokio::test]
async fn alive_from_the_start_and_ready_with_the_first_report() {
    let browser = Browser::new(Hosts::Any);
    assert_eq!(browser.get("/healthz", &[]).await.0, StatusCode::OK);
    assert_eq!(
        browser.get("/readyz", &[]).await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(
        browser.get("/api/report", &[]).await.0,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert!(browser.get("/", &[]).await.2.contains("No report yet"));
    browser.reports.send(Some(report())).unwrap();
    assert_eq!(browser.get("/readyz", &[]).await.0, StatusCode::OK);
    assert!(browser.get("/", &[]).await.2.contains("failover/billing"));
}

#[tokio::test]
async fn a_page_that_has_not_changed_is_not_sent_again() {
    let browser = Browser::new(Hosts::Any);
    browser.reports.send(Some(report())).unwrap();
    let (_, headers, _) = browser.get("/", &[]).await;
    let tag = headers[ETAG].to_str().unwrap().to_owned();
    let again = browser.get("/", &[("if-none-match", &tag)]).await;
    assert_eq!(again.0, StatusCode::NOT_MODIFIED);
    browser.reports.send(None).unwrap();
    let changed = browser.get("/", &[("if-none-match", &tag)]).await;
    assert_eq!(changed.0, StatusCode::OK);
}

#[tokio::test]
async fn a_cluster_has_a_page_of_its_own() {
    let browser = Browser::new(Hosts::Any);
    browser.reports.send(Some(report())).unwrap();
    let (status, _, page) = browser.get("/clusters/failover/billing", &[]).await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("spec.instances: Git has 4, live has 5"));
    let (status, headers, _) = browser.get("/clusters/no/such", &[]).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(headers.contains_key(CONTENT_SECURITY_POLICY));
}

#[tokio::test]
async fn the_policy_allows_the_pages_own_style_and_script_and_nothing_else() {
    let browser = Browser::new(Hosts::Any);
    let (_, headers, page) = browser.get("/", &[]).await;
    let policy = headers[CONTENT_SECURITY_POLICY].to_str().unwrap();
    let inside = |tag: &str| {
        let (_, rest) = page.split_once(&format!("<{tag}>")).unwrap();
        rest.split_once(&format!("</{tag}>")).unwrap().0.to_owned()
    };
    for (directive, tag) in [("style-src", "style"), ("script-src", "script")] {
        let hash = base64(&Sha256::digest(inside(tag).as_bytes()));
        assert!(
            policy.contains(&format!("{directive} 'sha256-{hash}'")),
            "{policy}"
        );
    }
    assert!(policy.starts_with("default-src 'none'"));
    assert!(!policy.contains("unsafe"));
    assert!(!page.contains(" style="), "the policy forbids it");
    assert_eq!(headers[X_FRAME_OPTIONS], "DENY");
}

#[tokio::test]
async fn a_foreign_host_name_is_turned_away() {
    let browser = Browser::new(Hosts::Loopback);
    for host in [
        "127.0.0.1:8080",
        "localhost",
        "LOCALHOST:1",
        "[::1]:8080",
        "[::1]",
    ] {
        let answer = browser.get("/healthz", &[("host", host)]).await;
        assert_eq!(answer.0, StatusCode::OK, "{host}");
    }
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil:80",
        "10.0.0.1",
        "",
    ] {
        let answer = browser.get("/healthz", &[("host", host)]).await;
        assert_eq!(answer.0, StatusCode::MISDIRECTED_REQUEST, "{host}");
    }
    let nameless = browser.get("/healthz", &[]).await;
    assert_eq!(nameless.0, StatusCode::MISDIRECTED_REQUEST);
}

#[tokio::test]
async fn metrics_count_clusters_from_the_last_report() {
    let browser = Browser::new(Hosts::Any);
    let (_, headers, before) = browser.get("/metrics", &[]).await;
    assert!(
        headers[CONTENT_TYPE]
            .to_str()
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    assert!(before.contains("lockstep_passes_total 1\n"));
    assert!(before.contains("lockstep_writes_total{outcome=\"succeeded\"} 2"));
    assert!(before.contains("lockstep_writes_total{outcome=\"failed\"} 0"));
    assert!(before.contains("lockstep_repository_reads_total{outcome=\"failed\"} 0"));
    assert!(!before.contains("lockstep_clusters{"));
    browser.reports.send(Some(report())).unwrap();
    let (_, _, after) = browser.get("/metrics", &[]).await;
    for line in [
        "lockstep_clusters{state=\"drifted\"} 1",
        "lockstep_clusters{state=\"in-sync\"} 0",
        "lockstep_clusters_in_force{in_force=\"no\"} 1",
    ] {
        assert!(after.contains(line), "{line} is missing from\n{after}");
    }
    assert!(after.ends_with("# EOF\n"));
}

#[tokio::test]
async fn the_report_is_there_as_json() {
    let browser = Browser::new(Hosts::Any);
    browser.reports.send(Some(report())).unwrap();
    let (_, _, text) = browser.get("/api/report", &[]).await;
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["apiVersion"], "lockstep.dev/v1alpha1");
    assert_eq!(value["clusters"][1]["state"], "waiting");
}

#[tokio::test]
async fn serving_ends_when_it_is_cancelled() {
    let (_reports, receiver) = watch::channel(None);
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let taken = listener.local_addr().unwrap();
    let error = listen(taken).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {taken}"));
    let cancel = CancellationToken::new();
    let site = Site {
        reports: receiver,
        counters: Counters::default(),
        hosts: Hosts::Any,
    };
    let serving = tokio::spawn(serve(listener, site, cancel.clone()));
    cancel.cancel();
    serving.await.unwrap().unwrap();
}

#[test]
fn base64_is_that_of_the_rfc() {
    let pairs = [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foobar", "Zm9vYmFy"),
    ];
    for (plain, encoded) in pairs {
        assert_eq!(base64(plain.as_bytes()), encoded);
    }
}
