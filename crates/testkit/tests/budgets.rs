//! The exact figures of the processor: DynamoDB calls and write units per event.

use ledger::{Item, entry::attribute, item::item_bytes, ports::Table};
use processor::process::Settings;
use testkit::{
    bodies::{START_MS, log_line, message},
    memory::tables::MemoryTables,
    ports::Driver,
};

const SETTINGS: Settings = Settings { claim_ttl_days: 7, entry_ttl_days: 0, is_ready_indexed: true };
/// What the index holds beside its own and the table's keys.
const INDEX_INCLUDES: [&str; 2] = [attribute::EVENT_TYPE, attribute::REASON];
const INDEX_KEYS: [&str; 4] = [attribute::STATUS, attribute::TENANT_ID_CREATED_AT, attribute::TENANT_ID, attribute::SK];

/// The event the budgets are set for: an 8-byte tenant and a 36-byte event id.
fn envelope_of(bytes: usize) -> String {
    log_line("8d0e6f2a-51c7-4b0e-9a3c-0f5f2f1f7c11", bytes)
}

async fn record(bodies: &[String]) -> (MemoryTables, usize) {
    let memory = MemoryTables::default();
    let mut driver = Driver::new(&memory, START_MS);
    let messages: Vec<_> = bodies.iter().enumerate().map(|(n, body)| message(n as u64, "tenant-a", body)).collect();
    let report = driver.process(SETTINGS, &messages, 15_000).await;
    assert!(report.failed.is_empty());
    let calls = driver.calls.len();
    (memory, calls)
}

fn write_units(bytes: usize) -> usize {
    bytes.div_ceil(1024)
}

fn index_bytes(entry: &Item) -> usize {
    let is_projected = |name: &String| INDEX_KEYS.contains(&name.as_str()) || INDEX_INCLUDES.contains(&name.as_str());
    item_bytes(&entry.iter().filter(|(name, _)| is_projected(name)).map(|(n, a)| (n.clone(), a.clone())).collect())
}

#[tokio::test]
async fn a_new_one_kilobyte_event_costs_three_write_units() {
    let body = envelope_of(1_057);
    assert_eq!(body.len(), 1_057);
    let (tables, _) = record(&[body]).await;
    let (claim, entry) = (&tables.items(Table::Claims)[0], &tables.items(Table::Entries)[0]);
    let sizes = [item_bytes(claim), item_bytes(entry), index_bytes(entry)];
    assert_eq!(sizes.map(write_units), [1, 1, 1], "{sizes:?} bytes");
}

#[tokio::test]
async fn an_entry_adds_less_than_270_bytes_to_its_payload() {
    let (tables, _) = record(&[envelope_of(1_057)]).await;
    let mut entry = tables.items(Table::Entries).remove(0);
    entry.remove(attribute::PAYLOAD).unwrap();
    let overhead = item_bytes(&entry) + attribute::PAYLOAD.len();
    assert!(overhead < 270, "{overhead} bytes");
    println!("an entry adds {overhead} bytes to its payload");
}

#[tokio::test]
async fn an_event_takes_a_fifth_of_a_call_in_a_batch_of_ten_and_two_alone() {
    let bodies: Vec<String> =
        (0..10).map(|n| envelope_of(1_057).replace("8d0e6f2a-51c7", &format!("{n:08x}-51c7"))).collect();
    assert_eq!(record(&bodies).await.1, 2);
    assert_eq!(record(&bodies[..1]).await.1, 2);
}
