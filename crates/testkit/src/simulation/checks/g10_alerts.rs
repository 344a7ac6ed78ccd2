//! G10: what the checkpoint has passed was told of before.

use ledger::{
    alert::AlertMessage,
    projection::{EntrySummary, Verdict},
};

use super::{Expectations, g11_no_values::check_no_value};
use crate::clause::hold;

impl Expectations {
    /// A message has left.
    pub(crate) fn published(&mut self, now_ms: u64, message: &AlertMessage) {
        check_no_value("an alert", &message.subject);
        check_no_value("an alert", &message.body);
        self.alerts.published(now_ms, message);
    }

    /// An entry is counted.
    pub(crate) fn check_covered(&self, entry: &EntrySummary) {
        let is_covered = entry.verdict == Verdict::Ready || self.alerts.covers(entry);
        hold!(G10, is_covered, "{entry:?} is counted, and no alert covers it");
    }
}
