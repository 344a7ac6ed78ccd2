//! The stream event as Lambda sends it, and the answer. `aws_lambda_events` misreads both the time of a record and an
//! event without a window. Of a record's image only the attributes a projection needs are kept; payloads, which may be
//! 400 KB each, are measured while they are passed over. A record that cannot be read does not spoil its neighbours.

use std::fmt;

use ledger::{
    failure::{ERRORS_MAX, FailureClass},
    item::{CONTAINER_BYTES, ELEMENT_BYTES},
    number,
    projection::{EntryFields, EntrySummary, FailureSummary, Place, SequenceNumber},
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value, value::RawValue};

use crate::{
    project::Batch,
    record::{Change, Record, UnreadableRecord},
};

/// The event name of a row that expired or was deleted.
const REMOVE: &str = "REMOVE";

/// Bytes of a text that goes on to the failures queue.
const TEXT_BYTES_MAX: usize = 512;

/// An event of the stream's mapping. The last invocation of a tumbling window has no records.
#[derive(Debug, Deserialize)]
pub struct StreamEvent {
    #[serde(rename = "Records", default)]
    records: Option<Vec<Box<RawValue>>>,
    /// Only mappings with a tumbling window send it.
    #[serde(rename = "shardId", default)]
    shard_id: Option<String>,
}

impl StreamEvent {
    pub fn into_batch(self) -> Batch {
        let records = self.records.unwrap_or_default();
        Batch { shard_id: self.shard_id, records: records.iter().map(|record| read(record.get())).collect() }
    }
}

/// The answer: nothing, or the sequence number to go on from next time.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamResponse {
    /// A tumbling window's state, which must be returned and is not used.
    state: Map<String, Value>,
    batch_item_failures: Vec<BatchItemFailure>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct BatchItemFailure {
    item_identifier: String,
}

impl StreamResponse {
    pub fn done() -> Self {
        Self::default()
    }

    /// Lambda sends everything from here on again.
    pub fn failed_from(sequence: &SequenceNumber) -> Self {
        let failure = BatchItemFailure { item_identifier: sequence.as_str().to_owned() };
        Self { batch_item_failures: vec![failure], ..Self::default() }
    }
}

fn read(json: &str) -> Record {
    match serde_json::from_str::<WireRecord>(json) {
        Ok(record) => record.into_record(),
        Err(_) => {
            let identity: WireIdentity = serde_json::from_str(json).unwrap_or_default();
            match identity.event_name.as_deref() {
                Some(REMOVE) => identity.into_removed(),
                _ => identity.into_unreadable("it is not a stream record"),
            }
        }
    }
}

#[derive(Deserialize)]
struct WireRecord {
    #[serde(rename = "eventID", default)]
    event_id: Option<String>,
    #[serde(rename = "eventName")]
    event_name: String,
    dynamodb: WireChange,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireChange {
    /// Seconds, with or without a fraction.
    #[serde(default)]
    approximate_creation_date_time: Option<Number>,
    #[serde(default)]
    keys: WireKeys,
    #[serde(default)]
    new_image: Option<WireImage>,
    sequence_number: String,
}

/// What a record that cannot be read is known by, as far as it is.
#[derive(Default, Deserialize)]
struct WireIdentity {
    #[serde(rename = "eventID", default)]
    event_id: Option<String>,
    #[serde(rename = "eventName", default)]
    event_name: Option<String>,
    #[serde(default)]
    dynamodb: WireIdentityChange,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireIdentityChange {
    #[serde(default)]
    keys: WireKeys,
    #[serde(default)]
    sequence_number: Option<String>,
}

#[derive(Default, Deserialize)]
struct WireKeys {
    #[serde(default)]
    tenant_id: Text,
    #[serde(default)]
    sk: Text,
}

#[derive(Default, Deserialize)]
struct WireImage {
    #[serde(default)]
    tenant_id: Text,
    #[serde(default)]
    sk: Text,
    #[serde(default)]
    event_type: Text,
    #[serde(default)]
    status: Text,
    #[serde(default)]
    ingested_at: Option<Digits>,
    #[serde(default)]
    sequence_number: Option<IgnoredAny>,
    #[serde(default)]
    failure: Option<WireFailure>,
    #[serde(default)]
    revalidated_at: Option<IgnoredAny>,
    #[serde(default)]
    payload: AttributeBytes,
    #[serde(default)]
    raw: AttributeBytes,
}

/// An attribute of type S; empty where it has another type.
#[derive(Default, Deserialize)]
struct Text {
    #[serde(rename = "S", default)]
    text: Option<String>,
}

/// An attribute of type N.
#[derive(Default, Deserialize)]
struct Digits {
    #[serde(rename = "N", default)]
    digits: Option<String>,
}

#[derive(Default, Deserialize)]
struct WireFailure {
    #[serde(rename = "M", default)]
    members: WireFailureMembers,
}

#[derive(Default, Deserialize)]
struct WireFailureMembers {
    #[serde(default)]
    class: Text,
    #[serde(default)]
    errors: WireErrors,
}

#[derive(Default, Deserialize)]
struct WireErrors {
    #[serde(rename = "L", default)]
    elements: Vec<WireError>,
}

#[derive(Default, Deserialize)]
struct WireError {
    #[serde(rename = "M", default)]
    members: WirePlace,
}

#[derive(Default, Deserialize)]
struct WirePlace {
    #[serde(default)]
    pointer: Text,
    #[serde(default)]
    keyword: Text,
}

impl WireRecord {
    fn into_record(self) -> Record {
        let Self { event_id, event_name, dynamodb } = self;
        let identity = WireIdentity {
            event_id,
            event_name: Some(event_name),
            dynamodb: WireIdentityChange { keys: dynamodb.keys, sequence_number: Some(dynamodb.sequence_number) },
        };
        let image = || EntrySummary::new(dynamodb.new_image.unwrap_or_default().into_fields());
        let change = match identity.event_name.as_deref() {
            Some("INSERT") => Change::of_insert(image()),
            Some("MODIFY") => Change::of_modify(image()),
            Some(REMOVE) => return identity.into_removed(),
            _ => return identity.into_unreadable("its event name is unknown"),
        };
        match (change, identity.sequence()) {
            (Ok(change), Some(sequence)) => Record {
                sequence: Some(sequence),
                written_at_ms: dynamodb.approximate_creation_date_time.as_ref().and_then(epoch_ms),
                change,
            },
            (Ok(_), None) => identity.into_unreadable("its sequence number is not one"),
            (Err(unreadable), _) => identity.into_unreadable(&unreadable.to_string()),
        }
    }
}

impl WireIdentity {
    fn sequence(&self) -> Option<SequenceNumber> {
        self.dynamodb.sequence_number.as_deref().and_then(SequenceNumber::parse)
    }

