//! The ledger's stream: order within an item and no further, shards that split, and a log of what was said, for the
//! checkers. Records are exactly as Lambda hands them on.

use std::collections::BTreeMap;

use cloudsim::mapping::StreamRecord;
use fastrand::Rng;
use ledger::{Attribute, Item, entry::attribute, projection::EntrySummary};
use serde_json::{Value, json};

use super::scenario::pick;
use crate::dynamodb_json;

pub(super) const REMOVE: &str = "REMOVE";

/// What a record means to the counts, as whoever made the change knows it.
#[derive(Clone, Debug)]
pub(super) enum Meaning {
    Appended(EntrySummary),
    Revalidated(EntrySummary),
    Nothing,
    /// The item is no entry.
    Unreadable,
}

#[derive(Debug)]
pub(super) struct Logged {
    pub shard: usize,
    pub sequence_number: String,
    pub meaning: Meaning,
    pub tenant: String,
    pub written_ms: u64,
    /// As Lambda hands it on.
    pub json: String,
    /// A committed transaction has passed it.
    pub is_counted: bool,
    /// The mapping gave it up and said so.
    pub is_discarded: bool,
}

#[derive(Debug, Default)]
pub(super) struct Stream {
    /// The children of each, once it is closed.
    shards: Vec<Option<[usize; 2]>>,
    pub log: Vec<Logged>,
    by_number: BTreeMap<String, usize>,
    next_number: u64,
    /// When the latest record of an item appears.
    latest_ms: BTreeMap<(String, String), u64>,
    /// DynamoDB has split its item collection by sort key.
    hot_tenant: Option<&'static str>,
}

impl Stream {
    /// Two shards; their ids are their numbers.
    pub(super) fn new(hot_tenant: Option<&'static str>) -> Self {
        Self { shards: vec![None, None], next_number: 1_000, hot_tenant, ..Self::default() }
    }

    pub(super) fn shard_id(shard: usize) -> String {
        format!("shardId-{shard}")
    }

    /// When a change that is made now appears: soon, and after all earlier ones of the item.
    pub(super) fn appears_ms(&mut self, random: &mut Rng, now_ms: u64, item: &Item) -> u64 {
        let delay_ms_max = *pick(random, &[20, 20, 500, 3_000]);
        let latest_ms = self.latest_ms.entry(key_of(item)).or_default();
        *latest_ms = (now_ms + random.u64(..delay_ms_max)).max(*latest_ms + 1);
        *latest_ms
    }

    /// A change appears. Returns its shard, and what the mapping is to know of it.
    pub(super) fn append(&mut self, random: &mut Rng, change: Change) -> (usize, StreamRecord) {
        let Change { event_name, is_by_ttl, item, written_ms, meaning } = change;
        self.next_number += random.u64(1..20);
        let sequence_number = self.next_number.to_string();
        let (tenant, sk) = key_of(&item);
        let shard = self.leaf(&tenant, &sk);
        let mut record = json!({
            "eventID": format!("event-{sequence_number}"),
            "eventName": event_name,
            "dynamodb": {
                "ApproximateCreationDateTime": written_ms / 1_000,
                "Keys": { "tenant_id": { "S": tenant }, "sk": { "S": sk } },
                "SequenceNumber": sequence_number,
            },
        });
        match event_name {
            // The stream is one of new images, and of what is deleted there is none.
            REMOVE => {}
            _ => record["dynamodb"]["NewImage"] = dynamodb_json::image(&item),
        }
        if is_by_ttl {
            record["userIdentity"] = json!({ "type": "Service", "principalId": "dynamodb.amazonaws.com" });
        }
        self.by_number.insert(sequence_number.clone(), self.log.len());
        let json = record.to_string();
        let offered = StreamRecord {
            sequence_number: sequence_number.clone(),
            event_name: event_name.to_owned(),
            created_ms: written_ms,
            // The mapping copies it about; its number is enough to find it again.
            record: Value::String(sequence_number.clone()),
        };
        self.log.push(Logged {
            shard,
            sequence_number,
            meaning,
            tenant,
            written_ms,
            json,
            is_counted: false,
            is_discarded: false,
        });
        (shard, offered)
    }

    pub(super) fn get(&self, sequence_number: &str) -> &Logged {
        &self.log[self.by_number[sequence_number]]
    }

    pub(super) fn find(&mut self, sequence_number: &str) -> &mut Logged {
        &mut self.log[self.by_number[sequence_number]]
    }

    /// The event of a batch of records, which are of one shard.
    pub(super) fn event(&self, numbers: &[String]) -> String {
        let records: Vec<&str> = numbers.iter().map(|number| self.get(number).json.as_str()).collect();
        let shard = numbers.first().map_or(0, |number| self.get(number).shard);
        format!("{{\"Records\":[{}],\"shardId\":\"{}\"}}", records.join(","), Self::shard_id(shard))
    }

    /// Splits an open shard; returns it and its children.
    pub(super) fn split(&mut self, random: &mut Rng) -> (usize, [usize; 2]) {
        let open: Vec<usize> = (0..self.shards.len()).filter(|&at| self.shards[at].is_none()).collect();
        let parent = *pick(random, &open);
        let children = [self.shards.len(), self.shards.len() + 1];
        self.shards[parent] = Some(children);
        self.shards.extend([None, None]);
        (parent, children)
    }

    /// The open shard of an item.
    fn leaf(&self, tenant: &str, sk: &str) -> usize {
        let sk = if self.hot_tenant == Some(tenant) { sk } else { "" };
        let bytes = tenant.bytes().chain(sk.bytes());
        let mut hash = bytes.fold(7, |hash: usize, byte| hash.wrapping_mul(31) + usize::from(byte));
        let mut shard = hash % 2;
        while let Some(children) = self.shards[shard] {
            hash /= 2;
            shard = children[hash % 2];
        }
        shard
    }
}

/// A change of an item, before it appears in the stream.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub event_name: &'static str,
    /// Deleted because it had expired.
    pub is_by_ttl: bool,
    pub item: Item,
    pub written_ms: u64,
    pub meaning: Meaning,
}

fn key_of(item: &Item) -> (String, String) {
    let text = |name: &str| match item.get(name) {
        Some(Attribute::S(text)) => text.clone(),
        _ => String::new(),
    };
    (text(attribute::TENANT_ID), text(attribute::SK))
}
