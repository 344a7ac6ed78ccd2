//! What projecting needs of an entry, and which items of the ledger are entries that count.

use std::sync::Arc;

use strum::{EnumString, IntoStaticStr};
use thiserror::Error;

use crate::{
    entry::{EntryKey, attribute},
    event::{envelope, failure::FailureClass, ids::TenantId, schema::ERRORS_MAX, timestamp::Timestamp},
    projection::payload::Payload,
    storage::item::{self, Attribute, Item, text_of},
};

/// The event type of what has none, or none with a schema, so that no producer can make an item grow.
pub const UNKNOWN_EVENT_TYPE: &str = "_unknown";

/// The verdict on an entry, without its reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EnumString, IntoStaticStr)]
#[strum(serialize_all = "UPPERCASE")]
pub enum Verdict {
    Ready,
    Invalid,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// One place that breaks a rule, as the entry says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredViolation {
    pub pointer: String,
    pub keyword: String,
}

/// What an entry says of why it is, or was, INVALID.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailureSummary {
    pub class: Option<FailureClass>,
    /// What may be told of the first place (G11), masked when the entry was judged.
    pub cause: Option<StoredViolation>,
    /// At most `ERRORS_MAX`.
    pub places: Vec<StoredViolation>,
}

impl FailureSummary {
    /// Whether the entry says that its type had no schema when it was judged.
    fn had_no_schema(&self) -> bool {
        let says_so = |place: &StoredViolation| (place.pointer.as_str(), place.keyword.as_str()) == envelope::NO_SCHEMA;
        self.class == Some(FailureClass::UnknownEventType) || self.places.iter().any(says_so)
    }
}

/// What projecting needs of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntrySummary {
    pub key: EntryKey,
    pub event_type: Option<String>,
    pub verdict: Verdict,
    /// Kept by a revalidation.
    pub failure: Option<FailureSummary>,
    /// Whether its type had a schema when it was judged.
    pub has_schema: bool,
    /// Year 9999 at most.
    pub ingested_at_ms: u64,
    /// Size of the payload or the raw body, as DynamoDB counts it.
    pub payload_bytes: u64,
    pub payload: Payload,
    pub is_revalidated: bool,
}

/// The attributes an `EntrySummary` is made of, as they were found.
#[derive(Clone, Debug, Default)]
pub struct EntryFields {
    pub tenant_id: Option<String>,
    pub sk: Option<String>,
    pub event_type: Option<String>,
    pub status: Option<String>,
    /// The digits of a number; empty where the attribute is something else.
    pub ingested_at: Option<String>,
    pub has_sequence_number: bool,
    pub failure: Option<FailureSummary>,
    pub has_schema: bool,
    pub payload_bytes: u64,
    pub payload: Payload,
    pub is_revalidated: bool,
}

/// Why no read model counts an item of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LeftOut {
    /// An entry of the Go system. It bears neither a time of ingestion nor a sequence number, so it belongs to no day.
    #[error("the entry is older than the read models")]
    Older,
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// Why an item is no entry that can be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unreadable {
    #[error("tenant_id is missing or invalid")]
    TenantId,
    #[error("sk is missing or invalid")]
    SortKey,
    #[error("status is neither READY nor INVALID")]
    Status,
    #[error("ingested_at is missing or out of range")]
    IngestedAt,
}

impl EntrySummary {
    /// Decides alone whether a read model counts an item: for the projector, and for whatever folds the ledger itself.
    pub fn new(fields: EntryFields) -> Result<Self, LeftOut> {
        let verdict = fields.status.as_deref().and_then(Verdict::parse);
        // The Go system took any text for a tenant, and always wrote a verdict.
        if verdict.is_some() && fields.ingested_at.is_none() && !fields.has_sequence_number {
            return Err(LeftOut::Older);
        }
        let tenant_id = fields.tenant_id.as_deref().and_then(TenantId::from_stored).ok_or(Unreadable::TenantId)?;
        let key = fields.sk.and_then(|sk| EntryKey::stored(tenant_id, sk)).ok_or(Unreadable::SortKey)?;
        let verdict = verdict.ok_or(Unreadable::Status)?;
        let ingested_at_ms = fields.ingested_at.and_then(|digits| digits.parse().ok()).ok_or(Unreadable::IngestedAt)?;
        if Timestamp::from_epoch_ms(ingested_at_ms).is_none() {
            return Err(Unreadable::IngestedAt.into());
        }
        Ok(Self {
            key,
            event_type: fields.event_type,
            verdict,
            failure: fields.failure,
            has_schema: fields.has_schema,
            ingested_at_ms,
            payload_bytes: fields.payload_bytes,
            payload: fields.payload,
            is_revalidated: fields.is_revalidated,
        })
    }

