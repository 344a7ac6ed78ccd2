//! The projector over a table in memory: exact counts (G9), alerts (G10), bounded work (G12), whatever is delivered
//! again, cut anew, refused, or crashes in between.

mod bounds;
mod outages;

use std::collections::BTreeMap;

use fastrand::Rng;
use ledger::{
    item::{text_of, whole_number_of},
    metric::{Metric, OTHER_TENANTS, dimension},
    metric_tenants::TenantBudget,
    projection::{
        Counts, EntrySummary, SequenceNumber, Verdict,
        keys::{ProjectionKey, RECORDS},
    },
};
use projector::{Batch, Change, Outcome, Record, Settings, UnreadableRecord};
use testkit::{
    bodies::{self, summary},
    ports::{Driver, Fault, Kind, ProjectorAws},
};

const NOW_MS: u64 = 1_768_469_400_000;
const WINDOW_MS: u64 = 300_000;
const TIMEOUT_MS: u64 = 60_000;
const SHARD: &str = "shardId-1";

fn settings() -> Settings {
    Settings { tenant_budget: TenantBudget::FirstCome { places_max: 100 }, alert_window_ms: WINDOW_MS }
}

fn new_driver() -> Driver<ProjectorAws> {
    let mut driver = Driver::new(ProjectorAws::default(), NOW_MS);
    driver.call_ms = 5;
    driver
}

fn record(sequence: u64, change: Change) -> Record {
    bodies::record(sequence, NOW_MS, change)
}

fn appended(sequence: u64, tenant: &str, verdict: Verdict) -> Record {
    record(sequence, Change::Appended(summary(tenant, sequence, verdict, NOW_MS + sequence)))
}

fn unreadable(sequence: u64) -> Record {
    record(sequence, Change::Unreadable(UnreadableRecord::default()))
}

fn batch(records: &[Record]) -> Batch {
    Batch { shard_id: Some(SHARD.to_owned()), records: records.to_vec() }
}

/// What the counts should be once all these are projected.
fn expected<'r>(records: impl IntoIterator<Item = &'r Record>) -> Counts {
    let mut projection = Counts::default();
    for record in records {
        match &record.change {
            Change::Appended(entry) => projection.append(entry),
            Change::Revalidated(entry) => projection.revalidate(entry),
            Change::UnexpectedModify | Change::Removed | Change::Older | Change::Unreadable(_) => {}
        }
    }
    projection
}

fn mixed() -> Vec<Record> {
    bodies::mixed_records(NOW_MS)
}

fn revalidated(sequence: u64, tenant: &str, event_type: &str) -> Record {
    let entry = bodies::revalidated(summary(tenant, sequence, Verdict::Ready, NOW_MS));
    record(sequence, Change::Revalidated(EntrySummary { event_type: Some(event_type.to_owned()), ..entry }))
}

