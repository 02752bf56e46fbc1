//! What a person is told about a manifest: the seed's own first, then one slip at a time.

use std::collections::BTreeSet;
use std::fmt::Write;

use insta::assert_snapshot;

use super::*;
use crate::model::manifest;
use crate::model::yaml::Limits;

fn schemas() -> Schemas {
    Schemas::of(Generation::Current)
}

const SEED: &str = "\
apiVersion: stackgres.io/v1
kind: SGCluster
metadata: {namespace: failover, name: sync-cluster}
spec:
  postgres: {version: '16.1'}
  instances: 4
  sgInstanceProfile: 'size-s'
  pods: {persistentVolume: {size: '10Gi'}}
  configurations: {sgPostgresConfig: 'pgconfig1', sgPoolingConfig: 'poolconfig1'}
  prometheusAutobind: true
  nonProductionOptions: {disableClusterPodAntiAffinity: true}
  replication: {mode: sync-all, role: ha-read, syncInstances: 1}
";

fn told_by(text: &str, schemas: &Schemas) -> String {
    let file = manifest::read("c.yaml", text.as_bytes(), &Limits::default());
    let mut out = String::new();
    for object in &file.objects {
        let checked = object
            .document
            .as_ref()
            .map(|document| check(document, object.carried, schemas))
            .unwrap_or_default();
        for finding in object.findings.iter().chain(&checked) {
            let place = finding.place.as_ref().unwrap();
            let (line, column, level, id) =
                (place.line, place.column, finding.level.word(), finding.id);
            writeln!(out, "{line}:{column} {level}[{id}] {}", finding.message).unwrap();
            if let Some(help) = &finding.help {
                writeln!(out, "    {help}").unwrap();
            }
        }
    }
    out
}

/// The seed's manifest with some of its lines changed.
fn changed(changes: &[(&str, &str)]) -> String {
    let text = changes.iter().fold(
        SEED.replace("  prometheusAutobind: true\n", ""),
        |text, (old, new)| {
            assert!(text.contains(old), "{old}");
            text.replace(old, new)
        },
    );
    told_by(&text, &schemas())
}

const REPLICATION: &str = "{mode: sync-all, role: ha-read, syncInstances: 1}";

fn replication(instances: u32, section: &str) -> String {
    changed(&[
        ("instances: 4", &format!("instances: {instances}")),
        (REPLICATION, section),
    ])
}

