//! What SQS refuses before a message reaches a queue. (SQS API reference, `SendMessage`; SQS
//! developer guide, "Amazon SQS message quotas".)

use super::settings::Settings;
use super::{SendRequest, SqsError, refused};
use crate::attribute;
use crate::attribute::AttributeValue;
use crate::encoding::sha256_hex;

const ATTRIBUTES_MAX: usize = 10;
const ID_LENGTH_MAX: usize = 128;
const QUEUE_NAME_LENGTH_MAX: usize = 80;
const DELAY_SECONDS_MAX: u32 = 900;

pub(crate) const FIFO_SUFFIX: &str = ".fifo";

pub(super) fn check_queue_name(queue_name: &str) -> Result<(), SqsError> {
    let stem = queue_name.strip_suffix(FIFO_SUFFIX).unwrap_or(queue_name);
    let is_name_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if stem.is_empty() || queue_name.len() > QUEUE_NAME_LENGTH_MAX || !stem.chars().all(is_name_char) {
        return Err(refused(
            "QueueName",
            "1 to 80 letters, digits, hyphens and underscores, and .fifo for a FIFO queue",
        ));
    }
    Ok(())
}

pub(super) fn check_message(settings: &Settings, request: &SendRequest) -> Result<(), SqsError> {
    if request.body.is_empty() {
        return Err(SqsError::MissingParameter { parameter: "MessageBody" });
    }
    if !attribute::is_xml_text(&request.body) {
        return Err(SqsError::InvalidMessageContents);
    }
    check_attributes(request)?;
    let size_bytes = request.body.len() + attribute::size_bytes(&request.message_attributes);
    if size_bytes > settings.message_bytes_max as usize {
        return Err(refused("MessageBody", "the message with its attributes is longer than MaximumMessageSize"));
    }
    check_ids(settings, request)?;
    check_delay(settings, request.delay_seconds)
}

/// Returns the id a FIFO queue deduplicates by; content-based is over the body alone.
pub(super) fn deduplication_id(settings: &Settings, request: &SendRequest) -> Result<String, SqsError> {
    match &request.message_deduplication_id {
        Some(id) => Ok(id.clone()),
        None if settings.content_based_deduplication => Ok(sha256_hex(request.body.as_bytes())),
        None => Err(refused(
            "MessageDeduplicationId",
            "the queue should either have ContentBasedDeduplication enabled \
             or MessageDeduplicationId provided explicitly",
        )),
    }
}

fn check_attributes(request: &SendRequest) -> Result<(), SqsError> {
    const PARAMETER: &str = "MessageAttributes";
    if request.message_attributes.len() > ATTRIBUTES_MAX {
        return Err(refused(PARAMETER, "a message has at most 10 attributes"));
    }
    for (name, message_attribute) in &request.message_attributes {
        if let Some(reason) = attribute::fault(name, message_attribute) {
            return Err(refused(PARAMETER, reason));
        }
        if let AttributeValue::Text(text) = &message_attribute.value
            && !attribute::is_xml_text(text)
        {
            return Err(SqsError::InvalidMessageContents);
        }
    }
    Ok(())
}

/// A standard queue takes a group id too (fair queues); the model gives it no meaning there.
fn check_ids(settings: &Settings, request: &SendRequest) -> Result<(), SqsError> {
    match &request.message_group_id {
        Some(id) => check_id("MessageGroupId", id)?,
        None if settings.is_fifo => {
            return Err(SqsError::MissingParameter { parameter: "MessageGroupId" });
        }
        None => {}
    }
    match &request.message_deduplication_id {
        Some(_) if !settings.is_fifo => {
            Err(refused("MessageDeduplicationId", "the parameter is not valid for this queue type"))
        }
        Some(id) => check_id("MessageDeduplicationId", id),
        None => Ok(()),
    }
}

fn check_id(parameter: &'static str, id: &str) -> Result<(), SqsError> {
    if id.is_empty() || id.len() > ID_LENGTH_MAX || !id.chars().all(|c| c.is_ascii_graphic()) {
        return Err(refused(parameter, "1 to 128 letters, digits and ASCII punctuation"));
    }
    Ok(())
}

fn check_delay(settings: &Settings, delay_seconds: Option<u32>) -> Result<(), SqsError> {
    let reason = match delay_seconds {
        Some(1..) if settings.is_fifo => "the parameter is not valid for this queue type",
        Some(seconds) if seconds > DELAY_SECONDS_MAX => "must be between 0 and 900",
        _ => return Ok(()),
    };
    Err(refused("DelaySeconds", reason))
}
