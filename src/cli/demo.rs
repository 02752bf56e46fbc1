//! `lockstep demo`: the whole thing on a simulated cluster, to play with or, with `--once`, told as a story.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::output::{self, palette};
use super::{Ending, run};
use crate::config::Flags;
use crate::model::plan::{ClusterPlan, ForceVerdict, Report, State};
use crate::run::demo::{self, MANIFEST, Settings, Stage};
use crate::show;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Play one story without a person, and end
    #[arg(long)]
    pub once: bool,
    /// Simulated seconds in a real one [default: 5, with --once 20]
    #[arg(long, value_name = "FACTOR", value_parser = super::speed)]
    speed: Option<f64>,
}

/// A scene of the story that takes longer has gone wrong.
const SCENE: Duration = Duration::from_secs(50);

pub async fn demo(arguments: &Arguments, flags: &Flags) -> anyhow::Result<Ending> {
    if arguments.once {
        return story(arguments.speed.unwrap_or(20.0)).await;
    }
    let listen = flags
        .listen
        .unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)));
    let settings = |listen| Settings {
        speed: arguments.speed.unwrap_or(5.0),
        listen: Some(listen),
        mode: "async",
    };
    let (stage, _) = match demo::set(settings(listen)).await {
        Ok(set) => set,
        // Something else may be at the usual port, and any other will do, unless one was asked for.
        Err(error) if flags.listen.is_some() => return Err(error),
        Err(_) => demo::set(settings(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))).await?,
    };
    output::data(&invitation(&stage))?;
    let cancel = CancellationToken::new();
    tokio::spawn(run::cancel_on_signal(cancel.clone()));
    cancel.cancelled().await;
    Ok(Ending::AsGitSays)
}

fn invitation(stage: &Stage) -> String {
    let repository = stage.repository.display();
    let kubeconfig = stage.kubeconfig.display();
    let page = stage
        .page
        .map(|page| format!("http://{page}"))
        .unwrap_or_default();
    format!(
        "\
Repository  {repository}
Page        {page}
Kubeconfig  {kubeconfig}

Three things to try in another terminal:

1. Commit another mode, and watch the steps on the page.
   cd {repository}
   sed -i 's/mode: async/mode: sync-all/' {MANIFEST}
   git commit -am 'sync-cluster: sync-all'

2. Change the live cluster past Git: it is reported as drift, with who did it, and left alone.
   export KUBECONFIG={kubeconfig}
   kubectl -n failover patch sgcluster sync-cluster --type merge -p '{{\"spec\":{{\"prometheusAutobind\":false}}}}'

3. Freeze a standby, commit a mode that needs it, and watch the step wait by name until it thaws.
   kubectl -n failover annotate pod sync-cluster-2 sandbox.lockstep.dev/fault=frozen
   sed -i 's/mode: sync-all/mode: strict-sync-all/' {MANIFEST}
   git commit -am 'sync-cluster: strict-sync-all'
   kubectl -n failover annotate pod sync-cluster-2 sandbox.lockstep.dev/fault-

Control-C ends the demo and removes its files.
"
    )
}

