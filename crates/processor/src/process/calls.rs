//! The calls of one invocation: requests of the sizes that DynamoDB takes, and what it refused for the moment sent again
//! while there is time.

use std::borrow::Cow;

use ledger::{
    Item,
    ports::{Clock, Found, Inserted, Refusal, Table, Tables},
    retry::{Backoff, Deadline},
};

/// DynamoDB answers throttling per statement, with HTTP 200, which the SDK does not try again: we do, this often.
const RESENDS_MAX: u32 = 3;
const BACKOFF: Backoff = Backoff { first_ms: 50, last_ms: 1_000 };
/// Statements in one request ("BatchExecuteStatement").
pub(super) const STATEMENTS_MAX: usize = 25;
/// Keys in one request ("BatchGetItem").
const READ_KEYS_MAX: usize = 100;

/// The tables, and the time there is to call them.
pub(super) struct Calls<'c, T, C> {
    pub tables: &'c T,
    pub deadline: Deadline<'c, C>,
}

impl<T: Tables, C: Clock> Calls<'_, T, C> {
    /// Inserts `count` items, sending those again that were refused for the moment; `item` makes each as often as it
    /// is sent.
    pub(super) async fn insert_all(
        &self,
        table: Table,
        count: usize,
        mut item: impl FnMut(usize) -> Item,
    ) -> Vec<Inserted> {
        let mut inserted = vec![Inserted::Refused(Refusal::Transient { code: DEADLINE }); count];
        let mut pending: Vec<usize> = (0..count).collect();
        for attempt in 0..=RESENDS_MAX {
            if pending.is_empty() || !self.deadline.wait(BACKOFF, attempt).await {
                break;
            }
            for request in pending.chunks(STATEMENTS_MAX) {
                self.insert_once(table, request, &mut item, &mut inserted).await;
            }
            pending.retain(|&at| matches!(inserted[at], Inserted::Refused(Refusal::Transient { .. })));
        }
        inserted
    }

    /// One request; where DynamoDB finds fault with the request as a whole, one for each item.
    async fn insert_once(
        &self,
        table: Table,
        request: &[usize],
        item: &mut impl FnMut(usize) -> Item,
        inserted: &mut [Inserted],
    ) {
        let items = request.iter().map(|&at| item(at)).collect();
        // Looked at after the items are made: large ones take a while.
        let Some(budget_ms) = self.deadline.budget_ms() else { return };
        match self.tables.insert(table, items, budget_ms).await {
            Ok(answers) => request.iter().zip(answers).for_each(|(&at, answer)| inserted[at] = answer),
            Err(Refusal::Content) if request.len() > 1 => {
                for &at in request {
                    Box::pin(self.insert_once(table, &[at], item, inserted)).await;
                }
            }
            Err(refusal) => request.iter().for_each(|&at| inserted[at] = Inserted::Refused(refusal.clone())),
        }
    }

    /// Reads items, `None` where there is none; what cannot be read is an error code.
    pub(super) async fn read_all(&self, table: Table, keys: Vec<Item>) -> Vec<Result<Option<Item>, Cow<'static, str>>> {
        let mut found: Vec<_> = keys.iter().map(|_| Err(DEADLINE)).collect();
        let mut pending: Vec<usize> = (0..keys.len()).collect();
        for attempt in 0..=RESENDS_MAX {
            if pending.is_empty() || !self.deadline.wait(BACKOFF, attempt).await {
                break;
            }
            for request in pending.chunks(READ_KEYS_MAX) {
                self.read_once(table, request, &keys, &mut found).await;
            }
            pending.retain(|&at| found[at].is_err());
        }
        found
    }

    /// One request.
    async fn read_once(
        &self,
        table: Table,
        request: &[usize],
        keys: &[Item],
        found: &mut [Result<Option<Item>, Cow<'static, str>>],
    ) {
        let Some(budget_ms) = self.deadline.budget_ms() else { return };
        let asked = request.iter().map(|&at| keys[at].clone()).collect();
        match self.tables.read(table, asked, budget_ms).await {
            Ok(answers) => {
                for (&at, answer) in request.iter().zip(answers) {
                    found[at] = match answer {
                        Found::Item(item) => Ok(Some(item)),
                        Found::Absent => Ok(None),
                        Found::Unprocessed => Err(Cow::Borrowed("Unprocessed")),
                    };
                }
            }
            Err(refusal) => request.iter().for_each(|&at| found[at] = Err(refusal.code())),
        }
    }
}

const DEADLINE: Cow<'static, str> = Cow::Borrowed("Deadline");
