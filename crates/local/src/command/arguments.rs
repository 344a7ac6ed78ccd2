//! The command line: what may be asked, and one line for what may not.

use std::path::PathBuf;

use clap::Parser;

use crate::command::traffic::RATE_MAX;

/// Runs the whole system on this machine: queue, functions, tables, metrics, alerts.
#[derive(Clone, Debug, Parser)]
#[command(name = "local", version)]
pub struct Arguments {
    /// Seed, wait until everything is projected, print a summary and exit: 0 only if everything landed
    #[arg(long)]
    pub once: bool,

    /// Print the summary as one JSON object
    #[arg(long, requires = "once")]
    pub json: bool,

    /// Port of the endpoint, 0 for a free one
    #[arg(long, default_value_t = 4566)]
    pub port: u16,

    /// Port of the web page, 0 for a free one
    #[arg(long, default_value_t = 8080)]
    pub page_port: u16,

    /// Keep all state in this directory
    #[arg(long)]
    pub data_dir: Option<PathBuf>,

    /// Account in all ARNs and URLs, twelve digits [default: AWS_ACCOUNT_ID, else 000000000000]
    #[arg(long, value_parser = |text: &str| account_id(text).ok_or("expected twelve digits"))]
    pub account_id: Option<String>,

    /// Keep sending this many events per second
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=i64::from(RATE_MAX)))]
    pub seed_rate: Option<u32>,

    /// Share of events that break their schema, 0 to 1
    #[arg(long, value_parser = ratio)]
    pub invalid_ratio: Option<f64>,

    /// With --once and --seed-rate: how long to keep sending
    #[arg(long, requires = "seed_rate", requires = "once", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: Option<u64>,
}

/// Reads an account's id: twelve digits.
pub fn account_id(text: &str) -> Option<String> {
    (text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.to_owned())
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio: f64 = text.parse().map_err(|_| "expected a number from 0 to 1".to_owned())?;
    if (0.0..=1.0).contains(&ratio) { Ok(ratio) } else { Err("expected a number from 0 to 1".to_owned()) }
}

/// Shortens what clap says to its first line.
pub fn usage_error(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    let mut details = text.lines().skip(1).map(str::trim).take_while(|line| !line.is_empty());
    match details.next() {
        Some(detail) => format!("{line} {detail}; try --help"),
        None => format!("{line}; try --help"),
    }
}
