//! Properties of judging and keeping, over arbitrary bodies.

use dynoxide::types::normalize_dynamo_number;
use ledger::{
    ClaimKey, ContentHash, EntryKey, EventId, Judged, Message, TenantId, Timestamp,
    entry::{attribute, stored_content},
    envelope,
    item::number_of,
    json, judge,
    ports::Table,
};
use processor::process::{Outcome, Settings};
use proptest::prelude::*;
use serde_json::Value;
use testkit::{
    bodies::{self, START_MS, body, json_text, message},
    memory::tables::MemoryTables,
    ports::{Driver, ready},
};

const TIMEOUT_MS: u64 = 15_000;
const SETTINGS: Settings = Settings { claim_ttl_days: 7, entry_ttl_days: 0, is_ready_indexed: true };

/// An id that is often short and odd, so that keys come close to each other.
fn id() -> impl Strategy<Value = String> {
    prop_oneof![2 => "[ab]{1,2}", 1 => "[ab#_:]{0,4}", 1 => "\\PC{0,3}", 1 => any::<String>()]
}

fn claim_key(tenant_id: &str, event_id: &str) -> Option<ClaimKey> {
    Some(ClaimKey { tenant_id: TenantId::parse(tenant_id)?, event_id: EventId::parse(event_id)? })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn any_body_becomes_exactly_one_entry_that_the_tables_accept_at_once(body in body()) {
        let memory = MemoryTables::default();
        let mut driver = Driver::new(&memory, START_MS);
        let report = ready(driver.process(SETTINGS, &[message(1, "a", &body)], TIMEOUT_MS));
        prop_assert!(matches!(report.outcomes[..], [Outcome::Ready | Outcome::Invalid(_)]), "{report:?}");
        prop_assert_eq!(memory.items(Table::Entries).len(), 1);
        // One claim at most and one entry: nothing was refused and written in another form.
        prop_assert!(driver.calls.len() <= 2);
    }

    #[test]
    fn keys_are_injective(t1 in id(), e1 in id(), t2 in id(), e2 in id()) {
        if let (Some(one), Some(other)) = (claim_key(&t1, &e1), claim_key(&t2, &e2)) {
            prop_assert_eq!(one.pk() == other.pk(), (&t1, &e1) == (&t2, &e2));
            let at = Timestamp::parse_rfc3339("2026-01-15T09:30:00Z").unwrap();
            let (one, other) = (EntryKey::new(&one, &at), EntryKey::new(&other, &at));
            prop_assert_eq!(one == other, (&t1, &e1) == (&t2, &e2));
            // A conflict's key is no entry's key, whatever the ids are.
            prop_assert_ne!(one.conflict(ContentHash::of_raw(b"other")), other);
        }
    }

    #[test]
    fn the_reader_accepts_exactly_json(text in json_text(), edit in any::<prop::sample::Index>(), by in prop::option::of(any::<char>())) {
        let mut edited: Vec<char> = text.chars().collect();
        if let Some(by) = by && !edited.is_empty() {
            let at = edit.index(edited.len());
            edited[at] = by;
        }
        let edited: String = edited.into_iter().collect();
        let expected = serde_json::from_str::<serde::de::IgnoredAny>(&edited).is_ok();
        prop_assert_eq!(json::read_object(&edited).is_ok(), expected, "{}", edited);
    }

    #[test]
    fn contents_are_equal_exactly_where_dynamodb_holds_equal_values(one in json_text(), other in json_text(), same in any::<bool>()) {
        let other = if same { respelled(&one) } else { other };
        let (Some(one), Some(other)) = (payload(&one), payload(&other)) else { return Ok(()) };
        let hash = |payload: &Value| {
            let Value::Object(payload) = payload else { unreachable!("it is wrapped in an object") };
            ContentHash::of_event("t", None, payload)
        };
        prop_assert_eq!(hash(&one) == hash(&other), normalized(&one) == normalized(&other));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_batch_gives_every_message_an_outcome(bodies in prop::collection::vec(body(), 1..=10)) {
        let memory = MemoryTables::default();
        let messages: Vec<_> = bodies.iter().enumerate().map(|(n, body)| message(n as u64, "a", body)).collect();
        let report = ready(Driver::new(&memory, START_MS).process(SETTINGS, &messages, TIMEOUT_MS));
        prop_assert_eq!(&report.failed, &[] as &[usize]);
        let recorded = report.outcomes.iter().filter(|outcome| **outcome != Outcome::Duplicate).count();
        prop_assert_eq!(memory.items(Table::Entries).len(), recorded);
    }
}

/// A message of one of three groups with one of few ids: its body small, or about as large as makes it large, or larger,
/// in its payload or behind it.
fn drawn() -> impl Strategy<Value = (usize, usize, usize, bool)> {
    let bytes = prop_oneof![4 => 0..1_000usize, 2 => 16_000..17_000usize, 2 => 17_000..200_000usize];
    (0..3usize, 0..8usize, bytes, any::<bool>())
}

fn drawn_message(number: usize, (group, id, bytes, is_in_payload): (usize, usize, usize, bool)) -> Message {
    let mut body = bodies::envelope("t", &id.to_string());
    if is_in_payload {
        body["payload"]["filler"] = "x".repeat(bytes).into();
    }
    let padding = if is_in_payload { String::new() } else { " ".repeat(bytes) };
    let body = if id == 0 { format!("[]{padding}") } else { format!("{body}{padding}") };
    message(number as u64, &format!("g{group}"), body)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_sizes_a_group_is_recorded_and_acknowledged_from_its_front(
        draws in prop::collection::vec(drawn(), 1..=10),
        ms_per_kib in 0..50u64,
    ) {
        let memory = MemoryTables::default();
        let mut driver = Driver::new(&memory, START_MS);
        driver.ms_per_kib = ms_per_kib;
        let messages: Vec<_> = draws.into_iter().enumerate().map(|(n, draw)| drawn_message(n, draw)).collect();
        let messages = messages.as_slice();
        let judged: Vec<_> = messages.iter().map(|message| judge(message, START_MS)).collect();
        let mut left: Vec<usize> = (0..messages.len()).collect();
        for receive in 0..=messages.len() {
            prop_assert!(receive < messages.len(), "no progress: {left:?} are left");
            let batch: Vec<_> = left
                .iter()
                .map(|&at| Message { receive_count: receive as u32 + 1, ..messages[at].clone() })
                .collect();
            let deadline_ms = driver.now_ms + TIMEOUT_MS;
            let report = ready(driver.process(SETTINGS, &batch, TIMEOUT_MS));
            prop_assert!(driver.now_ms < deadline_ms);

            let entries = memory.items(Table::Entries);
            let is_recorded = |at: usize| {
                let Judged { entry, content, .. } = &judged[at];
                entries.iter().any(|item| {
                    let key = EntryKey::from_item(item).unwrap();
                    let is_its_id = (&key.tenant_id, key.event_id()) == (&entry.key.tenant_id, entry.key.event_id());
                    is_its_id && stored_content(item) == Some(*content)
                })
            };
            let earlier = |at: usize| (0..at).filter(move |&before| messages[before].group_id == messages[at].group_id);
            for item in &entries {
                let number = number_of(item, attribute::SEQUENCE_NUMBER);
                let source = messages.iter().position(|message| message.sequence_number == number).unwrap();
                for before in earlier(source) {
                    prop_assert!(is_recorded(before), "{source} is recorded, and {before} is not");
                }
            }
            left = report.failed.iter().map(|&at| left[at]).collect();
            for at in (0..messages.len()).filter(|at| !left.contains(at)) {
                prop_assert!(is_recorded(at), "{at} is acknowledged");
                prop_assert!(!earlier(at).any(|before| left.contains(&before)), "{at} is acknowledged, {left:?} are not");
            }
            if left.is_empty() {
                break;
            }
            driver.now_ms += 90_000;
        }
    }
}

/// The value inside an object, as a body's payload would be read; `None` where it cannot be stored.
fn payload(text: &str) -> Option<Value> {
    let body = format!(r#"{{"tenant_id":"a","event_id":"1","event_type":"t","payload":{{"v":{text}}}}}"#);
    Some(Value::Object(envelope::read(&body).envelope.ok()?.payload))
}

/// Equal values have equal normal forms: numbers as DynamoDB normalizes them.
fn normalized(value: &Value) -> Value {
    match value {
        Value::Number(number) => {
            let normal = normalize_dynamo_number(number.as_str());
            Value::Number(normal.parse().expect("DynamoDB writes numbers as JSON does"))
        }
        Value::Array(elements) => elements.iter().map(normalized).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), normalized(value))).collect(),
        other => other.clone(),
    }
}

/// The same document written another way: members in order, spaces between tokens, digits with an exponent. One that is
/// not JSON for everybody stays as it is.
fn respelled(text: &str) -> String {
    fn respell(value: &mut Value) {
        match value {
            Value::Number(number) if !number.as_str().contains(['e', 'E']) => {
                *number = format!("{number}e0").parse().expect("a number with an exponent");
            }
            Value::Array(elements) => elements.iter_mut().for_each(respell),
            Value::Object(members) => members.values_mut().for_each(respell),
            _ => {}
        }
    }
    let Ok(mut value) = serde_json::from_str(text) else { return text.to_owned() };
    respell(&mut value);
    serde_json::to_string_pretty(&value).expect("a value is JSON")
}
