//! What the projector needs from the world. As in `ports`, one method is one call of AWS, and what its answer means is
//! the caller's to say.

use std::future::Future;

use crate::{
    alert::AlertMessage,
    item::{Attribute, Item},
    metric::Datum,
    ports::{Found, Refusal},
    projection_keys::ProjectionKey,
};

/// Updates DynamoDB takes in one transaction ("TransactWriteItems").
pub const TRANSACTION_UPDATES_MAX: usize = 100;

/// What must hold of an item as it is, for an update to be made.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    Absent(String),
    Equals(String, Attribute),
    AbsentOrAtMost(String, u64),
    AtLeast(String, u64),
}

/// One part of an update.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Set(String, Attribute),
    SetIfAbsent(String, Attribute),
    /// Adds to a number; what is absent is zero.
    Add(String, i64),
}

/// A change of one item, which is created where it is absent. No attribute has two actions.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    pub key: ProjectionKey,
    /// All must hold.
    pub conditions: Vec<Condition>,
    pub actions: Vec<Action>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Updated {
    Done,
    /// A condition does not hold; the item as it is, if there is one.
    ConditionFailed(Option<Item>),
}

/// The answer to a transaction, which is made whole or not at all.
#[derive(Clone, Debug, PartialEq)]
pub enum Transacted {
    Done,
    /// Nothing was written; the reasons in the order of the updates.
    Cancelled(Vec<Cancellation>),
}

/// One update's part in the cancelling of its transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum Cancellation {
    /// It would have been made.
    None,
    ConditionFailed(Option<Item>),
    /// Another request is changing the item, or the table is busy.
    Busy,
    /// The update itself is at fault.
    Content,
}

/// The projections table.
pub trait Projections: Sync {
    /// One consistent read of up to 100 different keys. Answers in the order of `keys`, within `budget_ms`.
    fn read(
        &self,
        keys: Vec<ProjectionKey>,
        budget_ms: u64,
    ) -> impl Future<Output = Result<Vec<Found>, Refusal>> + Send;

    fn update(&self, update: Update, budget_ms: u64) -> impl Future<Output = Result<Updated, Refusal>> + Send;

    /// Makes up to `TRANSACTION_UPDATES_MAX` updates of different items, or none of them.
    fn transact(
        &self,
        updates: Vec<Update>,
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

/// The queue of what could not be projected.
pub trait Failures: Sync {
    fn send(&self, body: String, budget_ms: u64) -> impl Future<Output = Result<(), Refusal>> + Send;
}
