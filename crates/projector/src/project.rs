//! Projects a batch of the stream: reads the checkpoint and the windows, publishes alerts, sends on what cannot be
//! read, puts metrics, and then commits checkpoint, counts and windows together, in sequence order, in as many
//! transactions as it takes. Counts are exact (G9), because a transaction is conditional on the checkpoint and what lies
//! at or below it is passed over; what was published before a crash may be published again. A batch that stops stores
//! what it published, so that it does not alert anew with every retry. AWS alone can make a batch fail, never its
//! content, and an answer comes before the deadline (G12). Batches that Lambda discards by age never arrive here: the
//! mapping announces them on the failures queue, and no day counts their entries.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{
    Attribute,
    alert::{AlertMessage, InvalidFold, Plan, WindowChange, Windows},
    entry::attribute,
    item::{text_of, whole_number},
    metric::to_calls,
    metric_tenants::{MetricTenants, TenantBudget, TenantDimensions},
    ports::{Alerts, Clock, Failures, Found, Metrics, Projections, Refusal},
    projection::{
        CELLS_PER_ENTRY_MAX, CELLS_PER_UPDATE_MAX, Counts, EntrySummary, SequenceNumber, Verdict,
        keys::{DayKey, LATEST, ProjectionKey, RECORDS, SINCE, STATE_TTL_DAYS, UPDATED_AT},
        span_of,
        update::{Action, Cancellation, Condition, TRANSACTION_UPDATES_MAX, Transacted, Update, Updated},
    },
    retry::{Backoff, Deadline},
};
use serde_json::json;
use tracing::{error, info, warn};

use crate::{
    record::{Change, Record, UnreadableRecord},
    telemetry::Statistics,
};

/// Longest time the warm-up may add to a cold start.
const WARM_UP_BUDGET_MS: u64 = 1_000;
/// Time kept back from the deadline for the answer, and before it for storing what was published.
const ANSWER_MARGIN_MS: u64 = 500;
const WINDOWS_MARGIN_MS: u64 = 1_500;
/// Longest time the metrics of a batch may take from its counts.
const METRICS_BUDGET_MS: u64 = 5_000;
/// Attempts at a read, and at one transaction; the deadline comes first for the latter.
const READ_ATTEMPTS_MAX: u32 = 5;
const TRANSACTION_ATTEMPTS_MAX: u32 = 200;
/// Attempts at giving places to tenants, which the metrics can do without.
const PLACES_ATTEMPTS_MAX: u32 = 3;
/// Attempts at storing what was published when the batch stops.
const WINDOWS_ATTEMPTS_MAX: u32 = 3;
const BACKOFF: Backoff = Backoff { first_ms: 50, last_ms: 2_000 };
/// Unreadable records in one message to the failures queue: half a kilobyte for each of their texts.
const UNREADABLE_PER_MESSAGE_MAX: usize = 50;

/// What the projector works with.
#[derive(Clone, Debug)]
pub struct Ports<P, A, M, F, C> {
    pub projections: P,
    pub alerts: A,
    pub metrics: M,
    pub failures: F,
    pub clock: C,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub tenant_budget: TenantBudget,
    pub alert_window_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Absent where the mapping has no tumbling window: then nothing is counted, because nothing tells what was
    /// counted before.
    pub shard_id: Option<String>,
    pub records: Vec<Record>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub outcome: Outcome,
    /// Calls of `PutMetricData` that were refused.
    pub refused_puts: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Everything before this is done.
    FailedFrom(SequenceNumber),
    /// Nothing is done, and no record has a sequence number.
    Failed,
}

/// The batch cannot go on: its deadline is near, or AWS refuses us. Said in the log where it happened.
struct Stopped;

/// Opens the connection to the table before the first batch needs it, while INIT is boosted. The other services get
/// theirs when they are needed: nothing can be asked of them that changes nothing and needs no further right.
pub async fn warm_up<P: Projections, A, M, F, C>(ports: &Ports<P, A, M, F, C>) {
    let absent = vec![ProjectionKey::absent()];
    if let Err(refusal) = ports.projections.read(absent, WARM_UP_BUDGET_MS).await {
        warn!(?refusal, "warm-up failed, the first batch opens the connection");
    }
}

