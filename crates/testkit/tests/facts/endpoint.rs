//! Puts a fact to the local cloud's endpoint: `given.steps` are calls as the AWS CLI would make them, on a cloud of
//! their own.
//!
//! A step is `{"<service>": "<Operation>", "with": <input>, "as": "<name of the answer>"}`; an input that is a list is
//! as many calls. `{"wait": <seconds>}` moves the clock ahead. `given.queue` holds the attributes of a queue that calls
//! of SQS go to where they name none. In a text, `{{expression}}` stands for what JMESPath finds in the answers so far;
//! `{"$repeat": "x", "times": 3}` is the text `xxx`.
//!
//! An answer holds the members of the body beside `status` and, for a refusal, `code` (the shape's name alone),
//! `query_code` and `message`.

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

use crate::search;

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
    for step in given["steps"].as_array().expect("given.steps is a list") {
        if let Some(seconds) = step.get("wait") {
            cloud.services().shared.advance_ms((seconds.as_f64().expect("seconds") * 1_000.0) as u64);
            continue;
        }
        let input = filled_in(step.get("with").unwrap_or(&Value::Null), &answers);
        let (service, operation) = call_of(step);
        let answer = match input {
            Value::Array(inputs) => {
                let mut answers_of_step = Vec::new();
                for input in inputs {
                    answers_of_step.push(caller.call(service, operation, with_queue(service, input, &answers)).await);
                }
                Value::Array(answers_of_step)
            }
            input => caller.call(service, operation, with_queue(service, input, &answers)).await,
        };
        if let Some(name) = step["as"].as_str() {
            answers[name] = answer;
        }
    }
    answers
}

fn call_of(step: &Value) -> (&str, &str) {
    let call = step
        .as_object()
        .expect("a step is an object")
        .iter()
        .find(|(name, _)| !["with", "as"].contains(&name.as_str()));
    let (service, operation) = call.unwrap_or_else(|| panic!("no service in {step}"));
    (service, operation.as_str().expect("an operation"))
}

fn with_queue(service: &str, mut input: Value, answers: &Value) -> Value {
    if input.is_null() {
        input = json!({});
    }
    let url = &answers["queue"]["QueueUrl"];
    if service == "sqs" && url.is_string() && input.get("QueueUrl").is_none() && input.get("QueueName").is_none() {
        input["QueueUrl"] = url.clone();
    }
    input
}

/// Puts what answers hold into a template.
fn filled_in(template: &Value, answers: &Value) -> Value {
    match template {
        Value::String(text) => match text.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")) {
            Some(expression) if !expression.contains("}}") => search(expression, answers),
            _ => Value::String(replaced(text, answers)),
        },
        Value::Array(items) => items.iter().map(|item| filled_in(item, answers)).collect(),
        Value::Object(members) => match (members.get("$repeat"), members.get("times")) {
            (Some(text), Some(times)) => {
                json!(text.as_str().expect("a text").repeat(times.as_u64().expect("a number") as usize))
            }
            _ => Value::Object(members.iter().map(|(name, value)| (name.clone(), filled_in(value, answers))).collect()),
        },
        other => other.clone(),
    }
}

fn replaced(text: &str, answers: &Value) -> String {
    let Some((before, rest)) = text.split_once("{{") else { return text.to_owned() };
    let (expression, after) = rest.split_once("}}").unwrap_or_else(|| panic!("an open {{{{ in {text}"));
    let found = search(expression, answers);
    format!("{before}{}{}", found.as_str().map_or_else(|| found.to_string(), str::to_owned), replaced(after, answers))
}

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
