//! G1: what is answered for, or deleted, is in the ledger, and what is not is in the DLQ; nothing is recorded before what
//! is ahead of it in its group; a delivery that nothing disturbs acknowledges something.

use std::collections::BTreeSet;

use processor::process::Report;

use super::{Accepted, Excuses, Expectations, Identity};
use crate::clause::hold;

impl Expectations {
    /// One request has appended entries for some messages of a batch. What came before them in their groups is recorded
    /// too, or in the same request, or its own statements went wrong.
    pub(crate) fn check_prefix(
        &self,
        appended: &[usize],
        batch: &[usize],
        requested: &BTreeSet<Identity>,
        excuses: &Excuses,
    ) {
        if excuses.is_any {
            return;
        }
        let excused = self.excused(batch, &excuses.identities);
        let group = |message: usize| self.messages[message].recipe.group;
        for &message in appended {
            let before = batch.iter().enumerate().take_while(|&(_, &other)| other != message);
            for (at, &earlier) in before.filter(|&(_, &earlier)| group(earlier) == group(message)) {
                let is_answered_for = self.is_durable(earlier) || requested.contains(&self.identity(earlier));
                hold!(
                    G1,
                    is_answered_for || excused.contains(&at),
                    "message {message} is recorded before {earlier}, which is ahead of it in its group"
                );
            }
        }
    }

    /// The processor has answered for a batch.
    pub(crate) fn check_acknowledged(&self, batch: &[usize], report: &Report, excuses: &Excuses) {
        let is_disturbed = excuses.is_any || !excuses.identities.is_empty();
        hold!(
            G1,
            is_disturbed || report.failed.len() < batch.len(),
            "{batch:?} was not disturbed, and gets nowhere: {report:?}"
        );
        for at in (0..batch.len()).filter(|at| !report.failed.contains(at)) {
            let message = batch[at];
            hold!(G1, self.is_durable(message), "message {message} is acknowledged: {:?}", report.outcomes[at]);
        }
    }

    /// SQS has deleted a message.
    pub(crate) fn acknowledged(&mut self, message_id: &str) {
        let message = self.find(message_id);
        hold!(G1, self.is_durable(message), "{message_id} is deleted and nowhere to be found");
        self.messages[message].is_acknowledged = true;
    }

    /// All has come to rest.
    pub(crate) fn check_that_nothing_is_lost(&self, dead: &BTreeSet<String>) {
        for Accepted { message_id, is_acknowledged, .. } in &self.messages {
            hold!(G1, *is_acknowledged || dead.contains(message_id), "{message_id} is lost");
        }
    }
}
