//! The command line: what was typed becomes a call of `run`, and its answer words and an exit code.
//!
//! Errors become words and exit codes here and nowhere else. Data goes to standard output, everything else to standard
//! error. 0: as Git says; 1: something differs, remains or is refused; 2: the command could not do its work, and 2 beats 1.

mod apply;
mod ask;
mod check;
mod demo;
mod hint;
mod open;
mod output;
mod run;
mod sandbox;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};

use crate::config::{Flags, Settings, duration};
use crate::edge::telemetry;
use crate::model::key::Key;

/// GitOps for StackGres PostgreSQL clusters: replication changes are applied in order.
#[derive(Debug, Parser)]
#[command(name = "lockstep", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try it: a simulated cluster, an example repository, the daemon and its page, in one process
    Demo(demo::Arguments),
    /// Watch the repository and the cluster, and carry out every commit in order
    Run,
    /// Show where Git and live differ, as text diffs
    Diff {
        #[command(flatten)]
        clusters: Clusters,
        /// Form of the answer
        #[arg(short, long, value_enum, default_value_t = DiffOutput::Text)]
        output: DiffOutput,
    },
    /// Show the ordered steps to Git's state, with the gates that hold them
    Plan {
        #[command(flatten)]
        clusters: Clusters,
        /// Look for so long before judging: gates that need more than one look stay unknown otherwise
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        observe: Option<Duration>,
        /// Form of the answer
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Carry out the next open step of each cluster, or name what it waits for
    Apply {
        #[command(flatten)]
        clusters: Clusters,
        /// Go on until everything is in sync, for so long at most
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        wait: Option<Duration>,
        /// Form of the answer
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Show the members as `patronictl list` does, and the durability in force
    Status {
        #[command(flatten)]
        clusters: Clusters,
        /// Form of the answer
        #[arg(short, long, value_enum, default_value_t = Output::Text)]
        output: Output,
    },
    /// Check manifests without a cluster
    Check(check::Arguments),
    /// Show what a pull request would do, without a cluster
    Review {
        /// Revision that the change starts from
        #[arg(long, value_name = "REV")]
        base: String,
        /// Revision that holds the change [default: --revision, or the checked-out branch]
        #[arg(long, value_name = "REV")]
        head: Option<String>,
        /// Generation of the StackGres definitions to check against
        #[arg(long, value_enum, default_value_t = check::StackGres::Current, value_name = "VERSION")]
        stackgres: check::StackGres,
        /// Form of the answer
        #[arg(short, long, value_enum, default_value_t = ReviewOutput::Markdown)]
        output: ReviewOutput,
    },
    /// Start the embedded API server alone
    Sandbox(sandbox::Arguments),
}

#[derive(Debug, Clone, clap::Args)]
struct Clusters {
    /// Clusters to look at [default: all]
    #[arg(value_name = "NAMESPACE/NAME")]
    clusters: Vec<Key>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DiffOutput {
    Text,
    Json,
    Markdown,
    Html,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReviewOutput {
    Markdown,
    Json,
    Sarif,
}

/// How much faster than life a simulation runs.
fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if (0.1..=1000.0).contains(&factor) => Ok(factor),
        _ => Err(format!("`{text}` is not a factor between 0.1 and 1000")),
    }
}

/// How a command that could do its work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    AsGitSays,
    SomethingRemains,
}

impl Ending {
    fn remains_if(something: bool) -> Self {
        if something {
            Self::SomethingRemains
        } else {
            Self::AsGitSays
        }
    }
}

/// Parses, runs, and answers with the exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return output::usage(&error),
    };
    output::colour(cli.flags.color.unwrap_or_default());
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return output::failure(&anyhow::Error::new(error)),
    };
    let ended = runtime.block_on(command(cli));
    // A watch of the file system may sit in a blocking call; nobody waits for it.
    runtime.shutdown_background();
    match ended {
        Ok(Ending::AsGitSays) => ExitCode::SUCCESS,
        Ok(Ending::SomethingRemains) => ExitCode::from(1),
        Err(error) => output::failure(&error),
    }
}

async fn command(cli: Cli) -> anyhow::Result<Ending> {
    let settings = match &cli.command {
        Command::Demo(_) | Command::Sandbox(_) => Settings::of_flags(&cli.flags),
        _ => Settings::read(&cli.flags)?,
    };
    output::colour(settings.color);
    let is_daemon = match &cli.command {
        Command::Run | Command::Sandbox(_) => true,
        Command::Demo(arguments) => !arguments.once,
        _ => false,
    };
    telemetry::start(&settings.telemetry(is_daemon))?;
    match cli.command {
        Command::Demo(arguments) => demo::demo(&arguments, &cli.flags).await,
        Command::Run => run::run(settings).await,
        Command::Diff { clusters, output } => {
            ask::diff(&settings, &clusters.clusters, output).await
        }
        Command::Plan {
            clusters,
            observe,
            output,
        } => ask::plan(&settings, &clusters.clusters, observe, output).await,
        Command::Apply {
            clusters,
            wait,
            output,
        } => apply::apply(&settings, &clusters.clusters, wait, output).await,
        Command::Status { clusters, output } => {
            ask::status(&settings, &clusters.clusters, output).await
        }
        Command::Check(arguments) => check::check(&settings, &arguments),
        Command::Review {
            base,
            head,
            stackgres,
            output,
        } => check::review(&settings, &base, head.as_deref(), stackgres, output),
        Command::Sandbox(arguments) => sandbox::sandbox(arguments, &cli.flags).await,
    }
}
