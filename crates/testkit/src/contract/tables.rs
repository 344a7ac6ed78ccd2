//! The contract of the processor, case by case.

use std::future::Future;

use ledger::{
    Attribute, FailureClass, Item, Message,
    entry::attribute,
    item::{ITEM_BYTES_MAX, item_bytes, number_of, text_of},
    judge,
    ports::{Inserted, Refusal, Table, Tables},
};
use processor::process::{Outcome, Report, Settings};
use serde_json::{Value, json};

use super::cases;
use crate::{
    bodies::{START_MS, again, envelope, event, filled, message},
    ports::{Driver, Fault, Kind},
};

/// Tables under test, with the means to look into them.
pub trait Subject: Sync {
    type Tables: Tables;

    fn tables(&self) -> &Self::Tables;

    /// All items of a table.
    fn items(&self, table: Table) -> impl Future<Output = Vec<Item>> + Send;

    /// Deletes the item that has this one's key, as TTL would.
    fn delete(&self, table: Table, item: &Item) -> impl Future<Output = ()> + Send;
}

const SETTINGS: Settings = Settings { claim_ttl_days: 7, entry_ttl_days: 0, is_ready_indexed: true };
const TIMEOUT_MS: u64 = 15_000;
const NOTHING: &[usize] = &[];
const DAY_MS: u64 = 86_400_000;

/// The processor's calls.
const CLAIM: Kind = Kind::Insert(Table::Claims);
const RECORD: Kind = Kind::Insert(Table::Entries);
const READ_CLAIMS: Kind = Kind::Read(Table::Claims);
const READ_ENTRIES: Kind = Kind::Read(Table::Entries);

/// The processor over a subject, with planned faults.
struct Bench<'s, S: Subject> {
    subject: &'s S,
    driver: Driver<&'s S::Tables>,
}

impl<'s, S: Subject> Bench<'s, S> {
    fn new(subject: &'s S) -> Self {
        Self { subject, driver: Driver::new(subject.tables(), START_MS) }
    }

    async fn run(&mut self, messages: &[Message]) -> Report {
        self.run_with(SETTINGS, messages).await
    }

    async fn run_with(&mut self, settings: Settings, messages: &[Message]) -> Report {
        self.driver.process(settings, messages, TIMEOUT_MS).await
    }

    /// Runs, and deletes an item just before a call of this kind.
    async fn run_and_delete(&mut self, messages: &[Message], kind: Kind, table: Table, item: &Item) -> Report {
        let subject = self.subject;
        let delete = async |call: Kind| {
            if call == kind {
                subject.delete(table, item).await;
            }
        };
        self.driver.process_with(SETTINGS, messages, TIMEOUT_MS, delete).await
    }

    async fn delete_claim(&self, pk: &str) {
        self.subject.delete(Table::Claims, &claim(pk)).await;
    }

    async fn put(&self, table: Table, item: Item) {
        let answer = self.subject.tables().insert(table, vec![item], TIMEOUT_MS).await;
        assert_eq!(answer, Ok(vec![Inserted::Done]));
    }

    async fn entries(&self) -> Vec<Item> {
        let mut items = self.subject.items(Table::Entries).await;
        items.sort_by_key(|item| (text(item, attribute::TENANT_ID), text(item, attribute::SK)));
        items
    }

    /// Tenant, sort key and status of every entry.
    async fn summary(&self) -> Vec<(String, String, String)> {
        let line =
            |item: &Item| (text(item, attribute::TENANT_ID), text(item, attribute::SK), text(item, attribute::STATUS));
        self.entries().await.iter().map(line).collect()
    }

    async fn statuses(&self) -> Vec<String> {
        self.summary().await.into_iter().map(|(_, _, status)| status).collect()
    }

    /// How many statements or keys each call had.
    fn call_counts(&self) -> Vec<usize> {
        self.driver.calls.iter().map(|(_, parts)| *parts).collect()
    }
}

fn text(item: &Item, name: &str) -> String {
    text_of(item, name).unwrap_or_default().to_owned()
}

/// The key of a claim.
fn claim(pk: &str) -> Item {
    Item::from([(attribute::PK.to_owned(), Attribute::S(pk.to_owned()))])
}

fn failure_class(item: &Item) -> String {
    match item.get(attribute::FAILURE) {
        Some(Attribute::M(failure)) => failure["class"].as_str().unwrap_or_default().to_owned(),
        _ => String::new(),
    }
}

fn with(mut envelope: Value, pointer: &str, value: Value) -> Value {
    *envelope.pointer_mut(pointer).expect("the pointer leads somewhere") = value;
    envelope
}

fn throttled() -> Refusal {
    Refusal::transient("ProvisionedThroughputExceeded")
}

const CREATED_AT: &str = "2026-01-15T09:29:59.000000000Z";

