//! `POST /api/v1/reset`: what it forgets, what it keeps, and what it does to invocations that run.

mod support;

use std::{sync::Arc, time::Duration};

use aws_sdk_cloudwatch::types::MetricDatum;
use aws_sdk_dynamodb::{
    operation::create_table::builders::CreateTableFluentBuilder,
    types::{AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType},
};
use aws_sdk_sqs::types::QueueAttributeName;
use axum::{body::Body, http::Request};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use local::{
    Cloud, Function, Options,
    command::traffic::{self, until_landed},
    lambda::functions,
    reconciliation::Reconciliation,
};
use support::{cloud, empty_folder, sdk_config};
use tokio::sync::Notify;

/// Asks for a reset, as a web page would where `origin` is given; returns status and body.
async fn reset(cloud: &Cloud, origin: Option<&str>) -> (u16, String) {
    let mut request = Request::post(format!("{}/api/v1/reset", cloud.endpoint_url()));
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    let client = Client::builder(TokioExecutor::new()).build_http();
    let (head, body) = client.request(request.body(Body::empty()).unwrap()).await.unwrap().into_parts();
    let body = axum::body::to_bytes(Body::new(body), 1_000).await.unwrap();
    (head.status.as_u16(), String::from_utf8(body.to_vec()).unwrap())
}

fn protected_table(dynamodb: &aws_sdk_dynamodb::Client) -> CreateTableFluentBuilder {
    let key = KeySchemaElement::builder().attribute_name("k").key_type(KeyType::Hash).build().unwrap();
    let text = AttributeDefinition::builder().attribute_name("k").attribute_type(ScalarAttributeType::S);
    let table = dynamodb.create_table().table_name("mine").billing_mode(BillingMode::PayPerRequest);
    table.key_schema(key).attribute_definitions(text.build().unwrap()).deletion_protection_enabled(true)
}

/// Has all samples sent and recorded, and a queue, a message, a table, a subscription and a metric of the user's own.
async fn fill(cloud: &Cloud) {
    let config = sdk_config(cloud).await;
    traffic::send(cloud.services(), traffic::Request::default()).await.unwrap();
    assert_eq!(until_landed(cloud.services()).await.unwrap().entries.len(), 5);

    let sqs = aws_sdk_sqs::Client::new(&config);
    let mine = sqs.create_queue().queue_name("mine.fifo").attributes(QueueAttributeName::FifoQueue, "true");
    let mine = mine.send().await.unwrap().queue_url.unwrap();
    let dead = cloud.deployment().queue_url(&cloud.deployment().project.dead_letter_queue());
    for url in [mine, dead] {
        let send = sqs.send_message().queue_url(&url).message_group_id("g").message_deduplication_id("d");
        send.message_body("m").send().await.unwrap();
        let received = sqs.receive_message().queue_url(url).send().await.unwrap();
        assert_eq!(received.messages().len(), 1, "its deduplication id is new");
    }

    protected_table(&aws_sdk_dynamodb::Client::new(&config)).send().await.unwrap();
    let subscribe = aws_sdk_sns::Client::new(&config).subscribe().topic_arn(cloud.deployment().alerts_topic_arn());
    let inbox = cloud.deployment().queue_arn("mine.fifo");
    subscribe.protocol("sqs").endpoint(inbox).send().await.unwrap();
    let datum = MetricDatum::builder().metric_name("M").value(1.5).build();
    let cloudwatch = aws_sdk_cloudwatch::Client::new(&config);
    cloudwatch.put_metric_data().namespace("N").metric_data(datum).send().await.unwrap();
}

async fn assert_new(cloud: &Cloud) {
    let config = sdk_config(cloud).await;
    let sqs = aws_sdk_sqs::Client::new(&config);
    let ours = cloud.deployment().queues().map(|(name, _)| cloud.deployment().queue_url(&name));
    let mut urls = sqs.list_queues().send().await.unwrap().queue_urls.unwrap();
    urls.sort();
    assert_eq!(urls, ours);
    for url in ours {
        assert_eq!(sqs.receive_message().queue_url(url).send().await.unwrap().messages, None);
    }
    let dynamodb = aws_sdk_dynamodb::Client::new(&config);
    assert_eq!(dynamodb.list_tables().send().await.unwrap().table_names().len(), 3);
    let ledger = Reconciliation::read(cloud.services()).unwrap();
    assert!(ledger.entries.is_empty() && ledger.projected.items.is_empty());
    let subscriptions = aws_sdk_sns::Client::new(&config).list_subscriptions().send().await.unwrap();
    assert!(subscriptions.subscriptions().is_empty());
    let metrics = aws_sdk_cloudwatch::Client::new(&config).list_metrics().send().await.unwrap();
    assert!(metrics.metrics().is_empty());
    assert_eq!(cloud.services().shared.look(|state, _| state.published_total), 0);
}

