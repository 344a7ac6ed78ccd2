//! What the topic has told so far, and whom it covers (G10).

use std::collections::BTreeMap;

use ledger::{
    FailureClass, TenantId,
    alert::{AlertGroup, AlertMessage, Cause},
    projection::EntrySummary,
};
use serde_json::Value;

#[derive(Debug)]
pub struct AlertBook {
    window_ms: u64,
    last_ms: BTreeMap<AlertGroup, u64>,
    last_digest_ms: Option<u64>,
}

/// What one message is.
#[derive(Debug)]
pub enum Told {
    /// The alert of a group, and when the one before left.
    Alert {
        before_ms: Option<u64>,
    },
    Digest,
}

impl AlertBook {
    pub fn new(window_ms: u64) -> Self {
        Self { window_ms, last_ms: BTreeMap::new(), last_digest_ms: None }
    }

    /// A message leaves; returns it with how many entries it tells of.
    pub fn published(&mut self, at_ms: u64, message: &AlertMessage) -> (Told, u64) {
        let body: Value = serde_json::from_str(&message.body).expect("an alert is JSON");
        assert!(!message.subject.is_empty());
        let number = |name: &str| body[name].as_u64().expect("an alert counts");
        let entries = number("count") + number("suppressed");
        if body["kind"] == "digest" {
            self.last_digest_ms = Some(at_ms);
            return (Told::Digest, entries);
        }
        let before_ms = self.last_ms.insert(group_of(&body), at_ms);
        (Told::Alert { before_ms }, entries)
    }

    /// Whether an alert for an INVALID entry left at most one window before it was judged, or later.
    pub fn covers(&self, entry: &EntrySummary) -> bool {
        let is_recent = |at_ms: u64| at_ms + self.window_ms > entry.ingested_at_ms;
        self.last_ms.get(&AlertGroup::of(entry)).is_some_and(|&at_ms| is_recent(at_ms))
            || self.last_digest_ms.is_some_and(is_recent)
    }
}

fn group_of(body: &Value) -> AlertGroup {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let cause = &body["cause"];
    AlertGroup {
        tenant_id: TenantId::from_stored(&text(&body["tenant_id"])).expect("a tenant"),
        event_type: text(&body["event_type"]),
        cause: Cause {
            class: FailureClass::parse(&text(&cause["class"])).expect("a class").as_str(),
            keyword: text(&cause["keyword"]),
            pointer: text(&cause["pointer"]),
        },
    }
}
