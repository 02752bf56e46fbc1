//! What the API server makes of an object before it stores it: unknown fields go, defaults come.
//!
//! Nothing is judged here: an object of the wrong shape keeps it, and `violation` says so.

use serde_json::{Map, Value};

use super::{METADATA_FIELDS, Schema};
use crate::model::field::{FieldPath, Segment};

impl Schema {
    /// The fields of a whole object that its schema does not declare, in the order they are written; the outermost only.
    pub fn unknown_fields(&self, object: &Value) -> Vec<FieldPath> {
        let mut unknown = Vec::new();
        collect_unknown(self, object, Place::Root, &FieldPath::root(), &mut unknown);
        unknown
    }

    /// Drops the unknown fields of a whole object and says which they were.
    pub fn prune(&self, object: &mut Value) -> Vec<FieldPath> {
        let unknown = self.unknown_fields(object);
        for path in &unknown {
            remove(object, path);
        }
        unknown
    }

    /// Fills in defaults wherever their parent is present, and drops nulls that the schema does not allow, as the API
    /// server does when it reads and when it stores.
    pub fn apply_defaults(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => self.apply_defaults_to_fields(fields),
            Value::Array(entries) => {
                let Some(items) = &self.items else { return };
                for entry in entries {
                    if let (Value::Null, false, Some(default)) =
                        (&*entry, items.nullable, &items.default)
                    {
                        *entry = default.clone();
                    }
                    items.apply_defaults(entry);
                }
            }
            _ => {}
        }
    }

    fn apply_defaults_to_fields(&self, fields: &mut Map<String, Value>) {
        for (name, property) in &self.properties {
            let Some(default) = &property.default else {
                continue;
            };
            match fields.get(name) {
                Some(Value::Null) if property.nullable => {}
                Some(Value::Null) | None => {
                    fields.insert(name.clone(), default.clone());
                }
                Some(_) => {}
            }
        }
        fields.retain(|name, value| match self.field(name) {
            Some(schema) if value.is_null() => schema.nullable,
            Some(schema) => {
                schema.apply_defaults(value);
                true
            }
            None => true,
        });
    }
}

/// Where in an object a map stands: at its root and in its metadata some fields are known to every schema.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Root,
    Inside,
}

fn collect_unknown(
    schema: &Schema,
    value: &Value,
    place: Place,
    at: &FieldPath,
    unknown: &mut Vec<FieldPath>,
) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if place == Place::Root && (name == "apiVersion" || name == "kind") {
                    continue;
                }
                if place == Place::Root && name == "metadata" {
                    collect_unknown_metadata(value, &at.key(name), unknown);
                    continue;
                }
                match schema.field(name) {
                    Some(field) => {
                        let place = match field.embeds_resource {
                            true => Place::Root,
                            false => Place::Inside,
                        };
                        collect_unknown(field, value, place, &at.key(name), unknown);
                    }
                    None if schema.keeps_any_key() => {}
                    None => unknown.push(at.key(name)),
                }
            }
        }
        Value::Array(entries) => {
            let Some(items) = &schema.items else { return };
            for (index, entry) in entries.iter().enumerate() {
                let place = match items.embeds_resource {
                    true => Place::Root,
                    false => Place::Inside,
                };
                collect_unknown(items, entry, place, &at.index(index), unknown);
            }
        }
        _ => {}
    }
}

fn collect_unknown_metadata(metadata: &Value, at: &FieldPath, unknown: &mut Vec<FieldPath>) {
    let Some(fields) = metadata.as_object() else {
        return;
    };
    for name in fields.keys() {
        if !METADATA_FIELDS.contains(&name.as_str()) {
            unknown.push(at.key(name));
        }
    }
}

