variable "prefix" {
  description = "Start of every name."
  type        = string
}

variable "namespace" {
  description = "Kubernetes namespace of Tidemark."
  type        = string
}

variable "cluster_name" {
  description = "Name of the cluster."
  type        = string
}

variable "cluster_arn" {
  description = "ARN of the cluster, the only one whose pods may take these roles."
  type        = string
}

variable "roles" {
  description = "Tidemark's roles with their topics, consumer groups and secrets, from module product."
  type = map(object({
    publishes       = list(string)
    consumes        = list(string)
    consumer_groups = list(string)
    secrets         = list(string)
  }))
}

variable "topics" {
  description = "All topics that are to exist."
  type        = list(string)
}

variable "kafka_arn" {
  description = "ARN of the Kafka cluster."
  type        = string
}

variable "database_user_arn" {
  description = "ARN of the database user that history signs in as."
  type        = string
}

variable "database_backup_user_arn" {
  description = "ARN of the database user that dumps are made as."
  type        = string
}

variable "secret_arns" {
  description = "Secrets by short name."
  type        = map(string)
}

variable "secret_key_arn" {
  description = "KMS key of the secrets."
  type        = string
}

variable "backup_bucket_arn" {
  description = "Bucket for backups."
  type        = string
}

variable "backup_key_arn" {
  description = "KMS key of the backups."
  type        = string
}

variable "target_group_arn" {
  description = "Target group that pods are registered with."
  type        = string
}

variable "zone_arn" {
  description = "DNS zone."
  type        = string
}
