//! The contract, checked while the world runs: what was sent, claimed, recorded and acknowledged, and what may never be
//! so. A clause that does not hold is a panic that names it.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{
    Attribute, FailureClass, Item, Timestamp,
    entry::{Status, attribute},
    ids::KEY_SEPARATOR,
    item::{number_of, text_of},
};
use processor::process::Report;

use super::{
    recipe::{MARKER, Recipe},
    scenario::Regime,
};

/// A message the queue has taken.
#[derive(Debug)]
pub struct Accepted {
    pub recipe: Recipe,
    pub message_id: String,
    pub sequence_number: String,
    pub sent_ms: u64,
    is_acknowledged: bool,
}

/// A claim that was made; `message` brought it.
#[derive(Debug)]
struct Claimed {
    message: usize,
    is_swept: bool,
}

/// An entry that was appended.
#[derive(Debug)]
struct Appended {
    message: usize,
    sk: String,
    class: Option<FailureClass>,
    is_removed: bool,
}

/// Tenant and event id, as the key of a claim has them.
type Identity = String;

/// Which messages of an invocation may be reported as failed (G5).
#[derive(Clone, Debug, Default)]
pub struct Excuses {
    /// A whole request went wrong: any.
    pub is_any: bool,
    /// Statements that went wrong, by identity.
    pub identities: BTreeSet<Identity>,
}

#[derive(Debug, Default)]
pub struct Books {
    pub messages: Vec<Accepted>,
    by_id: BTreeMap<String, usize>,
    claims: BTreeMap<Identity, Vec<Claimed>>,
    entries: BTreeMap<Identity, Vec<Appended>>,
}

impl Books {
    pub fn accept(&mut self, recipe: &Recipe, message_id: String, sequence_number: String, sent_ms: u64) {
        self.by_id.insert(message_id.clone(), self.messages.len());
        let recipe = recipe.clone();
        self.messages.push(Accepted { recipe, message_id, sequence_number, sent_ms, is_acknowledged: false });
    }

    pub fn find(&self, message_id: &str) -> usize {
        self.by_id[message_id]
    }

    /// The key its claim would have, and the one its entry has without.
    fn identity(&self, message: usize) -> Identity {
        let Accepted { recipe, message_id, .. } = &self.messages[message];
        let event_id = if recipe.kind.has_identity() { recipe.event_id } else { message_id };
        format!("{}{KEY_SEPARATOR}{event_id}", recipe.owner())
    }

    /// A claim was inserted for one of the messages of a batch.
    pub fn claimed(&mut self, item: &Item, batch: &[usize]) {
        let identity = text_of(item, attribute::PK).expect("a claim has a key").to_owned();
        let number = number_of(item, attribute::SEQUENCE_NUMBER);
        let is_owner = |&&message: &&usize| {
            let accepted = &self.messages[message];
            accepted.recipe.kind.has_identity()
                && self.identity(message) == identity
                && Some(&accepted.sequence_number) == number.as_ref()
        };
        let message = *batch.iter().find(is_owner).unwrap_or_else(|| panic!("G7: nobody's claim {identity:?}"));
        let claims = self.claims.entry(identity).or_default();
        assert!(claims.iter().all(|claim| claim.is_swept), "G2: one claim at a time");
        claims.push(Claimed { message, is_swept: false });
    }

