//! What an outage of one service does to the rest: a failing SNS delays and loses nothing, a failing CloudWatch delays
//! nothing, neither doubles a counter, and no outage makes alerts leave again and again.

use std::collections::BTreeSet;

use ledger::{
    alert::{AlertMessage, AttributeValue, Windows, message_attribute},
    projection::{Counts, SequenceNumber, Verdict, keys::ProjectionKey, update::Updated},
};
use projector::{Outcome, Record};
use testkit::{
    bodies::summary,
    memory::projections::MemoryProjections,
    ports::{Call, Driver, Fault, Kind, ProjectorAws},
};

use crate::{NOW_MS, TIMEOUT_MS, appended, batch, expected, mixed, new_driver, settings};

fn invalid_of_tenants(count: u64) -> Vec<Record> {
    (1..=count).map(|number| appended(number, &format!("tenant-{number:02}"), Verdict::Invalid)).collect()
}

fn failed_from(sequence: &str) -> Outcome {
    Outcome::FailedFrom(SequenceNumber::parse(sequence).unwrap())
}

/// How many messages left, and which tenants they name.
fn told(driver: &Driver<ProjectorAws>) -> (usize, BTreeSet<String>) {
    let tenants = |(_, message): &(u64, AlertMessage)| {
        let attribute = message.attributes.iter().find(|(name, _)| *name == message_attribute::TENANT_ID);
        match attribute {
            Some((_, AttributeValue::String(tenant))) => vec![tenant.clone()],
            Some((_, AttributeValue::StringArray(tenants))) => tenants.clone(),
            None => Vec::new(),
        }
    };
    (driver.aws.alerts.len(), driver.aws.alerts.iter().flat_map(tenants).collect())
}

