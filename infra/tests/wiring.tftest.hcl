# What the plan wires together, on a provider that creates nothing. Needs Terraform 1.11.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_resource "aws_dynamodb_table" {
    defaults = {
      arn        = "arn:aws:dynamodb:us-east-1:123456789012:table/mock"
      stream_arn = "arn:aws:dynamodb:us-east-1:123456789012:table/mock/stream/2026-01-15T00:00:00.000"
    }
  }

  mock_resource "aws_sqs_queue" {
    defaults = {
      arn = "arn:aws:sqs:us-east-1:123456789012:mock"
      id  = "https://sqs.us-east-1.amazonaws.com/123456789012/mock"
      url = "https://sqs.us-east-1.amazonaws.com/123456789012/mock"
    }
  }

  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:us-east-1:123456789012:mock" }
  }

  mock_resource "aws_cloudwatch_event_rule" {
    defaults = { arn = "arn:aws:events:us-east-1:123456789012:rule/mock" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
  }

  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:us-east-1:123456789012:function:mock" }
  }

  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:us-east-1:123456789012:log-group:mock" }
  }
}

variables {
  artifacts_path = "tests/artifacts"
}

# Mocked resources share one ARN per type unless they are told apart here.
override_resource {
  target = aws_sqs_queue.dead_letters
  values = {
    arn = "arn:aws:sqs:us-east-1:123456789012:dead-letters"
    id  = "https://sqs.us-east-1.amazonaws.com/123456789012/dead-letters"
    url = "https://sqs.us-east-1.amazonaws.com/123456789012/dead-letters"
  }
}

override_resource {
  target = aws_sqs_queue.events
  values = {
    arn = "arn:aws:sqs:us-east-1:123456789012:events"
    id  = "https://sqs.us-east-1.amazonaws.com/123456789012/events"
    url = "https://sqs.us-east-1.amazonaws.com/123456789012/events"
  }
}

override_resource {
  target = aws_sqs_queue.projector_failures
  values = {
    arn = "arn:aws:sqs:us-east-1:123456789012:failures"
    id  = "https://sqs.us-east-1.amazonaws.com/123456789012/failures"
    url = "https://sqs.us-east-1.amazonaws.com/123456789012/failures"
  }
}

override_resource {
  target = aws_dynamodb_table.events
  values = {
    arn        = "arn:aws:dynamodb:us-east-1:123456789012:table/events"
    stream_arn = "arn:aws:dynamodb:us-east-1:123456789012:table/events/stream/2026-01-15T00:00:00.000"
  }
}

override_resource {
  target = aws_dynamodb_table.projections
  values = { arn = "arn:aws:dynamodb:us-east-1:123456789012:table/projections" }
}

override_resource {
  target = module.projector.aws_lambda_function.this
  values = { arn = "arn:aws:lambda:us-east-1:123456789012:function:projector" }
}

override_resource {
  target = module.seeder.aws_lambda_function.this
  values = { arn = "arn:aws:lambda:us-east-1:123456789012:function:seeder" }
}

run "queues" {
  assert {
    condition     = aws_sqs_queue.events.name == "event-processor-events.fifo" && aws_sqs_queue.events.fifo_queue
    error_message = "the events queue is not the FIFO queue producers know"
  }

  assert {
    condition     = aws_sqs_queue.events.deduplication_scope == "messageGroup" && aws_sqs_queue.events.fifo_throughput_limit == "perMessageGroupId" && aws_sqs_queue.events.content_based_deduplication
    error_message = "deduplication and throughput are not per message group, or content-based deduplication is off"
  }

  assert {
    condition     = aws_sqs_queue.events.visibility_timeout_seconds == 90 && aws_sqs_queue.events.visibility_timeout_seconds == 6 * local.processor_timeout_seconds
    error_message = "the visibility timeout is not six times the processor's timeout"
  }

  assert {
    condition     = aws_sqs_queue.events.max_message_size == 262144 && aws_sqs_queue.dead_letters.max_message_size == 262144
    error_message = "a queue takes bodies of another size than an entry can hold"
  }

  assert {
    condition     = jsondecode(aws_sqs_queue.events.redrive_policy) == { deadLetterTargetArn = aws_sqs_queue.dead_letters.arn, maxReceiveCount = 100 }
    error_message = "messages do not go to the dead-letter queue after a hundred receives"
  }

  assert {
    condition     = aws_sqs_queue.dead_letters.name == "event-processor-events-dlq.fifo" && aws_sqs_queue.dead_letters.fifo_queue && aws_sqs_queue.dead_letters.message_retention_seconds == 1209600
    error_message = "the dead-letter queue is not FIFO or forgets before 14 days"
  }

  assert {
    condition     = aws_sqs_queue.events.message_retention_seconds == 1209600
    error_message = "the events queue forgets what is not yet recorded before 14 days"
  }

  assert {
    condition     = jsondecode(aws_sqs_queue_redrive_allow_policy.dead_letters.redrive_allow_policy).sourceQueueArns == [aws_sqs_queue.events.arn]
    error_message = "other queues than the events queue may use the dead-letter queue"
  }

  assert {
    condition     = alltrue([for queue in [aws_sqs_queue.events, aws_sqs_queue.dead_letters, aws_sqs_queue.projector_failures] : queue.sqs_managed_sse_enabled])
    error_message = "a queue is not encrypted at rest"
  }

  assert {
    condition = alltrue([
      for name in ["events", "dead_letters", "projector_failures"] :
      jsondecode(aws_sqs_queue_policy.tls_only[name].policy).Statement[0].Effect == "Deny" &&
      jsondecode(aws_sqs_queue_policy.tls_only[name].policy).Statement[0].Condition.Bool["aws:SecureTransport"] == "false"
    ])
    error_message = "a queue takes plain HTTP"
  }
}

