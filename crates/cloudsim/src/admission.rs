//! What AWS refuses when a queue or an event source mapping is created or changed: one table of rules for each of the
//! two, so that the models here and a test over the Terraform files obey the same rules.
//!
//! Not here: looking anything up, and the permissions of whoever creates a queue or a mapping.

#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use Code::{
    InvalidAttributeName, InvalidAttributeValue, InvalidParameterValue, InvalidParameterValueException,
    ResourceConflictException, ValidationException,
};
use Source::{Documented, Fact};

use crate::sqs::{FIFO_SUFFIX, Settings};

/// One rule about settings of type `S`.
pub struct Rule<S: 'static> {
    /// What must hold; unique, so it is also the rule's name.
    pub claim: &'static str,
    /// The parameter or attribute that AWS's error is about.
    pub parameter: &'static str,
    pub code: Code,
    /// AWS's own words, where they are recorded; `<arn>` stands for the source's ARN.
    pub words: Option<&'static str>,
    pub source: Source,
    /// `None` where the settings leave open what the rule is about.
    pub admits: fn(&S) -> Option<bool>,
}

/// An error code, called as AWS calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    InvalidAttributeName,
    InvalidAttributeValue,
    InvalidParameterValue,
    InvalidParameterValueException,
    ResourceConflictException,
    ValidationException,
}

impl Code {
    /// Returns the HTTP status of the refusal.
    #[must_use]
    pub fn status(self) -> u16 {
        if self == ResourceConflictException { 409 } else { 400 }
    }
}

/// How a rule is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// An observation of AWS that is written down under this id.
    Fact(&'static str),
    /// A page of AWS's documentation.
    Documented(&'static str),
}

/// A refusal by AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{code:?}: {text}")]
pub struct Refusal {
    pub claim: &'static str,
    pub parameter: &'static str,
    pub code: Code,
    /// AWS's words where they are recorded, else the claim.
    pub text: &'static str,
}

/// Checks settings against all rules and returns the first refusal.
pub fn check<S>(rules: &[Rule<S>], settings: &S) -> Result<(), Refusal> {
    match rules.iter().find(|rule| (rule.admits)(settings) == Some(false)) {
        None => Ok(()),
        Some(Rule { claim, parameter, code, words, .. }) => {
            Err(Refusal { claim, parameter, code: *code, text: words.unwrap_or(claim) })
        }
    }
}

/// What an event source mapping reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventSource {
    /// A DynamoDB stream.
    Stream,
    StandardQueue,
    FifoQueue,
}

/// What `CreateEventSourceMapping` is asked for, by its names there, and what it looks up. What is not stated is `None`
/// or empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "PascalCase")]
pub struct MappingSettings {
    pub event_source_arn: String,
    pub function_name: String,
    pub batch_size: Option<i64>,
    pub maximum_batching_window_in_seconds: Option<i64>,
    pub parallelization_factor: Option<i64>,
    /// 0 is a plain mapping.
    pub tumbling_window_in_seconds: Option<i64>,
    #[serde(skip_serializing_if = "is_default")]
    pub filter_criteria: FilterCriteria,
    pub starting_position: Option<String>,
    /// -1 is without limit.
    pub maximum_retry_attempts: Option<i64>,
    /// -1 is without limit.
    pub maximum_record_age_in_seconds: Option<i64>,
    pub bisect_batch_on_function_error: Option<bool>,
    #[serde(skip_serializing_if = "is_default")]
    pub scaling_config: ScalingConfig,
    pub provisioned_poller_config: Option<Value>,
    pub function_response_types: Vec<String>,
    #[serde(skip_serializing_if = "is_default")]
    pub destination_config: DestinationConfig,
    #[serde(skip)]
    pub looked_up: LookedUp,
}

