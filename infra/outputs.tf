output "project" {
  description = "Prefix of all names."
  value       = var.project
}

output "region" {
  description = "Where everything is."
  value       = var.region
}

output "events_queue_url" {
  description = "Where producers send events."
  value       = aws_sqs_queue.events.url
}

output "events_queue_arn" {
  description = "For the policies of producers, which need sqs:SendMessage on it."
  value       = aws_sqs_queue.events.arn
}

output "dead_letter_queue_url" {
  description = "Where messages wait that AWS kept refusing."
  value       = aws_sqs_queue.dead_letters.url
}

output "projector_failures_queue_url" {
  description = "Where Lambda announces the stream records that it discarded."
  value       = aws_sqs_queue.projector_failures.url
}

output "table_names" {
  description = "The tables: ledger, claims, read models."
  value = {
    events      = aws_dynamodb_table.events.name
    idempotency = aws_dynamodb_table.idempotency.name
    projections = aws_dynamodb_table.projections.name
  }
}

output "events_stream_arn" {
  description = "The ledger's stream. It takes two readers; the projector is one."
  value       = aws_dynamodb_table.events.stream_arn
}

output "alerts_topic_arn" {
  description = "Subscribe here to alerts and alarms; message attributes tell kind, tenant_id and, of alerts, class."
  value       = aws_sns_topic.alerts.arn
}

output "function_names" {
  description = "The functions."
  value = {
    processor = module.processor.name
    projector = module.projector.name
    seeder    = module.seeder.name
  }
}

output "log_group_names" {
  description = "The functions' logs."
  value = {
    processor = module.processor.log_group_name
    projector = module.projector.log_group_name
    seeder    = module.seeder.log_group_name
  }
}

output "dashboard_urls" {
  description = "Links to the dashboards."
  value = {
    for key, dashboard in aws_cloudwatch_dashboard.this :
    key => "https://${var.region}.console.aws.amazon.com/cloudwatch/home?region=${var.region}#dashboards/dashboard/${dashboard.dashboard_name}"
  }
}
