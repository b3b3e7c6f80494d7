# The least that the stack accepts; each negative test changes one thing of it.
environment          = "staging"
project              = "tidemark-staging-example"
billing_account      = "01ABCD-2345EF-6789AB"
region               = "europe-west1"
recovery_region      = "europe-west3"
domain               = "staging.tidemark.example"
network_cidr         = "10.40.0.0/16"
kubernetes_version   = "1.34"
kubernetes_api_cidrs = ["203.0.113.0/24"]
administrators       = ["group:tidemark-administrators@tidemark.example"]
alert_emails         = ["operations@tidemark.example"]
monthly_budget_usd   = 900
high_availability    = false
deletion_protection  = false
retention            = { backup_days = 7, log_days = 30, point_in_time_days = 7 }
schema_folder        = "tests/schemas"
sizes = {
  nodes    = { type = "e2-standard-4", minimum = 2, maximum = 4 }
  postgres = { type = "db-custom-1-3840", storage_gib = 32 }
  redis    = { type = "1" }
  kafka    = { type = "3", storage_gib = 32 }
  rabbitmq = { type = "in-cluster" }
}
