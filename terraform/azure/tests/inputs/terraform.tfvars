# The least that the stack accepts; each negative test changes one thing of it.
environment          = "staging"
suffix               = "x7k2"
region               = "westeurope"
recovery_region      = "northeurope"
domain               = "staging.tidemark.example"
network_cidr         = "10.40.0.0/16"
kubernetes_version   = "1.34"
kubernetes_api_cidrs = ["203.0.113.0/24"]
administrators       = ["55555555-6666-7777-8888-999999999999"]
alert_emails         = ["operations@tidemark.example"]
monthly_budget_usd   = 900
high_availability    = false
deletion_protection  = false
retention            = { backup_days = 7, log_days = 30, point_in_time_days = 7 }
sizes = {
  nodes    = { type = "Standard_D4ds_v5", minimum = 2, maximum = 4 }
  postgres = { type = "B_Standard_B2s", storage_gib = 32 }
  redis    = { type = "Balanced_B1" }
  kafka    = { type = "1", storage_gib = 32 }
  rabbitmq = { type = "in-cluster" }
}
