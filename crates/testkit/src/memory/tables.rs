//! The processor's two tables in memory: inserts that fail where the key exists, the limits DynamoDB sets to items and
//! requests, consistent reads. The contract suites run on this and on a real implementation of DynamoDB alike.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use ledger::{
    Attribute, Item,
    entry::{COMPARED, attribute},
    item::{ITEM_BYTES_MAX, NESTING_MAX, item_bytes},
    number,
    ports::{Found, Inserted, Refusal, Table, Tables},
};
use serde_json::Value;

const STATEMENTS_MAX: usize = 25;
pub(crate) const READ_KEYS_MAX: usize = 100;
/// "Constraints in Amazon DynamoDB": partition keys and sort keys, naming rules (less than 64 KB).
const PARTITION_KEY_BYTES_MAX: usize = 2_048;
const SORT_KEY_BYTES_MAX: usize = 1_024;
const ATTRIBUTE_NAME_BYTES_MAX: usize = 64 * 1_024 - 1;

/// A primary key: partition key, and sort key where the table has one.
type Key = (String, Option<String>);

#[derive(Debug, Default)]
pub struct MemoryTables {
    tables: Mutex<BTreeMap<Table, BTreeMap<Key, Item>>>,
}

impl MemoryTables {
    /// All items of a table, in the order of their keys.
    pub fn items(&self, table: Table) -> Vec<Item> {
        self.lock().get(&table).map(|items| items.values().cloned().collect()).unwrap_or_default()
    }

    /// Deletes what has expired, as TTL does some time after the fact, and returns it.
    pub fn sweep(&self, now_seconds: u64) -> Vec<(Table, Item)> {
        let is_expired = |item: &Item| match item.get(attribute::TTL) {
            Some(Attribute::N(ttl)) => ttl.parse::<u64>().is_ok_and(|ttl| ttl <= now_seconds),
            _ => false,
        };
        let mut swept = Vec::new();
        for (table, items) in self.lock().iter_mut() {
            swept.extend(items.extract_if(.., |_, item| is_expired(item)).map(|(_, item)| (*table, item)));
        }
        swept
    }

    /// Writes an item whatever was there, as an operator or another program could.
    pub fn put(&self, table: Table, item: Item) {
        let key = key_of(table, &item).expect("the item has the table's key");
        self.lock().entry(table).or_default().insert(key, item);
    }

