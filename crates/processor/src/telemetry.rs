//! What a batch leaves in logs and metrics: ids, counts and classes, never a value or an undeclared name (G11). One
//! log line for the batch, and one for each message that did not simply become a READY entry, or for all that failed of
//! a group; metrics in the Embedded Metric Format, which cost no call.

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
pub(crate) struct Batch<'b> {
    pub messages: &'b [Message],
    pub report: &'b Report,
    pub ended_ms: u64,
    pub duration_ms: u64,
}

impl Batch<'_> {
    pub(crate) fn log(&self) {
        for (index, outcome) in self.report.outcomes.iter().enumerate() {
            let (message, key) = (&self.messages[index], &self.report.keys[index]);
            let (tenant_id, event_id) = (key.tenant_id.as_str(), key.event_id());
            let (sequence_number, message_group) = (message.sequence_number.as_deref(), message.group_id.as_deref());
            let message_id = message.message_id.as_str();
            // What leads from a line to the entry, and from an entry to its line.
            macro_rules! line {
                ($level:ident, $($field:tt)*) => {
                    $level!(tenant_id, event_id, sequence_number, message_group, message_id, $($field)*)
                };
            }
            match outcome {
                Outcome::Ready => {}
                Outcome::Invalid(class) => line!(info, class = class.as_str(), "invalid entry recorded"),
                Outcome::Finished(_) => line!(info, "entry recorded for an earlier claim"),
                Outcome::Duplicate => line!(info, "duplicate acknowledged"),
                Outcome::Redelivery => line!(info, "redelivery acknowledged"),
                Outcome::ExpiredClaim(_) => line!(warn, "entry recorded for a claim older than an entry lives"),
                Outcome::Failed { code } => {
                    if let Some(messages) = self.failed_with(index) {
                        let receives = message.receive_count;
                        line!(error, %code, receives, messages, "messages of a group left to be delivered again");
                    }
                }
            }
        }
        let ready = self.report.outcomes.iter().filter(|outcome| **outcome == Outcome::Ready).count();
        let (messages, failed, duration_ms) = (self.messages.len(), self.report.failed.len(), self.duration_ms);
        info!(messages, ready, failed, duration_ms, "batch processed");
    }

    /// How many messages are given back with a failed one, itself included, if it is the first of its group.
    fn failed_with(&self, index: usize) -> Option<usize> {
        let Some(group) = &self.messages[index].group_id else { return Some(1) };
        let is_of_group = |at: &&usize| self.messages[**at].group_id.as_ref() == Some(group);
        let mut failed = self.report.failed.iter().filter(is_of_group);
        (failed.next() == Some(&index)).then(|| 1 + failed.count())
    }

    pub(crate) fn measure(&self, sink: &EmfSink) {
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
