//! SQS queues, standard and FIFO, with their dead-letter queues.
//!
//! A FIFO queue behaves as documented: five minutes of deduplication, a group is locked while one of
//! its messages is in flight, messages come back at their old place, and one that was received too
//! often moves to the dead-letter queue on the receive that would exceed its count. A standard queue
//! delivers in order of arrival and once per visibility timeout; the disorder and the extra copies
//! that AWS allows itself there are for the driver to inject.
//!
//! Not here: long polling (see `next_visible_ms`), batches, URLs and wire errors, permissions,
//! throughput limits, `ReceiveRequestAttemptId`, message move tasks.

mod queue;
mod rules;
mod settings;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, ops::RangeInclusive};

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use thiserror::Error;

use self::queue::{IN_FLIGHT_MAX, Queue};
pub use self::queue::{MessageState, StoredMessage};
pub use self::rules::DEDUPLICATION_ID_MISSING;
pub(crate) use self::rules::FIFO_SUFFIX;
use self::settings::Redrive;
pub(crate) use self::settings::Settings;
use crate::Account;
use crate::attribute;
use crate::attribute::{MessageAttributes, XML_CHARACTERS};
use crate::encoding::{md5_hex, uuid};

/// Queue attributes by their AWS names, as text, as `CreateQueue` takes them.
pub type QueueAttributes = BTreeMap<String, String>;

/// Holds all queues of one account and region.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sqs {
    account: Account,
    queues: BTreeMap<String, Queue>,
    /// When each deleted queue was deleted.
    deleted_ms: BTreeMap<String, u64>,
    /// Numbers queues and messages; sequence numbers grow with it.
    next_number: u64,
}

/// Received at a time, at most.
pub const RECEIVE_MESSAGES_MAX: u32 = 10;

const VISIBILITY_TIMEOUT_SECONDS_MAX: u32 = 43_200;
const RECREATE_AFTER_MS: u64 = 60_000;
const PURGE_AGAIN_AFTER_MS: u64 = 60_000;
const MS_PER_SECOND: u64 = 1_000;

/// AWS's sequence numbers have 20 digits and are not consecutive; these look alike.
const SEQUENCE_NUMBER_BASE: u128 = 18_800_000_000_000_000_000;
const SEQUENCE_NUMBER_STEP: u128 = 256;

/// The sender every message has; callers are not told apart.
const SENDER_ID: &str = "AIDACLOUDSIMSENDER00";

/// Is what `SendMessage` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendRequest {
    pub body: String,
    pub message_group_id: Option<String>,
    pub message_deduplication_id: Option<String>,
    /// Overrides the queue's delay; refused by FIFO queues.
    pub delay_seconds: Option<u32>,
    pub message_attributes: MessageAttributes,
    /// The system attribute `AWSTraceHeader`.
    pub trace_header: Option<String>,
}

/// Is what `SendMessage` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    pub message_id: String,
    /// FIFO queues only; 20 digits.
    pub sequence_number: Option<String>,
    pub md5_of_body: String,
    /// Absent where the message has no attributes.
    pub md5_of_message_attributes: Option<String>,
    /// True where this send was a duplicate; AWS does not tell the sender.
    pub duplicate: bool,
}

/// Is what `ReceiveMessage` takes, apart from the waiting, which is the driver's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiveRequest {
    /// 1 to 10.
    pub messages_max: u32,
    /// Overrides the queue's visibility timeout.
    pub visibility_timeout_seconds: Option<u32>,
}

/// Is one delivery of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceivedMessage {
    pub message_id: String,
    pub receipt_handle: String,
    pub body: String,
    pub md5_of_body: String,
    pub md5_of_message_attributes: Option<String>,
    /// All system attributes by AWS name: `ApproximateReceiveCount`, `SentTimestamp`, `SenderId`,
    /// `ApproximateFirstReceiveTimestamp`, on FIFO `MessageGroupId`, `MessageDeduplicationId`,
    /// `SequenceNumber`, in a DLQ `DeadLetterQueueSourceArn`. The wire layer picks what was asked for.
    pub system_attributes: BTreeMap<String, String>,
    pub message_attributes: MessageAttributes,
}

