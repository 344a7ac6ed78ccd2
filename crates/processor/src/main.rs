//! The binary of the processor Lambda: wires, and runs.

use lambda_runtime::{Error, run, service_fn};
use processor::{Config, Processor};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    ledger_aws::init_logs();
    let config = Config::from_env()?;
    let processor = Processor::new(&ledger_aws::function_config().await, config, ledger_aws::emf_to_stdout());
    processor.warm_up().await;
    run(service_fn(|event| processor.handle(event))).await
}
