//! The settable attributes of a queue: their names and values. What AWS refuses of them is `admission`'s.
//! (SQS API reference, `CreateQueue` and `SetQueueAttributes`.)

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{QueueAttributes, SqsError};
use crate::admission::{Code, QUEUE_RULES, QueueSettings, Refusal, check};

const MESSAGE_BYTES_DEFAULT: u32 = 1_048_576;
const KMS_KEY: &str = "KmsMasterKeyId";
const ENCRYPTED_BY_SQS: &str = "SqsManagedSseEnabled";

/// Attributes that change nothing in the model and are kept as they came.
const TEXT_ATTRIBUTES: [&str; 5] =
    ["Policy", "RedriveAllowPolicy", KMS_KEY, "KmsDataKeyReusePeriodSeconds", ENCRYPTED_BY_SQS];

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
            message_bytes_max: MESSAGE_BYTES_DEFAULT,
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
        // Recorded: a key turns SQS's own encryption off, and its removal turns that on again.
        if let Some(key) = attributes.get(KMS_KEY)
            && !attributes.contains_key(ENCRYPTED_BY_SQS)
        {
            changed.set_text(ENCRYPTED_BY_SQS, if key.is_empty() { "true" } else { "false" });
        }
        check(QUEUE_RULES, &changed.admission())?;
        Ok(changed)
    }

    /// Returns what the rules of queues are about, but for the names of this queue and its dead-letter queue.
    pub(super) fn admission(&self) -> QueueSettings {
        QueueSettings {
            name_ends_in_fifo: None,
            is_fifo: self.fifo,
            visibility_timeout_seconds: Some(self.visibility_timeout_seconds.into()),
            retention_seconds: Some(self.retention_seconds.into()),
            delay_seconds: Some(self.delay_seconds.into()),
            message_bytes_max: Some(self.message_bytes_max.into()),
            wait_seconds: Some(self.wait_seconds.into()),
            receives_max: self.redrive.as_ref().map(|redrive| redrive.receives_max.into()),
            dead_letter_queue_is_fifo: None,
            is_deduplicated_per_group: self.deduplication_scope == Scope::MessageGroup,
            has_throughput_per_group: self.throughput_limit == Scope::MessageGroup,
            has_kms_key: self.texts.contains_key(KMS_KEY),
            is_encrypted_by_sqs: self.texts.get(ENCRYPTED_BY_SQS).map(|text| text == "true"),
        }
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
            "VisibilityTimeout" => self.visibility_timeout_seconds = number(name, value)?,
            "MessageRetentionPeriod" => self.retention_seconds = number(name, value)?,
            "DelaySeconds" => self.delay_seconds = number(name, value)?,
            "MaximumMessageSize" => self.message_bytes_max = number(name, value)?,
            "ReceiveMessageWaitTimeSeconds" => self.wait_seconds = number(name, value)?,
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

fn number(name: &str, value: &str) -> Result<u32, SqsError> {
    value.parse().map_err(|_| invalid(name, "not a whole number"))
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
    Ok(Some(Redrive { target_arn: target_arn.to_owned(), receives_max: number(NAME, &count)? }))
}

impl From<Refusal> for SqsError {
    fn from(refusal: Refusal) -> Self {
        let Refusal { parameter, code, text: reason, .. } = refusal;
        match code {
            Code::InvalidAttributeName => Self::InvalidAttributeName { name: parameter.to_owned() },
            Code::InvalidParameterValue => Self::InvalidParameterValue { parameter, reason },
            Code::InvalidAttributeValue | Code::InvalidParameterValueException | Code::ValidationException => {
                invalid(parameter, reason)
            }
        }
    }
}

fn invalid(name: &str, reason: &'static str) -> SqsError {
    SqsError::InvalidAttributeValue { name: name.to_owned(), reason }
}
