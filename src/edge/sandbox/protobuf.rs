//! The few objects that kubectl creates in protobuf: `kubectl create namespace`, `configmap` and `secret`.
//!
//! Only their envelope, metadata and data are read; anything else that is set makes the whole body an unknown format.
//! Answers are always JSON, which such clients accept as well.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";
const MAGIC: &[u8] = b"k8s\0";

/// One field of a message: its number and what it holds.
enum Field<'b> {
    Number(u64),
    Bytes(&'b [u8]),
}

/// The object, or `None` where something in it is not known here.
pub fn read(bytes: &[u8]) -> Option<Value> {
    let mut envelope = Message::new(bytes.strip_prefix(MAGIC)?);
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    while let Some((number, field)) = envelope.next()? {
        match (number, field) {
            (1, Field::Bytes(bytes)) => {
                let mut names = Message::new(bytes);
                while let Some((number, field)) = names.next()? {
                    match number {
                        1 => api_version = text(field)?,
                        2 => kind = text(field)?,
                        _ => return None,
                    }
                }
            }
            (2, Field::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let mut object = Map::new();
    object.insert("apiVersion".into(), api_version.into());
    object.insert("kind".into(), kind.as_str().into());
    let mut fields = Message::new(raw);
    while let Some((number, field)) = fields.next()? {
        match (kind.as_str(), number, field) {
            ("Namespace" | "ConfigMap" | "Secret", 1, Field::Bytes(bytes)) => {
                object.insert("metadata".into(), metadata(bytes)?);
            }
            ("ConfigMap", 2, Field::Bytes(bytes)) => {
                let (key, value) = entry(bytes)?;
                add(
                    &mut object,
                    "data",
                    key,
                    String::from_utf8(value.to_vec()).ok()?,
                );
            }
            ("ConfigMap", 3, Field::Bytes(bytes)) => {
                let (key, value) = entry(bytes)?;
                add(&mut object, "binaryData", key, base64(value));
            }
            ("Secret", 2, Field::Bytes(bytes)) => {
                let (key, value) = entry(bytes)?;
                add(&mut object, "data", key, base64(value));
            }
            ("Secret", 3, field) => {
                let kind = text(field)?;
                if !kind.is_empty() {
                    object.insert("type".into(), kind.into());
                }
            }
            ("ConfigMap", 4, Field::Number(flag)) | ("Secret", 5, Field::Number(flag)) => {
                object.insert("immutable".into(), (flag != 0).into());
            }
            // A part that is there and empty says nothing.
            (_, _, Field::Bytes(part)) if is_empty(part)? => {}
            _ => return None,
        }
    }
    object
        .contains_key("metadata")
        .then_some(Value::Object(object))
}

fn metadata(bytes: &[u8]) -> Option<Value> {
    let mut metadata = Map::new();
    let mut labels = BTreeMap::new();
    let mut annotations = BTreeMap::new();
    let mut fields = Message::new(bytes);
    while let Some((number, field)) = fields.next()? {
        let name = match number {
            1 => "name",
            2 => "generateName",
            3 => "namespace",
            11 | 12 => {
                let Field::Bytes(bytes) = field else {
                    return None;
                };
                let (key, value) = entry(bytes)?;
                let value = String::from_utf8(value.to_vec()).ok()?;
                if number == 11 {
                    labels.insert(key, value);
                } else {
                    annotations.insert(key, value);
                }
                continue;
            }
            _ => match field {
                Field::Number(0) => continue,
                Field::Bytes(part) if is_empty(part)? => continue,
                _ => return None,
            },
        };
        let value = text(field)?;
        if !value.is_empty() {
            metadata.insert(name.into(), value.into());
        }
    }
    for (name, map) in [("labels", labels), ("annotations", annotations)] {
        if !map.is_empty() {
            metadata.insert(name.into(), json!(map));
        }
    }
    Some(Value::Object(metadata))
}

/// Whether a message holds nothing but empty messages.
fn is_empty(bytes: &[u8]) -> Option<bool> {
    let mut fields = Message::new(bytes);
    while let Some((_, field)) = fields.next()? {
        match field {
            Field::Number(0) => {}
            Field::Bytes([]) => {}
            _ => return Some(false),
        }
    }
    Some(true)
}

fn add(object: &mut Map<String, Value>, map: &str, key: String, value: String) {
    let map = object.entry(map).or_insert_with(|| json!({}));
    if let Some(map) = map.as_object_mut() {
        map.insert(key, value.into());
    }
}

/// One entry of a map: key and value.
fn entry(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (mut key, mut value) = (String::new(), &[][..]);
    let mut fields = Message::new(bytes);
    while let Some((number, field)) = fields.next()? {
        match (number, field) {
            (1, field) => key = text(field)?,
            (2, Field::Bytes(bytes)) => value = bytes,
            _ => return None,
        }
    }
    Some((key, value))
}

fn text(field: Field<'_>) -> Option<String> {
    match field {
        Field::Bytes(bytes) => String::from_utf8(bytes.to_vec()).ok(),
        Field::Number(_) => None,
    }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0_usize, |group, at| {
            group << 8 | chunk.get(at).map_or(0, |byte| usize::from(*byte))
        });
        for at in 0..4 {
            let letter = LETTERS[group >> (18 - 6 * at) & 63];
            encoded.push(if at <= chunk.len() {
                letter as char
            } else {
                '='
            });
        }
    }
    encoded
}

/// A message read field by field. The outer `None` of `next` is a message that is not well-formed.
struct Message<'b> {
    rest: &'b [u8],
}

impl<'b> Message<'b> {
    fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes }
    }

    fn next(&mut self) -> Option<Option<(u64, Field<'b>)>> {
        if self.rest.is_empty() {
            return Some(None);
        }
        let tag = self.number()?;
        let field = match tag & 7 {
            0 => Field::Number(self.number()?),
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                let (bytes, rest) = self.rest.split_at_checked(length)?;
                self.rest = rest;
                Field::Bytes(bytes)
            }
            _ => return None,
        };
        Some(Some((tag >> 3, field)))
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What kubectl 1.32 sends for `create namespace p1`.
    const NAMESPACE: &[u8] = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09Namespace\x12\x1a\x0a\x12\x0a\x02p1\x12\0\x1a\0\"\0*\x002\08\0B\0\x12\0\x1a\x02\x0a\0\x1a\0\"\0";

    #[test]
    fn a_namespace_as_kubectl_sends_it() {
        assert_eq!(
            read(NAMESPACE),
            Some(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "p1"}}))
        );
    }

    #[test]
    fn what_is_not_known_or_not_whole_is_nothing() {
        for cut in 0..NAMESPACE.len() {
            let _ = read(&NAMESPACE[..cut]);
        }
        assert_eq!(read(b"k8s\0"), None);
        assert_eq!(read(b"{}"), None);
        assert_eq!(
            read(b"k8s\0\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
            None
        );
    }

    #[test]
    fn bytes_are_written_in_base64() {
        for (bytes, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ] {
            assert_eq!(base64(bytes.as_bytes()), expected);
        }
    }
}
