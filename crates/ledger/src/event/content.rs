//! The content of an event, reduced to a hash: two events with the same id are duplicates if it is equal, a conflict
//! if it is not. Equal exactly where DynamoDB would hold equal values, so neither the order of members nor the way a
//! number is written matters, and every digit does. `created_at` is left out: a producer may stamp again what it sends
//! again.

use std::fmt;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{
    event::{envelope::Read, ids::hex},
    storage::number,
};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// The hash of a typed event. Members of a `Map` are in the order of their bytes.
    ///
    /// Numbers may be in any form of their value; strings are hashed unescaped.
    pub fn of_event(event_type: &str, route: Option<&str>, payload: &Map<String, Value>) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"event\0");
        field(&mut hasher, event_type.as_bytes());
        match route {
            Some(route) => field(&mut hasher, route.as_bytes()),
            None => hasher.update([0xff; 8]),
        }
        object(&mut hasher, payload);
        Self(hasher.finalize().into())
    }

    /// The hash of a body that has no typed form: SHA-256 of its bytes. No body that SQS lets through holds the zero
    /// byte that the input of `of_event` has in its sixth place.
    pub fn of_raw(body: &[u8]) -> Self {
        Self(Sha256::digest(body).into())
    }

    /// The hash of a body, by what it was read as.
    pub fn of_body(body: &str, read: &Read) -> Self {
        match &read.envelope {
            Ok(envelope) => Self::of_event(&envelope.event_type, envelope.route.as_deref(), &envelope.payload),
            Err(_) => Self::of_raw(body.as_bytes()),
        }
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

/// Writes a length before the bytes, so that no two sequences of fields look the same.
fn field(hasher: &mut Sha256, bytes: &[u8]) {
    hasher.update((bytes.len() as u64).to_be_bytes());
    hasher.update(bytes);
}

fn object(hasher: &mut Sha256, members: &Map<String, Value>) {
    hasher.update(b"{");
    hasher.update((members.len() as u64).to_be_bytes());
    for (name, member) in members {
        field(hasher, name.as_bytes());
        value(hasher, member);
    }
}

fn value(hasher: &mut Sha256, json: &Value) {
    match json {
        Value::Null => hasher.update(b"n"),
        Value::Bool(false) => hasher.update(b"f"),
        Value::Bool(true) => hasher.update(b"t"),
        Value::Number(digits) => {
            hasher.update(b"#");
            // What the reader built is canonical already; what a table gave back may be written otherwise.
            match number::canonical(digits.as_str()) {
                Ok(canonical) => field(hasher, canonical.as_bytes()),
                Err(_) => field(hasher, digits.as_str().as_bytes()),
            }
        }
        Value::String(text) => {
            hasher.update(b"\"");
            field(hasher, text.as_bytes());
        }
        Value::Array(elements) => {
            hasher.update(b"[");
            hasher.update((elements.len() as u64).to_be_bytes());
            for element in elements {
                value(hasher, element);
            }
        }
        Value::Object(members) => object(hasher, members),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn hash(payload: &str) -> ContentHash {
        let document = format!("{{\"payload\":{payload}}}");
        let value = json::read_object(&document).unwrap().unwrap().remove(0).value.unwrap();
        let Value::Object(payload) = value else { panic!("an object") };
        ContentHash::of_event("t", None, &payload)
    }

    #[test]
    fn equal_values_hash_alike_however_they_are_written() {
        assert_eq!(hash(r#"{"a": 1, "b": "A"}"#), hash(r#"{"b":"\u0041","a":1.0e0}"#));
        assert_eq!(hash(r#"{"a": -0}"#), hash(r#"{"a": 0}"#));
    }

    #[test]
    fn different_values_hash_differently() {
        let all = [
            r#"{"a": 1}"#,
            r#"{"a": "1"}"#,
            r#"{"a": true}"#,
            r#"{"a": null}"#,
            r#"{"a": []}"#,
            r#"{"a": {}}"#,
            r#"{"a": [1]}"#,
            r#"{"a": [[1]]}"#,
            r#"{"a": [1, 1]}"#,
            r#"{"a": 12345678901234567890123}"#,
            r#"{"a": 12345678901234567890124}"#,
            r#"{"ab": ""}"#,
            r#"{"a": "b"}"#,
            r#"{}"#,
        ];
        for (index, one) in all.iter().enumerate() {
            for other in &all[index + 1..] {
                assert_ne!(hash(one), hash(other), "{one} and {other}");
            }
        }
    }

    #[test]
    fn type_and_route_belong_to_the_content() {
        let payload = Map::new();
        let hashes = [
            ContentHash::of_event("a", None, &payload),
            ContentHash::of_event("b", None, &payload),
            ContentHash::of_event("a", Some(""), &payload),
            ContentHash::of_event("a", Some("r"), &payload),
            ContentHash::of_event("ar", None, &payload),
            ContentHash::of_raw(b"a"),
        ];
        for (index, one) in hashes.iter().enumerate() {
            assert!(!hashes[index + 1..].contains(one));
        }
    }
}
