//! A table that refuses content: one tenant's item, one tenant's note, or a whole request. It costs that tenant's days,
//! which are marked, and nobody else's.

use ledger::{
    Attribute,
    projection::{
        self, Projection, Sums, Verdict,
        counts::COUNTS,
        keys::{ModelKey, ProjectionKey},
        update::{Action, Update, Updated},
    },
};
use projector::{Outcome, Record, Settings};
use testkit::ports::{Fault, Kind};

use crate::{NOW_MS, TIMEOUT_MS, appended, batch, checkpoint, expected, marks, new_driver, settings};

fn of_tenants(count: u64) -> Vec<Record> {
    (1..=count)
        .map(|number| {
            let verdict = if number % 3 == 0 { Verdict::Invalid } else { Verdict::Ready };
            appended(number, &format!("tenant-{}", number % 10), verdict)
        })
        .collect()
}

/// The same sums without one item.
fn without(mut sums: Sums, key: &ModelKey) -> Sums {
    assert!(sums.items.remove(key).is_some());
    sums
}

#[test]
fn an_item_that_dynamodb_refuses_costs_its_own_day_and_is_marked() {
    let mut driver = new_driver();
    let records = of_tenants(200);
    let tenant_id = ledger::TenantId::parse("tenant-3").unwrap();
    let key = ModelKey { tenant_id, model: COUNTS.id(), day: "2026-01-15".to_owned(), suffix: String::new() };
    driver.aws.projections.refused_keys.insert(key.key());
    let report = driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap();
    assert_eq!((report.outcome, report.work.uncounted), (Outcome::Done, 20));
    assert_eq!(driver.sums(), without(expected(&records), &key));
    assert_eq!(marks(&driver), [("counts@1".to_owned(), "tenant-3#2026-01-15".to_owned(), 20)]);
    assert_eq!(checkpoint(&driver).as_deref(), Some("200"));

    // Once it takes the item again, later records count as ever, beside the mark.
    driver.aws.projections.refused_keys.clear();
    driver.project(&settings(), batch(&[appended(201, "tenant-3", Verdict::Ready)]), TIMEOUT_MS);
    assert_eq!(driver.sums().items[&key].values().sum::<i64>(), 1 + 211);
    assert_eq!(marks(&driver).len(), 1);
}

#[test]
fn an_item_that_somebody_has_edited_stops_no_shard() {
    let mut driver = new_driver();
    driver.project(&settings(), batch(&[appended(1, "a", Verdict::Ready)]), TIMEOUT_MS);
    let key = driver.sums().of_model("counts@1").next().unwrap().0.key();
    let edited = Action::Set("READY#user.created".to_owned(), Attribute::S("many".to_owned()));
    let edit = Update { key, conditions: vec![], actions: vec![edited] };
    assert_eq!(driver.aws.projections.update(edit), Ok(Updated::Done));
    let records = [appended(2, "a", Verdict::Ready), appended(3, "b", Verdict::Ready)];
    assert_eq!(driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    assert_eq!(marks(&driver), [("counts@1".to_owned(), "a#2026-01-15".to_owned(), 1)]);
    assert_eq!(checkpoint(&driver).as_deref(), Some("3"));
}

#[test]
fn a_note_that_dynamodb_refuses_costs_its_own_alert_and_no_count() {
    let mut driver = new_driver();
    let tenant = ledger::TenantId::parse("tenant-3").unwrap();
    driver.aws.projections.refused_keys.insert(ProjectionKey::pending(&tenant));
    let records = of_tenants(30);
    assert_eq!(driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap().outcome, Outcome::Done);
    assert_eq!(driver.sums(), expected(&records));
    assert_eq!((driver.aws.alerts.len(), marks(&driver).len()), (9, 0));
}

/// A fold of somebody's that makes an attribute of what a producer sent: DynamoDB refuses the whole request.
const CARELESS: Projection = Projection {
    name: "careless",
    version: 1,
    fold: |fact, changes| {
        let name = if fact.entry().key.event_id() == "event-7" { "" } else { "entries" };
        changes.add("", name, fact.change_of(Verdict::Ready));
    },
};
const WITH_CARELESS: &[Projection] = &[projection::ALL[0], projection::ALL[1], CARELESS];

#[test]
fn a_request_that_is_refused_as_a_whole_is_narrowed_to_the_record_and_the_model_at_fault() {
    let mut driver = new_driver();
    let with_careless = Settings { models: WITH_CARELESS, ..settings() };
    let records: Vec<Record> = (1..=60).map(|number| appended(number, "a", Verdict::Ready)).collect();
    let report = driver.project(&with_careless, batch(&records), TIMEOUT_MS).unwrap();
    assert_eq!((report.outcome, report.work.uncounted), (Outcome::Done, 1));
    let mut sums = expected(&records);
    sums.items.extend(driver.sums().items.into_iter().filter(|(key, _)| key.model == "careless@1"));
    assert_eq!(driver.sums(), sums);
    let careless = sums.of_model("careless@1").next().unwrap().1;
    assert_eq!(careless.get("entries"), Some(&59));
    assert_eq!(marks(&driver), [("careless@1".to_owned(), "a#2026-01-15".to_owned(), 1)]);
    println!("60 records, one of which is refused: {} calls", driver.calls.len());
    assert!(driver.calls.len() < 30, "{}", driver.calls.len());
}

#[test]
fn a_table_that_refuses_every_request_gets_the_batch_again_and_passes_no_record() {
    let mut driver = new_driver();
    driver.plan(Kind::Transact, .., Fault::RefusedAsContent);
    let records = of_tenants(50);
    let report = driver.project(&settings(), batch(&records), TIMEOUT_MS).unwrap();
    assert_eq!(report.outcome, Outcome::FailedFrom(records[0].sequence.clone().unwrap()));
    assert_eq!(checkpoint(&driver), None);
    driver.heal();
    assert!(driver.now_ms < NOW_MS + TIMEOUT_MS);
    driver.project(&settings(), batch(&records), TIMEOUT_MS);
    assert_eq!((driver.sums(), marks(&driver).len()), (expected(&records), 0));
}
