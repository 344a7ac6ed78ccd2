//! The claim that makes an entry unique.

use crate::{
    entry::attribute,
    event::{content::ContentHash, ids::ClaimKey, timestamp::Timestamp},
    storage::item::{Attribute, Item, number_of, text_of, whole_number},
};

/// The reservation of one event id of one tenant, and what it reserves it for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub key: ClaimKey,
    /// When it was made.
    pub created_at: Timestamp,
    pub event_type: Option<String>,
    pub ttl: Option<u64>,
    /// Sort key of the entry it claims.
    pub sk: String,
    pub content: ContentHash,
    pub sequence_number: Option<String>,
}

impl Claim {
    pub fn to_item(&self) -> Item {
        let mut item = claim_key_item(&self.key);
        let mut put = |name: &str, value: Attribute| item.insert(name.to_owned(), value);
        put(attribute::CREATED_AT, Attribute::S(self.created_at.as_str().to_owned()));
        put(attribute::SK, Attribute::S(self.sk.clone()));
        put(attribute::CONTENT_SHA256, Attribute::B(self.content.as_bytes().to_vec()));
        if let Some(event_type) = &self.event_type {
            put(attribute::EVENT_TYPE, Attribute::S(event_type.clone()));
        }
        if let Some(ttl) = self.ttl {
            put(attribute::TTL, whole_number(ttl));
        }
        if let Some(number) = &self.sequence_number {
            put(attribute::SEQUENCE_NUMBER, Attribute::N(number.clone()));
        }
        item
    }
}

/// The key of a claim, as an item.
pub fn claim_key_item(key: &ClaimKey) -> Item {
    Item::from([(attribute::PK.to_owned(), Attribute::S(key.pk()))])
}

/// A claim as it was found. The Go system wrote claims without content, together with their entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredClaim {
    pub created_at: Option<Timestamp>,
    pub sk: Option<String>,
    pub content: Option<ContentHash>,
    pub sequence_number: Option<String>,
}

impl StoredClaim {
    pub fn from_item(item: &Item) -> Self {
        let content = match item.get(attribute::CONTENT_SHA256) {
            Some(Attribute::B(bytes)) => ContentHash::from_bytes(bytes),
            _ => None,
        };
        Self {
            created_at: text_of(item, attribute::CREATED_AT).and_then(Timestamp::parse_rfc3339),
            sk: text_of(item, attribute::SK).map(str::to_owned),
            content,
            sequence_number: number_of(item, attribute::SEQUENCE_NUMBER),
        }
    }
}
