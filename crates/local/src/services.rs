//! What the services of one local cloud share.

use cloudsim::deployment::Deployment;
use tokio_util::sync::CancellationToken;

use crate::{
    lambda::function::Functions,
    service::{dynamodb::DynamoDb, emf},
    state::SharedState,
};

/// What the services share.
pub struct Services {
    pub shared: SharedState,
    pub deployment: Deployment,
    pub dynamodb: DynamoDb,
    pub functions: Functions,
    /// Ends waiting requests when the cloud stops.
    pub closing: CancellationToken,
}

impl Services {
    /// Takes the metrics in a line a function printed; `false` if it holds none.
    pub fn ingest_emf(&self, line: &str) -> bool {
        let Some(data) = emf::read(line) else { return false };
        for (namespace, data) in data {
            if let Err(error) = self.shared.change(|state, now_ms| state.metrics.put(now_ms, &namespace, &data)) {
                tracing::warn!(%error, namespace, "metrics in a log line were refused");
            }
        }
        true
    }
}
