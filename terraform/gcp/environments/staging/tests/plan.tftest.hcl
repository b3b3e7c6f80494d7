# The environment as it would be made, with a mocked provider. Two runs: the plan, whose summary is kept in
# terraform/checks/golden, and the whole state, in which the rules of terraform/checks/rules.py look.

mock_provider "google" {
  source = "../../tests/mocks"
}

mock_provider "random" {
  source = "../../tests/mocks"
}

variables {
  project              = "tidemark-staging-example"
  billing_account      = "01ABCD-2345EF-6789AB"
  region               = "europe-west1"
  recovery_region      = "europe-west3"
  domain               = "staging.tidemark.example"
  kubernetes_api_cidrs = ["203.0.113.0/24"]
  administrators       = ["group:tidemark-administrators@tidemark.example"]
  alert_emails         = ["operations@tidemark.example"]
  monthly_budget_usd   = 900
}

run "plan" {
  command = plan
}

run "state" {
  command = apply

  assert {
    condition     = tomap(output.tidemark.labels) == tomap({ application = "tidemark", environment = "staging", managed-by = "terraform" })
    error_message = "every resource must carry the three labels"
  }

  assert {
    condition     = length(setsubtract(["kafka-brokers", "postgres-connection", "rabbitmq-host", "redis-host", "redis-password", "signing-keys"], keys(output.tidemark.secrets))) == 0
    error_message = "each store and the signing keys must have a secret"
  }
}
