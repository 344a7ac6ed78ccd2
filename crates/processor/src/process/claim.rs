//! The claims of a batch: each id is claimed once, and claims that were there before are read back.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
};

use ledger::{
    Claim, ClaimKey, ContentHash, EntryKey, StoredClaim, Timestamp,
    entry::claim_key_item,
    ports::{Clock, Inserted, Refusal, Table, Tables},
};

use crate::process::{
    batch::{Batch, VANISHED, expiry},
    calls::Calls,
};

/// A claim that stands, ours or an earlier one.
pub(super) struct Winner {
    /// The entry it claims.
    pub key: EntryKey,
    pub content: ContentHash,
    pub created_at: Option<Timestamp>,
    pub sequence_number: Option<String>,
    /// It was inserted for this batch.
    pub is_fresh: bool,
}

/// How the claim of one id ended.
pub(super) enum Claimed {
    Won(Winner),
    /// The Go system made it, in one transaction with its entry.
    WithItsEntry,
    Failed {
        code: Cow<'static, str>,
    },
}

impl Claimed {
    /// What a claim that was there before says.
    fn stored(key: &ClaimKey, claim: StoredClaim) -> Self {
        let entry = claim.sk.as_deref().map(|sk| EntryKey::claimed(key, sk));
        match (entry, claim.content) {
            (None, None) => Self::WithItsEntry,
            (Some(Some(key)), Some(content)) => Self::Won(Winner {
                key,
                content,
                created_at: claim.created_at,
                sequence_number: claim.sequence_number,
                is_fresh: false,
            }),
            // Somebody has changed it: which entry it stands for cannot be told.
            _ => Self::Failed { code: Cow::Borrowed("UnreadableClaim") },
        }
    }
}

impl Batch<'_> {
    /// Claims each id once, for the first message that brings it, and reads back the claims that were there.
    pub(super) async fn claim<T: Tables, C: Clock>(&self, calls: &Calls<'_, T, C>) -> BTreeMap<ClaimKey, Claimed> {
        let mut owners: Vec<(usize, &ClaimKey)> = Vec::new();
        let mut seen = HashSet::new();
        for (index, case) in self.cases.iter().enumerate() {
            if let Some(key) = &case.claim_key
                && seen.insert(key)
            {
                owners.push((index, key));
            }
        }
        let created_at = Timestamp::from_clock_ms(self.now_ms);
        let claims: Vec<Claim> =
            owners.iter().map(|(index, key)| self.claim_of(*index, key, created_at.clone())).collect();
        let inserted = calls.insert_all(Table::Claims, claims.len(), |at| claims[at].to_item()).await;

        let mut claimed = BTreeMap::new();
        let mut taken = Vec::new();
        for ((index, key), (inserted, claim)) in owners.into_iter().zip(inserted.into_iter().zip(claims)) {
            let end = match inserted {
                Inserted::Done => Claimed::Won(Winner {
                    key: self.cases[index].key.clone(),
                    content: claim.content,
                    created_at: Some(claim.created_at),
                    sequence_number: claim.sequence_number,
                    is_fresh: true,
                }),
                // Every part of a claim is bounded, so no content makes DynamoDB refuse one: the table is wrong.
                Inserted::Refused(Refusal::Content) => Claimed::Failed { code: Cow::Borrowed("ClaimRefused") },
                Inserted::Refused(Refusal::Transient { code }) => Claimed::Failed { code },
                Inserted::Exists => {
                    taken.push(key.clone());
                    continue;
                }
            };
            claimed.insert(key.clone(), end);
        }
        let keys = taken.iter().map(claim_key_item).collect();
        let stored = calls.read_all(Table::Claims, keys).await;
        for (key, stored) in taken.into_iter().zip(stored) {
            let end = match stored {
                Ok(Some(item)) => Claimed::stored(&key, StoredClaim::from_item(&item)),
                Ok(None) => Claimed::Failed { code: VANISHED },
                Err(code) => Claimed::Failed { code },
            };
            claimed.insert(key, end);
        }
        claimed
    }

    fn claim_of(&self, index: usize, key: &ClaimKey, created_at: Timestamp) -> Claim {
        let case = &self.cases[index];
        Claim {
            key: key.clone(),
            created_at,
            event_type: case.event_type.clone(),
            ttl: expiry(self.now_ms / 1000, self.settings.claim_ttl_days),
            sk: case.key.sk.clone(),
            content: case.content,
            sequence_number: case.sequence_number.clone(),
        }
    }
}
