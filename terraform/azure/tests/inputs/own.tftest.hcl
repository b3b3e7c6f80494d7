# A negative test for each rule on the inputs that only this cloud has.

run "refuses_a_suffix_in_capitals" {
  command = plan

  variables {
    suffix = "X-7K"
  }

  expect_failures = [var.suffix]
}

run "refuses_an_administrator_that_is_no_group_id" {
  command = plan

  variables {
    administrators = ["alice"]
  }

  expect_failures = [var.administrators]
}
