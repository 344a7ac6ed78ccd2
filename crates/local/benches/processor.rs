//! The figures of the processor beside their budgets: its real release binary under a Lambda Runtime API, against a
//! DynamoDB that says yes to everything. What depends on the program alone is asserted, what depends on the machine only
//! printed. `make bench`. With the argument `costly` only the bodies that cost the most, whose CPU is asserted, because it
//! decides whether a batch of them is answered in time.

#![expect(clippy::print_stdout, reason = "the terminal is where a command answers")]
#![expect(clippy::disallowed_methods, reason = "its subject is how long something takes")]

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt, fs,
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::HeaderMap,
};
use flate2::{Compression, write::DeflateEncoder};
use local::{Invocation, lambda::runtime_api::RuntimeApi};
use serde_json::{Value, json};
use testkit::bodies::{costly, log_line};

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:event-processor";
const INVOCATIONS: usize = 2_000;
const ENVELOPE_BYTES: usize = 1_057;
/// What the function has until Lambda ends it.
const TIMEOUT_MS: u64 = 15_000;
/// Part of a core that the default function has: 256 MB, where a whole core comes with 1,769 MB ("Configure Lambda
/// function memory").
const CPU_SHARE: f64 = 256.0 / 1_769.0;
/// Of `testkit::bodies::costly`.
const COSTLY_KINDS: usize = 3;
/// Fresh processes for each batch size: of what the machine disturbs, the least is the figure.
const RUNS: usize = 3;
/// A process that used no CPU for so long waits for work.
const QUIET: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Seen {
    calls: AtomicUsize,
    bytes: AtomicUsize,
}

#[tokio::main]
async fn main() {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(target, Into::into);
    let program = target.join("release/processor");
    assert!(program.exists(), "{} is missing: cargo build --release -p processor", program.display());

    for kind in 0..COSTLY_KINDS {
        measure_costly(&program, kind).await;
    }
    if std::env::args().any(|argument| argument == "costly") {
        return;
    }

    let seen = Arc::new(Seen::default());
    let endpoint = serve(Router::new().fallback(say_yes).with_state(seen.clone())).await;

    let zip = Figure { name: "zip, MB", value: deflated_bytes(&program) as f64 / 1e6, budget: Some(4.0) };
    println!("processor, {} KiB binary, {ENVELOPE_BYTES}-byte envelopes\n{zip}", file_bytes(&program) / 1024);
    assert!(zip.is_met(), "the zip is too large");
    for batch in [10, 1] {
        let mut least: Option<Run> = None;
        for _ in 0..RUNS {
            let run = measure(&program, &endpoint, &seen, batch).await;
            least = Some(least.map_or(run, |least| least.min(run)));
        }
        print(batch, least.expect("RUNS is not zero"));
    }
}

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let router = router.layer(DefaultBodyLimit::disable());
    tokio::spawn(async move { axum::serve(listener, router).await });
    endpoint
}

/// What one process used.
#[derive(Clone, Copy)]
struct Run {
    calls: f64,
    sent_bytes: f64,
    log_bytes: f64,
    cpu_us: f64,
    events_per_second: f64,
    peak_mb: f64,
    first_poll_ms: f64,
    first_answer_ms: f64,
}

impl Run {
    /// The less disturbed of two, figure by figure.
    fn min(self, other: Self) -> Self {
        Self {
            cpu_us: self.cpu_us.min(other.cpu_us),
            events_per_second: self.events_per_second.max(other.events_per_second),
            peak_mb: self.peak_mb.max(other.peak_mb),
            first_poll_ms: self.first_poll_ms.min(other.first_poll_ms),
            first_answer_ms: self.first_answer_ms.min(other.first_answer_ms),
            ..self
        }
    }
}

/// A line of the output.
struct Figure {
    name: &'static str,
    value: f64,
    budget: Option<f64>,
}

impl Figure {
    fn is_met(&self) -> bool {
        self.budget.is_none_or(|budget| self.value <= budget)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, budget } = self;
        write!(f, "  {name:<40} {value:>9.2}")?;
        match budget {
            Some(budget) if self.is_met() => write!(f, "   budget {budget}"),
            Some(budget) => write!(f, "   budget {budget}, missed by {:.2}", value - budget),
            None => Ok(()),
        }
    }
}

/// Budgets are for batches of ten, where there is one; calls have one for each size.
fn print(batch: usize, run: Run) {
    let of_ten = |budget: f64| (batch == 10).then_some(budget);
    let figure = |name, value, budget| println!("{}", Figure { name, value, budget });
    println!("batches of {batch}");
    figure("DynamoDB calls per event", run.calls, Some(2.0 / batch as f64));
    figure("log bytes per event", run.log_bytes, of_ten(200.0));
    figure("CPU per event, µs", run.cpu_us, of_ten(100.0));
    figure("peak memory, MB", run.peak_mb, Some(32.0));
    figure("CPU from exec to first poll, ms", run.first_poll_ms, Some(4.0));
    figure("CPU from exec to first answer, ms", run.first_answer_ms, None);
    figure("bytes sent to DynamoDB per event", run.sent_bytes, None);
    figure("events per second, one process", run.events_per_second, None);
}

