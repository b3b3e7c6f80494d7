variable "name" {
  description = "Start of the secrets' names, which are the same in every environment."
  type        = string
}

variable "prefix" {
  description = "Start of every other name."
  type        = string
}

variable "region" {
  description = "Region of the stores."
  type        = string
}

variable "vpc_id" {
  description = "VPC of the stores."
  type        = string
}

variable "subnet_ids" {
  description = "Data subnets, one a zone."
  type        = list(string)
}

variable "cluster_security_group_id" {
  description = "Security group of nodes and pods, the only ones let in."
  type        = string
}

variable "recovery" {
  description = "Region, VPC and data subnets for copies; VPC and subnets are empty without high availability."
  type        = object({ region = string, vpc_id = string, subnet_ids = list(string) })
}

variable "key_arns" {
  description = "KMS keys by purpose: data, secrets, logs, recovery."
  type        = map(string)
}

variable "sizes" {
  description = "Machine types and volumes."
  type = object({
    postgres = object({ type = string, storage_gib = number })
    redis    = object({ type = string })
    kafka    = object({ type = string, storage_gib = number })
    rabbitmq = object({ type = string })
  })
}

variable "kafka_version" {
  description = "Version of Kafka, as MSK names it."
  type        = string
}

variable "high_availability" {
  description = "Spread over zones and copy to the recovery region."
  type        = bool
}

variable "deletion_protection" {
  description = "Refuse to delete, and snapshot before any deletion."
  type        = bool
}

variable "retention" {
  description = "Days that automatic backups reach back."
  type        = object({ point_in_time_days = number })
}

variable "log_days" {
  description = "Days that logs are kept."
  type        = number
}
