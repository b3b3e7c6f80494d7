output "id" {
  description = "The cluster."
  value       = google_container_cluster.this.id
}

output "name" {
  description = "Name of the cluster."
  value       = google_container_cluster.this.name
}

output "node_account" {
  description = "Service account of the nodes, as an IAM member."
  value       = google_service_account.node.member
}
