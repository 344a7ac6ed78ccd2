//! A payload as a read model finds it: in the ledger's item, or in the image of a stream record, where it is read only
//! when a fold asks for it.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

/// The payload of an entry, if it has a typed one.
#[derive(Clone, Debug, Default)]
pub enum Payload {
    #[default]
    Absent,
    Typed(Arc<Map<String, Value>>),
    /// The attribute in DynamoDB's JSON.
    Image(Arc<str>),
}

impl Payload {
    /// Its members; `None` where the entry has a raw body, or holds what is no payload.
    pub fn read(&self) -> Option<Cow<'_, Map<String, Value>>> {
        match self {
            Self::Absent => None,
            Self::Typed(members) => Some(Cow::Borrowed(members)),
            Self::Image(json) => match serde_json::from_str(json).ok()? {
                Image::M(members) => into_members(members).map(Cow::Owned),
                _ => None,
            },
        }
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        self.read() == other.read()
    }
}

impl Eq for Payload {}

/// A value in DynamoDB's JSON. Payloads hold no sets and no binaries.
///
/// Not by way of `Value`: with numbers of any precision it takes an object with a certain member for a number.
#[derive(Deserialize)]
enum Image {
    S(String),
    N(String),
    #[serde(rename = "BOOL")]
    Bool(bool),
    #[serde(rename = "NULL")]
    Null(IgnoredAny),
    L(Vec<Self>),
    M(BTreeMap<String, Self>),
}

impl Image {
    fn into_value(self) -> Option<Value> {
        Some(match self {
            Self::S(text) => Value::String(text),
            Self::N(digits) => Value::Number(digits.parse().ok()?),
            Self::Bool(is_true) => Value::Bool(is_true),
            Self::Null(_) => Value::Null,
            Self::L(elements) => Value::Array(elements.into_iter().map(Self::into_value).collect::<Option<_>>()?),
            Self::M(members) => Value::Object(into_members(members)?),
        })
    }
}

fn into_members(members: BTreeMap<String, Image>) -> Option<Map<String, Value>> {
    members.into_iter().map(|(name, image)| Some((name, image.into_value()?))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_image_reads_as_the_payload_it_was_made_of() {
        let json = r#"{"M":{"a":{"N":"0.10"},"b":{"L":[{"S":"x"},{"BOOL":true},{"NULL":true}]},
            "$serde_json::private::Number":{"S":"1"}}}"#;
        let payload = Payload::Image(json.into());
        let members = payload.read().unwrap().into_owned();
        let expected = r#"{"$serde_json::private::Number":"1","a":0.10,"b":["x",true,null]}"#;
        assert_eq!(Value::Object(members).to_string(), expected);
    }

    #[test]
    fn what_is_no_payload_reads_as_none() {
        for json in ["", "{}", r#"{"S":"text"}"#, r#"{"M":{"a":{"B":"AA=="}}}"#, r#"{"M":{"a":{"N":"x"}}}"#, "[1]"] {
            assert_eq!(Payload::Image(json.into()).read(), None, "{json}");
        }
        let typed = json!({ "a": 1 }).as_object().cloned().unwrap();
        assert_eq!(Payload::Typed(Arc::new(typed.clone())).read().unwrap().into_owned(), typed);
        assert_eq!(Payload::Absent.read(), None);
        assert_ne!(Payload::Absent, Payload::Typed(Arc::default()));
    }
}
