//! The processor Lambda: judges each message of an SQS batch and records it once in the ledger.

pub mod config;
mod event;
pub mod handler;
pub mod process;
mod telemetry;

pub use config::Config;
pub use event::{BatchItemFailure, PartialBatchResponse, SqsEvent};
pub use handler::Processor;
