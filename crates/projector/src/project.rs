//! Projects a batch of the stream. The order of work: read the shard's checkpoint and drop what lies at or below it; fold
//! what is left and commit it, chunk by chunk, in transactions of checkpoint, sums, alerts pending and marks; and only
//! then announce alerts and put metrics, of what was committed. So counts are exact (G9), nothing that is counted goes
//! unannounced (G10), and neither SNS nor CloudWatch can hold the counts of a shard back. AWS alone can make a batch fail,
//! never its content, and an answer comes before the deadline (G12).
//!
//! A tick, which the schedule sends every minute, announces what is pending of all tenants.

mod chunk;
mod commit;
mod left_out;
mod measure;
mod notify;

use std::collections::BTreeSet;

use ledger::{
    Attribute, Item, TenantId,
    alert::Origin,
    entry::attribute,
    metric_tenants::{MetricTenants, TenantBudget},
    ports::{Alerts, Clock, Found, Metrics, ProjectionsTable, Refusal},
    projection::{Projection, SequenceNumber, keys::ProjectionKey, models::Models, update::Updated},
    retry::{Backoff, Deadline},
};
use tracing::{error, info, warn};

use crate::{
    record::{Change, Record},
    telemetry::{Statistics, Work},
};
use chunk::LeftOut;
use notify::Notifying;

/// Longest time the warm-up may add to a cold start.
const WARM_UP_BUDGET_MS: u64 = 1_000;
/// Time reserved before the deadline for the answer.
const ANSWER_MARGIN_MS: u64 = 500;
/// Longest time that SNS, and then CloudWatch, may take after the commits.
const NOTIFY_MS: u64 = 1_000;
const MEASURE_MS: u64 = 1_000;
/// Time reserved before a tick's deadline for settling what has left.
const TICK_MARGIN_MS: u64 = 5_000;
/// How long a process leaves a service alone that did not answer.
const LEFT_ALONE_MS: u64 = 60_000;
/// How long a process takes for true what it has read of the metric tenants.
const KEPT_MS: u64 = 60_000;
const READ_ATTEMPTS_MAX: u32 = 5;
const BACKOFF: Backoff = Backoff { first_ms: 50, last_ms: 2_000 };

/// What the projector works with.
#[derive(Clone, Debug)]
pub struct Ports<P, A, M, C> {
    pub projections: P,
    pub alerts: A,
    pub metrics: M,
    pub clock: C,
}

#[derive(Clone, Debug)]
pub struct Settings {
    pub models: &'static [Projection],
    pub tenant_budget: TenantBudget,
    pub alert_window_ms: u64,
    pub origin: Origin,
}

/// What a process keeps from one invocation to the next. Losing it costs calls and nothing else.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// With the time they were read at.
    metric_tenants: Option<(u64, MetricTenants)>,
    notifier_asked_ms: u64,
    alerts_off_until_ms: u64,
    metrics_off_until_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub shard_id: String,
    pub records: Vec<Record>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub outcome: Outcome,
    pub work: Work,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Everything before this is done.
    FailedFrom(SequenceNumber),
    /// Nothing is done, and no record has a sequence number.
    Failed,
}

/// The batch cannot go on: its deadline is near, or AWS refuses us. The log says which, where it happened.
struct Stopped;

/// Opens the connection to the table before the first batch needs it, while INIT is boosted.
pub async fn warm_up<P: ProjectionsTable, A, M, C>(ports: &Ports<P, A, M, C>) {
    let absent = vec![ProjectionKey::absent()];
    if let Err(refusal) = ports.projections.read(absent, WARM_UP_BUDGET_MS).await {
        warn!(?refusal, "warm-up failed, the first batch opens the connection");
    }
}

/// Projects one batch, and answers before `deadline_ms` (milliseconds since the epoch).
pub async fn project<P: ProjectionsTable, A: Alerts, M: Metrics, C: Clock>(
    ports: &Ports<P, A, M, C>,
    settings: &Settings,
    kept: &mut Kept,
    batch: Batch,
    deadline_ms: u64,
) -> Report {
    let Batch { shard_id, mut records } = batch;
    records.retain(|record| record.change != Change::Expired);
    if records.is_empty() {
        return Report { outcome: Outcome::Done, work: Work::default() };
    }
    // A repeated batch may be out of order, and may hold a record twice.
    records.sort_by(|one, other| one.sequence.cmp(&other.sequence));
    records.dedup_by(|one, other| one.sequence.is_some() && one.sequence == other.sequence);
    let mut run = Run {
        ports,
        settings,
        kept,
        deadline_ms,
        shard_id,
        records,
        checkpoint: None,
        left_out: LeftOut::default(),
        noted: BTreeSet::new(),
        statistics: Statistics::default(),
    };
    let outcome = match run.count().await {
        Ok(()) => Outcome::Done,
        Err(Stopped) => run.first_left(),
    };
    run.tell().await;
    Report { outcome, work: run.statistics.work }
}

