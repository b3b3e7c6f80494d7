# A negative test for each rule on the inputs that only this cloud has.

run "refuses_a_project_in_capitals" {
  command = plan

  variables {
    project = "Tidemark"
  }

  expect_failures = [var.project]
}

run "refuses_a_strange_billing_account" {
  command = plan

  variables {
    billing_account = "0001"
  }

  expect_failures = [var.billing_account]
}

run "refuses_everybody_as_administrator" {
  command = plan

  variables {
    administrators = ["allUsers"]
  }

  expect_failures = [var.administrators]
}
