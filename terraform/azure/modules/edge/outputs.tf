output "name_servers" {
  description = "Name servers to delegate the zone to."
  value       = azurerm_dns_zone.this.name_servers
}

output "zone_id" {
  description = "The DNS zone."
  value       = azurerm_dns_zone.this.id
}

output "address_name" {
  description = "Name of the public address, for the gateway's Service."
  value       = azurerm_public_ip.this.name
}
