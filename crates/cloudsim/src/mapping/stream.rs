//! The mapping from a DynamoDB stream to a function.
//!
//! Each shard is a queue of its own: at most one invocation runs per shard, a failed batch blocks
//! what is behind it, and a child shard starts when its parent is done. What is given up, for age or
//! for retries, is handed to the driver as an on-failure message.
//!
//! Not here: reading the stream (the driver offers records and shards), its 24-hour retention, batch
//! windows, starting positions other than `TRIM_HORIZON`, parallelization factors above 1, filters on anything but
//! `eventName`.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{ItemFailures, MappingError, Outcome, back_off_ms, figure, item_failures};
use crate::admission::{Filter, MAPPING_RULES, MappingSettings, check};
use crate::encoding::{iso_millis, iso_seconds, uuid};

/// A batch ends where its event would pass this. (Lambda quotas: invocation payload.)
const EVENT_BYTES_MAX: usize = 6 * 1_024 * 1_024;

/// A window ends early where its state passes this. (Lambda developer guide, "tumbling windows".)
const STATE_BYTES_MAX: usize = 1_024 * 1_024;

const MS_PER_SECOND: u64 = 1_000;

/// What AWS takes where the settings do not say it.
const BATCH_SIZE_DEFAULT: u64 = 100;

const BACK_OFF_MS: u64 = 1_000;

/// Is one stream record as the driver offers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamRecord {
    /// Decimal digits; compared as numbers.
    pub sequence_number: String,
    /// `INSERT`, `MODIFY` or `REMOVE`.
    pub event_name: String,
    /// `ApproximateCreationDateTime`.
    pub created_ms: u64,
    /// The record exactly as the function is to see it in `Records`.
    pub record: Value,
}

/// Polls a stream for a function.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StreamMapping {
    settings: MappingSettings,
    /// The event filter: only records with these event names reach the function; `None` lets all pass.
    event_names: Option<BTreeSet<String>>,
    shards: BTreeMap<String, Shard>,
    next_id: u64,
    /// `None` where none has ended.
    has_last_run_failed: Option<bool>,
}

/// Is one call of the function the driver has to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamInvocation {
    pub id: u64,
    /// The same in each run of a batch.
    pub request_id: String,
    pub shard_id: String,
    pub event: Value,
}

/// Is what a poll found: calls to make, and records too old to be sent any more.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StreamPoll {
    pub invocations: Vec<StreamInvocation>,
    pub discarded: Vec<Discarded>,
}

/// Says that records were given up; `message` is for the on-failure destination.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Discarded {
    pub shard_id: String,
    pub sequence_numbers: Vec<String>,
    pub message: Value,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Shard {
    parent_shard_id: Option<String>,
    is_closed: bool,
    /// Records that passed the filter and are in no batch yet.
    pending: VecDeque<StreamRecord>,
    /// Batches to run before anything pending, in order; the first one may be running.
    batches: VecDeque<Batch>,
    running: Option<u64>,
    window: Option<Window>,
    last_offered: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Batch {
    kind: BatchKind,
    /// Empty for the end of a window.
    records: Vec<StreamRecord>,
    /// Times the function ran, for the on-failure message.
    invocations: u32,
    /// Failures that used up a retry.
    failures: u32,
    /// Failures and throttles in a row, for the back-off.
    setbacks: u32,
    not_before_ms: u64,
    last_failure: Option<Failure>,
    /// The first invocation, which names the request.
    request: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum BatchKind {
    Records,
    /// The final invocation of a window, early where its state was too big.
    WindowEnd {
        is_early: bool,
    },
}

/// Is how a batch failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Failure {
    FunctionError,
    /// The function returned, and its response fails the batch.
    Response,
}

/// Is an open tumbling window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Window {
    start_ms: u64,
    end_ms: u64,
    state: Value,
    /// True where the state passed its limit, so that a final invocation is due early.
    is_overfull: bool,
}

/// Is what a completed invocation means for its batch.
enum Verdict {
    /// The first records succeeded, up to all of them.
    Done {
        records: usize,
        state: Option<Value>,
    },
    Failed(Failure),
    Throttled,
}

