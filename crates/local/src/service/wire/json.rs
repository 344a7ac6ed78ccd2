//! awsJson 1.0: the operation in `x-amz-target`, a JSON object each way.

use axum::{
    body::{Body, Bytes},
    http::{Response, StatusCode},
};
use serde_json::{Value, json};

use super::ApiError;

const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// Reads a request body; an empty one is an empty object.
pub(crate) fn decode(body: &Bytes) -> Result<Value, ApiError> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(body).map_err(|error| ApiError::bad_request("SerializationException", error.to_string()))
}

/// Writes an answer.
pub(crate) fn encode(answer: Result<Value, ApiError>) -> Response<Body> {
    let response = Response::builder()
        .header("content-type", CONTENT_TYPE)
        .header("x-amzn-requestid", uuid::Uuid::new_v4().to_string());
    let response = match answer {
        Ok(output) => response.status(StatusCode::OK).body(Body::from(output.to_string())),
        Err(error) => response
            .status(error.status)
            .header("x-amzn-query-error", format!("{};{}", error.query_code, error.fault()))
            .body(Body::from(json!({"__type": error.code, "message": error.message}).to_string())),
    };
    response.expect("headers are ASCII")
}
