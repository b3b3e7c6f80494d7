# The bootstrap as it would be made, with a mocked provider, and a negative test for each rule on its inputs.

mock_provider "google" {
  source = "../tests/mocks"
}

variables {
  environment = "staging"
  repository  = "example/tidemark"
  project     = "tidemark-staging-example"
  region      = "europe-west1"
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

run "refuses_a_project_in_capitals" {
  command = plan

  variables {
    project = "Tidemark"
  }

  expect_failures = [var.project]
}
