//! The rules of the queue mapping as claims.

use serde_json::{Value, json};

use super::*;
use crate::Account;
use crate::admission::{LookedUp, MappingSettings, REPORT_BATCH_ITEM_FAILURES, ScalingConfig};
use crate::attribute::{AttributeValue, MessageAttribute, MessageAttributes};
use crate::sqs::{QueueAttributes, SendRequest, Sqs};

const NOW: u64 = 1_800_000_000_000;
const SECOND: u64 = 1_000;
const QUEUE: &str = "events.fifo";

fn sqs() -> Sqs {
    let mut sqs = Sqs::new(Account::default());
    let attributes = [("FifoQueue", "true"), ("ContentBasedDeduplication", "true"), ("VisibilityTimeout", "90")];
    let attributes: QueueAttributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    sqs.create_queue(NOW, QUEUE, &attributes).unwrap();
    sqs
}

fn send(sqs: &mut Sqs, group: &str, body: &str) -> String {
    let request =
        SendRequest { body: body.to_owned(), message_group_id: Some(group.to_owned()), ..SendRequest::default() };
    sqs.send(NOW, QUEUE, request).unwrap().message_id
}

fn config() -> MappingSettings {
    MappingSettings {
        event_source_arn: Sqs::new(Account::default()).arn(QUEUE),
        function_name: "processor".to_owned(),
        scaling_config: concurrency(4),
        function_response_types: vec![REPORT_BATCH_ITEM_FAILURES.to_owned()],
        looked_up: timeout(15),
        ..MappingSettings::default()
    }
}

fn concurrency(maximum: i64) -> ScalingConfig {
    ScalingConfig { maximum_concurrency: Some(maximum) }
}

fn timeout(seconds: i64) -> LookedUp {
    LookedUp { function_timeout_seconds: Some(seconds), ..LookedUp::default() }
}

fn mapping() -> QueueMapping {
    QueueMapping::new(config(), &sqs()).unwrap()
}

fn bodies(invocation: &QueueInvocation) -> Vec<&str> {
    invocation.messages.iter().map(|message| message.body.as_str()).collect()
}

/// Runs one batch of three messages to its end and returns what became of them.
fn completion_of(function_response_types: Vec<String>, outcome: impl Fn(&[String]) -> Outcome) -> QueueCompletion {
    let mut sqs = sqs();
    let ids: Vec<String> = ["a", "b", "c"].iter().map(|body| send(&mut sqs, "g", body)).collect();
    let mut mapping = QueueMapping::new(MappingSettings { function_response_types, ..config() }, &sqs).unwrap();
    let invocation = mapping.poll(NOW, &mut sqs).unwrap().remove(0);
    mapping.complete(NOW, &mut sqs, invocation.id, &outcome(&ids)).unwrap()
}

fn deleted_after(response: Value) -> usize {
    completion_of(config().function_response_types, |_| Outcome::Succeeded(Some(response.clone()))).deleted.len()
}

#[test]
fn an_event_has_the_members_lambda_gives_it() {
    let mut sqs = sqs();
    let binary = MessageAttribute { data_type: "Binary".to_owned(), value: AttributeValue::Binary(b"fo".to_vec()) };
    let request = SendRequest {
        body: "x".to_owned(),
        message_group_id: Some("g".to_owned()),
        message_attributes: MessageAttributes::from([
            ("text".to_owned(), MessageAttribute::string("v")),
            ("bytes".to_owned(), binary),
        ]),
        ..SendRequest::default()
    };
    let sent = sqs.send(NOW, QUEUE, request).unwrap();
    let invocation = mapping().poll(NOW + SECOND, &mut sqs).unwrap().remove(0);
    let mut record = invocation.event()["Records"][0].clone();
    let receipt_handle = record["receiptHandle"].take();
    assert!(receipt_handle.is_string());
    assert_eq!(
        record,
        json!({
            "messageId": sent.message_id,
            "receiptHandle": null,
            "body": "x",
            "attributes": {
                "ApproximateReceiveCount": "1",
                "SentTimestamp": NOW.to_string(),
                "SequenceNumber": sent.sequence_number,
                "MessageGroupId": "g",
                "SenderId": record["attributes"]["SenderId"],
                "MessageDeduplicationId": record["attributes"]["MessageDeduplicationId"],
                "ApproximateFirstReceiveTimestamp": (NOW + SECOND).to_string(),
            },
            "messageAttributes": {
                "text": {
                    "stringValue": "v", "stringListValues": [], "binaryListValues": [], "dataType": "String",
                },
                "bytes": {
                    "binaryValue": "Zm8=", "stringListValues": [], "binaryListValues": [], "dataType": "Binary",
                },
            },
            "md5OfBody": sent.md5_of_body,
            "md5OfMessageAttributes": sent.md5_of_message_attributes,
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:events.fifo",
            "awsRegion": "us-east-1",
        })
    );
}

