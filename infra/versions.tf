# 1.7 is the first version that reads the mocked tests in tests/, which `terraform init` does, and the repeated import
# blocks in moved.tf. Running the tests needs 1.11.
terraform {
  required_version = ">= 1.7"

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
