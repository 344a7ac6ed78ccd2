//! A read model that some of the simulation's deployments have and others do not: unlike those of the build it keeps
//! several items a day, and reads payloads.

use ledger::projection::{Changes, Fact, Projection, Verdict, causes::CAUSES, counts::COUNTS};

pub(super) const HOURS: Projection = Projection { name: "hours", version: 1, fold };
pub(super) const WITHOUT_HOURS: &[Projection] = &[COUNTS, CAUSES];
pub(super) const WITH_HOURS: &[Projection] = &[COUNTS, CAUSES, HOURS];

const HOUR_MS: u64 = 3_600_000;

/// READY entries by hour of the day, and the members of their payloads.
fn fold(fact: &Fact<'_>, changes: &mut Changes<'_>) {
    let entry = fact.entry();
    let ready = fact.change_of(Verdict::Ready);
    let members = entry.payload.read().map_or(0, |payload| payload.len() as i64);
    let hour = format!("{:02}", entry.ingested_at_ms / HOUR_MS % 24);
    changes.add(&hour, "ready", ready);
    changes.add(&hour, "members", ready * members);
}
