use ledger::{Attribute, Item, judge};
use serde_json::json;
use testkit::{bodies::message, dynamodb_json::image};

use super::*;

const NOW_MS: u64 = 1_768_469_400_123;

fn item(body: &str) -> Item {
    judge(&message(1, "tenant-a", body), NOW_MS).entry.into_item()
}

fn record(event_name: &str, image: &Value) -> Value {
    json!({
        "eventID": "id",
        "eventName": event_name,
        "eventVersion": "1.1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_768_469_401,
            "Keys": { "tenant_id": image["tenant_id"], "sk": image["sk"] },
            "NewImage": image,
            "SequenceNumber": "000100",
            "SizeBytes": 200,
            "StreamViewType": "NEW_IMAGE",
        },
        "eventSourceARN": "arn",
    })
}

fn event(records: Value) -> String {
    json!({ "Records": records, "shardId": "shardId-1", "state": {}, "isFinalInvokeForWindow": false }).to_string()
}

/// As `lambda_runtime` reads events.
fn batch(text: &str) -> Batch {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let event: StreamEvent = serde_path_to_error::deserialize(&mut deserializer).unwrap();
    let Input::Batch(batch) = event.into_input() else { panic!("{text} is a batch") };
    batch
}

fn only(text: &str) -> Record {
    let mut batch = batch(text);
    assert_eq!(batch.records.len(), 1);
    batch.records.remove(0)
}

const BODIES: [&str; 5] = [
    "not json at all",
    r#"{"tenant_id":"tenant-a","event_id":"e","event_type":"user.created","payload":{"id":"1","email":"a@b.org"}}"#,
    r#"{"tenant_id":"tenant-a","event_id":"e","event_type":"user.created","payload":{"id":1,"email":null,"x":[1.50,-1e100,true,{"é":[]}]},"more":{"payload":{"S":1}}}"#,
    r#"{"tenant_id":"tenant-a","event_id":"e","event_type":"no.schema","payload":{}}"#,
    r#"{"tenant_id":"tenant-a","event_id":"e","event_type":"monitoring","payload":{"$serde_json::private::RawValue":"[","$serde_json::private::Number":"12"}}"#,
];

#[test]
fn an_image_is_read_as_the_row_of_the_ledger_is() {
    for body in BODIES {
        let item = item(body);
        let record = only(&event(json!([record("INSERT", &image(&item))])));
        assert_eq!(record.change, Change::Appended(EntrySummary::from_item(&item).unwrap()), "{body}");
        assert_eq!(record.sequence, SequenceNumber::parse("000100"));
        assert_eq!(record.written_at_ms, Some(1_768_469_401_000));
    }
}

#[test]
fn a_failure_that_is_no_map_is_none_in_an_image_as_in_a_row() {
    let mut item = item(BODIES[3]);
    item.insert("failure".to_owned(), Attribute::S("conflict".to_owned()));
    let record = only(&event(json!([record("INSERT", &image(&item))])));
    assert_eq!(record.change, Change::Appended(EntrySummary::from_item(&item).unwrap()));
}

#[test]
fn an_event_that_was_a_value_before_reads_the_same() {
    let text = event(json!([record("INSERT", &image(&item(BODIES[2])))]));
    let value: Value = serde_json::from_str(&text).unwrap();
    let from_value: StreamEvent = serde_json::from_value(value).unwrap();
    assert_eq!(from_value.into_input(), Input::Batch(batch(&text)));
}

#[test]
fn times_are_read_with_and_without_fraction_or_exponent_and_may_be_absent() {
    let text = event(json!([record("INSERT", &image(&item(BODIES[1])))]));
    for (written, expected) in [
        ("1768469401", Some(1_768_469_401_000)),
        ("1768469401.421", Some(1_768_469_401_421)),
        ("1.768469401421E9", Some(1_768_469_401_421)),
        ("null", None),
        ("-1", None),
    ] {
        let text = text.replace(
            "\"ApproximateCreationDateTime\":1768469401",
            &format!("\"ApproximateCreationDateTime\":{written}"),
        );
        assert_eq!(only(&text).written_at_ms, expected, "{written}");
    }
}

#[test]
fn only_a_ready_entry_with_its_revalidation_time_is_a_revalidation() {
    let mut ready = item(BODIES[1]);
    let modify = |item: &Item| only(&event(json!([record("MODIFY", &image(item))]))).change;
    assert_eq!(modify(&ready), Change::UnexpectedModify);
    ready.insert("revalidated_at".to_owned(), Attribute::N("1".to_owned()));
    assert_eq!(modify(&ready), Change::Revalidated(EntrySummary::from_item(&ready).unwrap()));
    let mut invalid = item(BODIES[3]);
    invalid.insert("revalidated_at".to_owned(), Attribute::N("1".to_owned()));
    assert_eq!(modify(&invalid), Change::UnexpectedModify);
}

