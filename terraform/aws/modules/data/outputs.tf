output "endpoints" {
  description = "Where each store is reached from inside the network."
  value = {
    postgres = aws_db_instance.postgres.address
    redis    = aws_elasticache_replication_group.redis.primary_endpoint_address
    kafka    = aws_msk_cluster.kafka.bootstrap_brokers_sasl_iam
    rabbitmq = aws_mq_broker.rabbitmq.instances[0].endpoints[0]
  }
}

output "names" {
  description = "Names by which monitoring finds the stores."
  value = {
    postgres = aws_db_instance.postgres.identifier
    redis    = aws_elasticache_replication_group.redis.replication_group_id
    kafka    = aws_msk_cluster.kafka.cluster_name
    rabbitmq = aws_mq_broker.rabbitmq.broker_name
  }
}

output "kafka_arn" {
  description = "ARN of the Kafka cluster."
  value       = aws_msk_cluster.kafka.arn
}

output "postgres_arn" {
  description = "ARN of the database instance."
  value       = aws_db_instance.postgres.arn
}

output "postgres_resource_id" {
  description = "Id of the database in IAM database authentication."
  value       = aws_db_instance.postgres.resource_id
}

output "secret_arns" {
  description = "ARN of each secret by its short name."
  value       = { for name, secret in aws_secretsmanager_secret.store : name => secret.arn }
}

output "secret_names" {
  description = "Full name of each secret by its short name."
  value       = { for name, secret in aws_secretsmanager_secret.store : name => secret.name }
}
