//! The projector's ports: the same cases on the table in memory that its own tests run on, and on the production
//! adapters, through the AWS SDK, against the local cloud. What the embedded DynamoDB never answers, a script does.

mod support;

#[expect(dead_code, reason = "the projector's tests use the rest of it")]
#[path = "../../projector/tests/world/mod.rs"]
mod world;

use std::sync::Mutex;

use axum::{Router, http::StatusCode, http::header::CONTENT_TYPE, response::IntoResponse};
use cloudsim::projections::MemoryProjections;
use ledger::{
    Attribute, FailureClass, Item, TenantId,
    item::{ITEM_BYTES_MAX, item_bytes, whole_number},
    metric::{Metric, NAMESPACE},
    metric_tenants::TenantBudget,
    ports::{Clock, Found, Projections, Refusal},
    projection::{
        EntryFields, EntrySummary, FailureSummary, Place, SequenceNumber, Verdict,
        keys::{DayKey, ProjectionKey},
        update::{Action, Cancellation, Condition, Expressions, Transacted, Update, Updated},
    },
};
use ledger_aws::{CloudWatchMetrics, DynamoProjections, SnsAlerts, SqsFailures};
use local::Cloud;
use projector::{Batch, Change, Outcome, Record, Services, Settings, UnreadableRecord};
use world::World;

const BUDGET_MS: u64 = 10_000;

fn key(name: &str) -> ProjectionKey {
    ProjectionKey::day(&DayKey { tenant_id: TenantId::parse(name).unwrap(), day: "2026-01-15".to_owned() })
}

fn update(name: &str, conditions: Vec<Condition>, actions: Vec<Action>) -> Update {
    Update { key: key(name), conditions, actions }
}

fn add(name: &str, number: i64) -> Action {
    Action::Add(name.to_owned(), number)
}

fn set(name: &str, number: u64) -> Action {
    Action::Set(name.to_owned(), whole_number(number))
}

fn item(name: &str, numbers: &[(&str, i64)]) -> Item {
    let mut item = key(name).to_item();
    item.extend(numbers.iter().map(|(name, number)| ((*name).to_owned(), Attribute::N(number.to_string()))));
    item
}

async fn read(projections: &impl Projections, name: &str) -> Found {
    projections.read(vec![key(name)], BUDGET_MS).await.unwrap().remove(0)
}

/// Cases that hold of every implementation of the port.
mod case {
    use super::*;

    pub async fn numbers_are_added_set_and_kept(projections: &impl Projections) {
        let first = vec![add("READY#user.created", 2), set("last", 7), add("bytes", -3)];
        assert_eq!(projections.update(update("a", vec![], first), BUDGET_MS).await, Ok(Updated::Done));
        let kept = Action::SetIfAbsent("last".to_owned(), whole_number(1));
        let absent = Action::SetIfAbsent("first".to_owned(), whole_number(1));
        let then = vec![add("READY#user.created", -5), kept, absent];
        assert_eq!(projections.update(update("a", vec![], then), BUDGET_MS).await, Ok(Updated::Done));
        let expected = item("a", &[("READY#user.created", -3), ("last", 7), ("bytes", -3), ("first", 1)]);
        assert_eq!(read(projections, "a").await, Found::Item(expected));
    }

    pub async fn a_failed_condition_brings_the_item_as_it_is(projections: &impl Projections) {
        let n = "n".to_owned();
        let on_nothing = [
            (Condition::Absent(n.clone()), true),
            (Condition::AbsentOrAtMost(n.clone(), 0), true),
            (Condition::AtLeast(n.clone(), 0), false),
            (Condition::Equals(n.clone(), whole_number(5)), false),
        ];
        for (number, (condition, holds)) in on_nothing.into_iter().enumerate() {
            let answer =
                projections.update(update(&format!("a-{number}"), vec![condition], vec![set("n", 5)]), BUDGET_MS);
            let expected = if holds { Updated::Done } else { Updated::ConditionFailed(None) };
            assert_eq!(answer.await, Ok(expected), "condition {number}");
        }
        for (number, (condition, holds)) in [
            (Condition::Absent(n.clone()), false),
            (Condition::AbsentOrAtMost(n.clone(), 4), false),
            (Condition::AbsentOrAtMost(n.clone(), 5), true),
            (Condition::AtLeast(n.clone(), 5), true),
            (Condition::AtLeast(n.clone(), 6), false),
            (Condition::Equals(n.clone(), whole_number(5)), true),
            (Condition::Equals(n.clone(), Attribute::S("5".to_owned())), false),
        ]
        .into_iter()
        .enumerate()
        {
            let answer = projections.update(update("a-0", vec![condition], vec![set("n", 5)]), BUDGET_MS);
            let stored = Updated::ConditionFailed(Some(item("a-0", &[("n", 5)])));
            assert_eq!(answer.await, Ok(if holds { Updated::Done } else { stored }), "condition {number}");
        }
    }

