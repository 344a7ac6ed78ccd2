//! The projector over a table in memory: exact read models (G9), alerts (G10), bounded work (G12), whatever is delivered
//! again, cut anew, refused, or crashes in between.

mod alerts;
mod bounds;
mod oddities;
mod outages;
mod refusals;

use std::collections::BTreeMap;

use fastrand::Rng;
use ledger::{
    Item,
    alert::Origin,
    item::{text_of, whole_number_of},
    metric::{Metric, dimension},
    metric_tenants::TenantBudget,
    projection::{
        self, EntrySummary, Fact, SequenceNumber, Sums, Verdict,
        keys::{ProjectionKey, RECORDS},
        models::{BEGINNING, Models},
        update::{Deletion, Transacted, Transaction, Write},
    },
};
use projector::{Batch, Change, Input, Kept, Outcome, Record, Settings, UnreadableRecord};
use testkit::{
    bodies::{self, summary},
    ports::{Call, Driver, Fault, Kind, ProjectorAws},
};

const NOW_MS: u64 = 1_768_469_400_000;
const WINDOW_MS: u64 = 300_000;
const TIMEOUT_MS: u64 = 60_000;
const SHARD: &str = "shardId-1";

fn settings() -> Settings {
    Settings {
        models: projection::ALL,
        tenant_budget: TenantBudget::FirstCome { places_max: 100 },
        alert_window_ms: WINDOW_MS,
        origin: Origin {
            project: "event-processor".to_owned(),
            region: "eu-central-1".to_owned(),
            schemas: "0123456789abcdef".to_owned(),
        },
    }
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
    batch_of(SHARD, records)
}

fn batch_of(shard_id: &str, records: &[Record]) -> Batch {
    Batch { shard_id: shard_id.to_owned(), records: records.to_vec() }
}

/// What the read models should hold once all these are projected.
fn expected<'r>(records: impl IntoIterator<Item = &'r Record>) -> Sums {
    let mut sums = Sums::default();
    for record in records {
        let fact = match &record.change {
            Change::Appended(entry) => Fact::Appended(entry),
            Change::Revalidated(entry) => Fact::Revalidated(entry),
            _ => continue,
        };
        projection::ALL.iter().for_each(|model| model.add(&fact, &mut sums));
    }
    sums
}

/// The marks of what is incomplete: model, tenant and day, and how many records.
fn marks(driver: &Driver<ProjectorAws>) -> Vec<(String, String, u64)> {
    let items = driver.aws.projections.items().iter();
    let marks = items.filter_map(|(key, item)| {
        let model = key.pk.strip_prefix("incomplete#")?;
        Some((model.to_owned(), key.sk.clone(), whole_number_of(item, RECORDS)?))
    });
    marks.collect()
}

fn checkpoint(driver: &Driver<ProjectorAws>) -> Option<String> {
    let item: &Item = driver.aws.projections.get(&ProjectionKey::checkpoint(SHARD))?;
    text_of(item, "sequence_number").map(|text| text.trim_start_matches('0').to_owned())
}

/// Whether an alert is pending.
fn has_pending(driver: &Driver<ProjectorAws>) -> bool {
    driver.aws.projections.items().keys().any(|key| key.pk.starts_with("pending#"))
}

fn attempts(driver: &Driver<ProjectorAws>) -> usize {
    driver.calls.iter().filter(|(kind, _)| *kind == Kind::Transact).count()
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
    assert_eq!(driver.sums(), expected(records));
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
    let records: Vec<Record> = (1..=200).map(|number| revalidated(number, "a", &format!("type-{number}"))).collect();
    is_counted_in_several_transactions(&records);
}

