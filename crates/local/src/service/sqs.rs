//! SQS operations over the modelled queues: reading inputs, shaping outputs, and the waiting of `ReceiveMessage`.
//!
//! Every rule of a queue (groups, deduplication, visibility, redrive, MD5s) is `cloudsim`'s.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use cloudsim::{
    attribute::{AttributeValue, MessageAttribute, MessageAttributes},
    deployment::Deployment,
    sqs::{QueueAttributes, ReceiveRequest, ReceivedMessage, SendRequest, SqsError},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    service::wire::{ApiError, input},
    state::{SharedState, State, now_ms, until_ms},
};

/// Entries of a batch call.
const BATCH_ENTRIES_MAX: usize = 10;

/// Bytes of all bodies and attributes in a batch call: 1 MiB since August 2025.
const BATCH_BYTES_MAX: usize = 1_048_576;

/// Longest wait of a receive.
const WAIT_SECONDS_MAX: u64 = 20;

/// SQS as clients see it.
pub struct Sqs<'a> {
    pub shared: &'a SharedState,
    pub deployment: &'a Deployment,
    /// Ends waiting receives.
    pub closing: &'a CancellationToken,
}

impl Sqs<'_> {
    /// Runs one operation.
    pub async fn call(&self, operation: &str, body: Value) -> Result<Value, ApiError> {
        match operation {
            "CreateQueue" => self.create_queue(input(body)?),
            "DeleteQueue" => self.delete_queue(input(body)?),
            "ListQueues" => self.list_queues(input(body)?),
            "GetQueueUrl" => self.get_queue_url(input(body)?),
            "GetQueueAttributes" => self.get_queue_attributes(input(body)?),
            "SetQueueAttributes" => self.set_queue_attributes(input(body)?),
            "SendMessage" => self.send_message(input(body)?),
            "SendMessageBatch" => self.send_message_batch(input(body)?),
            "ReceiveMessage" => self.receive_message(input(body)?).await,
            "DeleteMessage" => self.delete_message(input(body)?),
            "DeleteMessageBatch" => self.delete_message_batch(input(body)?),
            "ChangeMessageVisibility" => self.change_message_visibility(input(body)?),
            "ChangeMessageVisibilityBatch" => self.change_message_visibility_batch(input(body)?),
            "PurgeQueue" => self.purge_queue(input(body)?),
            "ListQueueTags" => self.list_queue_tags(input(body)?),
            "TagQueue" => self.tag_queue(input(body)?),
            "UntagQueue" => self.untag_queue(input(body)?),
            "ListDeadLetterSourceQueues" => self.list_dead_letter_source_queues(input(body)?),
            _ => Err(ApiError::unknown_operation("SQS", operation)),
        }
    }

    fn create_queue(&self, request: CreateQueue) -> Result<Value, ApiError> {
        let name = request.queue_name;
        self.shared.change(|state, now_ms| {
            state.sqs.create_queue(now_ms, &name, &request.attributes)?;
            if !request.tags.is_empty() {
                state.queue_tags.insert(name.clone(), request.tags);
            }
            Ok::<_, SqsError>(())
        })?;
        Ok(json!({"QueueUrl": self.deployment.queue_url(&name)}))
    }

    fn delete_queue(&self, request: Queue) -> Result<Value, ApiError> {
        let name = request.name();
        self.shared.change(|state, now_ms| {
            state.queue_tags.remove(name);
            state.sqs.delete_queue(now_ms, name)
        })?;
        Ok(json!({}))
    }

    fn list_queues(&self, request: ListQueues) -> Result<Value, ApiError> {
        let names = self.shared.look(|state, _| state.sqs.queue_names(&request.queue_name_prefix));
        let urls: Vec<String> = names.iter().map(|name| self.deployment.queue_url(name)).collect();
        Ok(json!({"QueueUrls": urls}))
    }

    fn get_queue_url(&self, request: CreateQueue) -> Result<Value, ApiError> {
        let name = request.queue_name;
        self.shared.look(|state, _| require_queue(state, &name))?;
        Ok(json!({"QueueUrl": self.deployment.queue_url(&name)}))
    }

    fn get_queue_attributes(&self, request: GetQueueAttributes) -> Result<Value, ApiError> {
        let name = queue_name(&request.queue_url);
        let attributes = self.shared.look(|state, now_ms| state.sqs.queue_attributes(now_ms, name))?;
        let wanted = Wanted(&request.attribute_names);
        let attributes: QueueAttributes = attributes.into_iter().filter(|(name, _)| wanted.includes(name)).collect();
        Ok(json!({"Attributes": attributes}))
    }

    fn set_queue_attributes(&self, request: SetQueueAttributes) -> Result<Value, ApiError> {
        let name = queue_name(&request.queue_url);
        self.shared.change(|state, now_ms| state.sqs.set_queue_attributes(now_ms, name, &request.attributes))?;
        Ok(json!({}))
    }

    fn send_message(&self, request: SendMessage) -> Result<Value, ApiError> {
        let name = queue_name(&request.queue_url).to_owned();
        let message = request.message.into_send_request()?;
        let sent = self.shared.change(|state, now_ms| state.sqs.send(now_ms, &name, message))?;
        Ok(without_nulls(json!({
            "MessageId": sent.message_id,
            "SequenceNumber": sent.sequence_number,
            "MD5OfMessageBody": sent.md5_of_body,
            "MD5OfMessageAttributes": sent.md5_of_message_attributes,
        })))
    }

    fn send_message_batch(&self, request: Batch<SendEntry>) -> Result<Value, ApiError> {
        let name = queue_name(&request.queue_url);
        check_batch(&request.entries, |entry| &entry.id)?;
        self.shared.look(|state, _| require_queue(state, name))?;
        let bytes: usize = request.entries.iter().map(|entry| entry.message.message_body.len()).sum();
        if bytes > BATCH_BYTES_MAX {
            let message = format!("the batch holds {bytes} bytes, more than {BATCH_BYTES_MAX}");
            return Err(ApiError::renamed(
                "BatchRequestTooLong",
                "AWS.SimpleQueueService.BatchRequestTooLong",
                message,
            ));
        }
        Ok(run_batch(request.entries, |entry| {
            let message = entry.message.into_send_request();
            let sent = message.and_then(|message| {
                self.shared.change(|state, now_ms| state.sqs.send(now_ms, name, message)).map_err(ApiError::from)
            });
            let sent = sent.map(|sent| {
                json!({
                    "MessageId": sent.message_id,
                    "SequenceNumber": sent.sequence_number,
                    "MD5OfMessageBody": sent.md5_of_body,
                    "MD5OfMessageAttributes": sent.md5_of_message_attributes,
                })
            });
            (entry.id, sent)
        }))
    }

    async fn receive_message(&self, request: ReceiveMessage) -> Result<Value, ApiError> {
        let name = queue_name(&request.queue_url);
        let wait_seconds = match request.wait_time_seconds {
            Some(seconds) => seconds,
            None => self.default_wait_seconds(name)?,
        };
        let until = now_ms() + wait_seconds.min(WAIT_SECONDS_MAX) * 1_000;
        let receive = ReceiveRequest {
            messages_max: request.max_number_of_messages.unwrap_or(1),
            visibility_timeout_seconds: request.visibility_timeout,
        };
        let mut changes = self.shared.changes();
        loop {
            changes.borrow_and_update();
            let (messages, next_visible_ms) = self.shared.look(|state, now_ms| {
                let messages = state.sqs.receive(now_ms, name, &receive)?;
                Ok::<_, SqsError>((messages, state.sqs.next_visible_ms(name)))
            })?;
            if !messages.is_empty() {
                self.shared.touch();
                let messages: Vec<Value> = messages.into_iter().map(|message| request.shape(message)).collect();
                return Ok(json!({"Messages": messages}));
            }
            if now_ms() >= until {
                return Ok(json!({}));
            }
            let wake_ms = next_visible_ms.map_or(until, |visible_ms| visible_ms.max(now_ms() + 1).min(until));
            tokio::select! {
                () = self.closing.cancelled() => return Ok(json!({})),
                _ = changes.changed() => {}
                () = until_ms(Some(wake_ms)) => {}
            }
        }
    }

    fn default_wait_seconds(&self, name: &str) -> Result<u64, ApiError> {
        let attributes = self.shared.look(|state, now_ms| state.sqs.queue_attributes(now_ms, name))?;
        Ok(attributes.get("ReceiveMessageWaitTimeSeconds").and_then(|seconds| seconds.parse().ok()).unwrap_or(0))
    }

    fn delete_message(&self, request: Receipt) -> Result<Value, ApiError> {
        let name = queue_name(&request.queue_url);
        self.shared.change(|state, now_ms| state.sqs.delete_message(now_ms, name, &request.receipt_handle))?;
        Ok(json!({}))
    }

    fn delete_message_batch(&self, request: Batch<ReceiptEntry>) -> Result<Value, ApiError> {
        let name = queue_name(&request.queue_url);
        check_batch(&request.entries, |entry| &entry.id)?;
        self.shared.look(|state, _| require_queue(state, name))?;
        Ok(run_batch(request.entries, |entry| {
            let deleted =
                self.shared.change(|state, now_ms| state.sqs.delete_message(now_ms, name, &entry.receipt_handle));
            (entry.id, deleted.map(|()| json!({})).map_err(ApiError::from))
        }))
    }

    fn change_message_visibility(&self, request: Receipt) -> Result<Value, ApiError> {
        let name = queue_name(&request.queue_url);
        self.shared.change(|state, now_ms| {
            state.sqs.change_visibility(now_ms, name, &request.receipt_handle, request.visibility_timeout)
        })?;
        Ok(json!({}))
    }

    fn change_message_visibility_batch(&self, request: Batch<ReceiptEntry>) -> Result<Value, ApiError> {
        let name = queue_name(&request.queue_url);
        check_batch(&request.entries, |entry| &entry.id)?;
        self.shared.look(|state, _| require_queue(state, name))?;
        Ok(run_batch(request.entries, |entry| {
            let changed = self.shared.change(|state, now_ms| {
                state.sqs.change_visibility(now_ms, name, &entry.receipt_handle, entry.visibility_timeout)
            });
            (entry.id, changed.map(|()| json!({})).map_err(ApiError::from))
        }))
    }

    fn purge_queue(&self, request: Queue) -> Result<Value, ApiError> {
        self.shared.change(|state, now_ms| state.sqs.purge_queue(now_ms, request.name()))?;
        Ok(json!({}))
    }

    fn list_queue_tags(&self, request: Queue) -> Result<Value, ApiError> {
        let tags = self.shared.look(|state, _| {
            require_queue(state, request.name())?;
            Ok::<_, SqsError>(state.queue_tags.get(request.name()).cloned().unwrap_or_default())
        })?;
        Ok(json!({"Tags": tags}))
    }

    fn tag_queue(&self, request: TagQueue) -> Result<Value, ApiError> {
        let name = queue_name(&request.queue_url);
        self.shared.change(|state, _| {
            require_queue(state, name)?;
            state.queue_tags.entry(name.to_owned()).or_default().extend(request.tags);
            Ok::<_, SqsError>(())
        })?;
        Ok(json!({}))
    }

    fn untag_queue(&self, request: UntagQueue) -> Result<Value, ApiError> {
        let name = queue_name(&request.queue_url);
        self.shared.change(|state, _| {
            require_queue(state, name)?;
            if let Some(tags) = state.queue_tags.get_mut(name) {
                tags.retain(|key, _| !request.tag_keys.contains(key));
            }
            Ok::<_, SqsError>(())
        })?;
        Ok(json!({}))
    }

    fn list_dead_letter_source_queues(&self, request: Queue) -> Result<Value, ApiError> {
        let sources = self.shared.look(|state, now_ms| {
            require_queue(state, request.name())?;
            let arn = state.sqs.arn(request.name());
            let mut sources = Vec::new();
            for name in state.sqs.queue_names("") {
                let attributes = state.sqs.queue_attributes(now_ms, &name)?;
                if attributes.get("RedrivePolicy").is_some_and(|policy| policy.contains(&arn)) {
                    sources.push(self.deployment.queue_url(&name));
                }
            }
            Ok::<_, SqsError>(sources)
        })?;
        Ok(json!({"queueUrls": sources}))
    }
}

