//! Functions and their invocation: the registry, the time limit, and the invoke REST API.
//!
//! What a function does is its own; how a real binary is run is `process`'s, and when a mapping invokes is `mappings`'.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, Method, Response, StatusCode},
};
use serde_json::{Value, json};

use crate::{process::Process, world::now_ms};

/// Path prefix of the REST API.
pub const PATH_PREFIX: &str = "/2015-03-31/functions/";

/// Bytes of a synchronous payload.
const PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024;

/// One call of a function.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub request_id: String,
    pub payload: Vec<u8>,
    /// When the function must have answered, in milliseconds since 1970.
    pub deadline_ms: u64,
}

/// What a handler in this process returns.
pub type HandlerFuture = Pin<Box<dyn Future<Output = Result<Vec<u8>, FunctionError>> + Send>>;

/// A handler in this process.
pub type Handler = Arc<dyn Fn(Invocation) -> HandlerFuture + Send + Sync>;

/// A deployed function.
pub struct Function {
    pub name: String,
    pub timeout: Duration,
    pub code: Code,
}

/// Where a function's code runs.
pub enum Code {
    InProcess(Handler),
    /// A real binary that speaks to the Runtime API.
    Process(Process),
}

impl Function {
    /// A function whose handler runs in this process.
    pub fn in_process<F, Fut>(name: impl Into<String>, timeout: Duration, handler: F) -> Function
    where
        F: Fn(Invocation) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<u8>, FunctionError>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |invocation| Box::pin(handler(invocation)));
        Function { name: name.into(), timeout, code: Code::InProcess(handler) }
    }
}

/// A function that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FunctionError {
    /// The function reported an error.
    #[error("{error_type}: {error_message}")]
    Reported { error_type: String, error_message: String },
    /// The function's process or task ended without an answer.
    #[error("{0}")]
    Exited(String),
    /// The function did not answer in time.
    #[error("RequestId: {request_id} Error: Task timed out after {:.2} seconds", limit.as_secs_f64())]
    TimedOut { request_id: String, limit: Duration },
}

impl FunctionError {
    /// Reports an error of a handler.
    pub fn reported(error: &dyn std::error::Error) -> FunctionError {
        FunctionError::Reported { error_type: "Error".to_owned(), error_message: error.to_string() }
    }

    /// What an invoker gets.
    fn payload(&self) -> Value {
        match self {
            FunctionError::Reported { error_type, error_message } => {
                json!({"errorType": error_type, "errorMessage": error_message})
            }
            FunctionError::Exited(message) => json!({"errorType": "Runtime.ExitError", "errorMessage": message}),
            FunctionError::TimedOut { .. } => {
                json!({"errorType": "Sandbox.Timedout", "errorMessage": self.to_string()})
            }
        }
    }
}

/// All deployed functions by name.
#[derive(Default)]
pub struct Functions {
    by_name: RwLock<HashMap<String, Arc<Function>>>,
}

impl Functions {
    /// Deploys a function, in place of one of the same name.
    pub fn deploy(&self, function: Function) {
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        by_name.insert(function.name.clone(), Arc::new(function));
    }

    /// The function of that name.
    pub fn get(&self, name: &str) -> Option<Arc<Function>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Removes all functions and kills their processes.
    pub async fn stop(&self) {
        let all = std::mem::take(&mut *self.by_name.write().unwrap_or_else(PoisonError::into_inner));
        for function in all.into_values() {
            if let Code::Process(process) = &function.code {
                process.stop().await;
            }
        }
    }
}

/// Runs a function to its end or its time limit.
pub async fn invoke(function: &Function, payload: Vec<u8>) -> Result<Vec<u8>, FunctionError> {
    let request_id = uuid::Uuid::new_v4().to_string();
    let deadline_ms = now_ms() + function.timeout.as_millis() as u64;
    let invocation = Invocation { request_id: request_id.clone(), payload, deadline_ms };
    match &function.code {
        Code::InProcess(handler) => {
            // A task of its own, so that a panic is a function error and nothing else.
            let mut task = AbortOnDrop(tokio::spawn(handler(invocation)));
            match tokio::time::timeout(function.timeout, &mut task.0).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(panic)) => Err(FunctionError::Exited(panic.to_string())),
                Err(_) => Err(FunctionError::TimedOut { request_id, limit: function.timeout }),
            }
        }
        Code::Process(process) => process.invoke(invocation).await,
    }
}

/// Serves the invoke REST API; `path` is what follows [`PATH_PREFIX`].
pub async fn serve(
    functions: &Functions,
    method: &Method,
    path: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let (name, action) = path.split_once('/').unwrap_or((path, ""));
    let name = function_name(name);
    let Some(function) = functions.get(&name) else {
        let message = format!("Function not found: {name}");
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
            answer(ended.unwrap_or_else(|panic| Err(FunctionError::Exited(panic.to_string()))))
        }
        "DryRun" => respond(StatusCode::NO_CONTENT).body(Body::empty()).expect("headers are ASCII"),
        "Event" => {
            tokio::spawn(async move {
                // AWS would try twice more, minutes later.
                if let Err(error) = invoke(&function, payload).await {
                    tracing::error!(function = function.name, %error, "asynchronous invocation failed");
                }
            });
            respond(StatusCode::ACCEPTED).body(Body::empty()).expect("headers are ASCII")
        }
        other => {
            let message = format!("invocation type {other} is none of RequestResponse, Event, DryRun");
            refusal(StatusCode::BAD_REQUEST, "InvalidParameterValueException", &message)
        }
    }
}

struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The name in a name, partial ARN or ARN, percent-encoded or not; a version or alias is not looked at.
fn function_name(text: &str) -> String {
    let text = text.replace("%3A", ":").replace("%3a", ":");
    match text.split_once("function:") {
        Some((_, name)) => name.split(':').next().unwrap_or_default().to_owned(),
        None => text.split(':').next().unwrap_or_default().to_owned(),
    }
}

fn answer(answer: Result<Vec<u8>, FunctionError>) -> Response<Body> {
    let (response, body) = match answer {
        Ok(body) => (respond(StatusCode::OK), body),
        Err(error) => {
            let body = error.payload().to_string().into_bytes();
            (respond(StatusCode::OK).header("x-amz-function-error", "Unhandled"), body)
        }
    };
    response.body(Body::from(body)).expect("headers are ASCII")
}

fn refusal(status: StatusCode, code: &'static str, message: &str) -> Response<Body> {
    let body: Value = json!({"Type": "User", "Message": message, "message": message});
    respond(status).header("x-amzn-errortype", code).body(Body::from(body.to_string())).expect("headers are ASCII")
}

fn respond(status: StatusCode) -> axum::http::response::Builder {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .header("x-amz-executed-version", "$LATEST")
        .header("x-amzn-requestid", uuid::Uuid::new_v4().to_string())
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

    #[tokio::test]
    async fn a_panicking_handler_is_a_function_error() {
        let function = Function::in_process("f", Duration::from_secs(1), |_| async { panic!("oh") });
        assert!(matches!(invoke(&function, vec![]).await, Err(FunctionError::Exited(_))));
    }

    #[tokio::test]
    async fn a_handler_without_an_answer_times_out() {
        let function = Function::in_process("f", Duration::ZERO, |_| std::future::pending());
        assert!(matches!(invoke(&function, vec![]).await, Err(FunctionError::TimedOut { .. })));
    }
}
