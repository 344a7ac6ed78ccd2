//! Publishes the samples of a request, ten messages a call. What SQS refuses is sent again and, in the end, reported; so is
//! what time did not suffice for. The answer always says what was published.

use lambda_runtime::{Error, LambdaEvent};
use ledger::{
    Timestamp,
    ports::Clock,
    retry::{Backoff, Deadline},
};
use ledger_aws::{
    Queue, SdkConfig, SystemClock,
    queue::{BATCH_MAX, Sent, ToSend},
};
use serde::Serialize;
use tracing::info;

use crate::{
    config::Config,
    samples::{Request, Sample, samples},
};

/// How often a message that SQS refused is sent again.
const RESENDS_MAX: u32 = 3;
const BACKOFF: Backoff = Backoff { first_ms: 200, last_ms: 200 };
/// A call that takes its two attempts of two seconds each, with the SDK's pause between them, and the answer after it.
const CALL_MS: u64 = 5_500;

pub struct Seeder {
    sdk_config: SdkConfig,
    config: Config,
    clock: SystemClock,
}

#[derive(Debug, Serialize)]
pub struct Response {
    pub message: &'static str,
    pub published: Vec<Published>,
    pub failed: Vec<Failed>,
}

#[derive(Debug, Serialize)]
pub struct Published {
    pub tenant_id: String,
    pub event_id: String,
    pub event_type: &'static str,
}

#[derive(Debug, Serialize)]
pub struct Failed {
    #[serde(flatten)]
    pub event: Published,
    /// SQS's code, or why it was not asked.
    pub code: String,
}

impl Seeder {
    pub fn new(sdk_config: &SdkConfig, config: Config) -> Self {
        Self { sdk_config: sdk_config.clone(), config, clock: SystemClock }
    }

    pub async fn handle(&self, event: LambdaEvent<Option<Request>>) -> Result<Response, Error> {
        let now = Timestamp::from_epoch_ms(self.clock.now_ms()).ok_or("the clock is beyond the year 9999")?;
        let deadline_ms = event.context.deadline;
        let samples = samples(&event.payload.unwrap_or_default(), now.as_str())?;
        let queue = Queue::find(&self.sdk_config, &self.config.queue_name).await?;
        let mut response = Response { message: "Seed Lambda completed", published: Vec::new(), failed: Vec::new() };
        for batch in samples.chunks(BATCH_MAX) {
            for (sample, sent) in batch.iter().zip(self.publish(&queue, batch, deadline_ms).await) {
                match sent {
                    Sent::Accepted => response.published.push(published(sample)),
                    Sent::Refused(code) => response.failed.push(Failed { event: published(sample), code }),
                }
            }
        }
        info!(published = response.published.len(), failed = response.failed.len(), "samples published");
        Ok(response)
    }

    /// Sends one batch, and what was refused of it again, while there is time for a call.
    async fn publish(&self, queue: &Queue, batch: &[Sample], deadline_ms: u64) -> Vec<Sent> {
        let messages: Vec<ToSend> = batch.iter().map(to_send).collect();
        let mut sent = vec![Sent::Refused("Deadline".to_owned()); messages.len()];
        let deadline = Deadline { clock: &self.clock, at_ms: deadline_ms, call_ms_min: CALL_MS };
        for attempt in 0..=RESENDS_MAX {
            let left: Vec<usize> = (0..sent.len()).filter(|&at| sent[at] != Sent::Accepted).collect();
            if left.is_empty() || !deadline.wait(BACKOFF, attempt).await {
                break;
            }
            let outcomes = queue.send(&left.iter().map(|&at| messages[at].clone()).collect::<Vec<_>>()).await;
            left.into_iter().zip(outcomes).for_each(|(at, outcome)| sent[at] = outcome);
        }
        sent
    }
}

fn to_send(sample: &Sample) -> ToSend {
    ToSend {
        body: sample.body.clone(),
        group_id: sample.key.tenant_id.to_string(),
        deduplication_id: sample.deduplication_id(),
    }
}

fn published(sample: &Sample) -> Published {
    Published {
        tenant_id: sample.key.tenant_id.to_string(),
        event_id: sample.key.event_id.to_string(),
        event_type: sample.event_type,
    }
}
