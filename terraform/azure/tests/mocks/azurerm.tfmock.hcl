# What the subscription would answer. Only values with a meaning are set; the rest is made up by Terraform.

mock_data "azurerm_client_config" {
  defaults = {
    tenant_id = "00000000-0000-0000-0000-000000000001"
    object_id = "00000000-0000-0000-0000-000000000002"
  }
}

mock_resource "azurerm_key_vault_key" {
  defaults = {
    versionless_id          = "https://mocked.vault.azure.net/keys/mocked"
    resource_versionless_id = "/subscriptions/mocked/keys/mocked"
  }
}

mock_resource "azurerm_managed_redis" {
  defaults = {
    default_database = {
      id                   = "mocked"
      port                 = 10000
      primary_access_key   = "mocked-not-a-secret"
      secondary_access_key = "mocked-not-a-secret"
    }
  }
}

mock_resource "azurerm_data_protection_backup_vault" {
  defaults = {
    identity = {
      principal_id = "mocked"
      tenant_id    = "mocked"
    }
  }
}
