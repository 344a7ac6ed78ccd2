//! Messages and bodies to feed the processor, and records to feed the projector: plain ones by name, and strategies for
//! arbitrary ones.

use ledger::{
    FailureClass, Message,
    projection::{EntryFields, EntrySummary, FailureSummary, Payload, SequenceNumber, StoredViolation, Verdict},
};
use projector::{Change, Record, UnreadableRecord};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// 2096-01-15T09:30:00Z, in milliseconds: later than any machine's clock, so that no database running by that clock
/// finds a row expired.
pub const START_MS: u64 = 3_977_458_200_000;

/// A valid `user.created` envelope.
pub fn envelope(tenant_id: &str, event_id: &str) -> Value {
    json!({
        "tenant_id": tenant_id,
        "event_id": event_id,
        "event_type": "user.created",
        "created_at": "2026-01-15T09:29:59Z",
        "payload": { "id": "u-1", "email": "ada@example.com" },
    })
}

/// A first delivery of `body` in a message group; `number` makes its ids and its place in the queue.
pub fn message(number: u64, group_id: &str, body: impl ToString) -> Message {
    Message {
        message_id: format!("00000000-0000-4000-8000-{number:012}"),
        body: body.to_string(),
        group_id: Some(group_id.to_owned()),
        sequence_number: Some((18_849_496_460_467_696_128u128 + u128::from(number)).to_string()),
        sent_at_ms: Some(START_MS - 1_000 + number),
        receive_count: 1,
    }
}

/// A valid event of a tenant in its own group.
pub fn event(number: u64, tenant_id: &str, event_id: &str) -> Message {
    message(number, tenant_id, envelope(tenant_id, event_id))
}

/// The same, under its number as event id, with a payload of more than `bytes`.
pub fn filled(number: u64, tenant_id: &str, bytes: usize) -> Message {
    let mut envelope = envelope(tenant_id, &number.to_string());
    envelope["payload"]["filler"] = json!("x".repeat(bytes));
    message(number, tenant_id, envelope)
}

/// An envelope of `bytes`, as figures are measured with: a log line with its labels and measurements.
pub fn log_line(event_id: &str, bytes: usize) -> String {
    let label = |n: usize| (format!("label_{n:02}"), json!(format!("value-{n:02}")));
    let metric = |n: usize| (format!("metric_{n:02}"), json!(n * 37));
    let body = |message: &str| {
        json!({
            "tenant_id": "tenant-a",
            "event_id": event_id,
            "event_type": "monitoring",
            "route": "default",
            "created_at": "2026-01-15T09:30:00Z",
            "payload": {
                "timestamp": "2026-01-15T09:30:00Z",
                "level": "INFO",
                "message": message,
                "labels": (0..15).map(label).collect::<Map<_, _>>(),
                "metrics": (0..15).map(metric).collect::<Map<_, _>>(),
            },
        })
        .to_string()
    };
    body(&"x".repeat(bytes - body("").len()))
}

