# Staging on AWS: what is fixed for this environment. What differs between
# installations is in terraform.tfvars.

locals {
  labels = merge(var.labels, { application = "tidemark", environment = "staging", managed-by = "terraform" })
}

provider "aws" {
  region              = var.region
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = local.labels
  }
}

provider "random" {}

module "tidemark" {
  source = "../.."

  environment          = "staging"
  region               = var.region
  recovery_region      = var.recovery_region
  domain               = var.domain
  kubernetes_api_cidrs = var.kubernetes_api_cidrs
  administrators       = var.administrators
  alert_emails         = var.alert_emails
  monthly_budget_usd   = var.monthly_budget_usd
  labels               = var.labels

  kubernetes_version  = "1.34"
  network_cidr        = "10.40.0.0/16"
  high_availability   = false
  deletion_protection = false

  retention = {
    backup_days        = 7
    log_days           = 30
    point_in_time_days = 7
  }

  sizes = {
    nodes    = { type = "m7i-flex.large", minimum = 2, maximum = 4 }
    postgres = { type = "db.t4g.medium", storage_gib = 32 }
    redis    = { type = "cache.t4g.small" }
    kafka    = { type = "kafka.m7g.large", storage_gib = 32 }
    rabbitmq = { type = "mq.m7g.medium" }
  }
}
