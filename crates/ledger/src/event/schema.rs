//! The schemas of the event types, embedded at build time from `schemas/*.json`: the file name is the event type.

use std::sync::LazyLock;

use jsonschema::{ValidationError, error::ValidationErrorKind};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::event::{ids::hex, pointer::push_token};

/// Places named in one failure; a document can break a schema in very many.
pub const ERRORS_MAX: usize = 10;

// The envelope's members: it is the outermost schema.
pub const TENANT_ID: &str = "tenant_id";
pub const EVENT_ID: &str = "event_id";
pub const EVENT_TYPE: &str = "event_type";
pub const PAYLOAD: &str = "payload";
pub const ROUTE: &str = "route";
pub const CREATED_AT: &str = "created_at";
pub const MEMBERS: [&str; 6] = [TENANT_ID, EVENT_ID, EVENT_TYPE, PAYLOAD, ROUTE, CREATED_AT];

include!(concat!(env!("OUT_DIR"), "/schemas.rs"));

pub type Fingerprint = [u8; 8];

/// The environment variable of the processor and the projector that tells the fingerprint of all schemas. The functions
/// do not read it: operators' tools do, to see by which schemas a deployment judges.
pub const FINGERPRINT_VARIABLE: &str = "SCHEMAS";

/// The schema of one event type.
pub struct Schema {
    pub event_type: &'static str,
    /// The file as it is written.
    pub text: &'static str,
    is_valid: fn(&Value) -> bool,
    errors: fn(&Value) -> Vec<Broken>,
}

/// Where in the payload (a JSON Pointer), and the keyword of the rule that is broken there.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken {
    pub pointer: String,
    pub keyword: String,
}

/// All schemas, by event type.
pub fn all() -> &'static [Schema] {
    SCHEMAS
}

pub fn find(event_type: &str) -> Option<&'static Schema> {
    index(event_type).map(|at| &SCHEMAS[at])
}

/// The schema's file as JSON; parsed once, when an invalid payload or a sample first asks for it.
pub fn document(event_type: &str) -> Option<&'static Value> {
    static DOCUMENTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
        let parse = |schema: &Schema| serde_json::from_str(schema.text).expect("the build compiled it");
        SCHEMAS.iter().map(parse).collect()
    });
    index(event_type).map(|at| &DOCUMENTS[at])
}

/// A JSON Pointer with `*` for every name that neither the envelope nor, inside the payload, the type's schema declares.
pub fn masked(event_type: Option<&str>, names: &[String]) -> String {
    let mut pointer = String::new();
    let Some((member, inside)) = names.split_first() else { return pointer };
    push_token(&mut pointer, if MEMBERS.contains(&member.as_str()) { member } else { "*" });
    let mut schema = event_type.and_then(document).filter(|_| member == PAYLOAD);
    for name in inside {
        let declared = schema.and_then(|schema| schema.get("properties")?.get(name));
        push_token(&mut pointer, if declared.is_some() { name } else { "*" });
        schema =
            declared.or_else(|| schema.and_then(|schema| schema.get("additionalProperties").or(schema.get("items"))));
    }
    pointer
}

fn index(event_type: &str) -> Option<usize> {
    SCHEMAS.binary_search_by(|schema| schema.event_type.cmp(event_type)).ok()
}

/// Tells these schemas from other versions of them, as `infra/schemas-fingerprint` prints it and `infra/build` writes it
/// beside the functions: the start of the SHA-256 over what `sha256sum *.json` prints in the folder of the schemas.
pub fn fingerprint() -> String {
    let mut lines: Vec<(String, String)> = SCHEMAS
        .iter()
        .map(|schema| (format!("{}.json", schema.event_type), hex(&Sha256::digest(schema.text))))
        .collect();
    lines.sort();
    let text: String = lines.iter().map(|(file, digest)| format!("{digest}  {file}\n")).collect();
    hex(&Sha256::digest(text)[..8])
}

impl Schema {
    const fn new(
        event_type: &'static str,
        text: &'static str,
        is_valid: fn(&Value) -> bool,
        errors: fn(&Value) -> Vec<Broken>,
    ) -> Self {
        Self { event_type, text, is_valid, errors }
    }

