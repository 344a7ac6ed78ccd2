//! Why a message became an INVALID entry: a closed set of classes, the places in the document, and a text for people.
//! Nothing here may carry a payload value, and outside the entry itself no member name that a schema does not declare
//! (G11).

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::{envelope, schema};

/// Places named in one failure; a document can break a schema in very many.
pub const ERRORS_MAX: usize = 10;
/// Bytes of the text for people.
pub const REASON_BYTES_MAX: usize = 1024;
/// Bytes of one pointer as stored; longer ones are cut at a token.
pub const POINTER_BYTES_MAX: usize = 256;

/// The closed set of reasons an entry can be INVALID for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureClass {
    /// The body is not JSON.
    MalformedJson,
    /// It is JSON, but not an envelope: a member is missing, of the wrong type, too long or stands there twice.
    MalformedEnvelope,
    UnknownEventType,
    SchemaViolation,
    /// DynamoDB could not hold it exactly.
    Unstorable,
    /// The typed form does not fit one item.
    TooLarge,
    /// The same tenant and event id as an earlier event, with other content.
    Conflict,
}

impl FailureClass {
    pub const ALL: [Self; 7] = [
        Self::MalformedJson,
        Self::MalformedEnvelope,
        Self::UnknownEventType,
        Self::SchemaViolation,
        Self::Unstorable,
        Self::TooLarge,
        Self::Conflict,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::MalformedJson => "malformed_json",
            Self::MalformedEnvelope => "malformed_envelope",
            Self::UnknownEventType => "unknown_event_type",
            Self::SchemaViolation => "schema_violation",
            Self::Unstorable => "unstorable",
            Self::TooLarge => "too_large",
            Self::Conflict => "conflict",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == text)
    }
}

/// One place that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// JSON Pointer into the body; kept in the entry only.
    pub pointer: String,
    /// The same with `*` for array indexes and undeclared names: fit for logs, metrics and alerts.
    pub bounded_pointer: String,
    /// The rule: a JSON Schema keyword, or the name of a limit.
    pub keyword: String,
}

impl Violation {
    /// `event_type` chooses the schema that declares the names inside the payload.
    pub fn new(event_type: Option<&str>, pointer: &str, keyword: &str) -> Self {
        let names: Vec<String> = pointer.split('/').skip(1).map(unescape_token).collect();
        let mut cut = String::new();
        names.iter().for_each(|name| push_token(&mut cut, name));
        Self { pointer: cut, bounded_pointer: bounded_pointer(event_type, &names), keyword: keyword.to_owned() }
    }
}

/// A JSON Pointer of known names: those of the envelope, and in the payload those that its schema declares.
fn bounded_pointer(event_type: Option<&str>, names: &[String]) -> String {
    let mut pointer = String::new();
    let Some((member, inside)) = names.split_first() else { return pointer };
    push_token(&mut pointer, if envelope::MEMBERS.contains(&member.as_str()) { member } else { "*" });
    let mut schema = event_type.and_then(schema::document).filter(|_| member == envelope::PAYLOAD);
    for name in inside {
        let declared = schema.and_then(|schema| schema.get("properties")?.get(name));
        push_token(&mut pointer, if declared.is_some() { name } else { "*" });
        schema =
            declared.or_else(|| schema.and_then(|schema| schema.get("additionalProperties").or(schema.get("items"))));
    }
    pointer
}

fn unescape_token(token: &str) -> String {
    token.replace("~1", "/").replace("~0", "~")
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub class: FailureClass,
    /// For people; built from the class, keywords and bounded pointers alone.
    pub reason: String,
    /// At most `ERRORS_MAX`.
    pub errors: Vec<Violation>,
}

impl Failure {
    pub fn new(class: FailureClass, summary: &str, mut errors: Vec<Violation>) -> Self {
        errors.truncate(ERRORS_MAX);
        let mut reason = summary.to_owned();
        for (index, error) in errors.iter().enumerate() {
            let divider = if index == 0 { ": " } else { "; " };
            let place = if error.bounded_pointer.is_empty() { "(whole body)" } else { &error.bounded_pointer };
            write!(reason, "{divider}{place} {}", error.keyword).expect("writing to a String");
        }
        Self { class, reason: cut(reason, REASON_BYTES_MAX), errors }
    }

    /// The `failure` attribute of an entry.
    pub fn to_attribute(&self) -> Map<String, Value> {
        let errors: Vec<Value> =
            self.errors.iter().map(|error| json!({ "pointer": error.pointer, "keyword": error.keyword })).collect();
        let mut attribute = Map::new();
        attribute.insert("class".to_owned(), self.class.as_str().into());
        if !errors.is_empty() {
            attribute.insert("errors".to_owned(), errors.into());
        }
        attribute
    }
}

/// Appends one reference token to a JSON Pointer (RFC 6901), or `…` where it would grow beyond its bound.
pub fn push_token(pointer: &mut String, token: &str) {
    const ELLIPSIS: &str = "/…";
    if pointer.ends_with(ELLIPSIS) {
        return;
    }
    let token = token.replace('~', "~0").replace('/', "~1");
    if pointer.len() + 1 + token.len() > POINTER_BYTES_MAX - ELLIPSIS.len() {
        pointer.push_str(ELLIPSIS);
        return;
    }
    pointer.push('/');
    pointer.push_str(&token);
}

fn cut(mut text: String, bytes_max: usize) -> String {
    const ELLIPSIS: &str = "…";
    if text.len() > bytes_max {
        let end = text.floor_char_boundary(bytes_max - ELLIPSIS.len());
        text.truncate(end);
        text.push_str(ELLIPSIS);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_names_are_read_back() {
        for class in FailureClass::ALL {
            assert_eq!(FailureClass::parse(class.as_str()), Some(class));
        }
    }

    #[test]
    fn undeclared_names_and_indexes_are_masked_in_the_bounded_pointer_only() {
        for (event_type, pointer, bounded) in [
            (Some("monitoring"), "/payload/labels/a~1secret", "/payload/labels/*"),
            (Some("monitoring"), "/payload/secret/labels", "/payload/*/*"),
            (Some("monitoring"), "/secret", "/*"),
            (Some("no.such.type"), "/payload/labels", "/payload/*"),
            (None, "/payload/0", "/payload/*"),
            (None, "/created_at", "/created_at"),
            (None, "", ""),
        ] {
            let violation = Violation::new(event_type, pointer, "type");
            assert_eq!((violation.pointer.as_str(), violation.bounded_pointer.as_str()), (pointer, bounded));
        }
    }

    #[test]
    fn reasons_and_pointers_are_bounded() {
        let violation = Violation::new(None, &"/a~0b~1c".repeat(1000), "type");
        assert!(violation.pointer.len() <= POINTER_BYTES_MAX, "{}", violation.pointer.len());
        assert!(violation.bounded_pointer.len() <= POINTER_BYTES_MAX);
        let failure = Failure::new(FailureClass::SchemaViolation, "payload", vec![violation; 100]);
        assert_eq!(failure.errors.len(), ERRORS_MAX);
        assert!(failure.reason.len() <= REASON_BYTES_MAX);
        assert!(failure.reason.ends_with('…'));
    }
}
