# Production on AWS: what is fixed for this environment. What differs between
# installations is in terraform.tfvars.

locals {
  labels = merge(var.labels, { application = "tidemark", environment = "production", managed-by = "terraform" })
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

  environment          = "production"
  region               = var.region
  recovery_region      = var.recovery_region
  domain               = var.domain
  kubernetes_api_cidrs = var.kubernetes_api_cidrs
  administrators       = var.administrators
  alert_emails         = var.alert_emails
  monthly_budget_usd   = var.monthly_budget_usd
  labels               = var.labels

  kubernetes_version  = "1.34"
  network_cidr        = "10.50.0.0/16"
  high_availability   = true
  deletion_protection = true

  retention = {
    backup_days        = 35
    log_days           = 365
    point_in_time_days = 35
  }

  sizes = {
    nodes    = { type = "m7i.xlarge", minimum = 3, maximum = 9 }
    postgres = { type = "db.m7g.large", storage_gib = 200 }
    redis    = { type = "cache.r7g.large" }
    kafka    = { type = "kafka.m7g.large", storage_gib = 200 }
    rabbitmq = { type = "mq.m7g.large" }
  }
}