    /// Judges a payload: nothing for a valid one, else up to `ERRORS_MAX` places.
    pub fn broken(&self, payload: &Value) -> Vec<Broken> {
        if (self.is_valid)(payload) { Vec::new() } else { (self.errors)(payload) }
    }

    /// Tells the schema from other versions of it: the start of its file's SHA-256.
    pub fn fingerprint(&self) -> Fingerprint {
        static FINGERPRINTS: LazyLock<Vec<Fingerprint>> = LazyLock::new(|| {
            let of = |schema: &Schema| {
                let digest = Sha256::digest(schema.text);
                *digest.first_chunk().expect("SHA-256 has 32 bytes")
            };
            SCHEMAS.iter().map(of).collect()
        });
        FINGERPRINTS[index(self.event_type).expect("it is one of them")]
    }

    /// The payloads the schema gives as examples.
    pub fn examples(&self) -> &'static [Value] {
        let examples = document(self.event_type).and_then(|document| document.get("examples"));
        examples.and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
}

impl Broken {
    /// Takes place and rule from a validator's error, and leaves its text, which quotes the value, behind.
    fn from_error(error: ValidationError<'_>) -> Self {
        let mut pointer = error.instance_path().as_str().to_owned();
        // The validator points at the object that lacks the member; people look for the member.
        if let ValidationErrorKind::Required { property: Value::String(name) } = error.kind() {
            push_token(&mut pointer, name);
        }
        Self { pointer, keyword: error.kind().keyword().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_examples_of_every_schema_are_valid() {
        assert_eq!(all().len(), 5);
        for schema in all() {
            assert!(!schema.examples().is_empty(), "{} has an example", schema.event_type);
            for example in schema.examples() {
                assert_eq!(schema.broken(example), [], "{}", schema.event_type);
            }
        }
    }

    #[test]
    fn only_exact_event_types_are_found() {
        assert!(all().iter().all(|schema| find(schema.event_type).is_some()));
        for unknown in ["Monitoring", "monitoring.json", "../schemas/monitoring", "", "monitoring "] {
            assert!(find(unknown).is_none(), "{unknown:?}");
        }
    }

    fn broken(event_type: &str, payload: Value) -> Vec<(String, String)> {
        let broken = find(event_type).unwrap().broken(&payload);
        broken.into_iter().map(|broken| (broken.pointer, broken.keyword)).collect()
    }

    fn pair(pointer: &str, keyword: &str) -> (String, String) {
        (pointer.to_owned(), keyword.to_owned())
    }

    #[test]
    fn an_error_names_place_and_rule() {
        assert_eq!(broken("user.created", json!({"id": "1"})), [pair("/email", "required")]);
        let mut both = broken("user.created", json!({"id": 1, "email": "nobody"}));
        both.sort();
        assert_eq!(both, [pair("/email", "format"), pair("/id", "type")]);
    }

    #[test]
    fn errors_are_bounded() {
        let labels: serde_json::Map<String, Value> = (0..1000).map(|n| (format!("l{n}"), json!(n))).collect();
        let payload = json!({"timestamp": "2026-01-15T09:30:00Z", "level": "INFO", "message": "m", "labels": labels});
        assert_eq!(broken("monitoring", payload).len(), ERRORS_MAX);
    }

    #[test]
    fn formats_are_asserted() {
        assert_eq!(broken("user.created", json!({"id": "1", "email": "ab"})), [pair("/email", "format")]);
        let payload = json!({"timestamp": "yesterday", "level": "INFO", "message": "m"});
        assert_eq!(broken("monitoring", payload), [pair("/timestamp", "format")]);
    }

    #[test]
    fn numbers_beyond_floating_point_are_judged_exactly() {
        for amount in ["12345678901234567890.12345", "1E+100"] {
            let amount: serde_json::Number = amount.parse().unwrap();
            let payload = json!({"transaction_id": "t", "authorizer": "a", "decision": "APPROVED", "amount": amount});
            assert_eq!(broken("transaction.authorizers", payload), []);
        }
    }
}