    /// An entry was inserted for one of the messages of a batch; returns which.
    pub fn appended(&mut self, item: &Item, batch: &[usize]) -> usize {
        let tenant_id = text_of(item, attribute::TENANT_ID).expect("an entry has a tenant");
        let sk = text_of(item, attribute::SK).expect("an entry has a sort key");
        let parts: Vec<&str> = sk.split(KEY_SEPARATOR).collect();
        let (created_at, identity) = (parts[0], format!("{tenant_id}{KEY_SEPARATOR}{}", parts[1]));
        let number = number_of(item, attribute::SEQUENCE_NUMBER);
        let is_source = |&&message: &&usize| {
            self.identity(message) == identity && Some(&self.messages[message].sequence_number) == number.as_ref()
        };
        let message = *batch.iter().find(is_source).unwrap_or_else(|| panic!("G7: nobody's entry {identity:?}"));
        let recipe = &self.messages[message].recipe;
        assert!(recipe.is_held_by(item), "G8: {identity} is not held as it was sent: {item:?}");
        let class = self.check_verdict(&identity, message, item);
        self.check_time(&identity, message, class, created_at);
        if class == Some(FailureClass::Conflict) {
            assert_eq!(parts.len(), 3, "G3: a conflict has a key of its own");
        }
        let entries = self.entries.entry(identity.clone()).or_default();
        entries.push(Appended { message, sk: sk.to_owned(), class, is_removed: false });
        let ready = entries.iter().filter(|entry| entry.class.is_none() && !entry.is_removed).count();
        let claims = self.claims.get(&identity).map_or(0, Vec::len);
        assert!(ready <= claims, "G2: {identity} has {ready} READY entries under {claims} claims");
        message
    }

    /// G1: one request has appended entries for some messages of a batch. What came before them in their groups is
    /// recorded too, or in the same request, or its own statements went wrong.
    pub fn check_prefix(&self, appended: &[usize], batch: &[usize], requested: &BTreeSet<Identity>, excuses: &Excuses) {
        if excuses.is_any {
            return;
        }
        let excused = self.excused(batch, &excuses.identities);
        let group = |message: usize| self.messages[message].recipe.group;
        for &message in appended {
            let before = batch.iter().enumerate().take_while(|&(_, &other)| other != message);
            for (at, &earlier) in before.filter(|&(_, &earlier)| group(earlier) == group(message)) {
                let is_answered_for = self.is_durable(earlier) || requested.contains(&self.identity(earlier));
                assert!(
                    is_answered_for || excused.contains(&at),
                    "G1: message {message} is recorded before {earlier}, which is ahead of it in its group"
                );
            }
        }
    }

    /// G6: time as the sender stated it, or SQS's own, in one width. An entry for an earlier claim has the time of that
    /// one's message, and so has a conflict with it (G3).
    fn check_time(&self, identity: &str, message: usize, class: Option<FailureClass>, created_at: &str) {
        let time_of = |message: usize| {
            let Accepted { recipe, sent_ms, .. } = &self.messages[message];
            let sent_at = || Timestamp::from_epoch_ms(*sent_ms).expect("this century").as_str().to_owned();
            recipe.created_at().map_or_else(sent_at, str::to_owned)
        };
        let claimed = self.claims.get(identity).into_iter().flatten().map(|claim| claim.message);
        let own = (class != Some(FailureClass::Conflict)).then_some(message);
        let is_one = claimed.chain(own).any(|message| time_of(message) == created_at);
        assert!(is_one, "G6: {identity} is kept at {created_at}");
    }

    /// G2, G3, G4: the first claim decides what an entry may be.
    fn check_verdict(&self, identity: &str, message: usize, item: &Item) -> Option<FailureClass> {
        let recipe = &self.messages[message].recipe;
        let expected_class = recipe.failure();
        let class = match item.get(attribute::FAILURE) {
            Some(Attribute::M(failure)) => failure.get("class").and_then(|class| class.as_str()),
            _ => None,
        };
        let class = class.map(|class| FailureClass::parse(class).expect("a class"));
        let status = text_of(item, attribute::STATUS);
        let expected = if class.is_none() { Status::READY } else { Status::INVALID };
        assert_eq!(status, Some(expected), "an entry says why it is INVALID, or is not");
        let reason = text_of(item, attribute::REASON).unwrap_or_default();
        assert!(!reason.contains(MARKER), "G11: {reason}");
        if !recipe.kind.has_identity() {
            assert_eq!(class, expected_class, "G4: a body without identity is what it is");
            return class;
        }
        let claims = self.claims.get(identity).map_or(&[][..], Vec::as_slice);
        let is_winner = |claim: &Claimed| self.messages[claim.message].recipe.is_equal(recipe);
        if class == Some(FailureClass::Conflict) {
            assert!(!claims.iter().all(is_winner), "G3: {identity} conflicts with itself");
        } else {
            assert_eq!(class, expected_class, "G4: the verdict on {identity}");
            assert!(claims.iter().any(is_winner), "G2: {identity} is recorded, and another claimed it first");
        }
        class
    }

