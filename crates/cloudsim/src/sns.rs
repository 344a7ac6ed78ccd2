//! SNS topics with SQS subscriptions, raw or in the JSON envelope, filtered by message attributes or by the message.
//!
//! Publishing only says what goes where: the driver sends the deliveries. Not here: other protocols,
//! FIFO topics, delivery retries, signatures that verify.

mod filter;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use thiserror::Error;

use self::filter::FilterPolicy;
use crate::Account;
use crate::attribute;
use crate::attribute::{AttributeValue, MessageAttributes};
use crate::encoding::{iso_millis, uuid};

const MESSAGE_BYTES_MAX: usize = 262_144;
const SUBJECT_LENGTH_MAX: usize = 100;
const TOPIC_NAME_LENGTH_MAX: usize = 256;
const ARN_ELEMENTS_MIN: usize = 6;

/// SQS takes no more attributes, so raw delivery of a message with more is lost.
/// (SNS developer guide, "raw message delivery".)
const RAW_ATTRIBUTES_MAX: usize = 10;

const TOPIC_ATTRIBUTES: [&str; 7] =
    ["DisplayName", "Policy", "DeliveryPolicy", "KmsMasterKeyId", "SignatureVersion", "TracingConfig", "FifoTopic"];

/// Holds the topics and subscriptions of one account and region.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sns {
    account: Account,
    /// Their attributes.
    topics: BTreeMap<String, BTreeMap<String, String>>,
    /// By topic.
    #[serde(default)]
    tags: BTreeMap<String, BTreeMap<String, String>>,
    subscriptions: BTreeMap<String, Subscription>,
    next_number: u64,
}

/// Is a subscription, as `Subscribe` takes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    pub topic_arn: String,
    /// Only `sqs`.
    pub protocol: String,
    /// The ARN of the queue.
    pub endpoint: String,
    /// `RawMessageDelivery`, `FilterPolicy`, `FilterPolicyScope`, `RedrivePolicy` by their AWS names.
    pub attributes: BTreeMap<String, String>,
}

/// Is what `Publish` takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishRequest {
    pub topic_arn: String,
    pub message: String,
    pub subject: Option<String>,
    pub message_attributes: MessageAttributes,
    /// `json` where the message holds a text for each protocol.
    #[serde(default)]
    pub message_structure: Option<String>,
}

/// Is what `Publish` answers, and what the driver has to send to queues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    pub message_id: String,
    pub deliveries: Vec<Delivery>,
}

/// Is one message for one queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub queue_arn: String,
    pub body: String,
    /// Only with raw delivery; the envelope carries them otherwise.
    pub message_attributes: MessageAttributes,
    /// Where it goes if the queue does not take it.
    pub dead_letter_queue_arn: Option<String>,
}

/// Refuses an SNS call, as AWS does.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SnsError {
    #[error("Topic does not exist")]
    NoTopic,
    #[error("Subscription does not exist")]
    NoSubscription,
    #[error("Invalid parameter: {0}")]
    InvalidParameter(&'static str),
    #[error("Invalid parameter: {parameter} Reason: {reason}")]
    InvalidParameterFor { parameter: &'static str, reason: &'static str },
    #[error("Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not {elements}")]
    ShortArn { elements: usize },
    #[error("Invalid parameter: FilterPolicy: {0}")]
    InvalidFilterPolicy(String),
    #[error("The message attribute '{name}' is invalid: {reason}.")]
    InvalidMessageAttribute { name: String, reason: &'static str },
}

impl SnsError {
    /// Returns the code of the query protocol.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoTopic | Self::NoSubscription => "NotFound",
            Self::InvalidMessageAttribute { .. } => "ParameterValueInvalid",
            _ => "InvalidParameter",
        }
    }
}

impl Sns {
    #[must_use]
    pub fn new(account: Account) -> Self {
        let (topics, tags, subscriptions) = Default::default();
        Self { account, topics, tags, subscriptions, next_number: 1 }
    }

    /// Creates a topic and returns its ARN; the same name again returns the same ARN, and is refused only where a given
    /// attribute or tag differs.
    pub fn create_topic(
        &mut self,
        name: &str,
        attributes: &BTreeMap<String, String>,
        tags: &BTreeMap<String, String>,
    ) -> Result<String, SnsError> {
        let is_name_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > TOPIC_NAME_LENGTH_MAX || !name.chars().all(is_name_char) {
            return Err(SnsError::InvalidParameter("Topic Name"));
        }
        for (attribute, value) in attributes {
            check_topic_attribute(attribute, value)?;
        }
        let topic_arn = format!("arn:aws:sns:{}:{}:{name}", self.account.region, self.account.id);
        if let Some(existing) = self.topics.get(&topic_arn) {
            if !holds_all(existing, attributes) {
                return Err(refused("Attributes", "Topic already exists with different attributes"));
            }
            if !self.tags.get(&topic_arn).map_or(tags.is_empty(), |existing| holds_all(existing, tags)) {
                return Err(refused("Tags", "Topic already exists with different tags"));
            }
            return Ok(topic_arn);
        }
        self.topics.insert(topic_arn.clone(), attributes.clone());
        self.tags.insert(topic_arn.clone(), tags.clone());
        Ok(topic_arn)
    }

