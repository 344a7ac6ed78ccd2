use proptest::prelude::*;

use super::*;
use crate::{
    entry::{Entry, RawBody, attribute, judge},
    event::{envelope::Message, failure::FailureClass, ids::TenantId, schema},
    projection::{
        summary::{EntryFields, FailureSummary, LeftOut, UNKNOWN_EVENT_TYPE, Unreadable},
        update::Expressions,
    },
    storage::item::item_bytes,
};

const NOW_MS: u64 = 1_768_469_400_000;
const DAY_MS: u64 = 86_400_000;

fn summary(tenant: &str, event_type: &str, verdict: Verdict, ingested_at_ms: u64) -> EntrySummary {
    let failure = FailureSummary { class: Some(FailureClass::SchemaViolation), cause: None, places: vec![] };
    EntrySummary::new(EntryFields {
        tenant_id: Some(tenant.to_owned()),
        sk: Some("2026-01-15T09:29:59.000000000Z#e".to_owned()),
        event_type: Some(event_type.to_owned()),
        status: Some(verdict.as_str().to_owned()),
        ingested_at: Some(ingested_at_ms.to_string()),
        has_sequence_number: true,
        failure: (verdict == Verdict::Invalid).then_some(failure),
        has_schema: true,
        payload_bytes: 7,
        is_revalidated: false,
    })
    .unwrap()
}

fn entry(body: &str) -> Entry {
    let message = Message {
        message_id: "m".to_owned(),
        body: body.to_owned(),
        group_id: Some("tenant-a".to_owned()),
        sequence_number: None,
        sent_at_ms: Some(NOW_MS),
        receive_count: 1,
    };
    judge(&message, NOW_MS).entry
}

fn summary_of(entry: Entry) -> EntrySummary {
    EntrySummary::from_item(&entry.into_item()).unwrap()
}

fn judged(body: &str) -> EntrySummary {
    summary_of(entry(body))
}

