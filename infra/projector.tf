# From the ledger's stream into read models, metrics and alerts.

module "projector" {
  source = "./modules/lambda"

  name               = "${var.project}-projector"
  description        = "Folds the ledger into read models, metrics and alerts"
  artifact           = "${path.module}/${var.artifacts_path}/projector.zip"
  architecture       = var.architecture
  built_for          = local.built_for
  memory_mb          = var.projector_memory_mb
  timeout_seconds    = 60
  log_level          = var.log_level
  log_retention_days = var.log_retention_days
  kms_key_arn        = var.kms_key_arn

  environment = {
    PROJECTIONS_TABLE    = aws_dynamodb_table.projections.name
    ALERTS_TOPIC_ARN     = aws_sns_topic.alerts.arn
    PROJECT              = var.project
    METRIC_TENANTS       = join(",", var.metric_tenants)
    METRIC_TENANTS_MAX   = tostring(var.metric_tenants_max)
    ALERT_WINDOW_SECONDS = tostring(var.alert_window_seconds)
    SCHEMAS              = local.schemas
  }

  statements = [
    {
      # UpdateItem covers the updates of a transaction too: transactions have no action of their own.
      Sid      = "Count"
      Effect   = "Allow"
      Action   = ["dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:UpdateItem"]
      Resource = [aws_dynamodb_table.projections.arn]
    },
    {
      # An alert that was published is no longer pending. Nothing else is ever deleted.
      Sid       = "ForgetPublishedAlerts"
      Effect    = "Allow"
      Action    = ["dynamodb:DeleteItem"]
      Resource  = [aws_dynamodb_table.projections.arn]
      Condition = { "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = ["pending#*"] } }
    },
    {
      Sid      = "FollowLedger"
      Effect   = "Allow"
      Action   = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"]
      Resource = [aws_dynamodb_table.events.stream_arn]
    },
    {
      Sid      = "Alert"
      Effect   = "Allow"
      Action   = ["sns:Publish"]
      Resource = [aws_sns_topic.alerts.arn]
    },
    {
      # The function sends nothing there: the mapping sends what it discards to its on-failure destination by this role.
      Sid      = "SetAside"
      Effect   = "Allow"
      Action   = ["sqs:SendMessage"]
      Resource = [aws_sqs_queue.projector_failures.arn]
    },
    {
      # PutMetricData knows no resources, so the namespace is what can be narrowed.
      Sid       = "Measure"
      Effect    = "Allow"
      Action    = ["cloudwatch:PutMetricData"]
      Resource  = ["*"]
      Condition = { StringEquals = { "cloudwatch:namespace" = "EventProcessor" } }
    },
  ]
}

resource "aws_lambda_event_source_mapping" "events_stream" {
  event_source_arn                   = aws_dynamodb_table.events.stream_arn
  function_name                      = module.projector.arn
  starting_position                  = "TRIM_HORIZON"
  batch_size                         = 1000
  maximum_batching_window_in_seconds = var.projector_batching_window_seconds
  function_response_types            = ["ReportBatchItemFailures"]

  # Exact counts need one reader per shard that knows the shard's id, which only events of a tumbling window tell. The
  # window itself is not used, so it is short. AWS refuses a filter beside it: REMOVE records reach the projector too,
  # which passes over them.
  parallelization_factor     = 1
  tumbling_window_in_seconds = 60

  # No content makes the projector fail, so splitting a batch would not help, and giving up would lose counts; records
  # that are nevertheless too old are announced in the failures queue two hours before the stream forgets them.
  bisect_batch_on_function_error = false
  maximum_retry_attempts         = -1
  maximum_record_age_in_seconds  = 22 * 3600

  destination_config {
    on_failure {
      destination_arn = aws_sqs_queue.projector_failures.arn
    }
  }

  # Lambda tries the role's rights when the mapping is made.
  depends_on = [module.projector]
}

# The tick: the projector publishes alerts that are pending though no record comes, and measures them. A rule needs a
# permission on the function; a schedule of EventBridge Scheduler would need a role with a policy.
resource "aws_cloudwatch_event_rule" "tick" {
  name                = "${var.project}-tick"
  description         = "Invokes the projector every minute, so that pending alerts leave though no record comes"
  schedule_expression = "rate(1 minute)"
}

resource "aws_cloudwatch_event_target" "tick" {
  rule  = aws_cloudwatch_event_rule.tick.name
  arn   = module.projector.arn
  input = jsonencode({ tick = true })

  # A tick that is late is replaced by the next one. A minute is the least age that can be asked for.
  retry_policy {
    maximum_event_age_in_seconds = 60
    maximum_retry_attempts       = 0
  }
}

resource "aws_lambda_permission" "tick" {
  statement_id  = "tick"
  action        = "lambda:InvokeFunction"
  function_name = module.projector.name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.tick.arn
}

# The same for Lambda's own queue of asynchronous invocations, whose default is two retries within six hours.
resource "aws_lambda_function_event_invoke_config" "projector" {
  function_name                = module.projector.name
  maximum_event_age_in_seconds = 60
  maximum_retry_attempts       = 0
}