    pub async fn a_transaction_is_whole_or_not_and_says_why_in_order(projections: &impl Projections) {
        let absent = |name: &str| update(name, vec![Condition::Absent("n".to_owned())], vec![set("n", 1)]);
        let done = projections.transact(vec![absent("a"), absent("b")], BUDGET_MS).await;
        assert_eq!(done, Ok(Transacted::Done));
        let with_other = update("d", vec![Condition::AtLeast("n".to_owned(), 1)], vec![set("n", 2)]);
        let cancelled = projections
            .transact(vec![absent("c"), absent("b"), with_other, update("a", vec![], vec![add("n", 1)])], BUDGET_MS);
        let reasons = vec![
            Cancellation::None,
            Cancellation::ConditionFailed(Some(item("b", &[("n", 1)]))),
            Cancellation::ConditionFailed(None),
            Cancellation::None,
        ];
        assert_eq!(cancelled.await, Ok(Transacted::Cancelled(reasons)));
        assert_eq!(read(projections, "c").await, Found::Absent);
        assert_eq!(read(projections, "a").await, Found::Item(item("a", &[("n", 1)])));
    }

    pub async fn a_hundred_updates_are_one_transaction(projections: &impl Projections) {
        let updates = (0..100).map(|number| update(&format!("t{number}"), vec![], vec![add("n", number)])).collect();
        assert_eq!(projections.transact(updates, BUDGET_MS).await, Ok(Transacted::Done));
        assert_eq!(read(projections, "t99").await, Found::Item(item("t99", &[("n", 99)])));
    }

    pub async fn an_item_is_refused_from_one_byte_more_than_400_kilobytes(projections: &impl Projections) {
        let key_bytes = item_bytes(&key("a").to_item());
        let text = |bytes: usize| Action::Set("t".to_owned(), Attribute::S("x".repeat(bytes - "t".len() - key_bytes)));
        let full = || update("a", vec![], vec![text(ITEM_BYTES_MAX)]);
        let overfull = update("b", vec![], vec![text(ITEM_BYTES_MAX + 1)]);
        assert_eq!(projections.update(full(), BUDGET_MS).await, Ok(Updated::Done));
        assert_eq!(projections.update(overfull.clone(), BUDGET_MS).await, Err(Refusal::Content));
        // An update that makes an item grow beyond it, too.
        let growing = || update("a", vec![], vec![add("n", 1)]);
        assert_eq!(projections.update(growing(), BUDGET_MS).await, Err(Refusal::Content));
        let cancelled =
            projections.transact(vec![update("c", vec![], vec![add("n", 1)]), growing(), overfull], BUDGET_MS);
        let reasons = vec![Cancellation::None, Cancellation::Content, Cancellation::Content];
        assert_eq!(cancelled.await, Ok(Transacted::Cancelled(reasons)));
        for absent in ["b", "c"] {
            assert_eq!(read(projections, absent).await, Found::Absent);
        }
        let Found::Item(stored) = read(projections, "a").await else { panic!("it was stored") };
        assert!(!stored.contains_key("n"));
        assert_eq!(projections.transact(vec![full()], BUDGET_MS).await, Ok(Transacted::Done));
    }

