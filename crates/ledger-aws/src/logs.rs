//! Logs as CloudWatch Logs takes them: JSON lines on stdout, stamped with the time by CloudWatch itself.

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use crate::environment::variable;

/// Set by Lambda from the function's logging configuration.
const LOG_LEVEL: &str = "AWS_LAMBDA_LOG_LEVEL";

/// The crates that log at that level. All others log at INFO at most: below it the runtime prints the body of every
/// invocation, and the SDK requests and answers (G11).
const OURS: [&str; 9] =
    ["cloudsim", "ledger", "ledger_aws", "ledgerctl", "local", "processor", "projector", "seeder", "testkit"];

/// Installs the subscriber of a Lambda function; to be called once, first thing in `main`.
pub fn init() {
    let level = variable(LOG_LEVEL).and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::INFO);
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .without_time()
        .with_target(false)
        .with_span_list(false)
        .with_max_level(level)
        .finish()
        .with(targets(level))
        .init();
}

fn targets(level: LevelFilter) -> Targets {
    Targets::new().with_default(level.min(LevelFilter::INFO)).with_targets(OURS.map(|target| (target, level)))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn every_crate_of_the_workspace_and_no_other_logs_at_the_level_that_is_set() {
        let folders = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).unwrap();
        let mut crates: Vec<String> =
            folders.map(|folder| folder.unwrap().file_name().into_string().unwrap().replace('-', "_")).collect();
        crates.sort();
        assert_eq!(crates, OURS);
        let targets = targets(LevelFilter::TRACE);
        assert!(OURS.iter().all(|target| targets.would_enable(&format!("{target}::module"), &Level::TRACE)));
        for other in ["lambda_runtime::layers", "aws_smithy_runtime", "hyper_util", "rustls"] {
            assert!(
                targets.would_enable(other, &Level::INFO) && !targets.would_enable(other, &Level::DEBUG),
                "{other}"
            );
        }
        assert!(!super::targets(LevelFilter::WARN).would_enable("hyper_util", &Level::INFO));
    }
}
