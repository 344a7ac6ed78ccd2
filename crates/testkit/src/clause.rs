//! The clauses of the contract, and how a check says which of them does not hold.

use std::panic;

/// A clause; its number is the one in `ARCHITECTURE.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clause {
    G1,
    G2,
    G3,
    G4,
    G5,
    G6,
    G7,
    G8,
    G9,
    G10,
    G11,
    G12,
}

impl Clause {
    pub fn sentence(self) -> &'static str {
        match self {
            Self::G1 => "A message is acknowledged only after its outcome is durable, and of a group only a prefix.",
            Self::G2 => "An event has at most one READY entry while its claim lives, and the first claim wins.",
            Self::G3 => "Other content under a used id becomes an entry of class conflict under a key of its own.",
            Self::G4 => "Whatever a body is, it becomes an entry; AWS alone can make a message fail.",
            Self::G5 => "A message that failed fails the later ones of its group, and no other.",
            Self::G6 => "Entries sort by time, and the sequence number is the order of arrival within a group.",
            Self::G7 => "No message can suppress, overwrite or appear under another tenant's.",
            Self::G8 => "A stored payload reads back equal in value, every digit.",
            Self::G9 => "The projections are folds of the ledger, whatever is delivered again, reordered or split.",
            Self::G10 => "Every INVALID entry that is counted is covered by an alert.",
            Self::G11 => "No payload value stands in logs, reasons, metrics or alerts.",
            Self::G12 => "Calls, bytes and memory of a batch are bounded, and an answer comes before the deadline.",
        }
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
