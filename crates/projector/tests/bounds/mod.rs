//! What a batch and a hostile tenant can cost: calls (G12), metrics, alerts (G10) and bytes have a bound, and the counts
//! stay exact (G9) all the same.

use std::collections::BTreeSet;

use fastrand::Rng;
use ledger::{
    FailureClass,
    alert::ALERTS_PER_WINDOW_MAX,
    entry::Entry,
    judge,
    metric::Metric,
    projection::{EntrySummary, StoredViolation, Sums, Verdict, counts::COUNTS, keys::PENDING_PARTITIONS},
    schema,
};
use projector::{Change, Input, Outcome, Record};
use testkit::{
    bodies::{message, summary},
    ports::ProjectorAws,
};

use crate::{NOW_MS, TIMEOUT_MS, WINDOW_MS, appended, batch, batch_of, expected, new_driver, record, settings};

/// The budget of `settings()`: places for tenants.
const PLACES_MAX: usize = 100;
const BATCH: u64 = 1_000;

/// What CloudWatch may bill at most: `Events` by status, by tenant and status (one tenant more for all others), by type
/// and status (one type more for all others), and the metrics without dimensions.
fn metrics_max() -> usize {
    let by_status = 1 + (PLACES_MAX + 1) + (schema::all().len() + 1);
    2 * by_status + Metric::all().count()
}

fn metrics(aws: &ProjectorAws) -> BTreeSet<(&str, &[(String, String)])> {
    let samples = aws.puts.iter().flatten().map(|datum| &datum.sample);
    samples.map(|sample| (sample.name.as_str(), sample.dimensions.as_slice())).collect()
}

#[test]
fn a_hundred_thousand_tenants_stay_within_the_metric_budget_and_are_counted_exactly() {
    let mut driver = new_driver();
    let mut fold = Sums::default();
    let mut random = Rng::with_seed(1);
    for start in (0..100_000).step_by(BATCH as usize) {
        let records: Vec<Record> = (start..start + BATCH)
            .map(|number| {
                let verdict = if random.u8(..4) == 0 { Verdict::Invalid } else { Verdict::Ready };
                appended(number + 1, &format!("tenant-{number}"), verdict)
            })
            .collect();
        fold.merge(expected(&records));
        let report = driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap();
        assert_eq!(report.outcome, Outcome::Done);
    }
    assert_eq!(fold.of_model(&COUNTS.id()).count(), 100_000);
    assert!(driver.sums() == fold, "G9: the counts are the fold of the ledger");
    let metrics = metrics(&driver.aws).len();
    println!(
        "100,000 tenants: {metrics} metrics of at most {}, {} messages, largest item {} bytes",
        metrics_max(),
        driver.aws.alerts.len(),
        driver.aws.projections.item_bytes_max
    );
    assert!(metrics <= metrics_max());
    let windows = (driver.now_ms - NOW_MS) / WINDOW_MS + 1;
    assert!(driver.aws.alerts.len() as u64 <= windows * ALERTS_PER_WINDOW_MAX as u64);
}

#[test]
fn a_hundred_thousand_types_and_pointers_of_one_tenant_cost_neither_metrics_nor_alerts_nor_bytes() {
    let mut driver = new_driver();
    let mut fold = Sums::default();
    let mut random = Rng::with_seed(2);
    let templates = judged_entries();
    let classes: BTreeSet<_> = templates.iter().map(|entry| entry.failure.as_ref().unwrap().class).collect();
    assert_eq!(classes, FailureClass::all().map(Some).collect());
    for start in (0..100_000).step_by(BATCH as usize) {
        let now_ms = driver.now_ms;
        let records: Vec<Record> = (start..start + BATCH)
            .map(|number| record(number + 1, Change::Appended(odd_entry(&mut random, &templates, number, now_ms))))
            .collect();
        fold.merge(expected(&records));
        let report = driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap();
        assert_eq!(report.outcome, Outcome::Done);
        driver.now_ms += 10_000;
    }
    assert_eq!(driver.sums(), fold);
    let metrics = metrics(&driver.aws).len();
    let largest = driver.aws.projections.item_bytes_max;
    let windows = (driver.now_ms - NOW_MS) / WINDOW_MS + 1;
    println!(
        "100,000 types and pointers: {metrics} metrics of at most {}, {} messages in {windows} windows, largest item \
         {largest} bytes",
        metrics_max(),
        driver.aws.alerts.len(),
    );
    assert!(metrics <= metrics_max());
    assert!(driver.aws.alerts.len() as u64 <= windows, "one tenant has one message a window");
    assert!(largest <= 16 * 1024, "{largest}");
}

