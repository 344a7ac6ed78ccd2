//! The projections table in memory: conditional updates, transactions that are made whole or not at all, the reasons of
//! those that are not, and the limits DynamoDB sets to keys, items and expressions. The projector's own tests and the
//! simulation run on it; that DynamoDB answers alike is shown by the cases that run on both.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{
    Attribute, Item,
    item::{ITEM_BYTES_MAX, item_bytes, whole_number_of},
    ports::{Found, Refusal},
    projection::{
        Counts, DayCounts,
        keys::{DayKey, ProjectionKey},
        update::{Action, Cancellation, Condition, TRANSACTION_UPDATES_MAX, Transacted, Update, Updated},
    },
};

use super::tables::{READ_KEYS_MAX, is_attribute, is_key};

#[derive(Clone, Debug, Default)]
pub struct MemoryProjections {
    items: BTreeMap<ProjectionKey, Item>,
    /// Bytes of each item, which its write units are made of.
    bytes: BTreeMap<ProjectionKey, usize>,
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

    /// The counts as they stand.
    pub fn projection(&self) -> Counts {
        let days = self.items.iter().filter_map(|(key, item)| Some((DayKey::parse(key)?, DayCounts::from_item(item))));
        Counts { days: days.collect() }
    }

    pub fn read(&self, keys: &[ProjectionKey]) -> Result<Vec<Found>, Refusal> {
        let distinct: BTreeSet<&ProjectionKey> = keys.iter().collect();
        if !(1..=READ_KEYS_MAX).contains(&keys.len()) || distinct.len() < keys.len() || !keys.iter().all(is_taken) {
            return Err(Refusal::Content);
        }
        Ok(keys.iter().map(|key| self.items.get(key).cloned().map_or(Found::Absent, Found::Item)).collect())
    }

    pub fn update(&mut self, update: Update) -> Result<Updated, Refusal> {
        if update.is_too_long() {
            return Err(Refusal::Content);
        }
        match self.changed(&update) {
            Ok(item) => {
                self.write_units += self.store(update.key, item);
                Ok(Updated::Done)
            }
            Err(Cancellation::ConditionFailed(item)) => Ok(Updated::ConditionFailed(item)),
            Err(_) => Err(Refusal::Content),
        }
    }

    /// Makes all updates or none.
    pub fn transact(&mut self, updates: Vec<Update>) -> Result<Transacted, Refusal> {
        let keys: BTreeSet<&ProjectionKey> = updates.iter().map(|update| &update.key).collect();
        if !(1..=TRANSACTION_UPDATES_MAX).contains(&updates.len())
            || keys.len() < updates.len()
            || updates.iter().any(Update::is_too_long)
        {
            return Err(Refusal::Content);
        }
        let changed: Vec<Result<Item, Cancellation>> = updates.iter().map(|update| self.changed(update)).collect();
        if changed.iter().any(Result::is_err) {
            let reasons = changed.into_iter().map(|item| item.err().unwrap_or(Cancellation::None));
            return Ok(Transacted::Cancelled(reasons.collect()));
        }
        self.transactions += 1;
        for (update, item) in updates.into_iter().zip(changed.into_iter().flatten()) {
            self.write_units += 2 * self.store(update.key, item);
        }
        Ok(Transacted::Done)
    }

    fn check(&self, update: &Update) -> Result<(), Option<Item>> {
        let item = self.items.get(&update.key);
        let attribute = |name: &str| item.and_then(|item| item.get(name));
        let number = |name: &str| item.and_then(|item| whole_number_of(item, name));
        let holds = |condition: &Condition| match condition {
            Condition::Absent(name) => attribute(name).is_none(),
            Condition::Equals(name, value) => attribute(name) == Some(value),
            Condition::AbsentOrAtMost(name, bound) => number(name).is_none_or(|number| number <= *bound),
            Condition::AtLeast(name, bound) => number(name).is_some_and(|number| number >= *bound),
        };
        if update.conditions.iter().all(holds) { Ok(()) } else { Err(item.cloned()) }
    }

    /// The item as an update would leave it.
    fn changed(&self, update: &Update) -> Result<Item, Cancellation> {
        if !is_taken(&update.key) {
            return Err(Cancellation::Content);
        }
        self.check(update).map_err(Cancellation::ConditionFailed)?;
        let mut item = self.items.get(&update.key).cloned().unwrap_or_else(|| update.key.to_item());
        let mut named = BTreeSet::new();
        for action in &update.actions {
            let (Action::Set(name, _) | Action::SetIfAbsent(name, _) | Action::Add(name, _)) = action;
            assert!(named.insert(name), "DynamoDB refuses two actions on {name}");
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
            }
        }
        // The rest of the item was held against the limits when it was stored.
        let is_stored = |name: &&String| is_attribute(name, &item[*name]);
        if item_bytes(&item) <= ITEM_BYTES_MAX && named.iter().all(is_stored) {
            Ok(item)
        } else {
            Err(Cancellation::Content)
        }
    }

    /// Keeps an item and returns the write units of a plain update.
    fn store(&mut self, key: ProjectionKey, item: Item) -> usize {
        let after = item_bytes(&item);
        self.item_bytes_max = self.item_bytes_max.max(after);
        let before = self.bytes.insert(key.clone(), after).unwrap_or(0);
        self.items.insert(key, item);
        after.max(before).div_ceil(1024)
    }
}

fn is_taken(key: &ProjectionKey) -> bool {
    is_key(&key.pk, Some(&key.sk))
}
