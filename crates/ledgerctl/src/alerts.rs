//! The tenants with an alert pending: INVALID entries that no message has announced yet.

use std::fmt::Write as _;

use ledger::{
    Timestamp,
    alert::Pending,
    names::Project,
    ports::{Page, ProjectionsTable, Refusal},
    projection::keys::{PENDING_PARTITIONS, pending_pk},
};
use ledger_aws::DynamoProjections;

/// Time for one page of at most 1 MB.
const PAGE_BUDGET_MS: u64 = 10_000;
/// Characters of a time down to the second: `2026-01-15T09:30:00`.
const SECOND_CHARACTERS: usize = 19;

/// Prints them; an error where AWS refuses.
pub(crate) async fn run(project: &Project) -> Result<(), String> {
    let table = project.projections_table();
    let projections = DynamoProjections::new(&ledger_aws::sdk_config().await, table.clone());
    let pending = pending(&projections).await.map_err(|refusal| format!("cannot read {table}: {}", refusal.code()))?;
    if pending.is_empty() {
        eprintln!("no alert is pending");
    }
    print!("{}", listed(pending));
    Ok(())
}

async fn pending(projections: &DynamoProjections) -> Result<Vec<Pending>, Refusal> {
    let mut pending = Vec::new();
    for partition in 0..PENDING_PARTITIONS {
        let mut after = None;
        loop {
            let Page { items, next } = projections.query(pending_pk(partition), after, PAGE_BUDGET_MS).await?;
            pending.extend(items.iter().filter_map(Pending::from_item));
            if next.is_none() {
                break;
            }
            after = next;
        }
    }
    Ok(pending)
}

/// One line a tenant, oldest first: since when, tenant, entries, their most frequent cause.
fn listed(mut pending: Vec<Pending>) -> String {
    pending.sort_by(|one, other| (one.first_at_ms, &one.tenant_id).cmp(&(other.first_at_ms, &other.tenant_id)));
    let tenant_width = pending.iter().map(|alert| alert.tenant_id.as_str().len()).max().unwrap_or(0);
    let mut text = String::new();
    for alert in &pending {
        let since = Timestamp::from_clock_ms(alert.first_at_ms);
        let since = &since.as_str()[..SECOND_CHARACTERS];
        let (tenant_id, entries) = (alert.tenant_id.as_str(), alert.count());
        let cause = alert.causes().first().map(|(cause, _)| cause.to_string()).unwrap_or_default();
        writeln!(text, "{since}Z  {tenant_id:tenant_width$}  {entries:>8}  {cause}").expect("a string takes all");
    }
    text
}