/// Projects one batch, and answers before `deadline_ms` (milliseconds since the epoch).
pub async fn project<P: Projections, A: Alerts, M: Metrics, F: Failures, C: Clock>(
    ports: &Ports<P, A, M, F, C>,
    settings: &Settings,
    batch: Batch,
    deadline_ms: u64,
) -> Report {
    let Batch { shard_id, mut records } = batch;
    records.retain(|record| record.change != Change::Removed);
    if records.is_empty() {
        return Report { outcome: Outcome::Done, refused_puts: 0 };
    }
    // A repeated batch may be out of order, and may hold a record twice.
    records.sort_by(|one, other| one.sequence.cmp(&other.sequence));
    records.dedup_by(|one, other| one.sequence.is_some() && one.sequence == other.sequence);
    let mut run = Run { ports, settings, deadline_ms, shard_id, records, windows: None, refused_puts: 0 };
    let outcome = match run.project().await {
        Ok(()) => Outcome::Done,
        Err(Stopped) => {
            run.keep_windows().await;
            let first_left = run.records.iter().find_map(|record| record.sequence.clone());
            first_left.map_or(Outcome::Failed, Outcome::FailedFrom)
        }
    };
    Report { outcome, refused_puts: run.refused_puts }
}

/// One invocation.
struct Run<'s, P, A, M, F, C> {
    ports: &'s Ports<P, A, M, F, C>,
    settings: &'s Settings,
    deadline_ms: u64,
    shard_id: Option<String>,
    /// What is not committed yet, in sequence order.
    records: Vec<Record>,
    /// What is to be stored of the windows, until it is.
    windows: Option<UnstoredWindows>,
    refused_puts: u64,
}

struct UnstoredWindows {
    /// As they stand in the table, as far as is known.
    stored: Windows,
    change: WindowChange,
    /// Messages of the change that have left.
    published: usize,
}

/// What is stored of the projections apart from the counts.
struct Stored {
    /// 40 digits.
    checkpoint: Option<String>,
    windows: Windows,
    tenants: MetricTenants,
}