/// Refuses an SQS call, as AWS does and in its words where they are known.
#[derive(Debug, Clone, PartialEq, Eq, Error, IntoStaticStr)]
pub enum SqsError {
    #[error("The specified queue does not exist.")]
    QueueDoesNotExist,
    #[error("A queue already exists with the same name and a different value for attribute {attribute}")]
    QueueNameExists { attribute: String },
    #[error("You must wait 60 seconds after deleting a queue before you can create another with the same name.")]
    QueueDeletedRecently,
    #[error("Unknown Attribute {name}.")]
    InvalidAttributeName { name: String },
    #[error("Invalid value for the parameter {name}. Reason: {reason}.")]
    InvalidAttributeValue { name: String, reason: &'static str },
    #[error("Invalid characters found. Valid unicode characters are {XML_CHARACTERS}")]
    InvalidMessageContents,
    #[error("{text}")]
    #[strum(serialize = "InvalidParameterValueException")]
    InvalidParameterValue { parameter: &'static str, text: String },
    #[error("The request must contain the parameter {parameter}.")]
    #[strum(serialize = "MissingRequiredParameterException")]
    MissingParameter { parameter: &'static str },
    #[error("The input receipt handle is invalid.")]
    ReceiptHandleIsInvalid,
    #[error("The message referred to isn't in flight.")]
    MessageNotInflight,
    #[error("Too many messages are in flight.")]
    OverLimit,
    #[error("Only one PurgeQueue operation on {queue_name} is allowed every 60 seconds.")]
    PurgeQueueInProgress { queue_name: String },
}

/// A number of a request: its range, and AWS's words for what lies outside.
#[derive(Debug)]
pub struct Figure {
    parameter: &'static str,
    range: RangeInclusive<i64>,
    reason: &'static str,
}

/// Queues that one listing names, at most.
pub const LIST_RESULTS_MAX: i64 = 1_000;

pub const MAX_RESULTS: Figure = Figure {
    parameter: "MaxResults",
    range: 1..=LIST_RESULTS_MAX,
    reason: "MaxResults must be an integer between 1 and 1000, if provided.",
};
pub const DELAY_SECONDS: Figure =
    Figure { parameter: "DelaySeconds", range: 0..=900, reason: "DelaySeconds must be >= 0 and <= 900." };
pub const MESSAGES_MAX: Figure = Figure {
    parameter: "MaxNumberOfMessages",
    range: 1..=RECEIVE_MESSAGES_MAX as i64,
    reason: "Must be between 1 and 10, if provided.",
};
pub const VISIBILITY_TIMEOUT: Figure = Figure {
    parameter: "VisibilityTimeout",
    range: 0..=VISIBILITY_TIMEOUT_SECONDS_MAX as i64,
    reason: "Must be >= 0 and <= 43200, if provided.",
};
pub const WAIT_SECONDS: Figure =
    Figure { parameter: "WaitTimeSeconds", range: 0..=20, reason: "Must be >= 0 and <= 20, if provided." };

impl Figure {
    /// Reads a number that was sent.
    pub fn read(&self, value: i64) -> Result<u32, SqsError> {
        let read = u32::try_from(value).ok().filter(|_| self.range.contains(&value));
        read.ok_or_else(|| invalid_value(self.parameter, &value.to_string(), self.reason))
    }
}

impl SqsError {
    /// Returns the shape name of the JSON protocol, to be put after `com.amazonaws.sqs#`.
    #[must_use]
    pub fn json_code(&self) -> &'static str {
        self.into()
    }

    /// Returns the code of the query protocol, which the JSON protocol repeats in the header
    /// `x-amzn-query-error` (followed by `;Sender`) and which older clients read.
    #[must_use]
    pub fn query_code(&self) -> &'static str {
        match self {
            Self::QueueDoesNotExist => "AWS.SimpleQueueService.NonExistentQueue",
            Self::QueueNameExists { .. } => "QueueAlreadyExists",
            Self::QueueDeletedRecently => "AWS.SimpleQueueService.QueueDeletedRecently",
            Self::MessageNotInflight => "AWS.SimpleQueueService.MessageNotInflight",
            Self::PurgeQueueInProgress { .. } => "AWS.SimpleQueueService.PurgeQueueInProgress",
            Self::InvalidParameterValue { .. } => "InvalidParameterValue",
            Self::MissingParameter { .. } => "MissingParameter",
            _ => self.json_code(),
        }
    }
}

impl Sqs {
    #[must_use]
    pub fn new(account: Account) -> Self {
        Self { account, queues: BTreeMap::new(), deleted_ms: BTreeMap::new(), next_number: 1 }
    }

