# The least that the stack accepts; each negative test changes one thing of it.
environment          = "staging"
region               = "eu-west-1"
recovery_region      = "eu-central-1"
domain               = "staging.tidemark.example"
network_cidr         = "10.40.0.0/16"
kubernetes_version   = "1.34"
kubernetes_api_cidrs = ["203.0.113.0/24"]
administrators       = ["arn:aws:iam::111122223333:role/tidemark-administrators"]
alert_emails         = ["operations@tidemark.example"]
monthly_budget_usd   = 900
high_availability    = false
deletion_protection  = false
retention            = { backup_days = 7, log_days = 30, point_in_time_days = 7 }
sizes = {
  nodes    = { type = "m7i-flex.large", minimum = 2, maximum = 4 }
  postgres = { type = "db.t4g.medium", storage_gib = 32 }
  redis    = { type = "cache.t4g.small" }
  kafka    = { type = "kafka.m7g.large", storage_gib = 32 }
  rabbitmq = { type = "mq.m7g.medium" }
}
