//! What tests share: messages and bodies, the three tables in memory, one stub of all ports with planned faults, the
//! contract suites that run on every implementation of the tables, and the simulation of the whole pipeline under
//! schedules of faults. Only ever a development dependency.

pub mod bodies;
pub mod clause;
pub mod contract;
pub mod dynamodb_json;
pub mod memory;
pub mod ports;
pub mod simulation;
