//! The projections table in memory: conditional updates, transactions that are made whole or not at all, the reasons of
//! those that are not. The projector's own tests and the simulation run on it; that DynamoDB answers alike is shown by
//! the cases that run on both.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{
    Attribute, Item,
    item::item_bytes,
    ports::Found,
    projection::{DayCounts, Projection},
    projection_keys::{DayKey, ProjectionKey, whole_number_of},
    projection_ports::{Action, Cancellation, Condition, TRANSACTION_UPDATES_MAX, Transacted, Update, Updated},
};

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
    pub fn projection(&self) -> Projection {
        let days = self.items.iter().filter_map(|(key, item)| Some((DayKey::parse(key)?, DayCounts::from_item(item))));
        Projection { days: days.collect() }
    }

    pub fn read(&self, keys: &[ProjectionKey]) -> Vec<Found> {
        keys.iter().map(|key| self.items.get(key).cloned().map_or(Found::Absent, Found::Item)).collect()
    }

    pub fn update(&mut self, update: Update) -> Updated {
        match self.check(&update) {
            Err(item) => Updated::ConditionFailed(item),
            Ok(()) => {
                self.write_units += self.make(update);
                Updated::Done
            }
        }
    }

    /// Makes all updates or none.
    ///
    /// Panics where DynamoDB would refuse the request itself: too many updates, or two of one item.
    pub fn transact(&mut self, updates: Vec<Update>) -> Transacted {
        let keys: BTreeSet<&ProjectionKey> = updates.iter().map(|update| &update.key).collect();
        assert!(keys.len() == updates.len() && keys.len() <= TRANSACTION_UPDATES_MAX, "{} updates", updates.len());
        let reasons: Vec<Cancellation> = updates
            .iter()
            .map(|update| self.check(update).err().map_or(Cancellation::None, Cancellation::ConditionFailed))
            .collect();
        if reasons.iter().any(|reason| *reason != Cancellation::None) {
            return Transacted::Cancelled(reasons);
        }
        self.transactions += 1;
        for update in updates {
            self.write_units += 2 * self.make(update);
        }
        Transacted::Done
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

    /// Makes an update and returns the write units of a plain one.
    fn make(&mut self, update: Update) -> usize {
        let item = self.items.entry(update.key.clone()).or_insert_with(|| update.key.to_item());
        let mut changed = BTreeSet::new();
        for action in update.actions {
            let (Action::Set(name, _) | Action::SetIfAbsent(name, _) | Action::Add(name, _)) = &action;
            assert!(changed.insert(name.clone()), "DynamoDB refuses two actions on {name}");
            match action {
                Action::Set(name, value) => {
                    item.insert(name, value);
                }
                Action::SetIfAbsent(name, value) => {
                    item.entry(name).or_insert(value);
                }
                Action::Add(name, number) => {
                    let before = match item.get(&name) {
                        Some(Attribute::N(digits)) => digits.parse::<i64>().expect("counts are whole"),
                        Some(other) => panic!("DynamoDB refuses to add to {other:?}"),
                        None => 0,
                    };
                    item.insert(name, Attribute::N((before + number).to_string()));
                }
            }
        }
        let after = item_bytes(item);
        self.item_bytes_max = self.item_bytes_max.max(after);
        let before = self.bytes.insert(update.key, after).unwrap_or(0);
        after.max(before).div_ceil(1024)
    }
}
