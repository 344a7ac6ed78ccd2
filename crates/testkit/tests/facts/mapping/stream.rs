//! The mapping of a stream, which has one shard. `given.records` lists names, or objects that say more ([`Record`]); the
//! name is the sequence number. Until `given.destination_refuses_until` seconds the on-failure
//! destination takes nothing.

use std::collections::BTreeMap;

use cloudsim::{
    admission::MappingSettings,
    mapping::{Discarded, Outcome, StreamInvocation, StreamMapping, StreamRecord},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Mapping, drive, moment_ms, read};

const SHARD: &str = "shardId-00000001";

/// A record and when it is written; the poller sees it `held` seconds later.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    name: String,
    #[serde(default)]
    at: f64,
    #[serde(default)]
    held: f64,
    #[serde(default = "insert")]
    event_name: String,
}

fn insert() -> String {
    "INSERT".to_owned()
}

/// A stream of one shard, its mapping, and what became of the records that were given up.
struct StreamDriver {
    mapping: StreamMapping,
    /// By when the poller sees them.
    unread: BTreeMap<u64, Vec<StreamRecord>>,
    destination_refuses_until_ms: u64,
    taken: Vec<Value>,
    /// Batches, and records in them, that the destination did not take.
    refused: (usize, usize),
}

impl StreamDriver {
    fn send(&mut self, now_ms: u64, discarded: Vec<Discarded>) {
        for Discarded { sequence_numbers, message, .. } in discarded {
            if now_ms < self.destination_refuses_until_ms {
                self.refused = (self.refused.0 + 1, self.refused.1 + sequence_numbers.len());
            } else {
                self.taken.push(message);
            }
        }
    }
}

impl Mapping for StreamDriver {
    type Invocation = StreamInvocation;

    fn poll(&mut self, now_ms: u64) -> Vec<StreamInvocation> {
        let later = self.unread.split_off(&(now_ms + 1));
        for records in std::mem::replace(&mut self.unread, later).into_values() {
            self.mapping.offer(SHARD, records).unwrap();
        }
        let poll = self.mapping.poll(now_ms);
        self.send(now_ms, poll.discarded);
        poll.invocations
    }

    fn look(&self, invocation: &StreamInvocation) -> (u64, Vec<(String, String)>, Value) {
        let records = invocation.event["Records"].as_array().expect("records");
        let name = |record: &Value| record["dynamodb"]["SequenceNumber"].as_str().expect("a number").to_owned();
        let ids = records.iter().map(|record| (name(record), name(record)));
        (invocation.id, ids.collect(), json!({ "event": invocation.event, "request_id": invocation.request_id }))
    }

    fn complete(&mut self, now_ms: u64, id: u64, outcome: &Outcome) {
        let discarded = self.mapping.complete(now_ms, id, outcome).unwrap();
        self.send(now_ms, discarded);
    }

    fn next_event_ms(&self) -> Option<u64> {
        self.mapping.next_event_ms().into_iter().chain(self.unread.keys().next().copied()).min()
    }
}

/// Takes records and returns what became of them.
pub(crate) fn answers(given: &Value) -> Value {
    let mut settings: MappingSettings = read(&given["mapping"]);
    settings.event_source_arn = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/1".to_owned();
    settings.starting_position = Some("TRIM_HORIZON".to_owned());
    let mut mapping = StreamMapping::new(settings).unwrap();
    mapping.add_shard(SHARD, None);
    let mut unread: BTreeMap<u64, Vec<StreamRecord>> = BTreeMap::new();
    for record in given["records"].as_array().expect("given.records is a list") {
        let Record { name, at, held, event_name } = match record.as_str() {
            Some(name) => read(&json!({ "name": name })),
            None => read(record),
        };
        unread.entry(moment_ms(at + held)).or_default().push(StreamRecord {
            record: json!({ "eventName": event_name, "dynamodb": { "SequenceNumber": name } }),
            sequence_number: name,
            event_name,
            created_ms: moment_ms(at),
        });
    }
    let destination_refuses_until_ms = moment_ms(given["destination_refuses_until"].as_f64().unwrap_or_default());
    let mut driver = StreamDriver { mapping, unread, destination_refuses_until_ms, taken: Vec::new(), refused: (0, 0) };
    let mut answers = drive(&mut driver, given);
    answers["last_processing_result"] = json!(driver.mapping.last_processing_result());
    answers["on_failure"] = driver.taken.into();
    answers["refused"] = json!({ "batches": driver.refused.0, "records": driver.refused.1 });
    answers
}
