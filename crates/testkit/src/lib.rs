//! What tests share: a clock that is set by hand, a wrapper that makes tables fail as AWS does, messages and bodies to
//! feed them, and the contract suite of the processor, which runs on every implementation of its port. Only ever a
//! development dependency.

pub mod bodies;
pub mod clock;
pub mod contract;
pub mod faults;
