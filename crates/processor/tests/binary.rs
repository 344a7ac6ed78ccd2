//! The real binary of the processor, as it is zipped, under the Lambda Runtime API and against the local cloud.

use std::{collections::BTreeMap, sync::Arc, sync::Mutex, time::Duration};

use ledger::{ClaimKey, EntryKey, EventId, Item, TenantId, entry::attribute, item::text_of};
use ledger_aws::{LedgerReader, TableNames};
use local::{
    Cloud, Function, Options, Role,
    lambda::{
        function::{Code, invoke},
        functions::environment,
        process::{Binary, Process},
    },
};
use serde_json::{Value, json};
use testkit::bodies::{again, costly, envelope, event, message};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_util::io::InspectReader;

/// Kilobytes of data the process may have: the function's memory.
const MEMORY_KB: u32 = 256 * 1024;

/// The processor's binary, and what it prints.
struct Processor {
    function: Function,
    printed: Arc<Mutex<Vec<String>>>,
}

/// The binary with the memory of its function, and with these variables beside or instead of those it needs.
fn processor(cloud: &Cloud, variables: &[(&str, &str)]) -> Processor {
    let deployment = cloud.deployment();
    let name = deployment.function_name(Role::Processor);
    let mut environment = environment(deployment, Role::Processor);
    let usual = [("AWS_REGION", deployment.account.region.as_str()), ("AWS_ENDPOINT_URL", cloud.endpoint_url())];
    let variables = usual.iter().chain(variables);
    environment.extend(variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let script = format!("ulimit -d {MEMORY_KB}; exec \"$0\"");
    let arguments = vec!["-c".to_owned(), script, env!("CARGO_BIN_EXE_processor").to_owned()];
    let binary = Binary { program: "/bin/sh".into(), arguments, environment };
    let printed = Arc::new(Mutex::new(Vec::new()));
    let sink = printed.clone();
    let print = Arc::new(move |line: &str| sink.lock().unwrap().push(line.to_owned()));
    let process = Process::new(binary, deployment.function_arn(&name), print);
    let timeout = Duration::from_secs(Role::Processor.timeout_seconds().into());
    Processor {
        function: Function { name, timeout, environment: BTreeMap::new(), code: Code::Process(process) },
        printed,
    }
}

/// A way to the endpoint that keeps what is sent to it.
async fn recording_proxy(endpoint_url: &str) -> (String, Arc<Mutex<Vec<u8>>>) {
    let upstream = endpoint_url.strip_prefix("http://").unwrap().to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let sent = Arc::new(Mutex::new(Vec::new()));
    let kept = sent.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let mut server = TcpStream::connect(&upstream).await.unwrap();
            let kept = kept.clone();
            let keep = move |bytes: &[u8]| kept.lock().unwrap().extend_from_slice(bytes);
            let mut client = InspectReader::new(client, keep);
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        }
    });
    (url, sent)
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
        let answer = invoke(&self.function, sqs_event(messages)).await.unwrap();
        serde_json::from_slice(&answer).unwrap()
    }
}

async fn entries(cloud: &Cloud, keys: &[(&str, &str)]) -> Vec<Item> {
    let deployment = cloud.deployment();
    let sdk_config = ledger_aws::sdk_config_at(cloud.endpoint_url(), &deployment.account.region);
    let reader = LedgerReader::new(&sdk_config, TableNames::from(&deployment.project));
    let mut found = Vec::new();
    for (tenant_id, sk) in keys {
        let tenant_id = TenantId::parse(tenant_id).unwrap();
        let key = EntryKey { tenant_id: tenant_id.clone(), sk: (*sk).to_owned() };
        let event_id = EventId::parse(key.event_id()).unwrap();
        let entries = reader.entries(&ClaimKey { tenant_id, event_id }).await.unwrap();
        found.extend(entries.into_iter().filter(|entry| EntryKey::from_item(entry).as_ref() == Some(&key)));
    }
    assert_eq!(found.len(), keys.len());
    found
}

fn statuses(entries: &[Item]) -> Vec<&str> {
    entries.iter().map(|entry| text_of(entry, attribute::STATUS).unwrap()).collect()
}

/// Two such tests at once would measure each other.
static HEAVY: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

// Tests with such bodies run on several threads: the embedded database, busy with one, would keep the Runtime API from
// noticing the answer.

