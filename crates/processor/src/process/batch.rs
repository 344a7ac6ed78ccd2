//! A batch while it is processed, and what became of each of its messages.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use ledger::{ClaimKey, ContentHash, Entry, EntryKey, FailureClass, Message, judge};

use crate::process::calls::STATEMENTS_MAX;

/// Bodies beyond this size are large. Their entries are not kept from judging to recording but judged again when their
/// turn comes, so that a batch of worst-case bodies is never in memory as trees at once, and each travels in a request of
/// its own (G12).
const LARGE_BODY_BYTES: usize = 16 * 1024;
/// Bodies in one request: making one must take a fraction of the answer's margin on a small function.
const REQUEST_BYTES_MAX: usize = 512 * 1024;
const _: () = assert!(STATEMENTS_MAX * LARGE_BODY_BYTES <= REQUEST_BYTES_MAX);

const SECONDS_PER_DAY: u64 = 86_400;

/// How long rows live, and which of them the status index lists.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// 0: for ever.
    pub claim_ttl_days: u64,
    /// 0: for ever.
    pub entry_ttl_days: u64,
    /// Whether READY entries are listed in the status index, as INVALID ones always are.
    pub is_ready_indexed: bool,
}

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ready,
    Invalid(FailureClass),
    /// Recorded for an earlier claim that had no entry, with this class of failure if it is INVALID.
    Finished(Option<FailureClass>),
    /// An equal event is in the ledger, brought by another message.
    Duplicate,
    /// An earlier delivery of this very message was recorded.
    Redelivery,
    /// The same, for a claim so old that its entry may have been there and expired, or may never have been: there is no
    /// telling, and an entry too many is the cheaper error.
    ExpiredClaim(Option<FailureClass>),
    /// Nothing is certain: SQS must deliver it again.
    Failed {
        code: Cow<'static, str>,
    },
}

/// What became of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// In the order of the messages.
    pub outcomes: Vec<Outcome>,
    /// Whose each message is: the tenant and the event id that the ledger knows it by.
    pub keys: Vec<EntryKey>,
    /// The messages to deliver again: those that failed, and all later ones of their groups (G5).
    pub failed: Vec<usize>,
    /// Envelopes that state another tenant than their message group.
    pub group_mismatches: usize,
}

/// One message on its way through the batch.
pub(super) struct Case<'m> {
    pub message: &'m Message,
    pub claim_key: Option<ClaimKey>,
    pub content: ContentHash,
    pub key: EntryKey,
    pub event_type: Option<String>,
    pub sequence_number: Option<String>,
    pub is_group_mismatch: bool,
    /// Its entry as judged, until it is recorded.
    pub entry: Option<Entry>,
    /// The class of failure it was last sent to the ledger with; none for a READY entry.
    pub recorded_as: Option<FailureClass>,
    pub outcome: Option<Outcome>,
}

pub(super) struct Batch<'m> {
    pub settings: Settings,
    pub now_ms: u64,
    pub cases: Vec<Case<'m>>,
    /// The first message that failed of each group: later ones are left alone (G5).
    failed_from: HashMap<&'m str, usize>,
    /// The largest weight of each group so far.
    pub heaviest: HashMap<&'m str, usize>,
}

impl<'m> Case<'m> {
    fn new(message: &'m Message, now_ms: u64) -> Self {
        let judged = judge(message, now_ms);
        Self {
            message,
            claim_key: judged.claim_key,
            content: judged.content,
            key: judged.entry.key.clone(),
            event_type: judged.entry.event_type.clone(),
            sequence_number: judged.entry.sequence_number.clone(),
            is_group_mismatch: judged.is_group_mismatch,
            entry: (!is_large(message)).then_some(judged.entry),
            recorded_as: None,
            outcome: None,
        }
    }

    /// The entry as judged. Judging is pure, so doing it again gives the same.
    pub(super) fn take_entry(&mut self, now_ms: u64) -> Entry {
        self.entry.take().unwrap_or_else(|| judge(self.message, now_ms).entry)
    }
}

impl<'m> Batch<'m> {
    /// Judges every message.
    pub(super) fn new(settings: Settings, messages: &'m [Message], now_ms: u64) -> Self {
        let cases = messages.iter().map(|message| Case::new(message, now_ms)).collect();
        Self { settings, now_ms, cases, failed_from: HashMap::new(), heaviest: HashMap::new() }
    }

    pub(super) fn fail(&mut self, index: usize, code: Cow<'static, str>) {
        self.cases[index].outcome = Some(Outcome::Failed { code });
        let message = self.cases[index].message;
        if let Some(group) = &message.group_id {
            let first = self.failed_from.entry(group).or_insert(index);
            *first = index.min(*first);
        }
    }

    pub(super) fn is_group_failed(&self, index: usize) -> bool {
        let group = self.cases[index].message.group_id.as_deref();
        group.and_then(|group| self.failed_from.get(group)).is_some_and(|&first| first < index)
    }

    /// A message that failed is reported with every later one of its group, recorded or not (G5).
    pub(super) fn report(self) -> Report {
        let mut report = Report::default();
        let mut failed_groups = HashSet::new();
        for (index, case) in self.cases.into_iter().enumerate() {
            let group = case.message.group_id.as_deref();
            // Without an outcome it was left alone behind a failed one of its group.
            let outcome = case.outcome.unwrap_or(Outcome::Failed { code: GROUP_FAILED });
            let is_failed = matches!(outcome, Outcome::Failed { .. });
            if is_failed && let Some(group) = group {
                failed_groups.insert(group);
            }
            if is_failed || group.is_some_and(|group| failed_groups.contains(group)) {
                report.failed.push(index);
            }
            report.group_mismatches += usize::from(case.is_group_mismatch);
            report.outcomes.push(outcome);
            report.keys.push(case.key);
        }
        report
    }
}

pub(super) fn is_large(message: &Message) -> bool {
    message.body.len() > LARGE_BODY_BYTES
}

/// Seconds since the epoch at which a row may be deleted; 0 days: never.
pub(super) fn expiry(from_seconds: u64, ttl_days: u64) -> Option<u64> {
    (ttl_days > 0).then(|| from_seconds + ttl_days * SECONDS_PER_DAY)
}

/// An earlier message of its group failed.
pub(super) const GROUP_FAILED: Cow<'static, str> = Cow::Borrowed("GroupFailed");
/// What was there is not any more: only a later delivery can find out what holds now.
pub(super) const VANISHED: Cow<'static, str> = Cow::Borrowed("Vanished");
