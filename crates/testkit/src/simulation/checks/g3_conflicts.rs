//! G3: a conflict has a key of its own, and equal content never is one.

use ledger::{FailureClass, Item, entry::attribute, ids::KEY_SEPARATOR, item::text_of};

use super::{Claimed, Expectations};
use crate::clause::hold;

impl Expectations {
    pub(crate) fn check_conflict(&self, identity: &str, message: usize, class: Option<FailureClass>, item: &Item) {
        if class != Some(FailureClass::Conflict) {
            return;
        }
        let recipe = &self.messages[message].recipe;
        let is_equal = |claim: &Claimed| self.messages[claim.message].recipe.is_equal(recipe);
        hold!(G3, !self.claims(identity).iter().all(is_equal), "{identity} conflicts with itself");
        let sk = text_of(item, attribute::SK).unwrap_or_default();
        hold!(G3, sk.split(KEY_SEPARATOR).count() == 3, "a conflict has a key of its own, not {sk}");
    }
}
