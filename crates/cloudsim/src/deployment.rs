//! What this project deploys on AWS, as values: tables, queues, event source mappings, the schedule, and the time limits
//! of the three functions. `local` creates them, the simulation runs by them, and a test of `testkit` compares them with
//! Terraform.
//!
//! No other module of this crate knows the project's names. How a queue or a mapping works is decided elsewhere.

use ledger::{
    entry::{RAW_BYTES_MAX, attribute},
    names::Project,
};
use serde_json::{Value, json};

use crate::{
    Account,
    admission::{
        Destination, DestinationConfig, FilterCriteria, LookedUp, MappingSettings, REPORT_BATCH_ITEM_FAILURES,
        ScalingConfig,
    },
    sqs::QueueAttributes,
};

/// Attribute that holds the expiry time in every table.
pub const TTL_ATTRIBUTE: &str = attribute::TTL;

const PROCESSOR_TIMEOUT_SECONDS: u32 = 15;
/// AWS: at least six times the function's timeout.
const VISIBILITY_TIMEOUT_SECONDS: u32 = 6 * PROCESSOR_TIMEOUT_SECONDS;
const RECEIVES_MAX: u32 = 100;
/// The longest that SQS offers.
const RETENTION_SECONDS: u32 = 14 * 86_400;

/// One deployment: its names, where it is, and what it consists of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deployment {
    pub project: Project,
    pub account: Account,
    /// Where the services answer, without a trailing slash.
    pub endpoint_url: String,
}

/// A schedule of EventBridge that invokes a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    pub name: String,
    pub every_minutes: u32,
    pub function_arn: String,
    /// What the function is invoked with, each time the same.
    pub input: Value,
    /// How long and how often a failed invocation is tried again.
    pub event_age_max_seconds: u32,
    pub retries_max: u32,
}

/// A function of the deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Processor,
    Seeder,
    Projector,
}

impl Role {
    /// The function's time limit.
    #[must_use]
    pub const fn timeout_seconds(self) -> u32 {
        match self {
            Self::Processor => PROCESSOR_TIMEOUT_SECONDS,
            Self::Seeder => 30,
            Self::Projector => 60,
        }
    }
}

impl Deployment {
    #[must_use]
    pub fn function_name(&self, role: Role) -> String {
        match role {
            Role::Processor => self.project.processor(),
            Role::Seeder => self.project.seeder(),
            Role::Projector => self.project.projector(),
        }
    }

    #[must_use]
    pub fn function_arn(&self, function_name: &str) -> String {
        self.arn("lambda", &format!("function:{function_name}"))
    }

    #[must_use]
    pub fn alerts_topic_arn(&self) -> String {
        self.arn("sns", &self.project.alerts_topic())
    }

    #[must_use]
    pub fn queue_arn(&self, queue_name: &str) -> String {
        self.arn("sqs", queue_name)
    }

    #[must_use]
    pub fn queue_url(&self, queue_name: &str) -> String {
        format!("{}/{}/{queue_name}", self.endpoint_url, self.account.id)
    }

    /// Returns the `CreateTable` inputs. Each table also has [`TTL_ATTRIBUTE`] as its time to live.
    #[must_use]
    pub fn tables(&self) -> [Value; 3] {
        [self.events_table(), self.idempotency_table(), self.projections_table()]
    }

    /// Returns the queues by name, each after the dead-letter queue that it refers to.
    #[must_use]
    pub fn queues(&self) -> [(String, QueueAttributes); 3] {
        let retention = ("MessageRetentionPeriod", RETENTION_SECONDS.to_string());
        let message_bytes_max = ("MaximumMessageSize", RAW_BYTES_MAX.to_string());
        let fifo = [("FifoQueue", "true".to_owned()), ("ContentBasedDeduplication", "true".to_owned())];
        let dead_letters = self.project.dead_letter_queue();
        let redrive = json!({"deadLetterTargetArn": self.queue_arn(&dead_letters), "maxReceiveCount": RECEIVES_MAX});
        let events = [
            ("DeduplicationScope", "messageGroup".to_owned()),
            ("FifoThroughputLimit", "perMessageGroupId".to_owned()),
            ("VisibilityTimeout", VISIBILITY_TIMEOUT_SECONDS.to_string()),
            ("RedrivePolicy", redrive.to_string()),
        ];
        let common = [fifo.as_slice(), &[message_bytes_max, retention.clone()]].concat();
        [
            (dead_letters, attributes(&common)),
            (self.project.events_queue(), attributes(&[common.as_slice(), &events].concat())),
            (self.project.failures_queue(), attributes(&[retention])),
        ]
    }

