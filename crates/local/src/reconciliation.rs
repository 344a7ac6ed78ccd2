//! The ledger and its projections side by side: what was recorded, what was counted, and whether the two agree (G9).

use dynoxide::DynoxideError;
use ledger::{
    Attribute, Item,
    entry::attribute,
    projection::{
        DayCounts, EntrySummary, LeftOut, Projection, Verdict,
        keys::{DayKey, ProjectionKey},
    },
};

use crate::services::Services;

/// Both tables, read whole.
pub struct Reconciliation {
    /// The ledger's items.
    pub entries: Vec<Item>,
    /// The counts that the ledger folds to.
    pub recorded: Projection,
    /// The counts in the projections table.
    pub projected: Projection,
}

impl Reconciliation {
    /// Reads both tables.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn read(services: &Services) -> Result<Reconciliation, DynoxideError> {
        let entries = services.dynamodb.scan(&services.deployment.project.events_table())?;
        let mut recorded = Projection::default();
        for entry in &entries {
            match EntrySummary::from_item(entry) {
                Ok(summary) => recorded.append(&summary),
                Err(LeftOut::Older) => {}
                Err(LeftOut::Unreadable(error)) => tracing::warn!(%error, "an item of the ledger is no entry"),
            }
        }
        Ok(Reconciliation { entries, recorded, projected: read_projected(services)? })
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
pub fn read_projected(services: &Services) -> Result<Projection, DynoxideError> {
    let mut projected = Projection::default();
    for item in services.dynamodb.scan(&services.deployment.project.projections_table())? {
        let key = ProjectionKey { pk: text(&item, attribute::PK), sk: text(&item, attribute::SK) };
        if let Some(day) = DayKey::parse(&key) {
            projected.days.insert(day, DayCounts::from_item(&item));
        }
    }
    Ok(projected)
}

/// Entries counted with a verdict, over all tenants and days.
pub fn count(projection: &Projection, verdict: Verdict) -> u64 {
    projection.days.values().map(|day| day.of_verdict(verdict).max(0) as u64).sum()
}

/// Entries counted.
pub fn count_all(projection: &Projection) -> u64 {
    count(projection, Verdict::Ready) + count(projection, Verdict::Invalid)
}

/// The text of an attribute, empty where it is absent or no text.
pub fn text(item: &Item, name: &str) -> String {
    match item.get(name) {
        Some(Attribute::S(text)) => text.clone(),
        _ => String::new(),
    }
}