    pub async fn an_expression_is_refused_from_one_byte_more_than_four_kilobytes(projections: &impl Projections) {
        let of = |parts: usize, sets: usize| {
            let name = |number: usize| number.to_string();
            let action = |number| if number < sets { set(&name(number), 1) } else { add(&name(number), 1) };
            update("a", vec![], (0..parts).map(action).collect())
        };
        for (update, bytes, is_refused) in [(of(331, 4), 4_096, false), (of(330, 11), 4_097, true)] {
            assert_eq!(Expressions::of(&update).update.len(), bytes);
            let answer = projections.update(update.clone(), BUDGET_MS).await;
            assert_eq!(answer, if is_refused { Err(Refusal::Content) } else { Ok(Updated::Done) });
            let answer = projections.transact(vec![update], BUDGET_MS).await;
            assert_eq!(answer, if is_refused { Err(Refusal::Content) } else { Ok(Transacted::Done) });
        }
        for (count, bytes, is_refused) in [(131, 4_077, false), (132, 4_109, true)] {
            let conditions = (0..count).map(|number| Condition::Absent(number.to_string())).collect();
            let update = update("b", conditions, vec![add("n", 1)]);
            assert_eq!(Expressions::of(&update).condition.len(), bytes);
            let answer = projections.update(update, BUDGET_MS).await;
            assert_eq!(answer, if is_refused { Err(Refusal::Content) } else { Ok(Updated::Done) });
        }
    }

    pub async fn a_key_is_refused_from_one_byte_more_than_dynamodb_takes(projections: &impl Projections) {
        let key =
            |pk_bytes: usize, sk_bytes: usize| ProjectionKey { pk: "p".repeat(pk_bytes), sk: "s".repeat(sk_bytes) };
        let of = |key: ProjectionKey| Update { key, conditions: vec![], actions: vec![add("n", 1)] };
        assert_eq!(projections.update(of(key(2_048, 1_024)), BUDGET_MS).await, Ok(Updated::Done));
        assert!(matches!(projections.read(vec![key(2_048, 1_024)], BUDGET_MS).await.unwrap()[..], [Found::Item(_)]));
        for refused in [key(2_049, 1), key(1, 1_025)] {
            assert_eq!(projections.update(of(refused.clone()), BUDGET_MS).await, Err(Refusal::Content));
            let answer = projections.transact(vec![of(key(1, 1)), of(refused.clone())], BUDGET_MS).await;
            assert_eq!(answer, Ok(Transacted::Cancelled(vec![Cancellation::None, Cancellation::Content])));
            assert_eq!(projections.read(vec![refused], BUDGET_MS).await, Err(Refusal::Content));
        }
    }

    pub async fn an_addition_to_a_text_and_two_updates_of_one_item_are_refused(projections: &impl Projections) {
        let text = Action::Set("n".to_owned(), Attribute::S("text".to_owned()));
        assert_eq!(projections.update(update("b", vec![], vec![text]), BUDGET_MS).await, Ok(Updated::Done));
        let one = |name: &str| update(name, vec![], vec![add("n", 1)]);
        assert_eq!(projections.update(one("b"), BUDGET_MS).await, Err(Refusal::Content));
        let cancelled = projections.transact(vec![one("a"), one("b")], BUDGET_MS).await;
        assert_eq!(cancelled, Ok(Transacted::Cancelled(vec![Cancellation::None, Cancellation::Content])));
        assert_eq!(projections.transact(vec![one("a"), one("a")], BUDGET_MS).await, Err(Refusal::Content));
        assert_eq!(read(projections, "a").await, Found::Absent);
    }

    pub async fn a_read_answers_in_the_order_of_its_keys(projections: &impl Projections) {
        for name in ["b", "a"] {
            let answer = projections.update(update(name, vec![], vec![set("n", 1)]), BUDGET_MS).await;
            assert_eq!(answer, Ok(Updated::Done));
        }
        let found = projections.read(vec![key("a"), ProjectionKey::absent(), key("b")], BUDGET_MS).await.unwrap();
        let of = |name| Found::Item(item(name, &[("n", 1)]));
        assert_eq!(found, [of("a"), Found::Absent, of("b")]);
    }
}