cases! {
    $ for_each_tables_case, subject: Subject => &mut Bench::new(subject);

    async fn a_valid_message_becomes_one_ready_entry(bench) {
        let report = bench.run(&[event(1, "tenant-a", "e-1")]).await;
        assert_eq!((report.outcomes, report.failed), (vec![Outcome::Ready], vec![]));
        let entries = bench.entries().await;
        let [entry] = entries.as_slice() else { panic!("one entry: {entries:?}") };
        assert_eq!(text(entry, "tenant_id"), "tenant-a");
        assert_eq!(text(entry, "sk"), format!("{CREATED_AT}#e-1"));
        assert_eq!(text(entry, "status"), "READY");
        assert_eq!(text(entry, "event_type"), "user.created");
        assert_eq!(text(entry, "tenant_id_created_at"), format!("tenant-a#{CREATED_AT}"));
        assert_eq!(number_of(entry, "retries").as_deref(), Some("0"));
        assert_eq!(number_of(entry, "ingested_at"), Some(START_MS.to_string()));
        assert_eq!(number_of(entry, "sequence_number").as_deref(), Some("18849496460467696129"));
        let Some(Attribute::M(payload)) = entry.get("payload") else { panic!("a payload") };
        assert_eq!(Value::Object(payload.clone()), json!({ "id": "u-1", "email": "ada@example.com" }));
        assert_eq!(bench.subject.items(Table::Claims).await.len(), 1);
    }

    async fn an_undisturbed_batch_of_ten_takes_two_calls(bench) {
        let messages: Vec<_> = (0..10).map(|n| event(n, "tenant-a", &format!("e-{n}"))).collect();
        let report = bench.run(&messages).await;
        assert_eq!(report.outcomes, vec![Outcome::Ready; 10]);
        assert_eq!(bench.call_counts(), [10, 10]);
    }

    async fn a_batch_beyond_the_limits_of_a_request_is_cut(bench) {
        let messages: Vec<_> = (0..120).map(|n| event(n, &format!("tenant-{n}"), "1")).collect();
        assert_eq!(bench.run(&messages).await.outcomes, vec![Outcome::Ready; 120]);
        assert_eq!(bench.call_counts(), [25, 25, 25, 25, 20, 25, 25, 25, 25, 20]);
        let redelivered: Vec<_> = messages.iter().map(again).collect();
        assert_eq!(bench.run(&redelivered).await.outcomes, vec![Outcome::Redelivery; 120]);
        assert_eq!(bench.call_counts()[10..], [25, 25, 25, 25, 20, 100, 20, 100, 20]);
    }

    async fn a_redelivery_of_ten_takes_three_calls_and_inserts_no_entry(bench) {
        let messages: Vec<_> = (0..10).map(|n| event(n, "tenant-a", &format!("e-{n}"))).collect();
        bench.run(&messages).await;
        let before = bench.driver.calls.len();
        let redelivered: Vec<_> = messages.iter().map(again).collect();
        assert_eq!(bench.run(&redelivered).await.outcomes, vec![Outcome::Redelivery; 10]);
        assert_eq!(bench.driver.calls[before..], [CLAIM, READ_CLAIMS, READ_ENTRIES].map(|kind| (kind, 10)));
    }

    async fn a_redelivery_changes_nothing(bench) {
        let first = event(1, "tenant-a", "e-1");
        bench.run(std::slice::from_ref(&first)).await;
        let before = bench.entries().await;
        let report = bench.run(&[again(&first)]).await;
        assert_eq!((report.outcomes, report.failed), (vec![Outcome::Redelivery], vec![]));
        assert_eq!(bench.entries().await, before);
    }

    async fn a_duplicate_with_another_created_at_changes_nothing(bench) {
        bench.run(&[event(1, "tenant-a", "e-1")]).await;
        let before = bench.entries().await;
        let restamped = with(envelope("tenant-a", "e-1"), "/created_at", json!("2026-01-15T10:00:00Z"));
        let report = bench.run(&[message(2, "tenant-a", restamped)]).await;
        assert_eq!((report.outcomes, report.failed), (vec![Outcome::Duplicate], vec![]));
        assert_eq!(bench.entries().await, before);
    }

    async fn equal_twins_in_one_batch_become_one_entry(bench) {
        let report = bench.run(&[event(1, "tenant-a", "e-1"), event(2, "tenant-a", "e-1")]).await;
        assert_eq!((report.outcomes, report.failed), (vec![Outcome::Ready, Outcome::Duplicate], vec![]));
        assert_eq!(bench.statuses().await, ["READY"]);
        assert_eq!(bench.call_counts(), [1, 1]);
    }

    async fn twins_that_state_other_times_become_one_entry(bench) {
        let restamped = with(envelope("tenant-a", "e-1"), "/created_at", json!("2026-01-15T10:00:00Z"));
        let report = bench.run(&[event(1, "tenant-a", "e-1"), message(2, "tenant-a", restamped)]).await;
        assert_eq!((report.outcomes, report.failed), (vec![Outcome::Ready, Outcome::Duplicate], vec![]));
        assert_eq!(bench.statuses().await, ["READY"]);
    }

    async fn other_content_under_a_used_id_becomes_a_conflict_entry(bench) {
        bench.run(&[event(1, "tenant-a", "e-1")]).await;
        let changed = with(envelope("tenant-a", "e-1"), "/payload/id", json!("u-2"));
        let report = bench.run(&[message(2, "tenant-a", changed)]).await;
        assert_eq!(report.outcomes, [Outcome::Invalid(FailureClass::Conflict)]);
        let entries = bench.entries().await;
        assert_eq!(entries.len(), 2);
        assert_eq!(text(&entries[0], "status"), "READY");
        let sk = text(&entries[1], "sk");
        assert!(sk.starts_with(&format!("{CREATED_AT}#e-1#")) && sk.len() == CREATED_AT.len() + 5 + 64, "{sk}");
        assert_eq!(failure_class(&entries[1]), "conflict");
    }

    async fn a_conflict_delivered_again_is_recorded_once(bench) {
        bench.run(&[event(1, "tenant-a", "e-1")]).await;
        let changed = message(2, "tenant-a", with(envelope("tenant-a", "e-1"), "/payload/id", json!("u-2")));
        bench.run(std::slice::from_ref(&changed)).await;
        let before = bench.entries().await;
        let report = bench.run(&[again(&changed)]).await;
        assert_eq!((report.outcomes, report.failed), (vec![Outcome::Redelivery], vec![]));
        assert_eq!(bench.entries().await, before);
    }

    async fn a_conflict_sent_again_restamped_adds_nothing(bench) {
        bench.run(&[event(1, "tenant-a", "e-1")]).await;
        let mut changed = with(envelope("tenant-a", "e-1"), "/payload/id", json!("u-2"));
        changed["created_at"] = json!("2026-01-15T10:00:00Z");
        let report = bench.run(&[message(2, "tenant-a", &changed)]).await;
        assert_eq!(report.outcomes, [Outcome::Invalid(FailureClass::Conflict)]);
        let before = bench.entries().await;
        assert_eq!(text(&before[1], "conflict_created_at"), "2026-01-15T10:00:00.000000000Z");
        assert_eq!(text(&before[1], "tenant_id_created_at"), format!("tenant-a#{CREATED_AT}"));
        changed["created_at"] = json!("2026-01-15T11:00:00Z");
        let restamped = message(3, "tenant-a", &changed);
        changed.as_object_mut().expect("an object").remove("created_at");
        let report = bench.run(&[restamped, message(4, "tenant-a", &changed)]).await;
        assert_eq!((report.outcomes, report.failed), (vec![Outcome::Duplicate; 2], vec![]));
        assert_eq!(bench.entries().await, before);
    }

    async fn all_conflicts_of_an_event_lie_behind_its_own_key(bench) {
        bench.run(&[event(1, "tenant-a", "e-1")]).await;
        for (number, id) in [(2, "u-2"), (3, "u-3")] {
            let mut changed = with(envelope("tenant-a", "e-1"), "/payload/id", json!(id));
            changed["created_at"] = json!(format!("2026-01-15T1{number}:00:00Z"));
            bench.run(&[message(number, "tenant-a", changed)]).await;
        }
        // The claim has expired; the entry under the key of a new one is found.
        bench.delete_claim("tenant-a#e-1").await;
        let changed = with(envelope("tenant-a", "e-1"), "/payload/id", json!("u-4"));
        bench.run(&[message(4, "tenant-a", changed)]).await;
        let keys: Vec<_> = bench.summary().await.into_iter().map(|(_, sk, _)| sk).collect();
        assert_eq!((keys.len(), keys[0].as_str()), (4, &*format!("{CREATED_AT}#e-1")));
        assert!(keys[1..].iter().all(|sk| sk.starts_with(&format!("{CREATED_AT}#e-1#"))), "{keys:?}");
    }

    async fn a_conflict_whose_key_holds_other_content_fails(bench) {
        bench.run(&[event(1, "a", "1")]).await;
        let changed = message(2, "a", with(envelope("a", "1"), "/payload/id", json!("u-2")));
        let judged = judge(&changed, START_MS);
        let mut alien = bench.entries().await.remove(0);
        alien.extend(judged.entry.key.conflict(judged.content).to_item());
        bench.put(Table::Entries, alien).await;
        let failed = Outcome::Failed { code: "ConflictKeyTaken".into() };
        assert_eq!(bench.run(&[changed]).await.outcomes, [failed]);
    }

    async fn a_claim_that_names_no_entry_of_its_event_fails_its_message(bench) {
        let message = event(1, "a", "1");
        let content = Attribute::B(judge(&message, START_MS).content.as_bytes().to_vec());
        let mut claim = claim("a#1");
        claim.insert("content_sha256".to_owned(), content);
        bench.put(Table::Claims, claim).await;
        let failed = Outcome::Failed { code: "UnreadableClaim".into() };
        assert_eq!(bench.run(&[message]).await.outcomes, [failed]);
        assert_eq!(bench.entries().await, []);
    }

    async fn unequal_twins_in_one_batch_become_an_entry_and_a_conflict(bench) {
        let changed = with(envelope("tenant-a", "e-1"), "/payload/id", json!("u-2"));
        let report = bench.run(&[event(1, "tenant-a", "e-1"), message(2, "tenant-a", changed)]).await;
        assert_eq!(report.outcomes, [Outcome::Ready, Outcome::Invalid(FailureClass::Conflict)]);
        assert_eq!(bench.statuses().await, ["READY", "INVALID"]);
    }

    async fn an_invalid_event_claims_its_id(bench) {
        let invalid = with(envelope("tenant-a", "e-1"), "/payload", json!({ "id": "u-1" }));
        let report = bench.run(&[message(1, "tenant-a", invalid)]).await;
        assert_eq!(report.outcomes, [Outcome::Invalid(FailureClass::SchemaViolation)]);
        let restamped = with(envelope("tenant-a", "e-1"), "/created_at", json!("2026-01-15T10:00:00Z"));
        let report = bench.run(&[message(2, "tenant-a", restamped)]).await;
        assert_eq!(report.outcomes, [Outcome::Invalid(FailureClass::Conflict)]);
        assert_eq!(bench.statuses().await, ["INVALID", "INVALID"]);
    }

    async fn a_body_without_identity_is_kept_under_its_group(bench) {
        let report = bench.run(&[message(1, "tenant-a", "{not json")]).await;
        assert_eq!(report.outcomes, [Outcome::Invalid(FailureClass::MalformedJson)]);
        let entries = bench.entries().await;
        assert_eq!(text(&entries[0], "tenant_id"), "tenant-a");
        assert_eq!(text(&entries[0], "sk"), "2096-01-15T09:29:59.001000000Z#00000000-0000-4000-8000-000000000001");
        assert_eq!(text(&entries[0], "attributed_by"), "group");
        assert_eq!(entries[0].get("raw"), Some(&Attribute::B(b"{not json".to_vec())));
        assert_eq!(bench.subject.items(Table::Claims).await, []);
    }

    async fn a_body_without_identity_or_usable_group_is_unattributed(bench) {
        bench.run(&[message(1, "bad#group", "{}"), message(2, "_other", "{}")]).await;
        let tenants: Vec<_> = bench.summary().await.into_iter().map(|(tenant, _, _)| tenant).collect();
        assert_eq!(tenants, ["_unattributed", "_unattributed"]);
    }

    async fn a_body_without_identity_is_recorded_once(bench) {
        let nameless = message(1, "tenant-a", "[]");
        bench.run(std::slice::from_ref(&nameless)).await;
        let report = bench.run(&[again(&nameless)]).await;
        assert_eq!((report.outcomes, report.failed), (vec![Outcome::Redelivery], vec![]));
        assert_eq!(bench.statuses().await, ["INVALID"]);
    }

    async fn an_event_that_takes_the_key_of_a_body_without_identity_becomes_a_conflict(bench) {
        let nameless = message(1, "a", "[]");
        let imitation = with(envelope("a", &nameless.message_id), "/created_at", json!("2096-01-15T09:29:59.001Z"));
        let report = bench.run(&[nameless, message(2, "a", imitation)]).await;
        let invalid = [FailureClass::MalformedEnvelope, FailureClass::Conflict].map(Outcome::Invalid);
        assert_eq!((report.outcomes.as_slice(), report.failed), (invalid.as_slice(), vec![]));
        assert_eq!(bench.entries().await.len(), 2);
    }

    async fn tenants_with_similar_ids_never_share_a_key(bench) {
        let report = bench.run(&[
            message(1, "a", envelope("a", "b#c")),
            message(2, "a#b", envelope("a#b", "c")),
            message(3, "ab", envelope("ab", "c")),
            message(4, "a", envelope("a", "bc")),
            message(5, "b", envelope("b", "bc")),
        ]).await;
        let malformed = || Outcome::Invalid(FailureClass::MalformedEnvelope);
        assert_eq!(report.outcomes, [malformed(), malformed(), Outcome::Ready, Outcome::Ready, Outcome::Ready]);
        assert_eq!(bench.entries().await.len(), 5);
        assert_eq!(bench.subject.items(Table::Claims).await.len(), 3);
    }

    async fn keys_and_items_beyond_dynamodbs_limits_are_refused_one_by_one(bench) {
        let tables = bench.subject.tables();
        let (taken, refused) = (Inserted::Done, Inserted::Refused(Refusal::Content));
        let text = |bytes: usize| Attribute::S("x".repeat(bytes));
        let claim = |bytes: usize| claim(&"x".repeat(bytes));
        let entry = |pk_bytes: usize, sk_bytes: usize| {
            let key = [(attribute::TENANT_ID, text(pk_bytes)), (attribute::SK, text(sk_bytes))];
            Item::from(key.map(|(name, value)| (name.to_owned(), value)))
        };
        let of_size = |bytes: usize| {
            let mut item = entry(1, 2);
            let raw_bytes = bytes - item_bytes(&item) - attribute::RAW.len();
            item.insert(attribute::RAW.to_owned(), Attribute::B(vec![0; raw_bytes]));
            item
        };
        let answers = tables.insert(Table::Claims, vec![claim(2_048), claim(2_049)], TIMEOUT_MS).await;
        assert_eq!(answers, Ok(vec![taken.clone(), refused.clone()]));
        let keys = vec![entry(2_048, 1_024), entry(1, 1_025), entry(2_049, 1)];
        let answers = tables.insert(Table::Entries, keys, TIMEOUT_MS).await;
        assert_eq!(answers, Ok(vec![taken.clone(), refused.clone(), refused.clone()]));
        // Larger by a byte first: what is refused leaves nothing behind.
        for (bytes, answer) in [(ITEM_BYTES_MAX + 1, refused), (ITEM_BYTES_MAX, taken)] {
            assert_eq!(tables.insert(Table::Entries, vec![of_size(bytes)], TIMEOUT_MS).await, Ok(vec![answer]));
        }
        assert_eq!(tables.read(Table::Claims, vec![claim(2_049)], TIMEOUT_MS).await, Err(Refusal::Content));
    }

    async fn a_throttled_statement_alone_is_sent_again(bench) {
        bench.driver.plan(RECORD, 1..=1, Fault::SomeRefused).parts(&[1], throttled());
        let report = bench.run(&[event(1, "a", "1"), event(2, "b", "2"), event(3, "c", "3")]).await;
        assert_eq!((report.outcomes, report.failed), (vec![Outcome::Ready; 3], vec![]));
        assert_eq!(bench.call_counts(), [3, 3, 1]);
    }

    async fn resends_are_few_and_wait_with_growing_jitter(bench) {
        bench.driver.plan(CLAIM, .., Fault::SomeRefused).parts(&[0], throttled());
        assert_eq!(bench.run(&[event(1, "a", "1")]).await.failed, [0]);
        assert_eq!(bench.call_counts(), [1, 1, 1, 1]);
        // The clock's chance is the longest pause below each bound.
        assert_eq!(bench.driver.now_ms - START_MS, 49 + 99 + 199);
    }

    async fn a_message_that_failed_fails_the_later_ones_of_its_group_and_no_other(bench) {
        bench.driver.plan(RECORD, 1..=1, Fault::SomeRefused).parts(&[1], throttled());
        bench.driver.plan(RECORD, 2..=4, Fault::SomeRefused).parts(&[0], throttled());
        let messages = [event(1, "a", "1"), event(2, "b", "2"), event(3, "a", "3"), event(4, "b", "4"), event(5, "c", "5")];
        let report = bench.run(&messages).await;
        assert_eq!(report.failed, [1, 3]);
        assert!(matches!(report.outcomes[1], Outcome::Failed { .. }));
        assert_eq!(report.outcomes[0], Outcome::Ready);
        assert_eq!(report.outcomes[4], Outcome::Ready);
        let report = bench.run(&[again(&messages[1]), again(&messages[3])]).await;
        assert_eq!(report.failed, NOTHING);
        assert_eq!(bench.statuses().await, ["READY"; 5]);
    }

    async fn a_failed_batch_leaves_nothing_behind_for_the_next(bench) {
        bench.driver.plan(CLAIM, ..=4, Fault::Refused);
        let messages = [event(1, "a", "1"), event(2, "b", "2")];
        assert_eq!(bench.run(&messages).await.failed, [0, 1]);
        assert_eq!(bench.entries().await, []);
        let report = bench.run(&[again(&messages[0]), again(&messages[1])]).await;
        assert_eq!((report.outcomes, report.failed), (vec![Outcome::Ready; 2], vec![]));
    }

    async fn a_refusal_for_one_tenant_never_fails_another(bench) {
        // The flooding tenant's claims are throttled for good, the quiet one's are not.
        let messages: Vec<_> = (0..9)
            .map(|n| event(n, "flood", &format!("e-{n}")))
            .chain([event(9, "quiet", "e-1")])
            .collect();
        bench.driver.plan(CLAIM, ..=4, Fault::SomeRefused).parts(&[0, 1, 2, 3, 4, 5, 6, 7, 8], throttled());
        let report = bench.run(&messages).await;
        assert_eq!(report.failed, (0..9).collect::<Vec<_>>());
        assert_eq!(report.outcomes[9], Outcome::Ready);
        let tenants: Vec<_> = bench.summary().await.into_iter().map(|(tenant, _, _)| tenant).collect();
        assert_eq!(tenants, ["quiet"]);
    }

    async fn an_unknown_refusal_is_never_read_as_duplicate(bench) {
        for code in ["SomethingNew", "ConditionalCheckFailed", "TransactionConflict", "AccessDenied", "NoCode"] {
            bench.driver.plan(RECORD, ..=4, Fault::SomeRefused).parts(&[0], Refusal::transient(code));
            assert_eq!(bench.run(&[event(1, "a", code)]).await.failed, [0], "{code}");
        }
        assert_eq!(bench.entries().await, []);
    }

    async fn a_request_refused_for_its_content_is_sent_as_single_statements(bench) {
        bench.driver.plan(RECORD, 1..=1, Fault::RefusedAsContent);
        let report = bench.run(&[event(1, "a", "1"), event(2, "b", "2")]).await;
        assert_eq!(report.outcomes, [Outcome::Ready, Outcome::Ready]);
        assert_eq!(bench.call_counts(), [2, 2, 1, 1]);
    }

    async fn claims_whose_answer_was_lost_are_finished_by_the_redelivery(bench) {
        bench.driver.plan(CLAIM, 1..=1, Fault::AnswerLost);
        let report = bench.run(&[event(1, "a", "1")]).await;
        // Sent again within the batch, the claim is found, ours, and finished.
        assert_eq!((report.outcomes, report.failed), (vec![Outcome::Finished(None)], vec![]));
        assert_eq!(bench.statuses().await, ["READY"]);
    }

    async fn entries_whose_answer_was_lost_are_recognised(bench) {
        bench.driver.plan(RECORD, 1..=1, Fault::AnswerLost);
        let report = bench.run(&[event(1, "a", "1"), message(2, "b", "[]")]).await;
        let expected = vec![Outcome::Ready, Outcome::Invalid(FailureClass::MalformedEnvelope)];
        assert_eq!((report.outcomes, report.failed), (expected, vec![]));
        assert_eq!(bench.statuses().await, ["READY", "INVALID"]);
    }

    async fn a_statement_done_but_reported_failed_is_recognised(bench) {
        bench.driver.plan(CLAIM, 1..=1, Fault::SomeAnswersLost).parts(&[0], throttled());
        bench.driver.plan(RECORD, 1..=1, Fault::SomeAnswersLost).parts(&[1], throttled());
        let report = bench.run(&[event(1, "a", "1"), event(2, "b", "2")]).await;
        assert_eq!((report.outcomes, report.failed), (vec![Outcome::Finished(None), Outcome::Ready], vec![]));
        assert_eq!(bench.statuses().await, ["READY"; 2]);
    }

    async fn a_claim_without_entry_is_finished_where_it_claimed(bench) {
        // The first delivery claims and then cannot record.
        bench.driver.plan(RECORD, ..=4, Fault::Refused);
        let mut body = envelope("a", "1");
        body.as_object_mut().expect("an object").remove("created_at");
        let first = message(1, "a", &body);
        assert_eq!(bench.run(std::slice::from_ref(&first)).await.failed, [0]);
        bench.driver.now_ms += 90_000;
        // An equal event overtakes the redelivery.
        let report = bench.run(&[message(2, "a", &body), again(&first)]).await;
        assert_eq!((report.outcomes, report.failed), (vec![Outcome::Finished(None), Outcome::Duplicate], vec![]));
        let summary = bench.summary().await;
        assert_eq!(summary, [("a".into(), "2096-01-15T09:29:59.001000000Z#1".into(), "READY".into())]);
    }

    async fn a_claim_of_the_go_system_is_a_duplicate(bench) {
        let claim = Item::from([
            ("pk".to_owned(), Attribute::S("a#1".to_owned())),
            ("created_at".to_owned(), Attribute::S("2026-01-15T09:00:00Z".to_owned())),
            ("event_type".to_owned(), Attribute::S("user.created".to_owned())),
        ]);
        bench.put(Table::Claims, claim).await;
        let report = bench.run(&[event(1, "a", "1")]).await;
        assert_eq!((report.outcomes, report.failed), (vec![Outcome::Duplicate], vec![]));
        assert_eq!(bench.entries().await, []);
    }

    async fn a_claim_that_vanishes_before_it_is_read_fails_the_message(bench) {
        let first = event(1, "a", "1");
        bench.run(std::slice::from_ref(&first)).await;
        // The insert finds the claim; before the read, TTL deletes it.
        let report = bench.run_and_delete(&[again(&first)], READ_CLAIMS, Table::Claims, &claim("a#1")).await;
        assert_eq!(report.failed, [0]);
    }

    async fn an_entry_that_vanishes_before_it_is_read_fails_the_message(bench) {
        bench.run(&[event(1, "a", "1")]).await;
        bench.delete_claim("a#1").await;
        // The insert finds the entry; before the read, TTL deletes it.
        let entry = bench.entries().await.remove(0);
        let report = bench.run_and_delete(&[event(2, "a", "1")], READ_ENTRIES, Table::Entries, &entry).await;
        assert_eq!(report.failed, [0]);
    }

    async fn an_entry_of_an_earlier_claim_has_its_own_ttl(bench) {
        let settings = Settings { entry_ttl_days: 3, ..SETTINGS };
        let first = event(1, "a", "1");
        bench.driver.plan(RECORD, ..=4, Fault::Refused);
        bench.run_with(settings, std::slice::from_ref(&first)).await;
        bench.driver.now_ms += DAY_MS;
        let report = bench.run_with(settings, &[again(&first)]).await;
        assert_eq!(report.outcomes, [Outcome::Finished(None)]);
        let ttl = (bench.driver.now_ms + 3 * DAY_MS) / 1_000;
        assert_eq!(number_of(&bench.entries().await[0], "ttl"), Some(ttl.to_string()));
        assert_eq!(text(&bench.subject.items(Table::Claims).await[0], "event_type"), "user.created");
    }

    async fn a_message_whose_claim_another_finished_is_a_redelivery(bench) {
        let first = event(1, "a", "1");
        bench.driver.plan(RECORD, ..=4, Fault::Refused);
        bench.run(std::slice::from_ref(&first)).await;
        bench.run(&[message(2, "b", envelope("a", "1"))]).await;
        assert_eq!(bench.run(&[again(&first)]).await.outcomes, [Outcome::Redelivery]);
    }

    async fn a_conflict_that_dynamodb_refuses_is_still_a_conflict(bench) {
        bench.run(&[event(1, "a", "1")]).await;
        bench.driver.plan(RECORD, 1..=1, Fault::SomeRefused).parts(&[0], Refusal::Content);
        let changed = with(envelope("a", "1"), "/payload/id", json!("u-2"));
        let report = bench.run(&[message(2, "a", changed)]).await;
        assert_eq!(report.outcomes, [Outcome::Invalid(FailureClass::Conflict)]);
        let conflict = &bench.entries().await[1];
        assert!(matches!(conflict.get(attribute::RAW), Some(Attribute::B(_))), "kept raw");
    }

    async fn twins_of_a_conflict_fail_with_it(bench) {
        bench.run(&[event(1, "a", "1")]).await;
        bench.driver.plan(RECORD, ..=4, Fault::Refused);
        let changed = with(envelope("a", "1"), "/payload/id", json!("u-2"));
        let report = bench.run(&[message(2, "a", changed.clone()), message(3, "b", changed)]).await;
        assert_eq!(report.failed, [0, 1]);
    }

    async fn what_comes_back_behind_the_first_failed_of_its_group_is_left(bench) {
        bench.run(&[event(1, "a", "2")]).await;
        bench.delete_claim("a#2").await;
        // The first and the last are refused; between them, the key of one is taken by other content.
        bench.driver.plan(RECORD, 1..=1, Fault::SomeRefused).parts(&[0, 2], throttled());
        bench.driver.plan(RECORD, 2..=4, Fault::SomeRefused).parts(&[0, 1], throttled());
        let changed = with(envelope("a", "2"), "/payload/id", json!("u-2"));
        let report = bench.run(&[event(2, "a", "1"), message(3, "a", changed), event(4, "a", "3")]).await;
        assert_eq!(report.failed, [0, 1, 2]);
        assert_eq!(bench.entries().await.len(), 1);
    }

    async fn a_failed_claim_of_one_group_leaves_an_equal_message_of_another_alone(bench) {
        bench.driver.plan(CLAIM, ..=4, Fault::SomeRefused).parts(&[0], throttled());
        let equal = |number, group| message(number, group, envelope("a", "x"));
        assert_eq!(bench.run(&[event(1, "a", "0"), equal(2, "a"), equal(3, "b")]).await.failed, [0, 1]);
    }

    async fn small_duplicates_of_large_entries_cost_their_neighbours_nothing(bench) {
        // Extensions are no part of the content, so these are equal, whether they have some or not.
        let large = |number: u64| {
            let mut envelope = envelope("h", &number.to_string());
            envelope["x"] = json!("x".repeat(250_000));
            message(number, "h", envelope)
        };
        for number in 0..9 {
            assert_eq!(bench.run(&[large(number)]).await.failed, NOTHING);
        }
        let small = |number: u64| message(100 + number, &format!("g{number}"), envelope("h", &number.to_string()));
        let mut batch: Vec<_> = (0..9).map(small).collect();
        batch.push(event(200, "quiet", "1"));
        bench.driver.ms_per_kib = 9;
        assert_eq!(bench.run(&batch).await.failed, NOTHING);
    }

    async fn an_unprocessed_key_is_asked_for_again(bench) {
        let messages = [event(1, "a", "1"), event(2, "b", "2")];
        bench.run(&messages).await;
        bench.driver.plan(READ_CLAIMS, 1..=1, Fault::SomeRefused).parts(&[1], throttled());
        let report = bench.run(&[again(&messages[0]), again(&messages[1])]).await;
        assert_eq!((report.outcomes, report.failed), (vec![Outcome::Redelivery; 2], vec![]));
    }

    async fn an_entry_found_in_the_place_of_another_is_compared_not_trusted(bench) {
        bench.run(&[event(1, "a", "1")]).await;
        bench.delete_claim("a#1").await;
        let changed = with(envelope("a", "1"), "/payload/id", json!("u-2"));
        let report = bench.run(&[message(2, "a", changed)]).await;
        assert_eq!((report.outcomes, report.failed), (vec![Outcome::Invalid(FailureClass::Conflict)], vec![]));
        assert_eq!(bench.statuses().await, ["READY", "INVALID"]);
    }

    async fn an_equal_entry_left_by_an_expired_claim_is_a_duplicate(bench) {
        bench.run(&[event(1, "a", "1")]).await;
        bench.delete_claim("a#1").await;
        let report = bench.run(&[event(2, "a", "1")]).await;
        assert_eq!((report.outcomes, report.failed), (vec![Outcome::Duplicate], vec![]));
        assert_eq!(bench.statuses().await, ["READY"]);
    }

    async fn an_event_whose_claim_is_older_than_an_entry_lives_is_recorded(bench) {
        let settings = Settings { claim_ttl_days: 0, entry_ttl_days: 1, ..SETTINGS };
        bench.driver.plan(RECORD, ..=4, Fault::Refused);
        let first = event(1, "a", "1");
        bench.run_with(settings, std::slice::from_ref(&first)).await;
        bench.driver.now_ms += DAY_MS;
        let report = bench.run_with(settings, &[again(&first)]).await;
        assert_eq!((report.outcomes, report.failed), (vec![Outcome::ExpiredClaim(None)], vec![]));
        let entry = bench.entries().await.remove(0);
        // It lives as long as any, from when it was recorded.
        assert_eq!(number_of(&entry, "ttl"), Some((START_MS / 1000 + 2 * 86_400).to_string()));
    }

    async fn an_entry_that_outlived_its_time_is_found_and_not_doubled(bench) {
        let settings = Settings { claim_ttl_days: 0, entry_ttl_days: 1, ..SETTINGS };
        let first = event(1, "a", "1");
        bench.run_with(settings, std::slice::from_ref(&first)).await;
        let before = bench.entries().await;
        // DynamoDB deletes what has expired days later.
        bench.driver.now_ms += 2 * DAY_MS;
        let report = bench.run_with(settings, &[again(&first), event(2, "b", "1"), message(3, "a", envelope("a", "1"))]).await;
        assert_eq!(report.outcomes, [Outcome::Redelivery, Outcome::Ready, Outcome::Duplicate]);
        assert_eq!(bench.entries().await[..1], before);
    }

    async fn an_expired_claim_that_is_still_there_counts(bench) {
        bench.run(&[event(1, "a", "1")]).await;
        bench.driver.now_ms += 8 * DAY_MS;
        let changed = with(envelope("a", "1"), "/payload/id", json!("u-2"));
        let report = bench.run(&[message(2, "a", changed)]).await;
        assert_eq!(report.outcomes, [Outcome::Invalid(FailureClass::Conflict)]);
    }

    async fn content_that_dynamodb_refuses_is_kept_raw(bench) {
        bench.driver.plan(RECORD, 1..=1, Fault::SomeRefused).parts(&[0], Refusal::Content);
        let refused = event(1, "a", "1");
        let report = bench.run(&[refused.clone(), event(2, "b", "2")]).await;
        assert_eq!(report.outcomes, [Outcome::Invalid(FailureClass::Unstorable), Outcome::Ready]);
        let entries = bench.entries().await;
        assert_eq!(failure_class(&entries[0]), "unstorable");
        assert_eq!(entries[0].get("raw"), Some(&Attribute::B(refused.body.clone().into_bytes())));
        // Its content is still its own: a redelivery is recognised, an equal event is a duplicate.
        let report = bench.run(&[again(&refused), event(3, "a", "1")]).await;
        assert_eq!((report.outcomes, report.failed), (vec![Outcome::Redelivery, Outcome::Duplicate], vec![]));
        assert_eq!(bench.entries().await.len(), 2);
    }

    async fn a_refused_claim_fails_its_message_and_condemns_nothing(bench) {
        // As DynamoDB answers where the table has another key.
        bench.driver.plan(CLAIM, 1..=1, Fault::SomeRefused).parts(&[0], Refusal::Content);
        let messages = [event(1, "a", "1"), event(2, "b", "2")];
        let report = bench.run(&messages).await;
        let failed = Outcome::Failed { code: "ClaimRefused".into() };
        assert_eq!((report.outcomes, report.failed), (vec![failed, Outcome::Ready], vec![0]));
        // Once the table is right, the event is what it always was.
        let report = bench.run(&[again(&messages[0])]).await;
        assert_eq!((report.outcomes, report.failed), (vec![Outcome::Ready], vec![]));
        assert_eq!(bench.statuses().await, ["READY"; 2]);
    }

    async fn a_twin_fails_with_its_statement(bench) {
        bench.driver.plan(RECORD, ..=4, Fault::Refused);
        let report = bench.run(&[event(1, "a", "1"), message(2, "b", envelope("a", "1"))]).await;
        assert_eq!(report.failed, [0, 1]);
        assert_eq!(report.group_mismatches, 1);
    }

    async fn small_entries_are_recorded_before_large_ones(bench) {
        let mut messages: Vec<_> = (0..8).map(|n| filled(n, "hostile", 200_000)).collect();
        messages.push(event(8, "quiet", "1"));
        // The first request takes nearly all the time there is.
        bench.driver.plan(RECORD, 1..=1, Fault::Slow).ms = TIMEOUT_MS - 2_050;
        let report = bench.run(&messages).await;
        assert_eq!(report.outcomes[8], Outcome::Ready);
        assert!(!report.failed.is_empty() && !report.failed.contains(&8), "{:?}", report.failed);
    }

    async fn large_entries_travel_one_by_one(bench) {
        let messages =
            [filled(1, "a", 20_000), filled(2, "b", 20_000), event(3, "c", "3"), filled(4, "d", 20_000), event(5, "d", "5")];
        bench.run(&messages).await;
        // The small one behind a large one of its group follows it.
        assert_eq!(bench.call_counts(), [5, 1, 1, 1, 1, 1]);
        bench.run(&messages.map(|message| again(&message))).await;
        assert_eq!(bench.call_counts()[6..], [5, 5, 1, 1, 1, 1, 1]);
    }

    async fn a_group_whose_first_message_is_its_largest_makes_progress(bench) {
        let mut left: Vec<_> = (0..10).map(|n| filled(n, "a", 200_010 - n as usize)).collect();
        // Too slow for all of them at once.
        bench.driver.plan(RECORD, .., Fault::Slow).ms = 3_400;
        for _ in 0..5 {
            let report = bench.run(&left).await;
            let done = left.len() - report.failed.len();
            assert_eq!(report.failed, (done..left.len()).collect::<Vec<_>>());
            left = left[done..].iter().map(again).collect();
            assert_eq!(bench.entries().await.len(), 10 - left.len(), "nothing is recorded in vain");
            bench.driver.now_ms += 90_000;
        }
        assert_eq!(left, []);
    }

    async fn a_message_in_another_form_goes_before_the_later_ones_of_its_group(bench) {
        bench.driver.plan(RECORD, 1..=1, Fault::SomeRefused).parts(&[0], Refusal::Content);
        bench.driver.plan(RECORD, 2..=2, Fault::Slow).ms = TIMEOUT_MS - 1_500;
        let report = bench.run(&[filled(1, "a", 20_000), event(2, "a", "2")]).await;
        assert_eq!(report.failed, [0, 1]);
        assert_eq!(bench.entries().await, []);
    }

    async fn a_message_waits_for_an_earlier_one_that_hangs_on_another_group(bench) {
        bench.driver.plan(RECORD, 2..=2, Fault::Slow).ms = TIMEOUT_MS - 1_500;
        // The first is large, and the second is equal to it.
        let large = message(1, "a", format!("{}{}", envelope("a", "1"), " ".repeat(20_000)));
        let report = bench.run(&[large, message(2, "b", envelope("a", "1")), event(3, "b", "3")]).await;
        assert_eq!(report.outcomes[..2], [Outcome::Ready, Outcome::Duplicate]);
        assert_eq!(report.failed, [2]);
    }

    async fn nothing_is_recorded_behind_a_failed_message_of_its_group(bench) {
        // The small one of another group goes first, and well.
        bench.driver.plan(RECORD, 2..=5, Fault::SomeRefused).parts(&[0], throttled());
        let second = filled(2, "a", 20_000);
        let equal = message(3, "b", &second.body);
        let report = bench.run(&[filled(1, "a", 20_000), second, equal, event(4, "c", "4")]).await;
        assert_eq!(report.failed, [0, 1, 2]);
        assert_eq!(bench.summary().await.len(), 1);
    }

    async fn nothing_is_called_without_time_to_answer(bench) {
        for (message, margin_ms) in [(event(1, "a", "1"), 1_000), (filled(2, "a", 20_000), 2_000)] {
            assert_eq!(bench.driver.process(SETTINGS, &[message], margin_ms).await.failed, [0]);
        }
        assert_eq!(bench.driver.calls, []);
    }

    async fn a_slow_call_ends_in_an_answer_before_the_deadline(bench) {
        bench.driver.plan(RECORD, 1..=1, Fault::Slow).ms = TIMEOUT_MS - 1_500;
        let first = event(1, "a", "1");
        let report = bench.run(std::slice::from_ref(&first)).await;
        assert_eq!(report.failed, NOTHING);
        bench.driver.plan(CLAIM, .., Fault::Refused);
        let report = bench.run(&[event(2, "a", "2")]).await;
        assert_eq!(report.failed, [0]);
    }

    async fn a_clock_beyond_the_calendar_stops_nothing(bench) {
        bench.driver.now_ms += 10_000 * 366 * DAY_MS;
        assert_eq!(bench.run(&[event(1, "a", "1")]).await.outcomes, [Outcome::Ready]);
    }

    async fn ready_entries_can_be_left_off_the_status_index(bench) {
        let settings = Settings { is_ready_indexed: false, ..SETTINGS };
        bench.run_with(settings, &[event(1, "a", "1"), message(2, "b", "{}")]).await;
        let is_indexed: Vec<_> =
            bench.entries().await.iter().map(|entry| entry.contains_key("tenant_id_created_at")).collect();
        assert_eq!(is_indexed, [false, true]);
    }

    async fn rows_expire_when_configured(bench) {
        let settings = Settings { claim_ttl_days: 2, entry_ttl_days: 3, ..SETTINGS };
        bench.run_with(settings, &[event(1, "a", "1")]).await;
        let ttl = |item: &Item| number_of(item, "ttl").and_then(|ttl| ttl.parse::<u64>().ok());
        assert_eq!(ttl(&bench.subject.items(Table::Claims).await[0]), Some(START_MS / 1000 + 2 * 86_400));
        assert_eq!(ttl(&bench.entries().await[0]), Some(START_MS / 1000 + 3 * 86_400));
    }
}
