//! Drives the two modelled event source mappings with the real clock: reads, invokes, reports back, waits.
//!
//! Batching, retries, windows and backing off are `cloudsim`'s decisions.

use std::{future::Future, sync::Arc};

use cloudsim::{
    deployment::Role,
    mapping::{Discarded, Outcome, QueueInvocation, StreamInvocation, StreamPoll, StreamRecord},
    sqs::SendRequest,
};
use dynoxide::DynoxideError;
use serde_json::Value;
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    lambda::{
        function::{Function, invoke},
        invocation::FunctionError,
    },
    service::dynamodb::{DynamoDb, reveal},
    services::Services,
    state::State,
};

/// Feeds the processor from the events queue until `closing`, then lets running invocations end.
pub(crate) async fn drive_queue(services: Arc<Services>, closing: CancellationToken) {
    drive(services, closing, Role::Processor, poll_queue, run_queue_invocation).await;
}

/// Feeds the projector from the events table's stream until `closing`, then lets a running invocation end.
pub(crate) async fn drive_stream(services: Arc<Services>, closing: CancellationToken) {
    let mut reader = StreamReader { table_changes: services.shared.table_changes(), more: true };
    let poll = move |services: &Services| poll_stream(services, &mut reader);
    drive(services, closing, Role::Projector, poll, run_stream_invocation).await;
}

async fn drive<T, F>(
    services: Arc<Services>,
    closing: CancellationToken,
    role: Role,
    mut poll: impl FnMut(&Services) -> Polled<T>,
    run: impl Fn(Arc<Services>, Arc<Function>, T) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let name = services.deployment.function_name(role);
    let mut changes = services.shared.changes();
    let mut running = JoinSet::new();
    while !closing.is_cancelled() {
        changes.borrow_and_update();
        let mut next_event_ms = None;
        // Without its function a mapping leaves everything where it is.
        if let Some(function) = services.functions.get(&name) {
            let invocations;
            (invocations, next_event_ms) = poll(&services);
            if !invocations.is_empty() {
                services.shared.touch();
            }
            for invocation in invocations {
                running.spawn(run(services.clone(), function.clone(), invocation));
            }
        }
        tokio::select! {
            () = closing.cancelled() => {}
            _ = changes.changed() => {}
            () = services.shared.until_ms(next_event_ms) => {}
            Some(_) = running.join_next() => {}
        }
    }
    while running.join_next().await.is_some() {}
}

/// What a mapping wants to invoke, and when to ask it again, if nothing changes before.
type Polled<T> = (Vec<T>, Option<u64>);

/// Knows whether the stream may hold records that were not read.
struct StreamReader {
    table_changes: watch::Receiver<u64>,
    more: bool,
}

/// `true` when everything in the events table's stream was projected or given up.
pub(crate) fn stream_is_caught_up(services: &Services) -> bool {
    let caught_up = services.shared.look(|state, _| state.stream_mapping.is_caught_up());
    caught_up && unread_records(services).is_ok_and(|records| records.is_empty())
}

fn poll_queue(services: &Services) -> Polled<QueueInvocation> {
    services.shared.look(|state, now_ms| {
        let State { sqs, queue_mapping, .. } = state;
        let invocations = queue_mapping.poll(now_ms, sqs).unwrap_or_else(|error| {
            tracing::warn!(%error, "the mapping cannot read its queue");
            Vec::new()
        });
        (invocations, not_at_once(now_ms, queue_mapping.next_event_ms(sqs)))
    })
}

async fn run_queue_invocation(services: Arc<Services>, function: Arc<Function>, invocation: QueueInvocation) {
    let outcome = run(&function, invocation.event().to_string()).await;
    services.shared.change(|state, now_ms| {
        let State { sqs, queue_mapping, .. } = state;
        if let Err(error) = queue_mapping.complete(now_ms, sqs, invocation.id, &outcome) {
            tracing::error!(%error, "an invocation could not be completed");
        }
    });
}

