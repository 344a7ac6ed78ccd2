# From the queue into the ledger. Its rights on the tables are to insert what is not there and to read: it can neither
# overwrite nor delete.

locals {
  processor_timeout_seconds = 15
}

module "processor" {
  source = "./modules/lambda"

  name               = var.project
  description        = "Judges events and appends them to the ledger"
  artifact           = "${path.module}/${var.artifacts_path}/event-processor.zip"
  architecture       = var.architecture
  built_for          = local.built_for
  memory_mb          = var.processor_memory_mb
  timeout_seconds    = local.processor_timeout_seconds
  log_level          = var.log_level
  log_retention_days = var.log_retention_days
  kms_key_arn        = var.kms_key_arn

  environment = {
    EVENTS_TABLE         = aws_dynamodb_table.events.name
    IDEMPOTENCY_TABLE    = aws_dynamodb_table.idempotency.name
    EVENTS_TTL_DAYS      = tostring(var.events_ttl_days)
    IDEMPOTENCY_TTL_DAYS = tostring(var.idempotency_ttl_days)
    STATUS_INDEX         = var.status_index
    SCHEMAS              = local.schemas
  }

  statements = [
    {
      Sid      = "AppendAndRead"
      Effect   = "Allow"
      Action   = ["dynamodb:PartiQLInsert", "dynamodb:BatchGetItem"]
      Resource = [aws_dynamodb_table.events.arn, aws_dynamodb_table.idempotency.arn]
    },
    {
      Sid      = "TakeFromQueue"
      Effect   = "Allow"
      Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
      Resource = [aws_sqs_queue.events.arn]
    },
  ]
}

resource "aws_lambda_event_source_mapping" "events_queue" {
  event_source_arn        = aws_sqs_queue.events.arn
  function_name           = module.processor.arn
  batch_size              = 10
  function_response_types = ["ReportBatchItemFailures"]

  scaling_config {
    maximum_concurrency = var.processor_concurrency_max
  }

  # A mapping that did not report failures one by one deletes what the processor could not record, and goes on doing so
  # for a while after it was told better. The Go system's mapping is such a one, so it is replaced, not changed. What
  # tells that it comes from there is its queue, which deduplicates as a whole and keeps messages for four days; neither
  # changes later.
  lifecycle {
    replace_triggered_by = [
      aws_sqs_queue.events.deduplication_scope,
      aws_sqs_queue.events.message_retention_seconds,
    ]
  }

  # Lambda tries the role's rights when the mapping is made.
  depends_on = [module.processor]
}