/// The most memory a valid JSON body of the queue's size can be made to cost.
fn worst_case_body(tenant_id: &str, event_id: &str) -> String {
    let [(_, objects), ..] = costly(tenant_id, event_id);
    objects
}

const SK: &str = "2026-01-15T09:29:59.000000000Z#";

#[tokio::test]
async fn the_binary_records_a_batch_and_answers_as_lambda_expects() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let processor = processor(&cloud, &[]);
    let answer = processor.invoke(&[event(1, "a", "1"), message(2, "b", json!({"tenant_id": "b"}))]).await;
    assert_eq!(answer, json!({ "batchItemFailures": [] }));
    let nameless = "2096-01-15T09:29:59.002000000Z#00000000-0000-4000-8000-000000000002";
    let entries = entries(&cloud, &[("a", &format!("{SK}1")), ("b", nameless)]).await;
    assert_eq!(statuses(&entries), ["READY", "INVALID"]);
    cloud.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_worst_case_body_costs_its_nine_neighbours_nothing() {
    let _alone = HEAVY.lock().await;
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let processor = processor(&cloud, &[]);
    let ids: Vec<String> = (0..9).map(|n| n.to_string()).collect();
    let mut messages: Vec<_> = ids.iter().zip(0..).map(|(id, n)| event(n, "a", id)).collect();
    messages.insert(4, message(9, "hostile", worst_case_body("hostile", "1")));

    let answer = processor.invoke(&messages).await;
    let keys: Vec<String> = ids.iter().map(|id| format!("{SK}{id}")).collect();
    let keys: Vec<(&str, &str)> = keys.iter().map(|sk| ("a", sk.as_str())).collect();
    assert_eq!(statuses(&entries(&cloud, &keys).await), ["READY"; 9]);

    // On a machine too slow for it at once, the hostile one alone comes back.
    if answer != json!({ "batchItemFailures": [] }) {
        assert_eq!(answer, json!({ "batchItemFailures": [{ "itemIdentifier": messages[4].message_id }] }));
        assert_eq!(processor.invoke(&[again(&messages[4])]).await, json!({ "batchItemFailures": [] }));
    }
    assert_eq!(statuses(&entries(&cloud, &[("hostile", &format!("{SK}1"))]).await), ["INVALID"]);
    cloud.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_worst_case_bodies_get_an_answer_each_time_they_come() {
    let _alone = HEAVY.lock().await;
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let processor = processor(&cloud, &[]);
    let messages: Vec<_> = (0..10).map(|n| message(n, "a", worst_case_body("a", &n.to_string()))).collect();
    let redelivered: Vec<_> = messages.iter().map(again).collect();
    for batch in [messages, redelivered] {
        // How many of them were done in time is the machine's affair.
        let answer = processor.invoke(&batch).await;
        assert!(answer["batchItemFailures"].is_array(), "{answer}");
    }
    cloud.stop().await.unwrap();
}

#[tokio::test]
async fn no_value_and_no_undeclared_name_is_ever_printed() {
    const MARKER: &str = "xyzzy";
    let cloud = Cloud::start(Options::default()).await.unwrap();
    // The most talkative level that can be set: what it does not print, no other does.
    let processor = processor(&cloud, &[("AWS_LAMBDA_LOG_LEVEL", "TRACE")]);
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
    let processor = processor(&cloud, &[]);
    let messages: Vec<_> = (0..10).map(|n| event(n, "tenant-a", &n.to_string())).collect();
    processor.invoke(&messages).await;
    cloud.stop().await.unwrap();
    let printed = processor.printed.lock().unwrap();
    let bytes: usize = printed.iter().map(|line| line.len() + 1).sum();
    println!("{} bytes of log per READY event", bytes / 10);
    assert!(bytes <= 10 * 200, "{bytes} bytes: {printed:#?}");
}

#[tokio::test]
async fn no_right_is_used_but_to_insert_and_to_read_by_key() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let (url, sent) = recording_proxy(cloud.endpoint_url()).await;
    let processor = processor(&cloud, &[("AWS_ENDPOINT_URL", &url)]);
    let mut changed = envelope("a", "1");
    changed["payload"]["id"] = json!("u-2");
    let messages = [event(1, "a", "1"), message(2, "a", changed), message(3, "b", "[]"), event(4, "c", "1")];
    processor.invoke(&messages).await;
    // Everything exists now, so everything is read back.
    processor.invoke(&messages.map(|message| again(&message))).await;
    cloud.stop().await.unwrap();

    let sent = String::from_utf8_lossy(&sent.lock().unwrap()).to_lowercase();
    let mut actions: Vec<&str> = sent.lines().filter_map(|line| line.strip_prefix("x-amz-target: ")).collect();
    actions.sort_unstable();
    actions.dedup();
    assert_eq!(actions, ["dynamodb_20120810.batchexecutestatement", "dynamodb_20120810.batchgetitem"]);
    let statements: Vec<&str> = sent.split("\"statement\":\"").skip(1).collect();
    // First two claims and four entries; then the claims again, and what has none.
    assert_eq!(statements.len(), 9);
    assert!(statements.iter().all(|statement| statement.starts_with("insert into ")), "{statements:#?}");
}