run "tables" {
  assert {
    condition     = aws_dynamodb_table.events.name == "event-processor-events" && aws_dynamodb_table.events.hash_key == "tenant_id" && aws_dynamodb_table.events.range_key == "sk"
    error_message = "the ledger's name or key is wrong"
  }

  assert {
    condition     = aws_dynamodb_table.events.stream_enabled && aws_dynamodb_table.events.stream_view_type == "NEW_IMAGE"
    error_message = "the ledger's stream does not carry new images"
  }

  assert {
    condition = alltrue([
      for index in aws_dynamodb_table.events.global_secondary_index :
      index.name == "gsi_status_tenant" && index.hash_key == "status" && index.range_key == "tenant_id_created_at" &&
      index.projection_type == "INCLUDE" && toset(index.non_key_attributes) == toset(["event_type", "reason"])
    ]) && length(aws_dynamodb_table.events.global_secondary_index) == 1
    error_message = "the status index is not the one queries use"
  }

  assert {
    condition     = aws_dynamodb_table.idempotency.name == "event-processor-idempotency" && aws_dynamodb_table.idempotency.hash_key == "pk" && aws_dynamodb_table.idempotency.range_key == null
    error_message = "the claims' name or key is wrong"
  }

  assert {
    condition     = aws_dynamodb_table.projections.name == "event-processor-projections" && aws_dynamodb_table.projections.hash_key == "pk" && aws_dynamodb_table.projections.range_key == "sk"
    error_message = "the projections' name or key is wrong"
  }

  assert {
    condition = alltrue([
      for table in [aws_dynamodb_table.events, aws_dynamodb_table.idempotency, aws_dynamodb_table.projections] :
      table.ttl[0].enabled && table.ttl[0].attribute_name == "ttl" && table.point_in_time_recovery[0].enabled &&
      table.deletion_protection_enabled && table.billing_mode == "PAY_PER_REQUEST"
    ])
    error_message = "a table lacks its time to live, recovery, deletion protection or on-demand billing"
  }

  assert {
    condition     = length(aws_dynamodb_contributor_insights.tenants) == 0
    error_message = "contributor insights, which cost money, are on without being asked for"
  }
}

run "queue_mapping" {
  assert {
    condition     = aws_lambda_event_source_mapping.events_queue.event_source_arn == aws_sqs_queue.events.arn && aws_lambda_event_source_mapping.events_queue.function_name == module.processor.arn
    error_message = "the processor is not fed by the events queue"
  }

  assert {
    condition     = aws_lambda_event_source_mapping.events_queue.batch_size == 10 && tolist(aws_lambda_event_source_mapping.events_queue.function_response_types) == tolist(["ReportBatchItemFailures"])
    error_message = "batches are not of ten, or one failure would bring the whole batch back"
  }

  assert {
    condition     = aws_lambda_event_source_mapping.events_queue.scaling_config[0].maximum_concurrency == 10
    error_message = "the processors' number is not bounded as said"
  }
}

