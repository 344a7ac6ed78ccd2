//! G10: a message names the tenant of every INVALID entry that is counted, within a window and two minutes while SNS takes
//! messages; what messages announce is what was counted, no more of it without an excuse; and each has its place in a window
//! of the deployment before it leaves. Of metrics (G9): what is measured was committed before, and is measured once.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ledger::{
    Attribute, Item,
    alert::{ALERTS_PER_WINDOW_MAX, AlertMessage, DIGEST_TENANTS_MAX, DIGESTS_PER_WINDOW_MAX, Pending},
    item::whole_number_of,
    projection::Verdict,
};
use serde_json::Value;

use super::{
    super::scenario::{Refused, Scenario},
    Expectations, Progress,
    g11_no_values::check_no_value,
};
use crate::{
    clause::{Clause, hold},
    memory::projections::MemoryProjections,
};

/// Two minutes beyond the window, and what clocks may differ by.
const NAMED_MS_MAX: u64 = 120_000 + 6_000;
/// What is left of a lease whose holder died, and the time for which a process leaves SNS alone.
const HEALING_MS: u64 = 120_000;

/// What is to be announced, and what was.
#[derive(Debug, Default)]
pub(super) struct AlertBook {
    tenants: BTreeMap<String, OfTenant>,
    /// Tenants that had a message of their own, and digests, by the start of the window.
    windows: BTreeMap<u64, (BTreeSet<String>, u64)>,
    pub alerts: u64,
    pub digests: u64,
}

#[derive(Debug, Default)]
struct OfTenant {
    /// When its INVALID entries were counted.
    counted_ms: Vec<u64>,
    /// When messages left that name it.
    named_ms: Vec<u64>,
    /// Entries that they announce.
    announced: u64,
    /// The invocations that sent them.
    by: Vec<Rc<RefCell<Progress>>>,
}

impl Expectations {
    /// An INVALID entry of a tenant is counted.
    pub(super) fn note(&mut self, now_ms: u64, tenant: &str) {
        self.alerts.tenants.entry(tenant.to_owned()).or_default().counted_ms.push(now_ms);
    }

    /// A message has left.
    pub(crate) fn published(&mut self, now_ms: u64, message: &AlertMessage, progress: &Rc<RefCell<Progress>>) {
        check_no_value("an alert", &message.subject);
        check_no_value("an alert", &message.body);
        assert!(!message.subject.is_empty());
        let body: Value = serde_json::from_str(&message.body).expect("an alert is JSON");
        let lease = progress.borrow().lease.clone();
        let lease = lease.unwrap_or_else(|| Clause::G10.is_broken("a message leaves without the lease".to_owned()));
        let (alerts, digests) = self.alerts.windows.entry(lease.window_ms).or_default();
        let named = match body["kind"].as_str() {
            Some("alert") => {
                let tenant = body["tenant_id"].as_str().expect("a tenant");
                hold!(G10, lease.tenants.contains(tenant), "an alert leaves that has no place in a window");
                let is_first = alerts.insert(tenant.to_owned());
                hold!(G10, is_first, "two alerts about {tenant} leave in one window");
                self.alerts.alerts += 1;
                vec![&body]
            }
            _ => {
                *digests += 1;
                hold!(G10, *digests <= lease.digests, "{digests} digests leave, and {} have places", lease.digests);
                self.alerts.digests += 1;
                body["tenants"].as_array().expect("a digest names tenants").iter().collect()
            }
        };
        hold!(G10, named.len() <= DIGEST_TENANTS_MAX, "a message names {} tenants", named.len());
        for part in named {
            let tenant = part["tenant_id"].as_str().expect("a tenant");
            let of_tenant = self.alerts.tenants.entry(tenant.to_owned()).or_default();
            of_tenant.named_ms.push(now_ms);
            of_tenant.announced += part["count"].as_u64().expect("a number");
            of_tenant.by.push(progress.clone());
            let (announced, counted) = (of_tenant.announced, of_tenant.counted_ms.len() as u64);
            let is_excused = of_tenant.is_disturbed();
            hold!(G10, announced <= counted || is_excused, "{announced} entries of {tenant} announced of {counted}");
        }
    }

