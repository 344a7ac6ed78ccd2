//! The command `local`: its arguments, a run, the traffic it sends and the report it prints.

pub mod arguments;
mod report;
pub mod run;
pub mod traffic;
