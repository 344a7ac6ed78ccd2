# What `make build` says it built for; the functions refuse a plan that says otherwise.

locals {
  built_for = trimspace(try(file("${path.module}/${var.artifacts_path}/architecture"), "unknown"))
}
