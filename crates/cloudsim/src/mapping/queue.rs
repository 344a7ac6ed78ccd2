//! The mapping from an SQS queue to a function.
//!
//! Group order needs no code here: a FIFO queue locks a group while one of its messages is in
//! flight, so no two invocations ever hold the same group.
//!
//! Not here: the 6 MB limit of an event, which ten messages of 256 KiB stay below.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ledger::storage::number::canonical;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{ItemFailures, MappingError, Outcome, back_off_ms, figure, item_failures};
use crate::admission::{MAPPING_RULES, MappingSettings, check};
use crate::attribute::{AttributeValue, MessageAttribute};
use crate::sqs::{ReceiveRequest, ReceivedMessage, Sqs, SqsError};

const MS_PER_SECOND: u64 = 1_000;

/// What AWS takes where the settings do not say it.
const BATCH_SIZE_DEFAULT: u64 = 10;
/// The concurrency of an account as it is at first.
const CONCURRENCY_DEFAULT: u64 = 1_000;

/// Fitted to a recording: a batch that was throttled twice ran 11 s after its receive.
const BACK_OFF_MS: u64 = 3_500;

/// Polls a queue for a function.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QueueMapping {
    settings: MappingSettings,
    queue_name: String,
    function_timeout_ms: u64,
    batches: BTreeMap<u64, Batch>,
    /// Invocations allowed now: halved by failures that make Lambda back off, grown by successes.
    concurrency: u64,
    next_id: u64,
}

/// Is one call of the function the driver has to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueueInvocation {
    pub id: u64,
    /// Attempts of this very batch, from 1; more only after throttling.
    pub attempt: u32,
    pub queue_arn: String,
    pub messages: Vec<ReceivedMessage>,
}

/// Says what a completed invocation did to its messages.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueCompletion {
    /// Message ids deleted from the queue.
    pub deleted: Vec<String>,
    /// Message ids left to their visibility timeout.
    pub returned: Vec<String>,
    /// True where the batch was throttled and will be offered again by `poll`.
    pub will_retry: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Batch {
    invocation: QueueInvocation,
    /// When the messages come back to the queue.
    visible_ms: u64,
    /// Set while the batch waits after throttling.
    retry_ms: Option<u64>,
}

impl QueueMapping {
    /// Makes a mapping; refuses what AWS refuses. As on AWS, a later change of the queue is not checked.
    pub fn new(mut settings: MappingSettings, sqs: &Sqs) -> Result<Self, MappingError> {
        let queue_name = settings.event_source_arn.rsplit(':').next().unwrap_or_default().to_owned();
        let visibility_timeout_ms = sqs.visibility_timeout_ms(&queue_name).ok();
        settings.looked_up.is_source_known = Some(visibility_timeout_ms.is_some());
        settings.looked_up.visibility_timeout_seconds =
            visibility_timeout_ms.and_then(|timeout_ms| i64::try_from(timeout_ms / MS_PER_SECOND).ok());
        check(MAPPING_RULES, &settings)?;
        Ok(Self {
            concurrency: concurrency_max(&settings),
            queue_name,
            function_timeout_ms: figure(settings.looked_up.function_timeout_seconds).unwrap_or_default()
                * MS_PER_SECOND,
            settings,
            batches: BTreeMap::new(),
            next_id: 1,
        })
    }

    /// Receives from the queue as long as there is something free and concurrency left, and returns
    /// the invocations to run now.
    pub fn poll(&mut self, now_ms: u64, sqs: &mut Sqs) -> Result<Vec<QueueInvocation>, SqsError> {
        let mut invocations = self.retry_throttled(now_ms);
        let request = ReceiveRequest {
            messages_max: figure(self.settings.batch_size).unwrap_or(BATCH_SIZE_DEFAULT) as u32,
            visibility_timeout_seconds: None,
        };
        while self.has_capacity() {
            let messages = sqs.receive(now_ms, &self.queue_name, &request)?;
            if messages.is_empty() {
                break;
            }
            invocations.push(self.start(now_ms, sqs, messages)?);
        }
        Ok(invocations)
    }

