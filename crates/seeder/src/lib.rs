//! The seeder Lambda: publishes samples of the schemas' examples to the queue, on demand.

pub mod config;
pub mod handler;
pub mod samples;

pub use config::Config;
pub use handler::{Response, Seeder};
pub use samples::Request;
