//! What AWS's pages say, put to the rules. `testkit` puts the facts that were recorded about mappings to them.

use serde_json::{Value, from_value, json};

use super::*;
use crate::{
    Account,
    sqs::{QueueAttributes, Sqs, SqsError},
};

/// Settings put to AWS, and the answer: `None` where it took them.
struct Case<S> {
    source: &'static str,
    /// Absent where nobody wrote down when, or where the source is a page.
    recorded: Option<&'static str>,
    settings: S,
    refused: Option<Refused>,
}

/// The error's code, and its message where it is recorded.
type Refused = (Code, Option<&'static str>);

const CREATE_MAPPING: &str = "Lambda API reference, CreateEventSourceMapping";
const CREATE_QUEUE: &str = "SQS API reference, CreateQueue";

fn mapping_cases() -> Vec<Case<MappingSettings>> {
    const STREAM: &str = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/1";
    const FIFO: &str = "arn:aws:sqs:us-east-1:000000000000:q.fifo";
    const STANDARD: &str = "arn:aws:sqs:us-east-1:000000000000:q";
    let case = |source_arn: &str, settings: Value, code: Option<Code>| {
        let settings = MappingSettings { event_source_arn: source_arn.to_owned(), ..from_value(settings).unwrap() };
        Case { source: CREATE_MAPPING, recorded: None, settings, refused: code.map(|code| (code, None)) }
    };
    let on_stream = |name: &str, value: Value, code| {
        let mut settings = json!({"StartingPosition": "TRIM_HORIZON"});
        settings[name] = value;
        case(STREAM, settings, code)
    };
    let (invalid, out_of_range) = (Some(InvalidParameterValueException), Some(ValidationException));
    let batch = |size, window| json!({"BatchSize": size, "MaximumBatchingWindowInSeconds": window});
    let concurrency = |most| json!({"ScalingConfig": {"MaximumConcurrency": most}});
    let visibility = |visibility, timeout| {
        let mut case = case(FIFO, json!({"FunctionName": "f"}), None);
        case.settings.looked_up.visibility_timeout_seconds = Some(visibility);
        case.settings.looked_up.function_timeout_seconds = Some(timeout);
        case
    };
    vec![
        on_stream("TumblingWindowInSeconds", json!(900), None),
        on_stream("MaximumRecordAgeInSeconds", json!(604_801), invalid),
        on_stream("BatchSize", json!(10_000), None),
        on_stream("BatchSize", json!(0), out_of_range),
        on_stream("MaximumBatchingWindowInSeconds", json!(300), None),
        on_stream("ParallelizationFactor", json!(10), None),
        on_stream("MaximumRetryAttempts", json!(10_001), out_of_range),
        on_stream("MaximumRetryAttempts", json!(-2), out_of_range),
        on_stream("MaximumRetryAttempts", json!(-1), None),
        on_stream("MaximumRetryAttempts", json!(10_000), None),
        on_stream("StartingPosition", json!("LATEST"), None),
        on_stream("DestinationConfig", json!({"OnFailure": {"Destination": STANDARD}}), None),
        on_stream("FunctionResponseTypes", json!(["ReportEverything"]), out_of_range),
        case(FIFO, json!({"FunctionResponseTypes": ["ReportBatchItemFailures"]}), None),
        case(FIFO, json!({"ParallelizationFactor": 1}), invalid),
        case(FIFO, json!({"StartingPosition": "LATEST"}), invalid),
        case(FIFO, batch(10, 0), None),
        case(STANDARD, batch(10_000, 1), None),
        case(STANDARD, batch(10_001, 1), out_of_range),
        case(STANDARD, batch(10, 301), out_of_range),
        case(FIFO, concurrency(1), out_of_range),
        case(FIFO, concurrency(1_001), out_of_range),
        case(FIFO, concurrency(1_000), None),
        visibility(60, 60),
    ]
}

/// Settings with these attributes, as `CreateQueue` reads them.
fn queue(name_ends_in_fifo: bool, attributes: &[(&str, &str)]) -> Settings {
    let mut settings = Settings { name_ends_in_fifo, ..Settings::default() };
    for (name, value) in attributes {
        settings.set(name, value).unwrap();
    }
    settings
}

fn queue_cases() -> Vec<Case<Settings>> {
    let case = |source, recorded, settings, refused| Case { source, recorded, settings, refused };
    let on_page = |settings, refused| case(CREATE_QUEUE, None, settings, refused);
    let fifo = |attributes: &[(&str, &str)]| queue(true, &[&[("FifoQueue", "true")], attributes].concat());
    let (scope, limit) = (("DeduplicationScope", "messageGroup"), ("FifoThroughputLimit", "perMessageGroupId"));
    let encrypted = |by_sqs| queue(false, &[("KmsMasterKeyId", "k"), ("SqsManagedSseEnabled", by_sqs)]);
    let to_dead_letters = |target: &str, receives_max: u32| {
        json!({ "deadLetterTargetArn": target, "maxReceiveCount": receives_max }).to_string()
    };
    let wrong = |code| Some((code, None));
    let mut cases = vec![
        case("sqs/fifo-suffix-needs-attribute", None, queue(true, &[]), wrong(InvalidParameterValue)),
        on_page(fifo(&[]), None),
        case("sqs/two-kinds-of-encryption-refused", Some("2024-04-30"), encrypted("true"), wrong(InvalidAttributeName)),
        on_page(encrypted("false"), None),
        on_page(queue(false, &[("SqsManagedSseEnabled", "true")]), None),
        case("sqs/fifo-message-group-scope-without-throughput-limit", Some("2024-05-24"), fifo(&[scope]), None),
        on_page(fifo(&[scope, limit]), None),
        on_page(fifo(&[limit]), wrong(InvalidAttributeValue)),
        on_page(fifo(&[("RedrivePolicy", &to_dead_letters("d.fifo", 1))]), None),
        on_page(fifo(&[("RedrivePolicy", &to_dead_letters("d", 1))]), wrong(InvalidParameterValue)),
    ];
    for (name, least, most) in [
        ("VisibilityTimeout", 0, 43_200),
        ("MessageRetentionPeriod", 60, 1_209_600),
        ("DelaySeconds", 0, 900),
        ("MaximumMessageSize", 1_024, 1_048_576),
        ("ReceiveMessageWaitTimeSeconds", 0, 20),
        ("RedrivePolicy", 1, 1_000),
    ] {
        let with = |number: u32| match name {
            "RedrivePolicy" => queue(false, &[(name, &to_dead_letters("d", number))]),
            _ => queue(false, &[(name, &number.to_string())]),
        };
        cases.extend([least, most].map(|admitted| on_page(with(admitted), None)));
        let outside = least.checked_sub(1).into_iter().chain([most + 1]);
        cases.extend(outside.map(|number| on_page(with(number), wrong(InvalidAttributeValue))));
    }
    cases
}

fn answers_are_those_of_aws<S: std::fmt::Debug>(rules: &[Rule<S>], cases: &[Case<S>]) {
    for Case { source, recorded, settings, refused } in cases {
        let of = format!("{source} {recorded:?}: {settings:?}");
        match (check(rules, settings), refused) {
            (Ok(()), None) => {}
            (Err(refusal), Some((code, message))) => {
                assert_eq!(refusal.code, *code, "{of}");
                assert!(message.is_none_or(|message| message == refusal.text), "{of}: {refusal}");
            }
            (answer, _) => panic!("{of}: {answer:?}"),
        }
    }
}

/// Returns the claims of the documented rules that refuse nothing of the cases.
fn idle<S>(rules: &[Rule<S>], cases: &[Case<S>]) -> Vec<&'static str> {
    let refuses = |rule: &Rule<S>| cases.iter().any(|case| (rule.admits)(&case.settings) == Some(false));
    let documented = rules.iter().filter(|rule| matches!(rule.source, Documented(_)));
    documented.filter(|rule| !refuses(rule)).map(|rule| rule.claim).collect()
}