run "stream_mapping" {
  assert {
    condition     = aws_lambda_event_source_mapping.events_stream.event_source_arn == aws_dynamodb_table.events.stream_arn && aws_lambda_event_source_mapping.events_stream.function_name == module.projector.arn
    error_message = "the projector is not fed by the ledger's stream"
  }

  assert {
    condition     = aws_lambda_event_source_mapping.events_stream.starting_position == "TRIM_HORIZON" && aws_lambda_event_source_mapping.events_stream.batch_size == 1000
    error_message = "the projector does not start at the first record, or its batches have another size"
  }

  assert {
    condition     = tolist(aws_lambda_event_source_mapping.events_stream.function_response_types) == tolist(["ReportBatchItemFailures"])
    error_message = "one failure would bring the whole batch back"
  }

  assert {
    condition     = aws_lambda_event_source_mapping.events_stream.parallelization_factor == 1 && aws_lambda_event_source_mapping.events_stream.tumbling_window_in_seconds == 60
    error_message = "events do not tell the shard's id, or a shard has several readers"
  }

  assert {
    condition     = aws_lambda_event_source_mapping.events_stream.maximum_retry_attempts == -1 && !aws_lambda_event_source_mapping.events_stream.bisect_batch_on_function_error
    error_message = "batches are given up or split"
  }

  assert {
    condition     = aws_lambda_event_source_mapping.events_stream.maximum_record_age_in_seconds == 79200
    error_message = "records are not given up at 22 hours"
  }

  assert {
    condition     = aws_lambda_event_source_mapping.events_stream.destination_config[0].on_failure[0].destination_arn == aws_sqs_queue.projector_failures.arn
    error_message = "nobody is told of records that were given up"
  }

  assert {
    condition     = length(aws_lambda_event_source_mapping.events_stream.filter_criteria) == 0
    error_message = "a filter stands beside the tumbling window, which AWS refuses"
  }

  assert {
    condition     = aws_lambda_event_source_mapping.events_stream.maximum_batching_window_in_seconds == 5
    error_message = "records are not gathered for five seconds"
  }
}

run "tick" {
  assert {
    condition     = aws_cloudwatch_event_rule.tick.schedule_expression == "rate(1 minute)" && aws_cloudwatch_event_target.tick.rule == aws_cloudwatch_event_rule.tick.name && aws_cloudwatch_event_target.tick.arn == module.projector.arn
    error_message = "the projector is not invoked every minute"
  }

  assert {
    condition     = jsondecode(aws_cloudwatch_event_target.tick.input) == { tick = true }
    error_message = "the schedule does not say that it is a tick"
  }

  assert {
    condition     = aws_lambda_permission.tick.function_name == module.projector.name && aws_lambda_permission.tick.principal == "events.amazonaws.com" && aws_lambda_permission.tick.source_arn == aws_cloudwatch_event_rule.tick.arn
    error_message = "the schedule may not invoke the projector, or others may"
  }

  assert {
    condition = alltrue([
      for retry in [aws_cloudwatch_event_target.tick.retry_policy[0], aws_lambda_function_event_invoke_config.projector] :
      retry.maximum_retry_attempts == 0 && retry.maximum_event_age_in_seconds == 60
    ]) && aws_lambda_function_event_invoke_config.projector.function_name == module.projector.name
    error_message = "a late tick is tried again beside the next one"
  }
}

run "schemas" {
  assert {
    condition     = local.schemas == "0123456789abcdef"
    error_message = "the fingerprint is not the one that the build wrote"
  }
}

run "alarms" {
  assert {
    condition = toset(keys(aws_cloudwatch_metric_alarm.each)) == toset([
      "dead-letters", "oldest-message", "backlog", "processor-errors", "projector-errors", "processor-throttles",
      "projector-throttles", "iterator-age", "projector-failures", "conflicts", "unexpected-modify", "unexpected-remove",
      "uncounted-records", "alerts-refused", "alerts-pending-age",
    ])
    error_message = "an alarm is missing or unknown"
  }

  assert {
    condition = alltrue([
      for alarm in concat(values(aws_cloudwatch_metric_alarm.each), [aws_cloudwatch_metric_alarm.invalid_rate, aws_cloudwatch_metric_alarm.no_tick]) :
      alarm.alarm_actions == toset([aws_sns_topic.alerts.arn]) && alarm.ok_actions == toset([aws_sns_topic.alerts.arn]) &&
      length(alarm.alarm_description) > 0 && length(alarm.alarm_description) <= 1024
    ])
    error_message = "an alarm tells nobody, or explains nothing, or more than CloudWatch takes"
  }

  assert {
    condition = alltrue([
      for alarm in concat(values(aws_cloudwatch_metric_alarm.each), [aws_cloudwatch_metric_alarm.invalid_rate]) :
      alarm.treat_missing_data == "notBreaching"
    ])
    error_message = "an alarm rings where there is no data"
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.no_tick.treat_missing_data == "breaching" &&
      aws_cloudwatch_metric_alarm.no_tick.period * aws_cloudwatch_metric_alarm.no_tick.evaluation_periods == 600 &&
      aws_cloudwatch_metric_alarm.no_tick.statistic == "SampleCount" &&
      aws_cloudwatch_metric_alarm.no_tick.comparison_operator == "LessThanThreshold" && aws_cloudwatch_metric_alarm.no_tick.threshold == 1
    )
    error_message = "the absence of ticks for ten minutes raises no alarm, or their presence does"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.each["alerts-pending-age"].threshold == 600000 && aws_cloudwatch_metric_alarm.each["alerts-pending-age"].statistic == "Maximum"
    error_message = "an alert that stays pending beyond its window and five minutes raises no alarm"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.each["dead-letters"].dimensions == tomap({ QueueName = aws_sqs_queue.dead_letters.name }) && aws_cloudwatch_metric_alarm.each["dead-letters"].threshold == 1
    error_message = "the first dead letter does not raise an alarm"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.each["backlog"].threshold == 60000 && aws_cloudwatch_metric_alarm.each["iterator-age"].threshold == 900000
    error_message = "backlog or iterator age raise no alarm in time"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.each["projector-failures"].dimensions == tomap({ QueueName = aws_sqs_queue.projector_failures.name })
    error_message = "records that Lambda discarded raise no alarm"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.invalid_rate.threshold == 5
    error_message = "the INVALID rate has another threshold"
  }

  assert {
    condition     = jsondecode(aws_sns_topic_policy.alerts.policy).Statement[1].Principal == { Service = "cloudwatch.amazonaws.com" } && jsondecode(aws_sns_topic_policy.alerts.policy).Statement[1].Condition.StringEquals["aws:SourceAccount"] == "123456789012"
    error_message = "alarms may not publish, or those of other accounts may"
  }
}

