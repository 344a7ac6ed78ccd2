//! awsJson 1.0: the operation in `x-amz-target`, a JSON object each way.

use axum::{
    body::Bytes,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{ApiError, respond};

const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// Reads a request body; an empty one is an empty object.
pub(crate) fn decode(body: &Bytes) -> Result<Value, ApiError> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(body).map_err(|error| ApiError::bad_request("SerializationException", error.to_string()))
}

/// Writes an answer.
pub(crate) fn encode(answer: Result<Value, ApiError>) -> Response {
    encode_in("", answer)
}

/// Writes an answer; `namespace` is what stands before the names of a service's errors.
pub(crate) fn encode_in(namespace: &str, answer: Result<Value, ApiError>) -> Response {
    match answer {
        Ok(output) => respond(StatusCode::OK, CONTENT_TYPE, output.to_string()),
        Err(error) => {
            let kind = format!("{namespace}{}", error.code);
            let body = json!({"__type": kind, "message": error.message}).to_string();
            (error.query_error(), respond(error.status, CONTENT_TYPE, body)).into_response()
        }
    }
}
