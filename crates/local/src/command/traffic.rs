//! Sends events by invoking the seeder function, once or at a rate, and waits until everything sent has landed.

#![expect(clippy::print_stderr, reason = "the terminal is where a command answers")]

use std::{sync::Arc, time::Duration};

use cloudsim::deployment::Role;
use dynoxide::DynoxideError;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior};

use crate::{
    lambda::{function::invoke, invocation::FunctionError, mappings, schedule::tick},
    reconciliation::{Reconciliation, count_all, read_projected},
    services::Services,
};

/// Events per second that one seeder invocation per second can send.
pub const RATE_MAX: u32 = 1_000;

/// Tenants that steady traffic is spread over.
const TENANTS: u32 = 10;

/// How long everything sent may take to land. Beyond, something is stuck: a message that failed once comes back only
/// after the visibility timeout.
const LANDING_TIMEOUT: Duration = Duration::from_secs(120);

const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

/// Why events were not sent.
#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    #[error("the seeder failed")]
    Seeder(#[from] FunctionError),
    #[error("the seeder's answer is malformed")]
    Answer(#[from] serde_json::Error),
    #[error("the tables cannot be read")]
    Tables(#[from] DynoxideError),
    #[error("the seeder function is not deployed")]
    NoSeeder,
}

/// What the seeder was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request {
    /// Events; `None` is one per schema, for one tenant.
    pub count: Option<u32>,
    /// Share of events that break their schema.
    pub invalid_ratio: Option<f64>,
}

#[derive(Deserialize)]
struct Answer {
    published: Vec<Value>,
    failed: Vec<Value>,
}

/// Sends events; says how many were sent.
///
/// # Errors
///
/// The seeder is not deployed or failed.
pub async fn send(services: &Services, request: Request) -> Result<u64, TrafficError> {
    let seeder =
        services.functions.get(&services.deployment.function_name(Role::Seeder)).ok_or(TrafficError::NoSeeder)?;
    let payload = json!({
        "count": request.count,
        "tenants": request.count.map(|count| TENANTS.min(count)),
        "invalid_ratio": request.invalid_ratio,
    });
    let answer: Answer = serde_json::from_slice(&invoke(&seeder, payload.to_string().into_bytes()).await?)?;
    if !answer.failed.is_empty() {
        tracing::warn!(failed = answer.failed.len(), "some events were not sent");
    }
    Ok(answer.published.len() as u64)
}

/// Where counting began: with the command, or with the last reset.
struct Progress {
    since: Instant,
    sent: u64,
    projected: u64,
}

/// Sends `rate` events each second, for `duration` or until the cloud stops; prints the end-to-end rate now and then.
/// Says how many were sent; a seeder that fails is logged and tried again.
///
/// # Errors
///
/// The tables cannot be read.
pub async fn keep_sending(
    services: &Arc<Services>,
    rate: u32,
    invalid_ratio: Option<f64>,
    duration: Option<Duration>,
) -> Result<u64, TrafficError> {
    let started = Instant::now();
    let mut progress = Progress { since: started, sent: 0, projected: count_all(&read_projected(services)?) };
    let mut last_projected = progress.projected;
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent = 0;
    let mut next_progress = started + PROGRESS_INTERVAL;
    loop {
        let is_closing = services.closing.run_until_cancelled(second.tick()).await.is_none();
        if is_closing || duration.is_some_and(|duration| started.elapsed() >= duration) {
            return Ok(sent);
        }
        match send(services, Request { count: Some(rate), invalid_ratio }).await {
            Ok(count) => {
                sent += count;
                progress.sent += count;
            }
            Err(error) => tracing::warn!(%error, "events were not sent"),
        }
        if Instant::now() >= next_progress {
            next_progress += PROGRESS_INTERVAL;
            let all_projected = count_all(&read_projected(services)?);
            if all_projected < last_projected {
                eprintln!("the local cloud was reset; counting anew");
                progress = Progress { since: Instant::now(), sent: 0, projected: all_projected };
            } else {
                let projected = all_projected - progress.projected;
                let (seconds, sent) = (progress.since.elapsed().as_secs_f64(), progress.sent);
                let per_second = projected as f64 / seconds;
                eprintln!("{seconds:.0} s: {sent} sent, {projected} projected, {per_second:.1} events/s end to end");
            }
            last_projected = all_projected;
        }
    }
}

/// Waits until nothing moves any more: the queue is empty, no function runs, and the projector has seen every entry and
/// has announced what was pending (a tick). Then, or after a time limit, reads both tables.
///
/// # Errors
///
/// The tables cannot be read.
pub async fn until_landed(services: &Services) -> Result<Reconciliation, TrafficError> {
    let mut changes = services.shared.changes();
    let quiet = async {
        loop {
            changes.borrow_and_update();
            if is_quiet(services) || changes.changed().await.is_err() {
                return tick(services).await;
            }
        }
    };
    if tokio::time::timeout(LANDING_TIMEOUT, quiet).await.is_err() {
        eprintln!("not everything landed within {} s", LANDING_TIMEOUT.as_secs());
    }
    Ok(Reconciliation::read(services)?)
}

fn is_quiet(services: &Services) -> bool {
    // The queue first: an entry is in the table before its message is deleted, so the stream then holds all of them.
    let queue = services.deployment.project.events_queue();
    let queue_is_empty = services.shared.look(|state, now_ms| {
        let is_empty = state.sqs.peek(now_ms, &queue, 1).is_ok_and(|messages| messages.is_empty());
        is_empty && state.queue_mapping.in_flight() == 0
    });
    queue_is_empty && mappings::stream_is_caught_up(services)
}
