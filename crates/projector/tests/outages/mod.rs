//! What an outage of one service does to the rest: a failing SNS delays and loses nothing, a failing CloudWatch delays
//! nothing, neither doubles a counter, and no outage makes alerts leave again and again.

use std::collections::BTreeSet;

use ledger::{
    alert::{AlertMessage, AttributeValue, message_attribute},
    projection::{Projection, SequenceNumber, Verdict},
};
use projector::{Outcome, Record};

use crate::{
    NOW_MS, TIMEOUT_MS, appended, batch, expected, mixed, settings,
    world::{Fault, World},
};

fn invalid_of_tenants(count: u64) -> Vec<Record> {
    (1..=count).map(|number| appended(number, &format!("tenant-{number:02}"), Verdict::Invalid)).collect()
}

fn failed_from(sequence: &str) -> Outcome {
    Outcome::FailedFrom(SequenceNumber::parse(sequence).unwrap())
}

/// How many messages left, and which tenants they name.
fn told(world: &World) -> (usize, BTreeSet<String>) {
    let state = world.state();
    let tenants = |(_, message): &(u64, AlertMessage)| {
        let attribute = message.attributes.iter().find(|(name, _)| *name == message_attribute::TENANT_ID);
        match attribute {
            Some((_, AttributeValue::String(tenant))) => vec![tenant.clone()],
            Some((_, AttributeValue::StringArray(tenants))) => tenants.clone(),
            None => Vec::new(),
        }
    };
    (state.alerts.len(), state.alerts.iter().flat_map(tenants).collect())
}

#[test]
fn a_failing_sns_delays_by_retry_loses_no_alert_and_doubles_no_counter() {
    let world = World::at(NOW_MS);
    let records = invalid_of_tenants(10);
    for fault in [Fault::Refused, Fault::Hangs, Fault::Refused] {
        world.state().outages.insert("publish", fault);
        let report = world.invoke(&settings(), batch(&records), TIMEOUT_MS).unwrap();
        assert_eq!(report.outcome, failed_from("1"));
        assert_eq!(world.projection(), Projection::default(), "nothing is counted before it is told");
    }
    world.state().outages.clear();
    assert_eq!(world.invoke(&settings(), batch(&records), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    let (messages, tenants) = told(&world);
    assert_eq!((messages, tenants.len()), (10, 10));
    assert_eq!(world.projection(), expected(&records));
    assert_eq!(world.state().table.transactions, 1);
}

#[test]
fn alerts_that_left_before_sns_failed_do_not_leave_again_with_every_retry() {
    let world = World::at(NOW_MS);
    let records = invalid_of_tenants(10);
    for retry in 0..5 {
        // Seven leave at first: read, places, seven alerts.
        let calls = world.state().calls;
        let answered = if retry == 0 { 9 } else { 2 };
        world.state().faults = [vec![Fault::None; calls + answered], vec![Fault::Refused]].concat();
        assert_eq!(world.invoke(&settings(), batch(&records), TIMEOUT_MS).unwrap().outcome, failed_from("1"));
        assert_eq!(world.state().alerts.len(), 7);
    }
    assert_eq!(world.invoke(&settings(), batch(&records), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    let (messages, tenants) = told(&world);
    assert_eq!((messages, tenants.len()), (10, 10));
    assert_eq!(world.projection(), expected(&records));
}

#[test]
fn a_table_that_takes_no_writes_lets_no_alert_leave() {
    let world = World::at(NOW_MS);
    for kind in ["update", "transact"] {
        world.state().outages.insert(kind, Fault::Refused);
    }
    for _ in 0..5 {
        let report = world.invoke(&settings(), batch(&mixed()), TIMEOUT_MS).unwrap();
        assert_eq!(report.outcome, failed_from("1"));
    }
    assert_eq!((told(&world).0, world.state().puts.len()), (0, 0));
    world.state().outages.clear();
    assert_eq!(world.invoke(&settings(), batch(&mixed()), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    assert_eq!(world.state().alerts.len(), 2);
}

#[test]
fn others_that_are_faster_at_the_alert_windows_ten_times_in_a_row_fail_no_batch() {
    let world = World::at(NOW_MS);
    world.state().rivals = 10;
    assert_eq!(world.invoke(&settings(), batch(&mixed()), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    let state = world.state();
    assert_eq!((state.rivals, state.alerts.len(), state.table.transactions), (0, 2, 1));
}

#[test]
fn a_commit_that_keeps_failing_does_not_alert_anew_with_every_retry() {
    for fault in [Fault::Refused, Fault::Busy, Fault::Hangs] {
        let world = World::at(NOW_MS);
        world.state().outages.insert("transact", fault);
        for _ in 0..4 {
            let report = world.invoke(&settings(), batch(&mixed()), TIMEOUT_MS).unwrap();
            assert_eq!(report.outcome, failed_from("1"), "{fault:?}");
        }
        assert_eq!(world.state().alerts.len(), 2, "{fault:?}");
    }
}

#[test]
fn a_failing_cloudwatch_delays_nothing_and_a_hanging_one_by_seconds() {
    let elapsed_ms = |fault: Fault| {
        let world = World::at(NOW_MS);
        world.state().outages.insert("put", fault);
        let report = world.invoke(&settings(), batch(&mixed()), TIMEOUT_MS).unwrap();
        assert_eq!(report.outcome, Outcome::Done);
        assert_eq!(report.refused_puts, u64::from(fault != Fault::None));
        assert_eq!(world.projection(), expected(&mixed()));
        let state = world.state();
        assert_eq!((state.table.transactions, state.alerts.len()), (1, 2));
        state.now_ms - NOW_MS
    };
    let undisturbed_ms = elapsed_ms(Fault::None);
    assert_eq!(elapsed_ms(Fault::Refused), undisturbed_ms);
    assert!(elapsed_ms(Fault::Hangs) <= undisturbed_ms + 5_000);
}

#[test]
fn the_metrics_of_a_backlog_on_a_hanging_cloudwatch_cost_the_counts_no_more_than_one_put() {
    let records: Vec<Record> = (0..1_000)
        .map(|number| {
            let mut entry = crate::entry(&format!("tenant-{number}"), number, Verdict::Ready, NOW_MS);
            entry.ingested_at_ms = NOW_MS - number * 60_000;
            crate::record(number + 1, projector::Change::Appended(entry))
        })
        .collect();
    let world = World::at(NOW_MS);
    world.state().outages.insert("put", Fault::Hangs);
    let report = world.invoke(&settings(), batch(&records), TIMEOUT_MS).unwrap();
    assert_eq!(report.outcome, Outcome::Done);
    assert!(report.refused_puts > 1);
    let elapsed_ms = world.state().now_ms - NOW_MS;
    assert!(elapsed_ms < 6_000, "{elapsed_ms} ms");
    assert_eq!(world.projection(), expected(&records));
}

#[test]
fn a_failures_queue_that_refuses_delays_its_shard_and_alerts_nobody_twice() {
    let world = World::at(NOW_MS);
    world.state().outages.insert("send", Fault::Refused);
    for _ in 0..3 {
        let report = world.invoke(&settings(), batch(&mixed()), TIMEOUT_MS).unwrap();
        assert_eq!(report.outcome, failed_from("1"));
    }
    world.state().outages.clear();
    assert_eq!(world.invoke(&settings(), batch(&mixed()), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    let state = world.state();
    assert_eq!((state.alerts.len(), state.failures.len(), state.table.transactions), (2, 1, 1));
}
