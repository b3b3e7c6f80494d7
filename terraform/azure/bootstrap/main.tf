# Run once a subscription, before anything else: the container that holds the states of its environment, and
# the identity that CI takes. Its own state stays in a file with whoever runs it; everything can be imported.

provider "azurerm" {
  subscription_id     = var.subscription_id
  storage_use_azuread = true

  features {}
}

data "azurerm_client_config" "current" {}

locals {
  tags = { application = "tidemark", environment = var.environment, managed-by = "terraform" }
}

resource "azurerm_resource_group" "state" {
  name     = "tidemark-${var.environment}-state"
  location = var.region
  tags     = local.tags
}

# Signed in by Entra ID only; from the addresses that Terraform is run from.
resource "azurerm_storage_account" "state" {
  name                              = "tidemarkstate${var.suffix}"
  location                          = azurerm_resource_group.state.location
  resource_group_name               = azurerm_resource_group.state.name
  account_tier                      = "Standard"
  account_kind                      = "StorageV2"
  account_replication_type          = "GZRS"
  min_tls_version                   = "TLS1_2"
  https_traffic_only_enabled        = true
  shared_access_key_enabled         = false
  default_to_oauth_authentication   = true
  allow_nested_items_to_be_public   = false
  cross_tenant_replication_enabled  = false
  local_user_enabled                = false
  public_network_access_enabled     = true
  infrastructure_encryption_enabled = true
  tags                              = local.tags

  blob_properties {
    versioning_enabled = true

    delete_retention_policy {
      days = 90
    }

    container_delete_retention_policy {
      days = 90
    }
  }

  network_rules {
    default_action = "Deny"
    bypass         = ["AzureServices"]
    ip_rules       = var.operator_addresses
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_role_assignment" "operator" {
  scope                = azurerm_storage_account.state.id
  role_definition_name = "Storage Blob Data Contributor"
  principal_id         = data.azurerm_client_config.current.object_id
}

resource "azurerm_storage_container" "state" {
  name                  = "state"
  storage_account_id    = azurerm_storage_account.state.id
  container_access_type = "private"

  depends_on = [azurerm_role_assignment.operator]
}

resource "azurerm_user_assigned_identity" "ci" {
  name                = "tidemark-${var.environment}-ci"
  location            = azurerm_resource_group.state.location
  resource_group_name = azurerm_resource_group.state.name
  tags                = local.tags
}

# CI proves by its own token which repository and environment it is; no key is stored anywhere.
resource "azurerm_federated_identity_credential" "ci" {
  name                = "ci"
  resource_group_name = azurerm_resource_group.state.name
  parent_id           = azurerm_user_assigned_identity.ci.id
  issuer              = "https://token.actions.githubusercontent.com"
  subject             = "repo:${var.repository}:environment:${var.environment}"
  audience            = ["api://AzureADTokenExchange"]
}

# CI plans and pushes images. Applying is for a person, or for an identity of your own making.
resource "azurerm_role_assignment" "ci" {
  for_each = {
    read   = { scope = "/subscriptions/${var.subscription_id}", role = "Reader" }
    images = { scope = "/subscriptions/${var.subscription_id}", role = "AcrPush" }
    states = { scope = azurerm_storage_account.state.id, role = "Storage Blob Data Contributor" }
  }

  scope                = each.value.scope
  role_definition_name = each.value.role
  principal_id         = azurerm_user_assigned_identity.ci.principal_id
}
