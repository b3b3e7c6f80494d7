output "dashboard" {
  description = "Id of the dashboard."
  value       = azurerm_portal_dashboard.this.id
}
