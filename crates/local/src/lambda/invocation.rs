//! One call of a function, and how it fails.

use std::time::Duration;

use serde_json::{Value, json};

/// One call of a function.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub request_id: String,
    pub payload: Vec<u8>,
    /// How long the function has, and until when, in milliseconds since 1970.
    pub timeout: Duration,
    pub deadline_ms: u64,
}

/// Bytes of an answer, at most.
pub const RESPONSE_BYTES_MAX: usize = 6_291_556;

/// A function that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FunctionError {
    /// The function reported an error: what it posted, `errorType` and `errorMessage` among it.
    #[error("{}: {}", text(.0, "errorType"), text(.0, "errorMessage"))]
    Reported(Value),
    /// The function's process or task ended without an answer.
    #[error("RequestId: {request_id} Error: Runtime exited {how}")]
    Exited { request_id: String, how: String },
    /// The function answered with more than [`RESPONSE_BYTES_MAX`].
    #[error("Response payload size exceeded maximum allowed payload size ({RESPONSE_BYTES_MAX} bytes).")]
    ResponseTooLarge,
    /// The function did not answer in time.
    #[error("RequestId: {request_id} Error: Task timed out after {:.2} seconds", limit.as_secs_f64())]
    TimedOut { request_id: String, limit: Duration },
}

impl FunctionError {
    /// Reports an error of a handler.
    pub fn reported(error: &dyn std::error::Error) -> Self {
        Self::of_type("Error", error.to_string())
    }

    /// Reports an error of a type.
    pub fn of_type(error_type: &str, message: impl Into<String>) -> Self {
        Self::Reported(json!({"errorType": error_type, "errorMessage": message.into()}))
    }

    /// What an invoker gets.
    pub fn payload(&self) -> Value {
        let error_type = match self {
            Self::Reported(report) => return report.clone(),
            Self::Exited { .. } => "Runtime.ExitError",
            Self::ResponseTooLarge => "Function.ResponseSizeTooLarge",
            Self::TimedOut { .. } => "Sandbox.Timedout",
        };
        json!({"errorType": error_type, "errorMessage": self.to_string()})
    }
}

fn text<'a>(report: &'a Value, member: &str) -> &'a str {
    report[member].as_str().unwrap_or_default()
}
