output "kafka_brokers" {
  description = "Bootstrap address of Managed Kafka, for clients with a certificate."
  value       = local.kafka_brokers
}

output "kafka_cluster" {
  description = "Name by which monitoring finds the Kafka cluster."
  value       = google_managed_kafka_cluster.this.cluster_id
}

output "client_ca_pool" {
  description = "Pool that cert-manager gets client certificates from."
  value       = google_privateca_ca_pool.clients.id
}

output "schemas" {
  description = "Topics whose Avro schema Pub/Sub's registry has a copy of."
  value       = keys(google_pubsub_schema.this)
}