    /// Nothing is asked of it, so nothing can be wrong with it.
    fn into_removed(self) -> Record {
        Record { sequence: self.sequence(), written_at_ms: None, change: Change::Removed }
    }

    fn into_unreadable(self, reason: &str) -> Record {
        let sequence = self.sequence();
        let WireIdentityChange { keys, sequence_number } = self.dynamodb;
        let unreadable = UnreadableRecord {
            event_id: self.event_id.map(cut),
            sequence_number: sequence_number.map(cut),
            tenant_id: keys.tenant_id.text.map(cut),
            sk: keys.sk.text.map(cut),
            reason: reason.to_owned(),
        };
        Record { sequence, written_at_ms: None, change: Change::Unreadable(unreadable) }
    }
}

impl WireImage {
    fn into_fields(self) -> EntryFields {
        let AttributeBytes(payload_bytes) = if self.payload.0 > 0 { self.payload } else { self.raw };
        EntryFields {
            tenant_id: self.tenant_id.text,
            sk: self.sk.text,
            event_type: self.event_type.text,
            status: self.status.text,
            ingested_at: self.ingested_at.map(|number| number.digits.unwrap_or_default()),
            has_sequence_number: self.sequence_number.is_some(),
            failure: self.failure.map(WireFailure::into_summary),
            payload_bytes: payload_bytes as u64,
            is_revalidated: self.revalidated_at.is_some(),
        }
    }
}

impl WireFailure {
    fn into_summary(self) -> FailureSummary {
        let place = |WireError { members }: WireError| Place {
            pointer: members.pointer.text.unwrap_or_default(),
            keyword: members.keyword.text.unwrap_or_default(),
        };
        FailureSummary {
            class: self.members.class.text.as_deref().and_then(FailureClass::parse),
            places: self.members.errors.elements.into_iter().take(ERRORS_MAX).map(place).collect(),
        }
    }
}

fn epoch_ms(seconds: &Number) -> Option<u64> {
    let ms = seconds.as_f64()? * 1_000.0;
    (0.0..9e15).contains(&ms).then(|| ms.round() as u64)
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
    text
}

/// Size of an attribute's value as `ledger::item` counts it, taken without keeping the value.
#[derive(Clone, Copy, Default)]
struct AttributeBytes(usize);

/// Size of a text, of the members of a map, and of the elements of a list.
struct TextBytes(usize);
struct NumberBytes(usize);
struct BinaryBytes(usize);
struct MapBytes(usize);
struct ListBytes(usize);

impl<'de> Deserialize<'de> for AttributeBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Attribute;
        impl<'de> Visitor<'de> for Attribute {
            type Value = AttributeBytes;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an attribute value")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<AttributeBytes, A::Error> {
                let mut bytes = 0;
                while let Some(kind) = members.next_key::<AttributeKind>()? {
                    bytes += match kind {
                        AttributeKind::S => members.next_value::<TextBytes>()?.0,
                        AttributeKind::N => members.next_value::<NumberBytes>()?.0,
                        AttributeKind::B => members.next_value::<BinaryBytes>()?.0,
                        AttributeKind::M => members.next_value::<MapBytes>()?.0,
                        AttributeKind::L => members.next_value::<ListBytes>()?.0,
                        AttributeKind::Flag => members.next_value::<IgnoredAny>().map(|_| 1)?,
                        AttributeKind::Other => members.next_value::<IgnoredAny>().map(|_| 0)?,
                    };
                }
                Ok(AttributeBytes(bytes))
            }
        }
        deserializer.deserialize_map(Attribute)
    }
}

