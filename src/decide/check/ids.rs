//! Every id that a finding about a manifest can have, with its gravest level and what it means.

use crate::model::finding::Level;

/// One kind of finding. Ids are stable: they stand in people's CI configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    pub id: &'static str,
    pub level: Level,
    pub what: &'static str,
}

const fn error(id: &'static str, what: &'static str) -> Rule {
    rule(id, Level::Error, what)
}

const fn warning(id: &'static str, what: &'static str) -> Rule {
    rule(id, Level::Warning, what)
}

const fn note(id: &'static str, what: &'static str) -> Rule {
    rule(id, Level::Note, what)
}

const fn rule(id: &'static str, level: Level, what: &'static str) -> Rule {
    Rule { id, level, what }
}

/// In alphabetical order.
pub const IDS: &[Rule] = &[
    warning(
        "all-of-one",
        "A mode that makes all standbys synchronous, with one instance",
    ),
    note("autoscaling-all", "Autoscaling without a mode means all"),
    warning(
        "autoscaling-below-sync",
        "The autoscaler may leave fewer instances than synchronous standbys need",
    ),
    warning("autoscaling-bounds", "minInstances is above maxInstances"),
    error(
        "autoscaling-incomplete",
        "Autoscaling lacks a bound that its mode needs",
    ),
    warning(
        "autoscaling-sync-all",
        "The autoscaler changes the number of synchronous standbys",
    ),
    error(
        "babelfish",
        "The flavor babelfish needs a feature gate and allows one instance",
    ),
    warning("byte-order-mark", "The file begins with a byte order mark"),
    error(
        "control-character",
        "A character that YAML does not allow or readers take differently",
    ),
    warning(
        "deprecated-field",
        "A field that newer versions of StackGres do not have",
    ),
    error("duplicate-item", "A list repeats what may stand in it once"),
    error(
        "duplicate-object",
        "Two documents of the repository name the same object",
    ),
    error(
        "duplicate-script-id",
        "Two entries of managedSql have the same id",
    ),
    warning(
        "dynamic-config-dropped",
        "A key of Patroni's configuration that the operator does not know",
    ),
    warning(
        "dynamic-config-overwritten",
        "A key of Patroni's configuration that the operator writes itself",
    ),
    error(
        "file-too-large",
        "The file is over the size limit and is not read",
    ),
    error("file-unreadable", "The file is there and cannot be read"),
    warning(
        "group-rewritten",
        "The operator writes another number of instances into a group",
    ),
    error(
        "groups-too-large",
        "The replication groups leave no instance over",
    ),
    error(
        "invalid-label",
        "A label or annotation that Kubernetes does not take",
    ),
    error(
        "invalid-name",
        "A name or namespace that the API server or the operator refuses",
    ),
    note(
        "kind-not-applied",
        "Documents of a kind that Lockstep does not carry out",
    ),
    error("list-without-items", "The items of a List cannot be read"),
    warning(
        "metrics-disagree",
        "Two fields for one setting say different things",
    ),
    error("missing-field", "A required field is not there"),
    error("missing-name", "metadata.name is not there"),
    error("missing-namespace", "metadata.namespace is not there"),
    error(
        "namespace-not-allowed",
        "The file's path may not name this namespace",
    ),
    warning("no-failover", "Only one instance can lead"),
    warning("no-files", "No file below the paths is a manifest"),
    warning("no-instances", "The cluster is stopped"),
    error(
        "no-kind",
        "A document of StackGres without kind or apiVersion",
    ),
    warning(
        "no-read-service",
        "No Pod stands behind the replicas Service",
    ),
    warning(
        "not-a-manifest",
        "A YAML file that is no Kubernetes manifest",
    ),
    error("not-utf8", "The file is not UTF-8"),
    warning(
        "only-first-backup",
        "Only the first backup configuration is used",
    ),
    error(
        "out-of-range",
        "A number, text or list that is too small or too large",
    ),
    warning(
        "own-annotation",
        "An annotation that Lockstep writes itself, or does not read",
    ),
    warning(
        "patroni-timing",
        "Patroni's ttl is too short for its retries",
    ),
    error("refused-field", "A field that the operator always refuses"),
    error(
        "refused-parameter",
        "A PostgreSQL parameter that the operator keeps to itself",
    ),
    error("removed-field", "A field that StackGres no longer has"),
    error(
        "replicate-from",
        "replicateFrom names no source, or contradicts itself",
    ),
    warning(
        "replicate-from-async",
        "A replication mode that has no effect in a standby cluster",
    ),
    warning(
        "replicate-from-same-name",
        "A source whose members would have the names of this cluster's",
    ),
    error("server-field", "A field that only the server writes"),
    note(
        "strict-promises-one",
        "Strict modes promise one synchronous standby, not all of the count",
    ),
    note(
        "sync-instances-ignored",
        "syncInstances has no effect in this mode",
    ),
    note(
        "sync-not-promotable",
        "Standbys that can never lead hold commits back",
    ),
    note(
        "sync-without-slack",
        "Every standby is synchronous, so each loss is felt",
    ),
    error(
        "too-few-instances",
        "Fewer instances than the synchronous standbys need",
    ),
    error(
        "too-many-documents",
        "The file holds more documents than the limit",
    ),
    note("too-many-findings", "More was found than is shown"),
    error("unknown-field", "A field that the kind does not have"),
    error("unknown-kind", "A kind that StackGres does not have"),
    error("unknown-mode", "A replication mode that does not exist"),
    error(
        "unknown-role",
        "A replication role that does not exist, or not here",
    ),
    error("unknown-value", "A word that the field does not take"),
    error(
        "unknown-whereabouts",
        "A cluster without a manifest while a file cannot be understood",
    ),
    error(
        "unreadable-document",
        "The YAML document around the object cannot be read",
    ),
    note("without-effect", "A field that has no effect any more"),
    error("wrong-api-version", "The kind is served in another version"),
    error(
        "wrong-format",
        "A text that does not have the form the field needs",
    ),
    error(
        "wrong-type",
        "A value of the wrong type, often by missing or needless quotes",
    ),
    error("yaml-alias", "An alias that cannot be resolved to a value"),
    error("yaml-ambiguous", "A value that kubectl reads differently"),
    warning(
        "yaml-base-60",
        "A value that other YAML 1.1 readers take for a number",
    ),
    error("yaml-duplicate-key", "A key stands in a mapping twice"),
    error("yaml-key", "A key that is not plain text"),
    error(
        "yaml-marker-content",
        "Content on the line of a document marker",
    ),
    error(
        "yaml-merge-key",
        "A merge key, which readers take differently",
    ),
    error("yaml-number", "A number that JSON cannot carry"),
    error(
        "yaml-readings-differ",
        "Two YAML readers do not agree on a value",
    ),
    error(
        "yaml-several-documents",
        "A document that no `---` line begins",
    ),
    error("yaml-syntax", "The text is not YAML"),
    error("yaml-tab", "A tab in the indentation"),
    error("yaml-tag", "A YAML tag"),
    error("yaml-too-deep", "Lists and mappings are nested too deep"),
    error(
        "yaml-too-many-aliases",
        "Aliases stand for more values than the limit",
    ),
    error(
        "yaml-too-many-problems",
        "So many problems in one document that the rest is not read",
    ),
];
