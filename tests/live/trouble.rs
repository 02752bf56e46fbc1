//! Missing permissions, wrong credentials, and a server that is away.

use std::time::Duration;

use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::config::Kubeconfig;
use lockstep::edge::apiserver::{
    Failure, ReadClusterError, Reader, Scope, WatchState, WriteError, Writer, server_schema,
};
use lockstep::edge::sandbox::{self, Settings};
use lockstep::model::crd::{self, Generation};
use lockstep::model::key::{Key, Kind};
use lockstep::model::patroni::Seen;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::place::{PATIENCE, Place, client, plan};

/// A kubeconfig like the one under test, with something changed.
fn changed_kubeconfig(
    place: &Place,
    change: impl FnOnce(&mut Kubeconfig),
) -> tempfile::NamedTempFile {
    let mut kubeconfig = Kubeconfig::read_from(&place.kubeconfig).unwrap();
    change(&mut kubeconfig);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), serde_yaml::to_string(&kubeconfig).unwrap()).unwrap();
    file
}

/// A client of somebody who may do just this; `None` where the server gives everybody everything.
async fn restricted(place: &Place, rules: Value) -> Option<Client> {
    let group = "rbac.authorization.k8s.io";
    let roles = place.api(group, "v1", "Role", "roles");
    if roles.list(&Default::default()).await.is_err() {
        return None;
    }
    let user = format!("tester-{}", place.namespace);
    place
        .create(
            group,
            "v1",
            "Role",
            "roles",
            json!({"metadata": {"name": "r"}, "rules": rules}),
        )
        .await;
    let binding = json!({"metadata": {"name": "r"}, "roleRef": {"apiGroup": group, "kind": "Role", "name": "r"},
        "subjects": [{"kind": "User", "apiGroup": group, "name": user}]});
    place
        .create(group, "v1", "RoleBinding", "rolebindings", binding)
        .await;
    let file = changed_kubeconfig(place, |kubeconfig| {
        for named in &mut kubeconfig.auth_infos {
            named.auth_info.as_mut().unwrap().impersonate = Some(user.clone());
        }
    });
    let client = client(file.path()).await;
    // RBAC reads its rules through a cache of its own.
    tokio::time::sleep(Duration::from_secs(1)).await;
    Some(client)
}

#[tokio::test]
async fn without_any_permission_the_missing_one_is_named() {
    let place = Place::new().await;
    let Some(client) = restricted(&place, json!([])).await else {
        return;
    };
    let (reader, _guard) = place.start(client.clone());
    let error = reader.synced(PATIENCE).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot list SGCluster: permission to list sgclusters.stackgres.io is missing"
    );
    let unreadable = reader.observe(&place.key("a")).unwrap_err();
    assert_eq!(
        unreadable.reason,
        "SGCluster cannot be read: permission to list sgclusters.stackgres.io is missing"
    );
    let plan = plan(place.key("a"), place.manifest("a", json!({})), None);
    let error = Writer::new(client.clone())
        .apply(plan.open_step().unwrap())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot apply SGCluster {}/a: permission to get sgclusters.stackgres.io is missing",
            place.namespace
        )
    );
    let kind = Kind::from_api_version("stackgres.io/v1", "SGCluster");
    assert!(server_schema(&client, &kind).await.is_none());
}

#[tokio::test]
async fn a_permission_missing_for_one_kind_makes_only_that_unknown() {
    let place = Place::new().await;
    place
        .create(
            "stackgres.io",
            "v1",
            "SGCluster",
            "sgclusters",
            place.manifest("a", json!({})),
        )
        .await;
    let verbs = json!(["get", "list", "watch"]);
    let rules = json!([
        {"apiGroups": ["stackgres.io"], "resources": ["*"], "verbs": verbs},
        {"apiGroups": [""], "resources": ["endpoints"], "verbs": verbs},
        {"apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": verbs},
    ]);
    let Some(client) = restricted(&place, rules).await else {
        return;
    };
    let (reader, _guard) = place.reader_of(client).await;
    let seen = reader.observe(&place.key("a")).unwrap();
    assert_eq!(
        seen.members,
        Seen::Unknown("Pod cannot be read: permission to list pods is missing".into())
    );
    assert_eq!(seen.stateful_set, Seen::Value(None));
    assert_eq!(seen.operations, Seen::Value(Vec::new()));
    assert!(seen.live.is_some());
    let unwell: Vec<_> = reader
        .health()
        .into_iter()
        .filter(|watch| watch.state != WatchState::Watching)
        .collect();
    assert_eq!(unwell.len(), 1);
    assert_eq!(unwell[0].kind.kind, "Pod");
}

