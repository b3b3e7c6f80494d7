# Production on Google Cloud: what is fixed for this environment. What differs between installations is in
# terraform.tfvars.

locals {
  labels = merge(var.labels, { application = "tidemark", environment = "production", managed-by = "terraform" })
}

provider "google" {
  project        = var.project
  region         = var.region
  default_labels = local.labels
}

provider "random" {}

module "tidemark" {
  source = "../.."

  environment          = "production"
  project              = var.project
  billing_account      = var.billing_account
  region               = var.region
  recovery_region      = var.recovery_region
  domain               = var.domain
  kubernetes_api_cidrs = var.kubernetes_api_cidrs
  administrators       = var.administrators
  alert_emails         = var.alert_emails
  monthly_budget_usd   = var.monthly_budget_usd
  labels               = var.labels
  schema_folder        = "${path.root}/../../../../app/protocol/schemas"

  kubernetes_version  = "1.34"
  network_cidr        = "10.50.0.0/16"
  high_availability   = true
  deletion_protection = true

  retention = {
    backup_days        = 35
    log_days           = 365
    point_in_time_days = 35
  }

  # redis.type is the memory in GiB, kafka.type the number of vCPUs. Kafka grows its disks itself, and
  # RabbitMQ runs in the cluster.
  sizes = {
    nodes    = { type = "e2-standard-4", minimum = 3, maximum = 9 }
    postgres = { type = "db-custom-2-7680", storage_gib = 200 }
    redis    = { type = "12" }
    kafka    = { type = "6", storage_gib = 200 }
    rabbitmq = { type = "in-cluster" }
  }
}
