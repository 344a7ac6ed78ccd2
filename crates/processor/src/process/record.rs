//! Records what was planned, the lightest first, and says what each answer means.

use std::borrow::Cow;

use ledger::{
    Entry, Item, RawBody, Status,
    entry::{attribute, stored_content},
    item::{number_of, whole_number_of},
    ports::{Clock, Inserted, Refusal, Table, Tables},
};

use crate::process::{
    batch::{Batch, GROUP_FAILED, Outcome, VANISHED, expiry, is_large},
    calls::Calls,
    plan::{CONFLICT_KEY_TAKEN, Known, Origin, Statement},
};

impl Batch<'_> {
    /// Records what the statements say, the lightest first: should time run out, then for those who used it up. Never a
    /// message before an earlier one of its group: only a prefix of a group can be acknowledged, so what is recorded
    /// behind a gap would be done in vain each time the batch comes.
    pub(super) async fn record<T: Tables, C: Clock>(&mut self, calls: &Calls<'_, T, C>, statements: Vec<Statement>) {
        let mut waiting = statements;
        loop {
            self.leave_behind(&mut waiting);
            waiting.sort_by_key(|statement| (statement.weight, statement.case));
            let chunk = self.cut(&mut waiting);
            if chunk.is_empty() {
                return;
            }
            let again = if chunk.iter().any(Statement::is_to_read) {
                self.compare_chunk(calls, chunk).await
            } else {
                self.insert_chunk(calls, chunk).await
            };
            waiting.extend(again);
        }
    }

    /// Gives up what waits behind a failed message of its group.
    fn leave_behind(&mut self, waiting: &mut Vec<Statement>) {
        while let Some(at) = waiting.iter().position(|statement| self.is_group_failed(statement.case)) {
            let statement = waiting.remove(at);
            self.fail_statement(&statement, GROUP_FAILED);
        }
    }

    /// Takes from the front what travels together: ordinary bodies, or what may be large by itself, so that it delays its
    /// like alone and the clock is looked at between them. What stands under a taken key is anybody's, of any size.
    fn cut(&self, waiting: &mut Vec<Statement>) -> Vec<Statement> {
        let is_large =
            |statement: &Statement| statement.known == Known::Taken || is_large(self.cases[statement.case].message);
        let ordinary = waiting.iter().take_while(|statement| !is_large(statement)).count();
        waiting.drain(..ordinary.max(1).min(waiting.len())).collect()
    }

    /// Reads what stands under the keys of those that may have an entry; an equal one settles its statement. Returns
    /// those that are still to be recorded.
    async fn compare_chunk<T: Tables, C: Clock>(
        &mut self,
        calls: &Calls<'_, T, C>,
        chunk: Vec<Statement>,
    ) -> Vec<Statement> {
        let (read, mut again): (Vec<_>, Vec<_>) = chunk.into_iter().partition(Statement::is_to_read);
        let keys = read.iter().map(|statement| statement.key.to_item()).collect();
        let stored = calls.read_all(Table::Entries, keys).await;
        for (mut statement, stored) in read.into_iter().zip(stored) {
            match stored {
                Err(code) => self.fail_statement(&statement, code),
                Ok(None) if statement.known == Known::Taken => self.fail_statement(&statement, VANISHED),
                Ok(None) => {
                    statement.known = Known::Absent;
                    again.push(statement);
                }
                // Whose entry it is, is read, not assumed.
                Ok(Some(item)) if stored_content(&item) == Some(self.cases[statement.case].content) => {
                    let outcome = self.found(&statement, &item);
                    self.settle(&statement, outcome);
                }
                Ok(Some(_)) if statement.is_conflict => self.fail_statement(&statement, CONFLICT_KEY_TAKEN),
                Ok(Some(_)) => {
                    self.turn_into_conflict(&mut statement);
                    again.push(statement);
                }
            }
        }
        again
    }

    /// Inserts entries; returns the statements that are to be read, or tried in another form.
    async fn insert_chunk<T: Tables, C: Clock>(
        &mut self,
        calls: &Calls<'_, T, C>,
        chunk: Vec<Statement>,
    ) -> Vec<Statement> {
        let inserted = calls.insert_all(Table::Entries, chunk.len(), |at| self.item(&chunk[at])).await;
        let mut again = Vec::new();
        for (mut statement, inserted) in chunk.into_iter().zip(inserted) {
            match inserted {
                Inserted::Done => {
                    let outcome = self.recorded(&statement);
                    self.settle(&statement, outcome);
                }
                Inserted::Exists => {
                    statement.known = Known::Taken;
                    again.push(statement);
                }
                Inserted::Refused(Refusal::Content) if statement.is_refused => {
                    self.fail_statement(&statement, Cow::Borrowed("RawRefused"));
                }
                Inserted::Refused(Refusal::Content) => {
                    statement.is_refused = true;
                    again.push(statement);
                }
                Inserted::Refused(Refusal::Transient { code }) => self.fail_statement(&statement, code),
            }
        }
        again
    }

    fn item(&mut self, statement: &Statement) -> Item {
        let case = &mut self.cases[statement.case];
        let (content, body) = (case.content, &case.message.body);
        let entry = case.take_entry(self.now_ms);
        let key = statement.key.clone();
        let entry = if statement.is_refused { entry.into_refused(RawBody::new(body, content)) } else { entry };
        let mut entry = if statement.is_conflict { entry.into_conflict(key) } else { Entry { key, ..entry } };
        entry.ttl = expiry(self.now_ms / 1000, self.settings.entry_ttl_days);
        entry.is_indexed = self.settings.is_ready_indexed || entry.status != Status::Ready;
        let entry = entry.fitting(body, content);
        case.recorded_as = match &entry.status {
            Status::Ready => None,
            Status::Invalid(failure) => Some(failure.class),
        };
        entry.into_item()
    }

    /// What a statement that was inserted means for the message it was made for.
    fn recorded(&self, statement: &Statement) -> Outcome {
        let case = &self.cases[statement.case];
        match (statement.origin, case.recorded_as) {
            (Origin::Expired, class) => Outcome::ExpiredClaim(class),
            (Origin::Earlier, class) => Outcome::Finished(class),
            (Origin::Own, None) => Outcome::Ready,
            (Origin::Own, Some(class)) => Outcome::Invalid(class),
        }
    }

    /// What an equal entry that was there already means.
    fn found(&self, statement: &Statement, stored: &Item) -> Outcome {
        let case = &self.cases[statement.case];
        let is_this_message =
            case.sequence_number.is_some() && case.sequence_number == number_of(stored, attribute::SEQUENCE_NUMBER);
        let retries = whole_number_of(stored, attribute::RETRIES);
        if statement.known == Known::Taken
            && is_this_message
            && retries == Some(u64::from(case.message.receive_count.saturating_sub(1)))
        {
            // Inserted just now, and the answer was lost.
            return self.recorded(statement);
        }
        if is_this_message || statement.is_redelivery { Outcome::Redelivery } else { Outcome::Duplicate }
    }

    fn settle(&mut self, statement: &Statement, outcome: Outcome) {
        for &twin in &statement.twins {
            self.cases[twin].outcome = Some(Outcome::Duplicate);
        }
        self.cases[statement.case].outcome = Some(outcome);
    }
}