fn is_tls(place: &Place) -> bool {
    let kubeconfig = Kubeconfig::read_from(&place.kubeconfig).unwrap();
    let cluster = kubeconfig.clusters[0].cluster.as_ref().unwrap();
    cluster.server.as_ref().unwrap().starts_with("https")
}

#[tokio::test]
async fn wrong_credentials_and_a_foreign_certificate_are_named() {
    let place = Place::new().await;
    if !is_tls(&place) {
        return;
    }
    let wrong = changed_kubeconfig(&place, |kubeconfig| {
        kubeconfig.auth_infos[0].auth_info =
            serde_json::from_value(json!({"token": "s3cr3t"})).unwrap();
    });
    let (reader, _guard) = place.start(client(wrong.path()).await);
    let error = reader.synced(PATIENCE).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot list SGCluster: the API server does not accept the credentials"
    );
    let untrusted = changed_kubeconfig(&place, |kubeconfig| {
        let cluster = kubeconfig.clusters[0].cluster.as_mut().unwrap();
        cluster.certificate_authority_data = None;
        cluster.certificate_authority = None;
    });
    let (reader, _guard) = place.start(client(untrusted.path()).await);
    let error = reader.synced(PATIENCE).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot list SGCluster: the API server's certificate is not accepted: invalid peer certificate: UnknownIssuer"
    );
}

/// A way to the server that can be cut.
struct Cable {
    kubeconfig: tempfile::NamedTempFile,
    up: watch::Sender<bool>,
}

impl Cable {
    async fn new(place: &Place) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut server = String::new();
        let kubeconfig = changed_kubeconfig(place, |kubeconfig| {
            let address = kubeconfig.clusters[0]
                .cluster
                .as_mut()
                .unwrap()
                .server
                .as_mut()
                .unwrap();
            let (scheme, rest) = address.split_once("://").unwrap();
            server = rest.trim_end_matches('/').to_owned();
            *address = format!("{scheme}://127.0.0.1:{port}");
        });
        let (up, is_up) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (server, mut is_up) = (server.clone(), is_up.clone());
                if !*is_up.borrow_and_update() {
                    continue;
                }
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(server).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = is_up.changed() => {}
                    }
                });
            }
        });
        Self { kubeconfig, up }
    }
}

