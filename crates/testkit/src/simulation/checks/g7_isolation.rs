//! G7: every row comes from a message that states its tenant, and without one tenant the ledger says the same of the
//! others.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{
    Item,
    entry::attribute,
    item::{number_of, text_of},
    ports::Table,
};

use super::{Expectations, identity_of};
use crate::{
    clause::{Clause, hold},
    memory::tables::MemoryTables,
};

/// What the ledger says of each tenant.
pub type View = BTreeMap<String, BTreeSet<String>>;

impl Expectations {
    /// The message of a batch that a row was inserted for.
    pub(crate) fn source(&self, table: Table, item: &Item, batch: &[usize]) -> usize {
        let identity = identity_of(table, item);
        let number = number_of(item, attribute::SEQUENCE_NUMBER);
        let is_source = |&&message: &&usize| {
            let accepted = &self.messages[message];
            (table == Table::Entries || accepted.recipe.kind.has_identity())
                && self.identity(message) == identity
                && Some(&accepted.sequence_number) == number.as_ref()
        };
        let nobody = || Clause::G7.is_broken(format!("{identity:?} in {table:?} is of no message"));
        *batch.iter().find(is_source).unwrap_or_else(nobody)
    }
}

/// The ledger without what depends on the other tenants: times of arrival and SQS's numbers.
pub(crate) fn view(tables: &MemoryTables) -> View {
    let mut view = View::new();
    for item in tables.items(Table::Entries) {
        let text = |name: &str| text_of(&item, name).unwrap_or_default().to_owned();
        let sk = text(attribute::SK);
        let is_named_by_queue = item.contains_key(attribute::ATTRIBUTED_BY);
        let key = if is_named_by_queue { sk[..30].to_owned() } else { sk };
        let body = (item.get(attribute::PAYLOAD), item.get(attribute::RAW), item.get(attribute::REASON));
        let line = format!("{key} {} {body:?}", text(attribute::STATUS));
        view.entry(text(attribute::TENANT_ID)).or_default().insert(line);
    }
    view
}

/// Holds a run against the same one without one of its tenants.
pub(crate) fn check_non_interference(mut with_all: View, without_one: &View, removed: &str) {
    with_all.remove(removed);
    hold!(G7, with_all == *without_one, "without tenant {removed} the ledger says other things of the others");
}
