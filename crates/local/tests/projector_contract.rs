//! The projector's ports: the contract of the projections table on the embedded DynamoDB, and all production adapters
//! beside the model, through the AWS SDK. What the embedded DynamoDB never answers, a script does.

mod support;

use axum::{Router, http::StatusCode, http::header::CONTENT_TYPE, response::IntoResponse};
use ledger::{
    Attribute, Item,
    metric::{Metric, NAMESPACE},
    metric_tenants::TenantBudget,
    ports::{Clock, Found, Projections, Refusal},
    projection::update::{Cancellation, Transacted, Updated},
};
use ledger_aws::{CloudWatchMetrics, DynamoProjections, SnsAlerts, SqsFailures};
use local::Cloud;
use projector::{Batch, Outcome, Ports, Settings, project};
use testkit::{
    bodies::mixed_records,
    contract::projections::{self, BUDGET_MS, add, key, update},
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

/// AWS refuses them ("Supported data types and naming rules"), and so does the model, by a test of its own.
#[tokio::test]
async fn the_embedded_dynamodb_alone_takes_names_of_64_kilobytes() {
    let cloud = support::cloud().await;
    let long = update("a", vec![], vec![add(&"n".repeat(65_536), 1)]);
    assert_eq!(dynamo(&cloud).await.update(long.clone(), BUDGET_MS).await, Ok(Updated::Done));
    assert_eq!(MemoryProjections::default().update(long), Err(Refusal::Content));
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

#[tokio::test]
async fn the_adapters_store_publish_measure_and_send_what_the_world_in_memory_does() {
    let cloud = support::cloud().await;
    let sdk_config = support::sdk_config(&cloud).await;
    let deployment = cloud.deployment();
    let failures_url = deployment.queue_url(&deployment.project.failures_queue());
    let clock = Standing(local::state::now_ms());
    let real = Ports {
        projections: dynamo(&cloud).await,
        alerts: SnsAlerts::new(&sdk_config, deployment.alerts_topic_arn()),
        metrics: CloudWatchMetrics::new(&sdk_config),
        failures: SqsFailures::new(&sdk_config, failures_url.clone()),
        clock,
    };
    let mut model = Driver::new(ProjectorAws::default(), clock.0);
    let settings = Settings { tenant_budget: TenantBudget::FirstCome { places_max: 2 }, alert_window_ms: 300_000 };
    let records = mixed_records(clock.0);
    // Overlapping batches, the last of them twice.
    for range in [0..3, 2..5, 1..7, 1..7] {
        let batch = || Batch { shard_id: Some("shardId-1".to_owned()), records: records[range.clone()].to_vec() };
        let deadline_ms = clock.0 + 60_000;
        let report = project(&real, &settings, batch(), deadline_ms).await;
        assert_eq!((&report.outcome, report.refused_puts), (&Outcome::Done, 0));
        assert_eq!(model.project(&settings, batch(), 60_000), Some(report));
    }

    let ProjectorAws { projections, alerts, failures, .. } = model.aws;
    for (key, item) in projections.items() {
        let found = real.projections.read(vec![key.clone()], BUDGET_MS).await.unwrap().remove(0);
        assert_eq!(found, Found::Item(item.clone()), "{key:?}");
    }
    let published = cloud.services().shared.look(|state, _| state.published.clone());
    let published = published.into_iter().map(|message| (message.request.subject, message.request.message));
    let expected = alerts.into_iter().map(|(_, message)| (Some(message.subject), message.body));
    assert_eq!(published.collect::<Vec<_>>(), expected.collect::<Vec<_>>());

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
    assert_eq!(tenants.into_iter().collect::<Vec<_>>(), ["_other", "a", "b"]);
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