#[test]
fn the_seed_is_told_where_its_field_went_and_what_has_no_effect() {
    assert_snapshot!(told_by(SEED, &schemas()), @"
    10:3 error[removed-field] spec.prometheusAutobind is no longer a field: it is gone since StackGres 1.17
        write spec.configurations.observability.prometheusAutobind instead
    12:48 note[sync-instances-ignored] syncInstances: 1 has no effect: in mode sync-all all 3 standbys are synchronous
        leave it out; it counts in mode sync and strict-sync only
    ");
}

#[test]
fn where_the_schema_still_has_the_field_it_is_deprecated() {
    let older = Schemas::of(Generation::V1_16);
    assert_snapshot!(told_by(SEED, &older), @"
    10:3 warning[deprecated-field] spec.prometheusAutobind is deprecated, and gone since StackGres 1.17
        write spec.configurations.observability.prometheusAutobind instead
    12:48 note[sync-instances-ignored] syncInstances: 1 has no effect: in mode sync-all all 3 standbys are synchronous
        leave it out; it counts in mode sync and strict-sync only
    ");
}

#[test]
fn a_slip_in_a_field_name_gets_the_name_that_was_meant() {
    assert_snapshot!(changed(&[("syncInstances", "syncIntances")]), @"
    11:48 error[unknown-field] unknown field `syncIntances` in spec.replication
        did you mean `syncInstances`?
    ");
    assert_snapshot!(changed(&[("  instances: 4", "  instances: 4\n  mode: sync-all")]), @"
    7:3 error[unknown-field] unknown field `mode` in spec
        see the indentation; there is spec.autoscaling.mode, spec.replication.mode, spec.replication.initialization.mode
    12:48 note[sync-instances-ignored] syncInstances: 1 has no effect: in mode sync-all all 3 standbys are synchronous
        leave it out; it counts in mode sync and strict-sync only
    ");
    assert_snapshot!(changed(&[("namespace: failover", "namespace: failover, lables: {a: b}")]), @"
    3:33 error[unknown-field] unknown field `lables` in metadata
        did you mean `labels`?
    11:48 note[sync-instances-ignored] syncInstances: 1 has no effect: in mode sync-all all 3 standbys are synchronous
        leave it out; it counts in mode sync and strict-sync only
    ");
    assert_snapshot!(changed(&[("spec:", "replication: {}\nspec:")]), @"
    4:1 error[unknown-field] unknown field `replication`
        see the indentation; there is spec.replication, spec.replicateFrom.users.replication, spec.configurations.credentials.users.replication
    12:48 note[sync-instances-ignored] syncInstances: 1 has no effect: in mode sync-all all 3 standbys are synchronous
        leave it out; it counts in mode sync and strict-sync only
    ");
    assert_snapshot!(changed(&[("{version: '16.1'}", "{version: '16.1', colour: red}")]), @"
    5:31 error[unknown-field] unknown field `colour` in spec.postgres
        the fields here are extensions, flavor, ssl, version
    11:48 note[sync-instances-ignored] syncInstances: 1 has no effect: in mode sync-all all 3 standbys are synchronous
        leave it out; it counts in mode sync and strict-sync only
    ");
}

#[test]
fn a_value_of_the_wrong_type_is_told_what_the_quotes_do() {
    assert_snapshot!(changed(&[("instances: 4", "instances: '4'")]), @r#"
    6:14 error[wrong-type] spec.instances is the text "4", and has to be a whole number: the quotes make it text
        remove the quotes: instances: 4
    "#);
    assert_snapshot!(changed(&[("'16.1'", "16.10")]), @"
    5:23 error[wrong-type] spec.postgres.version is a number, and has to be text: without quotes 16.10 is the number 16.1
        put quotes around it as it stands in the file
    11:48 note[sync-instances-ignored] syncInstances: 1 has no effect: in mode sync-all all 3 standbys are synchronous
        leave it out; it counts in mode sync and strict-sync only
    ");
    assert_snapshot!(changed(&[("disableClusterPodAntiAffinity: true", "disableClusterPodAntiAffinity: 'true'")]), @r#"
    10:57 error[wrong-type] spec.nonProductionOptions.disableClusterPodAntiAffinity is the text "true", and has to be a boolean (true or false): the quotes make it text
        remove the quotes: disableClusterPodAntiAffinity: true
    11:48 note[sync-instances-ignored] syncInstances: 1 has no effect: in mode sync-all all 3 standbys are synchronous
        leave it out; it counts in mode sync and strict-sync only
    "#);
    assert_snapshot!(changed(&[("instances: 4", "instances: -1")]), @"
    6:14 error[out-of-range] spec.instances is -1
        it has to be at least 0
    ");
    assert_snapshot!(changed(&[("instances: 4", "instances: many")]), @"6:14 error[wrong-type] spec.instances is text, and has to be a whole number");
    assert_snapshot!(changed(&[("instances: 4", "instances:")]), @"6:3 error[missing-field] spec.instances is required");
    assert_snapshot!(changed(&[("'10Gi'", "'10GB'")]), @r"
    8:35 error[wrong-format] spec.pods.persistentVolume.size cannot be `10GB`
        it has to match ^[0-9]+(\.[0-9]+)?(Mi|Gi|Ti)$
    11:48 note[sync-instances-ignored] syncInstances: 1 has no effect: in mode sync-all all 3 standbys are synchronous
        leave it out; it counts in mode sync and strict-sync only
    ");
    assert_snapshot!(changed(&[("{persistentVolume: {size: '10Gi'}}", "{}")]), @"
    8:3 error[missing-field] spec.pods.persistentVolume is required
    11:48 note[sync-instances-ignored] syncInstances: 1 has no effect: in mode sync-all all 3 standbys are synchronous
        leave it out; it counts in mode sync and strict-sync only
    ");
}

#[test]
fn a_number_that_cannot_be_instances_is_told_at_its_place() {
    assert_snapshot!(changed(&[("instances: 4", "instances: 4.0")]), @"
    6:14 error[out-of-range] spec.instances is 4.0, which is no number of instances
        write it as a small whole number
    ");
    assert_snapshot!(replication(4, "{mode: sync, syncInstances: 5000000000}"), @"
    11:44 error[out-of-range] spec.replication.syncInstances is 5000000000, and more than 1000 instances are not handled
        write it as a small whole number
    11:44 error[too-few-instances] mode sync with 5000000000 synchronous standbys needs at least 5000000001 instances; there are 4
        set spec.instances to 5000000001 or more, or spec.replication.syncInstances to 3 or less
    ");
}

#[test]
fn an_unknown_mode_or_role_gets_the_list() {
    assert_snapshot!(replication(4, "{mode: sync_all}"), @"
    11:23 error[unknown-mode] unknown replication mode `sync_all`
        did you mean `sync-all`? The words are async, sync, strict-sync, sync-all, strict-sync-all
    ");
    assert_snapshot!(replication(4, "{mode: quorum}"), @"
    11:23 error[unknown-mode] unknown replication mode `quorum`
        write one of async, sync, strict-sync, sync-all, strict-sync-all
    ");
    assert_snapshot!(replication(4, "{role: readonly}"), @"
    11:23 error[unknown-role] the role `readonly` is for groups only: instances in no group must be able to lead
        write one of ha-read, ha, and put the others into spec.replication.groups
    ");
    assert_snapshot!(replication(4, "{groups: [{role: replica, instances: 1}]}"), @"
    11:33 error[unknown-role] unknown role `replica`
        write one of ha-read, ha, readonly, none
    ");
    assert_snapshot!(changed(&[("instances: 4", "instances: 4\n  profile: prod")]), @"
    7:12 error[unknown-value] unknown profile `prod`
        write one of production, testing, development
    12:48 note[sync-instances-ignored] syncInstances: 1 has no effect: in mode sync-all all 3 standbys are synchronous
        leave it out; it counts in mode sync and strict-sync only
    ");
}

#[test]
fn what_the_operator_refuses_is_refused_before_it_is_sent() {
    assert_snapshot!(replication(3, "{mode: strict-sync, syncInstances: 3}"), @"
    11:51 error[too-few-instances] mode strict-sync with 3 synchronous standbys needs at least 4 instances; there are 3
        set spec.instances to 4 or more, or spec.replication.syncInstances to 2 or less
    ");
    assert_snapshot!(replication(1, "{mode: sync}"), @"
    11:23 error[too-few-instances] mode sync with 1 synchronous standby needs at least 2 instances; there is 1
        set spec.instances to 2 or more, or use mode async or sync-all
    ");
    assert_snapshot!(replication(3, "{groups: [{role: ha, instances: 2}, {role: ha, instances: 1}]}"), @"
    11:17 error[groups-too-large] the groups hold 3 of 3 instances, which leaves none in no group, and one of those has to lead
        set spec.instances to more than 3, or make the groups smaller
    ");
    let spec = |text: &str| changed(&[(REPLICATION, &format!("{{mode: async}}\n  {text}"))]);
    assert_snapshot!(spec("autoscaling: {maxInstances: 5}"), @"
    12:3 error[autoscaling-incomplete] autoscaling mode all needs minInstances
        write it, or set spec.autoscaling.mode, which is all where it is not written
    12:3 error[autoscaling-incomplete] autoscaling mode all needs minAllowed
        write it, or set spec.autoscaling.mode, which is all where it is not written
    12:3 error[autoscaling-incomplete] autoscaling mode all needs maxAllowed
        write it, or set spec.autoscaling.mode, which is all where it is not written
    12:3 note[autoscaling-all] autoscaling without a mode means mode all: horizontal and vertical
        write spec.autoscaling.mode
    ");
    assert_snapshot!(spec("autoscaling: {mode: vertical, minAllowed: {other: {cpu: '1'}}, maxAllowed: {envoy: {cpu: '1'}}}"), @"
    12:33 error[autoscaling-incomplete] spec.autoscaling.minAllowed names none of patroni, pgbouncer and envoy
        write it, or change spec.autoscaling.mode
    12:46 error[unknown-field] unknown field `other` in spec.autoscaling.minAllowed
        the fields here are envoy, patroni, pgbouncer
    ");
    assert_snapshot!(spec("replicateFrom: {instance: {sgCluster: a, external: {host: b, port: 1}}, storage: {}, users: {}}"), @"
    12:44 error[replicate-from] replicateFrom.instance names two instances
        write one of sgCluster and external
    12:75 error[missing-field] spec.replicateFrom.storage.path is required
    12:75 error[missing-field] spec.replicateFrom.storage.sgObjectStorage is required
    12:75 error[replicate-from] an SGCluster as the source excludes storage
        leave replicateFrom.storage out
    12:88 error[missing-field] spec.replicateFrom.users.authenticator is required
    12:88 error[missing-field] spec.replicateFrom.users.replication is required
    12:88 error[missing-field] spec.replicateFrom.users.superuser is required
    12:88 error[replicate-from] an SGCluster as the source brings its own users
        leave replicateFrom.users out
    ");
    assert_snapshot!(spec("replicateFrom: {instance: {external: {host: b, port: 1}}}"), @"
    12:3 error[replicate-from] a source outside this Kubernetes cluster needs users
        write replicateFrom.users with superuser, replication and authenticator
    ");
    assert_snapshot!(spec("replicateFrom: {}"), @"
    12:3 error[replicate-from] replicateFrom names no source
        write replicateFrom.instance, replicateFrom.storage, or both
    ");
    assert_snapshot!(spec("initialData: {scripts: []}"), @"
    12:17 error[refused-field] the operator refuses spec.initialData.scripts, which is there for old objects only
        write spec.managedSql.scripts instead
    ");
    assert_snapshot!(spec("managedSql: {scripts: [{id: 1, sgScript: a}, {id: -1, sgScript: b}, {id: 1, sgScript: c}]}"), @"
    12:76 error[duplicate-script-id] the script id 1 is given twice
        give each entry an id of its own, or none
    ");
    assert_snapshot!(spec("metadata: {labels: {clusterPods: {'a b': c, d: '-', e/f: g}}}"), @"
    12:37 error[invalid-label] `a b` cannot be the key of a label or annotation
        use at most 63 letters, digits, `-`, `_` and `.`, a letter or digit first and last; a key may have a DNS name and `/` before it
    12:47 error[invalid-label] `-` cannot be the value of a label
        use at most 63 letters, digits, `-`, `_` and `.`, a letter or digit first and last; a key may have a DNS name and `/` before it
    ");
    assert_snapshot!(changed(&[("{version: '16.1'}", "{version: '16.1', flavor: babelfish}"), (REPLICATION, "{mode: async}")]), @"
    5:39 error[babelfish] the flavor babelfish needs a feature gate
        add babelfish-flavor to spec.nonProductionOptions.enabledFeatureGates
    6:14 error[babelfish] the flavor babelfish allows one instance; there are 4
        set spec.instances to 1; no replication mode matters there
    ");
    assert_snapshot!(replication(4, "{initialization: {mode: FromReplika, backupNewerThan: 2 days}}"), @"
    11:40 error[unknown-value] unknown initialization mode `FromReplika`
        did you mean `FromReplica`? The words are FromPrimary, FromReplica, FromExistingBackup, FromNewlyCreatedBackup
    11:70 error[wrong-format] `2 days` is no duration
        write it as ISO 8601 does, such as P1DT12H or PT90M
    ");
}

#[test]
fn what_has_no_effect_or_another_one_is_told_at_its_line() {
    assert_snapshot!(replication(1, "{mode: strict-sync-all}"), @"
    11:23 warning[all-of-one] mode strict-sync-all with one instance is asynchronous: there is no standby
        set spec.instances to 2 or more
    ");
    assert_snapshot!(replication(3, "{mode: async, syncInstances: 2}"), @"
    11:30 note[sync-instances-ignored] syncInstances: 2 has no effect: in mode async no standby is synchronous
        leave it out; it counts in mode sync and strict-sync only
    ");
    assert_snapshot!(replication(3, "{mode: strict-sync, syncInstances: 2}"), @"
    11:23 note[strict-promises-one] strict holds commits back when no synchronous standby is left; with fewer than 2 the count shrinks silently
        alert on the number of synchronous standbys if all of them matter
    11:51 note[sync-without-slack] all 2 standbys are synchronous, so losing any one of them holds commits back until Patroni has noticed
        set spec.instances to 4 or more to avoid that
    ");
    assert_snapshot!(replication(0, "{mode: sync, syncInstances: 2}"), @"
    6:14 warning[no-instances] with 0 instances the database is stopped and all its Pods go
        the volumes stay; set it to 1 or more to start again
    ");
    assert_snapshot!(replication(3, "{mode: sync-all, role: ha}"), @"
    11:39 warning[no-read-service] with role ha and no group of role ha-read or readonly the -replicas Service has no Pod behind it
        use role ha-read, add a group, or set spec.postgresServices.replicas.enabled to false
    ");
    assert_snapshot!(replication(3, "{mode: sync-all, groups: [{role: readonly, instances: 2}]}"), @"
    11:33 warning[no-failover] only one instance can lead: the others are readonly or none, so there is no failover
        raise spec.instances, or give a group the role ha or ha-read
    11:33 note[sync-not-promotable] in mode sync-all each commit also waits for 2 members with role readonly or none, which can never lead
        mode sync with a count that promotable standbys can fill leaves them out
    ");
    assert_snapshot!(replication(4, "{mode: sync, syncInstances: 2, groups: [{role: none, instances: 2}]}"), @"
    11:47 note[sync-not-promotable] commits wait for 2 synchronous standbys, and only 1 standby can ever lead
        raise spec.instances, or give a group the role ha or ha-read
    ");
    let spec = |text: &str| changed(&[(REPLICATION, &format!("{{mode: sync-all}}\n  {text}"))]);
    assert_snapshot!(spec("autoscaling: {minInstances: 3, maxInstances: 2, minAllowed: {envoy: {}}, maxAllowed: {envoy: {}}}"), @"
    12:3 warning[autoscaling-sync-all] the autoscaler changes instances, and with mode sync-all the number of synchronous standbys, without any order
        use mode sync or strict-sync with a count below minInstances
    12:3 note[autoscaling-all] autoscaling without a mode means mode all: horizontal and vertical
        write spec.autoscaling.mode
    12:31 warning[autoscaling-bounds] minInstances 3 is above maxInstances 2
    ");
    assert_snapshot!(spec("replicateFrom: {instance: {sgCluster: a}}"), @"
    11:23 warning[replicate-from-async] mode sync-all has no effect while the cluster replicates from another
        Patroni ignores synchronous replication in a standby cluster; it counts once replicateFrom is removed
    ");
    assert_snapshot!(changed(&[("{sgPostgresConfig: 'pgconfig1', sgPoolingConfig: 'poolconfig1'}", "
    backups: [{}, {}]
    patroni:
      dynamicConfig:
        synchronous_mode: quorum
        synchronous_node_count: 2
        ttl: 20
        pause: true
        postgresql: {pg_hba: [], parameters: {}}"), ("disableClusterPodAntiAffinity: true", "enableSetPatroniCpuRequests: true")]), @"
    10:15 error[missing-field] spec.configurations.backups[0].sgObjectStorage is required
    10:19 error[missing-field] spec.configurations.backups[1].sgObjectStorage is required
    10:19 warning[only-first-backup] only the first of 2 backup configurations is used
        remove the others
    13:9 warning[dynamic-config-overwritten] synchronous_mode: quorum is not offered by StackGres, which reads a boolean here and may fail on text
        remove it, and set spec.replication.mode
    14:9 warning[dynamic-config-overwritten] synchronous_node_count has no effect: the operator writes it from spec.replication
        remove it, and set spec.replication
    15:14 warning[patroni-timing] loop_wait 10 + 2 × retry_timeout 10 is 30, more than ttl 20: the leader could lose its lock while it retries
        set ttl to 30 or more
    16:9 warning[dynamic-config-dropped] the operator drops pause, which it does not know
        remove it
    17:34 warning[dynamic-config-overwritten] postgresql.parameters has no effect: the operator writes all of postgresql but pg_hba
        parameters belong into the SGPostgresConfig
    18:26 note[without-effect] spec.nonProductionOptions.enableSetPatroniCpuRequests is deprecated and has no effect
        remove it
    19:48 note[sync-instances-ignored] syncInstances: 1 has no effect: in mode sync-all all 3 standbys are synchronous
        leave it out; it counts in mode sync and strict-sync only
    ");
    assert_snapshot!(replication(4, "{groups: [{role: ha, instances: 2, minInstances: 1}]}\n  autoscaling: {mode: none, minInstances: 3}"), @"
    11:48 warning[group-rewritten] the operator writes 1 here, whatever stands here: minInstances 1 × instances 4 ÷ the cluster's minInstances 3
        write 1
    ");
}

#[test]
fn a_document_with_endless_mistakes_gets_a_hundred_findings_and_stays_refused() {
    let wrong: String = (0..1000).fold(String::new(), |mut out, n| {
        writeln!(out, "  wrong{n}: 1").unwrap();
        out
    });
    let text = format!("{SEED}{wrong}");
    let file = manifest::read("c.yaml", text.as_bytes(), &Limits::default());
    let document = file.objects[0].document.as_ref().unwrap();
    let findings = check(document, Carried::Cluster, &schemas());
    assert_eq!(findings.len(), 101);
    assert!(refuses(&findings));
    assert_eq!(findings[100].id, "too-many-findings");
}

#[test]
fn what_only_the_server_writes_does_not_belong_into_git() {
    let metadata = "metadata: {namespace: failover, name: sync-cluster, uid: a, resourceVersion: '1', annotations: {lockstep.dev/applied: x, b: 1}}";
    assert_snapshot!(changed(&[("metadata: {namespace: failover, name: sync-cluster}", metadata), (REPLICATION, "{}\nstatus: {instances: 4}")]), @"
    3:53 error[server-field] metadata.uid is written by the API server
        remove it; `kubectl get -o yaml` prints it, and Git is not its place
    3:61 error[server-field] metadata.resourceVersion is written by the API server
        remove it; `kubectl get -o yaml` prints it, and Git is not its place
    3:97 warning[own-annotation] lockstep.dev/applied is Lockstep's own record and is left out
        remove it
    3:125 error[wrong-type] metadata.annotations.b is 1, and has to be text
        quote it: '1'
    12:1 error[server-field] status is written by the operator
        remove it; `kubectl get -o yaml` prints it, and Git is not its place
    ");
}

#[test]
fn supporting_objects_have_rules_of_their_own() {
    let text = "apiVersion: stackgres.io/v1\nkind: SGPostgresConfig\nmetadata: {namespace: a, name: b}\nspec:\n  postgresVersion: '16'\n  postgresql.conf: {port: '5433', work_mem: 1MB}\n";
    assert_snapshot!(told_by(text, &schemas()), @"
    6:21 error[refused-parameter] the operator keeps the parameter port to itself and refuses the object
        remove it
    ");
}

#[test]
fn an_annotation_of_lockstep_that_it_does_not_read_is_told() {
    let text = changed(&[(
        "name: sync-cluster}",
        "name: sync-cluster, annotations: {lockstep.dev/aprove: a, lockstep.dev/approve: b}}",
    )]);
    assert_snapshot!(text.lines().take(2).collect::<Vec<_>>().join("\n"), @"
    3:67 warning[own-annotation] lockstep.dev/aprove is no annotation that Lockstep reads
        write lockstep.dev/approve, or remove it
    ");
}

/// Ids written in the sources that make findings, as the first argument of a finding's or problem's constructor.
fn ids_in(source: &str) -> impl Iterator<Item = &str> {
    let starts = ["error(", "warning(", "note(", "one_of("];
    let after = starts
        .into_iter()
        .flat_map(|start| source.split(start).skip(1));
    after.filter_map(|text| {
        let text = text.trim_start();
        let text = text.strip_prefix("object,").unwrap_or(text).trim_start();
        let id = text.strip_prefix('"')?.split('"').next()?;
        let is_id = !id.is_empty()
            && id
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        is_id.then_some(id)
    })
}

#[test]
fn the_table_of_ids_holds_exactly_what_the_code_can_find() {
    let sources = [
        include_str!("../check.rs"),
        include_str!("effect.rs"),
        include_str!("fields.rs"),
        include_str!("metadata.rs"),
        include_str!("operator.rs"),
        include_str!("supporting.rs"),
        include_str!("../desired.rs"),
        include_str!("../../run/desired.rs"),
        include_str!("../../model/manifest.rs"),
        include_str!("../../model/manifest/name.rs"),
        include_str!("../../model/yaml.rs"),
        include_str!("../../model/yaml/events.rs"),
    ];
    let found: BTreeSet<&str> = sources.into_iter().flat_map(ids_in).collect();
    let listed: Vec<&str> = IDS.iter().map(|rule| rule.id).collect();
    assert!(listed.is_sorted(), "sort the table");
    let listed: BTreeSet<&str> = listed.into_iter().collect();
    let missing: Vec<_> = found.difference(&listed).collect();
    let idle: Vec<_> = listed.difference(&found).collect();
    assert!(
        missing.is_empty() && idle.is_empty(),
        "not in the table: {missing:?}; nowhere in the code: {idle:?}"
    );
}
