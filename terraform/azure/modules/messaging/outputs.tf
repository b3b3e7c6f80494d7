output "namespace_id" {
  description = "The namespace."
  value       = azurerm_eventhub_namespace.this.id
}

output "kafka" {
  description = "Where the Kafka endpoint is, and the connection string that is its password."
  sensitive   = true
  value = {
    brokers  = "${azurerm_eventhub_namespace.this.name}.servicebus.windows.net:9093"
    password = azurerm_eventhub_namespace_authorization_rule.application.primary_connection_string
  }
}

output "brokers" {
  description = "Where the Kafka endpoint is."
  value       = "${azurerm_eventhub_namespace.this.name}.servicebus.windows.net:9093"
}
