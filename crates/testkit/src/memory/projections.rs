//! The projections table in memory: queries, conditional writes, transactions that are made whole or not at all, the
//! reasons of those that are not, their tokens, and the limits DynamoDB sets to keys, items and expressions. The
//! projector's own tests and the simulation run on it; that DynamoDB answers alike is shown by the cases that run on
//! both. The embedded DynamoDB makes one request at a time, so what happens where two overlap is tested here alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use ledger::{
    Attribute, Item,
    item::{ITEM_BYTES_MAX, item_bytes},
    ports::{Found, Page, Refusal},
    projection::{
        keys::ProjectionKey,
        update::{
            Action, Cancellation, Condition, EXPRESSION_BYTES_MAX, Expressions, TRANSACTION_WRITES_MAX, Transacted,
            Transaction, Update, Updated, Write,
        },
    },
};

use super::tables::{READ_KEYS_MAX, is_attribute, is_key};

/// Bytes of the items in one page of a query ("Query" of the API reference).
const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// `ClientRequestToken` of "TransactWriteItems": its length, and how long DynamoDB remembers it.
const TOKEN_CHARACTERS_MAX: usize = 36;
const TOKEN_LIFE_MS: u64 = 10 * 60 * 1_000;

#[derive(Clone, Debug, Default)]
pub struct MemoryProjections {
    items: BTreeMap<ProjectionKey, Item>,
    /// Bytes of each item, which its write units are made of.
    bytes: BTreeMap<ProjectionKey, usize>,
    /// What was written under each token, and when.
    tokens: BTreeMap<String, (u64, Vec<Write>)>,
    /// Transactions that are being made, by the caller's number of each.
    running: BTreeMap<u64, Transaction>,
    /// Items whose every write DynamoDB refuses.
    pub refused_keys: BTreeSet<ProjectionKey>,
    /// Items in a page of a query, as if they were large.
    pub page_items_max: Option<usize>,
    /// Written so far; a transaction costs twice as many.
    pub write_units: usize,
    /// Transactions made so far.
    pub transactions: usize,
    /// Bytes of the largest item there has been.
    pub item_bytes_max: usize,
}

impl MemoryProjections {
    pub fn items(&self) -> &BTreeMap<ProjectionKey, Item> {
        &self.items
    }

    pub fn get(&self, key: &ProjectionKey) -> Option<&Item> {
        self.items.get(key)
    }

    pub fn read(&self, keys: &[ProjectionKey]) -> Result<Vec<Found>, Refusal> {
        let distinct: BTreeSet<&ProjectionKey> = keys.iter().collect();
        if !(1..=READ_KEYS_MAX).contains(&keys.len()) || distinct.len() < keys.len() || !keys.iter().all(is_taken) {
            return Err(Refusal::Content);
        }
        Ok(keys.iter().map(|key| self.items.get(key).cloned().map_or(Found::Absent, Found::Item)).collect())
    }

    pub fn query(&self, pk: &str, after: Option<&str>) -> Page {
        // No sort key is empty.
        let start = ProjectionKey { pk: pk.to_owned(), sk: after.unwrap_or_default().to_owned() };
        let following = self.items.range((Bound::Excluded(start), Bound::Unbounded));
        let (mut items, mut bytes, mut last) = (Vec::new(), 0, None);
        for (key, item) in following.take_while(|(key, _)| key.pk == pk) {
            bytes += self.bytes[key];
            if !items.is_empty() && bytes > PAGE_BYTES_MAX {
                return Page { items, next: last };
            }
            items.push(item.clone());
            last = Some(key.sk.clone());
            // A page that is full has a next one, though nothing may be on it.
            if Some(items.len()) == self.page_items_max {
                return Page { items, next: last };
            }
        }
        Page { items, next: None }
    }

