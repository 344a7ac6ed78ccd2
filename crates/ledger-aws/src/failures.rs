//! Stream records that could not be projected, to an SQS queue with an alarm.

use aws_sdk_sqs::Client;
use ledger::ports::{Failures, Refusal};

use crate::tables::within;

#[derive(Clone, Debug)]
pub struct SqsFailures {
    client: Client,
    queue_url: String,
}

impl SqsFailures {
    pub fn new(config: &aws_config::SdkConfig, queue_url: String) -> Self {
        Self { client: Client::new(config), queue_url }
    }
}

impl Failures for SqsFailures {
    async fn send(&self, body: String, budget_ms: u64) -> Result<(), Refusal> {
        let call = self.client.send_message().queue_url(&self.queue_url).message_body(body).send();
        within(budget_ms, call).await.map(|_| ())
    }
}
