# Production on Azure: what is fixed for this environment. What differs between installations is in
# terraform.tfvars.

provider "azurerm" {
  subscription_id     = var.subscription_id
  storage_use_azuread = true

  features {
    key_vault {
      purge_soft_delete_on_destroy = false
    }

    resource_group {
      prevent_deletion_if_contains_resources = true
    }
  }
}

provider "random" {}

module "tidemark" {
  source = "../.."

  environment          = "production"
  suffix               = var.suffix
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

  # kafka.type is the number of processing units; Event Hubs grows its disks itself, and RabbitMQ runs in
  # the cluster.
  sizes = {
    nodes    = { type = "Standard_D4ds_v5", minimum = 3, maximum = 9 }
    postgres = { type = "GP_Standard_D2ds_v5", storage_gib = 256 }
    redis    = { type = "Balanced_B10" }
    kafka    = { type = "1", storage_gib = 200 }
    rabbitmq = { type = "in-cluster" }
  }
}