/// The model as it is: the projector's own world holds it against tighter bounds of its own.
#[derive(Default)]
struct Memory(Mutex<MemoryProjections>);

impl Projections for Memory {
    async fn read(&self, keys: Vec<ProjectionKey>, _: u64) -> Result<Vec<Found>, Refusal> {
        self.0.lock().unwrap().read(&keys)
    }

    async fn update(&self, update: Update, _: u64) -> Result<Updated, Refusal> {
        self.0.lock().unwrap().update(update)
    }

    async fn transact(&self, updates: Vec<Update>, _: u64) -> Result<Transacted, Refusal> {
        self.0.lock().unwrap().transact(updates)
    }
}

macro_rules! on_both {
    ($($name:ident)*) => {
        mod in_memory {
            $(#[tokio::test]
            async fn $name() {
                super::case::$name(&super::Memory::default()).await;
            })*
        }

        mod on_dynamodb {
            $(#[tokio::test]
            async fn $name() {
                let cloud = super::support::cloud().await;
                super::case::$name(&super::dynamo(&cloud).await).await;
                cloud.stop().await.unwrap();
            })*
        }
    };
}

on_both! {
    numbers_are_added_set_and_kept
    a_failed_condition_brings_the_item_as_it_is
    a_transaction_is_whole_or_not_and_says_why_in_order
    a_hundred_updates_are_one_transaction
    an_item_is_refused_from_one_byte_more_than_400_kilobytes
    an_expression_is_refused_from_one_byte_more_than_four_kilobytes
    a_key_is_refused_from_one_byte_more_than_dynamodb_takes
    an_addition_to_a_text_and_two_updates_of_one_item_are_refused
    a_read_answers_in_the_order_of_its_keys
}

async fn dynamo(cloud: &Cloud) -> DynamoProjections {
    DynamoProjections::new(&support::sdk_config(cloud).await, cloud.deployment().project.projections_table())
}

#[tokio::test]
async fn a_table_that_is_not_there_refuses_for_now() {
    let cloud = support::cloud().await;
    let unknown = DynamoProjections::new(&support::sdk_config(&cloud).await, "no-such-table".to_owned());
    assert!(matches!(unknown.read(vec![key("a")], BUDGET_MS).await, Err(Refusal::Transient { .. })));
    cloud.stop().await.unwrap();
}

/// AWS refuses them ("Supported data types and naming rules"), and so does the model, by a test of its own.
#[tokio::test]
async fn the_embedded_dynamodb_alone_takes_names_of_64_kilobytes() {
    let cloud = support::cloud().await;
    let long = update("a", vec![], vec![add(&"n".repeat(65_536), 1)]);
    assert_eq!(dynamo(&cloud).await.update(long.clone(), BUDGET_MS).await, Ok(Updated::Done));
    assert_eq!(Memory::default().update(long, BUDGET_MS).await, Err(Refusal::Content));
    cloud.stop().await.unwrap();
}

/// Answers of DynamoDB that take two clients and good timing, or a busy partition, to get.
#[tokio::test]
async fn the_reasons_of_a_cancelled_transaction_are_read_one_by_one() {
    const CANCELLED: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message":"Transaction cancelled","CancellationReasons":[
        {"Code":"None"},
        {"Code":"TransactionConflict","Message":"Transaction is ongoing for the item"},
        {"Code":"ConditionalCheckFailed","Message":"m","Item":{"pk":{"S":"p"},"n":{"N":"5"}}},
        {"Code":"ThrottlingError","Message":"m"},
        {"Code":"ProvisionedThroughputExceeded","Message":"m"},
        {"Code":"ValidationError","Message":"m"}]}"#;
    let (url, _server) = serve(400, CANCELLED).await;
    let projections = DynamoProjections::new(&ledger_aws::sdk_config_at(&url, "us-east-1"), "t".to_owned());
    let updates = (0..6).map(|number| update(&format!("t{number}"), vec![], vec![add("n", 1)])).collect();
    let stored =
        Item::from([("pk".to_owned(), Attribute::S("p".to_owned())), ("n".to_owned(), Attribute::N("5".to_owned()))]);
    let reasons = vec![
        Cancellation::None,
        Cancellation::Busy,
        Cancellation::ConditionFailed(Some(stored)),
        Cancellation::Busy,
        Cancellation::Busy,
        Cancellation::Content,
    ];
    assert_eq!(projections.transact(updates, BUDGET_MS).await, Ok(Transacted::Cancelled(reasons)));
}

