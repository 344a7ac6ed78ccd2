//! The whole pipeline under schedules of faults: producers, queue, processor, tables, stream, projector, topic and
//! metrics in one deterministic world with a virtual clock. A seed decides everything. The processor's `process` and the
//! projector's `project` are the real ones; AWS is `cloudsim`'s, with what goes wrong between. The contract is checked
//! at every step and at the end, when all has come to rest.
//!
//! What it does not model: the code that speaks to AWS (the contract suites and the tests at the HTTP client do that),
//! memory, the size of requests, several days of stream retention, clocks of instances that differ.

mod attempt;
mod books;
mod fault;
mod line;
mod recipe;
mod scenario;
mod stream;
mod world;

pub use attempt::{Broken, attempt, check, shrink};
pub use fault::Fault;
pub use recipe::TENANTS;
pub use scenario::{Cuts, Regime, Scenario};
pub use world::{Ending, Totals, View};
