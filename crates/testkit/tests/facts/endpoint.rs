//! Puts a fact to the local cloud's endpoint: `given.steps` are calls as the AWS CLI would make them, on a cloud of
//! their own.
//!
//! A step is `{"<service>": "<Operation>", "with": <input>, "as": "<name of the answer>"}`; an input that is a list is
//! as many calls, and one with `"meanwhile": true` goes on beside the steps that follow, to the end at the latest.
//! `{"wait": <seconds>}` moves the clock ahead, `{"pause": <seconds>}` lets real time go by, `{"stream": <ARN>, "as":
//! <name>}` reads a stream's records as Lambda sees them. `given.queue` holds the attributes of a queue that calls of SQS
//! go to where they name none. What stands in templates may stand in inputs, over the answers so far.
//!
//! An answer holds the members of the body beside `status` and, for a refusal, `code` (the shape's name alone),
//! `query_code` and `message`.

use std::time::Duration;

use axum::{
    body::{Body, to_bytes},
    http::Request,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use local::{Cloud, Options};
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use crate::filled_in;

/// Takes the steps and returns their answers by name.
pub(crate) async fn answers(given: &Value) -> Value {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let caller =
        Caller { url: cloud.endpoint_url().to_owned(), client: Client::builder(TokioExecutor::new()).build_http() };
    let mut answers = json!({});
    if let Some(attributes) = given.get("queue") {
        let is_fifo = attributes["FifoQueue"].as_str().is_some_and(|flag| flag.eq_ignore_ascii_case("true"));
        let name = if is_fifo { "q.fifo" } else { "q" };
        answers["queue"] =
            caller.call("sqs", "CreateQueue", json!({"QueueName": name, "Attributes": attributes})).await;
    }
    let mut meanwhile = JoinSet::new();
    for step in given["steps"].as_array().expect("given.steps is a list") {
        if let Some(seconds) = step.get("wait") {
            cloud.services().shared.advance_ms((seconds.as_f64().expect("seconds") * 1_000.0) as u64);
            continue;
        }
        if let Some(seconds) = step.get("pause") {
            tokio::time::sleep(Duration::from_secs_f64(seconds.as_f64().expect("seconds"))).await;
            continue;
        }
        while let Some(ended) = meanwhile.try_join_next() {
            keep(&mut answers, ended.unwrap());
        }
        if let Some(stream_arn) = step.get("stream") {
            let stream_arn = filled_in(stream_arn, &answers);
            let stream_arn = stream_arn.as_str().unwrap_or_else(|| panic!("no stream for {step}: {answers}"));
            let records = cloud.services().dynamodb.stream_records(stream_arn, None).unwrap();
            keep(
                &mut answers,
                (step["as"].as_str().map(str::to_owned), records.into_iter().map(|record| record.record).collect()),
            );
            continue;
        }
        let input = filled_in(step.get("with").unwrap_or(&Value::Null), &answers);
        let queue_url = answers["queue"]["QueueUrl"].clone();
        let taken = take(caller.clone(), step.clone(), input, queue_url);
        if step["meanwhile"] == true {
            meanwhile.spawn(taken);
        } else {
            keep(&mut answers, taken.await);
        }
    }
    for ended in meanwhile.join_all().await {
        keep(&mut answers, ended);
    }
    answers
}

/// Takes a step and returns its name with its answer.
async fn take(caller: Caller, step: Value, input: Value, queue_url: Value) -> (Option<String>, Value) {
    let is_call = |(name, _): &(&String, &Value)| !["with", "as", "meanwhile"].contains(&name.as_str());
    let call = step.as_object().expect("a step is an object").iter().find(is_call);
    let (service, operation) = call.unwrap_or_else(|| panic!("no service in {step}"));
    let call = async |mut input: Value| {
        if service == "sqs"
            && queue_url.is_string()
            && input.get("QueueUrl").is_none()
            && input.get("QueueName").is_none()
        {
            input["QueueUrl"] = queue_url.clone();
        }
        caller.call(service, operation.as_str().expect("an operation"), input).await
    };
    let answer = match input {
        Value::Array(inputs) => {
            let mut answers = Vec::new();
            for input in inputs {
                answers.push(call(input).await);
            }
            Value::Array(answers)
        }
        Value::Null => call(json!({})).await,
        input => call(input).await,
    };
    (step["as"].as_str().map(str::to_owned), answer)
}

fn keep(answers: &mut Value, (name, answer): (Option<String>, Value)) {
    if let Some(name) = name {
        answers[name] = answer;
    }
}

#[derive(Clone)]
struct Caller {
    url: String,
    client: Client<HttpConnector, Body>,
}

impl Caller {
    async fn call(&self, service: &str, operation: &str, input: Value) -> Value {
        let target = match service {
            "sqs" => format!("AmazonSQS.{operation}"),
            "dynamodb" => format!("DynamoDB_20120810.{operation}"),
            "dynamodbstreams" => format!("DynamoDBStreams_20120810.{operation}"),
            "cloudwatch" => format!("GraniteServiceVersion20100801.{operation}"),
            other => panic!("no way to call {other}"),
        };
        let request = Request::post(&self.url)
            .header("x-amz-target", target)
            .header("content-type", "application/x-amz-json-1.0")
            // The embedded database wants to see a signature, which nobody checks.
            .header("authorization", "AWS4-HMAC-SHA256 Credential=local/20261124/us-east-1/any/aws4_request, SignedHeaders=host, Signature=0")
            .header("x-amz-date", "20261124T000000Z")
            .body(Body::from(input.to_string()))
            .unwrap();
        let (head, body) = self.client.request(request).await.unwrap().into_parts();
        let body = to_bytes(Body::new(body), usize::MAX).await.unwrap();
        let mut answer: Map<String, Value> = serde_json::from_slice(&body).unwrap();
        answer.insert("status".to_owned(), json!(head.status.as_u16()));
        if let Some(code) = answer.get("__type").and_then(Value::as_str) {
            let code = json!(code.rsplit('#').next());
            answer.insert("code".to_owned(), code);
        }
        if let Some(query_error) = head.headers.get("x-amzn-query-error") {
            let query_code = query_error.to_str().unwrap().split(';').next();
            answer.insert("query_code".to_owned(), json!(query_code));
        }
        if let Some(message) = answer.remove("Message") {
            answer.entry("message").or_insert(message);
        }
        Value::Object(answer)
    }
}
