//! The projector's world in memory: its table, topic, metric store, failures queue and clock, with every call counted
//! and every limit asserted. A schedule of faults decides what happens at each call; a crash is a call that never
//! answers.

use std::{
    collections::BTreeMap,
    future::{Future, pending, poll_fn},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use cloudsim::projections::MemoryProjections;
use ledger::{
    alert::{AlertMessage, Windows},
    metric::{DATA_PER_CALL_MAX, Datum, VALUES_PER_DATUM_MAX},
    ports::{Alerts, Clock, Failures, Found, Metrics, Projections, Refusal},
    projection::{
        Projection,
        keys::ProjectionKey,
        update::{Cancellation, Transacted, Update, Updated},
    },
};
use projector::{Batch, Report, Services, Settings};

/// No item may be larger, whatever tenants send.
pub const ITEM_BYTES_MAX: usize = 10 * 1024;
/// What a call takes that is answered.
const CALL_MS: u64 = 5;

/// What happens at one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Nothing is done, and it is said.
    Refused,
    /// It is done, and an error is said.
    AnswerLost,
    /// A transaction meets another one; any other call is refused.
    Busy,
    /// Nothing is done, and nothing is said for as long as one waits.
    Hangs,
    CrashBefore,
    CrashAfter,
}

#[derive(Default)]
pub struct State {
    pub table: MemoryProjections,
    pub alerts: Vec<(u64, AlertMessage)>,
    pub puts: Vec<Vec<Datum>>,
    pub failures: Vec<String>,
    pub now_ms: u64,
    pub calls: usize,
    /// The same by port and method.
    pub calls_of: BTreeMap<&'static str, usize>,
    /// By call, counted from 0; later calls have none.
    pub faults: Vec<Fault>,
    /// What happens at every call of a kind, whatever `faults` say.
    pub outages: BTreeMap<&'static str, Fault>,
    /// How often another shard still writes the alert windows just before this one does.
    pub rivals: usize,
    /// Every call waits for its turn.
    is_stepped: bool,
    random: Random,
}

#[derive(Clone, Default)]
pub struct World(Arc<Mutex<State>>);

impl World {
    pub fn at(now_ms: u64) -> Self {
        let world = Self::default();
        world.state().now_ms = now_ms;
        world
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Runs one invocation; `None` if it crashed.
    pub fn invoke(&self, settings: &Settings, batch: Batch, timeout_ms: u64) -> Option<Report> {
        let services = self.services();
        let deadline_ms = self.state().now_ms + timeout_ms;
        let mut invocation = pin!(services.project(settings, batch, deadline_ms));
        // Every call of this world answers at once, or never.
        let answer = match invocation.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(report) => Some(report),
            Poll::Pending => None,
        };
        assert!(self.state().now_ms <= deadline_ms, "G12: an answer comes before the deadline");
        answer
    }

    /// The counts as they stand in the table.
    pub fn projection(&self) -> Projection {
        self.state().table.projection()
    }

    /// Runs invocations at the same time: `turns` says which of them makes the next call.
    pub fn race(&self, settings: &Settings, batches: Vec<Batch>, timeout_ms: u64, turns: &[usize]) -> Vec<Report> {
        self.state().is_stepped = true;
        let services = self.services();
        let deadline_ms = self.state().now_ms + timeout_ms;
        let mut running: Vec<_> =
            batches.into_iter().map(|batch| Box::pin(services.project(settings, batch, deadline_ms))).collect();
        let mut reports = Vec::new();
        let mut turns = turns.iter().cycle();
        while !running.is_empty() {
            let turn = turns.next().unwrap_or(&0) % running.len();
            if let Poll::Ready(report) = running[turn].as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                reports.push(report);
                drop(running.swap_remove(turn));
            }
        }
        self.state().is_stepped = false;
        reports
    }

    fn services(&self) -> Services<Self, Self, Self, Self, Self> {
        Services {
            projections: self.clone(),
            alerts: self.clone(),
            metrics: self.clone(),
            failures: self.clone(),
            clock: self.clone(),
        }
    }

    async fn turn(&self) {
        let mut has_waited = !self.state().is_stepped;
        poll_fn(|_| if std::mem::replace(&mut has_waited, true) { Poll::Ready(()) } else { Poll::Pending }).await;
    }

    /// Makes one call under its fault.
    async fn call<T>(
        &self,
        kind: &'static str,
        budget_ms: u64,
        act: impl FnOnce(&mut State) -> T,
        busy: Option<T>,
    ) -> Result<T, Refusal> {
        self.turn().await;
        let fault = {
            let mut state = self.state();
            let call = state.calls;
            state.calls += 1;
            *state.calls_of.entry(kind).or_default() += 1;
            let by_number = state.faults.get(call).copied().unwrap_or(Fault::None);
            let fault = state.outages.get(kind).copied().unwrap_or(by_number);
            state.now_ms += if fault == Fault::Hangs { budget_ms } else { CALL_MS };
            fault
        };
        match (fault, busy) {
            (Fault::None, _) => Ok(act(&mut self.state())),
            (Fault::Busy, Some(answer)) => Ok(answer),
            (Fault::Refused | Fault::Busy, _) => Err(Refusal::transient("Throttled")),
            (Fault::Hangs, _) => Err(Refusal::transient("Deadline")),
            (Fault::AnswerLost, _) => {
                act(&mut self.state());
                Err(Refusal::transient("Timeout"))
            }
            (Fault::CrashBefore, _) => pending().await,
            (Fault::CrashAfter, _) => {
                act(&mut self.state());
                pending().await
            }
        }
    }
}

