//! What the seeder answers when SQS refuses, or time runs out. The server answers for a queue: it takes the first call and
//! refuses all others.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response as Answer},
};
use lambda_runtime::{Context, LambdaEvent};
use ledger::ports::Clock;
use ledger_aws::SystemClock;
use seeder::{Config, Request, Response, Seeder};
use serde_json::{Value, json};

async fn answer(State(calls): State<Arc<AtomicUsize>>, headers: HeaderMap, body: Bytes) -> Answer {
    if headers["x-amz-target"] == "AmazonSQS.GetQueueUrl" {
        return json!({ "QueueUrl": "http://queue" }).to_string().into_response();
    }
    if calls.fetch_add(1, Ordering::Relaxed) > 0 {
        return (StatusCode::BAD_REQUEST, json!({ "__type": "AccessDeniedException" }).to_string()).into_response();
    }
    let request: Value = serde_json::from_slice(&body).unwrap();
    let taken = |entry: &Value| json!({ "Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": "" });
    let successful: Vec<Value> = request["Entries"].as_array().unwrap().iter().map(taken).collect();
    json!({ "Successful": successful, "Failed": [] }).to_string().into_response()
}

/// Publishes 25 events within `timeout_ms`; the answer, and the calls made.
async fn publish(timeout_ms: u64) -> (Response, usize) {
    let calls = Arc::new(AtomicUsize::new(0));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(calls.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let sdk_config = ledger_aws::sdk_config_at(&url, "us-east-1");
    let seeder = Seeder::new(&sdk_config, Config::from_lookup(|_| None).unwrap());
    let mut context = Context::default();
    context.deadline = SystemClock.now_ms() + timeout_ms;
    let request = Request { count: Some(25), ..Request::default() };
    let response = seeder.handle(LambdaEvent::new(Some(request), context)).await.unwrap();
    (response, calls.load(Ordering::Relaxed))
}

#[tokio::test]
async fn a_call_that_fails_is_reported_beside_what_was_published() {
    let (response, _) = publish(30_000).await;
    assert_eq!((response.published.len(), response.failed.len()), (10, 15));
    assert!(response.failed.iter().all(|failed| failed.code == "AccessDeniedException"));
}

#[tokio::test]
async fn without_time_for_a_call_none_is_made_and_the_rest_is_reported() {
    let (response, calls) = publish(1_000).await;
    assert_eq!((response.published.len(), response.failed.len(), calls), (0, 25, 0));
    assert!(response.failed.iter().all(|failed| failed.code == "Deadline"));
}
