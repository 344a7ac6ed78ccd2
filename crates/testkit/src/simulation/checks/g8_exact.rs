//! G8: what is stored is what was sent, every digit.

use ledger::Item;

use super::Expectations;
use crate::clause::hold;

impl Expectations {
    pub(crate) fn check_content(&self, message: usize, item: &Item) {
        let recipe = &self.messages[message].recipe;
        hold!(G8, recipe.is_held_by(item), "message {message} is not held as it was sent: {item:?}");
    }
}