    /// All has come to rest.
    pub(crate) fn check_announced(&self, scenario: &Scenario, projections: &MemoryProjections) {
        let sns = scenario.sns_outage();
        let is_denied = sns.is_some_and(|outage| outage.until_ms == u64::MAX);
        let pending: BTreeMap<String, u64> = projections
            .items()
            .iter()
            .filter(|(key, _)| key.pk.starts_with("pending#"))
            .filter_map(|(_, item)| Pending::from_item(item))
            .map(|pending| (pending.tenant_id.to_string(), pending.count()))
            .collect();
        hold!(G10, is_denied || pending.is_empty(), "{pending:?} stays pending");
        for (tenant, of_tenant) in &self.alerts.tenants {
            if matches!(scenario.refused, Some(Refused::Pending { tenant: refused }) if refused == tenant) {
                hold!(G10, of_tenant.named_ms.is_empty(), "{tenant} is named, of whom nothing can be noted");
                continue;
            }
            let counted = of_tenant.counted_ms.len() as u64;
            let announced = of_tenant.announced + pending.get(tenant).unwrap_or(&0);
            hold!(G10, announced >= counted, "{announced} entries of {tenant} announced of {counted}");
            let is_excused = of_tenant.is_disturbed();
            hold!(G10, announced == counted || is_excused, "{announced} entries of {tenant} announced of {counted}");
            for &counted_ms in &of_tenant.counted_ms {
                let latest_ms = |from_ms: u64| from_ms + scenario.alert_window_ms + NAMED_MS_MAX;
                let healed_ms = counted_ms.max(scenario.healed_ms + HEALING_MS);
                let from_ms = match sns {
                    Some(sns) if latest_ms(healed_ms) > sns.from_ms && !is_denied => {
                        healed_ms.max(sns.until_ms + HEALING_MS)
                    }
                    Some(_) if is_denied => continue,
                    _ => healed_ms,
                };
                let is_named = of_tenant.named_ms.iter().any(|ms| (counted_ms..=latest_ms(from_ms)).contains(ms));
                hold!(G10, is_named, "no message names {tenant}, with an entry counted at {counted_ms}");
            }
        }
    }
}

impl OfTenant {
    /// Whether something went wrong with an invocation that named it.
    fn is_disturbed(&self) -> bool {
        self.by.iter().any(|progress| progress.borrow().is_disturbed)
    }
}

/// What an invocation has taken.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    window_ms: u64,
    tenants: BTreeSet<String>,
    digests: u64,
}

impl Lease {
    /// Reads the notifier's item, which an invocation has just written.
    pub(crate) fn of(item: &Item) -> Self {
        let tenants = match item.get("tenants") {
            Some(Attribute::M(tenants)) => tenants.keys().cloned().collect::<BTreeSet<String>>(),
            other => panic!("a window has {other:?} for tenants"),
        };
        let [window_ms, digests] = ["started_at", "digests"].map(|name| whole_number_of(item, name).expect("a number"));
        let alerts = tenants.len();
        hold!(G10, alerts <= ALERTS_PER_WINDOW_MAX, "{alerts} tenants have alerts in one window");
        hold!(G10, digests <= DIGESTS_PER_WINDOW_MAX as u64, "{digests} digests have places in one window");
        Self { window_ms, tenants, digests }
    }
}

impl Progress {
    /// Metrics were put: of what was committed before, and once.
    pub(super) fn measure(&mut self, verdict: Verdict, entries: u64) {
        let measured = self.measured.entry(verdict).or_default();
        *measured += entries;
        let committed = self.committed.get(&verdict).copied().unwrap_or(0);
        hold!(G9, *measured <= committed, "{measured} entries are measured as {verdict:?}, of {committed}");
    }

    /// An invocation ends in which nothing went wrong, and CloudWatch took what it was given.
    pub(crate) fn check_measured(&self) {
        let Self { committed, measured, .. } = self;
        hold!(G9, measured == committed, "{committed:?} was committed, and {measured:?} measured");
    }
}
