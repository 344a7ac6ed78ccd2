//! G6: times in one width, as they were stated; the first of a group claims.

use ledger::{FailureClass, Item, Timestamp, entry::attribute, ids::KEY_SEPARATOR, item::text_of};

use super::{Accepted, Expectations};
use crate::clause::hold;

impl Expectations {
    /// Time as the sender stated it, or SQS's own, in one width. An entry for an earlier claim has the time of that
    /// one's message, and so has a conflict with it (G3).
    pub(crate) fn check_time(&self, identity: &str, message: usize, class: Option<FailureClass>, item: &Item) {
        let time_of = |message: usize| {
            let Accepted { recipe, sent_ms, .. } = &self.messages[message];
            let sent_at = || Timestamp::from_epoch_ms(*sent_ms).expect("this century").as_str().to_owned();
            recipe.created_at().map_or_else(sent_at, str::to_owned)
        };
        let created_at = text_of(item, attribute::SK).and_then(|sk| sk.split(KEY_SEPARATOR).next()).unwrap_or_default();
        let claimed = self.claims(identity).iter().map(|claim| claim.message);
        let own = (class != Some(FailureClass::Conflict)).then_some(message);
        let is_one = claimed.chain(own).any(|message| time_of(message) == created_at);
        hold!(G6, is_one, "{identity} is kept at {created_at}");
    }

    /// Where nothing was given up, the first to arrive in a group has claimed.
    pub(crate) fn check_order(&self) {
        for (identity, claims) in &self.claims {
            let rivals: Vec<usize> = (0..self.messages.len())
                .filter(|&message| self.messages[message].recipe.kind.has_identity())
                .filter(|&message| self.identity(message) == *identity)
                .collect();
            let group = self.messages[claims[0].message].recipe.group;
            if rivals.iter().all(|&message| self.messages[message].recipe.group == group) {
                hold!(G6, rivals.first() == Some(&claims[0].message), "the first of {identity} claims it");
            }
        }
    }
}
