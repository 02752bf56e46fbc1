//! `lockstep run`: the daemon with its page, until it is told to stop.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Ending, open};
use crate::config::Settings;
use crate::decide::check::Schemas;
use crate::edge::apiserver::{Reader, Scope};
use crate::edge::web::{self, metrics::Counters};
use crate::run::daemon::{Daemon, daemon};
use crate::run::observer::Observer;
use crate::run::reconcile::Reconciler;

pub async fn run(settings: Settings) -> anyhow::Result<Ending> {
    let source = open::source(&settings, Schemas::default())?;
    let client = open::client(&settings).await?;
    let cancel = CancellationToken::new();
    tokio::spawn(cancel_on_signal(cancel.clone()));
    let (reports, published) = watch::channel(None);
    let listener = web::listen(settings.listen).await?;
    let page = listener.local_addr()?;
    let counters = Counters::default();
    let site = web::Site {
        reports: published,
        counters: counters.clone(),
        // Elsewhere a proxy or a Service gives it a name of its own.
        hosts: if page.ip().is_loopback() {
            web::Hosts::Loopback
        } else {
            web::Hosts::Any
        },
    };
    tokio::spawn(web::serve(listener, site, cancel.clone()));
    tracing::info!(page = %format!("http://{page}"), repository = settings.repository, "watching");
    let reader = Reader::start(
        client.clone(),
        Scope {
            namespace: settings.namespace.clone(),
        },
        cancel.clone(),
    );
    let observer = Observer::new(reader, settings.idle_leader);
    let reconciler = Reconciler::new(observer, client.clone());
    daemon(
        Daemon::new(source, client, reconciler, reports).counting(counters),
        settings.interval,
        cancel,
    )
    .await;
    Ok(Ending::AsGitSays)
}

/// SIGINT and SIGTERM end the daemon between two writes; whatever it was doing is planned again at the next start.
pub async fn cancel_on_signal(cancel: CancellationToken) {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminated) => tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            },
            Err(_) => drop(interrupted.await),
        }
    }
    #[cfg(not(unix))]
    drop(interrupted.await);
    cancel.cancel();
}
