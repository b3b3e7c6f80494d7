output "keys" {
  description = "Each key by purpose: its id without version, and the identity that may use it."
  value = {
    for purpose, key in azurerm_key_vault_key.this : purpose => {
      id          = key.versionless_id
      identity_id = azurerm_user_assigned_identity.key_user[purpose].id
      client_id   = azurerm_user_assigned_identity.key_user[purpose].client_id
    }
  }

  depends_on = [azurerm_role_assignment.key_user]
}

output "vault_id" {
  description = "Vault of the application's secrets."
  value       = azurerm_key_vault.this["primary"].id

  depends_on = [azurerm_role_assignment.operator]
}

output "vault_name" {
  description = "Name of the vault of the application's secrets."
  value       = azurerm_key_vault.this["primary"].name
}
