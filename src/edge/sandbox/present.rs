//! The forms in which an object can be asked for: itself, its metadata alone, or a row of a table.
//!
//! The `Accept` header chooses; the first form in it that is known is taken.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::failure::Failure;
use super::read::Page;
use super::resource::Resource;
use super::table;

/// What part of an object stands beside a table's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IncludeObject {
    None,
    Metadata,
    Object,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Whole,
    /// `PartialObjectMetadata`
    Metadata,
    /// `PartialObjectMetadataList`
    MetadataList,
    Table(IncludeObject),
}

/// The form, and whether it is to be written as YAML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    pub form: Form,
    pub is_yaml: bool,
}

const JSON: Accepted = Accepted {
    form: Form::Whole,
    is_yaml: false,
};

impl Accepted {
    /// Reads `Accept`; an absent one takes everything. `include` is the query's `includeObject`.
    pub fn read(header: &str, include: Option<&str>) -> Result<Self, Failure> {
        if header.trim().is_empty() {
            return Ok(JSON);
        }
        header
            .split(',')
            .find_map(|clause| Self::clause(clause, include))
            .ok_or_else(|| {
                Failure::not_acceptable(
                    "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf",
                )
            })
    }

    fn clause(clause: &str, include: Option<&str>) -> Option<Self> {
        let mut parts = clause.split(';').map(str::trim);
        let is_yaml = match parts.next()? {
            "application/json" | "application/*" | "*/*" => false,
            "application/yaml" => true,
            _ => return None,
        };
        let (mut form, mut group, mut version) = ("", "", "");
        for part in parts {
            match part.split_once('=') {
                Some(("as", value)) => form = value,
                Some(("g", value)) => group = value,
                Some(("v", value)) => version = value,
                // `stream=watch` and weights change nothing here.
                _ => {}
            }
        }
        let form = match (form, group, version) {
            ("", _, _) => Form::Whole,
            ("Table", "meta.k8s.io", "v1") => Form::Table(match include {
                Some("None") => IncludeObject::None,
                Some("Object") => IncludeObject::Object,
                _ => IncludeObject::Metadata,
            }),
            ("PartialObjectMetadata", "meta.k8s.io", "v1") => Form::Metadata,
            ("PartialObjectMetadataList", "meta.k8s.io", "v1") => Form::MetadataList,
            _ => return None,
        };
        Some(Self { form, is_yaml })
    }
}

impl Form {
    /// One object.
    pub fn object(self, resource: &Resource, object: Arc<Value>) -> Result<Arc<Value>, Failure> {
        match self {
            Self::Whole => Ok(object),
            Self::Metadata => Ok(Arc::new(partial(&object))),
            Self::MetadataList => Err(Failure::not_acceptable(
                "you requested PartialObjectMetadataList, but the requested object is not a list",
            )),
            Self::Table(include) => {
                let metadata =
                    json!({"resourceVersion": super::metadata::text(&object, "resourceVersion")});
                Ok(Arc::new(table::table(
                    resource,
                    metadata,
                    std::slice::from_ref(&object),
                    include,
                    true,
                )))
            }
        }
    }

    /// An object within a watch event. Only the first table of a watch has its columns' definitions.
    pub fn event(self, resource: &Resource, object: Arc<Value>, is_first: bool) -> Arc<Value> {
        match self {
            Self::Whole => object,
            Self::Metadata | Self::MetadataList => Arc::new(partial(&object)),
            Self::Table(include) => {
                let metadata =
                    json!({"resourceVersion": super::metadata::text(&object, "resourceVersion")});
                Arc::new(table::table(
                    resource,
                    metadata,
                    std::slice::from_ref(&object),
                    include,
                    is_first,
                ))
            }
        }
    }

    /// One page of a list, as JSON.
    pub fn list(self, resource: &Resource, page: &Page) -> Result<Vec<u8>, Failure> {
        let mut metadata = json!({"resourceVersion": page.version.to_string()});
        if !page.continued.is_empty() {
            metadata["continue"] = page.continued.clone().into();
        }
        if let Some(remaining) = page.remaining {
            metadata["remainingItemCount"] = remaining.into();
        }
        let whole: Vec<&Value>;
        let partials: Vec<Value>;
        let (kind, api_version, items) = match self {
            Self::Whole => {
                whole = page.objects.iter().map(|object| &**object).collect();
                let api_version = resource.kind.api_version();
                (resource.list_kind.as_str(), api_version, whole)
            }
            Self::MetadataList => {
                partials = page.objects.iter().map(|object| partial(object)).collect();
                let api_version = "meta.k8s.io/v1".to_owned();
                (
                    "PartialObjectMetadataList",
                    api_version,
                    partials.iter().collect(),
                )
            }
            Self::Metadata => {
                return Err(Failure::not_acceptable(
                    "you requested PartialObjectMetadata, but the requested object is a list",
                ));
            }
            Self::Table(include) => {
                let table = table::table(resource, metadata, &page.objects, include, true);
                return Ok(table.to_string().into_bytes());
            }
        };
        let list = List {
            kind,
            api_version,
            metadata,
            items,
        };
        serde_json::to_vec(&list).map_err(|error| Failure::internal(error.to_string()))
    }
}

/// Written without a copy of its items: a list may have thousands.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    kind: &'a str,
    api_version: String,
    metadata: Value,
    items: Vec<&'a Value>,
}

/// `PartialObjectMetadata` of an object.
pub fn partial(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object.get("metadata").cloned().unwrap_or_else(|| json!({})),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_that_is_known_is_taken() {
        let form = |header: &str| Accepted::read(header, None).map(|accepted| accepted.form);
        assert_eq!(form(""), Ok(Form::Whole));
        assert_eq!(form("*/*"), Ok(Form::Whole));
        assert_eq!(
            form("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"),
            Ok(Form::Table(IncludeObject::Metadata))
        );
        assert_eq!(
            form("application/json;as=Table;v=v1beta1;g=meta.k8s.io, application/json"),
            Ok(Form::Whole)
        );
        assert_eq!(
            form(
                "application/vnd.kubernetes.protobuf, application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
            ),
            Ok(Form::Metadata)
        );
        assert_eq!(form("text/html").unwrap_err().code, 406);
        assert!(Accepted::read("application/yaml", None).unwrap().is_yaml);
    }
}
