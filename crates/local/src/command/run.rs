//! One run of the command: start, seed, show, stay or leave.

use std::{error::Error, io::Write, process::ExitCode, time::Instant};

use cloudsim::Account;
use ledger_aws::environment::{ConfigError, Environment, variable};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    cloud::{Cloud, Options},
    command::{
        arguments::{Arguments, account_id},
        report::{self, Before, Report},
        traffic::{self, Request},
    },
    lambda::functions,
};

/// The account where `--account-id` names none.
const ACCOUNT_ID: &str = "AWS_ACCOUNT_ID";

/// Runs the command to its end: a success if it was stopped or everything landed, a failure otherwise.
///
/// # Errors
///
/// The cloud cannot start with these arguments, or a part of it failed. The text fits one line.
#[expect(clippy::disallowed_methods, reason = "the report says how long a person waited, by no clock of the cloud")]
pub async fn run(arguments: Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let started = Instant::now();
    let options = Options {
        port: arguments.port,
        data_directory: arguments.data_dir.clone(),
        account: account(arguments.account_id.clone())?,
        ..Options::default()
    };
    let mut cloud = Cloud::start(options).await?;
    functions::deploy(&cloud).await?;
    let ended = if arguments.once {
        once(&cloud, &arguments, started).await
    } else {
        stay(&mut cloud, &arguments, started).await
    };
    let stopped = cloud.stop().await;
    let code = ended?;
    stopped?;
    Ok(code)
}

async fn once(cloud: &Cloud, arguments: &Arguments, started: Instant) -> Result<ExitCode, Box<dyn Error>> {
    let services = cloud.services();
    let before = Before::read(services)?;
    let sent = match (arguments.seed_rate, arguments.seconds) {
        (Some(rate), Some(seconds)) => {
            let duration = std::time::Duration::from_secs(seconds);
            traffic::keep_sending(services, rate, arguments.invalid_ratio, Some(duration)).await?
        }
        (count, _) => traffic::send(services, Request { count, invalid_ratio: arguments.invalid_ratio }).await?,
    };
    let reconciled = traffic::until_landed(services).await?;
    let report = Report::new(services, &reconciled, sent, before, started.elapsed());
    if arguments.json {
        print(&serde_json::to_string(&report)?);
    } else {
        print(&format!("{}\n{}", report::entries_table(&reconciled.entries), report.line()));
    }
    Ok(if report.landed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn stay(cloud: &mut Cloud, arguments: &Arguments, started: Instant) -> Result<ExitCode, Box<dyn Error>> {
    let page_url = cloud.serve_page(arguments.page_port).await?;
    let services = cloud.services();
    let before = Before::read(services)?;
    let shown = async {
        let sent = traffic::send(services, Request { count: None, invalid_ratio: arguments.invalid_ratio }).await?;
        let reconciled = traffic::until_landed(services).await?;
        let report = Report::new(services, &reconciled, sent, before, started.elapsed());
        print(&format!("{}\n{}\n", report::entries_table(&reconciled.entries), report.line()));
        print(&format!("{}\nCtrl-C stops it.", report::guide(services, &page_url)));
        if let Some(rate) = arguments.seed_rate {
            traffic::keep_sending(services, rate, arguments.invalid_ratio, None).await?;
        }
        std::future::pending::<Result<ExitCode, Box<dyn Error>>>().await
    };
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        ended = shown => ended,
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted.map(|()| ExitCode::SUCCESS)?),
        _ = terminated.recv() => Ok(ExitCode::SUCCESS),
    }
}

/// The account that was asked for, else the environment's, as AWS's own tools name it there.
fn account(id: Option<String>) -> Result<Account, ConfigError> {
    let configured = Environment(variable);
    let default = Account::default();
    let id = match (id, configured.given(ACCOUNT_ID)) {
        (Some(id), _) => id,
        (None, Some(value)) => account_id(&value).ok_or(ConfigError::Malformed {
            name: ACCOUNT_ID,
            value,
            expected: "twelve digits".to_owned(),
        })?,
        (None, None) => default.id,
    };
    Ok(Account { id, region: configured.given("AWS_REGION").unwrap_or(default.region) })
}

/// Prints on stdout; whoever has closed it wants to see no more.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}
