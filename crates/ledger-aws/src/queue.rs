//! Sending to an SQS FIFO queue, ten messages a call.

use aws_sdk_sqs::{
    Client,
    error::{DisplayErrorContext, SdkError},
    operation::get_queue_url::GetQueueUrlError,
    types::SendMessageBatchRequestEntry,
};
use thiserror::Error;

use crate::tables::refusal;

/// Messages SQS takes in one call.
pub const BATCH_MAX: usize = 10;

/// A message on its way.
#[derive(Clone, Debug)]
pub struct ToSend {
    pub body: String,
    pub group_id: String,
    pub deduplication_id: String,
}

/// What became of one message of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    Accepted,
    /// SQS's code for why not, or the name of what kept the call from it.
    Refused(String),
}

#[derive(Debug, Error)]
pub enum QueueError {
    #[error("cannot find the queue {name}: {}", DisplayErrorContext(source))]
    NotFound { name: String, source: Box<SdkError<GetQueueUrlError>> },
}

#[derive(Clone, Debug)]
pub struct Queue {
    client: Client,
    url: String,
}

impl Queue {
    /// Looks a queue of this account up by its name.
    pub async fn find(config: &aws_config::SdkConfig, name: &str) -> Result<Self, QueueError> {
        let client = Client::new(config);
        let answer = client.get_queue_url().queue_name(name).send().await;
        let answer =
            answer.map_err(|source| QueueError::NotFound { name: name.to_owned(), source: Box::new(source) })?;
        Ok(Self { client, url: answer.queue_url.unwrap_or_default() })
    }

    /// Sends up to `BATCH_MAX` messages and tells of each, in their order, what became of it. A call that fails refuses
    /// each of them, though it may have been done.
    pub async fn send(&self, messages: &[ToSend]) -> Vec<Sent> {
        let entries = messages.iter().enumerate().map(|(index, message)| {
            SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(&message.body)
                .message_group_id(&message.group_id)
                .message_deduplication_id(&message.deduplication_id)
                .build()
                .expect("id and body are set")
        });
        let request = self.client.send_message_batch().queue_url(&self.url).set_entries(Some(entries.collect()));
        let answer = match request.send().await.map_err(|error| refusal(&error)) {
            Ok(answer) => answer,
            Err(refusal) => return vec![Sent::Refused(refusal.code().into_owned()); messages.len()],
        };
        let mut sent = vec![Sent::Refused("NoAnswer".to_owned()); messages.len()];
        let mut set = |id: &str, outcome: Sent| {
            if let Some(place) = id.parse::<usize>().ok().and_then(|index| sent.get_mut(index)) {
                *place = outcome;
            }
        };
        answer.successful.iter().for_each(|success| set(&success.id, Sent::Accepted));
        answer.failed.iter().for_each(|failure| set(&failure.id, Sent::Refused(failure.code.clone())));
        sent
    }
}
