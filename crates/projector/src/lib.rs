//! The projector Lambda: follows the ledger's stream, keeps exact read models, announces INVALID entries,
//! and puts metrics.

pub mod config;
pub mod event;
pub mod handler;
pub mod project;
pub mod record;
mod telemetry;

pub use config::Config;
pub use event::{Input, StreamEvent, StreamResponse};
pub use handler::Projector;
pub use project::{Batch, Kept, Outcome, Ports, Report, Settings, project, tick};
pub use record::{Change, Record, UnreadableRecord};
pub use telemetry::Work;