    /// Returns the mapping that feeds the processor from the events queue.
    #[must_use]
    pub fn queue_mapping(&self) -> MappingSettings {
        let function_timeout_seconds = Some(PROCESSOR_TIMEOUT_SECONDS.into());
        MappingSettings {
            event_source_arn: self.queue_arn(&self.project.events_queue()),
            function_name: self.function_arn(&self.function_name(Role::Processor)),
            batch_size: Some(10),
            scaling_config: ScalingConfig { maximum_concurrency: Some(10) },
            function_response_types: vec![REPORT_BATCH_ITEM_FAILURES.to_owned()],
            looked_up: LookedUp { function_timeout_seconds, ..LookedUp::default() },
            ..MappingSettings::default()
        }
    }

    /// Returns the mapping that feeds the projector from the events table's stream. Unlike on AWS it has no batching
    /// window: there the window saves calls that cost money, on a laptop nobody wants to wait for the numbers.
    #[must_use]
    pub fn stream_mapping(&self, stream_arn: String) -> MappingSettings {
        let failures = Some(self.queue_arn(&self.project.failures_queue()));
        MappingSettings {
            event_source_arn: stream_arn,
            function_name: self.function_arn(&self.function_name(Role::Projector)),
            batch_size: Some(1_000),
            maximum_batching_window_in_seconds: Some(0),
            parallelization_factor: Some(1),
            tumbling_window_in_seconds: Some(60),
            filter_criteria: FilterCriteria::default(),
            starting_position: Some("TRIM_HORIZON".to_owned()),
            maximum_retry_attempts: Some(-1),
            maximum_record_age_in_seconds: Some(22 * 3_600),
            bisect_batch_on_function_error: Some(false),
            function_response_types: vec![REPORT_BATCH_ITEM_FAILURES.to_owned()],
            destination_config: DestinationConfig {
                on_failure: Destination { destination: failures },
                ..DestinationConfig::default()
            },
            ..MappingSettings::default()
        }
    }

    /// Returns the schedule of the projector's ticks. One that is late is replaced by the next.
    #[must_use]
    pub fn tick(&self) -> Schedule {
        Schedule {
            name: self.project.tick(),
            every_minutes: 1,
            function_arn: self.function_arn(&self.function_name(Role::Projector)),
            input: json!({"tick": true}),
            event_age_max_seconds: 60,
            retries_max: 0,
        }
    }

    fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{resource}", self.account.region, self.account.id)
    }

    fn events_table(&self) -> Value {
        json!({
            "TableName": self.project.events_table(),
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": texts([
                attribute::TENANT_ID,
                attribute::SK,
                attribute::STATUS,
                attribute::TENANT_ID_CREATED_AT,
            ]),
            "KeySchema": keys(attribute::TENANT_ID, Some(attribute::SK)),
            "GlobalSecondaryIndexes": [{
                "IndexName": "gsi_status_tenant",
                "KeySchema": keys(attribute::STATUS, Some(attribute::TENANT_ID_CREATED_AT)),
                "Projection": {
                    "ProjectionType": "INCLUDE",
                    "NonKeyAttributes": [attribute::EVENT_TYPE, attribute::REASON],
                },
            }],
            "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"},
        })
    }

    fn idempotency_table(&self) -> Value {
        json!({
            "TableName": self.project.idempotency_table(),
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": texts([attribute::PK]),
            "KeySchema": keys(attribute::PK, None),
        })
    }

    fn projections_table(&self) -> Value {
        json!({
            "TableName": self.project.projections_table(),
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": texts([attribute::PK, attribute::SK]),
            "KeySchema": keys(attribute::PK, Some(attribute::SK)),
        })
    }
}

fn texts<const N: usize>(names: [&str; N]) -> Value {
    names.iter().map(|name| json!({"AttributeName": name, "AttributeType": "S"})).collect()
}

fn keys(hash: &str, range: Option<&str>) -> Value {
    let key = |(name, kind): (&str, &str)| json!({"AttributeName": name, "KeyType": kind});
    [(hash, "HASH")].into_iter().chain(range.map(|name| (name, "RANGE"))).map(key).collect()
}

fn attributes(pairs: &[(&str, String)]) -> QueueAttributes {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}