    /// Ends an invocation: deletes what succeeded, leaves the rest to its visibility timeout.
    ///
    /// A function error makes Lambda back off unless `ReportBatchItemFailures` is set; throttling
    /// always does, and keeps the batch for another attempt while its messages are hidden.
    /// (Lambda developer guide, "Handling errors for an SQS event source".)
    pub fn complete(
        &mut self,
        now_ms: u64,
        sqs: &mut Sqs,
        invocation_id: u64,
        outcome: &Outcome,
    ) -> Result<QueueCompletion, MappingError> {
        let running =
            self.batches.extract_if(invocation_id..=invocation_id, |_, batch| batch.retry_ms.is_none()).next();
        let (_, batch) = running.ok_or(MappingError::UnknownInvocation { id: invocation_id })?;
        match outcome {
            Outcome::Succeeded(response) => {
                let failed = self.failed_ids(&batch, response.as_ref());
                self.concurrency = (self.concurrency + 1).min(concurrency_max(&self.settings));
                Ok(self.settle(now_ms, sqs, &batch, &failed))
            }
            Outcome::FunctionError | Outcome::TimedOut => {
                if !self.settings.reports_batch_item_failures() {
                    self.back_off();
                }
                Ok(returned(batch))
            }
            Outcome::Throttled => {
                self.back_off();
                Ok(self.hold(now_ms, batch))
            }
        }
    }

    /// Returns how many invocations run or wait for a retry after throttling.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.batches.len()
    }

    /// Returns when polling again is worth it without a new message or a completion: a throttled
    /// batch is due, or a message of the queue becomes visible. A time that has passed means: now.
    #[must_use]
    pub fn next_event_ms(&self, sqs: &Sqs) -> Option<u64> {
        let retry_ms = self.batches.values().filter_map(|batch| batch.retry_ms);
        let visible_ms = if self.has_capacity() { sqs.next_visible_ms(&self.queue_name) } else { None };
        retry_ms.chain(visible_ms).min()
    }

    /// Forgets the running invocations, as when the poller or the whole driver died; their messages
    /// return by their visibility timeout.
    pub fn forget_invocations(&mut self) {
        self.batches.clear();
    }

    fn has_capacity(&self) -> bool {
        (self.batches.len() as u64) < self.concurrency
    }

    fn back_off(&mut self) {
        self.concurrency = (self.concurrency / 2).max(1);
    }

    fn start(&mut self, now_ms: u64, sqs: &Sqs, messages: Vec<ReceivedMessage>) -> Result<QueueInvocation, SqsError> {
        let timeout_ms = sqs.visibility_timeout_ms(&self.queue_name)?;
        let id = self.next_id;
        self.next_id += 1;
        let invocation = QueueInvocation { id, attempt: 1, queue_arn: sqs.arn(&self.queue_name), messages };
        let batch = Batch { invocation: invocation.clone(), visible_ms: now_ms + timeout_ms, retry_ms: None };
        self.batches.insert(id, batch);
        Ok(invocation)
    }

    /// Starts throttled batches again that are due.
    fn retry_throttled(&mut self, now_ms: u64) -> Vec<QueueInvocation> {
        self.batches.retain(|_, batch| {
            let is_waiting = batch.retry_ms.is_some();
            !(is_waiting && batch.visible_ms <= now_ms)
        });
        let mut invocations = Vec::new();
        for batch in self.batches.values_mut() {
            if batch.retry_ms.is_some_and(|retry_ms| retry_ms <= now_ms) {
                batch.retry_ms = None;
                batch.invocation.attempt += 1;
                invocations.push(batch.invocation.clone());
            }
        }
        invocations
    }

    /// Keeps a throttled batch for a retry, unless the function could then outlast the visibility timeout. That explains
    /// all recordings: with a timeout of 60 s a batch hidden for 60 s is received anew, and one hidden for 120 s is not.
    fn hold(&mut self, now_ms: u64, mut batch: Batch) -> QueueCompletion {
        let retry_ms = now_ms + back_off_ms(BACK_OFF_MS, batch.invocation.attempt);
        if retry_ms + self.function_timeout_ms >= batch.visible_ms {
            return returned(batch);
        }
        batch.retry_ms = Some(retry_ms);
        self.batches.insert(batch.invocation.id, batch);
        QueueCompletion { will_retry: true, ..QueueCompletion::default() }
    }

    fn failed_ids<'a>(&self, batch: &'a Batch, response: Option<&'a Value>) -> BTreeSet<&'a str> {
        let all = || batch.invocation.messages.iter().map(|message| message.message_id.as_str());
        if !self.settings.reports_batch_item_failures() {
            return BTreeSet::new();
        }
        match item_failures(response) {
            ItemFailures::None => BTreeSet::new(),
            ItemFailures::Malformed => all().collect(),
            ItemFailures::Some(ids) => {
                let known: BTreeSet<&str> = all().collect();
                if ids.iter().all(|id| known.contains(id)) { ids.into_iter().collect() } else { known }
            }
        }
    }

    /// Deletes what did not fail. Where the queue refuses, because the visibility timeout is over,
    /// the message comes back although the function succeeded.
    fn settle(&self, now_ms: u64, sqs: &mut Sqs, batch: &Batch, failed: &BTreeSet<&str>) -> QueueCompletion {
        let mut completion = QueueCompletion::default();
        for message in &batch.invocation.messages {
            let succeeded = !failed.contains(message.message_id.as_str());
            let is_deleted = succeeded && sqs.delete_message(now_ms, &self.queue_name, &message.receipt_handle).is_ok();
            let ids = if is_deleted { &mut completion.deleted } else { &mut completion.returned };
            ids.push(message.message_id.clone());
        }
        completion
    }
}

