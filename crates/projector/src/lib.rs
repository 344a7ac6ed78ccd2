//! The projector Lambda: follows the ledger's stream, keeps exact counts, puts metrics, and alerts on INVALID entries.

pub mod config;
pub mod event;
pub mod handler;
pub mod project;
pub mod record;
mod telemetry;

pub use config::Config;
pub use event::{StreamEvent, StreamResponse};
pub use handler::Projector;
pub use project::{Batch, Outcome, Ports, Report, Settings, project};
pub use record::{Change, Record, UnreadableRecord};
