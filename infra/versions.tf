# The tests in tests/ need Terraform 1.11; everything else works from 1.6 on.
terraform {
  required_version = ">= 1.6"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }
}

provider "aws" {
  region = var.region

  default_tags {
    tags = merge({ Project = var.project }, var.tags)
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}
