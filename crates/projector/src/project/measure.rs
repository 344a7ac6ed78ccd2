//! Puts the metrics of what was committed: at most once, because a put whose answer was lost is not sent again. A refusal
//! costs metrics, never counts.

use ledger::{
    metric::to_calls,
    metric_tenants::{MetricTenants, TenantBudget, TenantDimensions},
    ports::{Alerts, Clock, Metrics, ProjectionsTable, Refusal},
    projection::update::Updated,
};
use tracing::{error, warn};

use super::{LEFT_ALONE_MS, Run};

/// Attempts at giving slots to tenants, which the metrics can do without.
const SLOTS_ATTEMPTS_MAX: u32 = 3;

impl<P: ProjectionsTable, A: Alerts, M: Metrics, C: Clock> Run<'_, P, A, M, C> {
    pub(super) async fn measure(&mut self, until_ms: u64) {
        if self.statistics.is_empty() {
            return;
        }
        let dimensions = match &self.settings.tenant_budget {
            TenantBudget::Named(tenants) => TenantDimensions::named(tenants),
            TenantBudget::FirstCome { places_max } => {
                TenantDimensions::first_come(&self.give_slots(*places_max, until_ms).await)
            }
        };
        self.statistics.work.metric_tenants = Some(dimensions.len() as u64);
        for data in to_calls(self.statistics.to_data(&dimensions)) {
            if let Err(refusal) = self.put(data, until_ms).await {
                error!(?refusal, "metrics refused, they are lost");
                self.statistics.work.refused_puts += 1;
            }
        }
    }

    async fn put(&mut self, data: Vec<ledger::metric::Datum>, until_ms: u64) -> Result<(), Refusal> {
        let budget_ms = until_ms.saturating_sub(self.ports.clock.now_ms());
        if budget_ms == 0 || self.ports.clock.now_ms() < self.kept.metrics_off_until_ms {
            return Err(Refusal::transient("MetricsBudget"));
        }
        let answer = self.ports.metrics.put(data, budget_ms).await;
        let now_ms = self.ports.clock.now_ms();
        if now_ms >= until_ms {
            self.kept.metrics_off_until_ms = now_ms + LEFT_ALONE_MS;
        }
        answer
    }

    /// Stores the slots of tenants that come for the first time, or for the first time today, before they are used.
    async fn give_slots(&mut self, slots_max: usize, until_ms: u64) -> MetricTenants {
        let (read_ms, mut tenants) = self.kept.metric_tenants.clone().unwrap_or_default();
        for _ in 0..SLOTS_ATTEMPTS_MAX {
            let now_ms = self.ports.clock.now_ms();
            let Some(changed) = tenants.admit(self.statistics.tenants(), slots_max, now_ms) else { break };
            let budget_ms = until_ms.saturating_sub(now_ms);
            if budget_ms == 0 {
                break;
            }
            match self.ports.projections.update(changed.to_update(), budget_ms).await {
                Ok(Updated::Done) => {
                    tenants = changed.written();
                    break;
                }
                Ok(Updated::ConditionFailed(item)) => {
                    tenants = item.as_ref().map(MetricTenants::from_item).unwrap_or_default();
                }
                Err(refusal) => {
                    warn!(?refusal, "slots of tenants not stored, new tenants count as others");
                    break;
                }
            }
        }
        self.kept.metric_tenants = Some((read_ms, tenants.clone()));
        tenants
    }
}
