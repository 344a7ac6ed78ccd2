//! A batch as Lambda sends it, and the answer: of SQS's event only what the processor uses. The types of
//! `aws_lambda_events` would also read receipt handles, message attributes and a table of attributes per message.

use ledger::Message;
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
pub struct SqsEvent {
    #[serde(rename = "Records")]
    pub records: Vec<SqsRecord>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SqsRecord {
    message_id: String,
    body: Option<String>,
    #[serde(default)]
    attributes: Attributes,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attributes {
    message_group_id: Option<String>,
    sequence_number: Option<String>,
    sent_timestamp: Option<String>,
    approximate_receive_count: Option<String>,
}

/// The messages to deliver again.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartialBatchResponse {
    pub batch_item_failures: Vec<BatchItemFailure>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BatchItemFailure {
    pub item_identifier: String,
}

impl From<SqsRecord> for Message {
    fn from(record: SqsRecord) -> Self {
        let attributes = record.attributes;
        Self {
            message_id: record.message_id,
            body: record.body.unwrap_or_default(),
            group_id: attributes.message_group_id,
            sequence_number: attributes.sequence_number,
            sent_at_ms: attributes.sent_timestamp.and_then(|text| text.parse().ok()),
            receive_count: attributes.approximate_receive_count.and_then(|text| text.parse().ok()).unwrap_or(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_becomes_a_message_and_the_rest_of_it_is_passed_over() {
        let event: SqsEvent = serde_json::from_str(
            r#"{"Records": [{
                "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d", "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
                "body": "{\"a\": 1.50}", "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
                "attributes": {
                    "ApproximateReceiveCount": "3", "SentTimestamp": "1768469400000", "MessageGroupId": "tenant-a",
                    "SequenceNumber": "18849496460467696128", "SenderId": "AIDAIENQZJOLO23YVJ4VO"
                },
                "messageAttributes": {"trace": {"stringValue": "x", "dataType": "String"}},
                "eventSource": "aws:sqs", "awsRegion": "us-east-1"
            }]}"#,
        )
        .unwrap();
        let messages: Vec<Message> = event.records.into_iter().map(Message::from).collect();
        let expected = Message {
            message_id: "059f36b4-87a3-44ab-83d2-661975830a7d".to_owned(),
            body: r#"{"a": 1.50}"#.to_owned(),
            group_id: Some("tenant-a".to_owned()),
            sequence_number: Some("18849496460467696128".to_owned()),
            sent_at_ms: Some(1_768_469_400_000),
            receive_count: 3,
        };
        assert_eq!(messages, [expected]);
    }

    #[test]
    fn a_record_without_message_id_is_not_from_sqs() {
        let error = serde_json::from_str::<SqsEvent>(r#"{"Records": [{"body": "{}"}]}"#).unwrap_err();
        assert!(error.to_string().contains("messageId"), "{error}");
    }

    #[test]
    fn the_answer_is_as_lambda_reads_it() {
        let failures = vec![BatchItemFailure { item_identifier: "m-1".to_owned() }];
        let answer = PartialBatchResponse { batch_item_failures: failures };
        assert_eq!(serde_json::to_string(&answer).unwrap(), r#"{"batchItemFailures":[{"itemIdentifier":"m-1"}]}"#);
    }
}
