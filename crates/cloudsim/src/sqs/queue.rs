//! One queue's messages: which may be delivered, which are hidden, and in which order.
//!
//! Every message has a slot, a number that grows with each arrival and never changes, so a message
//! that becomes visible again is back at its old place. `free` holds the slots a receive may start
//! from: every visible message of a standard queue, and of a FIFO queue the first message of every
//! group where it is visible: a hidden message holds back what is behind it, and nothing else. That
//! index makes a receive cost what it returns, not what is stored.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::settings::Settings;
use super::{ReceiveRequest, ReceivedMessage, SendRequest, Sent, received_message};

/// Messages a FIFO queue looks through for free groups, counted from its oldest.
/// (SQS developer guide, "FIFO queue and message group quotas".)
pub(super) const LOOKED_THROUGH_MAX: usize = 120_000;

/// Messages that may be in flight at a time.
pub(super) const IN_FLIGHT_MAX: usize = 120_000;

const MS_PER_SECOND: u64 = 1_000;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Queue {
    /// Tells this queue from an earlier one of the same name, for receipt handles.
    pub incarnation: u64,
    pub created_ms: u64,
    pub modified_ms: u64,
    pub purged_ms: Option<u64>,
    pub settings: Settings,
    pub sent: SentIds,
    pub messages: BTreeMap<u64, StoredMessage>,
    groups: BTreeMap<String, Group>,
    /// In the order in which receives start from them: by slot, and of a FIFO queue by the turns of
    /// the groups.
    free: BTreeMap<u64, u64>,
    /// (when it becomes visible, slot) of every hidden message.
    hidden: BTreeSet<(u64, u64)>,
    /// (start of its retention, slot) of every message.
    retained: BTreeSet<(u64, u64)>,
    pub in_flight: usize,
    /// The slot of the last message that is looked through, where there are that many.
    horizon: Option<u64>,
    next_slot: u64,
    next_turn: u64,
    next_receipt: u64,
}

/// Is a message in a queue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredMessage {
    pub message_id: String,
    /// As it was sent; on FIFO with the deduplication id that counts.
    pub request: SendRequest,
    pub sequence_number: Option<String>,
    pub sent_ms: u64,
    pub first_received_ms: Option<u64>,
    /// Receives in all queues.
    pub receives: u32,
    pub dead_letter_source_arn: Option<String>,
    /// Starts the retention period.
    pub enqueued_ms: u64,
    /// Receives in this queue, for its redrive policy.
    pub receives_here: u32,
    /// The latest receipt.
    pub receipt: u64,
    pub received_ms: u64,
    pub state: MessageState,
}

/// Is whether a stored message can be received; a visible one may still wait for its group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MessageState {
    #[default]
    Visible,
    Delayed {
        until_ms: u64,
    },
    InFlight {
        until_ms: u64,
    },
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Group {
    slots: BTreeSet<u64>,
    /// When a receive may take from it: groups that were received go behind those that were not, in
    /// the order of their receives. AWS promises no order between groups; this is what it gives.
    turn: u64,
}

impl MessageState {
    pub(super) fn is_in_flight(self) -> bool {
        matches!(self, Self::InFlight { .. })
    }

    fn hidden_until_ms(self) -> Option<u64> {
        match self {
            Self::Visible => None,
            Self::Delayed { until_ms } | Self::InFlight { until_ms } => Some(until_ms),
        }
    }
}

impl Queue {
    pub(super) fn new(now_ms: u64, incarnation: u64, settings: Settings) -> Self {
        Self { incarnation, created_ms: now_ms, modified_ms: now_ms, settings, ..Self::default() }
    }

    pub(super) fn visible(&self) -> usize {
        self.messages.len() - self.hidden.len()
    }

    pub(super) fn delayed(&self) -> usize {
        self.hidden.len() - self.in_flight
    }

    pub(super) fn next_visible_ms(&self) -> Option<u64> {
        self.hidden.first().map(|(visible_ms, _)| *visible_ms)
    }

    /// Ends the visibility timeouts, delays and retention periods that are over.
    pub(super) fn advance(&mut self, now_ms: u64) {
        let retention_ms = self.retention_ms();
        while let Some(&(enqueued_ms, slot)) = self.retained.first()
            && enqueued_ms + retention_ms <= now_ms
        {
            self.remove(slot);
        }
        while let Some(&(visible_ms, slot)) = self.hidden.first()
            && visible_ms <= now_ms
        {
            self.set_state(slot, MessageState::Visible);
        }
    }