/// What decides about a mapping and is not asked for. `None` means not looked up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LookedUp {
    pub is_source_known: Option<bool>,
    pub function_timeout_seconds: Option<i64>,
    /// The source queue's.
    pub visibility_timeout_seconds: Option<i64>,
    /// What the function's role may do with the source.
    pub source_actions: Option<Vec<String>>,
    /// Source and function of the mappings that are there.
    pub mappings: Vec<(String, String)>,
}

/// The filters of a mapping: an event passes where one of them does, or where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "PascalCase")]
pub struct FilterCriteria {
    pub filters: Vec<Filter>,
}

/// A pattern, as JSON text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "PascalCase")]
pub struct Filter {
    pub pattern: String,
}

/// How many invocations a queue's mapping runs at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "PascalCase")]
pub struct ScalingConfig {
    pub maximum_concurrency: Option<i64>,
}

/// Where a mapping sends what became of its records.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "PascalCase")]
pub struct DestinationConfig {
    pub on_failure: Destination,
    pub on_success: Destination,
}

/// The ARN of a queue, a topic or a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "PascalCase")]
pub struct Destination {
    pub destination: Option<String>,
}

impl FilterCriteria {
    /// Returns criteria of these patterns.
    #[must_use]
    pub fn of<P: Into<String>>(patterns: impl IntoIterator<Item = P>) -> Self {
        Self { filters: patterns.into_iter().map(|pattern| Filter { pattern: pattern.into() }).collect() }
    }

    fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }
}

fn is_default<T: Default + PartialEq>(setting: &T) -> bool {
    *setting == T::default()
}

impl Filter {
    /// Reads the pattern: an object of lists that are not empty, and of such objects.
    fn members(&self) -> Option<Map<String, Value>> {
        fn is_pattern(value: &Value) -> bool {
            match value {
                Value::Object(members) => !members.is_empty() && members.values().all(is_pattern),
                Value::Array(rules) => !rules.is_empty(),
                _ => false,
            }
        }
        let Value::Object(members) = serde_json::from_str(&self.pattern).ok().filter(is_pattern)? else { return None };
        Some(members)
    }

    /// Returns the values of a pattern that looks at `eventName` alone.
    pub(crate) fn event_names(&self) -> Option<Vec<String>> {
        let members = self.members().filter(|members| members.len() == 1)?;
        let names = members.get("eventName")?.as_array()?;
        names.iter().map(|name| name.as_str().map(str::to_owned)).collect()
    }
}

impl MappingSettings {
    /// Returns what the mapping reads, as the ARN tells.
    #[must_use]
    pub fn source(&self) -> EventSource {
        if self.event_source_arn.starts_with("arn:aws:dynamodb:") {
            EventSource::Stream
        } else if self.event_source_arn.ends_with(FIFO_SUFFIX) {
            EventSource::FifoQueue
        } else {
            EventSource::StandardQueue
        }
    }

    /// Says whether partial batch responses count.
    #[must_use]
    pub fn reports_batch_item_failures(&self) -> bool {
        self.function_response_types.iter().any(|response_type| response_type == REPORT_BATCH_ITEM_FAILURES)
    }

    fn of_stream(&self) -> Option<&Self> {
        (self.source() == EventSource::Stream).then_some(self)
    }

    fn of_queue(&self) -> Option<&Self> {
        (self.source() != EventSource::Stream).then_some(self)
    }

    fn of_fifo_queue(&self) -> Option<&Self> {
        (self.source() == EventSource::FifoQueue).then_some(self)
    }

    /// Says whether there is a tumbling window.
    fn is_windowed(&self) -> bool {
        self.tumbling_window_in_seconds.is_some_and(|seconds| seconds != 0)
    }

    fn may(&self, needed: &[&str]) -> Option<bool> {
        let actions = self.looked_up.source_actions.as_ref()?;
        Some(needed.iter().all(|needed| actions.iter().any(|action| action == needed)))
    }
}

/// The response type that makes partial batch responses count.
pub const REPORT_BATCH_ITEM_FAILURES: &str = "ReportBatchItemFailures";

const FOR_EVER: i64 = -1;

