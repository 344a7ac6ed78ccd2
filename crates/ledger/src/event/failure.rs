//! Why a message became an INVALID entry: a closed set of classes, the places in the document, and a text for people.
//! Nothing here may carry a payload value, and outside the entry itself no member name that a schema does not declare
//! (G11).

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::event::{
    pointer::{push_token, unescape_token},
    schema::{self, ERRORS_MAX},
};

/// Bytes of the text for people.
pub const REASON_BYTES_MAX: usize = 1024;
/// The closed set of reasons an entry can be INVALID for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case")]
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
    pub fn all() -> impl Iterator<Item = Self> {
        Self::VARIANTS.iter().copied()
    }

    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
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
        Self { pointer: cut, bounded_pointer: schema::masked(event_type, &names), keyword: keyword.to_owned() }
    }
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

    /// The `failure` attribute of an entry. Its `cause` is the first error, fit to be told: what is masked in it must not
    /// hang on the schemas of whoever reads it later.
    pub fn to_attribute(&self) -> Map<String, Value> {
        let errors: Vec<Value> =
            self.errors.iter().map(|error| json!({ "pointer": error.pointer, "keyword": error.keyword })).collect();
        let mut attribute = Map::new();
        attribute.insert("class".to_owned(), self.class.as_str().into());
        if let Some(Violation { bounded_pointer, keyword, .. }) = self.errors.first() {
            attribute.insert("cause".to_owned(), json!({ "pointer": bounded_pointer, "keyword": keyword }));
        }
        if !errors.is_empty() {
            attribute.insert("errors".to_owned(), errors.into());
        }
        attribute
    }
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
    use crate::event::pointer::POINTER_BYTES_MAX;

    #[test]
    fn class_names_are_read_back() {
        for class in FailureClass::all() {
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
