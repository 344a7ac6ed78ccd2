//! The ledger and its projections side by side: what was recorded, what was counted, and whether the two agree (G9).

use std::cmp::Reverse;

use dynoxide::DynoxideError;
use ledger::{
    EntryKey, Item,
    entry::attribute,
    item::text_of,
    projection::{
        Counts, DayCounts, EntrySummary, LeftOut, Verdict,
        keys::{DayKey, ProjectionKey},
    },
};

use crate::services::Services;

/// Both tables, read whole.
pub struct Reconciliation {
    /// The ledger's items.
    pub entries: Vec<Item>,
    /// The counts that the ledger folds to.
    pub recorded: Counts,
    /// The counts in the projections table.
    pub projected: Counts,
}

impl Reconciliation {
    /// Reads both tables.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn read(services: &Services) -> Result<Self, DynoxideError> {
        let entries = services.dynamodb.scan(&services.deployment.project.events_table())?;
        let mut recorded = Counts::default();
        for entry in &entries {
            match EntrySummary::from_item(entry) {
                Ok(summary) => recorded.append(&summary),
                Err(LeftOut::Older) => {}
                Err(LeftOut::Unreadable(error)) => tracing::warn!(%error, "an item of the ledger is no entry"),
            }
        }
        Ok(Self { entries, recorded, projected: read_projected(services)? })
    }

    /// `true` where every entry was counted, and nothing else.
    pub fn agree(&self) -> bool {
        self.recorded == self.projected
    }
}

/// The counts in the projections table.
///
/// # Errors
///
/// The database cannot be read.
pub fn read_projected(services: &Services) -> Result<Counts, DynoxideError> {
    let mut projected = Counts::default();
    for item in services.dynamodb.scan(&services.deployment.project.projections_table())? {
        let [pk, sk] = [attribute::PK, attribute::SK].map(|name| text(&item, name).to_owned());
        if let Some(day) = DayKey::parse(&ProjectionKey { pk, sk }) {
            projected.days.insert(day, DayCounts::from_item(&item));
        }
    }
    Ok(projected)
}

/// Entries counted with a verdict, over all tenants and days.
pub fn count(projection: &Counts, verdict: Verdict) -> u64 {
    projection.days.values().map(|day| day.of_verdict(verdict).max(0) as u64).sum()
}

/// Entries counted.
pub fn count_all(projection: &Counts) -> u64 {
    count(projection, Verdict::Ready) + count(projection, Verdict::Invalid)
}

/// The text of an attribute, empty where it is absent or no text.
pub fn text<'i>(item: &'i Item, name: &str) -> &'i str {
    text_of(item, name).unwrap_or_default()
}

/// The newest of these entries, the newest first.
pub fn newest(entries: &[Item], max: usize) -> Vec<&Item> {
    let mut newest: Vec<&Item> = entries.iter().collect();
    newest.sort_by_key(|entry| Reverse(text(entry, attribute::SK)));
    newest.truncate(max);
    newest
}

/// What people see of an entry: tenant, status, event type, time and event id.
pub fn columns(entry: &Item) -> [String; 5] {
    let key = EntryKey::from_item(entry);
    let (created_at, event_id) = key.as_ref().map_or(("", ""), |key| (key.created_at(), key.event_id()));
    let attribute = |name| text(entry, name);
    [
        attribute(attribute::TENANT_ID),
        attribute(attribute::STATUS),
        attribute(attribute::EVENT_TYPE),
        created_at.get(..19).unwrap_or(created_at),
        event_id,
    ]
    .map(str::to_owned)
}
