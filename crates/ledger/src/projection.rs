//! The projections as folds of entries (G9): exact counts per tenant and day, and the statistics behind the metrics.
//! Every fold is commutative and associative, so order and grouping never matter; what must not be folded twice is kept
//! out by the caller's checkpoint. Nothing here depends on the time or the place of folding, and counts depend on the
//! entry alone, so that folding the ledger's entries gives what the stream gave.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{
    entry::{EntryKey, Status, attribute, text_of, whole_number},
    envelope,
    failure::{ERRORS_MAX, FailureClass, Violation},
    ids::{KEY_SEPARATOR, TenantId},
    item::{self, Attribute, Item},
    projection_keys::{BYTES, DayKey, FIRST_INGESTED_AT, LAST_INGESTED_AT, ProjectionKey, VERSION, whole_number_of},
    projection_ports::{Action, Condition, Update},
    schema,
    timestamp::Timestamp,
};

/// The event type of what has none, or none with a schema, so that no producer can make an item grow.
pub const UNKNOWN_EVENT_TYPE: &str = "_unknown";

/// Cells (verdict and event type) that one update of a day changes at most, so that its expression keeps DynamoDB's
/// limit however many schemas there are: a cell takes 13 of its 4,096 bytes, or less.
pub const CELLS_PER_UPDATE_MAX: usize = 150;
/// Cells that one entry changes at most: a revalidation takes from one and adds to another.
pub const CELLS_PER_ENTRY_MAX: usize = 2;

/// Digits of a stream's sequence number at most; a number of DynamoDB would hold 38.
const SEQUENCE_DIGITS: usize = 40;

/// The verdict on an entry, without its reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    Ready,
    Invalid,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => Status::READY,
            Self::Invalid => Status::INVALID,
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Ready, Self::Invalid].into_iter().find(|verdict| verdict.as_str() == text)
    }
}

/// One place that breaks a rule, as the entry says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub pointer: String,
    pub keyword: String,
}

/// What an entry says of why it is, or was, INVALID.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailureSummary {
    pub class: Option<FailureClass>,
    /// At most `ERRORS_MAX`.
    pub places: Vec<Place>,
}

impl FailureSummary {
    /// Whether the entry says that its type had no schema when it was judged.
    fn had_no_schema(&self) -> bool {
        let says_so = |place: &Place| (place.pointer.as_str(), place.keyword.as_str()) == envelope::NO_SCHEMA;
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
    /// Year 9999 at most.
    pub ingested_at_ms: u64,
    /// Size of the payload or the raw body, as DynamoDB counts it.
    pub payload_bytes: u64,
    pub is_revalidated: bool,
}

/// The attributes an `EntrySummary` is made of, as they were found; the payload by its size only.
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
    pub payload_bytes: u64,
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
        let sk = fields.sk.filter(|sk| sk.contains(KEY_SEPARATOR)).ok_or(Unreadable::SortKey)?;
        let verdict = verdict.ok_or(Unreadable::Status)?;
        let ingested_at_ms = fields.ingested_at.and_then(|digits| digits.parse().ok()).ok_or(Unreadable::IngestedAt)?;
        if Timestamp::from_epoch_ms(ingested_at_ms).is_none() {
            return Err(Unreadable::IngestedAt.into());
        }
        Ok(Self {
            key: EntryKey { tenant_id, sk },
            event_type: fields.event_type,
            verdict,
            failure: fields.failure,
            ingested_at_ms,
            payload_bytes: fields.payload_bytes,
            is_revalidated: fields.is_revalidated,
        })
    }

    /// Reads a row of the ledger.
    pub fn from_item(item: &Item) -> Result<Self, LeftOut> {
        let text = |name: &str| text_of(item, name).map(str::to_owned);
        let payload_bytes = match (item.get(attribute::PAYLOAD), item.get(attribute::RAW)) {
            (Some(Attribute::M(payload)), _) => item::object_bytes(payload),
            (_, Some(Attribute::B(raw))) => raw.len(),
            _ => 0,
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
            payload_bytes: payload_bytes as u64,
            is_revalidated: item.contains_key(attribute::REVALIDATED_AT),
        })
    }

    pub fn day(&self) -> DayKey {
        let moment = Timestamp::from_epoch_ms(self.ingested_at_ms).expect("the range was checked when it was read");
        DayKey { tenant_id: self.key.tenant_id.clone(), day: moment.day().to_owned() }
    }

    pub fn event_id(&self) -> &str {
        self.key.sk.split(KEY_SEPARATOR).nth(1).unwrap_or_default()
    }

    /// The event type it counts under.
    pub fn counted_type(&self) -> &str {
        self.counted_type_as(self.verdict)
    }

    /// The type under which it counts, or counted, with this verdict.
    ///
    /// What the entry itself says of its type decides before the schemas of this build do: an entry must leave the
    /// count it once entered, and a fold of the ledger must agree. READY and `schema_violation` alone prove a schema. Any other
    /// class is also given before anybody looks at the type, so its type is the producer's own word: taken for a name
    /// of a count, it would let a producer make an item grow until DynamoDB refuses it.
    fn counted_type_as(&self, verdict: Verdict) -> &str {
        // A longer type is no entry's of ours, and a name that long is none that DynamoDB takes.
        let event_type = self.event_type.as_deref().filter(|name| name.len() <= envelope::EVENT_TYPE_BYTES_MAX);
        let Some(event_type) = event_type else { return UNKNOWN_EVENT_TYPE };
        let failure = self.failure.as_ref().filter(|_| verdict == Verdict::Invalid);
        let had_schema = match failure {
            None if verdict == Verdict::Ready => true,
            Some(failure) if failure.had_no_schema() => false,
            Some(FailureSummary { class: Some(FailureClass::SchemaViolation), .. }) => true,
            _ => schema::find(event_type).is_some(),
        };
        if had_schema { event_type } else { UNKNOWN_EVENT_TYPE }
    }
}

