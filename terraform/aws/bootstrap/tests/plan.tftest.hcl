# The bootstrap as it would be made, with a mocked provider, and a negative test for each rule on its inputs.

mock_provider "aws" {
  source = "../tests/mocks"
}

variables {
  environment = "staging"
  repository  = "example/tidemark"
  account_id  = "111122223333"
  region      = "eu-west-1"
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

run "refuses_an_account_id_of_another_shape" {
  command = plan

  variables {
    account_id = "1111"
  }

  expect_failures = [var.account_id]
}
