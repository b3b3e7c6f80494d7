# The environment as it would be made, with a mocked provider. Two runs: the plan, whose summary is kept in
# terraform/checks/golden, and the whole state, in which the rules of terraform/checks/rules.py look.

mock_provider "aws" {
  source = "../../tests/mocks"
}

mock_provider "random" {
  source = "../../tests/mocks"
}

variables {
  account_id           = "111122223333"
  region               = "eu-west-1"
  recovery_region      = "eu-central-1"
  domain               = "staging.tidemark.example"
  kubernetes_api_cidrs = ["203.0.113.0/24"]
  administrators       = ["arn:aws:iam::111122223333:role/tidemark-administrators"]
  alert_emails         = ["operations@tidemark.example"]
  monthly_budget_usd   = 1300
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
    condition     = toset(keys(output.tidemark.secrets)) == toset(["kafka", "postgres", "rabbitmq", "redis", "signing-keys"])
    error_message = "each store and the signing keys must have a secret"
  }
}

run "refuses_an_account_id_of_another_shape" {
  command = plan

  variables {
    account_id = "1111"
  }

  expect_failures = [var.account_id]
}
