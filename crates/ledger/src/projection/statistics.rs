//! What the metrics say of the entries of one minute.

use std::collections::BTreeMap;

use crate::{
    event::{ids::TenantId, timestamp::Timestamp},
    projection::summary::{EntrySummary, Verdict},
};

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
