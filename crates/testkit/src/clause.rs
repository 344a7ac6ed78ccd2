//! The clauses of the contract, and how a check says which of them does not hold.

use std::panic;

use strum::EnumMessage;

/// A clause, with its sentence; its number is the one in `ARCHITECTURE.md`.
#[derive(Clone, Copy, Debug, EnumMessage, PartialEq, Eq)]
pub enum Clause {
    /// A message is acknowledged only after its outcome is durable, and of a group only a prefix.
    G1,
    /// An event has at most one READY entry while its claim lives, and the first claim wins.
    G2,
    /// Other content under a used id becomes an entry of class conflict under a key of its own.
    G3,
    /// Whatever a body is, it becomes an entry; AWS alone can make a message fail.
    G4,
    /// A message that failed fails the later ones of its group, and no other.
    G5,
    /// Entries sort by time, and the sequence number is the order of arrival within a group.
    G6,
    /// No message can suppress, overwrite or appear under another tenant's.
    G7,
    /// A stored payload reads back equal in value, every digit.
    G8,
    /// The read models are folds of the ledger, but for days that are marked, whatever is redelivered, reordered or split.
    G9,
    /// A message names the tenant of every INVALID entry that is counted, in time, and messages are bounded.
    G10,
    /// No payload value stands in logs, reasons, metrics or alerts.
    G11,
    /// Calls, bytes and memory of a batch are bounded, and an answer comes before the deadline.
    G12,
}

impl Clause {
    pub fn sentence(self) -> &'static str {
        self.get_documentation().expect("each clause has a sentence")
    }

    /// Ends the run of the simulation: the clause does not hold.
    pub fn is_broken(self, message: String) -> ! {
        panic::resume_unwind(Box::new(Violation { clause: self, message }))
    }
}

/// Why a run ended, as its panic carries it.
pub struct Violation {
    pub clause: Clause,
    pub message: String,
}

/// Ends the run where a clause does not hold.
macro_rules! hold {
    ($clause:ident, $condition:expr, $($message:tt)+) => {
        if !$condition {
            $crate::clause::Clause::$clause.is_broken(format!($($message)+));
        }
    };
}
pub(crate) use hold;