    /// Deletes a topic with its subscriptions; a topic that is not there is fine, as on AWS.
    pub fn delete_topic(&mut self, topic_arn: &str) {
        self.topics.remove(topic_arn);
        self.tags.remove(topic_arn);
        self.subscriptions.retain(|_, subscription| subscription.topic_arn != topic_arn);
    }

    #[must_use]
    pub fn topic_arns(&self) -> Vec<String> {
        self.topics.keys().cloned().collect()
    }

    pub fn topic_attributes(&self, topic_arn: &str) -> Result<BTreeMap<String, String>, SnsError> {
        let mut attributes = self.topics.get(topic_arn).ok_or(SnsError::NoTopic)?.clone();
        let confirmed = self.subscriptions.values().filter(|subscription| subscription.topic_arn == topic_arn).count();
        let mut put = |name: &str, value: String| attributes.insert(name.to_owned(), value);
        put("TopicArn", topic_arn.to_owned());
        put("Owner", self.account.id.clone());
        put("SubscriptionsConfirmed", confirmed.to_string());
        put("SubscriptionsPending", "0".to_owned());
        put("SubscriptionsDeleted", "0".to_owned());
        Ok(attributes)
    }

    pub fn set_topic_attribute(&mut self, topic_arn: &str, name: &str, value: &str) -> Result<(), SnsError> {
        let attributes = self.topics.get_mut(topic_arn).ok_or(SnsError::NoTopic)?;
        check_topic_attribute(name, value)?;
        set_or_remove(attributes, name, value);
        Ok(())
    }

    /// Subscribes a queue and returns the subscription ARN; the same endpoint again returns the same
    /// ARN, and is refused where the attributes differ.
    pub fn subscribe(&mut self, mut subscription: Subscription) -> Result<String, SnsError> {
        self.check_topic(&subscription.topic_arn)?;
        if subscription.protocol != "sqs" {
            return Err(refused("Protocol", "only sqs is modelled"));
        }
        if !subscription.endpoint.starts_with("arn:aws:sqs:") {
            return Err(refused("Endpoint", "an SQS endpoint is the ARN of a queue"));
        }
        for (name, value) in std::mem::take(&mut subscription.attributes) {
            subscription.set(&name, &value)?;
        }
        subscription.filter_policy()?;
        let is_same = |existing: &Subscription| {
            existing.topic_arn == subscription.topic_arn && existing.endpoint == subscription.endpoint
        };
        match self.subscriptions.iter().find(|(_, existing)| is_same(existing)) {
            Some((arn, existing)) if *existing == subscription => Ok(arn.clone()),
            Some(_) => Err(refused("Attributes", "Subscription already exists with different attributes")),
            None => {
                let arn = format!("{}:{}", subscription.topic_arn, uuid("subscription", self.take_number()));
                self.subscriptions.insert(arn.clone(), subscription);
                Ok(arn)
            }
        }
    }

    /// Removes a subscription; one that is not there is fine.
    pub fn unsubscribe(&mut self, subscription_arn: &str) {
        self.subscriptions.remove(subscription_arn);
    }

    /// Lists subscriptions by ARN, of one topic where given.
    pub fn subscriptions(&self, topic_arn: Option<&str>) -> Result<BTreeMap<String, Subscription>, SnsError> {
        topic_arn.map_or(Ok(()), |topic_arn| self.check_topic(topic_arn))?;
        let is_wanted = |subscription: &Subscription| topic_arn.is_none_or(|arn| subscription.topic_arn == arn);
        let wanted = self.subscriptions.iter().filter(|(_, subscription)| is_wanted(subscription));
        Ok(wanted.map(|(arn, subscription)| (arn.clone(), subscription.clone())).collect())
    }

