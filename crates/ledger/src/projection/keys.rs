//! Keys and attribute names of the projections table. A tenant cannot hold `#` and every other part stands last or is
//! fixed, so keys are injective (G7).
//!
//! | pk | sk | attributes |
//! |---|---|---|
//! | `tenant#<tenant>` | `<model>@<version>#2026-01-15`, then `#<suffix>` where the model has several items a day | the model's sums (N), `version` (N, one more with every change), `updated_at` (ms, N) |
//! | `incomplete#<model>@<version>` | `<tenant>#2026-01-15` | `records` (N) that the model does not count, `reason` (S), `since`, `updated_at` (ms, N) |
//! | `shard#<shard_id>` | `checkpoint` | `sequence_number` (S, 40 digits), `updated_at` (ms, N), `ttl` |
//! | `pending#<00 to 63>` | `<tenant>` | an alert that is pending, see `alert::pending` |
//! | `system` | `notifier` | the notifier's lease and window, see `alert::window` |
//! | `system` | `models` | `models` (M: model@version to the first UTC day that it counts whole), `version` |
//! | `system` | `metric-tenants` | `tenants` (M: tenant to the last day it was seen), `version` |
//!
//! A day is the UTC day of an entry's `ingested_at`, and totals are sums of days. So one tenant's sums of all models are
//! `aws dynamodb query --table-name … --key-condition-expression 'pk = :t' --expression-attribute-values
//! '{":t": {"S": "tenant#tenant-a"}}'`.

use sha2::{Digest as _, Sha256};

use crate::{
    entry::attribute,
    event::ids::{KEY_SEPARATOR, TenantId},
    storage::item::{Attribute, Item},
};

pub const VERSION: &str = "version";
pub const UPDATED_AT: &str = "updated_at";
pub const TENANTS: &str = "tenants";
pub const MODELS: &str = "models";
pub const SINCE: &str = "since";
pub const RECORDS: &str = "records";

/// Days after which a checkpoint expires; a stream keeps its records for one.
pub const CHECKPOINT_TTL_DAYS: u64 = 7;

/// Partitions that the alerts pending are shared out to.
pub const PENDING_PARTITIONS: u8 = 64;

const TENANT: &str = "tenant";
const INCOMPLETE: &str = "incomplete";
const PENDING: &str = "pending";
const SHARD: &str = "shard";
const SYSTEM: &str = "system";

/// The key of one item of the projections table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectionKey {
    pub pk: String,
    pub sk: String,
}

impl ProjectionKey {
    pub fn checkpoint(shard_id: &str) -> Self {
        Self { pk: format!("{SHARD}{KEY_SEPARATOR}{shard_id}"), sk: "checkpoint".to_owned() }
    }

    /// The mark of a day that a model does not count whole.
    pub fn incomplete(model: &str, tenant_id: &TenantId, day: &str) -> Self {
        Self { pk: format!("{INCOMPLETE}{KEY_SEPARATOR}{model}"), sk: format!("{tenant_id}{KEY_SEPARATOR}{day}") }
    }

    pub fn pending(tenant_id: &TenantId) -> Self {
        let partition = Sha256::digest(tenant_id.as_str())[0] % PENDING_PARTITIONS;
        Self { pk: pending_pk(partition), sk: tenant_id.as_str().to_owned() }
    }

    pub fn notifier() -> Self {
        Self::system("notifier")
    }

    pub fn models() -> Self {
        Self::system("models")
    }

    pub fn metric_tenants() -> Self {
        Self::system("metric-tenants")
    }

    /// A key under which there is nothing, to read when only the connection is wanted.
    pub fn absent() -> Self {
        Self::system("absent")
    }

    pub fn to_item(&self) -> Item {
        Item::from([
            (attribute::PK.to_owned(), Attribute::S(self.pk.clone())),
            (attribute::SK.to_owned(), Attribute::S(self.sk.clone())),
        ])
    }

    fn system(sk: &str) -> Self {
        Self { pk: SYSTEM.to_owned(), sk: sk.to_owned() }
    }
}

/// A partition of the alerts pending.
pub fn pending_pk(partition: u8) -> String {
    format!("{PENDING}{KEY_SEPARATOR}{partition:02}")
}

/// The key of one item of a read model: of a tenant and a UTC day.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelKey {
    pub tenant_id: TenantId,
    /// `counts@1`
    pub model: String,
    /// `2026-01-15`
    pub day: String,
    /// Empty where the model has one item a day.
    pub suffix: String,
}

impl ModelKey {
    /// Reads the key of a model's item back; `None` for every other item.
    pub fn parse(key: &ProjectionKey) -> Option<Self> {
        let (kind, tenant) = key.pk.split_once(KEY_SEPARATOR)?;
        let (model, rest) = key.sk.split_once(KEY_SEPARATOR)?;
        let (day, suffix) = rest.split_once(KEY_SEPARATOR).unwrap_or((rest, ""));
        if kind != TENANT {
            return None;
        }
        let tenant_id = TenantId::from_stored(tenant)?;
        Some(Self { tenant_id, model: model.to_owned(), day: day.to_owned(), suffix: suffix.to_owned() })
    }

    pub fn key(&self) -> ProjectionKey {
        let Self { tenant_id, model, day, suffix } = self;
        let mut sk = format!("{model}{KEY_SEPARATOR}{day}");
        if !suffix.is_empty() {
            sk.push(KEY_SEPARATOR);
            sk.push_str(suffix);
        }
        ProjectionKey { pk: format!("{TENANT}{KEY_SEPARATOR}{tenant_id}"), sk }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_models_item_is_read_back_and_no_other_key_is_one() {
        let tenant_id = TenantId::parse("shard").unwrap();
        for (suffix, sk) in [("", "counts@1#2026-01-15"), ("a#b", "counts@1#2026-01-15#a#b")] {
            let item = ModelKey {
                tenant_id: tenant_id.clone(),
                model: "counts@1".to_owned(),
                day: "2026-01-15".to_owned(),
                suffix: suffix.to_owned(),
            };
            let key = item.key();
            assert_eq!((key.pk.as_str(), key.sk.as_str()), ("tenant#shard", sk));
            assert_eq!(ModelKey::parse(&key), Some(item));
        }
        for other in [
            ProjectionKey::checkpoint("tenant#shard"),
            ProjectionKey::incomplete("counts@1", &tenant_id, "2026-01-15"),
            ProjectionKey::pending(&tenant_id),
            ProjectionKey::notifier(),
            ProjectionKey::models(),
            ProjectionKey::metric_tenants(),
        ] {
            assert_eq!(ModelKey::parse(&other), None, "{other:?}");
        }
    }

    #[test]
    fn tenants_are_shared_out_to_all_partitions_of_the_alerts_pending() {
        let partitions: std::collections::BTreeSet<String> = (0..2_000)
            .map(|number| ProjectionKey::pending(&TenantId::parse(&format!("t{number}")).unwrap()).pk)
            .collect();
        let all: std::collections::BTreeSet<String> = (0..PENDING_PARTITIONS).map(pending_pk).collect();
        assert_eq!(partitions, all);
    }
}