    /// Reads a row of the ledger.
    pub fn from_item(item: &Item) -> Result<Self, LeftOut> {
        let text = |name: &str| text_of(item, name).map(str::to_owned);
        let (payload, payload_bytes) = match (item.get(attribute::PAYLOAD), item.get(attribute::RAW)) {
            (Some(Attribute::M(payload)), _) => {
                (Payload::Typed(Arc::new(payload.clone())), item::object_bytes(payload))
            }
            (_, Some(Attribute::B(raw))) => (Payload::Absent, raw.len()),
            _ => (Payload::Absent, 0),
        };
        let failure = match item.get(attribute::FAILURE) {
            Some(Attribute::M(failure)) => Some(failure_of(failure)),
            _ => None,
        };
        Self::new(EntryFields {
            tenant_id: text(attribute::TENANT_ID),
            sk: text(attribute::SK),
            event_type: text(attribute::EVENT_TYPE),
            status: text(attribute::STATUS),
            ingested_at: item.get(attribute::INGESTED_AT).map(|number| match number {
                Attribute::N(digits) => digits.clone(),
                _ => String::new(),
            }),
            has_sequence_number: item.contains_key(attribute::SEQUENCE_NUMBER),
            failure,
            has_schema: item.contains_key(attribute::SCHEMA),
            payload_bytes: payload_bytes as u64,
            payload,
            is_revalidated: item.contains_key(attribute::REVALIDATED_AT),
        })
    }

    /// The UTC day it counts in: `2026-01-15`.
    pub fn day(&self) -> String {
        let moment = Timestamp::from_epoch_ms(self.ingested_at_ms).expect("the range was checked when it was read");
        moment.day().to_owned()
    }

    /// The event type it counts under.
    pub fn counted_type(&self) -> &str {
        self.counted_type_as(self.verdict)
    }

    /// The type under which it counts, or counted, with this verdict.
    ///
    /// The entry alone decides, whatever schemas this build has: an entry must leave the count it once entered, and a
    /// fold of the ledger must agree. The type of an entry without a schema is the producer's own word: taken for a name
    /// of a count, it would let a producer make an item grow until DynamoDB refuses it. A revalidation gives an entry a
    /// schema, but leaves its failure, which remembers that there was none.
    pub(super) fn counted_type_as(&self, verdict: Verdict) -> &str {
        // A longer type is no entry's of ours, and a name that long is none that DynamoDB takes.
        let event_type = self.event_type.as_deref().filter(|name| name.len() <= envelope::EVENT_TYPE_BYTES_MAX);
        let Some(event_type) = event_type else { return UNKNOWN_EVENT_TYPE };
        let failure = self.failure.as_ref().filter(|_| verdict == Verdict::Invalid);
        let had_schema = match failure {
            None if verdict == Verdict::Ready => true,
            Some(failure) if failure.had_no_schema() => false,
            _ => self.has_schema,
        };
        if had_schema { event_type } else { UNKNOWN_EVENT_TYPE }
    }
}

fn failure_of(failure: &serde_json::Map<String, serde_json::Value>) -> FailureSummary {
    let text =
        |value: Option<&serde_json::Value>| value.and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    let errors = failure.get("errors").and_then(|errors| errors.as_array()).map_or(&[][..], Vec::as_slice);
    let place = |error: &serde_json::Value| StoredViolation {
        pointer: text(error.get("pointer")),
        keyword: text(error.get("keyword")),
    };
    FailureSummary {
        cause: failure.get("cause").filter(|cause| cause.is_object()).map(place),
        class: failure.get("class").and_then(|class| class.as_str()).and_then(FailureClass::parse),
        places: errors.iter().take(ERRORS_MAX).map(place).collect(),
    }
}
