//! What manifests are held against where there is a server: its own definitions of the kinds that are carried out.

use std::sync::Arc;

use futures::future::join_all;
use kube::Client;

use crate::decide::check::Schemas;
use crate::edge::apiserver::server_schema;
use crate::model::carried::Carried;

/// The schemas that the server has installed now. A kind whose definition cannot be read keeps the one in `known`; where
/// there is none it is held against the operator's rules alone, and the server has the last word when it is written.
pub async fn of_server(client: &Client, known: Schemas) -> Schemas {
    let read = join_all(
        Carried::ALL.map(async |carried| (carried, server_schema(client, &carried.kind()).await)),
    )
    .await;
    read.into_iter()
        .fold(known, |schemas, (carried, schema)| match schema {
            Some(schema) => schemas.with(carried, Arc::new(schema)),
            None => schemas,
        })
}