fn failure_of(failure: &serde_json::Map<String, serde_json::Value>) -> FailureSummary {
    let text =
        |value: Option<&serde_json::Value>| value.and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    let errors = failure.get("errors").and_then(|errors| errors.as_array()).map_or(&[][..], Vec::as_slice);
    let place =
        |error: &serde_json::Value| Place { pointer: text(error.get("pointer")), keyword: text(error.get("keyword")) };
    FailureSummary {
        class: failure.get("class").and_then(|class| class.as_str()).and_then(FailureClass::parse),
        places: errors.iter().take(ERRORS_MAX).map(place).collect(),
    }
}

/// The first place an INVALID entry breaks a rule at, fit for alerts (G11).
pub fn first_violation(entry: &EntrySummary) -> Option<Violation> {
    let place = entry.failure.as_ref()?.places.first()?;
    Some(Violation::new(entry.event_type.as_deref(), &place.pointer, &place.keyword))
}

/// The exact counts of one tenant and day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayCounts {
    /// Entries by verdict and event type; none is zero. Negative only in the difference a revalidation makes.
    pub entries: BTreeMap<(Verdict, String), i64>,
    /// Of payloads and raw bodies.
    pub bytes: i64,
    /// Least and greatest `ingested_at`.
    pub span_ms: Option<(u64, u64)>,
}

impl DayCounts {
    pub fn merge(&mut self, other: &Self) {
        for ((verdict, event_type), count) in &other.entries {
            self.count(*verdict, event_type, *count);
        }
        self.bytes += other.bytes;
        self.span_ms = match (self.span_ms, other.span_ms) {
            (Some((first, last)), Some((other_first, other_last))) => {
                Some((first.min(other_first), last.max(other_last)))
            }
            (one, other) => one.or(other),
        };
    }

    pub fn of_verdict(&self, verdict: Verdict) -> i64 {
        self.entries.iter().filter(|((counted, _), _)| *counted == verdict).map(|(_, count)| count).sum()
    }

    /// Reads a day item back. Counts that have come down to zero are as if never there.
    pub fn from_item(item: &Item) -> Self {
        let number = |attribute: &Attribute| match attribute {
            Attribute::N(digits) => digits.parse::<i64>().ok(),
            _ => None,
        };
        let mut counts = Self { bytes: item.get(BYTES).and_then(number).unwrap_or(0), ..Self::default() };
        for (name, attribute) in item {
            let cell = name
                .split_once(KEY_SEPARATOR)
                .and_then(|(verdict, event_type)| Some((Verdict::parse(verdict)?, event_type)));
            if let (Some((verdict, event_type)), Some(count)) = (cell, number(attribute)) {
                counts.count(verdict, event_type, count);
            }
        }
        counts.span_ms = span_of(item);
        counts
    }

    /// A whole day item.
    pub fn to_item(&self, day: &DayKey, version: u64) -> Item {
        let mut item = ProjectionKey::day(day).to_item();
        let number = |number: i64| Attribute::N(number.to_string());
        for ((verdict, event_type), count) in &self.entries {
            item.insert(cell_name(*verdict, event_type), number(*count));
        }
        item.insert(BYTES.to_owned(), number(self.bytes));
        if let Some((first_ms, last_ms)) = self.span_ms {
            item.insert(FIRST_INGESTED_AT.to_owned(), whole_number(first_ms));
            item.insert(LAST_INGESTED_AT.to_owned(), whole_number(last_ms));
        }
        item.insert(VERSION.to_owned(), whole_number(version));
        item
    }

