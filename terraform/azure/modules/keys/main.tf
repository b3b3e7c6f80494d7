# Two vaults, one a region. The first holds the customer keys and the application's secrets; the second the
# key of what is copied to the recovery region. Both keep what is deleted for 90 days, whatever anybody says.

locals {
  vaults = {
    primary  = { location = var.location, name = "${var.prefix}-${var.suffix}" }
    recovery = { location = var.recovery_location, name = "${var.prefix}-${var.suffix}-r" }
  }

  keys = {
    data     = "primary"
    cluster  = "primary"
    backups  = "primary"
    recovery = "recovery"
  }
}

resource "azurerm_key_vault" "this" {
  for_each = local.vaults

  name                          = each.value.name
  location                      = each.value.location
  resource_group_name           = var.resource_group
  tenant_id                     = var.tenant_id
  sku_name                      = "standard"
  rbac_authorization_enabled    = true
  purge_protection_enabled      = true
  soft_delete_retention_days    = 90
  public_network_access_enabled = true
  tags                          = var.tags

  # Terraform itself writes keys and secrets, from the addresses that may reach the Kubernetes API too.
  # Pods come by the private endpoint.
  network_acls {
    default_action = "Deny"
    bypass         = "AzureServices"
    ip_rules       = var.operator_cidrs
  }
}

resource "azurerm_role_assignment" "operator" {
  for_each = azurerm_key_vault.this

  scope                = each.value.id
  role_definition_name = "Key Vault Administrator"
  principal_id         = var.operator_object_id
}

resource "azurerm_key_vault_key" "this" {
  for_each = local.keys

  name         = each.key
  key_vault_id = azurerm_key_vault.this[each.value].id
  key_type     = "RSA"
  key_size     = 3072
  key_opts     = ["decrypt", "encrypt", "unwrapKey", "wrapKey"]
  tags         = var.tags

  rotation_policy {
    expire_after         = "P2Y"
    notify_before_expiry = "P30D"

    automatic {
      time_before_expiry = "P60D"
    }
  }

  depends_on = [azurerm_role_assignment.operator]

  # Without its key everything encrypted with it is gone, backups included.
  lifecycle {
    prevent_destroy = true
  }
}

# Services use a key as an identity that may do nothing else.
resource "azurerm_user_assigned_identity" "key_user" {
  for_each = local.keys

  name                = "${var.prefix}-key-${each.key}"
  location            = local.vaults[each.value].location
  resource_group_name = var.resource_group
  tags                = var.tags
}

resource "azurerm_role_assignment" "key_user" {
  for_each = local.keys

  scope                = azurerm_key_vault_key.this[each.key].resource_versionless_id
  role_definition_name = "Key Vault Crypto Service Encryption User"
  principal_id         = azurerm_user_assigned_identity.key_user[each.key].principal_id
}
