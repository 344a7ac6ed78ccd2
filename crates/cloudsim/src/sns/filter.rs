//! Filter policies on message attributes or on the message's JSON. (SNS developer guide, "Amazon SNS subscription
//! filter policies".)

use serde_json::{Map, Value};

use super::SnsError;
use crate::attribute::{AttributeValue, MessageAttribute, MessageAttributes};

const NAMES_MAX: usize = 5;
const COMBINATIONS_MAX: usize = 150;

/// Compares a number with a bound.
type Comparison = fn(&f64, &f64) -> bool;

const EQUAL: [(&str, Comparison); 1] = [("=", f64::eq)];
const LOWER: [(&str, Comparison); 2] = [(">", f64::gt), (">=", f64::ge)];
const UPPER: [(&str, Comparison); 2] = [("<", f64::lt), ("<=", f64::le)];

/// Accepts a message when every named attribute or member meets one of its conditions.
pub(super) struct FilterPolicy {
    conditions: Vec<(Vec<String>, Vec<Condition>)>,
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
    /// Reads a policy, which may be nested where it is on the message's body.
    pub(super) fn parse(text: &str, of_body: bool) -> Result<Self, SnsError> {
        let policy = serde_json::from_str(text).map_err(|_| refused("failed to parse JSON."))?;
        let mut conditions = Vec::new();
        collect(&mut Vec::new(), &policy, of_body, &mut conditions)?;
        if conditions.len() > NAMES_MAX {
            return Err(refused("Filter policy can not have more than 5 keys"));
        }
        let combinations = conditions.iter().map(|(path, alternatives)| path.len() * alternatives.len());
        if combinations.fold(1, usize::saturating_mul) > COMBINATIONS_MAX {
            return Err(refused("Filter policy is too complex"));
        }
        Ok(Self { conditions })
    }

    pub(super) fn accepts(&self, attributes: &MessageAttributes) -> bool {
        self.accepts_where(|path| path.first().and_then(|name| attributes.get(name)).map(values))
    }

    /// Judges a message that is a JSON object; no other one is accepted.
    pub(super) fn accepts_body(&self, text: &str) -> bool {
        let body = serde_json::from_str::<Map<String, Value>>(text).map(Value::Object);
        body.is_ok_and(|body| {
            self.accepts_where(|path| {
                let found = at(&body, path);
                (!found.is_empty()).then(|| found.into_iter().filter_map(scalar).collect())
            })
        })
    }

    fn accepts_where(&self, values: impl Fn(&[String]) -> Option<Vec<Value>>) -> bool {
        self.conditions.iter().all(|(path, alternatives)| {
            let values = values(path);
            alternatives.iter().any(|condition| condition.accepts(values.as_deref()))
        })
    }
}

/// Adds the conditions of a policy with the paths they are on.
fn collect(
    path: &mut Vec<String>,
    policy: &Map<String, Value>,
    of_body: bool,
    conditions: &mut Vec<(Vec<String>, Vec<Condition>)>,
) -> Result<(), SnsError> {
    for (name, value) in policy {
        path.push(name.clone());
        match value {
            Value::Object(nested) if of_body => collect(path, nested, of_body, conditions)?,
            Value::Array(alternatives) if !alternatives.is_empty() => {
                let alternatives: Result<Vec<Condition>, SnsError> = alternatives.iter().map(condition).collect();
                conditions.push((path.clone(), alternatives?));
            }
            Value::Array(_) => return Err(refused("Empty arrays are not allowed")),
            Value::Object(_) => {
                return Err(refused("Filter policy scope MessageAttributes does not support nested filter policy"));
            }
            _ => return Err(refused(&format!("\"{name}\" must be an object or an array"))),
        }
        path.pop();
    }
    Ok(())
}

/// Returns what stands in a message under a path: of lists every element.
fn at<'a>(value: &'a Value, path: &[String]) -> Vec<&'a Value> {
    match (value, path) {
        (Value::Array(items), _) => items.iter().flat_map(|item| at(item, path)).collect(),
        (value, []) => vec![value],
        (Value::Object(members), [name, rest @ ..]) => members.get(name).map_or(Vec::new(), |value| at(value, rest)),
        _ => Vec::new(),
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
        return scalar(value)
            .map(Condition::Equals)
            .ok_or_else(|| refused("Match value must be String, number, true, false, or null"));
    };
    let mut members = members.iter();
    let (Some((operator, operand)), None) = (members.next(), members.next()) else {
        return Err(refused("Only one key allowed in match expression"));
    };
    let parsed = match (operator.as_str(), operand) {
        ("prefix", Value::String(prefix)) => Some(Condition::Prefix(prefix.clone())),
        ("suffix", Value::String(suffix)) => Some(Condition::Suffix(suffix.clone())),
        ("exists", Value::Bool(wanted)) => Some(Condition::Exists(*wanted)),
        ("exists", _) => return Err(refused("exists match pattern must be either true or false.")),
        ("anything-but", Value::Object(inner)) => match (inner.iter().next(), inner.len()) {
            (Some((pattern, Value::String(prefix))), 1) if pattern == "prefix" => {
                Some(Condition::AnythingButPrefix(prefix.clone()))
            }
            (Some((pattern, _)), 1) if pattern != "prefix" => {
                return Err(refused(&format!("Unsupported anything-but pattern: {pattern}")));
            }
            _ => None,
        },
        ("anything-but", Value::Array(unwanted)) => {
            let unwanted: Option<Vec<Value>> = unwanted.iter().map(scalar).collect();
            unwanted.map(Condition::AnythingBut)
        }
        ("anything-but", single) => scalar(single).map(|value| Condition::AnythingBut(vec![value])),
        ("numeric", Value::Array(terms)) => Some(Condition::Numeric(numeric(terms)?)),
        _ => None,
    };
    parsed.ok_or_else(|| refused(&format!("Unrecognized match type {operator}")))
}

/// Reads `= x`, one bound, or a lower and then an upper bound.
fn numeric(terms: &[Value]) -> Result<Vec<(Comparison, f64)>, SnsError> {
    let [operator, bound, rest @ ..] = terms else {
        return Err(refused("Invalid member in numeric match: operator and number expected"));
    };
    let find = |table: &[(&str, Comparison)], operator: &Value| {
        table.iter().find(|(name, _)| operator == name).map(|(_, holds)| *holds)
    };
    let number = |bound: &Value| bound.as_f64().ok_or_else(|| refused("Value of numeric expression must be numeric"));
    let bound = number(bound)?;
    if let Some(holds) = find(&LOWER, operator) {
        return match rest {
            [] => Ok(vec![(holds, bound)]),
            [operator, upper] => match find(&UPPER, operator) {
                Some(below) => Ok(vec![(holds, bound), (below, number(upper)?)]),
                None => {
                    let operator = operator.as_str().unwrap_or_default();
                    Err(refused(&format!("Bad numeric range operator: {operator}")))
                }
            },
            _ => Err(refused("Too many elements in numeric expression")),
        };
    }
    match find(&EQUAL, operator).or_else(|| find(&UPPER, operator)) {
        Some(holds) if rest.is_empty() => Ok(vec![(holds, bound)]),
        Some(_) => Err(refused("Too many elements in numeric expression")),
        None => Err(refused("Unrecognized numeric range operator")),
    }
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

fn refused(reason: &str) -> SnsError {
    SnsError::InvalidFilterPolicy(reason.to_owned())
}
