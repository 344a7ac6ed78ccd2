# What a person should look at. All are silent where there is no data, act when their state changes, and publish to the
# alerts topic, also when all is well again.

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
      description = "The projector crashed, ran out of time or could not start; no content makes it fail."
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
      description = "The projector lags behind the ledger, so counts, metrics and alerts do. Records are lost to it after 22 hours."
      namespace   = "AWS/Lambda"
      metric      = "IteratorAge"
      dimensions  = { FunctionName = module.projector.name }
      statistic   = "Maximum"
      threshold   = var.iterator_age_alarm_minutes * 60000
      periods     = 1
    }
    projector-failures = {
      description = "Stream records were not projected, and no command adds them later: the counts of their days stay too low. No entry is lost. The queue's messages name the records, or the shard and the range of its sequence numbers, for 14 days."
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
      description = "An entry of the ledger was changed by something that is not part of this system."
      namespace   = "EventProcessor"
      metric      = "UnexpectedModify"
      dimensions  = {}
      statistic   = "Sum"
      threshold   = 1
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
