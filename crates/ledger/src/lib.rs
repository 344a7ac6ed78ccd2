//! The domain of the event ledger: what a message is, how it is judged, what is written down for it and under which
//! key, and the ports through which that reaches a database. Everything here is pure: no AWS, no runtime, no clock, no
//! environment, no I/O, so that the Lambdas, the local cloud and the tests decide with the same code.

pub mod alert;
pub mod content;
pub mod entry;
pub mod envelope;
pub mod failure;
pub mod ids;
pub mod item;
pub mod json;
pub mod judge;
pub mod metric;
pub mod metric_tenants;
pub mod names;
pub mod number;
pub mod ports;
pub mod projection;
pub mod projection_keys;
pub mod projection_ports;
pub mod schema;
pub mod timestamp;

pub use content::ContentHash;
pub use entry::{Body, Claim, Entry, EntryKey, RawBody, Status, StoredClaim};
pub use envelope::Message;
pub use failure::{Failure, FailureClass, Violation};
pub use ids::{ClaimKey, EventId, TenantId};
pub use item::{Attribute, Item};
pub use judge::{Judged, judge};
pub use timestamp::Timestamp;