impl<P: Projections, A: Alerts, M: Metrics, F: Failures, C: Clock> Run<'_, P, A, M, F, C> {
    async fn project(&mut self) -> Result<(), Stopped> {
        let stored = self.read().await?;
        self.pass_over(stored.checkpoint.as_deref());
        if self.records.is_empty() {
            info!("every record was projected before");
            return Ok(());
        }
        if self.shard_id.is_none() {
            error!(records = self.records.len(), "stream event without a shard id, its entries are not counted");
        }
        let now_ms = self.ports.clock.now_ms();
        let mut statistics = Statistics::of(&self.records, now_ms);
        let plan = self.reserve_places(stored.windows, now_ms).await?;
        statistics.work.alerts = plan.messages.len() as u64;
        statistics.work.suppressed = plan.suppressed;
        self.publish(plan.messages).await?;
        self.send_unreadable().await?;
        self.put_metrics(&statistics, stored.tenants, now_ms).await?;
        let count = self.records.len();
        self.commit(stored.checkpoint).await?;
        info!(records = count, alerts = statistics.work.alerts, "stream records projected");
        Ok(())
    }

    /// Reads checkpoint, alert windows and metric tenants in one call.
    async fn read(&self) -> Result<Stored, Stopped> {
        let mut keys = vec![ProjectionKey::alert_windows(), ProjectionKey::metric_tenants()];
        keys.extend(self.shard_id.as_deref().map(ProjectionKey::checkpoint));
        for attempt in 0..READ_ATTEMPTS_MAX {
            let answer = self.ports.projections.read(keys.clone(), self.budget_ms()?).await;
            match answer {
                Ok(found) if !found.contains(&Found::Unprocessed) => return Ok(stored(&found)),
                Ok(_) => {}
                Err(Refusal::Content) => return Err(stopped(&Refusal::Content, "read of the checkpoint refused")),
                Err(Refusal::Transient { code }) => warn!(%code, "read of the checkpoint refused, trying again"),
            }
            self.back_off(attempt).await?;
        }
        error!("read of the checkpoint refused too often");
        Err(Stopped)
    }

    /// Drops records at or below the checkpoint.
    fn pass_over(&mut self, checkpoint: Option<&str>) {
        let Some(checkpoint) = checkpoint else { return };
        self.records.retain(|record| record.sequence.as_ref().is_none_or(|sequence| sequence.padded() > checkpoint));
    }

    /// Decides what is published, and takes its places in the table before anything leaves.
    ///
    /// A table that takes no writes stops the batch here: else every retry would publish everything again.
    async fn reserve_places(&mut self, mut windows: Windows, now_ms: u64) -> Result<Plan, Stopped> {
        let invalid = invalid_entries(&self.records);
        let mut refusals = 0;
        for attempt in 0..TRANSACTION_ATTEMPTS_MAX {
            let plan = windows.plan(&invalid, now_ms, self.settings.alert_window_ms);
            if !plan.change.is_publishing() {
                self.windows = (!plan.change.is_empty()).then(|| UnstoredWindows::new(windows, &plan.change));
                return Ok(plan);
            }
            let mut reserved = windows.clone();
            reserved.reserve(&plan.change);
            let answer = self.ports.projections.update(reserved.to_update(now_ms), self.budget_ms()?).await;
            match answer {
                Ok(Updated::Done) => {
                    self.windows = Some(UnstoredWindows::new(reserved.written(), &plan.change));
                    return Ok(plan);
                }
                // Another shard was faster, which is no reason to give up, but one to leave it the way.
                Ok(Updated::ConditionFailed(item)) => {
                    windows = item.as_ref().map(Windows::from_item).unwrap_or_default();
                    self.back_off(attempt).await?;
                }
                Err(Refusal::Content) => return Err(stopped(&Refusal::Content, "alert windows refused")),
                Err(Refusal::Transient { code }) => {
                    refusals += 1;
                    if refusals == READ_ATTEMPTS_MAX {
                        break;
                    }
                    warn!(%code, "alert windows refused, trying again");
                    self.back_off(attempt).await?;
                }
            }
        }
        error!("alert windows refused too often, no alert left");
        Err(Stopped)
    }

    async fn publish(&mut self, messages: Vec<AlertMessage>) -> Result<(), Stopped> {
        for message in messages {
            let answer = self.ports.alerts.publish(message, self.budget_ms()?).await;
            answer.map_err(|refusal| stopped(&refusal, "alert refused"))?;
            if let Some(windows) = &mut self.windows {
                windows.published += 1;
            }
        }
        Ok(())
    }

    /// Stores what was published when the batch stops before its commit.
    async fn keep_windows(&mut self) {
        let Some(UnstoredWindows { stored: mut windows, change, published }) = self.windows.take() else { return };
        let mut change = change.of_messages(published);
        for _ in 0..WINDOWS_ATTEMPTS_MAX {
            let now_ms = self.ports.clock.now_ms();
            let budget_ms = self.deadline_ms.saturating_sub(now_ms + ANSWER_MARGIN_MS);
            if change.is_empty() || budget_ms == 0 {
                return;
            }
            let mut changed = windows.clone();
            changed.apply(&change);
            match self.ports.projections.update(changed.to_update(now_ms), budget_ms).await {
                Ok(Updated::Done) => return,
                Ok(Updated::ConditionFailed(item)) => {
                    windows = item.as_ref().map(Windows::from_item).unwrap_or_default();
                }
                Err(refusal) => {
                    warn!(?refusal, "alert windows not stored, the alerts of this batch may leave again");
                    change = change.again();
                }
            }
        }
    }

    async fn send_unreadable(&self) -> Result<(), Stopped> {
        let unreadable: Vec<&UnreadableRecord> = self.records.iter().filter_map(unreadable).collect();
        for records in unreadable.chunks(UNREADABLE_PER_MESSAGE_MAX) {
            error!(records = records.len(), reason = records[0].reason, "stream records cannot be read");
            let body = failure_body(self.shard_id.as_deref(), records);
            let answer = self.ports.failures.send(body, self.budget_ms()?).await;
            answer.map_err(|refusal| stopped(&refusal, "failures queue refused"))?;
        }
        Ok(())
    }

    /// Puts the batch's metrics. A refusal costs metrics, never the batch.
    async fn put_metrics(
        &mut self,
        statistics: &Statistics,
        tenants: MetricTenants,
        now_ms: u64,
    ) -> Result<(), Stopped> {
        let until_ms = self.ports.clock.now_ms() + METRICS_BUDGET_MS;
        let dimensions = match &self.settings.tenant_budget {
            TenantBudget::Named(tenants) => TenantDimensions::named(tenants),
            TenantBudget::FirstCome { places_max } => {
                TenantDimensions::first_come(&self.give_places(tenants, *places_max, now_ms, until_ms).await?)
            }
        };
        for data in to_calls(statistics.to_data(&dimensions, now_ms)) {
            let answer = match self.metrics_budget_ms(until_ms)? {
                0 => Err(Refusal::transient("MetricsBudget")),
                budget_ms => self.ports.metrics.put(data, budget_ms).await,
            };
            if let Err(refusal) = answer {
                error!(?refusal, "metrics refused, they are lost");
                self.refused_puts += 1;
            }
        }
        Ok(())
    }

    fn metrics_budget_ms(&self, until_ms: u64) -> Result<u64, Stopped> {
        Ok(self.budget_ms()?.min(until_ms.saturating_sub(self.ports.clock.now_ms())))
    }

    /// Stores the places of tenants that come for the first time, or for the first time today, before they are used.
    async fn give_places(
        &self,
        mut tenants: MetricTenants,
        places_max: usize,
        now_ms: u64,
        until_ms: u64,
    ) -> Result<MetricTenants, Stopped> {
        for _ in 0..PLACES_ATTEMPTS_MAX {
            let seen = self.records.iter().filter_map(appended).map(|entry| &entry.key.tenant_id);
            let Some(changed) = tenants.admit(seen, places_max, now_ms) else { return Ok(tenants) };
            match self.ports.projections.update(changed.to_update(), self.metrics_budget_ms(until_ms)?).await {
                Ok(Updated::Done) => return Ok(changed),
                Ok(Updated::ConditionFailed(item)) => {
                    tenants = item.as_ref().map(MetricTenants::from_item).unwrap_or_default();
                }
                Err(refusal) => {
                    warn!(?refusal, "places of tenants not stored, new tenants count as others");
                    return Ok(tenants);
                }
            }
        }
        Ok(tenants)
    }

    /// Commits what is left, chunk by chunk, and drops from `records` what is committed.
    async fn commit(&mut self, checkpoint: Option<String>) -> Result<(), Stopped> {
        let mut known = Known { checkpoint, spans: BTreeMap::new() };
        // Where a transaction was sent and its answer lost.
        let mut perhaps_committed: Option<String> = None;
        let mut attempt = 0;
        while let Some(chunk) = self.next_chunk(&known) {
            if attempt == TRANSACTION_ATTEMPTS_MAX {
                error!("transaction refused too often");
                return Err(Stopped);
            }
            let through = chunk.through.as_ref().map(|sequence| sequence.padded().to_owned());
            let budget_ms = self.budget_ms()?;
            match self.ports.projections.transact(chunk.updates, budget_ms).await {
                Ok(Transacted::Done) => {
                    self.records.drain(..chunk.records);
                    known.checkpoint = through.or(known.checkpoint);
                    self.windows = None;
                    attempt = 0;
                    continue;
                }
                Ok(Transacted::Cancelled(reasons)) => {
                    let learned = known.learn(&chunk.parts, reasons, self.windows.as_mut());
                    match learned {
                        Learned::CheckpointMoved => {
                            if perhaps_committed.is_some() && perhaps_committed == known.checkpoint {
                                self.windows = None;
                            }
                            self.pass_over(known.checkpoint.as_deref());
                        }
                        Learned::Something => {}
                        Learned::Nothing => self.back_off(attempt).await?,
                        Learned::IsAtFault => return Err(stopped(&Refusal::Content, "transaction refused")),
                    }
                }
                Err(Refusal::Content) => return Err(stopped(&Refusal::Content, "transaction refused")),
                Err(Refusal::Transient { code }) => {
                    warn!(%code, "transaction refused, trying again");
                    perhaps_committed = through;
                    self.back_off(attempt).await?;
                }
            }
            attempt += 1;
        }
        Ok(())
    }

    /// Folds as many records as fit one transaction; `None` if there is nothing to write.
    fn next_chunk(&self, known: &Known) -> Option<Chunk> {
        if self.records.is_empty() {
            return None;
        }
        let now_ms = self.ports.clock.now_ms();
        // Always room for the checkpoint and the marker of what is incomplete.
        let days_max =
            TRANSACTION_UPDATES_MAX - 1 - usize::from(self.windows.is_some()) - usize::from(self.is_incomplete());
        let fold = self.fold(days_max);
        let mut chunk = Chunk { parts: Vec::new(), updates: Vec::new(), records: fold.records, through: None };
        if let Some(UnstoredWindows { stored, change, .. }) = &self.windows {
            let mut changed = stored.clone();
            changed.apply(change);
            chunk.push(Part::Windows, changed.to_update(now_ms));
        }
        if fold.uncounted > 0 {
            let reason = if self.shard_id.is_some() { "unreadable records" } else { "events without a shard id" };
            chunk.push(Part::Incomplete, incomplete_update(reason, fold.uncounted, now_ms));
        }
        for (day, counts) in &fold.projection.days {
            chunk.push(Part::Day(day.clone()), counts.to_update(day, known.spans.get(day).copied()));
        }
        if chunk.updates.is_empty() {
            return None;
        }
        if let (Some(shard_id), Some(through)) = (&self.shard_id, fold.through) {
            chunk.push(Part::Checkpoint, checkpoint_update(shard_id, known.checkpoint.as_deref(), &through, now_ms));
            chunk.through = Some(through);
        }
        Some(chunk)
    }

    fn fold(&self, days_max: usize) -> Fold {
        let mut fold = Fold { projection: Counts::default(), uncounted: 0, records: 0, through: None };
        let mut days: BTreeSet<DayKey> = BTreeSet::new();
        for record in &self.records {
            if self.shard_id.is_none() {
                fold.uncounted += 1;
            } else if let Change::Appended(entry) | Change::Revalidated(entry) = &record.change {
                let day = entry.day();
                let cells = fold.projection.days.get(&day).map_or(0, |counts| counts.entries.len());
                let is_full = match days.contains(&day) {
                    true => cells + CELLS_PER_ENTRY_MAX > CELLS_PER_UPDATE_MAX,
                    false => days.len() == days_max,
                };
                if is_full {
                    break;
                }
                days.insert(day);
                match &record.change {
                    Change::Revalidated(_) => fold.projection.revalidate(entry),
                    _ => fold.projection.append(entry),
                }
            } else if let Change::Unreadable(_) = &record.change {
                fold.uncounted += 1;
            }
            fold.records += 1;
            fold.through = record.sequence.clone().or(fold.through);
        }
        fold
    }

    fn is_incomplete(&self) -> bool {
        self.shard_id.is_none() || self.records.iter().any(|record| unreadable(record).is_some())
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
        let at_ms = self.deadline_ms.saturating_sub(ANSWER_MARGIN_MS + WINDOWS_MARGIN_MS);
        Deadline { clock: &self.ports.clock, at_ms, call_ms_min: 1 }
    }

    fn out_of_time(&self) -> Stopped {
        error!(records = self.records.len(), "deadline is near, what is left comes again");
        Stopped
    }
}

