//! The operator's command line. Works wherever the SDK's own configuration leads: on AWS, or on the local cloud with
//! `AWS_ENDPOINT_URL`. Data on stdout, the rest on stderr. Exit codes: 0 done, 1 nothing found, 2 wrong usage, 3 AWS
//! refused.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the terminal is where a command answers")]

mod alerts;
mod explain;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ledger::{
    ClaimKey, EventId, TenantId,
    names::{PROJECT_DEFAULT, Project},
    schema,
};
use ledger_aws::{LedgerReader, TableNames};

const NOTHING_FOUND: u8 = 1;
const REFUSED: u8 = 3;

/// Looks into the event ledger
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The project's name, from which the tables' names follow
    #[arg(long, global = true, default_value = PROJECT_DEFAULT, value_parser = project)]
    project: Project,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Lists the tenants with an alert pending, oldest first: since when, tenant, INVALID entries, most frequent cause
    Alerts,
    /// Tells one event's story: its claim, its entry, its conflicts, and what to do next
    Explain {
        #[arg(value_parser = tenant_id)]
        tenant_id: TenantId,
        #[arg(value_parser = event_id)]
        event_id: EventId,
    },
    /// Lists the event types this build has schemas for
    Schemas,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.verb {
        Verb::Alerts => match alerts::run(&arguments.project).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::from(REFUSED)
            }
        },
        Verb::Schemas => {
            schema::all().iter().for_each(|schema| println!("{}", schema.event_type));
            ExitCode::SUCCESS
        }
        Verb::Explain { tenant_id, event_id } => explain(arguments.project, &ClaimKey { tenant_id, event_id }).await,
    }
}

async fn explain(project: Project, key: &ClaimKey) -> ExitCode {
    let sdk_config = ledger_aws::sdk_config().await;
    let reader = LedgerReader::new(&sdk_config, TableNames::from(&project));
    let (claim, entries) = match tokio::try_join!(reader.claim(key), reader.entries(key)) {
        Ok(found) => found,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(REFUSED);
        }
    };
    let story = explain::Story { key, claim: claim.as_ref(), entries: &entries };
    print!("{story}");
    if claim.is_none() && entries.is_empty() { ExitCode::from(NOTHING_FOUND) } else { ExitCode::SUCCESS }
}

fn project(text: &str) -> Result<Project, &'static str> {
    Project::parse(text).ok_or("a project's name is 2 to 40 lower-case letters, digits and hyphens")
}

fn tenant_id(text: &str) -> Result<TenantId, &'static str> {
    TenantId::from_stored(text).ok_or("a tenant id is 1 to 128 printable ASCII characters without `#`")
}

fn event_id(text: &str) -> Result<EventId, &'static str> {
    EventId::parse(text).ok_or("an event id is 1 to 256 bytes without `#` and control characters")
}
