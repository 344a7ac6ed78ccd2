//! Tenant and event ids, and the key a claim is kept under. Keys are injective because no part may hold `#` (G7).

use std::fmt;

/// Divides the parts of a key.
pub const KEY_SEPARATOR: char = '#';

/// SQS allows 128 characters in a message group id, which is where tenants travel.
pub const TENANT_ID_BYTES_MAX: usize = 128;
pub const EVENT_ID_BYTES_MAX: usize = 256;

/// The tenant of messages that carry neither an identity nor a usable message group.
const UNATTRIBUTED: &str = "_unattributed";

/// A tenant: 1 to 128 printable ASCII characters, no `#`; a leading `_` is reserved for the system's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(String);

impl TenantId {
    pub fn parse(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
        let valid =
            (1..=TENANT_ID_BYTES_MAX).contains(&text.len()) && !text.starts_with('_') && text.bytes().all(allowed);
        valid.then(|| Self(text.to_owned()))
    }

    pub fn unattributed() -> Self {
        Self(UNATTRIBUTED.to_owned())
    }

    /// Reads back what was stored: a valid tenant, or the reserved one.
    pub fn from_stored(text: &str) -> Option<Self> {
        if text == UNATTRIBUTED { Some(Self::unattributed()) } else { Self::parse(text) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An event's id within its tenant: 1 to 256 bytes, no `#`, no control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(String);

impl EventId {
    pub fn parse(text: &str) -> Option<Self> {
        let valid = (1..=EVENT_ID_BYTES_MAX).contains(&text.len())
            && !text.chars().any(|character| character == KEY_SEPARATOR || character.is_control());
        valid.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a claim reserves: one event id of one tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimKey {
    pub tenant_id: TenantId,
    pub event_id: EventId,
}

impl ClaimKey {
    /// The partition key of the idempotency table.
    pub fn pk(&self) -> String {
        format!("{}{KEY_SEPARATOR}{}", self.tenant_id, self.event_id)
    }
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|nibble| char::from(DIGITS[usize::from(nibble)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_printable_ascii_without_the_separator() {
        for valid in ["a", "tenant-a", "T~!@$%^&*()_+", &"x".repeat(128)] {
            assert!(TenantId::parse(valid).is_some(), "{valid:?}");
        }
        for invalid in ["", "a#b", "_other", "a b", "a\u{7f}", "é", "a\n", &"x".repeat(129)] {
            assert!(TenantId::parse(invalid).is_none(), "{invalid:?}");
        }
    }

    #[test]
    fn an_event_id_is_any_short_text_without_separator_or_control_characters() {
        for valid in ["1", "évènement", "a b", &"x".repeat(256)] {
            assert!(EventId::parse(valid).is_some(), "{valid:?}");
        }
        for invalid in ["", "a#b", "a\u{0}", "a\u{85}", &"x".repeat(257)] {
            assert!(EventId::parse(invalid).is_none(), "{invalid:?}");
        }
    }
}
