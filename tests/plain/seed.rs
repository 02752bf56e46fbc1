//! A manifest with a field that StackGres has removed: carried out where the field is still there, refused where not.

use crate::harness::{Repo, Server, cluster, mode};
use crate::{annotation, settled};

fn seed(namespace: &str) -> String {
    format!(
        "apiVersion: stackgres.io/v1
kind: SGCluster
metadata: {{namespace: {namespace}, name: sync-cluster}}
spec:
  postgres: {{version: '16.1'}}
  instances: 4
  sgInstanceProfile: 'size-s'
  pods: {{persistentVolume: {{size: '10Gi'}}}}
  configurations: {{sgPostgresConfig: 'pgconfig1', sgPoolingConfig: 'poolconfig1'}}
  prometheusAutobind: true
  nonProductionOptions: {{disableClusterPodAntiAffinity: true}}
  replication: {{mode: sync-all, role: ha-read, syncInstances: 1}}
"
    )
}

#[test]
fn the_older_definitions_take_it_as_it_stands() {
    let server = Server::sandbox(&["--simulate", "none", "--stackgres", "1.16"]);
    let repo = Repo::with(&[("seed.yaml", &seed(&server.namespace))]);
    let _daemon = server.daemon(&repo, &[]);
    let live = server.until("sync-cluster", "created", |_| true);
    assert_eq!(mode(&live), "async");
    assert_eq!(live["spec"]["prometheusAutobind"], true);
    assert_eq!(live["spec"]["instances"], 4);
    assert!(annotation(&live, "lockstep.dev/applying").is_some());
}

#[test]
fn todays_definitions_refuse_it_at_its_line_and_the_rest_goes_on() {
    let server = Server::any();
    let other = cluster(&server.namespace, "other", 1, "{mode: async}");
    let repo = Repo::with(&[
        ("clusters/seed.yaml", &seed(&server.namespace)),
        ("clusters/other.yaml", &other),
    ]);
    let mut daemon = server.daemon(&repo, &[]);
    server.until("other", "carried out", settled);
    daemon.line("refused");
    assert_eq!(server.cluster("sync-cluster"), None);
    let key = format!("{}/sync-cluster", server.namespace);
    let plan = repo.run(&server.kubeconfig, &["plan", &key]);
    assert_eq!(plan.code, 1);
    let told = format!("{}{}", plan.out, plan.err);
    for wanted in [
        "clusters/seed.yaml:10:3",
        "spec.prometheusAutobind",
        "spec.configurations.observability.prometheusAutobind",
    ] {
        assert!(told.contains(wanted), "no `{wanted}` in:\n{told}");
    }
}
