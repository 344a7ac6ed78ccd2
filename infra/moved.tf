# What the Go system deployed becomes part of this deployment as it is: its queues with what is in them, its functions,
# its trigger and its logs. The two tables have the same addresses in both. A deployment that began here has none of
# these, and for it this file does nothing. docs/migrating.md tells the whole upgrade.

moved {
  from = aws_sqs_queue.events_fifo
  to   = aws_sqs_queue.events
}

moved {
  from = aws_sqs_queue.events_fifo_dlq
  to   = aws_sqs_queue.dead_letters
}

moved {
  from = aws_lambda_function.processor
  to   = module.processor.aws_lambda_function.this
}

moved {
  from = aws_lambda_function.seed
  to   = module.seeder.aws_lambda_function.this
}

moved {
  from = aws_lambda_event_source_mapping.sqs_trigger
  to   = aws_lambda_event_source_mapping.events_queue
}

# Lambda made the Go system's log groups by itself when a function first ran, so no state has them, and creating them
# again would fail. Those that exist are adopted; once they are in the state, these blocks do nothing.
data "aws_cloudwatch_log_groups" "existing" {
  log_group_name_prefix = "/aws/lambda/${var.project}"
}

import {
  for_each = toset([for name in data.aws_cloudwatch_log_groups.existing.log_group_names : name if name == "/aws/lambda/${var.project}"])
  to       = module.processor.aws_cloudwatch_log_group.this
  id       = each.value
}

import {
  for_each = toset([for name in data.aws_cloudwatch_log_groups.existing.log_group_names : name if name == "/aws/lambda/${var.project}-seed"])
  to       = module.seeder.aws_cloudwatch_log_group.this
  id       = each.value
}
