//! What the Lambdas need from the world: as few calls as they really make, each answered without interpretation. The
//! AWS adapters and the in-memory model implement them; what an answer means is decided by the caller.

use std::{borrow::Cow, future::Future};

use crate::{
    projection::{
        alert::AlertMessage,
        keys::ProjectionKey,
        metric::Datum,
        update::{Transacted, Transaction, Update, Updated},
    },
    storage::item::Item,
};

/// The tables the processor appends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// The idempotency table.
    Claims,
    /// The ledger.
    Entries,
}

/// Why AWS did not do as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The item or the request itself is at fault: trying again cannot help.
    Content,
    /// Anything else, throttling and unknown codes included. It may even have been done, and the answer lost.
    Transient { code: Cow<'static, str> },
}

impl Refusal {
    pub fn transient(code: &'static str) -> Self {
        Self::Transient { code: Cow::Borrowed(code) }
    }

    /// AWS's code, or the name of what kept the call from it.
    pub fn code(&self) -> Cow<'static, str> {
        match self {
            Self::Content => Cow::Borrowed("ValidationException"),
            Self::Transient { code } => code.clone(),
        }
    }
}

/// The answer to one insert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inserted {
    Done,
    /// An item with this key is there already. Which one is not said.
    Exists,
    Refused(Refusal),
}

/// The answer for one key that was read.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    Item(Item),
    Absent,
    /// DynamoDB did not get to it.
    Unprocessed,
}

impl Found {
    /// The item, if there is one that is known.
    pub fn into_item(self) -> Option<Item> {
        match self {
            Self::Item(item) => Some(item),
            Self::Absent | Self::Unprocessed => None,
        }
    }
}

/// Appending to the two tables of the processor, which can neither overwrite nor delete.
pub trait Tables: Sync {
    /// One request of up to 25 inserts with different keys; each succeeds or fails alone.
    ///
    /// Answers in the order of `items`, within `budget_ms`. An error is one of the request: nothing is known of any
    /// of its items.
    fn insert(
        &self,
        table: Table,
        items: Vec<Item>,
        budget_ms: u64,
    ) -> impl Future<Output = Result<Vec<Inserted>, Refusal>> + Send;

    /// One consistent read of up to 100 different keys; of an entry what is `entry::COMPARED`. Answers in the order of
    /// `keys`, within `budget_ms`.
    fn read(
        &self,
        table: Table,
        keys: Vec<Item>,
        budget_ms: u64,
    ) -> impl Future<Output = Result<Vec<Found>, Refusal>> + Send;
}

/// One page of a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// In the order of their sort keys.
    pub items: Vec<Item>,
    /// The sort key after which the next page begins; absent with the last page.
    pub next: Option<String>,
}

/// The projections table.
pub trait ProjectionsTable: Sync {
    /// One consistent read of up to 100 different keys. Answers in the order of `keys`, within `budget_ms`.
    fn read(
        &self,
        keys: Vec<ProjectionKey>,
        budget_ms: u64,
    ) -> impl Future<Output = Result<Vec<Found>, Refusal>> + Send;

    /// One page of a partition's items, read consistently, from the sort key after `after`, or from the first.
    fn query(
        &self,
        pk: String,
        after: Option<String>,
        budget_ms: u64,
    ) -> impl Future<Output = Result<Page, Refusal>> + Send;

    fn update(&self, update: Update, budget_ms: u64) -> impl Future<Output = Result<Updated, Refusal>> + Send;

    /// Makes all writes of a transaction, or none of them.
    fn transact(
        &self,
        transaction: Transaction,
        budget_ms: u64,
    ) -> impl Future<Output = Result<Transacted, Refusal>> + Send;
}

/// The topic people subscribe to.
pub trait Alerts: Sync {
    fn publish(&self, message: AlertMessage, budget_ms: u64) -> impl Future<Output = Result<(), Refusal>> + Send;
}

/// The metric store.
pub trait Metrics: Sync {
    /// Puts up to `metric::DATA_PER_CALL_MAX` data, all or none.
    fn put(&self, data: Vec<Datum>, budget_ms: u64) -> impl Future<Output = Result<(), Refusal>> + Send;
}

/// Time and chance, which nothing in this crate may take from anywhere else.
pub trait Clock: Sync {
    /// Milliseconds since the epoch.
    fn now_ms(&self) -> u64;

    fn sleep_ms(&self, ms: u64) -> impl Future<Output = ()> + Send;

    /// A random number below `bound`, which is not zero.
    fn random_below(&self, bound: u64) -> u64;
}
