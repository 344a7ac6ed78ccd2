//! What the services of one local cloud share.

use cloudsim::deployment::Deployment;
use tokio::sync::{mpsc, oneshot};
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
    /// Asks for resets; one that failed is not answered.
    pub(crate) resets: mpsc::Sender<oneshot::Sender<()>>,
    /// Ends waiting requests when the cloud stops.
    pub closing: CancellationToken,
}

/// A reset that was not done, or not to its end.
#[derive(Debug, thiserror::Error)]
#[error("the reset failed; the log says why")]
pub struct ResetFailed;

impl Services {
    /// Makes everything as it was when the cloud was new: user-made tables, queues, topics and subscriptions go, ours are
    /// empty, and nothing is remembered of messages, metrics and stream records. Functions stay deployed.
    ///
    /// Invocations by a mapping get five seconds to end before it; they never complete into the new state. One that is
    /// cut off then, or that somebody invoked himself, may still write afterwards, as it may on AWS once tables and
    /// queues are made anew.
    ///
    /// # Errors
    ///
    /// The database or the data directory cannot be written, or the cloud is stopping.
    pub async fn reset(&self) -> Result<(), ResetFailed> {
        let (asked, done) = oneshot::channel();
        self.resets.send(asked).await.map_err(|_| ResetFailed)?;
        done.await.map_err(|_| ResetFailed)
    }

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
