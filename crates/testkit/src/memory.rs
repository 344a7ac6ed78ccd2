//! The three tables in memory, as the ports of `ledger` see them.

pub mod projections;
pub mod tables;
