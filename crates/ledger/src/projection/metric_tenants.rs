//! Which tenants have a metric dimension of their own: each costs money every month, so there is a budget. Either the
//! configuration names them, or the first to come have them, up to a number, and lose them after `IDLE_DAYS_MAX` days
//! without an entry. The places taken are stored, so that all instances agree; a place is stored before it is used.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    event::{ids::TenantId, timestamp::Timestamp},
    projection::{
        keys::{ProjectionKey, TENANTS},
        metric::{OTHER_TENANTS, is_dimension_value},
        update::{Action, Update, Version},
    },
    storage::item::{self, Attribute, Item},
};

/// Days without an entry after which a place is free again.
pub const IDLE_DAYS_MAX: u64 = 30;
/// Bytes of all places together; tenants with long names can fill them before their number is reached.
pub const PLACES_BYTES_MAX: usize = 9 * 1024;
/// Places a configuration may ask for.
pub const PLACES_MAX: usize = 400;

/// Who gets a dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantBudget {
    Named(BTreeSet<TenantId>),
    FirstCome { places_max: usize },
}

/// The places as they are stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricTenants {
    version: Version,
    /// Tenants, and the UTC day each was last seen.
    places: BTreeMap<String, String>,
}

impl MetricTenants {
    pub fn from_item(item: &Item) -> Self {
        let places = match item.get(TENANTS) {
            Some(Attribute::M(places)) => {
                places.iter().filter_map(|(tenant, day)| Some((tenant.clone(), day.as_str()?.to_owned()))).collect()
            }
            _ => BTreeMap::new(),
        };
        Self { version: Version::of(item), places }
    }

    /// Gives places to tenants in the order they came; `None` if nothing changes. Where there are fewer places than
    /// there were, those seen last keep theirs.
    pub fn admit<'t>(
        &self,
        tenants: impl IntoIterator<Item = &'t TenantId>,
        places_max: usize,
        now_ms: u64,
    ) -> Option<Self> {
        let day_at = |moment_ms| Timestamp::from_epoch_ms(moment_ms).map(|moment| moment.day().to_owned());
        let today = day_at(now_ms)?;
        let idle_since = day_at(now_ms.saturating_sub(IDLE_DAYS_MAX * 86_400_000))?;
        let mut places = self.places.clone();
        places.retain(|_, last_seen| *last_seen >= idle_since);
        while places.len() > places_max {
            let longest_idle = places.iter().min_by_key(|(_, last_seen)| *last_seen).map(|(tenant, _)| tenant.clone());
            longest_idle.and_then(|tenant| places.remove(&tenant));
        }
        let mut bytes: usize = places.keys().map(|tenant| place_bytes(tenant)).sum();
        for tenant in tenants.into_iter().filter(|tenant| is_dimension_value(tenant.as_str())) {
            if let Some(last_seen) = places.get_mut(tenant.as_str()) {
                if *last_seen < today {
                    last_seen.clone_from(&today);
                }
            } else if places.len() < places_max && bytes + place_bytes(tenant.as_str()) <= PLACES_BYTES_MAX {
                bytes += place_bytes(tenant.as_str());
                places.insert(tenant.as_str().to_owned(), today.clone());
            }
        }
        (places != self.places).then(|| Self { version: self.version.clone(), places })
    }

    /// The places once their update is made.
    pub fn written(self) -> Self {
        Self { version: self.version.next(), ..self }
    }

    /// Writes the places, on condition that they still are what was read.
    pub fn to_update(&self) -> Update {
        let places = self.places.iter().map(|(tenant, day)| (tenant.clone(), Value::String(day.clone()))).collect();
        Update {
            key: ProjectionKey::metric_tenants(),
            conditions: vec![self.version.condition()],
            actions: vec![self.version.step(), Action::Set(TENANTS.to_owned(), Attribute::M(places))],
        }
    }
}

fn place_bytes(tenant: &str) -> usize {
    tenant.len() + "2026-01-15".len() + item::ELEMENT_BYTES
}

