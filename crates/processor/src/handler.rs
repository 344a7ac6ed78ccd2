//! Lambda's event in, Lambda's answer out. Converts; decides nothing.

use lambda_runtime::{Error, LambdaEvent};
use ledger::{Message, ports::Clock};
use ledger_aws::{DynamoTables, EmfSink, SdkConfig, SystemClock};

use crate::{
    config::Config,
    event::{BatchItemFailure, PartialBatchResponse, SqsEvent},
    process::{Ports, Settings, process, warm_up},
    telemetry,
};

pub struct Processor {
    ports: Ports<DynamoTables, SystemClock>,
    settings: Settings,
    emf: EmfSink,
}

impl Processor {
    pub fn new(sdk_config: &SdkConfig, config: Config, emf: EmfSink) -> Self {
        Self {
            ports: Ports { tables: DynamoTables::new(sdk_config, config.tables), clock: SystemClock },
            settings: config.settings,
            emf,
        }
    }

    pub async fn warm_up(&self) {
        warm_up(&self.ports).await;
    }

    pub async fn handle(&self, event: LambdaEvent<SqsEvent>) -> Result<PartialBatchResponse, Error> {
        let started_ms = self.ports.clock.now_ms();
        let messages: Vec<Message> = event.payload.records.into_iter().map(Message::from).collect();
        let report = process(&self.ports, self.settings, &messages, event.context.deadline).await;
        let ended_ms = self.ports.clock.now_ms();
        let duration_ms = ended_ms.saturating_sub(started_ms);
        let batch = telemetry::Batch { messages: &messages, report: &report, ended_ms, duration_ms };
        batch.log();
        batch.measure(&self.emf);
        let failure = |&index: &usize| BatchItemFailure { item_identifier: messages[index].message_id.clone() };
        Ok(PartialBatchResponse { batch_item_failures: report.failed.iter().map(failure).collect() })
    }
}
