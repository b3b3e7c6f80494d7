output "backend_hcl" {
  description = "For environments/*/backend.hcl."
  value       = <<-HCL
    subscription_id      = "${var.subscription_id}"
    resource_group_name  = "${azurerm_resource_group.state.name}"
    storage_account_name = "${azurerm_storage_account.state.name}"
    container_name       = "${azurerm_storage_container.state.name}"
    key                  = "cloud.tfstate"
  HCL
}

output "gitops_hcl" {
  description = "For environments/*/gitops/backend.hcl."
  value       = <<-HCL
    subscription_id      = "${var.subscription_id}"
    resource_group_name  = "${azurerm_resource_group.state.name}"
    storage_account_name = "${azurerm_storage_account.state.name}"
    container_name       = "${azurerm_storage_container.state.name}"
    key                  = "gitops.tfstate"
  HCL
}

output "ci_identity" {
  description = "What CI signs in as."
  value       = azurerm_user_assigned_identity.ci.client_id
}
