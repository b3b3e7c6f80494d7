# Users, groups and tasks live here, through Dapr's state. ElastiCache keeps no append-only file: what
# protects an acknowledged write is the replica in another zone, behind by the replication lag.

resource "aws_elasticache_subnet_group" "redis" {
  name       = "${var.prefix}-redis"
  subnet_ids = var.subnet_ids
}

resource "aws_elasticache_parameter_group" "redis" {
  name        = "${var.prefix}-redis"
  family      = "valkey8"
  description = "State must never be evicted"

  parameter {
    name  = "maxmemory-policy"
    value = "noeviction"
  }
}

resource "random_password" "redis" {
  length  = 64
  special = false
}

resource "aws_elasticache_replication_group" "redis" {
  replication_group_id = "${var.prefix}-redis"
  description          = "Dapr state of ${var.prefix}"
  engine               = "valkey"
  engine_version       = "8.0"
  node_type            = var.sizes.redis.type
  port                 = 6379
  parameter_group_name = aws_elasticache_parameter_group.redis.name

  num_cache_clusters         = var.high_availability ? 3 : 1
  automatic_failover_enabled = var.high_availability
  multi_az_enabled           = var.high_availability

  subnet_group_name  = aws_elasticache_subnet_group.redis.name
  security_group_ids = [aws_security_group.store["redis"].id]

  at_rest_encryption_enabled = true
  kms_key_id                 = var.key_arns.data
  transit_encryption_enabled = true
  transit_encryption_mode    = "required"
  auth_token                 = random_password.redis.result
  auth_token_update_strategy = "ROTATE"

  snapshot_retention_limit  = var.retention.point_in_time_days
  snapshot_window           = "01:00-02:00"
  maintenance_window        = "sun:04:30-sun:05:30"
  final_snapshot_identifier = var.deletion_protection ? "${var.prefix}-redis-final" : null

  dynamic "log_delivery_configuration" {
    for_each = { engine-log = "redis_engine", slow-log = "redis_slow" }

    content {
      destination      = aws_cloudwatch_log_group.store[log_delivery_configuration.value].name
      destination_type = "cloudwatch-logs"
      log_format       = "json"
      log_type         = log_delivery_configuration.key
    }
  }
}

# The recovery region follows within seconds. It takes its encryption settings from the primary.
resource "aws_elasticache_global_replication_group" "redis" {
  count = var.high_availability ? 1 : 0

  global_replication_group_id_suffix = var.prefix
  primary_replication_group_id       = aws_elasticache_replication_group.redis.id
}

resource "aws_elasticache_subnet_group" "recovery" {
  count = var.high_availability ? 1 : 0

  region     = var.recovery.region
  name       = "${var.prefix}-redis"
  subnet_ids = var.recovery.subnet_ids
}

resource "aws_security_group" "recovery" {
  count = var.high_availability ? 1 : 0

  region      = var.recovery.region
  name        = "${var.prefix}-redis"
  description = "Nobody until the fail-over opens it"
  vpc_id      = var.recovery.vpc_id

  tags = { Name = "${var.prefix}-redis" }
}

resource "aws_elasticache_replication_group" "recovery" {
  count = var.high_availability ? 1 : 0

  region                      = var.recovery.region
  replication_group_id        = "${var.prefix}-redis-recovery"
  description                 = "Copy of ${var.prefix}-redis"
  global_replication_group_id = aws_elasticache_global_replication_group.redis[0].global_replication_group_id
  num_cache_clusters          = 1
  subnet_group_name           = aws_elasticache_subnet_group.recovery[0].name
  security_group_ids          = [aws_security_group.recovery[0].id]
  kms_key_id                  = var.key_arns.recovery
}

resource "aws_secretsmanager_secret_version" "redis" {
  secret_id = aws_secretsmanager_secret.store["redis"].id

  secret_string = jsonencode({
    host     = "${aws_elasticache_replication_group.redis.primary_endpoint_address}:6379"
    password = random_password.redis.result
  })
}