#[test]
fn a_batch_mixes_groups_and_a_group_is_in_one_invocation_at_a_time() {
    let mut sqs = sqs();
    for (group, body) in [("g", "g1"), ("h", "h1"), ("g", "g2")] {
        send(&mut sqs, group, body);
    }
    let mut mapping = mapping();
    let first = mapping.poll(NOW, &mut sqs).unwrap();
    assert_eq!(bodies(&first[0]), ["g1", "g2", "h1"]);
    send(&mut sqs, "g", "g3");
    send(&mut sqs, "i", "i1");
    let second = mapping.poll(NOW, &mut sqs).unwrap();
    assert_eq!(second.iter().map(bodies).collect::<Vec<_>>(), [["i1"]]);
}

#[test]
fn no_more_invocations_run_than_the_concurrency_allows() {
    let mut sqs = sqs();
    for number in 0..6 {
        send(&mut sqs, &format!("g{number}"), &number.to_string());
    }
    let config = MappingSettings { batch_size: Some(1), scaling_config: concurrency(2), ..config() };
    let mut mapping = QueueMapping::new(config, &sqs).unwrap();
    let running = mapping.poll(NOW, &mut sqs).unwrap();
    assert_eq!(running.len(), 2);
    assert_eq!(mapping.poll(NOW, &mut sqs).unwrap(), []);
    assert_eq!(mapping.next_event_ms(&sqs), None, "nothing to do before a completion");
    mapping.complete(NOW, &mut sqs, running[0].id, &Outcome::Succeeded(None)).unwrap();
    assert_eq!(mapping.poll(NOW, &mut sqs).unwrap().len(), 1);
}

// Lambda developer guide, "Handling errors for an SQS event source": success and failure conditions.
#[test]
fn an_empty_response_is_success() {
    for response in [
        Value::Null,
        json!({}),
        json!({ "other": 1 }),
        json!({ "batchItemFailures": null }),
        json!({ "batchItemFailures": [] }),
        // Both against the guide, as recorded.
        json!([]),
        json!({ "batchItemFailures": [{}] }),
    ] {
        assert_eq!(deleted_after(response.clone()), 3, "{response}");
    }
    assert_eq!(completion_of(config().function_response_types, |_| Outcome::Succeeded(None)).deleted.len(), 3);
}

#[test]
fn a_malformed_response_fails_the_whole_batch() {
    for response in [
        json!("text"),
        json!(1),
        json!({ "batchItemFailures": "x" }),
        json!({ "batchItemFailures": ["x"] }),
        json!({ "batchItemFailures": [{ "itemIdentifier": null }] }),
        json!({ "batchItemFailures": [{ "itemIdentifier": "" }] }),
        json!({ "batchItemFailures": [{ "itemIdentifier": 7 }] }),
        json!({ "batchItemFailures": [{ "itemidentifier": "x" }] }),
        json!({ "batchItemFailures": [{ "itemIdentifier": "not-in-this-batch" }] }),
    ] {
        assert_eq!(deleted_after(response.clone()), 0, "{response}");
    }
}

#[test]
fn one_bad_identifier_fails_the_messages_the_function_did_not_name_too() {
    let completion = completion_of(config().function_response_types, |ids| {
        Outcome::Succeeded(Some(json!({
            "batchItemFailures": [{ "itemIdentifier": ids[2] }, { "itemIdentifier": "" }],
        })))
    });
    assert_eq!(completion.deleted.len(), 0);
}

#[test]
fn only_the_messages_not_named_are_deleted() {
    let mut sqs = sqs();
    let ids: Vec<String> = ["a", "b", "c"].iter().map(|body| send(&mut sqs, "g", body)).collect();
    let mut mapping = mapping();
    let invocation = mapping.poll(NOW, &mut sqs).unwrap().remove(0);
    let response = json!({ "batchItemFailures": [{ "itemIdentifier": ids[1] }, { "itemIdentifier": ids[2] }] });
    let outcome = Outcome::Succeeded(Some(response));
    let completion = mapping.complete(NOW + SECOND, &mut sqs, invocation.id, &outcome).unwrap();
    assert_eq!(completion.deleted, ids[..1]);
    assert_eq!(completion.returned, ids[1..]);
    assert_eq!(mapping.poll(NOW + 90 * SECOND - 1, &mut sqs).unwrap(), [], "the visibility timeout goes on");
    assert_eq!(mapping.next_event_ms(&sqs), Some(NOW + 90 * SECOND));
    let again = mapping.poll(NOW + 90 * SECOND, &mut sqs).unwrap();
    assert_eq!(bodies(&again[0]), ["b", "c"]);
    assert_eq!(again[0].event()["Records"][0]["attributes"]["ApproximateReceiveCount"], "2");
}

#[test]
fn an_error_or_a_timeout_returns_the_whole_batch() {
    for outcome in [Outcome::FunctionError, Outcome::TimedOut] {
        let completion = completion_of(config().function_response_types, |_| outcome.clone());
        assert_eq!((completion.deleted.len(), completion.returned.len()), (0, 3));
    }
}

