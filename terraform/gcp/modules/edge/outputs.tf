output "name_servers" {
  description = "Name servers to delegate the zone to."
  value       = google_dns_managed_zone.this.name_servers
}

output "address" {
  description = "Public address of the load balancer."
  value       = google_compute_global_address.this.address
}

output "gateway" {
  description = "What the charts' Gateway names: address, certificate map, security and TLS policy."
  value = {
    address         = google_compute_global_address.this.name
    certificate_map = google_certificate_manager_certificate_map.this.name
    security_policy = google_compute_security_policy.this.name
    ssl_policy      = google_compute_ssl_policy.this.name
  }
}

output "zone" {
  description = "Name of the DNS zone."
  value       = google_dns_managed_zone.this.name
}
