//! The command itself: the real binary with the three real functions in it.

mod support;

use std::{path::Path, process::Stdio, time::Duration};

use serde_json::Value;
use support::{empty_folder, missing_tool};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, Command},
};

/// More than the command itself waits for everything to land: a run that was killed can leave messages in flight in its
/// snapshot, and they come back after the visibility timeout.
const LIMIT: Duration = Duration::from_secs(150);

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_local"));
    command
        .args(arguments)
        .env_remove("RUST_LOG")
        .env_remove("AWS_REGION")
        .env_remove("AWS_ACCOUNT_ID")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn run(arguments: &[&str]) -> std::process::Output {
    tokio::time::timeout(LIMIT, command(arguments).output()).await.expect("the command ends").unwrap()
}

/// The report of a run in which everything landed.
async fn report(arguments: &[&str]) -> Value {
    let output = run(arguments).await;
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn once_sends_every_sample_and_all_of_it_lands() {
    let report = report(&["--once", "--json", "--port", "0"]).await;
    assert_eq!((&report["sent"], &report["ready"], &report["projected"]), (&5.into(), &5.into(), &5.into()));
    assert_eq!((&report["invalid"], &report["alerts"]), (&0.into(), &0.into()));
    let metrics = report["metrics"].as_array().unwrap();
    let events = metrics
        .iter()
        .find(|metric| metric["name"] == "Events" && metric["dimensions"] == serde_json::json!({"Status": "READY"}));
    assert_eq!(events.unwrap()["value"], 5.0, "{report}");
}

#[tokio::test]
async fn invalid_events_are_recorded_and_alerted() {
    let report = report(&["--once", "--json", "--port", "0", "--invalid-ratio", "1"]).await;
    assert_eq!((&report["ready"], &report["invalid"], &report["projected"]), (&0.into(), &5.into(), &5.into()));
    assert_eq!(report["alerts"], 1, "one for their tenant");
}

#[tokio::test]
async fn bad_usage_is_one_line_that_says_what_to_do() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let file = Path::new(env!("CARGO_BIN_EXE_local")).join("data");
    let file = file.to_str().unwrap();
    let stop = format!("port {port} is in use: stop the program that uses it, or choose another with");
    let (endpoint, page) = (format!("{stop} --port "), format!("{stop} --page-port "));
    let unwritable = format!("cannot write to the data directory {file}: choose another with --data-dir");
    let cases: [(&[&str], &str); 8] = [
        (&["--bogus"], "--help"),
        (&["--invalid-ratio", "1.5"], "a number from 0 to 1"),
        (&["--seed-rate", "0"], "1..=1000"),
        (&["--account-id", "12345678901x"], "twelve digits"),
        (&["--json"], "--once"),
        (&["--port", &port], &endpoint),
        (&["--port", "0", "--page-port", &port], &page),
        (&["--port", "0", "--data-dir", file], &unwritable),
    ];
    for (arguments, hint) in cases {
        let output = run(arguments).await;
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert_eq!(text.lines().count(), 1, "{arguments:?}: {text}");
        assert!(text.contains(hint), "{arguments:?}: {text}");
    }
}

/// A running command and what it printed until it was ready.
struct Running {
    child: Child,
    guide: Vec<String>,
}

async fn start(arguments: &[&str]) -> Running {
    let mut child = command(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut guide = Vec::new();
    let ready = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.starts_with("Ctrl-C") {
                return;
            }
            guide.push(line);
        }
    };
    tokio::time::timeout(LIMIT, ready).await.expect("the command becomes ready");
    Running { child, guide }
}

impl Running {
    fn address(&self, name: &str) -> &str {
        let line = self.guide.iter().find_map(|line| line.strip_prefix(name)).expect("an address");
        line.trim().strip_prefix("http://").unwrap()
    }

    async fn interrupt(mut self) -> std::process::ExitStatus {
        let pid = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
        tokio::time::timeout(LIMIT, self.child.wait()).await.expect("the command stops").unwrap()
    }
}

#[tokio::test]
async fn what_it_prints_works_when_pasted() {
    let running = start(&["--port", "0", "--page-port", "0"]).await;
    let has_cli = Command::new("aws").arg("--version").output().await.is_ok_and(|output| output.status.success());
    if !has_cli {
        return missing_tool("the AWS CLI", "`pip install awscli` brings it");
    }
    let export = running.guide.iter().find(|line| line.starts_with("export ")).unwrap();
    let commands: Vec<&String> = running.guide.iter().filter(|line| line.starts_with("aws ")).collect();
    assert!(commands.len() >= 4);
    for line in commands {
        let output = Command::new("sh").args(["-c", &format!("{export}\n{line}")]).output().await.unwrap();
        assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(running.interrupt().await.success());
}

#[tokio::test]
async fn no_entry_is_lost_or_counted_twice_however_the_run_before_ended() {
    for ending in ["by itself", "interrupted", "killed"] {
        let data = empty_folder(ending);
        let once = ["--once", "--json", "--port", "0", "--data-dir", data.to_str().unwrap()];
        if ending == "by itself" {
            report(&once).await;
        } else {
            let mut running = start(&["--port", "0", "--page-port", "0", "--data-dir", data.to_str().unwrap()]).await;
            if ending == "killed" {
                running.child.kill().await.unwrap();
            } else {
                assert!(running.interrupt().await.success());
                assert!(data.join("state.json").exists());
            }
        }
        let report = report(&once).await;
        let counts = ["sent", "ready", "projected"].map(|name| report[name].clone());
        assert_eq!(counts, [5, 10, 10], "{ending}");
    }
}

#[tokio::test]
async fn the_page_shows_the_entries_and_only_to_this_machine() {
    let running = start(&["--port", "0", "--page-port", "0", "--invalid-ratio", "1"]).await;
    let get = async |host: &str| {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        exchange(running.address("page"), &request).await
    };
    let page = get(running.address("page")).await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    for part in ["tenant-a", "user.created", "INVALID", "event-processor-events-dlq.fifo", "content-security-policy"] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
    assert!(get("attacker.example").await.starts_with("HTTP/1.1 403"));
}

#[tokio::test]
async fn the_endpoint_does_not_answer_web_pages() {
    let running = start(&["--port", "0", "--page-port", "0"]).await;
    let post = "POST /2015-03-31/functions/event-processor-seed/invocations HTTP/1.1\r\nHost: localhost\r\n\
                Origin: https://attacker.example\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert!(exchange(running.address("endpoint"), post).await.starts_with("HTTP/1.1 403"));
}

async fn exchange(address: &str, request: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
