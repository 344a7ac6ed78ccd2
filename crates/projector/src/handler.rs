//! Lambda's event in, Lambda's answer out. Converts; decides nothing.

use lambda_runtime::{Error, LambdaEvent};
use ledger::{
    ports::{Clock, Projections},
    projection::keys::ProjectionKey,
};
use ledger_aws::{CloudWatchMetrics, DynamoProjections, EmfSink, SdkConfig, SnsAlerts, SqsFailures, SystemClock};
use tracing::warn;

use crate::{
    config::Config,
    event::{StreamEvent, StreamResponse},
    project::{Outcome, Services, Settings},
    telemetry,
};

/// Longest time the warm-up may add to a cold start.
const WARM_UP_BUDGET_MS: u64 = 1_000;

pub struct Projector {
    services: Services<DynamoProjections, SnsAlerts, CloudWatchMetrics, SqsFailures, SystemClock>,
    settings: Settings,
    emf: EmfSink,
}

impl Projector {
    pub fn new(sdk_config: &SdkConfig, config: Config, emf: EmfSink) -> Self {
        let services = Services {
            projections: DynamoProjections::new(sdk_config, config.projections_table),
            alerts: SnsAlerts::new(sdk_config, config.alerts_topic_arn),
            metrics: CloudWatchMetrics::new(sdk_config),
            failures: SqsFailures::new(sdk_config, config.failures_queue_url),
            clock: SystemClock,
        };
        Self { services, settings: config.settings, emf }
    }

    /// Opens the connection to the table before the first batch needs it, while INIT is boosted. The other services get
    /// theirs when they are needed: nothing can be asked of them that changes nothing and needs no further right.
    pub async fn warm_up(&self) {
        let absent = vec![ProjectionKey::absent()];
        if let Err(refusal) = self.services.projections.read(absent, WARM_UP_BUDGET_MS).await {
            warn!(?refusal, "warm-up failed, the first batch opens the connection");
        }
    }

    /// Projects one event.
    ///
    /// An error, which makes Lambda send the whole event again, is only for an event that cannot be done and has no
    /// sequence number to go on from.
    pub async fn handle(&self, event: LambdaEvent<StreamEvent>) -> Result<StreamResponse, Error> {
        let (event, context) = event.into_parts();
        let report = self.services.project(&self.settings, event.into_batch(), context.deadline).await;
        for line in telemetry::lines_for_refused_puts(report.refused_puts, self.services.clock.now_ms()) {
            (self.emf)(&line);
        }
        match report.outcome {
            Outcome::Done => Ok(StreamResponse::done()),
            Outcome::FailedFrom(sequence) => Ok(StreamResponse::failed_from(&sequence)),
            Outcome::Failed => Err("the event was not projected and names no sequence number".into()),
        }
    }
}
