//! The command `local`: reads its arguments and runs.

#![expect(clippy::print_stderr, reason = "the terminal is where a command answers")]

use std::{error::Error, io, iter, process::ExitCode};

use clap::Parser;
use ledger_aws::environment::variable;
use local::command::{
    arguments::{Arguments, usage_error},
    run::run,
};
use tracing_subscriber::{filter::Targets, fmt, prelude::*};

/// What is logged without `RUST_LOG`. The database warns about every refusal, and refusals are ordinary.
const LOG_FILTER: &str = "warn,dynoxide=error";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) if error.exit_code() == 0 => error.exit(),
        Err(error) => {
            eprintln!("{}", usage_error(&error));
            return ExitCode::from(2);
        }
    };
    let filter = match variable("RUST_LOG").unwrap_or_else(|| LOG_FILTER.to_owned()).parse::<Targets>() {
        Ok(filter) => filter,
        Err(error) => {
            eprintln!("error: RUST_LOG is malformed: {error}; try RUST_LOG=info");
            return ExitCode::from(2);
        }
    };
    tracing_subscriber::registry().with(fmt::layer().with_writer(io::stderr)).with(filter).init();
    match run(arguments).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", one_line(error.as_ref()));
            ExitCode::from(2)
        }
    }
}

fn one_line(error: &dyn Error) -> String {
    let chain = iter::successors(Some(error), |&error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
