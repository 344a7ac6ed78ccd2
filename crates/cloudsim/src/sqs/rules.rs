//! What SQS refuses before a message reaches a queue. (SQS API reference, `SendMessage`; SQS
//! developer guide, "Amazon SQS message quotas".)

use super::settings::Settings;
use super::{DELAY_SECONDS, SendRequest, SqsError, invalid_value, refused};
use crate::attribute;
use crate::attribute::{AttributeValue, XML_CHARACTERS};
use crate::encoding::sha256_hex;

const ATTRIBUTES_MAX: usize = 10;
const ID_LENGTH_MAX: usize = 128;
const QUEUE_NAME_LENGTH_MAX: usize = 80;

const OTHER_QUEUE_TYPE: &str = "The request include parameter that is not valid for this queue type.";

/// The text about a message that a FIFO queue cannot deduplicate.
pub const DEDUPLICATION_ID_MISSING: &str =
    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly";

pub(crate) const FIFO_SUFFIX: &str = ".fifo";

pub(super) fn check_queue_name(queue_name: &str) -> Result<(), SqsError> {
    let stem = queue_name.strip_suffix(FIFO_SUFFIX).unwrap_or(queue_name);
    let is_name_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if stem.is_empty() || queue_name.len() > QUEUE_NAME_LENGTH_MAX || !stem.chars().all(is_name_char) {
        return Err(refused(
            "QueueName",
            "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
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
        let reason = format!("Message must be shorter than {} bytes.", settings.message_bytes_max);
        return Err(refused("MessageBody", format!("One or more parameters are invalid. Reason: {reason}")));
    }
    check_ids(settings, request)?;
    check_delay(settings, request.delay_seconds)
}

/// Returns the id a FIFO queue deduplicates by; content-based is over the body alone.
pub(super) fn deduplication_id(settings: &Settings, request: &SendRequest) -> Result<String, SqsError> {
    match &request.message_deduplication_id {
        Some(id) => Ok(id.clone()),
        None if settings.content_based_deduplication => Ok(sha256_hex(request.body.as_bytes())),
        None => Err(refused("MessageDeduplicationId", DEDUPLICATION_ID_MISSING)),
    }
}

fn check_attributes(request: &SendRequest) -> Result<(), SqsError> {
    const PARAMETER: &str = "MessageAttributes";
    if request.message_attributes.len() > ATTRIBUTES_MAX {
        let count = request.message_attributes.len();
        let text = format!("Number of message attributes [{count}] exceeds the allowed maximum [{ATTRIBUTES_MAX}].");
        return Err(refused(PARAMETER, text));
    }
    for (name, message_attribute) in &request.message_attributes {
        if !["Binary", "Number", "String"].contains(&message_attribute.base_type()) {
            let text = format!(
                "The message attribute '{name}' has an invalid message attribute type, the set of supported type \
                 prefixes is Binary, Number, and String."
            );
            return Err(refused(PARAMETER, text));
        }
        if let Some(reason) = attribute::fault(name, message_attribute) {
            return Err(refused(PARAMETER, format!("The message attribute '{name}' is invalid. Reason: {reason}.")));
        }
        if let AttributeValue::Text(text) = &message_attribute.value
            && !attribute::is_xml_text(text)
        {
            let allowed = format!("the set of allowed characters is {XML_CHARACTERS}");
            return Err(refused(PARAMETER, format!("The message attribute '{name}' has an invalid value, {allowed}")));
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
        Some(id) if !settings.is_fifo => Err(invalid_value("MessageDeduplicationId", id, OTHER_QUEUE_TYPE)),
        Some(id) => check_id("MessageDeduplicationId", id),
        None => Ok(()),
    }
}

fn check_id(parameter: &'static str, id: &str) -> Result<(), SqsError> {
    if id.is_empty() || id.len() > ID_LENGTH_MAX || !id.chars().all(|c| c.is_ascii_graphic()) {
        let reason =
            format!("{parameter} can only include alphanumeric and punctuation characters. 1 to 128 in length.");
        return Err(invalid_value(parameter, id, &reason));
    }
    Ok(())
}

fn check_delay(settings: &Settings, delay_seconds: Option<u32>) -> Result<(), SqsError> {
    match delay_seconds {
        Some(seconds @ 1..) if settings.is_fifo => {
            Err(invalid_value("DelaySeconds", &seconds.to_string(), OTHER_QUEUE_TYPE))
        }
        Some(seconds) => DELAY_SECONDS.read(seconds.into()).map(drop),
        None => Ok(()),
    }
}
