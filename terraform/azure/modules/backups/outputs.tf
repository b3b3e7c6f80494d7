output "container_id" {
  description = "Container that backups are written to."
  value       = azurerm_storage_container.backups.id
}

output "bucket" {
  description = "Where backups are written."
  value       = "${azurerm_storage_account.this.primary_blob_endpoint}${azurerm_storage_container.backups.name}"
}

output "recovery_bucket" {
  description = "Where their copies are read in the recovery region."
  value       = "${azurerm_storage_account.this.secondary_blob_endpoint}${azurerm_storage_container.backups.name}"
}

output "flow_log_storage_id" {
  description = "Storage account for flow logs."
  value       = azurerm_storage_account.flow_logs.id
}
