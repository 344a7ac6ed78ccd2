//! The rules of the stream mapping as claims, then a random test of what must hold whatever happens.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::admission::{FilterCriteria, MappingSettings, REPORT_BATCH_ITEM_FAILURES};

/// A multiple of every window length used here.
const NOW: u64 = 1_800_000_000_000;
const SECOND: u64 = 1_000;
const SHARD: &str = "shardId-1";

fn config() -> MappingSettings {
    MappingSettings {
        event_source_arn: "arn:aws:dynamodb:us-east-1:000000000000:table/events/stream/1".to_owned(),
        function_name: "arn:aws:lambda:us-east-1:000000000000:function:projector".to_owned(),
        starting_position: Some("TRIM_HORIZON".to_owned()),
        function_response_types: vec![REPORT_BATCH_ITEM_FAILURES.to_owned()],
        ..MappingSettings::default()
    }
}

fn record_at(number: u64, created_ms: u64) -> StreamRecord {
    StreamRecord {
        sequence_number: number.to_string(),
        event_name: "INSERT".to_owned(),
        created_ms,
        record: json!({ "eventName": "INSERT", "dynamodb": { "SequenceNumber": number.to_string() } }),
    }
}

fn record(number: u64) -> StreamRecord {
    record_at(number, NOW)
}

/// Makes a mapping with one shard that was offered the records.
fn mapping_with(config: MappingSettings, records: Vec<StreamRecord>) -> StreamMapping {
    let mut mapping = StreamMapping::new(config).unwrap();
    mapping.add_shard(SHARD, None);
    mapping.offer(SHARD, records).unwrap();
    mapping
}

fn sequence_numbers(invocation: &StreamInvocation) -> Vec<&str> {
    let records = invocation.event["Records"].as_array().unwrap();
    records.iter().map(|record| record["dynamodb"]["SequenceNumber"].as_str().unwrap()).collect()
}

fn poll_one(mapping: &mut StreamMapping, now_ms: u64) -> StreamInvocation {
    let mut poll = mapping.poll(now_ms);
    assert_eq!(poll.invocations.len(), 1);
    poll.invocations.remove(0)
}

fn failing(ids: &[&str]) -> Outcome {
    let failures: Vec<Value> = ids.iter().map(|id| json!({ "itemIdentifier": id })).collect();
    Outcome::Succeeded(Some(json!({ "state": {}, "batchItemFailures": failures })))
}

fn succeeding() -> Outcome {
    failing(&[])
}

/// Ends the running invocation and returns what is tried next, once its back-off is over.
fn next_after(mapping: &mut StreamMapping, invocation: &StreamInvocation, outcome: &Outcome) -> StreamInvocation {
    mapping.complete(NOW, invocation.id, outcome).unwrap();
    let now_ms = mapping.next_event_ms().unwrap();
    poll_one(mapping, now_ms)
}

#[test]
fn a_plain_event_has_records_and_nothing_else() {
    let mut mapping = mapping_with(config(), vec![record(1)]);
    let invocation = poll_one(&mut mapping, NOW);
    assert_eq!(invocation.event, json!({ "Records": [record(1).record] }));
}

#[test]
fn a_batch_holds_at_most_the_batch_size_and_blocks_its_shard() {
    let mut mapping =
        mapping_with(MappingSettings { batch_size: Some(2), ..config() }, vec![record(1), record(2), record(3)]);
    let first = poll_one(&mut mapping, NOW);
    assert_eq!(sequence_numbers(&first), ["1", "2"]);
    assert_eq!(mapping.poll(NOW), StreamPoll::default());
    mapping.complete(NOW, first.id, &Outcome::Succeeded(None)).unwrap();
    assert_eq!(sequence_numbers(&poll_one(&mut mapping, NOW)), ["3"]);
}

