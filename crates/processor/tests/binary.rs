//! The real binary of the processor, as it is zipped, under the Lambda Runtime API and against the local cloud.

use std::{collections::BTreeMap, sync::Arc, sync::Mutex, time::Duration};

use ledger::{
    Item,
    entry::{attribute, text_of},
    ports::{Found, Table, Tables},
};
use ledger_aws::DynamoTables;
use local::{Cloud, Function, Options, deployment::Role, lambda, lambda::Code, process::Binary, process::Process};
use serde_json::{Value, json};
use testkit::bodies::{envelope, event, message};

/// Kilobytes of data the process may have: the function's memory.
const MEMORY_KB: u32 = 256 * 1024;

/// The processor's binary, and what it prints.
struct Processor {
    function: Function,
    printed: Arc<Mutex<Vec<String>>>,
}

fn processor(cloud: &Cloud) -> Processor {
    let deployment = cloud.deployment();
    let name = deployment.function_name(Role::Processor);
    let mut environment = deployment.environment(Role::Processor);
    let endpoint = [("AWS_ENDPOINT_URL", deployment.endpoint_url.as_str()), ("AWS_REGION", &deployment.region)];
    environment.extend(endpoint.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let binary = limited(env!("CARGO_BIN_EXE_processor"), environment);
    let printed = Arc::new(Mutex::new(Vec::new()));
    let sink = printed.clone();
    let print = Arc::new(move |line: &str| sink.lock().unwrap().push(line.to_owned()));
    let process = Process::new(binary, deployment.function_arn(&name), print);
    let timeout = Duration::from_secs(deployment.timeout_seconds(Role::Processor));
    Processor { function: Function { name, timeout, code: Code::Process(process) }, printed }
}

/// A program that may not have more memory than its function.
fn limited(program: &str, environment: BTreeMap<String, String>) -> Binary {
    let script = format!("ulimit -d {MEMORY_KB}; exec \"$0\"");
    Binary { program: "/bin/sh".into(), arguments: vec!["-c".to_owned(), script, program.to_owned()], environment }
}

fn sqs_event(messages: &[ledger::Message]) -> Vec<u8> {
    let record = |message: &ledger::Message| {
        json!({
            "messageId": message.message_id,
            "receiptHandle": "r",
            "body": message.body,
            "attributes": {
                "ApproximateReceiveCount": message.receive_count.to_string(),
                "SentTimestamp": message.sent_at_ms.unwrap().to_string(),
                "SequenceNumber": message.sequence_number,
                "MessageGroupId": message.group_id,
            },
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:event-processor-events.fifo",
            "awsRegion": "us-east-1",
        })
    };
    json!({ "Records": messages.iter().map(record).collect::<Vec<_>>() }).to_string().into_bytes()
}

impl Processor {
    async fn invoke(&self, messages: &[ledger::Message]) -> Value {
        let answer = lambda::invoke(&self.function, sqs_event(messages)).await.unwrap();
        serde_json::from_slice(&answer).unwrap()
    }
}

async fn entries(cloud: &Cloud, keys: &[(&str, &str)]) -> Vec<Item> {
    let deployment = cloud.deployment();
    let sdk_config = ledger_aws::sdk_config_at(cloud.endpoint_url(), &deployment.region).await;
    let tables = DynamoTables::new(&sdk_config, deployment.idempotency_table(), deployment.events_table());
    let mut found = Vec::new();
    for (tenant_id, sk) in keys {
        let key = [(attribute::TENANT_ID, tenant_id), (attribute::SK, sk)];
        let key = key.map(|(name, value)| (name.to_owned(), ledger::Attribute::S((*value).to_owned())));
        match tables.read(Table::Entries, vec![Item::from(key)], 5_000).await.unwrap().remove(0) {
            Found::Item(item) => found.push(item),
            other => panic!("{tenant_id} {sk}: {other:?}"),
        }
    }
    found
}

fn statuses(entries: &[Item]) -> Vec<&str> {
    entries.iter().map(|entry| text_of(entry, attribute::STATUS).unwrap()).collect()
}

/// The most memory a valid JSON body of the queue's size can be made to cost.
fn worst_case_body(tenant_id: &str, event_id: &str) -> String {
    let filler = vec!["{\"a\":0}"; 32_700].join(",");
    let payload = format!("{{\"integration_id\":\"i\",\"provider\":\"p\",\"event\":[{filler}]}}");
    let body = format!(
        "{{\"tenant_id\":\"{tenant_id}\",\"event_id\":\"{event_id}\",\"event_type\":\"integrations\",\
         \"created_at\":\"2026-01-15T09:29:59Z\",\"payload\":{payload}}}"
    );
    assert!((255 * 1024..=256 * 1024).contains(&body.len()), "{}", body.len());
    body
}

const SK: &str = "2026-01-15T09:29:59.000000000Z#";

#[tokio::test]
async fn the_binary_records_a_batch_and_answers_as_lambda_expects() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let processor = processor(&cloud);
    let answer = processor.invoke(&[event(1, "a", "1"), message(2, "b", json!({"tenant_id": "b"}))]).await;
    assert_eq!(answer, json!({ "batchItemFailures": [] }));
    let nameless = "2096-01-15T09:29:59.002000000Z#00000000-0000-4000-8000-000000000002";
    let entries = entries(&cloud, &[("a", &format!("{SK}1")), ("b", nameless)]).await;
    assert_eq!(statuses(&entries), ["READY", "INVALID"]);
    cloud.stop().await.unwrap();
}