    /// Returns the ARN a queue of this name has or would have.
    #[must_use]
    pub fn arn(&self, queue_name: &str) -> String {
        format!("arn:aws:sqs:{}:{}:{queue_name}", self.account.region, self.account.id)
    }

    /// Creates a queue; the same name again is fine unless a given attribute differs.
    ///
    /// Fails for 60 seconds after a queue of that name was deleted. (SQS API reference,
    /// `CreateQueue` and `DeleteQueue`.)
    pub fn create_queue(
        &mut self,
        now_ms: u64,
        queue_name: &str,
        attributes: &QueueAttributes,
    ) -> Result<(), SqsError> {
        rules::check_queue_name(queue_name)?;
        if let Some(queue) = self.queues.get(queue_name) {
            return check_same_attributes(&queue.settings, attributes);
        }
        let is_recent = |deleted_ms: &u64| now_ms < deleted_ms + RECREATE_AFTER_MS;
        if self.deleted_ms.get(queue_name).is_some_and(is_recent) {
            return Err(SqsError::QueueDeletedRecently);
        }
        let name_ends_in_fifo = queue_name.ends_with(rules::FIFO_SUFFIX);
        let wants_fifo = attributes.get("FifoQueue").is_some_and(|flag| flag.eq_ignore_ascii_case("true"));
        if wants_fifo && !name_ends_in_fifo {
            return Err(refused(
                "QueueName",
                "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end \
                 with .fifo suffix and be 1 to 80 in length.",
            ));
        }
        let settings = Settings { name_ends_in_fifo, ..Settings::default() }.with(attributes)?;
        self.check_redrive(&settings)?;
        let incarnation = self.take_number();
        self.deleted_ms.remove(queue_name);
        self.queues.insert(queue_name.to_owned(), Queue::new(now_ms, incarnation, settings));
        Ok(())
    }

    /// Deletes a queue and its messages.
    pub fn delete_queue(&mut self, now_ms: u64, queue_name: &str) -> Result<(), SqsError> {
        self.queues.remove(queue_name).ok_or(SqsError::QueueDoesNotExist)?;
        self.deleted_ms.insert(queue_name.to_owned(), now_ms);
        Ok(())
    }

    /// Lists queue names in order, those with the prefix only.
    #[must_use]
    pub fn queue_names(&self, prefix: &str) -> Vec<String> {
        self.queues.keys().filter(|queue_name| queue_name.starts_with(prefix)).cloned().collect()
    }

    /// Says whether the queue exists (`GetQueueUrl`; the URL itself is the wire layer's).
    #[must_use]
    pub fn has_queue(&self, queue_name: &str) -> bool {
        self.queues.contains_key(queue_name)
    }

