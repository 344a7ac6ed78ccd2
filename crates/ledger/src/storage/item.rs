//! A DynamoDB item without DynamoDB: what an entry or a claim is, attribute by attribute, and how large DynamoDB
//! counts it. `ledger-aws` turns it into SDK types mechanically; the in-memory tables keep it as it is.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::storage::number;

/// Bytes DynamoDB allows in one item, names included ("Constraints in Amazon DynamoDB").
pub const ITEM_BYTES_MAX: usize = 400 * 1024;
/// Maps and lists around a value inside one attribute: DynamoDB allows 32 levels, and the item itself is the first.
pub const NESTING_MAX: usize = 31;
/// Bytes a map or list costs beyond its elements, and each element beyond its name and value.
pub const CONTAINER_BYTES: usize = 3;
pub const ELEMENT_BYTES: usize = 1;

#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    S(String),
    /// A number in canonical form (`number::canonical`).
    N(String),
    B(Vec<u8>),
    /// A JSON object whose numbers are in canonical form.
    M(Map<String, Value>),
}

/// Attributes by name.
pub type Item = BTreeMap<String, Attribute>;

/// Size of an item as DynamoDB counts it ("DynamoDB item sizes and formats").
pub fn item_bytes(item: &Item) -> usize {
    item.iter().map(|(name, attribute)| name.len() + attribute_bytes(attribute)).sum()
}

fn attribute_bytes(attribute: &Attribute) -> usize {
    match attribute {
        Attribute::S(text) => text.len(),
        Attribute::N(number) => number::stored_bytes(number),
        Attribute::B(bytes) => bytes.len(),
        Attribute::M(members) => object_bytes(members),
    }
}

/// Size of a JSON object inside an item.
pub fn object_bytes(members: &Map<String, Value>) -> usize {
    let elements: usize = members.iter().map(|(name, value)| name.len() + value_bytes(value) + ELEMENT_BYTES).sum();
    CONTAINER_BYTES + elements
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 1,
        Value::Number(number) => number::stored_bytes(number.as_str()),
        Value::String(text) => text.len(),
        Value::Array(elements) => {
            CONTAINER_BYTES + elements.iter().map(|element| value_bytes(element) + ELEMENT_BYTES).sum::<usize>()
        }
        Value::Object(members) => object_bytes(members),
    }
}

pub fn text_of<'i>(item: &'i Item, name: &str) -> Option<&'i str> {
    match item.get(name) {
        Some(Attribute::S(text)) => Some(text),
        _ => None,
    }
}

/// The number an attribute holds, in canonical form.
pub fn number_of(item: &Item, name: &str) -> Option<String> {
    match item.get(name) {
        Some(Attribute::N(number)) => Some(number.clone()),
        _ => None,
    }
}

/// The same, where it is whole and not negative.
pub fn whole_number_of(item: &Item, name: &str) -> Option<u64> {
    number_of(item, name)?.parse().ok()
}

/// A whole number in canonical form, which is how it is usually written.
pub fn whole_number(number: u64) -> Attribute {
    Attribute::N(number.to_string())
}
