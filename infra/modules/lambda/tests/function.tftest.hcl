# One function: runtime, rights, and the zips it refuses.

mock_provider "aws" {
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
  }

  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:us-east-1:123456789012:log-group:mock" }
  }
}

variables {
  name               = "function"
  description        = "A function"
  artifact           = "tests/bootstrap.zip"
  architecture       = "arm64"
  built_for          = "arm64"
  memory_mb          = 256
  timeout_seconds    = 15
  environment        = { NAME = "value" }
  log_level          = "INFO"
  log_retention_days = 30

  statements = [{
    Sid      = "Own"
    Effect   = "Allow"
    Action   = ["sqs:SendMessage"]
    Resource = ["arn:aws:sqs:us-east-1:123456789012:queue"]
  }]
}

run "function" {
  assert {
    condition     = aws_lambda_function.this.runtime == "provided.al2023" && aws_lambda_function.this.handler == "bootstrap" && tolist(aws_lambda_function.this.architectures) == tolist(["arm64"])
    error_message = "runtime, handler or architecture is wrong"
  }

  assert {
    condition     = aws_lambda_function.this.timeout == 15 && aws_lambda_function.this.memory_size == 256 && aws_lambda_function.this.environment[0].variables == tomap({ NAME = "value" })
    error_message = "timeout, memory or environment is not the one asked for"
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.name == "/aws/lambda/function" && aws_cloudwatch_log_group.this.retention_in_days == 30 && aws_lambda_function.this.logging_config[0].log_group == aws_cloudwatch_log_group.this.name
    error_message = "the function's log does not go where its retention is set"
  }

  assert {
    condition     = aws_lambda_function.this.source_code_hash == filebase64sha256("tests/bootstrap.zip")
    error_message = "a new zip would not be deployed"
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Sid] == ["Log", "Own"]
    error_message = "the role may do more or less than log and what was asked for"
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.this.policy).Statement[0].Resource == ["${aws_cloudwatch_log_group.this.arn}:*"]
    error_message = "the function may write other logs than its own"
  }
}

run "key" {
  variables {
    kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.this.policy).Statement[1].Resource == [var.kms_key_arn]
    error_message = "the function may not use the key, or may use others"
  }

  assert {
    condition     = aws_lambda_function.this.kms_key_arn == var.kms_key_arn && aws_cloudwatch_log_group.this.kms_key_id == var.kms_key_arn
    error_message = "environment or log is not under the key"
  }
}

run "zip_built_for_another_processor" {
  command = plan

  variables {
    built_for = "x86_64"
  }

  expect_failures = [aws_lambda_function.this]
}

run "zip_missing" {
  command = plan

  variables {
    artifact = "tests/absent.zip"
  }

  expect_failures = [aws_lambda_function.this]
}
