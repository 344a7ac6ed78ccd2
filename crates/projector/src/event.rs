//! The stream event as Lambda sends it, and the answer. `aws_lambda_events` misreads both the time of a record and an
//! event without a window. Of a record's image only the attributes that a read model needs are kept, the payload as its
//! text. A record that cannot be read does not spoil its neighbours.

mod measure;

use ledger::{
    failure::FailureClass,
    projection::{EntryFields, EntrySummary, FailureSummary, Payload, SequenceNumber, StoredViolation},
    schema::ERRORS_MAX,
};
use measure::AttributeBytes;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, IgnoredAny},
};
use serde_json::{Map, Number, Value, value::RawValue};

use crate::{
    project::Batch,
    record::{Change, Record, UnreadableRecord},
};

/// The event name of a row that expired or was deleted.
const REMOVE: &str = "REMOVE";
/// Who deletes a row that has expired ("DynamoDB Streams and Time to Live").
const TIME_TO_LIVE: &str = "dynamodb.amazonaws.com";

/// Bytes of a text that is told of a record that cannot be read.
const TEXT_BYTES_MAX: usize = 512;

/// What the projector is invoked with.
#[derive(Debug, PartialEq, Eq)]
pub enum Input {
    Batch(Batch),
    /// Records without the shard they are of: nothing tells which of them were projected before.
    WithoutShard,
    Tick,
}

/// An event of the stream's mapping, or of the schedule. The last invocation of a tumbling window has no records.
#[derive(Debug, Deserialize)]
pub struct StreamEvent {
    /// The schedule's, constant.
    #[serde(default)]
    tick: bool,
    #[serde(rename = "Records", default)]
    records: Option<Vec<Box<RawValue>>>,
    /// Only mappings with a tumbling window send it.
    #[serde(rename = "shardId", default)]
    shard_id: Option<String>,
}

impl StreamEvent {
    pub fn into_input(self) -> Input {
        let records: Vec<Record> = self.records.unwrap_or_default().iter().map(|record| read(record.get())).collect();
        match self.shard_id {
            _ if self.tick => Input::Tick,
            None if !records.is_empty() => Input::WithoutShard,
            shard_id => Input::Batch(Batch { shard_id: shard_id.unwrap_or_default(), records }),
        }
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
struct WireRecord<'r> {
    #[serde(rename = "eventID", default)]
    event_id: Option<String>,
    #[serde(rename = "eventName")]
    event_name: String,
    #[serde(rename = "userIdentity", default)]
    user_identity: Option<WireUser>,
    #[serde(borrow)]
    dynamodb: WireChange<'r>,
}

/// Who made a change, where it was not a client.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireUser {
    #[serde(default)]
    principal_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireChange<'r> {
    /// Seconds, with or without a fraction.
    #[serde(default)]
    approximate_creation_date_time: Option<Number>,
    #[serde(default)]
    keys: WireKeys,
    #[serde(borrow, default)]
    new_image: Option<WireImage<'r>>,
    sequence_number: String,
}

/// What a record that cannot be read is known by, as far as it is.
#[derive(Default, Deserialize)]
struct WireIdentity {
    #[serde(rename = "eventID", default)]
    event_id: Option<String>,
    #[serde(rename = "eventName", default)]
    event_name: Option<String>,
    #[serde(rename = "userIdentity", default)]
    user_identity: Option<WireUser>,
    #[serde(default)]
    dynamodb: WireIdentityChange,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireIdentityChange {
    /// Seconds, with or without a fraction.
    #[serde(default)]
    approximate_creation_date_time: Option<Number>,
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
struct WireImage<'r> {
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
    #[serde(borrow, default)]
    payload: Option<PayloadImage<'r>>,
    #[serde(default)]
    raw: AttributeBytes,
}

/// A payload's attribute: its text, which a fold may ask for, and its size.
struct PayloadImage<'r> {
    json: &'r str,
    bytes: AttributeBytes,
}

impl<'de: 'r, 'r> Deserialize<'de> for PayloadImage<'r> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&RawValue>::deserialize(deserializer)?.get();
        Ok(Self { json, bytes: serde_json::from_str(json).map_err(D::Error::custom)? })
    }
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

impl WireRecord<'_> {
    fn into_record(self) -> Record {
        let Self { event_id, event_name, user_identity, dynamodb } = self;
        let identity = WireIdentity {
            event_id,
            event_name: Some(event_name),
            user_identity,
            dynamodb: WireIdentityChange {
                approximate_creation_date_time: dynamodb.approximate_creation_date_time,
                keys: dynamodb.keys,
                sequence_number: Some(dynamodb.sequence_number),
            },
        };
        let image = || EntrySummary::new(dynamodb.new_image.unwrap_or_default().into_fields());
        let change = match identity.event_name.as_deref() {
            Some("INSERT") => Change::of_insert(image()),
            Some("MODIFY") => Change::of_modify(image()),
            Some(REMOVE) => return identity.into_removed(),
            _ => return identity.into_unreadable("its event name is unknown"),
        };
        match (change, identity.sequence()) {
            (Ok(change), Some(sequence)) => {
                Record { sequence: Some(sequence), written_at_ms: identity.written_at_ms(), change }
            }
            (Ok(_), None) => identity.into_unreadable("its sequence number is not one"),
            (Err(unreadable), _) => identity.into_unreadable(&unreadable.to_string()),
        }
    }
}

impl WireIdentity {
    fn sequence(&self) -> Option<SequenceNumber> {
        self.dynamodb.sequence_number.as_deref().and_then(SequenceNumber::parse)
    }

    fn written_at_ms(&self) -> Option<u64> {
        self.dynamodb.approximate_creation_date_time.as_ref().and_then(epoch_ms)
    }

    /// Nothing is asked of its image, so nothing can be wrong with it.
    fn into_removed(self) -> Record {
        let by = self.user_identity.as_ref().and_then(|user| user.principal_id.as_deref());
        let change = if by == Some(TIME_TO_LIVE) { Change::Expired } else { Change::UnexpectedRemove };
        Record { sequence: self.sequence(), written_at_ms: self.written_at_ms(), change }
    }

    fn into_unreadable(self, reason: &str) -> Record {
        let (sequence, written_at_ms) = (self.sequence(), self.written_at_ms());
        let WireIdentityChange { keys, sequence_number, .. } = self.dynamodb;
        let unreadable = UnreadableRecord {
            event_id: self.event_id.map(cut),
            sequence_number: sequence_number.map(cut),
            tenant_id: keys.tenant_id.text.map(cut),
            sk: keys.sk.text.map(cut),
            reason: reason.to_owned(),
        };
        Record { sequence, written_at_ms, change: Change::Unreadable(unreadable) }
    }
}

impl WireImage<'_> {
    fn into_fields(self) -> EntryFields {
        let typed = self.payload.filter(|payload| payload.bytes.0 > 0);
        let AttributeBytes(payload_bytes) = typed.as_ref().map_or(self.raw, |payload| payload.bytes);
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
            payload: typed.map_or(Payload::Absent, |payload| Payload::Image(payload.json.into())),
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
