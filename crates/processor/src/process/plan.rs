//! What is to be written for each message, decided from its content and the claim of its id.

use std::{borrow::Cow, collections::BTreeMap};

use ledger::{ClaimKey, EntryKey};

use crate::process::{
    batch::{Batch, Outcome, expiry},
    claim::{Claimed, Winner},
};

/// One insert into the ledger, and the messages whose outcome hangs on it.
pub(super) struct Statement {
    pub key: EntryKey,
    pub case: usize,
    /// Its place in the order, never before a statement on which an earlier message of its group hangs.
    pub weight: usize,
    pub known: Known,
    /// Other content has the id: the entry is a conflict, and `key` is a conflict's.
    pub is_conflict: bool,
    /// DynamoDB refused the typed form: the body is kept raw.
    pub is_refused: bool,
    pub origin: Origin,
    /// The claim was made by this very message.
    pub is_redelivery: bool,
    /// Messages with equal content.
    pub twins: Vec<usize>,
}

/// For whose claim an entry is recorded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// For one that this batch made, or for none.
    Own,
    /// For one that was there before.
    Earlier,
    /// For one that was there before and is older than an entry lives.
    Expired,
}

/// What is known of the entry that a statement would insert.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// Its claim is new: it is not there, unless it was left by a claim that has expired.
    Nothing,
    /// Its claim was there before: it may be there, and a failed insert would be charged by the size of the item.
    Perhaps,
    /// It was looked for.
    Absent,
    /// An insert found its key taken, by itself or by other content.
    Taken,
}

impl Statement {
    pub(super) fn is_to_read(&self) -> bool {
        matches!(self.known, Known::Perhaps | Known::Taken)
    }
}

impl Batch<'_> {
    /// Decides for each message what is to be written for it, if anything. Statements have different keys: equal
    /// content shares one, unequal content becomes a conflict.
    pub(super) fn plan(&mut self, claims: &BTreeMap<ClaimKey, Claimed>) -> Vec<Statement> {
        let mut statements = Vec::new();
        for index in 0..self.cases.len() {
            if self.is_group_failed(index) {
                continue;
            }
            let case = &self.cases[index];
            let claim = case.claim_key.as_ref().and_then(|key| claims.get(key));
            match claim {
                Some(Claimed::Failed { code }) => self.fail(index, code.clone()),
                Some(Claimed::WithItsEntry) => self.cases[index].outcome = Some(Outcome::Duplicate),
                Some(Claimed::Won(winner)) => self.enqueue(self.claimed_statement(index, winner), &mut statements),
                None => self.enqueue(self.statement(index, case.key.clone()), &mut statements),
            }
        }
        statements
    }

    /// An insert of an entry as it was judged.
    fn statement(&self, case: usize, key: EntryKey) -> Statement {
        Statement {
            key,
            case,
            weight: 0,
            known: Known::Nothing,
            is_conflict: false,
            is_refused: false,
            origin: Origin::Own,
            is_redelivery: false,
            twins: Vec::new(),
        }
    }

    /// An insert under a claim that stands.
    fn claimed_statement(&self, index: usize, winner: &Winner) -> Statement {
        let case = &self.cases[index];
        // Where the claim says: this message may state another time than the one that claimed.
        let mut statement = self.statement(index, winner.key.clone());
        if !winner.is_fresh {
            statement.known = Known::Perhaps;
            statement.origin = self.origin(winner);
            statement.is_redelivery = case.sequence_number.is_some() && case.sequence_number == winner.sequence_number;
        }
        if winner.content != case.content {
            self.turn_into_conflict(&mut statement);
        }
        statement
    }

    /// Whether an entry made when the claim was made would still live.
    fn origin(&self, winner: &Winner) -> Origin {
        let claimed_at = winner.created_at.as_ref().and_then(|at| u64::try_from(at.epoch_seconds()).ok());
        match claimed_at.and_then(|at| expiry(at, self.settings.entry_ttl_days)) {
            Some(ttl) if ttl <= self.now_ms / 1000 => Origin::Expired,
            _ => Origin::Earlier,
        }
    }

    /// Adds a statement, or joins the one of equal content; unequal content under the same key is a conflict.
    fn enqueue(&mut self, mut statement: Statement, statements: &mut Vec<Statement>) {
        while let Some(other) = statements.iter_mut().find(|other| other.key == statement.key) {
            if self.cases[other.case].content == self.cases[statement.case].content {
                other.twins.push(statement.case);
                self.weigh(statement.case, other.weight);
                return;
            }
            if statement.is_conflict {
                return self.fail_statement(&statement, CONFLICT_KEY_TAKEN);
            }
            self.turn_into_conflict(&mut statement);
        }
        statement.weight = self.weigh(statement.case, self.cases[statement.case].message.body.len());
        statements.push(statement);
    }

    /// The weight of a message of `bytes`, or of one that hangs on a statement of that weight: that of the heaviest so
    /// far of its group. Messages are weighed in their order.
    fn weigh(&mut self, case: usize, bytes: usize) -> usize {
        let message = self.cases[case].message;
        let Some(group) = &message.group_id else { return bytes };
        let heaviest = self.heaviest.entry(group).or_default();
        *heaviest = bytes.max(*heaviest);
        *heaviest
    }

    /// Other content has the statement's key, or is to have it.
    pub(super) fn turn_into_conflict(&self, statement: &mut Statement) {
        statement.key = statement.key.conflict(self.cases[statement.case].content);
        statement.is_conflict = true;
        statement.origin = Origin::Own;
        if statement.known == Known::Taken {
            statement.known = Known::Nothing;
        }
    }

    pub(super) fn fail_statement(&mut self, statement: &Statement, code: Cow<'static, str>) {
        for &index in statement.twins.iter().chain([&statement.case]) {
            self.fail(index, code.clone());
        }
    }
}

/// A conflict's key holds the hash of its content. Where it has other content, somebody has changed the tables.
pub(super) const CONFLICT_KEY_TAKEN: Cow<'static, str> = Cow::Borrowed("ConflictKeyTaken");
