//! The notifier's lease and window: who may announce what is pending, and how much has left in the window of the whole
//! deployment. One item holds both, and every change of it is conditional on its version, so that at one time one notifier
//! announces. A message has its place in the window before it leaves, so no crash lets more leave than the window holds.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::{
    event::ids::TenantId,
    projection::{
        alert::pending::Pending,
        keys::{ProjectionKey, TENANTS},
        update::{Action, Update, Version},
    },
    storage::item::{Attribute, Item, text_of, whole_number, whole_number_of},
};

/// Messages about single tenants in one window of the deployment.
pub const ALERTS_PER_WINDOW_MAX: usize = 20;
/// Digests in one window, and tenants that one names.
pub const DIGESTS_PER_WINDOW_MAX: usize = 10;
pub const DIGEST_TENANTS_MAX: usize = 300;
/// Tenants that are named in one window at most.
pub const TENANTS_PER_WINDOW_MAX: usize = ALERTS_PER_WINDOW_MAX + DIGESTS_PER_WINDOW_MAX * DIGEST_TENANTS_MAX;

const LEASED_UNTIL: &str = "leased_until";
const STARTED_AT: &str = "started_at";
const DIGESTS: &str = "digests";
const HOLDER: &str = "holder";

/// A lease lasts no longer than this, and no window began later than now: what says otherwise was written by a clock that
/// was wrong.
const LEASE_MS_MAX: u64 = 180_000;
const CLOCKS_DIFFER_MS: u64 = 60_000;

/// The item as it is stored: `leased_until` (ms), `holder` (S, of the lease), `started_at` (ms), `tenants` (M: those that
/// had a message of their own in the window), `digests` (sent in it), `version`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notifier {
    version: Version,
    leased_until_ms: u64,
    started_at_ms: u64,
    tenants: BTreeSet<String>,
    digests: u64,
}

/// One message that is to leave.
#[derive(Clone, Debug, PartialEq)]
pub enum Announcement {
    /// About one tenant.
    Alert(Box<Pending>),
    Digest {
        tenants: Vec<Pending>,
        /// Tenants that no message of this window names.
        beyond: usize,
    },
}

/// Alerts pending that may be announced in this window, the longest pending first. Of more tenants than a window names,
/// only the number is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Waiting {
    longest: BTreeMap<(u64, TenantId), Pending>,
    count: usize,
}

impl Waiting {
    fn add(&mut self, pending: Pending) {
        self.count += 1;
        self.longest.insert((pending.first_at_ms, pending.tenant_id.clone()), pending);
        if self.longest.len() > TENANTS_PER_WINDOW_MAX {
            self.longest.pop_last();
        }
    }
}

impl Notifier {
    pub fn from_item(item: &Item) -> Self {
        let number = |name| whole_number_of(item, name).unwrap_or(0);
        let tenants = match item.get(TENANTS) {
            Some(Attribute::M(tenants)) => tenants.keys().cloned().collect(),
            _ => BTreeSet::new(),
        };
        Self {
            version: Version::of(item),
            leased_until_ms: number(LEASED_UNTIL),
            started_at_ms: number(STARTED_AT),
            tenants,
            digests: number(DIGESTS),
        }
    }

    /// The same at `now_ms`: in a new window, where the stored one is over.
    pub fn at(self, now_ms: u64, window_ms: u64) -> Self {
        let is_over = now_ms >= self.started_at_ms.saturating_add(window_ms);
        match is_over || self.started_at_ms > now_ms + CLOCKS_DIFFER_MS {
            true => Self { started_at_ms: now_ms, tenants: BTreeSet::new(), digests: 0, ..self },
            false => self,
        }
    }

    /// Whether somebody else announces.
    pub fn is_leased(&self, now_ms: u64) -> bool {
        (now_ms + 1..=now_ms + LEASE_MS_MAX).contains(&self.leased_until_ms)
    }

    /// Whether an item bears the lease that `holder` has taken, with an answer that was lost.
    pub fn is_held_by(item: &Item, holder: &str) -> bool {
        text_of(item, HOLDER) == Some(holder)
    }

    /// Takes in an alert pending, unless its tenant had a message of its own in this window.
    pub fn wait(&self, waiting: &mut Waiting, pending: Pending) {
        if !self.tenants.contains(pending.tenant_id.as_str()) {
            waiting.add(pending);
        }
    }

    /// Decides what leaves, and gives it its places in the window.
    ///
    /// All digests of a window leave at once, so that no tenant is named twice in it.
    pub fn plan(&mut self, waiting: Waiting, may_send_digests: bool) -> Vec<Announcement> {
        let mut rest = waiting.longest.into_values();
        let room = ALERTS_PER_WINDOW_MAX.saturating_sub(self.tenants.len());
        let alerts: Vec<Pending> = rest.by_ref().take(room).collect();
        self.tenants.extend(alerts.iter().map(|pending| pending.tenant_id.as_str().to_owned()));
        let unnamed = waiting.count - alerts.len();
        let mut announcements: Vec<Announcement> =
            alerts.into_iter().map(|pending| Announcement::Alert(Box::new(pending))).collect();
        if may_send_digests && self.digests == 0 {
            let tenants: Vec<Pending> = rest.take(DIGESTS_PER_WINDOW_MAX * DIGEST_TENANTS_MAX).collect();
            let digests = tenants.chunks(DIGEST_TENANTS_MAX);
            self.digests = digests.len() as u64;
            let last = digests.len();
            announcements.extend(digests.enumerate().map(|(number, named)| Announcement::Digest {
                tenants: named.to_vec(),
                beyond: if number + 1 == last { unnamed - tenants.len() } else { 0 },
            }));
        }
        announcements
    }

    /// Gives the place of a message back that was not tried.
    pub fn give_back(&mut self, announcement: &Announcement) {
        match announcement {
            Announcement::Alert(pending) => drop(self.tenants.remove(pending.tenant_id.as_str())),
            Announcement::Digest { .. } => self.digests = self.digests.saturating_sub(1),
        }
    }

    /// Takes the lease until a moment, or gives it back with one that has passed; on condition that the item is what was
    /// read or written before.
    pub fn lease(&self, holder: &str, until_ms: u64) -> Update {
        let tenants: Map<String, Value> =
            self.tenants.iter().map(|tenant| (tenant.clone(), Value::Bool(true))).collect();
        let set = |name: &str, value| Action::Set(name.to_owned(), value);
        Update {
            key: ProjectionKey::notifier(),
            conditions: vec![self.version.condition()],
            actions: vec![
                self.version.step(),
                set(HOLDER, Attribute::S(holder.to_owned())),
                set(LEASED_UNTIL, whole_number(until_ms)),
                set(STARTED_AT, whole_number(self.started_at_ms)),
                set(TENANTS, Attribute::M(tenants)),
                set(DIGESTS, whole_number(self.digests)),
            ],
        }
    }

    /// The same once its update is made.
    pub fn written(self) -> Self {
        Self { version: self.version.next(), ..self }
    }
}
