# The way in, its dead-letter queue, where the stream's failures wait, and the topic of alerts and alarms.

locals {
  # What one entry of the ledger can hold raw; a longer body would have to be cut.
  message_bytes_max      = 262144
  retention_days_seconds = 86400
}

resource "aws_sqs_queue" "events" {
  name       = "${var.project}-events.fifo"
  fifo_queue = true

  # The seeder sends deduplication ids; producers that do not are still served.
  content_based_deduplication = true
  deduplication_scope         = "messageGroup"
  fifo_throughput_limit       = "perMessageGroupId"
  max_message_size            = local.message_bytes_max

  # "Set the queue's visibility timeout to at least six times the function's timeout" (Lambda developer guide).
  visibility_timeout_seconds = 6 * local.processor_timeout_seconds

  # The longest that SQS offers. A message that grows older is deleted, not moved to the dead-letter queue.
  message_retention_seconds = 14 * local.retention_days_seconds

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    maxReceiveCount     = var.max_receive_count
  })

  sqs_managed_sse_enabled = var.kms_key_arn == null ? true : null
  kms_master_key_id       = var.kms_key_arn
}

resource "aws_sqs_queue" "dead_letters" {
  name                        = "${var.project}-events-dlq.fifo"
  fifo_queue                  = true
  content_based_deduplication = true
  max_message_size            = local.message_bytes_max
  message_retention_seconds   = 14 * local.retention_days_seconds

  sqs_managed_sse_enabled = var.kms_key_arn == null ? true : null
  kms_master_key_id       = var.kms_key_arn
}

resource "aws_sqs_queue_redrive_allow_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.events.arn]
  })
}

# What Lambda tells of the batches of stream records that it discarded after 22 hours.
resource "aws_sqs_queue" "projector_failures" {
  name                      = "${var.project}-projector-failures"
  message_retention_seconds = 14 * local.retention_days_seconds

  sqs_managed_sse_enabled = var.kms_key_arn == null ? true : null
  kms_master_key_id       = var.kms_key_arn
}

resource "aws_sqs_queue_policy" "tls_only" {
  for_each = {
    events             = aws_sqs_queue.events
    dead_letters       = aws_sqs_queue.dead_letters
    projector_failures = aws_sqs_queue.projector_failures
  }

  queue_url = each.value.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "RefusePlainHttp"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sqs:*"
      Resource  = each.value.arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}

resource "aws_sns_topic" "alerts" {
  #checkov:skip=CKV_AWS_26:CloudWatch alarms cannot publish to a topic under the key that AWS manages, so only kms_key_arn encrypts it; alerts hold no payload values
  name              = "${var.project}-alerts"
  kms_master_key_id = var.kms_key_arn
}

resource "aws_sns_topic_policy" "alerts" {
  arn = aws_sns_topic.alerts.arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "RefusePlainHttp"
        Effect    = "Deny"
        Principal = "*"
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alerts.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
      {
        Sid       = "AlarmsOfThisAccount"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = "sns:Publish"
        Resource  = aws_sns_topic.alerts.arn
        Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
      },
    ]
  })
}

resource "aws_sns_topic_subscription" "email" {
  for_each  = var.alert_email_addresses
  topic_arn = aws_sns_topic.alerts.arn
  protocol  = "email"
  endpoint  = each.value
}
