# Four customer keys, so that reading a backup, a log or a secret is a right of its own, and one key
# in the recovery region for the copies there.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  account_root = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root"

  keys = {
    data     = { region = var.region, services = [] }
    secrets  = { region = var.region, services = [] }
    logs     = { region = var.region, services = ["logs.${var.region}.amazonaws.com", "cloudwatch.amazonaws.com", "events.amazonaws.com"] }
    backups  = { region = var.region, services = [] }
    recovery = { region = var.recovery_region, services = ["logs.${var.recovery_region}.amazonaws.com"] }
  }
}

resource "aws_kms_key" "this" {
  for_each = local.keys

  region                  = each.value.region
  description             = "${var.prefix} ${each.key}"
  enable_key_rotation     = true
  deletion_window_in_days = 30

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid       = "AccountDecidesByIam"
        Effect    = "Allow"
        Principal = { AWS = local.account_root }
        Action    = "kms:*"
        Resource  = "*"
      }],
      length(each.value.services) == 0 ? [] : [{
        Sid       = "ServicesOfThisAccount"
        Effect    = "Allow"
        Principal = { Service = each.value.services }
        Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
        Resource  = "*"
        Condition = { StringEqualsIfExists = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
      }],
    )
  })
}

resource "aws_kms_alias" "this" {
  for_each = local.keys

  region        = each.value.region
  name          = "alias/${var.prefix}-${each.key}"
  target_key_id = aws_kms_key.this[each.key].key_id
}
