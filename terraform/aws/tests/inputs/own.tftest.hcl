# A negative test for each rule on the inputs that only this cloud has.

run "refuses_an_administrator_that_is_no_arn" {
  command = plan

  variables {
    administrators = ["alice"]
  }

  expect_failures = [var.administrators]
}

run "refuses_brokers_too_small_for_kafka_4" {
  command = plan

  variables {
    sizes = {
      nodes    = { type = "m7i-flex.large", minimum = 2, maximum = 4 }
      postgres = { type = "db.t4g.medium", storage_gib = 32 }
      redis    = { type = "cache.t4g.small" }
      kafka    = { type = "kafka.t3.small", storage_gib = 32 }
      rabbitmq = { type = "mq.m7g.medium" }
    }
  }

  expect_failures = [var.kafka_version]
}

run "refuses_kafka_with_zookeeper" {
  command = plan

  variables {
    kafka_version = "3.5.1"
  }

  expect_failures = [var.kafka_version]
}
