//! One event as a producer sent it: how its body is read, which rules it keeps, and what its content is.

pub mod content;
pub mod envelope;
pub mod failure;
pub mod ids;
pub mod json;
pub mod pointer;
pub mod schema;
pub mod timestamp;