/// Git, steps, drift, table: what Lockstep is for, in one go.
async fn story(speed: f64) -> anyhow::Result<Ending> {
    let (mut stage, commit) = demo::set(Settings {
        speed,
        listen: None,
        mode: "async",
    })
    .await?;
    say(&format!(
        "# A commit declares a cluster of four instances, asynchronous to begin with ({commit}).\n\n"
    ))?;
    let created = until(&mut stage, "sync-cluster was never created", |plan| {
        plan.state == State::InSync && plan.steps.is_empty() && members(plan) == 4
    })
    .await?;
    say(&show::plan::headline(&created, &palette()))?;

    let commit = stage.commit_mode(
        "sync-all",
        "sync-cluster: every standby acknowledges each commit",
    )?;
    say(&format!(
        "\n# A second commit asks for sync-all ({commit}).\n\n"
    ))?;
    let reached = climb(&mut stage).await?;
    say("\n")?;
    say(&show::plan::headline(&reached, &palette()))?;

    say("\n# Somebody edits the live cluster by hand, past Git.\n\n")?;
    stage
        .edit_by_hand(&json!({"spec": {"prometheusAutobind": false}}))
        .await?;
    let (report, drifted) = until_report(&mut stage, "the edit was never noticed", |plan| {
        plan.state == State::Drifted
    })
    .await?;
    say(&show::plan::headline(&drifted, &palette()))?;
    say("\n")?;
    say(&show::diff::unified(&drifted, &report.source, &palette()))?;

    say(
        "\n# Meanwhile Patroni has what Git asked for: one leader, three synchronous standbys.\n\n",
    )?;
    let seen = drifted
        .observed
        .as_ref()
        .map(|seen| show::members::table(seen))
        .unwrap_or_default();
    say(&seen)?;
    Ok(Ending::AsGitSays)
}

/// Follows the second commit: its text diff, its steps, and the write with its gates once they are open.
async fn climb(stage: &mut Stage) -> anyhow::Result<Arc<ClusterPlan>> {
    let (report, pending) = until_report(stage, "the commit was never seen", |plan| {
        !plan.steps.is_empty()
    })
    .await?;
    say(&show::diff::unified(&pending, &report.source, &palette()))?;
    say("\n")?;
    say(&show::plan::cluster(&pending, &palette()))?;
    let mut told = report.written.len();
    loop {
        let (report, plan) = changed(stage, "the gates never opened").await?;
        for written in report.written.iter().skip(told) {
            say("\n")?;
            say(&show::plan::written(written, &palette()))?;
        }
        told = report.written.len();
        if plan.state == State::InSync
            && plan.in_force.verdict == ForceVerdict::InForce
            && plan.steps.is_empty()
        {
            return Ok(plan);
        }
    }
}

fn members(plan: &ClusterPlan) -> usize {
    plan.observed.as_ref().map_or(0, |seen| {
        seen.seen_members()
            .iter()
            .filter(|member| member.ready)
            .count()
    })
}

fn say(text: &str) -> anyhow::Result<()> {
    output::data(text)
}

/// The cluster's next plan that is news.
async fn changed(
    stage: &mut Stage,
    otherwise: &str,
) -> anyhow::Result<(Arc<Report>, Arc<ClusterPlan>)> {
    let wait = async {
        loop {
            stage.reports.changed().await?;
            let report = stage.reports.borrow_and_update().clone();
            let found = report.and_then(|report| {
                let plan = report
                    .clusters
                    .iter()
                    .find(|plan| plan.key == stage.cluster)
                    .cloned()?;
                Some((report, plan))
            });
            if let Some(found) = found {
                return anyhow::Ok(found);
            }
        }
    };
    timeout(SCENE, wait)
        .await
        .map_err(|_| anyhow::anyhow!("{otherwise} within {} s", SCENE.as_secs()))?
}

async fn until_report(
    stage: &mut Stage,
    otherwise: &str,
    holds: impl Fn(&ClusterPlan) -> bool,
) -> anyhow::Result<(Arc<Report>, Arc<ClusterPlan>)> {
    let wait = async {
        loop {
            let (report, plan) = changed(stage, otherwise).await?;
            if holds(&plan) {
                return anyhow::Ok((report, plan));
            }
        }
    };
    timeout(SCENE, wait)
        .await
        .map_err(|_| anyhow::anyhow!("{otherwise} within {} s", SCENE.as_secs()))?
}

async fn until(
    stage: &mut Stage,
    otherwise: &str,
    holds: impl Fn(&ClusterPlan) -> bool,
) -> anyhow::Result<Arc<ClusterPlan>> {
    Ok(until_report(stage, otherwise, holds).await?.1)
}