impl UnstoredWindows {
    fn new(stored: Windows, change: &WindowChange) -> Self {
        Self { stored, change: change.clone(), published: 0 }
    }
}

/// What is known of the items a transaction is conditional on.
struct Known {
    checkpoint: Option<String>,
    /// First and last `ingested_at` of day items that were not as expected.
    spans: BTreeMap<DayKey, (u64, u64)>,
}

/// What a cancelled transaction taught.
enum Learned {
    /// Another invocation, or an earlier attempt of this one, has committed.
    CheckpointMoved,
    /// Something else is other than it was known to be, and is known now.
    Something,
    /// Only that others are busy.
    Nothing,
    /// That an update can never be made.
    IsAtFault,
}

impl Known {
    fn learn(
        &mut self,
        parts: &[Part],
        reasons: Vec<Cancellation>,
        mut windows: Option<&mut UnstoredWindows>,
    ) -> Learned {
        let mut learned = Learned::Nothing;
        let mut has_moved = false;
        for (part, reason) in parts.iter().zip(reasons) {
            let item = match reason {
                Cancellation::None | Cancellation::Busy => continue,
                Cancellation::Content => return Learned::IsAtFault,
                Cancellation::ConditionFailed(item) => item.unwrap_or_default(),
            };
            learned = Learned::Something;
            match part {
                Part::Checkpoint => {
                    self.checkpoint = text_of(&item, attribute::SEQUENCE_NUMBER).map(str::to_owned);
                    has_moved = true;
                }
                Part::Windows => {
                    if let Some(windows) = windows.as_mut() {
                        windows.stored = Windows::from_item(&item);
                    }
                }
                Part::Day(day) => match span_of(&item) {
                    Some(span) => {
                        self.spans.insert(day.clone(), span);
                    }
                    None => {
                        self.spans.remove(day);
                    }
                },
                // It has no condition.
                Part::Incomplete => {}
            }
        }
        if has_moved { Learned::CheckpointMoved } else { learned }
    }
}