/// A larger batch takes more than one receive, so it needs time to be gathered.
const QUEUE_BATCH_SIZE_WITHOUT_WINDOW_MAX: i64 = 10;

const MAPPING_PAGE: Source = Documented("Lambda API reference, CreateEventSourceMapping");
const QUEUE_PAGE: Source = Documented("SQS API reference, CreateQueue");

/// The rules of event source mappings.
pub const MAPPING_RULES: &[Rule<MappingSettings>] = &[
    Rule {
        claim: "a tumbling window excludes a filter",
        parameter: "TumblingWindowInSeconds",
        code: InvalidParameterValueException,
        words: Some("Tumbling window period should be zero when FilterCriteria is configured"),
        source: Fact("stream_mapping/stream-tumbling-window-with-filter"),
        admits: |mapping| mapping.is_windowed().then_some(mapping.filter_criteria.is_empty()),
    },
    Rule {
        claim: "a tumbling window needs parallelization factor 1",
        parameter: "ParallelizationFactor",
        code: InvalidParameterValueException,
        words: Some("Parallelization factor must be equal to 1 when tumbling window period is configured"),
        source: Fact("stream_mapping/stream-tumbling-window-with-parallelization"),
        admits: |mapping| mapping.is_windowed().then_some(mapping.parallelization_factor.unwrap_or(1) == 1),
    },
    Rule {
        claim: "a tumbling window has 0 to 900 s",
        parameter: "TumblingWindowInSeconds",
        code: ValidationException,
        words: None,
        source: Fact("stream_mapping/stream-tumbling-window-over-900"),
        admits: |mapping| is_in(0..=900, mapping.tumbling_window_in_seconds),
    },
    Rule {
        claim: "a stream's batch has 1 to 10,000 records",
        parameter: "BatchSize",
        code: ValidationException,
        words: None,
        source: Fact("stream_mapping/stream-batch-over-10000"),
        admits: |mapping| is_in(1..=10_000, mapping.of_stream()?.batch_size),
    },
    Rule {
        claim: "a batching window has 0 to 300 s",
        parameter: "MaximumBatchingWindowInSeconds",
        code: ValidationException,
        words: None,
        source: Fact("stream_mapping/stream-batching-window-over-300"),
        admits: |mapping| is_in(0..=300, mapping.maximum_batching_window_in_seconds),
    },
    Rule {
        claim: "the parallelization factor is 1 to 10",
        parameter: "ParallelizationFactor",
        code: ValidationException,
        words: None,
        source: Fact("stream_mapping/stream-parallelization-over-10"),
        admits: |mapping| is_in(1..=10, mapping.parallelization_factor),
    },
    Rule {
        claim: "a record's maximum age is -1 or 60 to 604,800 s",
        parameter: "MaximumRecordAgeInSeconds",
        code: InvalidParameterValueException,
        words: Some("MaximumRecordAgeInSeconds must be either -1 (forever) or between 60 and 604800 (inclusive)"),
        source: Fact("stream_mapping/stream-record-age-range"),
        admits: |mapping| {
            let seconds = mapping.maximum_record_age_in_seconds?;
            Some(seconds == FOR_EVER || (60..=604_800).contains(&seconds))
        },
    },
    Rule {
        claim: "retries are -1 to 10,000",
        parameter: "MaximumRetryAttempts",
        code: ValidationException,
        words: None,
        source: MAPPING_PAGE,
        admits: |mapping| is_in(FOR_EVER..=10_000, mapping.maximum_retry_attempts),
    },
    Rule {
        claim: "a stream's mapping states where it starts",
        parameter: "StartingPosition",
        code: InvalidParameterValueException,
        words: Some(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must \
             not be null.",
        ),
        source: Fact("stream_mapping/stream-starting-position-missing"),
        admits: |mapping| Some(mapping.of_stream()?.starting_position.is_some()),
    },
    Rule {
        claim: "a DynamoDB stream is read from TRIM_HORIZON or LATEST",
        parameter: "StartingPosition",
        code: InvalidParameterValueException,
        words: None,
        source: Fact("stream_mapping/stream-starting-position-at-timestamp"),
        admits: |mapping| {
            let position = mapping.of_stream()?.starting_position.as_deref()?;
            Some(["TRIM_HORIZON", "LATEST"].contains(&position))
        },
    },
    Rule {
        claim: "a stream's mapping has no maximum concurrency",
        parameter: "ScalingConfig",
        code: InvalidParameterValueException,
        words: Some("Unsupported ScalingConfig parameter for given event source mapping type."),
        source: Fact("stream_mapping/stream-scaling-config-refused"),
        admits: |mapping| Some(mapping.of_stream()?.scaling_config.maximum_concurrency.is_none()),
    },
    Rule {
        claim: "a queue's mapping has no settings of a stream",
        parameter: "StartingPosition",
        code: InvalidParameterValueException,
        words: None,
        source: MAPPING_PAGE,
        admits: |mapping| {
            let mapping = mapping.of_queue()?;
            let numbers = [
                mapping.parallelization_factor,
                mapping.tumbling_window_in_seconds,
                mapping.maximum_retry_attempts,
                mapping.maximum_record_age_in_seconds,
            ];
            Some(mapping.starting_position.is_none() && numbers == [None; 4])
        },
    },
    Rule {
        claim: "what a stream's mapping gives up goes to a standard queue or topic",
        parameter: "DestinationConfig",
        code: InvalidParameterValueException,
        words: None,
        source: Fact("stream_mapping/stream-fifo-destination-refused"),
        admits: |mapping| {
            let arn = mapping.of_stream()?.destination_config.on_failure.destination.as_ref()?;
            Some(!arn.ends_with(FIFO_SUFFIX))
        },
    },
    Rule {
        claim: "a stream's mapping has no destination for successes",
        parameter: "DestinationConfig",
        code: InvalidParameterValueException,
        words: None,
        source: Fact("stream_mapping/stream-on-success-refused"),
        admits: |mapping| Some(mapping.of_stream()?.destination_config.on_success.destination.is_none()),
    },
    Rule {
        claim: "the function's role may read the stream",
        parameter: "EventSourceArn",
        code: InvalidParameterValueException,
        // ListStreams is named, and not needed.
        words: Some(
            "Cannot access stream <arn>. Please ensure the role can perform the GetRecords, GetShardIterator, \
             DescribeStream, and ListStreams Actions on your stream in IAM.",
        ),
        source: Fact("stream_mapping/stream-needs-source-rights"),
        admits: |mapping| {
            mapping.of_stream()?.may(&["dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:DescribeStream"])
        },
    },
    Rule {
        claim: "a FIFO queue's mapping has no batching window",
        parameter: "MaximumBatchingWindowInSeconds",
        code: InvalidParameterValueException,
        words: Some("Batching window is not supported for FIFO queues"),
        source: Fact("sqs_mapping/sqs-mapping-fifo-no-batching-window"),
        admits: |mapping| Some(mapping.of_fifo_queue()?.maximum_batching_window_in_seconds.unwrap_or(0) == 0),
    },
    Rule {
        claim: "a queue's batch has 1 to 10,000 messages",
        parameter: "BatchSize",
        code: ValidationException,
        words: None,
        source: MAPPING_PAGE,
        admits: |mapping| is_in(1..=10_000, mapping.of_queue()?.batch_size),
    },
    // With the rule on batching windows, this keeps a FIFO queue's batch at 10.
    Rule {
        claim: "a queue's batch over 10 needs a batching window",
        parameter: "BatchSize",
        code: InvalidParameterValueException,
        words: Some("Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"),
        source: Fact("sqs_mapping/sqs-mapping-fifo-batch-over-ten"),
        admits: |mapping| {
            let is_small = mapping.of_queue()?.batch_size? <= QUEUE_BATCH_SIZE_WITHOUT_WINDOW_MAX;
            Some(is_small || mapping.maximum_batching_window_in_seconds.unwrap_or(0) > 0)
        },
    },
    Rule {
        claim: "a queue's mapping runs 2 to 1,000 functions at once",
        parameter: "ScalingConfig",
        code: ValidationException,
        words: None,
        source: MAPPING_PAGE,
        admits: |mapping| is_in(2..=1_000, mapping.of_queue()?.scaling_config.maximum_concurrency),
    },
    Rule {
        claim: "a maximum concurrency excludes provisioned pollers",
        parameter: "ScalingConfig",
        code: InvalidParameterValueException,
        words: None,
        source: Fact("sqs_mapping/sqs-mapping-concurrency-excludes-provisioned-pollers"),
        admits: |mapping| {
            mapping.of_queue()?.scaling_config.maximum_concurrency?;
            Some(mapping.provisioned_poller_config.is_none())
        },
    },
    Rule {
        claim: "a queue hides a message for at least the function's timeout",
        parameter: "FunctionName",
        code: InvalidParameterValueException,
        words: None,
        source: Fact("sqs_mapping/sqs-mapping-visibility-at-least-function-timeout"),
        admits: |mapping| {
            let MappingSettings { function_name, looked_up, .. } = mapping.of_queue()?;
            (!function_name.is_empty()).then_some(())?;
            Some(looked_up.visibility_timeout_seconds? >= looked_up.function_timeout_seconds?)
        },
    },
    Rule {
        claim: "a queue's mapping has no destination",
        parameter: "DestinationConfig",
        code: InvalidParameterValueException,
        words: Some("Unsupported DestinationConfig parameter for given event source mapping type."),
        source: Fact("sqs_mapping/sqs-mapping-destination-config-refused"),
        admits: |mapping| Some(mapping.of_queue()?.destination_config == DestinationConfig::default()),
    },
    Rule {
        claim: "the function's role may receive from and delete in the queue",
        parameter: "EventSourceArn",
        code: InvalidParameterValueException,
        words: None,
        source: Fact("sqs_mapping/sqs-mapping-needs-three-queue-rights"),
        admits: |mapping| {
            mapping.of_queue()?.may(&["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"])
        },
    },
    Rule {
        claim: "the stream is there",
        parameter: "EventSourceArn",
        code: InvalidParameterValueException,
        words: Some("Stream not found: <arn>"),
        source: Fact("stream_mapping/stream-unknown-stream"),
        admits: |mapping| mapping.of_stream()?.looked_up.is_source_known,
    },
    Rule {
        claim: "the queue is there",
        parameter: "EventSourceArn",
        code: InvalidParameterValueException,
        words: Some(
            "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS Error \
             Message: The specified queue does not exist.",
        ),
        source: Fact("sqs_mapping/sqs-mapping-unknown-queue"),
        admits: |mapping| mapping.of_queue()?.looked_up.is_source_known,
    },
    Rule {
        claim: "a source has one mapping to a function",
        parameter: "FunctionName",
        code: ResourceConflictException,
        words: None,
        source: Fact("sqs_mapping/sqs-mapping-duplicate"),
        admits: |mapping| {
            let is_same = |(source, function): &(String, String)| {
                *source == mapping.event_source_arn && *function == mapping.function_name
            };
            Some(!mapping.looked_up.mappings.iter().any(is_same))
        },
    },
    Rule {
        claim: "a filter's pattern is a JSON object of lists",
        parameter: "FilterCriteria",
        code: InvalidParameterValueException,
        words: Some("Invalid filter pattern definition."),
        source: Fact("sqs_mapping/sqs-mapping-invalid-filter"),
        admits: |mapping| Some(mapping.filter_criteria.filters.iter().all(|filter| filter.members().is_some())),
    },
    Rule {
        claim: "the only response type is ReportBatchItemFailures",
        parameter: "FunctionResponseTypes",
        code: ValidationException,
        words: None,
        source: MAPPING_PAGE,
        admits: |mapping| {
            let types = &mapping.function_response_types;
            (!types.is_empty()).then(|| types.iter().all(|response_type| response_type == REPORT_BATCH_ITEM_FAILURES))
        },
    },
];

