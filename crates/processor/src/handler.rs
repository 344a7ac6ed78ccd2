//! Lambda's event in, Lambda's answer out. Converts; decides nothing.

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use lambda_runtime::{Error, LambdaEvent};
use ledger::{Message, ports::Clock};
use ledger_aws::{DynamoTables, EmfSink, SdkConfig, SystemClock};

use crate::{
    config::Config,
    process::{Settings, process, warm_up},
    telemetry,
};

pub struct Processor {
    tables: DynamoTables,
    clock: SystemClock,
    settings: Settings,
    emf: EmfSink,
}

impl Processor {
    pub fn new(sdk_config: &SdkConfig, config: Config, emf: EmfSink) -> Self {
        Self {
            tables: DynamoTables::new(sdk_config, config.idempotency_table, config.events_table),
            clock: SystemClock,
            settings: config.settings,
            emf,
        }
    }

    pub async fn warm_up(&self) {
        warm_up(&self.tables).await;
    }

    pub async fn handle(&self, event: LambdaEvent<SqsEvent>) -> Result<SqsBatchResponse, Error> {
        let started_ms = self.clock.now_ms();
        let messages = event.payload.records.into_iter().map(message).collect::<Result<Vec<_>, _>>()?;
        let report = process(&self.tables, &self.clock, self.settings, &messages, event.context.deadline).await;
        let ended_ms = self.clock.now_ms();
        let duration_ms = ended_ms.saturating_sub(started_ms);
        let batch = telemetry::Batch { messages: &messages, report: &report, ended_ms, duration_ms };
        batch.log();
        batch.measure(&self.emf);
        let mut response = SqsBatchResponse::default();
        response.batch_item_failures = report.failed.iter().map(|&index| failure(&messages[index])).collect();
        Ok(response)
    }
}

fn message(record: SqsMessage) -> Result<Message, Error> {
    let attribute = |name: &str| record.attributes.get(name);
    Ok(Message {
        group_id: attribute("MessageGroupId").cloned(),
        sequence_number: attribute("SequenceNumber").cloned(),
        sent_at_ms: attribute("SentTimestamp").and_then(|text| text.parse().ok()),
        receive_count: attribute("ApproximateReceiveCount").and_then(|text| text.parse().ok()).unwrap_or(1),
        message_id: record.message_id.ok_or("a record without messageId is not from SQS")?,
        body: record.body.unwrap_or_default(),
    })
}

fn failure(message: &Message) -> BatchItemFailure {
    let mut failure = BatchItemFailure::default();
    failure.item_identifier.clone_from(&message.message_id);
    failure
}
