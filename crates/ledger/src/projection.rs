//! The projections as folds of entries (G9): exact counts per tenant and day, and the statistics behind the metrics.
//! Every fold is commutative and associative, so order and grouping never matter; the caller's checkpoint keeps out what
//! must not be folded twice. Counts depend on the entry alone, so folding the ledger's entries gives what the stream
//! gave.

mod counts;
pub mod keys;
pub mod metric;
pub mod metric_tenants;
mod sequence;
mod statistics;
mod summary;
pub mod update;

pub use counts::{CELLS_PER_ENTRY_MAX, CELLS_PER_UPDATE_MAX, Counts, DayCounts, span_of};
pub use sequence::SequenceNumber;
pub use statistics::{Distribution, MinuteStatistics};
pub use summary::{
    EntryFields, EntrySummary, FailureSummary, LeftOut, StoredViolation, UNKNOWN_EVENT_TYPE, Unreadable, Verdict,
};
