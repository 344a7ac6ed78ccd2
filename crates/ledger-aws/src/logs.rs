//! Logs as CloudWatch Logs takes them: JSON lines on stdout, stamped with the time by CloudWatch itself.

use tracing::level_filters::LevelFilter;

/// Set by Lambda from the function's logging configuration.
const LOG_LEVEL: &str = "AWS_LAMBDA_LOG_LEVEL";

/// Installs the subscriber of a Lambda function; to be called once, first thing in `main`.
pub fn init() {
    let level = std::env::var(LOG_LEVEL).ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .without_time()
        .with_target(false)
        .with_span_list(false)
        .with_max_level(level)
        .init();
}
