//! The binary of the projector Lambda: wires, and runs.

use lambda_runtime::{Error, run, service_fn};
use projector::{Config, Projector};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    ledger_aws::init_logs();
    let config = Config::from_env()?;
    let projector = Projector::new(&ledger_aws::function_config().await, config, ledger_aws::emf_to_stdout());
    projector.warm_up().await;
    run(service_fn(|event| projector.handle(event))).await
}
