//! The rules of SNS as claims.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::attribute::MessageAttribute;

const NOW: u64 = 1_800_000_000_000;
const QUEUE: &str = "arn:aws:sqs:us-east-1:000000000000:alerts";

fn attributes(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn sns_with(subscription: &[(&str, &str)]) -> (Sns, String) {
    let mut sns = Sns::new(Account::default());
    let topic_arn = sns.create_topic("alerts", &BTreeMap::new(), &BTreeMap::new()).unwrap();
    sns.subscribe(subscribe(&topic_arn, subscription)).unwrap();
    (sns, topic_arn)
}

fn subscribe(topic_arn: &str, subscription: &[(&str, &str)]) -> Subscription {
    Subscription {
        topic_arn: topic_arn.to_owned(),
        protocol: "sqs".to_owned(),
        endpoint: QUEUE.to_owned(),
        attributes: attributes(subscription),
    }
}

fn message(topic_arn: &str) -> PublishRequest {
    PublishRequest { topic_arn: topic_arn.to_owned(), message: "hello".to_owned(), ..PublishRequest::default() }
}

fn number(text: &str) -> MessageAttribute {
    MessageAttribute { data_type: "Number".to_owned(), ..MessageAttribute::string(text) }
}

fn array(text: &str) -> MessageAttribute {
    MessageAttribute { data_type: "String.Array".to_owned(), ..MessageAttribute::string(text) }
}

/// Says whether a subscription with this policy gets a message with these attributes.
fn passes(policy: &Value, message_attributes: &[(&str, MessageAttribute)]) -> bool {
    let (mut sns, topic_arn) = sns_with(&[("FilterPolicy", &policy.to_string())]);
    let message_attributes =
        message_attributes.iter().map(|(name, attribute)| ((*name).to_owned(), attribute.clone())).collect();
    let request = PublishRequest { message_attributes, ..message(&topic_arn) };
    !sns.publish(NOW, &request).unwrap().deliveries.is_empty()
}

/// Returns which parameter was refused.
fn refused(result: Result<impl std::fmt::Debug, SnsError>) -> String {
    let error = result.unwrap_err();
    assert_eq!(error.code(), "InvalidParameter");
    error.to_string()["Invalid parameter: ".len()..].split([' ', ':']).next().unwrap().to_owned()
}

#[test]
fn creating_a_topic_again_returns_the_same_topic() {
    let (mut sns, topic_arn) = sns_with(&[]);
    assert_eq!(topic_arn, "arn:aws:sns:us-east-1:000000000000:alerts");
    let mut create = |name, attributes, tags| sns.create_topic(name, &attributes, &tags);
    let none = BTreeMap::new;
    assert_eq!(create("alerts", none(), none()), Ok(topic_arn.clone()));
    assert_eq!(refused(create("alerts", attributes(&[("DisplayName", "x")]), none())), "Attributes");
    assert_eq!(refused(create("alerts", none(), attributes(&[("team", "x")]))), "Tags");
    assert_eq!(refused(create("a b", none(), none())), "Topic");
    assert_eq!(sns.topic_arns(), [topic_arn]);
}

#[test]
fn topic_attributes_can_be_set_and_read() {
    let (mut sns, topic_arn) = sns_with(&[]);
    sns.set_topic_attribute(&topic_arn, "DisplayName", "Alerts").unwrap();
    let all = sns.topic_attributes(&topic_arn).unwrap();
    assert_eq!(all["DisplayName"], "Alerts");
    assert_eq!(all["SubscriptionsConfirmed"], "1");
    assert_eq!(refused(sns.set_topic_attribute(&topic_arn, "Nonsense", "x")), "AttributeName");
}

#[test]
fn subscribing_again_returns_the_same_subscription() {
    let (mut sns, topic_arn) = sns_with(&[("RawMessageDelivery", "true")]);
    let (arn, _) = sns.subscriptions(Some(&topic_arn)).unwrap().pop_first().unwrap();
    let same = subscribe(&topic_arn, &[("RawMessageDelivery", "true")]);
    assert_eq!(sns.subscribe(same), Ok(arn));
    assert_eq!(refused(sns.subscribe(subscribe(&topic_arn, &[]))), "Attributes");
}

#[test]
fn only_queues_can_subscribe() {
    let (mut sns, topic_arn) = sns_with(&[]);
    let mail = Subscription { protocol: "email".to_owned(), ..subscribe(&topic_arn, &[]) };
    assert_eq!(refused(sns.subscribe(mail)), "Protocol");
}

#[test]
fn a_deleted_topic_takes_its_subscriptions_with_it() {
    let (mut sns, topic_arn) = sns_with(&[]);
    sns.delete_topic(&topic_arn);
    sns.delete_topic(&topic_arn);
    assert_eq!(sns.subscriptions(None), Ok(BTreeMap::new()));
    assert_eq!(sns.publish(NOW, &message(&topic_arn)), Err(SnsError::NoTopic));
}

// SNS developer guide, "Parsing message formats": the notification envelope.
#[test]
fn a_queue_gets_the_envelope() {
    let (mut sns, topic_arn) = sns_with(&[]);
    let binary = MessageAttribute { data_type: "Binary".to_owned(), value: AttributeValue::Binary(b"fo".to_vec()) };
    let request = PublishRequest {
        subject: Some("Subject".to_owned()),
        message_attributes: MessageAttributes::from([
            ("tenant".to_owned(), MessageAttribute::string("t")),
            ("bytes".to_owned(), binary),
        ]),
        ..message(&topic_arn)
    };
    let published = sns.publish(NOW, &request).unwrap();
    let delivery = &published.deliveries[0];
    assert_eq!(delivery.queue_arn, QUEUE);
    assert!(delivery.message_attributes.is_empty());
    let envelope: Value = serde_json::from_str(&delivery.body).unwrap();
    assert_eq!(envelope["Type"], "Notification");
    assert_eq!(envelope["MessageId"], json!(published.message_id));
    assert_eq!(envelope["TopicArn"], json!(topic_arn));
    assert_eq!(envelope["Subject"], "Subject");
    assert_eq!(envelope["Message"], "hello");
    assert_eq!(envelope["Timestamp"], "2027-01-15T08:00:00.000Z");
    assert_eq!(
        envelope["MessageAttributes"],
        json!({ "tenant": { "Type": "String", "Value": "t" }, "bytes": { "Type": "Binary", "Value": "Zm8=" } })
    );
}

#[test]
fn raw_delivery_passes_body_and_attributes_as_they_are() {
    let (mut sns, topic_arn) = sns_with(&[("RawMessageDelivery", "true")]);
    let message_attributes = MessageAttributes::from([("tenant".to_owned(), MessageAttribute::string("t"))]);
    let request = PublishRequest { message_attributes: message_attributes.clone(), ..message(&topic_arn) };
    let delivery = sns.publish(NOW, &request).unwrap().deliveries.remove(0);
    assert_eq!((delivery.body.as_str(), delivery.message_attributes), ("hello", message_attributes));
}

// SNS developer guide, "raw message delivery": more than 10 attributes are discarded.
#[test]
fn raw_delivery_of_more_than_10_attributes_is_lost() {
    let (mut sns, topic_arn) = sns_with(&[("RawMessageDelivery", "true")]);
    let message_attributes = (0..11).map(|n| (format!("n{n}"), MessageAttribute::string("v"))).collect();
    let request = PublishRequest { message_attributes, ..message(&topic_arn) };
    assert_eq!(sns.publish(NOW, &request).unwrap().deliveries, []);
}

#[test]
fn an_unsubscribed_queue_gets_nothing() {
    let (mut sns, topic_arn) = sns_with(&[]);
    let (arn, _) = sns.subscriptions(None).unwrap().pop_first().unwrap();
    sns.unsubscribe(&arn);
    assert_eq!(sns.publish(NOW, &message(&topic_arn)).unwrap().deliveries, []);
    assert_eq!(sns.subscription_attributes(&arn), Err(SnsError::NoSubscription));
}

#[test]
fn a_message_with_its_attributes_has_at_most_256_kib() {
    let (mut sns, topic_arn) = sns_with(&[]);
    let of_size = |bytes: usize| PublishRequest {
        message: "x".repeat(bytes - "nStringv".len()),
        message_attributes: MessageAttributes::from([("n".to_owned(), MessageAttribute::string("v"))]),
        ..message(&topic_arn)
    };
    assert!(sns.publish(NOW, &of_size(262_144)).is_ok());
    assert_eq!(refused(sns.publish(NOW, &of_size(262_145))), "Message");
    let empty = PublishRequest { message: String::new(), ..message(&topic_arn) };
    assert_eq!(refused(sns.publish(NOW, &empty)), "Empty");
}

#[test]
fn a_subject_is_one_line_of_100_ascii_characters() {
    let (mut sns, topic_arn) = sns_with(&[]);
    let mut publish =
        |subject: &str| sns.publish(NOW, &PublishRequest { subject: Some(subject.to_owned()), ..message(&topic_arn) });
    for subject in ["", " x", "a\nb", "a\tb", "ä", &"x".repeat(101)] {
        assert_eq!(refused(publish(subject)), "Subject", "{subject:?}");
    }
    for subject in ["A b", "7", "[x]", &"x".repeat(100)] {
        assert!(publish(subject).is_ok(), "{subject:?}");
    }
}

#[test]
fn a_filter_matches_exact_strings_and_all_named_attributes() {
    let policy = json!({ "tenant": ["a", "b"], "kind": ["x"] });
    let text = MessageAttribute::string;
    assert!(passes(&policy, &[("tenant", text("b")), ("kind", text("x")), ("more", text("y"))]));
    assert!(!passes(&policy, &[("tenant", text("c")), ("kind", text("x"))]));
    assert!(!passes(&policy, &[("tenant", text("a"))]));
    assert!(!passes(&json!({ "tenant": ["1"] }), &[("tenant", number("1"))]), "a number is no string");
}

#[test]
fn a_filter_matches_prefixes_suffixes_and_exclusions() {
    let text = MessageAttribute::string;
    assert!(passes(&json!({ "t": [{ "prefix": "ab" }] }), &[("t", text("abc"))]));
    assert!(!passes(&json!({ "t": [{ "prefix": "ab" }] }), &[("t", text("cab"))]));
    assert!(passes(&json!({ "t": [{ "suffix": "bc" }] }), &[("t", text("abc"))]));
    for policy in [json!([{ "anything-but": "x" }]), json!([{ "anything-but": ["x", "y"] }])] {
        let policy = json!({ "t": policy });
        assert!(passes(&policy, &[("t", text("z"))]));
        assert!(!passes(&policy, &[("t", text("x"))]));
        assert!(!passes(&policy, &[]), "the attribute has to be there");
    }
    let not_prefixed = json!({ "t": [{ "anything-but": { "prefix": "a" } }] });
    assert!(passes(&not_prefixed, &[("t", text("b"))]));
    assert!(!passes(&not_prefixed, &[("t", text("ab"))]));
}

#[test]
fn a_filter_matches_presence_and_absence() {
    let text = MessageAttribute::string;
    assert!(passes(&json!({ "t": [{ "exists": true }] }), &[("t", text("x"))]));
    assert!(!passes(&json!({ "t": [{ "exists": true }] }), &[]));
    assert!(passes(&json!({ "t": [{ "exists": false }] }), &[]));
    assert!(!passes(&json!({ "t": [{ "exists": false }] }), &[("t", text("x"))]));
}

#[test]
fn a_filter_matches_numbers_by_value_and_range() {
    let range = json!({ "n": [{ "numeric": [">", 1, "<=", 2.5] }] });
    assert!(passes(&range, &[("n", number("2.5"))]));
    assert!(!passes(&range, &[("n", number("1"))]));
    assert!(passes(&json!({ "n": [{ "numeric": ["=", 100] }] }), &[("n", number("1e2"))]));
    assert!(passes(&json!({ "n": [100] }), &[("n", number("100.0"))]));
}

#[test]
fn a_filter_matches_any_value_of_an_array() {
    assert!(passes(&json!({ "t": ["b"] }), &[("t", array(r#"["a", "b"]"#))]));
    assert!(!passes(&json!({ "t": ["c"] }), &[("t", array(r#"["a", "b"]"#))]));
}

/// Says whether a subscription with this policy on the body gets this message.
fn passes_body(policy: &Value, message_text: &str) -> bool {
    let (mut sns, topic_arn) = sns_with(&[("FilterPolicy", &policy.to_string()), ("FilterPolicyScope", "MessageBody")]);
    let request = PublishRequest { message: message_text.to_owned(), ..message(&topic_arn) };
    !sns.publish(NOW, &request).unwrap().deliveries.is_empty()
}

// SNS developer guide, "Amazon SNS subscription filter policy scope".
#[test]
fn a_filter_on_the_body_matches_members_of_the_message() {
    let policy = json!({ "order": { "total": [{ "numeric": [">", 10] }], "tags": ["new"] } });
    assert!(passes_body(&policy, r#"{"order": {"total": 11, "tags": ["old", "new"]}}"#));
    assert!(passes_body(&policy, r#"{"order": [{"total": 9}, {"total": 11, "tags": "new"}]}"#));
    assert!(!passes_body(&policy, r#"{"order": {"total": 11, "tags": ["old"]}}"#));
    assert!(!passes_body(&policy, r#"{"order": {"total": 9, "tags": "new"}}"#));
    assert!(!passes_body(&policy, "no JSON"));
    let absent = json!({ "order": { "total": [{ "exists": false }] } });
    assert!(passes_body(&absent, r#"{"order": {}}"#));
    assert!(!passes_body(&absent, r#"{"order": {"total": 1}}"#));
}

#[test]
fn queues_get_the_text_that_is_theirs() {
    let (mut sns, topic_arn) = sns_with(&[("RawMessageDelivery", "True")]);
    let mut body = |text: &str| {
        let message_structure = Some("json".to_owned());
        let request = PublishRequest { message: text.to_owned(), message_structure, ..message(&topic_arn) };
        sns.publish(NOW, &request).unwrap().deliveries.remove(0).body
    };
    assert_eq!(body(r#"{"default": "all", "sqs": "queues"}"#), "queues");
    assert_eq!(body(r#"{"default": "all", "email": "people"}"#), "all");
}

#[test]
fn what_a_queue_does_not_take_goes_to_the_dead_letter_queue_of_the_subscription() {
    let dead_letters = "arn:aws:sqs:us-east-1:000000000000:dead";
    let policy = json!({ "deadLetterTargetArn": dead_letters }).to_string();
    let (mut sns, topic_arn) = sns_with(&[("RedrivePolicy", &policy)]);
    let published = sns.publish(NOW, &message(&topic_arn)).unwrap();
    assert_eq!(published.deliveries[0].dead_letter_queue_arn.as_deref(), Some(dead_letters));
    let (arn, _) = sns.subscriptions(None).unwrap().pop_first().unwrap();
    assert_eq!(refused(sns.set_subscription_attribute(&arn, "RedrivePolicy", "{}")), "RedrivePolicy");
}

#[test]
fn a_malformed_filter_policy_is_refused() {
    let (mut sns, topic_arn) = sns_with(&[]);
    let (arn, _) = sns.subscriptions(Some(&topic_arn)).unwrap().pop_first().unwrap();
    for policy in [
        "no JSON",
        "[]",
        r#"{"t": "x"}"#,
        r#"{"t": []}"#,
        r#"{"t": [{"like": "x"}]}"#,
        r#"{"t": [{"prefix": "a", "suffix": "b"}]}"#,
        r#"{"t": [{"numeric": [">"]}]}"#,
        r#"{"a": ["x"], "b": ["x"], "c": ["x"], "d": ["x"], "e": ["x"], "f": ["x"]}"#,
    ] {
        assert_eq!(refused(sns.set_subscription_attribute(&arn, "FilterPolicy", policy)), "FilterPolicy", "{policy}");
    }
    assert_eq!(sns.set_subscription_attribute(&arn, "FilterPolicy", "{}"), Ok(()));
}

#[test]
fn a_snapshot_keeps_topics_subscriptions_and_ids() {
    let (mut sns, topic_arn) = sns_with(&[("FilterPolicy", r#"{"n": [{"exists": false}]}"#)]);
    let text = serde_json::to_string(&sns).unwrap();
    let mut restored: Sns = serde_json::from_str(&text).unwrap();
    let expected = sns.publish(NOW, &message(&topic_arn)).unwrap();
    assert_eq!(restored.publish(NOW, &message(&topic_arn)), Ok(expected));
}
