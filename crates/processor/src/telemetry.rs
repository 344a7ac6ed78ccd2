//! What a batch leaves in logs and metrics: ids, counts and classes, never a value or an undeclared name (G11). One
//! log line for the batch, and one for each message that did not simply become a READY entry; metrics in the Embedded
//! Metric Format, which cost no call.

use ledger::{
    FailureClass, Message,
    entry::Status,
    metric::{Metric, NAMESPACE, dimension},
};
use ledger_aws::{EmfSink, Recorder, emf_lines};
use metrics::{counter, histogram};
use tracing::{error, info, warn};

use crate::process::{Outcome, Report};

/// One batch, as it is told.
pub struct Batch<'b> {
    pub messages: &'b [Message],
    pub report: &'b Report,
    pub ended_ms: u64,
    pub duration_ms: u64,
}

impl Batch<'_> {
    pub fn log(&self) {
        for (message, outcome) in self.messages.iter().zip(&self.report.outcomes) {
            let message_id = message.message_id.as_str();
            match outcome {
                Outcome::Ready => {}
                Outcome::Invalid(class) => info!(message_id, class = class.as_str(), "invalid entry recorded"),
                Outcome::Finished(_) => info!(message_id, "entry recorded for an earlier claim"),
                Outcome::Duplicate => info!(message_id, "duplicate acknowledged"),
                Outcome::Redelivery => info!(message_id, "redelivery acknowledged"),
                Outcome::ExpiredClaim(_) => warn!(message_id, "entry recorded for a claim older than an entry lives"),
                Outcome::Failed { code } => {
                    error!(message_id, %code, receives = message.receive_count, "message left to be delivered again");
                }
            }
        }
        let ready = self.report.outcomes.iter().filter(|outcome| **outcome == Outcome::Ready).count();
        let (messages, failed, duration_ms) = (self.messages.len(), self.report.failed.len(), self.duration_ms);
        info!(messages, ready, failed, duration_ms, "batch processed");
    }

    pub fn measure(&self, sink: &EmfSink) {
        let recorder = Recorder::default();
        metrics::with_local_recorder(&recorder, || self.record());
        emf_lines(NAMESPACE, self.ended_ms, &recorder.drain()).iter().for_each(|line| sink(line));
    }

    fn record(&self) {
        for outcome in &self.report.outcomes {
            match outcome {
                Outcome::Ready => recorded(None),
                Outcome::Invalid(class) => recorded(Some(*class)),
                Outcome::Finished(class) => {
                    recorded(*class);
                    count(Metric::FinishedClaims, 1);
                }
                Outcome::Duplicate => count(Metric::Duplicates, 1),
                Outcome::Redelivery => count(Metric::Redeliveries, 1),
                Outcome::ExpiredClaim(class) => {
                    recorded(*class);
                    count(Metric::ExpiredClaims, 1);
                }
                Outcome::Failed { .. } => count(Metric::TransientFailures, 1),
            }
        }
        count(Metric::GroupMismatch, self.report.group_mismatches);
        histogram!(Metric::BatchSize.name()).record(self.messages.len() as f64);
        histogram!(Metric::Duration.name()).record(self.duration_ms as f64);
    }
}

fn recorded(failure: Option<FailureClass>) {
    let status = if failure.is_none() { Status::READY } else { Status::INVALID };
    counter!(Metric::Recorded.name(), dimension::STATUS => status).increment(1);
    count(Metric::Conflicts, usize::from(failure == Some(FailureClass::Conflict)));
}

/// Zero is left out: a line costs bytes, and alarms treat missing data as none.
fn count(metric: Metric, number: usize) {
    if number > 0 {
        counter!(metric.name()).increment(number as u64);
    }
}
