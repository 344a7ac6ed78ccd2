# Publishes sample events on demand: `make seed`.

module "seeder" {
  source = "./modules/lambda"

  name               = "${var.project}-seed"
  description        = "Publishes sample events to the queue"
  artifact           = "${path.module}/${var.artifacts_path}/seeder.zip"
  architecture       = var.architecture
  built_for          = local.built_for
  memory_mb          = 256
  timeout_seconds    = 30
  log_level          = var.log_level
  log_retention_days = var.log_retention_days
  kms_key_arn        = var.kms_key_arn

  environment = {
    PROJECT = var.project
  }

  statements = [
    {
      Sid      = "Publish"
      Effect   = "Allow"
      Action   = ["sqs:GetQueueUrl", "sqs:SendMessage"]
      Resource = [aws_sqs_queue.events.arn]
    },
  ]
}
