//! Lambda's event in, Lambda's answer out. Converts; decides nothing.

use lambda_runtime::{Error, LambdaEvent};
use ledger::ports::Clock;
use ledger_aws::{CloudWatchMetrics, DynamoProjections, EmfSink, SdkConfig, SnsAlerts, SqsFailures, SystemClock};

use crate::{
    config::Config,
    event::{StreamEvent, StreamResponse},
    project::{Outcome, Ports, Settings, project, warm_up},
    telemetry,
};

pub struct Projector {
    ports: Ports<DynamoProjections, SnsAlerts, CloudWatchMetrics, SqsFailures, SystemClock>,
    settings: Settings,
    emf: EmfSink,
}

impl Projector {
    pub fn new(sdk_config: &SdkConfig, config: Config, emf: EmfSink) -> Self {
        let ports = Ports {
            projections: DynamoProjections::new(sdk_config, config.projections_table),
            alerts: SnsAlerts::new(sdk_config, config.alerts_topic_arn),
            metrics: CloudWatchMetrics::new(sdk_config),
            failures: SqsFailures::new(sdk_config, config.failures_queue_url),
            clock: SystemClock,
        };
        Self { ports, settings: config.settings, emf }
    }

    pub async fn warm_up(&self) {
        warm_up(&self.ports).await;
    }

    /// Projects one event.
    ///
    /// An error, which makes Lambda send the whole event again, is only for an event that cannot be done and has no
    /// sequence number to go on from.
    pub async fn handle(&self, event: LambdaEvent<StreamEvent>) -> Result<StreamResponse, Error> {
        let (event, context) = event.into_parts();
        let report = project(&self.ports, &self.settings, event.into_batch(), context.deadline).await;
        for line in telemetry::lines_for_refused_puts(report.refused_puts, self.ports.clock.now_ms()) {
            (self.emf)(&line);
        }
        match report.outcome {
            Outcome::Done => Ok(StreamResponse::done()),
            Outcome::FailedFrom(sequence) => Ok(StreamResponse::failed_from(&sequence)),
            Outcome::Failed => Err("the event was not projected and names no sequence number".into()),
        }
    }
}
