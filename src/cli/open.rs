//! Opens what the settings name: the repository, the API server, or both.

use std::path::PathBuf;
use std::sync::Arc;

use kube::Client;

use crate::config::Settings;
use crate::decide::check::Schemas;
use crate::decide::desired::{
    FileReading, NamespaceMap, Rules, assemble, narrowed, read_file, unreadable_file,
};
use crate::edge::apiserver::connect;
use crate::edge::files;
use crate::edge::git::Repository;
use crate::model::desired::{Desired, Source};
use crate::model::key::Key;
use crate::run::rules::of_server;
use crate::run::source::DesiredSource;
use crate::run::survey::Survey;

/// The repository, as a source of desired states held against these schemas.
pub fn source(settings: &Settings, schemas: Schemas) -> anyhow::Result<DesiredSource> {
    let repository = tokio::task::block_in_place(|| Repository::open(&settings.git()))?;
    Ok(DesiredSource::new(
        Arc::new(repository),
        schemas,
        NamespaceMap::new(&settings.namespaces),
        settings.namespace.clone(),
    ))
}

pub async fn client(settings: &Settings) -> anyhow::Result<Client> {
    Ok(connect(&settings.connect()).await?)
}

/// What the configured revision declares.
pub fn desired(settings: &Settings, schemas: Schemas) -> anyhow::Result<Arc<Desired>> {
    let mut source = source(settings, schemas)?;
    Ok(tokio::task::block_in_place(|| source.read())?)
}

/// What files on disk declare, whatever repository they lie in.
pub fn files(settings: &Settings, paths: &[PathBuf], schemas: Schemas) -> anyhow::Result<Desired> {
    let rules = Rules {
        schemas,
        ..Rules::default()
    };
    let readings: Vec<Arc<FileReading>> = files::read(paths)?
        .into_iter()
        .map(|text| match text.content {
            Ok(content) => read_file(&text.path, &content, &rules),
            Err(why) => unreadable_file(&text.path, &why),
        })
        .map(Arc::new)
        .collect();
    let source = Source {
        repository: ".".into(),
        revision: "files".into(),
        commit: None,
    };
    let desired = assemble(source, &readings, &NamespaceMap::new(&settings.namespaces));
    Ok(match &settings.namespace {
        Some(namespace) => narrowed(desired, namespace),
        None => desired,
    })
}

/// Git first, since it costs nothing; then the live side. The server's own definition of an SGCluster is the rule.
pub async fn survey(settings: &Settings, asked: &[Key]) -> anyhow::Result<(Survey, Client)> {
    let mut source = source(settings, Schemas::default())?;
    tokio::task::block_in_place(|| source.has_news())?;
    let client = client(settings).await?;
    source.hold_against(of_server(&client, Schemas::default()).await);
    let desired = tokio::task::block_in_place(|| source.read())?;
    let namespace = settings.namespace.as_deref();
    let survey = Survey::open(
        desired,
        client.clone(),
        namespace,
        settings.idle_leader,
        asked,
    )
    .await?;
    Ok((survey, client))
}
