//! SQS operations over the modelled queues: reading inputs, shaping outputs, and the waiting of `ReceiveMessage`.
//!
//! Every rule of a queue (groups, deduplication, visibility, redrive, MD5s) is `cloudsim`'s.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use cloudsim::{
    attribute::{AttributeValue, MessageAttribute, MessageAttributes},
    sqs::{QueueAttributes, ReceiveRequest, ReceivedMessage, SendRequest, SqsError},
};
use serde::Deserialize;
use serde_json::{Value, json};
use strum::VariantNames;

use crate::{
    service::wire::{ApiError, request},
    services::Services,
    state::State,
};

/// Entries of a batch call.
const BATCH_ENTRIES_MAX: usize = 10;

/// Bytes of all bodies and attributes in a batch call: 1 MiB since August 2025.
const BATCH_BYTES_MAX: usize = 1_048_576;

/// Longest wait of a receive.
const WAIT_SECONDS_MAX: u64 = 20;

type Tags = BTreeMap<String, String>;

/// An operation and its input.
#[derive(Deserialize, VariantNames)]
#[serde(rename_all_fields = "PascalCase")]
enum Request {
    CreateQueue(CreateQueue),
    DeleteQueue { queue_url: QueueUrl },
    ListQueues { queue_name_prefix: Option<String> },
    GetQueueUrl { queue_name: String },
    GetQueueAttributes { queue_url: QueueUrl, attribute_names: Option<Vec<String>> },
    SetQueueAttributes { queue_url: QueueUrl, attributes: QueueAttributes },
    SendMessage(OnQueue<Message>),
    SendMessageBatch { queue_url: QueueUrl, entries: Vec<Entry<Message>> },
    ReceiveMessage(ReceiveMessage),
    DeleteMessage(OnQueue<Receipt>),
    DeleteMessageBatch { queue_url: QueueUrl, entries: Vec<Entry<Receipt>> },
    ChangeMessageVisibility(OnQueue<Receipt>),
    ChangeMessageVisibilityBatch { queue_url: QueueUrl, entries: Vec<Entry<Receipt>> },
    PurgeQueue { queue_url: QueueUrl },
    ListQueueTags { queue_url: QueueUrl },
    TagQueue { queue_url: QueueUrl, tags: Tags },
    UntagQueue { queue_url: QueueUrl, tag_keys: Vec<String> },
    ListDeadLetterSourceQueues { queue_url: QueueUrl },
}

#[derive(Deserialize)]
struct QueueUrl(String);

