//! Keys and attribute names of the projections table. A tenant cannot hold `#` and every other part stands last or is
//! fixed, so keys are injective (G7).
//!
//! | pk | sk | attributes |
//! |---|---|---|
//! | `tenant#<tenant_id>` | `day#2026-01-15` | `READY#<event_type>`, `INVALID#<event_type>` (entries, N), `bytes` (of payloads or raw bodies, N), `first_ingested_at`, `last_ingested_at` (ms, N), `version` (N, one more with every change) |
//! | `shard#<shard_id>` | `checkpoint` | `sequence_number` (S, 40 digits), `updated_at` (ms, N), `ttl` |
//! | `system` | `alert-windows` | see `alert::Windows`; `version`, `ttl` |
//! | `system` | `metric-tenants` | `tenants` (M: tenant to the last day it was seen), `version` |
//! | `system` | `incomplete` | `since`, `latest` (ms, N), `reason` (S), `records` (N): entries that no day counts |
//!
//! A day is the UTC day of an entry's `ingested_at`, and totals are sums of days. Types without a schema count as
//! `_unknown`. So one tenant's counts are
//! `aws dynamodb query --table-name … --key-condition-expression 'pk = :t' --expression-attribute-values
//! '{":t": {"S": "tenant#tenant-a"}}'`.

use crate::{
    entry::attribute,
    event::ids::{KEY_SEPARATOR, TenantId},
    storage::item::{Attribute, Item},
};

pub const VERSION: &str = "version";
pub const BYTES: &str = "bytes";
pub const FIRST_INGESTED_AT: &str = "first_ingested_at";
pub const LAST_INGESTED_AT: &str = "last_ingested_at";
pub const UPDATED_AT: &str = "updated_at";
pub const TENANTS: &str = "tenants";
pub const SINCE: &str = "since";
pub const LATEST: &str = "latest";
pub const RECORDS: &str = "records";

/// Days after which alert windows and checkpoints expire; a stream keeps its records for one.
pub const STATE_TTL_DAYS: u64 = 7;

const TENANT: &str = "tenant";
const DAY: &str = "day";
const SHARD: &str = "shard";
const SYSTEM: &str = "system";

/// The key of one item of the projections table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectionKey {
    pub pk: String,
    pub sk: String,
}

impl ProjectionKey {
    pub fn day(day: &DayKey) -> Self {
        Self { pk: tenant_pk(&day.tenant_id), sk: format!("{DAY}{KEY_SEPARATOR}{}", day.day) }
    }

    pub fn checkpoint(shard_id: &str) -> Self {
        Self { pk: format!("{SHARD}{KEY_SEPARATOR}{shard_id}"), sk: "checkpoint".to_owned() }
    }

    pub fn alert_windows() -> Self {
        Self::system("alert-windows")
    }

    pub fn metric_tenants() -> Self {
        Self::system("metric-tenants")
    }

    pub fn incomplete() -> Self {
        Self::system("incomplete")
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

/// The partition that holds a tenant's days.
pub fn tenant_pk(tenant_id: &TenantId) -> String {
    format!("{TENANT}{KEY_SEPARATOR}{tenant_id}")
}

/// One UTC day of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DayKey {
    pub tenant_id: TenantId,
    /// `2026-01-15`
    pub day: String,
}

impl DayKey {
    /// Reads the key of a day item back; `None` for every other item.
    pub fn parse(key: &ProjectionKey) -> Option<Self> {
        let (kind, tenant) = key.pk.split_once(KEY_SEPARATOR)?;
        let (sort, day) = key.sk.split_once(KEY_SEPARATOR)?;
        if kind != TENANT || sort != DAY {
            return None;
        }
        Some(Self { tenant_id: TenantId::from_stored(tenant)?, day: day.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_day_is_read_back_and_no_other_key_is_one() {
        let day = DayKey { tenant_id: TenantId::parse("shard").unwrap(), day: "2026-01-15".to_owned() };
        let key = ProjectionKey::day(&day);
        assert_eq!((key.pk.as_str(), key.sk.as_str()), ("tenant#shard", "day#2026-01-15"));
        assert_eq!(DayKey::parse(&key), Some(day));
        for other in [
            ProjectionKey::checkpoint("tenant#shard"),
            ProjectionKey::alert_windows(),
            ProjectionKey::metric_tenants(),
            ProjectionKey::incomplete(),
        ] {
            assert_eq!(DayKey::parse(&other), None);
        }
    }
}