/// Is why records are given up, called as AWS calls it.
#[derive(Clone, Copy, Serialize)]
enum Condition {
    RetryAttemptsExhausted,
    RecordAgeExceeded,
}

impl StreamMapping {
    /// Makes a mapping; refuses what AWS refuses.
    pub fn new(settings: MappingSettings) -> Result<Self, MappingError> {
        check(MAPPING_RULES, &settings)?;
        let filters = &settings.filter_criteria.filters;
        let names: Option<Vec<Vec<String>>> = filters.iter().map(Filter::event_names).collect();
        let names: BTreeSet<String> = names.ok_or(MappingError::UnknownFilter)?.into_iter().flatten().collect();
        let event_names = (!filters.is_empty()).then_some(names);
        Ok(Self { settings, event_names, shards: BTreeMap::new(), next_id: 1, has_last_run_failed: None })
    }

    #[must_use]
    pub fn settings(&self) -> &MappingSettings {
        &self.settings
    }

    /// Returns `LastProcessingResult`, as the Lambda API shows it.
    #[must_use]
    pub fn last_processing_result(&self) -> &'static str {
        match self.has_last_run_failed {
            None => "No records processed",
            Some(true) => "PROBLEM: Function call failed",
            Some(false) => "OK",
        }
    }

    /// Makes a shard known; once known, a second call changes nothing. A parent that is not known
    /// counts as done, so parents are added first.
    pub fn add_shard(&mut self, shard_id: &str, parent_shard_id: Option<&str>) {
        self.shards
            .entry(shard_id.to_owned())
            .or_insert_with(|| Shard { parent_shard_id: parent_shard_id.map(str::to_owned), ..Shard::default() });
    }

    /// Appends records to a shard in order; those at or below the last offered one are ignored.
    pub fn offer(&mut self, shard_id: &str, records: Vec<StreamRecord>) -> Result<(), MappingError> {
        let shard = known_shard(&mut self.shards, shard_id)?;
        if shard.is_closed && !records.is_empty() {
            return Err(MappingError::ClosedShard { shard_id: shard_id.to_owned() });
        }
        for record in records {
            let is_new = shard
                .last_offered
                .as_ref()
                .is_none_or(|last_offered| compare_sequence(last_offered, &record.sequence_number) == Ordering::Less);
            if !is_new {
                continue;
            }
            shard.last_offered = Some(record.sequence_number.clone());
            let names = self.event_names.as_ref();
            if names.is_none_or(|names| names.contains(&record.event_name)) {
                shard.pending.push_back(record);
            }
        }
        Ok(())
    }

    /// Says that no more records will come in this shard, so that its children may start.
    pub fn close_shard(&mut self, shard_id: &str) -> Result<(), MappingError> {
        known_shard(&mut self.shards, shard_id)?.is_closed = true;
        Ok(())
    }

    /// Returns the invocations to run now, at most one per shard.
    pub fn poll(&mut self, now_ms: u64) -> StreamPoll {
        let mut poll = StreamPoll::default();
        let blocked = self.blocked_shards();
        for (shard_id, shard) in &mut self.shards {
            if shard.running.is_some() || blocked.contains(shard_id) {
                continue;
            }
            poll.discarded.extend(discard_aged(&self.settings, now_ms, shard_id, shard));
            if shard.batches.is_empty()
                && let Some(batch) = next_batch(&self.settings, shard)
            {
                shard.batches.push_back(batch);
            }
            let Some(batch) = shard.batches.front_mut() else {
                continue;
            };
            if batch.not_before_ms > now_ms {
                continue;
            }
            let id = self.next_id;
            self.next_id += 1;
            shard.running = Some(id);
            let request = *batch.request.get_or_insert(id);
            let batch = &*batch;
            poll.invocations.push(StreamInvocation {
                id,
                request_id: request_id(request),
                shard_id: shard_id.clone(),
                event: event(&self.settings, shard_id, batch, shard.window.as_ref()),
            });
        }
        poll
    }

    /// Ends an invocation; returns what was given up because of it.
    ///
    /// Throttling uses up no retry; a bisection neither. What is left after a partial answer, and
    /// each half of a split, is a new batch with all its retries. The final invocation of a window is
    /// given up like any other, and the next window begins empty. (All as recorded; the Lambda
    /// developer guide, "Using Lambda with DynamoDB", says less.)
    pub fn complete(
        &mut self,
        now_ms: u64,
        invocation_id: u64,
        outcome: &Outcome,
    ) -> Result<Vec<Discarded>, MappingError> {
        let unknown = MappingError::UnknownInvocation { id: invocation_id };
        let running = self.shards.iter_mut().find(|(_, shard)| shard.running == Some(invocation_id));
        let (shard_id, shard) = running.ok_or(unknown.clone())?;
        shard.running = None;
        let mut batch = shard.batches.pop_front().ok_or(unknown)?;
        let verdict = judge(&self.settings, &batch, outcome);
        if !matches!(verdict, Verdict::Throttled) {
            self.has_last_run_failed = Some(matches!(verdict, Verdict::Failed(Failure::FunctionError)));
        }
        let failure = match verdict {
            Verdict::Done { records, state } => {
                settle(shard, &mut batch, records, state);
                if batch.records.is_empty() {
                    return Ok(Vec::new());
                }
                // What is reported first fails its batch; what was done before it makes it a new one.
                if records > 0 {
                    shard.retry(now_ms, Batch::new(BatchKind::Records, batch.records));
                    return Ok(Vec::new());
                }
                Failure::Response
            }
            Verdict::Failed(failure) => failure,
            Verdict::Throttled => {
                shard.retry(now_ms, batch);
                return Ok(Vec::new());
            }
        };
        batch.invocations += 1;
        batch.last_failure = Some(failure);
        Ok(fail(&self.settings, now_ms, shard_id, shard, batch))
    }

    /// Says whether everything offered was processed, filtered out or discarded. An open window
    /// does not count: its records have been delivered.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.shards
            .values()
            .all(|shard| shard.pending.is_empty() && shard.batches.iter().all(|batch| batch.records.is_empty()))
    }

    /// Returns when polling again is worth it without a new record or a completion: a back-off or a
    /// window ends, or a record passes its maximum age. A time that has passed means: now.
    #[must_use]
    pub fn next_event_ms(&self) -> Option<u64> {
        let blocked = self.blocked_shards();
        self.shards
            .iter()
            .filter(|(shard_id, shard)| shard.running.is_none() && !blocked.contains(*shard_id))
            .filter_map(|(_, shard)| self.next_shard_event_ms(shard))
            .min()
    }

    /// Returns the last sequence number offered for the shard: where a driver goes on reading.
    #[must_use]
    pub fn last_offered(&self, shard_id: &str) -> Option<&str> {
        self.shards.get(shard_id)?.last_offered.as_deref()
    }

    /// Forgets the running invocations, as when the poller or the whole driver died; their batches
    /// are offered again by `poll` and use up no retry.
    pub fn forget_invocations(&mut self) {
        for shard in self.shards.values_mut() {
            shard.running = None;
        }
    }

    fn next_shard_event_ms(&self, shard: &Shard) -> Option<u64> {
        const NOW: u64 = 0;
        if let Some(batch) = shard.batches.front() {
            let too_old_ms = batch.records.first().and_then(|record| too_old_ms(&self.settings, record));
            return too_old_ms.into_iter().chain([batch.not_before_ms]).min();
        }
        if !shard.pending.is_empty() {
            return Some(NOW);
        }
        let window = shard.window.as_ref()?;
        (shard.is_closed || window.is_overfull).then_some(NOW)
    }

    /// Returns the shards whose parent is known and not done.
    fn blocked_shards(&self) -> BTreeSet<String> {
        let is_blocked = |shard: &Shard| {
            shard
                .parent_shard_id
                .as_ref()
                .and_then(|parent_shard_id| self.shards.get(parent_shard_id))
                .is_some_and(|parent| !parent.is_done())
        };
        self.shards.iter().filter(|(_, shard)| is_blocked(shard)).map(|(shard_id, _)| shard_id.clone()).collect()
    }
}

