//! SNS operations over the modelled topics, and the delivery of what they publish into the modelled queues.
//!
//! Filter policies, envelopes and limits are `cloudsim`'s.

use std::collections::BTreeMap;

use cloudsim::{
    Account,
    sns::{self, Delivery, PublishRequest, SnsError},
    sqs::SendRequest,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    service::{
        sqs::{Attribute, message_attributes},
        wire::{ApiError, input},
    },
    state::{SharedState, State},
};

/// XML namespace of SNS answers.
pub const NAMESPACE: &str = "http://sns.amazonaws.com/doc/2010-03-31/";

/// Runs one operation.
pub fn call(shared: &SharedState, operation: &str, body: Value) -> Result<Value, ApiError> {
    match operation {
        "CreateTopic" => {
            let request: CreateTopic = input(body)?;
            let arn = shared.change(|state, _| state.sns.create_topic(&request.name, &request.attributes))?;
            Ok(json!({"TopicArn": arn}))
        }
        "DeleteTopic" => {
            let request: Topic = input(body)?;
            shared.change(|state, _| state.sns.delete_topic(&request.topic_arn));
            Ok(json!({}))
        }
        "ListTopics" => {
            let arns = shared.look(|state, _| state.sns.topic_arns());
            let topics: Vec<Value> = arns.into_iter().map(|arn| json!({"TopicArn": arn})).collect();
            Ok(json!({"Topics": topics}))
        }
        "GetTopicAttributes" => {
            let request: Topic = input(body)?;
            let attributes = shared.look(|state, _| state.sns.topic_attributes(&request.topic_arn))?;
            Ok(json!({"Attributes": attributes}))
        }
        "SetTopicAttributes" => {
            let request: SetAttribute = input(body)?;
            let (name, value) = (&request.attribute_name, &request.attribute_value);
            shared.change(|state, _| state.sns.set_topic_attribute(&request.topic_arn, name, value))?;
            Ok(json!({}))
        }
        "Subscribe" => {
            let request: Subscribe = input(body)?;
            let arn = shared.change(|state, _| state.sns.subscribe(request.into()))?;
            Ok(json!({"SubscriptionArn": arn}))
        }
        "Unsubscribe" => {
            let request: Subscription = input(body)?;
            shared.change(|state, _| state.sns.unsubscribe(&request.subscription_arn));
            Ok(json!({}))
        }
        "GetSubscriptionAttributes" => {
            let request: Subscription = input(body)?;
            let attributes = shared.look(|state, _| state.sns.subscription_attributes(&request.subscription_arn))?;
            Ok(json!({"Attributes": attributes}))
        }
        "SetSubscriptionAttributes" => {
            let request: SetAttribute = input(body)?;
            let (name, value) = (&request.attribute_name, &request.attribute_value);
            shared.change(|state, _| state.sns.set_subscription_attribute(&request.subscription_arn, name, value))?;
            Ok(json!({}))
        }
        "ListSubscriptions" => list_subscriptions(shared, None),
        "ListSubscriptionsByTopic" => {
            let request: Topic = input(body)?;
            list_subscriptions(shared, Some(&request.topic_arn))
        }
        "Publish" => publish(shared, input(body)?),
        _ => Err(ApiError::unknown_operation("SNS", operation)),
    }
}

fn list_subscriptions(shared: &SharedState, topic_arn: Option<&str>) -> Result<Value, ApiError> {
    let subscriptions = shared.look(|state, _| state.sns.subscriptions(topic_arn))?;
    let subscriptions: Vec<Value> = subscriptions
        .into_iter()
        .map(|(subscription_arn, subscription)| {
            json!({
                "SubscriptionArn": subscription_arn,
                "TopicArn": subscription.topic_arn,
                "Protocol": subscription.protocol,
                "Endpoint": subscription.endpoint,
                "Owner": Account::default().id,
            })
        })
        .collect();
    Ok(json!({"Subscriptions": subscriptions}))
}

fn publish(shared: &SharedState, request: Publish) -> Result<Value, ApiError> {
    let request = PublishRequest {
        topic_arn: request.topic_arn,
        message: request.message,
        subject: request.subject,
        message_attributes: message_attributes(request.message_attributes)?,
    };
    let message_id = shared.change(|state, now_ms| {
        let published = state.sns.publish(now_ms, &request)?;
        for delivery in published.deliveries {
            deliver(state, now_ms, delivery);
        }
        state.remember_published(now_ms, request);
        Ok::<_, SnsError>(published.message_id)
    })?;
    Ok(json!({"MessageId": message_id}))
}

fn deliver(state: &mut State, now_ms: u64, delivery: Delivery) {
    let queue_name = delivery.queue_arn.rsplit(':').next().unwrap_or_default();
    let message =
        SendRequest { body: delivery.body, message_attributes: delivery.message_attributes, ..SendRequest::default() };
    if let Err(error) = state.sqs.send(now_ms, queue_name, message) {
        tracing::warn!(queue_name, %error, "a subscribed queue did not take a message");
    }
}

impl From<SnsError> for ApiError {
    fn from(error: SnsError) -> Self {
        let mut refused = Self::bad_request(error.code(), error.to_string());
        if error == SnsError::NotFound {
            refused.status = axum::http::StatusCode::NOT_FOUND;
        }
        refused
    }
}

impl From<Subscribe> for sns::Subscription {
    fn from(request: Subscribe) -> Self {
        Self {
            topic_arn: request.topic_arn,
            protocol: request.protocol,
            endpoint: request.endpoint,
            attributes: request.attributes,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateTopic {
    name: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Topic {
    topic_arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Subscription {
    subscription_arn: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SetAttribute {
    #[serde(default)]
    topic_arn: String,
    #[serde(default)]
    subscription_arn: String,
    attribute_name: String,
    #[serde(default)]
    attribute_value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Subscribe {
    topic_arn: String,
    protocol: String,
    #[serde(default)]
    endpoint: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Publish {
    // AWS takes a target in its place.
    #[serde(alias = "TargetArn")]
    topic_arn: String,
    message: String,
    subject: Option<String>,
    #[serde(default)]
    message_attributes: BTreeMap<String, Attribute>,
}
