//! G10: who is named when, how often, and that no tenant keeps another from being named.

use std::collections::BTreeMap;

use ledger::{
    FailureClass,
    alert::{ALERTS_PER_WINDOW_MAX, AlertMessage, AttributeValue, DIGESTS_PER_WINDOW_MAX},
    item::whole_number_of,
    projection::{FailureSummary, StoredViolation, Verdict, keys::ProjectionKey},
};
use projector::{Change, Input, Kept, Outcome, Record};
use serde_json::Value;
use testkit::{
    bodies::summary,
    ports::{Driver, Fault, Kind, ProjectorAws},
};

use crate::{
    NOW_MS, TIMEOUT_MS, WINDOW_MS, appended, batch, batch_of, expected, has_pending, new_driver, record, settings,
};

/// What SNS takes in one message, attributes included ("Publish", Amazon SNS).
const MESSAGE_BYTES_MAX: usize = 262_144;
const MINUTE_MS: u64 = 60_000;

/// INVALID entries that a message announces, by tenant.
pub(crate) fn announced(message: &AlertMessage) -> BTreeMap<String, u64> {
    let body: Value = serde_json::from_str(&message.body).expect("a message is JSON");
    let of = |document: &Value| {
        (document["tenant_id"].as_str().expect("a tenant").to_owned(), document["count"].as_u64().expect("a count"))
    };
    match body["kind"].as_str() {
        Some("alert") => [of(&body)].into(),
        Some("digest") => body["tenants"].as_array().expect("tenants").iter().map(of).collect(),
        other => panic!("{other:?} is no kind of message"),
    }
}

/// How often each tenant was named, and the entries announced.
fn names(driver: &Driver<ProjectorAws>) -> BTreeMap<String, (usize, u64)> {
    let mut names: BTreeMap<String, (usize, u64)> = BTreeMap::new();
    for (tenant, count) in driver.aws.alerts.iter().flat_map(|(_, message)| announced(message)) {
        let named = names.entry(tenant).or_default();
        *named = (named.0 + 1, named.1 + count);
    }
    names
}

fn is_digest(message: &AlertMessage) -> bool {
    message.subject.contains("more tenants")
}

/// Messages about single tenants, and digests.
fn kinds(driver: &Driver<ProjectorAws>) -> (usize, usize) {
    let digests = driver.aws.alerts.iter().filter(|(_, message)| is_digest(message)).count();
    (driver.aws.alerts.len() - digests, digests)
}

fn invalid_of_tenants(tenants: impl IntoIterator<Item = u64>) -> Vec<Record> {
    tenants.into_iter().map(|number| appended(number + 1, &format!("tenant-{number:05}"), Verdict::Invalid)).collect()
}

pub(crate) fn tick_for(driver: &mut Driver<ProjectorAws>, minutes: u64) {
    for _ in 0..minutes {
        driver.now_ms += MINUTE_MS;
        driver.tick(&settings(), TIMEOUT_MS);
    }
}

#[test]
fn an_alert_names_the_deployment_the_causes_the_entries_and_the_command_to_run() {
    let mut driver = new_driver();
    let mut records: Vec<Record> = (1..=9).map(|number| appended(number, "t", Verdict::Invalid)).collect();
    let mut other = summary("t", 10, Verdict::Invalid, NOW_MS + 10);
    other.failure = Some(FailureSummary { class: Some(FailureClass::Conflict), ..FailureSummary::default() });
    records.push(record(10, Change::Appended(other)));
    driver.project(&settings(), batch(&records), TIMEOUT_MS);
    let [(_, message)] = &driver.aws.alerts[..] else { panic!("one alert") };
    let body: Value = serde_json::from_str(&message.body).unwrap();
    assert_eq!((body["project"].as_str(), body["region"].as_str()), (Some("event-processor"), Some("eu-central-1")));
    assert_eq!((body["schemas"].as_str(), body["count"].as_u64()), (Some("0123456789abcdef"), Some(10)));
    assert_eq!(body["causes"][0]["pointer"], "/payload/email");
    assert_eq!((body["causes"][0]["count"].as_u64(), body["causes"][1]["class"].as_str()), (Some(9), Some("conflict")));
    assert_eq!(body["first"]["sk"], "2026-01-15T09:29:59.900000000Z#event-1");
    assert_eq!(body["last"]["sk"], "2026-01-15T09:29:59.900000000Z#event-10");
    assert!((1..=5).contains(&body["event_ids"].as_array().unwrap().len()));
    assert_eq!(body["next"], "ledgerctl explain t event-1");
    assert_eq!(message.subject, "INVALID entries of t: 10, schema_violation (format at /payload/email)");
    let text = body["text"].as_str().unwrap();
    assert!(text.starts_with("10 INVALID entries of tenant t in event-processor (eu-central-1).\n9 schema_violation"));
}

