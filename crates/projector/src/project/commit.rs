//! Commits chunk after chunk, each on condition of the checkpoint, and learns from what DynamoDB answers.

use ledger::{
    ports::{Alerts, Clock, Metrics, ProjectionsTable, Refusal},
    projection::update::{Cancellation, Transacted},
};
use tracing::{error, warn};

use super::{
    Run, Stopped,
    chunk::{Chunk, LeftOut},
    stopped,
};
use crate::record::Change;

/// Attempts at one chunk; the deadline comes first.
const ATTEMPTS_MAX: u32 = 200;
/// Records whose keys the log tells, of those in one chunk that cannot be read.
const LOGGED_MAX: usize = 10;

/// What a cancelled transaction taught.
enum Learned {
    /// Another invocation, or an earlier attempt of this one, has committed.
    CheckpointMoved,
    /// Items that must be left out.
    AreRefused,
    /// Only that others are busy: the same again.
    Nothing,
    /// The checkpoint itself is refused, or is none.
    IsAtFault,
}

impl<P: ProjectionsTable, A: Alerts, M: Metrics, C: Clock> Run<'_, P, A, M, C> {
    /// Commits what is left, and drops from `records` what is committed.
    pub(super) async fn commit(&mut self) -> Result<(), Stopped> {
        while let Some(chunk) = self.next_chunk() {
            // Removals without a number change nothing.
            match chunk.transaction.writes.is_empty() {
                true => self.committed(&chunk),
                false => self.commit_one(chunk).await?,
            }
        }
        Ok(())
    }

    /// Commits a chunk, or a smaller one in its place, or finds that another invocation has.
    async fn commit_one(&mut self, chunk: Chunk) -> Result<(), Stopped> {
        for attempt in 0..ATTEMPTS_MAX {
            match self.ports.projections.transact(chunk.transaction.clone(), self.budget_ms()?).await {
                Ok(Transacted::Done) => {
                    self.committed(&chunk);
                    return Ok(());
                }
                Ok(Transacted::Cancelled(reasons)) => match self.learn(&chunk, reasons) {
                    Learned::CheckpointMoved => {
                        self.pass_over();
                        // What was refused is of records that may be done.
                        self.left_out = LeftOut::default();
                        return Ok(());
                    }
                    Learned::AreRefused => return Ok(()),
                    Learned::Nothing => {}
                    Learned::IsAtFault => return Err(stopped(&Refusal::Content, "checkpoint refused")),
                },
                Err(Refusal::Content) => return self.narrow(&chunk),
                // It may be done. Under its token, it is not done twice.
                Err(Refusal::Transient { code }) => warn!(%code, "transaction refused, trying again"),
            }
            self.back_off(attempt).await?;
        }
        error!("transaction refused too often");
        Err(Stopped)
    }

    fn learn(&mut self, chunk: &Chunk, reasons: Vec<Cancellation>) -> Learned {
        let mut learned = Learned::Nothing;
        for (number, (write, reason)) in chunk.transaction.writes.iter().zip(reasons).enumerate() {
            let is_checkpoint = number == 0 && chunk.through.is_some();
            match reason {
                Cancellation::None | Cancellation::Busy => {}
                // Nothing but the checkpoint is conditional.
                Cancellation::ConditionFailed(item) => {
                    let before = self.checkpoint.clone();
                    if self.set_checkpoint(item).is_err() || self.checkpoint == before {
                        return Learned::IsAtFault;
                    }
                    return Learned::CheckpointMoved;
                }
                Cancellation::Content if is_checkpoint => return Learned::IsAtFault,
                Cancellation::Content => {
                    let key = write.key();
                    error!(pk = key.pk, sk = key.sk, "DynamoDB refuses an item of the projections table");
                    self.left_out.items.insert(key.clone());
                    learned = Learned::AreRefused;
                }
            }
        }
        learned
    }

    /// A transaction was refused as a whole, which may be one record's doing.
    fn narrow(&mut self, chunk: &Chunk) -> Result<(), Stopped> {
        if chunk.records == 1 && !self.left_out.leave_out_more(self.settings.models.len()) {
            return Err(stopped(&Refusal::Content, "transaction refused"));
        }
        // With less in it, a transaction may have room for another record, which has nothing to do with it.
        self.left_out.records_max = Some((chunk.records / 2).max(1));
        warn!(records = chunk.records, "transaction refused for its content, trying with less");
        Ok(())
    }

    fn committed(&mut self, chunk: &Chunk) {
        let now_ms = self.ports.clock.now_ms();
        let records: Vec<_> = self.records.drain(..chunk.records).collect();
        let mut unreadable = records.iter().filter_map(|record| match &record.change {
            Change::Unreadable(unreadable) => Some(unreadable),
            _ => None,
        });
        for record in unreadable.by_ref().take(LOGGED_MAX) {
            error!(
                tenant_id = record.tenant_id,
                sk = record.sk,
                sequence_number = record.sequence_number,
                reason = record.reason,
                "stream record cannot be read, its day is marked as incomplete"
            );
        }
        let more = unreadable.count();
        if more > 0 {
            error!(more, "more stream records cannot be read");
        }
        records.iter().for_each(|record| self.statistics.add(record, now_ms));
        self.statistics.work.uncounted += chunk.uncounted;
        self.noted.extend(chunk.noted.iter().cloned());
        self.checkpoint = chunk.through.as_ref().map(|through| through.padded().to_owned()).or(self.checkpoint.take());
        self.left_out.items.clear();
        self.left_out.refusals = 0;
        self.left_out.records_max =
            self.left_out.records_max.map(|records| records * 2).filter(|&max| max <= self.records.len());
    }
}
