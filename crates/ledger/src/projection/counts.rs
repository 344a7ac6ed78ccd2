//! The read model of how many entries there are, by verdict and event type, and how many bytes they hold.

use std::collections::BTreeMap;

use crate::{
    event::ids::KEY_SEPARATOR,
    projection::{
        fold::{Fact, Projection},
        summary::Verdict,
        sums::Changes,
    },
};

pub const COUNTS: Projection = Projection { name: "counts", version: 1, fold };

/// Of payloads and raw bodies.
pub const BYTES: &str = "bytes";

fn fold(fact: &Fact<'_>, changes: &mut Changes<'_>) {
    let entry = fact.entry();
    for verdict in [Verdict::Ready, Verdict::Invalid] {
        changes.add("", &cell(verdict, entry.counted_type_as(verdict)), fact.change_of(verdict));
    }
    if let Fact::Appended(entry) = fact {
        changes.add("", BYTES, i64::try_from(entry.payload_bytes).unwrap_or(i64::MAX));
    }
}

/// The attribute that counts the entries of a verdict and type.
pub fn cell(verdict: Verdict, event_type: &str) -> String {
    format!("{}{KEY_SEPARATOR}{event_type}", verdict.as_str())
}

/// The entries of a verdict that an item counts, over all types.
pub fn of_verdict(item: &BTreeMap<String, i64>, verdict: Verdict) -> i64 {
    let is_counted = |name: &str| {
        name.split_once(KEY_SEPARATOR).is_some_and(|(counted, _)| Verdict::parse(counted) == Some(verdict))
    };
    item.iter().filter(|(name, _)| is_counted(name)).map(|(_, count)| count).sum()
}
