# What a person should look at. All but no-tick are silent where there is no data. All act when their state changes, and
# publish to the alerts topic, also when all is well again.

locals {
  alarms = {
    dead-letters = {
      description = "Messages that AWS kept refusing wait in the dead-letter queue, for 14 days. Mend what refused them (the processor's log says), then `infra/redrive` moves them back, each message group in its order."
      namespace   = "AWS/SQS"
      metric      = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = aws_sqs_queue.dead_letters.name }
      statistic   = "Maximum"
      threshold   = 1
      periods     = 1
    }
    oldest-message = {
      description = "The events queue is not being emptied: a group is blocked, or there is more than the processors take."
      namespace   = "AWS/SQS"
      metric      = "ApproximateAgeOfOldestMessage"
      dimensions  = { QueueName = aws_sqs_queue.events.name }
      statistic   = "Maximum"
      threshold   = var.oldest_message_alarm_seconds
      periods     = 1
    }
    # A FIFO queue looks for free groups among its first 120,000 messages; behind them, groups starve.
    backlog = {
      description = "The events queue is half way to the depth at which one tenant's backlog hides the others."
      namespace   = "AWS/SQS"
      metric      = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = aws_sqs_queue.events.name }
      statistic   = "Maximum"
      threshold   = 60000
      periods     = 1
    }
    processor-errors = {
      description = "The processor crashed, ran out of time or could not start; no content makes it fail. A message that crashes it blocks its message group until max_receive_count deliveries have failed."
      namespace   = "AWS/Lambda"
      metric      = "Errors"
      dimensions  = { FunctionName = module.processor.name }
      statistic   = "Sum"
      threshold   = 1
      periods     = 1
    }
    projector-errors = {
      description = "The projector crashed, ran out of time, could not start, or gets events that name no shard, which happens where the stream's mapping has lost its tumbling window; no content makes it fail. What it says: `aws logs tail /aws/lambda/${var.project}-projector --since 1h`."
      namespace   = "AWS/Lambda"
      metric      = "Errors"
      dimensions  = { FunctionName = module.projector.name }
      statistic   = "Sum"
      threshold   = 1
      periods     = 1
    }
    processor-throttles = {
      description = "Lambda refuses to run the processor: the account's concurrency is used up."
      namespace   = "AWS/Lambda"
      metric      = "Throttles"
      dimensions  = { FunctionName = module.processor.name }
      statistic   = "Sum"
      threshold   = 1
      periods     = 3
    }
    projector-throttles = {
      description = "Lambda refuses to run the projector: the account's concurrency is used up."
      namespace   = "AWS/Lambda"
      metric      = "Throttles"
      dimensions  = { FunctionName = module.projector.name }
      statistic   = "Sum"
      threshold   = 1
      periods     = 3
    }
    iterator-age = {
      description = "The projector lags behind the ledger, so read models, metrics and alerts do. Lambda discards its records after 22 hours."
      namespace   = "AWS/Lambda"
      metric      = "IteratorAge"
      dimensions  = { FunctionName = module.projector.name }
      statistic   = "Maximum"
      threshold   = var.iterator_age_alarm_minutes * 60000
      periods     = 1
    }
    projector-failures = {
      description = "Lambda discarded stream records that were 22 hours old: read models do not count them, and no alert names them. No entry is lost. For 14 days, each message of the queue ${var.project}-projector-failures names the shard and the range of sequence numbers. What held the projector back: `aws logs tail /aws/lambda/${var.project}-projector --since 1d`."
      namespace   = "AWS/SQS"
      metric      = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = aws_sqs_queue.projector_failures.name }
      statistic   = "Maximum"
      threshold   = 1
      periods     = 1
    }
    conflicts = {
      description = "A producer used an event id again for other content. `ledgerctl explain TENANT EVENT_ID` shows both."
      namespace   = "EventProcessor"
      metric      = "Conflicts"
      dimensions  = {}
      statistic   = "Sum"
      threshold   = 1
      periods     = 1
    }
    unexpected-modify = {
      description = "An entry of the ledger was changed by something that is not part of this system; read models count it as it was. Who may write to the table ${var.project}-events beside the processor? Data events of CloudTrail name the caller, where they are on; an entry whose id is known: `ledgerctl explain TENANT EVENT_ID`."
      namespace   = "EventProcessor"
      metric      = "UnexpectedModify"
      dimensions  = {}
      statistic   = "Sum"
      threshold   = 1
      periods     = 1
    }
    unexpected-remove = {
      description = "An entry of the ledger was deleted, and not by its time to live; read models still count it. Who may delete from the table ${var.project}-events? Data events of CloudTrail name the caller, where they are on. The table has point-in-time recovery for 35 days."
      namespace   = "EventProcessor"
      metric      = "UnexpectedRemove"
      dimensions  = {}
      statistic   = "Sum"
      threshold   = 1
      periods     = 1
    }
    uncounted-records = {
      description = "Read models lack entries whose stream records could not be read, or whose items DynamoDB refused. No entry is lost. Their days are marked as incomplete in the table ${var.project}-projections, and the log says why: `aws logs tail /aws/lambda/${var.project}-projector --since 1h`."
      namespace   = "EventProcessor"
      metric      = "UncountedRecords"
      dimensions  = {}
      statistic   = "Sum"
      threshold   = 1
      periods     = 1
    }
    alerts-refused = {
      description = "SNS refuses alerts on the topic ${var.project}-alerts. They stay pending and leave when it takes them again. Why it refuses: `aws logs tail /aws/lambda/${var.project}-projector --since 1h`; whom they are about: `ledgerctl alerts`."
      namespace   = "EventProcessor"
      metric      = "AlertsRefused"
      dimensions  = {}
      statistic   = "Sum"
      threshold   = 1
      periods     = 1
    }
    # Within a window and two minutes every alert leaves, where SNS takes it and there are not too many tenants to name.
    alerts-pending-age = {
      description = "An alert about INVALID entries has been pending for more than a window and five minutes: SNS refuses, or more tenants have alerts than the messages of a window can name. Who waits, the oldest first: `ledgerctl alerts`."
      namespace   = "EventProcessor"
      metric      = "AlertsPendingAge"
      dimensions  = {}
      statistic   = "Maximum"
      threshold   = (var.alert_window_seconds + 300) * 1000
      periods     = 1
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "each" {
  for_each = local.alarms

  alarm_name          = "${var.project}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = each.value.threshold
  period              = 300
  evaluation_periods  = each.value.periods
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alerts.arn]
  ok_actions          = [aws_sns_topic.alerts.arn]
}

