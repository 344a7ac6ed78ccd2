//! Invokes the projector by its schedule, with the clock of the cloud.

use std::sync::Arc;

use cloudsim::deployment::Role;
use tokio_util::sync::CancellationToken;

use crate::{lambda::mappings::run, services::Services};

/// Invokes the projector by its schedule until `closing`, then lets a running invocation end. Where the clock was moved
/// over several ticks, one comes: on AWS too a late tick is replaced by the next.
pub(crate) async fn drive_schedule(services: Arc<Services>, closing: CancellationToken) {
    let interval_ms = u64::from(services.deployment.tick().every_minutes) * 60_000;
    let mut changes = services.shared.changes();
    let mut next_ms = services.shared.now_ms() + interval_ms;
    while !closing.is_cancelled() {
        changes.borrow_and_update();
        let now_ms = services.shared.now_ms();
        if now_ms >= next_ms {
            next_ms = now_ms + interval_ms;
            tick(&services).await;
        }
        tokio::select! {
            () = closing.cancelled() => {}
            // The clock may have been moved.
            _ = changes.changed() => {}
            () = services.shared.until_ms(Some(next_ms)) => {}
        }
    }
}

/// Invokes the projector now, as its schedule does, and waits until it ends. A failure is logged.
pub async fn tick(services: &Services) {
    let name = services.deployment.function_name(Role::Projector);
    if let Some(function) = services.functions.get(&name) {
        run(&function, services.deployment.tick().input.to_string()).await;
    }
}
