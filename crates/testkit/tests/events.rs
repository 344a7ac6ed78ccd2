//! What the Lambdas read of an event, and answer, beside the types of `aws_lambda_events`: whatever those types can
//! express, written by their own serialization, is taken, and the same values are read from it.
//!
//! Not drawn is what AWS never sends: a message without an id, and digits of a number that are not one.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use aws_lambda_events::{
    dynamodb::{
        Event, EventRecord, StreamRecord, StreamViewType, TimeWindowEvent, TimeWindowEventResponse, UserIdentity,
    },
    encodings::Base64Data,
    sqs::{SqsBatchResponse, SqsEvent, SqsMessage, SqsMessageAttribute},
};
use ledger::{
    Message, number,
    projection::{EntryFields, EntrySummary, FailureSummary, Payload, SequenceNumber, StoredViolation},
    schema::ERRORS_MAX,
};
use processor::{BatchItemFailure, PartialBatchResponse};
use projector::{Batch, Change, Input, Record, StreamEvent, StreamResponse, UnreadableRecord};
use proptest::{
    collection::{hash_map, vec},
    option::{self, weighted},
    prelude::*,
    sample::select,
};
use serde_dynamo::AttributeValue;
use serde_json::Value;

fn one_of(names: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    prop_oneof![4 => select(names).prop_map(str::to_owned), 1 => any::<String>()]
}

fn message() -> impl Strategy<Value = SqsMessage> {
    let name = one_of(&["MessageGroupId", "SequenceNumber", "SentTimestamp", "ApproximateReceiveCount", "SenderId"]);
    let value = prop_oneof![any::<u64>().prop_map(|number| number.to_string()), any::<String>()];
    let attributes = hash_map(name, value, 0..8);
    let message_attributes = hash_map(any::<String>(), message_attribute(), 0..3);
    let texts = any::<[Option<String>; 7]>();
    (any::<String>(), texts, attributes, message_attributes).prop_map(|(id, texts, attributes, message_attributes)| {
        let mut message = SqsMessage::default();
        message.message_id = Some(id);
        [
            message.receipt_handle,
            message.body,
            message.md5_of_body,
            message.md5_of_message_attributes,
            message.event_source_arn,
            message.event_source,
            message.aws_region,
        ] = texts;
        message.attributes = attributes;
        message.message_attributes = message_attributes;
        message
    })
}

fn message_attribute() -> impl Strategy<Value = SqsMessageAttribute> {
    let data = || {
        any::<Vec<u8>>().prop_map(|bytes| {
            let mut data = Base64Data::default();
            *data = bytes;
            data
        })
    };
    let texts = any::<(Option<String>, Option<String>, Vec<String>)>();
    (texts, weighted(0.5, data()), vec(data(), 0..3)).prop_map(|(texts, binary, binaries)| {
        let mut attribute = SqsMessageAttribute::default();
        (attribute.string_value, attribute.data_type, attribute.string_list_values) = texts;
        attribute.binary_value = binary;
        attribute.binary_list_values = binaries;
        attribute
    })
}

/// A message as its documentation describes it, read from the reference.
fn expected_message(message: &SqsMessage) -> Message {
    let attribute = |name: &str| message.attributes.get(name).cloned();
    Message {
        message_id: message.message_id.clone().unwrap(),
        body: message.body.clone().unwrap_or_default(),
        group_id: attribute("MessageGroupId"),
        sequence_number: attribute("SequenceNumber"),
        sent_at_ms: attribute("SentTimestamp").and_then(|text| text.parse().ok()),
        receive_count: attribute("ApproximateReceiveCount").and_then(|text| text.parse().ok()).unwrap_or(1),
    }
}

/// Any value of an attribute, nested a few levels deep.
fn value() -> impl Strategy<Value = AttributeValue> {
    let digits = "-?(0|[1-9][0-9]{0,37})(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,2})?";
    let leaf = prop_oneof![
        any::<String>().prop_map(AttributeValue::S),
        digits.prop_map(AttributeValue::N),
        any::<Vec<u8>>().prop_map(AttributeValue::B),
        any::<bool>().prop_map(AttributeValue::Bool),
        any::<bool>().prop_map(AttributeValue::Null),
        vec(any::<String>(), 0..3).prop_map(AttributeValue::Ss),
        vec(digits, 0..3).prop_map(AttributeValue::Ns),
        vec(any::<Vec<u8>>(), 0..3).prop_map(AttributeValue::Bs),
    ];
    let name = one_of(&["M", "S", "pointer", "keyword", "class", "errors", "$serde_json::private::Number"]);
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(AttributeValue::L),
            hash_map(name.clone(), inner, 0..4).prop_map(AttributeValue::M),
        ]
    })
}

