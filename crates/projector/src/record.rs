//! A record of the ledger's stream, as the projector takes it: what became of an entry, and where in the shard it says
//! so.

use ledger::projection::{EntrySummary, LeftOut, SequenceNumber, Unreadable, Verdict};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// `None` only where the record cannot be read, or is a removal.
    pub sequence: Option<SequenceNumber>,
    /// When DynamoDB says it was written, in milliseconds since the epoch.
    pub written_at_ms: Option<u64>,
    pub change: Change,
}

/// What a record means to the projections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Appended(EntrySummary),
    /// An INVALID entry became READY.
    Revalidated(EntrySummary),
    /// An entry was changed in a way nothing of ours does.
    UnexpectedModify,
    /// An entry was deleted, and not by its time to live: what was counted stays counted.
    UnexpectedRemove,
    /// An entry's time to live has deleted it: what was counted stays counted.
    Expired,
    /// An entry of the Go system was appended.
    Older,
    Unreadable(UnreadableRecord),
}

/// A record that no read model can count, as far as it can be told which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnreadableRecord {
    pub event_id: Option<String>,
    pub sequence_number: Option<String>,
    pub tenant_id: Option<String>,
    pub sk: Option<String>,
    pub reason: String,
}

impl Change {
    /// Of an item that was inserted, its image read as an entry.
    pub fn of_insert(image: Result<EntrySummary, LeftOut>) -> Result<Self, Unreadable> {
        match image {
            Ok(entry) => Ok(Self::Appended(entry)),
            Err(LeftOut::Older) => Ok(Self::Older),
            Err(LeftOut::Unreadable(unreadable)) => Err(unreadable),
        }
    }

    /// Of an item that was changed, its image read as an entry.
    ///
    /// A stream of new images cannot tell what an entry was before; `revalidated_at` can, because an entry gets it once,
    /// on condition that it is INVALID, and nothing of ours changes it afterwards.
    ///
    /// The limit of it: a revalidated entry that somebody changes by hand counts as revalidated once more. Nothing in
    /// the image tells the two changes apart exactly (the time of the record is coarse, and clocks differ); an image of
    /// before would, and a marker per entry would at two more write units and a place in the transaction each.
    pub fn of_modify(image: Result<EntrySummary, LeftOut>) -> Result<Self, Unreadable> {
        match image {
            Ok(entry) if entry.verdict == Verdict::Ready && entry.is_revalidated => Ok(Self::Revalidated(entry)),
            Ok(_) | Err(LeftOut::Older) => Ok(Self::UnexpectedModify),
            Err(LeftOut::Unreadable(unreadable)) => Err(unreadable),
        }
    }
}
