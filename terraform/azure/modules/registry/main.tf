# One registry for one image. Who pulls and pushes signs in by Entra ID; there is no shared account. It has
# a public address because CI pushes from outside; the cluster pulls by the private endpoint.

resource "azurerm_container_registry" "this" {
  name                          = replace("${var.prefix}${var.suffix}", "-", "")
  location                      = var.location
  resource_group_name           = var.resource_group
  sku                           = "Premium"
  admin_enabled                 = false
  anonymous_pull_enabled        = false
  public_network_access_enabled = true
  export_policy_enabled         = true
  data_endpoint_enabled         = true
  retention_policy_in_days      = 30
  zone_redundancy_enabled       = var.high_availability
  tags                          = var.tags

  identity {
    type         = "UserAssigned"
    identity_ids = [var.key.identity_id]
  }

  encryption {
    key_vault_key_id   = var.key.id
    identity_client_id = var.key.client_id
  }

  dynamic "georeplications" {
    for_each = var.high_availability ? [var.recovery_location] : []

    content {
      location                = georeplications.value
      zone_redundancy_enabled = false
      tags                    = var.tags
    }
  }
}

resource "azurerm_role_assignment" "pull" {
  scope                = azurerm_container_registry.this.id
  role_definition_name = "AcrPull"
  principal_id         = var.kubelet_principal_id
}

resource "azurerm_private_endpoint" "this" {
  name                = "${var.prefix}-registry"
  location            = var.location
  resource_group_name = var.resource_group
  subnet_id           = var.endpoint_subnet_id
  tags                = var.tags

  private_service_connection {
    name                           = "registry"
    private_connection_resource_id = azurerm_container_registry.this.id
    subresource_names              = ["registry"]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = "registry"
    private_dns_zone_ids = [var.private_zone_id]
  }
}
