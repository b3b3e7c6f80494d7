variable "prefix" {
  description = "Start of every name."
  type        = string
}

variable "location" {
  description = "Region."
  type        = string
}

variable "resource_group" {
  description = "Resource group."
  type        = string
}

variable "tags" {
  description = "Tags of every resource."
  type        = map(string)
}

variable "namespace" {
  description = "Kubernetes namespace of Tidemark."
  type        = string
}

variable "issuer" {
  description = "Issuer of the pods' identity tokens."
  type        = string
}

variable "roles" {
  description = "Tidemark's roles with the groups of secrets they may read."
  type        = map(object({ secrets = list(string) }))
}

variable "secrets" {
  description = "Secrets by short name: id, and the group that rights are given by."
  type        = map(object({ id = string, group = string }))
}

variable "dns_zone_id" {
  description = "DNS zone."
  type        = string
}

variable "backup_container_id" {
  description = "Container for backups."
  type        = string
}

variable "redis_id" {
  description = "Redis, whose exports the backup job starts."
  type        = string
}