#[tokio::test]
async fn refusals_of_a_whole_call_are_transient_unless_they_are_about_the_request() {
    for (code, expected) in [
        ("ProvisionedThroughputExceededException", Refusal::transient("ProvisionedThroughputExceededException")),
        ("TransactionInProgressException", Refusal::transient("TransactionInProgressException")),
        ("TransactionConflictException", Refusal::transient("TransactionConflictException")),
        ("AccessDeniedException", Refusal::transient("AccessDeniedException")),
        ("ValidationException", Refusal::Content),
    ] {
        let body = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"m"}}"#);
        let (url, _server) = serve(400, body).await;
        let projections = DynamoProjections::new(&ledger_aws::sdk_config_at(&url, "us-east-1"), "t".to_owned());
        let one = || update("a", vec![], vec![add("n", 1)]);
        assert_eq!(projections.update(one(), BUDGET_MS).await, Err(expected.clone()), "{code}");
        assert_eq!(projections.transact(vec![one()], BUDGET_MS).await, Err(expected), "{code}");
    }
}

/// A server with one answer. It ends when the handle is dropped with its runtime.
async fn serve(status: u16, body: impl Into<String>) -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (status, body) = (StatusCode::from_u16(status).unwrap(), body.into());
    let answer = move || async move { (status, [(CONTENT_TYPE, "application/x-amz-json-1.0")], body).into_response() };
    let router = Router::new().fallback(answer);
    (url, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
}

/// Stands still, so that two runs write the same times.
#[derive(Clone, Copy)]
struct Standing(u64);

impl Clock for Standing {
    fn now_ms(&self) -> u64 {
        self.0
    }

    async fn sleep_ms(&self, _: u64) {}

    fn random_below(&self, _: u64) -> u64 {
        0
    }
}

fn records(now_ms: u64) -> Vec<Record> {
    let entry = |tenant: &str, number: u64, verdict: Verdict| {
        let place = Place { pointer: "/payload/email".to_owned(), keyword: "format".to_owned() };
        let failure = FailureSummary { class: Some(FailureClass::SchemaViolation), places: vec![place] };
        EntrySummary::new(EntryFields {
            tenant_id: Some(tenant.to_owned()),
            sk: Some(format!("2026-01-15T09:29:59.900000000Z#event-{number}")),
            event_type: Some("user.created".to_owned()),
            status: Some(verdict.as_str().to_owned()),
            ingested_at: Some((now_ms - 10 * number).to_string()),
            has_sequence_number: true,
            failure: (verdict == Verdict::Invalid).then_some(failure),
            payload_bytes: 100,
            is_revalidated: false,
        })
        .unwrap()
    };
    let revalidated =
        EntrySummary { verdict: Verdict::Ready, is_revalidated: true, ..entry("tenant-b", 2, Verdict::Invalid) };
    let changes = [
        Change::Appended(entry("tenant-a", 1, Verdict::Ready)),
        Change::Appended(entry("tenant-b", 2, Verdict::Invalid)),
        Change::Unreadable(UnreadableRecord { sk: Some("odd".to_owned()), ..UnreadableRecord::default() }),
        Change::Revalidated(revalidated),
        Change::UnexpectedModify,
        Change::Appended(entry("tenant-a", 6, Verdict::Invalid)),
        Change::Appended(entry("tenant-c", 7, Verdict::Ready)),
    ];
    let record = |(number, change): (usize, Change)| Record {
        sequence: SequenceNumber::parse(&format!("{:0>21}", 100 + number)),
        written_at_ms: Some(now_ms),
        change,
    };
    changes.into_iter().enumerate().map(record).collect()
}

