//! Marks of what a read model does not count: a record that cannot be read, or one whose item DynamoDB refuses. A mark is
//! written with the checkpoint that passes the record, costs its own day of its own tenant, and stays until the day is
//! built again.

use std::collections::BTreeSet;

use ledger::{
    Attribute, Timestamp,
    entry::attribute,
    item::whole_number,
    projection::{
        keys::{ProjectionKey, RECORDS, SINCE, UPDATED_AT},
        update::{Action, Update},
    },
};

/// The stream tells when a record was written, not when its entry was judged; the two may lie on both sides of midnight.
const JUDGED_BEFORE_MS: u64 = 120_000;

/// What one transaction adds to a mark.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    records: i64,
    reason: &'static str,
}

impl Mark {
    pub(super) fn unreadable() -> Self {
        Self { records: 1, reason: "records that cannot be read" }
    }

    pub(super) fn refused() -> Self {
        Self { records: 1, reason: "DynamoDB refuses the item" }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.records += other.records;
        self.reason = other.reason;
    }

    pub(super) fn to_update(&self, key: &ProjectionKey, now_ms: u64) -> Update {
        Update {
            key: key.clone(),
            conditions: Vec::new(),
            actions: vec![
                Action::Add(RECORDS.to_owned(), self.records),
                Action::Set(attribute::REASON.to_owned(), Attribute::S(self.reason.to_owned())),
                Action::SetIfAbsent(SINCE.to_owned(), whole_number(now_ms)),
                Action::Set(UPDATED_AT.to_owned(), whole_number(now_ms)),
            ],
        }
    }
}

/// The days in which a record may count that was written at a moment, or at one that is not known.
pub(super) fn days_of(written_at_ms: Option<u64>, now_ms: u64) -> BTreeSet<String> {
    let latest_ms = written_at_ms.unwrap_or(now_ms);
    let day = |moment_ms: u64| Timestamp::from_epoch_ms(moment_ms).map(|moment| moment.day().to_owned());
    [latest_ms, latest_ms.saturating_sub(JUDGED_BEFORE_MS)].into_iter().filter_map(day).collect()
}
