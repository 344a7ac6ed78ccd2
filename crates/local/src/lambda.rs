//! Lambda: functions and their invocation, in this process or as real binaries, and the mappings and the
//! schedule that invoke them.

pub(crate) mod api;
pub mod function;
pub mod functions;
pub mod invocation;
pub(crate) mod listing;
pub(crate) mod mappings;
pub mod process;
pub mod runtime_api;
pub mod schedule;
