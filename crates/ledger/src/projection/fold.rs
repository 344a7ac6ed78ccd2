//! What a read model is: a name, a version, and a fold of the facts that the ledger's changes are.

use crate::projection::{
    keys::ModelKey,
    summary::{EntrySummary, Verdict},
    sums::{Changes, Sums},
};

/// Items and attributes that one fact touches at most in one read model.
pub const ITEMS_PER_FACT_MAX: usize = 4;
pub const ATTRIBUTES_PER_FACT_MAX: usize = 16;
/// Bytes of a suffix at most.
pub const SUFFIX_BYTES_MAX: usize = 64;

/// A read model.
///
/// Its fold keeps these laws, which one test holds for every model of `ALL`:
/// - order and grouping of facts do not matter, because it adds and does nothing else;
/// - an entry appended as INVALID and revalidated gives what the same entry gives when it is appended as it stands;
/// - it reads the fact alone: no clock, no schemas, nothing of this build;
/// - it never panics, whatever image the table holds;
/// - attributes and suffixes are of a bounded alphabet, so that no producer can make an item grow.
#[derive(Clone, Copy, Debug)]
pub struct Projection {
    pub name: &'static str,
    /// Another fold is another version, which is filled beside the old one.
    pub version: u32,
    pub fold: fn(&Fact<'_>, &mut Changes<'_>),
}

/// One change of the ledger that counts.
#[derive(Clone, Copy, Debug)]
pub enum Fact<'e> {
    Appended(&'e EntrySummary),
    /// An INVALID entry became READY.
    Revalidated(&'e EntrySummary),
}

impl Projection {
    /// The name under which its items and its `since` are stored.
    pub fn id(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// Adds what a fact changes.
    pub fn add(&self, fact: &Fact<'_>, sums: &mut Sums) {
        let entry = fact.entry();
        let key = ModelKey {
            tenant_id: entry.key.tenant_id.clone(),
            model: self.id(),
            day: entry.day(),
            suffix: String::new(),
        };
        (self.fold)(fact, &mut Changes::new(sums, key));
    }
}

impl<'e> Fact<'e> {
    pub fn entry(&self) -> &'e EntrySummary {
        match self {
            Self::Appended(entry) | Self::Revalidated(entry) => entry,
        }
    }

    /// How many entries with this verdict there are more: 1, 0, or -1 for the INVALID one that became READY.
    ///
    /// A sum of what is multiplied by it keeps the law of revalidation.
    pub fn change_of(&self, verdict: Verdict) -> i64 {
        match (self, verdict) {
            (Self::Appended(entry), _) => i64::from(entry.verdict == verdict),
            (Self::Revalidated(_), Verdict::Ready) => 1,
            (Self::Revalidated(_), Verdict::Invalid) => -1,
        }
    }
}