#[tokio::test]
async fn everything_is_forgotten_and_the_pipeline_works_again() {
    let directory = empty_folder("reset");
    let options = || Options { data_directory: Some(directory.clone()), ..Options::default() };
    let cloud = Cloud::start(options()).await.unwrap();
    functions::deploy(&cloud).await.unwrap();
    fill(&cloud).await;
    assert_eq!(reset(&cloud, Some("https://attacker.example")).await.0, 403);
    assert_eq!(Reconciliation::read(cloud.services()).unwrap().entries.len(), 5);

    assert_eq!(reset(&cloud, None).await, (200, "{}".to_owned()));
    assert_new(&cloud).await;
    fill(&cloud).await;
    assert!(until_landed(cloud.services()).await.unwrap().agree());

    assert_eq!(reset(&cloud, None).await.0, 200);
    // Killed, so without the snapshot that an orderly stop writes.
    drop(cloud);
    let cloud = loop {
        match Cloud::start(options()).await {
            Err(error) if error.to_string().contains("in use") => tokio::task::yield_now().await,
            started => break started.unwrap(),
        }
    };
    assert_new(&cloud).await;
}

#[tokio::test]
async fn what_a_running_invocation_still_writes_is_forgotten_too() {
    let cloud = Arc::new(cloud().await);
    let (dynamodb, table) =
        (aws_sdk_dynamodb::Client::new(&sdk_config(&cloud).await), cloud.deployment().project.idempotency_table());
    let (running, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (dynamodb, table, running, go_on) = (dynamodb.clone(), table.clone(), running.clone(), go_on.clone());
        move |_| {
            let put = dynamodb.put_item().table_name(&table).item("pk", AttributeValue::S("late".to_owned()));
            let (running, go_on) = (running.clone(), go_on.clone());
            async move {
                running.notify_one();
                go_on.notified().await;
                put.send().await.unwrap();
                Ok(b"{}".to_vec())
            }
        }
    };
    cloud.deploy(Function::in_process("event-processor", Duration::from_secs(60), handler));
    let url = cloud.deployment().queue_url(&cloud.deployment().project.events_queue());
    let sqs = aws_sdk_sqs::Client::new(&sdk_config(&cloud).await);
    sqs.send_message().queue_url(&url).message_group_id("g").message_body("m").send().await.unwrap();
    running.notified().await;

    let resetting = tokio::spawn({
        let cloud = cloud.clone();
        async move { reset(&cloud, None).await }
    });
    go_on.notify_one();
    assert_eq!(resetting.await.unwrap().0, 200);
    assert_eq!(dynamodb.scan().table_name(table).send().await.unwrap().count(), 0);
    assert_eq!(cloud.services().shared.look(|state, _| state.queue_mapping.in_flight()), 0);
}

#[tokio::test]
async fn the_read_models_are_listed_again_after_a_reset() {
    let cloud = cloud().await;
    functions::deploy(&cloud).await.unwrap();
    fill(&cloud).await;
    assert_eq!(reset(&cloud, None).await.0, 200);
    fill(&cloud).await;
    assert!(until_landed(cloud.services()).await.unwrap().agree());
    let (dynamodb, table) =
        (aws_sdk_dynamodb::Client::new(&sdk_config(&cloud).await), cloud.deployment().project.projections_table());
    let key = dynamodb
        .get_item()
        .table_name(table)
        .key("pk", AttributeValue::S("system".to_owned()))
        .key("sk", AttributeValue::S("models".to_owned()));
    assert!(key.send().await.unwrap().item.is_some(), "without the list every day reads as not built");
}
