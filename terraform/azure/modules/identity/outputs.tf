output "ids" {
  description = "Client id of each identity."
  value       = { for name, identity in azurerm_user_assigned_identity.this : name => identity.client_id }
}