/// The records of one transaction, folded.
struct Fold {
    projection: Counts,
    /// Records that no day counts.
    uncounted: u64,
    records: usize,
    through: Option<SequenceNumber>,
}

/// One transaction.
struct Chunk {
    /// What each update is for.
    parts: Vec<Part>,
    updates: Vec<Update>,
    records: usize,
    through: Option<SequenceNumber>,
}

enum Part {
    Checkpoint,
    Windows,
    Incomplete,
    Day(DayKey),
}

impl Chunk {
    fn push(&mut self, part: Part, update: Update) {
        self.parts.push(part);
        self.updates.push(update);
    }
}

fn stored(found: &[Found]) -> Stored {
    let item = |index: usize| match found.get(index) {
        Some(Found::Item(item)) => Some(item),
        _ => None,
    };
    Stored {
        windows: item(0).map(Windows::from_item).unwrap_or_default(),
        tenants: item(1).map(MetricTenants::from_item).unwrap_or_default(),
        checkpoint: item(2).and_then(|item| text_of(item, attribute::SEQUENCE_NUMBER)).map(str::to_owned),
    }
}

fn appended(record: &Record) -> Option<&EntrySummary> {
    match &record.change {
        Change::Appended(entry) => Some(entry),
        _ => None,
    }
}

