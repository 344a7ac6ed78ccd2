//! The ports as the code under test sees them: each call goes out on the invocation's line and waits for its answer. One
//! poll of a future runs to the next call and no further, so the world decides what happens between any two of them.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
};

use ledger::{
    Item,
    alert::AlertMessage,
    metric::Datum,
    ports::{Alerts, Clock, Failures, Found, Inserted, Metrics, Projections, Refusal, Table, Tables},
    projection::{
        keys::ProjectionKey,
        update::{Transacted, Update, Updated},
    },
};

/// One call of a port.
#[derive(Clone, Debug)]
pub enum Call {
    Insert(Table, Vec<Item>),
    Read(Table, Vec<Item>),
    ReadProjections(Vec<ProjectionKey>),
    Update(Update),
    Transact(Vec<Update>),
    Publish(AlertMessage),
    Put(Vec<Datum>),
    Send(String),
    Sleep,
}

/// What a call is answered; each call has its own kind.
#[derive(Clone, Debug)]
pub enum Answer {
    Inserted(Result<Vec<Inserted>, Refusal>),
    Found(Result<Vec<Found>, Refusal>),
    Updated(Result<Updated, Refusal>),
    Transacted(Result<Transacted, Refusal>),
    Done(Result<(), Refusal>),
}

impl Call {
    /// This call, answered with an error.
    pub fn refused(&self, refusal: Refusal) -> Answer {
        match self {
            Self::Insert(..) => Answer::Inserted(Err(refusal)),
            Self::Read(..) | Self::ReadProjections(_) => Answer::Found(Err(refusal)),
            Self::Update(_) => Answer::Updated(Err(refusal)),
            Self::Transact(_) => Answer::Transacted(Err(refusal)),
            Self::Publish(_) | Self::Put(_) | Self::Send(_) | Self::Sleep => Answer::Done(Err(refusal)),
        }
    }

    /// For traces.
    pub fn name(&self) -> String {
        match self {
            Self::Insert(table, items) => format!("insert {} {table:?}", items.len()),
            Self::Read(table, keys) => format!("read {} {table:?}", keys.len()),
            Self::ReadProjections(keys) => format!("read {} projections", keys.len()),
            Self::Update(update) => format!("update {}", update.key.sk),
            Self::Transact(updates) => format!("transact {}", updates.len()),
            Self::Publish(message) => format!("publish {:?}", message.subject),
            Self::Put(data) => format!("put {} data", data.len()),
            Self::Send(_) => "send to the failures queue".to_owned(),
            Self::Sleep => "sleep".to_owned(),
        }
    }
}

pub struct State {
    pub now_ms: u64,
    /// What the invocation waits for, and how long it wants to.
    pub request: Option<(Call, u64)>,
    pub answer: Option<Answer>,
    random: fastrand::Rng,
}

/// One invocation's way to the world.
#[derive(Clone)]
pub struct Line(Arc<Mutex<State>>);

impl Line {
    pub fn new(seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self(Arc::new(Mutex::new(State { now_ms: 0, request: None, answer: None, random })))
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn call(&self, call: Call, budget_ms: u64) -> Answer {
        let before = self.state().request.replace((call, budget_ms));
        assert!(before.is_none(), "an invocation makes one call at a time");
        poll_fn(|_| match self.state().answer.take() {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        })
        .await
    }
}

/// Makes the call and takes the answer of its kind.
macro_rules! call {
    ($line:expr, $call:expr, $budget_ms:expr, $kind:ident) => {
        match $line.call($call, $budget_ms).await {
            Answer::$kind(answer) => answer,
            other => unreachable!("the world answers in kind, not {other:?}"),
        }
    };
}

impl Tables for Line {
    async fn insert(&self, table: Table, items: Vec<Item>, budget_ms: u64) -> Result<Vec<Inserted>, Refusal> {
        call!(self, Call::Insert(table, items), budget_ms, Inserted)
    }

    async fn read(&self, table: Table, keys: Vec<Item>, budget_ms: u64) -> Result<Vec<Found>, Refusal> {
        call!(self, Call::Read(table, keys), budget_ms, Found)
    }
}

impl Projections for Line {
    async fn read(&self, keys: Vec<ProjectionKey>, budget_ms: u64) -> Result<Vec<Found>, Refusal> {
        call!(self, Call::ReadProjections(keys), budget_ms, Found)
    }

    async fn update(&self, update: Update, budget_ms: u64) -> Result<Updated, Refusal> {
        call!(self, Call::Update(update), budget_ms, Updated)
    }

    async fn transact(&self, updates: Vec<Update>, budget_ms: u64) -> Result<Transacted, Refusal> {
        call!(self, Call::Transact(updates), budget_ms, Transacted)
    }
}

impl Alerts for Line {
    async fn publish(&self, message: AlertMessage, budget_ms: u64) -> Result<(), Refusal> {
        call!(self, Call::Publish(message), budget_ms, Done)
    }
}

impl Metrics for Line {
    async fn put(&self, data: Vec<Datum>, budget_ms: u64) -> Result<(), Refusal> {
        call!(self, Call::Put(data), budget_ms, Done)
    }
}

impl Failures for Line {
    async fn send(&self, body: String, budget_ms: u64) -> Result<(), Refusal> {
        call!(self, Call::Send(body), budget_ms, Done)
    }
}

impl Clock for Line {
    fn now_ms(&self) -> u64 {
        self.state().now_ms
    }

    async fn sleep_ms(&self, ms: u64) {
        let _ = self.call(Call::Sleep, ms).await;
    }

    fn random_below(&self, bound: u64) -> u64 {
        self.state().random.u64(..bound)
    }
}