/// Runs one fresh process through many batches of one size.
async fn measure(program: &Path, endpoint: &str, seen: &Seen, batch: usize) -> Run {
    let api = RuntimeApi::start(ARN).await.expect("a free port");
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("processor.log");
    let mut child =
        start(program, endpoint, api.address(), fs::File::create(&log).expect("a file in cargo's own folder"));

    while seen.calls.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(QUIET).await;
    }
    let first_poll_us = quiet_cpu_us(child.id()).await;
    // Nothing to process: what is left of starting is done.
    invoke(&api, json!({ "Records": [] }).to_string()).await;
    let started_us = quiet_cpu_us(child.id()).await;
    let (calls, bytes) = (seen.calls.swap(0, Ordering::Relaxed), seen.bytes.swap(0, Ordering::Relaxed));
    assert_eq!(calls, 1, "the warm-up, {bytes} bytes");
    let log_before = file_bytes(&log);

    let batches: Vec<String> = (0..INVOCATIONS).map(|n| sqs_event(n, batch)).collect();
    let begun = Instant::now();
    for event in batches {
        invoke(&api, event).await;
    }
    let seconds = begun.elapsed().as_secs_f64();

    let events = INVOCATIONS * batch;
    let per_event = |total: usize| total as f64 / events as f64;
    let calls = seen.calls.swap(0, Ordering::Relaxed);
    let log_bytes = (file_bytes(&log) - log_before) as usize;
    let run = Run {
        calls: per_event(calls),
        sent_bytes: per_event(seen.bytes.swap(0, Ordering::Relaxed)),
        log_bytes: per_event(log_bytes),
        cpu_us: per_event((cpu_us(child.id()) - started_us) as usize),
        events_per_second: events as f64 / seconds,
        peak_mb: peak_kb(child.id()) as f64 / 1024.0,
        first_poll_ms: first_poll_us as f64 / 1_000.0,
        first_answer_ms: started_us as f64 / 1_000.0,
    };
    assert_eq!(calls, 2 * INVOCATIONS, "two calls for an undisturbed batch");
    assert!(batch < 10 || log_bytes <= 200 * events, "at most 200 bytes of log per READY event");
    child.kill().expect("our own process");
    child.wait().expect("our own process");
    run
}

/// Runs a fresh process through ten costly bodies of one kind, and through their redelivery.
async fn measure_costly(program: &Path, kind: usize) {
    let endpoint = serve(Router::new().fallback(remember).with_state(Arc::new(Mutex::default()))).await;
    let api = RuntimeApi::start(ARN).await.expect("a free port");
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("costly.log");
    let mut child =
        start(program, &endpoint, api.address(), fs::File::create(&log).expect("a file in cargo's own folder"));
    invoke(&api, json!({ "Records": [] }).to_string()).await;
    for (delivery, receives) in [("first delivery", 1), ("redelivery", 2)] {
        let body = |number: usize| costly("tenant-a", &number.to_string())[kind].1.clone();
        let records: Vec<Value> = (0..10).map(|number| record(number, body(number), receives)).collect();
        let (before_us, begun) = (quiet_cpu_us(child.id()).await, Instant::now());
        invoke(&api, json!({ "Records": records }).to_string()).await;
        let seconds = begun.elapsed().as_secs_f64();
        let cpu_seconds = (quiet_cpu_us(child.id()).await - before_us) as f64 / 1e6;
        let budget = CPU_SHARE * TIMEOUT_MS as f64 / 1e3;
        let (name, _) = costly("tenant-a", "0")[kind];
        println!(
            "ten bodies of {name}, {delivery}: {seconds:.2} s here, {:.0} % of the CPU until the deadline",
            100.0 * cpu_seconds / budget
        );
        println!("{}", Figure { name: "CPU, s", value: cpu_seconds, budget: Some(budget) });
        assert!(cpu_seconds < budget, "the default function would not answer in time");
    }
    child.kill().expect("our own process");
    child.wait().expect("our own process");
}

/// A table's rows by the values of their keys.
type Rows = Arc<Mutex<BTreeMap<Vec<String>, Value>>>;

