//! The wire protocols of AWS, each reduced to one exchange: an operation and a JSON value in, a JSON value or an
//! [`ApiError`] out. The services behind (`sqs`, `sns`, `cloudwatch`) never learn which protocol a client spoke.
//!
//! The pivot has the shape of awsJson 1.0. Times are numbers (seconds since 1970) in members whose name ends in
//! `Timestamp` or `Timestamps`; that naming rule is CloudWatch's own and is all the codecs know about types.

pub(crate) mod cbor;
pub(crate) mod json;
pub(crate) mod query;

use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A refusal in AWS terms: every SDK turns it into its typed error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct ApiError {
    /// HTTP status; 4xx blames the caller, 5xx the service.
    pub status: StatusCode,
    /// Name of the error's shape, as json and CBOR clients know it.
    pub code: &'static str,
    /// The older name the same error has in awsQuery.
    pub query_code: &'static str,
    /// Text for people.
    pub message: String,
}

impl ApiError {
    /// A refusal that blames the request and has one name in all protocols.
    pub(crate) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::renamed(code, code, message)
    }

    /// A refusal that blames the request and is called `query_code` in awsQuery.
    pub(crate) fn renamed(code: &'static str, query_code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, query_code, message: message.into() }
    }

    /// An operation this local cloud does not have.
    pub(crate) fn unknown_operation(service: &str, operation: &str) -> Self {
        let message = format!("{service} has no operation {operation} in the local cloud");
        Self::renamed("UnknownOperationException", "InvalidAction", message)
    }

    /// A fault of the local cloud itself.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self { status, code: "InternalFailure", query_code: "InternalFailure", message: message.into() }
    }

    /// Whom awsQuery blames: `Sender` or `Receiver`.
    pub(crate) fn fault(&self) -> &'static str {
        if self.status.is_server_error() { "Receiver" } else { "Sender" }
    }
}

/// Reads an operation's input; a malformed one is the caller's error.
pub(crate) fn input<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    serde_json::from_value(value)
        .map_err(|error| ApiError::renamed("SerializationException", "MalformedInput", error.to_string()))
}

/// `true` for members that hold times, by CloudWatch's naming rule.
fn is_time(member: &str) -> bool {
    member.ends_with("Timestamp") || member.ends_with("Timestamps")
}

/// Readers for members that awsQuery can only send as text.
pub(crate) mod lenient {
    use serde::{Deserialize, Deserializer, de::Error};
    use serde_json::Value;
    use time::{OffsetDateTime, format_description::well_known::Rfc3339};

    /// A number, or text that is one.
    pub(crate) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        parse_number(&Value::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("expected a number"))
    }

    /// A list of numbers, or of text that are numbers.
    pub(crate) fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        let values = Vec::<Value>::deserialize(deserializer)?;
        let numbers: Option<Vec<f64>> = values.iter().map(parse_number).collect();
        numbers.ok_or_else(|| D::Error::custom("expected a list of numbers"))
    }

    /// A number that may be absent.
    pub(crate) fn optional_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        number(deserializer).map(Some)
    }

    /// Seconds since 1970, as a number or as RFC 3339 text, in milliseconds.
    pub(crate) fn optional_time_ms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
        time_ms(deserializer).map(Some)
    }

    /// Like [`optional_time_ms`], for a required member.
    pub(crate) fn time_ms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if let Some(seconds) = parse_number(&value) {
            return Ok((seconds * 1000.0).round() as i64);
        }
        let text = value.as_str().unwrap_or_default();
        let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(D::Error::custom)?;
        Ok((moment.unix_timestamp_nanos() / 1_000_000) as i64)
    }

    /// `true` or `"true"`.
    pub(crate) fn boolean<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Bool(flag) => Ok(flag),
            Value::String(text) => text.to_ascii_lowercase().parse().map_err(D::Error::custom),
            _ => Err(D::Error::custom("expected a boolean")),
        }
    }

    fn parse_number(value: &Value) -> Option<f64> {
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number.filter(|number| number.is_finite())
    }
}
