//! Items of `ledger` as the SDK's types, and back.

use std::collections::HashMap;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use ledger::{Attribute, Item, number};
use serde_json::{Map, Number, Value};

pub(crate) fn to_attribute(attribute: Attribute) -> AttributeValue {
    match attribute {
        Attribute::S(text) => AttributeValue::S(text),
        Attribute::N(number) => AttributeValue::N(number),
        Attribute::B(bytes) => AttributeValue::B(Blob::new(bytes)),
        Attribute::M(members) => from_object(members),
    }
}

pub(crate) fn to_attributes(item: Item) -> HashMap<String, AttributeValue> {
    item.into_iter().map(|(name, attribute)| (name, to_attribute(attribute))).collect()
}

/// The projection expression that reads these attributes alone, and the names of its placeholders: `#0` is the first.
pub(crate) fn projection(names: &[&str]) -> (String, HashMap<String, String>) {
    let placeholders: Vec<String> = (0..names.len()).map(|number| format!("#{number}")).collect();
    (placeholders.join(","), placeholders.into_iter().zip(names.iter().map(|name| (*name).to_owned())).collect())
}

/// Attributes of types that nothing of ours writes (sets, say) are left out.
pub fn to_item(attributes: HashMap<String, AttributeValue>) -> Item {
    attributes.into_iter().filter_map(|(name, attribute)| Some((name, from_attribute(attribute)?))).collect()
}

fn from_attribute(attribute: AttributeValue) -> Option<Attribute> {
    match attribute {
        AttributeValue::S(text) => Some(Attribute::S(text)),
        AttributeValue::N(text) => number::canonical(&text).ok().map(|number| Attribute::N(number.into_owned())),
        AttributeValue::B(bytes) => Some(Attribute::B(bytes.into_inner())),
        AttributeValue::M(members) => to_object(members).map(Attribute::M),
        _ => None,
    }
}

fn from_object(members: Map<String, Value>) -> AttributeValue {
    AttributeValue::M(members.into_iter().map(|(name, value)| (name, from_json(value))).collect())
}

fn from_json(value: Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(truth) => AttributeValue::Bool(truth),
        Value::Number(number) => AttributeValue::N(number.as_str().to_owned()),
        Value::String(text) => AttributeValue::S(text),
        Value::Array(elements) => AttributeValue::L(elements.into_iter().map(from_json).collect()),
        Value::Object(members) => from_object(members),
    }
}

fn to_object(members: HashMap<String, AttributeValue>) -> Option<Map<String, Value>> {
    members.into_iter().map(|(name, value)| Some((name, to_json(value)?))).collect()
}

fn to_json(value: AttributeValue) -> Option<Value> {
    match value {
        AttributeValue::Null(_) => Some(Value::Null),
        AttributeValue::Bool(truth) => Some(Value::Bool(truth)),
        AttributeValue::N(text) => number::canonical(&text).ok()?.parse::<Number>().ok().map(Value::Number),
        AttributeValue::S(text) => Some(Value::String(text)),
        AttributeValue::L(elements) => elements.into_iter().map(to_json).collect::<Option<_>>().map(Value::Array),
        AttributeValue::M(members) => to_object(members).map(Value::Object),
        _ => None,
    }
}