#[test]
fn a_tenant_has_one_message_in_a_window_and_the_next_one_tells_the_rest() {
    let mut driver = new_driver();
    for number in 1..=4 {
        driver.project(&settings(), batch(&[appended(number, "t", Verdict::Invalid)]), TIMEOUT_MS);
        driver.now_ms += 10_000;
    }
    assert_eq!(names(&driver)["t"], (1, 1));
    tick_for(&mut driver, 4);
    assert_eq!(names(&driver)["t"], (1, 1), "the window is not over");
    tick_for(&mut driver, 1);
    assert_eq!(names(&driver)["t"], (2, 4));
    tick_for(&mut driver, 20);
    assert_eq!(names(&driver)["t"], (2, 4));
}

#[test]
fn the_last_invalid_entry_of_a_quiet_ledger_is_announced_within_a_window_and_two_minutes() {
    let mut driver = new_driver();
    driver.project(&settings(), batch(&[appended(1, "a", Verdict::Invalid)]), TIMEOUT_MS);
    driver.now_ms += 5_000;
    // Its own tenant has had its message, another comes while the process does not ask for the lease.
    driver.project(&settings(), batch(&[appended(2, "a", Verdict::Invalid)]), TIMEOUT_MS);
    driver.project(&settings(), batch(&[appended(3, "b", Verdict::Invalid)]), TIMEOUT_MS);
    let counted_ms = driver.now_ms;
    tick_for(&mut driver, 7);
    assert_eq!((names(&driver)["a"], names(&driver)["b"]), ((2, 2), (1, 1)));
    assert!(driver.aws.alerts.iter().all(|(at_ms, _)| *at_ms <= counted_ms + WINDOW_MS + 2 * MINUTE_MS));
}

#[test]
fn one_tenant_with_every_cause_keeps_nobody_from_being_named() {
    let mut driver = new_driver();
    let broken = |number: u64| {
        let mut entry = summary("hostile", number, Verdict::Invalid, NOW_MS);
        let cause = StoredViolation { pointer: format!("/payload/{}", number % 60), keyword: "type".to_owned() };
        let class = FailureClass::all().nth(number as usize % 7);
        entry.failure = Some(FailureSummary { class, cause: Some(cause), places: vec![] });
        record(number, Change::Appended(entry))
    };
    let hostile: Vec<Record> = (1..=1_000).map(broken).collect();
    driver.project(&settings(), batch_of("shardId-h", &hostile), TIMEOUT_MS);
    for start in (0..5_000).step_by(1_000) {
        let records = invalid_of_tenants(start..start + 1_000);
        let report = driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap();
        assert_eq!(report.outcome, Outcome::Done);
    }
    let began_ms = driver.now_ms;
    // By the window's start, as the notifier has stored it.
    let mut windows: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
    let mut before = (0, 0);
    while has_pending(&driver) {
        let after = kinds(&driver);
        let notifier = &driver.aws.projections.items()[&ProjectionKey::notifier()];
        let window = windows.entry(whole_number_of(notifier, "started_at").unwrap()).or_default();
        *window = (window.0 + after.0 - before.0, window.1 + after.1 - before.1);
        before = after;
        tick_for(&mut driver, 1);
        assert!(windows.len() < 5, "{windows:?}");
    }
    assert!(
        windows.values().all(|&(alerts, digests)| alerts <= ALERTS_PER_WINDOW_MAX && digests <= DIGESTS_PER_WINDOW_MAX),
        "{windows:?}"
    );
    let names = names(&driver);
    assert_eq!(names.len(), 5_001);
    assert_eq!(names["hostile"], (1, 1_000));
    assert!(names.iter().all(|(tenant, named)| tenant == "hostile" || *named == (1, 1)));
    // 3,020 a window: the rest has the next one.
    let first: usize = driver
        .aws
        .alerts
        .iter()
        .filter(|(at_ms, _)| *at_ms <= began_ms + 2 * MINUTE_MS)
        .map(|(_, message)| announced(message).len())
        .sum();
    assert!(first >= 3_000, "{first}");
    let last_of_first = driver.aws.alerts.iter().filter(|(_, message)| is_digest(message)).nth(9).unwrap();
    let body: Value = serde_json::from_str(&last_of_first.1.body).unwrap();
    assert_eq!(body["beyond"].as_u64(), Some(5_001 - first as u64));
    assert!(body["text"].as_str().unwrap().ends_with("Run: ledgerctl alerts"));
    assert!(ledger::item::item_bytes(&driver.aws.projections.items()[&ProjectionKey::notifier()]) < 16 * 1024);
    assert!(driver.aws.projections.item_bytes_max < 16 * 1024);
}

