//! One row of the ledger: an entry with its verdict, made to fit one item.

use serde_json::{Map, Value};

use crate::{
    entry::{attribute, key::EntryKey},
    event::{
        content::ContentHash,
        envelope,
        failure::{Failure, FailureClass, Violation},
        ids::KEY_SEPARATOR,
        schema::Fingerprint,
    },
    storage::item::{self, Attribute, ITEM_BYTES_MAX, Item, text_of, whole_number},
};

/// Bytes of a body kept in one entry. The queue's `max_message_size` is the same, so only a queue whose limit was
/// raised by hand can bring a longer one.
pub const RAW_BYTES_MAX: usize = 262_144;

/// What an entry adds to its body at most; with it, any raw body fits one item.
const OVERHEAD_BYTES_MAX: usize = 16 * 1024;
const _: () = assert!(RAW_BYTES_MAX + OVERHEAD_BYTES_MAX <= ITEM_BYTES_MAX);

/// Bytes of a body whose typed form always fits one item: DynamoDB never counts a byte of JSON three times.
const BODY_BYTES_ALWAYS_FITTING: usize = 128 * 1024;
const _: () = assert!(3 * BODY_BYTES_ALWAYS_FITTING + OVERHEAD_BYTES_MAX <= ITEM_BYTES_MAX);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    Ready,
    Invalid(Failure),
}

impl Status {
    pub const READY: &str = "READY";
    pub const INVALID: &str = "INVALID";

    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ready => Self::READY,
            Self::Invalid(_) => Self::INVALID,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// The payload, every number in canonical form.
    Typed(Map<String, Value>),
    /// The body as it came, where it has no typed form.
    Raw(RawBody),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawBody {
    /// At most `RAW_BYTES_MAX`.
    pub bytes: Vec<u8>,
    /// Where `bytes` is only the beginning: the length and content of the whole.
    pub whole: Option<(usize, ContentHash)>,
}

impl RawBody {
    pub fn new(body: &str, content: ContentHash) -> Self {
        let kept = body.len().min(RAW_BYTES_MAX);
        let whole = (kept < body.len()).then_some((body.len(), content));
        Self { bytes: body.as_bytes()[..kept].to_vec(), whole }
    }
}

/// One row of the ledger.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub key: EntryKey,
    /// Absent where the envelope does not say it.
    pub event_type: Option<String>,
    pub status: Status,
    pub route: Option<String>,
    pub body: Body,
    pub extensions: Map<String, Value>,
    /// Of the schema that its type had when it was judged; absent where there was none.
    pub schema: Option<Fingerprint>,
    /// Deliveries of the message before this one.
    pub retries: u32,
    /// When DynamoDB may delete it, in seconds since the epoch.
    pub ttl: Option<u64>,
    /// When the processor judged it, in milliseconds since the epoch.
    pub ingested_at_ms: u64,
    /// SQS's arrival number, in canonical form.
    pub sequence_number: Option<String>,
    /// A conflict's own time: its key has that of the event that came first.
    pub conflict_created_at: Option<String>,
    /// The body states no tenant: the message group did.
    pub is_attributed_by_group: bool,
    /// Whether the status index lists it.
    pub is_indexed: bool,
}

impl Entry {
    /// Turns the entry into the INVALID one of content that DynamoDB refused in its typed form.
    pub fn into_refused(self, raw: RawBody) -> Self {
        // It still says so where its type had no schema: that decides how it counts.
        let says_so = |error: &Violation| (error.pointer.as_str(), error.keyword.as_str()) == envelope::NO_SCHEMA;
        let errors = match &self.status {
            Status::Ready => Vec::new(),
            Status::Invalid(failure) => failure.errors.iter().filter(|error| says_so(error)).cloned().collect(),
        };
        let failure = Failure::new(FailureClass::Unstorable, "DynamoDB refused to hold the event", errors);
        self.into_raw(failure, raw)
    }

    /// Turns the entry into the INVALID one of content that came second under its id, kept under `key`.
    pub fn into_conflict(self, key: EntryKey) -> Self {
        let errors = match self.status {
            Status::Ready => Vec::new(),
            Status::Invalid(failure) => failure.errors,
        };
        let summary = "an earlier event has the same tenant and event id and other content";
        let failure = Failure::new(FailureClass::Conflict, summary, errors);
        let conflict_created_at = Some(self.key.created_at().to_owned());
        Self { key, conflict_created_at, status: Status::Invalid(failure), ..self }
    }

    fn into_raw(self, failure: Failure, raw: RawBody) -> Self {
        Self { status: Status::Invalid(failure), body: Body::Raw(raw), extensions: Map::new(), ..self }
    }

