//! The `scale` subresource: one number of an object, seen and set through an `autoscaling/v1` Scale.
//!
//! Admission is not asked here, as with rules that list only the resource.

use serde_json::{Value, json};

use super::failure::{Cause, Failure};
use super::metadata;
use super::resource::{Resource, ScalePaths};

fn paths(resource: &Resource) -> Result<&ScalePaths, Failure> {
    resource
        .scale
        .as_ref()
        .ok_or_else(Failure::no_such_resource)
}

fn at<'v>(object: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(object, |value, key| value.get(key))
}

/// The Scale of an object.
pub fn read(resource: &Resource, object: &Value) -> Result<Value, Failure> {
    let paths = paths(resource)?;
    let number = |path: &[String]| at(object, path).and_then(Value::as_i64).unwrap_or(0);
    let mut scale = json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {},
        "spec": {},
        "status": {"replicas": number(&paths.status)},
    });
    for field in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        let value = metadata::text(object, field);
        if !value.is_empty() {
            scale["metadata"][field] = value.into();
        }
    }
    let wanted = number(&paths.spec);
    if wanted != 0 {
        scale["spec"]["replicas"] = wanted.into();
    }
    let selector = match &paths.selector {
        Some(path) => at(object, path)
            .and_then(Value::as_str)
            .unwrap_or("")
            .to_owned(),
        None if resource.custom.is_none() => label_selector(object),
        None => String::new(),
    };
    if !selector.is_empty() {
        scale["status"]["selector"] = selector.into();
    }
    Ok(scale)
}

/// The object with the number of a Scale; an absent number is none, as in the real server.
pub fn put(resource: &Resource, object: &Value, scale: &Value) -> Result<Value, Failure> {
    let paths = paths(resource)?;
    let wanted = match scale.pointer("/spec/replicas") {
        None | Some(Value::Null) => 0,
        Some(value) => value.as_i64().ok_or_else(|| {
            Failure::bad_request(
                "Scale in version \"v1\" cannot be handled as a Scale: json: cannot unmarshal into Go struct field ScaleSpec.spec.replicas of type int32",
            )
        })?,
    };
    let mut changed = object.clone();
    let mut place = &mut changed;
    for key in &paths.spec {
        if !place.is_object() {
            *place = json!({});
        }
        place = &mut place[key.as_str()];
    }
    *place = wanted.into();
    Ok(changed)
}

/// What the subresource cannot work with, in any write of the object.
pub fn causes(resource: &Resource, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let Some(paths) = &resource.scale else {
        return causes;
    };
    for path in [&paths.spec, &paths.status] {
        let field = format!(".{}", path.join("."));
        match at(object, path) {
            None | Some(Value::Null) => {}
            Some(value) if value.as_i64().is_some_and(|number| number < 0) => {
                causes.push(Cause::invalid(
                    field,
                    &value.to_string(),
                    "should be a non-negative integer",
                ));
            }
            Some(value) if value.is_i64() || value.is_u64() => {}
            Some(value) => {
                let (shown, word) = match value {
                    Value::String(text) => (text.clone(), "string"),
                    Value::Bool(flag) => (flag.to_string(), "bool"),
                    Value::Number(number) => (number.to_string(), "float64"),
                    Value::Array(_) => (value.to_string(), "[]interface {}"),
                    _ => (value.to_string(), "map[string]interface {}"),
                };
                causes.push(Cause::invalid(
                    field.clone(),
                    "0",
                    &format!(
                        "{field} accessor error: {shown} is of the type {word}, expected int64"
                    ),
                ));
            }
        }
    }
    causes
}

fn label_selector(object: &Value) -> String {
    let labels = object
        .pointer("/spec/selector/matchLabels")
        .and_then(Value::as_object);
    let mut terms: Vec<String> = labels
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or("")))
        .collect();
    terms.sort();
    terms.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::sandbox::resource::Registry;

    #[test]
    fn a_statefulset_is_scaled_by_its_replicas() {
        let registry = Registry::of([]);
        let resource = registry.find("apps", "v1", "statefulsets").unwrap();
        let object = json!({
            "metadata": {"name": "s", "namespace": "a", "resourceVersion": "7"},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"b": "2", "a": "1"}}},
        });
        let scale = read(resource, &object).unwrap();
        assert_eq!(scale["spec"]["replicas"], 3);
        assert_eq!(
            scale["status"],
            json!({"replicas": 0, "selector": "a=1,b=2"})
        );
        let changed = put(resource, &object, &json!({"spec": {"replicas": 5}})).unwrap();
        assert_eq!(changed["spec"]["replicas"], 5);
    }
}
