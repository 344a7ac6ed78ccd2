//! The rows the ledger appends: entries, and the claims that make them unique; and the verdict that turns a message into
//! an entry. Attribute names, keys and sizes are decided here and nowhere else.

pub mod attribute;
mod claim;
mod judge;
mod key;
mod row;

pub use claim::{Claim, StoredClaim, claim_key_item};
pub use judge::{Judged, judge};
pub use key::EntryKey;
pub use row::{Body, COMPARED, Entry, RAW_BYTES_MAX, RawBody, Status, stored_content};
