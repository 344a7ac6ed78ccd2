//! The stream event as Lambda sends it, and the answer. `aws_lambda_events` misreads both the time of a record and an
//! event without a window. Of a record's image only the attributes a projection needs are kept; payloads, which may be
//! 400 KB each, are measured while they are passed over. A record that cannot be read does not spoil its neighbours.

mod measure;

use ledger::{
    failure::FailureClass,
    projection::{EntryFields, EntrySummary, FailureSummary, SequenceNumber, StoredViolation},
    schema::ERRORS_MAX,
};
use measure::AttributeBytes;
use serde::{Deserialize, Serialize, de::IgnoredAny};
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
    schema: Option<IgnoredAny>,
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
    members: Option<WireFailureMembers>,
}

#[derive(Default, Deserialize)]
struct WireFailureMembers {
    #[serde(default)]
    class: Text,
    #[serde(default)]
    cause: Option<WireError>,
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
    members: Option<WirePlace>,
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
            failure: self.failure.and_then(|failure| failure.members).map(WireFailureMembers::into_summary),
            has_schema: self.schema.is_some(),
            payload_bytes: payload_bytes as u64,
            is_revalidated: self.revalidated_at.is_some(),
        }
    }
}

impl WireFailureMembers {
    fn into_summary(self) -> FailureSummary {
        let place = |place: WirePlace| StoredViolation {
            pointer: place.pointer.text.unwrap_or_default(),
            keyword: place.keyword.text.unwrap_or_default(),
        };
        let errors = self.errors.elements.into_iter().take(ERRORS_MAX);
        FailureSummary {
            class: self.class.text.as_deref().and_then(FailureClass::parse),
            cause: self.cause.and_then(|cause| cause.members).map(place),
            places: errors.map(|error| place(error.members.unwrap_or_default())).collect(),
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

#[cfg(test)]
mod tests;
