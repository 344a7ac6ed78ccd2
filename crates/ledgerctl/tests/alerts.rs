//! `ledgerctl alerts` against the local cloud, on which no function runs that would announce what is pending.

mod support;

use ledger::{
    Attribute, TenantId,
    item::whole_number,
    ports::ProjectionsTable,
    projection::{
        keys::{ProjectionKey, VERSION},
        update::{Action, Update, Updated},
    },
};
use ledger_aws::DynamoProjections;
use local::{Cloud, Options};
use support::ledgerctl;

const NOON_MS: u64 = 1_768_478_400_000;

/// Notes entries of a tenant, by cause, of which the first was judged at a time.
async fn note(cloud: &Cloud, tenant: &str, first_at_ms: u64, causes: &[(&str, i64)], bytes: usize) {
    let table = cloud.deployment().project.projections_table();
    let projections = DynamoProjections::new(&ledger_aws::sdk_config_at(cloud.endpoint_url(), "us-east-1"), table);
    let mut actions = vec![
        Action::Add(VERSION.to_owned(), 1),
        Action::Set("first_at".to_owned(), whole_number(first_at_ms)),
        Action::Set("unused".to_owned(), Attribute::S("x".repeat(bytes))),
    ];
    for (slot, (cause, count)) in causes.iter().enumerate() {
        actions.push(Action::Add(format!("c{slot:02}"), *count));
        actions.push(Action::Set(format!("t{slot:02}"), Attribute::S((*cause).to_owned())));
    }
    let key = ProjectionKey::pending(&TenantId::parse(tenant).unwrap());
    let answer = projections.update(Update { key, conditions: vec![], actions }, 10_000).await;
    assert_eq!(answer, Ok(Updated::Done));
}

#[tokio::test]
async fn tenants_with_an_alert_pending_are_listed_oldest_first() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let (code, listed, said) = ledgerctl(&cloud, &["alerts"]).await;
    assert_eq!((code, listed.as_str(), said.as_str()), (0, "", "no alert is pending\n"));

    note(&cloud, "b", NOON_MS + 1_999, &[("malformed_json", 2)], 0).await;
    note(&cloud, "tenant-a", NOON_MS, &[("schema_violation format /payload/email", 1), ("conflict", 41)], 0).await;
    let (code, listed, said) = ledgerctl(&cloud, &["alerts"]).await;
    assert_eq!((code, said.as_str()), (0, ""));
    let lines: Vec<&str> = listed.lines().collect();
    let expected = [
        "2026-01-15T12:00:00Z  tenant-a        42  conflict",
        "2026-01-15T12:00:01Z  b                2  malformed_json",
    ];
    assert_eq!(lines, expected);

    let (code, listed, said) = ledgerctl(&cloud, &["alerts", "--project", "other"]).await;
    assert_eq!((code, listed.as_str()), (3, ""));
    assert_eq!(said, "error: cannot read other-projections: ResourceNotFoundException\n");
    cloud.stop().await.unwrap();
}

#[tokio::test]
async fn every_page_of_every_partition_is_listed() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let pk = |tenant: &String| ProjectionKey::pending(&TenantId::parse(tenant).unwrap()).pk;
    let names: Vec<String> = (0..1_000).map(|number| format!("t{number}")).collect();
    let of_one_partition = names.iter().filter(|name| pk(name) == pk(&names[0])).take(5);
    let of_others = ["pending#00", "pending#63"].map(|other| names.iter().find(|name| pk(name) == other).unwrap());
    let tenants: Vec<&String> = of_one_partition.chain(of_others).collect();
    for tenant in &tenants {
        // Three of this size fill a page.
        note(&cloud, tenant, NOON_MS, &[("conflict", 1)], 300 * 1024).await;
    }
    let (code, listed, _) = ledgerctl(&cloud, &["alerts"]).await;
    assert_eq!(code, 0);
    let mut expected: Vec<&str> = tenants.iter().map(|tenant| tenant.as_str()).collect();
    expected.sort_unstable();
    let listed: Vec<&str> = listed.lines().map(|line| line.split_whitespace().nth(1).unwrap()).collect();
    assert_eq!(listed, expected);
    cloud.stop().await.unwrap();
}
