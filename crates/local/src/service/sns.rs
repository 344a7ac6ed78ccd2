//! SNS operations over the modelled topics, and the delivery of what they publish into the modelled queues.
//!
//! Filter policies, envelopes and limits are `cloudsim`'s.

use std::collections::BTreeMap;

use cloudsim::{
    Account,
    sns::{Delivery, PublishRequest, SnsError, Subscription},
    sqs::SendRequest,
};
use serde::Deserialize;
use serde_json::{Value, json};
use strum::VariantNames;

use crate::{
    service::{
        sqs::{Attribute, message_attributes},
        wire::{ApiError, list, request},
    },
    state::{SharedState, State},
};

/// XML namespace of SNS answers.
pub(crate) const NAMESPACE: &str = "http://sns.amazonaws.com/doc/2010-03-31/";

type Attributes = BTreeMap<String, String>;

/// An operation and its input.
#[derive(Deserialize, VariantNames)]
#[serde(rename_all_fields = "PascalCase")]
enum Request {
    CreateTopic {
        name: String,
        attributes: Option<Attributes>,
        #[serde(default, deserialize_with = "list")]
        tags: Vec<Tag>,
    },
    DeleteTopic {
        topic_arn: String,
    },
    ListTopics {},
    GetTopicAttributes {
        topic_arn: String,
    },
    SetTopicAttributes(SetAttribute),
    Subscribe {
        topic_arn: String,
        protocol: String,
        endpoint: Option<String>,
        attributes: Option<Attributes>,
    },
    Unsubscribe {
        subscription_arn: String,
    },
    GetSubscriptionAttributes {
        subscription_arn: String,
    },
    SetSubscriptionAttributes(SetAttribute),
    ListSubscriptions {},
    ListSubscriptionsByTopic {
        topic_arn: String,
    },
    Publish(Publish),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: String,
    value: String,
}

/// One attribute of a topic or a subscription.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SetAttribute {
    #[serde(default, alias = "TopicArn", alias = "SubscriptionArn")]
    arn: String,
    attribute_name: String,
    #[serde(default)]
    attribute_value: String,
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
    message_structure: Option<String>,
}

/// Runs one operation.
pub(crate) fn call(shared: &SharedState, operation: &str, body: Value) -> Result<Value, ApiError> {
    Ok(match request("SNS", operation, body)? {
        Request::CreateTopic { name, attributes, tags } => {
            let attributes = attributes.unwrap_or_default();
            let tags = tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
            json!({"TopicArn": shared.change(|state, _| state.sns.create_topic(&name, &attributes, &tags))?})
        }
        Request::DeleteTopic { topic_arn } => {
            shared.change(|state, _| state.sns.delete_topic(&topic_arn));
            json!({})
        }
        Request::ListTopics {} => {
            let arns = shared.look(|state, _| state.sns.topic_arns());
            json!({"Topics": arns.into_iter().map(|arn| json!({"TopicArn": arn})).collect::<Vec<_>>()})
        }
        Request::GetTopicAttributes { topic_arn } => {
            json!({"Attributes": shared.look(|state, _| state.sns.topic_attributes(&topic_arn))?})
        }
        Request::SetTopicAttributes(SetAttribute { arn, attribute_name, attribute_value }) => {
            shared.change(|state, _| state.sns.set_topic_attribute(&arn, &attribute_name, &attribute_value))?;
            json!({})
        }
        Request::Subscribe { topic_arn, protocol, endpoint, attributes } => {
            let (endpoint, attributes) = (endpoint.unwrap_or_default(), attributes.unwrap_or_default());
            let subscription = Subscription { topic_arn, protocol, endpoint, attributes };
            json!({"SubscriptionArn": shared.change(|state, _| state.sns.subscribe(subscription))?})
        }
        Request::Unsubscribe { subscription_arn } => {
            shared.change(|state, _| state.sns.unsubscribe(&subscription_arn));
            json!({})
        }
        Request::GetSubscriptionAttributes { subscription_arn } => {
            json!({"Attributes": shared.look(|state, _| state.sns.subscription_attributes(&subscription_arn))?})
        }
        Request::SetSubscriptionAttributes(SetAttribute { arn, attribute_name, attribute_value }) => {
            shared.change(|state, _| state.sns.set_subscription_attribute(&arn, &attribute_name, &attribute_value))?;
            json!({})
        }
        Request::ListSubscriptions {} => list_subscriptions(shared, None)?,
        Request::ListSubscriptionsByTopic { topic_arn } => list_subscriptions(shared, Some(&topic_arn))?,
        Request::Publish(request) => publish(shared, request)?,
    })
}

fn list_subscriptions(shared: &SharedState, topic_arn: Option<&str>) -> Result<Value, ApiError> {
    let subscriptions = shared.look(|state, _| state.sns.subscriptions(topic_arn))?.into_iter();
    let subscriptions = subscriptions.map(|(subscription_arn, subscription)| {
        json!({
            "SubscriptionArn": subscription_arn,
            "TopicArn": subscription.topic_arn,
            "Protocol": subscription.protocol,
            "Endpoint": subscription.endpoint,
            "Owner": Account::default().id,
        })
    });
    Ok(json!({"Subscriptions": subscriptions.collect::<Vec<_>>()}))
}

fn publish(shared: &SharedState, request: Publish) -> Result<Value, ApiError> {
    let request = PublishRequest {
        topic_arn: request.topic_arn,
        message: request.message,
        subject: request.subject,
        message_attributes: message_attributes(request.message_attributes)?,
        message_structure: request.message_structure,
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

/// Sends a message to a subscribed queue, or to the subscription's dead-letter queue if that one does not take it.
fn deliver(state: &mut State, now_ms: u64, delivery: Delivery) {
    let message =
        SendRequest { body: delivery.body, message_attributes: delivery.message_attributes, ..SendRequest::default() };
    for queue_arn in [Some(delivery.queue_arn), delivery.dead_letter_queue_arn].into_iter().flatten() {
        let queue_name = queue_arn.rsplit(':').next().unwrap_or_default();
        match state.sqs.send(now_ms, queue_name, message.clone()) {
            Ok(_) => return,
            Err(error) => tracing::warn!(queue_name, %error, "a subscribed queue did not take a message"),
        }
    }
}

impl From<SnsError> for ApiError {
    fn from(error: SnsError) -> Self {
        let mut refused = Self::bad_request(error.code(), error.to_string());
        if matches!(error, SnsError::NoTopic | SnsError::NoSubscription) {
            refused.status = axum::http::StatusCode::NOT_FOUND;
        }
        refused
    }
}
