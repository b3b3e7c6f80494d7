variable "prefix" {
  description = "Start of every name."
  type        = string
}

variable "environment" {
  description = "Environment, the namespace of the application's own metrics."
  type        = string
}

variable "region" {
  description = "Region of the metrics."
  type        = string
}

variable "account_id" {
  description = "Account whose services may publish alerts."
  type        = string
}

variable "cluster_name" {
  description = "Name of the cluster."
  type        = string
}

variable "stores" {
  description = "Names of the stores: postgres, redis, kafka, rabbitmq."
  type        = map(string)
}

variable "ledger" {
  description = "Topic whose lag is watched."
  type        = string
}

variable "load_balancer" {
  description = "Load balancer, as CloudWatch names it."
  type        = string
}

variable "target_group" {
  description = "Target group, as CloudWatch names it."
  type        = string
}

variable "certificate_arn" {
  description = "Certificate whose expiry is watched."
  type        = string
}

variable "backup_bucket" {
  description = "Bucket of the backups."
  type        = string
}

variable "recovery_bucket" {
  description = "Bucket of their copies."
  type        = string
}

variable "alert_emails" {
  description = "Addresses that alerts go to."
  type        = set(string)
}

variable "log_key_arn" {
  description = "KMS key for logs and alerts."
  type        = string
}

variable "log_days" {
  description = "Days that logs are kept."
  type        = number
}
