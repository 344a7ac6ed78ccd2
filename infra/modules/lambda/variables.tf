variable "name" {
  description = "Name of the function; its role has the same."
  type        = string
}

variable "description" {
  description = "What the function does, in one line."
  type        = string
}

variable "artifact" {
  description = "Path of a zip with an executable named bootstrap."
  type        = string
}

variable "architecture" {
  description = "arm64 or x86_64."
  type        = string
}

variable "built_for" {
  description = "Architecture the zip was built for."
  type        = string
}

variable "memory_mb" {
  description = "Memory in MB."
  type        = number
}

variable "timeout_seconds" {
  description = "Seconds one invocation may take."
  type        = number
}

variable "environment" {
  description = "Environment variables."
  type        = map(string)
}

variable "statements" {
  description = "Statements of the role's policy, besides writing its own log."
  type        = any
}

variable "log_level" {
  description = "Level from which the function logs."
  type        = string
}

variable "log_retention_days" {
  description = "Days the log is kept."
  type        = number
}

variable "kms_key_arn" {
  description = "KMS key for log and environment, which the function may also use for what it reads and writes; null: AWS's."
  type        = string
  default     = null
}
