# What the variables refuse, and a plan whose zips were built for another processor.

mock_provider "aws" {}

variables {
  artifacts_path = "tests/artifacts"
}

run "project_with_a_capital" {
  command = plan
  variables { project = "Events" }
  expect_failures = [var.project]
}

run "project_too_long_for_a_function_name" {
  command = plan
  variables { project = "a23456789-123456789-123456789-123456789-1" }
  expect_failures = [var.project]
}

run "region_that_is_none" {
  command = plan
  variables { region = "frankfurt" }
  expect_failures = [var.region]
}

run "architecture_unknown_to_lambda" {
  command = plan
  variables { architecture = "amd64" }
  expect_failures = [var.architecture]
}

run "half_a_day" {
  command = plan
  variables {
    events_ttl_days      = 0.5
    idempotency_ttl_days = -1
  }
  expect_failures = [var.events_ttl_days, var.idempotency_ttl_days]
}

run "more_than_a_century" {
  command = plan
  variables {
    events_ttl_days      = 36501
    idempotency_ttl_days = 36501
  }
  expect_failures = [var.events_ttl_days, var.idempotency_ttl_days]
}

run "status_index_unknown" {
  command = plan
  variables { status_index = "none" }
  expect_failures = [var.status_index]
}

run "key_by_alias" {
  command = plan
  variables { kms_key_arn = "alias/my-key" }
  expect_failures = [var.kms_key_arn]
}

run "too_little_memory" {
  command = plan
  variables {
    processor_memory_mb = 128
    projector_memory_mb = 128
  }
  expect_failures = [var.processor_memory_mb, var.projector_memory_mb]
}

run "mapping_out_of_range" {
  command = plan
  variables {
    processor_concurrency_max         = 1
    projector_batching_window_seconds = 301
  }
  expect_failures = [var.processor_concurrency_max, var.projector_batching_window_seconds]
}

run "tenant_the_processor_would_refuse" {
  command = plan
  variables { metric_tenants = ["tenant-a", "_other"] }
  expect_failures = [var.metric_tenants]
}

run "tenants_beyond_the_environment" {
  command = plan
  variables { metric_tenants = [for number in range(400) : "tenant-${number}"] }
  expect_failures = [var.metric_tenants]
}

run "projector_out_of_range" {
  command = plan
  variables {
    metric_tenants_max   = 401
    alert_window_seconds = 0
  }
  expect_failures = [var.metric_tenants_max, var.alert_window_seconds]
}

run "address_that_is_none" {
  command = plan
  variables { alert_email_addresses = ["ops"] }
  expect_failures = [var.alert_email_addresses]
}

run "receives_below_what_sqs_takes" {
  command = plan
  variables { max_receive_count = 0 }
  expect_failures = [var.max_receive_count]
}

run "receives_above_what_sqs_takes" {
  command = plan
  variables { max_receive_count = 1001 }
  expect_failures = [var.max_receive_count]
}

run "half_a_receive" {
  command = plan
  variables { max_receive_count = 2.5 }
  expect_failures = [var.max_receive_count]
}

run "alarm_after_the_message_is_deleted" {
  command = plan
  variables { oldest_message_alarm_seconds = 1123201 }
  expect_failures = [var.oldest_message_alarm_seconds]
}

run "alarms_out_of_range" {
  command = plan
  variables {
    oldest_message_alarm_seconds = 90
    iterator_age_alarm_minutes   = 1440
    invalid_rate_alarm_percent   = 0
  }
  expect_failures = [var.oldest_message_alarm_seconds, var.iterator_age_alarm_minutes, var.invalid_rate_alarm_percent]
}

run "logs_out_of_range" {
  command = plan
  variables {
    log_retention_days = 8
    log_level          = "WARN"
  }
  expect_failures = [var.log_retention_days, var.log_level]
}