impl Shard {
    fn is_done(&self) -> bool {
        self.is_closed && self.pending.is_empty() && self.batches.is_empty() && self.window.is_none()
    }

    /// Puts a batch back to the front, to run after its back-off.
    fn retry(&mut self, now_ms: u64, mut batch: Batch) {
        batch.setbacks += 1;
        batch.not_before_ms = now_ms + back_off_ms(BACK_OFF_MS, batch.setbacks);
        self.batches.push_front(batch);
    }

    /// Ends the window after its final invocation; after an early one it goes on, empty.
    fn end_window(&mut self, kind: BatchKind) {
        match (kind, &mut self.window) {
            (BatchKind::WindowEnd { is_early: true }, Some(window)) => {
                window.state = Value::Object(Map::new());
                window.is_overfull = false;
            }
            (BatchKind::WindowEnd { is_early: false }, window) => *window = None,
            (BatchKind::Records, _) | (_, None) => {}
        }
    }
}

impl Batch {
    fn new(kind: BatchKind, records: Vec<StreamRecord>) -> Self {
        Self {
            kind,
            records,
            invocations: 0,
            failures: 0,
            setbacks: 0,
            not_before_ms: 0,
            last_failure: None,
            request: None,
        }
    }
}

fn request_id(number: u64) -> String {
    uuid("request", number)
}

