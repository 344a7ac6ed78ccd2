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
pub fn decode(body: &Bytes) -> Result<Value, ApiError> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(body).map_err(|error| ApiError::bad_request("SerializationException", error.to_string()))
}

/// Writes an answer.
pub fn encode(answer: Result<Value, ApiError>) -> Response {
    match answer {
        Ok(output) => respond(StatusCode::OK, CONTENT_TYPE, output.to_string()),
        Err(error) => {
            let query_error = format!("{};{}", error.query_code, error.fault());
            let body = json!({"__type": error.code, "message": error.message}).to_string();
            ([("x-amzn-query-error", query_error)], respond(error.status, CONTENT_TYPE, body)).into_response()
        }
    }
}
