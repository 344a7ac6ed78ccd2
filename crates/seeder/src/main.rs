//! The binary of the seeder Lambda: wires, and runs.

use lambda_runtime::{Error, run, service_fn};
use seeder::{Config, Seeder};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    ledger_aws::init_logs();
    let config = Config::from_env()?;
    let seeder = Seeder::new(&ledger_aws::function_config().await, config);
    run(service_fn(|event| seeder.handle(event))).await
}
