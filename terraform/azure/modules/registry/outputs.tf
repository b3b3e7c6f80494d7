output "url" {
  description = "Where images are pushed to and pulled from."
  value       = "${azurerm_container_registry.this.login_server}/tidemark"
}
