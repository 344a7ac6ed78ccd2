//! G10: what the checkpoint has passed was told of before, and alerts are bounded by the places in a window. Where nothing
//! goes wrong, nothing is told, or measured, twice.

use std::collections::BTreeMap;

use ledger::{
    Attribute, FailureClass, TenantId,
    alert::{ALERTS_PER_WINDOW_MAX, AlertGroup, AlertMessage, Cause},
    item::whole_number_of,
    projection::{EntrySummary, Verdict, keys::ProjectionKey},
};
use serde_json::Value;

use super::{
    super::stream::{Meaning, Stream},
    Expectations,
    g11_no_values::check_no_value,
};
use crate::{clause::hold, memory::projections::MemoryProjections};

/// From the decision that an alert leaves to its leaving, where nothing goes wrong.
const LEAVING_MS_MAX: u64 = 5_000;

/// What the topic has told so far.
#[derive(Debug, Default)]
pub(super) struct AlertBook {
    window_ms: u64,
    last_ms: BTreeMap<AlertGroup, u64>,
    last_digest_ms: Option<u64>,
    alerts: u64,
    pub digests: u64,
    /// Entries that messages told of.
    told: u64,
    /// An alert of some group left less than a window after the one before.
    is_repeated: bool,
    /// Start of the window as it is stored, and the places that are taken in it.
    stored_window: (u64, u64),
    /// Places taken in all windows.
    places: u64,
}

impl AlertBook {
    pub(super) fn new(window_ms: u64) -> Self {
        Self { window_ms, ..Self::default() }
    }

    /// Whether an alert for an INVALID entry left at most one window before it was judged, or later.
    fn covers(&self, entry: &EntrySummary) -> bool {
        let is_recent = |at_ms: u64| at_ms + self.window_ms > entry.ingested_at_ms;
        self.last_ms.get(&AlertGroup::of(entry)).is_some_and(|&at_ms| is_recent(at_ms))
            || self.last_digest_ms.is_some_and(is_recent)
    }
}

impl Expectations {
    /// A message has left.
    pub(crate) fn published(&mut self, now_ms: u64, message: &AlertMessage) {
        check_no_value("an alert", &message.subject);
        check_no_value("an alert", &message.body);
        assert!(!message.subject.is_empty());
        let body: Value = serde_json::from_str(&message.body).expect("an alert is JSON");
        let number = |name: &str| body[name].as_u64().expect("an alert counts");
        let book = &mut self.alerts;
        book.told += number("count") + number("suppressed");
        if body["kind"] == "digest" {
            book.last_digest_ms = Some(now_ms);
            book.digests += 1;
            return;
        }
        let before_ms = book.last_ms.insert(group_of(&body), now_ms);
        book.is_repeated |= before_ms.is_some_and(|ms| ms + book.window_ms > now_ms + LEAVING_MS_MAX);
        book.alerts += 1;
        hold!(G10, book.alerts <= book.places, "{} alerts left, and {} places were taken", book.alerts, book.places);
    }

    /// The projections have changed.
    pub(crate) fn check_places(&mut self, projections: &MemoryProjections) {
        let Some(item) = projections.get(&ProjectionKey::alert_windows()) else { return };
        let [started_ms, alerts] = ["started_at", "alerts"].map(|name| whole_number_of(item, name).unwrap_or(0));
        hold!(G10, alerts <= ALERTS_PER_WINDOW_MAX, "{alerts} places are taken in one window");
        let (before_ms, before) = std::mem::replace(&mut self.alerts.stored_window, (started_ms, alerts));
        self.alerts.places = self.alerts.places + alerts - if started_ms == before_ms { before } else { 0 };
    }

    /// An entry is counted.
    pub(crate) fn check_covered(&self, entry: &EntrySummary) {
        let is_covered = entry.verdict == Verdict::Ready || self.alerts.covers(entry);
        hold!(G10, is_covered, "{entry:?} is counted, and no alert covers it");
    }

    /// All has come to rest, and nothing went wrong.
    pub(crate) fn check_told_once(&self, stream: &Stream, projections: &MemoryProjections) {
        let AlertBook { digests, told, is_repeated, .. } = self.alerts;
        hold!(G10, !is_repeated, "two alerts of a group left in one window");
        let verdicts = stream.log.iter().filter_map(|logged| match &logged.meaning {
            Meaning::Appended(entry) => Some(entry.verdict),
            _ => None,
        });
        let invalid = verdicts.clone().filter(|&verdict| verdict == Verdict::Invalid).count() as u64;
        let held_back = projections.get(&ProjectionKey::alert_windows()).map_or(0, |item| {
            let Some(Attribute::M(groups)) = item.get("groups") else { panic!("windows have groups") };
            let of_groups = groups.values().filter_map(|group| group["suppressed"].as_u64());
            of_groups.sum::<u64>() + whole_number_of(item, "suppressed").unwrap_or(0)
        });
        // Digests of two shards at the same time tell of the same.
        hold!(G10, told + held_back == invalid || digests > 1, "{invalid} INVALID: {told} told, {held_back} held back");
        let (measured, appended) = (self.measured_events, verdicts.count());
        hold!(G9, measured as usize == appended, "{appended} entries are measured as {measured}");
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