    /// Returns all attributes, counts included; the wire layer picks what was asked for.
    ///
    /// The counts are exact here; a message that waits for its group counts as visible.
    pub fn queue_attributes(&mut self, now_ms: u64, queue_name: &str) -> Result<QueueAttributes, SqsError> {
        let arn = self.arn(queue_name);
        let queue = self.queue(now_ms, queue_name)?;
        let mut attributes = queue.settings.attributes();
        let mut put = |name: &str, value: String| attributes.insert(name.to_owned(), value);
        put("QueueArn", arn);
        put("ApproximateNumberOfMessages", queue.visible().to_string());
        put("ApproximateNumberOfMessagesNotVisible", queue.in_flight.to_string());
        put("ApproximateNumberOfMessagesDelayed", queue.delayed().to_string());
        let seconds = |time_ms: u64| (time_ms / MS_PER_SECOND).to_string();
        put("CreatedTimestamp", seconds(queue.created_ms));
        put("LastModifiedTimestamp", seconds(queue.modified_ms));
        Ok(attributes)
    }

    /// Changes attributes, all or none.
    pub fn set_queue_attributes(
        &mut self,
        now_ms: u64,
        queue_name: &str,
        attributes: &QueueAttributes,
    ) -> Result<(), SqsError> {
        let settings = self.queue(now_ms, queue_name)?.settings.with(attributes)?;
        self.check_redrive(&settings)?;
        let queue = self.queue(now_ms, queue_name)?;
        let delay_changed = queue.settings.delay_seconds != settings.delay_seconds;
        queue.settings = settings;
        queue.modified_ms = now_ms;
        if queue.settings.is_fifo && delay_changed {
            queue.redelay();
        }
        queue.advance(now_ms);
        Ok(())
    }

    /// Sends a message. On a FIFO queue a duplicate succeeds with the first message's id and
    /// sequence number and adds nothing, for five minutes from the first send, even once that one
    /// was received and deleted. (SQS developer guide, "Using the Amazon SQS message deduplication
    /// ID".)
    pub fn send(&mut self, now_ms: u64, queue_name: &str, mut request: SendRequest) -> Result<Sent, SqsError> {
        let number = self.next_number;
        let queue = self.queue(now_ms, queue_name)?;
        rules::check_message(&queue.settings, &request)?;
        let mut sent = Sent {
            message_id: uuid("message", number),
            sequence_number: None,
            md5_of_body: md5_hex(request.body.as_bytes()),
            md5_of_message_attributes: attribute::md5_of(&request.message_attributes),
            duplicate: false,
        };
        if queue.settings.is_fifo {
            let deduplication_id = rules::deduplication_id(&queue.settings, &request)?;
            let key = deduplication_key(&queue.settings, &request, &deduplication_id);
            if let Some(Sent { message_id, sequence_number, .. }) = queue.sent.original(now_ms, &key).cloned() {
                return Ok(Sent { message_id, sequence_number, duplicate: true, ..sent });
            }
            sent.sequence_number = Some(sequence_number(number));
            queue.sent.remember(now_ms, key, sent.clone());
            request.message_deduplication_id = Some(deduplication_id);
        }
        let delay_seconds = match request.delay_seconds {
            Some(seconds) if !queue.settings.is_fifo => seconds,
            _ => queue.settings.delay_seconds,
        };
        let message = StoredMessage {
            message_id: sent.message_id.clone(),
            request,
            sequence_number: sent.sequence_number.clone(),
            sent_ms: now_ms,
            enqueued_ms: now_ms,
            ..StoredMessage::default()
        };
        let visible_ms = now_ms + u64::from(delay_seconds) * MS_PER_SECOND;
        queue.insert(now_ms, message, visible_ms);
        self.take_number();
        Ok(sent)
    }

    /// Receives what can be delivered now, and moves to the dead-letter queue what was received
    /// `maxReceiveCount` times already.
    ///
    /// A redrive policy whose target is gone counts as none, so that nothing is lost.
    pub fn receive(
        &mut self,
        now_ms: u64,
        queue_name: &str,
        request: &ReceiveRequest,
    ) -> Result<Vec<ReceivedMessage>, SqsError> {
        MESSAGES_MAX.read(request.messages_max.into())?;
        VISIBILITY_TIMEOUT.read(request.visibility_timeout_seconds.unwrap_or(0).into())?;
        if self.queue(now_ms, queue_name)?.next_free().is_none() {
            return Ok(Vec::new());
        }
        let source_arn = self.arn(queue_name);
        let redrive = self.queue(now_ms, queue_name)?.settings.redrive.clone();
        let redrive = redrive.and_then(|redrive| Some((self.dead_letter_queue(&redrive)?, redrive.receives_max)));
        let queue = self.queue(now_ms, queue_name)?;
        if !queue.settings.is_fifo && queue.in_flight >= IN_FLIGHT_MAX {
            return Err(SqsError::OverLimit);
        }
        let (received, dead) = queue.take(now_ms, request, redrive.as_ref().map(|(_, receives_max)| *receives_max));
        if let Some((target, _)) = redrive {
            for message in dead {
                self.move_to_dead_letter_queue(now_ms, &target, message, &source_arn);
            }
        }
        Ok(received)
    }

