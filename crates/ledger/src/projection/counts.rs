//! The exact counts of entries by tenant, day, verdict and event type.

use std::collections::BTreeMap;

use crate::{
    event::ids::KEY_SEPARATOR,
    projection::{
        keys::{BYTES, DayKey, FIRST_INGESTED_AT, LAST_INGESTED_AT, ProjectionKey, VERSION},
        summary::{EntrySummary, Verdict},
        update::{Action, Condition, Update},
    },
    storage::item::{Attribute, Item, whole_number, whole_number_of},
};

/// Cells (verdict and event type) that one update of a day changes at most, so that its expression keeps DynamoDB's
/// limit however many schemas there are: a cell takes 13 of its 4,096 bytes, or less.
pub const CELLS_PER_UPDATE_MAX: usize = 150;
/// Cells that one entry changes at most: a revalidation takes from one and adds to another.
pub const CELLS_PER_ENTRY_MAX: usize = 2;

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
pub struct Counts {
    pub days: BTreeMap<DayKey, DayCounts>,
}

impl Counts {
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

#[cfg(test)]
mod tests;
