# What `make build` says of the zips: the architecture they were built for, which the functions compare with the plan's,
# and the fingerprint of the schemas in them, which operators' tools read from a function's configuration.

locals {
  built_for = trimspace(try(file("${path.module}/${var.artifacts_path}/architecture"), "unknown"))
  schemas   = trimspace(try(file("${path.module}/${var.artifacts_path}/schemas"), "unknown"))
}
