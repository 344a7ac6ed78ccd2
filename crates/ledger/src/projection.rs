//! Read models as folds of the ledger (G9). A read model is one file and a line in [`ALL`]: it says what one change of
//! the ledger adds to which numbers, and everything else (keys, transactions, checkpoints, marks) follows mechanically.
//! Sums are commutative and associative, so order and grouping never matter; the projector's checkpoint keeps out what
//! must not be folded twice. A fold sees the stored entry alone, so folding the ledger again gives what the stream gave.

pub mod alert;
pub mod causes;
pub mod counts;
mod fold;
pub mod keys;
pub mod metric;
pub mod metric_tenants;
pub mod models;
mod payload;
mod sequence;
mod statistics;
mod summary;
mod sums;
pub mod update;

pub use fold::{ATTRIBUTES_PER_FACT_MAX, Fact, ITEMS_PER_FACT_MAX, Projection, SUFFIX_BYTES_MAX};
pub use payload::Payload;
pub use sequence::SequenceNumber;
pub use statistics::{Distribution, MinuteStatistics};
pub use summary::{
    EntryFields, EntrySummary, FailureSummary, LeftOut, StoredViolation, UNKNOWN_EVENT_TYPE, Unreadable, Verdict,
};
pub use sums::{Changes, Sums, to_update};

/// The read models of this build.
pub const ALL: &[Projection] = &[counts::COUNTS, causes::CAUSES];

#[cfg(test)]
mod tests;