run "dashboards" {
  assert {
    condition     = toset(keys(aws_cloudwatch_dashboard.this)) == toset(["operations", "tenants"])
    error_message = "a dashboard is missing or unknown"
  }

  # Every alarm stands first on the page.
  assert {
    condition = toset(jsondecode(aws_cloudwatch_dashboard.this["operations"].dashboard_body).widgets[0].properties.alarms) == toset([
      for key in concat(keys(aws_cloudwatch_metric_alarm.each), ["invalid-rate", "no-tick"]) :
      "arn:aws:cloudwatch:us-east-1:123456789012:alarm:event-processor-${key}"
    ])
    error_message = "the dashboard does not show every alarm"
  }

  assert {
    condition     = alltrue([for dashboard in values(aws_cloudwatch_dashboard.this) : length(regexall("[$][{](project|region|account_id|partition)", dashboard.dashboard_body)) == 0])
    error_message = "a placeholder was left in a dashboard"
  }
}

run "names_follow_the_project" {
  variables {
    project = "ledger-2"
    region  = "eu-central-1"
  }

  assert {
    condition = [
      aws_sqs_queue.events.name, aws_sqs_queue.dead_letters.name, aws_sqs_queue.projector_failures.name,
      aws_dynamodb_table.events.name, aws_dynamodb_table.idempotency.name, aws_dynamodb_table.projections.name,
      aws_sns_topic.alerts.name, module.processor.name, module.seeder.name, module.projector.name,
      aws_cloudwatch_event_rule.tick.name,
      ] == [
      "ledger-2-events.fifo", "ledger-2-events-dlq.fifo", "ledger-2-projector-failures",
      "ledger-2-events", "ledger-2-idempotency", "ledger-2-projections",
      "ledger-2-alerts", "ledger-2", "ledger-2-seed", "ledger-2-projector", "ledger-2-tick",
    ]
    error_message = "a name does not start with the project"
  }
}

run "options" {
  variables {
    deletion_protection         = false
    max_receive_count           = 3
    tenant_contributor_insights = true
    alert_email_addresses       = ["ops@example.com"]
    kms_key_arn                 = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  }

  assert {
    condition     = jsondecode(aws_sqs_queue.events.redrive_policy).maxReceiveCount == 3
    error_message = "the number of receives cannot be chosen"
  }

  assert {
    condition     = !aws_dynamodb_table.events.deletion_protection_enabled && length(aws_dynamodb_contributor_insights.tenants) == 1
    error_message = "deletion protection cannot be lifted, or contributor insights cannot be had"
  }

  assert {
    condition     = [for subscription in aws_sns_topic_subscription.email : subscription.endpoint] == ["ops@example.com"]
    error_message = "an address is not subscribed"
  }

  assert {
    condition = alltrue(concat(
      [for queue in [aws_sqs_queue.events, aws_sqs_queue.dead_letters, aws_sqs_queue.projector_failures] : queue.kms_master_key_id == var.kms_key_arn],
      [for table in [aws_dynamodb_table.events, aws_dynamodb_table.idempotency, aws_dynamodb_table.projections] : table.server_side_encryption[0].kms_key_arn == var.kms_key_arn],
      [aws_sns_topic.alerts.kms_master_key_id == var.kms_key_arn],
    ))
    error_message = "a key of one's own is not used everywhere"
  }
}
