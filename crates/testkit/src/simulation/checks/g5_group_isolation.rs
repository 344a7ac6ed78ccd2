//! G5: nothing behind a failed message of its group is acknowledged, and nothing fails without a cause in its group.

use std::collections::BTreeSet;

use processor::process::Report;

use super::{Expectations, Identity, identity_of};
use crate::{clause::hold, ports::Call};

/// Which messages of an invocation may be reported as failed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Excuses {
    /// A whole request went wrong: any.
    pub is_any: bool,
    /// Statements that went wrong, by identity.
    pub identities: BTreeSet<Identity>,
}

impl Excuses {
    /// Parts of a call go wrong.
    pub(crate) fn add(&mut self, call: &Call, parts: &BTreeSet<usize>) {
        match call {
            Call::Insert(table, items) | Call::Read(table, items) => {
                self.identities.extend(parts.iter().map(|&at| identity_of(*table, &items[at])));
            }
            _ => self.is_any = true,
        }
    }
}

impl Expectations {
    /// The processor has answered for a batch; `is_late` says that it had no time left for more.
    pub(crate) fn check_failed(&self, batch: &[usize], report: &Report, excuses: &Excuses, is_late: bool) {
        let failed: BTreeSet<usize> = report.failed.iter().copied().collect();
        let group = |at: usize| self.messages[batch[at]].recipe.group;
        for at in 0..batch.len() {
            let is_behind = (0..at).any(|before| failed.contains(&before) && group(before) == group(at));
            hold!(G5, failed.contains(&at) || !is_behind, "a message is acknowledged behind a failed one");
        }
        if !excuses.is_any && !is_late {
            let excused = self.excused(batch, &excuses.identities);
            let unexcused = failed.iter().find(|at| !excused.contains(at));
            hold!(G5, unexcused.is_none(), "message {unexcused:?} of {batch:?} fails without a cause: {report:?}");
        }
    }

    /// The messages whose statements went wrong, those that share an identity with them, and all that are behind one of
    /// these in their groups.
    pub(crate) fn excused(&self, batch: &[usize], identities: &BTreeSet<Identity>) -> BTreeSet<usize> {
        let mut identities = identities.clone();
        let mut excused = BTreeSet::new();
        loop {
            let before = excused.len();
            for (at, &message) in batch.iter().enumerate() {
                let group = |at: usize| self.messages[batch[at]].recipe.group;
                let is_behind = excused.iter().any(|&other| other < at && group(other) == group(at));
                if is_behind || identities.contains(&self.identity(message)) {
                    excused.insert(at);
                    identities.insert(self.identity(message));
                }
            }
            if excused.len() == before {
                return excused;
            }
        }
    }
}
