//! The sandbox alone: what a test can make it do, and what it keeps out.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use kube::api::{DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher;
use kube::{Api, Client};
use lockstep::edge::sandbox::{self, Sandbox, Settings};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::ServiceExt;

use crate::asking::{GROUP, definitions, widget};

async fn started(settings: Settings) -> Sandbox {
    let sandbox = sandbox::start(settings).await.unwrap();
    sandbox.install(definitions()).unwrap();
    sandbox
}

fn widgets(client: Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(GROUP, "v1", "Widget");
    Api::namespaced_with(client, "default", &ApiResource::from_gvk(&kind))
}

fn object(name: &str) -> DynamicObject {
    serde_json::from_value(widget(name, json!({"instances": 1}))).unwrap()
}

async fn raw(sandbox: &Sandbox, text: String) -> String {
    let mut stream = tokio::net::TcpStream::connect(sandbox.address)
        .await
        .unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_request_by_another_name_than_this_machines_is_refused() {
    let sandbox = started(Settings::default()).await;
    let port = sandbox.address.port();
    let ask = |headers: String| {
        raw(
            &sandbox,
            format!("GET /version HTTP/1.1\r\n{headers}Connection: close\r\n\r\n"),
        )
    };
    assert!(
        ask(format!("Host: localhost:{port}\r\n"))
            .await
            .starts_with("HTTP/1.1 200")
    );
    assert!(
        ask(format!("Host: evil.example:{port}\r\n"))
            .await
            .starts_with("HTTP/1.1 403")
    );
    let from_a_page = ask(format!(
        "Host: localhost:{port}\r\nOrigin: http://evil.example\r\n"
    ));
    assert!(from_a_page.await.starts_with("HTTP/1.1 403"));
}

#[tokio::test]
async fn it_listens_on_the_loopback_interface_only() {
    let settings = Settings {
        listen: "0.0.0.0:0".parse().unwrap(),
        ..Settings::default()
    };
    assert!(sandbox::start(settings).await.is_err());
}

#[tokio::test]
async fn a_body_too_large_is_refused() {
    let sandbox = started(Settings::default()).await;
    let request = Request::post(format!("/apis/{GROUP}/v1/namespaces/default/widgets"))
        .header("content-type", "application/json")
        .body(axum::body::Body::from(vec![b' '; 4 * 1024 * 1024]))
        .unwrap();
    let response = sandbox.router().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let status: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(status["reason"], "RequestEntityTooLarge");
}

#[tokio::test]
async fn a_watch_from_before_a_compaction_is_told_that_it_is_too_old() {
    let sandbox = started(Settings::default()).await;
    let client = sandbox.client("test");
    widgets(client.clone())
        .create(&PostParams::default(), &object("a"))
        .await
        .unwrap();
    sandbox.compact();
    let path = format!("/apis/{GROUP}/v1/widgets?watch=true&resourceVersion=101&timeoutSeconds=5");
    let text = client
        .request_text(Request::get(path).body(Vec::new()).unwrap())
        .await
        .unwrap();
    let event: Value = serde_json::from_str(text.trim()).unwrap();
    assert_eq!(event["type"], "ERROR");
    assert_eq!(event["object"]["code"], 410);
    assert_eq!(event["object"]["reason"], "Expired");
}

#[tokio::test]
async fn the_watchers_of_kube_follow_it_through_a_compaction() {
    for config in [
        watcher::Config::default(),
        watcher::Config::default().streaming_lists(),
    ] {
        let sandbox = started(Settings::default()).await;
        let api = widgets(sandbox.client("test"));
        api.create(&PostParams::default(), &object("a"))
            .await
            .unwrap();
        let mut names = watcher(api.clone(), config)
            .try_filter_map(|event| async move {
                Ok(match event {
                    watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
                        object.metadata.name
                    }
                    _ => None,
                })
            })
            .boxed();
        assert_eq!(names.try_next().await.unwrap().as_deref(), Some("a"));
        let (next, ()) = tokio::join!(names.try_next(), async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            api.create(&PostParams::default(), &object("b"))
                .await
                .unwrap();
        });
        assert_eq!(next.unwrap().as_deref(), Some("b"));
        sandbox.compact();
        let (next, ()) = tokio::join!(names.try_next(), async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            api.create(&PostParams::default(), &object("c"))
                .await
                .unwrap();
        });
        assert_eq!(next.unwrap().as_deref(), Some("c"));
    }
}

#[tokio::test]
async fn a_silent_watch_gets_bookmarks() {
    let sandbox = started(Settings {
        bookmark_every: Duration::from_millis(50),
        ..Settings::default()
    })
    .await;
    let path = format!(
        "/apis/{GROUP}/v1/widgets?watch=true&resourceVersion={}&allowWatchBookmarks=true&timeoutSeconds=1",
        sandbox.version()
    );
    let client = sandbox.client("test");
    let text = client
        .request_text(Request::get(path).body(Vec::new()).unwrap())
        .await
        .unwrap();
    assert!(text.lines().count() > 3, "{text}");
    assert!(
        text.lines()
            .all(|line| line.starts_with("{\"type\":\"BOOKMARK\"")),
        "{text}"
    );
}

