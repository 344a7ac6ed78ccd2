# As much of the Go system's deployment as an upgrade meets: the same addresses, names and settings. infra/e2e deploys it
# first and this configuration over its state afterwards; crates/testkit/tests/infra compares the addresses.

terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }
}

provider "aws" {
  region = "us-east-1"
}

variable "project" {
  type    = string
  default = "event-processor"
}

# The Go system's zips are not needed: while its trigger is off, nothing runs them.
variable "artifact" {
  type = string
}

resource "aws_dynamodb_table" "events" {
  name             = "${var.project}-events"
  billing_mode     = "PAY_PER_REQUEST"
  hash_key         = "tenant_id"
  range_key        = "sk"
  stream_enabled   = true
  stream_view_type = "NEW_IMAGE"

  attribute {
    name = "tenant_id"
    type = "S"
  }

  attribute {
    name = "sk"
    type = "S"
  }

  attribute {
    name = "status"
    type = "S"
  }

  attribute {
    name = "tenant_id_created_at"
    type = "S"
  }

  global_secondary_index {
    name            = "gsi_status_tenant"
    hash_key        = "status"
    range_key       = "tenant_id_created_at"
    projection_type = "ALL"
  }

  ttl {
    attribute_name = "ttl"
    enabled        = true
  }
}

resource "aws_dynamodb_table" "idempotency" {
  name         = "${var.project}-idempotency"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "pk"

  attribute {
    name = "pk"
    type = "S"
  }

  ttl {
    attribute_name = "ttl"
    enabled        = true
  }
}

resource "aws_sqs_queue" "events_fifo_dlq" {
  name                        = "${var.project}-events-dlq.fifo"
  fifo_queue                  = true
  content_based_deduplication = true
}

resource "aws_sqs_queue" "events_fifo" {
  name                        = "${var.project}-events.fifo"
  fifo_queue                  = true
  content_based_deduplication = true
  visibility_timeout_seconds  = 90

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.events_fifo_dlq.arn
    maxReceiveCount     = 5
  })
}

resource "aws_iam_role" "lambda_role" {
  name = "${var.project}-lambda-role"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "lambda_policy" {
  role = aws_iam_role.lambda_role.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:SendMessage"]
      Resource = aws_sqs_queue.events_fifo.arn
    }]
  })
}

resource "aws_lambda_function" "processor" {
  function_name    = var.project
  role             = aws_iam_role.lambda_role.arn
  runtime          = "provided.al2"
  handler          = "bootstrap"
  filename         = var.artifact
  source_code_hash = filebase64sha256(var.artifact)
  memory_size      = 256
  timeout          = 15

  environment {
    variables = {
      EVENTS_TABLE         = aws_dynamodb_table.events.name
      IDEMPOTENCY_TABLE    = aws_dynamodb_table.idempotency.name
      EVENTS_TTL_DAYS      = "0"
      IDEMPOTENCY_TTL_DAYS = "7"
    }
  }
}

# Off, unlike the Go system's: its messages are to wait for the upgrade.
resource "aws_lambda_event_source_mapping" "sqs_trigger" {
  event_source_arn = aws_sqs_queue.events_fifo.arn
  function_name    = aws_lambda_function.processor.arn
  batch_size       = 1
  enabled          = false

  depends_on = [aws_iam_role_policy.lambda_policy]
}

resource "aws_lambda_function" "seed" {
  function_name    = "${var.project}-seed"
  role             = aws_iam_role.lambda_role.arn
  runtime          = "provided.al2"
  handler          = "bootstrap"
  filename         = var.artifact
  source_code_hash = filebase64sha256(var.artifact)
  memory_size      = 256
  timeout          = 30

  environment {
    variables = {
      PROJECT = var.project
    }
  }
}