# The dead man's switch: every tick puts AlertsPending, so only its absence rings. It may ring once in a new deployment,
# until the first ticks have come.
resource "aws_cloudwatch_metric_alarm" "no_tick" {
  alarm_name          = "${var.project}-no-tick"
  alarm_description   = "For 10 minutes the schedule has not invoked the projector, or the projector could not read which alerts are pending: alerts leave only with new entries, and some not at all. Is the rule enabled: `aws events describe-rule --name ${var.project}-tick`. What the function says: `aws logs tail /aws/lambda/${var.project}-projector --since 1h`."
  namespace           = "EventProcessor"
  metric_name         = "AlertsPending"
  dimensions          = {}
  statistic           = "SampleCount"
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  period              = 300
  evaluation_periods  = 2
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alerts.arn]
  ok_actions          = [aws_sns_topic.alerts.arn]
}

resource "aws_cloudwatch_metric_alarm" "invalid_rate" {
  alarm_name          = "${var.project}-invalid-rate"
  alarm_description   = "More of what arrives is INVALID than usual: a producer or a schema changed. The alerts tell which tenant, type and cause."
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = var.invalid_rate_alarm_percent
  evaluation_periods  = 3
  datapoints_to_alarm = 2
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alerts.arn]
  ok_actions          = [aws_sns_topic.alerts.arn]

  metric_query {
    id          = "rate"
    expression  = "100 * FILL(invalid, 0) / (FILL(invalid, 0) + FILL(ready, 0))"
    label       = "INVALID entries (%)"
    return_data = true
  }

  metric_query {
    id = "invalid"

    metric {
      namespace   = "EventProcessor"
      metric_name = "Recorded"
      dimensions  = { Status = "INVALID" }
      stat        = "Sum"
      period      = 300
    }
  }

  metric_query {
    id = "ready"

    metric {
      namespace   = "EventProcessor"
      metric_name = "Recorded"
      dimensions  = { Status = "READY" }
      stat        = "Sum"
      period      = 300
    }
  }
}