/// An attribute that is mostly there and mostly what an entry has.
fn attribute(
    name: &'static str,
    usual: impl Strategy<Value = AttributeValue>,
) -> impl Strategy<Value = Option<(String, AttributeValue)>> {
    weighted(0.9, prop_oneof![9 => usual, 1 => value()].prop_map(move |value| (name.to_owned(), value)))
}

fn text(text: impl Strategy<Value = String>) -> impl Strategy<Value = AttributeValue> {
    text.prop_map(AttributeValue::S)
}

fn number(number: impl Strategy<Value = u64>) -> impl Strategy<Value = AttributeValue> {
    number.prop_map(|number| AttributeValue::N(number.to_string()))
}

fn map(
    members: (
        impl Strategy<Value = Option<(String, AttributeValue)>>,
        impl Strategy<Value = Option<(String, AttributeValue)>>,
    ),
) -> impl Strategy<Value = AttributeValue> {
    members.prop_map(|(one, other)| AttributeValue::M([one, other].into_iter().flatten().collect()))
}

fn failure() -> impl Strategy<Value = AttributeValue> {
    let error = map((attribute("pointer", text(any::<String>())), attribute("keyword", text(any::<String>()))));
    let errors = vec(prop_oneof![9 => error, 1 => value()], 0..ERRORS_MAX + 3).prop_map(AttributeValue::L);
    map((attribute("class", text(one_of(&["schema_violation", "conflict"]))), attribute("errors", errors)))
}

fn image() -> impl Strategy<Value = HashMap<String, AttributeValue>> {
    const YEAR_10000_MS: u64 = 253_402_300_800_000;
    let entry = (
        attribute("tenant_id", text("[a-z]{1,9}".boxed())),
        attribute("sk", text("[0-9TZ:.-]{1,30}#[a-z]{1,9}(#conflict#[0-9a-f]{1,8})?".boxed())),
        attribute("event_type", text(one_of(&["user.created"]))),
        attribute("status", text(one_of(&["READY", "INVALID"]))),
        weighted(0.7, number(0..YEAR_10000_MS + 9).prop_map(|number| ("ingested_at".to_owned(), number))),
        weighted(0.7, value().prop_map(|value| ("sequence_number".to_owned(), value))),
        attribute("failure", failure()),
        weighted(0.5, value().prop_map(|value| ("revalidated_at".to_owned(), value))),
        weighted(0.7, value().prop_map(|value| ("payload".to_owned(), value))),
        weighted(0.5, value().prop_map(|value| ("raw".to_owned(), value))),
    );
    let others = hash_map(any::<String>(), value(), 0..2);
    (entry, others).prop_map(|((a, b, c, d, e, f, g, h, i, j), others)| {
        [a, b, c, d, e, f, g, h, i, j].into_iter().flatten().chain(others).collect()
    })
}

fn change() -> impl Strategy<Value = StreamRecord> {
    use StreamViewType::{KeysOnly, NewAndOldImages, NewImage, OldImage};
    let keys = (attribute("tenant_id", text(any::<String>())), attribute("sk", text(any::<String>())));
    let sequence_number = prop_oneof![4 => "[0-9]{1,40}".prop_map(Some), 1 => any::<Option<String>>()];
    let view = weighted(0.9, select(vec![NewImage, OldImage, NewAndOldImages, KeysOnly]));
    (-8_000_000_000_000_i64..8_000_000_000_000, keys, image(), image(), sequence_number, any::<i64>(), view).prop_map(
        |(written_at_ms, (tenant_id, sk), new_image, old_image, sequence_number, size_bytes, view)| {
            let mut change = StreamRecord::default();
            let distance = Duration::from_millis(written_at_ms.unsigned_abs());
            let moment = if written_at_ms < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance };
            change.approximate_creation_date_time = moment.into();
            change.keys = [tenant_id, sk].into_iter().flatten().collect::<HashMap<_, _>>().into();
            change.new_image = new_image.into();
            change.old_image = old_image.into();
            change.sequence_number = sequence_number;
            change.size_bytes = size_bytes;
            change.stream_view_type = view;
            change
        },
    )
}

fn record() -> impl Strategy<Value = EventRecord> {
    let name =
        prop_oneof![6 => select(vec!["INSERT", "MODIFY", "REMOVE"]).prop_map(str::to_owned), 1 => any::<String>()];
    let user = option::of((any::<String>(), one_of(&["dynamodb.amazonaws.com"])));
    (any::<[String; 2]>(), name, any::<[Option<String>; 5]>(), user, change()).prop_map(
        |(texts, name, optional_texts, user, change)| {
            let mut record = EventRecord::default();
            [record.aws_region, record.event_id] = texts;
            record.event_name = name;
            [
                record.event_source,
                record.event_version,
                record.event_source_arn,
                record.record_format,
                record.table_name,
            ] = optional_texts;
            record.user_identity = user.map(|(kind, principal_id)| {
                let mut identity = UserIdentity::default();
                (identity.type_, identity.principal_id) = (kind, principal_id);
                identity
            });
            record.change = change;
            record
        },
    )
}

