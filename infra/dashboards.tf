# One dashboard per file in dashboards/, named after the project and the file.

locals {
  dashboards_path = "${path.module}/../dashboards"
}

resource "aws_cloudwatch_dashboard" "this" {
  for_each = toset([for file in fileset(local.dashboards_path, "*.json") : trimsuffix(file, ".json")])

  dashboard_name = "${var.project}-${each.key}"

  dashboard_body = templatefile("${local.dashboards_path}/${each.key}.json", {
    project    = var.project
    region     = var.region
    account_id = data.aws_caller_identity.current.account_id
    partition  = data.aws_partition.current.partition
  })
}
