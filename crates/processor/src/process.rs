//! One batch of messages into the ledger: judge, claim, compare, record, answer. Two calls for an undisturbed batch.
//! Every message ends either with a durable outcome or in `Report::failed`, and an answer comes before the deadline
//! (G1, G12). Nothing is kept between batches.

mod batch;
mod calls;
mod claim;
mod plan;
mod record;

use batch::{Batch, is_large};
pub use batch::{Outcome, Report, Settings};
use calls::Calls;
use ledger::{
    Attribute, Item, Message,
    entry::attribute,
    ports::{Clock, Table, Tables},
    retry::Deadline,
};
use tracing::warn;

/// Longest time the warm-up may add to a cold start.
const WARM_UP_BUDGET_MS: u64 = 1_000;
/// Time kept back from the deadline to answer in, on a small function's share of a CPU.
const ANSWER_MARGIN_MS: u64 = 1_000;
/// The same for a batch with a large body: between two looks at the clock lie the judging, making and signing of one, or
/// the reading and hashing of one that came back, and nothing can interrupt that.
const LARGE_ANSWER_MARGIN_MS: u64 = 2_000;
/// A call is not worth starting with less time than this.
const CALL_BUDGET_MIN_MS: u64 = 100;

/// What the processor works with.
#[derive(Clone, Debug)]
pub struct Ports<T, C> {
    pub tables: T,
    pub clock: C,
}

/// Opens the connection before the first batch needs it: a handshake on a small function's CPU costs the better part of
/// a second, and INIT is boosted.
pub async fn warm_up<T: Tables, C>(ports: &Ports<T, C>) {
    // No claim has this key: theirs hold a separator.
    let absent = Item::from([(attribute::PK.to_owned(), Attribute::S("_warm-up".to_owned()))]);
    if let Err(refusal) = ports.tables.read(Table::Claims, vec![absent], WARM_UP_BUDGET_MS).await {
        warn!(?refusal, "warm-up failed, the first batch opens the connection");
    }
}

/// Processes one batch; `deadline_ms` is when Lambda ends the invocation.
pub async fn process<T: Tables, C: Clock>(
    ports: &Ports<T, C>,
    settings: Settings,
    messages: &[Message],
    deadline_ms: u64,
) -> Report {
    let Ports { tables, clock } = ports;
    let now_ms = clock.now_ms();
    let margin_ms = if messages.iter().any(is_large) { LARGE_ANSWER_MARGIN_MS } else { ANSWER_MARGIN_MS };
    let at_ms = deadline_ms.saturating_sub(margin_ms);
    let calls = Calls { tables, deadline: Deadline { clock, at_ms, call_ms_min: CALL_BUDGET_MIN_MS } };
    let mut batch = Batch::new(settings, messages, now_ms);
    let claims = batch.claim(&calls).await;
    let statements = batch.plan(&claims);
    batch.record(&calls, statements).await;
    batch.report()
}
