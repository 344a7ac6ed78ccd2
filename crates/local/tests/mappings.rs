//! The two event source mappings and the schedule, end to end with small functions.

mod support;

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use local::{Cloud, Function, FunctionError};
use serde_json::{Value, json};
use support::{cloud, sdk_config, until};
use tokio::sync::mpsc;

const LIMIT: Duration = Duration::from_secs(5);

/// Deploys a function that hands each event to the test and succeeds with the answer the test's closure gives.
fn deploy(
    cloud: &Cloud,
    name: &str,
    answer: impl Fn(&Value) -> Result<Value, FunctionError> + Send + Sync + 'static,
) -> mpsc::UnboundedReceiver<Value> {
    let (sender, receiver) = mpsc::unbounded_channel();
    cloud.deploy(Function::in_process(name, LIMIT, move |invocation| {
        let event: Value = serde_json::from_slice(&invocation.payload).unwrap();
        let response = answer(&event).map(|answer| answer.to_string().into_bytes());
        sender.send(event).unwrap();
        async { response }
    }));
    receiver
}

async fn send(cloud: &Cloud, group: &str, body: &str) {
    let sqs = aws_sdk_sqs::Client::new(&sdk_config(cloud).await);
    let url = cloud.deployment().queue_url(&cloud.deployment().project.events_queue());
    sqs.send_message().queue_url(url).message_group_id(group).message_body(body).send().await.unwrap();
}

/// Messages of the events queue that were received and not yet deleted.
fn in_flight(cloud: &Cloud) -> String {
    let queue = cloud.deployment().project.events_queue();
    let attributes = cloud.services().shared.look(|state, now_ms| state.sqs.queue_attributes(now_ms, &queue).unwrap());
    attributes["ApproximateNumberOfMessagesNotVisible"].clone()
}

#[tokio::test]
async fn a_message_reaches_the_processor_and_is_deleted_when_it_succeeds() {
    let cloud = cloud().await;
    send(&cloud, "acme", "one").await;
    let mut events = deploy(&cloud, "event-processor", |_| Ok(json!({"batchItemFailures": []})));
    let event = tokio::time::timeout(LIMIT, events.recv()).await.unwrap().unwrap();
    assert_eq!(event["Records"][0]["body"], "one");
    assert_eq!(event["Records"][0]["attributes"]["MessageGroupId"], "acme");

    until(&cloud, || in_flight(&cloud) == "0").await;
}