#[tokio::test]
async fn requests_are_counted_by_what_and_by_whom() {
    let sandbox = started(Settings::default()).await;
    let before = sandbox.requests();
    let (one, other) = (
        widgets(sandbox.client("one")),
        widgets(sandbox.client("other")),
    );
    one.create(&PostParams::default(), &object("a"))
        .await
        .unwrap();
    one.create(
        &PostParams {
            dry_run: true,
            ..PostParams::default()
        },
        &object("b"),
    )
    .await
    .unwrap();
    other.get("a").await.unwrap();
    let since = sandbox.requests().since(&before);
    assert_eq!(since.writes(), 1);
    assert_eq!(since.of(|asked| asked.agent == "one"), 2);
    assert_eq!(
        since.of(|asked| asked.verb == "get" && asked.resource == format!("widgets.{GROUP}")),
        1
    );
    let path = Request::get("/sandbox/requests").body(Vec::new()).unwrap();
    let told: Value = sandbox.client("test").request(path).await.unwrap();
    assert_eq!(told["writes"], 1);
}

#[tokio::test]
async fn deleting_a_namespace_takes_what_is_in_it() {
    let sandbox = started(Settings::default()).await;
    let client = sandbox.client("test");
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": "short-lived"}})).unwrap();
    namespaces
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, "v1", "Widget"));
    let api: Api<DynamicObject> = Api::namespaced_with(client, "short-lived", &kind);
    api.create(&PostParams::default(), &object("a"))
        .await
        .unwrap();
    namespaces
        .delete("short-lived", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    assert!(namespaces.get_opt("short-lived").await.unwrap().is_none());
    assert!(api.get_opt("a").await.unwrap().is_none());
}

#[tokio::test]
async fn watches_end_when_it_is_shut_down() {
    let sandbox = started(Settings::default()).await;
    let address = format!("http://{}", sandbox.address).parse().unwrap();
    let client = Client::try_from(kube::Config::new(address)).unwrap();
    let path = format!("/apis/{GROUP}/v1/widgets?watch=true");
    let request = Request::get(path).body(Vec::new()).unwrap();
    let watching = tokio::spawn(async move { client.request_text(request).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    tokio::time::timeout(Duration::from_secs(5), sandbox.shutdown())
        .await
        .unwrap();
    tokio::time::timeout(Duration::from_secs(5), watching)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn no_input_makes_it_panic() {
    let sandbox = started(Settings::default()).await;
    let api = widgets(sandbox.client("test"));
    api.create(&PostParams::default(), &object("w"))
        .await
        .unwrap();
    let root = format!("/apis/{GROUP}/v1/namespaces/default/widgets");
    let deep = format!("{}1{}", "{\"a\":".repeat(120), "}".repeat(120));
    let bodies = [
        "",
        "null",
        "5",
        "[]",
        "\"x\"",
        "{}",
        "{\"metadata\":5}",
        "{\"metadata\":null,\"spec\":[]}",
        "{\"spec\":{\"instances\":1e308}}",
        "{\"spec\":{\"instances\":-9223372036854775809}}",
        "{\"spec\":5,\"status\":[]}",
        "{\"metadata\":{\"finalizers\":[5]}}",
        "{\"metadata\":{\"managedFields\":[{\"manager\":5}]}}",
        "[{\"op\":\"replace\",\"path\":\"\",\"value\":5}]",
        "[{\"op\":\"add\",\"path\":\"/spec\",\"value\":[]}]",
        "[{\"op\":\"remove\",\"path\":\"/metadata\"}]",
        "[{\"op\":\"move\",\"from\":\"/spec\",\"path\":\"/spec/free\"}]",
        "{\"apiVersion\":\"conformance.lockstep.dev/v1\",\"kind\":\"Widget\",\"spec\":\"x\"}",
        "{\"apiVersion\":\"conformance.lockstep.dev/v1\",\"kind\":\"Widget\",\"metadata\":{\"name\":\"w\"},\"spec\":{\"ports\":[1,{}]}}",
        "{\"spec\":{\"replicas\":\"x\"}}",
        "\u{0}\u{1}",
        deep.as_str(),
    ];
    let types = [
        "",
        "application/json",
        "application/yaml",
        "application/vnd.kubernetes.protobuf",
        "application/merge-patch+json",
        "application/json-patch+json",
        "application/strategic-merge-patch+json",
        "application/apply-patch+yaml",
    ];
    let paths = [
        root.clone(),
        format!("{root}/w"),
        format!("{root}/w/scale"),
        format!("{root}/w?fieldManager=m&force=true"),
        format!("{root}?limit=1&continue=3a&labelSelector=((&fieldSelector=a"),
        "/api/v1/namespaces/default".into(),
        "/api/v1/namespaces/default/status".into(),
        "/api/v1/namespaces/default/pods/p".into(),
        "/apis/apps/v1/namespaces/default/statefulsets".into(),
        format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gadgets.{GROUP}"),
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions".into(),
        "/%zz/%ff//..".into(),
    ];
    for (path, method) in paths
        .iter()
        .flat_map(|path| ["GET", "POST", "PUT", "PATCH", "OPTIONS"].map(|method| (path, method)))
    {
        for (media_type, body) in types
            .iter()
            .flat_map(|media_type| bodies.iter().map(move |body| (media_type, body)))
        {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("content-type", *media_type)
                .body(axum::body::Body::from((*body).to_owned()))
                .unwrap();
            let response = sandbox.router().oneshot(request).await.unwrap();
            let bytes = response.into_body().collect().await.unwrap().to_bytes();
            let text = String::from_utf8_lossy(&bytes);
            assert!(
                !text.contains("an error on the server prevented"),
                "{method} {path} {media_type} {body}"
            );
        }
    }
}
