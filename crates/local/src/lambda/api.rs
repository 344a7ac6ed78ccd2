//! The invoke REST API.

use axum::{
    body::Bytes,
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{
    lambda::{function::invoke, invocation::FunctionError},
    service::wire,
    services::Services,
};

/// Path prefix of the REST API.
pub(crate) const PATH_PREFIX: &str = "/2015-03-31/functions/";

/// Bytes of a synchronous payload.
const PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024;

/// Serves the invoke REST API; `path` is what follows [`PATH_PREFIX`].
pub(crate) async fn serve(
    services: &Services,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Response {
    let (name, action) = path.split_once('/').unwrap_or((path, ""));
    let name = function_name(name);
    let Some(function) = services.functions.get(&name) else {
        let message = format!("Function not found: {}:$LATEST", services.deployment.function_arn(&name));
        return refusal(StatusCode::NOT_FOUND, "ResourceNotFoundException", &message);
    };
    if method != Method::POST || action != "invocations" {
        let message = format!("the local cloud invokes functions and does not {method} {action}");
        return refusal(StatusCode::BAD_REQUEST, "InvalidRequestContentException", &message);
    }
    let payload = if body.is_empty() { b"{}".to_vec() } else { body.to_vec() };
    if payload.len() > PAYLOAD_BYTES_MAX {
        return refusal(StatusCode::PAYLOAD_TOO_LARGE, "RequestTooLargeException", "the payload is over 6 MB");
    }
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&payload) {
        let message = format!("Could not parse request body into json: {error}");
        return refusal(StatusCode::BAD_REQUEST, "InvalidRequestContentException", &message);
    }
    match headers.get("x-amz-invocation-type").and_then(|kind| kind.to_str().ok()).unwrap_or("RequestResponse") {
        "RequestResponse" => {
            // A task of its own: a client that hangs up does not end the function.
            let ended = tokio::spawn(async move { invoke(&function, payload).await }).await;
            answer(ended.unwrap_or_else(|panic| Err(FunctionError::reported(&panic))))
        }
        "DryRun" => respond(StatusCode::NO_CONTENT, ()),
        "Event" => {
            tokio::spawn(async move {
                // AWS would try twice more, minutes later.
                if let Err(error) = invoke(&function, payload).await {
                    tracing::error!(function = function.name, %error, "asynchronous invocation failed");
                }
            });
            respond(StatusCode::ACCEPTED, ())
        }
        other => {
            let message = format!("invocation type {other} is none of RequestResponse, Event, DryRun");
            refusal(StatusCode::BAD_REQUEST, "InvalidParameterValueException", &message)
        }
    }
}

/// The name in a name, partial ARN or ARN, percent-encoded or not; a version or alias is not looked at.
pub(crate) fn function_name(text: &str) -> String {
    let text = text.replace("%3A", ":").replace("%3a", ":");
    match text.split_once("function:") {
        Some((_, name)) => name.split(':').next().unwrap_or_default().to_owned(),
        None => text.split(':').next().unwrap_or_default().to_owned(),
    }
}

fn answer(answer: Result<Vec<u8>, FunctionError>) -> Response {
    match answer {
        Ok(body) => respond(StatusCode::OK, body),
        Err(error) => {
            let body = error.payload().to_string();
            ([("x-amz-function-error", "Unhandled")], respond(StatusCode::OK, body)).into_response()
        }
    }
}

pub(crate) fn refusal(status: StatusCode, code: &'static str, message: &str) -> Response {
    let body = json!({"Type": "User", "Message": message, "message": message}).to_string();
    ([("x-amzn-errortype", code)], respond(status, body)).into_response()
}

fn respond(status: StatusCode, body: impl IntoResponse) -> Response {
    ([("x-amz-executed-version", "$LATEST")], wire::respond(status, "application/json", body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_arns_name_the_same_function() {
        let arn = "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Aevent-processor-seed";
        for text in
            [arn, "event-processor-seed", "event-processor-seed:live", "000000000000:function:event-processor-seed"]
        {
            assert_eq!(function_name(text), "event-processor-seed", "{text}");
        }
    }
}