// Lambda quotas: an invocation payload is at most 6 MB.
#[test]
fn a_batch_stays_below_6_mb_and_a_single_record_always_goes() {
    let big = |number| {
        let mut big = record(number);
        big.record["text"] = json!("x".repeat(4 * 1_024 * 1_024));
        big
    };
    let mut mapping = mapping_with(config(), vec![big(1), big(2)]);
    assert_eq!(sequence_numbers(&poll_one(&mut mapping, NOW)), ["1"]);
}

#[test]
fn records_offered_again_are_ignored() {
    let mut mapping = mapping_with(config(), vec![record(9), record(10)]);
    mapping.offer(SHARD, vec![record(9), record(10), record(11)]).unwrap();
    assert_eq!(sequence_numbers(&poll_one(&mut mapping, NOW)), ["9", "10", "11"]);
    assert_eq!(mapping.last_offered(SHARD), Some("11"));
}

#[test]
fn filtered_records_are_skipped_and_passed() {
    let filter_criteria = FilterCriteria::of([r#"{"eventName": ["INSERT"]}"#]);
    let removal = |number| StreamRecord { event_name: "REMOVE".to_owned(), ..record(number) };
    let mut mapping =
        mapping_with(MappingSettings { filter_criteria, ..config() }, vec![removal(1), record(2), removal(3)]);
    let invocation = poll_one(&mut mapping, NOW);
    assert_eq!(sequence_numbers(&invocation), ["2"]);
    mapping.complete(NOW, invocation.id, &succeeding()).unwrap();
    assert!(mapping.is_caught_up());
    mapping.offer(SHARD, vec![removal(4)]).unwrap();
    assert_eq!(mapping.poll(NOW), StreamPoll::default());
    assert!(mapping.is_caught_up());
}

#[test]
fn a_child_shard_waits_for_its_parent_and_shards_run_side_by_side() {
    let mut mapping = mapping_with(config(), vec![record(1)]);
    mapping.add_shard("child", Some(SHARD));
    mapping.add_shard("other", Some("trimmed long ago"));
    mapping.offer("child", vec![record(2)]).unwrap();
    mapping.offer("other", vec![record(3)]).unwrap();
    let first = mapping.poll(NOW).invocations;
    assert_eq!(first.iter().map(sequence_numbers).collect::<Vec<_>>(), [["3"], ["1"]]);
    mapping.complete(NOW, first[1].id, &succeeding()).unwrap();
    assert_eq!(mapping.poll(NOW), StreamPoll::default(), "the parent may still grow");
    mapping.close_shard(SHARD).unwrap();
    assert_eq!(sequence_numbers(&poll_one(&mut mapping, NOW)), ["2"]);
    let closed = mapping.offer(SHARD, vec![record(4)]);
    assert_eq!(closed, Err(MappingError::ClosedShard { shard_id: SHARD.to_owned() }));
}

// Lambda developer guide, "Configuring partial batch response with DynamoDB and Lambda".
#[test]
fn the_lowest_returned_sequence_number_is_where_the_retry_begins() {
    let mut mapping = mapping_with(config(), (8..=12).map(record).collect());
    let first = poll_one(&mut mapping, NOW);
    let second = next_after(&mut mapping, &first, &failing(&["12", "10"]));
    assert_eq!(sequence_numbers(&second), ["10", "11", "12"]);
}

#[test]
fn a_failed_or_malformed_batch_is_retried_whole() {
    for outcome in [
        Outcome::FunctionError,
        Outcome::TimedOut,
        Outcome::Throttled,
        failing(&["1"]),
        failing(&[""]),
        failing(&["7"]),
        failing(&["2", "7"]),
        Outcome::Succeeded(Some(json!({ "batchItemFailures": [{ "itemIdentifier": null }] }))),
        Outcome::Succeeded(Some(json!("text"))),
    ] {
        let mut mapping = mapping_with(config(), vec![record(1), record(2)]);
        let first = poll_one(&mut mapping, NOW);
        let second = next_after(&mut mapping, &first, &outcome);
        assert_eq!(sequence_numbers(&second), ["1", "2"], "{outcome:?}");
    }
}

#[test]
fn retries_back_off_up_to_a_minute() {
    let mut mapping = mapping_with(config(), vec![record(1)]);
    let mut now_ms = NOW;
    let mut waits = Vec::new();
    for _ in 0..8 {
        let invocation = poll_one(&mut mapping, now_ms);
        mapping.complete(now_ms, invocation.id, &Outcome::FunctionError).unwrap();
        let next_ms = mapping.next_event_ms().unwrap();
        assert_eq!(mapping.poll(next_ms - 1), StreamPoll::default());
        waits.push((next_ms - now_ms) / SECOND);
        now_ms = next_ms;
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
}

// Lambda developer guide, "Retain discarded batch records": the example's members.
#[test]
fn exhausted_retries_discard_the_batch_and_announce_it() {
    let limited = MappingSettings { maximum_retry_attempts: Some(1), ..config() };
    let mut mapping = mapping_with(limited, vec![record_at(1, NOW - SECOND), record(2)]);
    let first = poll_one(&mut mapping, NOW);
    let second = next_after(&mut mapping, &first, &Outcome::FunctionError);
    let discarded = mapping.complete(NOW + SECOND, second.id, &Outcome::FunctionError).unwrap().remove(0);
    assert_eq!(discarded.sequence_numbers, ["1", "2"]);
    assert_eq!(
        discarded.message,
        json!({
            "requestContext": {
                "requestId": discarded.message["requestContext"]["requestId"],
                "functionArn": config().function_name,
                "condition": "RetryAttemptsExhausted",
                "approximateInvokeCount": 2,
            },
            "responseContext": {
                "statusCode": 200,
                "executedVersion": "$LATEST",
                "functionError": "Unhandled",
            },
            "version": "1.0",
            "timestamp": "2027-01-15T08:00:01.000Z",
            "DDBStreamBatchInfo": {
                "shardId": SHARD,
                "startSequenceNumber": "1",
                "endSequenceNumber": "2",
                "approximateArrivalOfFirstRecord": "2027-01-15T07:59:59Z",
                "approximateArrivalOfLastRecord": "2027-01-15T08:00:00Z",
                "batchSize": 2,
                "streamArn": config().event_source_arn,
            },
        })
    );
    assert!(mapping.is_caught_up());
}

#[test]
fn a_discarded_batch_is_passed_while_records_behind_it_wait() {
    let limited = MappingSettings { batch_size: Some(1), maximum_retry_attempts: Some(0), ..config() };
    let mut mapping = mapping_with(limited, vec![record(1), record(2)]);
    let first = poll_one(&mut mapping, NOW);
    mapping.complete(NOW, first.id, &Outcome::FunctionError).unwrap();
    assert_eq!(sequence_numbers(&poll_one(&mut mapping, NOW)), ["2"]);
}

#[test]
fn throttling_uses_up_no_retry() {
    let limited = MappingSettings { maximum_retry_attempts: Some(0), ..config() };
    let mut mapping = mapping_with(limited, vec![record(1)]);
    let first = poll_one(&mut mapping, NOW);
    let second = next_after(&mut mapping, &first, &Outcome::Throttled);
    assert_eq!(mapping.complete(NOW, second.id, &Outcome::FunctionError).unwrap().len(), 1);
}

#[test]
fn records_past_the_maximum_age_are_discarded_with_and_without_an_attempt() {
    let limited = MappingSettings { maximum_record_age_in_seconds: Some(60), ..config() };
    let mut mapping = mapping_with(limited.clone(), vec![record(1), record_at(2, NOW + SECOND)]);
    assert_eq!(mapping.poll(NOW + 60 * SECOND).discarded, [], "exactly the maximum is not too old");
    let mut mapping = mapping_with(limited, vec![record(1), record_at(2, NOW + SECOND)]);
    let poll = mapping.poll(NOW + 60 * SECOND + 1);
    assert_eq!(poll.discarded[0].sequence_numbers, ["1"]);
    assert_eq!(poll.discarded[0].message["requestContext"]["condition"], "RecordAgeExceeded");
    assert_eq!(poll.discarded[0].message["requestContext"]["approximateInvokeCount"], 1);
    assert_eq!(poll.discarded[0].message.get("responseContext"), None);
    assert_eq!(sequence_numbers(&poll.invocations[0]), ["2"]);
    mapping.complete(NOW + 61 * SECOND, poll.invocations[0].id, &Outcome::FunctionError).unwrap();
    assert_eq!(mapping.next_event_ms(), Some(NOW + 61 * SECOND + 1), "its age ends before its back-off");
    let poll = mapping.poll(NOW + 61 * SECOND + 1);
    assert_eq!(poll.discarded[0].message["requestContext"]["approximateInvokeCount"], 1);
    assert!(mapping.is_caught_up());
}

#[test]
fn bisection_isolates_the_poison_record_and_uses_up_no_retry() {
    let bisecting =
        MappingSettings { bisect_batch_on_function_error: Some(true), maximum_retry_attempts: Some(0), ..config() };
    let mut mapping = mapping_with(bisecting, (1..=5).map(record).collect());
    let mut now_ms = NOW;
    let mut discarded = Vec::new();
    let mut delivered = Vec::new();
    while !mapping.is_caught_up() {
        let invocation = poll_one(&mut mapping, now_ms);
        let numbers = sequence_numbers(&invocation);
        let outcome = if numbers.contains(&"3") { Outcome::FunctionError } else { Outcome::Succeeded(None) };
        if outcome != Outcome::FunctionError {
            delivered.extend(numbers.iter().map(|number| (*number).to_owned()));
        }
        discarded.extend(mapping.complete(now_ms, invocation.id, &outcome).unwrap());
        now_ms = now_ms.max(mapping.next_event_ms().unwrap_or(now_ms));
    }
    assert_eq!(delivered, ["1", "2", "4", "5"]);
    assert_eq!(discarded.len(), 1);
    assert_eq!(discarded[0].sequence_numbers, ["3"]);
}

fn windowed() -> MappingSettings {
    MappingSettings { tumbling_window_in_seconds: Some(100), ..config() }
}

fn with_state(state: &Value) -> Outcome {
    Outcome::Succeeded(Some(json!({ "state": state })))
}

// Lambda developer guide, "tumbling windows": the members of a time window event.
#[test]
fn a_window_event_carries_window_state_and_shard() {
    let mut mapping = mapping_with(windowed(), vec![record_at(1, NOW + 5 * SECOND)]);
    let invocation = poll_one(&mut mapping, NOW + 5 * SECOND);
    assert_eq!(
        invocation.event,
        json!({
            "Records": [record(1).record],
            "window": { "start": "2027-01-15T08:00:00Z", "end": "2027-01-15T08:01:40Z" },
            "state": {},
            "shardId": SHARD,
            "eventSourceARN": config().event_source_arn,
            "isFinalInvokeForWindow": false,
            "isWindowTerminatedEarly": false,
        })
    );
}

#[test]
fn state_is_carried_to_the_final_invocation_at_the_window_end_and_then_dropped() {
    let mut mapping = mapping_with(windowed(), vec![record(1)]);
    let first = poll_one(&mut mapping, NOW);
    mapping.complete(NOW, first.id, &with_state(&json!({ "n": 1 }))).unwrap();
    mapping.offer(SHARD, vec![record_at(2, NOW + SECOND)]).unwrap();
    let second = poll_one(&mut mapping, NOW + SECOND);
    assert_eq!(second.event["state"], json!({ "n": 1 }));
    mapping.complete(NOW + SECOND, second.id, &with_state(&json!({ "n": 2 }))).unwrap();
    assert!(mapping.is_caught_up());
    assert_eq!(mapping.next_event_ms(), None, "its end alone ends no window");
    assert_eq!(mapping.poll(NOW + 150 * SECOND), StreamPoll::default());
    mapping.offer(SHARD, vec![record_at(3, NOW + 150 * SECOND)]).unwrap();
    let last = poll_one(&mut mapping, NOW + 150 * SECOND);
    assert_eq!(last.event["Records"], json!([]));
    assert_eq!(last.event["state"], json!({ "n": 2 }));
    assert_eq!(last.event["isFinalInvokeForWindow"], true);
    mapping.complete(NOW + 150 * SECOND, last.id, &with_state(&json!({}))).unwrap();
    let third = poll_one(&mut mapping, NOW + 150 * SECOND);
    assert_eq!((sequence_numbers(&third), &third.event["state"]), (vec!["3"], &json!({})));
}

#[test]
fn a_record_of_the_next_window_closes_the_open_one_first() {
    let mut mapping = mapping_with(windowed(), vec![record(1), record_at(2, NOW + 250 * SECOND)]);
    let late = NOW + 300 * SECOND;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let invocation = poll_one(&mut mapping, late);
        let is_final = invocation.event["isFinalInvokeForWindow"].as_bool().unwrap();
        seen.push((sequence_numbers(&invocation).join(","), is_final, invocation.event["window"]["start"].clone()));
        mapping.complete(late, invocation.id, &with_state(&json!({ "old": true }))).unwrap();
    }
    assert_eq!(
        seen,
        [
            ("1".to_owned(), false, json!("2027-01-15T08:00:00Z")),
            (String::new(), true, json!("2027-01-15T08:00:00Z")),
            ("2".to_owned(), false, json!("2027-01-15T08:03:20Z")),
        ]
    );
}

// Lambda developer guide: a response without `state` counts as a failed invocation.
#[test]
fn a_windowed_response_without_state_is_a_failure() {
    for response in [None, Some(json!({})), Some(json!({ "state": null })), Some(json!({ "batchItemFailures": [] }))] {
        let mut mapping = mapping_with(windowed(), vec![record(1)]);
        let first = poll_one(&mut mapping, NOW);
        let second = next_after(&mut mapping, &first, &Outcome::Succeeded(response));
        assert_eq!(sequence_numbers(&second), ["1"]);
    }
}

#[test]
fn a_retried_batch_gets_the_state_from_before_it() {
    let mut mapping = mapping_with(windowed(), vec![record(1)]);
    let first = poll_one(&mut mapping, NOW);
    let failed = Outcome::Succeeded(Some(json!({
        "state": { "n": 1 },
        "batchItemFailures": [{ "itemIdentifier": "1" }],
    })));
    let second = next_after(&mut mapping, &first, &failed);
    assert_eq!(second.event["state"], json!({}));
}

// Lambda developer guide: state is at most 1 MB; aws_lambda_events: then the window goes on afresh.
#[test]
fn too_much_state_ends_the_window_early_and_it_goes_on_with_none() {
    let mut mapping = mapping_with(windowed(), vec![record(1)]);
    let first = poll_one(&mut mapping, NOW);
    let state = json!({ "text": "x".repeat(1_024 * 1_024) });
    mapping.complete(NOW, first.id, &with_state(&state)).unwrap();
    mapping.offer(SHARD, vec![record(2)]).unwrap();
    let early = poll_one(&mut mapping, NOW);
    assert_eq!(early.event["isFinalInvokeForWindow"], true);
    assert_eq!(early.event["isWindowTerminatedEarly"], true);
    mapping.complete(NOW, early.id, &succeeding()).unwrap();
    let next = poll_one(&mut mapping, NOW);
    assert_eq!(sequence_numbers(&next), ["2"]);
    assert_eq!(next.event["state"], json!({}));
    assert_eq!(next.event["window"], first.event["window"]);
}

#[test]
fn a_closed_shard_ends_its_window_before_its_child_starts() {
    let mut mapping = mapping_with(windowed(), vec![record(1)]);
    mapping.add_shard("child", Some(SHARD));
    mapping.offer("child", vec![record(2)]).unwrap();
    mapping.close_shard(SHARD).unwrap();
    let first = poll_one(&mut mapping, NOW);
    mapping.complete(NOW, first.id, &succeeding()).unwrap();
    let last = poll_one(&mut mapping, NOW);
    assert_eq!(last.event["isFinalInvokeForWindow"], true);
    mapping.complete(NOW, last.id, &succeeding()).unwrap();
    assert_eq!(poll_one(&mut mapping, NOW).shard_id, "child");
}

#[test]
fn a_mapping_is_caught_up_once_no_record_waits_runs_or_has_to_be_retried() {
    let mut mapping = mapping_with(config(), vec![record(1), record(2)]);
    assert!(!mapping.is_caught_up(), "records wait");
    let invocation = poll_one(&mut mapping, NOW);
    assert!(!mapping.is_caught_up(), "a batch runs");
    let again = next_after(&mut mapping, &invocation, &failing(&["2"]));
    assert!(!mapping.is_caught_up(), "a record is retried");
    mapping.complete(NOW + SECOND, again.id, &succeeding()).unwrap();
    assert!(mapping.is_caught_up());
}

#[test]
fn a_forgotten_invocation_is_offered_again_after_a_snapshot() {
    let mut mapping = mapping_with(windowed(), vec![record(1)]);
    let lost = poll_one(&mut mapping, NOW);
    let text = serde_json::to_string(&mapping).unwrap();
    let mut restored: StreamMapping = serde_json::from_str(&text).unwrap();
    restored.forget_invocations();
    let again = poll_one(&mut restored, NOW);
    assert_eq!(again.event, lost.event);
    let stale = restored.complete(NOW, lost.id, &succeeding());
    assert_eq!(stale, Err(MappingError::UnknownInvocation { id: lost.id }));
}

#[test]
fn a_mapping_that_aws_refuses_cannot_be_made() {
    let filter_criteria = FilterCriteria::of([r#"{"eventName": ["INSERT"]}"#]);
    for (refused, parameter) in [
        (MappingSettings { batch_size: Some(0), ..config() }, "BatchSize"),
        (MappingSettings { batch_size: Some(10_001), ..config() }, "BatchSize"),
        (MappingSettings { tumbling_window_in_seconds: Some(901), ..config() }, "TumblingWindowInSeconds"),
        (MappingSettings { filter_criteria, ..windowed() }, "TumblingWindowInSeconds"),
        (MappingSettings { maximum_retry_attempts: Some(10_001), ..config() }, "MaximumRetryAttempts"),
        (MappingSettings { maximum_record_age_in_seconds: Some(59), ..config() }, "MaximumRecordAgeInSeconds"),
    ] {
        match StreamMapping::new(refused).unwrap_err() {
            MappingError::Refused(refusal) => assert_eq!(refusal.parameter, parameter),
            other => panic!("{other}"),
        }
    }
    let other = MappingSettings { filter_criteria: FilterCriteria::of([r#"{"eventID": ["1"]}"#]), ..config() };
    assert_eq!(StreamMapping::new(other).unwrap_err(), MappingError::UnknownFilter);
}

#[test]
fn a_tumbling_window_of_no_length_is_a_plain_mapping() {
    let mut mapping =
        mapping_with(MappingSettings { tumbling_window_in_seconds: Some(0), ..config() }, vec![record(1)]);
    assert!(poll_one(&mut mapping, NOW).event.get("window").is_none());
}

// Whatever happens.

#[derive(Debug, Clone)]
enum Ending {
    Success,
    FailFrom(prop::sample::Index),
    UnknownId,
    Malformed,
    Error,
    TimeOut,
    Throttle,
    Lost,
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        3 => Just(Ending::Success),
        3 => any::<prop::sample::Index>().prop_map(Ending::FailFrom),
        1 => Just(Ending::UnknownId),
        1 => Just(Ending::Malformed),
        2 => Just(Ending::Error),
        1 => Just(Ending::TimeOut),
        1 => Just(Ending::Throttle),
        1 => Just(Ending::Lost),
    ]
}

fn any_config() -> impl Strategy<Value = MappingSettings> {
    (
        1..6_i64,
        prop::option::of(Just(100_i64)),
        any::<bool>(),
        any::<bool>(),
        prop::option::of(0..4_i64),
        prop::option::of(60..120_i64),
    )
        .prop_map(|(batch_size, window, report, bisect, attempts, age)| MappingSettings {
            batch_size: Some(batch_size),
            tumbling_window_in_seconds: window,
            function_response_types: if report { config().function_response_types } else { Vec::new() },
            bisect_batch_on_function_error: Some(bisect),
            maximum_retry_attempts: attempts,
            maximum_record_age_in_seconds: age,
            ..config()
        })
}

/// Returns the outcome of an ending, and how many of the records it acknowledges.
fn outcome_of(ending: &Ending, numbers: &[&str], is_reporting: bool) -> (Outcome, usize) {
    match ending {
        Ending::FailFrom(index) if is_reporting && !numbers.is_empty() => {
            let first = index.index(numbers.len());
            (failing(&numbers[first..=first]), first)
        }
        Ending::UnknownId if is_reporting => (failing(&["999"]), 0),
        Ending::Malformed if is_reporting => (Outcome::Succeeded(Some(json!("text"))), 0),
        Ending::Error => (Outcome::FunctionError, 0),
        Ending::TimeOut => (Outcome::TimedOut, 0),
        Ending::Throttle => (Outcome::Throttled, 0),
        _ => (succeeding(), numbers.len()),
    }
}

proptest! {
    #[test]
    fn every_record_is_delivered_in_order_or_announced_as_discarded(
        config in any_config(),
        gaps_ms in prop::collection::vec(0..60_000_u64, 1..40),
        endings in prop::collection::vec(ending(), 0..60),
    ) {
        let mut mapping = StreamMapping::new(config.clone()).unwrap();
        mapping.add_shard(SHARD, None);
        mapping.add_shard("child", Some(SHARD));
        let mut created_ms = NOW;
        let mut offered = Vec::new();
        for (index, gap_ms) in gaps_ms.iter().enumerate() {
            created_ms += gap_ms;
            let shard_id = if index < gaps_ms.len() / 2 { SHARD } else { "child" };
            let number = index as u64 + 1;
            offered.push(number);
            mapping.offer(shard_id, vec![record_at(number, created_ms)]).unwrap();
        }
        mapping.close_shard(SHARD).unwrap();
        mapping.close_shard("child").unwrap();

        let mut now_ms = NOW;
        let mut endings = endings.iter();
        let mut ended = Vec::new();
        while let Some(next_ms) = mapping.next_event_ms() {
            now_ms = now_ms.max(next_ms);
            let poll = mapping.poll(now_ms);
            let mut discarded = poll.discarded;
            for invocation in &poll.invocations {
                let ending = endings.next().unwrap_or(&Ending::Success);
                if matches!(ending, Ending::Lost) {
                    mapping.forget_invocations();
                    continue;
                }
                let numbers = sequence_numbers(invocation);
                let (outcome, done) = outcome_of(ending, &numbers, config.reports_batch_item_failures());
                ended.extend(discarded.drain(..).flat_map(|given_up| given_up.sequence_numbers));
                ended.extend(numbers[..done].iter().map(|number| (*number).to_owned()));
                discarded.extend(mapping.complete(now_ms, invocation.id, &outcome).unwrap());
            }
            ended.extend(discarded.into_iter().flat_map(|given_up| given_up.sequence_numbers));
        }
        prop_assert!(mapping.is_caught_up());
        let ended: Vec<u64> = ended.iter().map(|number| number.parse().unwrap()).collect();
        prop_assert_eq!(ended, offered, "each record ends once, in order");
    }
}
