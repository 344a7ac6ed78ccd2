//! What is noted of a tenant's INVALID entries until an alert has announced it: one item a tenant, whose size is bounded
//! whatever comes. The counting transaction adds to it without a condition, so shards never contend for it.
//!
//! | attribute | holds |
//! |---|---|
//! | `c00` to `c63` (N) | entries by cause: a cause has the slot of its hash |
//! | `t00` to `t63` (S) | the cause that was counted last in the slot |
//! | `first`, `first_at` (S; ms, N) | sort key and `ingested_at` of the first entry that is not announced |
//! | `last`, `last_at` (S; ms, N) | the same of the last one |
//! | `e0` to `e4` (S) | event ids |
//! | `version` (N) | one more with every change |

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::{
    entry::{EntryKey, attribute},
    event::ids::TenantId,
    projection::{
        causes::Cause,
        keys::{ProjectionKey, VERSION},
        summary::EntrySummary,
        update::{Action, Condition, Deletion, Update, Version, Write},
    },
    storage::item::{Attribute, Item, text_of, whole_number, whole_number_of},
};

/// Slots that causes are counted in. With fewer causes than that most have one of their own.
const CAUSE_SLOTS: u8 = 64;
/// Bytes of the text of a cause; those of our schemas are shorter.
const CAUSE_BYTES_MAX: usize = 128;
/// Slots for event ids.
pub const EVENT_IDS_MAX: u8 = 5;

const FIRST: &str = "first";
const FIRST_AT: &str = "first_at";
const LAST: &str = "last";
const LAST_AT: &str = "last_at";

/// What a transaction adds for one tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Entries by slot, with the cause that came last.
    causes: BTreeMap<u8, (u64, String)>,
    /// By time.
    first: Option<(u64, String)>,
    last: Option<(u64, String)>,
    event_ids: BTreeMap<u8, String>,
}

impl Note {
    pub fn add(&mut self, entry: &EntrySummary) {
        let mut cause = Cause::of(entry).to_string();
        cause.truncate(cause.floor_char_boundary(CAUSE_BYTES_MAX));
        let counted = self.causes.entry(slot(&cause, CAUSE_SLOTS)).or_default();
        *counted = (counted.0 + 1, cause);
        let place = (entry.ingested_at_ms, entry.key.sk.clone());
        let event_id = entry.key.event_id().to_owned();
        self.event_ids.entry(slot(&event_id, EVENT_IDS_MAX)).or_insert(event_id);
        if self.first.as_ref().is_none_or(|first| place < *first) {
            self.first = Some(place.clone());
        }
        if self.last.as_ref().is_none_or(|last| place > *last) {
            self.last = Some(place);
        }
    }

    pub fn to_update(&self, tenant_id: &TenantId) -> Update {
        let mut actions = vec![Action::Add(VERSION.to_owned(), 1)];
        for (slot, (count, cause)) in &self.causes {
            actions.push(Action::Add(count_name(*slot), signed(*count)));
            actions.push(Action::Set(cause_name(*slot), Attribute::S(cause.clone())));
        }
        if let Some((at_ms, sk)) = &self.first {
            actions.push(Action::SetIfAbsent(FIRST.to_owned(), Attribute::S(sk.clone())));
            actions.push(Action::SetIfAbsent(FIRST_AT.to_owned(), whole_number(*at_ms)));
        }
        if let Some((at_ms, sk)) = &self.last {
            actions.push(Action::Set(LAST.to_owned(), Attribute::S(sk.clone())));
            actions.push(Action::Set(LAST_AT.to_owned(), whole_number(*at_ms)));
        }
        for (slot, event_id) in &self.event_ids {
            actions.push(Action::SetIfAbsent(event_id_name(*slot), Attribute::S(event_id.clone())));
        }
        Update { key: ProjectionKey::pending(tenant_id), conditions: Vec::new(), actions }
    }
}

