//! The mapping of a queue. It has the attributes of `given.queue` and, where `given.maxReceiveCount` is there, a
//! dead-letter queue. `given.messages` are sent at once: a text is the body and so the name, an object says more
//! ([`Message`]).

use std::collections::BTreeMap;

use cloudsim::{
    Account,
    admission::{LookedUp, MappingSettings},
    attribute::{AttributeValue, MessageAttribute},
    mapping::{Outcome, QueueInvocation, QueueMapping},
    sqs::{QueueAttributes, SendRequest, Sqs},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Mapping, START_MS, UNTIL_SECONDS, drive, moment_ms, read};

/// A message by its body, with what else it has.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Message {
    body: String,
    group: Option<String>,
    number: Option<String>,
    binary: Option<Vec<u8>>,
}

/// A queue, its mapping, and what became of the messages.
struct QueueDriver {
    sqs: Sqs,
    mapping: QueueMapping,
    queue: &'static str,
    received: usize,
    attempted: usize,
    failed: usize,
    deleted: Vec<String>,
    sizes: BTreeMap<u64, usize>,
}

impl Mapping for QueueDriver {
    type Invocation = QueueInvocation;

    fn poll(&mut self, now_ms: u64) -> Vec<QueueInvocation> {
        let invocations = self.mapping.poll(now_ms, &mut self.sqs).unwrap();
        for QueueInvocation { id, attempt, messages, .. } in &invocations {
            self.received += if *attempt == 1 { messages.len() } else { 0 };
            self.attempted += messages.len();
            self.sizes.insert(*id, messages.len());
        }
        invocations
    }

    fn look(&self, invocation: &QueueInvocation) -> (u64, Vec<(String, String)>, Value) {
        let ids = invocation.messages.iter().map(|message| (message.body.clone(), message.message_id.clone()));
        (invocation.id, ids.collect(), json!({ "event": invocation.event() }))
    }

    fn complete(&mut self, now_ms: u64, id: u64, outcome: &Outcome) {
        if !matches!(outcome, Outcome::Succeeded(_)) {
            self.failed += self.sizes[&id];
        }
        self.deleted.extend(self.mapping.complete(now_ms, &mut self.sqs, id, outcome).unwrap().deleted);
    }

    fn next_event_ms(&self) -> Option<u64> {
        self.mapping.next_event_ms(&self.sqs)
    }
}

/// Takes messages and returns what became of them.
pub(crate) fn answers(given: &Value) -> Value {
    let mut sqs = Sqs::new(Account::default());
    let mut attributes: QueueAttributes = given.get("queue").map(read).unwrap_or_default();
    let is_fifo = attributes.contains_key("FifoQueue");
    let (queue, dead_letters) = if is_fifo { ("q.fifo", "dead-letters.fifo") } else { ("q", "dead-letters") };
    let mut of_dead_letters = attributes.clone();
    of_dead_letters.remove("VisibilityTimeout");
    sqs.create_queue(START_MS, dead_letters, &of_dead_letters).unwrap();
    if let Some(count) = given.get("maxReceiveCount") {
        let redrive = json!({ "deadLetterTargetArn": sqs.arn(dead_letters), "maxReceiveCount": count });
        attributes.insert("RedrivePolicy".to_owned(), redrive.to_string());
    }
    sqs.create_queue(START_MS, queue, &attributes).unwrap();
    let mut sent = Map::new();
    for message in given["messages"].as_array().expect("given.messages is a list") {
        let message: Message = match message.as_str() {
            Some(body) => Message { body: body.to_owned(), ..Message::default() },
            None => read(message),
        };
        let number = message.number.map(|text| attribute("Number", AttributeValue::Text(text)));
        let binary = message.binary.map(|bytes| attribute("Binary", AttributeValue::Binary(bytes)));
        let request = SendRequest {
            body: message.body.clone(),
            message_deduplication_id: message.group.as_ref().map(|_| message.body.clone()),
            message_group_id: message.group,
            message_attributes: number.into_iter().chain(binary).collect(),
            ..SendRequest::default()
        };
        sent.insert(message.body, json!(sqs.send(START_MS, queue, request).unwrap().message_id));
    }
    let mut settings: MappingSettings = read(&given["mapping"]);
    settings.event_source_arn = sqs.arn(queue);
    let function_timeout_seconds = given["function_timeout"].as_i64();
    settings.looked_up = LookedUp { function_timeout_seconds, ..LookedUp::default() };
    let mapping = QueueMapping::new(settings, &sqs).unwrap();
    let mut driver = QueueDriver {
        sqs,
        mapping,
        queue,
        received: 0,
        attempted: 0,
        failed: 0,
        deleted: Vec::new(),
        sizes: BTreeMap::new(),
    };
    let mut answers = drive(&mut driver, given);
    let QueueDriver { mut sqs, queue, received, attempted, failed, deleted, .. } = driver;
    let mut bodies_in = |queue: &str| -> Value {
        let messages = sqs.peek(moment_ms(UNTIL_SECONDS), queue, 100).unwrap();
        messages
            .iter()
            .map(|message| json!({ "body": message.request.body, "MessageId": message.message_id }))
            .collect()
    };
    answers["left"] = bodies_in(queue);
    answers["dlq"] = bodies_in(dead_letters);
    answers["deleted"] = sent
        .iter()
        .filter(|(_, id)| deleted.iter().any(|deleted| *id == deleted))
        .map(|(body, _)| json!(body))
        .collect();
    answers["sent"] = sent.into();
    answers["counts"] = json!({
        "PolledEventCount": received,
        "InvokedEventCount": attempted,
        "FailedInvokeEventCount": failed,
        "DeletedEventCount": deleted.len(),
    });
    answers
}

fn attribute(data_type: &str, value: AttributeValue) -> (String, MessageAttribute) {
    (data_type.to_owned(), MessageAttribute { data_type: data_type.to_owned(), value })
}
