//! Filter policies on message attributes. (SNS developer guide, "Amazon SNS subscription filter
//! policies".)

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::SnsError;
use crate::attribute::{AttributeValue, MessageAttribute, MessageAttributes};

const NAMES_MAX: usize = 5;
const COMBINATIONS_MAX: usize = 150;

/// Compares a number with a bound.
type Comparison = fn(&f64, &f64) -> bool;

const COMPARISONS: [(&str, Comparison); 5] =
    [("=", f64::eq), ("<", f64::lt), ("<=", f64::le), (">", f64::gt), (">=", f64::ge)];

/// Accepts a message when every named attribute meets one of its conditions.
pub(super) struct FilterPolicy {
    conditions: BTreeMap<String, Vec<Condition>>,
}

/// Is a condition; what it compares are scalars as [`scalar`] makes them.
enum Condition {
    Equals(Value),
    AnythingBut(Vec<Value>),
    AnythingButPrefix(String),
    Prefix(String),
    Suffix(String),
    Exists(bool),
    Numeric(Vec<(Comparison, f64)>),
}

impl FilterPolicy {
    pub(super) fn parse(text: &str) -> Result<Self, SnsError> {
        let policy: Map<String, Value> = serde_json::from_str(text).map_err(|_| refused("not a JSON object"))?;
        if policy.len() > NAMES_MAX {
            return Err(refused("a policy names at most 5 attributes"));
        }
        let mut conditions = BTreeMap::new();
        let mut combinations = 1_usize;
        for (name, alternatives) in &policy {
            let alternatives = alternatives
                .as_array()
                .filter(|alternatives| !alternatives.is_empty())
                .ok_or_else(|| refused("every attribute needs a list of conditions"))?;
            combinations = combinations.saturating_mul(alternatives.len());
            let parsed: Result<Vec<Condition>, SnsError> = alternatives.iter().map(condition).collect();
            conditions.insert(name.clone(), parsed?);
        }
        if combinations > COMBINATIONS_MAX {
            return Err(refused("a policy has at most 150 combinations of values"));
        }
        Ok(Self { conditions })
    }

    pub(super) fn accepts(&self, attributes: &MessageAttributes) -> bool {
        self.conditions.iter().all(|(name, alternatives)| {
            let values = attributes.get(name).map(values);
            alternatives.iter().any(|condition| condition.accepts(values.as_deref()))
        })
    }
}

impl Condition {
    /// Judges the values of an attribute, `None` where the message lacks it. Of a `String.Array`
    /// one value is enough.
    fn accepts(&self, values: Option<&[Value]>) -> bool {
        match (self, values) {
            (Self::Exists(wanted), values) => values.is_some() == *wanted,
            (_, None) => false,
            (_, Some(values)) => values.iter().any(|value| self.accepts_value(value)),
        }
    }

    fn accepts_value(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Equals(wanted), value) => wanted == value,
            (Self::AnythingBut(unwanted), value) => !unwanted.contains(value),
            (Self::AnythingButPrefix(prefix), Value::String(text)) => !text.starts_with(prefix),
            (Self::Prefix(prefix), Value::String(text)) => text.starts_with(prefix),
            (Self::Suffix(suffix), Value::String(text)) => text.ends_with(suffix),
            (Self::Numeric(bounds), value) => {
                value.as_f64().is_some_and(|number| bounds.iter().all(|(holds, bound)| holds(&number, bound)))
            }
            (Self::Exists(wanted), _) => *wanted,
            (Self::AnythingButPrefix(_) | Self::Prefix(_) | Self::Suffix(_), _) => false,
        }
    }
}

fn condition(value: &Value) -> Result<Condition, SnsError> {
    let Value::Object(members) = value else {
        return scalar(value).map(Condition::Equals).ok_or_else(|| refused("a condition is a scalar or an object"));
    };
    let mut members = members.iter();
    let (Some((operator, operand)), None) = (members.next(), members.next()) else {
        return Err(refused("a condition has one operator"));
    };
    let parsed = match (operator.as_str(), operand) {
        ("prefix", Value::String(prefix)) => Some(Condition::Prefix(prefix.clone())),
        ("suffix", Value::String(suffix)) => Some(Condition::Suffix(suffix.clone())),
        ("exists", Value::Bool(wanted)) => Some(Condition::Exists(*wanted)),
        ("anything-but", Value::Object(inner)) => {
            inner.get("prefix").and_then(Value::as_str).map(|prefix| Condition::AnythingButPrefix(prefix.to_owned()))
        }
        ("anything-but", Value::Array(unwanted)) => {
            let unwanted: Option<Vec<Value>> = unwanted.iter().map(scalar).collect();
            unwanted.map(Condition::AnythingBut)
        }
        ("anything-but", single) => scalar(single).map(|value| Condition::AnythingBut(vec![value])),
        ("numeric", Value::Array(terms)) => numeric(terms),
        _ => None,
    };
    parsed.ok_or_else(|| refused("unknown operator or operand"))
}

fn numeric(terms: &[Value]) -> Option<Condition> {
    let is_paired = matches!(terms.len(), 2 | 4);
    if !is_paired {
        return None;
    }
    let bounds: Option<Vec<(Comparison, f64)>> = terms
        .chunks(2)
        .map(|pair| {
            let (_, holds) = COMPARISONS.iter().find(|(name, _)| pair[0] == *name)?;
            Some((*holds, pair[1].as_f64()?))
        })
        .collect();
    bounds.map(Condition::Numeric)
}

/// Returns a value that can be compared: a number in its only form, so that `100` and `1e2` are equal.
fn scalar(value: &Value) -> Option<Value> {
    match value {
        Value::Number(number) => number.as_f64().map(Value::from),
        Value::Array(_) | Value::Object(_) => None,
        Value::String(_) | Value::Bool(_) | Value::Null => Some(value.clone()),
    }
}

/// Returns what a filter sees of an attribute; binary values cannot be filtered.
fn values(attribute: &MessageAttribute) -> Vec<Value> {
    let AttributeValue::Text(text) = &attribute.value else {
        return Vec::new();
    };
    match (attribute.data_type.as_str(), attribute.base_type()) {
        ("String.Array", _) => match serde_json::from_str(text) {
            Ok(Value::Array(values)) => values.iter().filter_map(scalar).collect(),
            _ => Vec::new(),
        },
        (_, "Number") => text.parse::<f64>().map(Value::from).into_iter().collect(),
        _ => vec![Value::from(text.as_str())],
    }
}

fn refused(reason: &'static str) -> SnsError {
    SnsError::InvalidParameter { parameter: "FilterPolicy", reason }
}