#[tokio::test]
async fn what_happens_while_the_server_is_away_is_caught_up_with() {
    let place = Place::new().await;
    if !is_tls(&place) {
        // The sandbox answers only under its own address.
        return;
    }
    place
        .create(
            "stackgres.io",
            "v1",
            "SGCluster",
            "sgclusters",
            place.manifest("a", json!({})),
        )
        .await;
    place
        .create(
            "stackgres.io",
            "v1",
            "SGCluster",
            "sgclusters",
            place.manifest("b", json!({})),
        )
        .await;
    let cable = Cable::new(&place).await;
    let (reader, _guard) = place.reader_of(client(cable.kubeconfig.path()).await).await;
    assert_eq!(reader.keys().len(), 2);

    cable.up.send(false).unwrap();
    place.edit("a", json!({"spec": {"instances": 7}})).await;
    place
        .clusters()
        .delete("b", &Default::default())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(
        reader
            .health()
            .iter()
            .any(|watch| matches!(watch.state, WatchState::Failing(_)))
    );
    assert!(
        reader.observe(&place.key("a")).is_ok(),
        "what was seen counts for a while"
    );
    let plan = plan(place.key("c"), place.manifest("c", json!({})), None);
    let writer = Writer::new(client(cable.kubeconfig.path()).await);
    let error = writer.apply(plan.open_step().unwrap()).await.unwrap_err();
    assert!(matches!(error, WriteError::Unreachable { .. }), "{error}");

    cable.up.send(true).unwrap();
    tokio::time::timeout(PATIENCE, async {
        while reader.keys().len() == 2 || !all_well(&reader) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .unwrap();
    let seen = reader.observe(&place.key("a")).unwrap();
    assert_eq!(seen.live.unwrap().value["spec"]["instances"], 7);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_with_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    let text = "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: k, cluster: {server: 'http://127.0.0.1:1'}}]\ncontexts: [{name: c, context: {cluster: k}}]\n";
    std::fs::write(&path, text).unwrap();
    let cancel = CancellationToken::new();
    let reader = Reader::start(client(&path).await, Scope::default(), cancel.clone());
    let _guard = cancel.drop_guard();
    let error = reader.synced(Duration::from_secs(30)).await.unwrap_err();
    assert!(
        matches!(
            &error,
            ReadClusterError::ListKind {
                why: Failure::Unreachable { .. },
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(
        error.to_string(),
        "cannot list SGCluster: the API server cannot be reached at http://127.0.0.1:1: Connection refused (os error 111)"
    );
}

fn all_well(reader: &Reader) -> bool {
    let mut health = reader.health().into_iter();
    health.all(|watch| watch.state == WatchState::Watching)
}

#[tokio::test]
async fn a_sandbox_started_anew_is_read_from_the_beginning() {
    let definitions = || crd::definitions(Generation::Current);
    let first = sandbox::start(Settings::default()).await.unwrap();
    first.install(definitions()).unwrap();
    let listen = first.address;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kubeconfig");
    first.write_kubeconfig(&path).unwrap();
    let (client, cancel) = (client(&path).await, CancellationToken::new());
    let reader = Reader::start(client.clone(), Scope::default(), cancel.clone());
    let _guard = cancel.drop_guard();
    let object = |name: &str| {
        let text = json!({"apiVersion": "stackgres.io/v1", "kind": "SGCluster", "metadata": {"namespace": "default", "name": name},
            "spec": {"profile": "testing", "instances": 1, "postgres": {"version": "16.1"}, "pods": {"persistentVolume": {"size": "1Gi"}}}});
        serde_json::from_value(text).unwrap()
    };
    let resource = kube::api::ApiResource {
        group: "stackgres.io".into(),
        version: "v1".into(),
        api_version: "stackgres.io/v1".into(),
        kind: "SGCluster".into(),
        plural: "sgclusters".into(),
    };
    let clusters: Api<DynamicObject> = Api::namespaced_with(client, "default", &resource);
    for name in ["a", "b", "c"] {
        clusters
            .create(&Default::default(), &object(name))
            .await
            .unwrap();
    }
    reader.synced(PATIENCE).await.unwrap();
    let seen = |names: &'static [&'static str]| {
        let reader = reader.clone();
        async move {
            let wanted: Vec<Key> = names
                .iter()
                .map(|name| Key::new("default", *name))
                .collect();
            let wait = async {
                while reader.keys() != wanted || !all_well(&reader) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            let waited = tokio::time::timeout(Duration::from_secs(40), wait).await;
            assert!(waited.is_ok(), "{:?} {:?}", reader.keys(), reader.health());
        }
    };
    seen(&["a", "b", "c"]).await;

    first.shutdown().await;
    let second = sandbox::start(Settings {
        listen,
        ..Settings::default()
    })
    .await
    .unwrap();
    second.install(definitions()).unwrap();
    clusters
        .create(&Default::default(), &object("d"))
        .await
        .unwrap();
    seen(&["d"]).await;
    second.compact();
    clusters
        .create(&Default::default(), &object("e"))
        .await
        .unwrap();
    seen(&["d", "e"]).await;
}
