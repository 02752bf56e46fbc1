//! What the daemon writes and what it leaves alone.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{PATIENCE, Repo, Running, Server, cluster, mode};
use crate::{annotation, managers, owned_by, patroni, settled, size, version};

/// Long enough for several passes of the daemon.
const SEVERAL_PASSES: Duration = Duration::from_millis(2500);

#[test]
fn an_absent_cluster_is_created_asynchronous_and_climbs_only_on_evidence() {
    let server = Server::any();
    let manifest = cluster(&server.namespace, "c", 3, "{mode: strict-sync-all}");
    let repo = Repo::with(&[("c.yaml", &manifest)]);
    let mut daemon = server.daemon(&repo, &[]);
    let created = server.until("c", "there", |_| true);
    assert_eq!(mode(&created), "async");
    assert_eq!(created["spec"]["instances"], 3);
    assert!(annotation(&created, "lockstep.dev/applying").is_some());
    assert_eq!(annotation(&created, "lockstep.dev/applied"), None);
    assert_eq!(managers(&created), ["lockstep"]);
    daemon.line("waiting");
    std::thread::sleep(SEVERAL_PASSES);
    let later = server.cluster("c").expect("still there");
    assert_eq!(version(&later), version(&created));
    let plan = repo.run(&server.kubeconfig, &["plan"]);
    assert_eq!(plan.code, 1);
    for wanted in [
        "async → sync-all",
        "unknown",
        "Patroni has not written Endpoints c yet",
        "sync-all → strict-sync-all",
    ] {
        assert!(plan.out.contains(wanted), "no `{wanted}` in:\n{}", plan.out);
    }
}

#[test]
fn what_a_cluster_refers_to_is_applied_before_it() {
    let server = Server::any();
    let namespace = &server.namespace;
    let spec = |refers: &str| {
        cluster(namespace, "c", 1, "{mode: async}").replace("spec:\n", &format!("spec:\n{refers}"))
    };
    let refers = "  sgInstanceProfile: size-s\n  configurations: {sgPostgresConfig: pg, sgPoolingConfig: pool}\n";
    let supporting = format!(
        "apiVersion: stackgres.io/v1\nkind: SGInstanceProfile\nmetadata: {{namespace: {namespace}, name: size-s}}\nspec: {{cpu: '1', memory: 2Gi}}\n---\n\
         apiVersion: stackgres.io/v1\nkind: SGPostgresConfig\nmetadata: {{namespace: {namespace}, name: pg}}\nspec: {{postgresVersion: '16', postgresql.conf: {{work_mem: 8MB}}}}\n---\n\
         apiVersion: stackgres.io/v1\nkind: SGPoolingConfig\nmetadata: {{namespace: {namespace}, name: pool}}\nspec: {{pgBouncer: {{pgbouncer.ini: {{pgbouncer: {{pool_mode: session}}}}}}}}\n"
    );
    let repo = Repo::with(&[("a.yaml", &spec(refers)), ("b.yaml", &supporting)]);
    let _daemon = server.daemon(&repo, &[]);
    let created = server.until("c", "carried out", settled);
    for (kind, name) in [
        ("SGInstanceProfile", "size-s"),
        ("SGPostgresConfig", "pg"),
        ("SGPoolingConfig", "pool"),
    ] {
        let object = server.get("stackgres.io/v1", kind, name).expect(kind);
        assert!(version(&object) < version(&created), "{kind}");
        assert!(settled(&object), "{kind}");
    }
}

#[test]
fn a_change_of_settings_waits_until_patroni_says_that_nothing_else_goes_on() {
    let server = Server::any();
    let manifest = cluster(&server.namespace, "c", 2, "{mode: async}");
    let repo = Repo::with(&[("c.yaml", &manifest)]);
    let mut daemon = server.daemon(&repo, &[]);
    let created = server.until("c", "carried out", settled);
    repo.write("c.yaml", manifest.replace("10Gi", "20Gi"));
    repo.commit("more room");
    let waiting = daemon.line("waiting");
    assert!(
        waiting.contains("Patroni has not written Endpoints c-config yet"),
        "{waiting}"
    );
    std::thread::sleep(SEVERAL_PASSES);
    assert_eq!(
        version(&server.cluster("c").expect("there")),
        version(&created)
    );
    patroni(&server, "c");
    let changed = server.until("c", "larger", |cluster| size(cluster) == "20Gi");
    assert!(settled(&changed));
}