#[test]
fn the_rules_answer_what_aws_answered() {
    answers_are_those_of_aws(MAPPING_RULES, &mapping_cases());
    answers_are_those_of_aws(QUEUE_RULES, &queue_cases());
}

#[test]
fn every_documented_rule_refuses_something() {
    assert_eq!(idle(MAPPING_RULES, &mapping_cases()), Vec::<&str>::new());
    assert_eq!(idle(QUEUE_RULES, &queue_cases()), Vec::<&str>::new());
}

#[test]
fn a_queue_with_two_kinds_of_encryption_cannot_be_made() {
    let attributes = |pairs: &[(&str, &str)]| -> QueueAttributes {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let mut sqs = Sqs::new(Account::default());
    let both = attributes(&[("KmsMasterKeyId", "k"), ("SqsManagedSseEnabled", "true")]);
    let refused = Err(SqsError::InvalidAttributeName { name: "SqsManagedSseEnabled".to_owned() });
    assert_eq!(sqs.create_queue(0, "q", &both), refused);

    // One after the other is fine: the key turns SQS's own encryption off.
    sqs.create_queue(0, "q", &attributes(&[("SqsManagedSseEnabled", "true")])).unwrap();
    sqs.set_queue_attributes(0, "q", &attributes(&[("KmsMasterKeyId", "k")])).unwrap();
    assert_eq!(sqs.queue_attributes(0, "q").unwrap()["SqsManagedSseEnabled"], "false");
    sqs.set_queue_attributes(0, "q", &attributes(&[("KmsMasterKeyId", "")])).unwrap();
    assert_eq!(sqs.queue_attributes(0, "q").unwrap()["SqsManagedSseEnabled"], "true");
}