    /// Deletes the item that has this one's key.
    pub fn delete(&self, table: Table, item: &Item) {
        let key = key_of(table, item).expect("the item has the table's key");
        self.lock().entry(table).or_default().remove(&key);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Table, BTreeMap<Key, Item>>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables for MemoryTables {
    async fn insert(&self, table: Table, items: Vec<Item>, _budget_ms: u64) -> Result<Vec<Inserted>, Refusal> {
        let keys: Vec<Option<Key>> = items.iter().map(|item| key_of(table, item)).collect();
        let distinct: BTreeSet<_> = keys.iter().collect();
        if items.is_empty() || items.len() > STATEMENTS_MAX || distinct.len() < keys.len() {
            return Err(Refusal::Content);
        }
        let mut tables = self.lock();
        let stored = tables.entry(table).or_default();
        let insert = |(key, item): (Option<Key>, Item)| match key {
            Some(key) if is_key(&key.0, key.1.as_deref()) && is_storable(&item) => {
                if stored.contains_key(&key) {
                    return Inserted::Exists;
                }
                stored.insert(key, item);
                Inserted::Done
            }
            _ => Inserted::Refused(Refusal::Content),
        };
        Ok(keys.into_iter().zip(items).map(insert).collect())
    }

    async fn read(&self, table: Table, keys: Vec<Item>, _budget_ms: u64) -> Result<Vec<Found>, Refusal> {
        let keys: Vec<Option<Key>> = keys.iter().map(|key| key_of(table, key)).collect();
        let distinct: BTreeSet<_> = keys.iter().collect();
        let are_keys = keys.iter().all(|key| key.as_ref().is_some_and(|(pk, sk)| is_key(pk, sk.as_deref())));
        if keys.is_empty() || keys.len() > READ_KEYS_MAX || distinct.len() < keys.len() || !are_keys {
            return Err(Refusal::Content);
        }
        let tables = self.lock();
        let is_read = |name: &str| table == Table::Claims || COMPARED.contains(&name);
        let find = |key: &Key| -> Option<Item> {
            let item = tables.get(&table)?.get(key)?.iter();
            Some(item.filter(|(name, _)| is_read(name)).map(|(name, value)| (name.clone(), value.clone())).collect())
        };
        Ok(keys.iter().flatten().map(|key| find(key).map_or(Found::Absent, Found::Item)).collect())
    }
}

fn key_of(table: Table, item: &Item) -> Option<Key> {
    let text = |name: &str| match item.get(name) {
        Some(Attribute::S(text)) => Some(text.clone()),
        _ => None,
    };
    match table {
        Table::Claims => Some((text(attribute::PK)?, None)),
        Table::Entries => Some((text(attribute::TENANT_ID)?, Some(text(attribute::SK)?))),
    }
}

/// Whether DynamoDB takes a primary key, whose sort key is absent where the table has none.
pub(crate) fn is_key(partition_key: &str, sort_key: Option<&str>) -> bool {
    (1..=PARTITION_KEY_BYTES_MAX).contains(&partition_key.len())
        && sort_key.is_none_or(|sort_key| (1..=SORT_KEY_BYTES_MAX).contains(&sort_key.len()))
}

/// Whether DynamoDB takes an item ("Constraints in Amazon DynamoDB").
fn is_storable(item: &Item) -> bool {
    item_bytes(item) <= ITEM_BYTES_MAX && item.iter().all(|(name, attribute)| is_attribute(name, attribute))
}

/// Whether DynamoDB takes an attribute: its name, the names inside it, its nesting and its numbers.
pub(crate) fn is_attribute(name: &str, attribute: &Attribute) -> bool {
    is_name(name)
        && match attribute {
            Attribute::S(_) | Attribute::B(_) => true,
            Attribute::N(number) => is_storable_number(number),
            Attribute::M(members) => is_storable_object(members, NESTING_MAX),
        }
}

fn is_name(name: &str) -> bool {
    (1..=ATTRIBUTE_NAME_BYTES_MAX).contains(&name.len())
}

fn is_storable_object(members: &serde_json::Map<String, Value>, levels_left: usize) -> bool {
    levels_left > 0 && members.iter().all(|(name, value)| is_name(name) && is_storable_value(value, levels_left - 1))
}

fn is_storable_value(value: &Value, levels_left: usize) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Number(number) => is_storable_number(number.as_str()),
        Value::Array(elements) => {
            levels_left > 0 && elements.iter().all(|element| is_storable_value(element, levels_left - 1))
        }
        Value::Object(members) => is_storable_object(members, levels_left),
    }
}

fn is_storable_number(text: &str) -> bool {
    number::canonical(text).is_ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    /// The embedded DynamoDB that the contract suites run on takes longer names, so this holds of the model alone.
    #[test]
    fn a_name_of_64_kilobytes_is_refused_at_the_top_of_an_item_and_inside_it() {
        let with_name = |bytes: usize| "n".repeat(bytes);
        let at_the_top = |name: String| Item::from([(name, Attribute::S("text".to_owned()))]);
        let inside = |name: String| {
            let members = Map::from_iter([("list".to_owned(), json!([{ name: true }]))]);
            Item::from([("map".to_owned(), Attribute::M(members))])
        };
        for item in [at_the_top, inside] as [fn(String) -> Item; 2] {
            assert!(is_storable(&item(with_name(65_535))));
            assert!(!is_storable(&item(with_name(65_536))));
            assert!(!is_storable(&item(with_name(0))));
        }
    }
}
