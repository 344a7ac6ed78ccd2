//! Sums by item and attribute: what the folds of the read models give, and what their items hold.

use std::collections::BTreeMap;

use crate::{
    entry::attribute,
    projection::{
        keys::{ModelKey, ProjectionKey, UPDATED_AT, VERSION},
        update::{Action, Update},
    },
    storage::item::{Attribute, Item, text_of, whole_number},
};

/// Sums of read models. What is zero is as if it had never been there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub items: BTreeMap<ModelKey, BTreeMap<String, i64>>,
}

/// Takes what one model adds for one fact.
#[derive(Debug)]
pub struct Changes<'s> {
    sums: &'s mut Sums,
    /// Of the fact's tenant and day, so that no fold writes anywhere else.
    key: ModelKey,
}

impl<'s> Changes<'s> {
    pub(super) fn new(sums: &'s mut Sums, key: ModelKey) -> Self {
        Self { sums, key }
    }

    /// Adds to an attribute of the model's item of the fact's tenant and day: of the only one, where the suffix is
    /// empty.
    pub fn add(&mut self, suffix: &str, attribute: &str, number: i64) {
        let key = ModelKey { suffix: suffix.to_owned(), ..self.key.clone() };
        self.sums.add(key, attribute, number);
    }
}

impl Sums {
    /// The sums that items of the projections table hold. Items of no read model are passed over.
    pub fn of_items<'i>(items: impl IntoIterator<Item = &'i Item>) -> Self {
        let mut sums = Self::default();
        for item in items {
            let [pk, sk] =
                [attribute::PK, attribute::SK].map(|name| text_of(item, name).unwrap_or_default().to_owned());
            let Some(key) = ModelKey::parse(&ProjectionKey { pk, sk }) else { continue };
            for (name, value) in item.iter().filter(|(name, _)| ![VERSION, UPDATED_AT].contains(&name.as_str())) {
                if let Attribute::N(digits) = value {
                    // Beyond what a sum of ours can be: somebody has edited it.
                    let beyond = if digits.starts_with('-') { i64::MIN } else { i64::MAX };
                    sums.add(key.clone(), name, digits.parse().unwrap_or(beyond));
                }
            }
        }
        sums
    }

    pub fn merge(&mut self, other: Self) {
        for (key, attributes) in other.items {
            for (attribute, number) in attributes {
                self.add(key.clone(), &attribute, number);
            }
        }
    }

    /// The items of one model.
    pub fn of_model<'s>(&'s self, id: &'s str) -> impl Iterator<Item = (&'s ModelKey, &'s BTreeMap<String, i64>)> {
        self.items.iter().filter(move |(key, _)| key.model == id)
    }

    fn add(&mut self, key: ModelKey, attribute: &str, number: i64) {
        if number == 0 {
            return;
        }
        let item = self.items.entry(key.clone()).or_default();
        let sum = item.get(attribute).copied().unwrap_or(0).saturating_add(number);
        if sum == 0 {
            item.remove(attribute);
        } else {
            item.insert(attribute.to_owned(), sum);
        }
        if item.is_empty() {
            self.items.remove(&key);
        }
    }
}

/// The update that adds sums to a model's item, whatever it holds.
pub fn to_update(key: &ModelKey, sums: &BTreeMap<String, i64>, now_ms: u64) -> Update {
    let mut actions: Vec<Action> = sums.iter().map(|(name, number)| Action::Add(name.clone(), *number)).collect();
    actions.push(Action::Add(VERSION.to_owned(), 1));
    actions.push(Action::Set(UPDATED_AT.to_owned(), whole_number(now_ms)));
    Update { key: key.key(), conditions: Vec::new(), actions }
}
