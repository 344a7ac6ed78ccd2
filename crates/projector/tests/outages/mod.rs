//! What an outage of one service does to the rest: neither SNS nor CloudWatch delays a count, and no outage doubles a
//! metric.

use ledger::{
    metric::Metric,
    projection::{SequenceNumber, Sums, Verdict},
};
use projector::{Change, Outcome, Record};
use testkit::{
    bodies::summary,
    ports::{Driver, Fault, Kind, ProjectorAws},
};

use crate::{NOW_MS, TIMEOUT_MS, appended, batch, expected, mixed, new_driver, record, settings};

/// What SNS and CloudWatch may take after the commits, both together.
const AFTER_COMMIT_MS: u64 = 2_000;

fn failed_from(sequence: &str) -> Outcome {
    Outcome::FailedFrom(SequenceNumber::parse(sequence).unwrap())
}

/// Entries in the metrics that were put.
fn measured(driver: &Driver<ProjectorAws>) -> f64 {
    let samples = driver.aws.puts.iter().flatten().map(|datum| &datum.sample);
    let by_status = samples.filter(|sample| sample.name == Metric::Events.name() && sample.dimensions.len() == 1);
    by_status.flat_map(|sample| &sample.values).map(|(value, count)| value * *count as f64).sum()
}

#[test]
fn neither_sns_nor_cloudwatch_delays_a_count_however_it_fails() {
    for kind in [Kind::Publish, Kind::Put] {
        for fault in [Fault::Refused, Fault::Hangs] {
            let mut driver = new_driver();
            driver.plan(kind, .., fault);
            let report = driver.project(&settings(), batch(&mixed()), TIMEOUT_MS).unwrap();
            assert_eq!(report.outcome, Outcome::Done, "{fault:?} of {kind:?}");
            assert_eq!((driver.sums(), driver.aws.projections.transactions > 0), (expected(&mixed()), true));
            let elapsed_ms = driver.now_ms - NOW_MS;
            assert!(elapsed_ms <= AFTER_COMMIT_MS + 200, "{elapsed_ms} ms, {fault:?} of {kind:?}");
        }
    }
}

#[test]
fn a_service_that_does_not_answer_is_left_alone_for_a_minute() {
    for kind in [Kind::Publish, Kind::Put] {
        let calls = |driver: &Driver<ProjectorAws>| driver.calls.iter().filter(|(made, _)| *made == kind).count();
        let mut driver = new_driver();
        driver.plan(kind, .., Fault::Hangs);
        driver.project(&settings(), batch(&[appended(1, "a", Verdict::Invalid)]), TIMEOUT_MS);
        assert_eq!(calls(&driver), 1);
        driver.heal();
        for second in 1..=11 {
            driver.now_ms += 5_000;
            driver.project(&settings(), batch(&[appended(second + 1, "b", Verdict::Invalid)]), TIMEOUT_MS);
        }
        assert_eq!(calls(&driver), 1, "{kind:?}");
        driver.now_ms += 10_000;
        driver.project(&settings(), batch(&[appended(20, "c", Verdict::Invalid)]), TIMEOUT_MS);
        assert_eq!(calls(&driver), 2, "{kind:?}");
    }
}

#[test]
fn ten_entries_and_twenty_refused_commits_put_ten_into_the_metrics() {
    let records: Vec<Record> = (1..=10).map(|number| appended(number, "a", Verdict::Ready)).collect();
    let mut driver = new_driver();
    let mut invocations = 0;
    for fault in [Fault::Refused, Fault::SomeRefused] {
        driver.plan(Kind::Transact, ..=10, fault);
        while driver.sums() == Sums::default() && invocations < 50 {
            invocations += 1;
            driver.project(&settings(), batch(&records), TIMEOUT_MS / 12);
            if driver.calls.iter().filter(|(kind, _)| *kind == Kind::Transact).count()
                >= 10 * (1 + usize::from(fault == Fault::SomeRefused))
            {
                break;
            }
        }
    }
    driver.heal();
    driver.project(&settings(), batch(&records), TIMEOUT_MS);
    driver.project(&settings(), batch(&records), TIMEOUT_MS);
    assert_eq!(driver.sums(), expected(&records));
    assert_eq!(measured(&driver), 10.0);
}

#[test]
fn a_commit_that_keeps_failing_lets_no_alert_leave_and_puts_no_metric() {
    for fault in [Fault::Refused, Fault::SomeRefused, Fault::Hangs] {
        let mut driver = new_driver();
        driver.plan(Kind::Transact, .., fault);
        for _ in 0..4 {
            let report = driver.project(&settings(), batch(&mixed()), TIMEOUT_MS).unwrap();
            assert_eq!(report.outcome, failed_from("1"), "{fault:?}");
        }
        assert_eq!((driver.aws.alerts.len(), driver.aws.puts.len()), (0, 0), "{fault:?}");
        driver.heal();
        assert_eq!(driver.project(&settings(), batch(&mixed()), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
        assert_eq!((driver.aws.alerts.len(), measured(&driver)), (2, 3.0), "{fault:?}");
    }
}

#[test]
fn the_metrics_of_a_backlog_on_a_hanging_cloudwatch_cost_no_more_than_one_put() {
    let records: Vec<Record> = (0..1_000)
        .map(|number| {
            let mut entry = summary(&format!("tenant-{number}"), number, Verdict::Ready, NOW_MS);
            entry.ingested_at_ms = NOW_MS - number * 60_000;
            record(number + 1, Change::Appended(entry))
        })
        .collect();
    let mut driver = new_driver();
    driver.plan(Kind::Put, .., Fault::Hangs);
    let report = driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap();
    assert_eq!(report.outcome, Outcome::Done);
    assert!(report.work.refused_puts > 1);
    assert_eq!(driver.calls.iter().filter(|(kind, _)| *kind == Kind::Put).count(), 1);
    assert_eq!(driver.sums(), expected(&records));
}

#[test]
fn a_batch_that_stops_half_way_announces_and_measures_what_it_has_committed() {
    let records: Vec<Record> =
        (1..=200).map(|number| appended(number, &format!("tenant-{number:03}"), Verdict::Invalid)).collect();
    let mut driver = new_driver();
    driver.plan(Kind::Transact, 2..=200, Fault::Refused);
    let report = driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap();
    assert_eq!(report.outcome, failed_from("34"));
    assert_eq!(measured(&driver), 33.0);
}
