//! The log: lines on standard error, as text for people or as JSON for collectors.
//!
//! Nothing is sent anywhere. Which events are written is said by `LOCKSTEP_LOG` (directives such as
//! `lockstep=debug,kube=info`), else by how often `-v` was given; colours are the caller's decision. In JSON a span's own
//! name is its key `name`, so no span has a field of that name.

use std::io;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The variable that overrides everything else about which events are written.
pub const VARIABLE: &str = "LOCKSTEP_LOG";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    #[default]
    Text,
    /// One object a line.
    Json,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    pub format: Format,
    /// How often `-v` was given.
    pub verbose: u8,
    /// A daemon says what it does; a command says what goes wrong.
    pub is_daemon: bool,
    pub coloured: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum StartTelemetryError {
    #[error("cannot read the log directives `{directives}` of {VARIABLE}")]
    ReadDirectives {
        directives: String,
        source: tracing_subscriber::filter::ParseError,
    },
    #[error("cannot install the log: there is one already")]
    Install {
        source: tracing_subscriber::util::TryInitError,
    },
}

/// Starts logging for the whole process; once.
pub fn start(settings: &Settings) -> Result<(), StartTelemetryError> {
    let directives = std::env::var(VARIABLE).ok();
    let filter = filter(settings, directives.as_deref())?;
    subscriber(settings, filter, io::stderr)
        .try_init()
        .map_err(|source| StartTelemetryError::Install { source })
}

fn filter(settings: &Settings, directives: Option<&str>) -> Result<EnvFilter, StartTelemetryError> {
    let directives = match directives.map(str::trim) {
        Some(given) if !given.is_empty() => given,
        _ => default_directives(settings),
    };
    EnvFilter::try_new(directives).map_err(|source| StartTelemetryError::ReadDirectives {
        directives: directives.to_owned(),
        source,
    })
}

fn default_directives(settings: &Settings) -> &'static str {
    // What libraries say below a warning is of use only to whoever asks for everything.
    match (settings.verbose, settings.is_daemon) {
        // A command's answer names what failed, once; the parts that meet it need not say it too.
        (0, false) => {
            "warn,notify=error,kube_client=off,kube_runtime=off,lockstep::edge::apiserver=error,lockstep::run=error"
        }
        (0, true) | (1, false) => {
            "warn,notify=error,kube_client=off,kube_runtime=off,lockstep=info"
        }
        (1, true) | (2, false) => "info,lockstep=debug",
        (2.., true) | (3.., false) => "debug,lockstep=trace",
    }
}

fn subscriber<W>(
    settings: &Settings,
    filter: EnvFilter,
    writer: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let registry = tracing_subscriber::registry().with(filter);
    match settings.format {
        Format::Text => Box::new(
            registry.with(
                fmt::layer()
                    .with_writer(writer)
                    .with_ansi(settings.coloured)
                    .with_target(settings.verbose > 0),
            ),
        ),
        Format::Json => Box::new(
            registry.with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_span_list(false)
                    .with_writer(writer),
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(settings: &Settings, directives: Option<&str>, log: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let filter = filter(settings, directives).unwrap();
        let subscriber = subscriber(settings, filter, move || writer.clone());
        tracing::subscriber::with_default(subscriber, log);
        String::from_utf8(sink.0.lock().unwrap().clone()).unwrap()
    }

    fn events() {
        let span = tracing::error_span!("cluster", cluster = "failover/db");
        let _entered = span.enter();
        tracing::warn!("warned");
        tracing::info!(steps = 2, "informed");
        tracing::debug!("debugged");
    }

    #[test]
    fn a_command_says_what_goes_wrong_and_a_daemon_what_it_does() {
        let command = written(&Settings::default(), None, events);
        assert!(command.contains("warned") && !command.contains("informed"));
        let daemon = Settings {
            is_daemon: true,
            ..Settings::default()
        };
        let text = written(&daemon, None, events);
        assert!(
            text.contains("cluster{cluster=\"failover/db\"}: informed steps=2"),
            "{text}"
        );
        assert!(!text.contains("debugged"));
        let more = Settings {
            verbose: 1,
            ..daemon
        };
        assert!(written(&more, None, events).contains("debugged"));
    }

    #[test]
    fn the_variable_has_the_last_word_and_must_be_readable() {
        let text = written(&Settings::default(), Some("lockstep=debug"), events);
        assert!(text.contains("debugged"));
        let error = filter(&Settings::default(), Some("lockstep=loud")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read the log directives `lockstep=loud` of LOCKSTEP_LOG"
        );
    }

    #[test]
    fn a_message_cannot_act_on_the_terminal() {
        let text = written(&Settings::default(), None, || {
            tracing::warn!("a\u{1b}[2Jb {}", "\u{1b}[31m");
        });
        assert!(!text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn json_is_one_object_a_line() {
        let settings = Settings {
            format: Format::Json,
            is_daemon: true,
            ..Settings::default()
        };
        let text = written(&settings, None, events);
        assert_eq!(text.lines().count(), 2);
        let line: serde_json::Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
        assert_eq!(line["message"], "informed");
        assert_eq!(line["steps"], 2);
        assert_eq!(line["span"]["cluster"], "failover/db");
    }
}
