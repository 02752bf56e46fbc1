//! What manifests are held against where there is a server: its own definitions of the kinds that are carried out.

use std::sync::Arc;

use kube::Client;

use crate::decide::check::Schemas;
use crate::edge::apiserver::server_schema;
use crate::model::carried::Carried;

/// The schemas that the server has installed. A kind whose definition cannot be read is held against the operator's rules
/// alone, and the server has the last word when it is written.
pub async fn of_server(client: &Client) -> Schemas {
    let mut schemas = Schemas::default();
    for carried in Carried::ALL {
        if let Some(schema) = server_schema(client, &carried.kind()).await {
            schemas = schemas.with(carried, Arc::new(schema));
        }
    }
    schemas
}
