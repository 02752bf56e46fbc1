//! Events, which two groups serve in two forms: the core group's and that of events.k8s.io.
//!
//! They are kept in the core form and turned on the way in and out; nothing is lost either way.

use serde_json::{Map, Value};

/// Pairs of (core, events.k8s.io) for fields that differ in name only.
const RENAMED: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// The form that is kept.
pub fn to_core(event: Value) -> Value {
    renamed(event, "v1", |key| {
        RENAMED
            .iter()
            .find(|(_, new)| *new == key)
            .map(|(core, _)| *core)
    })
}

/// The form of events.k8s.io.
pub fn to_new(event: &Value) -> Value {
    renamed(event.clone(), "events.k8s.io/v1", |key| {
        RENAMED
            .iter()
            .find(|(core, _)| *core == key)
            .map(|(_, new)| *new)
    })
}

fn renamed(event: Value, api_version: &str, name: impl Fn(&str) -> Option<&'static str>) -> Value {
    let Value::Object(fields) = event else {
        return event;
    };
    let mut turned = Map::new();
    for (key, value) in fields {
        match name(&key) {
            Some(other) => turned.insert(other.into(), value),
            None => turned.insert(key, value),
        };
    }
    turned.insert("apiVersion".into(), api_version.into());
    Value::Object(turned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_the_same_there_and_back() {
        let new = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "a"},
            "regarding": {"name": "x"}, "note": "n", "reportingController": "c", "type": "Normal",
        });
        let core = to_core(new.clone());
        assert_eq!(core["involvedObject"]["name"], "x");
        assert_eq!(core["apiVersion"], "v1");
        assert_eq!(to_new(&core), new);
    }
}
