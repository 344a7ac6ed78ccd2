//! G4: the verdict is the one that the body was made for, and no body stays in the queue.

use std::collections::BTreeSet;

use cloudsim::sqs::PeekedMessage;
use ledger::{
    FailureClass, Item,
    entry::{Status, attribute},
    item::text_of,
    ports::Refusal,
};

use super::{super::scenario::Regime, Expectations, class_of, g11_no_values::check_no_value};
use crate::clause::{Clause, hold};

impl Expectations {
    /// Returns the class of failure of an entry that was appended for a message.
    pub(crate) fn check_verdict(&self, message: usize, item: &Item) -> Option<FailureClass> {
        let class = class_of(item);
        let expected_status = if class.is_none() { Status::READY } else { Status::INVALID };
        assert_eq!(
            text_of(item, attribute::STATUS),
            Some(expected_status),
            "an entry says why it is INVALID, or is not"
        );
        check_no_value("the reason", text_of(item, attribute::REASON).unwrap_or_default());
        let recipe = &self.messages[message].recipe;
        let may_conflict = recipe.kind.has_identity() && class == Some(FailureClass::Conflict);
        let expected = recipe.failure();
        hold!(G4, may_conflict || class == expected, "the verdict on message {message} is {class:?}, not {expected:?}");
        class
    }
}

/// DynamoDB takes whatever the processor makes of a body.
pub(crate) fn refused_content(item: &Item, refusal: &Refusal) -> ! {
    Clause::G4.is_broken(format!("DynamoDB refuses {item:?}: {refusal:?}"))
}

/// All has come to rest.
pub(crate) fn check_queues(regime: Regime, rest: &[PeekedMessage], dead: &BTreeSet<String>) {
    hold!(G4, rest.is_empty(), "a message stays in the queue: {rest:?}");
    hold!(G4, regime == Regime::Unbounded || dead.is_empty(), "{} in the DLQ within the budget", dead.len());
}