#[derive(Deserialize)]
enum AttributeKind {
    S,
    N,
    B,
    M,
    L,
    #[serde(rename = "BOOL", alias = "NULL")]
    Flag,
    /// Sets, which nothing of ours writes.
    #[serde(other)]
    Other,
}

/// Implements `Deserialize` for the size of a text by a function of it.
macro_rules! bytes_of_text {
    ($size:ident, $bytes:expr) => {
        impl<'de> Deserialize<'de> for $size {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Measure;
                impl Visitor<'_> for Measure {
                    type Value = $size;

                    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                        formatter.write_str("a text")
                    }

                    fn visit_str<E>(self, text: &str) -> Result<$size, E> {
                        let bytes: fn(&str) -> usize = $bytes;
                        Ok($size(bytes(text)))
                    }
                }
                deserializer.deserialize_str(Measure)
            }
        }
    };
}

bytes_of_text!(TextBytes, str::len);
bytes_of_text!(NumberBytes, number::stored_bytes);
// Base64, with its padding: four characters for three bytes.
bytes_of_text!(BinaryBytes, |text| text.trim_end_matches('=').len() * 3 / 4);

impl<'de> Deserialize<'de> for MapBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = MapBytes;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a map of attribute values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<MapBytes, A::Error> {
                let mut bytes = CONTAINER_BYTES;
                while let Some((TextBytes(name), AttributeBytes(value))) = members.next_entry()? {
                    bytes += name + value + ELEMENT_BYTES;
                }
                Ok(MapBytes(bytes))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl<'de> Deserialize<'de> for ListBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;
        impl<'de> Visitor<'de> for Elements {
            type Value = ListBytes;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of attribute values")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<ListBytes, A::Error> {
                let mut bytes = CONTAINER_BYTES;
                while let Some(AttributeBytes(value)) = elements.next_element()? {
                    bytes += value + ELEMENT_BYTES;
                }
                Ok(ListBytes(bytes))
            }
        }
        deserializer.deserialize_seq(Elements)
    }
}

#[cfg(test)]
mod tests {
    use ledger::{Attribute, Item, Message, judge};
    use serde_json::json;
    use testkit::dynamodb_json::image;

    use super::*;

    const NOW_MS: u64 = 1_768_469_400_123;

    fn item(body: &str) -> Item {
        let message = Message {
            message_id: "m".to_owned(),
            body: body.to_owned(),
            group_id: Some("tenant-a".to_owned()),
            sequence_number: Some("18870000000000000000".to_owned()),
            sent_at_ms: Some(NOW_MS),
            receive_count: 1,
        };
        judge(&message, NOW_MS).entry.into_item()
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
        event.into_batch()
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
    fn an_event_that_was_a_value_before_reads_the_same() {
        let text = event(json!([record("INSERT", &image(&item(BODIES[2])))]));
        let value: Value = serde_json::from_str(&text).unwrap();
        let from_value: StreamEvent = serde_json::from_value(value).unwrap();
        assert_eq!(from_value.into_batch(), batch(&text));
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
    fn a_removal_changes_nothing_whatever_its_record_holds_or_lacks() {
        let image = image(&item(BODIES[1]));
        for change in [
            json!({ "SequenceNumber": "5" }),
            json!({ "SequenceNumber": "5", "OldImage": image, "Keys": { "tenant_id": { "S": "t" } } }),
            json!({ "SequenceNumber": "5", "NewImage": { "status": 7 } }),
            json!({ "SequenceNumber": "abc" }),
            json!({}),
        ] {
            let user = json!({ "type": "Service", "principalId": "dynamodb.amazonaws.com" });
            let removal = json!([{ "eventName": "REMOVE", "userIdentity": user, "dynamodb": change }]);
            assert_eq!(only(&event(removal)).change, Change::Removed, "{change}");
        }
        assert_eq!(only(&event(json!([{ "eventName": "REMOVE" }]))).change, Change::Removed);
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
}
