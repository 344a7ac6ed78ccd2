//! The wire protocols of AWS, each reduced to one exchange: an operation and a JSON value in, a JSON value or an
//! [`ApiError`] out. The services behind (`sqs`, `sns`, `cloudwatch`) never learn which protocol a client spoke.
//!
//! The pivot has the shape of awsJson 1.0. Times are numbers (seconds since 1970) in members whose name ends in
//! `Timestamp` or `Timestamps`; that naming rule is CloudWatch's own and is all the codecs know about types.

pub(crate) mod cbor;
pub(crate) mod json;
pub(crate) mod query;

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error},
};
use serde_json::{Value, json};
use strum::VariantNames;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Header with the older name of an error.
pub(crate) const QUERY_ERROR: &str = "x-amzn-query-error";

/// A refusal in AWS terms: every SDK turns it into its typed error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
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
    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::renamed(code, code, message)
    }

    /// A refusal that blames the request and is called `query_code` in awsQuery.
    pub fn renamed(code: &'static str, query_code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, query_code, message: message.into() }
    }

    /// An operation this local cloud does not have.
    pub fn unknown_operation(service: &str, operation: &str) -> Self {
        let message = format!("{service} has no operation {operation} in the local cloud");
        Self::renamed("UnknownOperationException", "InvalidAction", message)
    }

    /// A fault of the local cloud itself.
    pub fn internal(message: impl Into<String>) -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self { status, code: "InternalFailure", query_code: "InternalFailure", message: message.into() }
    }

    /// The header that tells json and CBOR clients the older name.
    pub(crate) fn query_error(&self) -> [(&'static str, String); 1] {
        [(QUERY_ERROR, format!("{};{}", self.query_code, self.fault()))]
    }

    /// Whom awsQuery blames: `Sender` or `Receiver`.
    pub fn fault(&self) -> &'static str {
        if self.status.is_server_error() { "Receiver" } else { "Sender" }
    }
}

/// An answer with a request id of its own.
pub(crate) fn respond(status: StatusCode, content_type: &str, body: impl IntoResponse) -> Response {
    let request_id = uuid::Uuid::new_v4().to_string();
    (status, [("content-type", content_type), ("x-amzn-requestid", &request_id)], body).into_response()
}

/// Reads a request: the variant of `T` that is named as the operation, with its input; a malformed one is the caller's
/// error.
pub(crate) fn request<T: DeserializeOwned + VariantNames>(
    service: &str,
    operation: &str,
    input: Value,
) -> Result<T, ApiError> {
    if !T::VARIANTS.contains(&operation) {
        return Err(ApiError::unknown_operation(service, operation));
    }
    serde_json::from_value(json!({ operation: input }))
        .map_err(|error| ApiError::renamed("SerializationException", "MalformedInput", error.to_string()))
}

/// `true` for members that hold times, by CloudWatch's naming rule.
fn is_time(member: &str) -> bool {
    member.ends_with("Timestamp") || member.ends_with("Timestamps")
}

/// A number or a flag, or text that is one: awsQuery can only send text.
#[derive(Clone, Copy)]
pub(crate) struct Lenient<T>(pub T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = match Value::deserialize(deserializer)? {
            Value::String(text) => serde_json::from_str(&text.to_ascii_lowercase()),
            value => serde_json::from_value(value),
        };
        read.map(Self).map_err(D::Error::custom)
    }
}

/// Reads a list; awsQuery sends an empty one as an empty text.
pub(crate) fn list<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(Vec::new()),
        Value::String(text) if text.is_empty() => Ok(Vec::new()),
        value => serde_json::from_value(value).map_err(D::Error::custom),
    }
}

/// Milliseconds since 1970, sent as seconds or as RFC 3339 text; what lies before is 1970.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "Value")]
pub(crate) struct TimeMs(pub u64);

impl TryFrom<Value> for TimeMs {
    type Error = time::error::Parse;

    fn try_from(value: Value) -> Result<Self, time::error::Parse> {
        if let Ok(Lenient(seconds)) = Lenient::<f64>::deserialize(&value) {
            return Ok(Self((seconds * 1000.0).round() as u64));
        }
        let moment = OffsetDateTime::parse(value.as_str().unwrap_or_default(), &Rfc3339)?;
        Ok(Self((moment.unix_timestamp_nanos() / 1_000_000).max(0) as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_text_is_an_empty_list() {
        #[derive(Deserialize)]
        struct Input {
            #[serde(default, deserialize_with = "list")]
            names: Vec<String>,
        }
        for (input, names) in
            [(json!({"names": ""}), vec![]), (json!({}), vec![]), (json!({"names": ["a"]}), vec!["a".to_owned()])]
        {
            assert_eq!(serde_json::from_value::<Input>(input).unwrap().names, names);
        }
        assert!(serde_json::from_value::<Input>(json!({"names": "a"})).is_err());
    }
}