#[test]
fn a_success_after_the_visibility_timeout_deletes_nothing() {
    let mut sqs = sqs();
    send(&mut sqs, "g", "x");
    let mut mapping = mapping();
    let invocation = mapping.poll(NOW, &mut sqs).unwrap().remove(0);
    let late = NOW + 90 * SECOND;
    let completion = mapping.complete(late, &mut sqs, invocation.id, &Outcome::Succeeded(None)).unwrap();
    assert_eq!(completion.deleted.len(), 0);
    assert_eq!(mapping.poll(late, &mut sqs).unwrap().len(), 1);
}

/// Fails one invocation and returns how many may run afterwards.
fn concurrency_after(function_response_types: Vec<String>, outcome: &Outcome) -> usize {
    let mut sqs = sqs();
    for number in 0..9 {
        send(&mut sqs, &format!("g{number}"), &number.to_string());
    }
    let config = MappingSettings { batch_size: Some(1), function_response_types, ..config() };
    let mut mapping = QueueMapping::new(config, &sqs).unwrap();
    for invocation in mapping.poll(NOW, &mut sqs).unwrap().split_off(1) {
        mapping.complete(NOW, &mut sqs, invocation.id, &Outcome::Succeeded(None)).unwrap();
    }
    mapping.complete(NOW, &mut sqs, 1, outcome).unwrap();
    mapping.poll(NOW, &mut sqs).unwrap();
    mapping.in_flight()
}

// Lambda developer guide: with ReportBatchItemFailures Lambda does not scale polling down on errors.
#[test]
fn errors_back_off_unless_failures_are_reported_and_throttling_always_does() {
    assert_eq!(concurrency_after(Vec::new(), &Outcome::FunctionError), 2);
    assert_eq!(concurrency_after(config().function_response_types, &Outcome::FunctionError), 4);
    assert_eq!(concurrency_after(config().function_response_types, &Outcome::Throttled), 2);
}

#[test]
fn a_throttled_batch_is_retried_while_the_function_fits_into_the_visibility_timeout() {
    let mut sqs = sqs();
    send(&mut sqs, "g", "x");
    let mut mapping = mapping();
    let mut now_ms = NOW;
    let mut attempts = Vec::new();
    loop {
        let invocation = mapping.poll(now_ms, &mut sqs).unwrap().remove(0);
        attempts.push((now_ms - NOW, invocation.attempt));
        let completion = mapping.complete(now_ms, &mut sqs, invocation.id, &Outcome::Throttled).unwrap();
        if !completion.will_retry {
            break;
        }
        now_ms = mapping.next_event_ms(&sqs).unwrap();
    }
    let seconds: Vec<(u64, u32)> = attempts.iter().map(|(ms, attempt)| (ms / SECOND, *attempt)).collect();
    assert_eq!(seconds, [(0, 1), (3, 2), (10, 3), (24, 4), (52, 5)]);
    let again = mapping.poll(NOW + 90 * SECOND, &mut sqs).unwrap().remove(0);
    assert_eq!(again.attempt, 1);
    assert_eq!(again.event()["Records"][0]["attributes"]["ApproximateReceiveCount"], "2");
}

#[test]
fn an_invocation_is_completed_once() {
    let mut sqs = sqs();
    send(&mut sqs, "g", "x");
    let mut mapping = mapping();
    let id = mapping.poll(NOW, &mut sqs).unwrap()[0].id;
    mapping.complete(NOW, &mut sqs, id, &Outcome::Throttled).unwrap();
    let waiting = mapping.complete(NOW, &mut sqs, id, &Outcome::Succeeded(None));
    assert_eq!(waiting, Err(MappingError::UnknownInvocation { id }));
    assert_eq!(mapping.in_flight(), 1, "the throttled batch still waits");
}

#[test]
fn forgotten_invocations_come_back_by_their_visibility_timeout() {
    let mut sqs = sqs();
    send(&mut sqs, "g", "x");
    let mut mapping = mapping();
    mapping.poll(NOW, &mut sqs).unwrap();
    mapping.forget_invocations();
    assert_eq!(mapping.poll(NOW, &mut sqs).unwrap(), []);
    assert_eq!(mapping.poll(NOW + 90 * SECOND, &mut sqs).unwrap().len(), 1);
}

#[test]
fn a_mapping_that_aws_refuses_cannot_be_made() {
    let sqs = sqs();
    let refused = |config| match QueueMapping::new(config, &sqs).unwrap_err() {
        MappingError::Refused(refusal) => refusal.parameter,
        other => panic!("{other}"),
    };
    assert_eq!(refused(MappingSettings { batch_size: Some(0), ..config() }), "BatchSize");
    assert_eq!(refused(MappingSettings { batch_size: Some(11), ..config() }), "BatchSize");
    assert_eq!(refused(MappingSettings { scaling_config: concurrency(1), ..config() }), "ScalingConfig");
    assert_eq!(refused(MappingSettings { scaling_config: concurrency(1_001), ..config() }), "ScalingConfig");
    assert_eq!(refused(MappingSettings { looked_up: timeout(91), ..config() }), "FunctionName");
    assert!(QueueMapping::new(MappingSettings { looked_up: timeout(90), ..config() }, &sqs).is_ok());
    let nowhere = MappingSettings { event_source_arn: sqs.arn("nowhere.fifo"), ..config() };
    assert_eq!(refused(nowhere), "EventSourceArn");
}