#[test]
fn what_kubectl_apply_made_is_taken_over_and_a_field_dropped_from_git_goes() {
    let server = Server::any();
    let plain = cluster(&server.namespace, "c", 1, "{mode: async}");
    let manifest = plain.replace(
        "spec:\n",
        "spec:\n  nonProductionOptions:\n    disableClusterPodAntiAffinity: true\n",
    );
    server.kubectl_apply(&manifest);
    server.edit(
        "c",
        &json!({"metadata": {"annotations": {"example.com/note": "mine"}}}),
    );
    patroni(&server, "c");
    let repo = Repo::with(&[("c.yaml", &manifest)]);
    let _daemon = server.daemon(&repo, &[]);
    let taken = server.until("c", "taken over", settled);
    // Of kubectl's record only its own copy of the manifest is left.
    assert!(
        owned_by(&taken, "kubectl-client-side-apply")["f:spec"].is_null(),
        "{:#}",
        taken["metadata"]["managedFields"]
    );
    assert_eq!(
        owned_by(&taken, "lockstep")["f:spec"]["f:nonProductionOptions"],
        json!({"f:disableClusterPodAntiAffinity": {}})
    );
    assert_eq!(
        taken["spec"]["nonProductionOptions"]["disableClusterPodAntiAffinity"],
        true
    );
    repo.write("c.yaml", &plain);
    repo.commit("anti-affinity again");
    let dropped = server.until("c", "without the field", |cluster| {
        cluster["spec"]["nonProductionOptions"]["disableClusterPodAntiAffinity"].is_null()
    });
    assert!(settled(&dropped));
    assert_eq!(annotation(&dropped, "example.com/note"), Some("mine"));
}

#[test]
fn a_field_that_git_dropped_before_lockstep_came_is_shown_and_goes() {
    let server = Server::any();
    let plain = cluster(&server.namespace, "c", 1, "{mode: async}");
    server.kubectl_apply(&plain.replace(
        "spec:\n",
        "spec:\n  nonProductionOptions:\n    disableClusterPodAntiAffinity: true\n",
    ));
    patroni(&server, "c");
    let repo = Repo::with(&[("c.yaml", &plain)]);
    let diff = repo.run(&server.kubeconfig, &["diff"]);
    assert_eq!(diff.code, 1);
    assert!(
        diff.out
            .contains("-    disableClusterPodAntiAffinity: true"),
        "{}",
        diff.out
    );
    let _daemon = server.daemon(&repo, &[]);
    let live = server.until("c", "carried out", settled);
    assert_eq!(
        live["spec"]["nonProductionOptions"]["disableClusterPodAntiAffinity"],
        Value::Null
    );
}

#[test]
fn a_write_that_meets_another_is_planned_again_from_what_is() {
    let server = Server::any();
    let sized =
        |size: &str| cluster(&server.namespace, "c", 1, "{mode: async}").replace("10Gi", size);
    let repo = Repo::with(&[("c.yaml", &sized("1Gi"))]);
    patroni(&server, "c");
    // An ordinary conflict is told only to whoever asks for details.
    let mut daemon = server.daemon(&repo, &["-v"]);
    server.until("c", "carried out", settled);
    let busy = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let committing = scope.spawn(|| {
            let repo = repo;
            let meets = |number: &u32| {
                let size = format!("{number}Gi");
                repo.write("c.yaml", sized(&size));
                repo.commit(&size);
                daemon.says("it has changed meanwhile", Duration::from_secs(2))
            };
            let met = (2..60).find(meets);
            busy.store(false, Ordering::Relaxed);
            format!("{}Gi", met.expect("a write meets another"))
        });
        let mut count = 0;
        while busy.load(Ordering::Relaxed) {
            count += 1;
            let note =
                json!({"metadata": {"annotations": {"example.com/count": count.to_string()}}});
            server.edit("c", &note);
        }
        let wanted = committing.join().expect("it ends");
        let live = server.until("c", "as committed", |cluster| size(cluster) == wanted);
        let count = count.to_string();
        assert_eq!(annotation(&live, "example.com/count"), Some(count.as_str()));
    });
}

#[test]
fn a_cluster_whose_file_is_gone_is_left_alone_and_named() {
    let server = Server::any();
    let manifest = |name: &str| cluster(&server.namespace, name, 1, "{mode: async}");
    let repo = Repo::with(&[("gone.yaml", &manifest("gone")), ("c.yaml", &manifest("c"))]);
    let mut daemon = server.daemon(&repo, &[]);
    let page = page(&mut daemon);
    let gone = server.until("gone", "carried out", settled);
    server.until("c", "carried out", settled);
    repo.remove("gone.yaml");
    repo.commit("nobody needs it");
    let end = Instant::now() + PATIENCE;
    let said = loop {
        let report = ask(&page, "/api/report");
        let findings = report["findings"].as_array().cloned().unwrap_or_default();
        let found = findings.into_iter().find(|finding| {
            finding["id"] == "not-declared" && finding.to_string().contains("/gone")
        });
        if let Some(found) = found {
            break found;
        }
        assert!(Instant::now() < end, "nothing is said of it: {report:#}");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(said["level"], "note");
    let left = server.cluster("gone").expect("left alone");
    assert_eq!(version(&left), version(&gone));
    assert_eq!(repo.run(&server.kubeconfig, &["diff"]).code, 0);
}

/// Where the daemon's page is.
fn page(daemon: &mut Running) -> String {
    let line = daemon.line("watching");
    let from = line.find("http://").expect("an address") + "http://".len();
    line[from..]
        .chars()
        .take_while(|letter| letter.is_ascii_digit() || ".:".contains(*letter))
        .collect()
}

fn ask(address: &str, path: &str) -> Value {
    let mut stream = TcpStream::connect(address).expect("the page is there");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).unwrap_or_default()
}
