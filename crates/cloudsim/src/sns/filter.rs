//! Filter policies on message attributes. (SNS developer guide, "Amazon SNS subscription filter
//! policies".)

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::SnsError;
use crate::attribute::{AttributeValue, MessageAttribute, MessageAttributes};

const NAMES_MAX: usize = 5;
const COMBINATIONS_MAX: usize = 150;

/// Accepts a message when every named attribute meets one of its conditions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct FilterPolicy {
    conditions: BTreeMap<String, Vec<Condition>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Condition {
    Equals(Scalar),
    AnythingBut(Vec<Scalar>),
    AnythingButPrefix(String),
    Prefix(String),
    Suffix(String),
    Exists(bool),
    Numeric(Vec<(Comparison, f64)>),
}

/// Is a value a condition compares with; texts and numbers are never equal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Scalar {
    Text(String),
    Number(f64),
    Bool(bool),
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
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
    fn accepts(&self, values: Option<&[Scalar]>) -> bool {
        match (self, values) {
            (Self::Exists(wanted), values) => values.is_some() == *wanted,
            (_, None) => false,
            (_, Some(values)) => values.iter().any(|value| self.accepts_value(value)),
        }
    }

    fn accepts_value(&self, value: &Scalar) -> bool {
        match (self, value) {
            (Self::Equals(wanted), value) => wanted == value,
            (Self::AnythingBut(unwanted), value) => !unwanted.contains(value),
            (Self::AnythingButPrefix(prefix), Scalar::Text(text)) => !text.starts_with(prefix),
            (Self::Prefix(prefix), Scalar::Text(text)) => text.starts_with(prefix),
            (Self::Suffix(suffix), Scalar::Text(text)) => text.ends_with(suffix),
            (Self::Numeric(bounds), Scalar::Number(number)) => {
                bounds.iter().all(|(comparison, bound)| comparison.holds(*number, *bound))
            }
            (Self::Exists(wanted), _) => *wanted,
            (Self::AnythingButPrefix(_) | Self::Prefix(_) | Self::Suffix(_) | Self::Numeric(_), _) => false,
        }
    }
}

impl Comparison {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "=" => Some(Self::Equal),
            "<" => Some(Self::Less),
            "<=" => Some(Self::LessOrEqual),
            ">" => Some(Self::Greater),
            ">=" => Some(Self::GreaterOrEqual),
            _ => None,
        }
    }

    #[expect(clippy::float_cmp, reason = "an equality filter means exactly that")]
    fn holds(self, number: f64, bound: f64) -> bool {
        match self {
            Self::Equal => number == bound,
            Self::Less => number < bound,
            Self::LessOrEqual => number <= bound,
            Self::Greater => number > bound,
            Self::GreaterOrEqual => number >= bound,
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
            let unwanted: Option<Vec<Scalar>> = unwanted.iter().map(scalar).collect();
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
            let comparison = Comparison::parse(pair[0].as_str()?)?;
            Some((comparison, pair[1].as_f64()?))
        })
        .collect();
    bounds.map(Condition::Numeric)
}

fn scalar(value: &Value) -> Option<Scalar> {
    match value {
        Value::String(text) => Some(Scalar::Text(text.clone())),
        Value::Number(number) => number.as_f64().map(Scalar::Number),
        Value::Bool(truth) => Some(Scalar::Bool(*truth)),
        Value::Null => Some(Scalar::Null),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Returns what a filter sees of an attribute; binary values cannot be filtered.
fn values(attribute: &MessageAttribute) -> Vec<Scalar> {
    let AttributeValue::Text(text) = &attribute.value else {
        return Vec::new();
    };
    match (attribute.data_type.as_str(), attribute.base_type()) {
        ("String.Array", _) => match serde_json::from_str(text) {
            Ok(Value::Array(values)) => values.iter().filter_map(scalar).collect(),
            _ => Vec::new(),
        },
        (_, "Number") => text.parse().map(Scalar::Number).into_iter().collect(),
        _ => vec![Scalar::Text(text.clone())],
    }
}

fn refused(reason: &'static str) -> SnsError {
    SnsError::InvalidParameter { parameter: "FilterPolicy", reason }
}