    /// Deletes a message by a handle.
    ///
    /// A message that is gone already is fine. On a FIFO queue a handle whose visibility timeout is
    /// over, or that a later receive replaced, is refused as expired. On a standard queue every
    /// handle works, after its timeout too; the reference promises that of the latest one only, the
    /// recordings show it of all.
    pub fn delete_message(&mut self, now_ms: u64, queue_name: &str, receipt_handle: &str) -> Result<(), SqsError> {
        let queue = self.queue(now_ms, queue_name)?;
        let receipt = Receipt::parse(queue.incarnation, receipt_handle)?;
        let Some(stored) = queue.messages.get(&receipt.slot) else {
            return Ok(());
        };
        let is_latest = stored.receipt == receipt.number;
        if queue.settings.is_fifo && !(is_latest && stored.state.is_in_flight()) {
            return Err(invalid_value("ReceiptHandle", receipt_handle, "The receipt handle has expired."));
        }
        queue.remove(receipt.slot);
        Ok(())
    }

    /// Sets a new visibility timeout, counted from now; 0 makes the message visible at once.
    ///
    /// Refuses a message that is gone and more than 12 hours since the receive, on a FIFO queue also a
    /// replaced handle and a message that is not in flight. (SQS API reference,
    /// `ChangeMessageVisibility`; standard queues take older handles and late calls, as recorded.)
    pub fn change_visibility(
        &mut self,
        now_ms: u64,
        queue_name: &str,
        receipt_handle: &str,
        visibility_timeout_seconds: u32,
    ) -> Result<(), SqsError> {
        VISIBILITY_TIMEOUT.read(visibility_timeout_seconds.into())?;
        let queue = self.queue(now_ms, queue_name)?;
        let receipt = Receipt::parse(queue.incarnation, receipt_handle)?;
        let unavailable = "Message does not exist or is not available for visibility timeout change.";
        let is_fifo = queue.settings.is_fifo;
        let stored = queue.messages.get(&receipt.slot).filter(|stored| !is_fifo || stored.receipt == receipt.number);
        let stored = stored.ok_or_else(|| invalid_value("ReceiptHandle", receipt_handle, unavailable))?;
        if is_fifo && !stored.state.is_in_flight() {
            return Err(SqsError::MessageNotInflight);
        }
        let timeout_ms = u64::from(visibility_timeout_seconds) * MS_PER_SECOND;
        let latest_ms = stored.received_ms + u64::from(VISIBILITY_TIMEOUT_SECONDS_MAX) * MS_PER_SECOND;
        if now_ms + timeout_ms > latest_ms {
            let reason = "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]";
            return Err(invalid_value("VisibilityTimeout", &visibility_timeout_seconds.to_string(), reason));
        }
        queue.change_visibility(now_ms, receipt.slot, timeout_ms);
        Ok(())
    }

    /// Deletes all messages, those in flight too; once in 60 seconds.
    pub fn purge_queue(&mut self, now_ms: u64, queue_name: &str) -> Result<(), SqsError> {
        let queue = self.queue(now_ms, queue_name)?;
        let is_recent = |purged_ms: u64| now_ms < purged_ms + PURGE_AGAIN_AFTER_MS;
        if queue.purged_ms.is_some_and(is_recent) {
            return Err(SqsError::PurgeQueueInProgress { queue_name: queue_name.to_owned() });
        }
        queue.purged_ms = Some(now_ms);
        queue.purge();
        Ok(())
    }

