//! What tests share: a clock that is set by hand, a wrapper that makes tables fail as AWS does, messages and bodies to
//! feed them, the contract suite of the processor, which runs on every implementation of its port, and the simulation of
//! the whole pipeline under schedules of faults. Only ever a development dependency.

pub mod alerts;
pub mod bodies;
pub mod clock;
pub mod contract;
pub mod dynamodb_json;
pub mod faults;
pub mod memory;
pub mod simulation;