    /// The change that adds these counts to a day item without reading it.
    ///
    /// `stored_span_ms` is what is known of the item's span; entries come in about the order of their time, so a new
    /// one is taken to begin no earlier and end no later than these. Where that is wrong a condition fails, and the
    /// answer brings the true span.
    pub fn to_update(&self, day: &DayKey, stored_span_ms: Option<(u64, u64)>) -> Update {
        let mut update = Update { key: ProjectionKey::day(day), conditions: Vec::new(), actions: Vec::new() };
        for ((verdict, event_type), count) in &self.entries {
            update.actions.push(Action::Add(cell_name(*verdict, event_type), *count));
        }
        if self.bytes != 0 {
            update.actions.push(Action::Add(BYTES.to_owned(), self.bytes));
        }
        update.actions.push(Action::Add(VERSION.to_owned(), 1));
        if let Some((first_ms, last_ms)) = self.span_ms {
            let (first, last) = (FIRST_INGESTED_AT.to_owned(), LAST_INGESTED_AT.to_owned());
            if stored_span_ms.is_some_and(|(stored, _)| first_ms < stored) {
                update.conditions.push(Condition::AtLeast(first.clone(), first_ms));
                update.actions.push(Action::Set(first, whole_number(first_ms)));
            } else {
                update.conditions.push(Condition::AbsentOrAtMost(first.clone(), first_ms));
                update.actions.push(Action::SetIfAbsent(first, whole_number(first_ms)));
            }
            if stored_span_ms.is_some_and(|(_, stored)| last_ms < stored) {
                update.conditions.push(Condition::AtLeast(last, last_ms));
            } else {
                update.conditions.push(Condition::AbsentOrAtMost(last.clone(), last_ms));
                update.actions.push(Action::Set(last, whole_number(last_ms)));
            }
        }
        update
    }

    fn count(&mut self, verdict: Verdict, event_type: &str, count: i64) {
        let cell = (verdict, event_type.to_owned());
        let total = self.entries.get(&cell).copied().unwrap_or(0) + count;
        if total == 0 {
            self.entries.remove(&cell);
        } else {
            self.entries.insert(cell, total);
        }
    }
}

/// First and last `ingested_at` of a day item.
pub fn span_of(item: &Item) -> Option<(u64, u64)> {
    Some((whole_number_of(item, FIRST_INGESTED_AT)?, whole_number_of(item, LAST_INGESTED_AT)?))
}

fn cell_name(verdict: Verdict, event_type: &str) -> String {
    format!("{}{KEY_SEPARATOR}{event_type}", verdict.as_str())
}

/// The exact counts of entries, by tenant and day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Projection {
    pub days: BTreeMap<DayKey, DayCounts>,
}

impl Projection {
    /// Counts an entry as it stands.
    pub fn append(&mut self, entry: &EntrySummary) {
        let mut counts = DayCounts {
            bytes: entry.payload_bytes as i64,
            span_ms: Some((entry.ingested_at_ms, entry.ingested_at_ms)),
            ..DayCounts::default()
        };
        counts.count(entry.verdict, entry.counted_type(), 1);
        self.days.entry(entry.day()).or_default().merge(&counts);
    }

    /// Counts the change of an entry, counted before as INVALID, to READY.
    pub fn revalidate(&mut self, entry: &EntrySummary) {
        let mut counts = DayCounts::default();
        counts.count(Verdict::Invalid, entry.counted_type_as(Verdict::Invalid), -1);
        counts.count(Verdict::Ready, entry.counted_type_as(Verdict::Ready), 1);
        self.days.entry(entry.day()).or_default().merge(&counts);
    }

    pub fn merge(&mut self, other: &Self) {
        for (day, counts) in &other.days {
            self.days.entry(day.clone()).or_default().merge(counts);
        }
    }
}

/// How often each value occurred.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution(pub BTreeMap<u64, u64>);

impl Distribution {
    pub fn add(&mut self, value: u64) {
        *self.0.entry(value).or_default() += 1;
    }
}

/// The statistics of the entries that were judged in one minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MinuteStatistics {
    /// Entries by tenant, event type and verdict.
    pub events: BTreeMap<(TenantId, String, Verdict), u64>,
    pub ingest_latency_ms: Distribution,
    pub projection_lag_ms: Distribution,
    pub payload_bytes: Distribution,
}

