//! `lockstep check` and `lockstep review`: what can be said without a cluster.

use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;

use super::output::{self, palette};
use super::{Ending, ReviewOutput, open};
use crate::config::Settings;
use crate::decide::check::Schemas;
use crate::decide::desired::findings;
use crate::model::crd::Generation;
use crate::model::finding::{Finding, Level};
use crate::show;
use crate::show::findings::Tally;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Files or folders to check as they are [default: --revision of --repo]
    #[arg(value_name = "FILE|DIR")]
    files: Vec<PathBuf>,
    /// Generation of the StackGres definitions to check against
    #[arg(long, value_enum, default_value_t = StackGres::Current, value_name = "VERSION")]
    stackgres: StackGres,
    /// Form of the answer
    #[arg(short, long, value_enum, default_value_t = CheckOutput::Text)]
    output: CheckOutput,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StackGres {
    #[value(name = "1.16")]
    V1_16,
    Current,
}

impl StackGres {
    pub fn generation(self) -> Generation {
        match self {
            Self::V1_16 => Generation::V1_16,
            Self::Current => Generation::Current,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CheckOutput {
    Text,
    Json,
    Sarif,
    Github,
}

pub fn check(settings: &Settings, arguments: &Arguments) -> anyhow::Result<Ending> {
    let schemas = Schemas::of(arguments.stackgres.generation());
    let desired = if arguments.files.is_empty() {
        open::desired(settings, schemas)?
    } else {
        Arc::new(open::files(settings, &arguments.files, schemas)?)
    };
    let found = findings(&desired);
    let tally = Tally::of(&desired);
    match arguments.output {
        CheckOutput::Text => output::data(&show::findings::text(&found, tally, &palette()))?,
        CheckOutput::Json => output::json(&show::json::check(&desired.source, &found, tally))?,
        CheckOutput::Sarif => output::json(&show::findings::sarif(&found))?,
        CheckOutput::Github => output::data(&show::findings::github(&found))?,
    }
    Ok(Ending::remains_if(
        found.iter().any(|finding| finding.level == Level::Error),
    ))
}

pub fn review(
    settings: &Settings,
    base: &str,
    head: Option<&str>,
    stackgres: StackGres,
    form: ReviewOutput,
) -> anyhow::Result<Ending> {
    let mut source = open::source(settings, Schemas::of(stackgres.generation()))?;
    let review =
        tokio::task::block_in_place(|| crate::run::review::review(&mut source, base, head))?;
    let found: Vec<&Finding> = review
        .findings
        .iter()
        .chain(review.clusters.iter().flat_map(|cluster| &cluster.findings))
        .collect();
    match form {
        ReviewOutput::Markdown => output::data(&show::review::markdown(&review))?,
        ReviewOutput::Json => output::json(&show::json::review(&review))?,
        ReviewOutput::Sarif => output::json(&show::findings::sarif(&found))?,
    }
    let is_refused = review
        .clusters
        .iter()
        .any(|cluster| cluster.refused.is_some());
    Ok(Ending::remains_if(
        is_refused || found.iter().any(|finding| finding.level == Level::Error),
    ))
}
