//! The schema that the API server itself holds against a kind, read once from its CustomResourceDefinition.

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};

use super::kinds::Watched;
use crate::model::key::Kind;
use crate::model::schema::Schema;

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
    let definition = match api.get_opt(&watched.resource()).await {
        Ok(definition) => definition?,
        Err(error) => {
            tracing::debug!(%kind, %error, "the installed schema cannot be read");
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
