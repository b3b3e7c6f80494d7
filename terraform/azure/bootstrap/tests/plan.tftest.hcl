# The bootstrap as it would be made, with a mocked provider, and a negative test for each rule on its inputs.

mock_provider "azurerm" {
  source = "../tests/mocks"
}

variables {
  environment        = "staging"
  repository         = "example/tidemark"
  subscription_id    = "00000000-1111-2222-3333-444444444444"
  suffix             = "x7k2"
  region             = "westeurope"
  operator_addresses = ["203.0.113.7"]
}

run "plan" {
  command = plan
}

run "state" {
  command = apply

  assert {
    condition     = strcontains(output.backend_hcl, "cloud") && strcontains(output.gitops_hcl, "gitops")
    error_message = "cloud and cluster content must have states of their own"
  }
}


run "refuses_an_unknown_environment" {
  command = plan

  variables {
    environment = "test"
  }

  expect_failures = [var.environment]
}

run "refuses_a_wildcard_repository" {
  command = plan

  variables {
    repository = "example/*"
  }

  expect_failures = [var.repository]
}

run "refuses_a_subscription_id_of_another_shape" {
  command = plan

  variables {
    subscription_id = "1111"
  }

  expect_failures = [var.subscription_id]
}

run "refuses_a_suffix_in_capitals" {
  command = plan

  variables {
    suffix = "X-7K"
  }

  expect_failures = [var.suffix]
}

run "refuses_to_lock_terraform_out" {
  command = plan

  variables {
    operator_addresses = []
  }

  expect_failures = [var.operator_addresses]
}
