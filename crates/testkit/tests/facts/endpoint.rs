//! Puts a fact to the local cloud's endpoint: `given.steps` are calls as the AWS CLI would make them, on a cloud of
//! their own.
//!
//! A step is `{"<service>": "<Operation>", "with": <input>, "as": "<name of the answer>"}`; an input that is a list is
//! as many calls, and one with `"meanwhile": true` goes on beside the steps that follow, to the end at the latest.
//! `{"wait": <seconds>}` moves the clock ahead, `{"pause": <seconds>}` lets real time go by. `{"json": <text>, "as":
//! <name>}` reads a text as JSON, `{"stream": <ARN>, "as": <name>}` a stream's records as Lambda sees them, and
//! `{"expire": true}` deletes the items whose time to live has passed. What stands in templates may stand in inputs, over
//! the answers so far, with the cloud's `now_ms` among them.
//!
//! `given.queue` holds the attributes of a queue that calls of SQS go to where they name none. `given.tables` holds by
//! name the `key` of a table, what its `stream` shows and the key of its `index`. `given.functions` holds what functions
//! do: `{"returns": <text>}`, `{"raises": <report>}`, `{"runs": [<program>, <argument>, …]}`, else echo; and their
//! `timeout` in seconds.
//!
//! An answer holds the members of the body beside `status` and, for a refusal, `code` (the shape's name alone),
//! `type` (the whole of it), `query_code` and `message`. Of a function's answer, `Payload` is the text and `payload`
//! the JSON in it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, Request, request},
};
use ciborium::Value as Cbor;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use local::{
    Cloud, Function, FunctionError, Options,
    lambda::{
        function::Code,
        process::{Binary, Process},
    },
};
use roxmltree::{Document, Node};
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use crate::{Plain, filled_in};

