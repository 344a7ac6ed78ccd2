//! The domain of the event ledger: what a message is, how it is judged, what is written down for it and under which
//! key, and the ports through which that reaches a database. Everything here is pure: no AWS, no runtime, no clock, no
//! environment, no I/O, so that the Lambdas, the local cloud and the tests decide with the same code.
//!
//! Modules rest on each other in one order: `storage`, `event`, `entry`, `projection`, `ports`, `retry`, `names`.

pub mod entry;
pub mod event;
pub mod names;
pub mod ports;
pub mod projection;
pub mod retry;
pub mod storage;

pub use entry::{Body, Claim, Entry, EntryKey, Judged, RawBody, Status, StoredClaim, judge};
pub use event::{
    content::{self, ContentHash},
    envelope::{self, Message},
    failure::{self, Failure, FailureClass, Violation},
    ids::{self, ClaimKey, EventId, TenantId},
    json, schema,
    timestamp::{self, Timestamp},
};
pub use projection::{alert, metric, metric_tenants};
pub use storage::{
    item::{self, Attribute, Item},
    number,
};
