# One function on provided.al2023 with a role, a policy and a log group of its own.

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_50:X-Ray's rights cannot be narrowed to a resource, and durations are told by metrics and one log line per batch
  #checkov:skip=CKV_AWS_115:reserving concurrency takes it from the account; the queue's mapping has a maximum, the stream's runs once per shard
  #checkov:skip=CKV_AWS_116:the only asynchronous invocation is the projector's tick, which the next one replaces; queue and stream have their own places for what failed
  #checkov:skip=CKV_AWS_117:calls public AWS endpoints only, nothing in a VPC
  #checkov:skip=CKV_AWS_173:the environment holds names, no secrets; kms_key_arn encrypts it with a key of your own
  #checkov:skip=CKV_AWS_272:the zips are built where they are deployed from, so a signature would prove nothing; releases carry checksums
  function_name    = var.name
  description      = var.description
  role             = aws_iam_role.this.arn
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = [var.architecture]
  filename         = var.artifact
  source_code_hash = try(filebase64sha256(var.artifact), null)
  memory_size      = var.memory_mb
  timeout          = var.timeout_seconds
  kms_key_arn      = var.kms_key_arn

  environment {
    variables = var.environment
  }

  # Lambda takes a line without a time of its own for one of level INFO, which holds for all lines of ours. WARN keeps
  # the three lines out that Lambda would add to every invocation, and those about crashes and timeouts in.
  logging_config {
    log_format            = "JSON"
    log_group             = aws_cloudwatch_log_group.this.name
    application_log_level = var.log_level
    system_log_level      = "WARN"
  }

  lifecycle {
    precondition {
      condition     = fileexists(var.artifact)
      error_message = "${var.artifact} is missing: run `make build` first."
    }

    precondition {
      condition     = var.built_for == var.architecture
      error_message = "${var.artifact} was built for ${var.built_for}, but architecture is ${var.architecture}: run `make build ARCHITECTURE=${var.architecture}`, or set architecture."
    }
  }

  depends_on = [aws_iam_role_policy.this]
}

resource "aws_iam_role" "this" {
  name = var.name

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "this" {
  name = var.name
  role = aws_iam_role.this.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid      = "Log"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${aws_cloudwatch_log_group.this.arn}:*"]
      }],
      [for key in var.kms_key_arn[*] : {
        Sid      = "UseKey"
        Effect   = "Allow"
        Action   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"]
        Resource = [key]
      }],
      var.statements,
    )
  })
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:logs hold ids, counts and classes, no payload values; kms_key_arn encrypts them with a key of your own
  #checkov:skip=CKV_AWS_338:the record of what happened is the ledger; log_retention_days is a choice
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}