    pub fn update(&mut self, update: Update) -> Result<Updated, Refusal> {
        let write = Write::Update(update);
        if !is_well_formed(&write) {
            return Err(Refusal::Content);
        }
        if self.is_being_changed(write.key()) {
            return Err(Refusal::transient("TransactionConflictException"));
        }
        match self.changed(&write) {
            Ok(item) => {
                self.write_units += self.store(write.key(), item);
                Ok(Updated::Done)
            }
            Err(Cancellation::ConditionFailed(item)) => Ok(Updated::ConditionFailed(item)),
            Err(_) => Err(Refusal::Content),
        }
    }

    /// Begins a transaction, which keeps other writes from its items until it ends. Nothing is written yet: the caller
    /// ends it and makes it in one step. `false`, and nothing is begun, where another transaction keeps an item.
    pub fn begin(&mut self, id: u64, transaction: &Transaction) -> bool {
        let is_free = !transaction.writes.iter().any(|write| self.is_being_changed(write.key()));
        if is_free {
            self.running.insert(id, transaction.clone());
        }
        is_free
    }

    pub fn end(&mut self, id: u64) {
        self.running.remove(&id);
    }

    /// Makes all writes or none.
    pub fn transact(&mut self, now_ms: u64, transaction: Transaction) -> Result<Transacted, Refusal> {
        let Transaction { writes, token } = transaction;
        let keys: BTreeSet<&ProjectionKey> = writes.iter().map(Write::key).collect();
        if !(1..=TRANSACTION_WRITES_MAX).contains(&writes.len())
            || keys.len() < writes.len()
            || !(1..=TOKEN_CHARACTERS_MAX).contains(&token.chars().count())
            || !writes.iter().all(is_well_formed)
        {
            return Err(Refusal::Content);
        }
        if self.running.values().any(|running| running.token == token) {
            return Err(Refusal::transient("TransactionInProgressException"));
        }
        self.tokens.retain(|_, (made_ms, _)| now_ms < *made_ms + TOKEN_LIFE_MS);
        if let Some((_, made)) = self.tokens.get(&token) {
            return if *made == writes { Ok(Transacted::Done) } else { Err(Refusal::Content) };
        }
        let changed: Vec<Result<Option<Item>, Cancellation>> = writes
            .iter()
            .map(|write| if self.is_being_changed(write.key()) { Err(Cancellation::Busy) } else { self.changed(write) })
            .collect();
        if changed.iter().any(Result::is_err) {
            let reasons = changed.into_iter().map(|item| item.err().unwrap_or(Cancellation::None));
            return Ok(Transacted::Cancelled(reasons.collect()));
        }
        self.transactions += 1;
        for (write, item) in writes.iter().zip(changed.into_iter().flatten()) {
            self.write_units += 2 * self.store(write.key(), item);
        }
        self.tokens.insert(token, (now_ms, writes));
        Ok(Transacted::Done)
    }

    /// Whether a transaction that is being made keeps others from an item.
    fn is_being_changed(&self, key: &ProjectionKey) -> bool {
        self.running.values().flat_map(|running| &running.writes).any(|write| write.key() == key)
    }

    fn check(&self, key: &ProjectionKey, conditions: &[Condition]) -> Result<(), Cancellation> {
        let item = self.items.get(key);
        let attribute = |name: &str| item.and_then(|item| item.get(name));
        let holds = |condition: &Condition| match condition {
            Condition::Absent(name) => attribute(name).is_none(),
            Condition::Equals(name, value) => attribute(name) == Some(value),
        };
        if conditions.iter().all(holds) { Ok(()) } else { Err(Cancellation::ConditionFailed(item.cloned())) }
    }

    /// The item as a write would leave it, if it does.
    fn changed(&self, write: &Write) -> Result<Option<Item>, Cancellation> {
        if !is_taken(write.key()) || self.refused_keys.contains(write.key()) {
            return Err(Cancellation::Content);
        }
        self.check(write.key(), conditions(write))?;
        match write {
            Write::Update(update) => self.updated(update).map(Some),
            Write::Delete(_) => Ok(None),
        }
    }