#[tokio::test]
async fn the_adapters_store_publish_measure_and_send_what_the_world_in_memory_does() {
    let cloud = support::cloud().await;
    let sdk_config = support::sdk_config(&cloud).await;
    let deployment = cloud.deployment();
    let failures_url = deployment.queue_url(&deployment.project.failures_queue());
    let clock = Standing(local::state::now_ms());
    let real = Services {
        projections: dynamo(&cloud).await,
        alerts: SnsAlerts::new(&sdk_config, deployment.alerts_topic_arn()),
        metrics: CloudWatchMetrics::new(&sdk_config),
        failures: SqsFailures::new(&sdk_config, failures_url.clone()),
        clock,
    };
    let world = World::at(clock.0);
    let model = Services {
        projections: world.clone(),
        alerts: world.clone(),
        metrics: world.clone(),
        failures: world.clone(),
        clock,
    };
    let settings = Settings { tenant_budget: TenantBudget::FirstCome { places_max: 2 }, alert_window_ms: 300_000 };
    let records = records(clock.0);
    // Overlapping batches, the last of them twice.
    for range in [0..3, 2..5, 1..7, 1..7] {
        let batch = || Batch { shard_id: Some("shardId-1".to_owned()), records: records[range.clone()].to_vec() };
        let deadline_ms = clock.0 + 60_000;
        let reports =
            [real.project(&settings, batch(), deadline_ms).await, model.project(&settings, batch(), deadline_ms).await];
        assert_eq!((&reports[0].outcome, reports[0].refused_puts), (&Outcome::Done, 0));
        assert_eq!(reports[0], reports[1]);
    }

    let (items, alerts, failures) = {
        let state = world.state();
        (state.table.items().clone(), state.alerts.clone(), state.failures.clone())
    };
    for (key, item) in items {
        let found = real.projections.read(vec![key.clone()], BUDGET_MS).await.unwrap().remove(0);
        assert_eq!(found, Found::Item(item), "{key:?}");
    }
    let published: Vec<(Option<String>, String)> = cloud.services().shared.look(|state, _| {
        state
            .published
            .iter()
            .map(|message| (message.request.subject.clone(), message.request.message.clone()))
            .collect()
    });
    let expected: Vec<(Option<String>, String)> =
        alerts.into_iter().map(|(_, message)| (Some(message.subject), message.body)).collect();
    assert_eq!(published, expected);

    let sqs = aws_sdk_sqs::Client::new(&sdk_config);
    let received = sqs.receive_message().queue_url(failures_url).max_number_of_messages(10).send().await.unwrap();
    let bodies: Vec<String> = received.messages().iter().filter_map(|message| message.body.clone()).collect();
    assert_eq!(bodies, failures);

    let cloudwatch = aws_sdk_cloudwatch::Client::new(&sdk_config);
    let page = cloudwatch.list_metrics().namespace(NAMESPACE).metric_name(Metric::Events.name()).send().await.unwrap();
    let tenants: std::collections::BTreeSet<&str> = page
        .metrics()
        .iter()
        .flat_map(|metric| metric.dimensions())
        .filter(|dimension| dimension.name() == Some("TenantId"))
        .filter_map(|dimension| dimension.value())
        .collect();
    assert_eq!(tenants.into_iter().collect::<Vec<_>>(), ["_other", "tenant-a", "tenant-b"]);
    cloud.stop().await.unwrap();
}

#[tokio::test]
async fn a_service_that_is_not_there_refuses_for_now() {
    use ledger::{
        alert::AlertMessage,
        ports::{Alerts, Failures},
    };
    let cloud = support::cloud().await;
    let sdk_config = support::sdk_config(&cloud).await;
    let message = AlertMessage { subject: "s".to_owned(), body: "{}".to_owned(), attributes: vec![] };
    let topic = SnsAlerts::new(&sdk_config, "arn:aws:sns:us-east-1:000000000000:no-such-topic".to_owned());
    assert!(matches!(topic.publish(message, BUDGET_MS).await, Err(Refusal::Transient { .. })));
    let queue = SqsFailures::new(&sdk_config, cloud.deployment().queue_url("no-such-queue"));
    assert!(matches!(queue.send("{}".to_owned(), BUDGET_MS).await, Err(Refusal::Transient { .. })));
    cloud.stop().await.unwrap();
}
