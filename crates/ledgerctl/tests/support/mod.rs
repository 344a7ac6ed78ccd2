//! Runs the command as its users do.

use std::process::Output;

use local::Cloud;
use tokio::process::Command;

/// Runs the command against a cloud and returns its exit code, what it prints, and what it says besides.
pub(crate) async fn ledgerctl(cloud: &Cloud, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_ledgerctl"))
        .args(arguments)
        .env("AWS_ENDPOINT_URL", cloud.endpoint_url())
        .envs([("AWS_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "x")])
        .output()
        .await
        .unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}
