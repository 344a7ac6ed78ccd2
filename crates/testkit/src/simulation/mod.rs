//! The whole pipeline under schedules of faults: producers, queue, processor, tables, stream, projector, topic and
//! metrics in one deterministic world with a virtual clock. A seed decides everything. The processor's `process` and the
//! projector's `project` are the real ones; AWS is `cloudsim`'s, with what goes wrong between. The contract is checked
//! at every step and at the end, when all has come to rest. Every minute the schedule invokes the projector's `tick`, as long
//! as anything goes on or an alert is pending.
//!
//! What can go wrong, and where it is drawn:
//!
//! - a call ([`Fault`](crate::ports::Fault)): refused whole, for its content or in parts; done, and its answer lost; done long after it was
//!   given up; never answered; slow; the function dies before or after it, or stands still past its deadline and goes
//!   on;
//! - an invocation: throttled, delivered twice at the same time, a cold start with a failed warm-up;
//! - time: in some schedules bytes take so long that one invocation cannot record a batch of large bodies;
//! - bodies: every class of failure, with event types that have a schema and that have none; duplicates, restamped or
//!   spelled otherwise, and other content under a used id; from a hundred bytes to nearly the queue's limit;
//! - tenants: in some schedules a crowd, whose INVALID entries fill a window of alerts, or one whose items DynamoDB has
//!   split between shards of the stream;
//! - outages of one function, of minutes to more than a day, and the DLQ behind them; of SNS, which refuses or does not
//!   answer, for minutes, for a day, or for good; of CloudWatch;
//! - the stream: order within an item only, shards that split, batches that are repeated, pollers that die;
//! - the projections table: a transaction keeps its items from every other write until it is made; items of a tenant that
//!   are always refused for their content, one by one or with the whole request;
//! - processes of the projector: what one keeps is there for a later invocation, or is lost; clocks that differ by up to
//!   six seconds;
//! - rows: expired, changed or deleted by hand, entries of the Go system, items that are no entry;
//! - deployments in between that change what the index lists, and in some schedules bring a read model or take it back,
//!   while invocations of the deployment before go on.
//!
//! What it leaves out: the code that speaks to AWS (the contract suites and the tests at the HTTP client run that);
//! memory; the time that the projector's bytes take; many bodies of 2 to 16 KiB where bytes take time; throughput, other
//! than as refusals; a queue or stream that forgets what is too old to keep; a child shard that is read beside its
//! parent; redrives from the DLQ and `ledgerctl`; messages without a group or a number; claims of the Go system; clocks
//! of the processor that differ; faults of SQS and of the mappings beyond what Lambda documents; more tenants than a
//! window names; partitions of alerts of more than one page, or so slow that a tick does not read them all; most queries
//! of a tick take no time and do not fail, or ticks would be most of what there is; refused items that are a mark, or of
//! a model with several items a day; process starts of an older deployment after the newer one has begun.

mod attempt;
mod checks;
mod fault;
mod hours;
mod recipe;
mod scenario;
mod stream;
mod world;

pub use attempt::{Broken, attempt, check, shrink};
pub use checks::View;
pub use scenario::{Act, Cuts, Failing, Refused, Regime, Scenario};
pub use world::{Ending, Totals};
