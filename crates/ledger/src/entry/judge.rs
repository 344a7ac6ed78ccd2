//! The verdict on one message: whatever its body is, it becomes an entry (G4). Pure and total.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::{
    entry::{
        key::EntryKey,
        row::{Body, Entry, RawBody, Status},
    },
    event::{
        content::ContentHash,
        envelope::{self, Envelope, Message, Read, Rejected},
        failure::{Failure, FailureClass, Violation},
        ids::{ClaimKey, EventId, TenantId},
        schema::{self, Schema},
        timestamp::Timestamp,
    },
    storage::number,
};

/// A message with its verdict, before anything is known of other messages.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The id it will claim; a body without identity takes no claim.
    pub claim_key: Option<ClaimKey>,
    pub content: ContentHash,
    /// What is recorded if it wins its claim. Its `ttl` is still to be set.
    pub entry: Entry,
    /// The envelope states another tenant than the message group.
    pub is_group_mismatch: bool,
}

/// Judges a message at `now_ms`, the time its entry will bear as `ingested_at`.
pub fn judge(message: &Message, now_ms: u64) -> Judged {
    let read = envelope::read(&message.body);
    let content = ContentHash::of_body(&message.body, &read);
    let Read { identity, created_at, envelope } = read;

    let owner = identity.clone().unwrap_or_else(|| owner_of_nameless(message));
    let is_group_mismatch = identity
        .as_ref()
        .is_some_and(|key| message.group_id.as_deref().is_some_and(|group| group != key.tenant_id.as_str()));
    let created_at = created_at.filter(|_| identity.is_some()).unwrap_or_else(|| sent_at(message, now_ms));
    let raw = || Body::Raw(RawBody::new(&message.body, content));
    let (event_type, route, status, body, extensions) = match envelope {
        Err(Rejected { failure, event_type }) => (event_type, None, Status::Invalid(failure), raw(), Map::new()),
        Ok(Envelope { event_type, route, payload, extensions }) => {
            let (status, payload) = verdict(&event_type, payload);
            (Some(event_type), route, status, Body::Typed(payload), extensions)
        }
    };
    let schema = event_type.as_deref().and_then(schema::find).map(Schema::fingerprint);
    let entry = Entry {
        key: EntryKey::new(&owner, &created_at),
        event_type,
        status,
        route,
        body,
        extensions,
        schema,
        retries: message.receive_count.saturating_sub(1),
        ttl: None,
        ingested_at_ms: now_ms,
        sequence_number: message.sequence_number.as_deref().and_then(canonical_digits),
        conflict_created_at: None,
        is_attributed_by_group: identity.is_none(),
        is_indexed: true,
    };
    Judged { claim_key: identity, content, entry, is_group_mismatch }
}

/// Judges a payload by the schema of its type, and hands it back.
fn verdict(event_type: &str, payload: Map<String, Value>) -> (Status, Map<String, Value>) {
    let Some(schema) = schema::find(event_type) else {
        let (pointer, keyword) = envelope::NO_SCHEMA;
        let error = Violation::new(None, pointer, keyword);
        let failure = Failure::new(FailureClass::UnknownEventType, "no schema has this event type", vec![error]);
        return (Status::Invalid(failure), payload);
    };
    let payload = Value::Object(payload);
    let broken = schema.broken(&payload);
    let status = if broken.is_empty() {
        Status::Ready
    } else {
        let violation = |broken: schema::Broken| {
            let pointer = format!("/{}{}", schema::PAYLOAD, broken.pointer);
            Violation::new(Some(event_type), &pointer, &broken.keyword)
        };
        let errors = broken.into_iter().map(violation).collect();
        let summary = format!("payload breaks the schema of {event_type}");
        Status::Invalid(Failure::new(FailureClass::SchemaViolation, &summary, errors))
    };
    match payload {
        Value::Object(payload) => (status, payload),
        _ => unreachable!("it was made an object above"),
    }
}

/// Whose entry a body without identity becomes: the message group's tenant, under the id SQS gave the message.
fn owner_of_nameless(message: &Message) -> ClaimKey {
    let tenant_id = message.group_id.as_deref().and_then(TenantId::parse).unwrap_or_else(TenantId::unattributed);
    let event_id = EventId::parse(&message.message_id)
        .or_else(|| EventId::parse(&ContentHash::of_raw(message.message_id.as_bytes()).to_string()))
        .expect("hexadecimal digits are an event id");
    ClaimKey { tenant_id, event_id }
}

/// SQS's own time, the same for every delivery of the message, so that the key is too (G2).
fn sent_at(message: &Message, now_ms: u64) -> Timestamp {
    message.sent_at_ms.and_then(Timestamp::from_epoch_ms).unwrap_or_else(|| Timestamp::from_clock_ms(now_ms))
}

fn canonical_digits(text: &str) -> Option<String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { number::canonical(text).ok().map(Cow::into_owned) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_is_an_address_with_nothing_around_it() {
        let status = |email: &str| {
            let payload = serde_json::json!({ "id": "1", "email": email });
            verdict("user.created", payload.as_object().cloned().expect("an object")).0
        };
        assert_eq!(status("ada@example.com"), Status::Ready);
        assert_eq!(status(&format!("{}@example.com", "a".repeat(60))), Status::Ready);
        // A local part and a domain that are as long as either may be, though not both.
        let long = format!("{}@{}.com", "a".repeat(64), ["a".repeat(62).as_str(); 3].join("."));
        for email in ["Ada <ada@example.com>", "\" < < \" <a@b.co>", "<a@b.co>", "a b@example.com", &long] {
            assert_ne!(status(email), Status::Ready, "{email}");
        }
    }
}
