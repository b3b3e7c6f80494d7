# Staging on Azure: what is fixed for this environment. What differs between installations is in
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

  environment          = "staging"
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
  network_cidr        = "10.40.0.0/16"
  high_availability   = false
  deletion_protection = false

  retention = {
    backup_days        = 7
    log_days           = 30
    point_in_time_days = 7
  }

  # kafka.type is the number of processing units; Event Hubs grows its disks itself, and RabbitMQ runs in
  # the cluster.
  sizes = {
    nodes    = { type = "Standard_D4ds_v5", minimum = 2, maximum = 4 }
    postgres = { type = "B_Standard_B2s", storage_gib = 32 }
    redis    = { type = "Balanced_B1" }
    kafka    = { type = "1", storage_gib = 32 }
    rabbitmq = { type = "in-cluster" }
  }
}