/// Returns the length of the tumbling windows; none where it is 0.
fn window_seconds(settings: &MappingSettings) -> Option<u64> {
    figure(settings.tumbling_window_in_seconds).filter(|seconds| *seconds > 0)
}

fn known_shard<'a>(shards: &'a mut BTreeMap<String, Shard>, shard_id: &str) -> Result<&'a mut Shard, MappingError> {
    shards.get_mut(shard_id).ok_or_else(|| MappingError::UnknownShard { shard_id: shard_id.to_owned() })
}

/// Compares decimal numbers of any length.
fn compare_sequence(left: &str, right: &str) -> Ordering {
    let left = left.trim_start_matches('0');
    let right = right.trim_start_matches('0');
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

/// Returns when a record first is older than the maximum.
fn too_old_ms(settings: &MappingSettings, record: &StreamRecord) -> Option<u64> {
    let age_seconds_max = figure(settings.maximum_record_age_in_seconds)?;
    Some(record.created_ms + age_seconds_max * MS_PER_SECOND + 1)
}

/// Gives up the records at the front that are older than the maximum age.
fn discard_aged(settings: &MappingSettings, now_ms: u64, shard_id: &str, shard: &mut Shard) -> Vec<Discarded> {
    let is_aged = |record: &StreamRecord| too_old_ms(settings, record).is_some_and(|too_old_ms| too_old_ms <= now_ms);
    let mut discarded = Vec::new();
    let mut give_up = |aged: Batch| {
        discarded.push(discard(settings, now_ms, shard_id, None, &aged, Condition::RecordAgeExceeded));
    };
    while let Some(mut batch) = shard.batches.pop_front() {
        let aged = batch.records.iter().take_while(|record| is_aged(record)).count();
        if aged > 0 {
            let records = batch.records.drain(..aged).collect();
            give_up(Batch { records, ..batch.clone() });
        }
        if !batch.records.is_empty() || batch.kind != BatchKind::Records {
            shard.batches.push_front(batch);
            break;
        }
    }
    if shard.batches.is_empty() {
        let mut aged = Vec::new();
        while let Some(record) = shard.pending.pop_front_if(|record| is_aged(record)) {
            aged.push(record);
        }
        if !aged.is_empty() {
            give_up(Batch::new(BatchKind::Records, aged));
        }
    }
    discarded
}

/// Forms the next batch of what is pending, or the end of a window.
fn next_batch(settings: &MappingSettings, shard: &mut Shard) -> Option<Batch> {
    let Some(window_seconds) = window_seconds(settings) else {
        let records = take_pending(settings, shard, |_| true);
        return (!records.is_empty()).then(|| Batch::new(BatchKind::Records, records));
    };
    let window_ms = window_seconds * MS_PER_SECOND;
    let start_of = |record: &StreamRecord| record.created_ms / window_ms * window_ms;
    let first_start_ms = shard.pending.front().map(start_of);
    if let Some(window) = &shard.window {
        let is_over = match first_start_ms {
            Some(start_ms) => start_ms > window.start_ms,
            // Nobody watches the clock: a window is over when a record of a later one is there.
            None => shard.is_closed,
        };
        if window.is_overfull || is_over {
            let is_early = window.is_overfull;
            return Some(Batch::new(BatchKind::WindowEnd { is_early }, Vec::new()));
        }
    }
    let first_start_ms = first_start_ms?;
    let start_ms = shard
        .window
        .get_or_insert_with(|| Window {
            start_ms: first_start_ms,
            end_ms: first_start_ms + window_ms,
            state: Value::Object(Map::new()),
            is_overfull: false,
        })
        .start_ms;
    let records = take_pending(settings, shard, |record| start_of(record) <= start_ms);
    Some(Batch::new(BatchKind::Records, records))
}

/// Takes what fits one event and is wanted; the first record always fits.
fn take_pending(
    settings: &MappingSettings,
    shard: &mut Shard,
    is_wanted: impl Fn(&StreamRecord) -> bool,
) -> Vec<StreamRecord> {
    let mut records = Vec::new();
    let mut event_bytes = 0;
    let batch_size = figure(settings.batch_size).unwrap_or(BATCH_SIZE_DEFAULT);
    while (records.len() as u64) < batch_size
        && let Some(record) = shard.pending.front().filter(|record| is_wanted(record))
    {
        event_bytes += record.record.to_string().len();
        if !records.is_empty() && event_bytes > EVENT_BYTES_MAX {
            break;
        }
        records.extend(shard.pending.pop_front());
    }
    records
}

/// Builds the event as Lambda does. (Lambda developer guide, "Using Lambda with DynamoDB" and
/// "tumbling windows".)
fn event(settings: &MappingSettings, shard_id: &str, batch: &Batch, window: Option<&Window>) -> Value {
    let records: Vec<&Value> = batch.records.iter().map(|record| &record.record).collect();
    let Some(window) = window else {
        return json!({ "Records": records });
    };
    let (is_final, is_early) = match batch.kind {
        BatchKind::Records => (false, false),
        BatchKind::WindowEnd { is_early } => (true, is_early),
    };
    json!({
        "Records": records,
        "window": {
            "start": iso_seconds(window.start_ms),
            "end": iso_seconds(window.end_ms),
        },
        "state": window.state,
        "shardId": shard_id,
        "eventSourceARN": settings.event_source_arn,
        "isFinalInvokeForWindow": is_final,
        "isWindowTerminatedEarly": is_early,
    })
}

/// Decides what an outcome means. With a tumbling window a response without `state` is a failure.
fn judge(settings: &MappingSettings, batch: &Batch, outcome: &Outcome) -> Verdict {
    let response = match outcome {
        Outcome::Succeeded(response) => response.as_ref(),
        Outcome::FunctionError | Outcome::TimedOut => {
            return Verdict::Failed(Failure::FunctionError);
        }
        Outcome::Throttled => return Verdict::Throttled,
    };
    let malformed = Verdict::Failed(Failure::Response);
    let state = response.and_then(|response| response.get("state"));
    let state = match (window_seconds(settings), state) {
        (None, _) => None,
        (Some(_), Some(state @ Value::Object(_))) => Some(state.clone()),
        (Some(_), _) => return malformed,
    };
    let all = batch.records.len();
    if !settings.reports_batch_item_failures() {
        return Verdict::Done { records: all, state };
    }
    match item_failures(response) {
        ItemFailures::None => Verdict::Done { records: all, state },
        ItemFailures::Malformed => malformed,
        ItemFailures::Some(ids) => {
            let place_of = |id: &str| batch.records.iter().position(|record| record.sequence_number == id);
            let places: Option<Vec<usize>> = ids.into_iter().map(place_of).collect();
            match places.and_then(|places| places.into_iter().min()) {
                Some(records) => Verdict::Done { records, state },
                None => malformed,
            }
        }
    }
}

/// Drops the records that are done. The returned state counts if any record does, since what the
/// function folded into it is not sent again.
fn settle(shard: &mut Shard, batch: &mut Batch, records: usize, state: Option<Value>) {
    batch.records.drain(..records);
    if let (Some(window), Some(state), true) = (&mut shard.window, state, records > 0) {
        window.is_overfull = state.to_string().len() > STATE_BYTES_MAX;
        window.state = state;
    }
    shard.end_window(batch.kind);
}

/// Splits a failed batch, puts it back to the front, or gives it up where its retries are used up.
fn fail(
    settings: &MappingSettings,
    now_ms: u64,
    shard_id: &str,
    shard: &mut Shard,
    mut batch: Batch,
) -> Vec<Discarded> {
    if settings.bisect_batch_on_function_error == Some(true) && batch.records.len() > 1 {
        let behind = batch.records.split_off(batch.records.len() / 2);
        shard.batches.push_front(Batch::new(BatchKind::Records, behind));
        shard.retry(now_ms, Batch::new(BatchKind::Records, batch.records));
        return Vec::new();
    }
    if figure(settings.maximum_retry_attempts).is_some_and(|attempts| u64::from(batch.failures) >= attempts) {
        let discarded =
            discard(settings, now_ms, shard_id, shard.window.as_ref(), &batch, Condition::RetryAttemptsExhausted);
        shard.end_window(batch.kind);
        return vec![discarded];
    }
    batch.failures += 1;
    shard.retry(now_ms, batch);
    Vec::new()
}

/// Builds the on-failure message. (Lambda developer guide, "Retain discarded batch records", and as recorded.)
fn discard(
    settings: &MappingSettings,
    now_ms: u64,
    shard_id: &str,
    window: Option<&Window>,
    batch: &Batch,
    condition: Condition,
) -> Discarded {
    let sequence_numbers: Vec<String> = batch.records.iter().map(|record| record.sequence_number.clone()).collect();
    let arrival = |record: Option<&StreamRecord>| record.map(|record| iso_seconds(record.created_ms));
    let mut message = json!({
        "requestContext": {
            "requestId": request_id(batch.request.unwrap_or_default()),
            "functionArn": settings.function_name,
            "condition": condition,
            // One where it never ran, too.
            "approximateInvokeCount": batch.invocations.max(1),
        },
        "version": "1.0",
        "timestamp": iso_millis(now_ms),
        "DDBStreamBatchInfo": { "shardId": shard_id, "streamArn": settings.event_source_arn },
    });
    if let Some(failure) = batch.last_failure {
        let function_error = (failure == Failure::FunctionError).then_some("Unhandled");
        message["responseContext"] =
            json!({ "statusCode": 200, "executedVersion": "$LATEST", "functionError": function_error });
    }
    match (batch.kind, window) {
        (BatchKind::WindowEnd { is_early }, Some(window)) => {
            message["timeWindowInfo"] = json!({
                "window": { "start": iso_seconds(window.start_ms), "end": iso_seconds(window.end_ms) },
                "isFinalInvokeForWindow": true,
                "isWindowTerminatedEarly": is_early,
            });
        }
        _ => {
            let info = &mut message["DDBStreamBatchInfo"];
            info["startSequenceNumber"] = json!(sequence_numbers.first());
            info["endSequenceNumber"] = json!(sequence_numbers.last());
            info["approximateArrivalOfFirstRecord"] = json!(arrival(batch.records.first()));
            info["approximateArrivalOfLastRecord"] = json!(arrival(batch.records.last()));
            info["batchSize"] = json!(sequence_numbers.len());
        }
    }
    Discarded { shard_id: shard_id.to_owned(), sequence_numbers, message }
}
