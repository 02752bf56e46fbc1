//! From what was typed, the environment and the configuration file to the settings of each part.
//!
//! A flag wins over its `LOCKSTEP_…` variable, the variable over the file, the file over the default. Unknown keys of the
//! file are refused. Nothing below the command line reads the environment or this file.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Deserialize;

use crate::decide::evidence::IdleLeader;
use crate::edge::apiserver::ConnectSettings;
use crate::edge::git;
use crate::edge::telemetry;

/// Flags that every command understands.
#[derive(Debug, Clone, Default, Args)]
pub struct Flags {
    /// Repository of the manifests: a path, or a file:// URL [default: .]
    #[arg(long, global = true, value_name = "PATH|URL", env = "LOCKSTEP_REPO")]
    pub repo: Option<String>,
    /// Branch, tag or commit to read [default: the checked-out branch]
    #[arg(long, global = true, value_name = "REV", env = "LOCKSTEP_REVISION")]
    pub revision: Option<String>,
    /// Folder of the repository to read; may be given more than once [default: all of it]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "LOCKSTEP_PATH",
        value_delimiter = ','
    )]
    pub path: Vec<String>,
    /// Read uncommitted files of the work tree instead of a revision
    #[arg(long, global = true, env = "LOCKSTEP_WORKTREE")]
    pub worktree: bool,
    /// How often to look for a new commit when nothing announces one, such as 30s or 5m [default: 1m]
    #[arg(long, global = true, value_name = "DURATION", env = "LOCKSTEP_INTERVAL", value_parser = period)]
    pub interval: Option<Duration>,
    /// Kubeconfig file [default: KUBECONFIG, then the Pod's own service account]
    #[arg(long, global = true, value_name = "FILE", env = "LOCKSTEP_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, global = true, value_name = "NAME", env = "LOCKSTEP_CONTEXT")]
    pub context: Option<String>,
    /// Only this namespace
    #[arg(
        short = 'n',
        long,
        global = true,
        value_name = "NAMESPACE",
        env = "LOCKSTEP_NAMESPACE"
    )]
    pub namespace: Option<String>,
    /// Address of the page, metrics and health checks [default: 127.0.0.1:8080]
    #[arg(long, global = true, value_name = "ADDR", env = "LOCKSTEP_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Configuration file (YAML)
    #[arg(long, global = true, value_name = "FILE", env = "LOCKSTEP_CONFIG")]
    pub config: Option<PathBuf>,
    /// When to colour [default: auto]
    #[arg(long, global = true, value_name = "WHEN", env = "LOCKSTEP_COLOR")]
    pub color: Option<Color>,
    /// Form of the log on standard error [default: text]
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        env = "LOCKSTEP_LOG_FORMAT"
    )]
    pub log_format: Option<LogFormat>,
    /// Log more; twice for still more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// The configuration file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(
    rename_all = "camelCase",
    deny_unknown_fields,
    default,
    expecting = "settings by their keys"
)]
struct File {
    repo: Option<String>,
    revision: Option<String>,
    path: Vec<String>,
    worktree: bool,
    interval: Option<String>,
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
    /// Whether a kubeconfig may start the program that its `exec` section names.
    allow_exec: bool,
    namespace: Option<String>,
    listen: Option<SocketAddr>,
    color: Option<Color>,
    log_format: Option<LogFormat>,
    gates: GatesFile,
    /// Path in the repository to the namespaces that manifests below it may name; `*` allows all.
    namespaces: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct GatesFile {
    idle_leader: Option<IdleLeaderWord>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum IdleLeaderWord {
    Pass,
    Hold,
}

/// What the parts are told, complete.
#[derive(Debug, Clone)]
pub struct Settings {
    pub repository: String,
    pub revision: Option<String>,
    pub paths: Vec<String>,
    pub worktree: bool,
    pub interval: Duration,
    pub kubeconfig: Option<PathBuf>,
    pub context: Option<String>,
    pub allow_exec: bool,
    pub namespace: Option<String>,
    pub listen: SocketAddr,
    pub color: Color,
    pub log_format: LogFormat,
    pub verbose: u8,
    pub idle_leader: IdleLeader,
    /// Path prefix in the repository to allowed namespaces; empty allows everything everywhere.
    pub namespaces: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, thiserror::Error)]
pub enum ReadSettingsError {
    #[error("cannot read the configuration file {}", file.display())]
    ReadFile {
        file: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot read the configuration file {}", file.display())]
    ParseFile {
        file: PathBuf,
        source: serde_yaml::Error,
    },
    #[error("cannot use `{key}: {value}` of the configuration file {}: {why}", file.display())]
    ParseValue {
        file: PathBuf,
        key: &'static str,
        value: String,
        why: String,
    },
}

const INTERVAL: Duration = Duration::from_secs(60);

impl Settings {
    /// For commands that must not touch what the configuration names: flags, and no file.
    pub fn of_flags(flags: &Flags) -> Self {
        let own = Flags {
            kubeconfig: None,
            context: None,
            repo: None,
            ..flags.clone()
        };
        Self::join(&own, File::default(), INTERVAL)
    }

