//! G2: one claim at a time, at most one READY entry under it, and of the content that claimed first.

use ledger::FailureClass;

use super::{Claimed, Expectations};
use crate::clause::hold;

impl Expectations {
    pub(crate) fn check_that_no_claim_lives(&self, identity: &str) {
        hold!(G2, self.claims(identity).iter().all(|claim| claim.is_swept), "{identity} has one claim at a time");
    }

    /// The first claim decides what an entry may be.
    pub(crate) fn check_winner(&self, identity: &str, message: usize, class: Option<FailureClass>) {
        let recipe = &self.messages[message].recipe;
        let is_winner = |claim: &Claimed| self.messages[claim.message].recipe.is_equal(recipe);
        let is_first = || self.claims(identity).iter().any(is_winner);
        let has_claim = recipe.kind.has_identity() && class != Some(FailureClass::Conflict);
        hold!(G2, !has_claim || is_first(), "{identity} is recorded, and another claimed it first");
    }

    pub(crate) fn check_ready_entries(&self, identity: &str) {
        let entries = self.entries[identity].iter();
        let ready = entries.filter(|entry| entry.class.is_none() && !entry.is_removed).count();
        let claims = self.claims(identity).len();
        hold!(G2, ready <= claims, "{identity} has {ready} READY entries under {claims} claims");
    }
}
