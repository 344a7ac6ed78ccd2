//! Alerts to an SNS topic.

use aws_sdk_sns::{Client, types::MessageAttributeValue};
use ledger::{
    alert::{AlertMessage, AttributeValue},
    ports::{Alerts, Refusal},
};
use serde_json::Value;

use crate::tables::within;

#[derive(Clone, Debug)]
pub struct SnsAlerts {
    client: Client,
    topic_arn: String,
}

impl SnsAlerts {
    pub fn new(config: &aws_config::SdkConfig, topic_arn: String) -> Self {
        Self { client: Client::new(config), topic_arn }
    }
}

impl Alerts for SnsAlerts {
    async fn publish(&self, message: AlertMessage, budget_ms: u64) -> Result<(), Refusal> {
        let AlertMessage { subject, body, attributes } = message;
        let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), attribute(value))).collect();
        let call = self
            .client
            .publish()
            .topic_arn(&self.topic_arn)
            .subject(subject)
            .message(body)
            .set_message_attributes(Some(attributes))
            .send();
        within(budget_ms, call).await.map(|_| ())
    }
}

fn attribute(value: AttributeValue) -> MessageAttributeValue {
    let (data_type, text) = match value {
        AttributeValue::String(text) => ("String", text),
        AttributeValue::StringArray(texts) => ("String.Array", Value::from(texts).to_string()),
    };
    MessageAttributeValue::builder().data_type(data_type).string_value(text).build().expect("the type is set")
}
