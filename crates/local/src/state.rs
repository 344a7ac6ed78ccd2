//! The modelled state (queues, topic, metrics, mappings) behind one lock, with the wall clock and a change counter.
//!
//! Whoever waits for something to happen waits for the counter, so nothing in this crate polls. `data_directory`
//! writes the state to disk; DynamoDB keeps its own state (`dynamodb`).

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use cloudsim::{
    Account,
    cloudwatch::MetricStore,
    deployment::Deployment,
    mapping::{MappingError, QueueMapping, StreamMapping},
    sns::{PublishRequest, Sns, SnsError},
    sqs::{Sqs, SqsError},
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Published messages kept for the page.
const PUBLISHED_MAX: usize = 1_000;

/// Everything that a snapshot holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// Part of every ARN in here.
    pub account: Account,
    pub sqs: Sqs,
    /// Tags by queue name.
    pub queue_tags: BTreeMap<String, BTreeMap<String, String>>,
    pub sns: Sns,
    /// The newest messages of all topics, oldest first.
    pub published: VecDeque<PublishedMessage>,
    /// Messages published since the state was made.
    pub published_total: u64,
    pub metrics: MetricStore,
    pub queue_mapping: QueueMapping,
    pub stream_mapping: StreamMapping,
}

/// A message as a topic took it, for people to look at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PublishedMessage {
    pub published_ms: u64,
    pub request: PublishRequest,
}

/// A definition in [`cloudsim::deployment`] that a model refuses, so a bug there.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    #[error("queue refused")]
    Queue(#[from] SqsError),
    #[error("topic refused")]
    Topic(#[from] SnsError),
    #[error("mapping refused")]
    Mapping(#[from] MappingError),
}

impl State {
    /// The state of a new deployment: queues, topic and mappings, all empty.
    pub fn new(deployment: &Deployment, events_stream_arn: String) -> Result<Self, DeploymentError> {
        let account = &deployment.account;
        let mut sqs = Sqs::new(account.clone());
        for (name, attributes) in deployment.queues() {
            sqs.create_queue(now_ms(), &name, &attributes)?;
        }
        let queue_mapping = QueueMapping::new(deployment.queue_mapping(), &sqs)?;
        let mut sns = Sns::new(account.clone());
        sns.create_topic(&deployment.project.alerts_topic(), &BTreeMap::new(), &BTreeMap::new())?;
        Ok(Self {
            account: account.clone(),
            sqs,
            queue_tags: BTreeMap::new(),
            sns,
            published: VecDeque::new(),
            published_total: 0,
            metrics: MetricStore::default(),
            queue_mapping,
            stream_mapping: StreamMapping::new(deployment.stream_mapping(events_stream_arn))?,
        })
    }

    /// Remembers a published message, forgetting the oldest beyond the limit.
    pub fn remember_published(&mut self, published_ms: u64, request: PublishRequest) {
        self.published_total += 1;
        self.published.push_back(PublishedMessage { published_ms, request });
        if self.published.len() > PUBLISHED_MAX {
            self.published.pop_front();
        }
    }
}

/// The state that all services share.
pub struct SharedState {
    state: Mutex<State>,
    /// How far the clock of this cloud is ahead of the machine's.
    ahead_ms: AtomicU64,
    changes: watch::Sender<u64>,
    table_changes: watch::Sender<u64>,
}

impl SharedState {
    pub fn new(state: State) -> Self {
        Self {
            state: Mutex::new(state),
            ahead_ms: AtomicU64::new(0),
            changes: watch::Sender::new(0),
            table_changes: watch::Sender::new(0),
        }
    }

    /// The time in this cloud, in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        now_ms() + self.ahead_ms.load(Ordering::Relaxed)
    }

    /// Moves the clock ahead, as if nothing had happened meanwhile.
    pub fn advance_ms(&self, ms: u64) {
        self.ahead_ms.fetch_add(ms, Ordering::Relaxed);
        self.touch();
    }

    /// Waits until a moment of the clock; `None` waits for ever.
    pub async fn until_ms(&self, moment_ms: Option<u64>) {
        match moment_ms {
            Some(moment_ms) => {
                let wait_ms = moment_ms.saturating_sub(self.now_ms());
                tokio::time::sleep(std::time::Duration::from_millis(wait_ms)).await;
            }
            None => std::future::pending().await,
        }
    }

    /// Looks at the state; a model may still apply what time has made due.
    pub fn look<T>(&self, look: impl FnOnce(&mut State, u64) -> T) -> T {
        look(&mut self.lock(), self.now_ms())
    }

    /// Changes the state and wakes everyone who waits for a change.
    pub fn change<T>(&self, change: impl FnOnce(&mut State, u64) -> T) -> T {
        let outcome = change(&mut self.lock(), self.now_ms());
        self.touch();
        outcome
    }

    /// Says that something outside the state changed, say a function was deployed.
    pub fn touch(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Says that a table may have changed.
    pub fn touch_tables(&self) {
        self.table_changes.send_modify(|count| *count += 1);
        self.touch();
    }

    /// The change counter; a receiver sees changes made after this call.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The change counter of the tables alone.
    pub fn table_changes(&self) -> watch::Receiver<u64> {
        self.table_changes.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic inside a model is a bug that was reported where it happened; the others go on with the state as it is.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The clock of the machine in milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "this is the clock of the local cloud")]
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
