use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{
    alert::{Note, Pending},
    causes::{CAUSES, Cause},
    counts::{BYTES, COUNTS, cell},
    keys::{ModelKey, UPDATED_AT, VERSION},
    update::{Action, Expressions, Update, Write},
    *,
};
use crate::{
    entry::{Entry, RawBody, attribute, judge},
    event::{envelope::Message, failure::FailureClass, ids::TenantId, pointer::POINTER_BYTES_MAX, schema},
    storage::item::{Attribute, Item, item_bytes, whole_number, whole_number_of},
};

const NOW_MS: u64 = 1_768_469_400_000;
const DAY_MS: u64 = 86_400_000;
/// 7 bits a byte of digits, so that a number is at its longest.
const LARGEST: i64 = i64::MIN;

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

/// Any entry the table can hold, of ours or written by hand: every class of failure and none, causes that no schema
/// gives, types of any length, payloads of any shape.
fn entries() -> impl Strategy<Value = Vec<EntrySummary>> {
    let texts = || {
        prop_oneof![
            Just(String::new()),
            "[a-z/*#~ ]{0,12}",
            "\\PC{0,6}",
            Just("x".repeat(2_000)),
            Just(VERSION.to_owned()),
            Just("/payload/labels/*/*/…".to_owned()),
        ]
    };
    let classes = prop::option::of(prop::sample::select(FailureClass::all().collect::<Vec<_>>()));
    let cause =
        prop::option::of((texts(), texts()).prop_map(|(pointer, keyword)| StoredViolation { pointer, keyword }));
    let failure =
        prop::option::of((classes, cause).prop_map(|(class, cause)| FailureSummary { class, cause, places: vec![] }));
    let event_type = prop_oneof![
        Just(None),
        Just(Some("monitoring".to_owned())),
        Just(Some("integrations".to_owned())),
        texts().prop_map(Some),
    ];
    let payload = prop_oneof![
        Just(Payload::Absent),
        Just(Payload::Image("{\"M\":{\"a\":{\"N\":\"1e100\"}}}".into())),
        Just(Payload::Image("nothing".into())),
        texts().prop_map(|text| {
            let members: Map<String, Value> = [("amount", json!(text)), ("n", json!(1))]
                .map(|(name, value)| (name.to_owned(), value))
                .into_iter()
                .collect();
            Payload::Typed(std::sync::Arc::new(members))
        }),
    ];
    let bytes = prop_oneof![0..10_u64, Just(400 * 1024_u64), Just(u64::MAX)];
    let one = (0..3u8, event_type, any::<bool>(), failure, any::<bool>(), (0..3 * DAY_MS, bytes), payload);
    prop::collection::vec(one, 0..24).prop_map(|drawn| {
        let of = |(number, (tenant, event_type, is_ready, failure, has_schema, (offset, payload_bytes), payload))| {
            EntrySummary::new(EntryFields {
                tenant_id: Some(format!("tenant-{tenant}")),
                sk: Some(format!("2026-01-15T09:29:59.000000000Z#e{number}")),
                event_type,
                status: Some(if is_ready { "READY" } else { "INVALID" }.to_owned()),
                ingested_at: Some(u64::to_string(&(NOW_MS + offset))),
                has_sequence_number: true,
                failure,
                has_schema,
                payload_bytes,
                payload,
                is_revalidated: false,
            })
            .unwrap()
        };
        drawn.into_iter().enumerate().map(of).collect()
    })
}

fn fold<'e>(model: &Projection, facts: impl IntoIterator<Item = Fact<'e>>) -> Sums {
    let mut sums = Sums::default();
    facts.into_iter().for_each(|fact| model.add(&fact, &mut sums));
    sums
}

/// The item that updates leave, as DynamoDB makes them.
fn item_of(updates: &[Update]) -> Item {
    let mut item = updates[0].key.to_item();
    for action in updates.iter().flat_map(|update| &update.actions) {
        match action {
            Action::Set(name, value) => drop(item.insert(name.clone(), value.clone())),
            Action::SetIfAbsent(name, value) => drop(item.entry(name.clone()).or_insert(value.clone())),
            Action::Remove(name) => drop(item.remove(name)),
            Action::Add(name, number) => {
                let before = match item.get(name) {
                    Some(Attribute::N(digits)) => digits.parse().unwrap(),
                    _ => 0,
                };
                item.insert(name.clone(), Attribute::N((before + number).to_string()));
            }
        }
    }
    item
}

