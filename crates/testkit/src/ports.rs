//! All ports of the Lambdas as one stub: each call is a value that waits for its answer, so the code under test runs
//! from one call to the next and no further. Who answers decides what happens between any two calls: the simulation, or
//! a [`Driver`] with a plan of faults.

mod driver;

use std::{
    collections::BTreeSet,
    future::{Future, poll_fn},
    ops::ControlFlow,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use clap::ValueEnum;
pub use driver::{Aws, Driver, PROJECTION_BYTES_MAX, ProjectorAws};
use ledger::{
    Item,
    alert::AlertMessage,
    item::item_bytes,
    metric::{DATA_PER_CALL_MAX, Datum, VALUES_PER_DATUM_MAX},
    ports::{Alerts, Clock, Found, Inserted, Metrics, Page, ProjectionsTable, Refusal, Table, Tables},
    projection::{
        keys::ProjectionKey,
        update::{Cancellation, Transacted, Transaction, Update, Updated},
    },
};
use strum::{Display, VariantArray};

/// What can go wrong.
#[derive(Clone, Copy, Debug, Display, ValueEnum, VariantArray, PartialEq, Eq)]
#[value(rename_all = "PascalCase")]
pub enum Fault {
    /// The function dies before the call leaves.
    CrashBefore,
    /// The call is made, and the function dies before the answer.
    CrashAfter,
    /// The request is refused.
    Refused,
    /// The request is refused as if its content were at fault; only where it holds several statements.
    RefusedAsContent,
    /// Some statements, keys or writes are refused.
    SomeRefused,
    /// The call is made, and its answer is lost.
    AnswerLost,
    /// The same, for some statements.
    SomeAnswersLost,
    /// The answer is a timeout, and the call is made some time later.
    Delayed,
    /// Nothing is done, and nothing is said for as long as one waits.
    Hangs,
    /// The call takes most of its time.
    Slow,
    /// The call is made, and the function stands still, past its own deadline perhaps.
    Stalls,
    /// The batch is delivered twice at the same time.
    Twin,
    /// Lambda refuses the invocation.
    Throttled,
    /// The function starts anew, and its warm-up fails.
    ColdStart,
}

/// The kinds of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Insert(Table),
    Read(Table),
    ReadProjections,
    Query,
    Update,
    Transact,
    Publish,
    Put,
    Sleep,
}

/// One call of a port.
#[derive(Clone, Debug)]
pub enum Call {
    Insert(Table, Vec<Item>),
    Read(Table, Vec<Item>),
    ReadProjections(Vec<ProjectionKey>),
    Query { pk: String, after: Option<String> },
    Update(Update),
    Transact(Transaction),
    Publish(AlertMessage),
    Put(Vec<Datum>),
    Sleep,
}

/// The answer to a call; each kind of call has its own.
#[derive(Clone, Debug)]
pub enum Answer {
    Inserted(Result<Vec<Inserted>, Refusal>),
    Found(Result<Vec<Found>, Refusal>),
    Page(Result<Page, Refusal>),
    Updated(Result<Updated, Refusal>),
    Transacted(Result<Transacted, Refusal>),
    Done(Result<(), Refusal>),
}

