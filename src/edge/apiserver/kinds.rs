//! The kinds that are watched, and how each is asked for: its resource name, its selector, and what its absence means.
//!
//! A closed list. Secrets are not on it and never will be.

use kube::api::ApiResource;

use crate::model::key::Kind;

const GROUP: &str = "stackgres.io";

/// One watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Watched {
    Clusters,
    Pods,
    StatefulSets,
    Endpoints,
    Operations,
    Backups,
    InstanceProfiles,
    PostgresConfigs,
    PoolingConfigs,
    ObjectStorages,
}

impl Watched {
    pub const ALL: [Watched; 10] = [
        Watched::Clusters,
        Watched::Pods,
        Watched::StatefulSets,
        Watched::Endpoints,
        Watched::Operations,
        Watched::Backups,
        Watched::InstanceProfiles,
        Watched::PostgresConfigs,
        Watched::PoolingConfigs,
        Watched::ObjectStorages,
    ];

    /// Group, version, kind and plural, as each StackGres CRD serves exactly one version (domain §7).
    fn names(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Clusters => (GROUP, "v1", "SGCluster", "sgclusters"),
            Self::Pods => ("", "v1", "Pod", "pods"),
            Self::StatefulSets => ("apps", "v1", "StatefulSet", "statefulsets"),
            Self::Endpoints => ("", "v1", "Endpoints", "endpoints"),
            Self::Operations => (GROUP, "v1", "SGDbOps", "sgdbops"),
            Self::Backups => (GROUP, "v1", "SGBackup", "sgbackups"),
            Self::InstanceProfiles => (GROUP, "v1", "SGInstanceProfile", "sginstanceprofiles"),
            Self::PostgresConfigs => (GROUP, "v1", "SGPostgresConfig", "sgpgconfigs"),
            Self::PoolingConfigs => (GROUP, "v1", "SGPoolingConfig", "sgpoolconfigs"),
            Self::ObjectStorages => (GROUP, "v1beta1", "SGObjectStorage", "sgobjectstorages"),
        }
    }

    pub fn kind(self) -> Kind {
        let (group, version, kind, _) = self.names();
        Kind {
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
        }
    }

    /// The bare kind, as people say it.
    pub fn word(self) -> &'static str {
        self.names().2
    }

    /// The resource as RBAC names it: `sgclusters.stackgres.io`, `pods`.
    pub fn resource(self) -> String {
        let (group, _, _, plural) = self.names();
        if group.is_empty() {
            plural.to_owned()
        } else {
            format!("{plural}.{group}")
        }
    }

    pub fn api_resource(self) -> ApiResource {
        let (group, version, kind, plural) = self.names();
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: self.kind().api_version(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        }
    }

    /// StackGres labels what it makes (domain §3.1); the kinds that people write carry no label.
    pub fn selector(self) -> Option<&'static str> {
        match self {
            Self::Pods | Self::StatefulSets => {
                Some("app=StackGresCluster,stackgres.io/cluster=true")
            }
            Self::Endpoints => Some("app=StackGresCluster"),
            Self::Clusters
            | Self::Operations
            | Self::Backups
            | Self::InstanceProfiles
            | Self::PostgresConfigs
            | Self::PoolingConfigs
            | Self::ObjectStorages => None,
        }
    }

    /// Whether a server without this kind simply has none of them. Without SGCluster there is nothing to reconcile, and a
    /// server without Pods is not one that could be judged.
    pub fn may_be_missing(self) -> bool {
        match self {
            Self::Clusters | Self::Pods | Self::StatefulSets | Self::Endpoints => false,
            Self::Operations
            | Self::Backups
            | Self::InstanceProfiles
            | Self::PostgresConfigs
            | Self::PoolingConfigs
            | Self::ObjectStorages => true,
        }
    }

    pub fn is_supporting(self) -> bool {
        matches!(
            self,
            Self::InstanceProfiles
                | Self::PostgresConfigs
                | Self::PoolingConfigs
                | Self::ObjectStorages
        )
    }

    /// The watch of a kind; `None` for a kind that is not watched in just this group and version.
    pub fn of(kind: &Kind) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|watched| watched.kind() == *kind)
    }

    /// Whether Lockstep ever writes objects of this kind.
    pub fn is_written(self) -> bool {
        self == Self::Clusters || self.is_supporting()
    }
}