    /// Appends a message; it is hidden first where `visible_ms` is later than now.
    pub(super) fn insert(&mut self, now_ms: u64, message: StoredMessage, visible_ms: u64) {
        let slot = self.next_slot;
        self.next_slot += 1;
        if let Some(group_id) = self.group_id(&message) {
            let next_turn = &mut self.next_turn;
            let group = self.groups.entry(group_id).or_insert_with(|| {
                *next_turn += 1;
                Group { slots: BTreeSet::new(), turn: *next_turn }
            });
            group.slots.insert(slot);
        }
        self.retained.insert((message.enqueued_ms, slot));
        self.messages.insert(slot, message);
        if self.messages.len() == LOOKED_THROUGH_MAX {
            self.horizon = Some(slot);
        }
        let is_delayed = visible_ms > now_ms;
        let state = if is_delayed { MessageState::Delayed { until_ms: visible_ms } } else { MessageState::Visible };
        self.set_state(slot, state);
    }

    /// Takes messages for delivery and those whose receives are used up: `receives_max` is the redrive policy's, where
    /// its DLQ exists. One FIFO receive takes all it can of the group whose turn it is, then of the next.
    /// (SQS developer guide, "FIFO queue delivery logic".)
    pub(super) fn take(
        &mut self,
        now_ms: u64,
        request: &ReceiveRequest,
        receives_max: Option<u32>,
    ) -> (Vec<ReceivedMessage>, Vec<StoredMessage>) {
        let messages_max = request.messages_max as usize;
        let timeout_seconds = request.visibility_timeout_seconds.unwrap_or(self.settings.visibility_timeout_seconds);
        let until_ms = now_ms + u64::from(timeout_seconds) * MS_PER_SECOND;
        let (mut delivered, mut dead) = (Vec::new(), Vec::new());
        while delivered.len() < messages_max
            && self.in_flight < IN_FLIGHT_MAX
            && let Some(first) = self.next_free()
        {
            let candidates = self.deliverable_with(first, messages_max);
            self.end_turn(first);
            for slot in candidates {
                if delivered.len() == messages_max || self.in_flight >= IN_FLIGHT_MAX {
                    break;
                }
                if self.is_exhausted(slot, receives_max) {
                    dead.extend(self.remove(slot));
                } else {
                    delivered.extend(self.deliver(now_ms, slot, until_ms));
                }
            }
        }
        (delivered, dead)
    }

    pub(super) fn change_visibility(&mut self, now_ms: u64, slot: u64, timeout_ms: u64) {
        let state = if timeout_ms == 0 {
            MessageState::Visible
        } else {
            MessageState::InFlight { until_ms: now_ms + timeout_ms }
        };
        self.set_state(slot, state);
    }

    /// Applies a changed delay to the messages that wait for one; on a FIFO queue a change of
    /// `DelaySeconds` is retroactive. (SQS API reference, `SetQueueAttributes`.)
    pub(super) fn redelay(&mut self) {
        let delay_ms = u64::from(self.settings.delay_seconds) * MS_PER_SECOND;
        let delayed: Vec<(u64, u64)> = self
            .hidden
            .iter()
            .filter_map(|(_, slot)| {
                let stored = &self.messages[slot];
                matches!(stored.state, MessageState::Delayed { .. }).then_some((*slot, stored.sent_ms + delay_ms))
            })
            .collect();
        for (slot, until_ms) in delayed {
            self.set_state(slot, MessageState::Delayed { until_ms });
        }
    }

    pub(super) fn purge(&mut self) {
        self.messages.clear();
        self.groups.clear();
        self.free.clear();
        self.hidden.clear();
        self.retained.clear();
        self.sent = SentIds::default();
        self.in_flight = 0;
        self.horizon = None;
    }

    pub(super) fn remove(&mut self, slot: u64) -> Option<StoredMessage> {
        if !self.messages.contains_key(&slot) {
            return None;
        }
        self.set_state(slot, MessageState::Visible);
        let stored = self.messages.remove(&slot)?;
        self.retained.remove(&(stored.enqueued_ms, slot));
        match self.group_id(&stored) {
            Some(group_id) => self.remove_from_group(&group_id, slot),
            None => {
                self.free.remove(&slot);
            }
        }
        if let Some(horizon) = self.horizon
            && slot <= horizon
        {
            self.horizon = self.messages.range(horizon + 1..).next().map(|(slot, _)| *slot);
        }
        Some(stored)
    }

    /// Returns the first slot a receive may start from, if it is looked through at all: to deliver its message or to
    /// move it to the DLQ.
    pub(super) fn next_free(&self) -> Option<u64> {
        self.free.values().copied().find(|slot| self.is_looked_through(*slot))
    }

    fn is_looked_through(&self, slot: u64) -> bool {
        !self.settings.is_fifo || self.horizon.is_none_or(|horizon| slot <= horizon)
    }

    /// Returns the slots deliverable together with a free one: itself, and of a FIFO queue what
    /// follows in its group up to the first hidden message. Twice the maximum is enough to look at
    /// per step, because exhausted messages are removed and the next step goes on behind them.
    fn deliverable_with(&self, first: u64, messages_max: usize) -> Vec<u64> {
        let Some(group_id) = self.group_id(&self.messages[&first]) else {
            return vec![first];
        };
        self.groups[&group_id]
            .slots
            .iter()
            .copied()
            .take(2 * messages_max)
            .take_while(|slot| self.messages[slot].state == MessageState::Visible && self.is_looked_through(*slot))
            .collect()
    }

