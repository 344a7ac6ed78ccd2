# The ledger, the claims that make its entries unique, and the counts folded from it. Keys and attributes are what
# `crates/ledger` writes; `crates/testkit/tests/infra` holds the two together.

resource "aws_dynamodb_table" "events" {
  #checkov:skip=CKV_AWS_119:a key of your own is a choice, kms_key_arn; without it DynamoDB encrypts with a key it owns
  name                        = "${var.project}-events"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "tenant_id"
  range_key                   = "sk"
  deletion_protection_enabled = var.deletion_protection
  stream_enabled              = true
  stream_view_type            = "NEW_IMAGE"

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

  # Payloads stay out: a write unit of the index holds every entry.
  global_secondary_index {
    name               = "gsi_status_tenant"
    hash_key           = "status"
    range_key          = "tenant_id_created_at"
    projection_type    = "INCLUDE"
    non_key_attributes = ["event_type", "reason"]
  }

  ttl {
    attribute_name = "ttl"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = var.kms_key_arn != null
    kms_key_arn = var.kms_key_arn
  }
}

resource "aws_dynamodb_table" "idempotency" {
  #checkov:skip=CKV_AWS_119:a key of your own is a choice, kms_key_arn; without it DynamoDB encrypts with a key it owns
  name                        = "${var.project}-idempotency"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "pk"
    type = "S"
  }

  ttl {
    attribute_name = "ttl"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = var.kms_key_arn != null
    kms_key_arn = var.kms_key_arn
  }
}

resource "aws_dynamodb_table" "projections" {
  #checkov:skip=CKV_AWS_119:a key of your own is a choice, kms_key_arn; without it DynamoDB encrypts with a key it owns
  name                        = "${var.project}-projections"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "pk"
    type = "S"
  }

  attribute {
    name = "sk"
    type = "S"
  }

  ttl {
    attribute_name = "ttl"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = var.kms_key_arn != null
    kms_key_arn = var.kms_key_arn
  }
}

# Ranks the ledger's partition keys, which are the tenants, by traffic.
resource "aws_dynamodb_contributor_insights" "tenants" {
  count      = var.tenant_contributor_insights ? 1 : 0
  table_name = aws_dynamodb_table.events.name
}