impl From<SqsError> for ApiError {
    fn from(error: SqsError) -> ApiError {
        ApiError::renamed(error.json_code(), error.query_code(), error.to_string())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateQueue {
    queue_name: String,
    #[serde(default)]
    attributes: QueueAttributes,
    #[serde(default, rename = "tags")]
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListQueues {
    #[serde(default)]
    queue_name_prefix: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Queue {
    queue_url: String,
}

impl Queue {
    fn name(&self) -> &str {
        queue_name(&self.queue_url)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetQueueAttributes {
    queue_url: String,
    #[serde(default)]
    attribute_names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SetQueueAttributes {
    queue_url: String,
    attributes: QueueAttributes,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TagQueue {
    queue_url: String,
    tags: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UntagQueue {
    queue_url: String,
    tag_keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendMessage {
    queue_url: String,
    #[serde(flatten)]
    message: Message,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SendEntry {
    id: String,
    #[serde(flatten)]
    message: Message,
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
pub struct Attribute {
    data_type: String,
    string_value: Option<String>,
    binary_value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Batch<T> {
    queue_url: String,
    entries: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Receipt {
    queue_url: String,
    receipt_handle: String,
    #[serde(default)]
    visibility_timeout: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceiptEntry {
    id: String,
    receipt_handle: String,
    #[serde(default)]
    visibility_timeout: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReceiveMessage {
    queue_url: String,
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

impl Message {
    fn into_send_request(self) -> Result<SendRequest, ApiError> {
        let trace_header = self.message_system_attributes.into_iter().find(|(name, _)| name == "AWSTraceHeader");
        Ok(SendRequest {
            body: self.message_body,
            message_group_id: self.message_group_id,
            message_deduplication_id: self.message_deduplication_id,
            delay_seconds: self.delay_seconds,
            message_attributes: message_attributes(self.message_attributes)?,
            trace_header: trace_header.and_then(|(_, attribute)| attribute.string_value),
        })
    }
}

impl ReceiveMessage {
    fn shape(&self, message: ReceivedMessage) -> Value {
        let system_names: Vec<String> =
            self.attribute_names.iter().chain(&self.message_system_attribute_names).cloned().collect();
        let (system, custom) = (Wanted(&system_names), Wanted(&self.message_attribute_names));
        let system: BTreeMap<String, String> =
            message.system_attributes.into_iter().filter(|(name, _)| system.includes(name)).collect();
        let all_count = message.message_attributes.len();
        let custom: MessageAttributes =
            message.message_attributes.into_iter().filter(|(name, _)| custom.includes(name)).collect();
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

/// Attribute names a caller asked for: by name, by prefix (`a.*`) or `All`.
struct Wanted<'a>(&'a [String]);

impl Wanted<'_> {
    fn includes(&self, name: &str) -> bool {
        self.0.iter().any(|wanted| {
            wanted == "All"
                || wanted == ".*"
                || wanted == name
                || wanted.strip_suffix(".*").is_some_and(|prefix| name.starts_with(prefix))
        })
    }
}

/// Reads message attributes as SQS and SNS clients send them.
pub fn message_attributes(attributes: BTreeMap<String, Attribute>) -> Result<MessageAttributes, ApiError> {
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

/// The queue's name: URLs differ in host and port between runs, never in their last part.
fn queue_name(queue_url: &str) -> &str {
    queue_url.rsplit('/').next().unwrap_or_default()
}

fn require_queue(state: &State, name: &str) -> Result<(), SqsError> {
    if state.sqs.has_queue(name) { Ok(()) } else { Err(SqsError::QueueDoesNotExist) }
}

fn check_batch<T>(entries: &[T], id: impl Fn(&T) -> &String) -> Result<(), ApiError> {
    let refused = |code, query_code, message: &str| Err(ApiError::renamed(code, query_code, message));
    if entries.is_empty() {
        let message = "there should be at least one entry in the request";
        return refused("EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest", message);
    }
    if entries.len() > BATCH_ENTRIES_MAX {
        let message = "a batch holds at most 10 entries";
        return refused("TooManyEntriesInBatchRequest", "AWS.SimpleQueueService.TooManyEntriesInBatchRequest", message);
    }
    let mut ids: Vec<&String> = entries.iter().map(id).collect();
    ids.sort();
    if ids.windows(2).any(|pair| pair[0] == pair[1]) {
        let message = "two entries of the batch have the same id";
        return refused("BatchEntryIdsNotDistinct", "AWS.SimpleQueueService.BatchEntryIdsNotDistinct", message);
    }
    Ok(())
}

fn run_batch<T>(entries: Vec<T>, mut run: impl FnMut(T) -> (String, Result<Value, ApiError>)) -> Value {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for entry in entries {
        match run(entry) {
            (id, Ok(mut done)) => {
                done["Id"] = json!(id);
                successful.push(without_nulls(done));
            }
            (id, Err(error)) => failed.push(json!({
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

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            Value::Object(members.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
        }
        other => other,
    }
}
