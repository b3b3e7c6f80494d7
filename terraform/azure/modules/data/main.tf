# PostgreSQL in a subnet of its own and Redis behind a private endpoint. There is no managed RabbitMQ: its
# chart runs one in the cluster, with the password made here.

resource "random_password" "rabbitmq" {
  length  = 48
  special = false
}

resource "azurerm_postgresql_flexible_server" "history" {
  name                          = "${var.prefix}-history"
  location                      = var.location
  resource_group_name           = var.resource_group
  version                       = "16"
  sku_name                      = var.sizes.postgres.type
  storage_mb                    = var.sizes.postgres.storage_gib * 1024
  auto_grow_enabled             = true
  delegated_subnet_id           = var.subnet_ids.postgres
  private_dns_zone_id           = var.private_zone_ids.postgres
  public_network_access_enabled = false
  backup_retention_days         = var.retention.point_in_time_days
  geo_redundant_backup_enabled  = var.high_availability
  zone                          = "1"
  tags                          = var.tags

  authentication {
    active_directory_auth_enabled = true
    password_auth_enabled         = false
    tenant_id                     = var.tenant_id
  }

  customer_managed_key {
    key_vault_key_id                     = var.keys.data.id
    primary_user_assigned_identity_id    = var.keys.data.identity_id
    geo_backup_key_vault_key_id          = var.high_availability ? var.keys.recovery.id : null
    geo_backup_user_assigned_identity_id = var.high_availability ? var.keys.recovery.identity_id : null
  }

  identity {
    type         = "UserAssigned"
    identity_ids = var.high_availability ? [var.keys.data.identity_id, var.keys.recovery.identity_id] : [var.keys.data.identity_id]
  }

  dynamic "high_availability" {
    for_each = var.high_availability ? ["2"] : []

    content {
      mode                      = "ZoneRedundant"
      standby_availability_zone = high_availability.value
    }
  }

  maintenance_window {
    day_of_week  = 0
    start_hour   = 3
    start_minute = 30
  }

  # A fail-over swaps the zones.
  lifecycle {
    ignore_changes = [zone, high_availability[0].standby_availability_zone]
  }
}

resource "azurerm_postgresql_flexible_server_active_directory_administrator" "history" {
  for_each = var.administrators

  server_name         = azurerm_postgresql_flexible_server.history.name
  resource_group_name = var.resource_group
  tenant_id           = var.tenant_id
  object_id           = each.value
  principal_name      = each.value
  principal_type      = "Group"
}

resource "azurerm_postgresql_flexible_server_database" "history" {
  name      = "todo_history"
  server_id = azurerm_postgresql_flexible_server.history.id

  lifecycle {
    prevent_destroy = true
  }
}

# TimescaleDB may be created here, in its Apache edition: hypertables, but neither compression nor
# continuous aggregates (docs/cloud/azure.md).
resource "azurerm_postgresql_flexible_server_configuration" "history" {
  for_each = {
    "azure.extensions"           = "PG_STAT_STATEMENTS,TIMESCALEDB"
    "shared_preload_libraries"   = "pg_stat_statements,timescaledb"
    "log_checkpoints"            = "on"
    "log_connections"            = "on"
    "log_min_duration_statement" = "500"
    "require_secure_transport"   = "on"
  }

  server_id = azurerm_postgresql_flexible_server.history.id
  name      = each.key
  value     = each.value
}

# Users, groups and tasks live here; its append-only file is written every second.
resource "azurerm_managed_redis" "state" {
  name                      = "${var.prefix}-redis"
  location                  = var.location
  resource_group_name       = var.resource_group
  sku_name                  = var.sizes.redis.type
  high_availability_enabled = var.high_availability
  public_network_access     = "Disabled"
  tags                      = var.tags

  default_database {
    client_protocol                               = "Encrypted"
    clustering_policy                             = "EnterpriseCluster"
    eviction_policy                               = "NoEviction"
    access_keys_authentication_enabled            = true
    persistence_append_only_file_backup_frequency = "1s"
  }

  customer_managed_key {
    key_vault_key_id          = var.keys.data.id
    user_assigned_identity_id = var.keys.data.identity_id
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [var.keys.data.identity_id]
  }
}

resource "azurerm_private_endpoint" "redis" {
  name                = "${var.prefix}-redis"
  location            = var.location
  resource_group_name = var.resource_group
  subnet_id           = var.subnet_ids.endpoints
  tags                = var.tags

  private_service_connection {
    name                           = "redis"
    private_connection_resource_id = azurerm_managed_redis.state.id
    subresource_names              = ["redisEnterprise"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "redis"
    private_dns_zone_ids = [var.private_zone_ids.redis]
  }
}

resource "azurerm_management_lock" "store" {
  for_each = var.deletion_protection ? {
    postgres = azurerm_postgresql_flexible_server.history.id
    redis    = azurerm_managed_redis.state.id
  } : {}

  name       = "keep"
  scope      = each.value
  lock_level = "CanNotDelete"
  notes      = "Production: see docs/cloud/tear-down.md"
}

# Dapr reads a secret of Key Vault as one text, so each value is a secret of its own.
locals {
  secrets = {
    kafka-brokers       = { group = "kafka", value = var.kafka.brokers }
    kafka-password      = { group = "kafka", value = var.kafka.password }
    postgres-connection = { group = "postgres", value = "host=${azurerm_postgresql_flexible_server.history.fqdn} port=5432 dbname=todo_history user=${var.database_user} sslmode=verify-full" }
    rabbitmq-host       = { group = "rabbitmq", value = "amqp://tidemark:${random_password.rabbitmq.result}@rabbitmq:5672" }
    redis-host          = { group = "redis", value = "${azurerm_managed_redis.state.hostname}:${azurerm_managed_redis.state.default_database[0].port}" }
    redis-password      = { group = "redis", value = azurerm_managed_redis.state.default_database[0].primary_access_key }
  }
}

resource "azurerm_key_vault_secret" "this" {
  for_each = toset(["kafka-brokers", "kafka-password", "postgres-connection", "rabbitmq-host", "redis-host", "redis-password"])

  name         = "${var.name}-${each.key}"
  key_vault_id = var.vault_id
  value        = local.secrets[each.key].value
  content_type = "text/plain"
  tags         = var.tags
}

# The operator writes its value (docs/cloud/azure.md); Terraform must not put it back. The program itself asks
# for it, by a name that is the same on every cloud.
resource "azurerm_key_vault_secret" "signing_keys" {
  name         = "jwt-signing-key"
  key_vault_id = var.vault_id
  value        = "unset"
  content_type = "application/x-pem-file"
  tags         = var.tags

  lifecycle {
    ignore_changes = [value]
  }
}
