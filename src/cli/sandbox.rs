//! `lockstep sandbox`: the embedded API server alone, for whoever wants to try something on it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;
use tokio_util::sync::CancellationToken;

use super::check::StackGres;
use super::output;
use super::{Ending, run};
use crate::config::Flags;
use crate::edge::sandbox::simulation::{self, Simulation, Webhooks};
use crate::edge::sandbox::{Settings, start};
use crate::model::crd::definitions;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Write a kubeconfig to this new file
    #[arg(long, value_name = "FILE")]
    write_kubeconfig: Option<PathBuf>,
    /// Who reconciles: a simulated StackGres with Patroni, or nobody
    #[arg(long, value_enum, default_value_t = Simulate::Stackgres)]
    simulate: Simulate,
    /// Simulated seconds in a real one
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR", value_parser = super::speed)]
    speed: f64,
    /// Generation of the StackGres definitions
    #[arg(long, value_enum, default_value_t = StackGres::Current, value_name = "VERSION")]
    stackgres: StackGres,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Simulate {
    Stackgres,
    None,
}

pub async fn sandbox(arguments: Arguments, flags: &Flags) -> anyhow::Result<Ending> {
    let simulated = arguments.simulate == Simulate::Stackgres;
    let settings = Settings {
        listen: flags
            .listen
            .unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        admission: if simulated {
            Some(Arc::new(Webhooks::default()))
        } else {
            None
        },
        ..Settings::default()
    };
    let sandbox = start(settings).await?;
    sandbox.install(definitions(arguments.stackgres.generation()))?;
    let simulation = simulated.then(|| {
        let settings = simulation::Settings {
            speed: arguments.speed,
        };
        Simulation::start(sandbox.client("stackgres-operator"), settings)
    });
    if let Some(path) = &arguments.write_kubeconfig {
        sandbox.write_kubeconfig(path)?;
    }
    output::data(&format!("http://{}\n", sandbox.address))?;
    if let Some(path) = &arguments.write_kubeconfig {
        output::aside(&format!(
            "try: kubectl --kubeconfig {} get sgclusters -A",
            path.display()
        ));
    }
    let cancel = CancellationToken::new();
    tokio::spawn(run::cancel_on_signal(cancel.clone()));
    cancel.cancelled().await;
    drop(simulation);
    sandbox.shutdown().await;
    Ok(Ending::AsGitSays)
}