/// One INVALID entry of each class and of every kind of event type, as the processor records them: the type has a
/// schema, has none, or is not there.
fn judged_entries() -> Vec<EntrySummary> {
    // Five bytes of it take seven in DynamoDB.
    let large = format!(r#"{{"a":[{}[1]]}}"#, "[1],".repeat(62_000));
    let digits = format!(r#"{{"a":{}}}"#, "1".repeat(39));
    let mut entries = Vec::new();
    for event_type in [r#","event_type":"monitoring""#, r#","event_type":"no.schema""#, ""] {
        let judged = |payload: &str| {
            let body = format!(r#"{{"tenant_id":"hostile","event_id":"e"{event_type},"payload":{payload}}}"#);
            assert!(body.len() <= 262_144, "the queue takes it");
            judge(&message(1, "hostile", body), NOW_MS).entry
        };
        let all = ["{}", "[]", &digits, &large].map(judged);
        entries.extend(all.iter().map(|entry| entry.clone().into_conflict(entry.key.clone())));
        entries.extend(all);
    }
    entries.push(judge(&message(1, "hostile", "no json"), NOW_MS).entry);
    let summary = |entry: Entry| EntrySummary::from_item(&entry.into_item()).unwrap();
    entries.into_iter().map(summary).collect()
}

/// An entry of the hostile tenant whose failure nobody has seen before, and whose type nobody has declared, where the
/// template's has no schema. Every other one is as builds before this wrote it: it does not say that its type had none.
fn odd_entry(random: &mut Rng, templates: &[EntrySummary], number: u64, ingested_at_ms: u64) -> EntrySummary {
    let mut entry = templates[random.usize(..templates.len())].clone();
    entry.key.sk = format!("2026-01-15T09:29:59.900000000Z#event-{number}");
    entry.ingested_at_ms = ingested_at_ms;
    if entry.event_type.as_deref() == Some("no.schema") {
        entry.event_type = Some(format!("{:x>96}-{:x}", "", random.u64(..)));
    }
    let failure = entry.failure.as_mut().unwrap();
    if random.bool() {
        failure.places.retain(|place| place.keyword != "enum");
    }
    let pointer = format!("/payload{}", format!("/{number}").repeat(1 + random.usize(..60)));
    let keyword = ["type", "format", "required", "minLength", "nesting"][random.usize(..5)].to_owned();
    // What the producer chose stands in the full pointers alone: the cause was masked when the entry was judged.
    failure.places.insert(0, StoredViolation { pointer, keyword });
    entry
}

#[test]
fn a_day_with_more_sums_than_one_update_may_change_is_committed_in_several() {
    let records: Vec<Record> = (1..=400)
        .map(|number| {
            let mut entry = summary("a", number, Verdict::Ready, NOW_MS);
            entry.event_type = Some(format!("type-{number}"));
            record(number, Change::Appended(entry))
        })
        .collect();
    let mut driver = new_driver();
    let report = driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap();
    assert_eq!(report.outcome, Outcome::Done);
    assert_eq!(driver.sums(), expected(&records));
    // Each takes 147 types, and the bytes.
    assert_eq!(driver.aws.projections.transactions, 3);
}

#[test]
fn the_calls_of_one_invocation_of_a_thousand_records_are_bounded() {
    // Read, list of models, slots of tenants, metrics.
    let around = 4;
    for (case, tenants, verdict, calls) in [
        ("one tenant", 1, Verdict::Ready, around + 1),
        // A transaction has room for 99 items beside the checkpoint, one of which a note may need.
        ("98 tenants in turn", 98, Verdict::Ready, around + 1),
        ("100 tenants in turn", 100, Verdict::Ready, around + 11),
        // Of each the counts, the causes and the note: 33 a transaction. Then the notifier reads twice, leases twice, and
        // sends and settles 20 alerts.
        ("all tenants different, all INVALID", 1_000, Verdict::Invalid, around + 31 + 2 + 2 + 2 * 20),
    ] {
        let records: Vec<Record> = (0..BATCH)
            .map(|number| appended(number + 1, &format!("tenant-{:03}", number % tenants), verdict))
            .collect();
        let mut driver = new_driver();
        let report = driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap();
        assert_eq!((report.outcome, report.work.refused_puts), (Outcome::Done, 0));
        assert_eq!(driver.sums(), expected(&records));
        println!(
            "1,000 records, {case}: {} calls, {} write units",
            driver.calls.len(),
            driver.aws.projections.write_units
        );
        assert_eq!(driver.calls.len(), calls, "{case}");
    }
}

#[test]
fn a_tick_reads_the_notifier_and_every_partition_and_writes_nothing_where_nothing_is_pending() {
    let mut driver = new_driver();
    driver.tick(&settings(), TIMEOUT_MS).unwrap();
    assert_eq!(driver.calls.len(), 1 + usize::from(PENDING_PARTITIONS));
    assert!(driver.aws.projections.items().is_empty());
}

#[test]
fn a_backlog_of_a_thousand_minutes_takes_few_calls() {
    let records: Vec<Record> = (0..BATCH)
        .map(|number| {
            let mut entry = summary(&format!("tenant-{number}"), number, Verdict::Ready, NOW_MS);
            entry.ingested_at_ms = NOW_MS - number * 60_000;
            record(number + 1, Change::Appended(entry))
        })
        .collect();
    let mut driver = new_driver();
    driver.project(&settings(), batch(&records), TIMEOUT_MS);
    let puts = driver.aws.puts.len();
    println!("1,000 records of 1,000 minutes: {puts} calls of PutMetricData");
    assert!(puts <= 7, "{puts}");
}

#[test]
fn shards_that_alert_at_the_same_time_share_the_places_of_a_window() {
    let mut driver = new_driver();
    let of_shard = |shard: u64| {
        let records: Vec<Record> =
            (1..=15).map(|number| appended(number, &format!("tenant-{shard}-{number}"), Verdict::Invalid)).collect();
        Input::Batch(batch_of(&format!("shardId-{shard}"), &records))
    };
    let inputs = vec![of_shard(0), of_shard(1)];
    let reports = driver.invoke_all(&settings(), inputs, TIMEOUT_MS, &[0, 1], |_, _| {});
    assert!(reports.iter().all(|report| report.outcome == Outcome::Done));
    // One has the lease; the other leaves it to the tick.
    assert_eq!(driver.aws.alerts.len(), 15);
    driver.tick(&settings(), TIMEOUT_MS);
    let digests = driver.aws.alerts.iter().filter(|(_, message)| message.subject.contains("more tenants")).count();
    assert_eq!((driver.aws.alerts.len() - digests, digests), (ALERTS_PER_WINDOW_MAX, 1));
}
