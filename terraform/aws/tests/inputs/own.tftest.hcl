# A negative test for each rule on the inputs that only this cloud has.

run "refuses_an_administrator_that_is_no_arn" {
  command = plan

  variables {
    administrators = ["alice"]
  }

  expect_failures = [var.administrators]
}

run "refuses_kafka_with_zookeeper" {
  command = plan

  variables {
    kafka_version = "3.5.1"
  }

  expect_failures = [var.kafka_version]
}
