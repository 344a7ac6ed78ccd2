//! One call of a function, and how it fails.

use std::time::Duration;

use serde_json::{Value, json};

/// One call of a function.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub request_id: String,
    pub payload: Vec<u8>,
    /// When the function must have answered, in milliseconds since 1970.
    pub deadline_ms: u64,
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
    pub fn reported(error: &dyn std::error::Error) -> Self {
        Self::Reported { error_type: "Error".to_owned(), error_message: error.to_string() }
    }

    /// What an invoker gets.
    pub fn payload(&self) -> Value {
        let (error_type, message) = match self {
            Self::Reported { error_type, error_message } => (error_type.as_str(), error_message.clone()),
            Self::Exited(_) => ("Runtime.ExitError", self.to_string()),
            Self::TimedOut { .. } => ("Sandbox.Timedout", self.to_string()),
        };
        json!({"errorType": error_type, "errorMessage": message})
    }
}
