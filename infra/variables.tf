variable "project" {
  description = "Prefix of all names. The metrics' namespace is not prefixed, so keep one deployment per account and region."
  type        = string
  default     = "event-processor"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,38}[a-z0-9]$", var.project))
    error_message = "project must be 2 to 40 lower-case letters, digits and hyphens, starting with a letter and not ending with a hyphen."
  }
}

variable "region" {
  description = "AWS region of everything."
  type        = string
  default     = "us-east-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be the code of an AWS region, such as eu-central-1."
  }
}

variable "tags" {
  description = "Tags of every resource, besides Project."
  type        = map(string)
  default     = {}
}

variable "architecture" {
  description = "Processor architecture of the functions: arm64 or x86_64. The zips must be built for it (`make build ARCHITECTURE=...`)."
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture must be arm64 or x86_64."
  }
}

variable "artifacts_path" {
  description = "Folder with event-processor.zip, seeder.zip, projector.zip and the files architecture and schemas, as `make build` leaves them; relative to this folder."
  type        = string
  default     = "../bin"
}

variable "events_ttl_days" {
  description = "Days an entry of the ledger lives; 0: for ever."
  type        = number
  default     = 0

  validation {
    condition     = var.events_ttl_days >= 0 && var.events_ttl_days <= 36500 && floor(var.events_ttl_days) == var.events_ttl_days
    error_message = "events_ttl_days must be a whole number from 0 to 36500."
  }
}

variable "idempotency_ttl_days" {
  description = "Days a claim lives, which is how long duplicates are recognised; 0: for ever."
  type        = number
  default     = 7

  validation {
    condition     = var.idempotency_ttl_days >= 0 && var.idempotency_ttl_days <= 36500 && floor(var.idempotency_ttl_days) == var.idempotency_ttl_days
    error_message = "idempotency_ttl_days must be a whole number from 0 to 36500."
  }
}

variable "status_index" {
  description = "Which entries the status index lists: all, or invalid. One status is one index partition (1,000 writes a second), so a ledger that takes in more should list the INVALID ones only."
  type        = string
  default     = "all"

  validation {
    condition     = contains(["all", "invalid"], var.status_index)
    error_message = "status_index must be all or invalid."
  }
}

variable "deletion_protection" {
  description = "Whether DynamoDB refuses to delete the tables. `make destroy` lifts it after asking."
  type        = bool
  default     = true
}

variable "kms_key_arn" {
  description = "ARN of a KMS key of yours for tables, queues, topic, logs and function configuration; null: keys that AWS owns or manages. The key's policy must let logs.REGION.amazonaws.com and cloudwatch.amazonaws.com (alarms on the topic) use it."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "kms_key_arn must be null or the ARN of a KMS key (not of an alias)."
  }
}

variable "processor_memory_mb" {
  description = "Memory of the processor in MB; CPU comes in proportion."
  type        = number
  default     = 256

  validation {
    condition     = var.processor_memory_mb >= 256 && var.processor_memory_mb <= 10240
    error_message = "processor_memory_mb must be from 256 (ten bodies of the largest size need up to 200) to 10240."
  }
}

variable "projector_memory_mb" {
  description = "Memory of the projector in MB; CPU comes in proportion."
  type        = number
  default     = 512

  validation {
    condition     = var.projector_memory_mb >= 256 && var.projector_memory_mb <= 10240
    error_message = "projector_memory_mb must be from 256 to 10240."
  }
}

variable "max_receive_count" {
  description = "Deliveries of a message that fail before SQS moves it to the dead-letter queue, 90 seconds apart. Only a refusal by AWS makes a message fail, and an outage outlasts minutes; a message that is moved loses its place in its group. The price: a message that crashes the processor blocks its group as long, and the alarm processor-errors tells so."
  type        = number
  default     = 100

  validation {
    condition     = var.max_receive_count >= 1 && var.max_receive_count <= 1000 && floor(var.max_receive_count) == var.max_receive_count
    error_message = "max_receive_count must be a whole number from 1 to 1000, which is what SQS takes."
  }
}

variable "processor_concurrency_max" {
  description = "Processors the queue's mapping runs at once, at most."
  type        = number
  default     = 10

  validation {
    condition     = var.processor_concurrency_max >= 2 && var.processor_concurrency_max <= 1000 && floor(var.processor_concurrency_max) == var.processor_concurrency_max
    error_message = "processor_concurrency_max must be a whole number from 2 to 1000."
  }
}

