//! What Terraform creates on AWS, created here: names, tables, queues, topic, mappings and the environment of each
//! function. No behaviour: how a queue or a mapping works is `cloudsim`'s.

use std::collections::BTreeMap;

use cloudsim::{
    Account,
    cloudwatch::MetricStore,
    mapping::{QueueMapping, QueueMappingConfig, StreamMapping, StreamMappingConfig},
    sns::Sns,
    sqs::{QueueAttributes, Sqs},
};
use serde_json::{Value, json};

use crate::state::{State, now_ms};

/// Account id of all local ARNs; `dynoxide` has it built in.
pub const ACCOUNT_ID: &str = "000000000000";

/// Prefix of all names where nobody says otherwise.
pub const PROJECT_DEFAULT: &str = "event-processor";

/// Region where `AWS_REGION` does not say otherwise.
pub const REGION_DEFAULT: &str = "us-east-1";

/// Attribute that holds the expiry time in every table.
pub const TTL_ATTRIBUTE: &str = "ttl";

const VISIBILITY_TIMEOUT_SECONDS: u64 = 90;
const MESSAGE_BYTES_MAX: u64 = 262_144;
const RECEIVES_MAX: u64 = 100;
/// The longest that SQS offers; of the events queue and the dead-letter queue.
const RETENTION_SECONDS: u64 = 14 * 86_400;
const QUEUE_BATCH_SIZE: u32 = 10;
const QUEUE_CONCURRENCY_MAX: u32 = 10;
const STREAM_BATCH_SIZE: u32 = 1_000;
const TUMBLING_WINDOW_SECONDS: u32 = 60;
const RECORD_AGE_SECONDS_MAX: u32 = 22 * 3_600;

const PROCESSOR_TIMEOUT_SECONDS: u64 = 15;
const SEEDER_TIMEOUT_SECONDS: u64 = 30;
const PROJECTOR_TIMEOUT_SECONDS: u64 = 60;

// AWS: the visibility timeout should be at least six times the function's timeout.
const _: () = assert!(VISIBILITY_TIMEOUT_SECONDS >= 6 * PROCESSOR_TIMEOUT_SECONDS);

/// Names and addresses of one deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// Prefix of all names.
    pub project: String,
    pub region: String,
    /// Where the local cloud answers, without a trailing slash.
    pub endpoint_url: String,
}

/// The three functions of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Processor,
    Seeder,
    Projector,
}

impl Deployment {
    pub fn events_table(&self) -> String {
        format!("{}-events", self.project)
    }

    pub fn idempotency_table(&self) -> String {
        format!("{}-idempotency", self.project)
    }

    pub fn projections_table(&self) -> String {
        format!("{}-projections", self.project)
    }

    pub fn events_queue(&self) -> String {
        format!("{}-events.fifo", self.project)
    }

    pub fn dead_letter_queue(&self) -> String {
        format!("{}-events-dlq.fifo", self.project)
    }

    pub fn failures_queue(&self) -> String {
        format!("{}-projector-failures", self.project)
    }

    pub fn alerts_topic(&self) -> String {
        format!("{}-alerts", self.project)
    }

    pub fn alerts_topic_arn(&self) -> String {
        format!("arn:aws:sns:{}:{ACCOUNT_ID}:{}", self.region, self.alerts_topic())
    }

    pub fn function_name(&self, role: Role) -> String {
        match role {
            Role::Processor => self.project.clone(),
            Role::Seeder => format!("{}-seed", self.project),
            Role::Projector => format!("{}-projector", self.project),
        }
    }

    pub fn function_arn(&self, function_name: &str) -> String {
        format!("arn:aws:lambda:{}:{ACCOUNT_ID}:function:{function_name}", self.region)
    }

    pub fn queue_url(&self, queue_name: &str) -> String {
        format!("{}/{ACCOUNT_ID}/{queue_name}", self.endpoint_url)
    }

