//! Lambda's event in, Lambda's answer out. Converts; decides nothing.

use std::sync::{Mutex, PoisonError};

use lambda_runtime::{Error, LambdaEvent};
use ledger::ports::Clock;
use ledger_aws::{CloudWatchMetrics, DynamoProjections, EmfSink, SdkConfig, SnsAlerts, SystemClock};

use crate::{
    config::Config,
    event::{Input, StreamEvent, StreamResponse},
    project::{Kept, Outcome, Ports, Settings, project, tick, warm_up},
    telemetry,
};

pub struct Projector {
    ports: Ports<DynamoProjections, SnsAlerts, CloudWatchMetrics, SystemClock>,
    settings: Settings,
    kept: Mutex<Kept>,
    emf: EmfSink,
}

impl Projector {
    pub fn new(sdk_config: &SdkConfig, config: Config, emf: EmfSink) -> Self {
        let ports = Ports {
            projections: DynamoProjections::new(sdk_config, config.projections_table),
            alerts: SnsAlerts::new(sdk_config, config.alerts_topic_arn),
            metrics: CloudWatchMetrics::new(sdk_config),
            clock: SystemClock,
        };
        Self { ports, settings: config.settings, kept: Mutex::default(), emf }
    }

    pub async fn warm_up(&self) {
        warm_up(&self.ports).await;
    }

    /// Projects one event, or announces what is pending.
    ///
    /// An error, which makes Lambda send the whole event again, is only for an event that cannot be done and has no
    /// sequence number to go on from.
    pub async fn handle(&self, event: LambdaEvent<StreamEvent>) -> Result<StreamResponse, Error> {
        let (event, context) = event.into_parts();
        // Two invocations at once, which Lambda never has in one process, would each keep their own.
        let mut kept = self.kept().clone();
        let report = match event.into_input() {
            Input::Batch(batch) => project(&self.ports, &self.settings, &mut kept, batch, context.deadline).await,
            Input::Tick => tick(&self.ports, &self.settings, &mut kept, context.deadline).await,
            Input::WithoutShard => {
                return Err("the event names no shard, so nothing tells which of its records were projected before: \
                            give the stream's mapping a tumbling window"
                    .into());
            }
        };
        *self.kept() = kept;
        for line in telemetry::lines_of(&report.work, self.ports.clock.now_ms()) {
            (self.emf)(&line);
        }
        match report.outcome {
            Outcome::Done => Ok(StreamResponse::done()),
            Outcome::FailedFrom(sequence) => Ok(StreamResponse::failed_from(&sequence)),
            Outcome::Failed => Err("the event was not projected and names no sequence number".into()),
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
