//! A pure model of the AWS behaviour this project rests on: queues, event source mappings, a topic
//! and a metric store, all in virtual time, and the tables as the ports of `ledger` see them.
//!
//! Every function that depends on time takes `now_ms` (milliseconds since the Unix epoch). There is
//! no clock, no I/O and no randomness here: the same calls in the same order give the same ids and
//! the same answers. All state serializes, so a driver can snapshot it and go on later.
//!
//! [`deployment`] holds what this project deploys.
//!
//! What it deliberately does not do: wire protocols, sleeping, permissions, or the faults of a real
//! network. Whoever drives it (in real or simulated time) adds those.

pub mod admission;
pub mod attribute;
pub mod cloudwatch;
pub mod deployment;
mod encoding;
pub mod mapping;
pub mod projections;
pub mod sns;
pub mod sqs;
pub mod tables;

use serde::{Deserialize, Serialize};

/// Says where the modelled resources live; it becomes part of every ARN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// For example `us-east-1`.
    pub region: String,
    /// Twelve digits.
    pub id: String,
}

impl Default for Account {
    fn default() -> Self {
        Self { region: "us-east-1".to_owned(), id: "000000000000".to_owned() }
    }
}