#[tokio::test]
async fn one_worst_case_body_costs_its_nine_neighbours_nothing() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let processor = processor(&cloud);
    let ids: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    let mut messages: Vec<_> = ids.iter().enumerate().map(|(n, id)| event(n as u64, "a", id)).collect();
    messages[4] = message(4, "a", worst_case_body("a", "4"));
    assert_eq!(processor.invoke(&messages).await, json!({ "batchItemFailures": [] }));
    let keys: Vec<String> = ids.iter().map(|id| format!("{SK}{id}")).collect();
    let keys: Vec<(&str, &str)> = keys.iter().map(|sk| ("a", sk.as_str())).collect();
    let mut expected = vec!["READY"; 10];
    expected[4] = "INVALID";
    assert_eq!(statuses(&entries(&cloud, &keys).await), expected);
    cloud.stop().await.unwrap();
}

#[tokio::test]
async fn ten_worst_case_bodies_still_get_an_answer_and_again_when_they_come_back() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let processor = processor(&cloud);
    let messages: Vec<_> = (0..10).map(|n| message(n, "a", worst_case_body("a", &n.to_string()))).collect();
    assert_eq!(processor.invoke(&messages).await, json!({ "batchItemFailures": [] }));
    let messages: Vec<_> = messages.iter().map(testkit::bodies::again).collect();
    assert_eq!(processor.invoke(&messages).await, json!({ "batchItemFailures": [] }));
    cloud.stop().await.unwrap();
}

#[tokio::test]
async fn no_value_and_no_undeclared_name_is_ever_printed() {
    const MARKER: &str = "xyzzy";
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let processor = processor(&cloud);
    let with_payload = |id: &str, payload: Value| {
        let mut envelope = envelope("a", id);
        envelope["payload"] = payload;
        envelope
    };
    let hostile = [
        with_payload("1", json!({ "id": "xyzzy-value", "email": "ada@example.com" })).to_string(),
        with_payload("2", json!({ "id": 1, "email": "xyzzy-value" })).to_string(),
        with_payload("3", json!({ "xyzzy-name": { "xyzzy-inner": 1 }, "id": "1" })).to_string(),
        with_payload("4", json!({ "id": "1", "email": "a@b.co", "xyzzy-name": "xyzzy-value" })).to_string(),
        "{\"xyzzy-name\": xyzzy".to_owned(),
        "{\"tenant_id\": \"a\", \"event_id\": \"5\", \"event_type\": \"user.created\", \
          \"payload\": {\"xyzzy-name\": 1e999}, \"xyzzy-extension\": 1}"
            .to_owned(),
        "{\"tenant_id\": \"a\", \"event_id\": \"6\", \"event_type\": \"user.created\", \
          \"payload\": {\"xyzzy\": 1, \"xyzzy\": 2}}"
            .to_owned(),
        // A conflict with the first.
        with_payload("1", json!({ "id": "xyzzy-other", "email": "ada@example.com" })).to_string(),
    ];
    let messages: Vec<_> = hostile.iter().enumerate().map(|(n, body)| message(n as u64, "a", body)).collect();
    assert_eq!(processor.invoke(&messages).await, json!({ "batchItemFailures": [] }));
    cloud.stop().await.unwrap();
    let printed = processor.printed.lock().unwrap().join("\n");
    assert!(printed.contains("invalid entry recorded") && printed.contains("\"_aws\""), "{printed}");
    assert!(!printed.contains(MARKER), "{printed}");
}

#[tokio::test]
async fn a_ready_event_of_a_batch_of_ten_leaves_at_most_200_bytes_of_log() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let processor = processor(&cloud);
    let messages: Vec<_> = (0..10).map(|n| event(n, "tenant-a", &n.to_string())).collect();
    processor.invoke(&messages).await;
    cloud.stop().await.unwrap();
    let printed = processor.printed.lock().unwrap();
    let bytes: usize = printed.iter().map(|line| line.len() + 1).sum();
    println!("{} bytes of log per READY event", bytes / 10);
    assert!(bytes <= 10 * 200, "{bytes} bytes: {printed:#?}");
}
