//! The key of an entry: where it stands in the ledger.

use crate::{
    entry::attribute,
    event::{
        content::ContentHash,
        ids::{ClaimKey, KEY_SEPARATOR, TenantId},
        timestamp::Timestamp,
    },
    storage::item::{Attribute, Item, text_of},
};

/// Where an entry stands: the tenant's partition, and time, then event id within it. Nothing else reads sort keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryKey {
    pub tenant_id: TenantId,
    /// `created_at#event_id`. A conflict has both of the event that came first, then `#` and the hash of its own content:
    /// the same conflict sent again has the same key, and one prefix finds all conflicts of an event.
    pub sk: String,
}

impl EntryKey {
    pub fn new(key: &ClaimKey, created_at: &Timestamp) -> Self {
        let sk = format!("{created_at}{KEY_SEPARATOR}{}", key.event_id);
        Self { tenant_id: key.tenant_id.clone(), sk }
    }

    /// The key that a stored claim names; `None` if it is not one of the claimed event.
    pub fn claimed(key: &ClaimKey, sk: &str) -> Option<Self> {
        let named = Self { tenant_id: key.tenant_id.clone(), sk: sk.to_owned() };
        (named.event_id() == key.event_id.as_str()).then_some(named)
    }

    /// The key of a stored entry; `None` where the sort key is none of an entry.
    pub fn stored(tenant_id: TenantId, sk: String) -> Option<Self> {
        sk.contains(KEY_SEPARATOR).then_some(Self { tenant_id, sk })
    }

    /// The key of a stored item; `None` if the item has none.
    pub fn from_item(item: &Item) -> Option<Self> {
        let tenant_id = TenantId::from_stored(text_of(item, attribute::TENANT_ID)?)?;
        Some(Self { tenant_id, sk: text_of(item, attribute::SK)?.to_owned() })
    }

    /// The key of other content under the id of this entry.
    pub fn conflict(&self, content: ContentHash) -> Self {
        let sk = format!("{}{KEY_SEPARATOR}{}{KEY_SEPARATOR}{content}", self.created_at(), self.event_id());
        Self { tenant_id: self.tenant_id.clone(), sk }
    }

    /// The time in the key: that of the event, and for a conflict that of the event that came first.
    pub fn created_at(&self) -> &str {
        self.sk.split(KEY_SEPARATOR).next().unwrap_or_default()
    }

    pub fn event_id(&self) -> &str {
        Self::event_id_of(&self.sk)
    }

    /// The event id in a sort key.
    pub fn event_id_of(sk: &str) -> &str {
        sk.split(KEY_SEPARATOR).nth(1).unwrap_or_default()
    }

    pub fn to_item(&self) -> Item {
        Item::from([
            (attribute::TENANT_ID.to_owned(), Attribute::S(self.tenant_id.as_str().to_owned())),
            (attribute::SK.to_owned(), Attribute::S(self.sk.clone())),
        ])
    }
}