    fn updated(&self, update: &Update) -> Result<Item, Cancellation> {
        let mut item = self.items.get(&update.key).cloned().unwrap_or_else(|| update.key.to_item());
        for action in &update.actions {
            match action {
                Action::Set(name, value) => {
                    item.insert(name.clone(), value.clone());
                }
                Action::SetIfAbsent(name, value) => {
                    item.entry(name.clone()).or_insert_with(|| value.clone());
                }
                Action::Add(name, number) => {
                    let before = match item.get(name) {
                        Some(Attribute::N(digits)) => digits.parse::<i64>().expect("counts are whole"),
                        Some(_) => return Err(Cancellation::Content),
                        None => 0,
                    };
                    item.insert(name.clone(), Attribute::N((before + number).to_string()));
                }
                Action::Remove(name) => {
                    item.remove(name);
                }
            }
        }
        // The rest of the item was held against the limits when it was stored.
        let is_stored = |action: &Action| item.get(name(action)).is_none_or(|value| is_attribute(name(action), value));
        if item_bytes(&item) <= ITEM_BYTES_MAX && update.actions.iter().all(is_stored) {
            Ok(item)
        } else {
            Err(Cancellation::Content)
        }
    }

    /// Keeps an item, or deletes it, and returns the write units of a plain write.
    fn store(&mut self, key: &ProjectionKey, item: Option<Item>) -> usize {
        let before = self.bytes.remove(key).unwrap_or(0);
        let after = item.as_ref().map_or(0, item_bytes);
        self.item_bytes_max = self.item_bytes_max.max(after);
        match item {
            Some(item) => {
                self.bytes.insert(key.clone(), after);
                self.items.insert(key.clone(), item);
            }
            None => {
                self.items.remove(key);
            }
        }
        // The deletion of what is not there costs one.
        after.max(before).div_ceil(1024).max(1)
    }
}

fn is_taken(key: &ProjectionKey) -> bool {
    is_key(&key.pk, Some(&key.sk))
}

/// Whether DynamoDB, which refuses the whole request otherwise, looks at a write's item at all.
fn is_well_formed(write: &Write) -> bool {
    let names = conditions(write).iter().map(|condition| match condition {
        Condition::Absent(name) | Condition::Equals(name, _) => name.as_str(),
    });
    let actions: &[Action] = match write {
        Write::Update(update) => &update.actions,
        Write::Delete(_) => &[],
    };
    let changed: BTreeSet<&str> = actions.iter().map(name).collect();
    let is_too_long = match write {
        Write::Update(update) => update.is_too_long(),
        Write::Delete(deletion) => {
            Expressions::of_conditions(&deletion.conditions).condition.len() > EXPRESSION_BYTES_MAX
        }
    };
    let changes_nothing = matches!(write, Write::Update(_)) && actions.is_empty();
    let has_two_actions_on_one = changed.len() < actions.len();
    let has_empty_name = names.chain(changed).any(str::is_empty);
    !is_too_long && !changes_nothing && !has_two_actions_on_one && !has_empty_name
}

fn conditions(write: &Write) -> &[Condition] {
    match write {
        Write::Update(update) => &update.conditions,
        Write::Delete(deletion) => &deletion.conditions,
    }
}

/// The attribute that an action changes.
fn name(action: &Action) -> &str {
    let (Action::Set(name, _) | Action::SetIfAbsent(name, _) | Action::Add(name, _) | Action::Remove(name)) = action;
    name
}

#[cfg(test)]
mod tests {
    use ledger::projection::update::Deletion;

    use super::*;
    use crate::contract::projections::{add, key, transaction, update};

    const NOW_MS: u64 = 1_768_469_400_000;

    fn one(token: &str, names: &[&str]) -> Transaction {
        transaction(token, names.iter().map(|name| update(name, vec![], vec![add("n", 1)])).collect())
    }

    fn number(projections: &MemoryProjections, name: &str) -> Option<Attribute> {
        projections.get(&key(name))?.get("n").cloned()
    }