    /// Returns up to `messages_max` stored messages in order of arrival, whatever their state. It changes nothing and is
    /// for people and tests; AWS has no such call.
    pub fn peek(&mut self, now_ms: u64, queue_name: &str, messages_max: usize) -> Result<Vec<StoredMessage>, SqsError> {
        Ok(self.queue(now_ms, queue_name)?.messages.values().take(messages_max).cloned().collect())
    }

    /// Returns when the queue next changes by itself because a visibility timeout or delay ends.
    /// A time that has passed means: now.
    #[must_use]
    pub fn next_visible_ms(&self, queue_name: &str) -> Option<u64> {
        self.queues.get(queue_name)?.next_visible_ms()
    }

    /// Returns the queue's own visibility timeout.
    pub(crate) fn visibility_timeout_ms(&self, queue_name: &str) -> Result<u64, SqsError> {
        let queue = self.queues.get(queue_name).ok_or(SqsError::QueueDoesNotExist)?;
        Ok(u64::from(queue.settings.visibility_timeout_seconds) * MS_PER_SECOND)
    }

    /// Returns a queue with everything due applied.
    fn queue(&mut self, now_ms: u64, queue_name: &str) -> Result<&mut Queue, SqsError> {
        let queue = self.queues.get_mut(queue_name).ok_or(SqsError::QueueDoesNotExist)?;
        queue.advance(now_ms);
        Ok(queue)
    }

    fn take_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    /// Checks that the dead-letter queue exists. (SQS developer guide, "Using dead-letter queues".)
    fn check_redrive(&self, settings: &Settings) -> Result<(), SqsError> {
        match &settings.redrive {
            Some(redrive) if self.dead_letter_queue(redrive).is_none() => {
                Err(invalid_value("RedrivePolicy", &redrive.to_text(), "Dead letter target does not exist."))
            }
            _ => Ok(()),
        }
    }

    /// Returns the name of the dead-letter queue where there is one.
    fn dead_letter_queue(&self, redrive: &Redrive) -> Option<String> {
        let queue_name = redrive.target_arn.strip_prefix(&self.arn(""))?;
        self.has_queue(queue_name).then(|| queue_name.to_owned())
    }

    /// Puts an exhausted message into its dead-letter queue with id, group, send time and receive
    /// count. On FIFO its deduplication id becomes the message id and its retention starts anew, and
    /// a send with that deduplication id is a duplicate from then on, as recorded; on
    /// standard queues the retention goes on. (SQS developer guide, "Setting-up dead-letter queue
    /// retention" and "Exactly-once processing".)
    fn move_to_dead_letter_queue(&mut self, now_ms: u64, target: &str, mut message: StoredMessage, source_arn: &str) {
        let number = self.take_number();
        let Some(queue) = self.queues.get_mut(target) else {
            return;
        };
        message.dead_letter_source_arn = Some(source_arn.to_owned());
        message.receives_here = 0;
        if queue.settings.is_fifo {
            message.request.message_deduplication_id = Some(message.message_id.clone());
            message.sequence_number = Some(sequence_number(number));
            message.enqueued_ms = now_ms;
            let key = deduplication_key(&queue.settings, &message.request, &message.message_id);
            queue.sent.remember(now_ms, key, sent_of(&message));
        }
        queue.advance(now_ms);
        queue.insert(now_ms, message, now_ms);
    }
}

/// Is what a receipt handle says: which receive of which message.
struct Receipt {
    slot: u64,
    number: u64,
}

impl Receipt {
    const PREFIX: &str = "AQEB";
    const DIGITS: usize = 16;

    fn handle(incarnation: u64, slot: u64, number: u64) -> String {
        format!("{}{incarnation:016x}{slot:016x}{number:016x}", Self::PREFIX)
    }

