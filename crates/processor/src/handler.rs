//! Lambda's event in, Lambda's answer out. Converts; decides nothing.

use lambda_runtime::{Error, LambdaEvent};
use ledger::{
    Attribute, Item, Message,
    entry::attribute,
    ports::{Clock, Table, Tables},
};
use ledger_aws::{DynamoTables, EmfSink, SdkConfig, SystemClock};
use tracing::warn;

use crate::{
    config::Config,
    event::{BatchItemFailure, PartialBatchResponse, SqsEvent},
    process::{Settings, process},
    telemetry,
};

/// Longest time the warm-up may add to a cold start.
const WARM_UP_BUDGET_MS: u64 = 1_000;

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

    /// Opens the connection before the first batch needs it: a handshake on a small function's CPU costs the better
    /// part of a second, and INIT is boosted.
    pub async fn warm_up(&self) {
        // No claim has this key: theirs hold a separator.
        let absent = Item::from([(attribute::PK.to_owned(), Attribute::S("_warm-up".to_owned()))]);
        if let Err(refusal) = self.tables.read(Table::Claims, vec![absent], WARM_UP_BUDGET_MS).await {
            warn!(?refusal, "warm-up failed, the first batch opens the connection");
        }
    }

    pub async fn handle(&self, event: LambdaEvent<SqsEvent>) -> Result<PartialBatchResponse, Error> {
        let started_ms = self.clock.now_ms();
        let messages: Vec<Message> = event.payload.records.into_iter().map(Message::from).collect();
        let report = process(&self.tables, &self.clock, self.settings, &messages, event.context.deadline).await;
        let ended_ms = self.clock.now_ms();
        let duration_ms = ended_ms.saturating_sub(started_ms);
        let batch = telemetry::Batch { messages: &messages, report: &report, ended_ms, duration_ms };
        batch.log();
        batch.measure(&self.emf);
        let failure = |&index: &usize| BatchItemFailure { item_identifier: messages[index].message_id.clone() };
        Ok(PartialBatchResponse { batch_item_failures: report.failed.iter().map(failure).collect() })
    }
}
