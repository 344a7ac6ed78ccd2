//! The ledger and its read models side by side: what was recorded, what was counted, and whether the two agree (G9).

use std::cmp::Reverse;

use dynoxide::DynoxideError;
use ledger::{
    EntryKey, Item,
    entry::attribute,
    item::text_of,
    projection::{
        self, EntrySummary, Fact, LeftOut, Sums, Verdict, counts,
        keys::{ModelKey, ProjectionKey},
        models::Models,
    },
};

use crate::services::Services;

/// Both tables, read whole.
pub struct Reconciliation {
    /// The ledger's items.
    pub entries: Vec<Item>,
    /// The sums of all read models that the ledger folds to.
    pub recorded: Sums,
    /// The sums in the projections table.
    pub projected: Sums,
    /// The stored list of models; absent until something is projected.
    pub models: Option<Models>,
}

impl Reconciliation {
    /// Reads both tables.
    ///
    /// # Errors
    ///
    /// The database cannot be read.
    pub fn read(services: &Services) -> Result<Self, DynoxideError> {
        let entries = services.dynamodb.scan(&services.deployment.project.events_table())?;
        let mut recorded = Sums::default();
        for entry in &entries {
            match EntrySummary::from_item(entry) {
                Ok(summary) => {
                    projection::ALL.iter().for_each(|model| model.add(&Fact::Appended(&summary), &mut recorded));
                }
                Err(LeftOut::Older) => {}
                Err(LeftOut::Unreadable(error)) => tracing::warn!(%error, "an item of the ledger is no entry"),
            }
        }
        let items = services.dynamodb.scan(&services.deployment.project.projections_table())?;
        let key = ProjectionKey::models().to_item();
        let is_list = |item: &&Item| key.iter().all(|(name, value)| item.get(name) == Some(value));
        let models = items.iter().find(is_list).map(Models::from_item);
        Ok(Self { entries, recorded, projected: Sums::of_items(&items), models })
    }

    /// `true` where every entry was counted, and nothing else, in all days that the models count whole.
    pub fn agree(&self) -> bool {
        let is_built = |key: &ModelKey| self.models.as_ref().is_none_or(|models| models.is_built(&key.model, &key.day));
        let built = |sums: &Sums| sums.items.clone().into_iter().filter(|(key, _)| is_built(key)).collect::<Vec<_>>();
        built(&self.recorded) == built(&self.projected)
    }
}

/// The sums in the projections table.
///
/// # Errors
///
/// The database cannot be read.
pub fn read_projected(services: &Services) -> Result<Sums, DynoxideError> {
    Ok(Sums::of_items(&services.dynamodb.scan(&services.deployment.project.projections_table())?))
}

/// Entries counted with a verdict, over all tenants and days.
pub fn count(sums: &Sums, verdict: Verdict) -> u64 {
    sums.of_model(&counts::COUNTS.id()).map(|(_, day)| counts::of_verdict(day, verdict).max(0) as u64).sum()
}

/// Entries counted.
pub fn count_all(sums: &Sums) -> u64 {
    count(sums, Verdict::Ready) + count(sums, Verdict::Invalid)
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