/// Takes a key away and keeps the order of its neighbours. Unknown fields are always keys of a map, never list entries.
fn remove(object: &mut Value, path: &FieldPath) {
    let Some((Segment::Key(name), parents)) = path.0.split_last() else {
        return;
    };
    let parent = parents
        .iter()
        .try_fold(object, |value, segment| match segment {
            Segment::Key(key) => value.get_mut(key),
            Segment::Index(index) => value.get_mut(index),
        });
    if let Some(Value::Object(fields)) = parent {
        fields.shift_remove(name);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn toy() -> Schema {
        Schema::parse(&json!({"type": "object", "properties": {"spec": {
        "type": "object", "properties": {
            "n": {"type": "integer"},
            "s": {"type": "string"},
            "nul": {"type": "string", "nullable": true},
            "dn": {"type": "string", "default": "dd"},
            "d": {"type": "object", "default": {"x": 1}, "properties": {
                "x": {"type": "integer"}, "y": {"type": "integer", "default": 2}}},
            "o": {"type": "object", "properties": {
                "x": {"type": "integer"}, "y": {"type": "integer", "default": 2}}},
            "m": {"type": "object", "additionalProperties": {"type": "string"}},
            "mo": {"type": "object", "additionalProperties": {"type": "object",
                "properties": {"y": {"type": "integer", "default": 2}}}},
            "lo": {"type": "array", "items": {"type": "object", "properties": {
                "name": {"type": "string"}, "y": {"type": "integer", "default": 2}}}},
            "any": {"x-kubernetes-preserve-unknown-fields": true},
            "pu": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "pk": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {
                "o": {"type": "object", "properties": {"a": {"type": "integer"}}}}}
        }}}}))
        .unwrap()
    }

    /// Each `spec` and what a kube-apiserver 1.36 stored of it.
    #[test]
    fn an_object_is_stored_as_the_api_server_stores_it() {
        let stored = [
            (json!({}), json!({"d": {"x": 1, "y": 2}, "dn": "dd"})),
            (json!({"d": {}}), json!({"d": {"y": 2}, "dn": "dd"})),
            (
                json!({"d": null, "dn": null, "o": null, "s": null, "nul": null, "any": null}),
                json!({"d": {"x": 1, "y": 2}, "dn": "dd", "nul": null}),
            ),
            (
                json!({"o": {}}),
                json!({"d": {"x": 1, "y": 2}, "dn": "dd", "o": {"y": 2}}),
            ),
            (
                json!({"o": {"y": null}}),
                json!({"d": {"x": 1, "y": 2}, "dn": "dd", "o": {"y": 2}}),
            ),
            (
                json!({"m": {"a": null}, "mo": {"a": null, "b": {}}}),
                json!({"d": {"x": 1, "y": 2}, "dn": "dd", "m": {}, "mo": {"b": {"y": 2}}}),
            ),
            (
                json!({"lo": [{"name": "x", "h": 1}]}),
                json!({"d": {"x": 1, "y": 2}, "dn": "dd", "lo": [{"name": "x", "y": 2}]}),
            ),
            (
                json!({"pu": {"a": {"b": null}}, "any": [1], "pk": {"q": 1, "o": {"zz": 1}}}),
                json!({"d": {"x": 1, "y": 2}, "dn": "dd", "pu": {"a": {"b": null}}, "any": [1],
                    "pk": {"q": 1, "o": {}}}),
            ),
        ];
        for (sent, expected) in stored {
            let mut object = json!({"apiVersion": "t.io/v1", "kind": "Toy", "spec": sent.clone()});
            toy().prune(&mut object);
            toy().apply_defaults(&mut object);
            assert_eq!(object["spec"], expected, "{sent}");
        }
    }

    #[test]
    fn unknown_fields_are_named_by_their_outermost_key() {
        let object = json!({
            "apiVersion": "t.io/v1", "kind": "Toy", "metadata": {"name": "a", "qq": 1, "labels": {"x": "y"}},
            "spec": {"zz": {"deep": 1}, "n": 1, "o": {"q": 1}, "lo": [{"h": 1}], "mo": {"a": {"h": 1}}}, "yy": 1});
        let unknown: Vec<String> = toy()
            .unknown_fields(&object)
            .iter()
            .map(FieldPath::to_string)
            .collect();
        assert_eq!(
            unknown,
            [
                "metadata.qq",
                "spec.zz",
                "spec.o.q",
                "spec.lo[0].h",
                "spec.mo.a.h",
                "yy"
            ]
        );
    }

    #[test]
    fn pruning_keeps_the_order_of_what_stays() {
        let mut object = json!({"spec": {"s": "a", "zz": 1, "n": 1, "o": {}}});
        toy().prune(&mut object);
        assert_eq!(object.to_string(), r#"{"spec":{"s":"a","n":1,"o":{}}}"#);
    }

    /// Any value made of the names the schema knows and some it does not.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-3..3).prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from),
        ];
        let name = prop::sample::select(vec![
            "spec", "metadata", "n", "d", "dn", "o", "m", "mo", "lo", "any", "pu", "pk", "x", "y",
            "zz",
        ]);
        leaf.prop_recursive(5, 40, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::vec((name.clone(), inner), 0..5).prop_map(|fields| {
                    Value::Object(
                        fields
                            .into_iter()
                            .map(|(name, value)| (name.to_owned(), value))
                            .collect(),
                    )
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_was_pruned_has_nothing_left_to_prune(mut object in value()) {
            let schema = toy();
            schema.prune(&mut object);
            let once = object.clone();
            prop_assert_eq!(schema.prune(&mut object), vec![]);
            prop_assert_eq!(object, once);
        }

        #[test]
        fn defaults_applied_twice_are_defaults_applied_once(mut object in value()) {
            let schema = toy();
            schema.apply_defaults(&mut object);
            let once = object.clone();
            schema.apply_defaults(&mut object);
            prop_assert_eq!(object, once);
        }

        #[test]
        fn defaults_bring_no_unknown_field(mut object in value()) {
            let schema = toy();
            schema.prune(&mut object);
            schema.apply_defaults(&mut object);
            prop_assert_eq!(schema.unknown_fields(&object), vec![]);
        }
    }
}
