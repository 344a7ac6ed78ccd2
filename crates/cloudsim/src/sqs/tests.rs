//! Each rule of SQS as a claim, then a random test of what must hold whatever happens.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::queue::LOOKED_THROUGH_MAX;
use super::*;

const NOW: u64 = 1_800_000_000_000;
const SECOND: u64 = 1_000;
const FIVE_MINUTES: u64 = 300_000;
const FIFO: &str = "q.fifo";
const FIFO_DLQ: &str = "dlq.fifo";
const STANDARD: &str = "q";

fn attributes<const N: usize>(pairs: [(&str, &str); N]) -> QueueAttributes {
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

fn fifo_with(extra: &[(&str, &str)]) -> Sqs {
    let mut sqs = Sqs::new(Account::default());
    let mut wanted = attributes([("FifoQueue", "true"), ("ContentBasedDeduplication", "true")]);
    wanted.extend(extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    sqs.create_queue(NOW, FIFO_DLQ, &attributes([("FifoQueue", "true")])).unwrap();
    sqs.create_queue(NOW, FIFO, &wanted).unwrap();
    sqs
}

fn fifo() -> Sqs {
    fifo_with(&[])
}

fn redrive_after(queue_name: &str, receives: u32) -> String {
    let target = Sqs::new(Account::default()).arn(queue_name);
    format!(r#"{{"deadLetterTargetArn":"{target}","maxReceiveCount":{receives}}}"#)
}

fn fifo_redriving_after(receives: u32) -> Sqs {
    fifo_with(&[("RedrivePolicy", &redrive_after(FIFO_DLQ, receives))])
}

fn standard_with(extra: &[(&str, &str)]) -> Sqs {
    let mut sqs = Sqs::new(Account::default());
    let wanted = extra.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    sqs.create_queue(NOW, "dlq", &QueueAttributes::new()).unwrap();
    sqs.create_queue(NOW, STANDARD, &wanted).unwrap();
    sqs
}

fn request(group: &str, body: &str) -> SendRequest {
    SendRequest {
        body: body.to_owned(),
        message_group_id: (!group.is_empty()).then(|| group.to_owned()),
        ..SendRequest::default()
    }
}

fn send(sqs: &mut Sqs, group: &str, body: &str) -> Sent {
    let queue_name = if group.is_empty() { STANDARD } else { FIFO };
    sqs.send(NOW, queue_name, request(group, body)).unwrap()
}

fn receive_from(sqs: &mut Sqs, queue_name: &str, now_ms: u64, messages_max: u32) -> Vec<ReceivedMessage> {
    let request = ReceiveRequest { messages_max, visibility_timeout_seconds: None };
    sqs.receive(now_ms, queue_name, &request).unwrap()
}

fn receive(sqs: &mut Sqs, now_ms: u64) -> Vec<ReceivedMessage> {
    receive_from(sqs, FIFO, now_ms, 10)
}

fn bodies(messages: &[ReceivedMessage]) -> Vec<&str> {
    messages.iter().map(|message| message.body.as_str()).collect()
}

fn invalid(result: Result<impl std::fmt::Debug, SqsError>) -> &'static str {
    match result.unwrap_err() {
        SqsError::InvalidParameterValue { parameter, .. } => parameter,
        other => panic!("not an invalid parameter: {other}"),
    }
}

// Queues and attributes.

#[test]
fn creating_a_queue_again_is_fine_unless_a_given_attribute_differs() {
    let mut sqs = standard_with(&[("VisibilityTimeout", "90")]);
    assert_eq!(sqs.create_queue(NOW, STANDARD, &attributes([("VisibilityTimeout", "90")])), Ok(()));
    assert_eq!(sqs.create_queue(NOW, STANDARD, &QueueAttributes::new()), Ok(()));
    let other = sqs.create_queue(NOW, STANDARD, &attributes([("VisibilityTimeout", "91")]));
    assert_eq!(other, Err(SqsError::QueueNameExists { attribute: "VisibilityTimeout".to_owned() }));
}

#[test]
fn a_deleted_queue_can_be_created_again_after_60_seconds() {
    let mut sqs = standard_with(&[]);
    sqs.delete_queue(NOW, STANDARD).unwrap();
    assert!(!sqs.has_queue(STANDARD));
    let none = QueueAttributes::new();
    assert_eq!(sqs.create_queue(NOW + 59 * SECOND, STANDARD, &none), Err(SqsError::QueueDeletedRecently));
    assert_eq!(sqs.create_queue(NOW + 60 * SECOND, STANDARD, &none), Ok(()));
}

#[test]
fn a_fifo_queue_needs_its_suffix_and_its_attribute() {
    let mut sqs = Sqs::new(Account::default());
    assert_eq!(invalid(sqs.create_queue(NOW, "a.fifo", &QueueAttributes::new())), "QueueName");
    assert_eq!(invalid(sqs.create_queue(NOW, "a", &attributes([("FifoQueue", "true")]))), "QueueName");
    let refused = sqs.create_queue(NOW, "a", &attributes([("FifoQueue", "false")]));
    assert_eq!(refused, Err(SqsError::InvalidAttributeName { name: "FifoQueue".to_owned() }));
}

#[test]
fn queue_names_are_80_letters_digits_hyphens_and_underscores() {
    let mut sqs = Sqs::new(Account::default());
    for queue_name in ["", "a b", "a.b", "ä", &"x".repeat(81)] {
        assert_eq!(invalid(sqs.create_queue(NOW, queue_name, &QueueAttributes::new())), "QueueName");
    }
    assert_eq!(sqs.create_queue(NOW, &"x".repeat(80), &QueueAttributes::new()), Ok(()));
}

#[test]
fn attributes_have_the_defaults_of_aws() {
    let mut sqs = standard_with(&[]);
    let all = sqs.queue_attributes(NOW, STANDARD).unwrap();
    let expected = [
        ("VisibilityTimeout", "30"),
        ("MessageRetentionPeriod", "345600"),
        ("DelaySeconds", "0"),
        ("MaximumMessageSize", "1048576"),
        ("ReceiveMessageWaitTimeSeconds", "0"),
        ("QueueArn", "arn:aws:sqs:us-east-1:000000000000:q"),
        ("CreatedTimestamp", "1800000000"),
        ("LastModifiedTimestamp", "1800000000"),
    ];
    for (name, value) in expected {
        assert_eq!(all[name], value, "{name}");
    }
    assert!(!all.contains_key("FifoQueue"));
}

#[test]
fn attributes_out_of_range_are_refused_and_nothing_is_changed() {
    let mut sqs = standard_with(&[]);
    for (name, value) in [
        ("MessageRetentionPeriod", "59"),
        ("VisibilityTimeout", "-1"),
        ("DelaySeconds", "-1"),
        ("ReceiveMessageWaitTimeSeconds", "-1"),
    ] {
        let both = attributes([("ReceiveMessageWaitTimeSeconds", "20"), (name, value)]);
        let refused = sqs.set_queue_attributes(NOW, STANDARD, &both);
        assert!(matches!(refused, Err(SqsError::InvalidAttributeValue { .. })), "{name}");
    }
    let no_json = attributes([("ReceiveMessageWaitTimeSeconds", "20"), ("RedrivePolicy", "no JSON")]);
    assert_eq!(invalid(sqs.set_queue_attributes(NOW, STANDARD, &no_json)), "RedrivePolicy");
    assert_eq!(sqs.queue_attributes(NOW, STANDARD).unwrap()["ReceiveMessageWaitTimeSeconds"], "0");
    let unknown = sqs.set_queue_attributes(NOW, STANDARD, &attributes([("Nonsense", "1")]));
    assert_eq!(unknown, Err(SqsError::InvalidAttributeName { name: "Nonsense".to_owned() }));
}

#[test]
fn the_throughput_limit_per_group_needs_deduplication_per_group() {
    let mut sqs = fifo();
    let alone = sqs.set_queue_attributes(NOW, FIFO, &attributes([("FifoThroughputLimit", "perMessageGroupId")]));
    assert!(matches!(alone, Err(SqsError::InvalidAttributeValue { .. })));
    let both = attributes([("FifoThroughputLimit", "perMessageGroupId"), ("DeduplicationScope", "messageGroup")]);
    assert_eq!(sqs.set_queue_attributes(NOW, FIFO, &both), Ok(()));
}

#[test]
fn a_dead_letter_queue_must_exist_and_have_the_type_of_its_source() {
    let mut sqs = fifo();
    let missing = attributes([("RedrivePolicy", &redrive_after("missing.fifo", 3))]);
    assert_eq!(invalid(sqs.set_queue_attributes(NOW, FIFO, &missing)), "RedrivePolicy");
    sqs.create_queue(NOW, STANDARD, &QueueAttributes::new()).unwrap();
    let standard = attributes([("RedrivePolicy", &redrive_after(STANDARD, 3))]);
    assert_eq!(invalid(sqs.set_queue_attributes(NOW, FIFO, &standard)), "RedrivePolicy");
}

#[test]
fn the_counts_tell_visible_in_flight_and_delayed_messages_apart() {
    let mut sqs = standard_with(&[]);
    for body in ["a", "b", "c"] {
        send(&mut sqs, "", body);
    }
    let delayed = SendRequest { delay_seconds: Some(5), ..request("", "d") };
    sqs.send(NOW, STANDARD, delayed).unwrap();
    receive_from(&mut sqs, STANDARD, NOW, 1);
    let all = sqs.queue_attributes(NOW, STANDARD).unwrap();
    assert_eq!(all["ApproximateNumberOfMessages"], "2");
    assert_eq!(all["ApproximateNumberOfMessagesNotVisible"], "1");
    assert_eq!(all["ApproximateNumberOfMessagesDelayed"], "1");
}

#[test]
fn a_missing_queue_is_reported_by_both_of_its_code_names() {
    let mut sqs = Sqs::new(Account::default());
    let missing = sqs.send(NOW, "none", request("", "x")).unwrap_err();
    assert_eq!(missing.json_code(), "QueueDoesNotExist");
    assert_eq!(missing.query_code(), "AWS.SimpleQueueService.NonExistentQueue");
}

// Sending.

#[test]
fn only_characters_of_xml_are_accepted() {
    let mut sqs = standard_with(&[]);
    for body in ["\u{0}", "a\u{b}", "\u{fffe}", "\u{ffff}"] {
        assert_eq!(sqs.send(NOW, STANDARD, request("", body)), Err(SqsError::InvalidMessageContents));
    }
    for body in ["\t\n\r", "\u{d7ff}\u{e000}\u{fffd}", "\u{10000}\u{10ffff}"] {
        assert!(sqs.send(NOW, STANDARD, request("", body)).is_ok());
    }
}

#[test]
fn a_body_with_its_attributes_may_reach_the_maximum_and_not_pass_it() {
    let mut sqs = standard_with(&[("MaximumMessageSize", "1024")]);
    let of_size = |bytes: usize| SendRequest {
        message_attributes: MessageAttributes::from([("n".to_owned(), attribute::MessageAttribute::string("v"))]),
        ..request("", &"x".repeat(bytes - "nStringv".len()))
    };
    assert!(sqs.send(NOW, STANDARD, of_size(1024)).is_ok());
    assert_eq!(invalid(sqs.send(NOW, STANDARD, of_size(1025))), "MessageBody");
}

#[test]
fn an_empty_body_and_more_than_10_attributes_are_refused() {
    let mut sqs = standard_with(&[]);
    let empty = sqs.send(NOW, STANDARD, request("", ""));
    assert_eq!(empty, Err(SqsError::MissingParameter { parameter: "MessageBody" }));
    let message_attributes = (0..11).map(|n| (format!("n{n}"), attribute::MessageAttribute::string("v"))).collect();
    let crowded = SendRequest { message_attributes, ..request("", "x") };
    assert_eq!(invalid(sqs.send(NOW, STANDARD, crowded)), "MessageAttributes");
}

#[test]
fn a_fifo_queue_needs_a_group_and_a_deduplication_id() {
    let mut sqs = fifo();
    let no_group = sqs.send(NOW, FIFO, request("", "x"));
    assert_eq!(no_group, Err(SqsError::MissingParameter { parameter: "MessageGroupId" }));
    assert_eq!(invalid(sqs.send(NOW, FIFO_DLQ, request("g", "x"))), "MessageDeduplicationId");
}

#[test]
fn group_and_deduplication_ids_are_128_letters_digits_and_punctuation() {
    let mut sqs = fifo();
    let longest = "x".repeat(128);
    for id in ["", "a b", "ä", "a\n", &format!("{longest}x")] {
        let group = SendRequest { message_group_id: Some(id.to_owned()), ..request("g", "x") };
        assert_eq!(invalid(sqs.send(NOW, FIFO, group)), "MessageGroupId");
        let duplicate = SendRequest { message_deduplication_id: Some(id.to_owned()), ..request("g", "x") };
        assert_eq!(invalid(sqs.send(NOW, FIFO, duplicate)), "MessageDeduplicationId");
    }
    for id in [r##"!"#$%&'()*+,-./:;<=>?@[\]^_`{|}~"##, &longest] {
        assert!(sqs.send(NOW, FIFO, request(id, id)).is_ok());
    }
}

#[test]
fn a_single_message_delay_is_for_standard_queues_and_an_id_for_fifo_queues() {
    let mut sqs = fifo();
    let delayed = SendRequest { delay_seconds: Some(1), ..request("g", "x") };
    assert_eq!(invalid(sqs.send(NOW, FIFO, delayed)), "DelaySeconds");
    let mut sqs = standard_with(&[]);
    let with_id = SendRequest { message_deduplication_id: Some("d".to_owned()), ..request("", "x") };
    assert_eq!(invalid(sqs.send(NOW, STANDARD, with_id)), "MessageDeduplicationId");
}

#[test]
fn sequence_numbers_have_20_digits_and_grow() {
    let mut sqs = fifo();
    let first = send(&mut sqs, "g", "1").sequence_number.unwrap();
    let second = send(&mut sqs, "h", "2").sequence_number.unwrap();
    assert_eq!(first.len(), 20);
    assert!(first < second);
}

// Deduplication.

#[test]
fn a_duplicate_within_five_minutes_answers_as_the_first_and_adds_nothing() {
    let mut sqs = fifo();
    let first = send(&mut sqs, "g", "x");
    let second = sqs.send(NOW + FIVE_MINUTES - 1, FIFO, request("g", "x")).unwrap();
    assert!(second.duplicate && !first.duplicate);
    assert_eq!((second.message_id, second.sequence_number), (first.message_id, first.sequence_number));
    assert_eq!(receive(&mut sqs, NOW + FIVE_MINUTES).len(), 1);
}

// SQS developer guide: the deduplication id is tracked even after the message is received and deleted.
#[test]
fn a_duplicate_of_a_deleted_message_is_still_one() {
    let mut sqs = fifo();
    send(&mut sqs, "g", "x");
    let handle = receive(&mut sqs, NOW).remove(0).receipt_handle;
    sqs.delete_message(NOW, FIFO, &handle).unwrap();
    assert!(send(&mut sqs, "g", "x").duplicate);
    assert_eq!(receive(&mut sqs, NOW), []);
}

#[test]
fn the_interval_counts_from_the_first_send_and_not_from_duplicates() {
    let mut sqs = fifo();
    send(&mut sqs, "g", "x");
    sqs.send(NOW + FIVE_MINUTES - 1, FIFO, request("g", "x")).unwrap();
    let later = sqs.send(NOW + FIVE_MINUTES, FIFO, request("g", "x")).unwrap();
    assert!(!later.duplicate);
}

#[test]
fn deduplication_spans_the_queue_or_the_group() {
    let mut sqs = fifo();
    send(&mut sqs, "g", "x");
    assert!(send(&mut sqs, "h", "x").duplicate);
    let mut sqs = fifo_with(&[("DeduplicationScope", "messageGroup")]);
    send(&mut sqs, "g", "x");
    assert!(!send(&mut sqs, "h", "x").duplicate);
    assert!(send(&mut sqs, "g", "x").duplicate);
}

#[test]
fn an_explicit_id_decides_before_the_content() {
    let mut sqs = fifo();
    let with_id =
        |id: &str, body: &str| SendRequest { message_deduplication_id: Some(id.to_owned()), ..request("g", body) };
    assert!(!sqs.send(NOW, FIFO, with_id("1", "x")).unwrap().duplicate);
    assert!(!sqs.send(NOW, FIFO, with_id("2", "x")).unwrap().duplicate);
    assert!(sqs.send(NOW, FIFO, with_id("1", "y")).unwrap().duplicate);
}

#[test]
fn content_based_deduplication_hashes_the_body_and_not_the_attributes() {
    let mut sqs = fifo();
    send(&mut sqs, "g", "x");
    let message_attributes = MessageAttributes::from([("n".to_owned(), attribute::MessageAttribute::string("v"))]);
    let same_body = SendRequest { message_attributes, ..request("g", "x") };
    assert!(sqs.send(NOW, FIFO, same_body).unwrap().duplicate);
    let received = receive(&mut sqs, NOW).remove(0);
    let sha256_of_x = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    assert_eq!(received.system_attributes["MessageDeduplicationId"], sha256_of_x);
}

// Receiving.

#[test]
fn a_receive_takes_several_messages_of_a_group_and_then_of_the_next() {
    let mut sqs = fifo();
    for (group, body) in [("g", "g1"), ("h", "h1"), ("g", "g2"), ("h", "h2")] {
        send(&mut sqs, group, body);
    }
    assert_eq!(bodies(&receive_from(&mut sqs, FIFO, NOW, 3)), ["g1", "g2", "h1"]);
    assert_eq!(receive(&mut sqs, NOW), [], "both groups are locked");
}

#[test]
fn a_message_in_flight_locks_its_group_and_no_other() {
    let mut sqs = fifo();
    for (group, body) in [("g", "g1"), ("g", "g2"), ("h", "h1")] {
        send(&mut sqs, group, body);
    }
    let first = receive_from(&mut sqs, FIFO, NOW, 1);
    assert_eq!(bodies(&first), ["g1"]);
    assert_eq!(bodies(&receive(&mut sqs, NOW)), ["h1"]);
    sqs.delete_message(NOW, FIFO, &first[0].receipt_handle).unwrap();
    assert_eq!(bodies(&receive(&mut sqs, NOW)), ["g2"]);
}

#[test]
fn an_expired_message_is_back_at_its_old_place() {
    let mut sqs = fifo();
    send(&mut sqs, "g", "g1");
    receive(&mut sqs, NOW);
    send(&mut sqs, "g", "g2");
    assert_eq!(receive(&mut sqs, NOW + 30 * SECOND - 1), []);
    assert_eq!(bodies(&receive(&mut sqs, NOW + 30 * SECOND)), ["g1", "g2"]);
}

#[test]
fn a_receive_may_set_its_own_visibility_timeout() {
    let mut sqs = fifo();
    send(&mut sqs, "g", "x");
    let request = ReceiveRequest { messages_max: 1, visibility_timeout_seconds: Some(5) };
    sqs.receive(NOW, FIFO, &request).unwrap();
    assert_eq!(sqs.next_visible_ms(FIFO), Some(NOW + 5 * SECOND));
    assert_eq!(receive(&mut sqs, NOW + 5 * SECOND - 1), []);
    assert_eq!(receive(&mut sqs, NOW + 5 * SECOND).len(), 1);
}

#[test]
fn a_receive_takes_1_to_10_messages() {
    let mut sqs = fifo();
    for messages_max in [0, 11] {
        let request = ReceiveRequest { messages_max, visibility_timeout_seconds: None };
        assert_eq!(invalid(sqs.receive(NOW, FIFO, &request)), "MaxNumberOfMessages");
    }
}

#[test]
fn a_received_message_carries_its_system_attributes() {
    let mut sqs = fifo();
    let sent = send(&mut sqs, "g", "x");
    receive(&mut sqs, NOW + SECOND);
    let again = receive(&mut sqs, NOW + 31 * SECOND).remove(0);
    let of = |name: &str| again.system_attributes[name].clone();
    assert_eq!(again.message_id, sent.message_id);
    assert_eq!(of("SentTimestamp"), NOW.to_string());
    assert_eq!(of("ApproximateFirstReceiveTimestamp"), (NOW + SECOND).to_string());
    assert_eq!(of("ApproximateReceiveCount"), "2");
    assert_eq!(of("MessageGroupId"), "g");
    assert_eq!(Some(of("SequenceNumber")), sent.sequence_number);
    assert_eq!(again.md5_of_body, sent.md5_of_body);
}

#[test]
fn a_delayed_message_holds_back_the_rest_of_its_group() {
    let mut sqs = fifo_with(&[("DelaySeconds", "10")]);
    send(&mut sqs, "g", "g1");
    sqs.send(NOW + 5 * SECOND, FIFO, request("g", "g2")).unwrap();
    assert_eq!(receive(&mut sqs, NOW + 9 * SECOND), []);
    assert_eq!(bodies(&receive(&mut sqs, NOW + 10 * SECOND)), ["g1"]);
}

// SQS API reference, SetQueueAttributes: a changed delay is retroactive on FIFO queues only.
#[test]
fn a_changed_delay_is_retroactive_on_a_fifo_queue() {
    let mut sqs = fifo_with(&[("DelaySeconds", "100")]);
    send(&mut sqs, "g", "x");
    sqs.set_queue_attributes(NOW, FIFO, &attributes([("DelaySeconds", "1")])).unwrap();
    assert_eq!(bodies(&receive(&mut sqs, NOW + SECOND)), ["x"]);
    let mut sqs = standard_with(&[("DelaySeconds", "100")]);
    send(&mut sqs, "", "x");
    sqs.set_queue_attributes(NOW, STANDARD, &attributes([("DelaySeconds", "1")])).unwrap();
    assert_eq!(receive_from(&mut sqs, STANDARD, NOW + SECOND, 10), []);
}

#[test]
fn messages_are_gone_after_the_retention_period_and_free_their_group() {
    let mut sqs = fifo_with(&[("MessageRetentionPeriod", "60"), ("VisibilityTimeout", "3600")]);
    send(&mut sqs, "g", "old");
    receive(&mut sqs, NOW);
    sqs.send(NOW + SECOND, FIFO, request("g", "new")).unwrap();
    assert_eq!(receive(&mut sqs, NOW + 59 * SECOND), []);
    assert_eq!(bodies(&receive(&mut sqs, NOW + 60 * SECOND)), ["new"]);
}

// SQS developer guide: only the first 120,000 messages are looked through for free groups.
#[test]
fn a_backlog_of_one_group_can_hide_the_others() {
    let mut sqs = fifo();
    for number in 0..LOOKED_THROUGH_MAX {
        send(&mut sqs, "backlog", &number.to_string());
    }
    send(&mut sqs, "hidden", "x");
    let backlog = receive(&mut sqs, NOW);
    assert_eq!(receive(&mut sqs, NOW), [], "the backlog is locked, the other group too far behind");
    sqs.delete_message(NOW, FIFO, &backlog[0].receipt_handle).unwrap();
    assert_eq!(bodies(&receive(&mut sqs, NOW)), ["x"]);
}

// Receipt handles.

// AWS re:Post: "The receipt handle has expired" on FIFO queues.
#[test]
fn a_fifo_queue_refuses_to_delete_by_an_expired_handle() {
    let mut sqs = fifo();
    send(&mut sqs, "g", "x");
    let handle = receive(&mut sqs, NOW).remove(0).receipt_handle;
    let late = NOW + 30 * SECOND;
    assert_eq!(invalid(sqs.delete_message(late, FIFO, &handle)), "ReceiptHandle");
    let newer = receive(&mut sqs, late).remove(0).receipt_handle;
    assert_eq!(invalid(sqs.delete_message(late, FIFO, &handle)), "ReceiptHandle");
    assert_eq!(sqs.delete_message(late, FIFO, &newer), Ok(()));
}

// The reference says that an older handle may not delete; in all recordings it does.
#[test]
fn on_a_standard_queue_an_older_handle_changes_and_deletes_too() {
    let mut sqs = standard_with(&[]);
    send(&mut sqs, "", "x");
    let old = receive_from(&mut sqs, STANDARD, NOW, 1).remove(0).receipt_handle;
    let late = NOW + 30 * SECOND;
    assert_eq!(sqs.change_visibility(late, STANDARD, &old, 5), Ok(()), "after its timeout");
    assert_eq!(receive_from(&mut sqs, STANDARD, late, 1), []);
    let new = receive_from(&mut sqs, STANDARD, late + 5 * SECOND, 1).remove(0).receipt_handle;
    assert_eq!(sqs.delete_message(late + 5 * SECOND, STANDARD, &old), Ok(()));
    assert_eq!(sqs.peek(late + 5 * SECOND, STANDARD, 10).unwrap(), []);
    assert_eq!(sqs.delete_message(late + 5 * SECOND, STANDARD, &new), Ok(()));
}

#[test]
fn deleting_twice_is_fine_and_a_made_up_or_foreign_handle_is_not() {
    let mut sqs = fifo();
    send(&mut sqs, "g", "x");
    let handle = receive(&mut sqs, NOW).remove(0).receipt_handle;
    assert_eq!(sqs.delete_message(NOW, FIFO_DLQ, &handle), Err(SqsError::ReceiptHandleIsInvalid));
    assert_eq!(sqs.delete_message(NOW, FIFO, "AQEBé"), Err(SqsError::ReceiptHandleIsInvalid));
    assert_eq!(sqs.delete_message(NOW, FIFO, &handle), Ok(()));
    assert_eq!(sqs.delete_message(NOW, FIFO, &handle), Ok(()));
}

#[test]
fn changing_visibility_needs_the_latest_handle_and_a_message_in_flight() {
    let mut sqs = fifo();
    send(&mut sqs, "g", "x");
    let old = receive(&mut sqs, NOW).remove(0).receipt_handle;
    let late = NOW + 30 * SECOND;
    assert_eq!(sqs.change_visibility(late, FIFO, &old, 5), Err(SqsError::MessageNotInflight));
    let new = receive(&mut sqs, late).remove(0).receipt_handle;
    assert_eq!(invalid(sqs.change_visibility(late, FIFO, &old, 5)), "ReceiptHandle");
    assert_eq!(sqs.change_visibility(late, FIFO, &new, 5), Ok(()));
    assert_eq!(receive(&mut sqs, late + 5 * SECOND).len(), 1);
}

#[test]
fn a_message_is_hidden_for_at_most_12_hours_from_its_receive() {
    let mut sqs = fifo_with(&[("VisibilityTimeout", "3600")]);
    send(&mut sqs, "g", "x");
    let handle = receive(&mut sqs, NOW).remove(0).receipt_handle;
    let later = NOW + SECOND;
    assert_eq!(invalid(sqs.change_visibility(later, FIFO, &handle, 43_200)), "VisibilityTimeout");
    assert_eq!(sqs.change_visibility(later, FIFO, &handle, 43_199), Ok(()));
}

#[test]
fn purging_deletes_everything_and_is_refused_again_for_60_seconds() {
    let mut sqs = fifo();
    send(&mut sqs, "g", "x");
    let handle = receive(&mut sqs, NOW).remove(0).receipt_handle;
    send(&mut sqs, "g", "y");
    sqs.purge_queue(NOW, FIFO).unwrap();
    assert_eq!(sqs.peek(NOW, FIFO, 10).unwrap(), []);
    assert_eq!(sqs.delete_message(NOW, FIFO, &handle), Ok(()));
    assert_eq!(
        sqs.purge_queue(NOW + 59 * SECOND, FIFO),
        Err(SqsError::PurgeQueueInProgress { queue_name: FIFO.to_owned() })
    );
    assert_eq!(sqs.purge_queue(NOW + 60 * SECOND, FIFO), Ok(()));
    send(&mut sqs, "g", "z");
    assert_eq!(bodies(&receive(&mut sqs, NOW)), ["z"]);
}

// Dead-letter queues.

#[test]
fn the_receive_that_would_pass_the_maximum_moves_the_message() {
    let mut sqs = fifo_redriving_after(2);
    send(&mut sqs, "g", "poison");
    send(&mut sqs, "g", "next");
    for receive_number in 0..2 {
        let now_ms = NOW + receive_number * 30 * SECOND;
        assert_eq!(bodies(&receive_from(&mut sqs, FIFO, now_ms, 1)), ["poison"]);
    }
    assert_eq!(bodies(&receive(&mut sqs, NOW + 60 * SECOND)), ["next"]);
    assert_eq!(bodies(&receive_from(&mut sqs, FIFO_DLQ, NOW + 60 * SECOND, 10)), ["poison"]);
}

// SQS developer guide: after the move the deduplication id is the message id.
#[test]
fn a_moved_message_keeps_its_id_group_send_time_and_receive_count() {
    let mut sqs = fifo_redriving_after(1);
    let sent = send(&mut sqs, "g", "x");
    receive(&mut sqs, NOW);
    let later = NOW + 30 * SECOND;
    receive(&mut sqs, later);
    let moved = receive_from(&mut sqs, FIFO_DLQ, later, 1).remove(0);
    let of = |name: &str| moved.system_attributes[name].clone();
    assert_eq!(moved.message_id, sent.message_id);
    assert_eq!(of("MessageDeduplicationId"), sent.message_id);
    assert_eq!(of("MessageGroupId"), "g");
    assert_eq!(of("SentTimestamp"), NOW.to_string());
    assert_eq!(of("ApproximateReceiveCount"), "2");
    assert_eq!(of("DeadLetterQueueSourceArn"), sqs.arn(FIFO));
}

// SQS developer guide, "Setting-up dead-letter queue retention".
#[test]
fn retention_starts_anew_in_a_fifo_dead_letter_queue_and_goes_on_in_a_standard_one() {
    let moved_ms = NOW + 30 * SECOND;
    let day = 86_400 * SECOND;
    let mut sqs = fifo_redriving_after(1);
    send(&mut sqs, "g", "x");
    receive(&mut sqs, NOW);
    receive(&mut sqs, moved_ms);
    assert_eq!(sqs.peek(moved_ms + 4 * day - 1, FIFO_DLQ, 10).unwrap().len(), 1);
    assert_eq!(sqs.peek(moved_ms + 4 * day, FIFO_DLQ, 10).unwrap(), []);

    let mut sqs = standard_with(&[("RedrivePolicy", &redrive_after("dlq", 1))]);
    send(&mut sqs, "", "x");
    receive_from(&mut sqs, STANDARD, NOW, 1);
    receive_from(&mut sqs, STANDARD, moved_ms, 1);
    assert_eq!(sqs.peek(NOW + 4 * day - 1, "dlq", 10).unwrap().len(), 1);
    assert_eq!(sqs.peek(NOW + 4 * day, "dlq", 10).unwrap(), []);
}

#[test]
fn without_its_dead_letter_queue_a_message_is_delivered_for_ever() {
    let mut sqs = fifo_redriving_after(1);
    send(&mut sqs, "g", "x");
    sqs.delete_queue(NOW, FIFO_DLQ).unwrap();
    for receive_number in 0..5 {
        assert_eq!(receive(&mut sqs, NOW + receive_number * 30 * SECOND).len(), 1);
    }
}

#[test]
fn the_same_calls_give_the_same_ids() {
    let run = || {
        let mut sqs = fifo();
        let sent = send(&mut sqs, "g", "x");
        (sent, receive(&mut sqs, NOW))
    };
    assert_eq!(run(), run());
}

#[test]
fn a_snapshot_goes_on_where_the_queue_stopped() {
    let mut sqs = fifo();
    send(&mut sqs, "g", "g1");
    send(&mut sqs, "h", "h1");
    let first = receive_from(&mut sqs, FIFO, NOW, 1);
    let text = serde_json::to_string(&sqs).unwrap();
    let mut restored: Sqs = serde_json::from_str(&text).unwrap();
    assert_eq!(restored.delete_message(NOW, FIFO, &first[0].receipt_handle), Ok(()));
    assert_eq!(bodies(&receive(&mut restored, NOW)), ["h1"]);
    assert!(send(&mut restored, "g", "g1").duplicate);
}

// Whatever happens.

#[derive(Debug, Clone)]
enum Step {
    Send { group: u8 },
    Receive { messages_max: u32, visibility_timeout_seconds: Option<u32> },
    Delete { held: prop::sample::Index },
    ChangeVisibility { held: prop::sample::Index, seconds: u32 },
    Wait { ms: u64 },
    Snapshot,
}

fn step() -> impl Strategy<Value = Step> {
    let held = || any::<prop::sample::Index>();
    prop_oneof![
        4 => (0..4_u8).prop_map(|group| Step::Send { group }),
        4 => (1..=10_u32, prop::option::of(0..20_u32)).prop_map(|(messages_max, visibility_timeout_seconds)| {
            Step::Receive { messages_max, visibility_timeout_seconds }
        }),
        3 => held().prop_map(|held| Step::Delete { held }),
        1 => (held(), 0..20_u32).prop_map(|(held, seconds)| Step::ChangeVisibility { held, seconds }),
        2 => (1..20_000_u64).prop_map(|ms| Step::Wait { ms }),
        1 => Just(Step::Snapshot),
    ]
}

/// Follows what a consumer sees and judges each delivery.
struct Consumer {
    sqs: Sqs,
    now_ms: u64,
    /// Bodies sent and not known to be deleted, per group in order.
    live: BTreeMap<String, Vec<String>>,
    /// (handle, group, body, hidden until) of every delivery that was not deleted.
    held: Vec<(String, String, String, u64)>,
    sent: BTreeSet<String>,
    deleted: BTreeSet<String>,
}

impl Consumer {
    fn new(sqs: Sqs) -> Self {
        Self {
            sqs,
            now_ms: NOW,
            live: BTreeMap::new(),
            held: Vec::new(),
            sent: BTreeSet::new(),
            deleted: BTreeSet::new(),
        }
    }

    fn send(&mut self, group: &str) {
        let body = format!("{}", self.sent.len());
        self.sqs.send(self.now_ms, FIFO, request(group, &body)).unwrap();
        self.sent.insert(body.clone());
        self.live.entry(group.to_owned()).or_default().push(body);
    }

    fn dead(&mut self) -> BTreeSet<String> {
        let stored = self.sqs.peek(self.now_ms, FIFO_DLQ, usize::MAX).unwrap();
        stored.into_iter().map(|message| message.request.body).collect()
    }

    fn receive(&mut self, messages_max: u32, visibility_timeout_seconds: Option<u32>) -> usize {
        let hidden: BTreeSet<String> = self
            .held
            .iter()
            .filter(|(_, _, _, until_ms)| *until_ms > self.now_ms)
            .map(|(_, _, body, _)| body.clone())
            .collect();
        let request = ReceiveRequest { messages_max, visibility_timeout_seconds };
        let received = self.sqs.receive(self.now_ms, FIFO, &request).unwrap();
        let dead = self.dead();
        let mut delivered: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let until_ms = self.now_ms + u64::from(visibility_timeout_seconds.unwrap_or(30)) * SECOND;
        for message in &received {
            let group = message.system_attributes["MessageGroupId"].clone();
            assert!(!hidden.contains(&message.body), "a hidden message was delivered");
            delivered.entry(group.clone()).or_default().push(message.body.clone());
            self.held.retain(|(_, _, body, _)| *body != message.body);
            self.held.push((message.receipt_handle.clone(), group, message.body.clone(), until_ms));
        }
        for (group, bodies) in delivered {
            let live: Vec<String> =
                self.live[&group].iter().filter(|body| !dead.contains(*body)).take(bodies.len()).cloned().collect();
            assert_eq!(bodies, live, "a group is delivered from its oldest message on, in order");
        }
        received.len()
    }

    fn delete(&mut self, index: usize) {
        let (handle, group, body, until_ms) = self.held.remove(index);
        let result = self.sqs.delete_message(self.now_ms, FIFO, &handle);
        let is_dead = self.dead().contains(&body);
        if until_ms > self.now_ms {
            assert_eq!(result, Ok(()), "a handle works while its message is hidden");
        } else {
            assert!(result.is_err() || is_dead, "an expired handle deletes nothing");
        }
        if result.is_ok() && !is_dead {
            self.live.get_mut(&group).unwrap().retain(|live| *live != body);
            self.deleted.insert(body);
        }
    }

    fn apply(&mut self, step: &Step) {
        match step {
            Step::Send { group } => self.send(&format!("g{group}")),
            Step::Receive { messages_max, visibility_timeout_seconds } => {
                self.receive(*messages_max, *visibility_timeout_seconds);
            }
            Step::Delete { held } if !self.held.is_empty() => self.delete(held.index(self.held.len())),
            Step::ChangeVisibility { held, seconds } if !self.held.is_empty() => {
                let index = held.index(self.held.len());
                let entry = &mut self.held[index];
                let changed = self.sqs.change_visibility(self.now_ms, FIFO, &entry.0, *seconds);
                if changed.is_ok() {
                    entry.3 = self.now_ms + u64::from(*seconds) * SECOND;
                }
            }
            Step::Delete { .. } | Step::ChangeVisibility { .. } => {}
            Step::Wait { ms } => self.now_ms += ms,
            Step::Snapshot => {
                let text = serde_json::to_string(&self.sqs).unwrap();
                self.sqs = serde_json::from_str(&text).unwrap();
            }
        }
    }

    /// Receives and deletes until nothing is left, jumping from event to event.
    fn drain(&mut self) {
        loop {
            while self.receive(10, None) > 0 {
                while let Some(index) = self.held.iter().position(|(_, _, _, until_ms)| *until_ms > self.now_ms) {
                    self.delete(index);
                }
            }
            match self.sqs.next_visible_ms(FIFO) {
                Some(visible_ms) => self.now_ms = self.now_ms.max(visible_ms),
                None => return,
            }
        }
    }
}

proptest! {
    #[test]
    fn every_message_is_delivered_in_order_one_at_a_time_and_ends_deleted_or_dead(
        steps in prop::collection::vec(step(), 1..120),
        receives_max in 1..4_u32,
    ) {
        let mut consumer = Consumer::new(fifo_redriving_after(receives_max));
        for step in &steps {
            consumer.apply(step);
        }
        consumer.drain();
        let dead = consumer.dead();
        prop_assert!(consumer.deleted.is_disjoint(&dead));
        let ended: BTreeSet<String> = consumer.deleted.union(&dead).cloned().collect();
        prop_assert_eq!(ended, consumer.sent);
        let left = consumer.sqs.queue_attributes(consumer.now_ms, FIFO).unwrap();
        prop_assert_eq!(&left["ApproximateNumberOfMessages"], "0");
        prop_assert_eq!(&left["ApproximateNumberOfMessagesNotVisible"], "0");
    }
}