/// Bodies of nearly the queue's size that cost the most memory and CPU: many objects, many numbers, many broken rules.
pub fn costly(tenant_id: &str, event_id: &str) -> [(&'static str, String); 3] {
    let body = |event_type: &str, payload: String| {
        let body = format!(
            "{{\"tenant_id\":\"{tenant_id}\",\"event_id\":\"{event_id}\",\"event_type\":\"{event_type}\",\
             \"created_at\":\"2026-01-15T09:29:59Z\",\"payload\":{{{payload}}}}}"
        );
        assert!((240 * 1024..=256 * 1024).contains(&body.len()), "{} bytes", body.len());
        body
    };
    let objects = vec!["{\"a\":0}"; 32_700].join(",");
    let numbers = vec!["1.5"; 65_000].join(",");
    let labels = (0..28_000).map(|n| format!("\"{n:04x}\":1")).collect::<Vec<_>>().join(",");
    let integration = "\"integration_id\":\"i\",\"provider\":\"p\",\"event\"";
    let log_line = "\"timestamp\":\"2026-01-15T09:29:59Z\",\"level\":\"INFO\",\"message\":\"m\"";
    [
        ("objects", body("integrations", format!("{integration}:[{objects}]"))),
        ("numbers", body("integrations", format!("{integration}:\"e\",\"n\":[{numbers}]"))),
        ("broken labels", body("monitoring", format!("{log_line},\"labels\":{{{labels}}}"))),
    ]
}

/// An entry as the projector sees it. An INVALID one has an email of the wrong format.
pub fn summary(tenant_id: &str, id: u64, verdict: Verdict, ingested_at_ms: u64) -> EntrySummary {
    let place = StoredViolation { pointer: "/payload/email".to_owned(), keyword: "format".to_owned() };
    let class = Some(FailureClass::SchemaViolation);
    let failure = FailureSummary { class, cause: Some(place.clone()), places: vec![place] };
    let fields = EntryFields {
        tenant_id: Some(tenant_id.to_owned()),
        sk: Some(format!("2026-01-15T09:29:59.900000000Z#event-{id}")),
        event_type: Some("user.created".to_owned()),
        status: Some(verdict.as_str().to_owned()),
        ingested_at: Some(ingested_at_ms.to_string()),
        has_sequence_number: true,
        failure: (verdict == Verdict::Invalid).then_some(failure),
        has_schema: true,
        payload_bytes: 10 + id,
        payload: Payload::Absent,
        is_revalidated: false,
    };
    EntrySummary::new(fields).expect("an entry of ours")
}

/// The same entry once it is revalidated.
pub fn revalidated(entry: EntrySummary) -> EntrySummary {
    EntrySummary { verdict: Verdict::Ready, is_revalidated: true, ..entry }
}

/// A record of the ledger's stream, written at `now_ms`.
pub fn record(sequence: u64, now_ms: u64, change: Change) -> Record {
    Record { sequence: SequenceNumber::parse(&sequence.to_string()), written_at_ms: Some(now_ms), change }
}

/// One record of each kind, numbered from 1, of entries that were judged just after `now_ms`.
pub fn mixed_records(now_ms: u64) -> Vec<Record> {
    let entry = |tenant: &str, number: u64, verdict| summary(tenant, number, verdict, now_ms + number);
    let changes = [
        Change::Appended(entry("a", 1, Verdict::Ready)),
        Change::Appended(entry("b", 2, Verdict::Invalid)),
        Change::Unreadable(UnreadableRecord { sk: Some("odd".to_owned()), ..UnreadableRecord::default() }),
        Change::Revalidated(revalidated(entry("b", 2, Verdict::Invalid))),
        Change::UnexpectedModify,
        Change::UnexpectedRemove,
        Change::Appended(entry("c", 7, Verdict::Invalid)),
        Change::Expired,
    ];
    (1..).zip(changes).map(|(sequence, change)| record(sequence, now_ms, change)).collect()
}

/// The same message, delivered once more.
pub fn again(message: &Message) -> Message {
    Message { receive_count: message.receive_count + 1, ..message.clone() }
}

/// The text of an arbitrary JSON value, numbers and nesting beyond DynamoDB's limits included.
pub fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        "-?(0|[1-9][0-9]{0,45})(\\.[0-9]{1,45})?([eE][+-]?[0-9]{1,4})?",
        any::<String>().prop_map(|text| json!(text).to_string()),
        Just(r#""\ud800""#.to_owned()),
    ];
    leaf.prop_recursive(40, 200, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|elements| format!("[{}]", elements.join(","))),
            prop::collection::vec(("[a-d]{0,2}|\\PC{0,6}", inner), 0..6).prop_map(|members| {
                let member = |(name, value): &(String, String)| format!("{}:{value}", json!(name));
                format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

/// An arbitrary body: often nearly an envelope, sometimes anything at all.
pub fn body() -> impl Strategy<Value = String> {
    let id = prop_oneof![4 => "[a-c]{1,2}", 1 => any::<String>()];
    let event_type = prop_oneof![
        4 => prop::sample::select(ledger::schema::all().iter().map(|schema| schema.event_type).collect::<Vec<_>>())
            .prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    let nearly = (id.clone(), id, event_type, json_text(), prop::option::of(json_text())).prop_map(
        |(tenant_id, event_id, event_type, payload, extra)| {
            let (tenant_id, event_id, event_type) = (json!(tenant_id), json!(event_id), json!(event_type));
            let extra = extra.map(|extra| format!(",\"extra\":{extra}")).unwrap_or_default();
            format!(
                "{{\"tenant_id\":{tenant_id},\"event_id\":{event_id},\"event_type\":{event_type},\
                 \"payload\":{payload}{extra}}}"
            )
        },
    );
    prop_oneof![6 => nearly, 1 => json_text(), 1 => any::<String>()]
}
