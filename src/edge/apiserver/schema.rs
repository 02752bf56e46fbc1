//! The schema that the API server itself holds against a kind, read once from its CustomResourceDefinition.

use std::time::Duration;

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};
use tokio::time::timeout;

use super::failure::Failure;
use super::kinds::Watched;
use crate::model::key::Kind;
use crate::model::schema::Schema;

/// A check without the server's schema is better than one that waits.
const ANSWER: Duration = Duration::from_secs(5);

/// The schema of a StackGres kind as it is installed; `None` where it is not, or where definitions may not be read.
pub async fn server_schema(client: &Client, kind: &Kind) -> Option<Schema> {
    let watched = Watched::of(kind)?;
    let definitions = ApiResource {
        group: "apiextensions.k8s.io".into(),
        version: "v1".into(),
        api_version: "apiextensions.k8s.io/v1".into(),
        kind: "CustomResourceDefinition".into(),
        plural: "customresourcedefinitions".into(),
    };
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &definitions);
    let name = watched.resource();
    let definition = match timeout(ANSWER, api.get_opt(&name)).await {
        Ok(Ok(definition)) => definition?,
        Ok(Err(error)) => {
            let why = Failure::of(&error, "get", watched);
            tracing::debug!(%kind, %why, "the installed schema cannot be read");
            return None;
        }
        Err(_) => {
            tracing::debug!(%kind, "the installed schema does not come");
            return None;
        }
    };
    match Schema::of_definition(&definition.data, &kind.version) {
        Ok(schema) => Some(schema),
        Err(why) => {
            tracing::warn!(%kind, why, "the installed schema is not understood");
            None
        }
    }
}