fn poll_stream(services: &Services, reader: &mut StreamReader) -> Polled<StreamInvocation> {
    read_ahead(services, reader);
    let (StreamPoll { invocations, discarded }, next_event_ms) = services.shared.look(|state, now_ms| {
        let polled = state.stream_mapping.poll(now_ms);
        (polled, not_at_once(now_ms, state.stream_mapping.next_event_ms()))
    });
    send_to_failures_queue(services, discarded);
    (invocations, next_event_ms)
}

/// Offers the next page of records once the last one is done: what arrives meanwhile becomes the next batch, and memory
/// stays bounded.
fn read_ahead(services: &Services, reader: &mut StreamReader) {
    let shard_id = DynamoDb::shard_id(&services.deployment.project.events_table());
    while services.shared.look(|state, _| state.stream_mapping.is_caught_up()) {
        if !reader.table_changes.has_changed().unwrap_or_default() && !reader.more {
            return;
        }
        reader.table_changes.borrow_and_update();
        let records = unread_records(services).unwrap_or_else(|error| {
            tracing::error!(%error, "the stream cannot be read");
            Vec::new()
        });
        reader.more = !records.is_empty();
        if records.is_empty() {
            return;
        }
        let offered = services.shared.look(|state, _| {
            state.stream_mapping.add_shard(&shard_id, None);
            state.stream_mapping.offer(&shard_id, records)
        });
        if let Err(error) = offered {
            tracing::error!(%error, "the mapping did not take records");
        }
    }
}

fn unread_records(services: &Services) -> Result<Vec<StreamRecord>, DynoxideError> {
    let shard_id = DynamoDb::shard_id(&services.deployment.project.events_table());
    let (stream_arn, last_offered) = services.shared.look(|state, _| {
        let mapping = &state.stream_mapping;
        (mapping.settings().event_source_arn.clone(), mapping.last_offered(&shard_id).map(str::to_owned))
    });
    services.dynamodb.stream_records(&stream_arn, last_offered.as_deref())
}

async fn run_stream_invocation(services: Arc<Services>, function: Arc<Function>, invocation: StreamInvocation) {
    let outcome = run(&function, reveal(&invocation.event.to_string())).await;
    let completed =
        services.shared.change(|state, now_ms| state.stream_mapping.complete(now_ms, invocation.id, &outcome));
    match completed {
        Ok(discarded) => send_to_failures_queue(&services, discarded),
        Err(error) => tracing::error!(%error, "an invocation could not be completed"),
    }
}

fn send_to_failures_queue(services: &Services, discarded: Vec<Discarded>) {
    let queue = services.deployment.project.failures_queue();
    for discarded in discarded {
        tracing::error!(records = discarded.sequence_numbers.len(), "stream records were given up");
        let message = SendRequest { body: discarded.message.to_string(), ..SendRequest::default() };
        if let Err(error) = services.shared.change(|state, now_ms| state.sqs.send(now_ms, &queue, message)) {
            tracing::error!(%error, "the failures queue did not take a message");
        }
    }
}

/// Invokes a function; a failure is logged.
pub(super) async fn run(function: &Function, event: String) -> Outcome {
    match invoke(function, event.into_bytes()).await {
        Ok(response) => Outcome::Succeeded(read_response(&response)),
        Err(error @ FunctionError::TimedOut { .. }) => {
            tracing::error!(function = function.name, %error, "invocation timed out");
            Outcome::TimedOut
        }
        Err(error) => {
            tracing::error!(function = function.name, %error, "invocation failed");
            Outcome::FunctionError
        }
    }
}

fn read_response(response: &[u8]) -> Option<Value> {
    match serde_json::from_slice(response) {
        Ok(Value::Null) => None,
        Err(_) if response.is_empty() => None,
        Ok(value) => Some(value),
        Err(_) => Some(Value::String(String::from_utf8_lossy(response).into_owned())),
    }
}

/// A moment that has passed means now, but a millisecond apart.
fn not_at_once(now_ms: u64, event_ms: Option<u64>) -> Option<u64> {
    event_ms.map(|event_ms| event_ms.max(now_ms + 1))
}