    /// The environment variables that Terraform sets on a function.
    pub fn environment(&self, role: Role) -> BTreeMap<String, String> {
        let variables = match role {
            Role::Processor => vec![
                ("EVENTS_TABLE", self.events_table()),
                ("IDEMPOTENCY_TABLE", self.idempotency_table()),
                ("EVENTS_TTL_DAYS", "0".to_owned()),
                ("IDEMPOTENCY_TTL_DAYS", "7".to_owned()),
            ],
            Role::Seeder => vec![("PROJECT", self.project.clone())],
            Role::Projector => vec![
                ("PROJECTIONS_TABLE", self.projections_table()),
                ("ALERTS_TOPIC_ARN", self.alerts_topic_arn()),
                ("FAILURES_QUEUE_URL", self.queue_url(&self.failures_queue())),
                ("METRIC_TENANTS", String::new()),
                ("METRIC_TENANTS_MAX", "100".to_owned()),
            ],
        };
        variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// The time limit of a function.
    pub fn timeout_seconds(&self, role: Role) -> u64 {
        match role {
            Role::Processor => PROCESSOR_TIMEOUT_SECONDS,
            Role::Seeder => SEEDER_TIMEOUT_SECONDS,
            Role::Projector => PROJECTOR_TIMEOUT_SECONDS,
        }
    }

    /// The `CreateTable` inputs; each table also has [`TTL_ATTRIBUTE`] as its time to live.
    pub fn tables(&self) -> [Value; 3] {
        [self.events_table_definition(), self.idempotency_table_definition(), self.projections_table_definition()]
    }

    /// The state of a new deployment: queues, topic and mappings, all empty.
    pub fn new_state(&self, events_stream_arn: String) -> Result<State, DeploymentError> {
        let account = Account { region: self.region.clone(), id: ACCOUNT_ID.to_owned() };
        let mut sqs = Sqs::new(account.clone());
        let dead_letter_arn = sqs.arn(&self.dead_letter_queue());
        sqs.create_queue(now_ms(), &self.dead_letter_queue(), &dead_letter_queue_attributes())?;
        sqs.create_queue(now_ms(), &self.events_queue(), &events_queue_attributes(&dead_letter_arn))?;
        sqs.create_queue(now_ms(), &self.failures_queue(), &QueueAttributes::new())?;
        let queue_mapping = QueueMapping::new(self.queue_mapping(), &sqs)?;
        let mut sns = Sns::new(account);
        sns.create_topic(&self.alerts_topic(), &BTreeMap::new())?;
        Ok(State {
            region: self.region.clone(),
            sqs,
            queue_tags: BTreeMap::new(),
            sns,
            published: Default::default(),
            published_total: 0,
            metrics: MetricStore::new(),
            queue_mapping,
            stream_mapping: StreamMapping::new(self.stream_mapping(events_stream_arn))?,
        })
    }

    fn queue_mapping(&self) -> QueueMappingConfig {
        QueueMappingConfig {
            queue_name: self.events_queue(),
            batch_size: QUEUE_BATCH_SIZE,
            concurrency_max: QUEUE_CONCURRENCY_MAX,
            function_timeout_seconds: PROCESSOR_TIMEOUT_SECONDS as u32,
            report_batch_item_failures: true,
        }
    }

    /// The stream's mapping as on AWS, but without a batching window: there it saves calls that cost money, here
    /// nobody wants to wait for the numbers.
    fn stream_mapping(&self, stream_arn: String) -> StreamMappingConfig {
        StreamMappingConfig {
            function_arn: self.function_arn(&self.function_name(Role::Projector)),
            stream_arn,
            batch_size: STREAM_BATCH_SIZE,
            event_names: None,
            tumbling_window_seconds: Some(TUMBLING_WINDOW_SECONDS),
            report_batch_item_failures: true,
            bisect_batch_on_function_error: false,
            maximum_retry_attempts: None,
            maximum_record_age_seconds: Some(RECORD_AGE_SECONDS_MAX),
        }
    }

    fn events_table_definition(&self) -> Value {
        json!({
            "TableName": self.events_table(),
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": "tenant_id", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
                {"AttributeName": "status", "AttributeType": "S"},
                {"AttributeName": "tenant_id_created_at", "AttributeType": "S"},
            ],
            "KeySchema": [
                {"AttributeName": "tenant_id", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
            "GlobalSecondaryIndexes": [{
                "IndexName": "gsi_status_tenant",
                "KeySchema": [
                    {"AttributeName": "status", "KeyType": "HASH"},
                    {"AttributeName": "tenant_id_created_at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["event_type", "reason"]},
            }],
            "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"},
        })
    }

    fn idempotency_table_definition(&self) -> Value {
        json!({
            "TableName": self.idempotency_table(),
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        })
    }

    fn projections_table_definition(&self) -> Value {
        json!({
            "TableName": self.projections_table(),
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": "pk", "AttributeType": "S"},
                {"AttributeName": "sk", "AttributeType": "S"},
            ],
            "KeySchema": [
                {"AttributeName": "pk", "KeyType": "HASH"},
                {"AttributeName": "sk", "KeyType": "RANGE"},
            ],
        })
    }
}

/// A definition in this file that a model refuses, so a bug here.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    #[error("queue refused")]
    Queue(#[from] cloudsim::sqs::SqsError),
    #[error("topic refused")]
    Topic(#[from] cloudsim::sns::SnsError),
    #[error("mapping refused")]
    Mapping(#[from] cloudsim::mapping::MappingError),
}

fn events_queue_attributes(dead_letter_arn: &str) -> QueueAttributes {
    let redrive = json!({"deadLetterTargetArn": dead_letter_arn, "maxReceiveCount": RECEIVES_MAX});
    attributes([
        ("FifoQueue", "true".to_owned()),
        ("ContentBasedDeduplication", "true".to_owned()),
        ("DeduplicationScope", "messageGroup".to_owned()),
        ("FifoThroughputLimit", "perMessageGroupId".to_owned()),
        ("VisibilityTimeout", VISIBILITY_TIMEOUT_SECONDS.to_string()),
        ("MaximumMessageSize", MESSAGE_BYTES_MAX.to_string()),
        ("MessageRetentionPeriod", RETENTION_SECONDS.to_string()),
        ("RedrivePolicy", redrive.to_string()),
    ])
}

fn dead_letter_queue_attributes() -> QueueAttributes {
    attributes([
        ("FifoQueue", "true".to_owned()),
        ("ContentBasedDeduplication", "true".to_owned()),
        ("MaximumMessageSize", MESSAGE_BYTES_MAX.to_string()),
        ("MessageRetentionPeriod", RETENTION_SECONDS.to_string()),
    ])
}

fn attributes<const N: usize>(pairs: [(&str, String); N]) -> QueueAttributes {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
