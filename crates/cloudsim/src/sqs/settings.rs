//! The settable attributes of a queue: their names and values. What AWS refuses of them is `admission`'s.
//! (SQS API reference, `CreateQueue` and `SetQueueAttributes`.)

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{QueueAttributes, SqsError, invalid_value, refused, rules::FIFO_SUFFIX};
use crate::admission::{Code, QUEUE_RULES, Refusal, check};

const MESSAGE_BYTES_DEFAULT: u32 = 1_048_576;
const KMS_KEY: &str = "KmsMasterKeyId";
const ENCRYPTED_BY_SQS: &str = "SqsManagedSseEnabled";

/// Attributes that change nothing in the model and are kept as they came.
const TEXT_ATTRIBUTES: [&str; 5] =
    ["Policy", "RedriveAllowPolicy", KMS_KEY, "KmsDataKeyReusePeriodSeconds", ENCRYPTED_BY_SQS];

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub name_ends_in_fifo: bool,
    pub is_fifo: bool,
    pub content_based_deduplication: bool,
    pub is_deduplicated_per_group: bool,
    pub has_throughput_per_group: bool,
    pub visibility_timeout_seconds: u32,
    pub retention_seconds: u32,
    pub delay_seconds: u32,
    pub message_bytes_max: u32,
    pub wait_seconds: u32,
    pub redrive: Option<Redrive>,
    pub texts: BTreeMap<String, String>,
}

/// Is a redrive policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Redrive {
    pub target_arn: String,
    pub receives_max: u32,
}

impl Redrive {
    pub(super) fn to_text(&self) -> String {
        json!({"deadLetterTargetArn": self.target_arn, "maxReceiveCount": self.receives_max}).to_string()
    }

    /// Says whether the dead-letter queue is FIFO, as its name tells.
    pub(crate) fn is_to_fifo(&self) -> bool {
        self.target_arn.ends_with(FIFO_SUFFIX)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name_ends_in_fifo: false,
            is_fifo: false,
            content_based_deduplication: false,
            is_deduplicated_per_group: false,
            has_throughput_per_group: false,
            visibility_timeout_seconds: 30,
            retention_seconds: 345_600,
            delay_seconds: 0,
            message_bytes_max: MESSAGE_BYTES_DEFAULT,
            wait_seconds: 0,
            redrive: None,
            texts: BTreeMap::from([(ENCRYPTED_BY_SQS.to_owned(), "true".to_owned())]),
        }
    }
}

impl Settings {
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
        check(QUEUE_RULES, &changed)?;
        Ok(changed)
    }

    pub(crate) fn has_kms_key(&self) -> bool {
        self.texts.contains_key(KMS_KEY)
    }

    pub(crate) fn is_encrypted_by_sqs(&self) -> bool {
        self.texts.get(ENCRYPTED_BY_SQS).is_some_and(|text| text == "true")
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
            put("RedrivePolicy", redrive.to_text());
        }
        if self.is_fifo {
            put("FifoQueue", "true".to_owned());
            put("ContentBasedDeduplication", self.content_based_deduplication.to_string());
            let scope = if self.is_deduplicated_per_group { "messageGroup" } else { "queue" };
            put("DeduplicationScope", scope.to_owned());
            let limit = if self.has_throughput_per_group { "perMessageGroupId" } else { "perQueue" };
            put("FifoThroughputLimit", limit.to_owned());
        }
        attributes
    }

    /// Sets one attribute without asking the rules.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), SqsError> {
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
            ENCRYPTED_BY_SQS => self.set_text(name, &value.to_ascii_lowercase()),
            _ if TEXT_ATTRIBUTES.contains(&name) => self.set_text(name, value),
            _ => {
                return Err(SqsError::InvalidAttributeName { name: name.to_owned() });
            }
        }
        Ok(())
    }

    fn set_fifo(&mut self, name: &str, value: &str) -> Result<(), SqsError> {
        if !self.name_ends_in_fifo {
            return Err(SqsError::InvalidAttributeName { name: name.to_owned() });
        }
        // Recorded: flags are taken in any case.
        let lowercase = value.to_ascii_lowercase();
        let value = if matches!(lowercase.as_str(), "true" | "false") { lowercase.as_str() } else { value };
        match (name, value) {
            ("FifoQueue", "true") => self.is_fifo = true,
            ("FifoQueue", _) => return Err(invalid(name, "a queue cannot change its type")),
            ("ContentBasedDeduplication", "true") => self.content_based_deduplication = true,
            ("ContentBasedDeduplication", "false") => self.content_based_deduplication = false,
            ("DeduplicationScope", "queue") => self.is_deduplicated_per_group = false,
            ("DeduplicationScope", "messageGroup") => self.is_deduplicated_per_group = true,
            ("FifoThroughputLimit", "perQueue") => self.has_throughput_per_group = false,
            ("FifoThroughputLimit", "perMessageGroupId") => self.has_throughput_per_group = true,
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
    let policy: Value =
        serde_json::from_str(text).map_err(|_| invalid_value(NAME, text, "Redrive policy is not a valid JSON map."))?;
    let missing = |attribute: &str| {
        invalid_value(NAME, text, &format!("Redrive policy does not contain mandatory attribute: {attribute}."))
    };
    let target_arn = policy["deadLetterTargetArn"].as_str().ok_or_else(|| missing("deadLetterTargetArn"))?;
    let count = match &policy["maxReceiveCount"] {
        Value::Null => return Err(missing("maxReceiveCount")),
        Value::String(count) => count.clone(),
        other => other.to_string(),
    };
    let receives_max = count
        .parse()
        .map_err(|_| invalid_value(NAME, text, &format!("Invalid value for maxReceiveCount: {count}.")))?;
    Ok(Some(Redrive { target_arn: target_arn.to_owned(), receives_max }))
}

impl From<Refusal> for SqsError {
    fn from(refusal: Refusal) -> Self {
        let Refusal { parameter, code, text: reason, .. } = refusal;
        match code {
            Code::InvalidAttributeName => Self::InvalidAttributeName { name: parameter.to_owned() },
            Code::InvalidParameterValue => refused(parameter, reason),
            Code::InvalidAttributeValue
            | Code::InvalidParameterValueException
            | Code::ResourceConflictException
            | Code::ValidationException => invalid(parameter, reason),
        }
    }
}

fn invalid(name: &str, reason: &'static str) -> SqsError {
    SqsError::InvalidAttributeValue { name: name.to_owned(), reason }
}
