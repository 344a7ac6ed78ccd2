//! The Lambda Runtime API: the small HTTP server through which a real function binary fetches invocations and answers
//! them. It hands out whatever [`RuntimeApi::invoke`] is given; starting and watching processes is `process`'s.
//!
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Mutex as AsyncMutex, mpsc, oneshot},
    task::JoinSet,
};

use crate::{
    lambda::invocation::{FunctionError, Invocation, RESPONSE_BYTES_MAX},
    loopback::without_delay,
    state::now_ms,
};

/// Invocations that may wait for `next`.
const WAITING_MAX: usize = 64;

const STOPPED: &str = "because the runtime API stopped";

type Answer = Result<Vec<u8>, FunctionError>;

/// One Runtime API on a loopback port of its own; it stops when dropped.
pub struct RuntimeApi {
    address: String,
    shared: Arc<Shared>,
    // Held because dropping it ends the server.
    _server: JoinSet<io::Result<()>>,
}

struct Shared {
    waiting: mpsc::Sender<Queued>,
    next: AsyncMutex<mpsc::Receiver<Queued>>,
    running: Mutex<HashMap<String, oneshot::Sender<Answer>>>,
    init_error: Mutex<Option<FunctionError>>,
    function_arn: String,
}

struct Queued {
    invocation: Invocation,
    answer: oneshot::Sender<Answer>,
}

impl RuntimeApi {
    /// Starts serving.
    ///
    /// # Errors
    ///
    /// There is no free loopback port.
    pub async fn start(function_arn: &str) -> io::Result<Self> {
        let (waiting, next) = mpsc::channel(WAITING_MAX);
        let shared = Arc::new(Shared {
            waiting,
            next: AsyncMutex::new(next),
            running: Mutex::default(),
            init_error: Mutex::default(),
            function_arn: function_arn.to_owned(),
        });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next_invocation))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(init_error))
            // Read to its end, whatever its length: a function whose connection breaks while it writes would crash.
            .layer(DefaultBodyLimit::disable())
            .with_state(shared.clone());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?.to_string();
        let mut server = JoinSet::new();
        server.spawn(axum::serve(without_delay(listener), router).into_future());
        Ok(Self { address, shared, _server: server })
    }

    /// The value of `AWS_LAMBDA_RUNTIME_API`: host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Hands an invocation to the function and waits for its answer.
    ///
    /// # Errors
    ///
    /// The function reported an error, or did not answer before the deadline.
    pub async fn invoke(&self, invocation: Invocation) -> Answer {
        let remaining = Duration::from_millis(invocation.deadline_ms.saturating_sub(now_ms()));
        let (request_id, limit) = (invocation.request_id.clone(), invocation.timeout);
        let (sender, receiver) = oneshot::channel();
        let answered = async {
            self.shared.waiting.send(Queued { invocation, answer: sender }).await.ok()?;
            receiver.await.ok()
        };
        match tokio::time::timeout(remaining, answered).await {
            Ok(Some(answer)) => answer,
            Ok(None) => Err(FunctionError::Exited { request_id, how: STOPPED.to_owned() }),
            Err(_) => {
                self.shared.running().remove(&request_id);
                Err(FunctionError::TimedOut { request_id, limit })
            }
        }
    }

    /// What the function reported when it could not initialise.
    pub fn take_init_error(&self) -> Option<FunctionError> {
        self.shared.init_error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Shared {
    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<String, oneshot::Sender<Answer>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn finish(&self, request_id: &str, answer: Answer) -> Response {
        let waiting = self.running().remove(request_id);
        match waiting.map(|waiting| waiting.send(answer)) {
            Some(Ok(())) => status(StatusCode::ACCEPTED, json!({"status": "OK"})),
            Some(Err(_)) | None => {
                let message = format!("no invocation {request_id} is running");
                status(StatusCode::BAD_REQUEST, json!({"errorType": "InvalidRequestID", "errorMessage": message}))
            }
        }
    }
}

async fn next_invocation(State(shared): State<Arc<Shared>>) -> Response {
    let mut next = shared.next.lock().await;
    while let Some(queued) = next.recv().await {
        // Whoever invoked has given up since.
        if queued.answer.is_closed() {
            continue;
        }
        let Invocation { request_id, payload, deadline_ms, .. } = queued.invocation;
        shared.running().insert(request_id.clone(), queued.answer);
        let headers = [
            ("content-type", "application/json"),
            ("lambda-runtime-aws-request-id", &request_id),
            ("lambda-runtime-deadline-ms", &deadline_ms.to_string()),
            ("lambda-runtime-invoked-function-arn", &shared.function_arn),
            ("lambda-runtime-trace-id", &trace_id()),
        ];
        return (headers, payload).into_response();
    }
    status(StatusCode::GONE, json!({"errorType": "Stopped", "errorMessage": "the runtime API stopped"}))
}

async fn response(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> Response {
    if body.len() > RESPONSE_BYTES_MAX {
        shared.finish(&id, Err(FunctionError::ResponseTooLarge));
        return status(StatusCode::PAYLOAD_TOO_LARGE, json!({"errorType": "RequestEntityTooLarge"}));
    }
    shared.finish(&id, Ok(body.to_vec()))
}

async fn error(State(shared): State<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> Response {
    shared.finish(&id, Err(reported(&body)))
}

async fn init_error(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    *shared.init_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(reported(&body));
    status(StatusCode::ACCEPTED, json!({"status": "OK"}))
}

fn reported(body: &[u8]) -> FunctionError {
    match serde_json::from_slice(body) {
        Ok(report @ Value::Object(_)) => FunctionError::Reported(report),
        _ => FunctionError::of_type("Runtime.Unknown", "the function reported an error without text"),
    }
}

fn status(status: StatusCode, body: Value) -> Response {
    (status, [("content-type", "application/json")], body.to_string()).into_response()
}

fn trace_id() -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("Root=1-{:08x}-{};Sampled=0", now_ms() / 1_000, &random[..24])
}
