//! Folds as many records as fit one transaction, and writes that transaction down. Decides nothing about what DynamoDB
//! answers.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{
    Attribute, TenantId,
    alert::Note,
    entry::attribute,
    item::whole_number,
    ports::Clock,
    projection::{
        Fact, Projection, SequenceNumber, Sums, Verdict,
        keys::{CHECKPOINT_TTL_DAYS, ModelKey, ProjectionKey, UPDATED_AT},
        to_update,
        update::{Action, Condition, TRANSACTION_WRITES_MAX, Transaction, Update, Write},
    },
};
use tracing::error;

use super::{
    Run,
    left_out::{Mark, days_of},
    token,
};
use crate::record::{Change, Record};

/// Items of one transaction beside the checkpoint.
const ITEMS_MAX: usize = TRANSACTION_WRITES_MAX - 1;
/// Sums of one item that one update changes, so that its expression keeps DynamoDB's limit: each takes 13 of its 4,096
/// bytes, or less.
const SUMS_PER_ITEM_MAX: usize = 148;

/// What the next transaction must do without, because DynamoDB refused it.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    /// Items whose writes were refused: of models, of alerts pending, of marks.
    pub(super) items: BTreeSet<ProjectionKey>,
    /// Records that one transaction may hold; no bound where none was refused.
    pub(super) records_max: Option<usize>,
    /// How often a transaction of a single record was refused as a whole: each time, something else is left out of it.
    pub(super) refusals: usize,
}

impl LeftOut {
    /// Each model alone is left out in turn, then all of them, then the note for the alert too.
    fn has_model(&self, index: usize, models: usize) -> bool {
        self.refusals > models || (self.refusals > 0 && index + self.refusals == models)
    }

    fn has_notes(&self, models: usize) -> bool {
        self.refusals > models + 1
    }

    /// Whether there is something left to leave out.
    pub(super) fn leave_out_more(&mut self, models: usize) -> bool {
        self.refusals += 1;
        self.refusals <= models + 2
    }
}

/// One transaction, and what it stands for.
#[derive(Debug)]
pub(super) struct Chunk {
    pub transaction: Transaction,
    pub records: usize,
    pub through: Option<SequenceNumber>,
    pub noted: BTreeSet<TenantId>,
    /// Records that some model does not count.
    pub uncounted: u64,
}

/// Records, folded.
#[derive(Debug, Default)]
struct Fold {
    sums: Sums,
    notes: BTreeMap<TenantId, Note>,
    marks: BTreeMap<ProjectionKey, Mark>,
    records: usize,
    through: Option<SequenceNumber>,
    uncounted: u64,
}