    /// Reads a handle; one of another queue is as invalid as a made-up one.
    fn parse(incarnation: u64, handle: &str) -> Result<Self, SqsError> {
        let digits = handle
            .strip_prefix(Self::PREFIX)
            .filter(|digits| digits.len() == 3 * Self::DIGITS && digits.is_ascii())
            .ok_or(SqsError::ReceiptHandleIsInvalid)?;
        let number_at = |index: usize| {
            let text = &digits[index * Self::DIGITS..(index + 1) * Self::DIGITS];
            u64::from_str_radix(text, 16).map_err(|_| SqsError::ReceiptHandleIsInvalid)
        };
        if number_at(0)? != incarnation {
            return Err(SqsError::ReceiptHandleIsInvalid);
        }
        Ok(Self { slot: number_at(1)?, number: number_at(2)? })
    }
}

fn received_message(incarnation: u64, slot: u64, message: &StoredMessage) -> ReceivedMessage {
    let request = &message.request;
    let mut system_attributes = BTreeMap::new();
    let mut put = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            system_attributes.insert(name.to_owned(), value);
        }
    };
    put("SenderId", Some(SENDER_ID.to_owned()));
    put("SentTimestamp", Some(message.sent_ms.to_string()));
    put("ApproximateReceiveCount", Some(message.receives.to_string()));
    put("ApproximateFirstReceiveTimestamp", message.first_received_ms.map(|time_ms| time_ms.to_string()));
    put("MessageGroupId", request.message_group_id.clone());
    put("MessageDeduplicationId", request.message_deduplication_id.clone());
    put("SequenceNumber", message.sequence_number.clone());
    put("AWSTraceHeader", request.trace_header.clone());
    put("DeadLetterQueueSourceArn", message.dead_letter_source_arn.clone());
    ReceivedMessage {
        message_id: message.message_id.clone(),
        receipt_handle: Receipt::handle(incarnation, slot, message.receipt),
        body: request.body.clone(),
        md5_of_body: md5_hex(request.body.as_bytes()),
        md5_of_message_attributes: attribute::md5_of(&request.message_attributes),
        system_attributes,
        message_attributes: request.message_attributes.clone(),
    }
}

/// Says whether a second creation asks for what is there: only given attributes count.
/// (SQS API reference, `CreateQueue`, `QueueNameExists`.)
fn check_same_attributes(settings: &Settings, attributes: &QueueAttributes) -> Result<(), SqsError> {
    let existing = settings.attributes();
    let wanted = settings.with(attributes)?.attributes();
    match attributes.keys().find(|name| wanted.get(*name) != existing.get(*name)) {
        None => Ok(()),
        Some(attribute) => Err(SqsError::QueueNameExists { attribute: attribute.clone() }),
    }
}

/// Returns the key under which a send is remembered. Neither id can hold a space, so the two parts
/// cannot run into each other.
fn deduplication_key(settings: &Settings, request: &SendRequest, deduplication_id: &str) -> String {
    match &request.message_group_id {
        Some(group_id) if settings.is_deduplicated_per_group => format!("{group_id} {deduplication_id}"),
        _ => deduplication_id.to_owned(),
    }
}

fn sequence_number(number: u64) -> String {
    (SEQUENCE_NUMBER_BASE + u128::from(number) * SEQUENCE_NUMBER_STEP).to_string()
}

/// Returns what a duplicate of a stored message is answered.
fn sent_of(message: &StoredMessage) -> Sent {
    Sent {
        message_id: message.message_id.clone(),
        sequence_number: message.sequence_number.clone(),
        md5_of_body: md5_hex(message.request.body.as_bytes()),
        md5_of_message_attributes: attribute::md5_of(&message.request.message_attributes),
        duplicate: false,
    }
}

fn refused(parameter: &'static str, text: impl Into<String>) -> SqsError {
    SqsError::InvalidParameterValue { parameter, text: text.into() }
}

fn invalid_value(parameter: &'static str, value: &str, reason: &str) -> SqsError {
    refused(parameter, format!("Value {value} for parameter {parameter} is invalid. Reason: {reason}"))
}
