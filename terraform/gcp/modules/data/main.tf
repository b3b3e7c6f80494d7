# PostgreSQL and Redis, both reached only through the peered range, and the secrets that say where. There
# is no managed RabbitMQ: its chart runs one in the cluster, with the password made here.

locals {
  # Dapr reads a secret of Secret Manager as one text, so each value is a secret of its own. A null is
  # filled by somebody else: the brokers by module messaging, the signing key by the operator. The program
  # itself asks for that one, by a name that is the same on every cloud.
  secrets = {
    kafka-brokers       = { group = "kafka", value = null }
    postgres-connection = { group = "postgres", value = "host=${google_sql_database_instance.postgres.private_ip_address} port=5432 dbname=todo_history user=tidemark_history password=${random_password.postgres.result} sslmode=require" }
    rabbitmq-host       = { group = "rabbitmq", value = "amqp://tidemark:${random_password.rabbitmq.result}@rabbitmq:5672" }
    redis-host          = { group = "redis", value = "${google_redis_instance.redis.host}:${google_redis_instance.redis.port}" }
    redis-password      = { group = "redis", value = google_redis_instance.redis.auth_string }
    redis-certificate   = { group = "redis", value = google_redis_instance.redis.server_ca_certs[0].cert }
    signing-keys        = { group = "signing-keys", value = null }
  }

  known = toset(["postgres-connection", "rabbitmq-host", "redis-certificate", "redis-host", "redis-password"])
}

resource "random_password" "postgres" {
  length  = 48
  special = false
}

resource "random_password" "rabbitmq" {
  length  = 48
  special = false
}

# Cloud SQL offers no TimescaleDB, so history runs on its plain-PostgreSQL path here.
resource "google_sql_database_instance" "postgres" {
  project             = var.project
  name                = "${var.prefix}-history"
  region              = var.region
  database_version    = "POSTGRES_16"
  encryption_key_name = var.key_ids.data
  deletion_protection = var.deletion_protection

  settings {
    edition                     = "ENTERPRISE"
    tier                        = var.sizes.postgres.type
    availability_type           = var.high_availability ? "REGIONAL" : "ZONAL"
    disk_type                   = "PD_SSD"
    disk_size                   = var.sizes.postgres.storage_gib
    disk_autoresize             = true
    disk_autoresize_limit       = var.sizes.postgres.storage_gib * 4
    deletion_protection_enabled = var.deletion_protection

    ip_configuration {
      ipv4_enabled    = false
      private_network = var.network_id
      ssl_mode        = "ENCRYPTED_ONLY"
    }

    backup_configuration {
      enabled                        = true
      start_time                     = "02:00"
      location                       = var.recovery_region
      point_in_time_recovery_enabled = true
      # Seven days is the most that this edition keeps write-ahead logs.
      transaction_log_retention_days = 7

      backup_retention_settings {
        retained_backups = var.retention.point_in_time_days
        retention_unit   = "COUNT"
      }
    }

    maintenance_window {
      day  = 7
      hour = 3
    }

    insights_config {
      query_insights_enabled = true
    }

    dynamic "database_flags" {
      for_each = {
        "cloudsql.iam_authentication" = "on"
        log_checkpoints               = "on"
        log_connections               = "on"
        log_disconnections            = "on"
        log_duration                  = "off"
        log_hostname                  = "on"
        log_lock_waits                = "on"
        log_min_duration_statement    = "500"
        log_min_error_statement       = "error"
        log_min_messages              = "warning"
        log_statement                 = "ddl"
        "cloudsql.enable_pgaudit"     = "on"
      }

      content {
        name  = database_flags.key
        value = database_flags.value
      }
    }
  }
}

resource "google_sql_database" "history" {
  project  = var.project
  name     = "todo_history"
  instance = google_sql_database_instance.postgres.name
}

resource "google_sql_user" "history" {
  project  = var.project
  name     = "tidemark_history"
  instance = google_sql_database_instance.postgres.name
  password = random_password.postgres.result
}