impl Call {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Insert(table, _) => Kind::Insert(*table),
            Self::Read(table, _) => Kind::Read(*table),
            Self::ReadProjections(_) => Kind::ReadProjections,
            Self::Query { .. } => Kind::Query,
            Self::Update(_) => Kind::Update,
            Self::Transact(_) => Kind::Transact,
            Self::Publish(_) => Kind::Publish,
            Self::Put(_) => Kind::Put,
            Self::Sleep => Kind::Sleep,
        }
    }

    /// How many parts of the call can be refused one by one.
    pub fn parts(&self) -> usize {
        match self {
            Self::Insert(_, items) | Self::Read(_, items) => items.len(),
            Self::ReadProjections(keys) => keys.len(),
            Self::Transact(transaction) => transaction.writes.len(),
            Self::Query { .. } | Self::Update(_) | Self::Publish(_) | Self::Put(_) | Self::Sleep => 1,
        }
    }

    /// This call, answered with an error.
    pub fn refused(&self, refusal: Refusal) -> Answer {
        match self {
            Self::Insert(..) => Answer::Inserted(Err(refusal)),
            Self::Read(..) | Self::ReadProjections(_) => Answer::Found(Err(refusal)),
            Self::Query { .. } => Answer::Page(Err(refusal)),
            Self::Update(_) => Answer::Updated(Err(refusal)),
            Self::Transact(_) => Answer::Transacted(Err(refusal)),
            Self::Publish(_) | Self::Put(_) | Self::Sleep => Answer::Done(Err(refusal)),
        }
    }

    /// Bytes of the items that an insert carries.
    pub fn item_bytes(&self) -> usize {
        match self {
            Self::Insert(_, items) => items.iter().map(item_bytes).sum(),
            _ => 0,
        }
    }

    /// For traces.
    pub fn name(&self) -> String {
        match self {
            Self::Insert(table, items) => format!("insert {} {table:?}", items.len()),
            Self::Read(table, keys) => format!("read {} {table:?}", keys.len()),
            Self::ReadProjections(keys) => format!("read {} projections", keys.len()),
            Self::Query { pk, after } => format!("query {pk} after {after:?}"),
            Self::Update(update) => format!("update {}", update.key.sk),
            Self::Transact(transaction) => format!("transact {} under {}", transaction.writes.len(), transaction.token),
            Self::Publish(message) => format!("publish {:?}", message.subject),
            Self::Put(data) => format!("put {} data", data.len()),
            Self::Sleep => "sleep".to_owned(),
        }
    }

    /// Makes a call that goes wrong for some of its parts: they are refused, or they are done and reported as refused.
    pub async fn make_partly(
        self,
        parts: &BTreeSet<usize>,
        are_done: bool,
        refusal: Refusal,
        make: impl AsyncFnOnce(Self) -> Answer,
    ) -> Answer {
        match self {
            Self::Insert(table, items) => {
                let mut answers = vec![Inserted::Refused(refusal); items.len()];
                let made = items.into_iter().enumerate().filter(|(at, _)| are_done || !parts.contains(at));
                let (places, items): (Vec<usize>, Vec<Item>) = made.unzip();
                if !items.is_empty() {
                    let answer = make(Self::Insert(table, items)).await;
                    let Answer::Inserted(Ok(made)) = answer else { return answer };
                    let reported = places.into_iter().zip(made).filter(|(at, _)| !parts.contains(at));
                    reported.for_each(|(at, answer)| answers[at] = answer);
                }
                Answer::Inserted(Ok(answers))
            }
            Self::Read(..) | Self::ReadProjections(_) => {
                let mut answer = make(self).await;
                if let Answer::Found(Ok(found)) = &mut answer {
                    parts.iter().for_each(|&at| found[at] = Found::Unprocessed);
                }
                answer
            }
            Self::Transact(transaction) if !are_done => {
                let reason = |at| if parts.contains(&at) { Cancellation::Busy } else { Cancellation::None };
                Answer::Transacted(Ok(Transacted::Cancelled((0..transaction.writes.len()).map(reason).collect())))
            }
            call => {
                let refused = call.refused(refusal);
                if are_done {
                    make(call).await;
                }
                refused
            }
        }
    }
}

impl Answer {
    /// Bytes of the items that a read brings back.
    pub fn item_bytes(&self) -> usize {
        let bytes = |found: &Found| match found {
            Found::Item(item) => item_bytes(item),
            Found::Absent | Found::Unprocessed => 0,
        };
        match self {
            Self::Found(Ok(found)) => found.iter().map(bytes).sum(),
            Self::Page(Ok(page)) => page.items.iter().map(item_bytes).sum(),
            _ => 0,
        }
    }
}

/// The ports of one invocation. Its clock stands still between two calls.
#[derive(Clone, Default)]
pub struct PortStub(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    now_ms: u64,
    /// What the invocation waits for, and how long it wants to.
    request: Option<(Call, u64)>,
    answer: Option<Answer>,
    /// Where there is none, every pause is the longest there can be, and every token is one more than the last.
    random: Option<fastrand::Rng>,
    token: u64,
}

impl PortStub {
    pub fn with_seed(seed: u64) -> Self {
        let stub = Self::default();
        stub.state().random = Some(fastrand::Rng::with_seed(seed));
        stub
    }