variable "projector_batching_window_seconds" {
  description = "Seconds the stream's mapping gathers records before it calls the projector: fewer writes and calls, later numbers. At 0 the projector's own writes and metric calls can cost more than the ledger's."
  type        = number
  default     = 5

  validation {
    condition     = var.projector_batching_window_seconds >= 0 && var.projector_batching_window_seconds <= 300 && floor(var.projector_batching_window_seconds) == var.projector_batching_window_seconds
    error_message = "projector_batching_window_seconds must be a whole number from 0 to 300."
  }
}

variable "metric_tenants" {
  description = "Tenants with a metric dimension of their own; empty: the first metric_tenants_max to come. All others share TenantId=_other."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for tenant in var.metric_tenants : can(regex("^[!-~]{1,128}$", tenant)) && !can(regex("^[_:]|[#,]", tenant))])
    error_message = "metric_tenants must be tenant ids of 1 to 128 printable ASCII characters without # or comma, not starting with _ or a colon."
  }

  validation {
    condition     = length(join(",", var.metric_tenants)) <= 3000
    error_message = "metric_tenants must not exceed 3000 characters in all: Lambda takes 4 KB of environment."
  }
}

variable "metric_tenants_max" {
  description = "How many of the first tenants to come have a metric dimension of their own. Each costs two custom metrics."
  type        = number
  default     = 100

  validation {
    condition     = var.metric_tenants_max >= 1 && var.metric_tenants_max <= 400 && floor(var.metric_tenants_max) == var.metric_tenants_max
    error_message = "metric_tenants_max must be a whole number from 1 to 400."
  }
}

variable "tenant_contributor_insights" {
  description = "Whether DynamoDB ranks the tenants by traffic (CloudWatch Contributor Insights on the ledger, charged per event): the way to see tenants without a metric dimension of their own."
  type        = bool
  default     = false
}

variable "alert_window_seconds" {
  description = "Seconds of one alert window: in each, at most one message a tenant, 20 messages about single tenants and 10 digests."
  type        = number
  default     = 300

  validation {
    condition     = var.alert_window_seconds >= 1 && var.alert_window_seconds <= 86400 && floor(var.alert_window_seconds) == var.alert_window_seconds
    error_message = "alert_window_seconds must be a whole number from 1 to 86400."
  }
}

variable "alert_email_addresses" {
  description = "Addresses that get alerts and alarms; each is asked to confirm."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.alert_email_addresses : can(regex("^[^@\\s]+@[^@\\s]+$", address))])
    error_message = "alert_email_addresses must be e-mail addresses."
  }
}

variable "oldest_message_alarm_seconds" {
  description = "Age of the oldest message in the events queue that raises an alarm."
  type        = number
  default     = 600

  validation {
    condition     = var.oldest_message_alarm_seconds > 90 && var.oldest_message_alarm_seconds <= 13 * 86400
    error_message = "oldest_message_alarm_seconds must be more than 90, because a delivery that fails takes that long to come again, and at most 1123200: after 14 days SQS deletes the message, and a day must be left to act."
  }
}

variable "iterator_age_alarm_minutes" {
  description = "How far the projector may fall behind the ledger before an alarm is raised. Records are lost to it after 22 hours."
  type        = number
  default     = 15

  validation {
    condition     = var.iterator_age_alarm_minutes >= 1 && var.iterator_age_alarm_minutes <= 720
    error_message = "iterator_age_alarm_minutes must be from 1 to 720."
  }
}

variable "invalid_rate_alarm_percent" {
  description = "Share of INVALID entries within five minutes that raises an alarm."
  type        = number
  default     = 5

  validation {
    condition     = var.invalid_rate_alarm_percent > 0 && var.invalid_rate_alarm_percent <= 100
    error_message = "invalid_rate_alarm_percent must be above 0 and at most 100."
  }
}

variable "log_retention_days" {
  description = "Days the functions' logs are kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be one of the periods CloudWatch Logs knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400 ... 3653."
  }
}

variable "log_level" {
  description = "Level from which the functions log: TRACE, DEBUG or INFO. Nothing above, because Lambda would drop the metrics, which leave as log lines of level INFO."
  type        = string
  default     = "INFO"

  validation {
    condition     = contains(["TRACE", "DEBUG", "INFO"], var.log_level)
    error_message = "log_level must be TRACE, DEBUG or INFO."
  }
}
