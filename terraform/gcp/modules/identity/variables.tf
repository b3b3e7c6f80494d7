variable "name" {
  description = "Start of the accounts' names."
  type        = string
}

variable "project" {
  description = "Project of this environment."
  type        = string
}

variable "namespace" {
  description = "Kubernetes namespace of Tidemark."
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

variable "backup_bucket" {
  description = "Bucket for backups."
  type        = string
}

variable "client_ca_pool" {
  description = "Pool that client certificates come from."
  type        = string
}

variable "dns_zone" {
  description = "DNS zone."
  type        = string
}

