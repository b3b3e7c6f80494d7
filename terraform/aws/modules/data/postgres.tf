# RDS offers no TimescaleDB, so history runs on its plain-PostgreSQL path here: the same table,
# partitioned by range, with retention by dropping partitions.

resource "aws_db_subnet_group" "postgres" {
  name       = "${var.prefix}-history"
  subnet_ids = var.subnet_ids
}

resource "aws_db_parameter_group" "postgres" {
  name_prefix = "${var.prefix}-history-"
  family      = "postgres16"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }

  parameter {
    name  = "log_min_duration_statement"
    value = "500"
  }

  parameter {
    name         = "shared_preload_libraries"
    value        = "pg_stat_statements"
    apply_method = "pending-reboot"
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_iam_role" "postgres_monitoring" {
  name = "${var.prefix}-postgres-monitoring"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "monitoring.rds.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy_attachment" "postgres_monitoring" {
  role       = aws_iam_role.postgres_monitoring.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
}

resource "aws_db_instance" "postgres" {
  identifier     = "${var.prefix}-history"
  engine         = "postgres"
  engine_version = "16"
  instance_class = var.sizes.postgres.type
  multi_az       = var.high_availability

  db_name                             = "todo_history"
  username                            = "administrator"
  manage_master_user_password         = true
  master_user_secret_kms_key_id       = var.key_arns.secrets
  iam_database_authentication_enabled = true

  allocated_storage     = var.sizes.postgres.storage_gib
  max_allocated_storage = var.sizes.postgres.storage_gib * 4
  storage_type          = "gp3"
  storage_encrypted     = true
  kms_key_id            = var.key_arns.data

  db_subnet_group_name   = aws_db_subnet_group.postgres.name
  vpc_security_group_ids = [aws_security_group.store["postgres"].id]
  parameter_group_name   = aws_db_parameter_group.postgres.name
  publicly_accessible    = false
  ca_cert_identifier     = "rds-ca-rsa2048-g1"

  backup_retention_period   = var.retention.point_in_time_days
  backup_window             = "02:00-03:00"
  maintenance_window        = "sun:03:30-sun:04:30"
  copy_tags_to_snapshot     = true
  delete_automated_backups  = !var.deletion_protection
  deletion_protection       = var.deletion_protection
  skip_final_snapshot       = !var.deletion_protection
  final_snapshot_identifier = var.deletion_protection ? "${var.prefix}-history-final" : null

  auto_minor_version_upgrade            = true
  performance_insights_enabled          = true
  performance_insights_kms_key_id       = var.key_arns.data
  performance_insights_retention_period = 7
  monitoring_interval                   = 60
  monitoring_role_arn                   = aws_iam_role.postgres_monitoring.arn
  enabled_cloudwatch_logs_exports       = ["postgresql", "upgrade"]

  depends_on = [aws_cloudwatch_log_group.store]
}

# Snapshots and write-ahead logs go on to the recovery region: a point in time can be restored there.
resource "aws_db_instance_automated_backups_replication" "postgres" {
  count = var.high_availability ? 1 : 0

  region                 = var.recovery.region
  source_db_instance_arn = aws_db_instance.postgres.arn
  kms_key_id             = var.key_arns.recovery
  retention_period       = var.retention.point_in_time_days
}

# No password: the sidecar of the history role signs in with a token of its IAM role.
resource "aws_secretsmanager_secret_version" "postgres" {
  secret_id = aws_secretsmanager_secret.store["postgres"].id

  secret_string = jsonencode({
    connectionString = "host=${aws_db_instance.postgres.address} port=5432 dbname=todo_history user=tidemark_history sslmode=require"
    region           = var.region
  })
}
