output "subnet_ids" {
  description = "Subnets: nodes, postgres, endpoints."
  value = {
    nodes     = azurerm_subnet.nodes.id
    postgres  = azurerm_subnet.postgres.id
    endpoints = azurerm_subnet.endpoints.id
  }

  depends_on = [azurerm_subnet_network_security_group_association.this, azurerm_subnet_nat_gateway_association.nodes]
}

output "private_zone_ids" {
  description = "Private DNS zones: blob, eventhub, postgres, redis, registry, vault."
  value       = { for name, zone in azurerm_private_dns_zone.this : name => zone.id }

  depends_on = [azurerm_private_dns_zone_virtual_network_link.this]
}