    /// A claim is deleted.
    pub fn claim_removed(&mut self, identity: &str) {
        for claim in self.claims.get_mut(identity).into_iter().flatten() {
            claim.is_swept = true;
        }
    }

    /// An entry is deleted: an equal event may be recorded again, whatever claim it finds.
    pub fn entry_removed(&mut self, identity: &str, sk: &str) {
        for entry in self.entries.get_mut(identity).into_iter().flatten() {
            entry.is_removed |= entry.sk == sk;
        }
    }

    /// The processor has answered for a batch; `is_late` says that it had no time left for more.
    pub fn answered(&mut self, batch: &[usize], report: &Report, excuses: &Excuses, is_late: bool) {
        let failed: BTreeSet<usize> = report.failed.iter().copied().collect();
        let group = |at: usize| self.messages[batch[at]].recipe.group;
        for at in 0..batch.len() {
            let is_behind = (0..at).any(|before| failed.contains(&before) && group(before) == group(at));
            assert!(failed.contains(&at) || !is_behind, "G5: a message is acknowledged behind a failed one");
        }
        let is_disturbed = excuses.is_any || !excuses.identities.is_empty();
        assert!(
            is_disturbed || failed.len() < batch.len(),
            "G1: {batch:?} was not disturbed, and gets nowhere: {report:?}"
        );
        if !excuses.is_any && !is_late {
            let excused = self.excused(batch, &excuses.identities);
            let unexcused = failed.iter().find(|at| !excused.contains(at));
            assert!(unexcused.is_none(), "G5: message {unexcused:?} of {batch:?} fails without a cause: {report:?}");
        }
        for at in (0..batch.len()).filter(|at| !failed.contains(at)) {
            let message = batch[at];
            assert!(self.is_durable(message), "G1: message {message} is acknowledged: {:?}", report.outcomes[at]);
        }
    }

    /// The messages whose statements went wrong, those that share an identity with them, and all that are behind one of
    /// these in their groups.
    fn excused(&self, batch: &[usize], identities: &BTreeSet<Identity>) -> BTreeSet<usize> {
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

    /// Whether the ledger has, or has had, an entry with this content under this identity.
    fn is_durable(&self, message: usize) -> bool {
        let recipe = &self.messages[message].recipe;
        let is_it = |entry: &Appended| {
            let other = &self.messages[entry.message].recipe;
            entry.message == message || (recipe.kind.has_identity() && other.is_equal(recipe))
        };
        self.entries.get(&self.identity(message)).is_some_and(|entries| entries.iter().any(is_it))
    }

    /// SQS has deleted a message.
    pub fn acknowledged(&mut self, message_id: &str) {
        let message = self.find(message_id);
        assert!(self.is_durable(message), "G1: {message_id} is deleted and nowhere to be found");
        self.messages[message].is_acknowledged = true;
    }

    /// All has come to rest.
    pub fn check_end(&self, regime: Regime, dead: &BTreeSet<String>) {
        assert!(regime == Regime::Unbounded || dead.is_empty(), "G4: {} in the DLQ within the budget", dead.len());
        for Accepted { message_id, is_acknowledged, .. } in &self.messages {
            assert!(*is_acknowledged || dead.contains(message_id), "G1: {message_id} is lost");
        }
        if regime == Regime::Budgeted {
            self.check_order();
        }
    }

    /// Where nothing was given up, the first to arrive in a group has claimed.
    fn check_order(&self) {
        for (identity, claims) in &self.claims {
            let rivals: Vec<usize> = (0..self.messages.len())
                .filter(|&message| self.messages[message].recipe.kind.has_identity())
                .filter(|&message| self.identity(message) == *identity)
                .collect();
            let group = self.messages[claims[0].message].recipe.group;
            if rivals.iter().all(|&message| self.messages[message].recipe.group == group) {
                // Messages are numbered as they were accepted.
                assert_eq!(Some(&claims[0].message), rivals.first(), "G6: the first of {identity} claims it");
            }
        }
    }
}
