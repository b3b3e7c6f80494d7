# One managed identity for each of Tidemark's roles and each controller that calls Azure, bound to a
# Kubernetes service account by workload identity. A role may read its own secrets and nothing else.

locals {
  product = { for name, role in var.roles : name => { namespace = var.namespace, service_account = "tidemark-${name}" } }

  operators = {
    backup       = { namespace = var.namespace, service_account = "tidemark-backup" }
    cert-manager = { namespace = "cert-manager", service_account = "cert-manager" }
    external-dns = { namespace = "external-dns", service_account = "external-dns" }
  }

  identities = merge(local.product, local.operators)

  secret_rights = merge([
    for name, role in var.roles : {
      for secret, detail in var.secrets : "${name}-${secret}" => { role = name, id = detail.id } if contains(role.secrets, detail.group)
    }
  ]...)
}

resource "azurerm_user_assigned_identity" "this" {
  for_each = local.identities

  name                = "${var.prefix}-${each.key}"
  location            = var.location
  resource_group_name = var.resource_group
  tags                = var.tags
}

resource "azurerm_federated_identity_credential" "this" {
  for_each = local.identities

  name                = each.key
  resource_group_name = var.resource_group
  parent_id           = azurerm_user_assigned_identity.this[each.key].id
  issuer              = var.issuer
  subject             = "system:serviceaccount:${each.value.namespace}:${each.value.service_account}"
  audience            = ["api://AzureADTokenExchange"]
}

resource "azurerm_role_assignment" "secret" {
  for_each = local.secret_rights

  scope                = each.value.id
  role_definition_name = "Key Vault Secrets User"
  principal_id         = azurerm_user_assigned_identity.this[each.value.role].principal_id
}

resource "azurerm_role_assignment" "dns" {
  for_each = toset(["cert-manager", "external-dns"])

  scope                = var.dns_zone_id
  role_definition_name = "DNS Zone Contributor"
  principal_id         = azurerm_user_assigned_identity.this[each.key].principal_id
}

resource "azurerm_role_assignment" "backup" {
  scope                = var.backup_container_id
  role_definition_name = "Storage Blob Data Contributor"
  principal_id         = azurerm_user_assigned_identity.this["backup"].principal_id
}

# The half-hourly export of the state, by the backup job of the charts.
resource "azurerm_role_definition" "export" {
  name        = "${var.prefix}-redis-export"
  scope       = var.redis_id
  description = "Start an export of Redis"

  permissions {
    actions = ["Microsoft.Cache/redisEnterprise/databases/export/action", "Microsoft.Cache/redisEnterprise/databases/read", "Microsoft.Cache/redisEnterprise/read"]
  }

  assignable_scopes = [var.redis_id]
}

resource "azurerm_role_assignment" "export" {
  scope              = var.redis_id
  role_definition_id = azurerm_role_definition.export.role_definition_resource_id
  principal_id       = azurerm_user_assigned_identity.this["backup"].principal_id
}
