output "endpoints" {
  description = "Where each store is reached from inside the network."
  value = {
    postgres = azurerm_postgresql_flexible_server.history.fqdn
    redis    = "${azurerm_managed_redis.state.hostname}:${azurerm_managed_redis.state.default_database[0].port}"
    rabbitmq = "rabbitmq:5672"
  }
}

output "ids" {
  description = "Ids by which monitoring and backups find the stores."
  value = {
    postgres = azurerm_postgresql_flexible_server.history.id
    redis    = azurerm_managed_redis.state.id
  }
}

output "secrets" {
  description = "Each secret by its short name: its id, and the group that rights are given by."
  value = merge(
    { for name, secret in azurerm_key_vault_secret.this : name => { id = secret.resource_versionless_id, group = split("-", name)[0] } },
    { signing-keys = { id = azurerm_key_vault_secret.signing_keys.resource_versionless_id, group = "signing-keys" } },
  )
}

output "secret_names" {
  description = "Name of each secret by its short name."
  value = merge(
    { for name, secret in azurerm_key_vault_secret.this : name => secret.name },
    { signing-keys = azurerm_key_vault_secret.signing_keys.name },
  )
}
