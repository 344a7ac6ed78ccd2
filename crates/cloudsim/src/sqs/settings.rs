//! The settable attributes of a queue: their names, ranges and how they depend on each other.
//! (SQS API reference, `CreateQueue` and `SetQueueAttributes`.)

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{QueueAttributes, SqsError};

const VISIBILITY_TIMEOUT_SECONDS: RangeInclusive<u32> = 0..=43_200;
const RETENTION_SECONDS: RangeInclusive<u32> = 60..=1_209_600;
const DELAY_SECONDS: RangeInclusive<u32> = 0..=900;
const MESSAGE_BYTES: RangeInclusive<u32> = 1_024..=1_048_576;
const WAIT_SECONDS: RangeInclusive<u32> = 0..=20;
const RECEIVES: RangeInclusive<u32> = 1..=1_000;

/// Attributes that change nothing in the model and are kept as they came.
const TEXT_ATTRIBUTES: [&str; 5] =
    ["Policy", "RedriveAllowPolicy", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled"];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Settings {
    pub fifo: bool,
    pub content_based_deduplication: bool,
    pub deduplication_scope: Scope,
    pub throughput_limit: Scope,
    pub visibility_timeout_seconds: u32,
    pub retention_seconds: u32,
    pub delay_seconds: u32,
    pub message_bytes_max: u32,
    pub wait_seconds: u32,
    pub redrive: Option<Redrive>,
    texts: BTreeMap<String, String>,
}

/// Is what deduplication or the throughput limit counts over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Scope {
    Queue,
    MessageGroup,
}

/// Is a redrive policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Redrive {
    pub target_arn: String,
    pub receives_max: u32,
}

impl Settings {
    pub(super) fn new(fifo: bool) -> Self {
        Self {
            fifo,
            content_based_deduplication: false,
            deduplication_scope: Scope::Queue,
            throughput_limit: Scope::Queue,
            visibility_timeout_seconds: 30,
            retention_seconds: 345_600,
            delay_seconds: 0,
            message_bytes_max: *MESSAGE_BYTES.end(),
            wait_seconds: 0,
            redrive: None,
            texts: BTreeMap::new(),
        }
    }

    /// Returns these settings with the given attributes changed.
    pub(super) fn with(&self, attributes: &QueueAttributes) -> Result<Self, SqsError> {
        let mut changed = self.clone();
        for (name, value) in attributes {
            changed.set(name, value)?;
        }
        if changed.throughput_limit == Scope::MessageGroup && changed.deduplication_scope == Scope::Queue {
            return Err(invalid("FifoThroughputLimit", "perMessageGroupId needs the deduplication scope messageGroup"));
        }
        Ok(changed)
    }

    /// Returns all settable attributes; FIFO ones only for FIFO queues, texts only where set.
    pub(super) fn attributes(&self) -> QueueAttributes {
        let mut attributes = self.texts.clone();
        let mut put = |name: &str, value: String| attributes.insert(name.to_owned(), value);
        put("VisibilityTimeout", self.visibility_timeout_seconds.to_string());
        put("MessageRetentionPeriod", self.retention_seconds.to_string());
        put("DelaySeconds", self.delay_seconds.to_string());
        put("MaximumMessageSize", self.message_bytes_max.to_string());
        put("ReceiveMessageWaitTimeSeconds", self.wait_seconds.to_string());
        if let Some(redrive) = &self.redrive {
            let policy = json!({
                "deadLetterTargetArn": redrive.target_arn,
                "maxReceiveCount": redrive.receives_max,
            });
            put("RedrivePolicy", policy.to_string());
        }
        if self.fifo {
            put("FifoQueue", "true".to_owned());
            put("ContentBasedDeduplication", self.content_based_deduplication.to_string());
            let scope = match self.deduplication_scope {
                Scope::Queue => "queue",
                Scope::MessageGroup => "messageGroup",
            };
            put("DeduplicationScope", scope.to_owned());
            let limit = match self.throughput_limit {
                Scope::Queue => "perQueue",
                Scope::MessageGroup => "perMessageGroupId",
            };
            put("FifoThroughputLimit", limit.to_owned());
        }
        attributes
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), SqsError> {
        match name {
            "VisibilityTimeout" => {
                self.visibility_timeout_seconds = number(name, value, &VISIBILITY_TIMEOUT_SECONDS)?;
            }
            "MessageRetentionPeriod" => {
                self.retention_seconds = number(name, value, &RETENTION_SECONDS)?;
            }
            "DelaySeconds" => self.delay_seconds = number(name, value, &DELAY_SECONDS)?,
            "MaximumMessageSize" => {
                self.message_bytes_max = number(name, value, &MESSAGE_BYTES)?;
            }
            "ReceiveMessageWaitTimeSeconds" => {
                self.wait_seconds = number(name, value, &WAIT_SECONDS)?;
            }
            "RedrivePolicy" => self.redrive = redrive(value)?,
            "FifoQueue" | "ContentBasedDeduplication" | "DeduplicationScope" | "FifoThroughputLimit" => {
                self.set_fifo(name, value)?
            }
            _ if TEXT_ATTRIBUTES.contains(&name) => self.set_text(name, value),
            _ => {
                return Err(SqsError::InvalidAttributeName { name: name.to_owned() });
            }
        }
        Ok(())
    }

    fn set_fifo(&mut self, name: &str, value: &str) -> Result<(), SqsError> {
        if !self.fifo {
            return Err(SqsError::InvalidAttributeName { name: name.to_owned() });
        }
        match (name, value) {
            ("FifoQueue", "true") => {}
            ("FifoQueue", _) => return Err(invalid(name, "a queue cannot change its type")),
            ("ContentBasedDeduplication", "true") => self.content_based_deduplication = true,
            ("ContentBasedDeduplication", "false") => self.content_based_deduplication = false,
            ("DeduplicationScope", "queue") => self.deduplication_scope = Scope::Queue,
            ("DeduplicationScope", "messageGroup") => {
                self.deduplication_scope = Scope::MessageGroup;
            }
            ("FifoThroughputLimit", "perQueue") => self.throughput_limit = Scope::Queue,
            ("FifoThroughputLimit", "perMessageGroupId") => {
                self.throughput_limit = Scope::MessageGroup;
            }
            _ => return Err(invalid(name, "not one of its values")),
        }
        Ok(())
    }

    /// Keeps a text; an empty one removes the attribute.
    fn set_text(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            self.texts.remove(name);
        } else {
            self.texts.insert(name.to_owned(), value.to_owned());
        }
    }
}

fn number(name: &str, value: &str, range: &RangeInclusive<u32>) -> Result<u32, SqsError> {
    match value.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(invalid(name, "not a whole number in its range")),
    }
}

/// Reads a redrive policy; an empty text removes it. The count may be a JSON number or a string.
fn redrive(text: &str) -> Result<Option<Redrive>, SqsError> {
    const NAME: &str = "RedrivePolicy";
    if text.is_empty() {
        return Ok(None);
    }
    let policy: Value = serde_json::from_str(text).map_err(|_| invalid(NAME, "not a JSON document"))?;
    let target_arn =
        policy["deadLetterTargetArn"].as_str().ok_or_else(|| invalid(NAME, "deadLetterTargetArn is missing"))?;
    let count = match &policy["maxReceiveCount"] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Ok(Some(Redrive { target_arn: target_arn.to_owned(), receives_max: number(NAME, &count, &RECEIVES)? }))
}

fn invalid(name: &str, reason: &'static str) -> SqsError {
    SqsError::InvalidAttributeValue { name: name.to_owned(), reason }
}
