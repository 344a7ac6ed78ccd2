//! The ports of `ledger` on AWS. Nothing is decided here: an answer of AWS becomes a value of the port, and what it
//! means is the caller's to say. The only crate that imports the AWS SDK.

mod alerts;
mod clock;
mod cloudwatch;
mod convert;
pub mod environment;
mod https;
mod ledger_reader;
mod logs;
mod projections;
pub mod queue;
mod recorder;
mod tables;

pub use alerts::SnsAlerts;
pub use aws_config::SdkConfig;
pub use clock::SystemClock;
pub use cloudwatch::CloudWatchMetrics;
pub use convert::to_item;
pub use ledger_reader::{LedgerReader, ReadError};
pub use logs::init as init_logs;
pub use projections::DynamoProjections;
pub use queue::Queue;
pub use recorder::{EmfSink, Recorder, emf_lines, emf_to_stdout};
pub use tables::{DynamoTables, TableNames};

use std::time::Duration;

use aws_config::{
    BehaviorVersion, ConfigLoader, Region, retry::RetryConfig,
    stalled_stream_protection::StalledStreamProtectionConfig, timeout::TimeoutConfig,
};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};

/// Attempts of the SDK at one call, and the time each has. What remains refused is the caller's to send again, within
/// the deadline of its invocation.
const ATTEMPTS: u32 = 2;
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// The SDK's own configuration: environment, profile, `AWS_ENDPOINT_URL`.
pub async fn sdk_config() -> SdkConfig {
    loader().http_client(https::system_client()).load().await
}

/// The same for a function on Lambda, where reading the hundred and fifty roots of the operating system would cost more
/// than all the rest of a cold start: it trusts Amazon's alone, unless the environment names others.
pub async fn function_config() -> SdkConfig {
    let client = if https::has_own_roots() { https::system_client() } else { https::amazon_client() };
    loader().http_client(client).load().await
}

fn loader() -> ConfigLoader {
    aws_config::defaults(BehaviorVersion::latest())
        .retry_config(retries())
        .timeout_config(timeouts())
        // An attempt has a time of its own, which ends one that stalls; watching its bytes besides costs every call.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
}

/// The configuration for an endpoint on this machine that checks no signatures. Nothing of it comes from the
/// environment, where a proxy or a FIPS setting meant for AWS would lead elsewhere.
pub fn sdk_config_at(endpoint_url: &str, region: &str) -> SdkConfig {
    let credentials = Credentials::new("local", "local", None, None, "local endpoint");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint_url)
        .region(Region::new(region.to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(retries())
        .timeout_config(timeouts())
        .build()
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(ATTEMPTS)
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build()
}
