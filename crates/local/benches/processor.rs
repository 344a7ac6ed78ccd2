//! The figures of the processor: its real release binary under a Lambda Runtime API, against a DynamoDB that says yes to
//! everything. Exact figures are asserted, timings only printed. `make bench`.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap};
use local::{Invocation, runtime_api::RuntimeApi};
use serde_json::json;
use testkit::bodies::log_line;

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:event-processor";
const INVOCATIONS: usize = 2_000;
const ENVELOPE_BYTES: usize = 1_057;

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

    let seen = Arc::new(Seen::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let router = Router::new().fallback(say_yes).with_state(seen.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });

    println!("processor, {} KiB binary, {ENVELOPE_BYTES}-byte envelopes", file_bytes(&program) / 1024);
    println!(
        "{:>6} {:>11} {:>13} {:>11} {:>10} {:>9} {:>9}",
        "batch", "calls/event", "sent B/event", "CPU µs/event", "log B/event", "events/s", "peak MB"
    );
    for batch in [10, 1] {
        measure(&program, &endpoint, &seen, batch).await;
    }
}

/// Runs one fresh process through many batches of one size.
async fn measure(program: &Path, endpoint: &str, seen: &Seen, batch: usize) {
    let api = RuntimeApi::start(ARN).await.expect("a free port");
    let log = tempfile::NamedTempFile::new().expect("a temporary file");
    let mut child = start(program, endpoint, api.address(), log.reopen().expect("the file just made"));

    // An empty batch: the process has started, warmed up and polled.
    invoke(&api, json!({ "Records": [] }).to_string()).await;
    let started_us = cpu_us(child.id());
    let (calls, bytes) = (seen.calls.swap(0, Ordering::Relaxed), seen.bytes.swap(0, Ordering::Relaxed));
    assert_eq!(calls, 1, "the warm-up, {bytes} bytes");
    let log_before = file_bytes(log.path());

    let batches: Vec<String> = (0..INVOCATIONS).map(|n| sqs_event(n, batch)).collect();
    let begun = Instant::now();
    for event in batches {
        invoke(&api, event).await;
    }
    let seconds = begun.elapsed().as_secs_f64();

    let events = INVOCATIONS * batch;
    let calls = seen.calls.swap(0, Ordering::Relaxed);
    let sent = seen.bytes.swap(0, Ordering::Relaxed);
    let log_bytes = (file_bytes(log.path()) - log_before) as usize;
    println!(
        "{batch:>6} {:>11.2} {:>13} {:>11.1} {:>11} {:>9.0} {:>9.1}",
        calls as f64 / events as f64,
        sent / events,
        (cpu_us(child.id()) - started_us) as f64 / events as f64,
        log_bytes / events,
        events as f64 / seconds,
        peak_kb(child.id()) as f64 / 1024.0,
    );
    println!("       {:.1} ms of CPU from exec to the first answer", started_us as f64 / 1000.0);
    assert_eq!(calls, 2 * INVOCATIONS, "two calls for an undisturbed batch");
    assert!(batch < 10 || log_bytes <= 200 * events, "at most 200 bytes of log per READY event");
    child.kill().expect("our own process");
    child.wait().expect("our own process");
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
    let deadline_ms = local::world::now_ms() + 15_000;
    let invocation =
        Invocation { request_id: uuid::Uuid::new_v4().to_string(), payload: payload.into_bytes(), deadline_ms };
    let answer = api.invoke(invocation).await.expect("an answer");
    assert_eq!(answer, br#"{"batchItemFailures":[]}"#);
}

fn sqs_event(invocation: usize, batch: usize) -> String {
    let record = |n: usize| {
        let number = invocation * batch + n;
        json!({
            "messageId": uuid::Uuid::from_u128(number as u128).to_string(),
            "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
            "body": log_line(&uuid::Uuid::from_u128(number as u128).to_string(), ENVELOPE_BYTES),
            "attributes": {
                "ApproximateReceiveCount": "1",
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
    };
    json!({ "Records": (0..batch).map(record).collect::<Vec<_>>() }).to_string()
}

fn file_bytes(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
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