/// The tenants that have a dimension in one invocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantDimensions(BTreeSet<String>);

impl TenantDimensions {
    /// Of those named, those CloudWatch takes.
    pub fn named(tenants: &BTreeSet<TenantId>) -> Self {
        let texts = tenants.iter().map(TenantId::as_str).filter(|text| is_dimension_value(text));
        Self(texts.map(str::to_owned).collect())
    }

    pub fn first_come(tenants: &MetricTenants) -> Self {
        Self(tenants.places.keys().cloned().collect())
    }

    pub fn of<'t>(&self, tenant_id: &'t TenantId) -> &'t str {
        if self.0.contains(tenant_id.as_str()) { tenant_id.as_str() } else { OTHER_TENANTS }
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::item_bytes;

    const NOW_MS: u64 = 1_768_469_400_000;
    const DAY_MS: u64 = 86_400_000;

    fn tenants(names: &[&str]) -> Vec<TenantId> {
        names.iter().map(|name| TenantId::parse(name).unwrap()).collect()
    }

    #[test]
    fn the_first_to_come_have_a_place_and_the_rest_share_one_dimension() {
        let all = tenants(&["b", ":colon", "a", "c"]);
        let places = MetricTenants::default().admit(&all, 2, NOW_MS).unwrap();
        let dimensions = TenantDimensions::first_come(&places);
        let given: Vec<&str> = all.iter().map(|tenant| dimensions.of(tenant)).collect();
        assert_eq!(given, ["b", OTHER_TENANTS, "a", OTHER_TENANTS]);
        assert_eq!(places.admit(&all, 2, NOW_MS), None, "nothing changes on the same day");
    }

    #[test]
    fn a_place_is_free_after_thirty_idle_days_and_not_before() {
        let places = MetricTenants::default().admit(&tenants(&["a"]), 1, NOW_MS).unwrap();
        let newcomer = tenants(&["b"]);
        assert_eq!(places.admit(&newcomer, 1, NOW_MS + IDLE_DAYS_MAX * DAY_MS), None);
        let later = places.admit(&newcomer, 1, NOW_MS + (IDLE_DAYS_MAX + 1) * DAY_MS).unwrap();
        assert_eq!(TenantDimensions::first_come(&later).of(&newcomer[0]), "b");
        assert_eq!(later.places.len(), 1);
    }

    #[test]
    fn a_smaller_budget_takes_places_back_from_those_that_were_idle_longest() {
        let places = MetricTenants::default().admit(&tenants(&["a", "b", "c"]), 3, NOW_MS).unwrap();
        let places = places.admit(&tenants(&["b"]), 3, NOW_MS + DAY_MS).unwrap();
        let places = places.admit(&tenants(&["a"]), 1, NOW_MS + DAY_MS).unwrap();
        assert_eq!(places.places.keys().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn seen_again_on_another_day_the_place_lives_on() {
        let a = tenants(&["a"]);
        let places = MetricTenants::default().admit(&a, 1, NOW_MS).unwrap();
        let places = places.admit(&a, 1, NOW_MS + 20 * DAY_MS).unwrap();
        assert_eq!(places.admit(&tenants(&["b"]), 1, NOW_MS + 40 * DAY_MS), None);
    }

    #[test]
    fn no_tenants_make_the_item_grow_beyond_ten_kilobytes() {
        let long: Vec<TenantId> =
            (0..PLACES_MAX).map(|number| TenantId::parse(&format!("{number:t>128}")).unwrap()).collect();
        let places = MetricTenants::default().admit(&long, PLACES_MAX, NOW_MS).unwrap();
        assert!(places.places.len() > 60);
        let mut item = ProjectionKey::metric_tenants().to_item();
        for action in places.to_update().actions {
            let Action::Set(name, value) = action else { panic!("only sets") };
            item.insert(name, value);
        }
        assert!(item_bytes(&item) < 10 * 1024, "{}", item_bytes(&item));
        assert_eq!(MetricTenants::from_item(&item).places, places.places);
    }
}