impl<P, A, M, C: Clock> Run<'_, P, A, M, C> {
    /// Folds the next records; `None` if there are none.
    pub(super) fn next_chunk(&self) -> Option<Chunk> {
        if self.records.is_empty() {
            return None;
        }
        let now_ms = self.ports.clock.now_ms();
        let fold = self.fold(now_ms);
        let mut writes = Vec::new();
        if let Some(through) = &fold.through {
            writes.push(checkpoint(&self.shard_id, self.checkpoint.as_deref(), through, now_ms));
        }
        writes.extend(fold.sums.items.iter().map(|(key, sums)| to_update(key, sums, now_ms)));
        writes.extend(fold.notes.iter().map(|(tenant_id, note)| note.to_update(tenant_id)));
        writes.extend(fold.marks.iter().map(|(key, mark)| mark.to_update(key, now_ms)));
        Some(Chunk {
            transaction: Transaction {
                writes: writes.into_iter().map(Write::Update).collect(),
                token: token(&self.ports.clock),
            },
            records: fold.records,
            through: fold.through,
            noted: fold.notes.into_keys().collect(),
            uncounted: fold.uncounted,
        })
    }

    fn fold(&self, now_ms: u64) -> Fold {
        let mut fold = Fold::default();
        for record in self.records.iter().take(self.left_out.records_max.unwrap_or(usize::MAX)) {
            let one = self.fold_one(record, now_ms);
            // The first always fits: a fact touches few items.
            if fold.records > 0 && !fold.has_room_for(&one) {
                break;
            }
            fold.merge(one);
            if let Change::Appended(entry) = &record.change
                && entry.verdict == Verdict::Invalid
                && !self.is_note_left_out(&entry.key.tenant_id)
            {
                fold.notes.entry(entry.key.tenant_id.clone()).or_default().add(entry);
            }
        }
        fold
    }

    /// The sums and marks of one record.
    fn fold_one(&self, record: &Record, now_ms: u64) -> Fold {
        let mut one = Fold { records: 1, through: record.sequence.clone(), ..Fold::default() };
        match &record.change {
            Change::Appended(entry) => self.fold_fact(&Fact::Appended(entry), &mut one),
            Change::Revalidated(entry) => self.fold_fact(&Fact::Revalidated(entry), &mut one),
            Change::Unreadable(unreadable) => {
                one.uncounted = 1;
                let tenant = unreadable.tenant_id.as_deref().and_then(TenantId::from_stored);
                let tenant = tenant.unwrap_or_else(TenantId::unattributed);
                for day in days_of(record.written_at_ms, now_ms) {
                    for model in self.settings.models {
                        self.mark(&mut one, model, &tenant, &day, Mark::unreadable());
                    }
                }
            }
            Change::UnexpectedModify | Change::UnexpectedRemove | Change::Expired | Change::Older => {}
        }
        one
    }

    /// Folds a fact by every model that is not left out, and marks its day for those that are.
    fn fold_fact(&self, fact: &Fact<'_>, one: &mut Fold) {
        let entry = fact.entry();
        let models = self.settings.models;
        for (index, model) in models.iter().enumerate() {
            let mut sums = Sums::default();
            model.add(fact, &mut sums);
            let is_refused = |key: &ModelKey| self.left_out.items.contains(&key.key());
            if self.left_out.has_model(index, models.len()) || sums.items.keys().any(is_refused) {
                one.uncounted = 1;
                self.mark(one, model, &entry.key.tenant_id, &entry.day(), Mark::refused());
            } else {
                one.sums.merge(sums);
            }
        }
    }

    fn mark(&self, one: &mut Fold, model: &Projection, tenant_id: &TenantId, day: &str, mark: Mark) {
        let key = ProjectionKey::incomplete(&model.id(), tenant_id, day);
        if !self.left_out.items.contains(&key) {
            one.marks.insert(key, mark);
        }
    }

    fn is_note_left_out(&self, tenant_id: &TenantId) -> bool {
        let is_left_out = self.left_out.has_notes(self.settings.models.len())
            || self.left_out.items.contains(&ProjectionKey::pending(tenant_id));
        if is_left_out {
            error!(%tenant_id, "DynamoDB refuses the note of an INVALID entry, no alert will name it");
        }
        is_left_out
    }
}

impl Fold {
    /// Whether the transaction keeps its limits with another record, which may note an alert.
    fn has_room_for(&self, one: &Self) -> bool {
        let new_sums = one.sums.items.keys().filter(|key| !self.sums.items.contains_key(*key)).count();
        let new_marks = one.marks.keys().filter(|key| !self.marks.contains_key(*key)).count();
        let items = self.sums.items.len() + self.notes.len() + self.marks.len();
        let fits = |(key, more): (&ModelKey, &BTreeMap<String, i64>)| {
            let Some(sums) = self.sums.items.get(key) else { return true };
            sums.len() + more.keys().filter(|name| !sums.contains_key(*name)).count() <= SUMS_PER_ITEM_MAX
        };
        items + new_sums + new_marks < ITEMS_MAX && one.sums.items.iter().all(fits)
    }

    fn merge(&mut self, one: Self) {
        self.sums.merge(one.sums);
        for (key, mark) in one.marks {
            self.marks.entry(key).or_default().merge(mark);
        }
        self.records += one.records;
        self.through = one.through.or(self.through.take());
        self.uncounted += one.uncounted;
    }
}

fn checkpoint(shard_id: &str, from: Option<&str>, through: &SequenceNumber, now_ms: u64) -> Update {
    let name = attribute::SEQUENCE_NUMBER.to_owned();
    let from = from.map(|from| Attribute::S(from.to_owned()));
    let condition = Condition::unchanged(&name, from.as_ref());
    Update {
        key: ProjectionKey::checkpoint(shard_id),
        conditions: vec![condition],
        actions: vec![
            Action::Set(name, Attribute::S(through.padded().to_owned())),
            Action::Set(UPDATED_AT.to_owned(), whole_number(now_ms)),
            Action::Set(attribute::TTL.to_owned(), whole_number(now_ms / 1_000 + CHECKPOINT_TTL_DAYS * 86_400)),
        ],
    }
}
