output "id" {
  description = "The network, once the stores' range is peered."
  value       = google_compute_network.this.id

  depends_on = [google_service_networking_connection.stores]
}

output "subnet_id" {
  description = "Subnet of the nodes."
  value       = google_compute_subnetwork.nodes.id
}