    pub fn subscription_attributes(&self, subscription_arn: &str) -> Result<BTreeMap<String, String>, SnsError> {
        let subscription = self.subscriptions.get(subscription_arn).ok_or(SnsError::NoSubscription)?;
        let mut attributes = subscription.attributes.clone();
        let mut put = |name: &str, value: String| attributes.insert(name.to_owned(), value);
        put("SubscriptionArn", subscription_arn.to_owned());
        put("TopicArn", subscription.topic_arn.clone());
        put("Owner", self.account.id.clone());
        put("Protocol", subscription.protocol.clone());
        put("Endpoint", subscription.endpoint.clone());
        put("RawMessageDelivery", subscription.is_raw().to_string());
        put("PendingConfirmation", "false".to_owned());
        put("ConfirmationWasAuthenticated", "true".to_owned());
        Ok(attributes)
    }

    pub fn set_subscription_attribute(
        &mut self,
        subscription_arn: &str,
        name: &str,
        value: &str,
    ) -> Result<(), SnsError> {
        let subscription = self.subscriptions.get_mut(subscription_arn).ok_or(SnsError::NoSubscription)?;
        let mut changed = subscription.clone();
        changed.set(name, value)?;
        changed.filter_policy()?;
        *subscription = changed;
        Ok(())
    }

    /// Publishes a message; returns its id and what is to be sent to which queue.
    pub fn publish(&mut self, now_ms: u64, request: &PublishRequest) -> Result<Published, SnsError> {
        self.check_topic(&request.topic_arn)?;
        check_message(request)?;
        let text = text_for_queues(request)?;
        let message_id = uuid("notification", self.take_number());
        let deliveries = self
            .subscriptions
            .iter()
            .filter(|(_, subscription)| subscription.wants(request, &text))
            .map(|(arn, subscription)| self.delivery(now_ms, &message_id, request, &text, arn, subscription))
            .collect();
        Ok(Published { message_id, deliveries })
    }

    fn check_topic(&self, topic_arn: &str) -> Result<(), SnsError> {
        let elements = topic_arn.split(':').count();
        if elements < ARN_ELEMENTS_MIN {
            return Err(SnsError::ShortArn { elements });
        }
        self.topics.contains_key(topic_arn).then_some(()).ok_or(SnsError::NoTopic)
    }

    fn take_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    fn delivery(
        &self,
        now_ms: u64,
        message_id: &str,
        request: &PublishRequest,
        text: &str,
        subscription_arn: &str,
        subscription: &Subscription,
    ) -> Delivery {
        let (queue_arn, dead_letter_queue_arn) = (subscription.endpoint.clone(), subscription.dead_letter_queue_arn());
        if subscription.is_raw() {
            let message_attributes = request.message_attributes.clone();
            return Delivery { queue_arn, body: text.to_owned(), message_attributes, dead_letter_queue_arn };
        }
        let service = format!("https://sns.{}.amazonaws.com/", self.account.region);
        let mut envelope = json!({
            "Type": "Notification",
            "MessageId": message_id,
            "TopicArn": request.topic_arn,
            "Message": text,
            "Timestamp": iso_millis(now_ms),
            "SignatureVersion": "1",
            "Signature": "unsigned",
            "SigningCertURL": service,
            "UnsubscribeURL":
                format!("{service}?Action=Unsubscribe&SubscriptionArn={subscription_arn}"),
        });
        if let Some(subject) = &request.subject {
            envelope["Subject"] = json!(subject);
        }
        if !request.message_attributes.is_empty() {
            envelope["MessageAttributes"] = envelope_attributes(&request.message_attributes);
        }
        let message_attributes = MessageAttributes::new();
        Delivery { queue_arn, body: envelope.to_string(), message_attributes, dead_letter_queue_arn }
    }
}

impl Subscription {
    fn set(&mut self, name: &str, value: &str) -> Result<(), SnsError> {
        let flag = value.to_ascii_lowercase();
        let value = match (name, flag.as_str()) {
            ("RawMessageDelivery", "true" | "false") => &flag,
            ("RawMessageDelivery", _) => return Err(refused("RawMessageDelivery", "not a boolean")),
            ("RedrivePolicy", _) if !value.is_empty() && dead_letter_queue_arn(value).is_none() => {
                return Err(refused("RedrivePolicy", "a deadLetterTargetArn that is the ARN of a queue"));
            }
            ("FilterPolicyScope", _) if !["", "MessageAttributes", "MessageBody"].contains(&value) => {
                return Err(refused("FilterPolicyScope", "MessageAttributes or MessageBody"));
            }
            ("FilterPolicy" | "FilterPolicyScope" | "RedrivePolicy" | "DeliveryPolicy", _) => value,
            _ => return Err(SnsError::InvalidParameter("AttributeName")),
        };
        set_or_remove(&mut self.attributes, name, value);
        Ok(())
    }

    fn filter_policy(&self) -> Result<Option<FilterPolicy>, SnsError> {
        let parse = |policy: &String| FilterPolicy::parse(policy, self.filters_body());
        self.attributes.get("FilterPolicy").map(parse).transpose()
    }

