# The delivery queue of the notifications role.

resource "random_password" "rabbitmq" {
  length  = 48
  special = false
}

resource "aws_mq_broker" "rabbitmq" {
  broker_name                = "${var.prefix}-rabbitmq"
  engine_type                = "RabbitMQ"
  engine_version             = "3.13"
  auto_minor_version_upgrade = true
  host_instance_type         = var.sizes.rabbitmq.type
  deployment_mode            = var.high_availability ? "CLUSTER_MULTI_AZ" : "SINGLE_INSTANCE"
  publicly_accessible        = false
  subnet_ids                 = var.high_availability ? var.subnet_ids : slice(var.subnet_ids, 0, 1)
  security_groups            = [aws_security_group.store["rabbitmq"].id]

  encryption_options {
    use_aws_owned_key = false
    kms_key_id        = var.key_arns.data
  }

  logs {
    general = true
  }

  maintenance_window_start_time {
    day_of_week = "SUNDAY"
    time_of_day = "05:30"
    time_zone   = "UTC"
  }

  user {
    username = "tidemark"
    password = random_password.rabbitmq.result
  }
}

resource "aws_secretsmanager_secret_version" "rabbitmq" {
  secret_id = aws_secretsmanager_secret.store["rabbitmq"].id

  secret_string = jsonencode({
    host = format(
      "amqps://tidemark:%s@%s",
      random_password.rabbitmq.result,
      trimprefix(aws_mq_broker.rabbitmq.instances[0].endpoints[0], "amqps://"),
    )
  })
}
