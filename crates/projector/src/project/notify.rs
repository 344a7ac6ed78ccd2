//! The notifier: announces the alerts pending, under a lease, within the window's bounds. After a commit it does so for
//! the tenants that the commit noted; a tick does it for all, and alone sends digests.

use std::collections::BTreeSet;

use ledger::{
    Item, TenantId,
    alert::{ALERTS_PER_WINDOW_MAX, AlertMessage, Announcement, Notifier, Pending, Waiting},
    ports::{Alerts, Clock, Found, Page, ProjectionsTable},
    projection::{
        keys::{PENDING_PARTITIONS, ProjectionKey, pending_pk},
        update::{Cancellation, TRANSACTION_WRITES_MAX, Transacted, Transaction, Updated, Write},
    },
    retry::Deadline,
};
use tracing::{error, info, warn};

use super::{BACKOFF, Kept, LEFT_ALONE_MS, Ports, READ_ATTEMPTS_MAX, Settings, token};
use crate::telemetry::Work;

/// How seldom a process asks for the lease after a commit.
const ASK_INTERVAL_MS: u64 = 3_000;
/// How much longer than its work a lease lasts: clocks of instances differ by seconds.
const LEASE_MARGIN_MS: u64 = 10_000;
/// Ticks come this far apart, and each begins this many partitions after the one before: a number that has no divisor in
/// common with that of the partitions.
const TICK_INTERVAL_MS: u64 = 60_000;
const PARTITIONS_SKIPPED: u64 = 23;
/// Time reserved for taking what a message has announced from what is pending.
const SETTLE_MS: u64 = 300;
const SETTLE_ATTEMPTS_MAX: u32 = 10;
const LEASE_ATTEMPTS_MAX: u32 = 3;

/// One turn of the notifier.
pub(super) struct Notifying<'s, P, A, M, C> {
    pub ports: &'s Ports<P, A, M, C>,
    pub settings: &'s Settings,
    pub kept: &'s mut Kept,
    pub work: &'s mut Work,
    /// Nothing leaves after this.
    pub until_ms: u64,
    /// What has left may be settled until then.
    pub settle_until_ms: u64,
}

