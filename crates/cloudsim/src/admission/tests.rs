//! AWS's recorded answers put to the rules. Each case names the observation it comes from and when it was recorded;
//! a case of a rule that is only documented names the page.

use std::collections::BTreeSet;

use serde_json::json;

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

fn stream() -> MappingSettings {
    let starting_position = Some("TRIM_HORIZON".to_owned());
    MappingSettings { starting_position, ..MappingSettings::of(EventSource::Stream) }
}

fn standard() -> MappingSettings {
    MappingSettings::of(EventSource::StandardQueue)
}

fn fifo() -> MappingSettings {
    MappingSettings::of(EventSource::FifoQueue)
}

fn role(actions: &[&str]) -> Option<Vec<String>> {
    Some(actions.iter().map(|action| (*action).to_owned()).collect())
}

fn mapping_cases() -> Vec<Case<MappingSettings>> {
    let invalid = |message| Some((InvalidParameterValueException, message));
    let out_of_range = Some((ValidationException, None));
    let case = |source, recorded, settings, refused| Case { source, recorded, settings, refused };
    let on = |source, settings, refused| case(source, Some("2026-09-17"), settings, refused);
    let undated = |source, settings, refused| case(source, None, settings, refused);
    let on_page = |settings, refused| case(CREATE_MAPPING, None, settings, refused);

    let window = |seconds| MappingSettings { tumbling_window_seconds: Some(seconds), ..stream() };
    let age = |seconds| MappingSettings { record_age_seconds_max: Some(seconds), ..stream() };
    let age_words = Some("MaximumRecordAgeInSeconds must be either -1 (forever) or between 60 and 604800 (inclusive)");
    let position = |position: Option<&str>| MappingSettings {
        starting_position: position.map(str::to_owned),
        ..MappingSettings::of(EventSource::Stream)
    };
    let size = |records| MappingSettings { batch_size: Some(records), ..stream() };
    let gathering = |seconds| MappingSettings { batching_window_seconds: Some(seconds), ..stream() };
    let parallel = |factor| MappingSettings { parallelization_factor: Some(factor), ..stream() };
    let retries = |attempts| MappingSettings { retry_attempts_max: Some(attempts), ..stream() };
    let to = |destination| MappingSettings { on_failure: Some(destination), ..stream() };
    let window_words =
        Some("Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10");
    let batch = |settings, size, seconds| MappingSettings {
        batch_size: Some(size),
        batching_window_seconds: Some(seconds),
        ..settings
    };
    let visibility = |settings, visibility, timeout| MappingSettings {
        visibility_timeout_seconds: Some(visibility),
        function_timeout_seconds: Some(timeout),
        ..settings
    };
    let concurrency = |most| MappingSettings { concurrency_max: Some(most), ..fifo() };
    let responses = |name: &str| MappingSettings { response_types: vec![name.to_owned()], ..fifo() };
    let stream_rights = ["dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:DescribeStream"];
    let queue_rights = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];

    vec![
        on(
            "stream_mapping/stream-tumbling-window-with-filter",
            MappingSettings { filters: 1, parallelization_factor: Some(1), ..window(10) },
            invalid(Some("Tumbling window period should be zero when FilterCriteria is configured")),
        ),
        on("stream_mapping/stream-tumbling-window-with-empty-filter", window(10), None),
        case(
            "stream_mapping/stream-filter-on-event-name-works",
            Some("2025-11-25"),
            MappingSettings { filters: 1, ..stream() },
            None,
        ),
        on(
            "stream_mapping/stream-tumbling-window-with-parallelization",
            MappingSettings { parallelization_factor: Some(10), ..window(1) },
            invalid(Some("Parallelization factor must be equal to 1 when tumbling window period is configured")),
        ),
        on("stream_mapping/stream-tumbling-window-over-900", window(901), out_of_range),
        on_page(window(900), None),
        on("stream_mapping/stream-record-age-range", age(0), invalid(age_words)),
        on("stream_mapping/stream-record-age-range", age(59), invalid(age_words)),
        on_page(age(604_801), invalid(age_words)),
        on("stream_mapping/stream-record-age-range", age(-1), None),
        on("stream_mapping/stream-record-age-range", age(60), None),
        on("stream_mapping/stream-record-age-range", age(604_800), None),
        on("stream_mapping/stream-batch-over-10000", size(10_001), out_of_range),
        on_page(size(10_000), None),
        on_page(size(0), out_of_range),
        on("stream_mapping/stream-batching-window-over-300", gathering(301), out_of_range),
        on_page(gathering(300), None),
        on("stream_mapping/stream-parallelization-over-10", parallel(11), out_of_range),
        on_page(parallel(10), None),
        on_page(retries(10_001), out_of_range),
        on_page(retries(-2), out_of_range),
        on_page(retries(-1), None),
        on_page(retries(10_000), None),
        on(
            "stream_mapping/stream-starting-position-missing",
            position(None),
            invalid(Some(
                "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member \
                 must not be null.",
            )),
        ),
        on("stream_mapping/stream-starting-position-at-timestamp", position(Some("AT_TIMESTAMP")), invalid(None)),
        on_page(position(Some("LATEST")), None),
        on(
            "stream_mapping/stream-scaling-config-refused",
            MappingSettings { concurrency_max: Some(2), ..stream() },
            invalid(Some("Unsupported ScalingConfig parameter for given event source mapping type.")),
        ),
        on_page(MappingSettings { parallelization_factor: Some(1), ..fifo() }, invalid(None)),
        on_page(MappingSettings { starting_position: Some("LATEST".to_owned()), ..fifo() }, invalid(None)),
        on(
            "stream_mapping/stream-on-success-refused",
            MappingSettings { has_on_success: true, ..stream() },
            invalid(None),
        ),
        undated("stream_mapping/stream-fifo-destination-refused", to(Destination::Fifo), invalid(None)),
        on_page(to(Destination::Standard), None),
        on(
            "stream_mapping/stream-needs-source-rights",
            MappingSettings { source_actions: role(&[]), ..stream() },
            invalid(None),
        ),
        undated(
            "stream_mapping/stream-needs-source-rights-without-list-streams",
            MappingSettings { source_actions: role(&stream_rights), ..stream() },
            None,
        ),
        case(
            "sqs_mapping/sqs-mapping-fifo-no-batching-window",
            Some("2026-09-15"),
            batch(fifo(), 10, 1),
            invalid(Some("Batching window is not supported for FIFO queues")),
        ),
        case(
            "sqs_mapping/sqs-mapping-fifo-batch-over-ten",
            Some("2026-09-15"),
            batch(fifo(), 11, 0),
            invalid(window_words),
        ),
        case(
            "sqs_mapping/sqs-mapping-batch-over-ten-needs-window",
            Some("2025-11-25"),
            batch(standard(), 11, 0),
            invalid(window_words),
        ),
        on_page(batch(fifo(), 10, 0), None),
        on_page(batch(standard(), 10_000, 1), None),
        on_page(batch(standard(), 10_001, 1), out_of_range),
        on_page(batch(standard(), 10, 301), out_of_range),
        case("sqs_mapping/sqs-mapping-maximum-concurrency-two-on-fifo", Some("2026-09-15"), concurrency(2), None),
        on_page(concurrency(1), out_of_range),
        on_page(concurrency(1_001), out_of_range),
        on_page(concurrency(1_000), None),
        undated(
            "sqs_mapping/sqs-mapping-concurrency-excludes-provisioned-pollers",
            MappingSettings { has_provisioned_pollers: true, ..concurrency(2) },
            invalid(None),
        ),
        undated(
            "sqs_mapping/sqs-mapping-visibility-at-least-function-timeout",
            visibility(standard(), 30, 60),
            invalid(None),
        ),
        on_page(visibility(fifo(), 60, 60), None),
        case(
            "sqs_mapping/sqs-mapping-destination-config-refused",
            Some("2025-11-27"),
            MappingSettings { on_failure: Some(Destination::Standard), ..standard() },
            invalid(Some("Unsupported DestinationConfig parameter for given event source mapping type.")),
        ),
        undated(
            "sqs_mapping/sqs-mapping-needs-three-queue-rights",
            MappingSettings { source_actions: role(&queue_rights[..2]), ..fifo() },
            invalid(None),
        ),
        on_page(MappingSettings { source_actions: role(&queue_rights), ..fifo() }, None),
        on_page(responses("ReportBatchItemFailures"), None),
        on_page(responses("ReportEverything"), out_of_range),
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

/// Returns the claims of the rules that refuse nothing of the cases.
fn idle<S>(rules: &[Rule<S>], cases: &[Case<S>]) -> Vec<&'static str> {
    let refuses = |rule: &Rule<S>| cases.iter().any(|case| (rule.admits)(&case.settings) == Some(false));
    rules.iter().filter(|rule| !refuses(rule)).map(|rule| rule.claim).collect()
}

#[test]
fn the_rules_answer_what_aws_answered() {
    answers_are_those_of_aws(MAPPING_RULES, &mapping_cases());
    answers_are_those_of_aws(QUEUE_RULES, &queue_cases());
}

#[test]
fn every_rule_refuses_something_and_rests_on_a_case_from_its_source() {
    assert_eq!(idle(MAPPING_RULES, &mapping_cases()), Vec::<&str>::new());
    assert_eq!(idle(QUEUE_RULES, &queue_cases()), Vec::<&str>::new());
    let mut sources: BTreeSet<&str> = mapping_cases().iter().map(|case| case.source).collect();
    sources.extend(queue_cases().iter().map(|case| case.source));
    let rules = MAPPING_RULES.iter().map(|rule| (rule.claim, rule.source));
    for (claim, source) in rules.chain(QUEUE_RULES.iter().map(|rule| (rule.claim, rule.source))) {
        match source {
            Fact(id) => assert!(sources.contains(id), "{claim}: no case of {id}"),
            Documented(page) => assert!(page.contains(", "), "{claim}: {page} names no page"),
        }
    }
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
