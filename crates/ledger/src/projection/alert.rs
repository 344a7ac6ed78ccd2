//! Alerts on INVALID entries (G10). The transaction that counts an entry notes it for its tenant ([`pending`]); the
//! notifier announces what is noted, at most so many messages in a window ([`window`]), in words ([`message`]). So nothing
//! that is counted goes unannounced, and neither SNS nor any tenant can hold the counts, or another tenant's alert, back.

pub mod message;
pub mod pending;
pub mod window;

pub use message::{ALERTS_COMMAND, AlertMessage, AttributeValue, Origin, explain_command, message_attribute};
pub use pending::{Note, Pending};
pub use window::{
    ALERTS_PER_WINDOW_MAX, Announcement, DIGEST_TENANTS_MAX, DIGESTS_PER_WINDOW_MAX, Notifier, TENANTS_PER_WINDOW_MAX,
    Waiting,
};
