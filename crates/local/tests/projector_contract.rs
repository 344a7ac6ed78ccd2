//! The projector's ports: the contract of the projections table on the embedded DynamoDB, and all production adapters
//! beside the model, through the AWS SDK. What the embedded DynamoDB never answers, a script does.

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{Router, http::StatusCode, http::header::CONTENT_TYPE, response::IntoResponse};
use ledger::{
    Attribute, Item,
    alert::Origin,
    metric::{Metric, NAMESPACE},
    metric_tenants::TenantBudget,
    ports::{Clock, ProjectionsTable, Refusal},
    projection::{
        self,
        update::{Cancellation, Transacted, Updated},
    },
    schema,
};
use ledger_aws::{CloudWatchMetrics, DynamoProjections, SnsAlerts};
use local::Cloud;
use projector::{Batch, Kept, Outcome, Ports, Settings, project};
use testkit::{
    bodies::mixed_records,
    contract::projections::{self, BUDGET_MS, add, key, transaction, update},
    memory::projections::MemoryProjections,
    ports::{Driver, ProjectorAws},
};

async fn dynamo(cloud: &Cloud) -> DynamoProjections {
    DynamoProjections::new(&support::sdk_config(cloud).await, cloud.deployment().project.projections_table())
}

macro_rules! on_dynamodb {
    ($($case:ident)*) => {
        $(#[tokio::test]
        async fn $case() {
            let cloud = support::cloud().await;
            projections::$case(&dynamo(&cloud).await).await;
            cloud.stop().await.unwrap();
        })*
    };
}

testkit::for_each_projections_case!(on_dynamodb);

#[tokio::test]
async fn a_table_that_is_not_there_refuses_for_now() {
    let cloud = support::cloud().await;
    let unknown = DynamoProjections::new(&support::sdk_config(&cloud).await, "no-such-table".to_owned());
    assert!(matches!(unknown.read(vec![key("a")], BUDGET_MS).await, Err(Refusal::Transient { .. })));
    cloud.stop().await.unwrap();
}

/// AWS refuses both ("Supported data types and naming rules", `ClientRequestToken`), and so does the model, by tests of
/// its own.
#[tokio::test]
async fn the_embedded_dynamodb_alone_takes_names_of_64_kilobytes_and_an_empty_token() {
    let cloud = support::cloud().await;
    let dynamo = dynamo(&cloud).await;
    let long = update("a", vec![], vec![add(&"n".repeat(65_536), 1)]);
    assert_eq!(dynamo.update(long.clone(), BUDGET_MS).await, Ok(Updated::Done));
    assert_eq!(MemoryProjections::default().update(long), Err(Refusal::Content));
    let without_token = transaction("", vec![update("b", vec![], vec![add("n", 1)])]);
    assert_eq!(dynamo.transact(without_token.clone(), BUDGET_MS).await, Ok(Transacted::Done));
    assert_eq!(MemoryProjections::default().transact(0, without_token), Err(Refusal::Content));
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
    assert_eq!(projections.transact(transaction("t", updates), BUDGET_MS).await, Ok(Transacted::Cancelled(reasons)));
}

#[tokio::test]
async fn refusals_of_a_whole_call_are_transient_unless_they_are_about_the_request() {
    for (code, expected) in [
        ("ProvisionedThroughputExceededException", Refusal::transient("ProvisionedThroughputExceededException")),
        ("TransactionInProgressException", Refusal::transient("TransactionInProgressException")),
        ("TransactionConflictException", Refusal::transient("TransactionConflictException")),
        ("AccessDeniedException", Refusal::transient("AccessDeniedException")),
        ("ValidationException", Refusal::Content),
        ("IdempotentParameterMismatchException", Refusal::Content),
    ] {
        let body = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"m"}}"#);
        let (url, _server) = serve(400, body).await;
        let projections = DynamoProjections::new(&ledger_aws::sdk_config_at(&url, "us-east-1"), "t".to_owned());
        let one = || update("a", vec![], vec![add("n", 1)]);
        assert_eq!(projections.update(one(), BUDGET_MS).await, Err(expected.clone()), "{code}");
        assert_eq!(projections.query("p".to_owned(), None, BUDGET_MS).await, Err(expected.clone()), "{code}");
        assert_eq!(projections.transact(transaction("t", vec![one()]), BUDGET_MS).await, Err(expected), "{code}");
    }
}

/// The embedded DynamoDB reads consistently either way.
#[tokio::test]
async fn a_read_and_a_query_ask_for_what_is_consistent() {
    let (asked, mut requests) = tokio::sync::mpsc::unbounded_channel();
    let answer = async move |body: String| {
        asked.send(body).unwrap();
        ([(CONTENT_TYPE, "application/x-amz-json-1.0")], "{}")
    };
    let (url, _server) = serve_with(Router::new().fallback(answer)).await;
    let projections = DynamoProjections::new(&ledger_aws::sdk_config_at(&url, "us-east-1"), "t".to_owned());
    projections.read(vec![key("a")], BUDGET_MS).await.unwrap();
    projections.query("p".to_owned(), None, BUDGET_MS).await.unwrap();
    for of in ["batch", "query"] {
        let request = requests.recv().await.unwrap();
        assert!(request.contains("\"ConsistentRead\":true"), "{of}: {request}");
    }
}