impl State {
    fn update(&mut self, update: Update) -> Result<Updated, Refusal> {
        if self.rivals > 0 && update.key == ProjectionKey::alert_windows() {
            self.rivals -= 1;
            let windows = self.table.get(&update.key).map(Windows::from_item).unwrap_or_default();
            let now_ms = self.now_ms;
            assert_eq!(self.written(|table| table.update(windows.to_update(now_ms))), Ok(Updated::Done));
        }
        self.written(|table| table.update(update))
    }

    fn written<T>(&mut self, write: impl FnOnce(&mut MemoryProjections) -> T) -> T {
        let answer = write(&mut self.table);
        assert!(self.table.item_bytes_max <= ITEM_BYTES_MAX, "an item has {} bytes", self.table.item_bytes_max);
        answer
    }
}

impl Projections for World {
    async fn read(&self, keys: Vec<ProjectionKey>, budget_ms: u64) -> Result<Vec<Found>, Refusal> {
        let found = |state: &mut State| state.table.read(&keys);
        self.call("read", budget_ms, found, Some(Ok(vec![Found::Unprocessed; keys.len()]))).await?
    }

    async fn update(&self, update: Update, budget_ms: u64) -> Result<Updated, Refusal> {
        self.call("update", budget_ms, |state| state.update(update), None).await?
    }

    async fn transact(&self, updates: Vec<Update>, budget_ms: u64) -> Result<Transacted, Refusal> {
        let busy = Transacted::Cancelled(vec![Cancellation::Busy; updates.len()]);
        self.call("transact", budget_ms, |state| state.written(|table| table.transact(updates)), Some(Ok(busy))).await?
    }
}

impl Alerts for World {
    async fn publish(&self, message: AlertMessage, budget_ms: u64) -> Result<(), Refusal> {
        self.call("publish", budget_ms, |state| state.alerts.push((state.now_ms, message)), None).await
    }
}

impl Metrics for World {
    async fn put(&self, data: Vec<Datum>, budget_ms: u64) -> Result<(), Refusal> {
        assert!(data.len() <= DATA_PER_CALL_MAX);
        assert!(data.iter().all(|datum| datum.sample.values.len() <= VALUES_PER_DATUM_MAX));
        self.call("put", budget_ms, |state| state.puts.push(data), None).await
    }
}

impl Failures for World {
    async fn send(&self, body: String, budget_ms: u64) -> Result<(), Refusal> {
        assert!(body.len() <= 262_144);
        self.call("send", budget_ms, |state| state.failures.push(body), None).await
    }
}

impl Clock for World {
    fn now_ms(&self) -> u64 {
        self.state().now_ms
    }

    async fn sleep_ms(&self, ms: u64) {
        self.state().now_ms += ms;
    }

    fn random_below(&self, bound: u64) -> u64 {
        self.state().random.below(bound)
    }
}

/// Chance that is the same for the same seed.
#[derive(Clone, Default)]
pub struct Random(u64);

impl Random {
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound` (splitmix64).
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }

    pub fn is_one_of(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    pub fn pick<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.below(of.len() as u64) as usize]
    }
}
