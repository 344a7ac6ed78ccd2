//! Invoking functions: the REST API, the Runtime API, and real processes behind it. The processes are this very test
//! program, started with one ignored test that behaves as a function.

mod support;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use lambda_runtime::{LambdaEvent, service_fn};
use local::{
    Cloud, Function, FunctionError,
    lambda::{
        function::Code,
        process::{Binary, Process},
    },
};
use serde_json::{Value, json};
use support::{cloud, until};

const ARN: &str = "arn:aws:lambda:us-east-1:000000000000:function:echo";
const LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
#[ignore = "not a test: the function that the tests in this file start as a process"]
#[expect(clippy::disallowed_methods, reason = "a function reads the environment that it is started with")]
async fn function_process() {
    let echo = service_fn(async |event: LambdaEvent<Value>| match event.payload["do"].as_str() {
        Some("exit") => std::process::exit(3),
        Some("hang") => std::future::pending().await,
        Some("fail") => Err(lambda_runtime::Error::from("cannot")),
        Some("say much") => Ok(json!("x".repeat(7 * 1024 * 1024))),
        Some("measure") => {
            println!("\n{}", event.payload["line"].as_str().unwrap());
            Ok(json!("measured"))
        }
        _ => Ok(json!({
            "echo": event.payload,
            "pid": std::process::id(),
            "function": std::env::var("AWS_LAMBDA_FUNCTION_NAME")?,
            "mine": std::env::var("MINE")?,
            "arn": event.context.invoked_function_arn,
        })),
    });
    lambda_runtime::run(echo).await.unwrap();
}

fn binary() -> Binary {
    Binary {
        program: std::env::current_exe().unwrap(),
        arguments: ["--ignored", "--exact", "function_process", "--nocapture"].map(str::to_owned).into(),
        environment: BTreeMap::from([("MINE".to_owned(), "yes".to_owned())]),
    }
}

/// A function outside of any cloud.
#[expect(clippy::print_stderr, reason = "the person who runs the test reads it")]
fn process() -> Function {
    function(Process::new(binary(), ARN.to_owned(), Arc::new(|line: &str| eprintln!("{line}"))))
}

fn function(process: Process) -> Function {
    Function { name: "echo".to_owned(), timeout: LIMIT, environment: BTreeMap::new(), code: Code::Process(process) }
}

/// Deploys the function and hands it back.
fn deployed(cloud: &Cloud) -> Arc<Function> {
    cloud.deploy(function(cloud.process("echo", binary())));
    cloud.services().functions.get("echo").unwrap()
}

async fn invoke(function: &Function, payload: Value) -> Result<Value, FunctionError> {
    let answer = local::lambda::function::invoke(function, payload.to_string().into_bytes()).await?;
    Ok(serde_json::from_slice(&answer).unwrap())
}

#[tokio::test]
async fn a_process_is_started_once_and_serves_many_invocations() {
    let function = process();
    let first = invoke(&function, json!({"n": 1})).await.unwrap();
    let second = invoke(&function, json!({"n": 2})).await.unwrap();
    assert_eq!((&first["echo"], &second["echo"]), (&json!({"n": 1}), &json!({"n": 2})));
    assert_eq!(first["pid"], second["pid"]);
    assert_eq!((&first["function"], &first["mine"], &first["arn"]), (&json!("echo"), &json!("yes"), &json!(ARN)));
}

#[tokio::test]
async fn invocations_at_the_same_time_get_processes_of_their_own() {
    let function = process();
    let (first, second) = tokio::join!(invoke(&function, json!({})), invoke(&function, json!({})));
    assert_ne!(first.unwrap()["pid"], second.unwrap()["pid"]);
}

#[tokio::test]
async fn an_error_of_the_function_is_reported_and_its_process_lives_on() {
    let function = process();
    let before = invoke(&function, json!({})).await.unwrap();
    let error = invoke(&function, json!({"do": "fail"})).await.unwrap_err();
    assert!(matches!(&error, FunctionError::Reported(report) if report["errorMessage"] == "cannot"), "{error}");
    assert_eq!(invoke(&function, json!({})).await.unwrap()["pid"], before["pid"]);
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_a_function_error_at_once() {
    let function = process();
    let before = invoke(&function, json!({})).await.unwrap();
    let error = invoke(&function, json!({"do": "say much"})).await.unwrap_err();
    assert_eq!(error, FunctionError::ResponseTooLarge);
    assert_eq!(invoke(&function, json!({})).await.unwrap()["pid"], before["pid"]);
}

#[tokio::test]
async fn a_crashed_process_is_a_function_error_and_is_started_again() {
    let function = process();
    let before = invoke(&function, json!({})).await.unwrap();
    let error = invoke(&function, json!({"do": "exit"})).await.unwrap_err();
    assert!(matches!(&error, FunctionError::Exited { how, .. } if how == "with error: exit status: 3"), "{error}");
    assert_ne!(invoke(&function, json!({})).await.unwrap()["pid"], before["pid"]);
}

#[tokio::test]
async fn a_hanging_process_times_out_and_is_replaced() {
    let mut function = process();
    let before = invoke(&function, json!({})).await.unwrap();
    function.timeout = Duration::from_millis(200);
    assert!(matches!(invoke(&function, json!({"do": "hang"})).await, Err(FunctionError::TimedOut { .. })));
    function.timeout = LIMIT;
    assert_ne!(invoke(&function, json!({})).await.unwrap()["pid"], before["pid"]);
}

#[tokio::test]
async fn a_binary_that_is_not_there_is_a_function_error() {
    let binary = Binary { program: "/nowhere/bootstrap".into(), ..Binary::default() };
    let function = function(Process::new(binary, ARN.to_owned(), Arc::new(|_: &str| {})));
    let error = invoke(&function, json!({})).await.unwrap_err();
    assert!(error.to_string().starts_with("Runtime.InvalidEntrypoint: cannot start /nowhere/bootstrap"), "{error}");
}

#[tokio::test]
async fn metrics_that_a_process_prints_reach_cloudwatch() {
    let cloud = cloud().await;
    let function = deployed(&cloud);
    let line = json!({
        "_aws": {"CloudWatchMetrics": [{"Namespace": "Test", "Dimensions": [[]], "Metrics": [{"Name": "Lines"}]}]},
        "Lines": 1,
    });
    invoke(&function, json!({"do": "measure", "line": line.to_string()})).await.unwrap();
    let any = cloudsim::cloudwatch::ListMetricsRequest::default();
    let listed = || cloud.services().shared.look(|state, now_ms| state.metrics.list_metrics(now_ms, &any).unwrap());
    until(&cloud, || listed().metrics.iter().any(|metric| metric.name == "Lines")).await;
}

#[tokio::test]
async fn stopping_the_cloud_kills_its_processes() {
    let cloud = cloud().await;
    let function = deployed(&cloud);
    let pid = invoke(&function, json!({})).await.unwrap()["pid"].clone();
    drop(function);
    cloud.stop().await.unwrap();
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}