/// A server with one answer. It ends when the handle is dropped with its runtime.
async fn serve(status: u16, body: impl Into<String>) -> (String, tokio::task::JoinHandle<()>) {
    let (status, body) = (StatusCode::from_u16(status).unwrap(), body.into());
    let answer = move || async move { (status, [(CONTENT_TYPE, "application/x-amz-json-1.0")], body).into_response() };
    serve_with(Router::new().fallback(answer)).await
}

async fn serve_with(router: Router) -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (url, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
}

/// Stands still, so that two runs write the same times.
#[derive(Clone)]
struct Standing(u64, Arc<AtomicU64>);

impl Clock for Standing {
    fn now_ms(&self) -> u64 {
        self.0
    }

    async fn sleep_ms(&self, _: u64) {}

    /// No two tokens are equal.
    fn random_below(&self, bound: u64) -> u64 {
        self.1.fetch_add(1, Ordering::Relaxed) % bound
    }
}

#[tokio::test]
async fn the_adapters_store_publish_and_measure_what_the_world_in_memory_does() {
    let cloud = support::cloud().await;
    let sdk_config = support::sdk_config(&cloud).await;
    let deployment = cloud.deployment();
    let clock = Standing(local::state::now_ms(), Arc::default());
    let real = Ports {
        projections: dynamo(&cloud).await,
        alerts: SnsAlerts::new(&sdk_config, deployment.alerts_topic_arn()),
        metrics: CloudWatchMetrics::new(&sdk_config),
        clock: clock.clone(),
    };
    let mut kept = Kept::default();
    let mut model = Driver::new(ProjectorAws::default(), clock.0);
    let settings = Settings {
        models: projection::ALL,
        tenant_budget: TenantBudget::FirstCome { places_max: 2 },
        alert_window_ms: 300_000,
        origin: Origin { project: "p".to_owned(), region: "us-east-1".to_owned(), schemas: schema::fingerprint() },
    };
    let records = mixed_records(clock.0);
    // Overlapping batches, the last of them twice.
    for range in [0..3, 2..5, 1..7, 1..7] {
        let batch = || Batch { shard_id: "shardId-1".to_owned(), records: records[range.clone()].to_vec() };
        let deadline_ms = clock.0 + 60_000;
        let report = project(&real, &settings, &mut kept, batch(), deadline_ms).await;
        assert_eq!((&report.outcome, report.work.refused_puts), (&Outcome::Done, 0));
        assert_eq!(model.project(&settings, batch(), 60_000), Some(report));
    }

    let ProjectorAws { projections, alerts, .. } = model.aws;
    for (key, item) in projections.items() {
        let found = real.projections.read(vec![key.clone()], BUDGET_MS).await.unwrap().remove(0);
        // Who had the lease is drawn.
        let without_holder = |item: Option<Item>| {
            let item = item.expect("it is there").into_iter();
            item.filter(|(name, _)| name != "holder").collect::<Item>()
        };
        assert_eq!(without_holder(found.into_item()), without_holder(Some(item.clone())), "{key:?}");
    }
    let published = cloud.services().shared.look(|state, _| state.published.clone());
    let published = published.into_iter().map(|message| (message.request.subject, message.request.message));
    let expected = alerts.into_iter().map(|(_, message)| (Some(message.subject), message.body));
    assert_eq!(published.collect::<Vec<_>>(), expected.collect::<Vec<_>>());

    let cloudwatch = aws_sdk_cloudwatch::Client::new(&sdk_config);
    let page = cloudwatch.list_metrics().namespace(NAMESPACE).metric_name(Metric::Events.name()).send().await.unwrap();
    let tenants: std::collections::BTreeSet<&str> = page
        .metrics()
        .iter()
        .flat_map(|metric| metric.dimensions())
        .filter(|dimension| dimension.name() == Some("TenantId"))
        .filter_map(|dimension| dimension.value())
        .collect();
    assert_eq!(tenants.into_iter().collect::<Vec<_>>(), ["_other", "a", "b"]);
    cloud.stop().await.unwrap();
}

#[tokio::test]
async fn a_service_that_is_not_there_refuses_for_now() {
    use ledger::{alert::AlertMessage, ports::Alerts};
    let cloud = support::cloud().await;
    let sdk_config = support::sdk_config(&cloud).await;
    let message = AlertMessage { subject: "s".to_owned(), body: "{}".to_owned(), attributes: vec![] };
    let topic = SnsAlerts::new(&sdk_config, "arn:aws:sns:us-east-1:000000000000:no-such-topic".to_owned());
    assert!(matches!(topic.publish(message, BUDGET_MS).await, Err(Refusal::Transient { .. })));
    cloud.stop().await.unwrap();
}