impl<P: ProjectionsTable, A: Alerts, M, C: Clock> Notifying<'_, P, A, M, C> {
    /// Announces what is pending of some tenants, if nobody else is announcing. What cannot leave now is left to the
    /// tick.
    pub(super) async fn notify(mut self, tenants: BTreeSet<TenantId>) {
        let now_ms = self.ports.clock.now_ms();
        if tenants.is_empty() || self.is_off(now_ms) || now_ms < self.kept.notifier_asked_ms + ASK_INTERVAL_MS {
            return;
        }
        self.kept.notifier_asked_ms = now_ms;
        // The notifier first: whoever announces between the two reads changes it, and this one's lease fails.
        let Some(notifier) = self.read_notifier().await else { return };
        if notifier.is_leased(now_ms) {
            return;
        }
        let notifier = notifier.at(now_ms, self.settings.alert_window_ms);
        let keys = tenants.iter().take(ALERTS_PER_WINDOW_MAX).map(ProjectionKey::pending).collect();
        let mut waiting = Waiting::default();
        for pending in self.read(keys).await.into_iter().flatten().filter_map(|item| Pending::from_item(&item)) {
            notifier.wait(&mut waiting, pending);
        }
        self.announce(notifier, waiting, false).await;
    }

    /// Announces what is pending of all tenants.
    pub(super) async fn tick(mut self) {
        let Some(notifier) = self.read_notifier().await else { return };
        let now_ms = self.ports.clock.now_ms();
        let is_leased = notifier.is_leased(now_ms);
        let notifier = notifier.at(now_ms, self.settings.alert_window_ms);
        let (mut waiting, mut pending, mut oldest_ms, mut read) = (Waiting::default(), 0, now_ms, 0);
        // The other half of the time is for what was read so far.
        let reading_until_ms = now_ms + self.until_ms.saturating_sub(now_ms) / 2;
        // On a slow table each tick begins elsewhere, so that the last partitions have their turn.
        let first = now_ms / TICK_INTERVAL_MS * PARTITIONS_SKIPPED;
        let mut partitions =
            (0..PENDING_PARTITIONS).map(|turn| ((first + u64::from(turn)) % u64::from(PENDING_PARTITIONS)) as u8);
        let mut next = partitions.next().map(|partition| (partition, None));
        while let Some((partition, after)) = next.take().filter(|_| self.ports.clock.now_ms() < reading_until_ms) {
            let page = self.query(partition, after).await;
            read += u8::from(page.as_ref().is_some_and(|page| page.next.is_none()));
            let Page { items, next: after } = page.unwrap_or_default();
            for alert in items.iter().filter_map(Pending::from_item) {
                pending += 1;
                oldest_ms = oldest_ms.min(alert.first_at_ms);
                notifier.wait(&mut waiting, alert);
            }
            next = match after {
                None => partitions.next().map(|partition| (partition, None)),
                after => Some((partition, after)),
            };
        }
        // A number that holds not all of them would mislead; an alarm rings where there is none for long.
        if read == PENDING_PARTITIONS {
            self.work.pending = Some((pending, now_ms.saturating_sub(oldest_ms)));
        }
        if !is_leased && !self.is_off(now_ms) {
            self.announce(notifier, waiting, true).await;
        }
    }

    /// Takes the lease with the messages' places in the window, lets them leave, and gives the lease back.
    async fn announce(&mut self, mut notifier: Notifier, waiting: Waiting, may_send_digests: bool) {
        let announcements = notifier.plan(waiting, may_send_digests);
        let holder = token(&self.ports.clock);
        let leased_until_ms = self.settle_until_ms + LEASE_MARGIN_MS;
        if announcements.is_empty() || !self.lease(&notifier, &holder, leased_until_ms).await {
            return;
        }
        notifier = notifier.written();
        let mut not_tried = announcements.iter();
        for announcement in not_tried.by_ref() {
            let now_ms = self.ports.clock.now_ms();
            let budget_ms = self.until_ms.saturating_sub(now_ms + SETTLE_MS);
            if budget_ms == 0 || self.is_off(now_ms) {
                notifier.give_back(announcement);
                break;
            }
            match self.ports.alerts.publish(AlertMessage::of(announcement, &self.settings.origin), budget_ms).await {
                Ok(()) => {
                    self.work.alerts_published += 1;
                    self.settle(announcement).await;
                }
                // It may have left, so its place is taken. Of what is wrong with it the others know nothing.
                Err(refusal) => {
                    self.work.alerts_refused += 1;
                    error!(?refusal, "alert refused, it stays pending");
                    let now_ms = self.ports.clock.now_ms();
                    if now_ms + SETTLE_MS >= self.until_ms {
                        self.kept.alerts_off_until_ms = now_ms + LEFT_ALONE_MS;
                    }
                }
            }
        }
        not_tried.for_each(|announcement| notifier.give_back(announcement));
        self.lease(&notifier, &holder, 0).await;
        info!(published = self.work.alerts_published, refused = self.work.alerts_refused, "alerts announced");
    }

    /// Takes the lease, or gives it back. Whoever does not get it leaves everything to who has it.
    async fn lease(&self, notifier: &Notifier, holder: &str, until_ms: u64) -> bool {
        for attempt in 0..LEASE_ATTEMPTS_MAX {
            let Some(budget_ms) = self.settling().budget_ms() else { return false };
            match self.ports.projections.update(notifier.lease(holder, until_ms), budget_ms).await {
                Ok(Updated::Done) => return true,
                // An attempt before may have been made, and its answer lost.
                Ok(Updated::ConditionFailed(item)) => {
                    return attempt > 0 && item.is_some_and(|item| Notifier::is_held_by(&item, holder));
                }
                Err(refusal) => warn!(?refusal, "notifier's lease refused"),
            }
            if !self.settling().wait(BACKOFF, attempt + 1).await {
                return false;
            }
        }
        false
    }

    /// Takes what a message has announced from what is pending. Its tenants are settled together; those whose items others
    /// are changing hold no other one up.
    async fn settle(&self, announcement: &Announcement) {
        let announced = match announcement {
            Announcement::Alert(pending) => std::slice::from_ref(&**pending),
            Announcement::Digest { tenants, .. } => tenants,
        };
        let mut left: Vec<(&Pending, Write)> = announced.iter().map(|pending| (pending, pending.settle())).collect();
        let sizes = [TRANSACTION_WRITES_MAX, 10].into_iter().chain(std::iter::repeat(1));
        let mut last = None;
        for (attempt, size) in (0..SETTLE_ATTEMPTS_MAX).zip(sizes) {
            let mut again = Vec::new();
            for chunk in left.chunks(size) {
                again.extend(self.settle_once(chunk, &mut last).await);
            }
            left = again;
            if left.is_empty() {
                return;
            }
            if !self.settling().wait(BACKOFF, attempt + 1).await {
                break;
            }
        }
        error!(alerts = left.len(), "announced alerts not settled, they will be announced again");
    }

    /// Settles some alerts in one transaction, and returns what is left to settle.
    ///
    /// The same as in the last transaction goes under the same token: of attempts whose answers were lost, and that come
    /// late, one alone is made, and none takes what was noted since.
    async fn settle_once<'p>(
        &self,
        announced: &[(&'p Pending, Write)],
        last: &mut Option<Transaction>,
    ) -> Vec<(&'p Pending, Write)> {
        let writes: Vec<Write> = announced.iter().map(|(_, write)| write.clone()).collect();
        let same = last.take().filter(|last| last.writes == writes);
        let transaction = same.unwrap_or_else(|| Transaction { writes, token: token(&self.ports.clock) });
        let Some(budget_ms) = self.settling().budget_ms() else { return announced.to_vec() };
        let answer = self.ports.projections.transact(transaction.clone(), budget_ms).await;
        *last = Some(transaction);
        match answer {
            Ok(Transacted::Done) => Vec::new(),
            Ok(Transacted::Cancelled(reasons)) => {
                announced.iter().cloned().zip(reasons).filter_map(settle_again).collect()
            }
            Err(refusal) => {
                warn!(?refusal, "announced alerts not settled, trying again");
                announced.to_vec()
            }
        }
    }

    async fn read_notifier(&self) -> Option<Notifier> {
        let item = self.read(vec![ProjectionKey::notifier()]).await.pop()?;
        Some(item.as_ref().map(Notifier::from_item).unwrap_or_default())
    }

    /// Nothing where the table does not answer: the next tick comes.
    async fn read(&self, keys: Vec<ProjectionKey>) -> Vec<Option<Item>> {
        for attempt in 0..READ_ATTEMPTS_MAX {
            let Some(budget_ms) = self.deadline().budget_ms() else { break };
            match self.ports.projections.read(keys.clone(), budget_ms).await {
                Ok(found) if !found.contains(&Found::Unprocessed) => {
                    return found.into_iter().map(Found::into_item).collect();
                }
                answer => warn!(refusal = ?answer.err(), "alerts pending not read"),
            }
            if !self.deadline().wait(BACKOFF, attempt + 1).await {
                break;
            }
        }
        Vec::new()
    }

    async fn query(&self, partition: u8, after: Option<String>) -> Option<Page> {
        for attempt in 0..READ_ATTEMPTS_MAX {
            let budget_ms = self.deadline().budget_ms()?;
            match self.ports.projections.query(pending_pk(partition), after.clone(), budget_ms).await {
                Ok(page) => return Some(page),
                Err(refusal) => warn!(?refusal, partition, "alerts pending not read"),
            }
            if !self.deadline().wait(BACKOFF, attempt + 1).await {
                return None;
            }
        }
        None
    }

    fn is_off(&self, now_ms: u64) -> bool {
        now_ms < self.kept.alerts_off_until_ms
    }

    fn deadline(&self) -> Deadline<'_, C> {
        Deadline { clock: &self.ports.clock, at_ms: self.until_ms, call_ms_min: 1 }
    }

    fn settling(&self) -> Deadline<'_, C> {
        Deadline { at_ms: self.settle_until_ms, ..self.deadline() }
    }
}

/// What is left to settle of an alert after a cancelled transaction.
fn settle_again(((pending, write), reason): ((&Pending, Write), Cancellation)) -> Option<(&Pending, Write)> {
    match reason {
        Cancellation::None | Cancellation::Busy => Some((pending, write)),
        // More was noted since it was read, or it is settled already.
        Cancellation::ConditionFailed(item) => Some((pending, pending.settle_from(&item?)?)),
        Cancellation::Content => None,
    }
}
