//! Message attributes as SQS and SNS share them: a type and a value under a name, and the rules for
//! the three.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::encoding::md5_hex;

/// Holds the attributes of one message by name.
pub type MessageAttributes = BTreeMap<String, MessageAttribute>;

/// Is one message attribute: its full type (`String`, `Number.int`, `Binary`, …) and its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageAttribute {
    pub data_type: String,
    pub value: AttributeValue,
}

/// Is the value of a message attribute; numbers are sent as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AttributeValue {
    Text(String),
    Binary(Vec<u8>),
}

const NAME_LENGTH_MAX: usize = 256;
const TYPE_LENGTH_MAX: usize = 256;

impl MessageAttribute {
    /// Makes an attribute of type `String`.
    #[must_use]
    pub fn string(value: impl Into<String>) -> Self {
        Self { data_type: "String".to_owned(), value: AttributeValue::Text(value.into()) }
    }

    pub(crate) fn base_type(&self) -> &str {
        self.data_type.split_once('.').map_or(self.data_type.as_str(), |(base, _)| base)
    }

    fn value_bytes(&self) -> &[u8] {
        match &self.value {
            AttributeValue::Text(text) => text.as_bytes(),
            AttributeValue::Binary(bytes) => bytes,
        }
    }
}

/// Returns what the attributes add to a message's size: names, types and values.
pub(crate) fn size_bytes(attributes: &MessageAttributes) -> usize {
    attributes
        .iter()
        .map(|(name, attribute)| name.len() + attribute.data_type.len() + attribute.value_bytes().len())
        .sum()
}

/// Returns the digest the SDKs check, `None` without attributes.
/// (SQS developer guide, "Calculating the MD5 message digest for message attributes".)
#[must_use]
pub fn md5_of(attributes: &MessageAttributes) -> Option<String> {
    const TEXT_TRANSPORT: u8 = 1;
    const BINARY_TRANSPORT: u8 = 2;
    if attributes.is_empty() {
        return None;
    }
    let mut input = Vec::new();
    for (name, attribute) in attributes {
        push_with_length(&mut input, name.as_bytes());
        push_with_length(&mut input, attribute.data_type.as_bytes());
        input.push(match attribute.value {
            AttributeValue::Text(_) => TEXT_TRANSPORT,
            AttributeValue::Binary(_) => BINARY_TRANSPORT,
        });
        push_with_length(&mut input, attribute.value_bytes());
    }
    Some(md5_hex(&input))
}

fn push_with_length(input: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("a message is far below 4 GiB");
    input.extend_from_slice(&length.to_be_bytes());
    input.extend_from_slice(bytes);
}

/// Returns what is wrong with an attribute, if anything.
/// (SQS developer guide, "Amazon SQS message metadata".)
pub(crate) fn fault(name: &str, attribute: &MessageAttribute) -> Option<&'static str> {
    if name.is_empty() || name.len() > NAME_LENGTH_MAX {
        return Some("an attribute name has 1 to 256 characters");
    }
    let lowercase = name.to_ascii_lowercase();
    if lowercase.starts_with("aws.") || lowercase.starts_with("amazon.") {
        return Some("an attribute name must not start with AWS. or Amazon.");
    }
    if name.starts_with('.') || name.ends_with('.') || name.contains("..") {
        return Some("periods of an attribute name must be inside and apart");
    }
    // Recorded: letters beyond ASCII too, whatever the guide says.
    let is_name_char = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !name.chars().all(is_name_char) {
        return Some("an attribute name has only letters, digits, underscore, hyphen and period");
    }
    if attribute.data_type.len() > TYPE_LENGTH_MAX {
        return Some("an attribute type has at most 256 characters");
    }
    if attribute.value_bytes().is_empty() {
        return Some("an attribute value must not be empty");
    }
    match (attribute.base_type(), &attribute.value) {
        ("String", AttributeValue::Text(_)) | ("Binary", AttributeValue::Binary(_)) => None,
        ("Number", AttributeValue::Text(text)) => match text.parse::<f64>() {
            Ok(number) if number.is_finite() => None,
            _ => Some("a Number attribute must hold a number"),
        },
        _ => Some("an attribute's type is String, Number or Binary and matches its value"),
    }
}

/// What [`is_xml_text`] takes, in AWS's words.
pub(crate) const XML_CHARACTERS: &str = "#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF";

/// Says whether every character may stand in an XML 1.0 document, which is what SQS accepts.
/// (SQS API reference, `SendMessage`.)
pub(crate) fn is_xml_text(text: &str) -> bool {
    text.chars().all(|c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attribute_digest_covers_names_types_and_values_in_name_order() {
        let attributes = MessageAttributes::from([
            ("b".to_owned(), MessageAttribute::string("2")),
            ("a".to_owned(), MessageAttribute::string("1")),
        ]);
        let mut expected = Vec::new();
        for (name, value) in [(b"a", b"1"), (b"b", b"2")] {
            expected.extend([0, 0, 0, 1]);
            expected.extend(name);
            expected.extend([0, 0, 0, 6]);
            expected.extend(b"String");
            expected.push(1);
            expected.extend([0, 0, 0, 1]);
            expected.extend(value);
        }
        assert_eq!(md5_of(&attributes), Some(md5_hex(&expected)));
        assert_eq!(md5_of(&MessageAttributes::new()), None);
    }

    #[test]
    fn reserved_and_malformed_attribute_names_are_refused() {
        for name in ["", "AWS.x", "amazon.x", ".x", "x.", "x..y", "x y"] {
            assert!(fault(name, &MessageAttribute::string("v")).is_some(), "{name}");
        }
        for name in ["a.b-c_9", "attr.1øßä"] {
            assert_eq!(fault(name, &MessageAttribute::string("v")), None);
        }
    }

    #[test]
    fn a_number_attribute_holds_a_number() {
        let number =
            |text: &str| MessageAttribute { data_type: "Number.int".to_owned(), ..MessageAttribute::string(text) };
        assert_eq!(fault("n", &number("-1.5e3")), None);
        assert!(fault("n", &number("many")).is_some());
    }
}