    /// Joins flags (which carry the environment already) with the configuration file they name.
    pub fn read(flags: &Flags) -> Result<Self, ReadSettingsError> {
        let file = flags
            .config
            .as_deref()
            .map(File::read)
            .transpose()?
            .unwrap_or_default();
        let interval = match (flags.interval, &file.interval) {
            (Some(interval), _) => interval,
            (None, Some(text)) => period(text).map_err(|why| ReadSettingsError::ParseValue {
                file: flags.config.clone().unwrap_or_default(),
                key: "interval",
                value: text.clone(),
                why,
            })?,
            (None, None) => INTERVAL,
        };
        if let Some(path) = file.namespaces.keys().find(|path| leads_upward(path)) {
            return Err(ReadSettingsError::ParseValue {
                file: flags.config.clone().unwrap_or_default(),
                key: "namespaces",
                value: path.clone(),
                why: "it leads upward; write the path from the top of the repository".into(),
            });
        }
        Ok(Self::join(flags, file, interval))
    }

    fn join(flags: &Flags, file: File, interval: Duration) -> Self {
        Self {
            repository: flags
                .repo
                .clone()
                .or(file.repo)
                .unwrap_or_else(|| ".".into()),
            revision: flags.revision.clone().or(file.revision),
            paths: if flags.path.is_empty() {
                file.path
            } else {
                flags.path.clone()
            },
            worktree: flags.worktree || file.worktree,
            interval,
            kubeconfig: flags.kubeconfig.clone().or(file.kubeconfig),
            context: flags.context.clone().or(file.context),
            allow_exec: file.allow_exec,
            namespace: flags.namespace.clone().or(file.namespace),
            listen: flags
                .listen
                .or(file.listen)
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080))),
            color: flags.color.or(file.color).unwrap_or_default(),
            log_format: flags.log_format.or(file.log_format).unwrap_or_default(),
            verbose: flags.verbose,
            idle_leader: match file.gates.idle_leader {
                None | Some(IdleLeaderWord::Pass) => IdleLeader::Pass,
                Some(IdleLeaderWord::Hold) => IdleLeader::Hold,
            },
            namespaces: file.namespaces,
        }
    }
}

impl Settings {
    /// What `edge::git` is told.
    pub fn git(&self) -> git::Settings {
        git::Settings {
            repository: self.repository.clone(),
            revision: self.revision.clone(),
            paths: self.paths.clone(),
            worktree: self.worktree,
            limits: git::Limits::default(),
        }
    }

    /// What `edge::telemetry` is told.
    pub fn telemetry(&self, is_daemon: bool) -> telemetry::Settings {
        telemetry::Settings {
            format: match self.log_format {
                LogFormat::Text => telemetry::Format::Text,
                LogFormat::Json => telemetry::Format::Json,
            },
            verbose: self.verbose,
            is_daemon,
            coloured: match self.color {
                Color::Always => true,
                Color::Never => false,
                Color::Auto => {
                    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
                }
            },
        }
    }

    /// What `edge::apiserver` is told.
    pub fn connect(&self) -> ConnectSettings {
        ConnectSettings {
            kubeconfig: self.kubeconfig.clone(),
            context: self.context.clone(),
            allow_exec: self.allow_exec,
        }
    }
}

impl File {
    fn read(path: &Path) -> Result<Self, ReadSettingsError> {
        let text = std::fs::read_to_string(path).map_err(|source| ReadSettingsError::ReadFile {
            file: path.to_owned(),
            source,
        })?;
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        serde_yaml::from_str(&text).map_err(|source| ReadSettingsError::ParseFile {
            file: path.to_owned(),
            source,
        })
    }
}

/// No file of the repository lies below such a path, so its entry would allow nothing.
fn leads_upward(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}

/// A duration with its unit, such as `500ms`, `30s`, `5m` or `1h 30m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|_| {
        format!("`{text}` is not a duration: write a number with its unit, such as 30s or 5m")
    })?;
    Duration::try_from(span).map_err(|_| format!("`{text}` is a negative duration"))
}

/// How often something is done; never so often that nothing else is.
fn period(text: &str) -> Result<Duration, String> {
    const SHORTEST: Duration = Duration::from_millis(100);
    let period = duration(text)?;
    if period < SHORTEST {
        return Err(format!("`{text}` is too short: 100ms is the shortest"));
    }
    Ok(period)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_file(text: &str) -> Result<Settings, ReadSettingsError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lockstep.yaml");
        std::fs::write(&file, text).unwrap();
        Settings::read(&Flags {
            config: Some(file),
            repo: Some("flag".into()),
            ..Flags::default()
        })
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let settings = with_file("repo: file\ninterval: 5m\ngates: {idleLeader: hold}\n").unwrap();
        assert_eq!(settings.repository, "flag");
        assert_eq!(settings.interval, Duration::from_secs(300));
        assert_eq!(settings.idle_leader, IdleLeader::Hold);
        assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    }

    #[test]
    fn an_unknown_key_of_the_file_is_refused() {
        assert!(matches!(
            with_file("intervall: 5m\n"),
            Err(ReadSettingsError::ParseFile { .. })
        ));
        assert!(matches!(
            with_file("interval: soon\n"),
            Err(ReadSettingsError::ParseValue { .. })
        ));
    }

    #[test]
    fn a_duration_needs_its_unit() {
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert!(duration("30").is_err());
        assert!(duration("-3s").is_err());
        assert!(period("0s").is_err() && period("100ms").is_ok());
    }
}