#[test]
fn a_record_that_cannot_be_read_spoils_no_other_and_keeps_its_keys() {
    let good = record("INSERT", &image(&item(BODIES[1])));
    let mut no_time = good.clone();
    no_time["dynamodb"]["NewImage"].as_object_mut().unwrap().remove("ingested_at");
    let mut no_image = good.clone();
    no_image["dynamodb"].as_object_mut().unwrap().remove("NewImage");
    let mut no_name = good.clone();
    no_name.as_object_mut().unwrap().remove("eventName");
    let mut no_number = good.clone();
    no_number["dynamodb"]["SequenceNumber"] = json!("abc");
    let batch = batch(&event(json!([no_time, no_image, no_name, no_number, 5, {"dynamodb": 7}, good])));
    let (last, unreadable) = batch.records.split_last().unwrap();
    assert!(matches!(last.change, Change::Appended(_)));
    assert_eq!(unreadable.len(), 6);
    for record in unreadable {
        let Change::Unreadable(_) = &record.change else { panic!("{record:?} is unreadable") };
    }
    let Change::Unreadable(first) = &unreadable[0].change else { unreachable!() };
    assert_eq!((first.tenant_id.as_deref(), first.event_id.as_deref()), (Some("tenant-a"), Some("id")));
    assert_eq!(first.sequence_number.as_deref(), Some("000100"));
    assert!(first.sk.as_deref().unwrap().ends_with("#e"));
    assert_eq!(unreadable[2].sequence, SequenceNumber::parse("000100"));
}

#[test]
fn an_entry_of_the_go_system_is_older_where_it_is_inserted_and_unexpected_where_it_is_changed() {
    let mut image = image(&item(BODIES[1]));
    for ours_alone in ["ingested_at", "sequence_number"] {
        assert!(image.as_object_mut().unwrap().remove(ours_alone).is_some());
    }
    let older = only(&event(json!([record("INSERT", &image)])));
    assert_eq!((older.change, older.sequence), (Change::Older, SequenceNumber::parse("000100")));
    assert_eq!(only(&event(json!([record("MODIFY", &image)]))).change, Change::UnexpectedModify);
    // With either of them it is ours, and spoiled: somebody should look.
    for (name, value) in [("ingested_at", json!({ "S": "2026" })), ("sequence_number", json!({ "N": "7" }))] {
        let mut ours = image.clone();
        ours[name] = value;
        let change = only(&event(json!([record("INSERT", &ours)]))).change;
        assert!(matches!(change, Change::Unreadable(_)), "{name}");
    }
}

#[test]
fn a_removal_by_time_to_live_is_told_from_every_other_whatever_its_record_holds_or_lacks() {
    let image = image(&item(BODIES[1]));
    for change in [
        json!({ "SequenceNumber": "5" }),
        json!({ "SequenceNumber": "5", "OldImage": image, "Keys": { "tenant_id": { "S": "t" } } }),
        json!({ "SequenceNumber": "5", "NewImage": { "status": 7 } }),
        json!({ "SequenceNumber": "abc" }),
        json!({}),
    ] {
        for (user, expected) in [
            (json!({ "type": "Service", "principalId": "dynamodb.amazonaws.com" }), Change::Expired),
            (json!({ "type": "Service", "principalId": "somebody.else" }), Change::UnexpectedRemove),
            (Value::Null, Change::UnexpectedRemove),
        ] {
            let removal = json!([{ "eventName": "REMOVE", "userIdentity": user, "dynamodb": change }]);
            assert_eq!(only(&event(removal)).change, expected, "{user} {change}");
        }
    }
    assert_eq!(only(&event(json!([{ "eventName": "REMOVE" }]))).change, Change::UnexpectedRemove);
}

#[test]
fn the_schedules_event_is_a_tick_and_records_without_a_shard_are_no_batch() {
    let input = |text: &str| serde_json::from_str::<StreamEvent>(text).unwrap().into_input();
    assert_eq!(input(r#"{"tick":true}"#), Input::Tick);
    assert_eq!(input(r#"{"Records":[{"eventName":"REMOVE"}]}"#), Input::WithoutShard);
    assert_eq!(input(r#"{"Records":[]}"#), Input::Batch(Batch { shard_id: String::new(), records: vec![] }));
}

#[test]
fn a_fold_may_read_the_payload_that_an_image_holds() {
    let record = only(&event(json!([record("INSERT", &image(&item(BODIES[2])))])));
    let Change::Appended(entry) = record.change else { panic!("it is an entry") };
    let payload = entry.payload.read().expect("a typed payload");
    assert_eq!(payload["x"].to_string(), r#"[1.5,-1e+100,true,{"é":[]}]"#);
}

#[test]
fn a_final_invocation_has_no_records() {
    for text in [r#"{"isFinalInvokeForWindow":true,"shardId":"s","Records":[]}"#, "{}", r#"{"Records":null}"#] {
        assert_eq!(batch(text).records, []);
    }
}

#[test]
fn an_answer_returns_the_state_and_the_number_as_it_came() {
    let text = |response: StreamResponse| serde_json::to_string(&response).unwrap();
    assert_eq!(text(StreamResponse::done()), r#"{"state":{},"batchItemFailures":[]}"#);
    let failed = StreamResponse::failed_from(&SequenceNumber::parse("007").unwrap());
    assert_eq!(text(failed), r#"{"state":{},"batchItemFailures":[{"itemIdentifier":"007"}]}"#);
}