    pub fn of_processor(&self) -> processor::process::Ports<Self, Self> {
        processor::process::Ports { tables: self.clone(), clock: self.clone() }
    }

    pub fn of_projector(&self) -> projector::Ports<Self, Self, Self, Self> {
        projector::Ports { projections: self.clone(), alerts: self.clone(), metrics: self.clone(), clock: self.clone() }
    }

    /// Lets the code of the invocation run to its next call, with the time it may take, or to its end.
    pub fn step<F: Future + ?Sized>(&self, code: Pin<&mut F>, now_ms: u64) -> ControlFlow<F::Output, (Call, u64)> {
        self.state().now_ms = now_ms;
        match code.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => ControlFlow::Break(output),
            Poll::Pending => ControlFlow::Continue(self.state().request.take().expect("only a call waits")),
        }
    }

    /// Answers the call that the code waits for, once it is stepped again.
    pub fn answer(&self, answer: Answer) {
        self.state().answer = Some(answer);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn call(&self, call: Call, budget_ms: u64) -> Answer {
        let before = self.state().request.replace((call, budget_ms));
        assert!(before.is_none(), "an invocation makes one call at a time");
        poll_fn(|_| self.state().answer.take().map_or(Poll::Pending, Poll::Ready)).await
    }
}

/// Makes the call and takes the answer of its kind.
macro_rules! call {
    ($stub:expr, $call:expr, $budget_ms:expr, $kind:ident) => {
        match $stub.call($call, $budget_ms).await {
            Answer::$kind(answer) => answer,
            other => unreachable!("a call is answered in kind, not with {other:?}"),
        }
    };
}

impl Tables for PortStub {
    async fn insert(&self, table: Table, items: Vec<Item>, budget_ms: u64) -> Result<Vec<Inserted>, Refusal> {
        call!(self, Call::Insert(table, items), budget_ms, Inserted)
    }

    async fn read(&self, table: Table, keys: Vec<Item>, budget_ms: u64) -> Result<Vec<Found>, Refusal> {
        call!(self, Call::Read(table, keys), budget_ms, Found)
    }
}

impl ProjectionsTable for PortStub {
    async fn read(&self, keys: Vec<ProjectionKey>, budget_ms: u64) -> Result<Vec<Found>, Refusal> {
        call!(self, Call::ReadProjections(keys), budget_ms, Found)
    }

    async fn query(&self, pk: String, after: Option<String>, budget_ms: u64) -> Result<Page, Refusal> {
        call!(self, Call::Query { pk, after }, budget_ms, Page)
    }

    async fn update(&self, update: Update, budget_ms: u64) -> Result<Updated, Refusal> {
        call!(self, Call::Update(update), budget_ms, Updated)
    }

    async fn transact(&self, transaction: Transaction, budget_ms: u64) -> Result<Transacted, Refusal> {
        call!(self, Call::Transact(transaction), budget_ms, Transacted)
    }
}

impl Alerts for PortStub {
    async fn publish(&self, message: AlertMessage, budget_ms: u64) -> Result<(), Refusal> {
        call!(self, Call::Publish(message), budget_ms, Done)
    }
}

impl Metrics for PortStub {
    async fn put(&self, data: Vec<Datum>, budget_ms: u64) -> Result<(), Refusal> {
        assert!(data.len() <= DATA_PER_CALL_MAX);
        assert!(data.iter().all(|datum| datum.sample.values.len() <= VALUES_PER_DATUM_MAX));
        call!(self, Call::Put(data), budget_ms, Done)
    }
}

impl Clock for PortStub {
    fn now_ms(&self) -> u64 {
        self.state().now_ms
    }

    async fn sleep_ms(&self, ms: u64) {
        let _ = self.call(Call::Sleep, ms).await;
    }

    fn random_below(&self, bound: u64) -> u64 {
        let state = &mut *self.state();
        match &mut state.random {
            Some(random) => random.u64(..bound),
            // No pause has such a bound.
            None if bound == u64::MAX => {
                state.token += 1;
                state.token
            }
            None => bound.saturating_sub(1),
        }
    }
}

/// The output of a future that waits for nothing, as the tables in memory make them.
pub fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("it waits for nothing"),
    }
}