#[test]
fn a_failing_sns_delays_by_retry_loses_no_alert_and_doubles_no_counter() {
    let mut driver = new_driver();
    let records = invalid_of_tenants(10);
    for fault in [Fault::Refused, Fault::Hangs, Fault::Refused] {
        driver.plan(Kind::Publish, .., fault);
        let report = driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap();
        assert_eq!(report.outcome, failed_from("1"));
        assert_eq!(driver.projection(), Counts::default(), "nothing is counted before it is told");
    }
    driver.heal();
    assert_eq!(driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    let (messages, tenants) = told(&driver);
    assert_eq!((messages, tenants.len()), (10, 10));
    assert_eq!(driver.projection(), expected(&records));
    assert_eq!(driver.aws.projections.transactions, 1);
}

#[test]
fn alerts_that_left_before_sns_failed_do_not_leave_again_with_every_retry() {
    let mut driver = new_driver();
    let records = invalid_of_tenants(10);
    for retry in 0..5 {
        // Seven leave at first.
        let refused = if retry == 0 { 8 } else { 1 };
        driver.plan(Kind::Publish, refused..=refused, Fault::Refused);
        assert_eq!(driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap().outcome, failed_from("1"));
        assert_eq!(driver.aws.alerts.len(), 7);
    }
    assert_eq!(driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    let (messages, tenants) = told(&driver);
    assert_eq!((messages, tenants.len()), (10, 10));
    assert_eq!(driver.projection(), expected(&records));
}

#[test]
fn a_table_that_takes_no_writes_lets_no_alert_leave() {
    let mut driver = new_driver();
    for kind in [Kind::Update, Kind::Transact] {
        driver.plan(kind, .., Fault::Refused);
    }
    for _ in 0..5 {
        let report = driver.project(&settings(), batch(&mixed()), TIMEOUT_MS).unwrap();
        assert_eq!(report.outcome, failed_from("1"));
    }
    assert_eq!((told(&driver).0, driver.aws.puts.len()), (0, 0));
    driver.heal();
    assert_eq!(driver.project(&settings(), batch(&mixed()), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    assert_eq!(driver.aws.alerts.len(), 2);
}

#[test]
fn others_that_are_faster_at_the_alert_windows_ten_times_in_a_row_fail_no_batch() {
    let mut driver = new_driver();
    let mut rivals = 10;
    let write_first = |projections: &mut MemoryProjections, call: &Call| {
        if let Call::Update(update) = call
            && update.key == ProjectionKey::alert_windows()
            && rivals > 0
        {
            rivals -= 1;
            let windows = projections.get(&update.key).map(Windows::from_item).unwrap_or_default();
            assert_eq!(projections.update(windows.to_update(NOW_MS)), Ok(Updated::Done));
        }
    };
    let reports = driver.project_all(&settings(), vec![batch(&mixed())], TIMEOUT_MS, &[0], write_first);
    assert_eq!(reports[0].outcome, Outcome::Done);
    assert_eq!((rivals, driver.aws.alerts.len(), driver.aws.projections.transactions), (0, 2, 1));
}

#[test]
fn a_commit_that_keeps_failing_does_not_alert_anew_with_every_retry() {
    for fault in [Fault::Refused, Fault::SomeRefused, Fault::Hangs] {
        // The second has more groups than alerts may leave in a window: 20 of them, and a digest.
        for (records, messages) in [(mixed(), 2), (invalid_of_tenants(25), 21)] {
            let mut driver = new_driver();
            driver.plan(Kind::Transact, .., fault);
            for _ in 0..4 {
                let report = driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap();
                assert_eq!(report.outcome, failed_from("1"), "{fault:?}");
            }
            assert_eq!(driver.aws.alerts.len(), messages, "{fault:?}");
        }
    }
}

#[test]
fn a_failing_cloudwatch_delays_nothing_and_a_hanging_one_by_seconds() {
    let elapsed_ms = |fault: Option<Fault>| {
        let mut driver = new_driver();
        if let Some(fault) = fault {
            driver.plan(Kind::Put, .., fault);
        }
        let report = driver.project(&settings(), batch(&mixed()), TIMEOUT_MS).unwrap();
        assert_eq!(report.outcome, Outcome::Done);
        assert_eq!(report.refused_puts, u64::from(fault.is_some()));
        assert_eq!(driver.projection(), expected(&mixed()));
        assert_eq!((driver.aws.projections.transactions, driver.aws.alerts.len()), (1, 2));
        driver.now_ms - NOW_MS
    };
    let undisturbed_ms = elapsed_ms(None);
    assert_eq!(elapsed_ms(Some(Fault::Refused)), undisturbed_ms);
    assert!(elapsed_ms(Some(Fault::Hangs)) <= undisturbed_ms + 5_000);
}

#[test]
fn the_metrics_of_a_backlog_on_a_hanging_cloudwatch_cost_the_counts_no_more_than_one_put() {
    let records: Vec<Record> = (0..1_000)
        .map(|number| {
            let mut entry = summary(&format!("tenant-{number}"), number, Verdict::Ready, NOW_MS);
            entry.ingested_at_ms = NOW_MS - number * 60_000;
            crate::record(number + 1, projector::Change::Appended(entry))
        })
        .collect();
    let mut driver = new_driver();
    driver.plan(Kind::Put, .., Fault::Hangs);
    let report = driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap();
    assert_eq!(report.outcome, Outcome::Done);
    assert!(report.refused_puts > 1);
    let elapsed_ms = driver.now_ms - NOW_MS;
    assert!(elapsed_ms < 6_000, "{elapsed_ms} ms");
    assert_eq!(driver.projection(), expected(&records));
}

#[test]
fn a_failures_queue_that_refuses_delays_its_shard_and_alerts_nobody_twice() {
    let mut driver = new_driver();
    driver.plan(Kind::Send, .., Fault::Refused);
    for _ in 0..3 {
        let report = driver.project(&settings(), batch(&mixed()), TIMEOUT_MS).unwrap();
        assert_eq!(report.outcome, failed_from("1"));
    }
    driver.heal();
    assert_eq!(driver.project(&settings(), batch(&mixed()), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    assert_eq!((driver.aws.alerts.len(), driver.aws.failures.len(), driver.aws.projections.transactions), (2, 1, 1));
}