#[tokio::test]
async fn an_entry_written_by_the_processor_reaches_the_projector_with_its_shard() {
    let cloud = cloud().await;
    let mut events = deploy(&cloud, "event-processor-projector", |_| Ok(json!({"state": {}})));
    let dynamodb = aws_sdk_dynamodb::Client::new(&sdk_config(&cloud).await);
    let put = |sk: &str| {
        let put = dynamodb.put_item().table_name(cloud.deployment().project.events_table());
        put.item("tenant_id", AttributeValue::S("acme".into())).item("sk", AttributeValue::S(sk.into())).send()
    };
    put("1").await.unwrap();
    let first = tokio::time::timeout(LIMIT, events.recv()).await.unwrap().unwrap();
    assert_eq!(first["Records"][0]["eventName"], "INSERT");
    assert_eq!(first["Records"][0]["dynamodb"]["NewImage"]["sk"]["S"], "1");
    assert_eq!(first["shardId"], "shardId-00000001-event-processor-events");
    assert_eq!(first["isFinalInvokeForWindow"], false);

    put("2").await.unwrap();
    let second = tokio::time::timeout(LIMIT, events.recv()).await.unwrap().unwrap();
    assert_eq!(second["Records"][0]["dynamodb"]["NewImage"]["sk"]["S"], "2");
    assert_eq!(second["Records"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_projector_gets_a_tick_when_asked_and_every_minute_of_the_clouds_clock_even_if_it_fails() {
    let cloud = cloud().await;
    let mut events = deploy(&cloud, "event-processor-projector", |_| Err(FunctionError::of_type("Error", "refused")));
    let tick = json!({"tick": true});
    local::tick(cloud.services()).await;
    // The schedule runs since the cloud first waited for anything.
    for _ in 0..2 {
        assert_eq!(tokio::time::timeout(LIMIT, events.recv()).await.unwrap(), Some(tick.clone()));
        assert!(events.try_recv().is_err(), "one tick a minute");
        cloud.services().shared.advance_ms(60_000);
    }
    assert_eq!(tokio::time::timeout(LIMIT, events.recv()).await.unwrap(), Some(tick));
}

#[tokio::test]
async fn a_member_name_that_looks_like_a_number_in_disguise_arrives_as_it_was() {
    const NAME: &str = "$serde_json::private::Number";
    let cloud = cloud().await;
    let (sender, mut payloads) = mpsc::unbounded_channel();
    cloud.deploy(Function::in_process("event-processor-projector", LIMIT, move |invocation| {
        sender.send(String::from_utf8(invocation.payload).unwrap()).unwrap();
        async { Ok(b"{}".to_vec()) }
    }));
    let dynamodb = aws_sdk_dynamodb::Client::new(&sdk_config(&cloud).await);
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let inner = AttributeValue::M([(NAME.to_owned(), text("12"))].into());
    let table = cloud.deployment().project.events_table();
    let put = dynamodb.put_item().table_name(&table).item("tenant_id", text("acme")).item("sk", text("1"));
    put.item("payload", inner.clone()).send().await.unwrap();
    let payload = tokio::time::timeout(LIMIT, payloads.recv()).await.unwrap().unwrap();
    assert!(payload.contains(&format!("{{\"{NAME}\":{{\"S\":\"12\"}}}}")), "{payload}");
    let get = dynamodb.get_item().table_name(&table).key("tenant_id", text("acme")).key("sk", text("1"));
    assert_eq!(get.send().await.unwrap().item.unwrap()["payload"], inner);
}

/// Runs the real functions, and hands each event of the projector's to the test once the projector is done with it.
async fn deploy_all(cloud: &Cloud) -> mpsc::UnboundedReceiver<Value> {
    local::lambda::functions::deploy(cloud).await.unwrap();
    let projector = cloud.services().functions.get("event-processor-projector").unwrap();
    let (sender, receiver) = mpsc::unbounded_channel();
    cloud.deploy(Function::in_process("event-processor-projector", projector.timeout, move |invocation| {
        let (projector, sender) = (projector.clone(), sender.clone());
        async move {
            let event: Value = serde_json::from_slice(&invocation.payload).unwrap();
            let answer = local::lambda::function::invoke(&projector, invocation.payload).await;
            sender.send(event).unwrap();
            answer
        }
    }));
    receiver
}

/// Waits for that many records and returns what happened to their items.
async fn event_names(events: &mut mpsc::UnboundedReceiver<Value>, records: usize) -> Vec<Value> {
    let mut seen = Vec::new();
    while seen.len() < records {
        let event = tokio::time::timeout(LIMIT, events.recv()).await.unwrap().unwrap();
        seen.extend(event["Records"].as_array().unwrap().iter().map(|record| record["eventName"].clone()));
    }
    seen
}

#[tokio::test]
async fn a_removed_entry_reaches_the_projector_and_changes_nothing_but_the_checkpoint() {
    let cloud = cloud().await;
    let mut events = deploy_all(&cloud).await;
    // An INVALID entry, so that there is an alert that could be sent twice.
    send(&cloud, "acme", "no JSON").await;
    assert_eq!(event_names(&mut events, 1).await, ["INSERT"]);

    let dynamodb = aws_sdk_dynamodb::Client::new(&sdk_config(&cloud).await);
    let deployment = cloud.deployment();
    let left = async || {
        let projections = dynamodb.scan().table_name(deployment.project.projections_table()).send().await.unwrap();
        let (failures, alerts) = cloud.services().shared.look(|state, now_ms| {
            let failures = state.sqs.queue_attributes(now_ms, &deployment.project.failures_queue()).unwrap();
            (failures["ApproximateNumberOfMessages"].clone(), state.published_total)
        });
        let mut items = projections.items.unwrap();
        items.retain(|item| item["sk"] != AttributeValue::S("checkpoint".into()));
        (items, failures, alerts)
    };
    let before = left().await;
    assert!(!before.0.is_empty());
    assert_eq!((before.1.as_str(), before.2), ("0", 1));

    let table = deployment.project.events_table();
    let entry = dynamodb.scan().table_name(&table).send().await.unwrap().items.unwrap().remove(0);
    let key = ["tenant_id", "sk"].map(|name| (name.to_owned(), entry[name].clone()));
    dynamodb.delete_item().table_name(&table).set_key(Some(key.into())).send().await.unwrap();
    assert_eq!(event_names(&mut events, 1).await, ["REMOVE"]);
    assert_eq!(left().await, before);
}

#[tokio::test]
async fn a_message_reported_as_failed_stays_in_flight() {
    let cloud = cloud().await;
    let mut events = deploy(&cloud, "event-processor", |event| {
        Ok(json!({"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}))
    });
    send(&cloud, "acme", "one").await;
    tokio::time::timeout(LIMIT, events.recv()).await.unwrap().unwrap();
    until(&cloud, || cloud.services().shared.look(|state, _| state.queue_mapping.in_flight()) == 0).await;
    assert_eq!(in_flight(&cloud), "1");
}