/// Events of a type, one for each class of failure that does not prove a schema, with the keyword of its cause.
fn failed_events(event_type: &str) -> Vec<(FailureClass, &'static str, EntrySummary)> {
    let body = |members: &str| format!(r#"{{"tenant_id":"t","event_id":"e","event_type":"{event_type}",{members}}}"#);
    let read = |members: &str| judged(&body(members));
    let plain = entry(&body(r#""payload":{}"#));
    let key = plain.key.clone();
    let raw = RawBody { bytes: Vec::new(), whole: None };
    // Five bytes of it take seven in DynamoDB.
    let large = format!(r#""payload":{{"a":[{}[1]]}}"#, "[1],".repeat(62_000));
    vec![
        (FailureClass::MalformedEnvelope, "required", read(r#""route":"r""#)),
        (FailureClass::MalformedEnvelope, "duplicateName", read(&[r#""route":"r""#; 20].join(","))),
        (FailureClass::Unstorable, "digits", read(&format!(r#""payload":{{"a":{}}}"#, "1".repeat(39)))),
        (FailureClass::TooLarge, "itemSize", read(&large)),
        (FailureClass::Unstorable, "enum", summary_of(plain.clone().into_refused(raw))),
        (FailureClass::Conflict, "enum", summary_of(plain.into_conflict(key))),
    ]
}

prop_compose! {
    fn entries()(entries in prop::collection::vec((0..3u8, 0..3u8, any::<bool>(), 0..3 * DAY_MS), 0..40))
        -> Vec<EntrySummary> {
        let entry = |(tenant, event_type, is_ready, offset): (u8, u8, bool, u64)| {
            let verdict = if is_ready { Verdict::Ready } else { Verdict::Invalid };
            let event_type = ["monitoring", "integrations", "no.schema"][usize::from(event_type)];
            summary(&format!("tenant-{tenant}"), event_type, verdict, NOW_MS + offset)
        };
        entries.into_iter().map(entry).collect()
    }
}

fn fold<'e>(entries: impl IntoIterator<Item = &'e EntrySummary>) -> Counts {
    let mut projection = Counts::default();
    entries.into_iter().for_each(|entry| projection.append(entry));
    projection
}

proptest! {
    #[test]
    fn neither_order_nor_grouping_changes_the_counts(entries in entries(), cut in 0..40usize) {
        let whole = fold(&entries);
        prop_assert_eq!(&fold(entries.iter().rev()), &whole);
        let (one, other) = entries.split_at(cut.min(entries.len()));
        let mut parts = fold(other);
        parts.merge(&fold(one));
        prop_assert_eq!(parts, whole);
    }

    #[test]
    fn a_day_is_read_back_from_its_item(entries in entries()) {
        for (day, counts) in fold(&entries).days {
            let item = counts.to_item(&day, 3);
            prop_assert_eq!(DayCounts::from_item(&item), counts);
            prop_assert_eq!(whole_number_of(&item, VERSION), Some(3));
        }
    }

    #[test]
    fn a_revalidated_entry_counts_as_if_it_had_always_been_ready(entries in entries()) {
        let mut stream = fold(&entries);
        let mut ledger = entries.clone();
        for entry in ledger.iter_mut().filter(|entry| entry.verdict == Verdict::Invalid) {
            entry.verdict = Verdict::Ready;
            stream.revalidate(entry);
        }
        prop_assert_eq!(stream, fold(&ledger));
    }
}

#[test]
fn a_type_without_a_schema_counts_as_unknown_whatever_else_is_wrong_and_even_once_it_has_one() {
    let unknown = judged(r#"{"tenant_id":"tenant-a","event_id":"e","event_type":"no.schema","payload":{}}"#);
    let mut cases = failed_events("no.schema");
    cases.push((FailureClass::UnknownEventType, "enum", unknown));
    for (class, keyword, entry) in cases {
        assert_eq!(entry.failure.as_ref().unwrap().class, Some(class));
        assert_eq!(entry.counted_type(), UNKNOWN_EVENT_TYPE, "{class:?}");
        let cause = entry.failure.as_ref().unwrap().cause.as_ref();
        assert_eq!(cause.unwrap().keyword, keyword, "the cause is what people see first");
        // Once its type has a schema, and a revalidation has written so: the failure remembers that it had none.
        let later = EntrySummary { event_type: Some("monitoring".to_owned()), has_schema: true, ..entry };
        assert_eq!(later.counted_type(), UNKNOWN_EVENT_TYPE, "{class:?}");
        let mut projection = fold([&later]);
        projection.revalidate(&EntrySummary { verdict: Verdict::Ready, ..later });
        let counts = projection.days.into_values().next().unwrap();
        assert_eq!(counts.entries, BTreeMap::from([((Verdict::Ready, "monitoring".to_owned()), 1)]));
    }
}

#[test]
fn a_type_with_a_schema_counts_under_its_name_whatever_is_wrong() {
    for (class, _, entry) in failed_events("monitoring") {
        assert_eq!(entry.failure.as_ref().unwrap().class, Some(class));
        assert_eq!(entry.counted_type(), "monitoring", "{class:?}");
    }
}

#[test]
fn only_the_entry_says_whether_its_type_had_a_schema() {
    for class in FailureClass::all().map(Some).chain([None]) {
        let failure = FailureSummary { class, ..FailureSummary::default() };
        for (event_type, has_schema) in [("no.schema", true), ("monitoring", false)] {
            let entry = summary("t", event_type, Verdict::Invalid, NOW_MS);
            let entry = EntrySummary { failure: Some(failure.clone()), has_schema, ..entry };
            let is_known = has_schema && class != Some(FailureClass::UnknownEventType);
            let expected = if is_known { event_type } else { UNKNOWN_EVENT_TYPE };
            assert_eq!(entry.counted_type(), expected, "{class:?}");
        }
    }
}

#[test]
fn every_judged_body_can_be_counted() {
    for (body, verdict, counted_type) in [
        ("no json", Verdict::Invalid, UNKNOWN_EVENT_TYPE),
        (r#"{"tenant_id":"t","event_id":"e","event_type":"monitoring"}"#, Verdict::Invalid, "monitoring"),
        (
            r#"{"tenant_id":"t","event_id":"e","event_type":"user.created","payload":{}}"#,
            Verdict::Invalid,
            "user.created",
        ),
        (
            r#"{"tenant_id":"t","event_id":"e","event_type":"user.created","payload":{"id":"1","email":"a@b.org"}}"#,
            Verdict::Ready,
            "user.created",
        ),
    ] {
        let entry = judged(body);
        assert_eq!((entry.verdict, entry.counted_type()), (verdict, counted_type), "{body}");
    }
}

#[test]
fn the_cause_shows_no_name_the_schema_does_not_declare() {
    let entry = judged(
        r#"{"tenant_id":"t","event_id":"e","event_type":"monitoring","payload":
           {"timestamp":"2026-01-15T09:30:00Z","level":"INFO","message":"m","labels":{"secret":1}}}"#,
    );
    let cause = entry.failure.unwrap().cause.unwrap();
    assert_eq!((cause.pointer.as_str(), cause.keyword.as_str()), ("/payload/labels/*", "type"));
}

#[test]
fn what_is_not_an_entry_of_ours_is_told_apart() {
    let fields = EntryFields {
        tenant_id: Some("t".to_owned()),
        sk: Some("a#b".to_owned()),
        status: Some("READY".to_owned()),
        ingested_at: Some("1".to_owned()),
        has_sequence_number: true,
        ..EntryFields::default()
    };
    let with = |change: fn(&mut EntryFields)| {
        let mut fields = fields.clone();
        change(&mut fields);
        EntrySummary::new(fields).map(|_| ())
    };
    assert_eq!(with(|_| ()), Ok(()));
    assert_eq!(with(|fields| fields.tenant_id = Some("a#b".to_owned())), Err(Unreadable::TenantId.into()));
    assert_eq!(with(|fields| fields.sk = None), Err(Unreadable::SortKey.into()));
    assert_eq!(with(|fields| fields.status = Some("ready".to_owned())), Err(Unreadable::Status.into()));
    assert_eq!(with(|fields| fields.ingested_at = None), Err(Unreadable::IngestedAt.into()));
    assert_eq!(with(|fields| fields.ingested_at = Some(String::new())), Err(Unreadable::IngestedAt.into()));
    assert_eq!(with(|fields| fields.ingested_at = Some(u64::MAX.to_string())), Err(Unreadable::IngestedAt.into()));
    assert_eq!(EntrySummary::new(EntryFields::default()), Err(Unreadable::TenantId.into()));
}

#[test]
fn an_entry_of_the_go_system_is_left_out_as_older_and_one_of_ours_without_a_sequence_number_counts() {
    let ours = entry(r#"{"tenant_id":"t","event_id":"e","event_type":"monitoring","payload":{}}"#);
    assert_eq!(ours.sequence_number, None);
    let mut item = ours.into_item();
    assert!(EntrySummary::from_item(&item).is_ok());
    for ours_alone in [attribute::INGESTED_AT, attribute::FAILURE] {
        item.remove(ours_alone);
    }
    assert_eq!(EntrySummary::from_item(&item), Err(LeftOut::Older));
    // The Go system takes ids that this one refuses.
    item.insert(attribute::TENANT_ID.to_owned(), Attribute::S("a#b".to_owned()));
    assert_eq!(EntrySummary::from_item(&item), Err(LeftOut::Older));
    // Ours, spoiled: somebody should look.
    let is_unreadable = |name: &str, value: Attribute| {
        let mut item = item.clone();
        item.insert(name.to_owned(), value);
        matches!(EntrySummary::from_item(&item), Err(LeftOut::Unreadable(_)))
    };
    assert!(is_unreadable(attribute::SEQUENCE_NUMBER, whole_number(7)));
    assert!(is_unreadable(attribute::INGESTED_AT, Attribute::S("2026".to_owned())));
    assert!(is_unreadable(attribute::STATUS, Attribute::S("ready".to_owned())));
}

/// A day with every cell that the event types and `_unknown` make, and every number at its longest.
fn largest_day(event_types: impl Iterator<Item = String>) -> DayCounts {
    let mut counts = DayCounts { bytes: i64::MIN, span_ms: Some((NOW_MS, NOW_MS)), ..DayCounts::default() };
    for event_type in event_types.chain([UNKNOWN_EVENT_TYPE.to_owned()]) {
        for verdict in [Verdict::Ready, Verdict::Invalid] {
            counts.count(verdict, &event_type, i64::MIN);
        }
    }
    counts
}

fn longest_day_key() -> DayKey {
    DayKey { tenant_id: TenantId::parse(&"t".repeat(128)).unwrap(), day: "2026-01-15".to_owned() }
}

#[test]
fn the_largest_day_is_bounded_by_the_schemas_alone() {
    let bytes = |counts: DayCounts| item_bytes(&counts.to_item(&longest_day_key(), u64::MAX));
    let of_this_build = bytes(largest_day(schema::all().iter().map(|schema| schema.event_type.to_owned())));
    assert!(of_this_build < 2 * 1024, "{of_this_build} bytes");
    let of_180_schemas = bytes(largest_day((0..180).map(|number| format!("{number:x>128}"))));
    assert!(of_180_schemas < 64 * 1024, "{of_180_schemas} bytes");
}

#[test]
fn the_largest_update_of_a_day_keeps_the_limit_of_an_expression_however_many_schemas_there_are() {
    let mut counts = largest_day((0..).map(|number| format!("type-{number}")).take(CELLS_PER_UPDATE_MAX));
    counts.entries = counts.entries.into_iter().take(CELLS_PER_UPDATE_MAX).collect();
    let narrow = Some((NOW_MS + 1, NOW_MS - 1));
    let wide = Some((NOW_MS - 1, NOW_MS + 1));
    for stored_span_ms in [None, narrow, wide] {
        let update = counts.to_update(&longest_day_key(), stored_span_ms);
        assert!(!update.is_too_long(), "{} bytes", Expressions::of(&update).update.len());
    }
}