/// Takes the steps and returns their answers by name.
pub(crate) async fn answers(given: &Value) -> Value {
    let cloud = Cloud::start(Options::default()).await.unwrap();
    let caller =
        Caller { url: cloud.endpoint_url().to_owned(), client: Client::builder(TokioExecutor::new()).build_http() };
    let shared = &cloud.services().shared;
    let mut answers = json!({});
    for (name, behaviour) in given["functions"].as_object().into_iter().flatten() {
        let behaviour = filled_in(behaviour, &answers);
        cloud.deploy(function(&cloud.deployment().function_arn(name), name, behaviour));
    }
    if let Some(attributes) = given.get("queue") {
        let is_fifo = attributes["FifoQueue"].as_str().is_some_and(|flag| flag.eq_ignore_ascii_case("true"));
        let name = if is_fifo { "q.fifo" } else { "q" };
        answers["queue"] =
            caller.call("sqs", "CreateQueue", json!({"QueueName": name, "Attributes": attributes})).await;
    }
    for (name, table) in given["tables"].as_object().into_iter().flatten() {
        answers[name] = caller.call("dynamodb", "CreateTable", definition(name, table)).await;
    }
    let mut meanwhile = JoinSet::new();
    for step in given["steps"].as_array().expect("given.steps is a list") {
        if let Some(seconds) = step.get("wait") {
            shared.advance_ms((seconds.as_f64().expect("seconds") * 1_000.0) as u64);
            continue;
        }
        if let Some(seconds) = step.get("pause") {
            tokio::time::sleep(Duration::from_secs_f64(seconds.as_f64().expect("seconds"))).await;
            continue;
        }
        if step.get("expire").is_some() {
            cloud.services().dynamodb.sweep_ttl().await;
            continue;
        }
        while let Some(ended) = meanwhile.try_join_next() {
            keep(&mut answers, ended.unwrap());
        }
        answers["now_ms"] = json!(shared.now_ms());
        let text = |template: &Value| filled_in(template, &answers).as_str().unwrap_or_default().to_owned();
        let read = match (step.get("json"), step.get("stream")) {
            (Some(json), _) => Some(serde_json::from_str(&text(json)).unwrap_or_default()),
            (None, Some(arn)) => {
                let records = cloud.services().dynamodb.stream_records(&text(arn), None).unwrap_or_default();
                Some(records.into_iter().map(|record| record.record).collect())
            }
            (None, None) => None,
        };
        if let Some(read) = read {
            keep(&mut answers, (step["as"].as_str().map(str::to_owned), read));
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

/// The request that makes a table as told.
fn definition(name: &str, table: &Value) -> Value {
    let keys = ["key", "index"].into_iter().filter_map(|key| table.get(key));
    let key_schema = |key: &Value| json!([{"AttributeName": key, "KeyType": "HASH"}]);
    let mut definition = json!({
        "TableName": name,
        "KeySchema": key_schema(&table["key"]),
        "AttributeDefinitions":
            keys.map(|key| json!({"AttributeName": key, "AttributeType": "S"})).collect::<Vec<_>>(),
        "BillingMode": "PAY_PER_REQUEST",
    });
    if let Some(view) = table.get("stream") {
        definition["StreamSpecification"] = json!({"StreamEnabled": true, "StreamViewType": view});
    }
    if let Some(key) = table.get("index") {
        definition["GlobalSecondaryIndexes"] =
            json!([{"IndexName": "idx", "KeySchema": key_schema(key), "Projection": {"ProjectionType": "ALL"}}]);
    }
    definition
}

/// Makes a function that behaves as told.
fn function(arn: &str, name: &str, behaviour: Value) -> Function {
    let timeout = Duration::from_secs(behaviour["timeout"].as_u64().unwrap_or(60));
    if let Some(words) = behaviour["runs"].as_array() {
        let mut words = words.iter().map(|word| word.as_str().expect("a word").to_owned());
        let program = words.next().expect("a program").into();
        let binary = Binary { program, arguments: words.collect(), ..Binary::default() };
        let process = Process::new(binary, arn.to_owned(), Arc::new(|_: &str| {}));
        return Function { name: name.to_owned(), timeout, code: Code::Process(process), environment: BTreeMap::new() };
    }
    Function::in_process(name, timeout, move |invocation| {
        let answer = match (behaviour["returns"].as_str(), behaviour.get("raises")) {
            (Some(text), _) => Ok(text.as_bytes().to_vec()),
            (None, Some(report)) => Err(FunctionError::Reported(report.clone())),
            (None, None) => Ok(invocation.payload),
        };
        async { answer }
    })
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
    /// Calls a service in the protocol it is named with: `cloudwatch` speaks JSON in query mode, as the AWS CLI does.
    async fn call(&self, service: &str, operation: &str, input: Value) -> Value {
        let post = |path: &str| Request::post(format!("{}{path}", self.url));
        let of_target = |target: &str, input: &Value| {
            let request = post("/").header("content-type", "application/x-amz-json-1.0");
            (request.header("x-amz-target", format!("{target}.{operation}")), input.to_string().into())
        };
        let in_query_mode = |request: request::Builder| request.header("x-amzn-query-mode", "true");
        let (request, body): (_, Vec<u8>) = match service {
            "sqs" => of_target("AmazonSQS", &input),
            "dynamodb" => of_target("DynamoDB_20120810", &input),
            "dynamodbstreams" => of_target("DynamoDBStreams_20120810", &input),
            "cloudwatch json" => of_target("GraniteServiceVersion20100801", &input),
            "cloudwatch" => {
                let (request, body) = of_target("GraniteServiceVersion20100801", &input);
                (in_query_mode(request), body)
            }
            "cloudwatch cbor" => {
                let request = post(&format!("/service/GraniteServiceVersion20100801/operation/{operation}"));
                let mut body = Vec::new();
                ciborium::into_writer(&Cbor::serialized(&Plain(&input)).unwrap(), &mut body).unwrap();
                (in_query_mode(request.header("smithy-protocol", "rpc-v2-cbor")), body)
            }
            "sns" => {
                let mut form = vec![("Action".to_owned(), operation.to_owned())];
                form.push(("Version".to_owned(), "2010-03-31".to_owned()));
                to_form("", &input, &mut form);
                let request = post("/").header("content-type", "application/x-www-form-urlencoded");
                (request, form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish().into())
            }
            "lambda" if operation == "ListEventSourceMappings" => {
                (Request::get(format!("{}/2015-03-31/event-source-mappings/", self.url)), Vec::new())
            }
            "lambda" => {
                assert_eq!(operation, "Invoke", "what facts ask of Lambda");
                let name = input["FunctionName"].as_str().expect("a name");
                let kind = input["InvocationType"].as_str().unwrap_or("RequestResponse");
                let request = post(&format!("/2015-03-31/functions/{name}/invocations"));
                (request.header("x-amz-invocation-type", kind), payload(&input["Payload"]))
            }
            other => panic!("no way to call {other}"),
        };
        // The embedded database wants to see a signature, which nobody checks.
        let scope = format!("20261124/us-east-1/{}/aws4_request", service.split(' ').next().unwrap_or_default());
        let signature = format!("AWS4-HMAC-SHA256 Credential=local/{scope}, SignedHeaders=host, Signature=0");
        let request = request.header("authorization", signature).header("x-amz-date", "20261124T000000Z");
        let answer = self.client.request(request.body(Body::from(body)).unwrap()).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = to_bytes(Body::new(body), usize::MAX).await.unwrap();
        let mut answer = match service {
            "sns" => from_xml(&body),
            "cloudwatch cbor" => ciborium::from_reader(body.as_ref()).unwrap(),
            "lambda" if operation == "Invoke" => from_function(&head.headers, &body),
            _ => serde_json::from_slice::<Map<String, Value>>(&body).unwrap(),
        };
        let status = head.status.as_u16();
        answer.insert("status".to_owned(), json!(status));
        if let Some(error_type) = answer.remove("__type") {
            let code = json!(error_type.as_str().and_then(|name| name.rsplit('#').next()));
            answer.insert("code".to_owned(), code);
            answer.insert("type".to_owned(), error_type);
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

/// The bytes of a function's event: a text as it is, a list of bytes, or an object as JSON.
fn payload(payload: &Value) -> Vec<u8> {
    match payload {
        Value::Null => Vec::new(),
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Array(bytes) => bytes.iter().map(|byte| byte.as_u64().expect("a byte") as u8).collect(),
        other => other.to_string().into_bytes(),
    }
}

fn from_function(headers: &HeaderMap, body: &Bytes) -> Map<String, Value> {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap());
    let text = std::str::from_utf8(body).unwrap();
    let payload: Value = serde_json::from_str(text).unwrap_or_default();
    let mut answer = Map::from_iter([("Payload".to_owned(), json!(text)), ("payload".to_owned(), payload.clone())]);
    for (member, name) in [
        ("FunctionError", "x-amz-function-error"),
        ("ExecutedVersion", "x-amz-executed-version"),
        ("code", "x-amzn-errortype"),
    ] {
        answer.extend(header(name).map(|value| (member.to_owned(), json!(value))));
    }
    if answer.contains_key("code") {
        answer.insert("message".to_owned(), payload["Message"].clone());
    }
    answer
}

/// Writes a value as awsQuery does: lists as `name.member.1`, maps as `name.entry.1.key` where `Attributes` is.
fn to_form(name: &str, value: &Value, form: &mut Vec<(String, String)>) {
    match value {
        Value::Null => {}
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                to_form(&format!("{name}.member.{}", index + 1), item, form);
            }
        }
        Value::Object(members) => {
            let names = match name.rsplit('.').next() {
                Some("Attributes") => Some(("key", "value")),
                Some("MessageAttributes") => Some(("Name", "Value")),
                _ => None,
            };
            for (index, (member, value)) in members.iter().enumerate() {
                match names {
                    Some((key_name, value_name)) => {
                        let entry = format!("{name}.entry.{}", index + 1);
                        form.push((format!("{entry}.{key_name}"), member.clone()));
                        to_form(&format!("{entry}.{value_name}"), value, form);
                    }
                    None if name.is_empty() => to_form(member, value, form),
                    None => to_form(&format!("{name}.{member}"), value, form),
                }
            }
        }
        Value::String(text) => form.push((name.to_owned(), text.clone())),
        plain => form.push((name.to_owned(), plain.to_string())),
    }
}

/// Reads what lies within `<…Result>`, or `<Error>` as a refusal.
fn from_xml(body: &Bytes) -> Map<String, Value> {
    let document = Document::parse(std::str::from_utf8(body).unwrap()).unwrap();
    let inner = document.root_element().first_element_child().expect("a result or an error");
    let Value::Object(mut answer) = to_json(inner) else { return Map::new() };
    if let Some(code) = answer.remove("Code") {
        answer.insert("code".to_owned(), code);
    }
    answer
}

fn to_json(node: Node<'_, '_>) -> Value {
    let mut members = node.children().filter(Node::is_element).peekable();
    let text = |node: Node<'_, '_>| node.text().unwrap_or_default().to_owned();
    match members.peek().map(|member| member.tag_name().name()) {
        None => json!(text(node)),
        Some("member") => members.map(to_json).collect(),
        Some("entry") => {
            let pair =
                |entry: Node<'_, '_>| Some((text(entry.first_element_child()?), to_json(entry.last_element_child()?)));
            Value::Object(members.filter_map(pair).collect())
        }
        Some(_) => Value::Object(members.map(|it| (it.tag_name().name().to_owned(), to_json(it))).collect()),
    }
}