fn text_of(members: &HashMap<String, AttributeValue>, name: &str) -> Option<String> {
    match members.get(name) {
        Some(AttributeValue::S(text)) => Some(text.clone()),
        _ => None,
    }
}

/// Bytes as DynamoDB counts them. Sets, which no entry has, count nothing.
fn bytes_of(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => number::stored_bytes(digits),
        AttributeValue::B(bytes) => bytes.len(),
        AttributeValue::Bool(_) | AttributeValue::Null(_) => 1,
        AttributeValue::L(elements) => 3 + elements.iter().map(|element| bytes_of(element) + 1).sum::<usize>(),
        AttributeValue::M(members) => {
            3 + members.iter().map(|(name, value)| name.len() + bytes_of(value) + 1).sum::<usize>()
        }
        AttributeValue::Ss(_) | AttributeValue::Ns(_) | AttributeValue::Bs(_) => 0,
    }
}

fn failure_of(value: &AttributeValue) -> Option<FailureSummary> {
    let AttributeValue::M(members) = value else { return None };
    let errors = match members.get("errors") {
        Some(AttributeValue::L(errors)) => errors.as_slice(),
        _ => &[],
    };
    let place = |error: &AttributeValue| {
        let text = |name: &str| match error {
            AttributeValue::M(members) => text_of(members, name).unwrap_or_default(),
            _ => String::new(),
        };
        StoredViolation { pointer: text("pointer"), keyword: text("keyword") }
    };
    let cause = members.get("cause").filter(|cause| matches!(cause, AttributeValue::M(_)));
    Some(FailureSummary {
        cause: cause.map(place),
        class: text_of(members, "class").and_then(|class| class.parse().ok()),
        places: errors.iter().take(ERRORS_MAX).map(place).collect(),
    })
}

/// Sets and binaries are no part of a payload.
fn value_of(value: &AttributeValue) -> Option<Value> {
    Some(match value {
        AttributeValue::S(text) => text.clone().into(),
        AttributeValue::N(digits) => Value::Number(digits.parse().ok()?),
        AttributeValue::Bool(is_true) => (*is_true).into(),
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::L(elements) => elements.iter().map(value_of).collect::<Option<_>>()?,
        AttributeValue::M(members) => {
            let member = |(name, value): (&String, &AttributeValue)| Some((name.clone(), value_of(value)?));
            Value::Object(members.iter().map(member).collect::<Option<_>>()?)
        }
        AttributeValue::B(_) | AttributeValue::Ss(_) | AttributeValue::Ns(_) | AttributeValue::Bs(_) => return None,
    })
}

fn payload_of(value: &AttributeValue) -> Payload {
    match value_of(value) {
        Some(Value::Object(members)) => Payload::Typed(Arc::new(members)),
        _ => Payload::Absent,
    }
}

fn fields_of(image: &HashMap<String, AttributeValue>) -> EntryFields {
    let bytes = |name: &str| image.get(name).map_or(0, bytes_of) as u64;
    EntryFields {
        tenant_id: text_of(image, "tenant_id"),
        sk: text_of(image, "sk"),
        event_type: text_of(image, "event_type"),
        status: text_of(image, "status"),
        ingested_at: image.get("ingested_at").map(|value| match value {
            AttributeValue::N(digits) => digits.clone(),
            _ => String::new(),
        }),
        has_sequence_number: image.contains_key("sequence_number"),
        failure: image.get("failure").and_then(failure_of),
        has_schema: image.contains_key("schema"),
        payload_bytes: if bytes("payload") > 0 { bytes("payload") } else { bytes("raw") },
        payload: image.get("payload").map_or(Payload::Absent, payload_of),
        is_revalidated: image.contains_key("revalidated_at"),
    }
}