impl MinuteStatistics {
    /// Adds an entry that was written at `written_at_ms` and is projected at `now_ms`.
    pub fn add(&mut self, entry: &EntrySummary, written_at_ms: u64, now_ms: u64) {
        let cell = (entry.key.tenant_id.clone(), entry.counted_type().to_owned(), entry.verdict);
        *self.events.entry(cell).or_default() += 1;
        // Producers set `created_at`, ahead of our clock too: then there was no latency that we know of.
        if let Some(created_at_ms) = epoch_ms(entry.key.created_at()) {
            self.ingest_latency_ms.add(entry.ingested_at_ms.saturating_sub(created_at_ms));
        }
        self.projection_lag_ms.add(now_ms.saturating_sub(written_at_ms));
        self.payload_bytes.add(entry.payload_bytes);
    }
}

/// `None` before 1970.
fn epoch_ms(created_at: &str) -> Option<u64> {
    let moment = Timestamp::parse_rfc3339(created_at)?;
    let milliseconds: u64 = moment.as_str().get(20..23)?.parse().ok()?;
    Some(u64::try_from(moment.epoch_seconds()).ok()? * 1_000 + milliseconds)
}

/// A place in a stream shard. Ordered as numbers are; the text is given back as it came.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber {
    padded: String,
    text: String,
}

impl SequenceNumber {
    pub fn parse(text: &str) -> Option<Self> {
        let is_valid = (1..=SEQUENCE_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        is_valid.then(|| Self { padded: format!("{text:0>SEQUENCE_DIGITS$}"), text: text.to_owned() })
    }

    /// With zeros before it, so that text order is its order.
    pub fn padded(&self) -> &str {
        &self.padded
    }

    /// As the stream wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        entry::{Entry, RawBody},
        envelope::Message,
        item::item_bytes,
        judge::judge,
        projection_ports::Expressions,
    };

    const NOW_MS: u64 = 1_768_469_400_000;
    const DAY_MS: u64 = 86_400_000;

    fn summary(tenant: &str, event_type: &str, verdict: Verdict, ingested_at_ms: u64) -> EntrySummary {
        let failure = FailureSummary { class: Some(FailureClass::SchemaViolation), places: vec![] };
        EntrySummary::new(EntryFields {
            tenant_id: Some(tenant.to_owned()),
            sk: Some("2026-01-15T09:29:59.000000000Z#e".to_owned()),
            event_type: Some(event_type.to_owned()),
            status: Some(verdict.as_str().to_owned()),
            ingested_at: Some(ingested_at_ms.to_string()),
            has_sequence_number: true,
            failure: (verdict == Verdict::Invalid).then_some(failure),
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
        let body =
            |members: &str| format!(r#"{{"tenant_id":"t","event_id":"e","event_type":"{event_type}",{members}}}"#);
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

    fn fold<'e>(entries: impl IntoIterator<Item = &'e EntrySummary>) -> Projection {
        let mut projection = Projection::default();
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
            assert_eq!(first_violation(&entry).unwrap().keyword, keyword, "the cause is what people see first");
            // As if the schema of a later build had the type: the failure remembers that this one's had not.
            let later = EntrySummary { event_type: Some("monitoring".to_owned()), ..entry };
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
    fn only_a_broken_schema_proves_that_there_was_one() {
        for class in FailureClass::ALL.map(Some).into_iter().chain([None]) {
            let failure = FailureSummary { class, places: vec![] };
            let entry = EntrySummary { failure: Some(failure), ..summary("t", "no.schema", Verdict::Invalid, NOW_MS) };
            let expected = if class == Some(FailureClass::SchemaViolation) { "no.schema" } else { UNKNOWN_EVENT_TYPE };
            assert_eq!(entry.counted_type(), expected, "{class:?}");
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
    fn the_first_violation_shows_no_name_the_schema_does_not_declare() {
        let entry = judged(
            r#"{"tenant_id":"t","event_id":"e","event_type":"monitoring","payload":
               {"timestamp":"2026-01-15T09:30:00Z","level":"INFO","message":"m","labels":{"secret":1}}}"#,
        );
        let violation = first_violation(&entry).unwrap();
        assert_eq!((violation.bounded_pointer.as_str(), violation.keyword.as_str()), ("/payload/labels/*", "type"));
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

    #[test]
    fn sequence_numbers_order_as_numbers_and_keep_their_text() {
        let number = |text: &str| SequenceNumber::parse(text).unwrap();
        assert!(number("9") < number("10"));
        assert!(number("99999999999999999999999999999999999998") < number("99999999999999999999999999999999999999"));
        assert_eq!(number("007").as_str(), "007");
        assert_eq!(number("7").padded().len(), 40);
        for text in ["", "1a", "-1", &"1".repeat(41)] {
            assert_eq!(SequenceNumber::parse(text), None, "{text:?}");
        }
    }
}
