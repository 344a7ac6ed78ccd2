//! The two Lambda event source mappings this project uses, as state machines stepped from outside.
//!
//! The driver asks a mapping for invocations (`poll`), runs them wherever it likes, and reports each
//! ending (`complete`). Nothing here waits: `next_event_ms` says when asking again is worth it.
//!
//! Not here: running functions, batch windows (FIFO queues have none, and the stream mapping sends
//! what is there), provisioned pollers, metrics.

mod queue;
#[cfg(test)]
mod queue_tests;
mod stream;
#[cfg(test)]
mod stream_tests;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::admission::Refusal;

pub use queue::{QueueCompletion, QueueInvocation, QueueMapping};
pub use stream::{Discarded, StreamInvocation, StreamMapping, StreamPoll, StreamRecord};

/// Is how one invocation of the function ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// The function returned: its response, `None` where it was empty or `null`. A response that is
    /// not JSON is passed as `Value::String`, which is just as malformed.
    Succeeded(Option<Value>),
    /// The function raised, crashed or ran out of memory.
    FunctionError,
    /// The function did not run, because its concurrency was used up.
    Throttled,
    /// The function ran out of time.
    TimedOut,
}

/// Refuses a mapping that AWS would refuse, or a step that does not fit the mapping's state.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MappingError {
    #[error("no invocation {id} is running")]
    UnknownInvocation { id: u64 },
    #[error("shard {shard_id} is not known")]
    UnknownShard { shard_id: String },
    #[error("shard {shard_id} is closed")]
    ClosedShard { shard_id: String },
    #[error("AWS refuses such a mapping")]
    Refused(#[from] Refusal),
    #[error("only filters on eventName are modelled")]
    UnknownFilter,
}

const BACK_OFF_MS_MAX: u64 = 60_000;

/// Is what a response says about its batch.
#[derive(Debug, PartialEq, Eq)]
enum ItemFailures<'a> {
    None,
    /// The response is malformed, so the whole batch failed.
    Malformed,
    Some(Vec<&'a str>),
}

/// Reads a partial batch response. Nothing, an object without the list, and a list that is `null` or
/// empty are success; an identifier that is misnamed, `null`, empty or not a string fails the batch.
/// (Lambda developer guide, "Implementing partial batch responses", for SQS and for DynamoDB.)
/// Against the guide, an empty list in place of the object is success, and so is an entry without
/// any member, as recorded. That anything else but an object is malformed is the model's reading of
/// "invalid JSON response".
fn item_failures(response: Option<&Value>) -> ItemFailures<'_> {
    let members = match response {
        None | Some(Value::Null) => return ItemFailures::None,
        Some(Value::Array(items)) if items.is_empty() => return ItemFailures::None,
        Some(Value::Object(members)) => members,
        Some(_) => return ItemFailures::Malformed,
    };
    let items = match members.get("batchItemFailures") {
        None | Some(Value::Null) => return ItemFailures::None,
        Some(Value::Array(items)) => items,
        Some(_) => return ItemFailures::Malformed,
    };
    let mut identifiers = Vec::with_capacity(items.len());
    let is_empty = |item: &&Value| item.as_object().is_some_and(Map::is_empty);
    for item in items.iter().filter(|item| !is_empty(item)) {
        match item.get("itemIdentifier").and_then(Value::as_str) {
            None | Some("") => return ItemFailures::Malformed,
            Some(identifier) => identifiers.push(identifier),
        }
    }
    if identifiers.is_empty() { ItemFailures::None } else { ItemFailures::Some(identifiers) }
}

/// Returns the wait before attempt `failures + 1`: the first one, doubled each time, at most a minute.
/// AWS names no figures.
fn back_off_ms(first_ms: u64, failures: u32) -> u64 {
    let doublings = failures.saturating_sub(1).min(6);
    (first_ms << doublings).min(BACK_OFF_MS_MAX)
}

/// Returns a setting that is stated and is not -1, which is without limit.
fn figure(setting: Option<i64>) -> Option<u64> {
    u64::try_from(setting?).ok()
}