    #[test]
    fn a_token_is_forgotten_after_ten_minutes() {
        let mut projections = MemoryProjections::default();
        for (at_ms, expected) in [(0, 1), (599_999, 1), (600_000, 2), (600_001, 2)] {
            assert_eq!(projections.transact(NOW_MS + at_ms, one("t", &["a"])), Ok(Transacted::Done));
            let sum = number(&projections, "a");
            assert_eq!(sum, Some(Attribute::N(expected.to_string())), "after {at_ms} ms");
        }
    }

    #[test]
    fn a_transaction_that_is_being_made_keeps_every_other_write_from_its_items_until_it_ends() {
        let mut projections = MemoryProjections::default();
        let running = one("t-1", &["a", "b"]);
        assert!(projections.begin(1, &running));
        assert!(!projections.begin(2, &one("t-2", &["c", "b"])));
        let cancelled = Transacted::Cancelled(vec![Cancellation::None, Cancellation::Busy]);
        assert_eq!(projections.transact(NOW_MS, one("t-2", &["c", "b"])), Ok(cancelled));
        let in_progress = Refusal::transient("TransactionInProgressException");
        assert_eq!(projections.transact(NOW_MS, running.clone()), Err(in_progress));
        let change = |name: &str| update(name, vec![], vec![add("n", 1)]);
        assert_eq!(projections.update(change("a")), Err(Refusal::transient("TransactionConflictException")));
        assert_eq!(projections.update(change("c")), Ok(Updated::Done));
        projections.end(1);
        assert_eq!(projections.transact(NOW_MS, running), Ok(Transacted::Done));
        assert_eq!(projections.update(change("a")), Ok(Updated::Done));
        assert_eq!(number(&projections, "a"), Some(Attribute::N("2".to_owned())));
    }

    #[test]
    fn every_write_to_a_refused_key_is_at_fault() {
        let mut projections = MemoryProjections::default();
        projections.refused_keys.insert(key("a"));
        assert_eq!(projections.update(update("a", vec![], vec![add("n", 1)])), Err(Refusal::Content));
        let cancelled = Transacted::Cancelled(vec![Cancellation::Content, Cancellation::None]);
        assert_eq!(projections.transact(NOW_MS, one("t", &["a", "b"])), Ok(cancelled));
        assert!(projections.items().is_empty());
    }

    #[test]
    fn a_full_page_has_a_next_one_though_nothing_is_on_it() {
        let mut projections = MemoryProjections { page_items_max: Some(2), ..MemoryProjections::default() };
        for sk in ["a", "b", "c", "d"] {
            let key = ProjectionKey { pk: "p".to_owned(), sk: sk.to_owned() };
            let stored = projections.update(Update { key, conditions: vec![], actions: vec![add("n", 1)] });
            assert_eq!(stored, Ok(Updated::Done));
        }
        for (after, count, next) in [(None, 2, Some("b")), (Some("b"), 2, Some("d")), (Some("d"), 0, None)] {
            let page = projections.query("p", after);
            assert_eq!((page.items.len(), page.next.as_deref()), (count, next), "{after:?}");
        }
    }

    /// "Capacity unit consumption for write operations".
    #[test]
    fn a_write_costs_the_larger_item_by_the_kilobyte_and_twice_in_a_transaction() {
        let mut projections = MemoryProjections::default();
        let mut cost = |writes: Vec<Write>| {
            let before = projections.write_units;
            let token = before.to_string();
            assert_eq!(projections.transact(NOW_MS, Transaction { writes, token }), Ok(Transacted::Done));
            projections.write_units - before
        };
        let text = |bytes: usize| Action::Set("t".to_owned(), Attribute::S("x".repeat(bytes)));
        let put = |bytes| Write::Update(update("a", vec![], vec![text(bytes)]));
        let delete = || Write::Delete(Deletion { key: key("a"), conditions: vec![] });
        assert_eq!(cost(vec![put(1_500)]), 4);
        assert_eq!(cost(vec![put(10)]), 4);
        assert_eq!(cost(vec![put(1_500)]), 4);
        assert_eq!(cost(vec![delete()]), 4);
        assert_eq!(cost(vec![delete()]), 2);
    }
}
