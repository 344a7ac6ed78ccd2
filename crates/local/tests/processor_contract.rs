//! The processor's contract on the embedded DynamoDB, through the production adapter and the AWS SDK.

mod support;

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use ledger::{
    Attribute, Item,
    entry::{claim_key_item, stored_content},
    item::text_of,
    judge,
    ports::{Inserted, Table, Tables},
};
use ledger_aws::{DynamoTables, TableNames, to_item};
use local::Cloud;
use testkit::contract::tables::{self, Subject};

struct Dynamo {
    cloud: Cloud,
    client: Client,
    tables: DynamoTables,
}

impl Dynamo {
    async fn start() -> Self {
        let cloud = support::cloud().await;
        let sdk_config = support::sdk_config(&cloud).await;
        let deployment = cloud.deployment();
        let tables = DynamoTables::new(&sdk_config, TableNames::from(&deployment.project));
        Self { client: Client::new(&sdk_config), tables, cloud }
    }

    /// Records a body as an entry, which must be taken at once and read back equal. The number is in its key, because
    /// entries of one event would meet under one.
    async fn record(&self, number: u64, body: &str) {
        let judged = judge(&testkit::bodies::message(number, "g", body), 1_768_469_400_000);
        let mut entry = judged.entry.fitting(body, judged.content);
        entry.key.sk = format!("2026-01-15T09:30:00.000000000Z#{number}");
        let (key, item) = (entry.key.clone(), entry.into_item());
        let inserted = self.tables.insert(Table::Entries, vec![item.clone()], 5_000).await;
        assert_eq!(inserted, Ok(vec![Inserted::Done]), "{body}");

        let text = |text: &str| AttributeValue::S(text.to_owned());
        let request = self.client.get_item().table_name(self.name(Table::Entries)).consistent_read(true);
        let request = request.key("tenant_id", text(key.tenant_id.as_str())).key("sk", text(&key.sk));
        assert_eq!(to_item(request.send().await.unwrap().item.unwrap()), item, "{body}");
        assert_eq!(stored_content(&item), Some(judged.content), "{body}");
    }

    fn name(&self, table: Table) -> String {
        match table {
            Table::Claims => self.cloud.deployment().project.idempotency_table(),
            Table::Entries => self.cloud.deployment().project.events_table(),
        }
    }
}

impl Subject for Dynamo {
    type Tables = DynamoTables;

    fn tables(&self) -> &DynamoTables {
        &self.tables
    }

    async fn items(&self, table: Table) -> Vec<Item> {
        // A scan ends after a megabyte.
        let mut pages = self.client.scan().table_name(self.name(table)).consistent_read(true).into_paginator().send();
        let mut items = Vec::new();
        while let Some(page) = pages.next().await {
            items.extend(page.unwrap().items.unwrap_or_default().into_iter().map(to_item));
        }
        items
    }

    async fn delete(&self, table: Table, item: &Item) {
        let names: &[&str] = match table {
            Table::Claims => &["pk"],
            Table::Entries => &["tenant_id", "sk"],
        };
        let key = |name: &&str| ((*name).to_owned(), AttributeValue::S(text_of(item, name).unwrap().to_owned()));
        let request = self.client.delete_item().table_name(self.name(table));
        request.set_key(Some(names.iter().map(key).collect())).send().await.unwrap();
    }
}

macro_rules! on_dynamodb {
    ($($case:ident)*) => {
        $(#[tokio::test]
        async fn $case() {
            let subject = Dynamo::start().await;
            tables::$case(&subject).await;
            subject.cloud.stop().await.unwrap();
        })*
    };
}

testkit::for_each_tables_case!(on_dynamodb);

/// Where memory and DynamoDB could differ unnoticed: what they refuse, and what they give back.
#[tokio::test]
async fn every_body_of_the_corpus_is_recorded_at_once_and_reads_back_equal() {
    let subject = Dynamo::start().await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/body");
    let mut bodies: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| String::from_utf8(std::fs::read(entry.unwrap().path()).unwrap()).ok())
        .collect();
    bodies.sort();
    for (number, body) in bodies.iter().enumerate() {
        subject.record(number as u64, body).await;
    }
    subject.cloud.stop().await.unwrap();
}

#[tokio::test]
async fn what_dynamodb_refuses_is_told_from_what_it_takes() {
    let subject = Dynamo::start().await;
    let claim = |event_id: &str| {
        let key = ledger::ClaimKey {
            tenant_id: ledger::TenantId::parse("a").unwrap(),
            event_id: ledger::EventId::parse(event_id).unwrap(),
        };
        claim_key_item(&key)
    };
    let too_large = {
        let mut item = claim("large");
        item.insert("raw".to_owned(), Attribute::B(vec![0; 410_000]));
        item
    };
    let too_long = Item::from([("pk".to_owned(), Attribute::S("x".repeat(2_049)))]);
    let answers = subject.tables.insert(Table::Claims, vec![claim("1"), too_large, too_long], 5_000).await.unwrap();
    let refused = Inserted::Refused(ledger::ports::Refusal::Content);
    assert_eq!(answers, [Inserted::Done, refused.clone(), refused]);
    // The same key twice fails the whole request.
    let twice = subject.tables.insert(Table::Claims, vec![claim("2"), claim("2")], 5_000).await;
    assert_eq!(twice, Err(ledger::ports::Refusal::Content));
    let answers = subject.tables.insert(Table::Claims, vec![claim("1"), claim("3")], 5_000).await.unwrap();
    assert_eq!(answers, [Inserted::Exists, Inserted::Done]);
    subject.cloud.stop().await.unwrap();
}

/// Arbitrary bodies, each a batch of its own under ids of its own, so that nothing but its content decides.
#[tokio::test]
async fn no_entry_of_an_arbitrary_body_is_refused_and_every_one_reads_back_equal() {
    use proptest::{
        strategy::{Strategy, ValueTree},
        test_runner::TestRunner,
    };
    let subject = Dynamo::start().await;
    let mut runner = TestRunner::deterministic();
    let bodies = testkit::bodies::body();
    for number in 0..1_000 {
        let body = bodies.new_tree(&mut runner).unwrap().current();
        subject.record(number, &body).await;
    }
    subject.cloud.stop().await.unwrap();
}
