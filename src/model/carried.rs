//! The kinds of StackGres that Lockstep carries out, and those it knows by name only.

use super::key::Kind;

/// The API group of StackGres.
pub const GROUP: &str = "stackgres.io";

/// The kinds that Lockstep carries out, in the order in which they are applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Carried {
    ObjectStorage,
    InstanceProfile,
    PostgresConfig,
    PoolingConfig,
    Cluster,
}

impl Carried {
    pub const ALL: [Carried; 5] = [
        Self::ObjectStorage,
        Self::InstanceProfile,
        Self::PostgresConfig,
        Self::PoolingConfig,
        Self::Cluster,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::ObjectStorage => "SGObjectStorage",
            Self::InstanceProfile => "SGInstanceProfile",
            Self::PostgresConfig => "SGPostgresConfig",
            Self::PoolingConfig => "SGPoolingConfig",
            Self::Cluster => "SGCluster",
        }
    }

    /// The one version that is served.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::ObjectStorage => "stackgres.io/v1beta1",
            Self::InstanceProfile | Self::PostgresConfig | Self::PoolingConfig | Self::Cluster => {
                "stackgres.io/v1"
            }
        }
    }

    pub fn kind(self) -> Kind {
        Kind::from_api_version(self.api_version(), self.word())
    }

    /// `None` where the kind is not carried out, or is of another version.
    pub fn of(kind: &Kind) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|carried| carried.kind() == *kind)
    }
}

/// The group's other kinds; a kind that is neither here nor carried is most likely misspelt.
pub const OTHER_KINDS: [&str; 10] = [
    "SGBackup",
    "SGBackupConfig",
    "SGConfig",
    "SGDbOps",
    "SGDistributedLogs",
    "SGScript",
    "SGShardedBackup",
    "SGShardedCluster",
    "SGShardedDbOps",
    "SGStream",
];