#[tokio::test]
async fn a_warm_restart_carries_nothing_over() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let processor = processor(&cloud, &[]);
    let flood: Vec<_> = (0..9).map(|n| message(n, "flood", "{")).chain([event(9, "quiet", "1")]).collect();
    assert_eq!(processor.invoke(&flood).await, json!({ "batchItemFailures": [] }));
    // The same process, and only the new message's outcome.
    let before = processor.printed.lock().unwrap().len();
    processor.invoke(&[event(10, "quiet", "2")]).await;
    cloud.stop().await.unwrap();
    let printed = processor.printed.lock().unwrap()[before..].join("\n");
    assert!(printed.contains("\"messages\":1,\"ready\":1,\"failed\":0"), "{printed}");
    assert!(!printed.contains("INVALID"), "{printed}");
}

#[tokio::test]
async fn each_line_about_a_message_names_its_event_and_its_place_in_the_queue() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let processor = processor(&cloud, &[]);
    let mut invalid = envelope("a", "e-1");
    invalid["payload"] = json!({});
    let first = message(1, "g", invalid);
    processor.invoke(&[first.clone(), event(2, "b", "e-2"), event(3, "b", "e-2")]).await;
    processor.invoke(&[again(&first)]).await;
    cloud.stop().await.unwrap();
    let printed = processor.printed.lock().unwrap();
    for (line, tenant_id, event_id, message_group, of) in [
        ("invalid entry recorded", "a", "e-1", "g", &first),
        ("redelivery acknowledged", "a", "e-1", "g", &first),
        ("duplicate acknowledged", "b", "e-2", "b", &event(3, "b", "e-2")),
    ] {
        let line = printed.iter().find(|printed| printed.contains(line)).unwrap();
        let line: Value = serde_json::from_str(line).unwrap();
        let expected = json!([tenant_id, event_id, message_group, of.sequence_number, of.message_id]);
        let names = ["tenant_id", "event_id", "message_group", "sequence_number", "message_id"];
        assert_eq!(Value::from_iter(names.map(|name| line[name].clone())), expected, "{line}");
    }
}

#[tokio::test]
async fn a_failed_group_is_one_line_and_the_cause_another() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let processor = processor(&cloud, &[("AWS_ENDPOINT_URL", &format!("http://{nobody}"))]);
    processor.invoke(&[event(1, "a", "1"), event(2, "b", "1"), event(3, "a", "2"), event(4, "a", "3")]).await;
    cloud.stop().await.unwrap();
    let printed = processor.printed.lock().unwrap();
    let errors: Vec<Value> = printed
        .iter()
        .filter(|line| line.contains("left to be delivered again"))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told = |error: &Value| ["tenant_id", "event_id", "messages", "code"].map(|name| error[name].clone());
    let expected = [json!(["a", "1", 3, "Dispatch"]), json!(["b", "1", 1, "Dispatch"])];
    assert_eq!(errors.iter().map(|error| json!(told(error))).collect::<Vec<_>>(), expected);
    assert!(printed.iter().any(|line| line.contains("call of AWS failed") && line.contains("Connection refused")));
}

#[tokio::test]
async fn a_warm_up_that_fails_is_logged_and_the_function_serves() {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let processor = processor(&cloud, &[("AWS_ENDPOINT_URL", &format!("http://{nobody}"))]);
    let first = event(1, "a", "1");
    let expected = json!({ "batchItemFailures": [{ "itemIdentifier": first.message_id }] });
    assert_eq!(processor.invoke(&[first]).await, expected);
    cloud.stop().await.unwrap();
    let printed = processor.printed.lock().unwrap().join("\n");
    assert!(printed.contains("warm-up failed") && printed.contains("left to be delivered again"), "{printed}");
}