/// An alert that is pending, as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    pub tenant_id: TenantId,
    pub first: String,
    pub first_at_ms: u64,
    pub last: String,
    pub event_ids: Vec<String>,
    version: Version,
    /// `first` and `first_at` as they stand there, so that an edit by hand does not keep the item for ever.
    first_stored: [Condition; 2],
    /// Entries by slot, none zero, with the cause of each.
    slots: BTreeMap<u8, (u64, String)>,
}

impl Pending {
    /// Reads an item of the alerts pending; `None` where it is none.
    pub fn from_item(item: &Item) -> Option<Self> {
        let tenant_id = TenantId::from_stored(text_of(item, attribute::SK)?)?;
        let of_slot = |slot: u8| {
            let count = whole_number_of(item, &count_name(slot)).filter(|&count| count > 0)?;
            Some((slot, (count, text_of(item, &cause_name(slot)).unwrap_or_default().to_owned())))
        };
        let text = |name: &str| text_of(item, name).unwrap_or_default().to_owned();
        Some(Self {
            tenant_id,
            first: text(FIRST),
            first_at_ms: whole_number_of(item, FIRST_AT).unwrap_or(0),
            last: text(LAST),
            event_ids: (0..EVENT_IDS_MAX)
                .filter_map(|slot| text_of(item, &event_id_name(slot)).map(str::to_owned))
                .collect(),
            version: Version::of(item),
            first_stored: first_of(item),
            slots: (0..CAUSE_SLOTS).filter_map(of_slot).collect(),
        })
    }

    /// INVALID entries that no message has announced.
    pub fn count(&self) -> u64 {
        self.slots.values().map(|(count, _)| count).sum()
    }

    /// How many by cause, the most frequent first.
    pub fn causes(&self) -> Vec<(Cause, u64)> {
        let mut causes: Vec<(Cause, u64)> =
            self.slots.values().map(|(count, cause)| (Cause::parse(cause), *count)).collect();
        causes.sort_by(|(one, count), (other, other_count)| other_count.cmp(count).then(one.cmp(other)));
        causes
    }

    /// The event id of the first entry.
    pub fn first_event_id(&self) -> &str {
        EntryKey::event_id_of(&self.first)
    }

    /// Deletes the item after a message has announced it, if nothing was noted since it was read.
    pub fn settle(&self) -> Write {
        let mut conditions = self.first_stored.to_vec();
        conditions.push(self.version.condition());
        Write::Delete(Deletion { key: self.key(), conditions })
    }

    /// Takes what was announced from the item as it is now, to which more was added since it was read; `None` where it
    /// is settled already, or is another.
    pub fn settle_from(&self, now: &Item) -> Option<Write> {
        if first_of(now) != self.first_stored {
            return None;
        }
        let mut actions = vec![Action::Add(VERSION.to_owned(), 1)];
        for (slot, (count, _)) in &self.slots {
            actions.push(Action::Add(count_name(*slot), -signed(*count)));
        }
        // What was added begins after what is announced; which entry was its first is not known, its last is.
        for (from, to) in [(LAST, FIRST), (LAST_AT, FIRST_AT)] {
            actions.extend(now.get(from).map(|value| Action::Set(to.to_owned(), value.clone())));
        }
        actions.extend((0..EVENT_IDS_MAX).map(|slot| Action::Remove(event_id_name(slot))));
        Some(Write::Update(Update { key: self.key(), conditions: self.first_stored.to_vec(), actions }))
    }

    fn key(&self) -> ProjectionKey {
        ProjectionKey::pending(&self.tenant_id)
    }
}

/// That nobody has announced it since: only who does changes the first entry. An entry that was deleted by hand may be
/// recorded and noted once more, at another time.
fn first_of(item: &Item) -> [Condition; 2] {
    [FIRST, FIRST_AT].map(|name| Condition::unchanged(name, item.get(name)))
}

fn slot(text: &str, slots: u8) -> u8 {
    Sha256::digest(text)[0] % slots
}

fn count_name(slot: u8) -> String {
    format!("c{slot:02}")
}

fn cause_name(slot: u8) -> String {
    format!("t{slot:02}")
}

fn event_id_name(slot: u8) -> String {
    format!("e{slot}")
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