    fn filters_body(&self) -> bool {
        self.attributes.get("FilterPolicyScope").is_some_and(|scope| scope == "MessageBody")
    }

    fn dead_letter_queue_arn(&self) -> Option<String> {
        dead_letter_queue_arn(self.attributes.get("RedrivePolicy")?)
    }

    fn is_raw(&self) -> bool {
        self.attributes.get("RawMessageDelivery").is_some_and(|value| value == "true")
    }

    fn wants(&self, request: &PublishRequest, text: &str) -> bool {
        let attributes = &request.message_attributes;
        let fits = !self.is_raw() || attributes.len() <= RAW_ATTRIBUTES_MAX;
        let accepted = self.filter_policy().ok().flatten().is_none_or(|policy| match self.filters_body() {
            true => policy.accepts_body(text),
            false => policy.accepts(attributes),
        });
        request.topic_arn == self.topic_arn && fits && accepted
    }
}

fn dead_letter_queue_arn(redrive_policy: &str) -> Option<String> {
    let policy: Value = serde_json::from_str(redrive_policy).ok()?;
    policy["deadLetterTargetArn"].as_str().filter(|arn| arn.starts_with("arn:aws:sqs:")).map(str::to_owned)
}

fn holds_all(existing: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(name, value)| existing.get(name) == Some(value))
}

/// Returns the text that queues get: of a message with a text for each protocol theirs, or the default.
/// (SNS API reference, `Publish`.)
fn text_for_queues(request: &PublishRequest) -> Result<String, SnsError> {
    match request.message_structure.as_deref() {
        None => return Ok(request.message.clone()),
        Some("json") => {}
        Some(_) => return Err(SnsError::InvalidParameter("MessageStructure")),
    }
    let Ok(Value::Object(texts)) = serde_json::from_str(&request.message) else {
        return Err(SnsError::InvalidParameter("Message Structure - JSON message body failed to parse"));
    };
    let text = |protocol: &str| texts.get(protocol).and_then(Value::as_str);
    let Some(default) = text("default") else {
        return Err(SnsError::InvalidParameter("Message Structure - No default entry in JSON message body"));
    };
    Ok(text("sqs").unwrap_or(default).to_owned())
}

fn envelope_attributes(attributes: &MessageAttributes) -> Value {
    let members: Map<String, Value> = attributes
        .iter()
        .map(|(name, attribute)| {
            let value = match &attribute.value {
                AttributeValue::Text(text) => text.clone(),
                AttributeValue::Binary(bytes) => STANDARD.encode(bytes),
            };
            let member = json!({ "Type": attribute.data_type, "Value": value });
            (name.clone(), member)
        })
        .collect();
    Value::Object(members)
}

/// (SNS API reference, `Publish`.)
fn check_message(request: &PublishRequest) -> Result<(), SnsError> {
    if request.message.is_empty() {
        return Err(SnsError::InvalidParameter("Empty message"));
    }
    let size_bytes = request.message.len() + attribute::size_bytes(&request.message_attributes);
    if size_bytes > MESSAGE_BYTES_MAX {
        return Err(SnsError::InvalidParameter("Message too long"));
    }
    for (name, message_attribute) in &request.message_attributes {
        // `String.Array` is a type of SNS's own; its value is text like that of any String.
        if let Some(reason) = attribute::fault(name, message_attribute) {
            return Err(SnsError::InvalidMessageAttribute { name: name.clone(), reason });
        }
    }
    match &request.subject {
        Some(subject) => check_subject(subject),
        None => Ok(()),
    }
}

fn check_subject(subject: &str) -> Result<(), SnsError> {
    let is_printable = subject.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    if subject.is_empty() || subject.len() > SUBJECT_LENGTH_MAX || subject.starts_with(' ') || !is_printable {
        return Err(SnsError::InvalidParameter("Subject"));
    }
    Ok(())
}

fn check_topic_attribute(name: &str, value: &str) -> Result<(), SnsError> {
    if !TOPIC_ATTRIBUTES.contains(&name) {
        return Err(SnsError::InvalidParameter("AttributeName"));
    }
    if name == "FifoTopic" && value != "false" {
        return Err(refused("FifoTopic", "FIFO topics are not modelled"));
    }
    Ok(())
}

fn set_or_remove(attributes: &mut BTreeMap<String, String>, name: &str, value: &str) {
    if value.is_empty() {
        attributes.remove(name);
    } else {
        attributes.insert(name.to_owned(), value.to_owned());
    }
}

fn refused(parameter: &'static str, reason: &'static str) -> SnsError {
    SnsError::InvalidParameterFor { parameter, reason }
}