#[test]
fn a_type_too_long_for_an_attribute_stops_no_shard() {
    let mut driver = new_driver();
    let long = EntrySummary { event_type: Some("x".repeat(65_536)), ..summary("a", 1, Verdict::Ready, NOW_MS) };
    let records = [record(1, Change::Appended(long)), appended(2, "b", Verdict::Ready)];
    assert_eq!(driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    assert_eq!(driver.sums(), expected(&records));
}

#[test]
fn a_batch_is_counted_measured_and_alerted_once() {
    let mut driver = new_driver();
    let records = mixed();
    let report = driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap();
    assert_eq!(report.outcome, Outcome::Done);
    assert_eq!(driver.sums(), expected(&records));
    let kinds: Vec<Kind> = driver.calls.iter().map(|(kind, _)| *kind).collect();
    let alert = [Kind::Publish, Kind::Transact];
    let announce = [&[Kind::ReadProjections, Kind::ReadProjections, Kind::Update][..], &alert, &alert, &[Kind::Update]];
    let list = [Kind::ReadProjections, Kind::Update, Kind::Transact];
    let measure = [Kind::Update, Kind::Put];
    assert_eq!(kinds, [&list[..], &announce.concat(), &measure].concat());
    let work = &report.work;
    assert_eq!((work.alerts_published, work.alerts_refused, work.refused_puts), (2, 0, 0));
    assert_eq!((work.uncounted, work.revalidated, work.unexpected_modify, work.unexpected_remove), (1, 1, 1, 1));
    let day = "_unattributed#2026-01-15".to_owned();
    assert_eq!(marks(&driver), [("causes@1".to_owned(), day.clone(), 1), ("counts@1".to_owned(), day, 1)]);
    assert_eq!(checkpoint(&driver).as_deref(), Some("7"));
    assert!(!has_pending(&driver));
}

#[test]
fn a_batch_that_comes_again_costs_one_read() {
    let mut driver = new_driver();
    driver.project(&settings(), batch(&mixed()), TIMEOUT_MS);
    let calls = driver.calls.len();
    let report = driver.project(&settings(), batch(&mixed()), TIMEOUT_MS).unwrap();
    assert_eq!(report.outcome, Outcome::Done);
    assert_eq!(driver.sums(), expected(&mixed()));
    assert_eq!(driver.calls.len(), calls + 1);
}

#[test]
fn a_final_invocation_without_records_and_a_batch_of_expired_entries_make_no_call() {
    let mut driver = new_driver();
    let without_a_number = Record { sequence: None, ..record(2, Change::Expired) };
    for records in [vec![], vec![record(1, Change::Expired), without_a_number]] {
        assert_eq!(driver.project(&settings(), batch(&records), 0).unwrap().outcome, Outcome::Done);
    }
    assert_eq!(driver.calls.len(), 0);
}

#[test]
fn expired_entries_beside_other_records_change_nothing_and_hold_nothing_up() {
    let mut driver = new_driver();
    let records = [
        record(1, Change::Expired),
        appended(2, "a", Verdict::Ready),
        Record { sequence: None, ..record(3, Change::Expired) },
        record(4, Change::Expired),
    ];
    driver.plan(Kind::Transact, .., Fault::Refused);
    let report = driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap();
    assert_eq!(report.outcome, Outcome::FailedFrom(SequenceNumber::parse("2").unwrap()));
    driver.heal();
    assert_eq!(driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    assert_eq!(driver.sums(), expected(&records));
    let calls = driver.calls.len();
    assert_eq!(driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    assert_eq!((driver.calls.len(), driver.aws.alerts.len(), marks(&driver).len()), (calls + 1, 0, 0));
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
    let report = driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap();
    assert_eq!(report.outcome, Outcome::Done);
    assert_eq!(driver.sums(), expected(&records));
    assert_eq!((driver.aws.alerts.len(), marks(&driver).len()), (0, 0));
    assert_eq!(checkpoint(&driver).as_deref(), Some("4"));
    assert_eq!((report.work.older, report.work.uncounted), (2, 0));
}

#[test]
fn a_batch_of_the_go_systems_entries_alone_writes_a_checkpoint_and_counts_nothing() {
    let mut driver = new_driver();
    let records = [record(1, Change::Older), record(2, Change::Older)];
    assert_eq!(driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    assert_eq!((driver.sums(), driver.aws.alerts.len()), (Sums::default(), 0));
    assert_eq!(checkpoint(&driver).as_deref(), Some("2"));
}

#[test]
fn a_crash_at_any_call_costs_metrics_or_a_repeated_alert_and_no_count() {
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
            assert_eq!(driver.sums(), expected(&records), "{fault:?} at {kind:?} {number}");
            assert_eq!(marks(&driver).iter().map(|(.., records)| records).sum::<u64>(), 2);
            // Whoever crashed may hold the lease for a while.
            for _ in 0..6 {
                driver.now_ms += 60_000;
                driver.tick(&settings(), TIMEOUT_MS);
            }
            let ProjectorAws { alerts, puts, .. } = &driver.aws;
            assert!((2..=3).contains(&alerts.len()), "{} alerts, {fault:?} at {kind:?} {number}", alerts.len());
            assert!(puts.len() <= 1, "{} puts, {fault:?} at {kind:?} {number}", puts.len());
            assert!(!has_pending(&driver));
        }
    }
}

#[test]
fn an_answer_that_was_lost_does_not_count_twice() {
    let records = mixed();
    let mut driver = new_driver();
    driver.plan(Kind::Transact, 1..=1, Fault::AnswerLost);
    assert_eq!(driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    assert_eq!(driver.sums(), expected(&records));
    let counted = driver.aws.puts.iter().flatten().filter(|datum| datum.sample.name == Metric::Events.name());
    let by_status = counted.filter(|datum| datum.sample.dimensions.len() == 1);
    assert_eq!(by_status.map(|datum| datum.sample.values[0].0).sum::<f64>(), 3.0, "under its token it was a success");
}

#[test]
fn transactions_in_conflict_are_tried_again_until_the_deadline_and_then_given_back() {
    let records: Vec<Record> = (1..=3).map(|sequence| appended(sequence, "a", Verdict::Ready)).collect();
    let mut driver = new_driver();
    driver.plan(Kind::Transact, ..=8, Fault::SomeRefused);
    assert_eq!(driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    assert_eq!(driver.sums(), expected(&records));

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
    // Beside the checkpoint and 98 days there is room for a note.
    assert_eq!(report.outcome, Outcome::FailedFrom(SequenceNumber::parse("99").unwrap()));
    assert_eq!(driver.sums(), expected(&records[..98]));
    driver.heal();
    assert_eq!(driver.project(&settings(), batch(&records[40..]), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    assert_eq!(driver.sums(), expected(&records));
    assert_eq!(driver.aws.projections.transactions, 3);
}

/// Write units of a batch whose days and checkpoint are there already.
fn write_units(records_of: impl Fn(u64) -> Vec<Record>) -> usize {
    let mut driver = new_driver();
    driver.project(&settings(), batch(&records_of(1)), TIMEOUT_MS);
    let before = driver.aws.projections.write_units;
    driver.aws.kept = Kept::default();
    let (first, second) = (records_of(1), records_of(10_001));
    driver.plan(Kind::Publish, .., Fault::Refused);
    driver.project(&settings(), batch(&second), TIMEOUT_MS);
    assert_eq!(driver.sums(), expected(first.iter().chain(&second)));
    // The places of metric tenants and of alerts are no part of the counting.
    driver.aws.projections.write_units - before
}

#[test]
fn write_units_keep_their_budget() {
    let ready = |count: u64, tenants: u64| {
        write_units(|first| {
            let tenant = |number: u64| format!("tenant-{:03}", number % tenants);
            (0..count).map(|number| appended(first + number, &tenant(number), Verdict::Ready)).collect()
        })
    };
    // Checkpoint and day, twice each, for a transaction costs twice: 0.04 an event.
    assert_eq!(ready(100, 1), 4);
    // 100 days in two transactions: 2.04 an event.
    assert_eq!(ready(100, 100), 2 * (100 + 2));
    // At 10 events/s and 5 s of batching, four shards: 0.31 and 2.15 an event.
    assert_eq!(ready(13, 1), 4);
    assert_eq!(ready(13, 13), 2 * (13 + 1));
}

#[test]
fn an_invalid_entry_alone_of_its_tenant_adds_four_write_units_to_its_transaction() {
    let units = |verdict| {
        let mut driver = new_driver();
        driver.plan(Kind::Publish, .., Fault::Refused);
        driver.project(&settings(), batch(&[appended(1, "a", Verdict::Ready)]), TIMEOUT_MS);
        driver.plan(Kind::ReadProjections, 2.., Fault::Refused);
        let before = driver.aws.projections.write_units;
        driver.project(&settings(), batch(&[appended(2, "a", verdict)]), TIMEOUT_MS);
        driver.aws.projections.write_units - before
    };
    assert_eq!((units(Verdict::Ready), units(Verdict::Invalid)), (4, 8));
}

#[test]
fn entries_that_come_late_are_counted_like_all_others() {
    let mut driver = new_driver();
    let at = |sequence: u64, offset: u64| {
        record(sequence, Change::Appended(summary("a", sequence, Verdict::Ready, NOW_MS + offset)))
    };
    let batches = [vec![at(1, 500)], vec![at(2, 100)], vec![at(3, 300)], vec![at(4, 900)], vec![at(5, 20), at(6, 950)]];
    for records in &batches {
        assert_eq!(driver.project(&settings(), batch(records), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    }
    assert_eq!(driver.sums(), expected(batches.iter().flatten()));
    assert_eq!(attempts(&driver), batches.len());
}

/// Each shard in a process of its own, all at the same time.
fn shards_at_once(shards: usize) -> (Driver<ProjectorAws>, usize) {
    let per_shard = 50;
    let records = |shard: usize| -> Vec<Record> {
        (0..per_shard)
            .map(|number| {
                let verdict = if number % 5 == 0 { Verdict::Invalid } else { Verdict::Ready };
                appended(number + 1, &format!("tenant-{shard}-{}", number % 10), verdict)
            })
            .collect()
    };
    let mut driver = new_driver();
    // What is announced is no part of the commits.
    driver.plan(Kind::Publish, .., Fault::Refused);
    let inputs = (0..shards).map(|shard| Input::Batch(batch_of(&format!("shardId-{shard}"), &records(shard))));
    let turns: Vec<usize> = (0..shards).collect();
    let reports = driver.invoke_all(&settings(), inputs.collect(), 100 * TIMEOUT_MS, &turns, |_, _| {});
    assert!(reports.iter().all(|report| report.outcome == Outcome::Done));
    let all: Vec<Record> = (0..shards).flat_map(records).collect();
    assert_eq!(driver.sums(), expected(&all));
    let commits = attempts(&driver);
    (driver, commits)
}

#[test]
fn sixty_four_shards_commit_at_the_first_attempt_for_the_units_of_one() {
    let counting_units = |driver: &Driver<ProjectorAws>| {
        let is_counted =
            |key: &&ProjectionKey| ["tenant#", "pending#", "shard#"].iter().any(|kind| key.pk.starts_with(kind));
        let items = driver.aws.projections.items();
        // Each was written once, twice a unit.
        items.keys().filter(is_counted).count() * 2
    };
    let (one, commits_of_one) = shards_at_once(1);
    let (many, commits_of_many) = shards_at_once(64);
    assert_eq!((commits_of_one, commits_of_many), (1, 64));
    assert_eq!(counting_units(&many), 64 * counting_units(&one));
}

/// A tenant whose items DynamoDB has split into two shards: the transactions of both change its day.
#[test]
fn two_shards_that_share_a_tenant_meet_once_and_the_second_commits_at_its_next_attempt() {
    let mut driver = new_driver();
    let of_one = [appended(1, "hot", Verdict::Ready)];
    driver.project(&settings(), batch_of("shardId-a", &of_one), TIMEOUT_MS);
    let before = attempts(&driver);
    let mut held = 0;
    let of_other = [appended(1, "hot", Verdict::Invalid)];
    let reports = driver.invoke_all(
        &settings(),
        vec![Input::Batch(batch_of("shardId-b", &of_other))],
        TIMEOUT_MS,
        &[0],
        |projections, call| {
            let Call::Transact(transaction) = call else { return };
            held += 1;
            match held {
                // The other shard's transaction is being made.
                1 => {
                    let writes = transaction.writes.iter().filter(|write| write.key().pk == "tenant#hot").cloned();
                    let rival = Transaction { writes: writes.collect(), token: "rival".to_owned() };
                    assert!(projections.begin(1, &rival));
                }
                2 => projections.end(1),
                _ => {}
            }
        },
    );
    assert_eq!(reports[0].outcome, Outcome::Done);
    // Two attempts at the commit, and one transaction that settles the alert.
    assert_eq!(attempts(&driver) - before, 2 + 1);
    let all: Vec<Record> = of_one.into_iter().chain(of_other).collect();
    assert_eq!(driver.sums(), expected(&all));
}

#[test]
fn on_a_new_deployment_every_day_counts_whole_and_a_model_that_comes_later_from_the_day_after() {
    let mut driver = new_driver();
    let first = Settings { models: &projection::ALL[..1], ..settings() };
    driver.project(&first, batch(&[appended(1, "a", Verdict::Ready)]), TIMEOUT_MS);
    let models =
        |driver: &Driver<ProjectorAws>| Models::from_item(&driver.aws.projections.items()[&ProjectionKey::models()]);
    assert_eq!(models(&driver).all().get("counts@1").map(String::as_str), Some(BEGINNING));
    assert!(models(&driver).is_built("counts@1", "2026-01-15") && !models(&driver).is_built("causes@1", "2026-01-15"));

    driver.aws.kept = Kept::default();
    driver.project(&settings(), batch(&[appended(2, "a", Verdict::Invalid)]), TIMEOUT_MS);
    assert_eq!(models(&driver).all().get("counts@1").map(String::as_str), Some(BEGINNING));
    assert_eq!(models(&driver).all().get("causes@1").map(String::as_str), Some("2026-01-16"));
    let updates = |driver: &Driver<ProjectorAws>| driver.calls.iter().filter(|(kind, _)| *kind == Kind::Update).count();
    // Once a deployment: another process finds the list as it should be.
    driver.aws.kept = Kept::default();
    let before = updates(&driver);
    driver.project(&settings(), batch(&[appended(3, "a", Verdict::Ready)]), TIMEOUT_MS);
    assert_eq!(updates(&driver), before);

    driver.aws.kept = Kept::default();
    driver.project(&first, batch(&[appended(4, "a", Verdict::Ready)]), TIMEOUT_MS);
    assert_eq!(models(&driver).all().keys().collect::<Vec<_>>(), ["counts@1"]);
}

#[test]
fn where_something_was_projected_before_there_was_a_list_no_model_is_whole_before_tomorrow() {
    let mut driver = new_driver();
    driver.project(&settings(), batch(&[appended(1, "a", Verdict::Ready)]), TIMEOUT_MS);
    let deletion = Write::Delete(Deletion { key: ProjectionKey::models(), conditions: vec![] });
    let transaction = Transaction { writes: vec![deletion], token: "t".to_owned() };
    assert_eq!(driver.aws.projections.transact(NOW_MS, transaction), Ok(Transacted::Done));
    // The process and the shard are new ones, but the slots of metric tenants tell.
    driver.aws.kept = Kept::default();
    let of_new_shard = batch_of("shardId-2", &[appended(2, "a", Verdict::Ready)]);
    driver.project(&settings(), of_new_shard, TIMEOUT_MS);
    let models = Models::from_item(&driver.aws.projections.items()[&ProjectionKey::models()]);
    assert_eq!(models.all().values().collect::<Vec<_>>(), ["2026-01-16", "2026-01-16"]);
}

#[test]
fn an_event_that_cannot_be_done_and_has_no_number_fails_whole() {
    let mut driver = new_driver();
    let nameless = Record { sequence: None, ..unreadable(1) };
    let report = driver.project(&settings(), batch(std::slice::from_ref(&nameless)), 100).unwrap();
    assert_eq!(report.outcome, Outcome::Failed);
    let report = driver.project(&settings(), batch(&[nameless, appended(1, "a", Verdict::Ready)]), TIMEOUT_MS).unwrap();
    assert_eq!(report.outcome, Outcome::Done);
    assert_eq!(marks(&driver).len(), 2);
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
    let work = driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap().work;
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
    assert_eq!(sum(Metric::PayloadBytes, &[]), Some(36.0));
    assert_eq!(sum(Metric::IngestLatency, &[]), Some(101.0 + 102.0 + 103.0));
    assert_eq!((work.outside_time, work.metric_tenants), (1, Some(1)));
    let all = driver.aws.puts.iter().flatten();
    let names = |name: &&(String, String)| name.0 == dimension::TENANT_ID;
    assert!(all.flat_map(|datum| &datum.sample.dimensions).filter(names).all(|(_, value)| value != ":b"));
}

#[test]
fn invocations_at_the_same_time_count_once_and_announce_once() {
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
        // Two invocations of one shard, of which Lambda believes the first dead, one of another shard, and a tick.
        let zombie = &shards[0][..random.usize(..=shards[0].len())];
        let batches = [batch_of("0", zombie), batch_of("0", &shards[0]), batch_of("1", &shards[1])];
        let inputs = batches.into_iter().map(Input::Batch).chain([Input::Tick]).collect();
        let turns: Vec<usize> = (0..60).map(|_| random.usize(..4)).collect();
        let mut driver = new_driver();
        let reports = driver.invoke_all(&settings(), inputs, 10 * TIMEOUT_MS, &turns, |_, _| {});
        assert!(reports.iter().all(|report| report.outcome == Outcome::Done), "seed {seed}: {reports:?}");
        assert_eq!(driver.sums(), expected(shards.iter().flatten()), "seed {seed}");
        for _ in 0..10 {
            driver.now_ms += 60_000;
            driver.tick(&settings(), TIMEOUT_MS);
        }
        let announced: u64 =
            driver.aws.alerts.iter().map(|(_, message)| alerts::announced(message).values().sum::<u64>()).sum();
        let invalid = shards
            .iter()
            .flatten()
            .filter(|record| matches!(&record.change, Change::Appended(entry) if entry.verdict == Verdict::Invalid));
        assert_eq!(announced, invalid.count() as u64, "seed {seed}");
    }
}