/// The rules of queues.
pub(crate) const QUEUE_RULES: &[Rule<Settings>] = &[
    Rule {
        claim: "a name ends in .fifo where the attribute FifoQueue is true, and nowhere else",
        parameter: "QueueName",
        code: InvalidParameterValue,
        words: None,
        source: Fact("sqs/fifo-suffix-needs-attribute"),
        admits: |queue| Some(queue.name_ends_in_fifo == queue.is_fifo),
    },
    Rule {
        claim: "a message is hidden for 0 to 43,200 s",
        parameter: "VisibilityTimeout",
        code: InvalidAttributeValue,
        words: None,
        source: QUEUE_PAGE,
        admits: |queue| Some((0..=43_200).contains(&queue.visibility_timeout_seconds)),
    },
    Rule {
        claim: "a message is kept for 60 to 1,209,600 s",
        parameter: "MessageRetentionPeriod",
        code: InvalidAttributeValue,
        words: None,
        source: QUEUE_PAGE,
        admits: |queue| Some((60..=1_209_600).contains(&queue.retention_seconds)),
    },
    Rule {
        claim: "a message is delayed by 0 to 900 s",
        parameter: "DelaySeconds",
        code: InvalidAttributeValue,
        words: None,
        source: QUEUE_PAGE,
        admits: |queue| Some((0..=900).contains(&queue.delay_seconds)),
    },
    Rule {
        claim: "the largest message has 1,024 to 1,048,576 bytes",
        parameter: "MaximumMessageSize",
        code: InvalidAttributeValue,
        words: None,
        source: QUEUE_PAGE,
        admits: |queue| Some((1_024..=1_048_576).contains(&queue.message_bytes_max)),
    },
    Rule {
        claim: "a receive waits for 0 to 20 s",
        parameter: "ReceiveMessageWaitTimeSeconds",
        code: InvalidAttributeValue,
        words: None,
        source: QUEUE_PAGE,
        admits: |queue| Some((0..=20).contains(&queue.wait_seconds)),
    },
    Rule {
        claim: "a message is received 1 to 1,000 times before it is a dead letter",
        parameter: "RedrivePolicy",
        code: InvalidAttributeValue,
        words: None,
        source: Documented("SQS developer guide, Amazon SQS dead-letter queues"),
        admits: |queue| Some((1..=1_000).contains(&queue.redrive.as_ref()?.receives_max)),
    },
    Rule {
        claim: "a dead-letter queue is FIFO where its source is, and nowhere else",
        parameter: "RedrivePolicy",
        code: InvalidParameterValue,
        words: None,
        source: Documented("SQS developer guide, Using dead-letter queues"),
        admits: |queue| Some(queue.redrive.as_ref()?.is_to_fifo() == queue.is_fifo),
    },
    Rule {
        claim: "the throughput limit perMessageGroupId needs the deduplication scope messageGroup",
        parameter: "FifoThroughputLimit",
        code: InvalidAttributeValue,
        words: None,
        source: QUEUE_PAGE,
        admits: |queue| queue.has_throughput_per_group.then_some(queue.is_deduplicated_per_group),
    },
    Rule {
        claim: "a queue is encrypted by SQS or with a key, not both",
        parameter: "SqsManagedSseEnabled",
        code: InvalidAttributeName,
        words: None,
        source: Fact("sqs/two-kinds-of-encryption-refused"),
        admits: |queue| Some(!(queue.is_encrypted_by_sqs() && queue.has_kms_key())),
    },
];

fn is_in(range: RangeInclusive<i64>, value: Option<i64>) -> Option<bool> {
    value.map(|value| range.contains(&value))
}