proptest! {
    /// The laws of `Projection`, for every model of this build.
    #[test]
    fn every_model_keeps_the_laws_of_a_fold(entries in entries(), cut in 0..24usize) {
        for model in ALL {
            let appended = || entries.iter().map(Fact::Appended);
            let whole = fold(model, appended());
            prop_assert_eq!(&fold(model, appended().rev()), &whole, "order does not matter");
            let mut parts = fold(model, appended().skip(cut));
            parts.merge(fold(model, appended().take(cut)));
            prop_assert_eq!(&parts, &whole, "grouping does not matter");

            let invalid = entries.iter().filter(|entry| entry.verdict == Verdict::Invalid);
            let ready: Vec<EntrySummary> =
                invalid.map(|entry| EntrySummary { verdict: Verdict::Ready, is_revalidated: true, ..entry.clone() }).collect();
            let mut stream = whole.clone();
            stream.merge(fold(model, ready.iter().map(Fact::Revalidated)));
            let as_they_stand = entries.iter().filter(|entry| entry.verdict == Verdict::Ready).chain(&ready);
            // Saturated sums are no sums any more.
            if entries.iter().all(|entry| entry.payload_bytes < u64::MAX) {
                prop_assert_eq!(&stream, &fold(model, as_they_stand.map(Fact::Appended)), "revalidated is as if appended so");
            }

            for fact in appended().chain(ready.iter().map(Fact::Revalidated)) {
                let sums = fold(model, [fact]);
                let attributes: usize = sums.items.values().map(BTreeMap::len).sum();
                prop_assert!(sums.items.len() <= ITEMS_PER_FACT_MAX && attributes <= ATTRIBUTES_PER_FACT_MAX);
                for (key, attributes) in &sums.items {
                    prop_assert!(key.suffix.len() <= SUFFIX_BYTES_MAX, "{}", key.suffix);
                    let is_reserved = |name: &str| name.is_empty() || [VERSION, UPDATED_AT, attribute::PK, attribute::SK].contains(&name);
                    prop_assert!(attributes.iter().all(|(name, number)| !is_reserved(name) && *number != 0));
                }
            }
        }
    }

    #[test]
    fn sums_are_read_back_from_the_items_that_updates_of_them_leave(entries in entries(), cut in 0..24usize) {
        let facts = || entries.iter().filter(|entry| entry.payload_bytes < u64::MAX).map(Fact::Appended);
        let mut updates: BTreeMap<ModelKey, Vec<Update>> = BTreeMap::new();
        let mut whole = Sums::default();
        for model in ALL {
            for part in [fold(model, facts().take(cut)), fold(model, facts().skip(cut))] {
                for (key, sums) in &part.items {
                    updates.entry(key.clone()).or_default().push(to_update(key, sums, NOW_MS));
                }
                whole.merge(part);
            }
        }
        let items: Vec<Item> = updates.values().map(|updates| item_of(updates)).collect();
        prop_assert_eq!(Sums::of_items(&items), whole);
        for (item, updates) in items.iter().zip(updates.values()) {
            prop_assert_eq!(whole_number_of(item, VERSION), Some(updates.len() as u64));
            prop_assert_eq!(whole_number_of(item, UPDATED_AT), Some(NOW_MS));
        }
    }
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
        let ready = EntrySummary { verdict: Verdict::Ready, ..later.clone() };
        let counts =
            fold(&COUNTS, [Fact::Appended(&later), Fact::Revalidated(&ready)]).items.into_values().next().unwrap();
        let mut counted = BTreeMap::from([(cell(Verdict::Ready, "monitoring"), 1)]);
        counted.extend((later.payload_bytes > 0).then(|| (BYTES.to_owned(), later.payload_bytes as i64)));
        assert_eq!(counts, counted);
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
            let entry = judged(r#"{"tenant_id":"t","event_id":"e","event_type":"monitoring","payload":{}}"#);
            let event_type = Some(event_type.to_owned());
            let entry =
                EntrySummary { event_type: event_type.clone(), failure: Some(failure.clone()), has_schema, ..entry };
            let is_known = has_schema && class != Some(FailureClass::UnknownEventType);
            let expected = event_type.filter(|_| is_known).unwrap_or_else(|| UNKNOWN_EVENT_TYPE.to_owned());
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
fn the_cause_shows_no_name_that_the_schema_does_not_declare_and_no_depth() {
    let cause = |payload: &str| {
        let body = format!(
            r#"{{"tenant_id":"t","event_id":"e","event_type":"monitoring","payload":
               {{"timestamp":"2026-01-15T09:30:00Z","level":"INFO","message":"m",{payload}}}}}"#
        );
        Cause::of(&judged(&body)).to_string()
    };
    assert_eq!(cause(r#""labels":{"secret":1}"#), "schema_violation type /payload/labels/*");
    let digits = "1".repeat(39);
    for place in [format!(r#""x":{digits}"#), format!(r#""labels":[[{{"y":{digits}}}]]"#)] {
        assert_eq!(cause(&place), "unstorable digits");
    }
}

proptest! {
    #[test]
    fn a_cause_is_read_back_from_its_text(entries in entries()) {
        for entry in &entries {
            let cause = Cause::of(entry);
            prop_assert_eq!(&Cause::parse(&cause.to_string()).to_string(), &cause.to_string());
            prop_assert!(cause.to_string().len() <= 20 + 64 + POINTER_BYTES_MAX + 2);
        }
    }
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

/// The places of a payload that a cause can name, by what a schema's file declares, each with the keywords of its rules.
fn places_of(schema: &Value, pointer: &str, places: &mut BTreeMap<String, BTreeSet<String>>) {
    let keywords = places.entry(pointer.to_owned()).or_default();
    keywords.extend(schema.as_object().into_iter().flat_map(Map::keys).cloned());
    for (name, inside) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let place = format!("{pointer}/{name}");
        places_of(inside, &place, places);
        places.entry(place).or_default().insert("required".to_owned());
    }
    for inside in ["additionalProperties", "items"].into_iter().filter_map(|keyword| schema.get(keyword)) {
        places_of(inside, &format!("{pointer}/*"), places);
    }
}

/// Annotations of a schema, which break nothing.
const NO_RULES: [&str; 9] =
    ["$schema", "$id", "title", "description", "examples", "properties", "additionalProperties", "items", "default"];

/// Every cause that these schemas allow, and more: every keyword that stands at a place breaks there, and every member of
/// the envelope is malformed in every way.
fn causes_of(schemas: &[Value]) -> BTreeSet<String> {
    let mut places: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    schemas.iter().for_each(|schema| places_of(schema, "/payload", &mut places));
    let mut causes: BTreeSet<String> = BTreeSet::new();
    for (place, keywords) in &places {
        let rules = keywords.iter().filter(|keyword| !NO_RULES.contains(&keyword.as_str()));
        causes.extend(rules.map(|keyword| format!("schema_violation {keyword} {place}")));
    }
    let unstorable = ["depth", "digits", "range", "duplicateName", "emptyName", "loneSurrogate"];
    causes.extend(unstorable.map(|keyword| format!("unstorable {keyword}")));
    for member in schema::MEMBERS.iter().copied().chain(["*"]) {
        for keyword in ["required", "type", "maxLength", "pattern", "format", "duplicateName"] {
            causes.insert(format!("malformed_envelope {keyword} /{member}"));
        }
    }
    causes.extend(FailureClass::all().map(|class| class.as_str().to_owned()));
    causes.insert("unknown_event_type enum /event_type".to_owned());
    causes.insert("too_large itemSize /payload".to_owned());
    causes
}

/// Schemas as this build's, in which no member has a name that another's has.
fn many_schemas(count: usize) -> Vec<Value> {
    fn renamed(schema: &Value, number: usize) -> Value {
        let Value::Object(members) = schema else { return schema.clone() };
        let inside = |(name, value): (&String, &Value)| match (name.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                let property = |(name, value): (&String, &Value)| (format!("{name}{number}"), renamed(value, number));
                (name.clone(), Value::Object(properties.iter().map(property).collect()))
            }
            _ => (name.clone(), renamed(value, number)),
        };
        Value::Object(members.iter().map(inside).collect())
    }
    let all = schema::all();
    (0..count).map(|number| renamed(schema::document(all[number % all.len()].event_type).unwrap(), number)).collect()
}

fn longest_key(model: &Projection) -> ModelKey {
    let tenant_id = TenantId::parse(&"t".repeat(128)).unwrap();
    ModelKey { tenant_id, model: model.id(), day: "2026-01-15".to_owned(), suffix: String::new() }
}

fn largest_item(model: &Projection, attributes: impl IntoIterator<Item = String>) -> usize {
    let sums = attributes.into_iter().map(|attribute| (attribute, LARGEST)).collect();
    item_bytes(&item_of(&[to_update(&longest_key(model), &sums, NOW_MS)]))
}

#[test]
fn the_largest_item_of_each_model_is_bounded_by_the_schemas_alone() {
    let of_counts = |types: Vec<String>| {
        let cells = types.into_iter().chain([UNKNOWN_EVENT_TYPE.to_owned()]);
        let cells = cells.flat_map(|name| [Verdict::Ready, Verdict::Invalid].map(|verdict| cell(verdict, &name)));
        largest_item(&COUNTS, cells.chain([BYTES.to_owned()]))
    };
    let this_build: Vec<Value> =
        schema::all().iter().map(|schema| schema::document(schema.event_type).unwrap().clone()).collect();
    let types = schema::all().iter().map(|schema| schema.event_type.to_owned()).collect();
    for (of, bytes, of_180, bytes_of_180) in [
        (of_counts(types), 2 * 1024, of_counts((0..180).map(|number| format!("{number:x>128}")).collect()), 64 * 1024),
        (
            largest_item(&CAUSES, causes_of(&this_build)),
            16 * 1024,
            largest_item(&CAUSES, causes_of(&many_schemas(180))),
            300 * 1024,
        ),
    ] {
        println!("{of} bytes of {bytes}, with 180 schemas {of_180} of {bytes_of_180}");
        assert!(of <= bytes && of_180 <= bytes_of_180, "{of} bytes of {bytes}, {of_180} of {bytes_of_180}");
    }
}

#[test]
fn the_largest_update_that_a_chunk_makes_keeps_the_limit_of_an_expression() {
    let sums = (0..148).map(|number| (format!("type-{number}"), LARGEST)).collect();
    let update = to_update(&longest_key(&COUNTS), &sums, NOW_MS);
    assert!(!update.is_too_long(), "{} bytes", Expressions::of(&update).update.len());
}

/// One tenant breaks every rule there is, and more than there are; its keys and ids are as long as they may be.
#[test]
fn what_is_pending_stays_small_whatever_comes() {
    let mut note = Note::default();
    let schemas = many_schemas(180);
    for (number, cause) in causes_of(&schemas).iter().enumerate() {
        let mut parts = cause.splitn(3, ' ');
        let class = parts.next().and_then(FailureClass::parse);
        let keyword = parts.next().unwrap_or_default().to_owned();
        let pointer = format!("{}/{}", parts.next().unwrap_or_default(), "é".repeat(200));
        let failure = FailureSummary { class, cause: Some(StoredViolation { pointer, keyword }), places: vec![] };
        let hash = "f".repeat(64);
        let sk = format!("2026-01-15T09:29:59.000000000Z#{number:e>256}#{hash}");
        note.add(
            &EntrySummary::new(EntryFields {
                tenant_id: Some("t".repeat(128)),
                sk: Some(sk),
                status: Some("INVALID".to_owned()),
                ingested_at: Some(NOW_MS.to_string()),
                has_sequence_number: true,
                failure: Some(failure),
                ..EntryFields::default()
            })
            .unwrap(),
        );
    }
    let tenant_id = TenantId::parse(&"t".repeat(128)).unwrap();
    let update = note.to_update(&tenant_id);
    assert!(!update.is_too_long(), "{} bytes", Expressions::of(&update).update.len());
    assert!(update.actions.len() <= 150);
    let mut item = item_of(&[update]);
    let numbers = item.values_mut().filter(|value| matches!(value, Attribute::N(_)));
    numbers.for_each(|value| *value = whole_number(u64::MAX));
    let bytes = item_bytes(&item);
    assert!((8 * 1024..16 * 1024).contains(&bytes), "{bytes} bytes");
    let Write::Delete(_) = Pending::from_item(&item).unwrap().settle() else { panic!("it is deleted") };
}
