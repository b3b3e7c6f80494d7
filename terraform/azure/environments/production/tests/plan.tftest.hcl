# The environment as it would be made, with a mocked provider. Two runs: the plan, whose summary is kept in
# terraform/checks/golden, and the whole state, in which the rules of terraform/checks/rules.py look.

mock_provider "azurerm" {
  source = "../../tests/mocks"
}

mock_provider "random" {
  source = "../../tests/mocks"
}

variables {
  subscription_id      = "00000000-1111-2222-3333-444444444444"
  suffix               = "x7k2"
  region               = "westeurope"
  recovery_region      = "northeurope"
  domain               = "production.tidemark.example"
  kubernetes_api_cidrs = ["203.0.113.0/24"]
  administrators       = ["55555555-6666-7777-8888-999999999999"]
  alert_emails         = ["operations@tidemark.example"]
  monthly_budget_usd   = 5500
}

run "plan" {
  command = plan
}

run "state" {
  command = apply

  assert {
    condition     = tomap(output.tidemark.labels) == tomap({ application = "tidemark", environment = "production", managed-by = "terraform" })
    error_message = "every resource must carry the three labels"
  }

  assert {
    condition     = length(setsubtract(["kafka-brokers", "postgres-connection", "rabbitmq-host", "redis-host", "redis-password", "signing-keys"], keys(output.tidemark.secrets))) == 0
    error_message = "each store and the signing keys must have a secret"
  }
}

run "refuses_a_subscription_id_of_another_shape" {
  command = plan

  variables {
    subscription_id = "1111"
  }

  expect_failures = [var.subscription_id]
}