fn concurrency_max(settings: &MappingSettings) -> u64 {
    figure(settings.scaling_config.maximum_concurrency).unwrap_or(CONCURRENCY_DEFAULT)
}

fn returned(batch: Batch) -> QueueCompletion {
    QueueCompletion {
        returned: batch.invocation.messages.into_iter().map(|message| message.message_id).collect(),
        ..QueueCompletion::default()
    }
}

impl QueueInvocation {
    /// Builds the event as Lambda does. (Lambda developer guide, "Using Lambda with Amazon SQS".)
    #[must_use]
    pub fn event(&self) -> Value {
        let region = self.queue_arn.split(':').nth(3).unwrap_or_default();
        let records: Vec<Value> =
            self.messages.iter().map(|message| record(message, &self.queue_arn, region)).collect();
        json!({ "Records": records })
    }
}

fn record(message: &ReceivedMessage, queue_arn: &str, region: &str) -> Value {
    let message_attributes: Map<String, Value> = message
        .message_attributes
        .iter()
        .map(|(name, attribute)| (name.clone(), message_attribute(attribute)))
        .collect();
    let mut record = json!({
        "messageId": message.message_id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": message.system_attributes,
        "messageAttributes": message_attributes,
        "md5OfBody": message.md5_of_body,
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": region,
    });
    if let Some(md5) = &message.md5_of_message_attributes {
        record["md5OfMessageAttributes"] = json!(md5);
    }
    record
}

fn message_attribute(attribute: &MessageAttribute) -> Value {
    let mut value = json!({
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": attribute.data_type,
    });
    match &attribute.value {
        // As recorded: a number comes without the zeros that say nothing.
        AttributeValue::Text(text) if attribute.base_type() == "Number" => {
            value["stringValue"] = json!(canonical(text).unwrap_or(Cow::Borrowed(text)));
        }
        AttributeValue::Text(text) => value["stringValue"] = json!(text),
        AttributeValue::Binary(bytes) => value["binaryValue"] = json!(STANDARD.encode(bytes)),
    }
    value
}
