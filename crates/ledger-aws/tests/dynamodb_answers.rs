//! What the processor's adapter makes of DynamoDB's answers, at the HTTP client: refused, throttled, ambiguous, partly
//! failed, slow, broken off. The server is a script: one answer per request.

use std::{
    cell::RefCell,
    collections::VecDeque,
    sync::{Arc, Mutex, Once},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use ledger::{
    Attribute, Item,
    ports::{Found, Inserted, Refusal, Table, Tables},
};
use ledger_aws::{DynamoTables, TableNames};

#[derive(Clone)]
enum Answer {
    Json(u16, &'static str),
    /// Nothing for as long as anyone waits.
    Silence,
}

fn names() -> TableNames {
    TableNames { claims: "claims".to_owned(), entries: "entries".to_owned() }
}

#[derive(Clone)]
struct Script {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Script {
    async fn serve(answers: &[Answer]) -> (Self, DynamoTables) {
        let script =
            Self { answers: Arc::new(Mutex::new(answers.iter().cloned().collect())), requests: Arc::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(script.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let sdk_config = ledger_aws::sdk_config_at(&url, "us-east-1");
        (script, DynamoTables::new(&sdk_config, names()))
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn answer(State(script): State<Script>, body: Bytes) -> Response {
    script.requests.lock().unwrap().push(String::from_utf8(body.to_vec()).unwrap());
    let answer = script.answers.lock().unwrap().pop_front().expect("no more requests than answers");
    match answer {
        Answer::Json(status, text) => {
            let status = StatusCode::from_u16(status).unwrap();
            (status, [(CONTENT_TYPE, "application/x-amz-json-1.0")], text).into_response()
        }
        Answer::Silence => std::future::pending().await,
    }
}

const BUDGET_MS: u64 = 10_000;

fn item(pk: &str) -> Item {
    Item::from([("pk".to_owned(), Attribute::S(pk.to_owned()))])
}

fn transient(code: &str) -> Refusal {
    Refusal::Transient { code: code.to_owned().into() }
}

async fn insert(answers: &[Answer], count: usize) -> (Result<Vec<Inserted>, Refusal>, usize) {
    let (script, tables) = Script::serve(answers).await;
    let items = (0..count).map(|n| item(&n.to_string())).collect();
    let answer = tables.insert(Table::Claims, items, BUDGET_MS).await;
    (answer, script.requests().len())
}

#[tokio::test]
async fn each_statement_is_answered_for_itself() {
    let answers = r#"{"Responses": [
        {},
        {"Error": {"Code": "DuplicateItem", "Message": "m"}},
        {"Error": {"Code": "ValidationError", "Message": "m"}},
        {"Error": {"Code": "ItemCollectionSizeLimitExceeded", "Message": "m"}},
        {"Error": {"Code": "ThrottlingError", "Message": "m"}},
        {"Error": {"Code": "ProvisionedThroughputExceeded", "Message": "m"}},
        {"Error": {"Code": "InternalServerError", "Message": "m"}},
        {"Error": {"Code": "ConditionalCheckFailed", "Message": "m"}},
        {"Error": {"Code": "NotInventedYet", "Message": "m"}},
        {"Error": {"Message": "m"}}
    ]}"#;
    let (inserted, requests) = insert(&[Answer::Json(200, answers)], 10).await;
    let refused = Inserted::Refused;
    let expected = [
        Inserted::Done,
        Inserted::Exists,
        refused(Refusal::Content),
        refused(transient("ItemCollectionSizeLimitExceeded")),
        refused(transient("ThrottlingError")),
        refused(transient("ProvisionedThroughputExceeded")),
        refused(transient("InternalServerError")),
        refused(transient("ConditionalCheckFailed")),
        refused(transient("NotInventedYet")),
        refused(transient("NoCode")),
    ];
    assert_eq!(inserted.unwrap(), expected);
    assert_eq!(requests, 1, "the SDK sends no statement again");
}

#[tokio::test]
async fn an_answer_for_fewer_statements_than_were_sent_says_nothing_of_any() {
    let (inserted, _) = insert(&[Answer::Json(200, r#"{"Responses": [{}]}"#)], 2).await;
    assert_eq!(inserted, Err(transient("IncompleteAnswer")));
}

#[tokio::test]
async fn a_request_at_fault_is_told_from_one_refused_for_the_moment() {
    for (status, error, expected, requests) in [
        (400, r#"{"__type": "com.amazon.coral.validate#ValidationException"}"#, Refusal::Content, 1),
        (400, r#"{"__type": "com.amazon.coral.service#SerializationException"}"#, Refusal::Content, 1),
        (400, r#"{"__type": "com.amazon.coral.service#AccessDeniedException"}"#, transient("AccessDeniedException"), 1),
        (400, r#"{"__type": "c#ResourceNotFoundException"}"#, transient("ResourceNotFoundException"), 1),
        // These the SDK tries a second time.
        (400, r#"{"__type": "c#ThrottlingException"}"#, transient("ThrottlingException"), 2),
        (500, r#"{"__type": "c#InternalServerError"}"#, transient("InternalServerError"), 2),
        (503, "not json", transient("NoCode"), 2),
    ] {
        let answers = vec![Answer::Json(status, error); requests];
        assert_eq!(insert(&answers, 1).await, (Err(expected), requests), "{error}");
    }
}

thread_local! {
    /// What this thread has logged: a test runs on one.
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

struct Log;

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.with_borrow_mut(|log| log.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What the calls of a test log. The subscriber is everybody's: with one of its own a test would miss the lines whose
/// first use falls into a test that has none.
async fn logged(calls: impl Future) -> Vec<String> {
    static SUBSCRIBER: Once = Once::new();
    SUBSCRIBER.call_once(|| tracing_subscriber::fmt().with_ansi(false).without_time().with_writer(|| Log).init());
    LOG.take();
    calls.await;
    let text = String::from_utf8(LOG.take()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_failed_call_logs_the_words_of_aws_once_and_none_that_quote_values() {
    let denied =
        r#"{"__type": "c#AccessDeniedException", "message": "User x may not perform: dynamodb:PartiQLInsert"}"#;
    let invalid = r#"{"__type": "c#ValidationException", "message": "not a number: xyzzy"}"#;
    let statements = r#"{"Responses": [
        {"Error": {"Code": "ValidationError", "Message": "not a number: xyzzy"}},
        {"Error": {"Code": "AccessDenied", "Message": "User x may not perform: dynamodb:PartiQLInsert"}},
        {"Error": {"Code": "AccessDenied", "Message": "User x may not perform: dynamodb:PartiQLInsert"}},
        {"Error": {"Code": "DuplicateItem", "Message": "m"}}
    ]}"#;
    for (status, answer, count, expected) in [
        (
            400,
            denied,
            1,
            &["WARN", "BatchExecuteStatementError", "AccessDeniedException", "dynamodb:PartiQLInsert"][..],
        ),
        (400, invalid, 1, &["ValidationException"]),
        (200, statements, 4, &["refused=3", "AccessDenied", "ValidationError", "dynamodb:PartiQLInsert"]),
    ] {
        let lines = logged(insert(&[Answer::Json(status, answer)], count)).await;
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(expected.iter().all(|part| lines[0].contains(part)) && !lines[0].contains("xyzzy"), "{lines:#?}");
    }
    let duplicate = r#"{"Responses": [{"Error": {"Code": "DuplicateItem"}}]}"#;
    assert_eq!(logged(insert(&[Answer::Json(200, duplicate)], 1)).await, [""; 0]);
}

#[tokio::test]
async fn a_second_attempt_of_the_sdk_can_find_the_first_one_done() {
    // The first attempt was applied and its answer lost: the second finds the item.
    let duplicate = r#"{"Responses": [{"Error": {"Code": "DuplicateItem"}}]}"#;
    let (inserted, requests) = insert(&[Answer::Json(500, "{}"), Answer::Json(200, duplicate)], 1).await;
    assert_eq!((inserted, requests), (Ok(vec![Inserted::Exists]), 2));
}

#[tokio::test]
async fn silence_ends_with_the_budget() {
    let (_, tables) = Script::serve(&[Answer::Silence, Answer::Silence]).await;
    let call = tables.insert(Table::Claims, vec![item("1")], 200);
    let answer = tokio::time::timeout(Duration::from_secs(5), call).await.expect("an answer");
    assert_eq!(answer, Err(transient("Deadline")));
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_a_transient_refusal() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let sdk_config = ledger_aws::sdk_config_at(&url, "us-east-1");
    let tables = DynamoTables::new(&sdk_config, names());
    let lines = logged(async {
        let answer = tables.insert(Table::Claims, vec![item("1")], BUDGET_MS).await;
        assert_eq!(answer, Err(transient("Dispatch")));
    });
    let lines = lines.await;
    assert!(lines.len() == 1 && lines[0].contains("Connection refused"), "{lines:#?}");
}

#[tokio::test]
async fn reads_are_consistent_and_answered_in_the_order_of_the_keys() {
    let answer = r#"{
        "Responses": {"claims": [{"pk": {"S": "3"}, "n": {"N": "1.50"}}, {"pk": {"S": "1"}}]},
        "UnprocessedKeys": {"claims": {"Keys": [{"pk": {"S": "2"}}]}}
    }"#;
    let (script, tables) = Script::serve(&[Answer::Json(200, answer)]).await;
    let keys = ["1", "2", "3", "4"].map(item).to_vec();
    let found = tables.read(Table::Claims, keys, BUDGET_MS).await.unwrap();
    let mut third = item("3");
    third.insert("n".to_owned(), Attribute::N("1.5".to_owned()));
    assert_eq!(found, [Found::Item(item("1")), Found::Unprocessed, Found::Item(third), Found::Absent]);
    assert!(script.requests()[0].contains("\"ConsistentRead\":true"));
}

#[tokio::test]
async fn inserts_are_partiql_with_every_value_as_a_parameter() {
    let (script, tables) = Script::serve(&[Answer::Json(200, r#"{"Responses": [{}]}"#)]).await;
    tables.insert(Table::Entries, vec![item("'}; hostile")], BUDGET_MS).await.unwrap();
    let request = script.requests().remove(0);
    assert!(request.contains(r#""Statement":"INSERT INTO \"entries\" VALUE {'pk':?}""#), "{request}");
    assert!(request.contains(r#""Parameters":[{"S":"'}; hostile"}]"#), "{request}");
}
