//! Tables that fail on purpose, as AWS does: before the work, after it, or for single statements. Every call is noted.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ledger::{
    Item,
    item::item_bytes,
    ports::{Found, Inserted, Refusal, Table, Tables},
};

use crate::clock::ManualClock;

/// How one call goes wrong.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The request is refused; nothing is done.
    Refused(Refusal),
    /// The request is done, and its answer is lost.
    AnswerLost,
    /// Some statements (or keys) are refused (or left unprocessed); the others are done.
    Some(Vec<usize>, Refusal),
    /// Some statements are done and yet reported as failed.
    SomeAnswersLost(Vec<usize>),
    /// The call takes this long, and is done.
    Slow(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Insert,
    Read,
}

/// One call that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    pub operation: Operation,
    pub table: Table,
    pub count: usize,
}

pub struct FaultyTables<'t, T> {
    tables: &'t T,
    clock: &'t ManualClock,
    /// The fault of each coming call to a table, by operation; used up from the front.
    plan: Mutex<Vec<(Operation, Table, Fault)>>,
    calls: Mutex<Vec<Call>>,
    /// What a call without a planned fault takes for each KiB of items that it carries or brings back.
    ms_per_kib: u64,
}

impl<'t, T: Tables> FaultyTables<'t, T> {
    pub fn new(tables: &'t T, clock: &'t ManualClock) -> Self {
        Self { tables, clock, plan: Mutex::default(), calls: Mutex::default(), ms_per_kib: 0 }
    }

    /// Lets calls take time by their size.
    pub fn with_pace(self, ms_per_kib: u64) -> Self {
        Self { ms_per_kib, ..self }
    }

    /// Lets the time pass that a call with these items takes, or that there is for it.
    fn take_time<'i>(&self, items: impl Iterator<Item = &'i Item>, budget_ms: u64) -> Result<(), Refusal> {
        let ms = items.map(item_bytes).sum::<usize>() as u64 * self.ms_per_kib / 1024;
        self.clock.advance_ms(ms.min(budget_ms));
        if ms > budget_ms { Err(Refusal::transient("Deadline")) } else { Ok(()) }
    }

    /// Lets the next call of this kind that has no fault planned yet go wrong.
    pub fn plan(&self, operation: Operation, table: Table, fault: Fault) {
        lock(&self.plan).push((operation, table, fault));
    }

    /// The same, `times` calls in a row.
    pub fn plan_times(&self, operation: Operation, table: Table, fault: &Fault, times: usize) {
        for _ in 0..times {
            self.plan(operation, table, fault.clone());
        }
    }

    pub fn calls(&self) -> Vec<Call> {
        lock(&self.calls).clone()
    }

    fn begin(&self, operation: Operation, table: Table, count: usize) -> Option<Fault> {
        lock(&self.calls).push(Call { operation, table, count });
        let mut plan = lock(&self.plan);
        let at = plan.iter().position(|(o, t, _)| *o == operation && *t == table)?;
        Some(plan.remove(at).2)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Tables> Tables for FaultyTables<'_, T> {
    async fn insert(&self, table: Table, items: Vec<Item>, budget_ms: u64) -> Result<Vec<Inserted>, Refusal> {
        match self.begin(Operation::Insert, table, items.len()) {
            None => {
                self.take_time(items.iter(), budget_ms)?;
                self.tables.insert(table, items, budget_ms).await
            }
            Some(Fault::Refused(refusal)) => Err(refusal),
            Some(Fault::AnswerLost) => {
                self.tables.insert(table, items, budget_ms).await?;
                Err(Refusal::transient("Timeout"))
            }
            Some(Fault::Slow(ms)) => {
                self.clock.advance_ms(ms);
                if ms > budget_ms {
                    Err(Refusal::transient("Deadline"))
                } else {
                    self.tables.insert(table, items, budget_ms).await
                }
            }
            Some(Fault::SomeAnswersLost(lost)) => {
                let mut answers = self.tables.insert(table, items, budget_ms).await?;
                for at in lost {
                    answers[at] = Inserted::Refused(Refusal::transient("InternalServerError"));
                }
                Ok(answers)
            }
            Some(Fault::Some(refused, refusal)) => {
                let (mut kept, mut places) = (Vec::new(), Vec::new());
                let mut answers = vec![Inserted::Refused(refusal); items.len()];
                for (at, item) in items.into_iter().enumerate().filter(|(at, _)| !refused.contains(at)) {
                    places.push(at);
                    kept.push(item);
                }
                if !kept.is_empty() {
                    let done = self.tables.insert(table, kept, budget_ms).await?;
                    places.into_iter().zip(done).for_each(|(at, answer)| answers[at] = answer);
                }
                Ok(answers)
            }
        }
    }

    async fn read(&self, table: Table, keys: Vec<Item>, budget_ms: u64) -> Result<Vec<Found>, Refusal> {
        match self.begin(Operation::Read, table, keys.len()) {
            None => {
                let found = self.tables.read(table, keys, budget_ms).await?;
                let items = found.iter().filter_map(|found| match found {
                    Found::Item(item) => Some(item),
                    Found::Absent | Found::Unprocessed => None,
                });
                self.take_time(items, budget_ms)?;
                Ok(found)
            }
            Some(Fault::Refused(refusal)) => Err(refusal),
            Some(Fault::AnswerLost | Fault::SomeAnswersLost(_)) => Err(Refusal::transient("Timeout")),
            Some(Fault::Slow(ms)) => {
                self.clock.advance_ms(ms);
                if ms > budget_ms {
                    Err(Refusal::transient("Deadline"))
                } else {
                    self.tables.read(table, keys, budget_ms).await
                }
            }
            Some(Fault::Some(unprocessed, _)) => {
                let mut found = self.tables.read(table, keys, budget_ms).await?;
                for at in unprocessed {
                    found[at] = Found::Unprocessed;
                }
                Ok(found)
            }
        }
    }
}
