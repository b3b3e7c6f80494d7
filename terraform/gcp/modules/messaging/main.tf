# The seventeen topics, two ways: Managed Kafka (kafka.tf), which Tidemark uses, and Pub/Sub (pubsub.tf), which
# stands beside it.

resource "google_secret_manager_secret_version" "kafka" {
  secret      = var.kafka_secret_id
  secret_data = local.kafka_brokers
}

locals {
  kafka_brokers = "bootstrap.${google_managed_kafka_cluster.this.cluster_id}.${var.region}.managedkafka.${var.project}.cloud.goog:9192"

  topics = merge(
    { for topic in var.events : topic => { partitions = var.partitions, days = var.event_days } },
    { for topic in var.dead_letters : topic => { partitions = 1, days = var.dead_letter_days } },
    { (var.probe) = { partitions = 1, days = 1 } },
  )
}