/// A DynamoDB that keeps what is inserted and gives it back.
async fn remember(State(rows): State<Rows>, body: Bytes) -> String {
    let key = |item: &Value| -> Vec<String> {
        let names: &[&str] = if item.get("pk").is_some() { &["pk"] } else { &["tenant_id", "sk"] };
        names.iter().map(|name| item[name]["S"].as_str().expect("a text").to_owned()).collect()
    };
    let request: Value = serde_json::from_slice(&body).expect("JSON");
    let mut rows = rows.lock().expect("nobody panics with it");
    if let Some(tables) = request.get("RequestItems").and_then(Value::as_object) {
        let (table, asked) = tables.iter().next().expect("a table");
        let asked = asked["Keys"].as_array().expect("keys").iter();
        let found: Vec<&Value> = asked.filter_map(|asked| rows.get(&key(asked))).collect();
        return json!({ "Responses": { table: found } }).to_string();
    }
    let insert = |statement: &Value| {
        let names = statement["Statement"].as_str().expect("a text").split('\'').skip(1).step_by(2);
        let values = statement["Parameters"].as_array().expect("values").iter().cloned();
        let item: Value = names.map(str::to_owned).zip(values).collect::<serde_json::Map<_, _>>().into();
        match rows.entry(key(&item)) {
            Entry::Occupied(_) => json!({ "Error": { "Code": "DuplicateItem" } }),
            Entry::Vacant(place) => {
                place.insert(item);
                json!({})
            }
        }
    };
    let responses: Vec<Value> = request["Statements"].as_array().expect("statements").iter().map(insert).collect();
    json!({ "Responses": responses }).to_string()
}

async fn say_yes(State(seen): State<Arc<Seen>>, headers: HeaderMap, body: Bytes) -> String {
    seen.calls.fetch_add(1, Ordering::Relaxed);
    seen.bytes.fetch_add(body.len(), Ordering::Relaxed);
    let action = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    if !action.ends_with("BatchExecuteStatement") {
        return json!({ "Responses": {} }).to_string();
    }
    let text = String::from_utf8_lossy(&body);
    let statements = text.matches("\"Statement\":").count();
    json!({ "Responses": vec![json!({}); statements] }).to_string()
}

fn start(program: &Path, endpoint: &str, runtime_api: &str, log: fs::File) -> Child {
    let variables = [
        ("AWS_LAMBDA_RUNTIME_API", runtime_api),
        ("AWS_LAMBDA_FUNCTION_NAME", "event-processor"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/event-processor"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "bench"),
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "bench"),
        ("AWS_SECRET_ACCESS_KEY", "bench"),
        ("EVENTS_TABLE", "event-processor-events"),
        ("IDEMPOTENCY_TABLE", "event-processor-idempotency"),
    ];
    let mut command = Command::new(program);
    command.env_clear().envs(variables).stdin(Stdio::null()).stdout(log).stderr(Stdio::inherit());
    command.spawn().expect("the binary starts")
}

async fn invoke(api: &RuntimeApi, payload: String) {
    let (request_id, timeout) = (uuid::Uuid::new_v4().to_string(), Duration::from_millis(TIMEOUT_MS));
    let deadline_ms = local::state::now_ms() + TIMEOUT_MS;
    let invocation = Invocation { request_id, payload: payload.into_bytes(), timeout, deadline_ms };
    let answer = api.invoke(invocation).await.expect("an answer");
    assert_eq!(answer, br#"{"batchItemFailures":[]}"#);
}

fn sqs_event(invocation: usize, batch: usize) -> String {
    let record = |n: usize| {
        let number = invocation * batch + n;
        record(number, log_line(&uuid::Uuid::from_u128(number as u128).to_string(), ENVELOPE_BYTES), 1)
    };
    json!({ "Records": (0..batch).map(record).collect::<Vec<_>>() }).to_string()
}

fn record(number: usize, body: String, receives: u32) -> Value {
    json!({
        "messageId": uuid::Uuid::from_u128(number as u128).to_string(),
        "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": receives.to_string(),
            "SentTimestamp": "1768469400000",
            "SequenceNumber": (18_849_496_460_467_696_128_u128 + number as u128).to_string(),
            "MessageGroupId": "tenant-a",
            "SenderId": "AIDAIENQZJOLO23YVJ4VO",
            "MessageDeduplicationId": number.to_string(),
            "ApproximateFirstReceiveTimestamp": "1768469400010",
        },
        "messageAttributes": {},
        "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:event-processor-events.fifo",
        "awsRegion": "us-east-1",
    })
}

fn file_bytes(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// What the binary takes in a zip, whose frame is a hundred bytes more.
fn deflated_bytes(path: &Path) -> usize {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&fs::read(path).expect("a readable binary")).expect("writing to memory");
    encoder.finish().expect("writing to memory").len()
}

/// Time on a CPU until the process waits for work.
async fn quiet_cpu_us(pid: u32) -> u64 {
    let mut before = cpu_us(pid);
    loop {
        tokio::time::sleep(QUIET).await;
        let now = cpu_us(pid);
        if now == before {
            return now;
        }
        before = now;
    }
}

/// Time on a CPU of all threads of a process.
fn cpu_us(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("a running process");
    let on_cpu_ns = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    on_cpu_ns.sum::<u64>() / 1_000
}

fn peak_kb(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}