    fn is_exhausted(&self, slot: u64, receives_max: Option<u32>) -> bool {
        receives_max.is_some_and(|max| self.messages[&slot].receives_here >= max)
    }

    fn deliver(&mut self, now_ms: u64, slot: u64, until_ms: u64) -> Option<ReceivedMessage> {
        self.next_receipt += 1;
        let stored = self.messages.get_mut(&slot)?;
        stored.receipt = self.next_receipt;
        stored.received_ms = now_ms;
        stored.receives_here += 1;
        stored.receives += 1;
        stored.first_received_ms.get_or_insert(now_ms);
        let received = received_message(self.incarnation, slot, stored);
        self.set_state(slot, MessageState::InFlight { until_ms });
        Some(received)
    }

    /// Changes a message's state and everything that is counted or indexed by it.
    fn set_state(&mut self, slot: u64, new_state: MessageState) {
        let Some(stored) = self.messages.get_mut(&slot) else {
            return;
        };
        let old_state = std::mem::replace(&mut stored.state, new_state);
        let group_id = if self.settings.is_fifo { stored.request.message_group_id.clone() } else { None };
        if let Some(until_ms) = old_state.hidden_until_ms() {
            self.hidden.remove(&(until_ms, slot));
        }
        if let Some(until_ms) = new_state.hidden_until_ms() {
            self.hidden.insert((until_ms, slot));
        }
        self.in_flight -= usize::from(old_state.is_in_flight());
        self.in_flight += usize::from(new_state.is_in_flight());
        match group_id {
            Some(group_id) => self.offer_group(&group_id),
            None if new_state == MessageState::Visible => {
                self.free.insert(slot, slot);
            }
            None => {
                self.free.remove(&slot);
            }
        }
    }

    fn remove_from_group(&mut self, group_id: &str, slot: u64) {
        let Some(group) = self.groups.get_mut(group_id) else {
            return;
        };
        group.slots.remove(&slot);
        self.offer_group(group_id);
        if self.groups.get(group_id).is_some_and(|group| group.slots.is_empty()) {
            self.groups.remove(group_id);
        }
    }

    /// Puts a group into `free` where its first message may be delivered, and takes it out elsewhere.
    fn offer_group(&mut self, group_id: &str) {
        let Some(group) = self.groups.get(group_id) else {
            return;
        };
        let is_visible =
            |slot: &u64| self.messages.get(slot).is_some_and(|stored| stored.state == MessageState::Visible);
        match group.slots.first().copied().filter(is_visible) {
            Some(slot) => self.free.insert(group.turn, slot),
            None => self.free.remove(&group.turn),
        };
    }

    /// Sends the group of a message behind all others.
    fn end_turn(&mut self, slot: u64) {
        let Some(group_id) = self.group_id(&self.messages[&slot]) else {
            return;
        };
        let Some(group) = self.groups.get_mut(&group_id) else {
            return;
        };
        self.free.remove(&group.turn);
        self.next_turn += 1;
        group.turn = self.next_turn;
        self.offer_group(&group_id);
    }

    /// Returns the group that orders a message; a standard queue has none.
    fn group_id(&self, message: &StoredMessage) -> Option<String> {
        if self.settings.is_fifo { message.request.message_group_id.clone() } else { None }
    }

    fn retention_ms(&self) -> u64 {
        u64::from(self.settings.retention_seconds) * MS_PER_SECOND
    }
}

/// Remembers what was sent within the deduplication interval.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct SentIds {
    /// (end of the interval, answer to the first send) by deduplication key.
    by_key: BTreeMap<String, (u64, Sent)>,
    /// (end of the interval, key), oldest first.
    expiring: VecDeque<(u64, String)>,
}

/// The interval is fixed. (SQS developer guide, "Exactly-once processing".)
const DEDUPLICATION_INTERVAL_MS: u64 = 300_000;

impl SentIds {
    pub(super) fn original(&self, now_ms: u64, key: &str) -> Option<&Sent> {
        self.by_key.get(key).filter(|(until_ms, _)| *until_ms > now_ms).map(|(_, sent)| sent)
    }

    pub(super) fn remember(&mut self, now_ms: u64, key: String, sent: Sent) {
        self.forget_expired(now_ms);
        let until_ms = now_ms + DEDUPLICATION_INTERVAL_MS;
        self.expiring.push_back((until_ms, key.clone()));
        self.by_key.insert(key, (until_ms, sent));
    }

    fn forget_expired(&mut self, now_ms: u64) {
        while let Some((until_ms, key)) = self.expiring.pop_front_if(|(until_ms, _)| *until_ms <= now_ms) {
            if self.by_key.get(&key).is_some_and(|(known_ms, _)| *known_ms == until_ms) {
                self.by_key.remove(&key);
            }
        }
    }
}