#[test]
fn a_message_keeps_the_limits_of_sns_whatever_its_tenants_are_called() {
    let mut driver = new_driver();
    // Each character of the ids is two in JSON, and again in the attribute.
    let tenant = |number: u64| format!("{}{number:03}", "\"".repeat(125));
    let records: Vec<Record> = (0..500)
        .map(|number| {
            let mut entry = summary(&tenant(number), number, Verdict::Invalid, NOW_MS);
            entry.key.sk = format!("2026-01-15T09:29:59.900000000Z#{}", "\u{fffe}é\u{1f600} '".repeat(20));
            record(number + 1, Change::Appended(entry))
        })
        .collect();
    driver.project(&settings(), batch(&records), TIMEOUT_MS);
    tick_for(&mut driver, 1);
    assert_eq!(kinds(&driver), (ALERTS_PER_WINDOW_MAX, 2));
    let mut largest = 0;
    for (_, message) in &driver.aws.alerts {
        assert!(message.subject.len() <= 100 && message.subject.starts_with('I'));
        assert!(message.subject.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
        assert!(message.body.is_ascii());
        let attribute = |value: &AttributeValue| match value {
            AttributeValue::String(text) => text.len(),
            AttributeValue::StringArray(texts) => Value::from(texts.clone()).to_string().len(),
        };
        let type_bytes = "String.Array".len();
        let attributes = message.attributes.iter().map(|(name, value)| name.len() + attribute(value) + type_bytes);
        let attributes: usize = attributes.sum();
        largest = largest.max(message.body.len() + attributes);
    }
    println!("largest message: {largest} bytes");
    assert!(largest <= MESSAGE_BYTES_MAX, "{largest} bytes");
}

#[test]
fn sns_refuses_for_a_day_the_counts_go_on_and_then_each_tenant_is_named_once() {
    let mut driver = new_driver();
    driver.plan(Kind::Publish, .., Fault::Refused);
    let mut all = Vec::new();
    for hour in 0..24 {
        let records: Vec<Record> = (0..40)
            .map(|number| appended(hour * 40 + number + 1, &format!("tenant-{:02}", number), Verdict::Invalid))
            .collect();
        assert_eq!(driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
        all.extend(records);
        assert_eq!(driver.sums(), expected(&all), "hour {hour}");
        tick_for(&mut driver, 60);
    }
    assert_eq!(driver.aws.alerts.len(), 0);
    driver.heal();
    tick_for(&mut driver, 7);
    let names = names(&driver);
    assert_eq!(names.len(), 40);
    assert!(names.values().all(|named| *named == (1, 24)), "{names:?}");
    tick_for(&mut driver, 10);
    assert_eq!(driver.aws.alerts.iter().flat_map(|(_, message)| announced(message)).count(), 40);
}

#[test]
fn one_message_that_sns_always_refuses_holds_no_other_back() {
    let mut driver = new_driver();
    driver.plan(Kind::Publish, .., Fault::Refused);
    driver.project(&settings(), batch(&[appended(1, "first", Verdict::Invalid)]), TIMEOUT_MS);
    driver.heal();
    driver.now_ms += WINDOW_MS;
    driver.project(&settings(), batch_of("other", &invalid_of_tenants(0..5)), TIMEOUT_MS);
    // The oldest is tried first, and refused.
    for _ in 0..20 {
        driver.plan(Kind::Publish, 1..=1, Fault::Refused);
        tick_for(&mut driver, 1);
    }
    assert_eq!(names(&driver).len(), 5);
    driver.heal();
    tick_for(&mut driver, 6);
    assert_eq!(names(&driver).len(), 6);
}

#[test]
fn two_notifiers_at_the_same_time_announce_once() {
    for first in 0..12 {
        let mut driver = new_driver();
        driver.plan(Kind::Publish, .., Fault::Refused);
        driver.project(&settings(), batch(&invalid_of_tenants(0..25)), TIMEOUT_MS);
        driver.heal();
        driver.now_ms += WINDOW_MS;
        let mut turns = vec![0; first * 6];
        turns.extend([1, 0, 1, 0, 0, 1, 1, 1, 0]);
        driver.invoke_all(&settings(), vec![Input::Tick, Input::Tick], TIMEOUT_MS, &turns, |_, _| {});
        tick_for(&mut driver, 6);
        let names = names(&driver);
        assert_eq!(names.len(), 25);
        assert!(names.values().all(|named| *named == (1, 1)), "{names:?}");
    }
}

/// Entries of a tenant are noted between the reading of what is pending and the message's settling.
#[test]
fn what_is_noted_while_a_message_leaves_is_announced_by_the_next() {
    let mut driver = new_driver();
    driver.plan(Kind::Publish, .., Fault::Refused);
    driver.project(&settings(), batch(&[appended(1, "t", Verdict::Invalid)]), TIMEOUT_MS);
    driver.heal();
    driver.now_ms += WINDOW_MS;
    let later: Vec<Record> = (2..5).map(|number| appended(number, "t", Verdict::Invalid)).collect();
    // The tick reads all partitions, takes the lease, and its message leaves; then the batch commits, and the tick goes on.
    for ticks_first in 60..70 {
        let mut driver = Driver::new(
            ProjectorAws {
                projections: driver.aws.projections.clone(),
                kept: Kept::default(),
                ..ProjectorAws::default()
            },
            driver.now_ms,
        );
        let mut turns = vec![0; ticks_first];
        turns.extend([1, 1, 1, 1]);
        let inputs = vec![Input::Tick, Input::Batch(batch(&later))];
        driver.invoke_all(&settings(), inputs, TIMEOUT_MS, &turns, |_, _| {});
        tick_for(&mut driver, 7);
        let (messages, entries) = names(&driver)["t"];
        assert_eq!(entries, 4, "after {ticks_first} calls of the tick");
        assert!((1..=2).contains(&messages));
        assert!(!has_pending(&driver));
    }
}
