# The data stores. All of them live in the data subnets, which have no route to the internet, and each
# has a security group that lets in the cluster's pods on one port and nobody else.

locals {
  ports = {
    postgres = { from = 5432, to = 5432 }
    redis    = { from = 6379, to = 6379 }
    kafka    = { from = 9098, to = 9098 }
    rabbitmq = { from = 5671, to = 5671 }
  }

  exporters = { from = 11001, to = 11002 }
}

resource "aws_security_group" "store" {
  for_each = local.ports

  name        = "${var.prefix}-${each.key}"
  description = "${each.key}: from the cluster only"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.prefix}-${each.key}" }
}

resource "aws_vpc_security_group_ingress_rule" "store" {
  for_each = local.ports

  description                  = "${each.key} from nodes and pods"
  security_group_id            = aws_security_group.store[each.key].id
  referenced_security_group_id = var.cluster_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = each.value.from
  to_port                      = each.value.to
}

resource "aws_vpc_security_group_ingress_rule" "kafka_exporters" {
  description                  = "Prometheus reads the brokers' JMX and node exporters"
  security_group_id            = aws_security_group.store["kafka"].id
  referenced_security_group_id = var.cluster_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = local.exporters.from
  to_port                      = local.exporters.to
}

resource "aws_cloudwatch_log_group" "store" {
  for_each = {
    kafka        = "/${var.prefix}/kafka"
    redis_engine = "/${var.prefix}/redis-engine"
    redis_slow   = "/${var.prefix}/redis-slow"
    postgres     = "/aws/rds/instance/${var.prefix}-history/postgresql"
  }

  name              = each.value
  kms_key_id        = var.key_arns.logs
  retention_in_days = var.log_days
}

# One secret for each store, copied to the recovery region. Components read them by name through Dapr. The
# program itself asks for one, the signing key, by a name that is the same on every cloud.
resource "aws_secretsmanager_secret" "store" {
  for_each = toset(["kafka", "postgres", "rabbitmq", "redis", "signing-keys"])

  name                    = each.key == "signing-keys" ? "jwt-signing-key" : "${var.name}/${each.key}"
  description             = "Read by Dapr's secret store; written by Terraform${each.key == "signing-keys" ? " once, then by the operator" : ""}"
  kms_key_id              = var.key_arns.secrets
  recovery_window_in_days = 30

  replica {
    region     = var.recovery.region
    kms_key_id = var.key_arns.recovery
  }
}