impl QueueUrl {
    /// The queue's name: URLs differ in host and port between runs, never in their last part.
    fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateQueue {
    queue_name: String,
    #[serde(default)]
    attributes: QueueAttributes,
    #[serde(default, rename = "tags")]
    tags: Tags,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OnQueue<T> {
    queue_url: QueueUrl,
    #[serde(flatten)]
    input: T,
}

/// One of a batch.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<T> {
    id: String,
    #[serde(flatten)]
    input: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    message_body: String,
    message_group_id: Option<String>,
    message_deduplication_id: Option<String>,
    delay_seconds: Option<u32>,
    #[serde(default)]
    message_attributes: BTreeMap<String, Attribute>,
    #[serde(default)]
    message_system_attributes: BTreeMap<String, Attribute>,
}

/// A message attribute on the wire, shared with SNS.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Attribute {
    data_type: String,
    string_value: Option<String>,
    binary_value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Receipt {
    receipt_handle: String,
    #[serde(default)]
    visibility_timeout: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceiveMessage {
    queue_url: QueueUrl,
    max_number_of_messages: Option<u32>,
    visibility_timeout: Option<u32>,
    wait_time_seconds: Option<u64>,
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
}

/// Runs one operation.
pub(crate) async fn call(services: &Services, operation: &str, body: Value) -> Result<Value, ApiError> {
    let Services { shared, deployment, .. } = services;
    Ok(match request("SQS", operation, body)? {
        Request::CreateQueue(CreateQueue { queue_name, attributes, tags }) => {
            shared.change(|state, now_ms| {
                state.sqs.create_queue(now_ms, &queue_name, &attributes)?;
                if !tags.is_empty() {
                    state.queue_tags.insert(queue_name.clone(), tags);
                }
                Ok::<_, SqsError>(())
            })?;
            json!({"QueueUrl": deployment.queue_url(&queue_name)})
        }
        Request::DeleteQueue { queue_url } => {
            shared.change(|state, now_ms| {
                state.queue_tags.remove(queue_url.name());
                state.sqs.delete_queue(now_ms, queue_url.name())
            })?;
            json!({})
        }
        Request::ListQueues { queue_name_prefix } => {
            let names = shared.look(|state, _| state.sqs.queue_names(&queue_name_prefix.unwrap_or_default()));
            let urls: Vec<String> = names.iter().map(|name| deployment.queue_url(name)).collect();
            json!({"QueueUrls": urls})
        }
        Request::GetQueueUrl { queue_name } => {
            shared.look(|state, _| require_queue(state, &queue_name))?;
            json!({"QueueUrl": deployment.queue_url(&queue_name)})
        }
        Request::GetQueueAttributes { queue_url, attribute_names } => {
            let mut attributes = shared.look(|state, now_ms| state.sqs.queue_attributes(now_ms, queue_url.name()))?;
            let wanted = attribute_names.unwrap_or_default();
            attributes.retain(|name, _| is_wanted(name, &wanted));
            json!({"Attributes": attributes})
        }
        Request::SetQueueAttributes { queue_url, attributes } => {
            shared.change(|state, now_ms| state.sqs.set_queue_attributes(now_ms, queue_url.name(), &attributes))?;
            json!({})
        }
        Request::SendMessage(OnQueue { queue_url, input }) => send(services, &queue_url, input)?,
        Request::SendMessageBatch { queue_url, entries } => {
            check_batch(services, &queue_url, &entries)?;
            let bytes: usize = entries.iter().map(|entry| entry.input.message_body.len()).sum();
            if bytes > BATCH_BYTES_MAX {
                let message = format!("the batch holds {bytes} bytes, more than {BATCH_BYTES_MAX}");
                let query_code = "AWS.SimpleQueueService.BatchRequestTooLong";
                return Err(ApiError::renamed("BatchRequestTooLong", query_code, message));
            }
            run_batch(entries, |message| send(services, &queue_url, message))
        }
        Request::ReceiveMessage(request) => receive(services, request).await?,
        Request::DeleteMessage(OnQueue { queue_url, input }) => delete(services, &queue_url, &input)?,
        Request::DeleteMessageBatch { queue_url, entries } => {
            check_batch(services, &queue_url, &entries)?;
            run_batch(entries, |receipt| delete(services, &queue_url, &receipt))
        }
        Request::ChangeMessageVisibility(OnQueue { queue_url, input }) => {
            change_visibility(services, &queue_url, &input)?
        }
        Request::ChangeMessageVisibilityBatch { queue_url, entries } => {
            check_batch(services, &queue_url, &entries)?;
            run_batch(entries, |receipt| change_visibility(services, &queue_url, &receipt))
        }
        Request::PurgeQueue { queue_url } => {
            shared.change(|state, now_ms| state.sqs.purge_queue(now_ms, queue_url.name()))?;
            json!({})
        }
        Request::ListQueueTags { queue_url } => {
            let tags = shared.look(|state, _| {
                require_queue(state, queue_url.name())?;
                Ok::<_, SqsError>(state.queue_tags.get(queue_url.name()).cloned().unwrap_or_default())
            })?;
            json!({"Tags": tags})
        }
        Request::TagQueue { queue_url, tags } => {
            shared.change(|state, _| {
                require_queue(state, queue_url.name())?;
                state.queue_tags.entry(queue_url.name().to_owned()).or_default().extend(tags);
                Ok::<_, SqsError>(())
            })?;
            json!({})
        }
        Request::UntagQueue { queue_url, tag_keys } => {
            shared.change(|state, _| {
                require_queue(state, queue_url.name())?;
                if let Some(tags) = state.queue_tags.get_mut(queue_url.name()) {
                    tags.retain(|key, _| !tag_keys.contains(key));
                }
                Ok::<_, SqsError>(())
            })?;
            json!({})
        }
        Request::ListDeadLetterSourceQueues { queue_url } => {
            let sources = shared.look(|state, now_ms| {
                require_queue(state, queue_url.name())?;
                let arn = state.sqs.arn(queue_url.name());
                let mut sources = Vec::new();
                for name in state.sqs.queue_names("") {
                    let attributes = state.sqs.queue_attributes(now_ms, &name)?;
                    if attributes.get("RedrivePolicy").is_some_and(|policy| policy.contains(&arn)) {
                        sources.push(deployment.queue_url(&name));
                    }
                }
                Ok::<_, SqsError>(sources)
            })?;
            json!({"queueUrls": sources})
        }
    })
}

fn send(services: &Services, queue_url: &QueueUrl, message: Message) -> Result<Value, ApiError> {
    let trace_header = message.message_system_attributes.into_iter().find(|(name, _)| name == "AWSTraceHeader");
    let request = SendRequest {
        body: message.message_body,
        message_group_id: message.message_group_id,
        message_deduplication_id: message.message_deduplication_id,
        delay_seconds: message.delay_seconds,
        message_attributes: message_attributes(message.message_attributes)?,
        trace_header: trace_header.and_then(|(_, attribute)| attribute.string_value),
    };
    let sent = services.shared.change(|state, now_ms| state.sqs.send(now_ms, queue_url.name(), request))?;
    Ok(without_nulls(json!({
        "MessageId": sent.message_id,
        "SequenceNumber": sent.sequence_number,
        "MD5OfMessageBody": sent.md5_of_body,
        "MD5OfMessageAttributes": sent.md5_of_message_attributes,
    })))
}

fn delete(services: &Services, queue_url: &QueueUrl, receipt: &Receipt) -> Result<Value, ApiError> {
    let (name, handle) = (queue_url.name(), &receipt.receipt_handle);
    services.shared.change(|state, now_ms| state.sqs.delete_message(now_ms, name, handle))?;
    Ok(json!({}))
}

fn change_visibility(services: &Services, queue_url: &QueueUrl, receipt: &Receipt) -> Result<Value, ApiError> {
    let Receipt { receipt_handle, visibility_timeout } = receipt;
    services.shared.change(|state, now_ms| {
        state.sqs.change_visibility(now_ms, queue_url.name(), receipt_handle, *visibility_timeout)
    })?;
    Ok(json!({}))
}

async fn receive(services: &Services, request: ReceiveMessage) -> Result<Value, ApiError> {
    let Services { shared, closing, .. } = services;
    let name = request.queue_url.name();
    let wait_seconds = match request.wait_time_seconds {
        Some(seconds) => seconds,
        None => {
            let attributes = shared.look(|state, now_ms| state.sqs.queue_attributes(now_ms, name))?;
            attributes.get("ReceiveMessageWaitTimeSeconds").and_then(|seconds| seconds.parse().ok()).unwrap_or(0)
        }
    };
    let until = shared.now_ms() + wait_seconds.min(WAIT_SECONDS_MAX) * 1_000;
    let receive = ReceiveRequest {
        messages_max: request.max_number_of_messages.unwrap_or(1),
        visibility_timeout_seconds: request.visibility_timeout,
    };
    let mut changes = shared.changes();
    loop {
        changes.borrow_and_update();
        let (messages, next_visible_ms) = shared.look(|state, now_ms| {
            let messages = state.sqs.receive(now_ms, name, &receive)?;
            Ok::<_, SqsError>((messages, state.sqs.next_visible_ms(name)))
        })?;
        if !messages.is_empty() {
            shared.touch();
            let messages: Vec<Value> = messages.into_iter().map(|message| request.shape(message)).collect();
            return Ok(json!({"Messages": messages}));
        }
        if shared.now_ms() >= until {
            return Ok(json!({}));
        }
        let wake_ms = next_visible_ms.map_or(until, |visible_ms| visible_ms.max(shared.now_ms() + 1).min(until));
        tokio::select! {
            () = closing.cancelled() => return Ok(json!({})),
            _ = changes.changed() => {}
            () = shared.until_ms(Some(wake_ms)) => {}
        }
    }
}

impl ReceiveMessage {
    fn shape(&self, message: ReceivedMessage) -> Value {
        let mut system = message.system_attributes;
        system.retain(|name, _| {
            is_wanted(name, &self.attribute_names) || is_wanted(name, &self.message_system_attribute_names)
        });
        let all_count = message.message_attributes.len();
        let mut custom = message.message_attributes;
        custom.retain(|name, _| is_wanted(name, &self.message_attribute_names));
        let mut shaped = json!({
            "MessageId": message.message_id,
            "ReceiptHandle": message.receipt_handle,
            "Body": message.body,
            "MD5OfBody": message.md5_of_body,
        });
        if !system.is_empty() {
            shaped["Attributes"] = json!(system);
        }
        if !custom.is_empty() {
            shaped["MessageAttributes"] = attributes_on_the_wire(&custom);
        }
        // The digest is over all attributes, so it would refute a part of them.
        if custom.len() == all_count
            && let Some(md5) = message.md5_of_message_attributes
        {
            shaped["MD5OfMessageAttributes"] = json!(md5);
        }
        shaped
    }
}

impl From<SqsError> for ApiError {
    fn from(error: SqsError) -> Self {
        Self::renamed(error.json_code(), error.query_code(), error.to_string())
    }
}

/// `true` for an attribute that a caller asked for: by name, by prefix (`a.*`) or by `All`.
fn is_wanted(name: &str, wanted: &[String]) -> bool {
    wanted.iter().any(|wanted| {
        wanted == "All" || wanted == name || wanted.strip_suffix(".*").is_some_and(|prefix| name.starts_with(prefix))
    })
}

/// Reads message attributes as SQS and SNS clients send them.
pub(crate) fn message_attributes(attributes: BTreeMap<String, Attribute>) -> Result<MessageAttributes, ApiError> {
    let mut read = MessageAttributes::new();
    for (name, attribute) in attributes {
        let value = match (attribute.string_value, attribute.binary_value) {
            (Some(text), None) => AttributeValue::Text(text),
            (None, Some(encoded)) => AttributeValue::Binary(STANDARD.decode(encoded).map_err(|error| {
                ApiError::bad_request("InvalidParameterValue", format!("message attribute {name}: {error}"))
            })?),
            _ => {
                let message = format!("message attribute {name} must have either a string or a binary value");
                return Err(ApiError::bad_request("InvalidParameterValue", message));
            }
        };
        read.insert(name, MessageAttribute { data_type: attribute.data_type, value });
    }
    Ok(read)
}

fn attributes_on_the_wire(attributes: &MessageAttributes) -> Value {
    let written = attributes.iter().map(|(name, attribute)| {
        let value = match &attribute.value {
            AttributeValue::Text(text) => json!({"DataType": attribute.data_type, "StringValue": text}),
            AttributeValue::Binary(bytes) => {
                json!({"DataType": attribute.data_type, "BinaryValue": STANDARD.encode(bytes)})
            }
        };
        (name.clone(), value)
    });
    Value::Object(written.collect())
}

fn require_queue(state: &State, name: &str) -> Result<(), SqsError> {
    if state.sqs.has_queue(name) { Ok(()) } else { Err(SqsError::QueueDoesNotExist) }
}

fn check_batch<T>(services: &Services, queue_url: &QueueUrl, entries: &[Entry<T>]) -> Result<(), ApiError> {
    let refused = |code, query_code, message: &str| Err(ApiError::renamed(code, query_code, message));
    if entries.is_empty() {
        let message = "there should be at least one entry in the request";
        return refused("EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest", message);
    }
    if entries.len() > BATCH_ENTRIES_MAX {
        let message = "a batch holds at most 10 entries";
        return refused("TooManyEntriesInBatchRequest", "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", message);
    }
    let ids: BTreeSet<&String> = entries.iter().map(|entry| &entry.id).collect();
    if ids.len() < entries.len() {
        let message = "two entries of the batch have the same id";
        return refused("BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", message);
    }
    Ok(services.shared.look(|state, _| require_queue(state, queue_url.name()))?)
}

fn run_batch<T>(entries: Vec<Entry<T>>, run: impl Fn(T) -> Result<Value, ApiError>) -> Value {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for Entry { id, input } in entries {
        match run(input) {
            Ok(mut done) => {
                done["Id"] = json!(id);
                successful.push(done);
            }
            Err(error) => failed.push(json!({
                "Id": id,
                "SenderFault": !error.status.is_server_error(),
                "Code": error.query_code,
                "Message": error.message,
            })),
        }
    }
    let mut answer = json!({"Successful": successful});
    if !failed.is_empty() {
        answer["Failed"] = json!(failed);
    }
    answer
}

fn without_nulls(mut answer: Value) -> Value {
    if let Value::Object(members) = &mut answer {
        members.retain(|_, value| !value.is_null());
    }
    answer
}
