//! What goes wrong in the repository while the daemon runs: its cluster is frozen, not removed, the others go on, and when
//! it is mended the daemon goes on too.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

use crate::harness::{Repo, Running, Server, cluster};

/// A daemon on a repository with `one` and `two`, both created.
fn started(server: &Server, arguments: &[&str]) -> (Repo, Running) {
    let repo = Repo::new();
    for name in ["one", "two"] {
        write(server, &repo, name);
    }
    repo.commit("first");
    let daemon = server.daemon(&repo, arguments);
    for name in ["one", "two"] {
        server.until(name, "created", |_| true);
    }
    (repo, daemon)
}

fn write(server: &Server, repo: &Repo, name: &str) {
    let text = cluster(&server.namespace, name, 1, "{mode: async}");
    repo.write(&format!("clusters/{name}.yaml"), text);
}

/// A cluster that is added is created, so the daemon goes on.
fn goes_on(server: &Server, repo: &Repo, name: &str) {
    write(server, repo, name);
    repo.commit(name);
    server.until(name, "created", |_| true);
}

#[test]
fn a_manifest_that_turns_bad_freezes_its_cluster_and_no_other() {
    let server = Server::any();
    let (repo, mut daemon) = started(&server, &[]);
    repo.write(
        "clusters/one.yaml",
        "apiVersion: stackgres.io/v1\nkind: [\n",
    );
    repo.commit("torn");
    let torn = daemon.line("clusters/one.yaml");
    assert!(
        torn.contains("WARN refused place=clusters/one.yaml:2:7"),
        "{torn}"
    );
    let frozen = daemon.line("no manifest of SGCluster");
    assert!(
        frozen.contains(&format!("cluster={}/one", server.namespace)),
        "{frozen}"
    );
    assert!(
        frozen.contains("until then the cluster stays as it is"),
        "{frozen}"
    );
    goes_on(&server, &repo, "three");
    assert!(server.cluster("one").is_some());
    write(&server, &repo, "one");
    repo.commit("mended");
    daemon.line(&format!("in-sync cluster={}/one", server.namespace));
}

#[test]
fn a_cluster_whose_file_is_deleted_is_reported_and_never_deleted() {
    let server = Server::any();
    let (repo, mut daemon) = started(&server, &[]);
    repo.remove("clusters/two.yaml");
    repo.commit("without two");
    // A server that is shared may hold others that nobody declares any more.
    daemon.line(&format!(
        "not declared any more; left as it is cluster={}/two",
        server.namespace
    ));
    goes_on(&server, &repo, "three");
    assert!(server.cluster("two").is_some());
}

#[test]
fn a_path_that_vanishes_takes_nothing_with_it() {
    let server = Server::any();
    let (repo, mut daemon) = started(&server, &["--path", "clusters"]);
    let folder = Path::new(repo.path());
    std::fs::rename(folder.join("clusters"), folder.join("moved")).expect("moved");
    repo.commit("moved");
    let told = daemon.line("what was read last stays in force");
    assert!(told.contains("no path `clusters` at main"), "{told}");
    std::fs::rename(folder.join("moved"), folder.join("clusters")).expect("moved back");
    repo.commit("moved back");
    daemon.line("the repository can be read again");
    goes_on(&server, &repo, "three");
    assert!(server.cluster("one").is_some() && server.cluster("two").is_some());
}

#[test]
fn a_repository_that_vanishes_and_comes_back_is_read_again() {
    let server = Server::any();
    let (repo, mut daemon) = started(&server, &[]);
    let git = Path::new(repo.path()).join(".git");
    let away = Path::new(repo.path()).join("away");
    std::fs::rename(&git, &away).expect("moved");
    daemon.line("what was read last stays in force");
    std::fs::rename(&away, &git).expect("moved back");
    daemon.line("the repository can be read again");
    goes_on(&server, &repo, "three");
    assert!(server.cluster("one").is_some() && server.cluster("two").is_some());
}

#[test]
fn a_force_push_is_followed_like_any_commit() {
    let server = Server::any();
    let (repo, mut daemon) = started(&server, &[]);
    let git = git2::Repository::open(repo.path()).expect("a repository");
    // Another history, with another cluster and without the first two.
    let blob = git
        .blob(cluster(&server.namespace, "three", 1, "{mode: async}").as_bytes())
        .expect("a blob");
    let mut builder = git.treebuilder(None).expect("a builder");
    builder
        .insert("three.yaml", blob, 0o100_644)
        .expect("an entry");
    let tree = git
        .find_tree(builder.write().expect("a tree"))
        .expect("the tree");
    let who = git2::Signature::now("Eve", "eve@example.com").expect("a signature");
    let id = git
        .commit(None, &who, &who, "rewritten", &tree, &[])
        .expect("a commit");
    git.reference("refs/heads/main", id, true, "forced")
        .expect("moved");
    server.until("three", "created", |_| true);
    daemon.line("not declared any more; left as it is");
    assert!(server.cluster("one").is_some() && server.cluster("two").is_some());
}

/// Sends bytes as they are; what comes back first.
fn raw(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream
        .set_read_timeout(Some(std::time::Duration::from_secs(5)))
        .expect("set");
    drop(stream.write_all(bytes));
    let mut answer = [0; 64];
    let length = stream.read(&mut answer).unwrap_or(0);
    String::from_utf8_lossy(&answer[..length])
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn odd_requests_to_the_page_are_refused_and_it_stays_up() {
    let server = Server::any();
    let repo = Repo::with(&[(
        "c.yaml",
        &cluster(&server.namespace, "c", 1, "{mode: async}"),
    )]);
    let mut daemon = server.daemon(&repo, &[]);
    let line = daemon.line("page=http://");
    let address = line
        .split("page=http://")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .expect("an address");
    let get = |host: &str| {
        raw(
            address,
            format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes(),
        )
    };
    assert_eq!(get("localhost"), "HTTP/1.1 200 OK");
    assert_eq!(get("evil.example"), "HTTP/1.1 421 Misdirected Request");
    let post = raw(
        address,
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx",
    );
    assert_eq!(post, "HTTP/1.1 405 Method Not Allowed");
    for bytes in [
        &b"GARBAGE\r\n\r\n"[..],
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(raw(address, bytes), "HTTP/1.1 400 Bad Request");
    }
    let long = format!(
        "GET /?{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "a".repeat(70_000)
    );
    assert_eq!(raw(address, long.as_bytes()), "HTTP/1.1 414 URI Too Long");
    let heavy = format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n",
        "a".repeat(2_000_000)
    );
    let heavy = raw(address, heavy.as_bytes());
    assert!(!heavy.contains("200"), "{heavy}");
    assert_eq!(
        raw(
            address,
            b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n"
        ),
        "HTTP/1.1 404 Not Found"
    );
    assert_eq!(get("127.0.0.1"), "HTTP/1.1 200 OK");
    assert!(!daemon.so_far().iter().any(|line| line.contains("panicked")));
}
