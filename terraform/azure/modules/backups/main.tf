# A storage account whose blobs nobody can delete before their time, copied to the paired region by Azure
# itself, and a vault that takes long-term backups of the database.

resource "azurerm_storage_account" "this" {
  name                              = replace("${var.prefix}bak${var.suffix}", "-", "")
  location                          = var.location
  resource_group_name               = var.resource_group
  account_tier                      = "Standard"
  account_kind                      = "StorageV2"
  account_replication_type          = var.high_availability ? "RAGZRS" : "GRS"
  access_tier                       = "Cool"
  min_tls_version                   = "TLS1_2"
  https_traffic_only_enabled        = true
  shared_access_key_enabled         = false
  default_to_oauth_authentication   = true
  allow_nested_items_to_be_public   = false
  cross_tenant_replication_enabled  = false
  local_user_enabled                = false
  public_network_access_enabled     = false
  infrastructure_encryption_enabled = true
  tags                              = var.tags

  customer_managed_key {
    key_vault_key_id          = var.key.id
    user_assigned_identity_id = var.key.identity_id
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [var.key.identity_id]
  }

  blob_properties {
    versioning_enabled  = true
    change_feed_enabled = true

    delete_retention_policy {
      days = 30
    }

    container_delete_retention_policy {
      days = 30
    }
  }

  network_rules {
    default_action = "Deny"
    bypass         = ["AzureServices"]
  }
}

resource "azurerm_storage_container" "backups" {
  name                  = "backups"
  storage_account_id    = azurerm_storage_account.this.id
  container_access_type = "private"
}

# A locked policy can be lengthened, never shortened; production only, for it cannot be undone.
resource "azurerm_storage_container_immutability_policy" "backups" {
  storage_container_resource_manager_id = azurerm_storage_container.backups.id
  immutability_period_in_days           = var.backup_days
  locked                                = var.lock
}

resource "azurerm_storage_management_policy" "this" {
  storage_account_id = azurerm_storage_account.this.id

  rule {
    name    = "expire"
    enabled = true

    filters {
      blob_types   = ["blockBlob"]
      prefix_match = ["backups/"]
    }

    actions {
      base_blob {
        delete_after_days_since_modification_greater_than = var.backup_days + 1
      }

      version {
        delete_after_days_since_creation = var.backup_days + 1
      }
    }
  }
}

resource "azurerm_private_endpoint" "blob" {
  name                = "${var.prefix}-backups"
  location            = var.location
  resource_group_name = var.resource_group
  subnet_id           = var.endpoint_subnet_id
  tags                = var.tags

  private_service_connection {
    name                           = "backups"
    private_connection_resource_id = azurerm_storage_account.this.id
    subresource_names              = ["blob"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "backups"
    private_dns_zone_ids = [var.private_zone_id]
  }
}

resource "azurerm_data_protection_backup_vault" "this" {
  name                         = var.prefix
  location                     = var.location
  resource_group_name          = var.resource_group
  datastore_type               = "VaultStore"
  redundancy                   = "GeoRedundant"
  cross_region_restore_enabled = true
  soft_delete                  = "On"
  retention_duration_in_days   = 14
  immutability                 = var.lock ? "Locked" : "Unlocked"
  tags                         = var.tags

  identity {
    type = "SystemAssigned"
  }
}

resource "azurerm_data_protection_backup_policy_postgresql_flexible_server" "weekly" {
  name                            = "weekly"
  vault_id                        = azurerm_data_protection_backup_vault.this.id
  backup_repeating_time_intervals = ["R/2026-01-04T02:00:00+00:00/P1W"]

  default_retention_rule {
    life_cycle {
      data_store_type = "VaultStore"
      duration        = "P${ceil(var.backup_days / 30)}M"
    }
  }
}

resource "azurerm_role_assignment" "vault" {
  for_each = {
    server = { scope = var.postgres_id, role = "PostgreSQL Flexible Server Long Term Retention Backup Role" }
    group  = { scope = var.resource_group_id, role = "Reader" }
  }

  scope                = each.value.scope
  role_definition_name = each.value.role
  principal_id         = azurerm_data_protection_backup_vault.this.identity[0].principal_id
}

resource "azurerm_data_protection_backup_instance_postgresql_flexible_server" "history" {
  name             = "history"
  location         = var.location
  vault_id         = azurerm_data_protection_backup_vault.this.id
  server_id        = var.postgres_id
  backup_policy_id = azurerm_data_protection_backup_policy_postgresql_flexible_server.weekly.id

  depends_on = [azurerm_role_assignment.vault]
}

# Flow logs are written by the platform, which reaches storage accounts of its own region only.
resource "azurerm_storage_account" "flow_logs" {
  name                              = replace("${var.prefix}log${var.suffix}", "-", "")
  location                          = var.location
  resource_group_name               = var.resource_group
  account_tier                      = "Standard"
  account_kind                      = "StorageV2"
  account_replication_type          = "ZRS"
  min_tls_version                   = "TLS1_2"
  https_traffic_only_enabled        = true
  shared_access_key_enabled         = false
  default_to_oauth_authentication   = true
  allow_nested_items_to_be_public   = false
  cross_tenant_replication_enabled  = false
  local_user_enabled                = false
  public_network_access_enabled     = false
  infrastructure_encryption_enabled = true
  tags                              = var.tags

  customer_managed_key {
    key_vault_key_id          = var.key.id
    user_assigned_identity_id = var.key.identity_id
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [var.key.identity_id]
  }

  blob_properties {
    delete_retention_policy {
      days = 7
    }
  }

  network_rules {
    default_action = "Deny"
    bypass         = ["AzureServices"]
  }
}