/// Projects records whose counts need more than one transaction, and compares the counts.
fn is_counted_in_several_transactions(records: &[Record]) {
    let mut driver = new_driver();
    assert_eq!(driver.project(&settings(), batch(records), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    assert_eq!(driver.projection(), expected(records));
    assert!(driver.aws.projections.transactions > 1);
}

#[test]
fn a_full_transaction_has_room_for_the_mark_of_what_is_incomplete() {
    let mut records: Vec<Record> =
        (1..=150).map(|number| appended(number, &format!("tenant-{number}"), Verdict::Ready)).collect();
    records.insert(0, unreadable(0));
    is_counted_in_several_transactions(&records);
}

#[test]
fn revalidations_of_more_days_than_one_transaction_takes_are_committed_in_several() {
    let records: Vec<Record> =
        (1..=150).map(|number| revalidated(number, &format!("tenant-{number}"), "user.created")).collect();
    is_counted_in_several_transactions(&records);
}

#[test]
fn revalidations_of_more_types_than_one_update_may_change_are_committed_in_several() {
    let records: Vec<Record> = (1..=400).map(|number| revalidated(number, "a", &format!("type-{number}"))).collect();
    is_counted_in_several_transactions(&records);
}

#[test]
fn a_type_too_long_for_an_attribute_stops_no_shard() {
    let mut driver = new_driver();
    let long = EntrySummary { event_type: Some("x".repeat(65_536)), ..summary("a", 1, Verdict::Ready, NOW_MS) };
    let records = [record(1, Change::Appended(long)), appended(2, "b", Verdict::Ready)];
    assert_eq!(driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    assert_eq!(driver.projection(), expected(&records));
}

#[test]
fn a_batch_is_counted_measured_and_alerted_once() {
    let mut driver = new_driver();
    let records = mixed();
    let report = driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap();
    assert_eq!((report.outcome, report.refused_puts), (Outcome::Done, 0));
    assert_eq!(driver.projection(), expected(&records));
    // Read, places for alerts, two alerts, failures queue, places of tenants, metrics, transaction.
    assert_eq!(
        (driver.calls.len(), driver.aws.alerts.len(), driver.aws.failures.len(), driver.aws.puts.len()),
        (8, 2, 1, 1)
    );
    let incomplete = &driver.aws.projections.items()[&ProjectionKey::incomplete()];
    assert_eq!(whole_number_of(incomplete, RECORDS), Some(1));
    let checkpoint = &driver.aws.projections.items()[&ProjectionKey::checkpoint(SHARD)];
    assert_eq!(text_of(checkpoint, "sequence_number"), Some(format!("{:0>40}", 7).as_str()));
}

#[test]
fn a_batch_that_comes_again_costs_one_read() {
    let mut driver = new_driver();
    driver.project(&settings(), batch(&mixed()), TIMEOUT_MS);
    let calls = driver.calls.len();
    let report = driver.project(&settings(), batch(&mixed()), TIMEOUT_MS).unwrap();
    assert_eq!(report.outcome, Outcome::Done);
    assert_eq!(driver.projection(), expected(&mixed()));
    assert_eq!(driver.calls.len(), calls + 1);
}

#[test]
fn a_final_invocation_without_records_and_a_batch_of_removals_make_no_call() {
    let mut driver = new_driver();
    let without_a_number = Record { sequence: None, ..record(2, Change::Removed) };
    for records in [vec![], vec![record(1, Change::Removed), without_a_number]] {
        assert_eq!(driver.project(&settings(), batch(&records), 0).unwrap().outcome, Outcome::Done);
    }
    assert_eq!(driver.calls.len(), 0);
}

#[test]
fn removals_beside_other_records_change_nothing_and_hold_nothing_up() {
    let mut driver = new_driver();
    let records = [
        record(1, Change::Removed),
        appended(2, "a", Verdict::Ready),
        Record { sequence: None, ..record(3, Change::Removed) },
        record(4, Change::Removed),
    ];
    driver.plan(Kind::Transact, .., Fault::Refused);
    let report = driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap();
    assert_eq!(report.outcome, Outcome::FailedFrom(SequenceNumber::parse("2").unwrap()));
    driver.heal();
    assert_eq!(driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    assert_eq!(driver.projection(), expected(&records));
    let calls = driver.calls.len();
    assert_eq!(driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    assert_eq!((driver.calls.len(), driver.aws.failures.len(), driver.aws.alerts.len()), (calls + 1, 0, 0));
    assert!(!driver.aws.projections.items().contains_key(&ProjectionKey::incomplete()));
}

#[test]
fn entries_of_the_go_system_are_left_out_unannounced_and_one_metric_says_how_many() {
    let mut driver = new_driver();
    let records = [
        appended(1, "a", Verdict::Ready),
        record(2, Change::Older),
        appended(3, "a", Verdict::Ready),
        record(4, Change::Older),
    ];
    assert_eq!(driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    assert_eq!(driver.projection(), expected(&records));
    assert_eq!((driver.aws.failures.len(), driver.aws.alerts.len()), (0, 0));
    assert!(!driver.aws.projections.items().contains_key(&ProjectionKey::incomplete()));
    let checkpoint = &driver.aws.projections.items()[&ProjectionKey::checkpoint(SHARD)];
    assert_eq!(text_of(checkpoint, "sequence_number"), Some(format!("{:0>40}", 4).as_str()));
    let samples = driver.aws.puts.iter().flatten().map(|datum| &datum.sample);
    let counted: Vec<_> = samples.filter(|sample| sample.name == Metric::OlderThanReadModels.name()).collect();
    assert_eq!((counted.len(), &counted[0].values[..]), (1, &[(2.0, 1)][..]));
}

#[test]
fn a_batch_of_the_go_systems_entries_alone_writes_nothing() {
    let mut driver = new_driver();
    let records = [record(1, Change::Older), record(2, Change::Older)];
    assert_eq!(driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    assert_eq!((driver.aws.projections.items().len(), driver.aws.failures.len(), driver.aws.alerts.len()), (0, 0, 0));
}

#[test]
fn a_crash_at_any_call_costs_at_most_a_repeated_alert_or_metric() {
    let records = mixed();
    let calls: Vec<Kind> = {
        let mut driver = new_driver();
        driver.project(&settings(), batch(&records), TIMEOUT_MS);
        driver.calls.iter().map(|(kind, _)| *kind).collect()
    };
    for (at, kind) in calls.iter().enumerate() {
        let number = calls[..=at].iter().filter(|other| *other == kind).count();
        for fault in [Fault::CrashBefore, Fault::CrashAfter] {
            let mut driver = new_driver();
            driver.plan(*kind, number..=number, fault);
            assert_eq!(driver.project(&settings(), batch(&records), TIMEOUT_MS), None);
            let report = driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap();
            assert_eq!(report.outcome, Outcome::Done);
            assert_eq!(driver.projection(), expected(&records), "{fault:?} at {kind:?} {number}");
            let ProjectorAws { projections, alerts, puts, failures } = &driver.aws;
            assert!((2..=4).contains(&alerts.len()) && (1..=2).contains(&puts.len()));
            assert!((1..=2).contains(&failures.len()));
            assert_eq!(whole_number_of(&projections.items()[&ProjectionKey::incomplete()], RECORDS), Some(1));
        }
    }
}

#[test]
fn an_answer_that_was_lost_does_not_count_twice() {
    let records = mixed();
    let mut driver = new_driver();
    driver.plan(Kind::Transact, 1..=1, Fault::AnswerLost);
    assert_eq!(driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    assert_eq!(driver.projection(), expected(&records));
    assert_eq!(driver.aws.projections.transactions, 1);
}

#[test]
fn transactions_in_conflict_are_tried_again_until_the_deadline_and_then_given_back() {
    let records: Vec<Record> = (1..=3).map(|sequence| appended(sequence, "a", Verdict::Ready)).collect();
    let mut driver = new_driver();
    driver.plan(Kind::Transact, ..=8, Fault::SomeRefused);
    assert_eq!(driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    assert_eq!(driver.projection(), expected(&records));

    let mut driver = new_driver();
    driver.plan(Kind::Transact, .., Fault::SomeRefused);
    let report = driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap();
    assert_eq!(report.outcome, Outcome::FailedFrom(SequenceNumber::parse("1").unwrap()));
}

#[test]
fn a_batch_of_many_days_is_committed_in_sequence_order_and_given_back_from_where_it_stopped() {
    let records: Vec<Record> =
        (1..=250).map(|sequence| appended(sequence, &format!("tenant-{sequence}"), Verdict::Ready)).collect();
    let mut driver = new_driver();
    driver.plan(Kind::Transact, 2.., Fault::Refused);
    let report = driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap();
    assert_eq!(report.outcome, Outcome::FailedFrom(SequenceNumber::parse("100").unwrap()));
    assert_eq!(driver.projection(), expected(&records[..99]));
    driver.heal();
    assert_eq!(driver.project(&settings(), batch(&records[40..]), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    assert_eq!(driver.projection(), expected(&records));
    assert_eq!(driver.aws.projections.transactions, 3);
}

#[test]
fn write_units_keep_their_budget() {
    let one: Vec<Record> = (1..=100).map(|sequence| appended(sequence, "tenant-a", Verdict::Ready)).collect();
    let all: Vec<Record> =
        (1..=100).map(|sequence| appended(sequence, &format!("tenant-{sequence:03}"), Verdict::Ready)).collect();
    for (records, units_max) in [(one, 10), (all, 210)] {
        let mut driver = new_driver();
        driver.project(&settings(), batch(&records), TIMEOUT_MS);
        assert_eq!(driver.projection(), expected(&records));
        let units = driver.aws.projections.write_units;
        assert!(units <= units_max, "{units} write units for 100 records");
    }
}

#[test]
fn entries_that_come_late_widen_a_day_to_both_sides() {
    let mut driver = new_driver();
    let at = |sequence: u64, offset: u64| {
        record(sequence, Change::Appended(summary("a", sequence, Verdict::Ready, NOW_MS + offset)))
    };
    // The last batch reaches beyond both ends at once.
    let batches = [vec![at(1, 500)], vec![at(2, 100)], vec![at(3, 300)], vec![at(4, 900)], vec![at(5, 20), at(6, 950)]];
    for records in &batches {
        assert_eq!(driver.project(&settings(), batch(records), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
        let so_far = batches.iter().flatten().filter(|record| record.sequence <= records.last().unwrap().sequence);
        assert_eq!(driver.projection(), expected(so_far));
    }
    let span = driver.projection().days.into_values().next().unwrap().span_ms;
    assert_eq!(span, Some((NOW_MS + 20, NOW_MS + 950)));
}

#[test]
fn without_a_shard_id_nothing_is_counted_and_the_projection_says_so() {
    let mut driver = new_driver();
    let plain = Batch { shard_id: None, records: mixed() };
    assert_eq!(driver.project(&settings(), plain, TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    assert_eq!(driver.projection(), Counts::default());
    assert_eq!((driver.aws.alerts.len(), driver.aws.puts.len()), (2, 1));
    assert_eq!(whole_number_of(&driver.aws.projections.items()[&ProjectionKey::incomplete()], RECORDS), Some(6));
    assert!(driver.aws.projections.items().contains_key(&ProjectionKey::alert_windows()));
}

#[test]
fn an_event_that_cannot_be_done_and_has_no_number_fails_whole() {
    let mut driver = new_driver();
    let nameless = Record { sequence: None, ..unreadable(1) };
    let report = driver.project(&settings(), batch(std::slice::from_ref(&nameless)), 100).unwrap();
    assert_eq!(report.outcome, Outcome::Failed);
    let report = driver.project(&settings(), batch(&[nameless, appended(1, "a", Verdict::Ready)]), TIMEOUT_MS).unwrap();
    assert_eq!(report.outcome, Outcome::Done);
    assert_eq!(driver.aws.failures.len(), 1);
}

#[test]
fn events_are_measured_by_status_tenant_and_type_and_what_cloudwatch_would_refuse_is_left_out() {
    let mut driver = new_driver();
    let old = summary("a", 9, Verdict::Ready, NOW_MS - 15 * 86_400_000);
    let records = [
        appended(1, "a", Verdict::Ready),
        appended(2, "a", Verdict::Ready),
        appended(3, ":b", Verdict::Invalid),
        record(4, Change::Appended(old)),
    ];
    driver.project(&settings(), batch(&records), TIMEOUT_MS);
    let mut found: BTreeMap<(String, Vec<String>), f64> = BTreeMap::new();
    for datum in driver.aws.puts.iter().flatten() {
        assert_eq!(datum.minute_ms, NOW_MS / 60_000 * 60_000);
        let values = datum.sample.dimensions.iter().map(|(_, value)| value.clone()).collect();
        let sum: f64 = datum.sample.values.iter().map(|(value, count)| value * *count as f64).sum();
        *found.entry((datum.sample.name.clone(), values)).or_default() += sum;
    }
    let sum = |metric: Metric, values: &[&str]| {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        found.get(&(metric.name().to_owned(), values)).copied()
    };
    assert_eq!(sum(Metric::Events, &["READY"]), Some(2.0));
    assert_eq!(sum(Metric::Events, &["READY", "a"]), Some(2.0));
    assert_eq!(sum(Metric::Events, &["INVALID", "_other"]), Some(1.0));
    assert_eq!(sum(Metric::Events, &["user.created", "INVALID"]), Some(1.0));
    assert_eq!(sum(Metric::OutsideMetricTime, &[]), Some(1.0));
    assert_eq!(sum(Metric::PayloadBytes, &[]), Some(36.0));
    assert_eq!(sum(Metric::IngestLatency, &[]), Some(101.0 + 102.0 + 103.0));
    assert_eq!(sum(Metric::MetricTenantsInUse, &[]), Some(1.0));
    let all = driver.aws.puts.iter().flatten();
    let names = |name: &&(String, String)| name.0 == dimension::TENANT_ID;
    assert!(all.flat_map(|datum| &datum.sample.dimensions).filter(names).all(|(_, value)| value != ":b"));
}

#[test]
fn invocations_at_the_same_time_count_once_and_agree_on_windows_and_places() {
    for seed in 0..400 {
        let mut random = Rng::with_seed(seed);
        let mut shards = [Vec::new(), Vec::new()];
        for sequence in 1..random.u64(2..60) {
            let tenant = random.usize(..5);
            let verdict = if random.bool() { Verdict::Ready } else { Verdict::Invalid };
            let ingested_at_ms = NOW_MS - random.u64(..172_800_000);
            let entry = summary(&format!("tenant-{tenant}"), sequence, verdict, ingested_at_ms);
            let change = if random.u8(..8) == 0 {
                Change::Revalidated(bodies::revalidated(entry))
            } else {
                Change::Appended(entry)
            };
            shards[tenant % 2].push(record(sequence, change));
        }
        // Two invocations of one shard, of which Lambda believes the first dead, and one of another shard.
        let zombie = &shards[0][..random.usize(..=shards[0].len())];
        let of_shard = |shard: usize, records: &[Record]| Batch {
            shard_id: Some(format!("shardId-{shard}")),
            records: records.to_vec(),
        };
        let batches = vec![of_shard(0, zombie), of_shard(0, &shards[0]), of_shard(1, &shards[1])];
        let turns: Vec<usize> = (0..60).map(|_| random.usize(..3)).collect();
        let mut driver = new_driver();
        let reports = driver.project_all(&settings(), batches, 10 * TIMEOUT_MS, &turns, |_, _| {});
        assert!(reports.iter().all(|report| report.outcome == Outcome::Done), "seed {seed}: {reports:?}");
        assert_eq!(driver.projection(), expected(shards.iter().flatten()), "seed {seed}");
        // Now that all are stored, nobody's group is told again, and every tenant has its place.
        let (alerts, puts) = (driver.aws.alerts.len(), driver.aws.puts.len());
        let tenants = invalid(shards.iter().flatten()).map(|entry| entry.key.tenant_id.as_str());
        let again: Vec<Record> =
            tenants.zip(10_000..).map(|(tenant, sequence)| appended(sequence, tenant, Verdict::Invalid)).collect();
        driver.project(&settings(), of_shard(2, &again), TIMEOUT_MS);
        assert_eq!(driver.aws.alerts.len(), alerts, "seed {seed}");
        let mut later = driver.aws.puts[puts..].iter().flatten().flat_map(|datum| &datum.sample.dimensions);
        assert!(!later.any(|(_, value)| value == OTHER_TENANTS), "seed {seed}");
    }
}

/// The INVALID entries that records tell of.
fn invalid<'r>(records: impl IntoIterator<Item = &'r Record>) -> impl Iterator<Item = &'r EntrySummary> {
    records.into_iter().filter_map(|record| match &record.change {
        Change::Appended(entry) if entry.verdict == Verdict::Invalid => Some(entry),
        _ => None,
    })
}