/// A record as the projector has to take it, read from the reference. Why one is unreadable is not the reader's to say.
fn expected_record(record: &EventRecord, read: &Record) -> Record {
    let sequence = record.change.sequence_number.as_deref().and_then(SequenceNumber::parse);
    // The reference writes whole seconds.
    let seconds = u64::try_from(record.change.approximate_creation_date_time.timestamp_millis() / 1_000);
    let written_at_ms = seconds.ok().map(|seconds| seconds * 1_000);
    let image = || EntrySummary::new(fields_of(&record.change.new_image));
    let by = record.user_identity.as_ref().map(|user| user.principal_id.as_str());
    let change = match record.event_name.as_str() {
        "REMOVE" if by == Some("dynamodb.amazonaws.com") => Some(Change::Expired),
        "REMOVE" => Some(Change::UnexpectedRemove),
        "INSERT" => Change::of_insert(image()).ok(),
        "MODIFY" => Change::of_modify(image()).ok(),
        _ => None,
    };
    let is_removal = record.event_name == "REMOVE";
    if let Some(change) = change.filter(|_| sequence.is_some() || is_removal) {
        return Record { sequence, written_at_ms, change };
    }
    let Change::Unreadable(UnreadableRecord { reason, .. }) = &read.change else { panic!("{read:?} is unreadable") };
    let unreadable = UnreadableRecord {
        event_id: Some(record.event_id.clone()),
        sequence_number: record.change.sequence_number.clone(),
        tenant_id: text_of(&record.change.keys, "tenant_id"),
        sk: text_of(&record.change.keys, "sk"),
        reason: reason.clone(),
    };
    Record { sequence, written_at_ms, change: Change::Unreadable(unreadable) }
}

fn assert_is_read(shard_id: Option<String>, records: &[EventRecord], json: &str) {
    let event: StreamEvent = serde_json::from_str(json).unwrap();
    let batch = match event.into_input() {
        Input::Batch(batch) => batch,
        input => return assert!(input == Input::WithoutShard && shard_id.is_none() && !records.is_empty()),
    };
    let expected = records.iter().zip(&batch.records).map(|(record, read)| expected_record(record, read)).collect();
    assert_eq!(batch, Batch { shard_id: shard_id.unwrap_or_default(), records: expected });
    assert_eq!(batch.records.len(), records.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_processor_reads_a_message_as_the_reference_does(messages in vec(message(), 0..4)) {
        let mut reference = SqsEvent::default();
        reference.records = messages;
        let event: processor::SqsEvent = serde_json::from_str(&serde_json::to_string(&reference).unwrap()).unwrap();
        let read: Vec<Message> = event.records.into_iter().map(Message::from).collect();
        prop_assert_eq!(read, reference.records.iter().map(expected_message).collect::<Vec<_>>());
    }

    #[test]
    fn the_reference_reads_the_processors_answer(ids in any::<Vec<String>>()) {
        let failures = ids.iter().map(|id| BatchItemFailure { item_identifier: id.clone() }).collect();
        let answer = serde_json::to_string(&PartialBatchResponse { batch_item_failures: failures }).unwrap();
        let mut expected = SqsBatchResponse::default();
        expected.set_failures(ids);
        prop_assert_eq!(serde_json::from_str::<SqsBatchResponse>(&answer).unwrap(), expected);
    }

    #[test]
    fn the_reference_reads_the_projectors_answer(sequence in weighted(0.9, "[0-9]{1,40}")) {
        let answer = match &sequence {
            Some(sequence) => StreamResponse::failed_from(&SequenceNumber::parse(sequence).unwrap()),
            None => StreamResponse::done(),
        };
        let read: TimeWindowEventResponse = serde_json::from_str(&serde_json::to_string(&answer).unwrap()).unwrap();
        let failed: Vec<_> = read.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect();
        prop_assert_eq!(failed, sequence.map(Some).into_iter().collect::<Vec<_>>());
        prop_assert!(read.time_window_event_response_properties.state.is_empty());
    }

    #[test]
    fn the_projector_reads_a_record_as_the_reference_does(records in vec(record(), 0..3)) {
        let mut reference = Event::default();
        reference.records = records;
        // The reference knows no plain event of a window; the member that it lacks is put in.
        let json = serde_json::to_string(&reference).unwrap().replacen('{', r#"{"shardId":"s","#, 1);
        assert_is_read(Some("s".to_owned()), &reference.records, &json);
    }

    #[test]
    fn the_projector_reads_an_event_of_a_window_as_the_reference_does(
        records in vec(record(), 0..2),
        shard_id in any::<Option<String>>(),
        state in any::<HashMap<String, String>>(),
        (is_final, is_early) in any::<(bool, bool)>(),
    ) {
        let mut reference = TimeWindowEvent::default();
        reference.dynamo_db_event.records = records;
        reference.time_window_properties.shard_id = shard_id.clone();
        reference.time_window_properties.state = state;
        reference.time_window_properties.is_final_invoke_for_window = is_final;
        reference.time_window_properties.is_window_terminated_early = is_early;
        let json = serde_json::to_string(&reference).unwrap();
        assert_is_read(shard_id, &reference.dynamo_db_event.records, &json);
    }
}