# Becomes the primary by one command when the region is lost (docs/cloud/recovery.md).
resource "google_sql_database_instance" "recovery" {
  count = var.high_availability ? 1 : 0

  project              = var.project
  name                 = "${var.prefix}-history-recovery"
  region               = var.recovery_region
  database_version     = "POSTGRES_16"
  master_instance_name = google_sql_database_instance.postgres.name
  encryption_key_name  = var.key_ids.recovery
  deletion_protection  = var.deletion_protection

  settings {
    edition                     = "ENTERPRISE"
    tier                        = var.sizes.postgres.type
    availability_type           = "ZONAL"
    disk_type                   = "PD_SSD"
    disk_autoresize             = true
    deletion_protection_enabled = var.deletion_protection

    ip_configuration {
      ipv4_enabled    = false
      private_network = var.network_id
      ssl_mode        = "ENCRYPTED_ONLY"
    }
  }
}

# Users, groups and tasks live here. Memorystore keeps snapshots, no append-only file: what protects an
# acknowledged write is the replica in another zone. Half-hourly exports to the recovery region are below.
resource "google_redis_instance" "redis" {
  project                 = var.project
  name                    = "${var.prefix}-redis"
  region                  = var.region
  tier                    = var.high_availability ? "STANDARD_HA" : "BASIC"
  replica_count           = var.high_availability ? 1 : 0
  memory_size_gb          = tonumber(var.sizes.redis.type)
  redis_version           = "REDIS_7_2"
  authorized_network      = var.network_id
  connect_mode            = "PRIVATE_SERVICE_ACCESS"
  auth_enabled            = true
  transit_encryption_mode = "SERVER_AUTHENTICATION"
  customer_managed_key    = var.key_ids.data

  redis_configs = {
    maxmemory-policy = "noeviction"
  }

  persistence_config {
    persistence_mode    = "RDB"
    rdb_snapshot_period = "ONE_HOUR"
  }

  maintenance_policy {
    weekly_maintenance_window {
      day = "SUNDAY"

      start_time {
        hours = 4
      }
    }
  }
}

resource "google_service_account" "export" {
  project      = var.project
  account_id   = "${var.prefix}-export"
  display_name = "Starts the exports of the state"
}

resource "google_project_iam_custom_role" "export" {
  project     = var.project
  role_id     = replace("${var.prefix}_export", "-", "_")
  title       = "Start an export of Redis"
  permissions = ["redis.instances.export", "redis.instances.get", "redis.operations.get"]
}

resource "google_project_iam_member" "export" {
  project = var.project
  role    = google_project_iam_custom_role.export.id
  member  = google_service_account.export.member
}

# The instance writes the export with an identity of its own.
resource "google_storage_bucket_iam_member" "export" {
  bucket = var.snapshot_bucket
  role   = "roles/storage.objectAdmin"
  member = google_redis_instance.redis.persistence_iam_identity
}

resource "google_cloud_scheduler_job" "export" {
  project     = var.project
  region      = var.region
  name        = "${var.prefix}-redis-export"
  description = "Copies the state to the recovery region; each export is a version of one object"
  schedule    = "*/30 * * * *"
  time_zone   = "Etc/UTC"

  http_target {
    http_method = "POST"
    uri         = "https://redis.googleapis.com/v1/${google_redis_instance.redis.id}:export"
    headers     = { "Content-Type" = "application/json" }
    body        = base64encode(jsonencode({ outputConfig = { gcsDestination = { uri = "gs://${var.snapshot_bucket}/redis.rdb" } } }))

    oauth_token {
      service_account_email = google_service_account.export.email
    }
  }
}

resource "google_secret_manager_secret" "this" {
  for_each = local.secrets

  project   = var.project
  secret_id = each.key == "signing-keys" ? "jwt-signing-key" : "${var.name}-${each.key}"

  replication {
    user_managed {
      replicas {
        location = var.region

        customer_managed_encryption {
          kms_key_name = var.key_ids.secrets
        }
      }

      replicas {
        location = var.recovery_region

        customer_managed_encryption {
          kms_key_name = var.key_ids.recovery
        }
      }
    }
  }
}

resource "google_secret_manager_secret_version" "this" {
  for_each = local.known

  secret      = google_secret_manager_secret.this[each.key].id
  secret_data = local.secrets[each.key].value
}