fn unreadable(record: &Record) -> Option<&UnreadableRecord> {
    match &record.change {
        Change::Unreadable(unreadable) => Some(unreadable),
        _ => None,
    }
}

fn invalid_entries(records: &[Record]) -> InvalidFold {
    let mut fold = InvalidFold::default();
    let invalid = records.iter().filter_map(appended).filter(|entry| entry.verdict == Verdict::Invalid);
    invalid.for_each(|entry| fold.add(entry));
    fold
}

fn checkpoint_update(shard_id: &str, from: Option<&str>, through: &SequenceNumber, now_ms: u64) -> Update {
    let name = attribute::SEQUENCE_NUMBER.to_owned();
    let condition = match from {
        None => Condition::Absent(name.clone()),
        Some(from) => Condition::Equals(name.clone(), Attribute::S(from.to_owned())),
    };
    Update {
        key: ProjectionKey::checkpoint(shard_id),
        conditions: vec![condition],
        actions: vec![
            Action::Set(name, Attribute::S(through.padded().to_owned())),
            Action::Set(UPDATED_AT.to_owned(), whole_number(now_ms)),
            Action::Set(attribute::TTL.to_owned(), whole_number(now_ms / 1_000 + STATE_TTL_DAYS * 86_400)),
        ],
    }
}

fn incomplete_update(reason: &str, records: u64, now_ms: u64) -> Update {
    Update {
        key: ProjectionKey::incomplete(),
        conditions: Vec::new(),
        actions: vec![
            Action::SetIfAbsent(SINCE.to_owned(), whole_number(now_ms)),
            Action::Set(LATEST.to_owned(), whole_number(now_ms)),
            Action::Set(attribute::REASON.to_owned(), Attribute::S(reason.to_owned())),
            Action::Add(RECORDS.to_owned(), i64::try_from(records).unwrap_or(i64::MAX)),
        ],
    }
}

/// Keys and numbers only, so that the records can be found in the ledger.
fn failure_body(shard_id: Option<&str>, records: &[&UnreadableRecord]) -> String {
    let record = |record: &&UnreadableRecord| {
        json!({
            "eventID": record.event_id,
            "sequenceNumber": record.sequence_number,
            "tenant_id": record.tenant_id,
            "sk": record.sk,
            "reason": record.reason,
        })
    };
    json!({
        "kind": "unreadable_stream_records",
        "shardId": shard_id,
        "records": records.iter().map(record).collect::<Vec<_>>(),
    })
    .to_string()
}

fn stopped(refusal: &Refusal, what: &str) -> Stopped {
    error!(?refusal, what, "batch cannot go on, what is left comes again");
    Stopped
}