    /// Makes the entry fit one item: what is too large in its typed form keeps the body as it came.
    pub fn fitting(self, body: &str, content: ContentHash) -> Self {
        let is_raw = matches!(self.body, Body::Raw(_));
        if is_raw || body.len() <= BODY_BYTES_ALWAYS_FITTING || self.item_bytes() <= ITEM_BYTES_MAX {
            return self;
        }
        let failure = match &self.status {
            Status::Ready => {
                let error = Violation::new(self.event_type.as_deref(), "/payload", "itemSize");
                Failure::new(FailureClass::TooLarge, envelope::TOO_LARGE, vec![error])
            }
            Status::Invalid(failure) => failure.clone(),
        };
        self.into_raw(failure, RawBody::new(body, content))
    }

    /// Size of the item, as DynamoDB counts it.
    pub fn item_bytes(&self) -> usize {
        let large = match &self.body {
            Body::Typed(payload) => attribute::PAYLOAD.len() + item::object_bytes(payload),
            Body::Raw(raw) => attribute::RAW.len() + raw.bytes.len(),
        };
        let extensions = match self.extensions.is_empty() {
            true => 0,
            false => attribute::EXTENSIONS.len() + item::object_bytes(&self.extensions),
        };
        item::item_bytes(&self.small_attributes()) + large + extensions
    }

    pub fn into_item(self) -> Item {
        let mut item = self.small_attributes();
        match self.body {
            Body::Typed(payload) => item.insert(attribute::PAYLOAD.to_owned(), Attribute::M(payload)),
            Body::Raw(raw) => item.insert(attribute::RAW.to_owned(), Attribute::B(raw.bytes)),
        };
        if !self.extensions.is_empty() {
            item.insert(attribute::EXTENSIONS.to_owned(), Attribute::M(self.extensions));
        }
        item
    }

    /// All attributes but payload, raw body and extensions.
    fn small_attributes(&self) -> Item {
        let mut item = self.key.to_item();
        let mut put = |name: &str, value: Attribute| item.insert(name.to_owned(), value);
        let text = |text: &str| Attribute::S(text.to_owned());
        if self.is_indexed {
            // The time in the key, so that index and table list an event and its conflicts side by side.
            let index_key = format!("{}{KEY_SEPARATOR}{}", self.key.tenant_id, self.key.created_at());
            put(attribute::TENANT_ID_CREATED_AT, Attribute::S(index_key));
        }
        put(attribute::STATUS, text(self.status.as_str()));
        put(attribute::RETRIES, whole_number(u64::from(self.retries)));
        put(attribute::INGESTED_AT, whole_number(self.ingested_at_ms));
        if let Some(event_type) = &self.event_type {
            put(attribute::EVENT_TYPE, text(event_type));
        }
        if let Some(schema) = &self.schema {
            put(attribute::SCHEMA, Attribute::B(schema.to_vec()));
        }
        if let Some(route) = &self.route {
            put(attribute::ROUTE, text(route));
        }
        if let Some(ttl) = self.ttl {
            put(attribute::TTL, whole_number(ttl));
        }
        if let Some(number) = &self.sequence_number {
            put(attribute::SEQUENCE_NUMBER, Attribute::N(number.clone()));
        }
        if let Some(created_at) = &self.conflict_created_at {
            put(attribute::CONFLICT_CREATED_AT, text(created_at));
        }
        if self.is_attributed_by_group {
            put(attribute::ATTRIBUTED_BY, text("group"));
        }
        if let Status::Invalid(failure) = &self.status {
            put(attribute::REASON, text(&failure.reason));
            put(attribute::FAILURE, Attribute::M(failure.to_attribute()));
        }
        if let Body::Raw(RawBody { whole: Some((length, content)), .. }) = &self.body {
            put(attribute::RAW_LENGTH, whole_number(*length as u64));
            put(attribute::CONTENT_SHA256, Attribute::B(content.as_bytes().to_vec()));
        }
        item
    }
}

/// The attributes of an entry that is compared with a message. Extensions are no part of an event's content, and would
/// let a small message bring back as much as an item holds.
pub const COMPARED: [&str; 9] = [
    attribute::TENANT_ID,
    attribute::SK,
    attribute::EVENT_TYPE,
    attribute::ROUTE,
    attribute::PAYLOAD,
    attribute::RAW,
    attribute::CONTENT_SHA256,
    attribute::SEQUENCE_NUMBER,
    attribute::RETRIES,
];

/// The content of a stored entry; `None` if the item is no entry of ours.
pub fn stored_content(item: &Item) -> Option<ContentHash> {
    if let Some(Attribute::B(content)) = item.get(attribute::CONTENT_SHA256) {
        return ContentHash::from_bytes(content);
    }
    match (item.get(attribute::PAYLOAD), item.get(attribute::RAW)) {
        (Some(Attribute::M(payload)), _) => {
            Some(ContentHash::of_event(text_of(item, attribute::EVENT_TYPE)?, text_of(item, attribute::ROUTE), payload))
        }
        (None, Some(Attribute::B(raw))) => {
            let body = std::str::from_utf8(raw).ok()?;
            Some(ContentHash::of_body(body, &envelope::read(body)))
        }
        _ => None,
    }
}
