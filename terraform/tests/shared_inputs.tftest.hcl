# A negative test for each rule on the inputs that all clouds share. The checks run it once for every cloud,
# in a root that holds only the stack's variables: no provider starts, so the whole file takes a second.

run "accepts_the_least" {
  command = plan
}

run "refuses_a_name_that_is_too_long" {
  command = plan

  variables {
    name = "tidemark-task-board"
  }

  expect_failures = [var.name]
}

run "refuses_an_unknown_environment" {
  command = plan

  variables {
    environment = "test"
  }

  expect_failures = [var.environment]
}

run "refuses_a_region_in_capitals" {
  command = plan

  variables {
    region = "West Europe"
  }

  expect_failures = [var.region]
}

run "refuses_recovery_in_the_same_region" {
  command = plan

  variables {
    region          = "somewhere"
    recovery_region = "somewhere"
  }

  expect_failures = [var.recovery_region]
}

run "refuses_a_domain_with_a_dot_at_its_end" {
  command = plan

  variables {
    domain = "tidemark.example."
  }

  expect_failures = [var.domain]
}

run "refuses_a_public_network" {
  command = plan

  variables {
    network_cidr = "8.8.0.0/16"
  }

  expect_failures = [var.network_cidr]
}

run "refuses_an_old_kubernetes" {
  command = plan

  variables {
    kubernetes_version = "1.27"
  }

  expect_failures = [var.kubernetes_version]
}

run "refuses_to_let_nobody_reach_the_api" {
  command = plan

  variables {
    kubernetes_api_cidrs = []
  }

  expect_failures = [var.kubernetes_api_cidrs]
}

run "refuses_to_open_the_api_to_the_world" {
  command = plan

  variables {
    kubernetes_api_cidrs = ["0.0.0.0/0"]
  }

  expect_failures = [var.kubernetes_api_cidrs]
}

run "refuses_alerts_to_nobody" {
  command = plan

  variables {
    alert_emails = ["operations"]
  }

  expect_failures = [var.alert_emails]
}

run "refuses_no_budget" {
  command = plan

  variables {
    monthly_budget_usd = 0
  }

  expect_failures = [var.monthly_budget_usd]
}

run "refuses_production_in_one_zone" {
  command = plan

  variables {
    environment         = "production"
    high_availability   = false
    deletion_protection = true
    retention           = { backup_days = 30, log_days = 30, point_in_time_days = 7 }
    sizes               = { nodes = { type = "1", minimum = 3, maximum = 4 }, postgres = { type = "1", storage_gib = 32 }, redis = { type = "1" }, kafka = { type = "1", storage_gib = 32 }, rabbitmq = { type = "1" } }
  }

  expect_failures = [var.high_availability]
}

run "refuses_production_that_can_be_deleted" {
  command = plan

  variables {
    environment         = "production"
    high_availability   = true
    deletion_protection = false
    retention           = { backup_days = 30, log_days = 30, point_in_time_days = 7 }
    sizes               = { nodes = { type = "1", minimum = 3, maximum = 4 }, postgres = { type = "1", storage_gib = 32 }, redis = { type = "1" }, kafka = { type = "1", storage_gib = 32 }, rabbitmq = { type = "1" } }
  }

  expect_failures = [var.deletion_protection]
}

run "refuses_a_recovery_window_of_a_day" {
  command = plan

  variables {
    retention = { backup_days = 7, log_days = 30, point_in_time_days = 1 }
  }

  expect_failures = [var.retention]
}

run "refuses_production_backups_of_a_week" {
  command = plan

  variables {
    environment         = "production"
    high_availability   = true
    deletion_protection = true
    retention           = { backup_days = 7, log_days = 30, point_in_time_days = 7 }
    sizes               = { nodes = { type = "1", minimum = 3, maximum = 4 }, postgres = { type = "1", storage_gib = 32 }, redis = { type = "1" }, kafka = { type = "1", storage_gib = 32 }, rabbitmq = { type = "1" } }
  }

  expect_failures = [var.retention]
}

run "refuses_log_days_that_not_all_clouds_offer" {
  command = plan

  variables {
    retention = { backup_days = 7, log_days = 45, point_in_time_days = 7 }
  }

  expect_failures = [var.retention]
}

run "refuses_a_minimum_above_the_maximum" {
  command = plan

  variables {
    sizes = { nodes = { type = "1", minimum = 5, maximum = 4 }, postgres = { type = "1", storage_gib = 32 }, redis = { type = "1" }, kafka = { type = "1", storage_gib = 32 }, rabbitmq = { type = "1" } }
  }

  expect_failures = [var.sizes]
}

run "refuses_production_on_two_nodes" {
  command = plan

  variables {
    environment         = "production"
    high_availability   = true
    deletion_protection = true
    retention           = { backup_days = 30, log_days = 30, point_in_time_days = 7 }
    sizes               = { nodes = { type = "1", minimum = 2, maximum = 4 }, postgres = { type = "1", storage_gib = 32 }, redis = { type = "1" }, kafka = { type = "1", storage_gib = 32 }, rabbitmq = { type = "1" } }
  }

  expect_failures = [var.sizes]
}

run "refuses_a_tiny_disk" {
  command = plan

  variables {
    sizes = { nodes = { type = "1", minimum = 2, maximum = 4 }, postgres = { type = "1", storage_gib = 10 }, redis = { type = "1" }, kafka = { type = "1", storage_gib = 32 }, rabbitmq = { type = "1" } }
  }

  expect_failures = [var.sizes]
}

run "refuses_labels_in_capitals" {
  command = plan

  variables {
    labels = { team = "Platform" }
  }

  expect_failures = [var.labels]
}

run "refuses_to_replace_the_environment_label" {
  command = plan

  variables {
    labels = { environment = "other" }
  }

  expect_failures = [var.labels]
}
