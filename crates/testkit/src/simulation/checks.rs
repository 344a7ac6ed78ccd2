//! What is expected of the pipeline, from what was sent, claimed, recorded and published so far. Each clause of the
//! contract has a module that holds what happens against it.

mod g10_alerts;
mod g11_no_values;
mod g12_bounded_work;
mod g1_nothing_lost;
mod g2_once;
mod g3_conflicts;
mod g4_no_poison;
mod g5_group_isolation;
mod g6_order;
mod g7_isolation;
mod g8_exact;
mod g9_projections;

use std::collections::{BTreeMap, BTreeSet};

pub(super) use g4_no_poison::{check_queues, refused_content};
pub(super) use g5_group_isolation::Excuses;
pub use g7_isolation::View;
pub(super) use g7_isolation::{check_non_interference, view};
pub(super) use g9_projections::{check_list, check_report};
pub(super) use g10_alerts::Lease;
pub(super) use g12_bounded_work::{check_calls, check_deadline};
use ledger::{
    Attribute, EntryKey, FailureClass, Item,
    entry::attribute,
    ids::KEY_SEPARATOR,
    item::text_of,
    ports::Table,
    projection::{EntrySummary, Verdict, keys::ProjectionKey},
};

use self::{g9_projections::Counted, g10_alerts::AlertBook};
use super::recipe::Recipe;
use crate::clause::hold;

/// A message the queue has taken.
#[derive(Debug)]
pub(super) struct Accepted {
    pub recipe: Recipe,
    pub message_id: String,
    pub sequence_number: String,
    pub sent_ms: u64,
    is_acknowledged: bool,
}

/// A claim that was made; `message` brought it.
#[derive(Debug)]
struct Claimed {
    message: usize,
    is_swept: bool,
}

/// An entry that was appended.
#[derive(Debug)]
struct Appended {
    message: usize,
    sk: String,
    class: Option<FailureClass>,
    is_removed: bool,
}

/// What one invocation of the projector has done so far.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// A call went wrong, or it was ended.
    pub is_disturbed: bool,
    /// Entries.
    committed: BTreeMap<Verdict, u64>,
    measured: BTreeMap<Verdict, u64>,
    /// Records that cannot be read, and those of which DynamoDB refuses what some model makes of them.
    unreadable: u64,
    refused: u64,
    /// As it wrote it last.
    pub lease: Option<Lease>,
}

/// Tenant and event id, as the key of a claim has them.
type Identity = String;

#[derive(Debug, Default)]
pub(super) struct Expectations {
    /// Numbered as they were accepted.
    pub messages: Vec<Accepted>,
    by_id: BTreeMap<String, usize>,
    claims: BTreeMap<Identity, Vec<Claimed>>,
    entries: BTreeMap<Identity, Vec<Appended>>,
    metric_tenants: BTreeSet<String>,
    /// Items of read models that DynamoDB refuses.
    refused_items: BTreeSet<ProjectionKey>,
    counted: Counted,
    alerts: AlertBook,
}

impl Expectations {
    pub(super) fn new(refused_items: BTreeSet<ProjectionKey>) -> Self {
        Self { refused_items, ..Self::default() }
    }

    /// Alerts and digests that have left.
    pub(super) fn messages_sent(&self) -> (u64, u64) {
        (self.alerts.alerts, self.alerts.digests)
    }

    /// An entry was appended for a message.
    pub(super) fn check_type(&self, message: usize, entry: &EntrySummary) {
        let expected = self.messages[message].recipe.counted_type();
        let counted = entry.counted_type();
        hold!(G9, counted == expected, "{:?} counts under {counted}, not {expected}", entry.key);
    }

    pub(super) fn accept(&mut self, recipe: &Recipe, message_id: String, sequence_number: String, sent_ms: u64) {
        self.by_id.insert(message_id.clone(), self.messages.len());
        let recipe = recipe.clone();
        self.messages.push(Accepted { recipe, message_id, sequence_number, sent_ms, is_acknowledged: false });
    }

    pub(super) fn find(&self, message_id: &str) -> usize {
        self.by_id[message_id]
    }

    /// A claim was inserted for one of the messages of a batch.
    pub(super) fn claimed(&mut self, item: &Item, batch: &[usize]) {
        let identity = identity_of(Table::Claims, item);
        let message = self.source(Table::Claims, item, batch);
        self.check_that_no_claim_lives(&identity);
        self.claims.entry(identity).or_default().push(Claimed { message, is_swept: false });
    }

    /// An entry was inserted for one of the messages of a batch; returns which.
    pub(super) fn appended(&mut self, item: &Item, batch: &[usize]) -> usize {
        let identity = identity_of(Table::Entries, item);
        let message = self.source(Table::Entries, item, batch);
        self.check_content(message, item);
        let class = self.check_verdict(message, item);
        self.check_conflict(&identity, message, class, item);
        self.check_winner(&identity, message, class);
        self.check_time(&identity, message, class, item);
        let sk = text_of(item, attribute::SK).expect("an entry has a sort key").to_owned();
        let entry = Appended { message, sk, class, is_removed: false };
        self.entries.entry(identity.clone()).or_default().push(entry);
        self.check_ready_entries(&identity);
        message
    }

    /// A claim is deleted.
    pub(super) fn claim_removed(&mut self, identity: &str) {
        for claim in self.claims.get_mut(identity).into_iter().flatten() {
            claim.is_swept = true;
        }
    }

    /// An entry is deleted: an equal event may be recorded again, whatever claim it finds.
    pub(super) fn entry_removed(&mut self, identity: &str, sk: &str) {
        for entry in self.entries.get_mut(identity).into_iter().flatten() {
            entry.is_removed |= entry.sk == sk;
        }
    }

    /// The key that a message's claim would have, and the one that its entry has without.
    fn identity(&self, message: usize) -> Identity {
        let Accepted { recipe, message_id, .. } = &self.messages[message];
        let event_id = if recipe.kind.has_identity() { recipe.event_id } else { message_id };
        format!("{}{KEY_SEPARATOR}{event_id}", recipe.owner())
    }

    fn claims(&self, identity: &str) -> &[Claimed] {
        self.claims.get(identity).map_or(&[], Vec::as_slice)
    }

    /// Whether the ledger has, or has had, an entry with this content under this identity.
    fn is_durable(&self, message: usize) -> bool {
        let recipe = &self.messages[message].recipe;
        let is_it = |entry: &Appended| {
            let other = &self.messages[entry.message].recipe;
            entry.message == message || (recipe.kind.has_identity() && other.is_equal(recipe))
        };
        self.entries.get(&self.identity(message)).is_some_and(|entries| entries.iter().any(is_it))
    }
}

/// Tenant and event id of a claim, or of an entry.
pub(super) fn identity_of(table: Table, item: &Item) -> Identity {
    let text = |name: &str| text_of(item, name).unwrap_or_default();
    match table {
        Table::Claims => text(attribute::PK).to_owned(),
        Table::Entries => {
            let event_id = EntryKey::event_id_of(text(attribute::SK));
            format!("{}{KEY_SEPARATOR}{event_id}", text(attribute::TENANT_ID))
        }
    }
}

/// Why an entry says that it is INVALID.
fn class_of(item: &Item) -> Option<FailureClass> {
    let Some(Attribute::M(failure)) = item.get(attribute::FAILURE) else { return None };
    let class = failure.get("class")?.as_str()?;
    Some(FailureClass::parse(class).expect("a class"))
}