/// Announces what is pending of all tenants.
pub async fn tick<P: ProjectionsTable, A: Alerts, M: Metrics, C: Clock>(
    ports: &Ports<P, A, M, C>,
    settings: &Settings,
    kept: &mut Kept,
    deadline_ms: u64,
) -> Report {
    let mut work = Work::default();
    let settle_until_ms = deadline_ms.saturating_sub(ANSWER_MARGIN_MS);
    let until_ms = deadline_ms.saturating_sub(TICK_MARGIN_MS);
    Notifying { ports, settings, kept, work: &mut work, until_ms, settle_until_ms }.tick().await;
    Report { outcome: Outcome::Done, work }
}

/// One invocation with a batch.
struct Run<'s, P, A, M, C> {
    ports: &'s Ports<P, A, M, C>,
    settings: &'s Settings,
    kept: &'s mut Kept,
    deadline_ms: u64,
    shard_id: String,
    /// What is not committed yet, in sequence order.
    records: Vec<Record>,
    /// As it is stored.
    checkpoint: Option<String>,
    left_out: LeftOut,
    /// Tenants with INVALID entries in what was committed.
    noted: BTreeSet<TenantId>,
    /// Of what was committed.
    statistics: Statistics,
}

impl<P: ProjectionsTable, A: Alerts, M: Metrics, C: Clock> Run<'_, P, A, M, C> {
    /// Commits everything that is not committed yet.
    async fn count(&mut self) -> Result<(), Stopped> {
        self.read().await?;
        let records = self.records.len();
        self.commit().await?;
        info!(records, "stream records projected");
        Ok(())
    }

    /// Where Lambda is to begin again. What has no number cannot be named, and would be passed by any number.
    fn first_left(&self) -> Outcome {
        let numbers: Option<Vec<&SequenceNumber>> =
            self.records.iter().map(|record| record.sequence.as_ref()).collect();
        match numbers.as_deref() {
            Some([first, ..]) => Outcome::FailedFrom((*first).clone()),
            _ => Outcome::Failed,
        }
    }

    /// Announces and measures what was committed.
    async fn tell(&mut self) {
        let noted = std::mem::take(&mut self.noted);
        let settle_until_ms = self.deadline_ms.saturating_sub(ANSWER_MARGIN_MS + MEASURE_MS);
        let until_ms = settle_until_ms.min(self.ports.clock.now_ms() + NOTIFY_MS);
        let Self { ports, settings, kept, statistics, .. } = self;
        let work = &mut statistics.work;
        Notifying { ports, settings, kept, work, until_ms, settle_until_ms }.notify(noted).await;
        let until_ms = self.deadline_ms.saturating_sub(ANSWER_MARGIN_MS);
        self.measure(until_ms.min(self.ports.clock.now_ms() + MEASURE_MS)).await;
    }

    /// Reads the checkpoint and the list of models, and the metric tenants where what is known of them is old; passes over
    /// what was projected before.
    async fn read(&mut self) -> Result<(), Stopped> {
        let now_ms = self.ports.clock.now_ms();
        let is_first_come = matches!(self.settings.tenant_budget, TenantBudget::FirstCome { .. });
        let is_old = |(read_ms, _): &(u64, MetricTenants)| read_ms + KEPT_MS <= now_ms;
        let wants_tenants = is_first_come && self.kept.metric_tenants.as_ref().is_none_or(is_old);
        let mut keys = vec![ProjectionKey::checkpoint(&self.shard_id), ProjectionKey::models()];
        if wants_tenants {
            keys.push(ProjectionKey::metric_tenants());
        }
        let mut found = self.read_all(keys).await?.into_iter();
        let (checkpoint, models) = (found.next().flatten(), found.next().flatten());
        let tenants = found.next();
        if let Some(item) = &tenants {
            let tenants = item.as_ref().map(MetricTenants::from_item).unwrap_or_default();
            self.kept.metric_tenants = Some((now_ms, tenants));
        }
        // Where neither a list nor a checkpoint stands, nothing was projected before, unless by a build without the list: it
        // has left metric tenants.
        let is_beginning = match (&models, &checkpoint, tenants) {
            (None, None, Some(tenants)) => tenants.is_none(),
            (None, None, None) => self.read_all(vec![ProjectionKey::metric_tenants()]).await? == [None],
            _ => false,
        };
        self.set_checkpoint(checkpoint)?;
        self.list_models(models, is_beginning).await?;
        self.pass_over();
        Ok(())
    }

    /// Takes over the checkpoint as it is stored. One that is none must be neither passed nor begun before.
    fn set_checkpoint(&mut self, item: Option<Item>) -> Result<(), Stopped> {
        let stored = item.map(|item| item.get(attribute::SEQUENCE_NUMBER).cloned());
        self.checkpoint = match stored {
            None => None,
            Some(Some(Attribute::S(text))) if SequenceNumber::parse(&text).is_some() => Some(text),
            Some(other) => {
                error!(shard_id = self.shard_id, checkpoint = ?other, "checkpoint is no sequence number, mend it by hand");
                return Err(Stopped);
            }
        };
        Ok(())
    }

    async fn read_all(&self, keys: Vec<ProjectionKey>) -> Result<Vec<Option<Item>>, Stopped> {
        for attempt in 0..READ_ATTEMPTS_MAX {
            match self.ports.projections.read(keys.clone(), self.budget_ms()?).await {
                Ok(found) if !found.contains(&Found::Unprocessed) => {
                    return Ok(found.into_iter().map(Found::into_item).collect());
                }
                Ok(_) => {}
                Err(Refusal::Content) => return Err(stopped(&Refusal::Content, "read of the checkpoint refused")),
                Err(Refusal::Transient { code }) => warn!(%code, "read of the checkpoint refused, trying again"),
            }
            self.back_off(attempt).await?;
        }
        error!("read of the checkpoint refused too often");
        Err(Stopped)
    }

    /// Sees to it that the stored list of models is this build's, before it counts anything by them. A process of another
    /// build may have changed it, and the table may be a new one.
    async fn list_models(&mut self, item: Option<Item>, is_beginning: bool) -> Result<(), Stopped> {
        let mut stored = item.as_ref().map(Models::from_item).unwrap_or_default();
        for attempt in 0..READ_ATTEMPTS_MAX {
            let now_ms = self.ports.clock.now_ms();
            let Some(models) = stored.deployed(self.settings.models, is_beginning, now_ms) else { return Ok(()) };
            match self.ports.projections.update(models.to_update(), self.budget_ms()?).await {
                Ok(Updated::Done) => {
                    info!(models = ?models.all(), "list of read models stored");
                    return Ok(());
                }
                Ok(Updated::ConditionFailed(item)) => {
                    stored = item.as_ref().map(Models::from_item).unwrap_or_default();
                }
                Err(Refusal::Content) => return Err(stopped(&Refusal::Content, "list of read models refused")),
                Err(Refusal::Transient { code }) => {
                    warn!(%code, "list of read models refused, trying again");
                    self.back_off(attempt).await?;
                }
            }
        }
        error!("list of read models refused too often");
        Err(Stopped)
    }

    /// Drops records at or below the checkpoint.
    fn pass_over(&mut self) {
        let Some(checkpoint) = self.checkpoint.as_deref().and_then(SequenceNumber::parse) else { return };
        self.records
            .retain(|record| record.sequence.as_ref().is_none_or(|sequence| sequence.padded() > checkpoint.padded()));
    }

    /// Time the next call may take.
    fn budget_ms(&self) -> Result<u64, Stopped> {
        self.deadline().budget_ms().ok_or_else(|| self.out_of_time())
    }

    /// Waits before the next attempt; `attempt` have failed before this one.
    async fn back_off(&self, attempt: u32) -> Result<(), Stopped> {
        if self.deadline().wait(BACKOFF, attempt + 1).await { Ok(()) } else { Err(self.out_of_time()) }
    }

    fn deadline(&self) -> Deadline<'_, C> {
        let at_ms = self.deadline_ms.saturating_sub(ANSWER_MARGIN_MS + NOTIFY_MS + MEASURE_MS);
        Deadline { clock: &self.ports.clock, at_ms, call_ms_min: 1 }
    }

    fn out_of_time(&self) -> Stopped {
        error!(records = self.records.len(), "deadline is near, what is left comes again");
        Stopped
    }
}

/// The token of a transaction, which no other has.
fn token(clock: &impl Clock) -> String {
    format!("{:016x}{:016x}", clock.random_below(u64::MAX), clock.random_below(u64::MAX))
}

fn stopped(refusal: &Refusal, what: &str) -> Stopped {
    error!(?refusal, what, "batch cannot go on, what is left comes again");
    Stopped
}
